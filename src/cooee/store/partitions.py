"""Partitions of the two tables that grow without end, on PostgreSQL; on SQLite there is nothing to do.

`message` is cut by campaign id and `segment_ref` by day, so that retention drops whole partitions. They are made
ahead of time; a default partition catches what nobody prepared for.
"""

from __future__ import annotations

from cooee.model.clock import DAY, ms_to_local
from cooee.store.database import Database, Lane, Row, Tx

CAMPAIGNS = 1_000_000
"""Campaign ids in one partition of `message`."""
DAYS_AHEAD = 3


async def ensure(database: Database, now: int) -> int:
    """Makes the partitions that will be needed soon; how many there were to make."""
    if database.engine == "sqlite":
        return 0

    async def make(tx: Tx) -> int:
        await tx.all("partition_lock")
        present = {row[0] for row in await tx.all("partitions")}
        newest: Row | None = await tx.one("newest_campaign_id")
        first = (int(newest[0]) if newest is not None else 0) // CAMPAIGNS
        made = 0
        for number in (first, first + 1):
            name = f"message_{number}"
            if name not in present:
                await tx.all(
                    "make_message_partition", name=name, low=number * CAMPAIGNS, high=(number + 1) * CAMPAIGNS
                )
                made += 1
        for ahead in range(DAYS_AHEAD):
            day = now // DAY + ahead
            name = f"segment_ref_{ms_to_local(day * DAY, None):%Y%m%d}"
            if name not in present:
                await tx.all("make_ref_partition", name=name, low=day * DAY, high=(day + 1) * DAY)
                made += 1
        return made

    return await database.write(make, Lane.BULK)
