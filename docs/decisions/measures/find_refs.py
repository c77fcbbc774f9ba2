"""Decision 0005: 500 receipt ids looked up among 200,000 that were never analysed. Run with `python FILE URL`.

URL names an empty PostgreSQL database. Prints the median time of the lookup as it is and as a plain join.
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

ROWS, IDS = 200_000, 500
PLAIN = """SELECT s.* FROM unnest($1::text[]) AS r(smsc_id)
    JOIN segment_ref s ON s.carrier_id = $2 AND s.smsc_id = r.smsc_id WHERE s.at > $3"""


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
        for name, text, arguments in (
            ("as it is", query.text, [values[each] for each in query.parameters]),
            ("plain join", PLAIN, [ids, 1, now - 1000]),
        ):
            spent = []
            for _ in range(9):
                started = perf_counter()
                found = await connection.fetch(text, *arguments)
                spent.append(perf_counter() - started)
                if len(found) != IDS:
                    raise SystemExit(f"{name}: {len(found)} rows")
            sys.stdout.write(f"{name}: {statistics.median(spent) * 1000:.1f} ms for {IDS} ids\n")
    await database.close()


asyncio.run(main(sys.argv[1]))
