"""Partitions of the two tables that grow without end, on PostgreSQL; on SQLite there is nothing to do.

`message` is cut by campaign id and `segment_ref` by day, so that retention drops whole partitions. They are made
ahead of time; a default partition catches what nobody prepared for. One is dropped only where the table can be had
at once (migration 0009), so that traffic never stands behind somebody who waits for it.
"""

from __future__ import annotations

import enum
import re
from datetime import UTC, datetime

import structlog

from cooee.model.clock import DAY, ms_to_local
from cooee.model.errors import StoreError, StoreUnavailable
from cooee.store.database import Database, Lane, Row, Tx

log = structlog.get_logger()

CAMPAIGNS = 1_000_000
"""Campaign ids in one partition of `message`."""
DAYS_AHEAD = 3


async def ensure(database: Database, now: int) -> int:
    """Makes the partitions that will be needed soon; how many there were to make."""
    if database.engine == "sqlite":
        return 0

    async def missing(tx: Tx) -> list[tuple[str, str, int, int]]:
        present = {row[0] for row in await tx.all("partitions")}
        newest: Row | None = await tx.one("newest_campaign_id")
        first = (int(newest[0]) if newest is not None else 0) // CAMPAIGNS
        wanted = [
            ("make_message_partition", f"message_{number}", number * CAMPAIGNS, (number + 1) * CAMPAIGNS)
            for number in (first, first + 1)
        ]
        for day in range(now // DAY, now // DAY + DAYS_AHEAD):
            name = f"segment_ref_{ms_to_local(day * DAY, None):%Y%m%d}"
            wanted.append(("make_ref_partition", name, day * DAY, (day + 1) * DAY))
        return [each for each in wanted if each[1] not in present]

    made = 0
    for query, name, low, high in await database.read(missing):

        async def make(tx: Tx, query: str = query, name: str = name, low: int = low, high: int = high) -> None:
            await tx.all("partition_lock")
            await tx.all(query, name=name, low=low, high=high)

        try:
            await database.write(make, Lane.BULK)
            made += 1
        except StoreUnavailable:
            raise
        except StoreError as error:
            # Rows that came first lie in the default partition: they stay there, and so do their like.
            log.warning("partition_not_made", partition=name, reason=str(error))
    return made


class Dropped(enum.IntEnum):
    """What came of an attempt to drop a partition."""

    IN_USE = -1
    """There are campaigns in it."""
    BUSY = 0
    """The table could not be had at once: try again."""
    DONE = 1


async def closed(tx: Tx) -> list[int]:
    """Numbers of the partitions of `message` that get no new campaigns, the oldest first; none on SQLite.

    A node that has long held a block of ids may still use some of them: the partition is then asked for again.
    """
    newest: Row | None = await tx.one("newest_campaign_id")
    first = (int(newest[0]) if newest is not None else 0) // CAMPAIGNS
    numbers = [_number(row[0]) for row in await tx.all("partitions")]
    return sorted(number for number in numbers if number is not None and number < first)


def _number(name: str) -> int | None:
    found = re.fullmatch(r"message_([0-9]+)", name)
    return int(found[1]) if found else None


def span(number: int) -> tuple[int, int]:
    """The ids of a partition of `message`: the first one, and the first one outside."""
    return number * CAMPAIGNS, (number + 1) * CAMPAIGNS


async def old_days(tx: Tx, before: int) -> list[str]:
    """Names of the partitions of `segment_ref` whose day was over by `before` (UTC ms); none on SQLite."""
    found = []
    for (name,) in await tx.all("partitions"):
        match = re.fullmatch(r"segment_ref_([0-9]{8})", name)
        if match is not None:
            day = datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC)
            if round(day.timestamp() * 1000) + DAY <= before:
                found.append(name)
    return sorted(found)


async def drop_messages(tx: Tx, number: int) -> Dropped:
    """Drops a partition of `message`, unless there are campaigns in it."""
    low, high = span(number)
    return await _drop(tx, "message", f"message_{number}", low, high)


async def drop_day(tx: Tx, name: str) -> Dropped:
    """Drops a partition of `segment_ref`."""
    return await _drop(tx, "segment_ref", name, 0, 0)


async def _drop(tx: Tx, parent: str, child: str, low: int, high: int) -> Dropped:
    row = await tx.one("drop_partition", parent=parent, child=child, low=low, high=high)
    return Dropped.DONE if row is None else Dropped(row[0])
