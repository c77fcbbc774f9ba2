"""An account as the rooms above the store see it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from cooee.model.clock import Window, zone


class AccountState(enum.IntEnum):
    """Numbers are stored."""

    ACTIVE = 1
    SUSPENDED = 2


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks, what they may do and how they read the time. `window`: minutes after local midnight, or None."""

    id: int
    name: str
    password_hash: str
    parent_id: int | None
    state: AccountState
    zone_name: str
    country: str
    allow_unicode: bool
    allow_long: bool
    allow_international: bool
    may_add_credits: bool
    times_utc: bool
    window: tuple[int, int] | None
    created_at: int

    @property
    def zone(self) -> ZoneInfo:
        """The zone of times that come in, and of "today"."""
        return zone(self.zone_name)

    @property
    def send_window(self) -> Window:
        """When its messages may go."""
        return Window(self.zone_name, *(self.window or (None, None)))

    @property
    def shown_zone(self) -> ZoneInfo | None:
        """The zone of times that the API returns; None is UTC (wire contract §10)."""
        return None if self.times_utc else self.zone
