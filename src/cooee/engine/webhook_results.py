"""What came of calls of webhooks, recorded in groups."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from cooee.engine.membership import Membership
from cooee.engine.webhook_lane import Lane, failed_row
from cooee.model.clock import Clock
from cooee.model.errors import CooeeError
from cooee.model.metrics import WEBHOOKS
from cooee.model.webhook import DeliveryState
from cooee.service.receiver import Outcome
from cooee.store import webhooks as rows
from cooee.store.database import Database, Tx
from cooee.store.database import Lane as Priority
from cooee.store.webhooks import Due, Results

log = structlog.get_logger()

GROUP_S = 0.025
"""How long results wait for each other."""
GROUP = 500
AGAIN_S = 1.0


class Recorder:
    """Takes outcomes, and has them committed; `recorded` is told of each lane of which some were.

    While the store is down they are kept, and no reply is called for twice: a lane forgets it when it is recorded.
    """

    def __init__(
        self, database: Database, clock: Clock, membership: Membership, recorded: Callable[[Lane], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._membership = membership
        self._told = recorded
        self._results = Results()
        self._unrecorded: list[tuple[Lane, int]] = []
        self._recorded: list[tuple[Lane, int]] = []
        self._expired: set[int] = set()
        self._remembering = False
        self._some = asyncio.Event()
        self._turn = asyncio.Lock()

    def add(self, lane: Lane, due: Due, outcome: Outcome, now: int, *, health: bool) -> None:
        """An outcome, at `now` (UTC ms); `health`: with how the receiver does."""
        if outcome.taken:
            self._results.taken.append((due.account_id, due.reply_id, now, outcome.status))
        else:
            down_since = now if lane.down_since is None else lane.down_since
            self._results.failed.append(failed_row(due, outcome, down_since, now))
        if health:
            self._results.health[lane.account_id] = lane.health
        self._unrecorded.append((lane, due.reply_id))
        self._some.set()

    def give_up(self, account: int) -> None:
        """The account's receiver has been down all day: what is older is parked after the next results."""
        self._expired.add(account)
        self._some.set()

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """While rows are read: what is recorded meanwhile may still look there as if it waited, so lanes go on
        knowing it until the end."""
        self._remembering = True
        try:
            yield
        finally:
            self._remembering = False
            self._forget()

    def _forget(self) -> None:
        for lane, reply_id in self._recorded:
            lane.known.discard(reply_id)
        lanes = {lane for lane, _ in self._recorded}
        self._recorded.clear()
        for lane in lanes:
            self._told(lane)

    async def run(self) -> None:
        """Records until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(GROUP_S)
            try:
                await self.flush()
            except CooeeError as error:
                log.warning("webhook_results_wait", reason=str(error))
                await asyncio.sleep(AGAIN_S)

    async def flush(self) -> None:
        """Records everything that has come. An error of the store leaves the rest for the next time."""
        async with self._turn:
            self._some.clear()
            while self._results:
                group, ends = self._results, self._unrecorded
                self._results, self._unrecorded = Results(), []
                try:
                    await self._commit(group)
                except BaseException:
                    # Perhaps it was committed: to repeat it does no harm.
                    self._results = _joined(group, self._results)
                    self._unrecorded = ends + self._unrecorded
                    self._some.set()
                    raise
                WEBHOOKS.labels("delivered").inc(len(group.taken))
                WEBHOOKS.labels("failed").inc(len(group.failed))
                WEBHOOKS.labels("parked").inc(sum(row[3] == DeliveryState.PARKED for row in group.failed))
                self._recorded += ends
                if not self._remembering:
                    self._forget()
            for account in list(self._expired):
                await self._park(account)
                self._expired.discard(account)

    async def _commit(self, group: Results) -> None:
        owner = self._membership.id
        for first in range(0, max(len(group.taken), len(group.failed), 1), GROUP):
            piece = Results(
                group.taken[first : first + GROUP],
                group.failed[first : first + GROUP],
                group.health if first == 0 else {},
            )

            async def write(tx: Tx, piece: Results = piece) -> None:
                await rows.record(tx, owner, piece)

            # Before all else: until it is written, a kill has the receiver told again.
            await self._database.write(write, Priority.RECEIPTS)

    async def _park(self, account: int) -> None:
        total, moved = 0, rows.PIECE
        while moved == rows.PIECE:
            moved = await self._park_piece(account, self._clock.now_ms())
            total += moved
        if total:
            WEBHOOKS.labels("parked").inc(total)
            log.warning("webhook_parked", account=account, replies=total)

    async def _park_piece(self, account: int, now: int) -> int:
        return await self._database.write(
            lambda tx: rows.park_expired(tx, account, "the receiver was down", now), Priority.BULK
        )


def _joined(first: Results, second: Results) -> Results:
    return Results(first.taken + second.taken, first.failed + second.failed, {**first.health, **second.health})
