"""Time, injected: nothing else in Cooee asks the system what time it is.

Instants are UTC milliseconds since 1970 (int). Durations within a process are taken from `monotonic()`, in
seconds, which no clock change moves. Local times exist only at the edges: `local_to_ms` and `ms_to_local`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, Protocol
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


class Window(NamedTuple):
    """An account's send window as its row holds it: minutes after local midnight, None where it is always open.

    What counts is the clock on the wall there: a window is open in every minute that it shows from `opens` on and
    before `closes`. With closes < opens it runs over midnight; equal ones, and 0 to 1440, mean always. So on the
    days when daylight saving begins or ends a window opens and closes by the new time. What the clock skips is
    not there: an opening in the skipped hour happens as it ends. What it shows twice counts both times.
    """

    zone_name: str
    opens: int | None
    closes: int | None

    def is_open(self, ms: int) -> bool:
        """Whether a message may go at this instant."""
        opens, closes = self.opens, self.closes
        if opens is None or closes is None or opens == closes:
            return True
        local = ms_to_local(ms, zone(self.zone_name))
        minute = local.hour * 60 + local.minute
        return opens <= minute < closes if opens < closes else minute >= opens or minute < closes

    def opens_at(self, ms: int) -> int:
        """When it next lets a message go: `ms` itself while it is open, else the start of its next open minute."""
        return ms if self.is_open(ms) else _turn(self, ms // MINUTE * MINUTE, True)

    def open_between(self, start: int, end: int) -> int:
        """Milliseconds from `start` to `end` in which it is open; 0 where `end` is before `start`."""
        if self.opens is None or self.opens == self.closes:
            return max(0, end - start)
        total, at = 0, self.opens_at(start)
        while at < end:
            shut = min(end, _turn(self, at // MINUTE * MINUTE, False))
            total += shut - at
            at = self.opens_at(shut)
        return total


_HORIZON = 4
"""Days to look ahead: an opening may fall into a skipped hour on one of them."""


@lru_cache(maxsize=4096)
def _turn(window: Window, minute: int, opens: bool) -> int:
    """The first minute after `minute` in which `window` is open, or closed; four days on where there is none.

    That can only be one of its edges, in either reading of a time that comes twice, or a change of the clock.
    """
    where = zone(window.zone_name)
    edge = (window.opens if opens else window.closes) or 0
    day = ms_to_local(minute, where).replace(hour=0, minute=0, second=0)
    end = minute + _HORIZON * DAY
    found = [end]
    for ahead in range(_HORIZON):
        local = day + timedelta(days=ahead, minutes=edge)
        found += [round(local.replace(tzinfo=where, fold=fold).timestamp()) * SECOND for fold in (0, 1)]
    found += _clock_changes(minute, end, where)
    return min(at for at in found if at > minute and (at == end or window.is_open(at) == opens))


def _clock_changes(start: int, end: int, where: ZoneInfo) -> list[int]:
    """When the clock there is put forward or back, after `start` and up to `end`: one instant, or none."""

    def ahead(ms: int) -> timedelta | None:
        return datetime.fromtimestamp(ms // SECOND, where).utcoffset()

    before = ahead(start)
    if ahead(end) == before:
        return []
    low, high = start, end
    while high - low > MINUTE:
        middle = (low + high) // (2 * MINUTE) * MINUTE
        low, high = (middle, high) if ahead(middle) == before else (low, middle)
    return [high]
