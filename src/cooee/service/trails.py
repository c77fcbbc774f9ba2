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
"""Rows of the log's index that one read goes through (measured: docs/decisions/0009)."""
PIECE = 10
"""Rows that one read opens, of up to a thousand receipts each."""
LOOKS = 25
"""Such reads in one go."""
SHOWN = 100
"""Receipts that one answer holds."""


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
    on (UTC ms), None where all was looked through. `forgotten`: some may be gone, for they are not kept for so
    long."""

    found: Sequence[RawReceipt]
    hidden: int
    onward: int | None
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

    async def receipts(self, key: Key, first_at: int, changed_at: int, onward: int | None = None) -> Receipts:
        """Receipts of a message whose row has `first_at` and `changed_at`, UTC ms; `onward` as it was answered."""
        now = self._clock.now_ms()
        # An answer may be recorded a while after its row changed last, and its receipts come within KEPT_MS of it.
        until = min(now, changed_at + KEPT_MS + DAY) + SKEW_MS
        found: list[Kept] = []
        if onward is None:
            # What settled it was joined at this very time: a search that ends early has found that.
            found, _ = await self._look(key, changed_at - 1, changed_at)
        at = first_at - SKEW_MS if onward is None else onward
        end: int | None = at
        for _ in range(LOOKS):
            more, end = await self._look(key, at, until)
            found += [kept for kept in more if kept.joined_at != changed_at]
            if end is None or len(found) >= SHOWN:
                break
            at = end
        found.sort(key=lambda kept: (kept.at, kept.part))
        shown = [
            RawReceipt(kept.at, kept.carrier, kept.part, kept.attempt, show_receipt(kept.command, kept.body))
            for kept in found[:SHOWN]
        ]
        forgotten = bool(self._keep_ms) and first_at < now - self._keep_ms
        return Receipts(shown, len(found) - len(shown), end, forgotten)

    async def _look(self, key: Key, after: int, until: int) -> tuple[list[Kept], int | None]:
        """What found the message behind `after` and up to a time, and that time; None: up to `until`, the end."""
        limit = PIECE
        while True:

            async def read(tx: Tx, limit: int = limit) -> tuple[Sequence[Row], int | None]:
                end = await receiptlog.boundary(tx, after, until, STRETCH)
                return await receiptlog.within(tx, key, after, until if end is None else end, limit), end

            rows, end = await self._database.read(read)
            if len(rows) < limit:
                break
            # Rows that were not read may be of the last one's millisecond: that is left to the next look.
            end = rows[-1][0] - 1
            if end > after:
                break
            limit *= 4
        found = await asyncio.to_thread(receiptlog.find, rows, key) if rows else []
        last = until if end is None else end
        return [kept for kept in found if after < kept.joined_at <= last], end
