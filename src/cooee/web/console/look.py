"""Templates: how numbers, times and MSISDNs are written, and what every page has around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import phonenumbers
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cooee.model.campaign import STATUS_WORD
from cooee.model.clock import ms_to_local
from cooee.web.console.assets import Assets
from cooee.web.console.security import FIELD, form_token
from cooee.web.console.visit import Nav, Visit

if TYPE_CHECKING:
    from datetime import datetime

THEME_COOKIE = "cooee-theme"
SHORT_CODE = 8
"""Digits of a short code at most: it is written as it is."""
THEMES = ("auto", "light", "dark")


class Look:
    """Renders templates."""

    def __init__(
        self, assets: Assets, *, nav: Sequence[Nav], operator_nav: Sequence[Nav], notices: Mapping[str, str]
    ) -> None:
        self._nav, self._operator_nav, self._notices = nav, operator_nav, notices
        folder = str(files("cooee.web.console").joinpath("templates"))
        self._environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters.update(
            number=number, msisdn=msisdn, duration=duration, clock=clock_minutes, many=many, size=size
        )
        self._environment.globals.update(asset=assets.path, word_of=STATUS_WORD.__getitem__)
        # At once and not on the event loop, where the first visitor of each page would make others wait.
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    def render(self, template: str, visit: Visit, values: Mapping[str, Any]) -> str:
        """The text of a template for a visitor."""
        token = form_token(visit.cookie)
        now = visit.services.clock.now_ms()
        guest = visit.guest
        theme = visit.request.cookies.get(THEME_COOKIE, "auto")
        return self._environment.get_template(template).render(
            {
                "visit": visit,
                "guest": guest,
                "account": guest.account if guest is not None else None,
                "operator": guest.operator if guest is not None else None,
                "balance": guest.credits if guest is not None else 0,
                "nav": self._operator_nav if visit.operator_side else self._nav,
                "here": visit.request.url.path,
                "theme": theme if theme in THEMES else "auto",
                "simulated": visit.settings.simulated,
                "csrf": token,
                "csrf_field": Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, token),
                "notice": self._notices.get(visit.query("done")),
                "now": now,
                "when": lambda ms, seconds=False: when(ms, now, visit.zone, seconds=seconds),
                **values,
            }
        )


def number(value: float | None) -> str:
    """`1,042,311`; a dash for None."""
    return "–" if value is None else f"{value:,}"


def many(count: int, word: str, plural: str = "") -> str:
    """`1 message`, `1,042 messages`."""
    return f"{count:,} {word if count == 1 else plural or word + 's'}"


def size(octets: int) -> str:
    """`3.4 MB`."""
    return f"{octets / 1_000_000:.1f} MB" if octets >= 100_000 else f"{octets / 1000:.1f} kB"


@lru_cache(maxsize=4096)
def groups(value: int) -> tuple[str, ...]:
    """An MSISDN as its country writes it: calling code and groups of digits, without signs."""
    digits = str(value)
    if len(digits) <= SHORT_CODE:
        return (digits,)
    try:
        parsed = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return (digits,)
    text: str = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    parts = tuple("".join(filter(str.isdigit, part)) for part in text.replace("-", " ").split())
    return parts if "".join(parts) == digits else (digits,)


def msisdn(value: int | str) -> Markup:
    """Shown in groups, copied bare: the gaps are the style sheet's."""
    text = str(value)
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        return Markup('<span class="msisdn">{}</span>').format(text)
    inner = Markup("").join(Markup("<i>{}</i>").format(part) for part in groups(int(text)))
    return Markup('<span class="msisdn">{}</span>').format(inner)


def _date(then: datetime, today: datetime, form: str) -> str:
    days = (today.date() - then.date()).days
    if days in _NEAR:
        return f"{then:{form}} {_NEAR[days]}"
    return f"{then.day} {then:%b}{'' if then.year == today.year else f' {then.year}'} {then:{form}}"


_NEAR = {0: "today", 1: "yesterday", -1: "tomorrow"}


def when(ms: int | None, now: int, where: ZoneInfo, *, seconds: bool = False) -> Markup:
    """A time as people say it, with the exact one and its zone on hover; a dash for None."""
    if ms is None:
        return Markup("–")
    local = ms_to_local(ms, where)
    exact = f"{local:%Y-%m-%d %H:%M:%S} {where.key}"
    stamp = (ms_to_local(ms, None).replace(tzinfo=UTC)).isoformat()
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        stamp, exact, _date(local, ms_to_local(now, where), "%H:%M:%S" if seconds else "%H:%M")
    )


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`, `2 days`."""
    whole = timedelta(seconds=round(seconds))
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if minutes < 90:
        return f"{minutes} min"
    if whole < timedelta(days=2):
        hours, rest = divmod(minutes, 60)
        return f"{hours} h" if not rest else f"{hours} h {rest} min"
    return f"{round(seconds / 86400)} days"


def clock_minutes(minutes: int) -> str:
    """Minutes after midnight as `09:30`."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
