"""Removes what is older than it is kept (service/keeping.py).

Nothing goes that is unfinished, uncertain, held, nobody's, parked, or not passed on yet, however old it is; and
the ledger stays for ever. Everything goes in short transactions of the lowest lane, with pauses between them, so
that traffic keeps its pace while a million rows go. A run may end after any of them: the next one goes on.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from cooee.model.clock import DAY, Clock
from cooee.model.errors import CooeeError
from cooee.model.metrics import REMOVED
from cooee.service.keeping import AUDIT, REFS, Keep, Rule
from cooee.service.packing import Packing
from cooee.store import billing as account_pages
from cooee.store import partitions
from cooee.store import retention as rows
from cooee.store.database import Database, Lane, Row, Tx
from cooee.store.partitions import CAMPAIGNS, Dropped
from cooee.store.retention import Key

log = structlog.get_logger()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Removed:
    """How many rows of a table went, or would go; `keep_ms` None: they are kept for ever."""

    table: str
    keep_ms: int | None
    rows: int


class Elsewhere(CooeeError):
    """Another node is removing rows at this moment."""


PAGE = 2000
"""Campaigns, or replies, that one read looks at: more than the thousand ids that an idle node may hold back."""
SMALL = 500
"""Recipients of a campaign that goes in one transaction, together with others."""
GROUP = 150
"""Small campaigns of one transaction at most."""
RECIPIENTS = 1000
"""Recipients of one transaction at most."""
REPLIES = 500
STRETCH = 4000
"""Ids that one transaction looks at."""
PIECE = 1000
WHOLE_WAIT_MS = 7 * DAY
"""How long, on PostgreSQL, old campaigns wait for the younger ones in their partition: once all are old it is
dropped, which costs nothing. Where that takes longer, they go row by row."""
LONG_S, SHORT_S = 0.015, 0.006
"""A transaction that took longer, its wait included, makes the next ones smaller; one that was shorter, larger."""
SMALLEST = 1 / 16
REST = 4.0
"""Pause after a transaction, as a multiple of what it took."""
TRIES = 20
TRY_S = 0.5
"""Between two attempts at what somebody else holds."""


class Retention:
    """Removes what is old. One run at a time in a process; a lock in the database keeps other nodes away."""

    def __init__(self, database: Database, clock: Clock, keep: Keep) -> None:
        self._database = database
        self._clock = clock
        self._keep = keep
        self._scale = 1.0
        self._removed: Counter[str] = Counter()

    # --- what would go -------------------------------------------------------------------------------------

    async def plan(self) -> list[Removed]:
        """What `run` would remove now. Only reads."""
        found: Counter[str] = Counter()
        now = self._clock.now_ms()
        if self._keep.messages_days:
            before = now - self._keep.messages_days * DAY
            async for _, recipients, _ in self._over(before, await self._whole(before)):
                found["campaign"] += 1
                found["message"] += recipients
        if self._keep.replies_days:
            async for _, ids in self._old_replies(now - self._keep.replies_days * DAY):
                found["reply"] += len(ids)
        async for stretch in self._stretches(now - REFS.keep_ms):
            found[REFS.table] += stretch.old
        found[REFS.table] += await self._database.read(lambda tx: rows.count_refs(tx, now - REFS.keep_ms))
        for rule in self._keep.rules:

            async def count(tx: Tx, rule: Rule = rule) -> int:
                return await rows.count_rows(tx, rule.count, now - rule.keep_ms)

            found[rule.table] += await self._database.read(count)
        return self._lines(found)

    def _lines(self, found: Counter[str]) -> list[Removed]:
        messages, replies = self._keep.messages_days * DAY or None, self._keep.replies_days * DAY or None
        kept = {"campaign": messages, "message": messages, "reply": replies, AUDIT.table: None}
        kept |= {rule.table: rule.keep_ms for rule in (REFS, *self._keep.rules)}
        return [Removed(table, keep_ms, found[table]) for table, keep_ms in kept.items()]

    # --- removal -------------------------------------------------------------------------------------------

    async def run(self) -> list[Removed]:
        """Removes everything that is old; what went. Raises Elsewhere while another node does that."""
        self._removed = Counter()
        try:
            await self._tidy()
            await self._campaigns()
            await self._replies()
            await self._refs()
        finally:
            self._count()
        return self._lines(self._removed)

    async def tidy(self) -> None:
        """Removes old rows of the rules alone, and puts small rows of receipts together."""
        self._removed = Counter()
        try:
            await self._tidy()
        finally:
            self._count()
        await Packing(self._database, self._clock, self._write).run()

    def _count(self) -> None:
        for table, count in self._removed.items():
            REMOVED.labels(table).inc(count)

    async def _tidy(self) -> None:
        for rule in self._keep.rules:
            before = self._clock.now_ms() - rule.keep_ms
            limit = went = 0
            while went == limit:
                limit = self._sized(min(PIECE, rule.most))

                async def drop(tx: Tx, rule: Rule = rule, before: int = before, limit: int = limit) -> int:
                    return await rows.drop_rows(tx, rule.drop, before, limit)

                went = await self._write(drop)
                self._removed[rule.table] += went

    async def _campaigns(self) -> None:
        if self._keep.messages_days:
            before = self._clock.now_ms() - self._keep.messages_days * DAY
            whole = await self._whole(before)
            await self._remove(before, whole)
            if not await self._drop_whole(whole):
                return  # what is left of them is in partitions that the next run drops
        left: int | None = 0
        while left is not None:
            limit = self._sized(PIECE)
            left = await self._write(lambda tx, limit=limit: rows.sweep(tx, limit))  # type: ignore[misc]

    async def _remove(self, before: int, whole: Collection[int]) -> None:
        groups: dict[bool, dict[Key, int]] = {False: {}, True: {}}
        async for key, recipients, dropped in self._over(before, whole):
            if recipients > SMALL:
                await self._begin(key, recipients, before)
                continue
            group = groups[dropped]
            group[key] = recipients
            if len(group) >= self._sized(GROUP) or sum(group.values()) >= self._sized(RECIPIENTS):
                await self._remove_group(group, before, dropped)
        for dropped, group in groups.items():
            await self._remove_group(group, before, dropped)

    async def _remove_group(self, group: dict[Key, int], before: int, dropped: bool) -> None:
        """Removes small campaigns and empties the group. `dropped`: their messages go with their partition."""
        if not group:
            return

        async def remove(tx: Tx) -> list[Key]:
            return await rows.remove(tx, list(group), before, self._clock.now_ms(), messages=not dropped)

        gone = await self._write(remove)
        self._removed["campaign"] += len(gone)
        self._removed["message"] += sum(group[key] for key in gone)
        group.clear()

    async def _begin(self, key: Key, recipients: int, before: int) -> None:
        begun: bool | None = False
        while begun is False:
            begun = await self._write(lambda tx: rows.begin(tx, key, before, self._clock.now_ms()))
        if begun:
            self._removed["campaign"] += 1
            self._removed["message"] += recipients

    async def _drop_whole(self, numbers: Collection[int]) -> bool:
        """Drops partitions of `message`; whether none of them is left that could have been."""
        done = True
        for number in numbers:
            result = await self._dropped(lambda tx, number=number: partitions.drop_messages(tx, number))  # type: ignore[misc]
            if result is Dropped.BUSY:
                log.warning("partition_in_use", partition=f"message_{number}")
                done = False
        return done

    async def _dropped(self, drop: Callable[[Tx], Awaitable[Dropped]]) -> Dropped:
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(TRY_S)
            result = await self._write(drop)
            if result is not Dropped.BUSY:
                return result
        return Dropped.BUSY

    async def _replies(self) -> None:
        if not self._keep.replies_days:
            return
        async for account_id, ids in self._old_replies(self._clock.now_ms() - self._keep.replies_days * DAY):
            at = 0
            while at < len(ids):
                piece = ids[at : at + self._sized(REPLIES)]
                at += len(piece)

                async def remove(tx: Tx, account_id: int = account_id, piece: Sequence[int] = piece) -> int:
                    return await rows.remove_replies(tx, account_id, piece)

                self._removed["reply"] += await self._write(remove)

    async def _refs(self) -> None:
        before = self._clock.now_ms() - REFS.keep_ms
        async for stretch in self._stretches(before):
            if stretch.old:

                async def remove(tx: Tx, stretch: rows.Stretch = stretch) -> int:
                    return await rows.remove_refs(tx, stretch, before)

                self._removed[REFS.table] += await self._write(remove)
        if self._database.engine == "sqlite":
            return
        for name in await self._database.read(lambda tx: partitions.old_days(tx, before)):

            async def day(tx: Tx, name: str = name) -> Dropped:
                return await partitions.drop_day(tx, name)

            if await self._dropped(day) is Dropped.BUSY:
                log.warning("partition_in_use", partition=name)
        limit = went = 0
        while went == limit:
            limit = self._sized(PIECE)

            async def stray(tx: Tx, limit: int = limit) -> int:
                return await rows.remove_stray_refs(tx, before, limit)

            went = await self._write(stray)
            self._removed[REFS.table] += went

    # --- what is old ---------------------------------------------------------------------------------------

    async def _whole(self, before: int) -> set[int]:
        """Numbers of the partitions of `message` in which everything is old."""
        found = set()
        for number in await self._database.read(partitions.closed):

            async def stays(tx: Tx, number: int = number) -> bool:
                return await rows.any_stays(tx, *partitions.span(number), before)

            if not await self._database.read(stays):
                found.add(number)
        return found

    async def _over(self, before: int, whole: Collection[int]) -> AsyncIterator[tuple[Key, int, bool]]:
        """Campaigns that go: key, recipients, and whether their partition goes with them."""
        grace = 0 if self._database.engine == "sqlite" else WHOLE_WAIT_MS
        after, more = 0, True
        while more:

            async def page(tx: Tx, after: int = after) -> Sequence[Row]:
                return await rows.campaigns_page(tx, after, before, PAGE)

            found = await self._database.read(page)
            # Where a whole page is young, the rest is: ids rise with time.
            more = len(found) == PAGE and any(row[2] < before for row in found)
            for account_id, campaign_id, _, recipients, over in found:
                inside = campaign_id // CAMPAIGNS in whole
                if over is not None and (inside or over < before - grace):
                    yield (account_id, campaign_id), recipients, inside
            if found:
                after = found[-1][1]

    async def _old_replies(self, before: int) -> AsyncIterator[tuple[int, list[int]]]:
        """Replies that may go: the account, and ids of some of them."""
        last, more = -1, True
        while more:

            async def accounts(tx: Tx, last: int = last) -> Sequence[Row]:
                return await account_pages.accounts_page(tx, last)

            page = await self._database.read(accounts)
            more = len(page) == account_pages.ACCOUNTS
            for account_id, *_ in page:
                last = account_id
                async for ids in self._replies_of(account_id, before):
                    yield account_id, ids

    async def _replies_of(self, account_id: int, before: int) -> AsyncIterator[list[int]]:
        after, more = (-1, -1), True
        while more:

            async def page(tx: Tx, after: tuple[int, int] = after) -> Sequence[Row]:
                return await rows.replies_page(tx, account_id, after, before, PAGE)

            found = await self._database.read(page)
            more = len(found) == PAGE
            if ids := [row[0] for row in found if row[2]]:
                yield ids
            if found:
                after = (found[-1][1], found[-1][0])

    async def _stretches(self, before: int) -> AsyncIterator[rows.Stretch]:
        """All ids of segments on SQLite, in key order."""
        for carrier_id in await self._database.read(rows.ref_carriers):
            after, final = ("", -1), False
            while not final:
                limit = self._sized(STRETCH)

                async def look(
                    tx: Tx, carrier_id: int = carrier_id, after: tuple[str, int] = after, limit: int = limit
                ) -> rows.Stretch:
                    return await rows.stretch(tx, carrier_id, after, before, limit)

                stretch = await self._database.read(look)
                yield stretch
                after, final = stretch.last, stretch.final

    # --- pace ----------------------------------------------------------------------------------------------

    def _sized(self, most: int) -> int:
        return max(10, int(most * self._scale))

    async def _write(self, operation: Callable[[Tx], Awaitable[T]]) -> T:
        """One short transaction, then a pause. Waits for another node a while, then raises Elsewhere."""

        async def guarded(tx: Tx) -> tuple[T] | None:
            return (await operation(tx),) if await rows.my_turn(tx) else None

        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(TRY_S / 5)
            started = self._clock.monotonic()
            answer = await self._database.write(guarded, Lane.BULK)
            spent = self._clock.monotonic() - started
            if answer is not None:
                if spent > LONG_S:
                    self._scale = max(SMALLEST, self._scale / 2)
                elif spent < SHORT_S:
                    self._scale = min(1.0, self._scale * 1.25)
                await asyncio.sleep(min(spent * REST, 1.0))
                return answer[0]
        raise Elsewhere("another node is removing old rows at this moment: it does the same")
