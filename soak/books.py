"""The books of a storm: those of the reconciliation harness, and what only a storm has."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from cooee.engine.webhook_lane import MOST_UNRECORDED
from cooee.model.campaign import CampaignState
from cooee.model.message import FLAG_RESENT, MessageState
from soak.clients import Promises
from soak.handsets import Handsets, Webhook
from soak.plan import KINDS
from soak.storm import Happened, Storm
from soak.world import CARRIERS, INBOUND, World
from tests.reconcile.support_reconcile import Allowed, Books, Report, check_books
from tests.reconcile.support_stack import wait_for

PROMISED = (
    "accepted and never submitted",
    "receipts lost",
    "replies lost",
    "replies stored twice",
    "ledger other than balance",
    "charged for washed or cancelled",
    "states that went down",
    "submitted twice without a doubt",
    "submitted twice although held",
)
"""What must be 0, in the order of the table."""
WORDS = {
    "accepted and never submitted": "accepted and never submitted",
    "campaigns that clients were told of and that are not there": "accepted and never submitted",
    "states that are not what the receipts say": "receipts lost",
    "receipts that found no message": "receipts lost",
    "replies lost": "replies lost",
    "replies that the webhook was not told of": "replies lost",
    "replies stored twice": "replies stored twice",
    "balances that are not the ledger's sum": "ledger other than balance",
    "ledgers with gaps": "ledger other than balance",
    "charged other than told": "charged for washed or cancelled",
    "refunded other than due": "charged for washed or cancelled",
    "paid other than told": "charged for washed or cancelled",
    "sent to although opted out": "charged for washed or cancelled",
    "states that went down": "states that went down",
    "submitted twice and not flagged uncertain": "submitted twice without a doubt",
    "submitted twice and no event explains it": "submitted twice without a doubt",
    "submitted twice although held": "submitted twice although held",
}
"""Which promise a disagreement of the books breaks; what is not in here is a fault without a column."""


@dataclass
class Outcome:
    """What came of a storm."""

    counts: dict[str, int]
    broken: dict[str, int]
    """By promise: how many times it was broken."""
    doubles: Counter[str] = field(default_factory=Counter)
    """Recipients submitted twice, by the kind of event that explains it."""
    faults: list[str] = field(default_factory=list)


@dataclass
class Replies:
    """What handsets wrote, and what the webhook was told."""

    handsets: list[Handsets]
    webhook: Webhook

    def settle(self, world: World, seconds: float = 90.0) -> None:
        """Until every message is stored and the webhook has acknowledged those that are its own."""
        smscs = world.stack.smscs
        done = "SELECT COUNT(*) FROM webhook_delivery WHERE state = 1"
        wait_for("no message waits", lambda: not any(one.ask("stats")["mo_pending"] for one in smscs), seconds)
        wait_for("no webhook waits", lambda: world.stack.rows(done) == [(0,)], seconds, 0.2)

    def check(self, world: World, storm: Storm, report: Report) -> None:
        """None lost, none stored twice; told twice only where an engine died, or a call was slow."""
        rows = world.stack.rows("SELECT r.body, a.name FROM reply r JOIN account a ON a.id = r.account_id")
        stored = Counter(row[0] for row in rows)
        sure = {text for some in self.handsets for _, text in some.sure}
        perhaps = {text for some in self.handsets for _, text in some.perhaps}
        report.fault("replies lost", sure - stored.keys())
        report.fault("replies stored twice", [text for text, count in stored.items() if count > 1])
        # Of a long message whose SMSC was killed, what had come is passed on after a while.
        strange = [text for text in stored.keys() - sure if not any(_lacks(one, text) for one in perhaps)]
        report.fault("replies that nobody wrote", strange)
        mine = {text for text, account in rows if account == next(iter(INBOUND))}
        told = self.webhook.acknowledged
        report.fault("replies that the webhook was not told of", mine - told.keys())
        report.fault("replies of others that the webhook was told of", told.keys() - mine)
        again = sum(count - 1 for count in told.values())
        doubtful = {kind.name for kind in KINDS if kind.doubtful(world.engine)} | {"stop", "disk-full"}
        events = sum(count for kind, count in storm.counts.items() if kind in doubtful)
        if again > events * MOST_UNRECORDED:
            report.fault("replies that the webhook was told of again", [(again, events)])
        report.counts["replies"], report.counts["told"] = stored.total(), told.total()
        report.counts["told_again"] = again


def _lacks(whole: str, text: str) -> bool:
    """Whether `text` is `whole`, or that with some of it missing."""
    letters = iter(whole)
    return all(letter in letters for letter in text)


def reconcile(world: World, promises: Promises, storm: Storm, replies: Replies, *, harmless: bool) -> Outcome:
    """Holds everything against everything. The storm is over and all is settled."""
    stack = world.stack
    keepers = frozenset(world.carrier_ids[carrier.name] for carrier in CARRIERS if carrier.hold)
    most = 0 if harmless else sum(event.most for event in storm.happened)
    timeouts = [line for line in stack.log_events("answers_lost") if "timeout" in str(line.get("reason", ""))]
    allowed = Allowed(hold=True, keepers=keepers, most=most if harmless else most + len(timeouts) * stack.window)
    books = Books(stack, list(promises.told.values()))
    report = Report()
    check_books(books, allowed, world.api_ports, report)
    _opted_out(books, world, report)
    _top_ups(books, promises, report)
    replies.check(world, storm, report)
    report.fault("states that went down", stack.rows("SELECT what, id, destination, old, new FROM soak_down"))
    doubles = _explained(books, storm.happened, report)
    outcome = Outcome(_counts(books, promises, report, keepers), dict.fromkeys(PROMISED, 0), doubles)
    for fault in report.faults:
        what, _, rest = fault.partition(": ")
        if what in WORDS:
            outcome.broken[WORDS[what]] += int(rest.split(",", 1)[0])
    outcome.faults = [*report.faults, *promises.faults, *storm.faults, *world.faults]
    return outcome


def _opted_out(books: Books, world: World, report: Report) -> None:
    """Who opted out was washed and refunded, whatever else happened."""
    gone = world.opted_out & books.campaign_of.keys()
    report.fault("sent to although opted out", [number for number in gone if number in books.seen])
    wrong = []
    for number in gone:
        row = books.row(number)
        deleted = books.state(books.campaign_of[number]) == CampaignState.DELETED
        if not (deleted if row is None else row.state is MessageState.WASHED):
            wrong.append((number, row and row.state.name))
    report.fault("opted out and not washed", wrong)


def _top_ups(books: Books, promises: Promises, report: Report) -> None:
    """Every top-up that a client was told of is in the ledger; one whose answer never came may be."""
    booked = sum(line[2] for line in books.ledger if line[3] == "topup")
    if not promises.topped_up <= booked <= promises.topped_up + promises.perhaps:
        report.fault("top-ups other than told", [(promises.topped_up, promises.perhaps, booked)])
    report.counts["topped_up"] = booked


def _explained(books: Books, happened: list[Happened], report: Report) -> Counter[str]:
    """Who was submitted twice was first submitted when something was happening that explains it."""
    doubtful = {kind.name for kind in KINDS if kind.doubts}
    events = [event for event in happened if event.kind in doubtful or event.most]
    doubles: Counter[str] = Counter()
    stray = []
    for number, seen in books.seen.items():
        if not seen.twice:
            continue
        first = min(seen.times) / 1000
        near = [event for event in events if event.since <= first <= event.until]
        if near:
            # Of several the one that ended soonest: later ones are more likely to have hit something younger.
            doubles[min(near, key=lambda event: event.until).kind] += 1
        else:
            stray.append((number, first))
    report.fault("submitted twice and no event explains it", stray)
    return doubles


def _counts(books: Books, promises: Promises, report: Report, keepers: frozenset[int]) -> dict[str, int]:
    states = Counter(row.state for row in books.rows.values())
    return {
        "campaigns": len(books.told),
        "recipients": len(books.campaign_of),
        "submits": sum(len(ids) for seen in books.seen.values() for ids in seen.accepted.values()),
        "receipts": sum(len(seen.acked) for seen in books.seen.values()),
        "delivered": states[MessageState.DELIVERED],
        "failed": states[MessageState.FAILED],
        "handed": states[MessageState.HANDED_OVER],
        "held": sum(row.state is MessageState.UNCERTAIN and row.carrier in keepers for row in books.rows.values()),
        "washed": states[MessageState.WASHED],
        "cancelled": len(books.campaign_of) - states.total() + states[MessageState.CANCELLED],
        "uncertain": report.counts["uncertain"],
        "twice": report.counts["twice"],
        "replies": report.counts["replies"],
        "told": report.counts["told"],
        "told_again": report.counts["told_again"],
        "resent": sum(bool(row.flags & FLAG_RESENT) for row in books.rows.values()),
        "repeats": sum(one.repeats for one in promises.told.values()),
        "unanswered": promises.unanswered,
        "refused_for_now": sum(n for (_, code), n in promises.answers.items() if code in (-990, -991)),
    }
