"""What went ahead of a campaign and is early by the rate: it waits here, and keeps its slots of the window."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from cooee.carriers.base import Order

SOON_S = 0.001
"""A wait that no timer is set for."""


class Held:
    """Orders in the order in which they came, each of which goes to `send` once its tokens are there.

    `early(behind)` tells in how many seconds that is, for one that has so many segments behind it. It is asked
    again when the time has come, for the rate may have changed. Used on the event loop.
    """

    def __init__(self, early: Callable[[int], float], send: Callable[[Sequence[Order]], None]) -> None:
        self._early = early
        self._send = send
        self._orders: deque[tuple[Order, int]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.segments = 0
        """Of all that waits."""

    def hold(self, orders: Sequence[Order], sizes: Sequence[int]) -> None:
        """Takes orders of so many segments each; what is not early goes to `send` at once."""
        self._orders.extend(zip(orders, sizes, strict=True))
        self.segments += sum(sizes)
        self.look()

    def look(self) -> None:
        """Lets go of what is not early, or not any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due: list[Order] = []
        while self._orders:
            order, segments = self._orders[0]
            wait = self._early(self.segments - segments)
            if wait > SOON_S:
                self._timer = asyncio.get_running_loop().call_later(wait, self.look)
                break
            self._orders.popleft()
            self.segments -= segments
            due.append(order)
        if due:
            self._send(due)

    def let_go(self) -> None:
        """Hands everything to `send` now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        orders = [order for order, _ in self._orders]
        self._orders.clear()
        self.segments = 0
        if orders:
            self._send(orders)
