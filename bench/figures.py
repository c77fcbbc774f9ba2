"""What is measured: figures with or without a mark, and the arithmetic on runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

Values = Mapping[str, float]
"""What one run measured, by the names of its figures."""


@dataclass(frozen=True)
class Figure:
    """One number of a bench. `least` or `most` is its mark; a figure without either is reported only."""

    name: str
    unit: str
    about: str
    least: float | None = None
    most: float | None = None

    @property
    def mark(self) -> str:
        """The mark, written out; empty where there is none."""
        if self.least is not None:
            return f"≥ {shown(self.least)}"
        return "" if self.most is None else f"≤ {shown(self.most)}"

    def reached(self, value: float) -> bool | None:
        """Whether `value` reaches the mark; None where there is none."""
        if self.least is not None:
            return value >= self.least
        return None if self.most is None else value <= self.most


CPU = (
    Figure("cpu", "µs", "server's processor time a message"),
    Figure("loop_cpu", "µs", "of that, its event loop's thread"),
    Figure("smsc_cpu", "µs", "SMSC's processor time a message"),
    Figure("database_cpu", "µs", "PostgreSQL's processor time a message"),
)


@dataclass(frozen=True)
class Plan:
    """What a run is to do. `size` is the number of recipients of a large campaign."""

    engine: str
    size: int
    seconds: float


@dataclass(frozen=True)
class Bench:
    """A bench. `run` makes a site of its own, measures once, and cleans up."""

    name: str
    about: str
    figures: tuple[Figure, ...]
    run: Callable[[Plan], Values]


@dataclass(frozen=True)
class Spread:
    """The middle of the runs, and their ends."""

    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread:
    """Of an even number of runs the lower middle is taken, so that a median is always a measured value."""
    ordered = sorted(values)
    return Spread(ordered[(len(ordered) - 1) // 2], ordered[0], ordered[-1])


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least `share` (0..1) of the values do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def shown(value: float) -> str:
    """For people: four digits that matter, thousands set apart."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"
