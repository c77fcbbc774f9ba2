"""Partitions of the two tables that grow without end, on PostgreSQL; on SQLite there is nothing to do.

`message` is cut by campaign id and `segment_ref` by day, so that retention drops whole partitions. They are made
ahead of time; a default partition catches what nobody prepared for.
"""

from __future__ import annotations

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
