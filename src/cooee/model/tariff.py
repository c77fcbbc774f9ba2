"""What a segment costs, by the recipient's country (wire contract §3).

A rate is a whole number of credits. Where nobody has set one it is 1, and an account for which that holds
everywhere has no tariff at all. Countries that share a calling code are told apart number by number, as the
numbering plan does; a number that none of them claims costs what the main one does.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from cooee.model.numberplan import MAX_DIGITS, MIN_DIGITS, country_calling_code, main_country, plan_of, split

OTHER = "other"
"""In the place of a country: all that have no rate of their own."""
DEFAULT = 1
MAX_RATE = 100_000
_CHUNK = 2000

Stretches: TypeAlias = "list[tuple[int, array[int]]]"
"""(rate, sorted numbers) each."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """The rates of one account: by country, and for all the others."""

    rates: tuple[tuple[str, int], ...]
    other: int
    _of: Mapping[str, int] = field(compare=False, repr=False)
    _by_code: Mapping[int, int | None] = field(compare=False, repr=False)
    """The rate of a calling code; None where its countries differ. Codes that are not in it cost `other`."""
    _spans: tuple[tuple[int, int, int], ...] = field(compare=False, repr=False)
    """(from, before, code) of the numbers of each of these codes, rising."""

    def rate(self, number: int) -> int:
        """What a segment to an MSISDN costs."""
        parts = split(number)
        if parts is None:
            return self.other
        plan, national = parts
        rate = self._by_code.get(plan.calling_code, self.other)
        if rate is not None:
            return rate
        return self._of.get(plan.region_of(national) or plan.regions[0], self.other)

    def split(self, numbers: array[int], pause: Callable[[], None] | None = None) -> Stretches:
        """Sorted numbers by what they cost, the cheapest first; together they are all of them.

        Calling codes are found by bisection. Only where the countries of one differ is each number looked at (half
        a second for a million mobiles of the main one, six for others); `pause` is then called every now and then,
        for a thread to let others have the interpreter.
        """
        found: dict[int, array[int]] = {}
        for rate, part in self._parts(numbers, pause):
            if part:
                found.setdefault(rate, array("q")).extend(part)
        return sorted(found.items(), key=lambda each: each[0])

    def _parts(self, numbers: array[int], pause: Callable[[], None] | None) -> Iterator[tuple[int, Sequence[int]]]:
        at = 0
        for low, high, code in self._spans:
            start = bisect_left(numbers, low, at)
            yield self.other, numbers[at:start]
            at = bisect_left(numbers, high, start)
            rate = self._by_code[code]
            if rate is not None:
                yield rate, numbers[start:at]
                continue
            for first in range(start, at, _CHUNK):
                yield from self._of_one_code(code, numbers[first : min(first + _CHUNK, at)])
                if pause is not None:
                    pause()
        yield self.other, numbers[at:]

    def _of_one_code(self, code: int, numbers: array[int]) -> Iterator[tuple[int, Sequence[int]]]:
        """The same for a calling code whose countries differ."""
        main = self._of.get(plan_of(code).regions[0], self.other)
        text = ",".join(map(str, numbers)).encode() + b","
        at = 0
        for found in main_country(code).finditer(text):
            count = found[0].count(b",")
            yield main if found.lastindex == 1 else self.rate(numbers[at]), numbers[at : at + count]
            at += count


@lru_cache(maxsize=1024)
def _tariff(rates: tuple[tuple[str, int], ...], other: int) -> Tariff:
    of = dict(rates)
    by_code: dict[int, int | None] = {}
    for country, _ in rates:
        code = country_calling_code(country)
        found = {of.get(region, other) for region in plan_of(code).regions}
        by_code[code] = found.pop() if len(found) == 1 else None
    spans = []
    for code in by_code:
        for size in range(MIN_DIGITS, MAX_DIGITS + 1):
            unit = 10 ** (size - len(str(code)))
            spans.append((code * unit, (code + 1) * unit, code))
    return Tariff(rates, other, of, by_code, tuple(sorted(spans)))


def tariff_of(everybody: Mapping[str, int], own: Mapping[str, int]) -> Tariff | None:
    """The tariff of an account with rates of its `own` beside those of `everybody`; None where all is 1.

    The most special rate counts: the account's for the country, everybody's for it, the account's for other
    countries, everybody's for those.
    """
    if not everybody and not own:
        return None
    rates = {**everybody, **own}
    other = rates.pop(OTHER, DEFAULT)
    told = tuple(sorted((country, rate) for country, rate in rates.items() if rate != other))
    return _tariff(told, other) if told or other != DEFAULT else None
