"""A batch that a bind has out: which recipients are on their way, and what their answers come to.

Answers are turned into rows here, in memory; `worker.py` records them with the next trip. Nothing in this module
waits or writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import SystemRandom

import msgspec

from cooee.carriers.base import Answer, Segment, SendError
from cooee.model.message import FLAG_UNCERTAIN, MessageState
from cooee.smpp.receipt import canonical_id
from cooee.store.claims import Claimed
from cooee.store.database import Row
from cooee.store.dispatch import Refused, Step
from cooee.store.refs import Ref

_random = SystemRandom()
_HANDED_OVER = int(MessageState.HANDED_OVER)
LONGEST_WAIT_MS = 15 * 60 * 1000


@dataclass(slots=True)
class Partial:
    """A long message that is not answered in all its parts."""

    open: int
    accepted: int
    error: SendError | None = None
    status: int = 0
    unsure: bool = False
    refs: list[Ref] = field(default_factory=list)
    """Ids of its accepted parts. They are recorded with its row: a receipt that finds an id finds its message."""


@dataclass(slots=True)
class Tally:
    """What a handful of answers came to, for the metrics and for pacing."""

    accepted: int = 0
    refused: int = 0
    retried: int = 0
    uncertain: int = 0
    throttled: bool = False


class Pending(msgspec.Struct):
    """Rows that the next trip records."""

    rows: list[Row] = msgspec.field(default_factory=list)
    refs: list[Ref] = msgspec.field(default_factory=list)
    refused: list[Refused] = msgspec.field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.rows or self.refused or self.refs)

    def put_back(self, step: Step) -> None:
        """A trip failed, for certain: what it carried waits for the next one."""
        self.rows[:0] = step.rows
        self.refs[:0] = step.refs
        self.refused[:0] = step.refused


class Work:
    """One claimed batch. `prepared` is the carrier's own form of its message, of `parts` parts."""

    __slots__ = (
        "answered", "claim", "disowned", "expires_at", "first_at", "marked", "open", "partial", "parts", "pending",
        "prepared", "recorded", "stop_marking",
    )  # fmt: skip

    def __init__(self, claim: Claimed, prepared: object, parts: int, now: int, max_age_ms: int) -> None:
        self.claim = claim
        self.prepared = prepared
        self.parts = parts
        self.first_at = claim.first_at or now
        self.expires_at = claim.expires_at or now + max_age_ms
        self.marked = claim.marked
        self.recorded = claim.start
        """Every position before this one has its row, or gets it with `pending`."""
        self.answered = bytearray(len(claim.numbers))
        if claim.start:
            self.answered[: claim.start] = b"\1" * claim.start
        self.open = 0
        self.pending = Pending()
        self.partial: dict[int, Partial] = {}
        self.stop_marking = False
        self.disowned = False
        """A peer has it, or nobody knows: answers that still come are late ones."""

    @property
    def left(self) -> int:
        """Recipients that are not marked yet."""
        return len(self.claim.numbers) - self.marked

    def settle(self, position: int) -> None:
        """This recipient needs no answer any more."""
        self.answered[position] = 1

    def advance(self) -> None:
        """Moves `recorded` over everything that is answered."""
        if self.recorded < self.marked:
            gap = self.answered.find(0, self.recorded, self.marked)
            self.recorded = self.marked if gap < 0 else gap

    def step(self, numbers: Sequence[int], retry_no: int, release: bool) -> Step:
        """This batch's part in a trip; takes what is pending. To be called after `advance`."""
        pending, self.pending = self.pending, Pending()
        claim = self.claim
        return Step(
            key=claim.key,
            epoch=claim.epoch,
            attempt=claim.attempt,
            parts=self.parts,
            credits_each=claim.credits_each,
            flags=claim.flags,
            first_at=self.first_at,
            expires_at=self.expires_at,
            size=len(claim.numbers),
            marked=self.marked,
            recorded=self.recorded,
            in_flight=self.open > 0 or self.recorded < self.marked,
            rows=pending.rows,
            refs=pending.refs,
            refused=pending.refused,
            retry_no=retry_no,
            numbers=numbers,
            release=release,
        )

    def row(self, number: int, state: int, accepted: int, code: int, detail: str | None, until: int | None) -> Row:
        """A row of the journal for one recipient of this batch."""
        claim = self.claim
        flags = claim.flags | FLAG_UNCERTAIN if state == MessageState.UNCERTAIN else claim.flags
        return (
            claim.key[0], claim.key[1], number, state, claim.attempt, self.parts, accepted, flags,
            claim.credits_each, self.first_at, until, code, detail,
        )  # fmt: skip

    def wait_ms(self, error: SendError) -> int:
        """How long a refused recipient waits: longer with every attempt, jittered."""
        wait = min(LONGEST_WAIT_MS, error.wait_ms << min(self.claim.attempt - 1, 12))
        return round(wait * _random.uniform(0.75, 1.25))


class Slip(msgspec.Struct):
    """The engine's token on a slice: whose it is, and which positions its recipients have in the batch."""

    work: Work
    positions: Sequence[int]


class Answers:
    """Turns answers into rows. `judge` is the carrier's; `until` says when an uncertain recipient is decided."""

    def __init__(self, judge: Callable[[int], SendError], until: Callable[[int], int | None]) -> None:
        self._judge = judge
        self._until = until

    def take(self, slip: Slip, answers: Sequence[Answer], now: int, tally: Tally) -> None:
        """Answers to segments that were waiting for one."""
        work = slip.work
        if work.parts > 1:
            for position, part, status, smsc_id in answers:
                self._part(work, slip.positions[position], part, status, smsc_id, now, tally)
            return
        claim = work.claim
        account_id, campaign_id, _ = claim.key
        numbers, answered, positions = claim.numbers, work.answered, slip.positions
        rows, refs, attempt = work.pending.rows, work.pending.refs, claim.attempt
        # The one row that differs in nothing but its number is built without a call a message.
        tail = (_HANDED_OVER, attempt, 1, 1, claim.flags, claim.credits_each, work.first_at, None, 0, None)
        accepted = 0
        for position, _, status, smsc_id in answers:
            at = positions[position]
            answered[at] = 1
            number = numbers[at]
            if status == 0:
                accepted += 1
                rows.append((account_id, campaign_id, number, *tail))
                refs.append((canonical_id(smsc_id), now, account_id, campaign_id, number, 0, attempt))
            else:
                self._refuse(work, number, 0, status, tally)
        tally.accepted += accepted
        work.open -= len(answers)

    @staticmethod
    def expect(
        work: Work, positions: Sequence[int], wanted: Sequence[Sequence[int]], accepted: Mapping[int, int]
    ) -> None:
        """A retry that sends some parts only: the others are accepted already."""
        for at, parts in zip(positions, wanted, strict=True):
            work.partial[at] = Partial(len(parts), accepted.get(at, 0))

    def _refuse(self, work: Work, number: int, accepted: int, status: int, tally: Tally) -> None:
        error = self._judge(status)
        tally.throttled = tally.throttled or error.slows
        if error.retry:
            tally.retried += 1
            work.pending.refused.append(Refused(number, accepted, status, error.words, work.wait_ms(error)))
        else:
            tally.refused += 1
            work.pending.rows.append(work.row(number, MessageState.FAILED, accepted, status, error.words, None))

    def _entry(self, work: Work, at: int) -> Partial:
        entry = work.partial.get(at)
        if entry is None:
            entry = work.partial[at] = Partial(work.parts, 0)
        return entry

    def _part(self, work: Work, at: int, part: int, status: int, smsc_id: str, now: int, tally: Tally) -> None:
        entry = self._entry(work, at)
        entry.open -= 1
        work.open -= 1
        self._note(work, entry, at, part, status, smsc_id, now)
        if entry.open <= 0:
            self._finish(work, at, entry, now, tally)

    def _note(self, work: Work, entry: Partial, at: int, part: int, status: int, smsc_id: str, now: int) -> None:
        if status == 0:
            entry.accepted |= 1 << part
            account_id, campaign_id, _ = work.claim.key
            number = work.claim.numbers[at]
            entry.refs.append(
                (canonical_id(smsc_id), now, account_id, campaign_id, number, part, work.claim.attempt)
            )
            return
        error = self._judge(status)
        # A part that is refused for good decides for the whole message.
        if entry.error is None or (entry.error.retry and not error.retry):
            entry.error, entry.status = error, status

    def _finish(self, work: Work, at: int, entry: Partial, now: int, tally: Tally) -> None:
        """Every part is answered or given up: one row for the message."""
        work.answered[at] = 1
        work.pending.refs += entry.refs
        number = work.claim.numbers[at]
        full = (1 << work.parts) - 1
        if entry.accepted == full:
            tally.accepted += 1
            work.pending.rows.append(work.row(number, _HANDED_OVER, full, 0, None, None))
        elif entry.unsure:
            tally.uncertain += 1
            until = self._until(now)
            work.pending.rows.append(work.row(number, MessageState.UNCERTAIN, entry.accepted, 0, None, until))
        elif entry.error is not None:
            self._refuse(work, number, entry.accepted, entry.status, tally)

    def lose(
        self, slip: Slip, unsure: Sequence[Segment], unsent: Sequence[Segment], now: int, tally: Tally
    ) -> None:
        """Segments that get no answer: written ones make their recipient uncertain, unwritten ones try again."""
        work = slip.work
        for kind, segments in ((True, unsure), (False, unsent)):
            for position, _ in segments:
                at = slip.positions[position]
                work.open -= 1
                if work.parts == 1:
                    self._lose_one(work, at, kind, now, tally)
                    continue
                entry = self._entry(work, at)
                entry.open -= 1
                entry.unsure = entry.unsure or kind
                if not kind and entry.error is None:
                    entry.error = SendError.NOT_SENT
                if entry.open <= 0:
                    self._finish_lost(work, at, entry, now, tally)

    def _lose_one(self, work: Work, at: int, unsure: bool, now: int, tally: Tally) -> None:
        work.answered[at] = 1
        number = work.claim.numbers[at]
        if unsure:
            tally.uncertain += 1
            work.pending.rows.append(work.row(number, MessageState.UNCERTAIN, 0, 0, None, self._until(now)))
        else:
            self._not_sent(work, number, 0, tally)

    def _finish_lost(self, work: Work, at: int, entry: Partial, now: int, tally: Tally) -> None:
        if not entry.unsure and entry.error is SendError.NOT_SENT:
            work.answered[at] = 1
            work.pending.refs += entry.refs
            self._not_sent(work, work.claim.numbers[at], entry.accepted, tally)
        else:
            self._finish(work, at, entry, now, tally)

    @staticmethod
    def _not_sent(work: Work, number: int, accepted: int, tally: Tally) -> None:
        tally.retried += 1
        error = SendError.NOT_SENT
        work.pending.refused.append(Refused(number, accepted, 0, error.words, error.wait_ms))

    def late(self, slip: Slip, answers: Sequence[Answer], now: int) -> tuple[list[Row], list[Ref]]:
        """Answers to what was called uncertain: rows that raise it, where they say something final.

        A late temporary refusal changes nothing: the carrier's policy decides.
        """
        work = slip.work
        rows: list[Row] = []
        refs: list[Ref] = []
        account_id, campaign_id, _ = work.claim.key
        for position, part, status, smsc_id in answers:
            at = slip.positions[position]
            number = work.claim.numbers[at]
            entry = work.partial.get(at) or Partial(0, 0)
            if status == 0:
                entry.accepted |= 1 << part
                ref = (canonical_id(smsc_id), now, account_id, campaign_id, number, part, work.claim.attempt)
                if entry.open > 0:
                    # Its other parts are still out: the id goes with the row, when that is written.
                    entry.refs.append(ref)
                    continue
                refs.append(ref)
                if entry.accepted == (1 << work.parts) - 1:
                    rows.append(work.row(number, _HANDED_OVER, entry.accepted, 0, None, None))
            elif not self._judge(status).retry:
                words = self._judge(status).words
                rows.append(work.row(number, MessageState.FAILED, entry.accepted, status, words, None))
            if work.parts > 1:
                work.partial[at] = entry
        return rows, refs
