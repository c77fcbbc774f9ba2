"""A running Cooee with everything around it, and short ways to use it as a customer does."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cooee.smpp.smsc import read_journal
from cooee.smpp.smsc.journal import JournalEntry
from soak.node import steer
from tests.reconcile.support_client import Api, numbers
from tests.reconcile.support_stack import PASSWORD, Node, Stack, wait_for

ORIGINATOR = "61400190499"
DELIVERED, FAILED = 1, 2


class House:
    """One node on SQLite and one SMSC. Each test has an account and numbers of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = folder / "clock"
        steer(self.clock, 0.0)
        self.stack = Stack(
            f"sqlite:///{folder / 'cooee.db'}", folder, module="soak.node",
            settings={"webhook_allow_private": "true"},
        )  # fmt: skip
        self.numbers = numbers(31)
        self.node: Node
        self.clients: list[Client] = []

    def __enter__(self) -> House:
        self.stack.__enter__()
        self.stack.prepare(window=50, binds=2, enquire_link_s=5)
        self.node = self.stack.node(environ={"SOAK_CLOCK": str(self.clock)})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stack.__exit__(kind, error, trace)

    def account(self, name: str, *flags: str) -> Client:
        """A new account with plenty of credits."""
        self.stack.cli(
            "account", "add", name, "--credits=1000000", "--international", "--password-stdin", *flags,
            stdin=PASSWORD + "\n",
        )  # fmt: skip
        client = Client(self, Api([self.node.port], name), name)
        self.clients.append(client)
        return client

    def kill(self) -> None:
        """`kill -9` of the node, which is then started again; clients notice that their connections are gone."""
        self.node.restart_killed()
        for client in self.clients:
            client.api.close()

    def people(self, count: int) -> list[int]:
        """Numbers that no other test has."""
        return list(islice(self.numbers, count))

    @contextmanager
    def smsc(self, **settings: object) -> Iterator[None]:
        """The SMSC behaves so, until the end."""
        self.stack.smsc.ask("set", **settings)
        try:
            yield
        finally:
            self.stack.smsc.ask("set", **NEUTRAL)

    def journal(self, people: list[int]) -> dict[int, list[JournalEntry]]:
        """What the SMSC saw of these numbers, in order."""
        wanted = set(people)
        found: dict[int, list[JournalEntry]] = defaultdict(list)
        for entry in read_journal(self.stack.smsc.journal):
            if int(entry.destination) in wanted:
                found[int(entry.destination)].append(entry)
        return found

    def submits(self, people: list[int]) -> Counter[tuple[int, int]]:
        """How often each part of each recipient's message was accepted: (number, part) → count."""
        return Counter(
            (number, entry.part)
            for number, entries in self.journal(people).items()
            for entry in entries
            if entry.kind == "S" and entry.status == 0
        )

    def reply(self, handset: int, to: str, text: str) -> None:
        """A handset writes."""
        self.stack.smsc.ask("reply", **{"from": str(handset), "to": to, "text": text, "system_id": "cooee"})


NEUTRAL: dict[str, object] = {
    "tps": 0, "statuses": [], "answer_delay": 0.0, "early": 0.0, "repeat": 0.0, "fail": 0.0, "enroute": 0.0,
    "receipt_jitter": 0.0, "receipt_delay": 0.3, "late": 0.0, "receipt_id": "same", "receipt_id_width": 0,
    "receipt_id_upper": False, "receipts": 1.0, "retry_delay": 1.0,
}  # fmt: skip


class Client:
    """A customer's program."""

    def __init__(self, house: House, api: Api, name: str) -> None:
        self.house = house
        self.api = api
        self.name = name

    def create(
        self, people: list[int], text: str = "Hello", key: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """Creates a campaign, which must be accepted; the answer."""
        body = {
            "Action": "create", "Originator": ORIGINATOR, "Message": text,
            "Destinations": [str(number) for number in people], **more,
        }  # fmt: skip
        status, answer = self.api.post("/api/campaign", body, key)
        assert (status, answer["Code"]) == (200, 0), answer
        return answer

    def send(self, people: list[int], text: str = "Hello", **more: Any) -> int:
        """The same; the campaign's id."""
        return int(self.create(people, text, **more)["CampaignId"])

    def status(self, campaign: int) -> str:
        """The word that the status action answers."""
        return str(self.api.action(campaign, "status")["Message"])

    def results(self, campaign: int) -> dict[int, tuple[int, int]]:
        """DRStatus."""
        return self.api.delivery(campaign)

    def wait(self, campaign: int, count: int, seconds: float = 40.0) -> dict[int, tuple[int, int]]:
        """DRStatus, once it lists so many and the campaign is finished."""
        wait_for(f"{count} results", lambda: len(self.results(campaign)) >= count, seconds, 0.1)
        wait_for("the campaign is finished", lambda: self.status(campaign) == "Finished", seconds, 0.1)
        return self.results(campaign)

    def wait_sent(self, campaign: int, count: int, seconds: float = 60.0) -> None:
        """Until so many recipients of it have a row."""
        sql = f"SELECT COUNT(*) FROM message WHERE campaign_id = {campaign}"
        wait_for(f"{count} sent", lambda: self.house.stack.rows(sql) == [(count,)], seconds, 0.2)

    def story(self, campaign: int, number: int) -> dict[str, Any]:
        """`cooee message show`."""
        shown = self.house.stack.cli("message", "show", str(campaign), str(number), "--json")
        found: dict[str, Any] = json.loads(shown)
        return found


class Webhook:
    """A receiver of replies that says no until it is told to say yes."""

    def __init__(self) -> None:
        self.willing = False
        self.refused = 0
        self.taken: Counter[str] = Counter()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not hook.willing:
                    hook.refused += 1
                    self.send_error(503)
                    return
                hook.taken[parse_qs(urlsplit(self.path).query)["message_text"][0]] += 1
                self.send_response(200)
                self.send_header("Content-Length", "1")
                self.end_headers()
                self.wfile.write(b"0")

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Takes no more."""
        self._server.shutdown()
        self._server.server_close()


def resident_mb(pid: int) -> float:
    """Memory of a process, in MB of 10⁶ octets."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise AssertionError("no VmRSS")


def local(offset_s: float = 0.0) -> time.struct_time:
    """UTC, so much later."""
    return time.gmtime(time.time() + offset_s)
