"""What became of an account's campaigns, as its people are shown it.

Nothing here is counted on the way of a message. Large campaigns have counters that a sweep keeps; what a plot
needs beyond is counted when somebody looks: in bounded pieces beside everything else, kept in the database, and
counted anew once it may have changed. A page never waits for such a count: it shows what is known, and asks
again.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field

import msgspec
import structlog

from cooee.model.account import Account
from cooee.model.campaign import CampaignState
from cooee.model.clock import DAY, HOUR, MINUTE, SECOND, Clock
from cooee.model.errors import CooeeError
from cooee.model.message import MessageState
from cooee.service.accounts import LedgerLine
from cooee.store import campaigns as campaign_rows
from cooee.store import history as rows
from cooee.store.database import Database, Tx
from cooee.store.history import CampaignFull, CampaignLine, RecipientRow, Tally

__all__ = ["CampaignFull", "CampaignLine", "Course", "Days", "History", "RecipientRow", "Tally"]

log = structlog.get_logger()

MAX_ID = 2**53
PIECE = 20_000
"""Rows that one query of a count goes through (measured: about 10 ms on SQLite)."""
AT_ONCE = 5_000
"""Recipients up to which a campaign's course is counted while its page waits."""
SETTLED_MS = 3 * DAY
"""A day that is over for so long has its receipts."""
STALE_S = 20.0
"""How old a count may be that still changes, at least."""
COUNTS_AT_ONCE = 2
STATES = (
    "waiting", "sending", "retrying", "uncertain", "handed_over", "delivered", "failed", "washed", "cancelled",
)  # fmt: skip
"""Where a recipient can be, in the order that people are shown."""


class Course(msgspec.Struct, frozen=True):
    """A campaign in time. Lists hold one figure for each `bucket` ms from `start` (UTC ms): first tries,
    deliveries, failures. `codes`: (code, 1 if a receipt said so, recipients) of those that failed. `total`:
    rows counted, `settled`: those of them that were delivered or failed."""

    bucket: int
    start: int
    sent: list[int]
    delivered: list[int]
    failed: list[int]
    codes: list[tuple[int, int, int]]
    total: int
    settled: int


@dataclass(frozen=True, slots=True)
class Days:
    """Counts by day; `pending` while some are being counted."""

    tallies: Sequence[Tally]
    pending: bool


@dataclass(slots=True)
class _Tallying:
    """Counts by bucket while they are made."""

    sent: dict[int, int] = field(default_factory=dict)
    delivered: dict[int, int] = field(default_factory=dict)
    failed: dict[int, int] = field(default_factory=dict)
    codes: dict[tuple[int, int], int] = field(default_factory=dict)
    total: int = 0

    def course(self, bucket: int) -> Course:
        every = [*self.sent, *self.delivered, *self.failed]
        first, last = (min(every), max(every)) if every else (0, -1)
        return Course(
            bucket=bucket,
            start=first * bucket,
            sent=[self.sent.get(at, 0) for at in range(first, last + 1)],
            delivered=[self.delivered.get(at, 0) for at in range(first, last + 1)],
            failed=[self.failed.get(at, 0) for at in range(first, last + 1)],
            codes=[
                (code, by_receipt, count)
                for (code, by_receipt), count in sorted(self.codes.items(), key=lambda pair: (-pair[1], pair[0]))
            ],
            total=self.total,
            settled=sum(self.delivered.values()) + sum(self.failed.values()),
        )


class History:
    """The use cases."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._counting: dict[Hashable, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(COUNTS_AT_ONCE)
        self._rested: dict[Hashable, float] = {}

    async def close(self) -> None:
        """Ends counts that are under way."""
        tasks = list(self._counting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- campaigns -------------------------------------------------------------------------------------------

    async def page(
        self,
        account: Account,
        *,
        before: int | None = None,
        states: tuple[CampaignState, ...] = (),
        word: str = "",
        least: int = 1,
        limit: int = 50,
    ) -> list[CampaignLine]:
        """The next campaigns below id `before`, the newest first."""
        below = MAX_ID if before is None else min(before, MAX_ID)
        return await self._database.read(
            lambda tx: rows.page(
                tx, account.id, before=below, states=states, word=word.strip() or None, least=least, limit=limit
            )
        )

    async def active(self, account: Account, limit: int = 10) -> list[CampaignLine]:
        """What a person may have to look after: running, paused or scheduled."""
        return await self._database.read(lambda tx: rows.active(tx, account.id, limit))

    async def progress(self, account: Account, lines: Sequence[CampaignLine]) -> dict[int, dict[str, int]]:
        """For each campaign: `delivered`, `failed`, `other` recipients that have a row, and `open` ones."""
        sizes = [(line.id, line.messages) for line in lines]
        counted = await self._database.read(lambda tx: rows.counts(tx, account.id, sizes))
        found = {}
        for line in lines:
            states = counted[line.id]
            delivered = states.get(MessageState.DELIVERED, 0)
            failed = states.get(MessageState.FAILED, 0)
            other = sum(states.values()) - delivered - failed
            found[line.id] = {
                "delivered": delivered,
                "failed": failed,
                "other": other,
                "open": max(0, line.messages - delivered - failed - other),
            }
        return found

    async def find(self, account: Account, campaign_id: int) -> CampaignFull | None:
        """A campaign of this account."""
        return await self._database.read(lambda tx: rows.one(tx, account.id, campaign_id))

    async def counts(self, account: Account, line: CampaignLine) -> dict[str, int]:
        """Recipients by every one of STATES; they add up to the campaign's recipients."""
        counted = await self._database.read(lambda tx: campaign_rows.count(tx, account.id, line.id))
        # A first attempt that is out has no row yet: it is what the others leave over.
        counted["sending"] = counted.get("sending", 0) + max(0, line.messages - sum(counted.values()))
        found = {state: counted.get(state, 0) for state in STATES}
        # Kept counters may be a moment older than the batches they are held against.
        over = sum(found.values()) - line.messages
        for state in STATES:
            if over > 0:
                taken = min(over, found[state])
                found[state] -= taken
                over -= taken
        return found

    async def recipients(
        self,
        account: Account,
        campaign_id: int,
        *,
        after: int = 0,
        state: MessageState | None = None,
        limit: int = 50,
    ) -> list[RecipientRow]:
        """The next recipients with an outcome or an attempt behind destination `after`."""
        return await self._database.read(
            lambda tx: rows.recipients(tx, account.id, campaign_id, after=after, state=state, limit=limit)
        )

    async def everybody(
        self, account: Account, campaign: CampaignFull
    ) -> AsyncGenerator[list[RecipientRow] | list[tuple[int, str]], None]:
        """Every recipient, in pages: first those with a row, then (destination, word) of those without."""
        after = 0
        while True:
            page = await self.recipients(account, campaign.line.id, after=after, limit=AT_ONCE)
            if page:
                yield page
                after = page[-1].destination
            if len(page) < AT_ONCE:
                break
        batch: int | None = -1
        deleted = campaign.line.state is CampaignState.DELETED
        while batch is not None:

            async def following(tx: Tx, at: int = batch) -> tuple[int | None, list[tuple[int, str]]]:
                return await rows.without_row(tx, account.id, campaign.line.id, at)

            batch, rest = await self._database.read(following)
            if deleted:
                rest = [(number, "cancelled" if word == "waiting" else word) for number, word in rest]
            if rest:
                yield rest

    async def accepted(self, account: Account, campaign_id: int) -> AsyncGenerator[array[int], None]:
        """The recipients that a campaign was accepted with, in pages."""
        batch: int | None = -1
        while batch is not None:

            async def following(tx: Tx, at: int = batch) -> tuple[int | None, array[int]]:
                return await rows.accepted_numbers(tx, account.id, campaign_id, at)

            batch, numbers = await self._database.read(following)
            if numbers:
                yield numbers

    # --- money -----------------------------------------------------------------------------------------------

    async def ledger(self, account: Account, *, before: int | None = None, limit: int = 50) -> list[LedgerLine]:
        """The ledger below line `before`, the newest first."""
        below = MAX_ID if before is None else min(before, MAX_ID)
        found = await self._database.read(lambda tx: rows.ledger(tx, account.id, below, limit))
        return [LedgerLine(*row) for row in found]

    # --- counts that are kept --------------------------------------------------------------------------------

    async def course(
        self, account: Account, campaign: CampaignFull, counts: dict[str, int]
    ) -> tuple[Course | None, bool]:
        """A campaign's course as far as it is known, and whether it is being counted anew.

        `counts` are its recipients by state: where they agree with a course, that is still true.
        """
        line = campaign.line
        if line.started_at is None:
            return None, False
        if line.messages <= AT_ONCE:
            return await self._count_course(account.id, campaign), False
        kept = await self._database.read(lambda tx: rows.course(tx, account.id, line.id))
        course = None if kept is None else msgspec.json.decode(kept[1], type=Course)
        settled = counts["delivered"] + counts["failed"]
        if course is not None and course.settled == settled and course.total >= settled + counts["handed_over"]:
            return course, False

        async def count() -> None:
            fresh = await self._count_course(account.id, campaign)
            body = msgspec.json.encode(fresh).decode()
            now = self._clock.now_ms()
            await self._database.write(lambda tx: rows.put_course(tx, account.id, line.id, now, body))

        return course, self._begin(("course", line.id), count) or course is None

    async def _count_course(self, account_id: int, campaign: CampaignFull) -> Course:
        bucket = self._bucket(campaign.line)
        found = _Tallying()
        after = 0
        while True:

            async def piece(tx: Tx, after: int = after) -> Sequence[Sequence[int]]:
                return await rows.course_piece(
                    tx, account_id, campaign.line.id, after=after, bucket=bucket, limit=PIECE
                )

            counted = await self._database.read(piece)
            seen = 0
            for state, code, by_receipt, first, changed, count, highest in counted:
                seen += count
                after = max(after, highest)
                if state >= MessageState.HANDED_OVER and state not in (
                    MessageState.WASHED,
                    MessageState.CANCELLED,
                ):
                    found.sent[first] = found.sent.get(first, 0) + count
                if state == MessageState.DELIVERED:
                    found.delivered[changed] = found.delivered.get(changed, 0) + count
                elif state == MessageState.FAILED:
                    found.failed[changed] = found.failed.get(changed, 0) + count
                    key = (code, by_receipt)
                    found.codes[key] = found.codes.get(key, 0) + count
            found.total += seen
            if seen < PIECE:
                return found.course(bucket)

    def _bucket(self, line: CampaignLine) -> int:
        """How much time a figure stands for: such that there are at most about 200."""
        begun = line.started_at or line.created_at
        ended = (line.finished_at or self._clock.now_ms()) + HOUR
        for bucket in (SECOND, 5 * SECOND, 15 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR):
            if (ended - HOUR - begun) // bucket <= 200:
                return bucket
        return DAY

    async def days(self, account: Account, bounds: Sequence[tuple[int, int]]) -> Days:
        """What became of messages by the day that they were accepted on. `bounds`: each day's start and end, UTC
        ms, rising."""
        now = self._clock.now_ms()
        first, last = bounds[0][0], bounds[-1][1]
        kept = await self._database.read(lambda tx: rows.tallies(tx, account.id, first, last))
        stale = [
            day
            for day in bounds
            if day[0] <= now
            and (
                (known := kept.get(day)) is None
                or (known.counted_at < day[1] + SETTLED_MS and now - known.counted_at > STALE_S * SECOND)
            )
        ]
        pending = False
        if stale:

            async def count() -> None:
                for start, end in reversed(stale):
                    tally = await self._count_day(account.id, start, end)
                    await self._database.write(
                        lambda tx, tally=tally: rows.put_tally(tx, account.id, tally, now - 400 * DAY)  # type: ignore[misc]
                    )

            pending = self._begin(("days", account.id), count)
        tallies = [kept.get(day) or Tally(day[0], day[1], 0, 0, 0, 0) for day in bounds]
        return Days(tallies, pending and any(day not in kept for day in stale))

    async def _count_day(self, account_id: int, start: int, end: int) -> Tally:
        counted_at = self._clock.now_ms()
        messages = delivered = failed = 0
        after = (start, -1)
        while True:

            async def piece(tx: Tx, after: tuple[int, int] = after) -> Sequence[Sequence[int]]:
                return await rows.created_between(tx, account_id, start, end, after, 500)

            found = await self._database.read(piece)
            for group in _groups([(row[0], row[1]) for row in found]):

                async def look(tx: Tx, group: list[tuple[int, int]] = group) -> dict[int, dict[int, int]]:
                    return await rows.counts(tx, account_id, group)

                for states in (await self._database.read(look)).values():
                    delivered += states.get(MessageState.DELIVERED, 0)
                    failed += states.get(MessageState.FAILED, 0)
            messages += sum(row[1] for row in found)
            if len(found) < 500:
                return Tally(start, end, counted_at, messages, delivered, failed)
            after = (found[-1][2], found[-1][0])

    def _begin(self, key: Hashable, count: Callable[[], Awaitable[None]]) -> bool:
        """Has something counted beside everything else, unless it was lately; whether it is being counted."""
        if key in self._counting:
            return True
        now = self._clock.monotonic()
        if self._rested.get(key, 0.0) > now:
            return False
        if len(self._rested) > 1000:
            self._rested = {known: until for known, until in self._rested.items() if until > now}

        async def run() -> None:
            async with self._places:
                begun = self._clock.monotonic()
                try:
                    await count()
                except CooeeError as error:
                    log.warning("count_failed", reason=str(error))
                # A count may take a twentieth of one core, not more.
                spent = self._clock.monotonic() - begun
                self._rested[key] = self._clock.monotonic() + max(2.0, spent * 20)

        task = self._counting[key] = asyncio.create_task(run())
        task.add_done_callback(lambda _: self._counting.pop(key, None))
        return True


def _groups(campaigns: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Campaigns in groups of at most about PIECE recipients, those with kept counters counting as none."""
    groups: list[list[tuple[int, int]]] = [[]]
    size = 0
    for campaign in campaigns:
        weight = campaign[1] if campaign[1] <= rows.KEPT_FROM else 0
        if size + weight > PIECE:
            groups.append([])
            size = 0
        groups[-1].append(campaign)
        size += weight
    return [group for group in groups if group]
