"""Plots: what console.js draws, as JSON, and the same as a table for those who do not see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from markupsafe import Markup

from cooee.model.clock import SECOND, local_to_ms, ms_to_local


@dataclass(frozen=True, slots=True)
class Series:
    """One line or one set of bars. `key` is a state, which has its colour everywhere."""

    key: str
    label: str
    values: Sequence[int]
    bars: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """At most four series over time. `names` say each moment in words."""

    at: Sequence[int]
    names: Sequence[str]
    series: Sequence[Series]
    zone: str
    closed: Sequence[tuple[int, int]] = ()

    @property
    def json(self) -> Markup:
        """For a script element: nothing in it can end that element."""
        data = {
            "x": [moment // SECOND for moment in self.at],
            "names": list(self.names),
            "zone": self.zone,
            "closed": [(start // SECOND, end // SECOND) for start, end in self.closed],
            "series": [
                {"key": each.key, "label": each.label, "bars": each.bars, "y": list(each.values)}
                for each in self.series
            ],
        }
        text = msgspec.json.encode(data).decode().replace("<", "\\u003c").replace("&", "\\u0026")
        return Markup(text)  # noqa: S704 (numbers and our own words, escaped above)


def closed_hours(start: int, end: int, window: tuple[int, int] | None, where: ZoneInfo) -> list[tuple[int, int]]:
    """When the send window is closed between two instants (UTC ms), for at most 40 days."""
    if window is None or window[0] == window[1]:
        return []
    opens, closes = window
    day = ms_to_local(start, where).replace(hour=0, minute=0, second=0) - timedelta(days=1)
    found = []
    for ahead in range(42):
        midnight = day + timedelta(days=ahead)
        shut = _at(midnight, closes, where)
        opened = _at(midnight + timedelta(days=1 if opens < closes else 0), opens, where)
        if shut >= end:
            break
        if opened > start:
            found.append((max(shut, start), min(opened, end)))
    return found


def _at(midnight: datetime, minutes: int, where: ZoneInfo) -> int:
    return local_to_ms(midnight + timedelta(minutes=minutes), where)
