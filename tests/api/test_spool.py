"""Answers larger than memory: slow clients, clients that go, and a disk that is full."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
import structlog

from cooee.model.message import MessageState
from cooee.store.reports import PAGE
from cooee.store.sqlite import SqliteDatabase
from cooee.web import respond, spool
from tests.api.support_api import Client, Server, basic

AT = 1_595_898_362_000
COUNT = 80_000
"""More than the socket buffers of both sides hold."""
NUMBERS = [61400000000 + n for n in range(COUNT)]


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Temporary files go where nobody else has any."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("spool"))
    yield
    tempfile.tempdir = before


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    """An account with a campaign of COUNT delivered messages, id 9."""
    made = server.account()
    server.settle(made.account, 9, ((number, MessageState.DELIVERED, 0) for number in NUMBERS), AT)
    return made


def files() -> list[str]:
    """Temporary files without a name that this process holds open."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(link.readlink())
            if target.startswith(tempfile.gettempdir()) and target.endswith(" (deleted)"):
                found.append(target)
    return found


def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


@contextlib.contextmanager
def asking(client: Client) -> Iterator[socket.socket]:
    """A connection that has asked for the report and has read its head, and nothing more."""
    body = json.dumps({"CampaignId": 9}).encode()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(20)
        sock.connect(("127.0.0.1", client.server.port))
        head = f"POST /api/DRStatus HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(client.name)}\r\n"
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert sock.recv(15) == b"HTTP/1.1 200 OK"
        yield sock


def read_all(sock: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(4096)
    head, _, rest = head.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    parts = [rest]
    got = len(rest)
    while got < length:
        part = sock.recv(1 << 16)
        assert part, "cut short"
        parts.append(part)
        got += len(part)
    return b"".join(parts)


def snapshots(server: Server) -> int:
    """Readers that hold a snapshot of the database open."""
    database = server.database
    if isinstance(database, SqliteDatabase):
        # What is in the log can be merged whole, and the log be cut, only where nobody reads from it.
        connection = apsw.Connection(server.url.removeprefix("sqlite:///"))
        try:
            connection.execute("PRAGMA busy_timeout = 0")
            return int(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").get[0])
        finally:
            connection.close()

    async def operation(tx: Any) -> int:
        sql = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND (backend_xmin IS NOT NULL OR state LIKE 'idle in transaction%')"
        )
        return int(await tx.connection.fetchval(sql))

    return server.run(database.read(operation))


def test_a_slow_client_holds_a_file_and_no_snapshot(server: Server, client: Client) -> None:
    assert files() == []
    with asking(client) as sock:
        until(lambda: len(files()) == 1)
        # Something is written meanwhile, so that there is a newer state than the one that was read.
        assert client.create().code == 0
        until(lambda: snapshots(server) == 0)
        time.sleep(0.2)
        assert len(files()) == 1
        answer = json.loads(read_all(sock))
    assert answer["Count"] == COUNT
    assert [int(row["Destination"]) for row in answer["Destinations"]] == NUMBERS
    until(lambda: files() == [])


def test_who_goes_takes_the_file_along(client: Client) -> None:
    """At once, not only after all of it was sent to nobody."""
    with asking(client):
        until(lambda: len(files()) == 1)
    until(lambda: files() == [])
    assert client.post("/api/DRStatus", {"CampaignId": 9, "Destination": NUMBERS[7]}).json["Count"] == 1


def test_nothing_is_read_for_somebody_who_has_gone(client: Client) -> None:
    async def main() -> int:
        body = json.dumps({"CampaignId": 9}).encode()
        gone = asyncio.Event()
        asked = False
        sent = 0

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await gone.wait()
                return {"type": "http.disconnect"}
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal sent
            sent += len(message.get("body", b""))
            if sent > 1_000_000:
                gone.set()

        await client.server.api(scope(client), receive, send)
        return sent

    assert 1_000_000 < client.server.run(main()) < 2_000_000
    assert files() == []


def scope(client: Client) -> dict[str, Any]:
    return {
        "type": "http", "method": "POST", "path": "/api/DRStatus", "client": ("127.0.0.1", 1),
        "headers": [(b"authorization", basic(client.name).encode())],
    }  # fmt: skip


def test_who_takes_nothing_is_given_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(respond, "STALLED_S", 0.3)
    with structlog.testing.capture_logs() as logs, asking(client) as sock:
        until(lambda: len(files()) == 1)
        until(lambda: files() == [])
        with pytest.raises(AssertionError, match="cut short"):
            read_all(sock)
    assert [entry["event"] for entry in logs] == ["client_stalled"]


def test_who_is_slow_but_takes_something_gets_all(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(respond, "STALLED_S", 2)
    total = 0
    with asking(client) as sock:
        began = time.monotonic()
        while part := sock.recv(1 << 16):
            total += len(part)
            if total >= 8_000_000:
                break
            # About 3 MB a second: the whole takes longer than one stall may.
            time.sleep(len(part) / 3_000_000)
    assert total >= 8_000_000
    assert time.monotonic() - began > 2
    until(lambda: files() == [])


def test_nothing_but_a_chunk_is_in_memory_while_a_client_waits(client: Client) -> None:
    """And no read is under way: each page was one of its own."""
    server = client.server
    reads = [0, 0, 0]
    original = server.database.read

    async def counted(operation: Any) -> Any:
        reads[0] += 1
        reads[1] += 1
        reads[2] = max(reads[2], reads[1])
        try:
            return await original(operation)
        finally:
            reads[1] -= 1

    async def main() -> tuple[int, int]:
        body = json.dumps({"CampaignId": 9}).encode()
        waiting, go_on = asyncio.Event(), asyncio.Event()
        asked = False
        sent = 0

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal sent
            sent += len(message.get("body", b""))
            if sent > 1_000_000 and not go_on.is_set():
                waiting.set()
                await go_on.wait()

        tracemalloc.start()
        task = asyncio.create_task(server.api(scope(client), receive, send))
        await waiting.wait()
        held = tracemalloc.get_traced_memory()[0]
        assert reads[1] == 0
        go_on.set()
        await task
        tracemalloc.stop()
        return held, sent

    patched: Any = server.database
    patched.read = counted
    try:
        held, sent = server.run(main())
    finally:
        del patched.read
    assert sent > 8_000_000
    assert held < 500_000
    # A login that was verified lately, and one read a page, one at a time.
    assert COUNT // PAGE <= reads[0] <= COUNT // PAGE + 2
    assert reads[2] == 1


class Full:
    """A file on a disk that is full when `at` is reached: "write" or "flush"."""

    def __init__(self, at: str) -> None:
        self._at = at

    def __call__(self, *_: object) -> Any:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        full = self._at

        class File:
            closed = False

            def write(self, piece: bytes) -> int:
                if full == "write" and file.tell() > 2_000_000:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return file.write(piece)

            def flush(self) -> None:
                if full == "flush":
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            def tell(self) -> int:
                return file.tell()

            def close(self) -> None:
                file.close()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return File()


@pytest.mark.parametrize("at", ["write", "flush"])
def test_a_full_disk_is_said_and_nothing_half_sent(
    client: Client, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    with monkeypatch.context() as full, structlog.testing.capture_logs() as logs:
        full.setattr(spool.tempfile, "SpooledTemporaryFile", Full(at))  # type: ignore[attr-defined]
        answer = client.post("/api/DRStatus", {"CampaignId": 9})
    assert (answer.status, answer.code) == (503, -991)
    assert answer.headers["retry-after"] == "5"
    assert answer.json["Message"] == "Temporarily unavailable, nothing was accepted"
    assert logs == [{"event": "spool_failed", "log_level": "error", "reason": "No space left on device"}]
    assert files() == []
    assert client.post("/api/DRStatus", {"CampaignId": 9}).json["Count"] == COUNT


def test_a_disk_that_is_really_full(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says, where the file moves from memory to the disk."""

    def on_the_full_device(*_: object, **__: object) -> Any:
        return open("/dev/full", "r+b")  # noqa: PTH123 (a file that spool closes)

    with monkeypatch.context() as full:
        full.setattr(tempfile, "TemporaryFile", on_the_full_device)
        answer = client.post("/api/DRStatus", {"CampaignId": 9})
    assert (answer.status, answer.code) == (503, -991)


def test_no_place_for_files_at_all(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object, **__: object) -> Any:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    with monkeypatch.context() as full:
        full.setattr(tempfile, "TemporaryFile", nowhere)
        answer = client.post("/api/DRStatus", {"CampaignId": 9})
        assert (answer.status, answer.code) == (503, -991)
        # What fits one page needs no file.
        one = client.post("/api/DRStatus", {"CampaignId": 9, "Destination": NUMBERS[0]})
        assert one.json["Count"] == 1
