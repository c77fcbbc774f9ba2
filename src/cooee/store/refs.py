"""Which message an SMSC id stands for: written with the answer, found by the receipt.

Ids come in any order, and inserting them a slice at a time into a B-tree is the one thing on the way out that
does not scale. So on SQLite a slice's ids are committed as one blob together with the slice's record, kept in
memory, and merged into `segment_ref` about 100,000 at a time in key order; blobs that were not merged yet are
read again at start. A receipt that comes within seconds never touches the table. On PostgreSQL, where another
node may get the receipt, references are inserted directly.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, cast

import msgspec

from cooee.model.clock import DAY
from cooee.store.database import Database, Lane, Row, Tx

KEPT_MS = 7 * DAY
"""How long a receipt may take."""
MERGE_AT = 100_000
PIECE = 4000
"""Rows merged in one transaction (measured: under 20 ms on SQLite)."""

Ref = tuple[str, int, int, int, int, int, int]
"""smsc_id (canonical), at (UTC ms), account_id, campaign_id, destination, part, attempt."""

_pack = msgspec.msgpack.Encoder()


class RefMemory:
    """The ids of recent slices, by carrier. Touched by the writer thread alone, but for `sorted_old`."""

    def __init__(self) -> None:
        self.young: dict[int, dict[str, Ref | list[Ref]]] = {}
        self.old: dict[int, dict[str, Ref | list[Ref]]] = {}
        self.size = 0
        self.oldest: int | None = None
        """Time (UTC ms) of the oldest id of the young generation."""
        self.last_blob = 0
        self.merging = 0
        """The last blob that the old generation covers; its merge goes on until it is done."""

    def add(self, blob: int, carrier_id: int, refs: Sequence[Ref]) -> None:
        """The ids of a slice that is written as blob number `blob`."""
        known = self.young.setdefault(carrier_id, {})
        for ref in refs:
            if known.setdefault(ref[0], ref) is not ref:
                # The SMSC used this id before: its counter has restarted. Both stay findable.
                before = known[ref[0]]
                known[ref[0]] = [*before, ref] if isinstance(before, list) else [before, ref]
        self.size += len(refs)
        if refs and (self.oldest is None or refs[0][1] < self.oldest):
            self.oldest = refs[0][1]
        self.last_blob = max(self.last_blob, blob)

    def remove(self, carrier_id: int, refs: Sequence[Ref]) -> None:
        """Takes back what `add` did: its transaction was rolled back."""
        known = self.young.get(carrier_id, {})
        for ref in refs:
            entry = known.get(ref[0])
            if entry is ref:
                del known[ref[0]]
            elif isinstance(entry, list):
                known[ref[0]] = [other for other in entry if other is not ref]
        self.size -= len(refs)

    def get(self, carrier_id: int, smsc_id: str) -> list[Ref]:
        """Every message that this id stands for, as far as memory knows."""
        found: list[Ref] = []
        for generation in (self.young, self.old):
            entry = generation.get(carrier_id, {}).get(smsc_id)
            if entry is not None:
                found += entry if isinstance(entry, list) else [entry]
        return found

    def rotate(self) -> None:
        """Starts a new generation."""
        self.old, self.young, self.size, self.oldest = self.young, {}, 0, None
        self.merging = self.last_blob

    def sorted_old(self, carrier_id: int) -> Iterator[Ref]:
        """The old generation of a carrier in key order. Sorts small runs, so the interpreter lock stays shared."""
        entries = iter(self.old.get(carrier_id, {}).values())
        runs: list[list[Ref]] = []
        while chunk := list(islice(entries, 5000)):
            run: list[Ref] = []
            for entry in chunk:
                if isinstance(entry, list):
                    run += entry
                else:
                    run.append(entry)
            run.sort()
            runs.append(run)
        return heapq.merge(*runs)


def memory_of(tx: Tx) -> RefMemory | None:
    """The memory of an SQLite transaction; None on PostgreSQL."""
    return cast("RefMemory | None", getattr(tx, "memory", None))


async def add_refs(tx: Tx, carrier_id: int, refs: Sequence[Ref]) -> None:
    """Keeps the ids of a slice, in the transaction that records its answers."""
    if not refs:
        return
    memory = memory_of(tx)
    if memory is None:
        await tx.many("add_refs", refs, carrier_id=carrier_id)
        return
    row = await tx.one("add_slice_answer", body=_pack.encode((carrier_id, refs)))
    # At once, so that a receipt in the same group of transactions finds them; taken back if that is rolled back.
    memory.add(int(row[0]) if row is not None else 0, carrier_id, refs)
    tx.after_rollback(lambda: memory.remove(carrier_id, refs))


async def find_refs(
    tx: Tx, carrier_id: int, ids: Sequence[str], now: int, *, deep: bool = False
) -> dict[str, list[Ref]]:
    """The messages of the last 7 days that each of these ids stands for.

    An id that the memory knows is not looked up in the table, unless `deep`: only an SMSC whose counter restarted
    has it in both.
    """
    found: dict[str, list[Ref]] = {}
    missing: list[tuple[str]] = []
    memory = memory_of(tx)
    for smsc_id in ids:
        refs = memory.get(carrier_id, smsc_id) if memory is not None else []
        if refs:
            found[smsc_id] = list(refs)
        if deep or not refs:
            missing.append((smsc_id,))
    for row in await tx.many_all("find_refs", missing, carrier_id=carrier_id, since=now - KEPT_MS):
        found.setdefault(row[0], []).append(cast(Ref, tuple(row)))
    return found


async def load_memory(database: Database, memory: RefMemory) -> int:
    """Reads blobs that were not merged before the last stop; how many ids."""
    after = 0
    while True:

        async def page(tx: Tx, after: int = after) -> Sequence[Row]:
            return await tx.all("slice_answers", after=after)

        rows = await database.read(page)
        if not rows:
            return memory.size
        for blob, body in rows:
            carrier_id, refs = msgspec.msgpack.decode(body, type=tuple[int, list[Ref]])
            memory.add(int(blob), carrier_id, refs)
            after = int(blob)


async def merge(database: Database, memory: RefMemory, *, at: int = MERGE_AT, before: int = 0) -> int:
    """Merges the memory into the table once it holds `at` ids, or one from before `before`; how many it merged.

    Cut in key order and repeatable; the blobs go with the last piece, so a crash or a fault in between
    only repeats work.
    """
    aged = memory.oldest is not None and memory.oldest < before
    if memory.size < at and not memory.old and not aged:
        return 0

    async def rotate(tx: Tx) -> None:
        memory.rotate()

    if not memory.old:
        await database.write(rotate, Lane.BULK)
    upto = memory.merging
    merged = 0
    for carrier_id in list(memory.old):
        runs = await asyncio.to_thread(memory.sorted_old, carrier_id)
        while piece := await asyncio.to_thread(_take, runs, PIECE):
            rows: Any = piece

            async def write(tx: Tx, rows: Any = rows, carrier_id: int = carrier_id) -> None:
                await tx.many("add_refs", rows, carrier_id=carrier_id)

            await database.write(write, Lane.BULK)
            merged += len(piece)

    async def drop(tx: Tx) -> None:
        await tx.run("drop_slice_answers", upto=upto)
        tx.after_commit(memory.old.clear)

    await database.write(drop, Lane.BULK)
    return merged


def _take(runs: Iterator[Ref], count: int) -> list[Ref]:
    return list(islice(runs, count))
