"""Everything that becomes due: campaigns, retries, uncertain recipients, and the sweeps that tidy up.

Each duty is a few short transactions and can be done by any engine; where two of them doing it at once would do
harm, a sweep lock lets one. A duty that fails is logged and comes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from cooee.model.clock import DAY, MINUTE, Clock, Window
from cooee.model.errors import CooeeError
from cooee.model.metrics import ORPHANS, RESENT
from cooee.model.words import counted
from cooee.service.routing import Routes
from cooee.store import acceptance, audience, campaigns, partitions, receipts, refs, uncertain
from cooee.store.database import Database, Lane, Row, Tx
from cooee.store.ids import Ids
from cooee.store.uncertain import Policies

log = structlog.get_logger()

TICK_S = 0.25
STALE_ACCEPTING_MS = 15 * MINUTE
LIST_PIECES = 10
DECIDE_LOCK, DELAYED_LOCK, ORPHAN_LOCK = 0x636F6F02, 0x636F6F03, 0x636F6F04


class Scheduler:
    """Runs its own duties and those of others: name, seconds between two runs, what to do. `wake` tells the
    workers that something is ready."""

    def __init__(
        self,
        database: Database,
        ids: Ids,
        clock: Clock,
        routes: Routes,
        policies: Policies,
        wake: Callable[[], None],
        memory: refs.RefMemory | None,
        duties: Sequence[tuple[str, float, Callable[[], Awaitable[None]]]] = (),
    ) -> None:
        self._database = database
        self._ids = ids
        self._clock = clock
        self._routes = routes
        self._policies = policies
        self._wake_workers = wake
        self._memory = memory
        self._event = asyncio.Event()
        self._done: set[tuple[int, int]] = set()
        self._changed: set[int] = set()
        self._recalled = False
        self._due: dict[str, float] = {}
        self._walk = 0
        self._window_walk = 0
        self.stuck: str | None = None
        """Why campaigns that are due cannot be dealt, if so."""
        self._duties: tuple[tuple[str, float, Callable[[], Awaitable[None]]], ...] = (
            ("take_due", 0.5, self._take_due),
            ("deal", 0.0, self._deal),
            ("delayed", 0.5, self._delayed),
            ("windows", 1.0, self._windows),
            ("finish", 0.5, self._finish),
            ("decide", 1.0, self._decide),
            ("counts", 2.0, self._count),
            ("orphans", 5.0, self._orphans),
            ("strays", 5.0, self._strays),
            ("merge", 1.0, self._merge),
            ("finish_all", 10.0, self._finish_all),
            ("leftovers", 60.0, self._leftovers),
            ("half_lists", 60.0, self._half_lists),
            ("partitions", 600.0, self._partitions),
            *duties,
        )

    def wake(self) -> None:
        """Something was accepted, started or settled."""
        self._event.set()

    def finished(self, keys: Iterable[tuple[int, int]]) -> None:
        """Batches of these campaigns are done: perhaps the campaigns are."""
        for key in keys:
            self._done.add(key)
            self._changed.add(key[1])

    def changed(self, keys: Iterable[tuple[int, int]]) -> None:
        """Receipts came for these campaigns: their counters move."""
        self._changed.update(key[1] for key in keys)

    async def run(self) -> None:
        """Does what is due, until cancelled."""
        while True:
            # Before the duties: who wakes us while they run may have something that they have looked for already.
            self._event.clear()
            now = self._clock.monotonic()
            for name, every, duty in self._duties:
                if self._due.get(name, 0.0) > now:
                    continue
                self._due[name] = now + every
                try:
                    await duty()
                except CooeeError as error:
                    log.warning("duty_failed", duty=name, reason=str(error))
                    self._due[name] = now + max(every, 1.0)
            try:
                async with asyncio.timeout(TICK_S):
                    await self._event.wait()
            except TimeoutError:
                pass

    async def _take_due(self) -> None:
        now = self._clock.now_ms()

        async def due(tx: Tx) -> bool:
            return bool(await tx.all("due_campaigns", now=now))

        if await self._database.read(due):
            await self._database.write(lambda tx: campaigns.take_due(tx, now), Lane.ENGINE)

    async def _deal(self) -> None:
        starting = await self._database.read(lambda tx: tx.all("starting_campaigns"))
        if not starting:
            self.stuck = None
            return
        await self._routes.refresh()
        if not self._routes.carriers:
            if self.stuck is None:
                log.warning(
                    "no_carrier", reason="messages are queued: add or resume a carrier", campaigns=len(starting)
                )
            waiting = f"{counted(len(starting), 'campaign')} {'waits' if len(starting) == 1 else 'wait'}"
            self.stuck = f"{waiting}: there is no active carrier"
            return
        self.stuck = None
        for account_id, campaign_id in starting:
            await self._deal_one(account_id, campaign_id)

    async def _deal_one(self, account_id: int, campaign_id: int) -> None:
        after, behind = -1, 0
        while True:
            now = self._clock.now_ms()

            async def piece(
                tx: Tx, after: int = after, behind: int = behind, now: int = now
            ) -> tuple[int, int] | None:
                return await campaigns.deal_piece(
                    tx, account_id, campaign_id, after=after, behind=behind, deal=self._routes.deal, now=now
                )

            try:
                went = await self._database.write(piece, Lane.BULK)
            except LookupError:
                return
            self._wake_workers()
            if went is None:
                return
            after, behind = went

    async def _delayed(self) -> None:
        now = self._clock.now_ms()

        async def due(tx: Tx) -> bool:
            return bool(await tx.all("delayed_due", now=now))

        if not await self._database.read(due):
            return

        async def ready(tx: Tx) -> int:
            if await tx.one("sweep_turn", key=DELAYED_LOCK) is None:
                return 0
            return await campaigns.ready_delayed(tx, now)

        if await self._database.write(ready, Lane.ENGINE):
            self._wake_workers()

    async def _windows(self) -> None:
        """Campaigns whose window closed before anything of them went out are scheduled again."""
        now = self._clock.now_ms()

        async def page(tx: Tx, after: int = self._window_walk) -> tuple[Sequence[Row], Sequence[Row]]:
            return await tx.all("windowed_page", after=after), await tx.all("windowed_starting")

        running, starting = await self._database.read(page)
        self._window_walk = running[-1][1] if len(running) == 1000 else 0
        closed = [(row[0], row[1]) for row in (*running, *starting) if not Window(*row[2:]).is_open(now)]
        for first in range(0, len(closed), 10):
            piece = closed[first : first + 10]
            await self._database.write(
                lambda tx, piece=piece: campaigns.wait_for_opening(tx, piece, now),  # type: ignore[misc]
                Lane.BULK,
            )

    async def _finish(self) -> None:
        if not self._done:
            return
        keys, self._done = list(self._done), set()
        await self._finish_these(keys)

    async def _finish_these(self, keys: list[tuple[int, int]]) -> None:
        now = self._clock.now_ms()
        for first in range(0, len(keys), 500):
            piece = sorted(keys[first : first + 500])

            async def finish(tx: Tx, piece: list[tuple[int, int]] = piece) -> int:
                return await tx.many("finish", piece, now=now)

            await self._database.write(finish, Lane.BULK)

    async def _finish_all(self) -> None:
        """Walks over all running campaigns, a page each time: whatever was missed is found here."""

        async def page(tx: Tx, after: int = self._walk) -> list[tuple[int, int]]:
            return [(row[0], row[1]) for row in await tx.all("running_page", after=after)]

        keys = await self._database.read(page)
        self._walk = keys[-1][1] if len(keys) == 1000 else 0
        if keys:
            await self._finish_these(keys)

    async def _decide(self) -> None:
        now = self._clock.now_ms()

        async def due(tx: Tx) -> bool:
            return bool(await tx.all("uncertain_due", now=now))

        if not await self._database.read(due):
            return
        # A receipt that came before its recipient was called uncertain may be waiting among the orphans.
        await self._orphans()
        numbers = await self._ids.take("batch", 500)

        async def decide(tx: Tx) -> tuple[int, int, Row | None]:
            if await tx.one("sweep_turn", key=DECIDE_LOCK) is None:
                return 0, 0, None
            return await uncertain.decide(tx, self._policies, numbers, now)

        again, failed, _ = await self._database.write(decide, Lane.ENGINE)
        if again or failed:
            RESENT.inc(again)
            log.warning("uncertain_decided", resent=again, failed=failed)
            self._wake_workers()

    async def _count(self) -> None:
        if not self._recalled:
            # Receipts may have come to large campaigns while nobody kept their counters.
            rows = await self._database.read(lambda tx: tx.all("counted_campaigns"))
            self._changed.update(row[0] for row in rows)
            self._recalled = True
        changed, self._changed = self._changed, set()
        started = self._clock.monotonic()
        try:
            while changed:
                # A storm of single messages: only large campaigns have kept counters, and there are few of those.
                piece = sorted(changed)[:5000]
                for account_id, campaign_id in await self._large(piece):
                    await campaigns.recount(self._database, account_id, campaign_id)
                changed.difference_update(piece)
        except CooeeError:
            self._changed |= changed
            raise
        # Counting a million takes a while: it may take a twentieth of one core, not more.
        spent = self._clock.monotonic() - started
        self._due["counts"] = self._clock.monotonic() + max(2.0, spent * 20)

    async def _large(self, numbers: list[int]) -> list[tuple[int, int]]:
        """Which of these campaigns are large: (account_id, id) each."""

        async def read(tx: Tx) -> list[tuple[int, int]]:
            rows = await tx.many_all("running_large", [(number,) for number in numbers])
            return [(row[0], row[1]) for row in rows]

        return await self._database.read(read)

    async def _orphans(self) -> None:
        after: int | None = 0
        now = self._clock.now_ms()
        while after is not None:

            async def sweep(tx: Tx, after: int = after) -> int | None:
                if await tx.one("sweep_turn", key=ORPHAN_LOCK) is None:
                    return None
                return await receipts.sweep_orphans(tx, after, now)

            after = await self._database.write(sweep, Lane.BULK)
        row = await self._database.read(lambda tx: tx.one("count_orphans"))
        ORPHANS.set(row[0] if row is not None else 0)

    async def _strays(self) -> None:
        strays = await self._database.read(lambda tx: tx.all("stray_batches"))
        if not strays:
            return
        if await self._database.write(campaigns.deal_strays_again, Lane.BULK):
            self._event.set()

    async def _merge(self) -> None:
        if self._memory is not None:
            # Where little is sent, ids would stay in memory and in blobs for longer than they are kept at all.
            await refs.merge(self._database, self._memory, before=self._clock.now_ms() - DAY)

    async def _leftovers(self) -> None:
        now = self._clock.now_ms()
        await acceptance.drop_leftovers(self._database, now - STALE_ACCEPTING_MS)

    async def _half_lists(self) -> None:
        """Lists whose node died while it filled them, a few pieces at a time: others wait for their duties."""
        before = self._clock.now_ms() - STALE_ACCEPTING_MS
        await self._database.write(lambda tx: audience.give_up(tx, before), Lane.BULK)
        for _ in range(LIST_PIECES):
            if not await self._database.write(audience.drop_piece, Lane.BULK):
                return
        self._due["half_lists"] = 0.0

    async def _partitions(self) -> None:
        await partitions.ensure(self._database, self._clock.now_ms())
