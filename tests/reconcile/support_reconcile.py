"""The books are held against each other: clients, SMSC journal, rows and ledger must tell the same story.

Every campaign of a run has numbers of its own, so a destination in the journal names its campaign. What is allowed
to differ is what the architecture page allows: a recipient is submitted twice only where its row is flagged
uncertain, at most one window a bind and event; a message is left "handed over" only where the SMSC sent no
receipt.
"""

from __future__ import annotations

import sys
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.message import FLAG_UNCERTAIN, GAVE_UP, MessageState
from cooee.smpp.smsc import read_journal
from cooee.smpp.smsc.journal import JournalEntry
from tests.reconcile.support_client import Api, Told
from tests.reconcile.support_stack import Stack

FINAL = (MessageState.WASHED, MessageState.CANCELLED, MessageState.FAILED, MessageState.DELIVERED)
STOPPED = (CampaignState.SCHEDULED, CampaignState.DELETED, CampaignState.PAUSED)
SHOWN = 5
"""Examples that a violation names."""
QUIET_S = 1.0
ORPHANS_S = 6.0
"""A receipt that is kept as an orphan may still find its message in the sweep, which comes every 5 s."""


@dataclass(slots=True)
class Row:
    """A row of `message`."""

    state: MessageState
    attempt: int
    parts: int
    flags: int
    credits: int
    accepted: int
    code: int
    carrier: int | None

    @property
    def uncertain(self) -> bool:
        """It was uncertain at some time."""
        return bool(self.flags & FLAG_UNCERTAIN)


@dataclass(slots=True)
class Seen:
    """What the SMSC saw of one destination: accepted ids by part, refusals, receipts by id."""

    accepted: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    parts: int = 1
    references: set[int] = field(default_factory=set)
    refused: list[int] = field(default_factory=list)
    sent: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    acked: set[str] = field(default_factory=set)
    times: list[int] = field(default_factory=list)
    """When parts were accepted, UTC ms by the SMSC's clock."""

    @property
    def whole(self) -> bool:
        """Every part was accepted."""
        return len(self.accepted) == self.parts

    @property
    def failed(self) -> bool:
        """A receipt said that a part was not delivered: so the message has failed, its rest sent or not."""
        return any(stats - {"DELIVRD", "ENROUTE"} for stats in self.sent.values())

    @property
    def twice(self) -> bool:
        """A part was accepted more than once."""
        return any(len(ids) > 1 for ids in self.accepted.values())


@dataclass
class Allowed:
    """What a scenario does that the checks must know.

    `events` counts what can make a window uncertain: kills, cuts, rounds of answers that never came.
    `hold`: the carrier's policy keeps uncertain recipients. `still`: campaigns that stay paused.
    """

    events: int = 0
    hold: bool = False
    still: frozenset[int] = frozenset()
    keepers: frozenset[int] | None = None
    """With `hold`: the carriers that have this policy, None for all of them."""
    most: int | None = None
    """How many recipients may be in doubt, where not every event concerns every bind."""

    def keeps(self, row: Row) -> bool:
        """Whether that recipient's carrier holds what is uncertain."""
        return self.hold and (self.keepers is None or row.carrier in self.keepers)


@dataclass
class Report:
    """The counts of a run, and what does not agree."""

    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def fault(self, what: str, items: Iterable[object]) -> None:
        """Every item is a violation of `what`."""
        found = list(items)
        if found:
            self.faults.append(f"{what}: {len(found)}, such as {found[:SHOWN]}")


def settle(stack: Stack, allowed: Allowed, seconds: float = 40.0) -> None:
    """Until nothing moves any more; AssertionError with what still does when that takes longer."""
    until = time.monotonic() + seconds
    quiet_since: float | None = None
    before: object = None
    while True:
        moving = _moving(stack, allowed)
        waiting = dict(stack.rows("SELECT 'handed over', COUNT(*) FROM message WHERE state = 3"))
        waiting["orphans"] = stack.rows("SELECT COUNT(*) FROM orphan_receipt")[0][0]
        waiting["receipts"] = stack.pending
        now = time.monotonic()
        if (moving, waiting) != before:
            before, quiet_since = (moving, waiting), now
        still = now - (quiet_since or now)
        quiet = not waiting["handed over"] or still > (ORPHANS_S if waiting["orphans"] else QUIET_S)
        if quiet and not any(moving.values()) and not waiting["receipts"]:
            return
        assert now < until, f"not settled within {seconds:g} s: {moving}, {waiting}"
        time.sleep(0.1)


def _moving(stack: Stack, allowed: Allowed) -> dict[str, int]:
    # Held recipients keep their campaign running; nothing else may.
    held = "SELECT campaign_id FROM message WHERE state = 2 AND uncertain_until IS NULL" if allowed.hold else "-1"
    queries = {
        "campaigns": f"SELECT COUNT(*) FROM campaign WHERE state IN (0, 2, 3) AND id NOT IN ({held})",
        "batches": "SELECT COUNT(*) FROM batch b JOIN campaign c ON c.account_id = b.account_id AND c.id = "
        "b.campaign_id WHERE b.state = 4 OR (b.state IN (1, 2, 3) AND c.state IN (0, 2, 3))",
        "sending": "SELECT COUNT(*) FROM message WHERE state = 0",
        "retrying": "SELECT COUNT(*) FROM message m JOIN campaign c ON c.account_id = m.account_id AND c.id = "
        "m.campaign_id WHERE m.state = 1 AND c.state <> 4",
        "uncertain": "SELECT COUNT(*) FROM message WHERE state = 2"
        + (" AND uncertain_until IS NOT NULL" if allowed.hold else ""),
    }
    text = " UNION ALL ".join(f"SELECT '{name}', ({sql})" for name, sql in queries.items())
    return {name: int(count) for name, count in stack.rows(text)}


class Books:
    """Everything that was written down about a run."""

    def __init__(self, stack: Stack, told: list[Told]) -> None:
        self.stack = stack
        self.told = {one.campaign_id: one for one in told}
        self.campaign_of = {number: one.campaign_id for one in told for number in one.ask.numbers}
        self.rows: dict[tuple[int, int], Row] = {}
        for campaign_id, number, state, attempt, parts, flags, credits, accepted, code, carrier in stack.rows(
            "SELECT campaign_id, destination, state, attempt, parts, flags, credits, accepted, code, carrier_id "
            "FROM message"
        ):
            self.rows[campaign_id, number] = Row(
                MessageState(state), attempt, parts, flags, credits, accepted, code, carrier
            )
        self.seen: dict[int, Seen] = defaultdict(Seen)
        for no, smsc in enumerate(stack.smscs):
            for entry in read_journal(smsc.journal):
                self._note(entry, f"{no}/{entry.message_id}")
        self.campaigns = {
            row[0]: row[1:]
            for row in stack.rows("SELECT id, state, messages, credits, segments, account_id FROM campaign")
        }
        self.batches = stack.rows(
            "SELECT campaign_id, state, attempt, size, marked, recorded, credits_each, numbers, owner FROM batch"
        )
        self.orphans = [row[0] for row in stack.rows("SELECT handset FROM orphan_receipt")]
        self.accounts = {
            row[0]: (row[1], row[2], row[3])
            for row in stack.rows("SELECT id, name, credits, ledger_no FROM account")
        }
        self.ledger = stack.rows("SELECT account_id, no, amount, kind, campaign_id FROM ledger")

    def _note(self, entry: JournalEntry, message_id: str) -> None:
        seen = self.seen[int(entry.destination)]
        if entry.kind == "S":
            seen.parts = entry.parts
            seen.references.add(entry.reference)
            if entry.status:
                seen.refused.append(entry.status)
            else:
                seen.accepted[entry.part].append(message_id)
                seen.times.append(entry.time_ms)
        elif entry.kind == "R":
            seen.sent[message_id].add(entry.stat)
        elif entry.status == 0:
            seen.acked.add(message_id)

    def state(self, campaign_id: int) -> int | None:
        """The state of that campaign, None when it is not there."""
        row = self.campaigns.get(campaign_id)
        return None if row is None else int(row[0])

    def row(self, number: int) -> Row | None:
        """The row of that number in its campaign."""
        return self.rows.get((self.campaign_of.get(number, 0), number))


def reconcile(name: str, stack: Stack, told: list[Told], allowed: Allowed, ports: list[int]) -> Report:
    """Settles, reads all books, checks them against each other and prints a line of counts.

    AssertionError lists everything that does not agree.
    """
    began = time.monotonic()
    settle(stack, allowed)
    books = Books(stack, told)
    report = Report()
    check_books(books, allowed, ports, report)
    _count(books, report)
    _show(f"{name} [{stack.engine}]", report, time.monotonic() - began)
    assert not report.faults, "\n".join(report.faults)
    return report


def check_books(books: Books, allowed: Allowed, ports: list[int], report: Report) -> None:
    """Every check there is; what does not agree is in `report`."""
    _money(books, report)
    check_sending(books, allowed, ports, report)


def check_sending(books: Books, allowed: Allowed, ports: list[int], report: Report) -> None:
    """Everything but the credits."""
    _acceptance(books, report)
    _recipients(books, allowed, report)
    _doubles(books, allowed, report)
    _receipts(books, report)
    _nothing_out(books, allowed, report)
    _what_the_api_says(books, ports, report)


def _acceptance(books: Books, report: Report) -> None:
    """What clients were told is what is stored."""
    report.fault("campaigns that clients were told of and that are not there", books.told.keys() - books.campaigns)
    report.fault("campaigns that nobody was told of", books.campaigns.keys() - books.told)
    packed: dict[int, list[int]] = defaultdict(list)
    for campaign_id, _, attempt, size, _, _, _, numbers, _ in books.batches:
        if attempt == 1:
            held = array("q")
            held.frombytes(numbers)
            assert len(held) == size
            packed[campaign_id] += held
    for campaign_id, one in books.told.items():
        if campaign_id not in books.campaigns:
            continue
        _, messages, credits, segments, _ = books.campaigns[campaign_id]
        if (one.messages, one.credits, one.segments) != (messages, credits, segments):
            report.fault("answers that differ from the campaign", [(campaign_id, one.messages, messages)])
        if one.messages != len(one.ask.numbers) or one.credits != one.messages * one.segments:
            report.fault("answers that differ from the request", [(campaign_id, one.messages, one.credits)])
        if sorted(packed[campaign_id]) != sorted(one.ask.numbers):
            report.fault("campaigns whose batches are not what was posted", [campaign_id])


def _recipients(books: Books, allowed: Allowed, report: Report) -> None:
    """Every accepted recipient has one row, final or explained; every submit has an accepted recipient."""
    unsent = _never_marked(books)
    lost, unexplained, untrue, refused, parts = [], [], [], [], []
    for number, campaign_id in books.campaign_of.items():
        row, seen = books.row(number), books.seen.get(number)
        if row is None:
            if number not in unsent:
                lost.append((campaign_id, number))
            elif seen is not None:
                unexplained.append((campaign_id, number, "submitted, and never marked"))
            continue
        paused = campaign_id in allowed.still and row.state is MessageState.RETRYING
        held = allowed.keeps(row) and row.state is MessageState.UNCERTAIN
        if row.state not in (*FINAL, MessageState.HANDED_OVER) and not held and not paused:
            unexplained.append((campaign_id, number, row.state.name))
        if row.parts != books.told[campaign_id].segments and row.state is not MessageState.WASHED:
            parts.append((campaign_id, number, row.parts))
        whole = seen is not None and seen.whole
        if row.state in (MessageState.HANDED_OVER, MessageState.DELIVERED) and not whole:
            untrue.append((campaign_id, number, row.state.name))
        if row.state in (MessageState.WASHED, MessageState.CANCELLED) and seen is not None and seen.accepted:
            untrue.append((campaign_id, number, row.state.name))
        told_so = whole or row.code == GAVE_UP or (seen is not None and (row.code in seen.refused or seen.failed))
        if row.state is MessageState.FAILED and not told_so:
            refused.append((campaign_id, number, row.code))
    report.fault("accepted and never submitted", lost)
    report.fault("states that are not final", unexplained)
    report.fault("rows of another length than the message", parts)
    report.fault("rows that say more than the SMSC saw", untrue)
    report.fault("failures that nobody reported", refused)
    report.fault(
        "rows of recipients that nobody posted",
        [key for key in books.rows if books.campaign_of.get(key[1]) != key[0]],
    )
    report.fault("submits to numbers that nobody posted", books.seen.keys() - books.campaign_of.keys())
    report.fault(
        "long messages whose parts have different references",
        [number for number, seen in books.seen.items() if len(seen.references) > 1],
    )


def _never_marked(books: Books) -> set[int]:
    """What lies beyond `marked` in the batches of campaigns that do not send."""
    left: set[int] = set()
    for campaign_id, _, attempt, _, marked, _, _, numbers, _ in books.batches:
        if attempt == 1 and books.state(campaign_id) in STOPPED:
            held = array("q")
            held.frombytes(numbers)
            left.update(held[marked:])
    return left


def _doubles(books: Books, allowed: Allowed, report: Report) -> None:
    """Submitted twice only where flagged, at most a window a bind and event; never with hold."""
    twice = [number for number, seen in books.seen.items() if seen.twice]
    flagged = [key for key, row in books.rows.items() if row.uncertain]
    most = allowed.most
    if most is None:
        most = allowed.events * books.stack.window * books.stack.binds
    report.counts["twice"] = len(twice)
    report.counts["uncertain"] = len(flagged)
    report.fault(
        "submitted twice and not flagged uncertain",
        [number for number in twice if (row := books.row(number)) is None or not row.uncertain],
    )
    if len(twice) > most:
        report.fault(f"submitted twice beyond {most}, one window a bind and event", twice)
    if len(flagged) > most:
        report.fault(f"flagged uncertain beyond {most}, one window a bind and event", flagged)
    if allowed.hold:
        kept = [number for number in twice if (row := books.row(number)) is not None and allowed.keeps(row)]
        report.fault("submitted twice although held", kept)


def _receipts(books: Books, report: Report) -> None:
    """Every receipt that was acknowledged shows in its row, or waits as an orphan of an uncertain recipient."""
    wrong = []
    orphans = Counter(books.orphans)
    for number, seen in books.seen.items():
        row = books.row(number)
        if row is None or not seen.whole:
            continue
        may = _states(seen)
        if row.uncertain:
            # A receipt of an attempt whose id never came back finds its message only while that is uncertain.
            may |= {MessageState.FAILED, MessageState.DELIVERED} if _states(seen, any_copy=True) else set()
            if orphans[number]:
                may.add(MessageState.HANDED_OVER)
        if row.state is MessageState.UNCERTAIN or row.code == GAVE_UP:
            continue
        if row.state not in may:
            wrong.append((number, row.state.name, sorted(state.name for state in may)))
    report.fault("states that are not what the receipts say", wrong)
    report.fault(
        "receipts that found no message",
        [number for number in orphans if (row := books.row(number or 0)) is None or not row.uncertain],
    )
    report.fault("quarantined", books.stack.rows("SELECT kind, reason FROM quarantine"))


def _states(seen: Seen, *, any_copy: bool = False) -> set[MessageState]:
    """The states that the receipts of a wholly accepted message allow.

    A receipt that was sent and not acknowledged may have been applied, or not. With `any_copy`, whether there is
    a receipt at all.
    """
    delivered_or, failed_or, open_or = True, False, False
    must_fail = must_wait = False
    for ids in seen.accepted.values():
        stats = {stat for one in ids for stat in seen.sent.get(one, ())}
        if any_copy and stats:
            return {MessageState.FAILED, MessageState.DELIVERED}
        known = bool(ids) and all(one in seen.acked for one in ids)
        good, bad = "DELIVRD" in stats, bool(stats - {"DELIVRD", "ENROUTE"})
        delivered_or = delivered_or and good
        failed_or = failed_or or bad
        open_or = open_or or not known
        must_fail = must_fail or (known and bad and not good)
        must_wait = must_wait or not stats
    if any_copy:
        return set()
    if must_fail:
        return {MessageState.FAILED}
    states = set()
    if delivered_or:
        states.add(MessageState.DELIVERED)
    if failed_or:
        states.add(MessageState.FAILED)
    if open_or or must_wait:
        states.add(MessageState.HANDED_OVER)
    return states


def _money(books: Books, report: Report) -> None:
    """The ledger's sums are the balances; charged is what was told; refunded is what the contract says."""
    sums: Counter[int] = Counter()
    charged: Counter[int] = Counter()
    refunded: Counter[int] = Counter()
    lines: dict[int, list[int]] = defaultdict(list)
    for account_id, no, amount, kind, campaign_id in books.ledger:
        sums[account_id] += amount
        lines[account_id].append(no)
        if kind == "charge":
            charged[campaign_id] -= amount
        elif kind == "refund":
            refunded[campaign_id] += amount
    for account_id, (name, credits, last) in books.accounts.items():
        if sums[account_id] != credits:
            report.fault("balances that are not the ledger's sum", [(name, credits, sums[account_id])])
        if sorted(lines[account_id]) != list(range(1, last + 1)):
            report.fault("ledgers with gaps", [name])
    due: Counter[int] = Counter()
    for (campaign_id, _), row in books.rows.items():
        gave_up = row.state is MessageState.FAILED and row.code == GAVE_UP
        back = row.state in (MessageState.WASHED, MessageState.CANCELLED)
        if back or (gave_up and not row.accepted and not row.uncertain):
            due[campaign_id] += row.credits
    for campaign_id, _, attempt, size, marked, _, each, _, _ in books.batches:
        if attempt == 1 and books.state(campaign_id) == CampaignState.DELETED:
            due[campaign_id] += (size - marked) * each
    for campaign_id, one in books.told.items():
        if one.modified:
            # What a change of the text gave back is a refund too.
            paid, cost = charged[campaign_id] - refunded[campaign_id], one.credits - due[campaign_id]
            report.fault("paid other than told", [(campaign_id, paid, cost)] if paid != cost else [])
            continue
        if charged[campaign_id] != one.credits:
            report.fault("charged other than told", [(campaign_id, charged[campaign_id], one.credits)])
        if refunded[campaign_id] != due[campaign_id]:
            report.fault("refunded other than due", [(campaign_id, refunded[campaign_id], due[campaign_id])])
    report.counts["charged"] = charged.total()
    report.counts["refunded"] = refunded.total()


def _nothing_out(books: Books, allowed: Allowed, report: Report) -> None:
    """No batch is with an engine, and no campaign runs, once all is settled."""
    report.fault(
        "batches that are still out",
        [(row[0], row[8]) for row in books.batches if row[1] == BatchState.OUT or row[8] is not None],
    )
    report.fault(
        "batches whose end is not recorded",
        [row[0] for row in books.batches if row[1] == BatchState.DONE and row[4] != row[3] and not row[2] > 1],
    )
    held = {key[0] for key, row in books.rows.items() if row.state is MessageState.UNCERTAIN}
    running = (CampaignState.ACCEPTING, CampaignState.STARTING, CampaignState.RUNNING)
    report.fault(
        "campaigns that still run",
        [
            (campaign_id, CampaignState(row[0]).name)
            for campaign_id, row in books.campaigns.items()
            if row[0] in running and not (allowed.hold and campaign_id in held)
        ],
    )


_WORDS = {
    CampaignState.SCHEDULED: "Scheduled",
    CampaignState.DELETED: "Deleted",
    CampaignState.PAUSED: "Paused",
    CampaignState.FINISHED: "Finished",
}


def _what_the_api_says(books: Books, ports: list[int], report: Report) -> None:
    """DRStatus, the status action and the balance are the rows."""
    final: dict[int, dict[int, tuple[int, int]]] = defaultdict(dict)
    for (campaign_id, number), row in books.rows.items():
        if row.state is MessageState.DELIVERED:
            final[campaign_id][number] = (1, 0)
        elif row.state is MessageState.FAILED:
            final[campaign_id][number] = (2, row.code)
    names = {account_id: name for account_id, (name, _, _) in books.accounts.items()}
    apis = {name: Api(ports, name) for name in names.values()}
    try:
        for campaign_id, (state, _, _, _, account_id) in books.campaigns.items():
            api = apis[names[account_id]]
            if api.delivery(campaign_id) != final[campaign_id]:
                report.fault("campaigns whose DRStatus is not what the rows say", [campaign_id])
            word = api.action(campaign_id, "status")["Message"]
            if word != _WORDS.get(CampaignState(state), "Running"):
                report.fault("campaigns whose status is not what the row says", [(campaign_id, word)])
        for name, credits, _ in books.accounts.values():
            if apis[name].credits() != credits:
                report.fault("balances that the API tells otherwise", [name])
    finally:
        for api in apis.values():
            api.close()


def _count(books: Books, report: Report) -> None:
    states = Counter(row.state for row in books.rows.values())
    submits = sum(len(ids) for seen in books.seen.values() for ids in seen.accepted.values())
    first = {
        "campaigns": len(books.told),
        "accepted": len(books.campaign_of),
        "submits": submits,
        "refusals": sum(len(seen.refused) for seen in books.seen.values()),
        "delivered": states[MessageState.DELIVERED],
        "failed": states[MessageState.FAILED],
        "handed": states[MessageState.HANDED_OVER],
        "held": states[MessageState.UNCERTAIN],
        "cancelled": len(books.campaign_of) - states.total() + states[MessageState.CANCELLED],
        "resent": sum(1 for row in books.rows.values() if row.flags & 2),
        "orphans": len(books.orphans),
        "repeats": sum(one.repeats for one in books.told.values()),
    }
    report.counts = {**first, **report.counts}


_titles: list[str] = []


def _show(name: str, report: Report, seconds: float) -> None:
    """A line of the table that a report is made of (pytest -s)."""
    counts = {**report.counts, "settled_s": round(seconds, 1)}
    if not _titles:
        _titles.extend(counts)
        print("\n" + "scenario".ljust(34) + " ".join(title.rjust(max(7, len(title))) for title in _titles))
    cells = (str(counts.get(title, "")).rjust(max(7, len(title))) for title in _titles)
    print(name.ljust(34) + " ".join(cells) + (" DISAGREES" if report.faults else ""))
    sys.stdout.flush()
