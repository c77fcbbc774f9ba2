"""Which replies are flagged: those that a client has been given, and no others; whoever hangs up, and when.

Clients are plain sockets here, so that they can stop reading or hang up at any octet.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cooee.model.errors import StoreUnavailable
from cooee.service import replies as service
from cooee.store import inbox
from cooee.web import witness
from tests.api.support_api import Answer, Client, Server, basic
from tests.support.postgres import PostgresServer

LARGE = 24_000
"""Replies whose answer is more than the buffers of both sides hold."""
FILLING = "y" * 250


def request(client: Client, body: bytes = b"{}", version: str = "1.1") -> bytes:
    head = (
        f"POST /api/replies HTTP/{version}\r\nHost: localhost\r\nAuthorization: {basic(client.name)}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def connected(client: Client, *, buffer: int = 0) -> Iterator[socket.socket]:
    with socket.socket() as sock:
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.settimeout(20)
        sock.connect(("127.0.0.1", client.server.port))
        yield sock


def read_answer(sock: socket.socket) -> Any:
    """A whole answer, and not an octet more."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(1)
    size = next(int(line[15:]) for line in data.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    body = b""
    while len(body) < size:
        piece = sock.recv(size - len(body))
        assert piece, "the connection ended within the answer"
        body += piece
    return json.loads(body)


def read_to_the_end(sock: socket.socket) -> None:
    while sock.recv(1 << 20):
        pass


def next_poll(client: Client) -> Answer:
    """Waits for the polls before it, so that whatever they flag is flagged."""
    client.server.clock.advance(200)
    return client.post("/api/replies", {"Test": True})


def with_replies(server: Server, count: int = 2) -> Client:
    client = server.account()
    server.reply(client.account, *(f"{number} {FILLING}" for number in range(count)))
    return client


def hard(sock: socket.socket) -> None:
    """Closing resets the connection."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_who_reads_all_of_it_has_it_even_if_it_hangs_up_at_once(server: Server) -> None:
    for version in ("1.0", "1.1"):
        client = with_replies(server)
        with connected(client) as sock:
            sock.sendall(request(client, version=version))
            assert read_answer(sock)["Count"] == 2
        assert next_poll(client).json["Count"] == 0
        assert server.waiting(client.account) == 0


def test_a_connection_that_is_kept_serves_the_next_poll(server: Server) -> None:
    client = with_replies(server)
    with connected(client) as sock:
        for count in (2, 0):
            sock.sendall(request(client))
            assert read_answer(sock)["Count"] == count
        # Two requests in one go are answered one after the other.
        server.reply(client.account, "three")
        server.clock.advance(200)
        sock.sendall(request(client) * 2)
        assert [read_answer(sock)["Count"] for _ in range(2)] == [1, 0]


@pytest.mark.parametrize("reset", [False, True])
def test_who_hangs_up_before_the_answer_has_none(server: Server, reset: bool) -> None:
    client = with_replies(server)
    with server.slow_store():
        with connected(client) as sock:
            sock.sendall(request(client))
            time.sleep(0.05)
            if reset:
                hard(sock)
        time.sleep(0.05)
    assert next_poll(client).json["Count"] == 2
    assert server.waiting(client.account) == 2


def test_who_hangs_up_right_behind_the_question_has_none(server: Server) -> None:
    client = with_replies(server)
    with connected(client) as sock:
        sock.sendall(request(client))
    for _ in range(3):
        assert next_poll(client).json["Count"] == 2


def test_who_closes_its_half_has_hung_up(server: Server) -> None:
    client = with_replies(server)
    with server.slow_store(), connected(client) as sock:
        sock.sendall(request(client))
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(10) == b""
    assert next_poll(client).json["Count"] == 2


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("read", [0, 10_000, 1_000_000])
def test_who_hangs_up_within_the_answer_has_none(server: Server, read: int, reset: bool) -> None:
    client = with_replies(server, LARGE)
    with connected(client, buffer=65536) as sock:
        sock.sendall(request(client))
        while read > 0:
            read -= len(sock.recv(read))
        time.sleep(0.1)
        if reset:
            hard(sock)
    assert next_poll(client).json["Count"] == LARGE
    assert server.waiting(client.account) == LARGE


def test_the_next_poll_waits_and_passes_on_nothing_twice(server: Server) -> None:
    client = with_replies(server, LARGE)
    with connected(client, buffer=65536) as sock, ThreadPoolExecutor(2) as others:
        sock.sendall(request(client))
        assert sock.recv(9) == b"HTTP/1.1 "
        # Two more polls, and a reply that comes in between.
        waiting = [others.submit(client.post, "/api/replies", {}) for _ in range(2)]
        server.reply(client.account, "late", at=server.clock.now_ms() + 86_400_000)
        time.sleep(0.3)
        assert not any(each.done() for each in waiting)
        assert server.account().post("/api/replies", {}).status == 200
        assert server.waiting(client.account) == LARGE + 1
        while b"]}" not in (piece := sock.recv(1 << 20)):
            assert piece
        counts = [each.result(20).json["Count"] for each in waiting]
    assert sorted(counts) == [0, 1]
    assert server.waiting(client.account) == 0


def test_who_takes_nothing_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness, "STALLED_S", 0.3)
    # One stalls while there is more to be written, the other with all of it in the buffers of the system.
    for count in (LARGE, 500):
        client = with_replies(server, count)
        with connected(client, buffer=4096) as sock:
            sock.sendall(request(client))
            assert sock.recv(9) == b"HTTP/1.1 "
            assert next_poll(client).json["Count"] == count
            with pytest.raises(ConnectionResetError):
                read_to_the_end(sock)
        assert server.waiting(client.account) == count


def test_a_poll_has_patience_for_the_ones_before_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PATIENCE_S", 0.2)
    client = with_replies(server, LARGE)
    with connected(client, buffer=4096) as sock:
        sock.sendall(request(client))
        assert sock.recv(9) == b"HTTP/1.1 "
        refused = client.post("/api/replies", {})
        assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, -991, "5")
    # Whoever gave up waiting is in nobody's way.
    assert next_poll(client).json["Count"] == LARGE


def test_a_store_that_is_away_in_the_end_loses_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    client = with_replies(server)
    real = inbox.flag

    async def failing(*_: object) -> int:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(service, "FLAG_TRIES", 1)
    monkeypatch.setattr(inbox, "flag", failing)
    assert client.post("/api/replies", {}).json["Count"] == 2
    assert next_poll(client).json["Count"] == 2
    monkeypatch.setattr(inbox, "flag", real)
    assert client.post("/api/replies", {}).json["Count"] == 2
    assert next_poll(client).json["Count"] == 0


class Nodes:
    """Two API nodes on one PostgreSQL database."""

    def __init__(self, url: str) -> None:
        self.first = Server(url)
        self.second = Server(url, clock=self.first.clock)

    def there(self, client: Client) -> Client:
        return Client(self.second, client.name, client.account)


@pytest.fixture(scope="module")
def nodes(postgres: PostgresServer) -> Iterator[Nodes]:
    both = Nodes(postgres.fresh())
    with both.first, both.second:
        yield both


def test_nodes_share_the_bucket(nodes: Nodes) -> None:
    client = nodes.first.account()
    twin = nodes.there(client)
    assert [each.post("/api/replies", {}).status for each in (client, twin, client, twin)] == [200, 200, 200, 429]
    for turn in range(6):
        nodes.first.clock.advance(60)
        assert (client, twin)[turn % 2].post("/api/replies", {}).status == 200


def test_a_poll_waits_for_the_one_at_another_node(nodes: Nodes) -> None:
    client = with_replies(nodes.first, LARGE)
    with connected(client, buffer=65536) as sock, ThreadPoolExecutor(1) as other:
        sock.sendall(request(client))
        assert sock.recv(9) == b"HTTP/1.1 "
        waiting = other.submit(nodes.there(client).post, "/api/replies", {})
        time.sleep(0.5)
        assert not waiting.done()
        while b"]}" not in sock.recv(1 << 20):
            pass
        assert waiting.result(20).json["Count"] == 0


def test_polls_at_both_nodes_share_the_replies_among_them(nodes: Nodes) -> None:
    client = with_replies(nodes.first, 300)
    twin = nodes.there(client)
    counts: list[int] = []

    def poll(each: Client) -> None:
        for _ in range(5):
            nodes.first.clock.advance(200)
            answer = each.post("/api/replies", {})
            # All four may have come before the first was answered: three are in reserve.
            assert answer.status in (200, 429)
            counts.append(answer.json.get("Count", 0))

    threads = [threading.Thread(target=poll, args=(each,)) for each in (client, twin, client, twin)]
    for thread in threads:
        thread.start()
    for number in range(10):
        nodes.first.reply(client.account, *(f"more {number}" for _ in range(20)))
    for thread in threads:
        thread.join()
    nodes.first.clock.advance(200)
    assert sum(counts) + client.post("/api/replies", {}).json["Count"] == 500
    assert nodes.first.waiting(client.account) == 0


def test_a_node_that_died_while_polling_is_in_nobodys_way(nodes: Nodes) -> None:
    server = nodes.first
    client = with_replies(server)
    server.run(server.replies.pay(client.account))
    assert server.run(server.database.write(lambda tx: inbox.begin(tx, client.account.id, 4711, None))) is None
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(client.post, "/api/replies", {})
        for _ in range(3):
            # As long as it shows that it lives, it is waited for.
            time.sleep(0.5)
            server.clock.advance(service.DEAD_S - 1)
            time.sleep(0.5)
            assert not waiting.done()
            server.run(server.database.write(lambda tx: inbox.beat(tx, client.account.id, 4711)))
        time.sleep(0.5)
        server.clock.advance(service.DEAD_S)
        assert waiting.result(20).json["Count"] == 2
    assert next_poll(client).json["Count"] == 0


def test_a_process_that_was_killed_while_polling_is_in_nobodys_way(tmp_path: Path) -> None:
    with Server(f"sqlite:///{tmp_path / 'cooee.db'}") as server:
        client = with_replies(server)
        server.run(server.replies.pay(client.account))
        server.run(server.database.write(lambda tx: inbox.begin(tx, client.account.id, 4711, None)))
        assert client.post("/api/replies", {}).json["Count"] == 2


def test_a_poll_shows_that_it_lives(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BEAT_S", 0.02)
    server = nodes.first
    client = with_replies(server, LARGE)

    def beat() -> int:
        row = server.run(server.database.read(lambda tx: tx.one("find_poll", account_id=client.account.id)))
        assert row is not None
        return int(row[2])

    with connected(client, buffer=4096) as sock:
        sock.sendall(request(client))
        assert sock.recv(9) == b"HTTP/1.1 "
        before = beat()
        time.sleep(0.3)
        assert beat() > before


class TestBehindAnotherServer:
    """Where ASGI alone tells what becomes of an answer."""

    @staticmethod
    def poll(server: Server, client: Client, hang_up: Callable[[str], bool]) -> list[str]:
        """The kinds of messages that were sent, until the client hung up."""
        sent: list[str] = []

        async def main() -> None:
            gone = asyncio.Event()
            asked = False

            async def receive() -> MutableMapping[str, Any]:
                nonlocal asked
                if not asked:
                    asked = True
                    return {"type": "http.request", "body": b"{}"}
                await gone.wait()
                return {"type": "http.disconnect"}

            async def send(message: MutableMapping[str, Any]) -> None:
                sent.append(message["type"])
                if hang_up(message["type"]):
                    gone.set()

            headers = [(b"authorization", basic(client.name).encode())]
            scope = {"type": "http", "method": "POST", "path": "/api/replies", "headers": headers, "client": None}
            await server.api(scope, receive, send)

        server.run(main())
        return sent

    def test_who_stays_has_it(self, server: Server) -> None:
        client = with_replies(server)
        assert self.poll(server, client, lambda _: False) == ["http.response.start", *["http.response.body"] * 2]
        assert server.waiting(client.account) == 0

    @pytest.mark.parametrize("when", ["http.response.start", "http.response.body"])
    def test_who_hangs_up_has_none(self, server: Server, when: str) -> None:
        client = with_replies(server)
        assert self.poll(server, client, lambda kind: kind == when)
        assert server.waiting(client.account) == 2
