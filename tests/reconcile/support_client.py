"""Clients of the reconciliation harness: they post campaigns over HTTP and keep every answer that they were told.

A request whose answer never came is repeated with the same Idempotency-Key until it is answered, as a careful
client program does (wire contract §1); so every campaign must be there exactly once, whatever was killed.
"""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from random import Random
from typing import Any

from tests.reconcile.support_stack import PASSWORD

SHORT = "Your parcel comes today between 9 and 11. Reply STOP to opt out."
LONG = "Long texts travel in parts, and each part is answered and receipted by itself. " * 3
UNICODE = "Kia ora, kei te haere mai tō mōkihi i tēnei rā – 09:00"
LONG_UNICODE = "Kōrero roa: ko ia wāhanga ka whakahokia takitahi. " * 4
TEXTS = {SHORT: 1, LONG: 2, UNICODE: 1, LONG_UNICODE: 3}
"""Texts, and the segments that they need (wire contract §3)."""

KEPT_S = 2.0
"""A connection that was idle for longer is not used again: the server may be closing it."""


def numbers(seed: int) -> Iterator[int]:
    """Distinct mobile numbers of Australia and, one in four, New Zealand."""
    offset = Random(seed).randrange(10_000_000)
    index = 0
    while True:
        mixed = index * 1_000_003 + offset
        yield 64_210_000_000 + mixed % 10_000_000 if index % 4 == 3 else 61_400_000_000 + mixed % 40_000_000
        index += 1


@dataclass(slots=True)
class Ask:
    """One campaign to be created."""

    account: str
    numbers: list[int]
    text: str
    originator: str = "61400190499"


@dataclass(slots=True)
class Told:
    """What the client was told about it: a 200 with Code 0."""

    ask: Ask
    campaign_id: int
    messages: int
    segments: int
    credits: int
    repeats: int = 0
    """How often the request was posted again because an answer did not come."""
    modified: bool = False
    """Its text was changed before it started: `segments` and `credits` are those of the last answer."""


class Mix:
    """Makes campaigns out of one stream of numbers, so that none is used twice in a run."""

    def __init__(self, seed: int, accounts: Sequence[str]) -> None:
        self._numbers = numbers(seed)
        self._accounts = cycle(accounts)

    def campaign(self, size: int, text: str = SHORT) -> Ask:
        """A campaign to `size` numbers."""
        return Ask(next(self._accounts), [next(self._numbers) for _ in range(size)], text)

    def campaigns(self, count: int, size: int, *texts: str) -> list[Ask]:
        """`count` campaigns to `size` numbers each, with the texts in turn."""
        turn = cycle(texts or (SHORT,))
        return [self.campaign(size, next(turn)) for _ in range(count)]


class Api:
    """One connection to the API, rotating over the nodes' ports when one does not answer. Blocking."""

    def __init__(self, ports: Sequence[int], account: str) -> None:
        self._ports = cycle(ports)
        self._login = base64.b64encode(f"{account}:{PASSWORD}".encode()).decode()
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0

    def post(self, path: str, body: dict[str, Any], key: str | None = None) -> tuple[int, dict[str, Any]]:
        """HTTP status and JSON body; OSError or HTTPException when no answer came."""
        if self._connection is not None and time.monotonic() - self._used > KEPT_S:
            self.close()
        self._used = time.monotonic()
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", next(self._ports), timeout=30)
        headers = {"Authorization": f"Basic {self._login}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        try:
            self._connection.request("POST", path, json.dumps(body), headers)
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def action(self, campaign_id: int, action: str) -> dict[str, Any]:
        """A campaign's status, pause, unpause or delete; the JSON body."""
        status, body = self.post("/api/campaign", {"CampaignId": campaign_id, "Action": action})
        assert status == 200, body
        return body

    def delivery(self, campaign_id: int) -> dict[int, tuple[int, int]]:
        """DRStatus: destination → (DeliveryReceiptStatusId, Code)."""
        status, body = self.post("/api/DRStatus", {"CampaignId": campaign_id})
        assert status == 200, body
        found = {
            int(row["Destination"]): (row["Status"]["DeliveryReceiptStatusId"], row["Status"]["Code"])
            for row in body["Destinations"]
        }
        assert body["Count"] == len(body["Destinations"]) == len(found)
        return found

    def credits(self) -> int:
        """The balance."""
        status, body = self.post("/api/RetrieveUserSettings", {})
        assert status == 200, body
        return int(body["Credits"])

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass
class Clients:
    """Client threads that post campaigns, one after the other, until each is told that it was accepted."""

    ports: list[int]
    told: list[Told] = field(default_factory=list)
    patience_s: float = 60.0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._keys = 0
        self._faults: list[str] = []

    def post(self, asks: Sequence[Ask]) -> list[Told]:
        """Posts them here and now, in this thread."""
        before = len(self.told)
        self._work(list(asks))
        self._raise()
        return self.told[before:]

    def begin(self, asks: Sequence[Ask], threads: int = 2) -> None:
        """Posts them from client threads; `finish` waits for the last answer."""
        for first in range(threads):
            thread = threading.Thread(target=self._work, args=(list(asks[first::threads]),), daemon=True)
            thread.start()
            self._threads.append(thread)

    def finish(self) -> list[Told]:
        """Everything that was told, once all threads are done."""
        for thread in self._threads:
            thread.join(self.patience_s)
            assert not thread.is_alive(), "a client still waits for its answer"
        self._threads.clear()
        self._raise()
        return self.told

    def _raise(self) -> None:
        assert not self._faults, self._faults

    def _work(self, asks: list[Ask]) -> None:
        connections: dict[str, Api] = {}
        for ask in asks:
            api = connections.setdefault(ask.account, Api(self.ports, ask.account))
            try:
                told = self._create(api, ask)
            except AssertionError as error:
                self._faults.append(str(error))
                break
            with self._lock:
                self.told.append(told)
        for api in connections.values():
            api.close()

    def _create(self, api: Api, ask: Ask) -> Told:
        with self._lock:
            self._keys += 1
            key = f"key-{self._keys}"
        body = {
            "Action": "create", "Originator": ask.originator, "Message": ask.text,
            "Destinations": [str(number) for number in ask.numbers],
        }  # fmt: skip
        repeats = -1
        until = time.monotonic() + self.patience_s
        while True:
            repeats += 1
            assert time.monotonic() < until, f"no answer within {self.patience_s:g} s"
            try:
                status, answer = api.post("/api/campaign", body, key)
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)
                continue
            if status in (500, 503) and answer["Code"] in (-990, -991):
                time.sleep(0.1)
                continue
            assert status == 200, answer
            assert answer["Code"] == 0, answer
            return Told(
                ask, answer["CampaignId"], answer["Messages"], answer["Segments"], answer["Credits"], repeats
            )
