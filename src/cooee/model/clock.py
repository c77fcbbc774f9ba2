"""Time, injected: nothing else in Cooee asks the system what time it is.

Instants are UTC milliseconds since 1970 (int). Durations within a process are taken from `monotonic()`, in
seconds, which no clock change moves. Local times exist only at the edges: `local_to_ms` and `ms_to_local`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cooee.model.errors import ConfigError

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Clock(Protocol):
    """Where time comes from. A test advances its own."""

    def now_ms(self) -> int:
        """The wall clock: UTC milliseconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands still until told: for tests."""

    def __init__(self, now_ms: int = 1_780_000_000_000) -> None:
        self._now_ms = now_ms
        self._monotonic = 1000.0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Both clocks go on by `seconds`."""
        self._now_ms += round(seconds * SECOND)
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Only the wall clock moves: what an administrator or NTP does."""
        self._now_ms += round(seconds * SECOND)


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name; ConfigError if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"'{name}' is no time zone; use an IANA name such as Australia/Sydney") from error


def local_to_ms(local: datetime, where: ZoneInfo) -> int:
    """The instant of a naive local time in `where`, as UTC milliseconds.

    A time that daylight saving skips moves forward by the gap; one that comes twice is the first of the two
    (wire contract §10): fold=0 says exactly that for both.
    """
    return round(local.replace(tzinfo=where, fold=0).timestamp()) * SECOND


def ms_to_local(ms: int, where: ZoneInfo | None) -> datetime:
    """The naive local time in `where` (None: UTC) of an instant, cut to whole seconds."""
    moment = datetime.fromtimestamp(ms // SECOND, UTC)
    return (moment if where is None else moment.astimezone(where)).replace(tzinfo=None)


def day_starts(ms: int, zone_name: str) -> int:
    """When the local day of an instant began in a zone, UTC ms; after the gap where midnight is skipped."""
    return _day_starts(ms // _QUARTER, zone_name)


_QUARTER = 15 * MINUTE
"""Days begin, and clocks change, at whole quarters of an hour everywhere."""


@lru_cache(maxsize=4096)
def _day_starts(quarter: int, zone_name: str) -> int:
    where = zone(zone_name)
    midnight = ms_to_local(quarter * _QUARTER, where).replace(hour=0, minute=0, second=0)
    return local_to_ms(midnight, where)


def iso(ms: int, where: ZoneInfo | None) -> str:
    """`2020-07-28T11:06:02`: ISO-8601 without zone, seconds precision (wire contract §1)."""
    return ms_to_local(ms, where).isoformat()


def iso_offset(ms: int, where: ZoneInfo) -> str:
    """`2020-07-28T11:06:02+10:00`: the local time with its offset, the same instant wherever it is read."""
    return datetime.fromtimestamp(ms // SECOND, UTC).astimezone(where).isoformat()


def month_bounds(year: int, month: int, where: ZoneInfo) -> tuple[int, int]:
    """The first instant of a local month, and that of the next one. Months share no instant and leave out none."""
    following = (year + 1, 1) if month == 12 else (year, month + 1)
    return (
        local_to_ms(datetime(year, month, 1, tzinfo=where), where),
        local_to_ms(datetime(*following, 1, tzinfo=where), where),
    )


def window_opens(ms: int, where: ZoneInfo, opens: int, closes: int) -> int:
    """When a send window next lets a message go: `ms` itself while it is open, else its next opening.

    `opens` and `closes` are minutes after local midnight; a window with closes <= opens runs over midnight,
    and equal ones mean always. The closing minute is outside. Local times count: on the days when daylight
    saving begins or ends, the window opens and closes by the wall clock.
    """
    if opens == closes:
        return ms
    local = ms_to_local(ms, where)
    minute = local.hour * 60 + local.minute
    is_open = opens <= minute < closes if opens < closes else minute >= opens or minute < closes
    if is_open:
        return ms
    day = local.replace(hour=0, minute=0, second=0)
    for ahead in range(3):
        opening = local_to_ms(day + timedelta(days=ahead, minutes=opens), where)
        if opening > ms:
            return opening
    raise AssertionError("a day has an opening")  # pragma: no cover
