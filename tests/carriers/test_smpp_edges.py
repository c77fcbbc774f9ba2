"""SMPP carriers where things go wrong or look odd: cuts in mid-message, unusual receipts, late answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.carriers.base import Outgoing
from cooee.carriers.smpp import SmppCarrier
from cooee.model.clock import SystemClock
from cooee.model.segments import segment
from cooee.smpp.codes import ESM_UDHI, CommandStatus
from cooee.smpp.pdu import Framer, SubmitSm, decode
from cooee.smpp.receipt import ReceiptState
from cooee.smpp.smsc.journal import read_journal
from cooee.smpp.template import SubmitTemplate
from tests.carriers.support_events import Events, bound, order, row, until

TO = 61400000001
FOREIGN = "ж" * 400
"""Six parts."""


def run(check: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await check()

    asyncio.run(bounded())


# --- prepare -----------------------------------------------------------------------------------------------


@given(st.text(alphabet="ab€[ж\N{GRINNING FACE}", min_size=1, max_size=700), st.integers(0, 0xFFFF), st.booleans())
def test_whatever_the_text_its_parts_are_those_that_were_charged(body: str, reference: int, wide: bool) -> None:
    carrier = SmppCarrier(row(wide_references=wide), SystemClock())
    template, count = carrier.prepare(Outgoing("ACME", body, reference))
    assert isinstance(template, SubmitTemplate)
    pdus = [decode(frame) for frame in Framer().feed(template.encode(1, [TO]))]
    texts = [pdu for pdu in pdus if isinstance(pdu, SubmitSm)]
    whole = segment(body)
    assert len(texts) == count == whole.count
    joined = b""
    for no, pdu in enumerate(texts, 1):
        data = pdu.short_message
        if count > 1:
            assert pdu.esm_class == ESM_UDHI
            head, data = data[: data[0] + 1], data[data[0] + 1 :]
            assert head[-2:] == bytes((count, no))
            number = int.from_bytes(head[3:-2], "big")
            assert number == (reference if len(head) == 7 else reference & 0xFF)
        joined += data
    assert joined == b"".join(whole.parts)


# --- cuts --------------------------------------------------------------------------------------------------


def test_a_cut_tells_what_was_written_from_what_was_not() -> None:
    async def check() -> None:
        events = Events()
        async with bound(events, carrier={"window": 4}) as (smsc, carrier, link):
            smsc.silence()
            message, parts = carrier.prepare(Outgoing("61411", FOREIGN, 7))
            assert parts == 6
            link.send([order(carrier, message, [TO])])
            assert link.free == 0
            smsc.drop()
            await until(lambda: events.unsure)
            assert events.unsure == [("slice", 0, part) for part in range(4)]
            assert events.unsent == [("slice", 0, part) for part in (4, 5)]
            assert events.states[-1][0] is False

    run(check)


@pytest.mark.parametrize("middle", [False, True])
def test_cut_again_and_again_every_segment_is_reported_once(middle: bool) -> None:
    async def check() -> None:
        events = Events()
        async with bound(events, drop_after=15, drop_mid_pdu=middle, receipts=0) as (_, carrier, link):
            message, _ = carrier.prepare(Outgoing("61411", "hello", 0))
            for mark in range(2):
                await until(lambda: link.up)
                link.send([order(carrier, message, range(TO, TO + 20), mark)])
                await until(
                    lambda mark=mark: (  # type: ignore[misc]
                        len(events.accepted) + len(events.unsure) + len(events.unsent) == 20 * (mark + 1)
                    )
                )
            told = [*events.accepted, *events.unsure, *events.unsent]
            assert len(set(told)) == len(told) == 40
            assert events.unsure

    run(check)


def test_given_up_it_may_still_be_answered_late() -> None:
    async def check() -> None:
        events = Events()
        async with bound(events, carrier={"response_timeout_s": 1}, receipts=0) as (smsc, carrier, link):
            smsc.silence(submits="late")
            message, _ = carrier.prepare(Outgoing("61411", "hello", 0))
            link.send([order(carrier, message, [TO, TO + 1])])
            await until(lambda: len(events.unsure) == 2)
            assert events.unsent == []
            # The slots are free again: what is lost to the timeout must not fill the window for good.
            assert link.free == 50
            smsc.speak()
            await until(lambda: len(events.answered_late) == 2)
            assert sorted((token, *answer[:3]) for token, answer in events.answered_late) == [
                ("slice", 0, 0, 0), ("slice", 1, 0, 0),
            ]  # fmt: skip
            assert all(answer[3] for _, answer in events.answered_late)
            assert events.accepted == {}

    run(check)


# --- receipts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "tlv", "both"])
@pytest.mark.parametrize("stat", ["DELIVRD", "UNDELIV", "REJECTD", "EXPIRED"])
def test_receipts_of_every_form_say_the_same(form: Literal["text", "tlv", "both"], stat: str) -> None:
    async def check() -> None:
        events = Events()
        more: dict[str, Any] = {} if stat == "DELIVRD" else {"fail": 1.0, "failures": ((stat, "034"),)}
        async with bound(events, receipt_form=form, ids="hex", first_id=0xABC, **more) as (smsc, carrier, link):
            message, _ = carrier.prepare(Outgoing("61411", "hello", 0))
            link.send([order(carrier, message, [TO])])
            await until(lambda: events.came)
            (receipt,) = events.came
            assert events.messages_came == []
            assert [receipt.message_id] == list(events.accepted.values())
            assert (receipt.source, receipt.destination) == (str(TO), "61411")
            assert receipt.state is {
                "DELIVRD": ReceiptState.DELIVERED, "UNDELIV": ReceiptState.UNDELIVERABLE,
                "REJECTD": ReceiptState.REJECTED, "EXPIRED": ReceiptState.EXPIRED,
            }[stat]  # fmt: skip
            if stat != "DELIVRD":
                assert int(receipt.error) == 34
            await until(lambda: smsc.stats()["receipts_acked"] == 1)

    run(check)


def test_a_message_that_begins_like_a_receipt_is_a_message() -> None:
    async def check() -> None:
        events = Events()
        async with bound(events) as (smsc, _, _):
            for text in ("id: 5 is mine, STOP", "id:7 stat:DELIVRD", "stat:DELIVRD err:000"):
                smsc.reply(str(TO), "61411", text, system_id="cooee")
            await until(lambda: len(events.messages_came) == 3)
            assert events.came == []
            await until(lambda: smsc.stats()["mo_acked"] == 3)

    run(check)


def test_what_came_in_one_chunk_is_answered_in_two_groups() -> None:
    async def check() -> None:
        events = Events(acknowledge=None)
        async with bound(events, enroute=1.0, receipt_delay=0.02) as (smsc, carrier, link):
            message, _ = carrier.prepare(Outgoing("61411", "hello", 0))
            link.send([order(carrier, message, [TO, TO + 1])])
            await until(lambda: len(events.accepted) == 2)
            # What becomes due in a silence goes out in one write at its end.
            smsc.silence()
            smsc.reply(str(TO), "61411", "ж" * 100, system_id="cooee")
            await asyncio.sleep(0.1)
            smsc.speak()
            await until(lambda: len(events.came) == 4 and len(events.messages_came) == 2)
            states = sorted(receipt.state.name for receipt in events.came)
            assert states == ["DELIVERED", "DELIVERED", "ENROUTE", "ENROUTE"]
            assert (smsc.stats()["receipts_acked"], smsc.stats()["mo_acked"]) == (0, 0)
            for done in events.waiting:
                done(True)
            await until(lambda: (smsc.stats()["receipts_acked"], smsc.stats()["mo_acked"]) == (4, 2))

    run(check)


def test_receipts_refused_and_messages_taken_in_one_chunk_only_the_receipts_come_again() -> None:
    async def check() -> None:
        events = Events(acknowledge=None)
        async with bound(events, receipt_delay=0.02, retry_delay=0.05) as (smsc, carrier, link):
            message, _ = carrier.prepare(Outgoing("61411", "hello", 0))
            link.send([order(carrier, message, [TO])])
            await until(lambda: len(events.came) == 1)
            smsc.reply(str(TO), "61411", "hi", system_id="cooee")
            await until(lambda: len(events.waiting) == 2)
            first, second = events.waiting
            events.acknowledge = True
            first(False)
            second(True)
            await until(lambda: len(events.came) == 2)
            assert events.came[0] == events.came[1]
            await until(lambda: (smsc.stats()["receipts_acked"], smsc.stats()["mo_acked"]) == (1, 1))
            assert (smsc.stats()["mo_sent"], smsc.stats()["deliveries_refused"]) == (1, 1)

    run(check)


def test_what_could_not_be_stored_is_answered_with_a_temporary_error(tmp_path: Path) -> None:
    async def check() -> None:
        events = Events(acknowledge=False)
        journal = str(tmp_path / "journal")
        async with bound(events, retry_delay=0.05, journal=journal, journal_receipts=True) as (
            smsc,
            carrier,
            link,
        ):
            message, _ = carrier.prepare(Outgoing("61411", "hello", 0))
            link.send([order(carrier, message, [TO])])
            await until(lambda: len(events.came) == 1)
            events.acknowledge = True
            await until(lambda: smsc.stats()["receipts_acked"] == 1)
        statuses = [entry.status for entry in read_journal(journal) if entry.kind == "A"]
        assert statuses == [CommandStatus.ESME_RX_T_APPN, CommandStatus.ESME_ROK]

    run(check)


def test_unacknowledged_when_the_bind_goes_it_comes_again_on_the_next_one() -> None:
    async def check() -> None:
        events = Events(acknowledge=None)
        async with bound(events) as (smsc, carrier, link):
            message, _ = carrier.prepare(Outgoing("61411", "hello", 0))
            link.send([order(carrier, message, [TO])])
            await until(lambda: len(events.waiting) == 1)
            smsc.drop()
            await until(lambda: not link.up)
            await until(lambda: len(events.waiting) == 2)
            assert events.came[0] == events.came[1]
            # The acknowledgement for a connection that is gone reaches no other one.
            events.waiting[0](True)
            await asyncio.sleep(0.05)
            assert smsc.stats()["receipts_acked"] == 0
            events.waiting[1](True)
            await until(lambda: smsc.stats()["receipts_acked"] == 1)

    run(check)


def test_receipts_come_over_the_receiver_of_a_pair() -> None:
    async def check() -> None:
        sending, receiving = Events(), Events()
        async with bound(sending, carrier={"bind_type": "transmitter"}) as (smsc, carrier, link):
            receiver = SmppCarrier(row(smsc.port, bind_type="receiver"), SystemClock()).link(1, receiving)
            receiver.start()
            await until(lambda: receiver.up)
            message, _ = carrier.prepare(Outgoing("61411", "hello", 0))
            link.send([order(carrier, message, [TO])])
            await until(lambda: receiving.came)
            assert sending.came == []
            assert [receiving.came[0].message_id] == list(sending.accepted.values())
            await receiver.close(0.5)

    run(check)
