"""A carrier over SMPP: what it prepares, how it judges, and what its binds do at a simulated SMSC."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.carriers.base import Order, Outgoing, SendError
from cooee.carriers.smpp import validity_period
from cooee.model import gsm
from cooee.model.segments import segment
from cooee.smpp.codes import ESM_UDHI, CommandStatus
from cooee.smpp.pdu import DeliverSm, Framer, SubmitSm, decode
from cooee.smpp.receipt import ReceiptState
from cooee.smpp.smsc.journal import read_journal
from cooee.smpp.template import SubmitTemplate
from tests.carriers.support_smpp import Recorder, bound, carrier
from tests.smpp.support_smsc import running, until

TO = 61400000001
EMOJI = "\N{GRINNING FACE}"


def submits(message: Outgoing, **settings: object) -> list[SubmitSm]:
    """What goes on the wire for one recipient."""
    prepared, parts = carrier(**settings).prepare(message)
    assert isinstance(prepared, SubmitTemplate)
    pdus = [decode(frame) for frame in Framer().feed(prepared.encode(1, [TO]))]
    assert len(pdus) == parts == prepared.parts
    found = [pdu for pdu in pdus if isinstance(pdu, SubmitSm)]
    assert len(found) == parts
    return found


# --- preparing ---------------------------------------------------------------------------------------------


def test_a_short_gsm_text() -> None:
    (pdu,) = submits(Outgoing("Cooee", "10 € each", 9))
    assert pdu.short_message == gsm.encode("10 € each")
    assert (pdu.data_coding, pdu.esm_class, pdu.registered_delivery) == (0, 0, 1)
    assert (pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.destination_addr) == (1, 1, str(TO))
    assert (pdu.validity_period, pdu.schedule_delivery_time, pdu.service_type) == ("", "", "")


@pytest.mark.parametrize(
    ("originator", "ton", "npi"), [("61491570156", 1, 1), ("19123", 3, 0), ("Cooee", 5, 0), ("A-1 Cabs", 5, 0)]
)
def test_the_kind_of_originator_is_told(originator: str, ton: int, npi: int) -> None:
    (pdu,) = submits(Outgoing(originator, "hello", 0))
    assert (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi) == (originator, ton, npi)


def test_a_text_beyond_gsm_goes_as_ucs2() -> None:
    (pdu,) = submits(Outgoing("Cooee", f"Grüße {EMOJI}", 0))
    assert pdu.short_message == f"Grüße {EMOJI}".encode("utf-16-be")
    assert (pdu.data_coding, pdu.esm_class) == (8, 0)


@pytest.mark.parametrize(
    ("body", "coding", "encoded"),
    [
        ("long " * 80, 0, gsm.encode("long " * 80)),
        ("lång ж" * 30, 8, ("lång ж" * 30).encode("utf-16-be")),
    ],
)
def test_a_long_text_goes_in_parts_behind_one_header(body: str, coding: int, encoded: bytes) -> None:
    pdus = submits(Outgoing("Cooee", body, 0x1A7))
    assert len(pdus) == segment(body).count > 1
    for number, pdu in enumerate(pdus, 1):
        assert (pdu.data_coding, pdu.esm_class) == (coding, ESM_UDHI)
        assert pdu.short_message[:6] == bytes((5, 0, 3, 0xA7, len(pdus), number))
        assert len(pdu.short_message) <= (159 if coding == 0 else 140)
    assert b"".join(pdu.short_message[6:] for pdu in pdus) == encoded


def test_wide_references_where_they_cost_no_part_more() -> None:
    pdus = submits(Outgoing("Cooee", "x" * 304, 0x1A7), wide_references=True)
    assert [pdu.short_message[:7] for pdu in pdus] == [bytes((6, 8, 4, 1, 0xA7, 2, no)) for no in (1, 2)]
    # Two parts were charged; with the longer header it would be three.
    pdus = submits(Outgoing("Cooee", "x" * 305, 0x1A7), wide_references=True)
    assert [pdu.short_message[:6] for pdu in pdus] == [bytes((5, 0, 3, 0xA7, 2, no)) for no in (1, 2)]
    (pdu,) = submits(Outgoing("Cooee", "x" * 160, 0x1A7), wide_references=True)
    assert (pdu.esm_class, pdu.short_message) == (0, b"x" * 160)


@given(st.text(alphabet="ab€[ж" + EMOJI, min_size=1, max_size=700), st.integers(0, 0xFFFF), st.booleans())
def test_what_was_charged_is_what_is_sent(body: str, reference: int, wide: bool) -> None:
    whole = segment(body)
    pdus = submits(Outgoing("Cooee", body, reference), wide_references=wide)
    assert len(pdus) == whole.count
    heads = {pdu.short_message[0] + 1 if pdu.esm_class & ESM_UDHI else 0 for pdu in pdus}
    assert len(heads) == 1
    (head,) = heads
    assert b"".join(pdu.short_message[head:] for pdu in pdus) == b"".join(whole.parts)


def test_campaigns_with_one_text_share_a_template() -> None:
    made = carrier()
    first, _ = made.prepare(Outgoing("Cooee", "hello", 0))
    assert made.prepare(Outgoing("Cooee", "hello", 0))[0] is first
    assert made.prepare(Outgoing("Other", "hello", 0))[0] is not first


# --- validity ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, ""), (59, ""), (60, "000000000100000R"), (3661, "000000010101000R"), (86_399, "000000235959000R"),
        (86_400, "000001000000000R"), (30 * 86_400, "000030000000000R"),
    ],
)  # fmt: skip
def test_validity_is_written_in_the_relative_form(seconds: int, text: str) -> None:
    assert validity_period(seconds) == text


@given(st.integers(60, 400 * 86_400))
def test_validity_is_never_longer_than_asked(seconds: int) -> None:
    found = re.fullmatch(r"0000(\d\d)(\d\d)(\d\d)(\d\d)000R", validity_period(seconds))
    assert found is not None
    days, hours, minutes, rest = map(int, found.groups())
    assert days <= 30
    assert hours < 24
    assert minutes < 60
    assert rest < 60
    said = days * 86_400 + hours * 3600 + minutes * 60 + rest
    assert said <= seconds
    if seconds <= 30 * 86_400:
        assert said == seconds


def test_validity_is_sent_where_the_carrier_is_told_to() -> None:
    message = Outgoing("Cooee", "x" * 200, 1, 7200)
    assert [pdu.validity_period for pdu in submits(message)] == [""] * 2
    assert [pdu.validity_period for pdu in submits(message, validity=True)] == ["000000020000000R"] * 2
    assert [pdu.validity_period for pdu in submits(Outgoing("Cooee", "hi", 1), validity=True)] == [""]


# --- judging -----------------------------------------------------------------------------------------------

JUDGED = {
    SendError.THROTTLED: {"ESME_RTHROTTLED"},
    SendError.CONGESTED: {"ESME_RMSGQFUL"},
    SendError.TEMPORARY: {
        "ESME_RSYSERR", "ESME_RINVBNDSTS", "ESME_RSUBMITFAIL", "ESME_RX_T_APPN", "ESME_RUNKNOWNERR",
    },
    SendError.BAD_DESTINATION: {"ESME_RINVDSTADR", "ESME_RINVDSTTON", "ESME_RINVDSTNPI"},
    SendError.BAD_ORIGINATOR: {"ESME_RINVSRCADR", "ESME_RINVSRCTON", "ESME_RINVSRCNPI"},
    SendError.BAD_CONTENT: {"ESME_RINVMSGLEN", "ESME_RINVESMCLASS"},
}  # fmt: skip


def test_every_status_of_the_standard_is_judged() -> None:
    made = carrier()
    found: dict[SendError, set[str]] = {}
    for status in CommandStatus:
        if status:
            found.setdefault(made.judge(status), set()).add(status.name)
    assert {error: names for error, names in found.items() if error is not SendError.REJECTED} == JUDGED
    # Nothing that an SMSC says means that it was never written: only the link knows that.
    assert SendError.NOT_SENT not in found


@given(st.integers(0x100, 0xFFFFFFFF))
def test_a_status_of_the_carriers_own_is_final(status: int) -> None:
    assert carrier().judge(status) is SendError.REJECTED


def test_the_set_of_errors_is_closed_and_says_what_to_do() -> None:
    assert {error for error in SendError if error.retry} == {
        SendError.THROTTLED, SendError.CONGESTED, SendError.TEMPORARY, SendError.NOT_SENT,
    }  # fmt: skip
    assert [error for error in SendError if error.slows] == [SendError.THROTTLED]
    for error in SendError:
        assert (error.wait_ms > 0) == error.retry
        assert error.words


# --- a bind ------------------------------------------------------------------------------------------------


def test_a_slice_goes_out_and_each_segment_is_answered_once() -> None:
    async def main() -> None:
        async with running(receipts=0) as smsc, bound(smsc, window=20) as it:
            assert (it.link.name, it.link.size, it.link.free) == ("Main/0", 20, 20)
            body = "ж" * 100
            it.send(body, TO, TO + 1, TO + 2, token="first")
            it.send("short", TO, token="second")
            assert it.link.free == 13
            await until(lambda: len(it.events.answered) == 7)
            assert it.link.free == 20
            first = [answer for token, answer in it.events.answered if token == "first"]
            assert sorted((at, part, status) for at, part, status, _ in first) == [
                (at, part, 0) for at in range(3) for part in range(2)
            ]
            assert len({smsc_id for _, (_, _, _, smsc_id) in it.events.answered} - {""}) == 7
            assert [text.text for text in smsc.inbox(str(TO))] == [body, "short"]
            assert [text.complete for text in smsc.inbox(str(TO + 2))] == [True]
            assert it.events.losses == []

    asyncio.run(main())


def test_only_the_parts_that_are_wanted_are_written() -> None:
    async def main() -> None:
        async with running(receipts=0) as smsc, bound(smsc) as it:
            prepared, parts = it.carrier.prepare(Outgoing("61411", "ж" * 200, 7))
            assert parts == 3
            it.link.send([Order(prepared, [TO, TO + 1], [[0, 2], [1]], "some")])
            await until(lambda: len(it.events.answered) == 3)
            assert sorted((at, part) for _, (at, part, _, _) in it.events.answered) == [(0, 0), (0, 2), (1, 1)]
            assert smsc.stats()["submits"] == 3

    asyncio.run(main())


def test_a_refusal_is_an_answer_with_its_status() -> None:
    async def main() -> None:
        async with running(statuses=(("ESME_RMSGQFUL", 1.0),)) as smsc, bound(smsc) as it:
            it.send("hello", TO)
            await until(lambda: it.events.answered)
            ((_, (at, part, status, smsc_id)),) = it.events.answered
            assert (at, part, smsc_id) == (0, 0, "")
            assert it.carrier.judge(status) is SendError.CONGESTED

    asyncio.run(main())


def test_a_cut_loses_each_unanswered_segment_once_and_the_bind_comes_back() -> None:
    async def main() -> None:
        async with running() as smsc, bound(smsc, window=4) as it:
            smsc.silence()
            # One message is longer than the window: its last parts have no slot yet.
            it.send("ж" * 400, TO, token="long")
            await until(lambda: smsc.counts["binds"] == 1 and it.link.free == 0)
            smsc.drop()
            await until(lambda: it.events.losses)
            ((token, unsure, unsent, reason),) = it.events.losses
            assert token == "long"
            assert (unsure, unsent) == ([(0, 0), (0, 1), (0, 2), (0, 3)], [(0, 4), (0, 5)])
            assert "connection lost" in reason
            assert not it.link.up
            assert it.link.free == 0
            assert it.events.states[-1] == (False, it.link.reason)
            smsc.speak()
            await until(lambda: it.link.up)
            it.send("again", TO, token="again")
            await until(lambda: it.events.answered)
            assert [token for token, _ in it.events.answered] == ["again"]

    asyncio.run(main())


def test_what_is_given_up_may_still_be_answered_late() -> None:
    async def main() -> None:
        async with running(receipts=0) as smsc, bound(smsc, response_timeout_s=1) as it:
            smsc.silence(submits="late")
            it.send("hello", TO)
            await until(lambda: it.events.losses)
            assert it.events.losses[0][:3] == ("slice", [(0, 0)], [])
            smsc.speak()
            await until(lambda: it.events.late_answers)
            ((token, (at, part, status, smsc_id)),) = it.events.late_answers
            assert (token, at, part, status) == ("slice", 0, 0, 0)
            assert smsc_id
            assert it.events.answered == []

    asyncio.run(main())


def test_written_to_a_link_that_is_down_it_is_unsent() -> None:
    async def main() -> None:
        async with running() as smsc:
            made, events = carrier(smsc.port), Recorder()
            link = made.link(0, events)
            assert (link.up, link.free) == (False, 0)
            prepared, _ = made.prepare(Outgoing("61411", "hello", 7))
            link.send([Order(prepared, [TO, TO + 1], None, "early")])
            await until(lambda: events.losses)
            assert events.losses[0][:3] == ("early", [], [(0, 0), (1, 0)])
            assert smsc.stats()["submits"] == 0

    asyncio.run(main())


def test_a_receiver_has_no_room_and_still_takes_receipts() -> None:
    async def main() -> None:
        async with (
            running() as smsc,
            bound(smsc, bind_type="transmitter") as sends,
            bound(smsc, bind_type="receiver") as receives,
        ):
            assert receives.link.up
            assert receives.link.free == 0
            sends.send("hello", TO)
            await until(lambda: receives.events.taken)
            assert sends.events.taken == []
            receives.events.done(True)

    asyncio.run(main())


def test_the_password_is_the_carriers_secret_and_a_refusal_is_said() -> None:
    async def main() -> None:
        async with running(credentials=(("cooee", "geheim"),)) as smsc:
            events = Recorder()
            wrong = carrier(smsc.port, "falsch").link(0, events)
            wrong.start()
            await until(lambda: any("wrong password" in reason for _, reason in events.states))
            assert not wrong.up
            assert not any("falsch" in reason for _, reason in events.states)
            await wrong.close(0)
            right = carrier(smsc.port, "geheim").link(1, Recorder())
            right.start()
            await until(lambda: right.up)
            await right.close(1)

    asyncio.run(main())


def test_what_another_kind_of_carrier_prepared_is_refused() -> None:
    async def main() -> None:
        async with running() as smsc, bound(smsc) as it:
            with pytest.raises(TypeError):
                it.link.send([Order("text", [TO], None, None)])
            assert it.link.free == it.link.size

    asyncio.run(main())


# --- what comes in -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "tlv", "both"])
def test_receipts_are_acknowledged_when_they_are_safe(form: str) -> None:
    async def main() -> None:
        async with running(receipt_form=form) as smsc, bound(smsc) as it:
            it.send("hello", TO, TO + 1)
            await until(lambda: len(it.events.all_receipts) == 2)
            await asyncio.sleep(0.05)
            assert smsc.stats()["receipts_acked"] == 0
            ids = {answer[3] for _, answer in it.events.answered}
            assert {receipt.message_id for receipt in it.events.all_receipts} == ids
            for receipt in it.events.all_receipts:
                assert receipt.state is ReceiptState.DELIVERED
                assert receipt.destination == "61411"
            assert {receipt.source for receipt in it.events.all_receipts} == {str(TO), str(TO + 1)}
            assert it.events.messages_taken == []
            it.events.done(True)
            await until(lambda: smsc.stats()["receipts_acked"] == 2)
            await asyncio.sleep(0.05)
            assert smsc.stats()["receipts_sent"] == 2

    asyncio.run(main())


def test_what_could_not_be_stored_is_sent_again(tmp_path: Path) -> None:
    async def main() -> None:
        journal = tmp_path / "journal"
        async with (
            running(journal=str(journal), journal_receipts=True, retry_delay=0.05) as smsc,
            bound(smsc) as it,
        ):
            it.send("hello", TO)
            await until(lambda: it.events.taken)
            (first,) = it.events.all_receipts
            it.events.done(False)
            await until(lambda: it.events.taken)
            assert it.events.all_receipts == [first]
            assert smsc.stats()["receipts_acked"] == 0
            it.events.done(True)
            await until(lambda: smsc.stats()["receipts_acked"] == 1)
            statuses = [entry.status for entry in read_journal(journal) if entry.kind == "A"]
            assert statuses == [CommandStatus.ESME_RX_T_APPN, 0]

    asyncio.run(main())


def test_receipts_and_messages_are_told_apart_and_answered_apart() -> None:
    async def main() -> None:
        async with running(retry_delay=0.05) as smsc, bound(smsc) as it:
            it.send("hello", TO)
            await until(lambda: it.events.answered)
            smsc.reply(str(TO), "61411", "id: 5 is my number, STOP")
            await until(lambda: it.events.taken and it.events.messages_taken)
            ((source, destination, pdu),) = it.events.all_messages
            assert (source, destination) == (str(TO), "61411")
            raw = decode(pdu)
            assert isinstance(raw, DeliverSm)
            assert raw.short_message == b"id: 5 is my number, STOP"
            assert len(it.events.all_receipts) == 1
            ((_, done),) = it.events.taken
            done(True)
            it.events.taken = []
            await until(lambda: smsc.stats()["receipts_acked"] == 1)
            assert smsc.stats()["mo_acked"] == 0
            it.events.done(False)
            await until(lambda: it.events.messages_taken)
            assert it.events.all_messages[0][:2] == (str(TO), "61411")
            it.events.done(True)
            await until(lambda: smsc.stats()["mo_acked"] == 1)
            assert smsc.stats()["mo_sent"] == 2

    asyncio.run(main())


def test_one_chunk_of_both_is_two_groups() -> None:
    async def main() -> None:
        async with running(enroute=1.0, receipt_delay=0.02) as smsc, bound(smsc) as it:
            it.send("hello", TO, TO + 1)
            await until(lambda: len(it.events.answered) == 2)
            smsc.silence()
            smsc.reply(str(TO), "61411", "ж" * 100)
            await asyncio.sleep(0.1)
            smsc.speak()
            await until(lambda: len(it.events.all_receipts) == 4 and len(it.events.all_messages) == 2)
            states = sorted(receipt.state.name for receipt in it.events.all_receipts)
            assert states == ["DELIVERED", "DELIVERED", "ENROUTE", "ENROUTE"]
            it.events.done(True)
            await until(lambda: (smsc.stats()["receipts_acked"], smsc.stats()["mo_acked"]) == (4, 2))

    asyncio.run(main())


def test_unacknowledged_when_the_bind_goes_it_comes_again() -> None:
    async def main() -> None:
        async with running() as smsc, bound(smsc) as it:
            it.send("hello", TO)
            await until(lambda: it.events.taken)
            (first,) = it.events.all_receipts
            smsc.drop()
            await until(lambda: not it.link.up)
            # An acknowledgement that comes too late for its connection reaches no other one.
            it.events.done(True)
            await until(lambda: it.events.taken)
            assert it.events.all_receipts == [first]
            assert smsc.stats()["receipts_acked"] == 0
            it.events.done(True)
            await until(lambda: smsc.stats()["receipts_acked"] == 1)

    asyncio.run(main())


def test_closing_waits_for_answers_and_reports_what_is_left() -> None:
    async def main() -> None:
        async with running(answer_delay=0.1) as smsc:
            async with bound(smsc) as it:
                it.send("hello", TO)
                await it.link.close(2)
                assert len(it.events.answered) == 1
                assert it.events.losses == []
                assert not it.link.up
            smsc.set(answer_delay=5.0)
            async with bound(smsc) as it:
                it.send("hello", TO)
                await it.link.close(0.05)
                assert it.events.answered == []
                assert it.events.losses[0][1:3] == ([(0, 0)], [])

    asyncio.run(main())
