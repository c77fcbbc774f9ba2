from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.model.clock import (
    MINUTE,
    ManualClock,
    SystemClock,
    iso,
    local_to_ms,
    ms_to_local,
    zone,
)
from cooee.model.errors import ConfigError


def utc(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("where", "local", "instant"),
    [
        # Winter, summer, a time that is skipped (moves on by the gap), a time that comes twice (the first).
        ("Australia/Sydney", "2026-07-01T12:00", "2026-07-01T02:00"),
        ("Australia/Sydney", "2026-01-01T12:00", "2026-01-01T01:00"),
        ("Australia/Sydney", "2026-10-04T02:30", "2026-10-03T16:30"),
        ("Australia/Sydney", "2026-04-05T02:30", "2026-04-04T15:30"),
        ("Pacific/Auckland", "2026-07-01T12:00", "2026-07-01T00:00"),
        ("Pacific/Auckland", "2026-01-01T12:00", "2025-12-31T23:00"),
        ("Pacific/Auckland", "2026-09-27T02:30", "2026-09-26T14:30"),
        ("Pacific/Auckland", "2026-04-05T02:30", "2026-04-04T13:30"),
        ("Europe/London", "2026-01-01T12:00", "2026-01-01T12:00"),
        ("Europe/London", "2026-07-01T12:00", "2026-07-01T11:00"),
        ("Europe/London", "2026-03-29T01:30", "2026-03-29T01:30"),
        ("Europe/London", "2026-10-25T01:30", "2026-10-25T00:30"),
    ],
)
def test_local_times_and_daylight_saving(where: str, local: str, instant: str) -> None:
    assert local_to_ms(datetime.fromisoformat(local), zone(where)) == utc(instant)


def test_a_skipped_time_is_shown_moved_by_the_gap() -> None:
    sydney = zone("Australia/Sydney")
    ms = local_to_ms(datetime.fromisoformat("2026-10-04T02:30"), sydney)
    assert iso(ms, sydney) == "2026-10-04T03:30:00"


def test_times_are_shown_in_whole_seconds_without_zone() -> None:
    ms = utc("2020-07-28T01:06:02") + 999
    assert iso(ms, None) == "2020-07-28T01:06:02"
    assert iso(ms, zone("Australia/Sydney")) == "2020-07-28T11:06:02"
    assert ms_to_local(ms, None).tzinfo is None


@given(
    st.datetimes(datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2040-01-01")),
    st.sampled_from(["Asia/Kolkata", "UTC"]),
)
def test_where_there_is_no_daylight_saving_local_times_come_back(local: datetime, where: str) -> None:
    local = local.replace(microsecond=0)
    assert ms_to_local(local_to_ms(local, zone(where)), zone(where)) == local


@pytest.mark.parametrize("name", ["", "Nowhere/Land", "../etc/passwd", "Australia"])
def test_what_is_no_zone_is_told(name: str) -> None:
    with pytest.raises(ConfigError, match="is no time zone"):
        zone(name)


def test_a_manual_clock_moves_when_told() -> None:
    clock = ManualClock(1000)
    before = clock.monotonic()
    clock.advance(2.5)
    assert (clock.now_ms(), clock.monotonic() - before) == (3500, 2.5)
    clock.jump(-3)
    assert (clock.now_ms(), clock.monotonic() - before) == (500, 2.5)


def test_the_system_clock_is_the_machine_s() -> None:
    clock = SystemClock()
    assert abs(clock.now_ms() - datetime.now(UTC).timestamp() * 1000) < MINUTE
    first = clock.monotonic()
    assert clock.monotonic() >= first
