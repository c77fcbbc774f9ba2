"""The SMSC's control port and its journal."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cooee.model.clock import ManualClock
from cooee.smpp.codes import ESM_UDHI, CommandStatus
from cooee.smpp.pdu import DeliverSm, EnquireLink, EnquireLinkResp, SubmitSmResp, Unbind
from cooee.smpp.smsc import JournalEntry, Smsc, control, read_journal
from tests.smpp.support_smsc import bound, connect, running, until


def asker(smsc: Smsc) -> Callable[..., Any]:
    async def ask(do: str, **more: Any) -> dict[str, Any]:
        return await asyncio.to_thread(control, "127.0.0.1", smsc.control_port, {"do": do, **more})

    return ask


def test_what_control_can_do() -> None:
    async def main() -> None:
        async with running(control_port=0) as smsc:
            ask = asker(smsc)
            peer = await bound(smsc)
            assert (await peer.submit(to="614", text=b"hello")).status == 0
            await peer.delivered()
            stats = await ask("stats")
            assert stats.pop("ok") is True
            assert (stats["binds_open"], stats["submits"]) == (1, 1)
            inbox = await ask("inbox", number="614")
            assert [message["text"] for message in inbox["messages"]] == ["hello"]
            assert (await ask("reply", **{"from": "614", "to": "61411", "text": "STOP"}))["parts"] == 1
            assert (await peer.delivered()).short_message == b"STOP"
            assert (await ask("handset", number="614", state="dead"))["ok"]
            await peer.submit(to="614")
            assert b"UNDELIV" in (await peer.delivered()).short_message
            assert await ask("throttle", tps=1) == {"ok": True, "tps": 1}
            peer.send(*(peer.message(registered_delivery=0) for _ in range(2)))
            answers = [(await peer.next(SubmitSmResp)).status for _ in range(2)]
            assert answers == [0, CommandStatus.ESME_RTHROTTLED]
            assert (await ask("throttle", tps=0))["ok"]
            changed = await ask("set", fail=0.5, failures=[["EXPIRED", "005"]])
            assert changed == {"ok": True, "fail": 0.5, "failures": [["EXPIRED", "005"]]}
            assert smsc.config.failures == (("EXPIRED", "005"),)
            assert (await ask("silence", seconds=100))["ok"]
            peer.send(EnquireLink(1))
            await peer.quiet()
            assert (await ask("speak"))["ok"]
            peer.send(EnquireLink(2))
            assert (await peer.next(EnquireLinkResp)).sequence == 2
            assert await ask("unbind", system_id="tester") == {"ok": True, "binds": 1}
            await peer.next(Unbind)
            assert await ask("drop", system_id="nobody") == {"ok": True, "connections": 0}
            assert await ask("drop", mid_pdu=True) == {"ok": True, "connections": 1}
            await peer.reader.read()
            assert (await ask("refuse_binds", on=True))["ok"]
            refused = await (await connect(smsc)).bind()
            assert "ESME_RBINDFAIL" in repr(CommandStatus(getattr(refused, "status", 0)))
            assert (await ask("reset"))["ok"]
            assert (await ask("stats"))["submits"] == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"nonsense", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[1]", "no object"),
        (b'{"do": 5}', "no object"),
        (b'{"do": "dance"}', "commands are stats, reset"),
        (b'{"do": "throttle"}', "'tps' is missing"),
        (b'{"do": "throttle", "tps": "many"}', "tps"),
        (b'{"do": "set", "port": 5}', "'port'"),
        (b'{"do": "set", "fail": 7}', "fail"),
        (b'{"do": "silence", "seconds": "long"}', "'seconds'"),
        (b'{"do": "silence", "submits": "maybe"}', "'submits'"),
        (b'{"do": "inbox"}', "'number' is missing"),
        (b'{"do": "inbox", "number": 614}', "'number' is a text"),
        (b'{"do": "inbox", "number": "\\u2603"}', "ASCII"),
        (b'{"do": "handset", "number": "614", "state": "lost"}', "lost"),
        (b'{"do": "reply", "from": "", "to": "1", "text": "x"}', "address"),
        (b'{"do": "drop", "system_id": 5}', "'system_id'"),
    ],
)
def test_lines_that_cannot_be_carried_out_get_an_error(line: bytes, says: str) -> None:
    async def main() -> None:
        async with running(control_port=0) as smsc:
            reader, writer = await asyncio.open_connection("127.0.0.1", smsc.control_port)
            # One connection takes many lines, good and bad.
            for _ in range(2):
                writer.write(line + b"\n")
                answer = json.loads(await asyncio.wait_for(reader.readline(), 5))
                assert answer["ok"] is False
                assert says in answer["error"]
            writer.write(b'{"do": "stats"}\n')
            assert json.loads(await asyncio.wait_for(reader.readline(), 5))["ok"] is True
            writer.close()

    asyncio.run(main())


def test_an_endless_line_ends_the_connection() -> None:
    async def main() -> None:
        async with running(control_port=0) as smsc:
            reader, writer = await asyncio.open_connection("127.0.0.1", smsc.control_port)
            writer.write(b"x" * 200_000)
            assert b"at most" in await asyncio.wait_for(reader.readline(), 5)
            writer.close()
            assert (await asker(smsc)("stats"))["ok"]

    asyncio.run(main())


def test_control_gives_up_in_time() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        port = deaf.getsockname()[1]
        with pytest.raises(TimeoutError):
            control("127.0.0.1", port, {"do": "stats"}, timeout=0.05)
    with pytest.raises(ConnectionError):
        control("127.0.0.1", port, {"do": "stats"}, timeout=1)


def test_the_journal_has_every_submit_and_no_text(tmp_path: Path) -> None:
    path = tmp_path / "journal"

    async def main() -> None:
        clock = ManualClock(now_ms=5000)
        async with running(clock, journal=str(path)) as smsc:
            peer = await bound(smsc, "a b")
            await peer.submit(to="614", text=b"secret")
            await peer.submit(to="615", text=b"\5\0\3\7\3\2secret", esm_class=ESM_UDHI)
            smsc.set(statuses=(("ESME_RMSGQFUL", 1),))
            await peer.submit(to="6 6")
            # Read while it is being written: every answered submit is there.
            assert len(list(read_journal(path))) == 3
        # Another run goes on in the same file.
        async with running(clock, journal=str(path), first_id=9) as smsc:
            await (await bound(smsc)).submit(to="617", registered_delivery=0)

    asyncio.run(main())
    assert list(read_journal(path)) == [
        JournalEntry("S", 5000, "614", "1", "a b#1"),
        JournalEntry("S", 5000, "615", "2", "a b#1", part=2, parts=3, reference=7),
        JournalEntry("S", 5000, "6 6", "", "a b#1", status=CommandStatus.ESME_RMSGQFUL),
        JournalEntry("S", 5000, "617", "9", "tester#1"),
    ]
    assert b"secret" not in path.read_bytes()
    with path.open("ab") as file:
        file.write(b"S 5000 61")
    assert len(list(read_journal(path))) == 4


def test_the_journal_may_have_receipts_too(tmp_path: Path) -> None:
    path = tmp_path / "journal"

    async def main() -> None:
        clock = ManualClock(now_ms=7000)
        async with running(clock, receipt_delay=0, journal=str(path), journal_receipts=True, fail=1) as smsc:
            peer = await bound(smsc)
            await peer.submit(to="614")
            await peer.delivered(CommandStatus.ESME_RX_T_APPN)
            await until(lambda: smsc.stats()["deliveries_refused"] == 1)
            clock.advance(2)
            await peer.delivered()
            await until(lambda: smsc.stats()["receipts_acked"] == 1)
            smsc.reply("614", "61411", "not a receipt")
            assert (await peer.next(DeliverSm)).short_message == b"not a receipt"

    asyncio.run(main())
    assert list(read_journal(path))[1:] == [
        JournalEntry("R", 7000, "614", "1", "tester#1", stat="UNDELIV"),
        JournalEntry("A", 7000, "614", "1", "tester#1", status=CommandStatus.ESME_RX_T_APPN),
        JournalEntry("R", 9000, "614", "1", "tester#1", stat="UNDELIV"),
        JournalEntry("A", 9000, "614", "1", "tester#1"),
    ]
