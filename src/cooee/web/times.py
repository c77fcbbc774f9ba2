"""Times as answers have them, for many rows: those of one second are written once."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from cooee.model.clock import SECOND, iso

_REMEMBERED = 10_000


class Times:
    """Writes instants in one zone; None is UTC. `between` stands between date and time of day."""

    def __init__(self, where: ZoneInfo | None, between: str = "T") -> None:
        self._where = where
        self._between = between
        self._texts: dict[int, str] = {}

    def text(self, ms: int) -> str:
        """`2020-07-28T11:06:02` for an instant in UTC ms."""
        second = ms // SECOND
        found = self._texts.get(second)
        if found is None:
            if len(self._texts) >= _REMEMBERED:
                self._texts.clear()
            found = self._texts[second] = iso(ms, self._where).replace("T", self._between)
        return found
