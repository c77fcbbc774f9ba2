"""Clients of the storm: each does one thing after the other until the storm is over, and keeps what it was told.

They are careful clients. A request without an answer, or with one that says "not now", is repeated; a create
carries an Idempotency-Key. Only a top-up is not repeated, for nothing would tell the second from the first.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Any

from tests.reconcile.support_client import LONG, LONG_UNICODE, SHORT, UNICODE, Api, Ask, Told

FAR, PAST = "203501010900", "202001010900"
TEXTS = (SHORT, SHORT, LONG, UNICODE, LONG_UNICODE)
PATIENCE_S = 120.0
"""How long a client repeats a request: a dead engine is taken over in 20 s, a database is back in 10."""


@dataclass
class Promises:
    """What all clients together were told."""

    numbers: Iterator[int]
    told: dict[int, Told] = field(default_factory=dict)
    topped_up: int = 0
    perhaps: int = 0
    """Credits of top-ups whose answer never came."""
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    unanswered: int = 0
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    keys: int = 0

    def some_numbers(self, count: int) -> list[int]:
        """Numbers that nobody else has."""
        with self.lock:
            return list(islice(self.numbers, count))

    def key(self) -> str:
        """An Idempotency-Key that was not used yet."""
        with self.lock:
            self.keys += 1
            return f"soak-{self.keys}"

    def add(self, ask: Ask, answer: dict[str, Any]) -> None:
        """A create that was accepted: a campaign, or more recipients of one."""
        campaign_id = int(answer["CampaignId"])
        with self.lock:
            told = self.told.get(campaign_id)
            if told is None:
                told = self.told[campaign_id] = Told(ask, campaign_id, 0, answer["Segments"], 0)
            else:
                told.ask.numbers.extend(ask.numbers)
            told.messages += answer["Messages"]
            told.credits += answer["Credits"]


class Client:
    """One client, in a thread of its own."""

    def __init__(
        self,
        no: int,
        seed: int,
        ports: Sequence[int],
        account: str,
        promises: Promises,
        over: threading.Event,
        pause_s: float,
    ) -> None:
        self._dice = Random(seed * 1000 + no)
        self._api = Api(ports, account)
        self._account = account
        self._promises = promises
        self._over = over
        self._shown: dict[tuple[int, int], tuple[int, int]] = {}
        self._thread = threading.Thread(target=self._run, name=f"client {no}", daemon=True)
        self._pause_s = pause_s
        self._doings: list[Callable[[], None]] = [
            self._single, self._bulk, self._planned, self._interfere, self._look,
        ]  # fmt: skip

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def join(self) -> None:
        """Until its last request is answered; AssertionError when that takes too long."""
        self._thread.join(PATIENCE_S + 30)
        assert not self._thread.is_alive(), f"{self._thread.name} still waits for its answer"

    def _run(self) -> None:
        if self._account == "topup":
            self._doings.append(self._top_up)
        try:
            while not self._over.is_set():
                self._dice.choices(self._doings, (10, 3, 4, 3, 3, 3)[: len(self._doings)])[0]()
                self._over.wait(self._dice.uniform(0.0, 2 * self._pause_s))
        except Exception as error:  # whatever it is, the report must hear of it
            self._promises.faults.append(f"{self._thread.name}: {type(error).__name__}: {error}")
        finally:
            self._api.close()

    # --- requests ------------------------------------------------------------------------------------------

    def _ask(
        self, path: str, body: dict[str, Any], allowed: Sequence[int] = (0,), key: str | None = None
    ) -> tuple[int, dict[str, Any], int]:
        """Asks until there is an answer: its Code, itself, and how often it was asked again."""
        until = time.monotonic() + PATIENCE_S
        repeats = 0
        while True:
            assert time.monotonic() < until, f"no answer to {body.get('Action', path)} in {PATIENCE_S:g} s"
            try:
                status, answer = self._api.post(path, body, key)
            except (OSError, http.client.HTTPException):
                self._promises.unanswered += 1
            else:
                code = int(answer.get("Code", 0))
                with self._promises.lock:
                    self._promises.answers[str(body.get("Action", path)), code] += 1
                if code not in (-990, -991):
                    if status != 200 or code not in allowed:
                        self._promises.faults.append(f"{body.get('Action', path)}: {status} {answer}")
                    return code, answer, repeats
            repeats += 1
            time.sleep(0.1)

    def _create(self, numbers: list[int], text: str, **more: Any) -> int:
        ask = Ask(self._account, numbers, text)
        body = {
            "Action": "create", "Originator": ask.originator, "Message": text,
            "Destinations": [str(number) for number in numbers], **more,
        }  # fmt: skip
        code, answer, repeats = self._ask("/api/campaign", body, key=self._promises.key())
        assert code == 0, answer
        self._promises.add(ask, answer)
        self._promises.told[int(answer["CampaignId"])].repeats += repeats
        return int(answer["CampaignId"])

    def _act(self, action: str, campaign_id: int, allowed: Sequence[int] = (0, -931), **more: Any) -> int:
        body = {"Action": action, "CampaignId": campaign_id, **more}
        return self._ask("/api/campaign", body, allowed)[0]

    # --- what a client does --------------------------------------------------------------------------------

    def _single(self) -> None:
        self._create(self._promises.some_numbers(self._dice.choice((1, 1, 1, 3))), self._dice.choice(TEXTS))

    def _bulk(self) -> None:
        size = self._dice.choice((20, 60, 120, 300))
        self._create(self._promises.some_numbers(size), self._dice.choice(TEXTS))

    def _planned(self) -> None:
        """Scheduled, added to, perhaps changed and paused; then it is let go, deleted, or left for the end."""
        text, reference = self._dice.choice(TEXTS), self._promises.key()
        when = {"TimeScheduled": FAR, "Reference": reference}
        campaign_id = self._create(self._promises.some_numbers(self._dice.choice((3, 40))), text, **when)
        for _ in range(self._dice.randrange(3)):
            same = self._create(self._promises.some_numbers(self._dice.choice((2, 30))), text, **when)
            assert same == campaign_id, "an append made a campaign of its own"
        if self._dice.random() < 0.5:
            self._modify(campaign_id, self._dice.choice(TEXTS))
        if self._dice.random() < 0.3:
            self._act("pause", campaign_id, allowed=(0,))
        fate = self._dice.choice(("go", "go", "delete", "leave"))
        if fate == "go":
            self._act("modify", campaign_id, TimeScheduled=PAST)
        elif fate == "delete":
            self._act("delete", campaign_id)

    def _modify(self, campaign_id: int, text: str) -> None:
        body = {"Action": "modify", "CampaignId": campaign_id, "Message": text}
        _, answer, _ = self._ask("/api/campaign", body)
        told = self._promises.told[campaign_id]
        told.segments, told.credits, told.modified = answer["Segments"], answer["Credits"], True

    def _interfere(self) -> None:
        """Pauses what is on its way; unpauses or deletes it."""
        campaign_id = self._create(self._promises.some_numbers(self._dice.choice((60, 200))), SHORT)
        self._over.wait(self._dice.uniform(0.0, 0.8))
        self._act("pause", campaign_id)
        self._over.wait(self._dice.uniform(0.0, 0.5))
        fate = self._dice.choice(("unpause", "unpause", "delete", "leave"))
        if fate != "leave":
            self._act(fate, campaign_id)

    def _top_up(self) -> None:
        amount = self._dice.randint(1, 25)
        try:
            status, answer = self._api.post("/api/credits", {"Action": "add", "credits": amount})
        except (OSError, http.client.HTTPException):
            self._promises.unanswered += 1
            self._promises.perhaps += amount
            return
        code = int(answer["Code"])
        with self._promises.lock:
            self._promises.answers["add", code] += 1
            if code == 0:
                self._promises.topped_up += amount
            elif code == -990:
                self._promises.perhaps += amount
            elif code != -991:
                self._promises.faults.append(f"add: {status} {answer}")

    def _look(self) -> None:
        """DRStatus may tell more than before, and never less."""
        with self._promises.lock:
            mine = [one for one, told in self._promises.told.items() if told.ask.account == self._account]
        if not mine:
            return
        campaign_id = self._dice.choice(mine[-30:])
        _, answer, _ = self._ask("/api/DRStatus", {"CampaignId": campaign_id})
        for row in answer["Destinations"]:
            key = campaign_id, int(row["Destination"])
            status = int(row["Status"]["DeliveryReceiptStatusId"]), int(row["Status"]["Code"])
            before = self._shown.get(key, status)
            if status[0] != before[0] and status[0] != 1:
                self._promises.faults.append(f"DRStatus took back {key}: {before} → {status}")
            self._shown[key] = status
        listed = {int(row["Destination"]) for row in answer["Destinations"]}
        gone = [key for key in self._shown if key[0] == campaign_id and key[1] not in listed]
        if gone:
            self._promises.faults.append(f"DRStatus lists no more: {gone[:5]}")


def let_go(ports: Sequence[int], promises: Promises, states: Sequence[tuple[int, int]]) -> None:
    """Whatever the clients left paused or scheduled goes on: `states` are (campaign id, CampaignState)."""
    apis = {told.ask.account: Api(ports, told.ask.account) for told in promises.told.values()}
    try:
        for campaign_id, state in states:
            api = apis[promises.told[campaign_id].ask.account]
            if state == 4:
                assert api.action(campaign_id, "unpause")["Code"] == 0
            if api.action(campaign_id, "status")["Message"] == "Scheduled":
                body = {"Action": "modify", "CampaignId": campaign_id, "TimeScheduled": PAST}
                assert api.post("/api/campaign", body)[1]["Code"] == 0
    finally:
        for api in apis.values():
            api.close()
