"""Handsets that write while the storm blows, and the webhook that is told of their replies."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

from soak.world import INBOUND, World

REFUSED, STALLED = 0.03, 0.01
"""Shares of calls that the webhook refuses, and that it lets wait."""
STALL_S = 3.0
LONG = "Ich käme gern, nur nicht am 24.; geht auch der 25.? " * 5


class Webhook:
    """Takes replies on loopback, now and then refusing one or letting it wait; counts what it acknowledged."""

    def __init__(self, seed: int) -> None:
        dice = Random(seed)
        hook = self
        self.calmed = False
        taken = self.acknowledged = Counter[str]()
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                chance = 1.0 if hook.calmed else dice.random()
                if chance < REFUSED:
                    self.send_error(500)
                    return
                if chance < REFUSED + STALLED:
                    time.sleep(STALL_S)
                text = parse_qs(urlsplit(self.path).query)["message_text"][0]
                with lock:
                    taken[text] += 1
                with suppress(OSError):
                    self.send_response(200)
                    self.send_header("Content-Length", "1")
                    self.end_headers()
                    self.wfile.write(b"0")

            def log_message(self, *_: Any) -> None:
                """The storm is loud enough."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="webhook", daemon=True)
        self._thread.start()

    def calm(self) -> None:
        """Refuses nothing any more."""
        self.calmed = True

    def close(self) -> None:
        """Takes no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class Handsets:
    """Handsets of one SMSC. What it held when it was killed is gone with it, and nobody's fault."""

    def __init__(self, world: World, no: int, seed: int, over: threading.Event, pause_s: float) -> None:
        self._world, self._no, self._over, self._pause_s = world, no, over, pause_s
        self._dice = Random(seed * 77 + no)
        self._unsure: list[tuple[str, str]] = []
        self.sure: list[tuple[str, str]] = []
        """(number, text) of messages that the SMSC was told of and will deliver, or has."""
        self.perhaps: list[tuple[str, str]] = []
        """The same of those that it may have held when it was killed."""
        self._thread = threading.Thread(target=self._run, name=f"handsets {no}", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def join(self) -> None:
        """Until the last message is written."""
        self._thread.join(30)
        self.sure += self._unsure
        self._unsure = []

    def killed(self) -> None:
        """The SMSC is being killed. The caller holds its lock."""
        self.perhaps += self._unsure
        self._unsure = []

    def _run(self) -> None:
        world, smsc = self._world, self._world.smsc(self._no)
        count = 0
        while not self._over.wait(self._dice.uniform(0.2, 1.8) * self._pause_s):
            number = self._dice.choice(list(INBOUND.values()))
            text = f"{self._no}.{count} " + (LONG if count % 5 == 0 else "Yes, please")
            count += 1
            with world.smsc_locks[self._no], suppress(OSError):
                stats = smsc.ask("stats")
                if stats["mo_pending"] == 0:
                    self.sure += self._unsure
                    self._unsure = []
                handset = str(61_455_000_000 + self._no * 1000 + count % 997)
                # Before it is asked: once it has the message, it may be killed before it says so.
                self._unsure.append((number, text))
                system_id = ("first", "second")[self._no]
                smsc.ask("reply", **{"from": handset, "to": number, "text": text, "system_id": system_id})
