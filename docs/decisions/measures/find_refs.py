"""Decision 0005: 500 receipt ids looked up among 200,000 that were never analysed. Run with `python FILE URL`.

URL names an empty PostgreSQL database. Prints the median time of the lookup as it is written and as a plain join,
each with the join settings of Cooee's sessions and with PostgreSQL's own.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from time import perf_counter
from typing import Any

from cooee.model.clock import SystemClock
from cooee.store.open import open_database
from cooee.store.partitions import ensure
from cooee.store.postgres import PLANNING

ROWS, IDS = 200_000, 500
OWN = {"enable_hashjoin": "on", "enable_mergejoin": "on", "random_page_cost": "4"}
"""What PostgreSQL has where nobody sets these. Plans are still made for the values at hand."""
PLAIN = """SELECT s.* FROM unnest($1::text[]) AS r(smsc_id)
    JOIN segment_ref s ON s.carrier_id = $2 AND s.smsc_id = r.smsc_id WHERE s.at > $3"""


async def times(connection: Any, text: str, arguments: list[object]) -> list[float]:
    """Seconds of each of nine runs."""
    spent = []
    for _ in range(9):
        started = perf_counter()
        found = await connection.fetch(text, *arguments)
        spent.append(perf_counter() - started)
        if len(found) != IDS:
            raise SystemExit(f"{len(found)} rows instead of {IDS}")
    return spent


async def main(url: str) -> None:
    """Fills a partition, then asks both ways."""
    clock = SystemClock()
    database: Any = await open_database(url, clock)
    now = clock.now_ms()
    await ensure(database, now)
    async with database.pool.acquire() as connection:
        rows = [(1, f"{n:x}", now, 1001, 1_000_001, 61_400_000_000 + n, 0, 1) for n in range(ROWS)]
        await connection.copy_records_to_table("segment_ref", records=rows)
        ids = [f"{n:x}" for n in range(0, ROWS, ROWS // IDS)]
        values = {"col_smsc_id": ids, "carrier_id": 1, "since": now - 1000}
        query = database.queries["find_refs"]
        for settings in (PLANNING, {**PLANNING, **OWN}):
            for setting, value in settings.items():
                await connection.execute(f"SET {setting} TO '{value}'")
            whose = "Cooee's" if settings is PLANNING else "PostgreSQL's own"
            for name, text, arguments in (
                ("LATERAL", query.text, [values[each] for each in query.parameters]),
                ("plain join", PLAIN, [ids, 1, now - 1000]),
            ):
                spent = await times(connection, text, arguments)
                sys.stdout.write(f"{name}, {whose} settings: {statistics.median(spent) * 1000:.1f} ms\n")
    await database.close()


asyncio.run(main(sys.argv[1]))
