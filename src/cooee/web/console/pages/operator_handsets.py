"""A wall of the phones behind the simulated SMSC: messages arrive on them, and they answer.

The wall has a fixed number of places. Its page asks every second what has changed and says what it shows; only
that is sent and drawn anew, so that nothing flickers and nobody is disturbed while typing. A phone keeps its place
as long as it is among the newest, was asked for, or has an answer begun on it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from cooee.model.errors import CooeeError
from cooee.model.msisdn import parse
from cooee.web.console.pages.operator_accounts import at
from cooee.web.console.phones import STATES, Phone, Phones
from cooee.web.console.visit import Nav, NotFound, Refused, Visit

PLACES = 12
MAX_TEXT = 2000
HOME = "AU"
"""The country whose local form a number may be typed in."""
_NUMBER = re.compile(r"[0-9]{6,15}")
_SHOWN = re.compile(rf"([0-9]{{6,15}}):([0-9]{{1,10}}):([0-9]{{1,15}}):({'|'.join(STATES)})")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a place of the wall shows on somebody's page: a phone, its version, when its newest message came, its
    state."""

    number: str
    version: int
    last_at: int
    state: str


def _phones(visit: Visit) -> Phones:
    phones = visit.services.desk.phones
    if phones is None:
        raise NotFound
    return phones


async def wall(visit: Visit) -> Response:
    """The page."""
    phones = visit.services.desk.phones
    if phones is None:
        return visit.page("operator_no_handsets.html")
    wanted = visit.query("phone").strip()[:32]
    chosen = parse(wanted, HOME) if wanted else None
    places = arrange([None] * PLACES, phones.latest(PLACES), [str(chosen)] if chosen else [])
    return visit.page(
        "operator_handsets.html",
        places=[phones.phone(number) if number else None for number in places],
        states=STATES,
        slow=phones.slow,
        wanted=wanted,
        chosen=str(chosen) if chosen else "",
        unread=bool(wanted and not chosen),
        seen=visit.services.clock.now_ms(),
    )


async def changed(visit: Visit) -> Response:
    """What is other than somebody's page shows it: screens of phones that have something new; new phones and those
    that somebody turned on or off, with the answer that was begun on them."""
    phones = _phones(visit)
    shown = [_shown(text) for text in visit.texts("shown")[:PLACES]]
    shown += [None] * (PLACES - len(shown))
    busy = [each.number for each in shown if each is not None and visit.text(f"text-{each.number}").strip()]
    chosen = visit.text("chosen")
    if _NUMBER.fullmatch(chosen):
        busy.insert(0, chosen)
    places = arrange([each.number if each is not None else None for each in shown], phones.latest(PLACES), busy)
    news: list[tuple[int, Phone, Shown | None, str]] = []
    for place, number in enumerate(places):
        if number is None:
            continue
        before, phone = shown[place], phones.phone(number)
        if before is None or before.number != number:
            news.append((place, phone, None, ""))
        elif before.state != phone.state:
            news.append((place, phone, None, visit.text(f"text-{number}")[:MAX_TEXT]))
        elif before.version != phone.version:
            news.append((place, phone, before, ""))
    if not news:
        return Response(status_code=204)
    return visit.page("_handsets_changed.html", news=news, states=STATES)


def arrange(shown: Sequence[str | None], latest: Sequence[str], kept: Sequence[str]) -> list[str | None]:
    """Which phone stands in which place: those of `kept` and then the `latest` ones, each where it stood."""
    wanted = list(dict.fromkeys([*kept, *latest]))[: len(shown)]
    if len(wanted) < len(shown):
        # There is room: nobody has to go.
        wanted += [number for number in shown if number is not None and number not in wanted]
        wanted = wanted[: len(shown)]
    places = [number if number in wanted else None for number in shown]
    new = iter([number for number in wanted if number not in places])
    return [number if number is not None else next(new, None) for number in places]


def _shown(text: str) -> Shown | None:
    found = _SHOWN.fullmatch(text)
    return None if found is None else Shown(found[1], int(found[2]), int(found[3]), found[4])


def _number(visit: Visit) -> str:
    number = str(visit.number("number"))
    if not _NUMBER.fullmatch(number):
        raise NotFound
    return number


async def answer(visit: Visit) -> Response:
    """The phone sends a message to whoever wrote to it last, or to another number."""
    phones, number = _phones(visit), _number(visit)
    to = visit.text("to").strip() or phones.phone(number).answers_to
    text = visit.text(f"text-{number}")
    problem = None
    if not to.isascii() or not to.isdigit():
        problem = "A phone can answer a number only: this sender is a name, or nobody has written to it yet."
    elif not text.strip() or len(text) > MAX_TEXT:
        problem = f"An answer has 1 to {MAX_TEXT} characters."
    else:
        try:
            phones.answer(number, to, text)
        except (ValueError, CooeeError) as error:
            problem = f"That cannot be sent: {error}."
    if problem is not None and not visit.live:
        raise Refused(problem)
    return _drawn(visit, phones, number, problem)


async def switch(visit: Visit) -> Response:
    """Turns a phone on or off, lets it be dead, or its memory be full."""
    phones, number = _phones(visit), _number(visit)
    state = visit.text("state")
    if state not in STATES:
        raise Refused("A phone is on, off, dead, or its memory is full.")
    phones.switch(number, state)
    return _drawn(visit, phones, number)


def _drawn(visit: Visit, phones: Phones, number: str, problem: str | None = None) -> Response:
    """The phone as it is now, with what was typed where there is a `problem` with it; for a browser without htmx,
    the wall with that phone on it."""
    if not visit.live:
        return visit.go("/operator/handsets", phone=number)
    place = visit.text("place")
    return visit.page(
        "_handset.html",
        place=int(place) if place.isascii() and place.isdigit() and len(place) <= 2 else 0,
        phone=phones.phone(number),
        states=STATES,
        seen=visit.services.clock.now_ms() - 1000,
        focus=bool(visit.text(f"text-{number}")),
        problem=problem,
        typed=visit.text(f"text-{number}")[:MAX_TEXT] if problem is not None else "",
    )


async def network(visit: Visit) -> Response:
    """A slow network, or as it was."""
    _phones(visit).set_slow(visit.text("slow") == "1")
    return visit.go("/operator/handsets")


NAV = Nav("Handsets", "/operator/handsets", "handsets")
PAGES = (
    at("/handsets", wall),
    at("/handsets/changed", post=changed),
    at("/handsets/network", post=network),
    at("/handsets/{number}/answer", post=answer),
    at("/handsets/{number}/state", post=switch),
)
