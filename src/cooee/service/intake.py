"""Recipients as people give them: pasted, in a file, from a list; what is no recipient is told with its reason.

The rules are those of the API (wire contract §9). Here every entry is looked at singly, since a person wants to
know which line was wrong. It is made for a thread beside the event loop and gives the interpreter away between
pieces.
"""

from __future__ import annotations

import re
import select
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cooee.model.account import Account
from cooee.model.msisdn import NumberCheck, is_home, is_in, is_mobile, parse
from cooee.model.numbercheck import plain_home_mobile

MAX_REJECTS = 200
"""Entries that are shown with their reason; all are counted."""
PIECE = 1000
PAUSE_S = 0.0002
_BETWEEN = re.compile(r"[\n,;\t]+")
_LONGEST = 64

NO_NUMBER = "no phone number"
NO_MOBILE = "not a mobile number"
ABROAD = "in a country that this account may not send to"


@dataclass(frozen=True, slots=True)
class Reject:
    """An entry that is no recipient: where it stood, what stood there, and why."""

    where: str
    text: str
    why: str


@dataclass(slots=True)
class Taken:
    """What is left: sorted, unique MSISDNs; how many entries were dropped for which reason, and some of them."""

    numbers: array[int]
    invalid: int
    duplicates: int
    international: int
    rejects: list[Reject] = field(default_factory=list)


class Intake:
    """Takes recipients of an account in pieces, as a campaign of it would; with `anybody`, every E.164 number."""

    def __init__(self, account: Account, *, anybody: bool = False) -> None:
        self._country = account.country
        self._international = account.allow_international or anybody
        self._countries = () if anybody else account.countries
        self._plan = not (anybody or account.shape_only)
        # Numbers are judged here; there they are only put in order, and repeats counted.
        self._unique = NumberCheck(account.country, international=True, plan=False)
        self._ready: list[int] = []
        self._invalid = 0
        self._abroad = 0
        self._rejects: list[Reject] = []

    def add_text(self, text: str, where: str = "line") -> None:
        """Pasted text: numbers with line ends, commas, semicolons or tabs between; also with spaces, where each
        piece is a number by itself."""
        for no, line in enumerate(text.split("\n"), 1):
            for entry in _BETWEEN.split(line):
                if entry.strip():
                    self._entry(f"{where} {no}", entry.strip())

    def add_cells(self, cells: Iterable[tuple[int, str]]) -> None:
        """Cells of a file's column: (line, text) each; an empty one is invalid."""
        for no, cell in cells:
            self._entry(f"line {no}", cell.strip())

    def add_canonical(self, numbers: Sequence[int]) -> None:
        """Numbers that were checked once; they are judged again, since the account's rights may have changed."""
        for number in numbers:
            self._judge(number, "", str(number))
        self._give_way()

    def result(self) -> Taken:
        """What is left of all that was added."""
        self._flush()
        checked = self._unique.result()
        return Taken(checked.numbers, self._invalid, checked.duplicates, self._abroad, self._rejects)

    def _entry(self, where: str, entry: str) -> None:
        number = plain_home_mobile(entry, self._country) or self._parsed(entry)
        if number is None and " " in entry:
            pieces = entry.split()
            numbers = [self._parsed(piece) for piece in pieces]
            if all(piece is not None and (not self._plan or is_mobile(piece)) for piece in numbers):
                for piece, text in zip(numbers, pieces, strict=True):
                    self._judge(piece, where, text)
                return
        self._judge(number, where, entry)

    def _parsed(self, entry: str) -> int | None:
        return parse(entry, self._country) if len(entry) <= _LONGEST else None

    def _judge(self, number: int | None, where: str, entry: str) -> None:
        if number is None:
            self._invalid += 1
            self._reject(where, entry, NO_NUMBER if entry else "empty")
        elif self._plan and not is_mobile(number):
            self._invalid += 1
            self._reject(where, entry, NO_MOBILE)
        elif not self._may(number):
            self._abroad += 1
            self._reject(where, entry, ABROAD)
        else:
            self._ready.append(number)
            if len(self._ready) >= PIECE:
                self._flush()

    def _may(self, number: int) -> bool:
        at_home = is_home(number, self._country)
        if not at_home and not self._international:
            return False
        countries = self._countries
        return not countries or (at_home and self._country in countries) or is_in(number, countries)

    def _reject(self, where: str, entry: str, why: str) -> None:
        if len(self._rejects) < MAX_REJECTS:
            self._rejects.append(Reject(where, entry[:_LONGEST], why))

    def _flush(self) -> None:
        if self._ready:
            self._unique.add_canonical(self._ready)
            self._ready = []
            self._give_way()

    @staticmethod
    def _give_way() -> None:
        """Lets other threads have the interpreter lock (service/recipients.py says why by sleeping)."""
        select.select((), (), (), PAUSE_S)
