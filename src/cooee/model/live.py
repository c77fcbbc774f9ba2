"""What the engine of this process shows of itself: figures of a moment, for a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BindLive:
    """One bind that this engine holds. `reason` says in words why it is up or down; `used` of `window` segments
    are unanswered."""

    no: int
    up: bool
    reason: str
    used: int
    window: int


@dataclass(frozen=True, slots=True)
class CarrierLive:
    """A carrier as this engine runs it.

    `rate` is messages a second over the last 10 s; `answers` counts accepted, refused, retried and uncertain
    messages since the engine began with this carrier; `problems` says why nothing goes out, a sentence each.
    """

    binds: tuple[BindLive, ...]
    rate: float
    answers: Mapping[str, int]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EngineLive:
    """The engine of this process, by its id in the database; carriers by theirs."""

    id: int
    carriers: Mapping[int, CarrierLive]
