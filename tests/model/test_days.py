"""Local days, as the daily cap counts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.model.clock import DAY, HOUR, day_starts, iso, ms_to_local, zone

ZONES = ["Australia/Sydney", "Asia/Kathmandu", "America/Havana", "Africa/Cairo", "Pacific/Apia", "UTC"]


@given(st.integers(1_577_836_800_000, 1_900_000_000_000), st.sampled_from(ZONES))
def test_a_day_begins_at_its_first_instant(now: int, name: str) -> None:
    where = zone(name)
    start = day_starts(now, name)
    assert now - DAY - HOUR <= start <= now
    assert ms_to_local(start, where).date() == ms_to_local(now, where).date()
    assert ms_to_local(start - 1000, where).date() < ms_to_local(now, where).date()
    assert day_starts(start, name) == start
    assert day_starts(start - 1, name) < start


@pytest.mark.parametrize(
    ("now", "name", "expected"),
    [
        (1_780_000_000_000, "Australia/Sydney", "2026-05-29T00:00:00"),
        (1_780_000_000_000, "UTC", "2026-05-28T00:00:00"),
        # Cairo's clocks skip midnight when summer time begins: the day starts at one.
        (1_777_000_000_000, "Africa/Cairo", "2026-04-24T01:00:00"),
    ],
)
def test_days(now: int, name: str, expected: str) -> None:
    assert iso(day_starts(now, name), zone(name)) == expected
