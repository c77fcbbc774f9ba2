"""SMPP carriers: how a message is prepared, what a status means, and what a link reports."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.carriers.base import Order, Outgoing, SendError
from cooee.carriers.smpp import TRY_AGAIN, SmppCarrier, validity_period
from cooee.model.clock import SystemClock
from cooee.model.segments import segment
from cooee.smpp.codes import CommandStatus
from cooee.smpp.pdu import Framer, SubmitSm, decode
from cooee.smpp.receipt import ReceiptState
from cooee.smpp.smsc import Smsc
from cooee.smpp.template import SubmitTemplate
from tests.carriers.support_events import Events, bound, order, row, until

TO = [61400000001, 61400000002, 61400000003]


def prepare(text: str, *, originator: str = "61411", ref: int = 0x1234, **settings: Any) -> list[SubmitSm]:
    """What goes to one handset."""
    carrier = SmppCarrier(row(**settings), SystemClock())
    template, parts = carrier.prepare(Outgoing(originator, text, ref, 90_000))
    assert isinstance(template, SubmitTemplate)
    pdus = [decode(frame) for frame in Framer().feed(template.encode(1, TO[:1]))]
    assert len(pdus) == parts == segment(text).count
    found = [pdu for pdu in pdus if isinstance(pdu, SubmitSm)]
    assert len(found) == parts
    return found


# --- prepare -----------------------------------------------------------------------------------------------


def test_a_short_message_in_the_gsm_alphabet() -> None:
    (pdu,) = prepare("Hello @ home")
    assert (pdu.data_coding, pdu.esm_class, pdu.short_message) == (0, 0, b"Hello \x00 home")
    assert (pdu.destination_addr, pdu.dest_addr_ton, pdu.dest_addr_npi) == ("61400000001", 1, 1)
    assert pdu.registered_delivery == 1
    assert pdu.validity_period == ""


def test_a_text_outside_of_it_goes_as_ucs2() -> None:
    (pdu,) = prepare("Здравствуй")
    assert (pdu.data_coding, pdu.esm_class) == (8, 0)
    assert pdu.short_message == "Здравствуй".encode("utf-16-be")


@pytest.mark.parametrize(("letter", "count", "coding"), [("x", 3, 0), ("Ж", 3, 8)])
def test_a_long_message_is_numbered_by_its_reference(letter: str, count: int, coding: int) -> None:
    pdus = prepare(letter * (400 if coding == 0 else 170))
    assert len(pdus) == count
    for no, pdu in enumerate(pdus, 1):
        assert pdu.esm_class == 0x40
        assert pdu.data_coding == coding
        assert pdu.short_message[:6] == bytes((5, 0, 3, 0x34, count, no))


def test_wide_references_where_they_are_asked_for() -> None:
    pdus = prepare("x" * 400, wide_references=True)
    assert [pdu.short_message[:7] for pdu in pdus] == [bytes((6, 8, 4, 0x12, 0x34, 3, no)) for no in (1, 2, 3)]
    (single,) = prepare("x" * 160, wide_references=True)
    assert single.esm_class == 0


@pytest.mark.parametrize("letters", [306, 459])
def test_a_wide_reference_never_makes_it_one_segment_more(letters: int) -> None:
    """What was charged is what is sent: exactly full parts keep the short header."""
    pdus = prepare("x" * letters, wide_references=True)
    assert len(pdus) == letters // 153
    assert {pdu.short_message[:3] for pdu in pdus} == {bytes((5, 0, 3))}


@pytest.mark.parametrize(
    ("originator", "ton", "npi"), [("61411222333", 1, 1), ("19991", 3, 0), ("ACME", 5, 0), ("+61411222333", 1, 1)]
)
def test_originators(originator: str, ton: int, npi: int) -> None:
    (pdu,) = prepare("hi", originator=originator)
    assert pdu.source_addr_ton == ton
    assert pdu.source_addr == originator.lstrip("+")
    assert pdu.source_addr_npi in (npi, 1)


def test_validity_is_sent_where_it_is_asked_for() -> None:
    assert prepare("hi", validity=True)[0].validity_period == "000001010000000R"
    assert prepare("hi")[0].validity_period == ""


def test_the_same_message_is_prepared_once() -> None:
    carrier = SmppCarrier(row(), SystemClock())
    one, two = (carrier.prepare(Outgoing("61411", "hi", 0, 60)) for _ in range(2))
    assert one[0] is two[0]
    assert carrier.prepare(Outgoing("61411", "hi", 0, 120))[0] is not one[0]


@given(st.integers(0, 40 * 86400))
def test_validity_period_is_the_relative_form_and_never_longer_than_asked(seconds: int) -> None:
    text = validity_period(seconds)
    if seconds < 60:
        assert text == ""
        return
    assert len(text) == 16
    assert text.endswith("000R")
    assert text.startswith("0000")
    days, hours, minutes, rest = (int(text[at : at + 2]) for at in (4, 6, 8, 10))
    assert (hours < 24, minutes < 60, rest < 60, days <= 30) == (True,) * 4
    told = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    assert told <= seconds
    if seconds < 31 * 86400:
        assert told == seconds


# --- judge -------------------------------------------------------------------------------------------------

KNOWN = {
    "ESME_RTHROTTLED": SendError.THROTTLED, "ESME_RMSGQFUL": SendError.CONGESTED,
    "ESME_RSYSERR": SendError.TEMPORARY, "ESME_RINVBNDSTS": SendError.TEMPORARY,
    "ESME_RSUBMITFAIL": SendError.TEMPORARY, "ESME_RX_T_APPN": SendError.TEMPORARY,
    "ESME_RUNKNOWNERR": SendError.TEMPORARY, "ESME_RINVDSTADR": SendError.BAD_DESTINATION,
    "ESME_RINVDSTTON": SendError.BAD_DESTINATION, "ESME_RINVDSTNPI": SendError.BAD_DESTINATION,
    "ESME_RINVSRCADR": SendError.BAD_ORIGINATOR, "ESME_RINVSRCTON": SendError.BAD_ORIGINATOR,
    "ESME_RINVSRCNPI": SendError.BAD_ORIGINATOR, "ESME_RINVMSGLEN": SendError.BAD_CONTENT,
    "ESME_RINVESMCLASS": SendError.BAD_CONTENT,
}  # fmt: skip


def test_every_status_of_the_standard_is_judged() -> None:
    carrier = SmppCarrier(row(), SystemClock())
    for status in CommandStatus:
        if status:
            assert carrier.judge(status) is KNOWN.get(status.name, SendError.REJECTED), status.name


@pytest.mark.parametrize("status", [0x400, 0x4FF, 0xFFFFFFFF, 0x9999])
def test_a_carriers_own_status_is_a_refusal(status: int) -> None:
    assert SmppCarrier(row(), SystemClock()).judge(status) is SendError.REJECTED


def test_the_set_of_errors_is_closed_and_says_what_to_do() -> None:
    assert {error.name for error in SendError if error.retry} == {
        "THROTTLED", "CONGESTED", "TEMPORARY", "NOT_SENT",
    }  # fmt: skip
    assert [error.name for error in SendError if error.slows] == ["THROTTLED"]
    for error in SendError:
        assert (error.wait_ms > 0) == error.retry
        assert error.words


# --- a link ------------------------------------------------------------------------------------------------


def run(check: object) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await check()  # type: ignore[operator]

    asyncio.run(bounded())


def test_slices_go_out_are_answered_and_reach_the_handsets() -> None:
    async def check() -> None:
        events = Events()
        async with bound(events, ids="hex", first_id=250) as (smsc, carrier, link):
            assert (link.name, link.size, link.free, link.up) == ("test/0", 50, 50, True)
            short, _ = carrier.prepare(Outgoing("61411", "short", 0))
            long, parts = carrier.prepare(Outgoing("ACME", "y" * 300, 7))
            assert parts == 2
            link.send([order(carrier, short, TO, "a"), order(carrier, long, TO[:2], "b")])
            assert link.free == 50 - 7
            await until(lambda: len(events.accepted) == 7)
            assert link.free == 50
            assert set(events.accepted) == {
                *(("a", at, 0) for at in range(3)),
                *(("b", at, part) for at in range(2) for part in range(2)),
            }
            assert len(set(events.accepted.values())) == 7
            texts = smsc.inbox(str(TO[0]))
            assert [(text.sender, text.text) for text in texts] == [("61411", "short"), ("ACME", "y" * 300)]
            await until(lambda: len(events.came) == 7)
            assert {receipt.message_id for receipt in events.came} == set(events.accepted.values())
            assert {receipt.state for receipt in events.came} == {ReceiptState.DELIVERED}
            assert {receipt.source for receipt in events.came} == set(map(str, TO))
        ups = [up for up, _ in events.states]
        assert ups.count(True) == 1
        assert ups[-1] is False

    run(check)


def test_only_the_wanted_parts_go() -> None:
    async def check() -> None:
        events = Events()
        async with bound(events) as (smsc, carrier, link):
            long, _ = carrier.prepare(Outgoing("61411", "y" * 400, 7))
            link.send([Order(long, TO[:2], [[1], [0, 2]], "retry")])
            await until(lambda: len(events.accepted) == 3)
            assert set(events.accepted) == {("retry", 0, 1), ("retry", 1, 0), ("retry", 1, 2)}
            assert smsc.stats()["submits"] == 3

    run(check)


def test_refusals_carry_the_carriers_status() -> None:
    async def check() -> None:
        events = Events()
        async with bound(events, statuses=(("ESME_RTHROTTLED", 1.0),)) as (_, carrier, link):
            short, _ = carrier.prepare(Outgoing("61411", "short", 0))
            link.send([order(carrier, short, TO)])
            await until(lambda: len(events.refused) == 3)
            assert {carrier.judge(status) for status in events.refused.values()} == {SendError.THROTTLED}
            assert events.accepted == {}

    run(check)


def test_a_cut_reports_what_is_unanswered_and_the_link_comes_back() -> None:
    async def check() -> None:
        events = Events()
        async with bound(events) as (smsc, carrier, link):
            smsc.silence()
            short, _ = carrier.prepare(Outgoing("61411", "short", 0))
            link.send([order(carrier, short, TO)])
            await asyncio.sleep(0.05)
            smsc.drop()
            await until(lambda: len(events.unsure) == 3)
            assert events.unsent == []
            assert not link.up
            assert link.free == 0
            # What is sent now was never written, for certain.
            link.send([order(carrier, short, TO, "late")])
            await until(lambda: len(events.unsent) == 3)
            smsc.speak()
            await until(lambda: link.up)
            link.send([order(carrier, short, TO, "again")])
            await until(lambda: len(events.accepted) == 3)

    run(check)


def test_a_message_longer_than_the_window_follows_as_slots_free() -> None:
    async def check() -> None:
        events = Events()
        async with bound(events, carrier={"window": 2}, answer_delay=0.01) as (_, carrier, link):
            long, parts = carrier.prepare(Outgoing("61411", "y" * 900, 7))
            assert parts == 6
            link.send([order(carrier, long, TO[:1])])
            assert link.free == 0
            await until(lambda: len(events.accepted) == 6)
            assert link.free == 2

    run(check)


def test_a_receiver_never_has_room() -> None:
    async def check() -> None:
        events = Events()
        async with bound(events, carrier={"bind_type": "receiver"}) as (_, _, link):
            assert link.up
            assert link.free == 0

    run(check)


def test_a_wrong_password_is_said() -> None:
    async def check() -> None:
        events = Events()
        async with bound(events, secret="right", credentials=(("cooee", "right"),)) as (smsc, _, _):
            other = SmppCarrier(row(smsc.port, secret="hush-hush"), SystemClock())
            link = other.link(3, Events())
            link.start()
            await until(lambda: "password" in link.reason.lower() or "PASWD" in link.reason)
            assert not link.up
            assert "hush" not in link.reason
            await link.close(0.1)

    run(check)


def test_a_template_of_another_carrier_is_refused() -> None:
    async def check() -> None:
        async with bound(Events()) as (_, carrier, link):
            with pytest.raises(TypeError, match="another carrier"):
                link.send([order(carrier, object(), TO)])

    run(check)


# --- inbound -----------------------------------------------------------------------------------------------


def test_receipts_and_messages_are_told_apart_and_acknowledged_only_when_told() -> None:
    async def check() -> None:
        events = Events(acknowledge=None)
        async with bound(events, ack_timeout=0, retry_delay=0.05) as (smsc, carrier, link):
            short, _ = carrier.prepare(Outgoing("61411", "short", 0))
            link.send([order(carrier, short, TO[:1])])
            await until(lambda: len(events.came) == 1)
            smsc.reply("61400000009", "61411", "STOP please", system_id="cooee")
            await until(lambda: len(events.messages_came) == 1)
            await asyncio.sleep(0.1)
            # Neither is acknowledged, so neither is done with; and neither comes twice.
            assert (len(events.came), len(events.messages_came), len(events.waiting)) == (1, 1, 2)
            assert pending(smsc) == 2
            (message,) = events.messages_came
            assert (message.source, message.destination) == ("61400000009", "61411")
            assert message.body == b"STOP please"
            for done in events.waiting:
                done(True)
            await until(lambda: pending(smsc) == 0)

    run(check)


def pending(smsc: Smsc) -> int:
    """Receipts and messages that the SMSC is not done with."""
    stats = smsc.stats()
    return int(stats["receipts_pending"]) + int(stats["mo_pending"])


def test_what_could_not_be_stored_is_sent_again() -> None:
    async def check() -> None:
        events = Events(acknowledge=False)
        async with bound(events, retry_delay=0.05) as (smsc, carrier, link):
            short, _ = carrier.prepare(Outgoing("61411", "short", 0))
            link.send([order(carrier, short, TO[:1])])
            smsc.reply("61400000009", "61411", "hello", system_id="cooee")
            await until(lambda: len(events.came) >= 2 and len(events.messages_came) >= 2)
            events.acknowledge = True
            await until(lambda: pending(smsc) == 0)
            seen = (len(events.came), len(events.messages_came))
            await asyncio.sleep(0.15)
            assert (len(events.came), len(events.messages_came)) == seen
        assert TRY_AGAIN == CommandStatus.ESME_RX_T_APPN

    run(check)


def test_close_waits_for_answers_until_its_deadline() -> None:
    async def check() -> None:
        events = Events()
        async with bound(events, answer_delay=0.2) as (_, carrier, link):
            short, _ = carrier.prepare(Outgoing("61411", "short", 0))
            link.send([order(carrier, short, TO)])
            await link.close(5)
            assert len(events.accepted) == 3
        events = Events()
        async with bound(events) as (smsc, carrier, link):
            smsc.silence()
            short, _ = carrier.prepare(Outgoing("61411", "short", 0))
            link.send([order(carrier, short, TO)])
            await link.close(0.1)
            assert len(events.unsure) == 3

    run(check)


def destinations(events: Events) -> Sequence[str]:
    """Whose receipts came, sorted."""
    return sorted(receipt.source for receipt in events.came)


def test_two_links_of_one_carrier_are_two_binds() -> None:
    async def check() -> None:
        events = Events()
        async with bound(events) as (_, carrier, link):
            other_events = Events()
            other = carrier.link(1, other_events)
            other.start()
            await until(lambda: other.up)
            assert (link.name, other.name) == ("test/0", "test/1")
            short, _ = carrier.prepare(Outgoing("61411", "short", 0))
            other.send([order(carrier, short, TO)])
            await until(lambda: len(other_events.accepted) == 3)
            assert events.accepted == {}
            await until(lambda: len(events.came) + len(other_events.came) == 3)
            assert sorted([*destinations(events), *destinations(other_events)]) == sorted(map(str, TO))
            await other.close(0.2)

    run(check)
