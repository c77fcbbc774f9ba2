"""Puts small rows of the receipt log together.

Where receipts come a few at a time, each transaction's row is mostly overhead, and a day has millions of them. So
what is some minutes old is put together, by carrier and hour, into rows of up to a thousand receipts, in the lane
and with the pace of retention. Each is one transaction: nothing is missing for a moment, nothing is there twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

from cooee.model.clock import HOUR, MINUTE, Clock
from cooee.store import receiptlog
from cooee.store.database import Database, Row, Tx

AGE_MS = 2 * MINUTE
"""Younger rows may still get neighbours."""
PAGE = 2000
MOST = 1000
"""Receipts of a row that was put together, at most."""
ROWS = 250
"""Rows that one transaction removes at most (measured: docs/decisions/0009)."""

Paced = Callable[[Callable[[Tx], Awaitable[None]]], Awaitable[None]]


class Gone(Exception):
    """Rows of a group went meanwhile."""


class Packing:
    """`paced` runs a transaction when it is its turn, and rests after it (service/retention.py)."""

    def __init__(self, database: Database, clock: Clock, paced: Paced) -> None:
        self._database = database
        self._clock = clock
        self._paced = paced

    async def run(self) -> None:
        """Puts together what is complete: enough receipts for a row, or an hour that is over."""
        now = self._clock.now_ms()
        after = (-1, -1, -1)
        while True:

            async def page(tx: Tx, after: tuple[int, int, int] = after) -> Sequence[Row]:
                return await receiptlog.unpacked(tx, after, now - AGE_MS, PAGE)

            rows = await self._database.read(page)
            full = len(rows) == PAGE
            groups = list(_groups(rows))
            # The last group of a full page may go on: the next page begins with it.
            for group, ended in groups[:-1] if full else groups:
                if ended or group[0][1] // HOUR < (now - AGE_MS) // HOUR:
                    await self._unite(group)
                after = (group[-1][0], group[-1][1], group[-1][2])
            if not full:
                return

    async def _unite(self, group: Sequence[Row]) -> None:
        carrier_id, ids = group[0][0], [row[2] for row in group]
        if len(ids) == 1:
            await self._paced(lambda tx: receiptlog.leave(tx, ids))
            return
        rows = await self._database.read(lambda tx: receiptlog.rows_of(tx, ids))
        if len(rows) < len(ids):
            return
        values = await asyncio.to_thread(receiptlog.united, carrier_id, rows)

        async def write(tx: Tx) -> None:
            if not await receiptlog.replace(tx, ids, values):
                raise Gone

        try:
            await self._paced(write)
        except Gone:
            # Another node's turn came first: it has done the same.
            return


def _groups(rows: Sequence[Row]) -> Iterator[tuple[list[Row], bool]]:
    """Rows that go together, and whether nothing can be added to them for the row that follows."""
    group: list[Row] = []
    receipts = 0
    for row in rows:
        if group:
            apart = row[0] != group[0][0] or row[1] // HOUR != group[0][1] // HOUR
            large = receipts + row[3] > MOST or len(group) == ROWS
            if apart or large:
                yield group, large
                group, receipts = [], 0
        group.append(row)
        receipts += row[3]
    if group:
        yield group, False
