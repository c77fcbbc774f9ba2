"""How a busy SQLite node does while a million old rows go.

    python -m docs.decisions.measures.retention FOLDER [MILLIONS]

Fills a database with old messages, half of them of large campaigns and half of single ones, and as many old ids of
segments. Then a writer commits a small transaction every 10 ms, as the API does, first alone and then beside a run
of retention. Printed: what such a commit took, and how long the statements of retention's transactions took.
"""

from __future__ import annotations

import asyncio
import sys
import time
from array import array
from pathlib import Path
from typing import Any

from cooee.model.campaign import BatchState
from cooee.model.clock import DAY, SystemClock
from cooee.service.keeping import Keep
from cooee.service.retention import Retention
from cooee.store import carriers
from cooee.store.database import Database, Lane, Row, Tx
from cooee.store.open import open_database

LARGE = 50_000
FIRST = 61400000001
A, C = 1001, 1


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


async def fill(database: Database, messages: int, at: int) -> None:
    """Finished campaigns of `at` (UTC ms), with their messages, batches and ids."""
    sizes = [LARGE] * (messages // 2 // LARGE) + [1] * (messages // 2)
    first = 1_000_001
    piece: list[tuple[int, int]] = []
    for place, size in enumerate(sizes):
        piece.append((first + place, size))
        if sum(each for _, each in piece) >= 10_000 or place == len(sizes) - 1:
            await fill_piece(database, piece, at)
            piece = []
    await database.write(lambda tx: tx.one("take_ids", name="campaign", count=len(sizes)))


async def fill_piece(database: Database, piece: list[tuple[int, int]], at: int) -> None:
    campaigns: list[Row] = [
        (A, no, 6, "61411", "hello " * 10, 0, 1, 0, None, None, None, at, size, size, 1, 0, 0, 0)
        for no, size in piece
    ]
    batches: list[Row] = []
    messages: list[Row] = []
    refs: list[tuple[str, int, int, int, int, int, int]] = []
    for no, size in piece:
        for start in range(0, size, 500):
            count = min(500, size - start)
            packed = array("q", range(FIRST + start, FIRST + start + count)).tobytes()
            batches.append((A, no, start // 500, C, 0, BatchState.DONE, 1, count, 1, 0, None, at, at, None, count, packed))  # fmt: skip  # noqa: E501
        for destination in range(FIRST, FIRST + size):
            messages.append((A, no, destination, 7, 1, 1, 1, 0, 1, at, None, 0, None))
            refs.append((f"{hash((no, destination)) % 10**12:x}", at, A, no, destination, 0, 1))
    refs.sort()

    async def write(tx: Tx) -> None:
        await tx.many("add_campaigns", campaigns, now=at)
        await tx.many("add_batches", batches)
        await tx.many("record", messages, carrier_id=C, now=at)
        await tx.many("add_refs", refs, carrier_id=C)
        finished: Any = tx
        finished.connection.execute("UPDATE campaign SET finished_at = ? WHERE finished_at IS NULL", (at,))

    await database.write(write, Lane.BULK)


async def traffic(database: Database, took: list[float], stop: asyncio.Event) -> None:
    """A small transaction every 10 ms."""
    number = 0
    while not stop.is_set():
        number += 1
        started = time.perf_counter()
        await database.write(lambda tx, number=number: tx.run("claim_meta", name=f"m{number}", value="x"))  # type: ignore[misc]
        took.append(time.perf_counter() - started)
        await asyncio.sleep(0.01)


def figures(name: str, took: list[float]) -> None:
    took = sorted(took)
    shown = [f"{label} {took[min(len(took) - 1, int(len(took) * at))] * 1000:6.1f} ms" for label, at in
             (("median", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("longest", 1.0))]  # fmt: skip
    say(f"{name:28s} {len(took):7d}  {'  '.join(shown)}")


async def main(folder: str, millions: float) -> None:
    path = Path(folder) / "retention.db"
    clock = SystemClock()
    database = await open_database(f"sqlite:///{path}", clock)
    held: list[float] = []

    class Watched(Retention):
        async def _write(self, operation: Any) -> Any:
            async def timed(tx: Tx) -> Any:
                started = time.perf_counter()
                answer = await operation(tx)
                held.append(time.perf_counter() - started)
                return answer

            return await super()._write(timed)

    account = {
        "id": A, "name": "a", "password_hash": "", "parent_id": None, "zone": "UTC", "country": "AU",
        "allow_unicode": 1, "allow_long": 1, "allow_international": 1, "may_add_credits": 1, "times_utc": 1,
        "created_at": 0,
    }  # fmt: skip

    async def begin(tx: Tx) -> None:
        await tx.run("add_account", **account)
        await carriers.insert(tx, C, "c", "smpp", {"host": "127.0.0.1", "system_id": "x"}, "", 0)

    await database.write(begin)
    started = time.perf_counter()
    await fill(database, round(millions * 1_000_000), clock.now_ms() - 500 * DAY)
    say(f"filled in {time.perf_counter() - started:.0f} s, {path.stat().st_size / 1e6:.0f} MB")
    alone: list[float] = []
    stop = asyncio.Event()
    working = asyncio.create_task(traffic(database, alone, stop))
    await asyncio.sleep(10)
    stop.set()
    await working
    beside: list[float] = []
    stop = asyncio.Event()
    working = asyncio.create_task(traffic(database, beside, stop))
    started = time.perf_counter()
    lines = await Watched(database, clock, Keep()).run()
    say(f"removed in {time.perf_counter() - started:.0f} s: { {x.table: x.rows for x in lines if x.rows} }")
    stop.set()
    await working
    figures("commits alone", alone)
    figures("commits beside retention", beside)
    figures("retention's statements", held)
    await database.close()
    path.unlink()


if __name__ == "__main__":
    sys.setswitchinterval(0.0005)
    asyncio.run(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1.0))
