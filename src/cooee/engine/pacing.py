"""How fast a bind may go: its share of the carrier's TPS, and what the carrier says about it.

Tokens are segments. A bucket holds a tenth of a second's worth, one at least, so that the SMSC's own meter,
whatever its window, never sees a burst. A long message may take the bucket below zero: it goes whole, and the next
one waits. So may a single message that is accepted while a campaign takes every token: it goes ahead of the
campaign, at half of the rate at most. It leaves once the bucket is back at zero (`early`), the time of two tokens
or a second at most, for until then it would be one more than the rate allows; and the campaign waits for what it
took. When the carrier throttles, the bind stands still for about a second and its rate falls by a third; it rises
again by a twentieth of the full rate a second.
"""

from __future__ import annotations

from random import SystemRandom

from cooee.model.clock import Clock

BURST_S = 0.1
FALL = 0.67
LEAST = 0.05
RISE_PER_S = 0.05
AHEAD = 0.5
"""The share of the rate that single messages may take from campaigns."""

_random = SystemRandom()


class Pacing:
    """The token bucket of one bind. `tps` 0: no limit."""

    def __init__(self, clock: Clock, tps: float) -> None:
        self._clock = clock
        self._tps = tps
        self._tokens = 0.0
        self._ahead = 0.0
        """Tokens that may be taken although the bucket is empty."""
        self._at = clock.monotonic()
        self._factor = 1.0
        self._blocked_until = 0.0

    def share(self, tps: float) -> None:
        """Sets this bind's share of the carrier's TPS."""
        self._refill()
        self._tps = tps

    def _refill(self) -> None:
        now = self._clock.monotonic()
        passed = now - self._at
        self._at = now
        if self._factor < 1.0 and now > self._blocked_until:
            self._factor = min(1.0, self._factor + passed * RISE_PER_S)
        rate = self._tps * self._factor
        self._tokens = min(self._tokens + passed * rate, max(1.0, rate * BURST_S))
        self._ahead = min(self._ahead + passed * rate * AHEAD, max(1.0, rate * BURST_S * AHEAD))

    def room(self, limit: int) -> int:
        """Segments that may go now, `limit` at most."""
        self._refill()
        if self._at < self._blocked_until:
            return 0
        if not self._tps:
            return limit
        return max(0, min(limit, int(self._tokens)))

    def may_go_ahead(self, segments: int) -> bool:
        """Whether a single message of so many segments may go although there is no room. If so, `take` them, and
        write them when they are not `early` any more. Not where that would be long: what waits in memory and is
        marked is uncertain after a crash, and no pause reaches it."""
        self._refill()
        if not self._tps or self._at < self._blocked_until or self._ahead < segments:
            return False
        if segments - self._tokens > max(self._tps, 2.0) * self._factor:
            return False
        self._ahead -= segments
        return True

    def take(self, segments: int) -> None:
        """These go."""
        if self._tps:
            self._tokens -= segments

    def early(self, promised: int = 0) -> float:
        """Seconds until the bucket is back at zero, `promised` segments that have yet to be taken included, and
        until a carrier that asked to slow down has had its rest; 0 when what was taken may leave at once."""
        rest = max(0.0, self._blocked_until - self._clock.monotonic()) if self._blocked_until else 0.0
        if not self._tps or self._tokens >= promised:
            return rest
        self._refill()
        return max(rest, (promised - self._tokens) / (self._tps * self._factor))

    def wait(self) -> float:
        """Seconds until there is room again; 0 when there is."""
        self._refill()
        if self._at < self._blocked_until:
            return self._blocked_until - self._at
        if not self._tps or self._tokens >= 1:
            return 0.0
        return (1 - self._tokens) / (self._tps * self._factor)

    def throttled(self) -> None:
        """The carrier asked to slow down."""
        now = self._clock.monotonic()
        if now < self._blocked_until:
            return  # said for the same burst
        self._factor = max(LEAST, self._factor * FALL)
        self._blocked_until = now + _random.uniform(0.5, 1.5)
        self._tokens = 0.0
