"""What the console reckons by itself: when a campaign ends, when a window is closed, how many there are."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any

import pytest

from cooee.model.clock import Window, local_to_ms, zone
from cooee.model.message import MessageState
from cooee.service.drafts import runs_until
from cooee.store import campaigns
from cooee.web.console.look import duration, groups, when
from cooee.web.console.plots import closed_hours
from tests.console.support_console import Site, person

ZONE = "Australia/Sydney"
SYDNEY = zone(ZONE)
FIRST = 61400000000


def at(text: str) -> int:
    """A local time in Sydney as UTC ms."""
    return local_to_ms(datetime.fromisoformat(text), SYDNEY)


class TestEnd:
    """`runs_until`: seconds of open window."""

    def test_without_a_window(self) -> None:
        assert runs_until(at("2026-05-04T10:00"), 3600, Window(ZONE, None, None)) == at("2026-05-04T11:00")

    def test_within_one_day(self) -> None:
        assert runs_until(at("2026-05-04T09:00"), 3600, Window(ZONE, 540, 1200)) == at("2026-05-04T10:00")

    def test_goes_on_the_next_day(self) -> None:
        assert runs_until(at("2026-05-04T19:30"), 3600, Window(ZONE, 540, 1200)) == at("2026-05-05T09:30")

    def test_over_midnight(self) -> None:
        assert runs_until(at("2026-05-04T23:00"), 4 * 3600, Window(ZONE, 1320, 120)) == at("2026-05-05T23:00")

    def test_by_the_wall_clock_when_daylight_saving_ends(self) -> None:
        # 5 April 2026: three in the morning is two again.
        assert runs_until(at("2026-04-04T19:00"), 7200, Window(ZONE, 540, 1200)) == at("2026-04-05T10:00")

    def test_beyond_a_year_it_says_nothing(self) -> None:
        assert runs_until(at("2026-05-04T09:00"), 400 * 86400, Window(ZONE, None, None)) is None
        assert runs_until(at("2026-05-04T09:00"), 366 * 86400, Window(ZONE, 540, 600)) is None


def test_closed_hours_are_those_outside_of_the_window() -> None:
    start, end = at("2026-05-04T06:00"), at("2026-05-06T12:00")
    assert closed_hours(start, end, (540, 1200), SYDNEY) == [
        (at("2026-05-04T06:00"), at("2026-05-04T09:00")),
        (at("2026-05-04T20:00"), at("2026-05-05T09:00")),
        (at("2026-05-05T20:00"), at("2026-05-06T09:00")),
    ]
    assert closed_hours(start, end, None, SYDNEY) == []
    over = closed_hours(at("2026-05-04T00:00"), at("2026-05-05T00:00"), (1320, 120), SYDNEY)
    assert over == [(at("2026-05-04T02:00"), at("2026-05-04T22:00"))]


def test_times_are_said_as_people_say_them() -> None:
    now = at("2026-05-04T12:00")
    for text, said in (
        ("2026-05-04T09:05", "09:05 today"), ("2026-05-03T23:59", "23:59 yesterday"),
        ("2026-05-05T00:00", "00:00 tomorrow"), ("2026-01-02T03:04", "2 Jan 03:04"),
        ("2025-12-31T03:04", "31 Dec 2025 03:04"),
    ):  # fmt: skip
        shown = str(when(at(text), now, SYDNEY))
        assert f">{said}<" in shown
        assert "Australia/Sydney" in shown
    assert str(when(None, now, SYDNEY)) == "–"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 s"), (45, "45 s"), (600, "10 min"), (3 * 3600, "3 h"), (12_000, "3 h 20 min"), (200_000, "2 days")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (61400123456, "61 400 123 456"),
        (12025550123, "1 202 555 0123"),
        (4915112345678, "49 1511 2345678"),
        (7, "7"),
    ],
)
def test_numbers_are_grouped_by_country(number: int, shown: str) -> None:
    assert " ".join(groups(number)) == shown


def test_a_large_campaign_is_counted_beside_its_page(running: Site) -> None:
    """More than one piece: 45,000 recipients, of whom all but a few have an outcome."""
    size, known = 45_000, 44_000
    who = person(running, credits=50_000)
    campaign = who.campaign(Destinations=[str(FIRST + at) for at in range(size)])
    for start in range(0, known, 11_000):
        outcomes = [
            (
                FIRST + at,
                MessageState.FAILED if at % 100 == 0 else MessageState.DELIVERED,
                300 if at % 100 == 0 else 0,
            )
            for at in range(start, start + 11_000)
        ]
        running.settle(who.account, campaign, outcomes, running.clock.now_ms())
        running.clock.advance(7)

    async def mark(tx: Any) -> None:
        for sql in (
            f"UPDATE batch SET marked = size WHERE campaign_id = {campaign} AND no < {known // 500}",
            f"UPDATE campaign SET state = 3, started_at = created_at WHERE id = {campaign}",
        ):
            if tx.engine == "sqlite":
                tx.connection.execute(sql)
            else:
                await tx.connection.execute(sql)

    running.run(running.database.write(mark))
    running.run(campaigns.recount(running.database, who.account.id, campaign))
    here = f"/campaigns/{campaign}"
    first = who.get(here)
    assert "Counting…" in first.words
    assert "delivered 43,560" in first.words
    assert "failed 440" in first.words
    assert "waiting 1,000" in first.words
    for _ in range(200):
        course = who.get(f"{here}?part=course")
        if "ounting" not in course.words:
            break
        running.clock.advance(3)
        time.sleep(0.02)
    words = who.get(here).words
    assert "ounting" not in words
    assert "300 the carrier's own code – 440 100.0 %" in words or re.search(r"300 .{1,80} 440 100.0 %", words)
    table = re.findall(r"<tr><th scope=\"row\">[^<]+</th>((?:<td class=\"num\">[\d,]+</td>)+)</tr>", course.text)
    sums = [sum(int(value.replace(",", "")) for value in column) for column in zip(
        *(re.findall(r">([\d,]+)<", row) for row in table), strict=True)]  # fmt: skip
    assert sums == [44_000, 43_560, 440]
    # Kept: another look counts nothing again until something changes.
    assert "ounting" not in who.get(here).words
    csv = who.get(f"{here}/export.csv").text
    assert csv.count("\n") == size + 1
    assert csv.count(",waiting,") == 1000
