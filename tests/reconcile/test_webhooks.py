"""kill -9 while replies arrive and webhooks run: none is lost, and what was acknowledged comes at most twice."""

from __future__ import annotations

import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from cooee.engine.webhook_lane import MOST_UNRECORDED
from tests.reconcile.support_stack import Stack, scaled, wait_for

KILLS = {"sqlite": 4, "postgres": 2}
"""On PostgreSQL a peer waits 15 s before it takes over."""
NUMBERS = {"acme": "61480000001", "bravo": "61480000002"}


class Receiver:
    """Takes replies on a thread of its own, now and then refusing one; counts what it acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: Counter[str] = Counter()
        self.refused = 0
        self._chance = random.Random(7)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(2)
                try:
                    self._answer(peer)
                except OSError:
                    continue

    def _answer(self, peer: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = peer.recv(65536)
            if not piece:
                return
            head += piece
        target = head.split(b" ", 2)[1].decode()
        text = parse_qs(urlsplit(target).query)["message_text"][0]
        if self._chance.random() < 0.02:
            self.refused += 1
            peer.sendall(b"HTTP/1.1 500 Oops\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return
        peer.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n0")
        self.acknowledged[text] += 1

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@contextmanager
def receiving() -> Iterator[Receiver]:
    made = Receiver()
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("texts", [scaled(1500)])
def test_kills_while_replies_arrive_lose_none(databases: Callable[[], str], tmp_path: Path, texts: int) -> None:
    settings = {"webhook_allow_private": "true"}
    with receiving() as receiver, Stack(databases(), tmp_path, settings=settings) as stack:
        stack.prepare(binds=2)
        for account, number in NUMBERS.items():
            stack.cli("number", "add", number, "--account", account, "--kind", "dedicated")
            stack.cli(
                "account", "set", account, "--reply-webhook", f"http://127.0.0.1:{receiver.port}/{account}",
                "--webhook-username", "u",
            )  # fmt: skip
        # On SQLite there is one node; on PostgreSQL a peer takes over what the killed one had.
        nodes = [stack.node() for _ in range(1 if stack.engine == "sqlite" else 2)]
        kills = KILLS[stack.engine]
        sent = 0

        def recorded() -> int:
            ((count,),) = stack.rows("SELECT COUNT(*) FROM webhook_delivery WHERE state = 2")
            return int(count)

        for kill in range(kills + 1):
            goal = texts * (kill + 1) // (kills + 1)
            while sent < goal:
                number = list(NUMBERS.values())[sent % 2]
                stack.smsc.ask("reply", **{"from": str(61400000000 + sent), "to": number, "text": f"text {sent}"})
                sent += 1
            if kill < kills:
                # What the last kill left behind is recorded by now: two kills never meet the same reply.
                least = texts * kill // (kills + 1) + 1
                wait_for("replies are recorded", lambda least=least: recorded() >= least, 40)  # type: ignore[misc]
                nodes[kill % len(nodes)].restart_killed()

        def all_taken() -> bool:
            return len(receiver.acknowledged) == sent

        # A refused reply comes again after a minute: a person need not wait for that.
        def hurried() -> bool:
            for account in NUMBERS:
                stack.cli("webhook", "replay", account)
            for account_id, reply_id in stack.rows(
                "SELECT account_id, reply_id FROM webhook_delivery WHERE state = 1 AND attempts > 0"
            ):
                name = stack.accounts[account_id - 1001]
                stack.cli("webhook", "replay", name, str(reply_id))
            return all_taken()

        wait_for("every reply is taken", hurried, 90, 1.0)
        wait_for(
            "every delivery is recorded",
            lambda: stack.rows("SELECT COUNT(*) FROM webhook_delivery WHERE state <> 2") == [(0,)],
            30,
        )
        assert stack.rows("SELECT COUNT(*), COUNT(DISTINCT body), COUNT(retrieved_at) FROM reply") == [
            (sent, sent, sent)
        ]
        twice = {text: count for text, count in receiver.acknowledged.items() if count > 1}
        print(f"{sent} replies, {kills} kills, {receiver.refused} refused, {len(twice)} twice [{stack.engine}]")
        assert all(count == 2 for count in twice.values()), twice
        assert len(twice) <= kills * MOST_UNRECORDED * len(NUMBERS)
        for node in nodes:
            code, seconds = node.terminate()
            assert code == 0
            assert seconds < 15
        assert stack.rows("SELECT owner FROM webhook") == [(None,), (None,)]
