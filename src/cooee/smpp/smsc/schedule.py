"""What becomes due, in steps: one entry a batch, no timer a message."""

from __future__ import annotations

from heapq import heappop, heappush
from math import ceil
from typing import Generic, TypeVar

Owner = TypeVar("Owner")
Item = TypeVar("Item")

TICK = 0.005
"""Length of a step in seconds; what is due within one goes out together."""


class Schedule(Generic[Owner, Item]):
    """Batches of items by the step in which they become due; never early, at most a step late."""

    def __init__(self) -> None:
        self._steps: dict[int, list[tuple[Owner, list[Item]]]] = {}
        self._heap: list[int] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, due: float, owner: Owner, items: list[Item]) -> None:
        """`items` of `owner` become due at `due` (monotonic seconds)."""
        step = ceil(due / TICK)
        batches = self._steps.get(step)
        if batches is None:
            batches = self._steps[step] = []
            heappush(self._heap, step)
        batches.append((owner, items))
        self._size += len(items)

    def due(self, now: float) -> list[tuple[Owner, list[Item]]]:
        """Takes out every batch that is due by `now`, in order."""
        batches: list[tuple[Owner, list[Item]]] = []
        last = now / TICK
        while self._heap and self._heap[0] <= last:
            for batch in self._steps.pop(heappop(self._heap)):
                self._size -= len(batch[1])
                batches.append(batch)
        return batches

    def wait(self, now: float) -> float | None:
        """Seconds until something is due, None when nothing is."""
        return max(0.0, self._heap[0] * TICK - now) if self._heap else None
