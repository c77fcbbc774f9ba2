"""The SMSC at the socket: the faults it can be told to have."""

from __future__ import annotations

import asyncio

import pytest

from cooee.model.clock import ManualClock
from cooee.smpp.pdu import DeliverSm, EnquireLink, EnquireLinkResp, SubmitSmResp, encode
from tests.smpp.support_smsc import WAIT, Peer, bound, connect, running, until


@pytest.mark.parametrize("kind", ["ignore", "accept", "late"])
def test_silence(kind: str) -> None:
    async def main() -> None:
        clock = ManualClock()
        async with running(clock, receipt_delay=1) as smsc:
            peer = await bound(smsc)
            await peer.submit()
            smsc.silence(30, kind)  # type: ignore[arg-type]
            assert smsc.stats()["silent"]
            peer.send(peer.message(), EnquireLink(90))
            clock.advance(29)
            await peer.quiet(0.2)
            # The receipt of what was sent before comes when the silence ends.
            clock.advance(1.1)
            assert (await peer.delivered()).short_message.startswith(b"id:1 ")
            assert smsc.stats()["submits"] == (1 if kind == "ignore" else 2)
            if kind == "late":
                assert (await peer.next(SubmitSmResp)).message_id == "2"
                assert (await peer.next(EnquireLinkResp)).sequence == 90
            if kind != "ignore":
                clock.advance(1.1)
                assert (await peer.delivered()).short_message.startswith(b"id:2 ")
            await peer.quiet()
            assert (await peer.submit()).status == 0

    asyncio.run(main())


def test_silence_without_end_lasts_until_told() -> None:
    async def main() -> None:
        clock = ManualClock()
        async with running(clock) as smsc:
            peer = await bound(smsc)
            smsc.silence()
            clock.advance(1e6)
            peer.send(EnquireLink(1))
            await peer.quiet()
            smsc.speak()
            peer.send(EnquireLink(2))
            assert (await peer.next(EnquireLinkResp)).sequence == 2

    asyncio.run(main())


def test_answers_can_be_slow_but_not_those_to_binds() -> None:
    async def main() -> None:
        clock = ManualClock()
        async with running(clock, answer_delay=5, receipt_delay=1) as smsc:
            peer = await bound(smsc)
            peer.send(peer.message())
            await until(lambda: smsc.stats()["accepted"] == 1)
            clock.advance(1.1)
            # So the receipt overtakes the answer.
            assert (await peer.delivered()).short_message.startswith(b"id:1 ")
            await peer.quiet()
            clock.advance(4)
            assert (await peer.next(SubmitSmResp)).message_id == "1"

    asyncio.run(main())


def test_connections_can_be_dropped() -> None:
    async def main() -> None:
        async with running() as smsc:
            one, two = await bound(smsc, "one"), await bound(smsc, "two")
            assert smsc.drop("one") == 1
            await one.closed()
            assert (await two.submit()).status == 0
            assert smsc.drop() == 1
            await two.closed()
            await until(lambda: smsc.stats()["connections_open"] == 0)

    asyncio.run(main())


async def rest(peer: Peer) -> bytes:
    async with asyncio.timeout(WAIT):
        return await peer.reader.read()


def test_a_drop_may_leave_half_a_pdu() -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await bound(smsc)
            smsc.drop(mid_pdu=True)
            assert await rest(peer) == b"\0\0\0\x10\0\0\0\0"

    asyncio.run(main())


def test_every_so_many_submits_the_connection_goes_before_the_answer() -> None:
    async def main() -> None:
        async with running(drop_after=3) as smsc:
            for taken in (3, 6):
                peer = await bound(smsc)
                assert (await peer.submit(registered_delivery=0)).status == 0
                peer.send(*(peer.message(registered_delivery=0) for _ in range(5)))
                await peer.closed()
                assert peer.arrived == []
                # What came before the cut was taken, what came after it was not.
                assert smsc.stats()["accepted"] == taken

    asyncio.run(main())


def test_such_a_cut_may_come_within_an_answer() -> None:
    async def main() -> None:
        async with running(drop_after=3, drop_mid_pdu=True) as smsc:
            peer = await bound(smsc)
            messages = [peer.message(registered_delivery=0) for _ in range(5)]
            peer.send(*messages)
            answers = b"".join(encode(SubmitSmResp(m.sequence, 0, str(n))) for n, m in enumerate(messages, 1))
            assert await rest(peer) == answers[: 3 * 18 - 9]
            assert smsc.stats()["accepted"] == 3

    asyncio.run(main())


def test_an_esme_that_does_not_read_is_not_read_either_and_loses_nothing() -> None:
    async def main() -> None:
        async with running(window=100_000) as smsc:
            peer = await connect(smsc)
            await peer.bind()
            block = b"".join(encode(peer.message(text=b"x" * 100)) for _ in range(2000))
            sent = 0
            # Its answers fill the socket and then our buffer: so it must be stopped at some point.
            for _ in range(500):
                peer.send_raw(block)
                sent += 2000
                try:
                    async with asyncio.timeout(0.3):
                        await peer.writer.drain()
                except TimeoutError:
                    break
            else:
                raise AssertionError("it was never stopped")
            answered = receipts = 0
            while answered < sent:
                await peer.next(SubmitSmResp)
                answered += 1 + sum(isinstance(pdu, SubmitSmResp) for pdu in peer.arrived)
                receipts += sum(isinstance(pdu, DeliverSm) for pdu in peer.arrived)
                peer.arrived.clear()
            assert answered == sent
            assert smsc.stats()["accepted"] == sent
            assert receipts <= 100_000

    asyncio.run(main())
