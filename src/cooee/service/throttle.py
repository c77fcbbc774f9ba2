"""How many failed logins are borne (wire contract §1): 10 a minute for one user from one address, 100 a minute
from one address. Beyond that the address waits until its minute is over, with the right password too.

A minute begins with the first failure and is measured on the monotonic clock. Memory is bounded: a counter
lives a minute, and of too many the oldest is forgotten. An IPv6 address counts as its /64, since whoever has one
address of such a network has them all; and whoever has a whole /48, as sites do (RFC 6177 §2), may fail WIDER
times as often from all of its networks together. Limits on sign-ups count in the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Network
from typing import Generic, TypeVar

from cooee.model.addresses import embedded, literal
from cooee.model.clock import Clock
from cooee.model.errors import TOO_MANY, ApiError

MINUTE_S = 60.0
PER_USER = 10
PER_ADDRESS = 100
WIDER = 3
"""What an IPv6 /48 bears, as a multiple of what one address does."""
MAX_COUNTERS = 20_000
# No account's name is longer: a longer one is cut, so that it takes no more memory than others.
_NAME = 65

Key = TypeVar("Key")


@lru_cache(maxsize=4096)
def networks_of(address: str) -> tuple[str, str]:
    """What counts as one address, and the wider network that bears WIDER times as much.

    Of an IPv6 address they are its /64 and its /48. An IPv4 address, also one that is written as IPv6, and any
    other text count as they are, and are in no wider one: "".
    """
    parsed = literal(address.partition("%")[0])
    if parsed is None:
        return address[:64], ""
    if isinstance(parsed, IPv4Address):
        return str(parsed), ""
    if (ipv4 := embedded(parsed)) is not None:
        return str(ipv4), ""
    return str(IPv6Network((int(parsed) >> 64 << 64, 64))), str(IPv6Network((int(parsed) >> 80 << 80, 48)))


@dataclass(slots=True)
class _Count:
    until: float
    failures: int


class _Counters(Generic[Key]):
    """Failures a key, each counter for a minute from its first failure; the oldest come first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: dict[Key, _Count] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def wait(self, key: Key, now: float, times: int = 1) -> float:
        """Seconds until `key`, which bears `times` the limit, may try again; 0 when it may now."""
        count = self._counts.get(key)
        if count is None or now >= count.until or count.failures < self._limit * times:
            return 0.0
        return count.until - now

    def add(self, key: Key, now: float) -> None:
        count = self._counts.get(key)
        if count is not None and now < count.until:
            count.failures += 1
            return
        self._counts.pop(key, None)
        self.forget(now)
        if len(self._counts) >= MAX_COUNTERS:
            del self._counts[next(iter(self._counts))]
        self._counts[key] = _Count(now + MINUTE_S, 1)

    def forget(self, now: float) -> None:
        """Lets go of what is over."""
        while self._counts:
            oldest = next(iter(self._counts))
            if now < self._counts[oldest].until:
                break
            del self._counts[oldest]


class LoginThrottle:
    """Counts failed logins and refuses further tries."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._users: _Counters[tuple[str, str]] = _Counters(PER_USER)
        self._addresses: _Counters[str] = _Counters(PER_ADDRESS)

    @property
    def active(self) -> bool:
        """False while nobody has failed lately: then there is nothing to check."""
        return bool(len(self._addresses) or len(self._users))

    def check(self, user: str, address: str) -> None:
        """ApiError -907 with the seconds to wait, when this user at this address, or the address, has to."""
        now = self._clock.monotonic()
        network, site = networks_of(address)
        user = user[:_NAME]
        wait = max(self._addresses.wait(network, now), self._users.wait((user, network), now))
        if site:
            wait = max(wait, self._addresses.wait(site, now, WIDER), self._users.wait((user, site), now, WIDER))
        if wait:
            raise ApiError(TOO_MANY, retry_after=max(1, math.ceil(wait)))
        self._addresses.forget(now)
        self._users.forget(now)

    def failed(self, user: str, address: str) -> None:
        """A login failed. ApiError -907 when others that were under way have used up the tries meanwhile."""
        self.check(user, address)
        now = self._clock.monotonic()
        for network in networks_of(address):
            if network:
                self._addresses.add(network, now)
                self._users.add((user[:_NAME], network), now)
