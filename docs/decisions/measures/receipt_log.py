"""Decision 0009: receipts as they came. Run with `python FILE FOLDER`.

FOLDER gets SQLite files, on a real disk. Printed: what a receipt takes in processor time and on disk, in groups
of several sizes and once small rows are put together; what a search in a log of a million receipts takes; and how
long the transactions are that remove rows, or put them together.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from cooee.model.clock import SECOND, ManualClock
from cooee.service import keeping
from cooee.service.keeping import Keep
from cooee.service.packing import Packing
from cooee.service.trails import Trails
from cooee.smpp.packets import DeliverSm
from cooee.smpp.pdu import encode
from cooee.smpp.plain import read_plain
from cooee.store import receiptlog
from cooee.store import retention as removal
from cooee.store.database import Database, Lane, Tx
from cooee.store.open import open_database
from cooee.store.receipts import DELIVERED, Incoming
from cooee.store.refs import Ref

FIRST = 61_400_000_000
CAMPAIGN = 1_000_001
TEXT = (
    b"id:%d sub:001 dlvrd:001 submit date:26112409%02d done date:26112409%02d stat:DELIVRD err:000"
    b" text:Hello from the be"
)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def joined(count: int, campaign: int = CAMPAIGN, first: int = 0) -> list[tuple[Ref, Incoming]]:
    """Receipts of a large campaign: numbers in rough order, for its slices are sorted and the SMSC is not."""
    found = []
    for at in range(first, first + count):
        # Far from in order within some thousands, and never twice the same.
        number = FIRST + at * 97 + at * 7919 % 2003 * 97
        smsc_id = 5_000_000_000 + at
        text = TEXT % (smsc_id, at // 3000 % 60, at // 3000 % 60)
        tlvs = ((0x1E, b"%d\0" % smsc_id), (0x427, b"\2"))
        frame = encode(
            DeliverSm(
                at % 2**31,
                source_addr_ton=1,
                source_addr_npi=1,
                source_addr=str(number),
                dest_addr_ton=5,
                destination_addr="COOEE",
                esm_class=4,
                short_message=text,
                tlvs=tlvs,
            )
        )
        plain = read_plain(frame, 1)
        if plain is None:
            raise SystemExit("no usual receipt")
        ref = (str(smsc_id), 1_790_000_000_000, 1001, campaign, number, 0, 1)
        found.append((ref, Incoming(str(smsc_id), number, "COOEE", DELIVERED, "", 0, 5, plain.receipt.raw)))
    return found


async def fill(database: Database, clock: ManualClock, count: int, group: int) -> float:
    """Keeps `count` receipts, `group` a transaction; seconds of the processor."""
    spent = 0.0
    for first in range(0, count, group):
        some = joined(min(group, count - first), first=first)
        clock.advance(0.03)
        now = clock.now_ms()
        started = process_time()
        await database.write(lambda tx, some=some, now=now: receiptlog.keep(tx, 1, some, now), Lane.RECEIPTS)  # type: ignore[misc]
        spent += process_time() - started
    return spent


async def octets(database: Database) -> int:
    """What the table and its indexes take on SQLite's pages, free space on them not counted."""

    async def look(tx: Tx) -> int:
        text = "SELECT SUM(pgsize - unused) FROM dbstat WHERE name LIKE 'receipt_log%'"
        return int(tx.connection.execute(text).get)  # type: ignore[attr-defined]

    return await database.read(look)


async def sizes(folder: Path) -> None:
    """Receipts in groups, then put together."""
    for group in (1, 10, 100, 1000):
        clock = ManualClock()
        database = await open_database(f"sqlite:///{folder}/{group}.db", clock)
        count = min(100_000, group * 10_000)
        spent = await fill(database, clock, count, group)
        size = await octets(database)
        clock.advance(2 * 3600)
        taken: list[float] = []

        async def timed(
            operation: Callable[[Tx], Awaitable[None]],
            database: Database = database,
            taken: list[float] = taken,
        ) -> None:
            started = perf_counter()
            await database.write(operation, Lane.BULK)
            taken.append(perf_counter() - started)

        started = process_time()
        await Packing(database, clock, timed).run()
        together = (process_time() - started) / count * 1e6
        after = await octets(database) / count
        most = f", {max(taken) * 1e3:.0f} ms at most" if taken else ""
        say(
            f"{group:5} a transaction: {spent / count * 1e6:6.2f} µs and {size / count:5.1f} octets a receipt; "
            f"put together for {together:.1f} µs: {after:.1f} octets{most}"
        )
        await database.close()


async def search(folder: Path) -> None:
    """A million receipts in rows of 1,000, looked through and removed."""
    clock = ManualClock()
    database = await open_database(f"sqlite:///{folder}/search.db", clock)
    began = clock.now_ms()
    await fill(database, clock, 1_000_000, 1000)
    ended = clock.now_ms()
    clock.advance(60)
    it = Trails(database, clock, Keep().receipts_ms)
    for name, number in (("in the middle", FIRST + 50_000_000), ("that no row can hold", FIRST - 1)):
        taken = []
        for _ in range(9):
            started = perf_counter()
            found = await it.receipts((1001, CAMPAIGN, number), began, ended)
            taken.append(perf_counter() - started)
        say(f"search in 1,000 rows for a number {name}: {median(taken) * 1e3:.1f} ms, all: {found.onward is None}")
    rows = await database.read(lambda tx: receiptlog.within(tx, (1001, CAMPAIGN, FIRST + 50_000_000), 0, ended, 9))
    taken = []
    for _ in range(9):
        started = perf_counter()
        receiptlog.find(rows, (1001, CAMPAIGN, 1))
        taken.append((perf_counter() - started) / len(rows))
    say(f"a row of 1,000 opened: {median(taken) * 1e3:.2f} ms")
    taken = []
    rule = keeping.RECEIPTS
    while True:
        started = perf_counter()
        if not await database.write(lambda tx: removal.drop_rows(tx, rule.drop, 2**53, rule.most), Lane.BULK):
            break
        taken.append(perf_counter() - started)
    say(f"{rule.most} rows of 1,000 removed: {median(taken) * 1e3:.1f} ms, at most {max(taken) * 1e3:.1f} ms")
    await database.close()


async def stretch(folder: Path) -> None:
    """As much as one search looks at, on a log that was never put together."""
    clock = ManualClock()
    database = await open_database(f"sqlite:///{folder}/stretch.db", clock)
    now = clock.now_ms()

    async def add(tx: Tx) -> None:
        tx.connection.executemany(  # type: ignore[attr-defined]
            "INSERT INTO receipt_log (at, at_span, carrier_id, campaign_low, campaign_span, destination_low,"
            " destination_span, receipts, packed, body) VALUES (?, 0, 1, ?, 0, ?, 0, 1, 1, zeroblob(60))",
            [(now + at * 10, CAMPAIGN + at, FIRST + at * 7) for at in range(1_000_000)],
        )

    await database.write(add)
    clock.advance(1_000_000 * 10 / SECOND)
    it = Trails(database, clock, Keep().receipts_ms)
    started = perf_counter()
    found = await it.receipts((1001, CAMPAIGN - 1, FIRST), now, now + 10_000)
    spent = perf_counter() - started
    say(f"search in 1,000,000 rows, none of which is it: {spent * 1e3:.0f} ms, all: {found.onward is None}")
    await database.close()


async def main(folder: Path) -> None:
    """All of it."""
    await sizes(folder)
    await search(folder)
    await stretch(folder)


asyncio.run(main(Path(sys.argv[1])))
