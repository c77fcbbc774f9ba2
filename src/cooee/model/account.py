"""An account as the rooms above the store see it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cooee.model.clock import Window, day_starts, zone

if TYPE_CHECKING:
    from cooee.model.tariff import Tariff


class AccountState(enum.IntEnum):
    """Numbers are stored."""

    ACTIVE = 1
    SUSPENDED = 2


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks, what they may do and how they read the time.

    `window`: minutes after local midnight, or None for always. `approved`: the sender IDs that are, where
    `approved_only` says that no other may be used. `countries`: ISO codes, none for any. `tariff`: None where
    every segment costs one credit. Amounts are credits; None: no such limit.
    """

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
    approved_only: bool = False
    credit_limit: int = 0
    daily_cap: int | None = None
    low_balance: int | None = None
    countries: tuple[str, ...] = ()
    shape_only: bool = False
    smart_encoding: bool = False
    approved: frozenset[str] = frozenset()
    tariff: Tariff | None = None

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

    def day_starts(self, now: int) -> int:
        """When the local day began that `now` is in; both UTC ms. The daily cap counts by it."""
        return day_starts(now, self.zone_name)
