"""Many clients of one account at once, who do everything to its campaigns; and what must be true afterwards."""

from __future__ import annotations

import threading
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Any

from cooee.model.campaign import CampaignState
from cooee.model.message import MessageState
from tests.reconcile.support_client import LONG, SHORT, Api, Ask, Told, numbers
from tests.reconcile.support_reconcile import Allowed, Books, Report, check_sending
from tests.reconcile.support_stack import Stack

FAR, PAST = "203501010900", "202001010900"
ORIGINATOR = "61400190499"
TEXTS = {SHORT: 1, LONG: 2}
EXPECTED = {
    "create": {0, -202},
    "modify": {0, -202, -931},
    "pause": {0, -931},
    "unpause": {0, -931},
    "delete": {0, -931},
    "add": {0},
}
"""Codes that each action may answer while others do theirs."""


@dataclass
class Storm:
    """What all clients together were told. Every recipient is asked for once."""

    ports: list[int]
    account: str
    seed: int
    people: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By campaign: whom its creates and appends were accepted for."""
    planned: dict[int, None] = field(default_factory=dict)
    """Campaigns that were scheduled when they were made, oldest first."""
    added: int = 0
    """Credits topped up."""
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers: Iterator[int] = numbers(self.seed)
        self._lock = threading.Lock()

    def blow(self, clients: int, calls: int) -> None:
        """`clients` threads make `calls` requests each."""
        threads = [threading.Thread(target=self._client, args=(no, calls), daemon=True) for no in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive(), "a client still waits for its answer"
        assert not self.faults, self.faults[:5]

    def _client(self, no: int, calls: int) -> None:
        api, rnd = Api(self.ports, self.account), Random(self.seed * 1000 + no)
        try:
            for _ in range(calls):
                rnd.choices(DOINGS, WEIGHTS)[0](self, api, rnd)
        except Exception as error:  # whatever it is, the test must hear of it
            self.faults.append(repr(error))
        finally:
            api.close()

    def _ask(self, api: Api, path: str, body: dict[str, Any]) -> dict[str, Any]:
        status, answer = api.post(path, body)
        action, code = str(body["Action"]), answer.get("Code", 1)
        with self._lock:
            self.answers[action, code] += 1
            if status != 200 or code not in EXPECTED[action]:
                self.faults.append(f"{action}: {status} {answer}")
        return answer

    def _some(self, rnd: Random, *, planned: float) -> int | None:
        """A campaign; with that probability one that was scheduled."""
        with self._lock:
            there = list(self.planned if rnd.random() < planned else self.people)
        # Mostly a young one: the old ones are finished or gone.
        return rnd.choice(there[-12:]) if there else None

    def create(self, api: Api, rnd: Random) -> None:
        """At once, or for later with a reference: then others add to it."""
        with self._lock:
            wanted = list(islice(self._numbers, rnd.choice([1, 1, 3, 20, 60])))
        body = {
            "Action": "create", "Originator": ORIGINATOR, "Message": rnd.choice(list(TEXTS)),
            "Destinations": [str(number) for number in wanted],
        }  # fmt: skip
        if rnd.random() < 0.6:
            body |= {"TimeScheduled": FAR, "Reference": rnd.choice("abcdef")}
        answer = self._ask(api, "/api/campaign", body)
        if answer["Code"] == 0:
            told = (answer["Messages"], answer["Segments"], answer["Credits"])
            each = TEXTS[str(body["Message"])]
            if told != (len(wanted), each, len(wanted) * each):
                self.faults.append(f"create: {answer} for {len(wanted)} of {each}")
            with self._lock:
                self.people[answer["CampaignId"]] += wanted
                if "Reference" in body:
                    self.planned.setdefault(answer["CampaignId"])

    def modify(self, api: Api, rnd: Random) -> None:
        """Another price, another time, or both; a past time lets it go."""
        body: dict[str, Any] = {"Action": "modify", "CampaignId": self._some(rnd, planned=0.9)}
        if rnd.random() < 0.8:
            body["Message"] = rnd.choice(list(TEXTS))
        if rnd.random() < 0.4:
            body["TimeScheduled"] = rnd.choice([FAR, PAST])
        if body["CampaignId"] is not None:
            self._ask(api, "/api/campaign", body)

    def act(self, api: Api, rnd: Random) -> None:
        campaign = self._some(rnd, planned=0.3)
        if campaign is not None:
            action = rnd.choice(["pause", "unpause", "unpause", "delete"])
            self._ask(api, "/api/campaign", {"Action": action, "CampaignId": campaign})

    def top_up(self, api: Api, rnd: Random) -> None:
        amount = rnd.randint(1, 25)
        self._ask(api, "/api/credits", {"Action": "add", "credits": amount})
        with self._lock:
            self.added += amount


def let_go(stack: Stack, storm: Storm) -> None:
    """Whatever waits, goes."""
    api = Api(storm.ports, storm.account)
    for campaign_id, state in stack.rows("SELECT id, state FROM campaign WHERE state IN (1, 4) ORDER BY id"):
        if state == CampaignState.PAUSED:
            assert api.action(campaign_id, "unpause")["Code"] == 0
        if api.action(campaign_id, "status")["Message"] == "Scheduled":
            body = {"Action": "modify", "CampaignId": campaign_id, "TimeScheduled": PAST}
            assert api.post("/api/campaign", body)[1]["Code"] == 0
    api.close()


DOINGS: list[Callable[[Storm, Api, Random], None]] = [Storm.create, Storm.modify, Storm.act, Storm.top_up]
WEIGHTS = [40, 20, 35, 5]


def reconcile_storm(stack: Stack, storm: Storm, opening: int) -> Report:
    """Checks the books after a storm; AssertionError lists everything that does not agree."""
    rows = stack.rows("SELECT id, messages, segments, credits FROM campaign")
    told = [
        Told(Ask(storm.account, storm.people[row[0]], ""), row[0], row[1], row[2], row[3])
        for row in rows
        if row[0] in storm.people
    ]
    books = Books(stack, told)
    report = Report()
    missing = storm.people.keys() - books.told.keys()
    report.fault("campaigns that clients were told of and that are not there", missing)
    check_sending(books, Allowed(), storm.ports, report)
    _whole(books, report)
    _money(books, storm, opening, report)
    assert not report.faults, "\n".join(report.faults)
    return report


def _whole(books: Books, report: Report) -> None:
    """Everybody is delivered, was cancelled, or waits in a campaign that was not let go. None was sent twice."""
    states: Counter[str] = Counter()
    odd = []
    for number, campaign_id in books.campaign_of.items():
        row, seen = books.row(number), books.seen.get(number)
        state = books.state(campaign_id)
        if row is not None and row.state is MessageState.DELIVERED:
            states["delivered"] += 1
            if seen is None or seen.twice or len(seen.accepted) != books.told[campaign_id].segments:
                odd.append((campaign_id, number, "not sent once, whole"))
        elif seen is not None:
            odd.append((campaign_id, number, "sent, and not delivered"))
        elif state == CampaignState.DELETED:
            states["cancelled"] += 1
        elif state in (CampaignState.SCHEDULED, CampaignState.PAUSED):
            states["waiting"] += 1
        else:
            odd.append((campaign_id, number, f"lost in a campaign of state {state}"))
    report.fault("recipients whose end is none", odd)
    report.counts |= states


def _money(books: Books, storm: Storm, opening: int, report: Report) -> None:
    """Never overspent, no refund lost or doubled, and the ledger's sum is the balance after every line."""
    ((account_id, credits),) = [(key, row[1]) for key, row in books.accounts.items() if row[0] == storm.account]
    lines = sorted(line[1:] for line in books.ledger if line[0] == account_id)
    gaps = [line for line, no in zip(lines, range(1, len(lines) + 1), strict=True) if line[0] != no]
    report.fault("lines of the ledger out of order", gaps)
    balance, lowest = 0, 0
    kinds: Counter[str] = Counter()
    spent: Counter[int] = Counter()
    for _, amount, kind, campaign_id in lines:
        balance += amount
        lowest = min(lowest, balance)
        kinds[kind] += amount
        if campaign_id is not None:
            spent[campaign_id] -= amount
    report.fault("balances below zero", [lowest] if lowest < 0 else [])
    report.fault("balances that are not the ledger's sum", [] if balance == credits else [(balance, credits)])
    given = {"opening": opening, "topup": storm.added}
    report.fault("credits that nobody gave", [(k, kinds[k], v) for k, v in given.items() if kinds[k] != v])
    sent = Counter(
        books.campaign_of[number] for (_, number), row in books.rows.items() if row.state is MessageState.DELIVERED
    )
    waiting: Counter[int] = Counter()
    for campaign_id, _, _, _, marked, _, _, packed, _ in books.batches:
        if books.state(campaign_id) in (CampaignState.SCHEDULED, CampaignState.PAUSED):
            held: array[int] = array("q")
            held.frombytes(packed)
            waiting[campaign_id] += len(held[marked:])
    for campaign_id, one in books.told.items():
        due = (sent[campaign_id] + waiting[campaign_id]) * one.segments
        if spent[campaign_id] != due:
            wrong = (campaign_id, spent[campaign_id], due)
            report.fault("campaigns that cost other than what was sent or waits", [wrong])
    report.counts |= {kind: abs(amount) for kind, amount in kinds.items()}
