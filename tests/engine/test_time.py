"""Zones, send windows and daylight saving, as clients see them: every case in one table, on both engines.

Each case is an account in a zone with a send window. Each line of it is a local time, what is done then, the
status that the API tells afterwards, and how many messages the carrier was given so far. The arithmetic, to the
minute, is in tests/model/test_windows.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from cooee.model.message import GAVE_UP
from tests.engine.support_link import QUEUE_FULL, accept
from tests.engine.support_time import Play, Site, site
from tests.support.postgres import PostgresServer

SYDNEY, AUCKLAND, LONDON, PERTH = "Australia/Sydney", "Pacific/Auckland", "Europe/London", "Australia/Perth"
ADELAIDE, LORD_HOWE, KATHMANDU = "Australia/Adelaide", "Australia/Lord_Howe", "Asia/Kathmandu"
DAY, NIGHT = "08:00-21:00", "21:00-08:00"

Doing = Callable[[Play], object]
Line = tuple[str, Doing | None, str, int]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def everything(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('time') / 'cooee.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.fresh()
    with site(url) as running:
        yield running


@dataclass(frozen=True)
class Case:
    zone: str
    window: str | None
    lines: list[Line]


def now(count: int = 1) -> Doing:
    """A campaign without a time."""
    return lambda play: play.create(count)


def later(when: str, count: int = 1) -> Doing:
    """A scheduled campaign."""
    return lambda play: play.create(count, TimeScheduled=when)


def pause(play: Play) -> None:
    play.did("pause")


def unpause(play: Play) -> None:
    play.did("unpause")


def delete(play: Play) -> None:
    play.did("delete")
    assert play.client.credits == 1000


def reschedule(when: str) -> Doing:
    return lambda play: play.did("modify", TimeScheduled=when)


def longer(play: Play) -> None:
    """A text of two segments."""
    answer = play.act("modify", Message="x" * 161)
    assert (answer["Code"], answer["Segments"], answer["Credits"]) == (0, 2, 6)


def moves(zone: str) -> Doing:
    return lambda play: play.moves(zone)


def window(text: str | None) -> Doing:
    return lambda play: play.window(text)


def refused(doing: Doing) -> Doing:
    """From now on the carrier takes nothing."""

    def both(play: Play) -> None:
        play.replies(QUEUE_FULL)
        doing(play)

    return both


def unanswered(doing: Doing) -> Doing:
    """From now on the carrier says nothing: five messages fill its window."""

    def both(play: Play) -> None:
        play.replies(None)
        doing(play)

    return both


def takes(play: Play) -> None:
    play.replies(accept)


def answers(play: Play) -> None:
    play.answers()


def opens_at_eight(zone: str, evening: str, morning: str, next_morning: str) -> Case:
    """An ordinary window around the night in which the clock changes."""
    return Case(zone, DAY, [
        (f"{evening}T20:59", now(), "Finished", 1),
        (f"{evening}T21:00", now(), "Scheduled", 1),
        (f"{morning}T01:30", None, "Scheduled", 1),
        (f"{morning}T03:30", None, "Scheduled", 1),
        (f"{morning}T07:59:59", None, "Scheduled", 1),
        (f"{morning}T08:00", None, "Finished", 2),
        (f"{morning}T20:59:59", now(), "Finished", 3),
        (f"{morning}T21:00", now(), "Scheduled", 3),
        (f"{next_morning}T08:00", None, "Finished", 4),
    ])  # fmt: skip


def open_all_night(zone: str, evening: str, morning: str) -> Case:
    """A window over midnight around the same night."""
    return Case(zone, NIGHT, [
        (f"{evening}T20:59", now(), "Scheduled", 0),
        (f"{evening}T21:00", None, "Finished", 1),
        (f"{morning}T00:00", now(), "Finished", 2),
        (f"{morning}T03:30", now(), "Finished", 3),
        (f"{morning}T07:59", now(), "Finished", 4),
        (f"{morning}T08:00", now(), "Scheduled", 4),
        (f"{morning}T21:00", None, "Finished", 5),
    ])  # fmt: skip


CASES: dict[str, Case] = {
    # --- the days on which daylight saving begins and ends
    "Sydney, clocks go forward": opens_at_eight(SYDNEY, "2026-10-03", "2026-10-04", "2026-10-05"),
    "Sydney, clocks go back": opens_at_eight(SYDNEY, "2026-04-04", "2026-04-05", "2026-04-06"),
    "Auckland, clocks go forward": opens_at_eight(AUCKLAND, "2026-09-26", "2026-09-27", "2026-09-28"),
    "Auckland, clocks go back": opens_at_eight(AUCKLAND, "2026-04-04", "2026-04-05", "2026-04-06"),
    "London, clocks go forward": opens_at_eight(LONDON, "2026-03-28", "2026-03-29", "2026-03-30"),
    "London, clocks go back": opens_at_eight(LONDON, "2026-10-24", "2026-10-25", "2026-10-26"),
    "Sydney, forward, over midnight": open_all_night(SYDNEY, "2026-10-03", "2026-10-04"),
    "Sydney, back, over midnight": open_all_night(SYDNEY, "2026-04-04", "2026-04-05"),
    "Auckland, forward, over midnight": open_all_night(AUCKLAND, "2026-09-26", "2026-09-27"),
    "Auckland, back, over midnight": open_all_night(AUCKLAND, "2026-04-04", "2026-04-05"),
    "London, forward, over midnight": open_all_night(LONDON, "2026-03-28", "2026-03-29"),
    "London, back, over midnight": open_all_night(LONDON, "2026-10-24", "2026-10-25"),
    "an opening that is skipped comes as the clock has gone forward": Case(SYDNEY, "02:30-21:00", [
        ("2026-10-04T01:59", now(), "Scheduled", 0),
        ("2026-10-04T03:00", None, "Finished", 1),
    ]),
    "a window that is skipped opens on the next day": Case(SYDNEY, "02:00-03:00", [
        ("2026-10-04T01:59", now(), "Scheduled", 0),
        ("2026-10-04T12:00", None, "Scheduled", 0),
        ("2026-10-05T02:00", None, "Finished", 1),
    ]),
    "an opening that comes twice opens twice": Case(SYDNEY, "02:30-21:00", [
        ("2026-04-05T02:45", now(), "Finished", 1),
        ("2026-04-05T02:10+", now(), "Scheduled", 1),
        ("2026-04-05T02:30+", None, "Finished", 2),
    ]),
    # --- half hours
    "Adelaide": Case(ADELAIDE, "08:30-20:30", [
        ("2026-10-03T20:30", now(), "Scheduled", 0),
        ("2026-10-04T08:29", None, "Scheduled", 0),
        ("2026-10-04T08:30", None, "Finished", 1),
    ]),
    "Kathmandu, 5:45 ahead": Case(KATHMANDU, "08:15-20:45", [
        ("2026-06-01T08:14", now(), "Scheduled", 0),
        ("2026-06-01T08:15", None, "Finished", 1),
        ("2026-06-01T20:45", now(), "Scheduled", 1),
        ("2026-06-02T08:15", None, "Finished", 2),
    ]),
    "Lord Howe, whose clock goes forward by half an hour": Case(LORD_HOWE, "02:15-21:00", [
        ("2026-10-04T01:59", now(), "Scheduled", 0),
        ("2026-10-04T02:30", None, "Finished", 1),
    ]),
    "Lord Howe, whose clock goes back by half an hour": Case(LORD_HOWE, "01:45-21:00", [
        ("2026-04-05T01:50", now(), "Finished", 1),
        ("2026-04-05T01:35+", now(), "Scheduled", 1),
        ("2026-04-05T01:45+", None, "Finished", 2),
    ]),
    # --- windows that are always open, and those that end at midnight
    "the whole day is always open": Case(SYDNEY, "00:00-24:00", [
        ("2026-06-01T00:00", now(), "Finished", 1),
        ("2026-06-01T23:59:59", now(), "Finished", 2),
    ]),
    "until midnight": Case(SYDNEY, "08:00-24:00", [
        ("2026-06-01T23:59:59", now(), "Finished", 1),
        ("2026-06-02T00:00", now(), "Scheduled", 1),
        ("2026-06-02T08:00", None, "Finished", 2),
    ]),
    "none": Case(SYDNEY, None, [("2026-06-01T03:00", now(), "Finished", 1)]),
    # --- scheduled
    "due in the window": Case(SYDNEY, DAY, [
        ("2026-06-01T22:00", later("202606020900"), "Scheduled", 0),
        ("2026-06-02T08:00", None, "Scheduled", 0),
        ("2026-06-02T08:59:59", None, "Scheduled", 0),
        ("2026-06-02T09:00", None, "Finished", 1),
    ]),
    "due outside of the window": Case(SYDNEY, DAY, [
        ("2026-06-01T12:00", later("202606012200"), "Scheduled", 0),
        ("2026-06-01T22:00", None, "Scheduled", 0),
        ("2026-06-02T07:59", None, "Scheduled", 0),
        ("2026-06-02T08:00", None, "Finished", 1),
    ]),
    "due as the window closes": Case(SYDNEY, DAY, [
        ("2026-06-01T12:00", later("202606012100"), "Scheduled", 0),
        ("2026-06-01T21:00", None, "Scheduled", 0),
        ("2026-06-02T08:00", None, "Finished", 1),
    ]),
    "due in the last minute": Case(SYDNEY, DAY, [
        ("2026-06-01T12:00", later("202606012059"), "Scheduled", 0),
        ("2026-06-01T20:59:30", None, "Finished", 1),
    ]),
    "due in the window, and looked at after its closing": Case(SYDNEY, DAY, [
        ("2026-06-01T12:00", later("202606012059"), "Scheduled", 0),
        ("2026-06-01T21:00", None, "Scheduled", 0),
        ("2026-06-02T08:00", None, "Finished", 1),
    ]),
    "a past time while the window is closed": Case(SYDNEY, DAY, [
        ("2026-06-01T22:00", later("202606011200"), "Scheduled", 0),
        ("2026-06-02T08:00", None, "Finished", 1),
    ]),
    "a skipped time": Case(SYDNEY, None, [
        ("2026-10-03T12:00", later("202610040230"), "Scheduled", 0),
        ("2026-10-04T03:29", None, "Scheduled", 0),
        ("2026-10-04T03:30", None, "Finished", 1),
    ]),
    "a time that comes twice": Case(SYDNEY, None, [
        ("2026-04-04T12:00", later("202604050230"), "Scheduled", 0),
        ("2026-04-05T02:29", None, "Scheduled", 0),
        ("2026-04-05T02:30", None, "Finished", 1),
    ]),
    "rescheduled into the night": Case(SYDNEY, DAY, [
        ("2026-06-01T12:00", later("202606011800"), "Scheduled", 0),
        ("2026-06-01T13:00", reschedule("202606012300"), "Scheduled", 0),
        ("2026-06-01T23:00", None, "Scheduled", 0),
        ("2026-06-02T08:00", None, "Finished", 1),
    ]),
    "rescheduled into the past while the window is closed": Case(SYDNEY, DAY, [
        ("2026-06-01T12:00", later("202606051800"), "Scheduled", 0),
        ("2026-06-01T22:00", reschedule("202605010800"), "Scheduled", 0),
        ("2026-06-02T08:00", None, "Finished", 1),
    ]),
    "deleted while it waits for its opening": Case(SYDNEY, DAY, [
        ("2026-06-01T22:00", now(), "Scheduled", 0),
        ("2026-06-01T23:00", delete, "Deleted", 0),
        ("2026-06-02T08:00", None, "Deleted", 0),
    ]),
    # --- unpaused
    "unpaused in the window, its time has passed": Case(SYDNEY, DAY, [
        ("2026-06-01T12:00", later("202606011400"), "Scheduled", 0),
        ("2026-06-01T13:00", pause, "Paused", 0),
        ("2026-06-01T15:00", None, "Paused", 0),
        ("2026-06-01T15:30", unpause, "Finished", 1),
    ]),
    "unpaused while the window is closed": Case(SYDNEY, DAY, [
        ("2026-06-01T12:00", later("202606011400"), "Scheduled", 0),
        ("2026-06-01T13:00", pause, "Paused", 0),
        ("2026-06-01T22:00", unpause, "Scheduled", 0),
        ("2026-06-02T07:59", None, "Scheduled", 0),
        ("2026-06-02T08:00", None, "Finished", 1),
    ]),
    "unpaused before its time": Case(SYDNEY, DAY, [
        ("2026-06-01T12:00", later("202606012200"), "Scheduled", 0),
        ("2026-06-01T13:00", pause, "Paused", 0),
        ("2026-06-01T14:00", unpause, "Scheduled", 0),
        ("2026-06-01T22:00", None, "Scheduled", 0),
        ("2026-06-02T08:00", None, "Finished", 1),
    ]),
    "paused over its opening": Case(SYDNEY, DAY, [
        ("2026-06-01T22:00", now(), "Scheduled", 0),
        ("2026-06-01T23:00", pause, "Paused", 0),
        ("2026-06-02T09:00", None, "Paused", 0),
        ("2026-06-02T09:30", unpause, "Finished", 1),
    ]),
    # --- cut off
    "cut off by its closing and continued": Case(SYDNEY, DAY, [
        ("2026-06-01T20:59", unanswered(now(12)), "Running", 5),
        ("2026-06-01T21:00", answers, "Running", 5),
        ("2026-06-02T07:59", None, "Running", 5),
        ("2026-06-02T08:00", None, "Finished", 12),
    ]),
    "cut off, paused, and unpaused while it is closed": Case(SYDNEY, DAY, [
        ("2026-06-01T20:59", unanswered(now(12)), "Running", 5),
        ("2026-06-01T21:00", answers, "Running", 5),
        ("2026-06-01T22:00", pause, "Paused", 5),
        ("2026-06-01T23:00", unpause, "Running", 5),
        ("2026-06-02T07:59", None, "Running", 5),
        ("2026-06-02T08:00", None, "Finished", 12),
    ]),
    "cut off over midnight, on the morning of a change": Case(SYDNEY, NIGHT, [
        ("2026-10-04T07:59", unanswered(now(12)), "Running", 5),
        ("2026-10-04T08:00", answers, "Running", 5),
        ("2026-10-04T20:59", None, "Running", 5),
        ("2026-10-04T21:00", None, "Finished", 12),
    ]),
    "accepted in the window, and nothing went out before it closed": Case(SYDNEY, DAY, [
        ("2026-06-01T20:58", unanswered(now(5)), "Running", 5),
        ("2026-06-01T20:59", now(3), "Running", 5),
        ("2026-06-01T21:00", None, "Scheduled", 5),
        ("2026-06-01T21:01", answers, "Scheduled", 5),
        ("2026-06-01T22:00", pause, "Paused", 5),
        ("2026-06-01T22:30", longer, "Paused", 5),
        ("2026-06-01T23:00", unpause, "Scheduled", 5),
        ("2026-06-02T08:00", None, "Finished", 11),
    ]),
    "paused before anything went out, and unpaused while it is closed": Case(SYDNEY, DAY, [
        ("2026-06-01T20:58", unanswered(now(5)), "Running", 5),
        ("2026-06-01T20:59", now(3), "Running", 5),
        ("2026-06-01T20:59", pause, "Paused", 5),
        ("2026-06-01T21:00", unpause, "Scheduled", 5),
        ("2026-06-01T21:01", answers, "Scheduled", 5),
        ("2026-06-02T08:00", None, "Finished", 8),
    ]),
    # --- retried
    "a retry whose time falls outside of the window": Case(SYDNEY, DAY, [
        ("2026-06-01T20:59:59", refused(now()), "Running", 1),
        ("2026-06-01T21:05", takes, "Running", 1),
        ("2026-06-02T07:59", None, "Running", 1),
        ("2026-06-02T08:00", None, "Finished", 2),
    ]),
    "a retry in the window": Case(SYDNEY, DAY, [
        ("2026-06-01T12:00", refused(now()), "Running", 1),
        ("2026-06-01T12:00", takes, "Running", 1),
        ("2026-06-01T12:05", None, "Finished", 2),
    ]),
    # --- a zone, or a window, that changes on the way
    "moved west: the instant stays, the window is the new zone's": Case(SYDNEY, DAY, [
        # Perth is two hours behind. 09:00 in Sydney is 07:00 there, and 10:00 is when its window opens.
        ("2026-06-01T12:00", later("202606020900"), "Scheduled", 0),
        ("2026-06-01T13:00", moves(PERTH), "Scheduled", 0),
        ("2026-06-02T09:00", None, "Scheduled", 0),
        ("2026-06-02T09:59", None, "Scheduled", 0),
        ("2026-06-02T10:00", None, "Finished", 1),
    ]),
    "moved west: due in both windows it goes at the same instant": Case(SYDNEY, DAY, [
        ("2026-06-01T12:00", later("202606021500"), "Scheduled", 0),
        ("2026-06-01T13:00", moves(PERTH), "Scheduled", 0),
        ("2026-06-02T14:59", None, "Scheduled", 0),
        ("2026-06-02T15:00", None, "Finished", 1),
    ]),
    "moved east: what would have waited goes at its instant": Case(PERTH, DAY, [
        # 06:30 in Perth is 08:30 in Sydney.
        ("2026-06-01T12:00", later("202606020630"), "Scheduled", 0),
        ("2026-06-01T13:00", moves(SYDNEY), "Scheduled", 0),
        ("2026-06-02T06:29", None, "Scheduled", 0),
        ("2026-06-02T06:30", None, "Finished", 1),
    ]),
    "moved while it waits for its opening": Case(PERTH, DAY, [
        ("2026-06-01T22:00", now(), "Scheduled", 0),
        ("2026-06-02T05:00", moves(SYDNEY), "Scheduled", 0),
        ("2026-06-02T06:00", None, "Finished", 1),
    ]),
    "moved while it is cut off": Case(PERTH, DAY, [
        ("2026-06-01T20:59", unanswered(now(12)), "Running", 5),
        ("2026-06-01T21:00", answers, "Running", 5),
        ("2026-06-01T22:00", moves(SYDNEY), "Running", 5),
        ("2026-06-02T05:59", None, "Running", 5),
        ("2026-06-02T06:00", None, "Finished", 12),
    ]),
    "moved while it is paused": Case(PERTH, DAY, [
        ("2026-06-01T12:00", later("202606020630"), "Scheduled", 0),
        ("2026-06-01T13:00", pause, "Paused", 0),
        ("2026-06-01T14:00", moves(SYDNEY), "Paused", 0),
        ("2026-06-01T15:00", unpause, "Scheduled", 0),
        ("2026-06-02T06:30", None, "Finished", 1),
    ]),
    "a new time is read in the new zone": Case(SYDNEY, None, [
        ("2026-06-01T12:00", later("202606020900"), "Scheduled", 0),
        ("2026-06-01T13:00", moves(PERTH), "Scheduled", 0),
        ("2026-06-01T14:00", reschedule("202606021000"), "Scheduled", 0),
        ("2026-06-02T11:59", None, "Scheduled", 0),
        ("2026-06-02T12:00", None, "Finished", 1),
    ]),
    "a window that is taken away lets go what waits for it": Case(SYDNEY, DAY, [
        ("2026-06-01T22:00", now(), "Scheduled", 0),
        ("2026-06-01T23:00", window(None), "Finished", 1),
    ]),
    "a window that is narrowed stops what runs": Case(SYDNEY, DAY, [
        ("2026-06-01T18:00", unanswered(now(12)), "Running", 5),
        ("2026-06-01T18:01", window("08:00-18:00"), "Running", 5),
        ("2026-06-01T18:02", answers, "Running", 5),
        ("2026-06-02T08:00", None, "Finished", 12),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_sent_when(everything: Site, name: str) -> None:
    case = CASES[name]
    play = everything.play(case.zone, case.window)
    for at, doing, word, sent in case.lines:
        play.go(at)
        if doing is not None:
            # Whatever the engine does at that time by itself comes first.
            play.look()
            doing(play)
        try:
            play.expect(word, sent)
        except AssertionError as error:
            raise AssertionError(f"{name}, {at}: {error}") from None


GIVE_UP: dict[str, Case] = {
    # max_age is 24 hours, of which the window has 13 a day.
    "by the wall clock where there is no window": Case(SYDNEY, None, [
        ("2026-06-01T20:00", refused(now()), "Running", 1),
        ("2026-06-02T19:30", None, "Running", 2),
        ("2026-06-02T20:00", None, "Finished", 2),
    ]),
    "by open time alone": Case(SYDNEY, DAY, [
        # An hour on the first day, 13 on the second, 10 on the third.
        ("2026-06-01T20:00", refused(now()), "Running", 1),
        ("2026-06-02T12:00", None, "Running", 2),
        ("2026-06-02T20:30", None, "Running", 3),
        ("2026-06-02T23:00", None, "Running", 3),
        ("2026-06-03T17:30", None, "Running", 4),
        ("2026-06-03T18:00", None, "Finished", 4),
    ]),
    "by open time, over a night that is an hour longer": Case(SYDNEY, "00:00-12:00", [
        # Two hours on the first day, 13 on the second, nine on the third.
        ("2026-04-04T10:00", refused(now()), "Running", 1),
        ("2026-04-05T11:30", None, "Running", 2),
        ("2026-04-06T08:30", None, "Running", 3),
        ("2026-04-06T09:00", None, "Finished", 3),
    ]),
    "less what it was paused": Case(SYDNEY, DAY, [
        # One hour, then two; 26 open ones of pause; 11 and ten.
        ("2026-06-01T20:00", refused(now()), "Running", 1),
        ("2026-06-02T10:00", pause, "Paused", 2),
        ("2026-06-04T10:00", unpause, "Running", 3),
        ("2026-06-05T17:30", None, "Running", 4),
        ("2026-06-05T18:00", None, "Finished", 4),
    ]),
    "paused over a night, which had no open time": Case(SYDNEY, DAY, [
        ("2026-06-01T20:00", refused(now()), "Running", 1),
        ("2026-06-01T21:30", pause, "Paused", 1),
        ("2026-06-02T07:30", unpause, "Running", 1),
        ("2026-06-03T17:30", None, "Running", 2),
        ("2026-06-03T18:00", None, "Finished", 2),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", GIVE_UP)
def test_how_long_it_is_tried(everything: Site, name: str) -> None:
    case = GIVE_UP[name]
    play = everything.play(case.zone, case.window)
    for at, doing, word, sent in case.lines:
        play.go(at)
        if doing is not None:
            # Whatever the engine does at that time by itself comes first.
            play.look()
            doing(play)
        play.expect(word, sent)
    # Given up before any carrier took it: shown, and not charged.
    last = case.lines[-1][0]
    assert play.report() == [(f"{last}:00", 2, GAVE_UP)]
    assert play.client.credits == 1000


# --- how times are told --------------------------------------------------------------------------------------

TOLD = [
    # zone, in UTC?, delivered at (UTC), as DRStatus tells it
    (SYDNEY, False, "2020-07-28T01:06:02", "2020-07-28T11:06:02"),
    (SYDNEY, True, "2020-07-28T01:06:02", "2020-07-28T01:06:02"),
    (SYDNEY, False, "2026-01-28T01:06:02", "2026-01-28T12:06:02"),
    (SYDNEY, False, "2026-04-04T15:30:00", "2026-04-05T02:30:00"),
    (SYDNEY, False, "2026-04-04T16:30:00", "2026-04-05T02:30:00"),
    (SYDNEY, True, "2026-04-04T16:30:00", "2026-04-04T16:30:00"),
    (SYDNEY, False, "2026-10-03T16:30:00", "2026-10-04T03:30:00"),
    (AUCKLAND, False, "2026-09-26T14:30:00", "2026-09-27T03:30:00"),
    (LONDON, False, "2026-07-01T12:00:00", "2026-07-01T13:00:00"),
    (LONDON, False, "2026-12-01T12:00:00", "2026-12-01T12:00:00"),
    (ADELAIDE, False, "2026-07-01T12:00:00", "2026-07-01T21:30:00"),
    (LORD_HOWE, False, "2026-01-01T12:00:00", "2026-01-01T23:00:00"),
    (LORD_HOWE, False, "2026-07-01T12:00:00", "2026-07-01T22:30:00"),
    (KATHMANDU, False, "2026-07-01T23:59:59", "2026-07-02T05:44:59"),
]


@pytest.mark.parametrize(("zone", "in_utc", "instant", "told"), TOLD)
def test_times_are_told_in_the_accounts_zone_or_in_utc(
    everything: Site, zone: str, in_utc: bool, instant: str, told: str
) -> None:
    play = everything.play(zone, None, times_utc=in_utc)
    play.zone_name = "UTC"
    play.go(instant)
    play.create()
    play.expect("Finished", 1)
    play.delivers()
    assert play.report() == [(told, 1, 0)]


def test_after_a_move_times_are_told_in_the_new_zone(everything: Site) -> None:
    play = everything.play(SYDNEY, None)
    play.go("2026-06-01T12:00")
    play.create()
    play.expect("Finished", 1)
    play.delivers()
    assert play.report() == [("2026-06-01T12:00:00", 1, 0)]
    play.moves(PERTH)
    assert play.report() == [("2026-06-01T10:00:00", 1, 0)]


def test_times_that_come_in_are_local_even_where_those_that_go_out_are_utc(everything: Site) -> None:
    play = everything.play(SYDNEY, DAY, times_utc=True)
    play.go("2026-06-01T07:00")
    play.create(TimeScheduled="202606010830")
    play.expect("Scheduled", 0)
    play.go("2026-06-01T08:30")
    play.expect("Finished", 1)
    play.delivers()
    assert play.report() == [("2026-05-31T22:30:00", 1, 0)]
