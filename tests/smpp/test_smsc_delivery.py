"""The SMSC at the socket: at-least-once delivery of receipts and of handsets' own messages."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from cooee.model.clock import ManualClock
from cooee.smpp.codes import ESM_UDHI, CommandStatus
from cooee.smpp.pdu import (
    BindReceiver,
    BindTransmitter,
    DeliverSm,
    DeliverSmResp,
    SubmitSmResp,
    Unbind,
    UnbindResp,
)
from tests.smpp.support_smsc import Peer, bound, connect, running, until


async def submitted(peer: Peer, count: int) -> None:
    peer.send(*(peer.message(to=f"614{number:08}") for number in range(count)))
    for _ in range(count):
        await peer.next(SubmitSmResp)


def test_no_more_than_a_window_of_receipts_is_out() -> None:
    async def main() -> None:
        async with running(window=3) as smsc:
            peer = await bound(smsc)
            await submitted(peer, 8)
            first = [await peer.next(DeliverSm) for _ in range(3)]
            await peer.quiet()
            assert smsc.stats()["receipts_pending"] == 8
            # Answers may come in any order.
            peer.send(DeliverSmResp(first[2].sequence), DeliverSmResp(first[0].sequence))
            assert len([await peer.next(DeliverSm) for _ in range(2)]) == 2
            await peer.quiet()
            assert smsc.stats()["receipts_acked"] == 2

    asyncio.run(main())


def test_a_refused_receipt_comes_again_after_a_while() -> None:
    async def main() -> None:
        clock = ManualClock()
        async with running(clock, receipt_delay=1, retry_delay=5) as smsc:
            peer = await bound(smsc)
            await submitted(peer, 1)
            clock.advance(1.1)
            refused = await peer.delivered(CommandStatus.ESME_RX_T_APPN)
            await until(lambda: smsc.stats()["deliveries_refused"] == 1)
            clock.advance(4)
            await peer.quiet()
            clock.advance(1.1)
            assert (await peer.delivered()).short_message == refused.short_message
            await until(lambda: smsc.stats()["receipts_pending"] == 0)

    asyncio.run(main())


@pytest.mark.parametrize("orderly", [True, False])
def test_what_a_lost_bind_did_not_answer_comes_again_on_the_next(orderly: bool) -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await bound(smsc)
            await submitted(peer, 4)
            sent = [await peer.next(DeliverSm) for _ in range(4)]
            peer.send(DeliverSmResp(sent[1].sequence))
            if orderly:
                peer.send(Unbind(99))
                await peer.next(UnbindResp)
            else:
                await until(lambda: smsc.stats()["receipts_acked"] == 1)
                peer.close()
            await until(lambda: smsc.stats()["binds_open"] == 0)
            assert smsc.stats()["receipts_pending"] == 3
            # Another system_id and a transmitter get none of it.
            await (await bound(smsc, "other")).quiet()
            transmitter = await connect(smsc)
            await transmitter.bind(BindTransmitter)
            await transmitter.quiet()
            receiver = await connect(smsc)
            await receiver.bind(BindReceiver)
            again = [(await receiver.delivered()).source_addr for _ in range(3)]
            assert again == [sent[n].source_addr for n in (0, 2, 3)]
            await until(lambda: smsc.stats()["receipts_pending"] == 0)

    asyncio.run(main())


def test_a_lost_bind_hands_over_to_one_that_is_there() -> None:
    async def main() -> None:
        async with running() as smsc:
            first = await bound(smsc)
            await submitted(first, 1)
            sent = await first.next(DeliverSm)
            second = await bound(smsc)
            first.close()
            assert (await second.delivered()).short_message == sent.short_message

    asyncio.run(main())


def test_receipts_are_dealt_over_all_binds_that_receive() -> None:
    async def main() -> None:
        async with running(window=2) as smsc:
            transmitter = await connect(smsc)
            await transmitter.bind(BindTransmitter)
            receivers = [await bound(smsc) for _ in range(2)]
            await submitted(transmitter, 4)
            got = [(await peer.next(DeliverSm)).source_addr for peer in receivers for _ in range(2)]
            assert len(set(got)) == 4
            await transmitter.quiet()

    asyncio.run(main())


def test_what_is_never_answered_comes_again() -> None:
    async def main() -> None:
        clock = ManualClock()
        async with running(clock, receipt_delay=1, ack_timeout=60, bind_timeout=0) as smsc:
            peer = await bound(smsc)
            await submitted(peer, 2)
            clock.advance(1.1)
            first = [await peer.next(DeliverSm) for _ in range(2)]
            peer.send(DeliverSmResp(first[0].sequence))
            await until(lambda: smsc.stats()["receipts_acked"] == 1)
            clock.advance(61)
            again = await peer.next(DeliverSm)
            assert again.short_message == first[1].short_message
            assert again.sequence != first[1].sequence
            # The answer to the first copy comes late: it is nobody's.
            peer.send(DeliverSmResp(first[1].sequence))
            await peer.quiet()
            assert smsc.stats()["receipts_pending"] == 1

    asyncio.run(main())


def test_the_backlog_of_receipts_is_bounded() -> None:
    async def main() -> None:
        async with running(backlog=5) as smsc:
            transmitter = await connect(smsc)
            await transmitter.bind(BindTransmitter)
            await submitted(transmitter, 8)
            assert smsc.stats()["receipts_lost"] == 3
            assert smsc.stats()["receipts_pending"] == 5

    asyncio.run(main())


def test_a_reply_goes_to_whoever_used_the_originator() -> None:
    async def main() -> None:
        async with running() as smsc:
            others = await bound(smsc, "aaa")
            peer = await bound(smsc, "bbb")
            await peer.submit(to="61400000001", source="61411", registered_delivery=0)
            assert smsc.reply("61400000001", "61411", "Stop it, José!") == 1
            pdu = await peer.delivered()
            assert (pdu.source_addr, pdu.destination_addr) == ("61400000001", "61411")
            assert (pdu.source_addr_ton, pdu.source_addr_npi, pdu.dest_addr_ton) == (1, 1, 3)
            assert (pdu.esm_class, pdu.data_coding) == (0, 0)
            assert pdu.short_message == b"Stop it, Jos\x05!"
            assert smsc.reply("61400000001", "0499", "x", system_id="aaa") == 1
            assert (await others.delivered()).destination_addr == "0499"
            await until(lambda: smsc.stats()["mo_acked"] == 2)
            assert smsc.stats()["mo_pending"] == 0
            assert smsc.stats()["receipts_sent"] == 0

    asyncio.run(main())


def test_a_reply_to_no_known_originator_goes_to_any_that_receives_and_else_waits() -> None:
    async def main() -> None:
        async with running() as smsc:
            assert smsc.reply("61400000001", "61411", "first") == 1
            assert smsc.stats()["mo_pending"] == 1
            peer = await bound(smsc)
            assert (await peer.delivered()).short_message == b"first"
            smsc.reply("61400000001", "61422", "second")
            assert (await peer.delivered(CommandStatus.ESME_RSYSERR)).short_message == b"second"
            await until(lambda: smsc.stats()["deliveries_refused"] == 1)
            stats = smsc.stats()
            assert (stats["mo_acked"], stats["mo_pending"], stats["receipts_pending"]) == (1, 1, 0)

    asyncio.run(main())


def test_a_long_reply_comes_in_parts() -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await bound(smsc)
            text = "Hundred and sixty septets do not hold this. " * 5
            assert smsc.reply("61400000001", "61411", text) == 2
            parts = [await peer.delivered() for _ in range(2)]
            assert [part.esm_class for part in parts] == [ESM_UDHI] * 2
            assert [part.short_message[:6] for part in parts] == [b"\5\0\3\1\2\1", b"\5\0\3\1\2\2"]
            assert b"".join(part.short_message[6:] for part in parts).decode() == text
            emoji = "😀" * 40
            assert smsc.reply("61400000001", "61411", emoji) == 2
            parts = [await peer.delivered() for _ in range(2)]
            assert [part.data_coding for part in parts] == [8, 8]
            assert [part.short_message[:6] for part in parts] == [b"\5\0\3\2\2\1", b"\5\0\3\2\2\2"]
            assert "".join(part.short_message[6:].decode("utf-16-be") for part in parts) == emoji

    asyncio.run(main())


@pytest.mark.parametrize(
    ("number", "text"), [("", "x"), ("6" * 21, "x"), ("61\n4", "x"), ("61é", "x"), ("614", "\ud800")]
)
def test_replies_that_cannot_be_are_refused(number: str, text: str) -> None:
    async def main() -> None:
        async with running() as smsc:
            with pytest.raises(ValueError):
                smsc.reply(number, "61411", text)
            assert smsc.stats()["mo"] == 0

    asyncio.run(main())


def test_it_runs_on_uvloop_and_hands_over_a_flood_whole() -> None:
    async def main() -> None:
        async with running(receipt_jitter=0.05, window=200) as smsc:
            peers = [await bound(smsc) for _ in range(2)]
            for peer in peers:
                peer.send(*(peer.message(to=f"614{number:08}") for number in range(3000)))
            ids: list[str] = []
            receipts: list[bytes] = []

            async def drain(peer: Peer) -> None:
                answered = 0
                while answered < 3000 or smsc.stats()["receipts_acked"] < 6000:
                    if not peer.arrived:
                        try:
                            async with asyncio.timeout(0.05):
                                peer.take(await peer.reader.read(1 << 16))
                        except TimeoutError:
                            continue
                    answers = [pdu for pdu in peer.arrived if isinstance(pdu, SubmitSmResp)]
                    answered += len(answers)
                    ids.extend(answer.message_id for answer in answers)
                    delivered = [pdu for pdu in peer.arrived if isinstance(pdu, DeliverSm)]
                    receipts.extend(pdu.short_message for pdu in delivered)
                    peer.send(*(DeliverSmResp(pdu.sequence) for pdu in delivered))
                    peer.arrived.clear()

            async with asyncio.timeout(20):
                await asyncio.gather(*map(drain, peers))
            assert len(ids) == len(set(ids)) == 6000
            assert sorted(receipt.split()[0][3:].decode() for receipt in receipts) == sorted(ids)
            stats = smsc.stats()
            assert (stats["receipts_sent"], stats["receipts_pending"]) == (6000, 0)

    uvloop.run(main())
