"""Send windows by the clock on the wall, every case in a table: when they open, and how long they were open.

A "+" behind a local time that comes twice means the second of the two.
"""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cooee.model.clock import DAY, HOUR, MINUTE, Window, ms_to_local, zone

SYDNEY, AUCKLAND, LONDON = "Australia/Sydney", "Pacific/Auckland", "Europe/London"
ADELAIDE, LORD_HOWE, KATHMANDU = "Australia/Adelaide", "Australia/Lord_Howe", "Asia/Kathmandu"


def at(where: str, text: str) -> int:
    """The instant of a local time, which exists; with "+", the second of the two."""
    second = text.endswith("+")
    local = datetime.fromisoformat(text.removesuffix("+")).replace(tzinfo=zone(where), fold=int(second))
    ms = round(local.timestamp()) * 1000
    assert shown(where, ms) == text, f"{text} is not there"
    return ms


def shown(where: str, ms: int) -> str:
    """What the clock on the wall shows, with a "+" where it shows that for the second time."""
    local = datetime.fromtimestamp(ms // 1000, zone(where))
    return local.replace(tzinfo=None).isoformat(timespec="minutes") + "+" * local.fold


def window(where: str, text: str) -> Window:
    """`08:00-21:00`."""
    opens, closes = (int(part[:2]) * 60 + int(part[3:]) for part in text.split("-"))
    return Window(where, opens, closes)


OPENINGS = [
    # zone, window, at, next open: the same where it is open
    # --- an ordinary day: to the minute, the opening one is inside, the closing one is not
    (SYDNEY, "08:00-21:00", "2026-06-01T07:59", "2026-06-01T08:00"),
    (SYDNEY, "08:00-21:00", "2026-06-01T08:00", "2026-06-01T08:00"),
    (SYDNEY, "08:00-21:00", "2026-06-01T20:59", "2026-06-01T20:59"),
    (SYDNEY, "08:00-21:00", "2026-06-01T21:00", "2026-06-02T08:00"),
    (SYDNEY, "08:00-21:00", "2026-06-01T23:59", "2026-06-02T08:00"),
    (SYDNEY, "08:00-08:01", "2026-06-01T08:00", "2026-06-01T08:00"),
    (SYDNEY, "08:00-08:01", "2026-06-01T08:01", "2026-06-02T08:00"),
    # --- over midnight
    (SYDNEY, "21:00-08:00", "2026-06-01T20:59", "2026-06-01T21:00"),
    (SYDNEY, "21:00-08:00", "2026-06-01T21:00", "2026-06-01T21:00"),
    (SYDNEY, "21:00-08:00", "2026-06-01T23:59", "2026-06-01T23:59"),
    (SYDNEY, "21:00-08:00", "2026-06-02T00:00", "2026-06-02T00:00"),
    (SYDNEY, "21:00-08:00", "2026-06-02T07:59", "2026-06-02T07:59"),
    (SYDNEY, "21:00-08:00", "2026-06-02T08:00", "2026-06-02T21:00"),
    # --- to midnight and from midnight, in both spellings
    (SYDNEY, "08:00-24:00", "2026-06-01T23:59", "2026-06-01T23:59"),
    (SYDNEY, "08:00-24:00", "2026-06-02T00:00", "2026-06-02T08:00"),
    (SYDNEY, "08:00-00:00", "2026-06-01T23:59", "2026-06-01T23:59"),
    (SYDNEY, "08:00-00:00", "2026-06-02T00:00", "2026-06-02T08:00"),
    (SYDNEY, "00:00-08:00", "2026-06-01T23:59", "2026-06-02T00:00"),
    # --- always: equal ends, and the whole day
    (SYDNEY, "08:00-08:00", "2026-06-01T03:00", "2026-06-01T03:00"),
    (SYDNEY, "00:00-00:00", "2026-06-01T03:00", "2026-06-01T03:00"),
    (SYDNEY, "00:00-24:00", "2026-06-01T23:59", "2026-06-01T23:59"),
    # --- Sydney, 4 October 2026: 02:00 becomes 03:00
    (SYDNEY, "08:00-21:00", "2026-10-03T21:00", "2026-10-04T08:00"),
    (SYDNEY, "08:00-21:00", "2026-10-04T07:59", "2026-10-04T08:00"),
    (SYDNEY, "08:00-21:00", "2026-10-04T20:59", "2026-10-04T20:59"),
    (SYDNEY, "08:00-21:00", "2026-10-04T21:00", "2026-10-05T08:00"),
    (SYDNEY, "02:30-21:00", "2026-10-04T01:59", "2026-10-04T03:00"),
    (SYDNEY, "02:00-03:00", "2026-10-04T01:59", "2026-10-05T02:00"),
    (SYDNEY, "21:00-02:30", "2026-10-04T01:59", "2026-10-04T01:59"),
    (SYDNEY, "21:00-02:30", "2026-10-04T03:00", "2026-10-04T21:00"),
    # --- Sydney, 5 April 2026: 03:00 becomes 02:00 again
    (SYDNEY, "08:00-21:00", "2026-04-04T21:00", "2026-04-05T08:00"),
    (SYDNEY, "08:00-21:00", "2026-04-05T07:59", "2026-04-05T08:00"),
    (SYDNEY, "08:00-21:00", "2026-04-05T21:00", "2026-04-06T08:00"),
    (SYDNEY, "02:30-21:00", "2026-04-05T02:29", "2026-04-05T02:30"),
    (SYDNEY, "02:30-21:00", "2026-04-05T02:59", "2026-04-05T02:59"),
    (SYDNEY, "02:30-21:00", "2026-04-05T02:00+", "2026-04-05T02:30+"),
    (SYDNEY, "21:00-02:30", "2026-04-05T02:30", "2026-04-05T02:00+"),
    (SYDNEY, "21:00-02:30", "2026-04-05T02:30+", "2026-04-05T21:00"),
    # --- Auckland, 27 September and 5 April 2026: 02:00 becomes 03:00, 03:00 becomes 02:00
    (AUCKLAND, "08:00-21:00", "2026-09-26T21:00", "2026-09-27T08:00"),
    (AUCKLAND, "08:00-21:00", "2026-09-27T20:59", "2026-09-27T20:59"),
    (AUCKLAND, "08:00-21:00", "2026-09-27T21:00", "2026-09-28T08:00"),
    (AUCKLAND, "02:30-21:00", "2026-09-27T01:59", "2026-09-27T03:00"),
    (AUCKLAND, "08:00-21:00", "2026-04-04T21:00", "2026-04-05T08:00"),
    (AUCKLAND, "08:00-21:00", "2026-04-05T21:00", "2026-04-06T08:00"),
    (AUCKLAND, "02:30-21:00", "2026-04-05T02:10+", "2026-04-05T02:30+"),
    # --- London, 29 March and 25 October 2026: 01:00 becomes 02:00, 02:00 becomes 01:00
    (LONDON, "08:00-21:00", "2026-03-28T21:00", "2026-03-29T08:00"),
    (LONDON, "08:00-21:00", "2026-03-29T20:59", "2026-03-29T20:59"),
    (LONDON, "08:00-21:00", "2026-03-29T21:00", "2026-03-30T08:00"),
    (LONDON, "01:30-21:00", "2026-03-29T00:59", "2026-03-29T02:00"),
    (LONDON, "08:00-21:00", "2026-10-24T21:00", "2026-10-25T08:00"),
    (LONDON, "08:00-21:00", "2026-10-25T21:00", "2026-10-26T08:00"),
    (LONDON, "01:30-21:00", "2026-10-25T01:10+", "2026-10-25T01:30+"),
    # --- half hours: Adelaide (UTC+9:30), Kathmandu (UTC+5:45), Lord Howe, whose clock moves by 30 minutes
    (ADELAIDE, "08:00-21:00", "2026-06-01T07:59", "2026-06-01T08:00"),
    (ADELAIDE, "08:00-21:00", "2026-10-04T21:00", "2026-10-05T08:00"),
    (ADELAIDE, "02:30-21:00", "2026-10-04T01:59", "2026-10-04T03:00"),
    (KATHMANDU, "08:15-21:45", "2026-06-01T08:14", "2026-06-01T08:15"),
    (KATHMANDU, "08:15-21:45", "2026-06-01T21:45", "2026-06-02T08:15"),
    (LORD_HOWE, "02:15-21:00", "2026-10-04T01:59", "2026-10-04T02:30"),
    (LORD_HOWE, "02:00-02:30", "2026-10-04T01:59", "2026-10-05T02:00"),
    (LORD_HOWE, "01:45-21:00", "2026-04-05T01:30+", "2026-04-05T01:45+"),
    (LORD_HOWE, "08:00-21:00", "2026-04-04T21:00", "2026-04-05T08:00"),
]


@pytest.mark.parametrize(("where", "hours", "now", "opens"), OPENINGS)
def test_when_it_next_lets_a_message_go(where: str, hours: str, now: str, opens: str) -> None:
    it, ms = window(where, hours), at(where, now)
    assert shown(where, it.opens_at(ms)) == opens
    assert it.is_open(ms) == (now == opens)
    if now == opens:
        # It is open in the whole minute, to its last millisecond, and `now` is not cut.
        assert it.opens_at(ms + MINUTE - 1) == ms + MINUTE - 1
    else:
        assert it.opens_at(ms + MINUTE - 1) == it.opens_at(ms)


OPEN_TIME = [
    # zone, window, from, to, minutes that it was open between
    (SYDNEY, "08:00-21:00", "2026-06-01T09:00", "2026-06-01T10:00", 60),
    (SYDNEY, "08:00-21:00", "2026-06-01T20:00", "2026-06-02T09:00", 120),
    (SYDNEY, "08:00-21:00", "2026-06-01T22:00", "2026-06-02T07:00", 0),
    (SYDNEY, "08:00-21:00", "2026-06-01T22:00", "2026-06-11T07:00", 9 * 13 * 60),
    (SYDNEY, "21:00-08:00", "2026-06-01T12:00", "2026-06-02T12:00", 11 * 60),
    (SYDNEY, "00:00-24:00", "2026-06-01T12:00", "2026-06-11T12:00", 14_400),
    (SYDNEY, "08:00-08:00", "2026-06-01T12:00", "2026-06-11T12:00", 14_400),
    (SYDNEY, "08:00-21:00", "2026-06-02T09:00", "2026-06-01T09:00", 0),
    # The skipped hour is no time, the one that comes twice is twice the time.
    (SYDNEY, "00:00-06:00", "2026-10-03T12:00", "2026-10-04T12:00", 300),
    (SYDNEY, "00:00-06:00", "2026-04-04T12:00", "2026-04-05T12:00", 420),
    (SYDNEY, "02:30-03:30", "2026-10-03T12:00", "2026-10-04T12:00", 30),
    (SYDNEY, "02:30-03:30", "2026-04-04T12:00", "2026-04-05T12:00", 90),
    (SYDNEY, "02:00-03:00", "2026-10-03T12:00", "2026-10-04T12:00", 0),
    (AUCKLAND, "00:00-06:00", "2026-09-26T12:00", "2026-09-27T12:00", 300),
    (AUCKLAND, "00:00-06:00", "2026-04-04T12:00", "2026-04-05T12:00", 420),
    (LONDON, "00:00-06:00", "2026-03-28T12:00", "2026-03-29T12:00", 300),
    (LONDON, "00:00-06:00", "2026-10-24T12:00", "2026-10-25T12:00", 420),
    (LORD_HOWE, "00:00-06:00", "2026-10-03T12:00", "2026-10-04T12:00", 330),
    (LORD_HOWE, "00:00-06:00", "2026-04-04T12:00", "2026-04-05T12:00", 390),
    (KATHMANDU, "08:15-21:45", "2026-06-01T00:00", "2026-06-02T00:00", 810),
]


@pytest.mark.parametrize(("where", "hours", "start", "end", "minutes"), OPEN_TIME)
def test_how_long_it_was_open(where: str, hours: str, start: str, end: str, minutes: int) -> None:
    assert window(where, hours).open_between(at(where, start), at(where, end)) == minutes * MINUTE


def test_without_a_window_it_is_always_open() -> None:
    it = Window(SYDNEY, None, None)
    assert it.is_open(0)
    assert it.opens_at(12_345) == 12_345
    assert (it.open_between(5, 12_345), it.open_between(12_345, 5)) == (12_340, 0)


ZONES = st.sampled_from([SYDNEY, AUCKLAND, LONDON, ADELAIDE, LORD_HOWE, KATHMANDU, "UTC", "America/St_Johns"])
INSTANTS = st.integers(1_700_000_000_000, 1_900_000_000_000)
TURNS = st.sampled_from(
    [at(SYDNEY, "2026-10-04T01:59"), at(SYDNEY, "2026-04-05T02:59"), at(LORD_HOWE, "2026-10-04T01:59"),
     at(LORD_HOWE, "2026-04-05T01:59"), at(LONDON, "2026-03-29T00:59"), at(LONDON, "2026-10-25T01:59")]
)  # fmt: skip
"""The last minute before a clock changes."""
NEAR_TURNS = st.builds(lambda ms, by: ms + by * MINUTE, TURNS, st.integers(-200, 200))


@given(NEAR_TURNS | INSTANTS, ZONES, st.integers(0, 1439), st.integers(0, 1440))
@example(at(SYDNEY, "2026-10-04T01:59"), SYDNEY, 120, 180)
def test_it_opens_at_the_first_open_minute(ms: int, where: str, opens: int, closes: int) -> None:
    it = Window(where, opens, closes)
    due = it.opens_at(ms)
    # A window that lies in a skipped hour opens on the next day.
    assert ms <= due <= ms + 2 * DAY + HOUR
    assert it.is_open(due)
    if due > ms:
        assert due % MINUTE == 0
        step = max(MINUTE, (due - ms) // 50 // MINUTE * MINUTE)
        assert not any(it.is_open(before) for before in (*range(ms, due, step), due - 1))


@given(NEAR_TURNS | INSTANTS, ZONES, st.integers(0, 1439), st.integers(0, 1440), st.integers(0, 600))
def test_open_time_is_the_sum_of_open_minutes(ms: int, where: str, opens: int, closes: int, minutes: int) -> None:
    it, start = Window(where, opens, closes), ms // MINUTE * MINUTE
    end = start + minutes * MINUTE
    expected = sum(it.is_open(minute) for minute in range(start, end, MINUTE))
    assert it.open_between(start, end) == expected * MINUTE
    assert it.open_between(start, end + DAY) == it.open_between(start, end) + it.open_between(end, end + DAY)


@given(INSTANTS, ZONES)
def test_what_is_shown_is_the_wall_clock(ms: int, where: str) -> None:
    assert ms_to_local(ms, zone(where)).isoformat(timespec="minutes") == shown(where, ms).rstrip("+")
