"""The handsets behind the SMSC: inboxes, and those that are off, dead or full."""

from __future__ import annotations

import asyncio
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.model.clock import ManualClock
from cooee.model.segments import segment
from cooee.smpp.codes import ESM_UDHI, Tag
from cooee.smpp.pdu import CancelSm, CancelSmResp, QuerySm, QuerySmResp, SubmitSm
from cooee.smpp.smsc import HandsetState
from cooee.smpp.smsc.handsets import Raw, decoded, joined
from cooee.smpp.smsc.submits import WHOLE, Part, Shape, part_of_udh, split_udh
from tests.smpp.support_smsc import Peer, bound, running, until

TO = "61400000001"


async def send_parts(peer: Peer, text: str, wide: bool = False, order: int = 1) -> None:
    cut = segment(text, wide)
    for data in cut.user_data(777, wide)[::order]:
        esm_class = ESM_UDHI if cut.count > 1 else 0
        await peer.submit(to=TO, text=data, esm_class=esm_class, data_coding=int(cut.encoding))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("text", ["short [€]", "long {GSM} " * 40, "kurz Ω😀", "länger 😀" * 30])
def test_a_handset_shows_the_text_that_was_sent(text: str, order: int, wide: bool) -> None:
    async def main() -> None:
        async with running(ManualClock(now_ms=1_780_000_000_000)) as smsc:
            peer = await bound(smsc)
            await send_parts(peer, text, wide, order)
            (shown,) = smsc.inbox(TO)
            assert shown.text == text
            assert shown.as_json() == {
                "time_ms": 1_780_000_000_000, "sender": "61411", "text": text,
                "parts": segment(text, wide).count, "complete": True,
            }  # fmt: skip

    asyncio.run(main())


def test_parts_by_tlvs_and_payloads() -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await bound(smsc)
            for number, text in ((2, b"second"), (1, b"first ")):
                sar = (
                    (int(Tag.SAR_MSG_REF_NUM), b"\x03\x09"), (int(Tag.SAR_TOTAL_SEGMENTS), b"\2"),
                    (int(Tag.SAR_SEGMENT_SEQNUM), bytes((number,))),
                )  # fmt: skip
                await peer.submit(to=TO, text=text, tlvs=sar)
            payload = ((int(Tag.MESSAGE_PAYLOAD), b"p" * 500),)
            await peer.submit(to=TO, text=b"", tlvs=payload, data_coding=3)
            wrong = ((int(Tag.SAR_MSG_REF_NUM), b"\0\1"), (int(Tag.SAR_TOTAL_SEGMENTS), b"\2"))
            await peer.submit(to=TO, text=b"alone", tlvs=wrong)
            assert [(t.text, t.parts) for t in smsc.inbox(TO)] == [
                ("first second", 2), ("p" * 500, 1), ("alone", 1)
            ]  # fmt: skip

    asyncio.run(main())


def test_missing_and_doubled_parts_are_seen() -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await bound(smsc)
            for number in (1, 3, 3):
                udh = bytes((5, 0, 3, 9, 3, number))
                await peer.submit(to=TO, text=udh + b"part%d " % number, esm_class=ESM_UDHI)
            shown = [(t.text, t.complete) for t in smsc.inbox(TO)]
            assert shown == [("part1 part3 ", False), ("part3 ", False)]
            await peer.submit(to="614", text=b"twice")
            await peer.submit(to="614", text=b"twice")
            assert [t.text for t in smsc.inbox("614")] == ["twice"] * 2

    asyncio.run(main())


def test_inboxes_are_bounded() -> None:
    async def main() -> None:
        async with running(handsets=3, inbox=2) as smsc:
            peer = await bound(smsc)
            for number in ("1", "2", "3", "1", "4"):
                await peer.submit(to=number, text=b"to " + number.encode(), registered_delivery=0)
            assert [len(smsc.inbox(number)) for number in "1234"] == [2, 0, 1, 1]
            for count in range(20):
                await peer.submit(to="1", text=b"%d" % count, registered_delivery=0)
            assert [t.text for t in smsc.inbox("1")] == ["18", "19"]
            assert smsc.stats()["handsets"] == 3
            smsc.set(handsets=1)
            assert smsc.stats()["handsets"] == 1
            assert [len(smsc.inbox(number)) for number in "1234"] == [2, 0, 0, 0]
            smsc.set(handsets=0)
            await peer.submit(to="1", registered_delivery=0)
            assert smsc.inbox("1") == []
            assert smsc.stats()["accepted"] == 26

    asyncio.run(main())


@pytest.mark.parametrize(("state", "err"), [("dead", b"001"), ("full", b"211")])
def test_a_dead_or_full_handset_gets_nothing(state: str, err: bytes) -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await bound(smsc)
            smsc.handset(TO, state)
            await peer.submit(to=TO)
            assert b"stat:UNDELIV err:" + err in (await peer.delivered()).short_message
            assert smsc.inbox(TO) == []
            await peer.submit(to="614")
            assert b"stat:DELIVRD" in (await peer.delivered()).short_message
            smsc.handset(TO, "on")
            await peer.submit(to=TO)
            assert b"stat:DELIVRD" in (await peer.delivered()).short_message
            assert len(smsc.inbox(TO)) == 1
            with pytest.raises(ValueError, match="asleep"):
                smsc.handset(TO, "asleep")

    asyncio.run(main())


@pytest.mark.parametrize("then", [HandsetState.ON, HandsetState.DEAD])
def test_messages_wait_for_a_handset_that_is_off(then: HandsetState) -> None:
    async def main() -> None:
        clock = ManualClock()
        async with running(clock, receipt_delay=1) as smsc:
            peer = await bound(smsc)
            smsc.handset(TO, HandsetState.OFF)
            message_id = (await peer.submit(to=TO, text=b"wait")).message_id
            clock.advance(600)
            await peer.quiet()
            assert (smsc.inbox(TO), smsc.stats()["held"]) == ([], 1)
            peer.send(QuerySm(50, message_id=message_id))
            assert (await peer.next(QuerySmResp)).message_state == 1
            smsc.handset(TO, then)
            clock.advance(1.1)
            delivered = then is HandsetState.ON
            stat = b"stat:DELIVRD" if delivered else b"stat:UNDELIV err:001"
            assert stat in (await peer.delivered()).short_message
            assert [t.text for t in smsc.inbox(TO)] == (["wait"] if delivered else [])
            assert smsc.stats()["held"] == 0
            assert smsc.stats()["accepted"] == 1

    asyncio.run(main())


def test_a_message_that_waits_for_its_handset_can_be_cancelled() -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await bound(smsc)
            smsc.handset(TO, "off")
            first = (await peer.submit(to=TO)).message_id
            await peer.submit(to=TO, source="other")
            await peer.submit(to=TO)
            peer.send(CancelSm(50, message_id=first))
            assert (await peer.next(CancelSmResp)).status == 0
            assert b"id:1 " in (await peer.delivered()).short_message
            peer.send(QuerySm(51, message_id=first))
            assert (await peer.next(QuerySmResp)).message_state == 4
            peer.send(CancelSm(52, source_addr="61411", destination_addr=TO))
            assert (await peer.next(CancelSmResp)).status == 0
            assert b"id:3 " in (await peer.delivered()).short_message
            smsc.handset(TO, "full")
            assert b"id:2 sub:001 dlvrd:000" in (await peer.delivered()).short_message
            await peer.quiet()
            assert smsc.stats()["held"] == 0

    asyncio.run(main())


def test_what_a_handset_that_is_off_waits_for_is_bounded() -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await bound(smsc)
            smsc.handset(TO, "off")
            peer.send(*(peer.message(to=TO, text=b"%d" % n) for n in range(1005)))
            await until(lambda: smsc.stats()["accepted"] == 1005)
            assert smsc.stats()["held"] == 1000
            smsc.handset(TO, "on")
            assert smsc.inbox(TO)[-1].text == "1004"

    asyncio.run(main())


@given(st.binary(max_size=40))
def test_no_header_is_misread_beyond_its_end(data: bytes) -> None:
    elements, rest = split_udh(data)
    assert len(elements) + len(rest) in (len(data), len(data) - 1)
    part = part_of_udh(elements)
    assert 1 <= part.number <= part.total


@given(st.integers(0, 0xFFFF), st.integers(1, 255), st.binary(max_size=6))
def test_the_concatenation_element_is_found_among_others(reference: int, total: int, other: bytes) -> None:
    before = bytes((0x70, len(other))) + other
    assert part_of_udh(before + b"\x08\4" + pack(">HBB", reference, total, 1)) == Part(reference, 1, total)
    assert part_of_udh(before + b"\x00\3" + bytes((reference & 255, total, total))) == Part(
        reference & 255, total, total
    )
    assert part_of_udh(before) is WHOLE


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.binary(max_size=3)), max_size=12))
def test_joining_loses_no_part(raws: list[tuple[int, int, bytes]]) -> None:
    shape = Shape(SubmitSm(0, data_coding=4))
    parts: list[Raw] = [(0, shape, data, Part(reference, number, 3)) for reference, number, data in raws]
    shown = joined(parts)
    assert sorted("".join(text.text for text in shown)) == sorted(
        "".join(data.decode("latin-1") for _, _, data in raws)
    )


@given(st.binary(max_size=20), st.integers(0, 255))
def test_any_user_data_can_be_shown(data: bytes, data_coding: int) -> None:
    assert isinstance(decoded(data, data_coding), str)
