"""What went ahead of a campaign and is early by the rate: it waits here, and keeps its slots of the window."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from cooee.carriers.base import Order


class Held:
    """Orders that are written later, each after its own time, by `send`. Used on the event loop."""

    def __init__(self, send: Callable[[Sequence[Order]], None]) -> None:
        self._send = send
        self._orders: dict[int, tuple[Order, int]] = {}
        self.segments = 0
        """Of all that waits."""

    def hold(self, order: Order, segments: int, seconds: float) -> None:
        """Writes it in so many seconds, or with `let_out`."""
        key = id(order)
        self._orders[key] = (order, segments)
        self.segments += segments
        asyncio.get_running_loop().call_later(seconds, self._over, key)

    def let_out(self) -> None:
        """Writes everything now."""
        for key in list(self._orders):
            self._over(key)

    def _over(self, key: int) -> None:
        held = self._orders.pop(key, None)
        if held is not None:
            order, segments = held
            self.segments -= segments
            self._send([order])
