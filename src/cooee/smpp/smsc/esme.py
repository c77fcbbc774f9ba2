"""One system_id: its binds, and what waits to be delivered to it.

At least once, as real SMSCs do: a deliver_sm is done with only when it was answered with ESME_ROK. One whose
bind is lost, or that is never answered, goes out again on any bind of the same system_id that can receive; one
that is refused goes out again after a while.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Protocol

from cooee.smpp.smsc.receipts import Delivery


class Receiver(Protocol):
    """A bind as its ESME sees it."""

    receives: bool

    def room(self) -> int:
        """How many more deliver_sm it may be sent now; 0 for one that cannot receive."""
        ...

    def deliver(self, deliveries: list[Delivery]) -> None:
        """Writes those, no more than `room()`; each comes back through `Esme.again` unless it is answered."""
        ...


class Esme:
    """A system_id that has bound at least once."""

    def __init__(self, system_id: str) -> None:
        self.system_id = system_id
        self.binds: list[Receiver] = []
        self.ready: deque[Delivery] = deque()
        """Due, and not sent yet."""
        self._second = 0.0
        self._segments = 0

    def again(self, deliveries: Iterable[Delivery]) -> None:
        """Puts back what was sent and not acknowledged, ahead of the rest, in order."""
        self.ready.extendleft(reversed(list(deliveries)))

    def pump(self) -> None:
        """Hands what is ready to the binds that have room, evenly."""
        ready = self.ready
        while ready:
            open_ = [(room, bind) for bind in self.binds if (room := bind.room()) > 0]
            if not open_:
                return
            share = -(-len(ready) // len(open_))
            for room, bind in open_:
                count = min(room, share, len(ready))
                batch = list(islice(ready, count))
                for _ in range(count):
                    ready.popleft()
                if batch:
                    bind.deliver(batch)

    def within(self, tps: int, segments: int, now: float) -> bool:
        """True while no more than `tps` segments came in the running second; counts them if so."""
        if not 0 <= now - self._second < 1:
            self._second = now
            self._segments = 0
        if self._segments + segments > tps:
            return False
        self._segments += segments
        return True
