"""Ids in blocks: one statement takes many, memory hands them out. A crash leaves a gap, which does no harm."""

from __future__ import annotations

import asyncio

from cooee.store.database import Database, Lane, Tx

BLOCK = 1000


class Ids:
    """Hands out ids of the counters `campaign`, `account`, `carrier`, `engine`, `batch` and `list`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ranges: dict[str, range] = {}
        self._lock = asyncio.Lock()

    async def take(self, name: str, count: int = 1) -> range:
        """`count` fresh ids in a row."""
        held = self._ranges.get(name, range(0))
        if len(held) < count:
            async with self._lock:
                held = self._ranges.get(name, range(0))
                if len(held) < count:
                    held = await self._refill(name, max(count, BLOCK))
        self._ranges[name] = held[count:]
        return held[:count]

    async def one(self, name: str) -> int:
        """One fresh id."""
        return (await self.take(name))[0]

    async def exactly_one(self, name: str) -> int:
        """One fresh id that leaves no gap: for what is made rarely and read by people."""
        return (await self._refill(name, 1))[0]

    async def _refill(self, name: str, count: int) -> range:
        async def operation(tx: Tx) -> int:
            row = await tx.one("take_ids", name=name, count=count)
            if row is None:
                raise LookupError(f"no counter {name}")
            return int(row[0])

        first = await self._database.write(operation, Lane.API)
        return range(first, first + count)
