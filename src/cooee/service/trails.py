"""What passed between a carrier and us about one message: the carrier's ids, and its receipts as they came.

Both are looked for only when somebody asks. A search for receipts begins where the message's row says that one
came, and goes on through the time in which others can have come: off the event loop, and no further in one go than
the bounds below. What it did not reach is said, and can be asked for next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from cooee.model.clock import DAY, HOUR, Clock
from cooee.smpp.show import ShownReceipt, show_receipt
from cooee.store import history, receiptlog
from cooee.store.database import Database, Row, Tx
from cooee.store.receiptlog import Kept, Key
from cooee.store.refs import KEPT_MS

SKEW_MS = HOUR
"""How far clocks of nodes may be apart, or jump."""
STRETCH = 20_000
"""Rows of the log's index that one read goes through (measured: about 3 ms)."""
STRETCHES = 25
"""Such reads in one go."""
ROWS = 100
"""Rows that are opened in one go, of up to a thousand receipts each (measured: 0.6 ms a row)."""
PIECE = 10
SHOWN = 100
"""Receipts that one answer holds."""

Place = tuple[int, int]
"""(at, id) of a row of the log."""


@dataclass(frozen=True, slots=True)
class RawReceipt:
    """A receipt of one message. `at`: when it came, UTC ms; `part` from 0; `carrier`: its name, None once that is
    gone."""

    at: int
    carrier: str | None
    part: int
    attempt: int
    shown: ShownReceipt


@dataclass(frozen=True, slots=True)
class Receipts:
    """What a search found, by time. `hidden`: how many more it found than SHOWN. `onward`: where the next one goes
    on, None where all was looked through; `until`: how far this one came, UTC ms. `forgotten`: some may be gone,
    for they are not kept for so long."""

    found: Sequence[RawReceipt]
    hidden: int
    until: int
    onward: Place | None
    forgotten: bool


class Trails:
    """Finds them. `keep_ms`: how long receipts are kept, 0 where none are."""

    def __init__(self, database: Database, clock: Clock, keep_ms: int) -> None:
        self._database = database
        self._clock = clock
        self._keep_ms = keep_ms

    @property
    def kept_days(self) -> int:
        """How long receipts are kept; 0: not at all."""
        return self._keep_ms // DAY

    async def carrier_ids(self, key: Key, first_at: int) -> list[tuple[str, int, int]]:
        """The carrier's ids of one message: (id, part from 0, attempt). Slow where many ids are kept."""

        async def look(tx: Tx) -> list[tuple[str, int, int]]:
            return await history.refs_of(tx, *key, first_at - HOUR, first_at + 2 * DAY)

        async def look_in_memory(tx: Tx) -> list[tuple[str, int, int]]:
            return await history.young_refs_of(tx, *key)

        young = await self._database.write(look_in_memory)
        return sorted({*young, *await self._database.read(look)}, key=lambda ref: (ref[2], ref[1], ref[0]))

    async def receipts(self, key: Key, first_at: int, changed_at: int, onward: Place | None = None) -> Receipts:
        """Receipts of one message, whose row has `first_at` and `changed_at` (UTC ms); `onward` continues."""
        now = self._clock.now_ms()
        # An answer may be recorded a while after its row changed last, and its receipts come within KEPT_MS of it.
        until = min(now, changed_at + KEPT_MS + DAY) + SKEW_MS
        found: list[Kept] = []
        opened = 0
        if onward is None:
            # What settled it was joined at this very time: a search that ends early has found that.
            exact = await self._database.read(
                lambda tx: receiptlog.within(tx, key, (changed_at, -1), changed_at, ROWS // 2)
            )
            found += await self._open(exact, key)
            opened = len(exact)
        at = onward or (first_at - SKEW_MS, -1)
        end: Place | None = at
        for _ in range(STRETCHES):
            rows, end = await self._next(key, at, until, ROWS - opened)
            found += await self._open([row for row in rows if row[1] != changed_at], key)
            opened += len(rows)
            if end is None or opened >= ROWS or len(found) >= SHOWN:
                break
            at = end
        found.sort(key=lambda kept: (kept.at, kept.part))
        shown = [
            RawReceipt(kept.at, kept.carrier, kept.part, kept.attempt, show_receipt(kept.command, kept.body))
            for kept in found[:SHOWN]
        ]
        forgotten = bool(self._keep_ms) and first_at < now - self._keep_ms
        return Receipts(shown, len(found) - len(shown), until if end is None else end[0], end, forgotten)

    async def _next(self, key: Key, after: Place, until: int, limit: int) -> tuple[Sequence[Row], Place | None]:
        """The next rows that can concern a message, and where to go on."""

        async def look(tx: Tx) -> tuple[Sequence[Row], int | None]:
            end = await receiptlog.boundary(tx, after[0], until, STRETCH)
            return await receiptlog.within(tx, key, after, until if end is None else end, limit), end

        rows, end = await self._database.read(look)
        if len(rows) >= limit:
            return rows, (rows[-1][1], rows[-1][0])
        # Behind the last id of that time: the rows of the time itself were looked at.
        return rows, None if end is None else (end, 2**62)

    async def _open(self, rows: Sequence[Row], key: Key) -> list[Kept]:
        """The message's receipts in these rows, read and decompressed some at a time."""
        found: list[Kept] = []
        for first in range(0, len(rows), PIECE):
            ids = [row[0] for row in rows[first : first + PIECE]]

            async def read(tx: Tx, ids: Sequence[int] = ids) -> Sequence[Row]:
                return await receiptlog.bodies(tx, ids)

            found += await asyncio.to_thread(receiptlog.find, await self._database.read(read), key)
        return found
