"""Which carrier a batch goes to: batches are dealt to the unpaused carriers in proportion to their TPS."""

from __future__ import annotations

from collections.abc import Sequence

from cooee.model.campaign import batch_size
from cooee.model.clock import Clock
from cooee.store.database import Database, Row, Tx

FRESH_S = 3.0
"""How long what we know of the carriers is believed; changes take effect within 5 s."""
UNLIMITED = 1000
"""The weight of a carrier without a TPS limit, unless another one has more."""


class Routes:
    """Deals batches. Knows the carriers as they were at most FRESH_S ago."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._checked = float("-inf")
        self._weights: dict[int, int] = {}
        self._owed: dict[int, float] = {}
        self._slowest = 0.0

    @property
    def stale(self) -> bool:
        """Whether the carriers should be read again."""
        return self._clock.monotonic() - self._checked >= FRESH_S

    async def refresh(self) -> None:
        """Reads the carriers, if that was not done lately."""
        if not self.stale:
            return

        async def active(tx: Tx) -> Sequence[Row]:
            return await tx.all("active_carriers")

        rows = await self._database.read(active)
        most = max([UNLIMITED, *(row[1] for row in rows)])
        self._weights = {row[0]: row[1] or most for row in rows}
        self._owed = {carrier: self._owed.get(carrier, 0.0) for carrier in self._weights}
        self._slowest = min((tps / binds for _, tps, binds in rows if tps), default=0.0)
        self._checked = self._clock.monotonic()

    def batch_size(self, segments: int) -> int:
        """Recipients a batch of such messages holds at most: one that is to wait its turn waits for whole batches
        (docs/decisions/0003-turns.md), and nobody knows yet which carrier each goes to."""
        return batch_size(self._slowest, segments)

    @property
    def carriers(self) -> Sequence[int]:
        """The carriers that batches are dealt to."""
        return tuple(self._weights)

    def deal(self, count: int) -> Sequence[int] | None:
        """A carrier for each of `count` batches, evenly mixed; None while there is no carrier."""
        if not self._weights:
            return None
        if len(self._weights) == 1:
            return list(self._weights) * count
        total = sum(self._weights.values())
        dealt = []
        for _ in range(count):
            for carrier, weight in self._weights.items():
                self._owed[carrier] += weight / total
            chosen = max(self._owed, key=self._owed.__getitem__)
            self._owed[chosen] -= 1
            dealt.append(chosen)
        return dealt
