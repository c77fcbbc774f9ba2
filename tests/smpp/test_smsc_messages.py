"""The SMSC at the socket: answers, ids, receipts, queries."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from cooee.model.clock import ManualClock
from cooee.smpp.codes import ESM_INTERMEDIATE, ESM_RECEIPT, CommandStatus, Tag
from cooee.smpp.pdu import (
    CancelSm,
    CancelSmResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    QuerySm,
    QuerySmResp,
    SubmitSmResp,
    encode,
)
from cooee.smpp.receipt import ReceiptState, parse_receipt
from cooee.smpp.smsc import Smsc
from tests.smpp.support_smsc import Peer, bound, running, until


async def ids_of(peer: Peer, count: int) -> list[str]:
    peer.send(*(peer.message(to=f"614{number:08}") for number in range(count)))
    return [(await peer.next(SubmitSmResp)).message_id for _ in range(count)]


@pytest.mark.parametrize("style", ["decimal", "hex", "random", "uuid"])
def test_styles_of_message_ids(style: str) -> None:
    async def some(seed: int) -> list[str]:
        async with running(ids=style, first_id=250, seed=seed) as smsc:
            return await ids_of(await bound(smsc), 12)

    ids = asyncio.run(some(1))
    assert len(set(ids)) == 12
    assert asyncio.run(some(1)) == ids
    if style == "decimal":
        assert ids == [str(number) for number in range(250, 262)]
    elif style == "hex":
        assert ids == [f"{number:x}" for number in range(250, 262)]
    else:
        assert asyncio.run(some(2)) != ids
        if style == "uuid":
            assert all(str(uuid.UUID(text)) == text for text in ids)
        else:
            assert sorted(map(int, ids)) != list(map(int, ids))
            assert max(map(int, ids)) > 1 << 60


@pytest.mark.parametrize(
    ("settings", "answered", "receipted"),
    [
        ({"ids": "decimal"}, "255", "255"),
        ({"ids": "decimal", "receipt_id": "hex"}, "255", "ff"),
        ({"ids": "decimal", "receipt_id": "hex", "receipt_id_upper": True}, "255", "FF"),
        ({"ids": "decimal", "receipt_id_width": 10}, "255", "0000000255"),
        ({"ids": "hex", "receipt_id": "decimal"}, "ff", "255"),
        ({"ids": "hex", "receipt_id": "decimal", "receipt_id_width": 6}, "ff", "000255"),
        ({"ids": "hex", "receipt_id_upper": True}, "ff", "FF"),
    ],
)
def test_receipts_may_write_the_id_otherwise(settings: dict[str, Any], answered: str, receipted: str) -> None:
    async def main() -> None:
        async with running(first_id=255, **settings) as smsc:
            peer = await bound(smsc)
            assert (await peer.submit()).message_id == answered
            pdu = await peer.delivered()
            assert pdu.short_message.startswith(b"id:" + receipted.encode() + b" ")
            assert pdu.tlv(Tag.RECEIPTED_MESSAGE_ID) == receipted.encode() + b"\0"

    asyncio.run(main())


@pytest.mark.parametrize("form", ["text", "tlv", "both"])
@pytest.mark.parametrize(("stat", "err"), [("DELIVRD", "000"), ("EXPIRED", "042"), ("REJECTD", "7A")])
def test_a_receipt_says_what_became_of_the_message(form: str, stat: str, err: str) -> None:
    async def main() -> None:
        clock = ManualClock(now_ms=1_780_000_000_000)
        fails = {} if stat == "DELIVRD" else {"fail": 1, "failures": ((stat, err),)}
        async with running(clock, receipt_form=form, receipt_delay=90, **fails) as smsc:
            peer = await bound(smsc)
            message_id = (await peer.submit(to="61455555555", source="Cooee", source_addr_ton=5)).message_id
            await peer.quiet()
            clock.advance(90.01)
            pdu = await peer.delivered()
            assert (pdu.source_addr, pdu.destination_addr) == ("61455555555", "Cooee")
            assert (pdu.source_addr_ton, pdu.dest_addr_ton, pdu.dest_addr_npi) == (1, 5, 1)
            assert pdu.esm_class == ESM_RECEIPT
            if form == "tlv":
                assert pdu.short_message == b""
            else:
                good = b"001" if stat == "DELIVRD" else b"000"
                assert pdu.short_message == (
                    b"id:1 sub:001 dlvrd:%b submit date:2605282026 done date:2605282028 stat:%b err:%b text:"
                    % (good, stat.encode(), err.encode())
                )
            if form == "text":
                assert pdu.tlvs == ()
            else:
                code = pdu.tlv(Tag.NETWORK_ERROR_CODE)
                assert code == (b"\x03\x00\x2a" if err == "042" else None)
            receipt = parse_receipt(pdu)
            assert receipt is not None
            assert receipt.message_id == message_id
            assert receipt.state.name[:5] == {"DELIVRD": "DELIV", "EXPIRED": "EXPIR", "REJECTD": "REJEC"}[stat]
            await until(lambda: smsc.stats()["receipts_acked"] == 1)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("registered", "fail", "finals", "notices"),
    [
        (0, 0, 0, 0), (1, 0, 1, 0), (1, 1, 1, 0), (2, 0, 0, 0), (2, 1, 1, 0), (3, 0, 1, 0), (3, 1, 0, 0),
        (0x10, 0, 0, 1), (0x11, 0, 1, 1), (0x12, 0, 0, 1), (0x12, 1, 1, 1),
    ],
)  # fmt: skip
def test_registered_delivery_decides_which_receipts_come(
    registered: int, fail: int, finals: int, notices: int
) -> None:
    async def main() -> None:
        async with running(fail=fail) as smsc:
            peer = await bound(smsc)
            await peer.submit(registered_delivery=registered)
            got = [(await peer.delivered()).esm_class for _ in range(finals + notices)]
            assert got == [ESM_INTERMEDIATE] * notices + [ESM_RECEIPT] * finals
            await peer.quiet(0.05)

    asyncio.run(main())


def test_an_intermediate_notice_is_enroute() -> None:
    async def main() -> None:
        async with running(enroute=1) as smsc:
            peer = await bound(smsc)
            await peer.submit()
            notice, final = parse_receipt(await peer.delivered()), parse_receipt(await peer.delivered())
            assert notice is not None
            assert final is not None
            assert notice.message_id == final.message_id
            assert (notice.state, final.state) == (ReceiptState.ENROUTE, ReceiptState.DELIVERED)

    asyncio.run(main())


async def stats_after(settings: dict[str, Any], count: int = 400) -> tuple[dict[str, Any], list[str]]:
    async with running(**settings) as smsc:
        peer = await bound(smsc)
        peer.send(*(peer.message(to=f"614{number:08}") for number in range(count)))
        for _ in range(count):
            await peer.next(SubmitSmResp)
        planned = smsc.stats()["receipts_planned"]
        texts = [(await peer.delivered()).short_message.decode() for _ in range(planned)]
        await peer.quiet(0.03)
        return smsc.stats(), texts


def test_failures_are_a_share_and_follow_the_seed() -> None:
    settings: dict[str, Any] = {
        "fail": 0.25, "failures": (("UNDELIV", "001"), ("EXPIRED", "002")), "receipt_form": "text",
    }  # fmt: skip
    _, texts = asyncio.run(stats_after(settings))
    undelivered = sum("stat:UNDELIV err:001" in text for text in texts)
    expired = sum("stat:EXPIRED err:002" in text for text in texts)
    assert len(texts) == 400
    assert 60 < undelivered + expired < 140
    assert min(undelivered, expired) > 20
    cut = [text.partition("submit")[0] + text.partition("stat:")[2] for text in texts]
    _, again = asyncio.run(stats_after(settings))
    assert [text.partition("submit")[0] + text.partition("stat:")[2] for text in again] == cut
    _, other = asyncio.run(stats_after({**settings, "seed": 2}))
    assert [text.partition("submit")[0] + text.partition("stat:")[2] for text in other] != cut


def test_some_receipts_never_come() -> None:
    stats, texts = asyncio.run(stats_after({"receipts": 0.5}))
    assert 140 < len(texts) < 260
    assert stats["receipts_planned"] == stats["receipts_sent"] == len(texts)
    stats, texts = asyncio.run(stats_after({"receipts": 0}))
    assert texts == []


def test_some_receipts_come_twice() -> None:
    _, texts = asyncio.run(stats_after({"repeat": 0.5}))
    assert 540 < len(texts) < 660
    assert len(set(texts)) == 400


def test_jitter_puts_receipts_out_of_order() -> None:
    def numbers(texts: list[str]) -> list[int]:
        return [int(text.split()[0][3:]) for text in texts]

    _, texts = asyncio.run(stats_after({"receipt_jitter": 0.1}, 100))
    assert numbers(texts) != sorted(numbers(texts))
    assert len(set(texts)) == 100
    _, texts = asyncio.run(stats_after({"late": 0.3, "late_by": 0.1}, 100))
    late = numbers(texts)[-15:]
    assert numbers(texts) != sorted(numbers(texts))
    assert late == sorted(late)
    _, texts = asyncio.run(stats_after({}, 100))
    assert numbers(texts) == sorted(numbers(texts))


def test_an_early_receipt_precedes_its_answer() -> None:
    async def main() -> None:
        async with running(early=1) as smsc:
            peer = await bound(smsc)
            peer.send(peer.message())
            await peer.next(SubmitSmResp)
            receipt = peer.arrived[0]
            assert isinstance(receipt, DeliverSm)
            assert receipt.short_message.startswith(b"id:1 ")

    asyncio.run(main())


def test_the_message_reference_is_echoed_where_wanted() -> None:
    async def main() -> None:
        async with running(echo_reference=True) as smsc:
            peer = await bound(smsc)
            tlvs = ((int(Tag.USER_MESSAGE_REFERENCE), b"\x01\x02"),)
            for more in ({"tlvs": tlvs}, {}, {"tlvs": ((int(Tag.USER_MESSAGE_REFERENCE), b"\x03\x04"),)}):
                await peer.submit(**more)
            echoed = [(await peer.delivered()).tlv(Tag.USER_MESSAGE_REFERENCE) for _ in range(3)]
            assert echoed == [b"\x01\x02", None, b"\x03\x04"]
            smsc.set(echo_reference=False)
            await peer.submit(tlvs=tlvs)
            assert (await peer.delivered()).tlv(Tag.USER_MESSAGE_REFERENCE) is None

    asyncio.run(main())


def test_statuses_refuse_shares_of_submits() -> None:
    async def main() -> None:
        mix = (("ESME_RSYSERR", 0.25), ("ESME_RINVDSTADR", 0.25), ("0x400", 0.25))
        async with running(statuses=mix) as smsc:
            peer = await bound(smsc)
            peer.send(*(peer.message() for _ in range(400)))
            answers = [await peer.next(SubmitSmResp) for _ in range(400)]
            counts = dict.fromkeys((0, 8, 11, 0x400), 0)
            for answer in answers:
                counts[answer.status] += 1
                assert bool(answer.message_id) == (answer.status == 0)
            assert all(60 < count < 140 for count in counts.values())
            stats = smsc.stats()
            assert stats["refused"] == {
                "ESME_RSYSERR": counts[8], "ESME_RINVDSTADR": counts[11], "0x00000400": counts[0x400],
            }  # fmt: skip
            assert stats["accepted"] == counts[0]
            assert stats["submits"] == 400
            assert stats["receipts_planned"] == counts[0]

    asyncio.run(main())


def test_throttling_counts_segments_of_each_system_id_in_a_second() -> None:
    async def main() -> None:
        clock = ManualClock()
        async with running(clock, tps=10) as smsc:
            peer = await bound(smsc)
            other = await bound(smsc, "other")

            async def accepted(sender: Peer, count: int, **more: Any) -> int:
                sender.send(*(sender.message(**more) for _ in range(count)))
                answers = [await sender.next(SubmitSmResp) for _ in range(count)]
                assert {answer.status for answer in answers} <= {0, CommandStatus.ESME_RTHROTTLED}
                return sum(answer.status == 0 for answer in answers)

            assert await accepted(peer, 15, registered_delivery=0) == 10
            assert await accepted(other, 5, registered_delivery=0) == 5
            clock.advance(0.9)
            assert await accepted(peer, 1, registered_delivery=0) == 0
            clock.advance(0.2)
            # A message_payload of 400 septets is three segments.
            long = {"text": b"", "tlvs": ((int(Tag.MESSAGE_PAYLOAD), b"x" * 400),), "registered_delivery": 0}
            assert await accepted(peer, 5, **long) == 3

    asyncio.run(main())


def test_a_destination_that_is_none_is_refused() -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await bound(smsc)
            for number in ("", "6" * 21):
                assert (await peer.submit(to=number)).status == CommandStatus.ESME_RINVDSTADR
            assert (await peer.submit(to="6" * 20)).status == 0

    asyncio.run(main())


def test_shapes_that_alternate_are_read_right() -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await bound(smsc)
            sent: list[dict[str, Any]] = [
                {"source": "61411", "to": "1", "text": b"a"},
                {"source": "61411", "to": "22", "text": b"b", "validity_period": "000001000000000R"},
                {"source": "6141", "to": "333", "text": b"c", "data_coding": 3},
                {"source": "61411", "to": "4444", "text": b"", "registered_delivery": 2},
                {"source": "", "to": "55555", "text": b"\0e", "service_type": "CMT"},
                {"source": "61411", "to": "1", "text": b"f"},
                {"source": "61411", "to": "1", "text": b"g", "tlvs": ((0x1400, b"own"),)},
                {"source": "61411", "to": "1", "text": b"h"},
            ]
            peer.send(*(peer.message(**fields) for fields in sent))
            for _ in sent:
                assert (await peer.next(SubmitSmResp)).status == 0
            receipts = [await peer.delivered() for _ in range(7)]
            wanted = [(f["to"], f["source"]) for f in sent if f["to"] != "4444"]
            assert [(r.source_addr, r.destination_addr) for r in receipts] == wanted
            assert [t.text for t in smsc.inbox("1")] == ["a", "f", "g", "h"]
            assert [(t.sender, t.text) for t in smsc.inbox("333")] == [("6141", "c")]
            assert [t.text for t in smsc.inbox("4444")] == [""]
            assert [t.text for t in smsc.inbox("55555")] == ["@e"]

    asyncio.run(main())


def test_thousands_of_originators_are_told_apart() -> None:
    async def main() -> None:
        async with running(receipt_form="text") as smsc:
            peer = await bound(smsc)
            sources = [f"S{number}" for number in range(2500)]
            peer.send(*(peer.message(to="614", source=source) for source in sources))
            for _ in sources:
                assert (await peer.next(SubmitSmResp)).status == 0
            assert [(await peer.delivered()).destination_addr for _ in sources] == sources
            # The last ones are still known to belong to this ESME.
            other = await bound(smsc, "aaa")
            smsc.reply("614", "S2499", "to the tester")
            assert (await peer.delivered()).short_message == b"to the tester"
            await other.quiet()

    asyncio.run(main())


def test_data_sm() -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await bound(smsc)
            payload = ((int(Tag.MESSAGE_PAYLOAD), b"by data sm"),)
            peer.send(DataSm(5, source_addr="61411", destination_addr="6142", registered_delivery=1, tlvs=payload))
            answer = await peer.next(DataSmResp)
            assert (answer.sequence, answer.status, answer.message_id) == (5, 0, "1")
            assert (await peer.delivered()).short_message.startswith(b"id:1 ")
            assert [text.text for text in smsc.inbox("6142")] == ["by data sm"]
            broken = bytearray(encode(DataSm(6, destination_addr="6142", tlvs=payload)))
            broken[-len("by data sm") - 1] += 1
            peer.send_raw(bytes(broken))
            assert (await peer.next(DataSmResp)).status == CommandStatus.ESME_RINVPARLEN

    asyncio.run(main())


async def query(peer: Peer, message_id: str) -> QuerySmResp:
    peer.send(QuerySm(peer.sequence, message_id=message_id))
    return await peer.next(QuerySmResp)


def test_query_sm() -> None:
    async def main() -> None:
        clock = ManualClock(now_ms=1_780_000_000_000)
        async with running(clock, receipt_delay=10, history=2) as smsc:
            peer = await bound(smsc)
            first = (await peer.submit()).message_id
            smsc.set(fail=1, failures=(("UNDELIV", "012"),))
            second = (await peer.submit()).message_id
            under_way = await query(peer, first)
            assert (under_way.status, under_way.message_id, under_way.message_state) == (0, first, 1)
            assert under_way.final_date == ""
            clock.advance(11)
            final = await query(peer, second)
            assert (final.message_state, final.error_code, final.final_date) == (5, 12, "260528202650000+")
            assert (await query(peer, first)).message_state == 2
            assert (await query(peer, "999")).status == CommandStatus.ESME_RQUERYFAIL
            # Nobody reads another's messages, and only so many are remembered.
            other = await bound(smsc, "other")
            assert (await query(other, first)).status == CommandStatus.ESME_RQUERYFAIL
            await peer.submit()
            assert (await query(peer, first)).status == CommandStatus.ESME_RQUERYFAIL
            assert (await query(peer, second)).status == 0

    asyncio.run(main())


def test_cancel_sm() -> None:
    async def cancel(peer: Peer, **fields: Any) -> int:
        peer.send(CancelSm(peer.sequence, **fields))
        return (await peer.next(CancelSmResp)).status

    async def main() -> None:
        clock = ManualClock(now_ms=1_780_000_000_000)
        async with running(clock, receipt_delay=10) as smsc:
            peer = await bound(smsc)
            ids = [(await peer.submit(to="614", source="61411")).message_id for _ in range(3)]
            other = (await peer.submit(to="615", source="61411")).message_id
            assert await cancel(peer, message_id=ids[1], destination_addr="999") != 0
            assert await cancel(peer, message_id=ids[1], destination_addr="614") == 0
            assert b"id:2 sub:001 dlvrd:000" in (deleted := await peer.delivered()).short_message
            assert b"stat:DELETED" in deleted.short_message
            gone_now = await query(peer, ids[1])
            assert (gone_now.message_state, gone_now.final_date) == (4, "260528202640000+")
            assert await cancel(peer, message_id=ids[1]) == CommandStatus.ESME_RCANCELFAIL
            # Without an id: all that are under way from that source to that destination.
            assert await cancel(peer, source_addr="61411", destination_addr="614") == 0
            gone = [(await peer.delivered()).short_message[:5] for _ in range(2)]
            assert gone == [b"id:1 ", b"id:3 "]
            clock.advance(11)
            assert (await peer.delivered()).short_message.startswith(f"id:{other} ".encode())
            await peer.quiet()
            assert await cancel(peer, message_id=other) == CommandStatus.ESME_RCANCELFAIL

    asyncio.run(main())


def test_counters_can_be_reset() -> None:
    async def main() -> None:
        async with running() as smsc:
            assert isinstance(smsc, Smsc)
            peer = await bound(smsc)
            await peer.submit(to="614")
            await peer.delivered()
            await until(lambda: smsc.stats()["receipts_acked"] == 1)
            smsc.reset()
            stats = smsc.stats()
            assert stats["binds_open"] == 1
            assert not any(stats[name] for name in stats if name not in ("binds_open", "connections_open"))
            assert smsc.inbox("614") == []

    asyncio.run(main())
