"""What one link brings to its worker: answers, losses and late answers, kept until a trip records them.

Called by the link, on the event loop. Nothing here waits but `record_late`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from cooee.carriers.base import Answer, Carrier, Order, Segment, Slice
from cooee.engine.pacing import Pacing
from cooee.engine.work import Answers, Slip, Tally, Work
from cooee.model.clock import Clock
from cooee.model.errors import CooeeError
from cooee.model.metrics import SUBMITTED, UNCERTAIN
from cooee.store import dispatch
from cooee.store.database import Database, Lane, Row
from cooee.store.refs import Ref

log = structlog.get_logger()

ANSWERS = 2000
"""Answers that one trip records at most."""


class Arrivals:
    """`until` says when an uncertain recipient is decided; `wake` is called when there is something to record."""

    def __init__(
        self,
        carrier: Carrier,
        clock: Clock,
        pacing: Pacing,
        until: Callable[[int], int | None],
        wake: Callable[[], None],
    ) -> None:
        self.name = carrier.name
        """Of the link, for the log."""
        self.answered: Counter[str] = Counter()
        """Messages by what became of them, as in the metric `cooee_submit_total`."""
        self._carrier = carrier
        self._clock = clock
        self._pacing = pacing
        self._wake = wake
        self._answers = Answers(carrier.judge, until)
        self._slices: list[Slice] = []
        self._known: set[int] = set()
        self._late: list[tuple[list[Row], list[Ref]]] = []
        self._losses: list[tuple[int, int, str]] = []

    @property
    def has_news(self) -> bool:
        """Whether there is something that no trip has taken along."""
        return bool(self._slices or self._late)

    @property
    def has_late(self) -> bool:
        """Whether there are late answers to be recorded."""
        return bool(self._late)

    # --- from the link -------------------------------------------------------------------------------------

    def answers(self, slices: Sequence[Slice]) -> None:
        """New answers; see `carriers.base.LinkEvents`."""
        for what in slices:
            if id(what) not in self._known:
                self._known.add(id(what))
                self._slices.append(what)
        self._wake()

    def lost(self, what: Slice, unsure: Sequence[Segment], unsent: Sequence[Segment], reason: str) -> None:
        """No answer will come; see `carriers.base.LinkEvents`."""
        slip = what.token
        if not isinstance(slip, Slip) or slip.work.disowned:
            return
        if not self._losses:
            asyncio.get_running_loop().call_soon(self._say_lost)
        self._losses.append((len(unsure), len(unsent), reason))
        if what.answers:
            # Its last answers are still here: they come before the loss.
            answers, what.answers = what.answers, []
            tally = Tally()
            self._answers.take(slip, answers, self._clock.now_ms(), tally)
            self._count(tally)
        self._lose(slip, unsure, unsent)

    def late(self, what: Slice, answers: Sequence[Answer]) -> None:
        """Answers to what was given up; see `carriers.base.LinkEvents`."""
        slip = what.token
        if isinstance(slip, Slip):
            self._late.append(self._answers.late(slip, answers, self._clock.now_ms()))
            self._wake()

    def _say_lost(self) -> None:
        """One line for all that an event cost, however many slices it was."""
        losses, self._losses = self._losses, []
        unsure, unsent = sum(loss[0] for loss in losses), sum(loss[1] for loss in losses)
        log.warning("answers_lost", link=self.name, segments=unsure, unsent=unsent, reason=losses[0][2])

    def _lose(self, slip: Slip, unsure: Sequence[Segment], unsent: Sequence[Segment]) -> None:
        tally = Tally()
        self._answers.lose(slip, unsure, unsent, self._clock.now_ms(), tally)
        self._count(tally)
        self._wake()

    # --- for the worker ------------------------------------------------------------------------------------

    def expect(
        self, work: Work, positions: Sequence[int], wanted: Sequence[Sequence[int]], accepted: Mapping[int, int]
    ) -> None:
        """See `work.Answers.expect`."""
        self._answers.expect(work, positions, wanted, accepted)

    def never_written(self, orders: Iterable[Order]) -> None:
        """These were marked, and could not be given to the link any more."""
        for order in orders:
            slip = order.token
            if isinstance(slip, Slip):
                parts = order.wanted or [range(slip.work.parts)] * len(order.destinations)
                self._lose(slip, (), [(index, part) for index, some in enumerate(parts) for part in some])

    def take(self, now: int) -> None:
        """Turns the answers that have come into rows of their batches."""
        if not self._slices:
            return
        tally = Tally()
        taken = 0
        kept: list[Slice] = []
        for what in self._slices:
            if taken >= ANSWERS:
                kept.append(what)
                continue
            answers, what.answers = what.answers, []
            taken += len(answers)
            slip = what.token
            if not isinstance(slip, Slip):
                continue
            if slip.work.disowned:
                self._late.append(self._answers.late(slip, answers, now))
            else:
                self._answers.take(slip, answers, now, tally)
        self._slices = kept
        self._known = {id(what) for what in kept}
        if kept:
            self._wake()
        self._count(tally)

    def keep_late(self, rows: list[Row], refs: list[Ref]) -> None:
        """What is known of batches that are not ours any more: to be recorded as late answers."""
        self._late.append((rows, refs))

    async def record_late(self, database: Database) -> bool:
        """Records what came too late for its batch; False when the store is away, and it waits."""
        if not self._late:
            return True
        late, self._late = self._late, []
        rows = [row for some, _ in late for row in some]
        refs = [ref for _, some in late for ref in some]
        now = self._clock.now_ms()
        try:
            await database.write(
                lambda tx: dispatch.record_late(tx, self._carrier.id, rows, refs, now), Lane.ENGINE
            )
        except CooeeError as error:
            log.warning("late_answers_deferred", link=self.name, answers=len(refs), reason=str(error))
            self._late[:0] = late
            return False
        return True

    def _count(self, tally: Tally) -> None:
        name = self._carrier.name
        counts = {
            "accepted": tally.accepted,
            "refused": tally.refused,
            "retried": tally.retried,
            "uncertain": tally.uncertain,
        }
        for outcome, count in counts.items():
            if count:
                SUBMITTED.labels(name, outcome).inc(count)
                self.answered[outcome] += count
        if tally.uncertain:
            UNCERTAIN.labels(name, "no answer").inc(tally.uncertain)
        if tally.throttled:
            self._pacing.throttled()
