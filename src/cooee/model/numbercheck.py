"""Checking whole lists of numbers (wire contract §9): millions, in a thread beside the event loop.

Nothing here may hold the interpreter for long in one call, or the API's answers wait for it. So a list comes in
chunks of about 64 KB; one compiled expression runs through a chunk and yields *stretches* of numbers that are
alike (good at home, local form, abroad, wrong), and only what fits none is looked at singly. Numbers are kept as
sorted runs of 64-bit integers. In the end the runs are cut at common boundaries and merged bucket by bucket,
since sorting a million at once would be a single call of half a second.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from cooee.model.numberform import MAX_RAW, home_of, parse
from cooee.model.numberjson import CHUNK, plain_records, plain_strings
from cooee.model.numberplan import MAX_DIGITS, MIN_DIGITS, is_home, is_in, is_mobile, plan_of, split

# Sizes that keep each single sort below ~2 ms.
_RUN = 8192
_BUCKET = 8192
_SAMPLE = 64
_SLICE = 4096
_MAX_FOREIGN = 8
_NEVER = "(?!)"
_ANY_SHAPE = f"[1-9][0-9]{{{MIN_DIGITS - 1},{MAX_DIGITS - 1}}},"

_WHITE = b" \t\r\n\v\f"
_PUNCTUATION = b"-.()[]"
_COMMAS = re.compile(rb",{2,}")
_INTEGERS = msgspec.json.Decoder(list[int])


@dataclass(slots=True)
class Checked:
    """What is left of a list: sorted, unique MSISDNs, and how many were dropped for which reason."""

    numbers: array[int]
    invalid: int
    duplicates: int
    international: int


@lru_cache(maxsize=64)
def _scanner(home: str, plan: bool, foreign: tuple[int, ...], anywhere: bool = False) -> re.Pattern[bytes]:
    """The expression that cuts `token,token,` into stretches.

    With `anywhere`, which goes without a plan, all of E.164 shape is at home.

    Groups: 1 numbers at home, 2 local form of mobiles at home, 3 numbers of the calling codes `foreign`, 4 wrong
    numbers of any of these codes, 5 one token of any other kind.
    """
    country = home_of(home)
    own = plan_of(country.calling_code)
    inside = own.inside(country.country)
    # Bare digits that `parse` would read as local form are none of groups 1, 3 and 4.
    local_digits = f"(?!{country.bare})"
    plus = rf"(?:\+|{local_digits})" if country.bare_first or not plan else r"\+?"

    def body(code: int) -> str:
        if plan:
            return plan_of(code).body
        return f"[0-9]{{{MIN_DIGITS - len(str(code))},{MAX_DIGITS - len(str(code))}}},"

    # Where the plan's mobiles need not have E.164 shape (Niue's are shorter), all must be seen to have it.
    loose = not plan_of(country.calling_code).shaped or not all(plan_of(code).shaped for code in foreign)
    shape = rf"(?=\+?[0-9]{{{MIN_DIGITS},{MAX_DIGITS}}},)" if plan and loose else ""
    own_code = str(own.calling_code)
    home_body = body(own.calling_code)
    at_home = own.mobile_inside(country.country) if plan else inside + home_body
    zero = _NEVER
    if country.trunk_zero:
        size = len(str(own.calling_code))
        fits = "" if own.shaped else f"(?=[0-9]{{{MIN_DIGITS - size},{MAX_DIGITS - size}}},)"
        zero = f"0(?!0){fits}{own.mobile_inside(country.country)}"
        if country.idd:
            zero = f"(?!{country.idd})" + zero
    abroad = [f"{own.calling_code}(?={home_body})(?!{inside}){home_body}"] if inside else []
    abroad += [f"{code}{body(code)}" for code in foreign if code != own.calling_code]
    if anywhere:
        plus, own_code, at_home, abroad = rf"(?:\+|{local_digits})", "", _ANY_SHAPE, []
    wrong = _NEVER
    if plan:
        codes = {own.calling_code, *foreign}
        wrong = "|".join(rf"(?:\+|{local_digits}){code}(?!{plan_of(code).body})[0-9]*+," for code in codes)
    return re.compile(
        (
            f"((?:{shape}{plus}{own_code}{at_home})++)"
            f"|((?:{zero})++)"
            f"|((?:{shape}{plus}(?:{'|'.join(abroad) or _NEVER}))++)"
            f"|((?:{wrong})++)"
            "|([^,]*+,)"
        ).encode()
    )


def plain_home_mobile(text: str, home: str) -> int | None:
    """The mobile at home that `text` is in plain digits, perhaps with `+`; None says nothing about any other text.

    `home` is an ISO country in upper case. The commonest number of all, judged by one expression.
    """
    if not text.isascii() or len(text) > MAX_DIGITS + 1:
        return None
    found = _scanner(home, True, ()).match(f"{text},".encode())
    if found is None or found.lastindex != 1 or found.end() != len(text) + 1:
        return None
    return int(text)


class NumberCheck:
    """Takes a list of recipients in pieces and tells what is left of it.

    Each number is judged in this order: shape and, with `plan`, the numbering plan (else invalid); inside the
    ISO country `home`, unless `international` is allowed, and inside one of `countries`, unless there is none
    (else international); seen before (else duplicate).
    Not to be used from two threads at a time. ValueError for an unknown country.
    """

    def __init__(
        self, home: str, *, international: bool, plan: bool = True, countries: tuple[str, ...] = ()
    ) -> None:
        self._home = home_of(home).country
        self._international_allowed = international
        self._countries = countries
        # Whether a number of group 1 or 3 of the expression needs no look at its country.
        self._settled = {1: not countries or self._home in countries, 3: not countries}
        self._plan = plan
        self._foreign: tuple[int, ...] = ()
        self._anywhere = international and not plan and not countries
        self._scan = _scanner(self._home, plan, (), self._anywhere)
        self._trunk = b",%d" % home_of(home).calling_code
        self._runs: list[array[int]] = []
        self._pending: list[int] = []
        self._invalid = 0
        self._duplicates = 0
        self._abroad = 0

    def add(self, items: Sequence[object]) -> None:
        """Numbers as JSON gives them: text, also several with commas between, or integers.

        Anything else is one invalid number, and so is blank text; nothing between two commas is nothing.
        """
        for start in range(0, len(items), _SLICE):
            pieces: list[str] = []
            size = 0
            for item in items[start : start + _SLICE]:
                if type(item) is int and 0 < item < 10**MAX_DIGITS:
                    pieces.append(str(item))
                    size += MAX_DIGITS
                elif not isinstance(item, str) or not item or item.isspace():
                    self._invalid += 1
                elif len(item) > CHUNK:
                    for piece in _windows(item):
                        self._add_text(piece)
                else:
                    pieces.append(item)
                    size += len(item)
                    if size > CHUNK:
                        self._add_text(",".join(pieces))
                        pieces.clear()
                        size = 0
            if pieces:
                self._add_text(",".join(pieces))

    def add_canonical(self, numbers: Sequence[int]) -> None:
        """Numbers that were read before: bare digits might be taken for a local form, these are none."""
        for start in range(0, len(numbers), _SLICE):
            self._scan_tokens(f"+{',+'.join(map(str, numbers[start : start + _SLICE]))},".encode())

    def add_json_strings(self, chunk: bytes) -> bool:
        """A piece of the inside of a JSON array, if it holds only plain digits, as strings (also with `+`) or
        as numbers: `"61400123456", 61400123999`. Returns False, and adds nothing, where there is anything else:
        decode it and use `add`.
        """
        tokens = plain_strings(chunk)
        if tokens is None:
            return False
        self._scan_tokens(tokens + b",")
        return True

    def add_json_records(self, chunk: bytes) -> bool:
        """The same for a piece of an array of objects that have nothing but plain digits as their `Number`, also
        several with commas between: `{"Number":"61400123456,61400123999"},{"Number":61400123888}`.
        """
        tokens = plain_records(chunk) if len(chunk) <= CHUNK else None
        if tokens is None:
            return False
        self._scan_tokens(tokens + b",")
        return True

    def result(self) -> Checked:
        """What is left of all that was added; the check is empty afterwards."""
        self._flush()
        runs, self._runs = self._runs, []
        numbers = self._merge(runs)
        checked = Checked(numbers, self._invalid, self._duplicates, self._abroad)
        self._invalid = self._duplicates = self._abroad = 0
        return checked

    def _add_text(self, text: str) -> None:
        raw = text.encode("utf-8", "surrogatepass").translate(None, _WHITE)
        raw = _COMMAS.sub(b",", raw).strip(b",")
        if not raw:
            return
        if b"(0)" not in raw:
            raw = raw.translate(None, _PUNCTUATION)
        self._scan_tokens(raw + b",")

    def _scan_tokens(self, text: bytes) -> None:
        """`token,token,` without white space: every token is counted under exactly one heading."""
        position = 0
        while position < len(text):
            position = self._scan_from(text, position)

    def _scan_from(self, text: bytes, position: int) -> int:
        """Goes through `text` until its end, or until another calling code has joined the expression."""
        good: list[bytes] = []
        judged: list[bytes] = []
        for found in self._scan.finditer(text, position):
            group = found.lastindex
            stretch = found[0]
            position = found.end()
            if group == 1 or (group == 3 and self._international_allowed):
                (good if self._settled[group] else judged).append(stretch)
            elif group == 2:
                stretch = (b"," + stretch).replace(b",0", self._trunk)[1:]
                (good if self._settled[1] else judged).append(stretch)
            elif group == 3:
                self._abroad += stretch.count(b",")
            elif group == 4:
                self._invalid += stretch.count(b",")
            elif self._single(stretch[:-1]):
                break
        if good:
            self._keep(_integers(good))
        if judged:
            numbers = _integers(judged)
            reached = [number for number in numbers if is_in(number, self._countries)]
            self._abroad += len(numbers) - len(reached)
            self._keep(reached)
        return position

    def _single(self, token: bytes) -> bool:
        """One token of no common kind; True when numbers like it will be found by the expression from now on."""
        number = None
        if len(token) <= MAX_RAW:
            number = parse(token.decode("utf-8", "surrogatepass"), self._home)
        if number is None or (self._plan and not is_mobile(number)):
            self._invalid += 1
            return False
        at_home = is_home(number, self._home)
        if (at_home or self._international_allowed) and (
            self._settled[1 if at_home else 3] or is_in(number, self._countries)
        ):
            self._pending.append(number)
        else:
            self._abroad += 1
        if at_home or self._anywhere:
            return False
        parts = split(number)
        if parts is None or len(self._foreign) == _MAX_FOREIGN or parts[0].calling_code in self._foreign:
            return False
        self._foreign = tuple(sorted({*self._foreign, parts[0].calling_code}))
        self._scan = _scanner(self._home, self._plan, self._foreign)
        return True

    def _keep(self, numbers: list[int]) -> None:
        self._pending += numbers
        if len(self._pending) >= _RUN:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            unique = sorted(set(self._pending))
            self._duplicates += len(self._pending) - len(unique)
            self._runs.append(array("q", unique))
            self._pending = []

    def _merge(self, runs: list[array[int]]) -> array[int]:
        """One sorted array without repeats; what is repeated is counted."""
        if len(runs) == 1:
            return runs[0]
        total = sum(map(len, runs))
        # Some numbers of each run are a fair sample of all: they tell where buckets of one size begin.
        sample = sorted(number for run in runs for number in run[::_SAMPLE])
        bounds: list[int | None] = [*sample[_BUCKET // _SAMPLE :: _BUCKET // _SAMPLE], None]
        merged = array("q")
        starts = [0] * len(runs)
        for bound in bounds:
            bucket: list[int] = []
            for index, run in enumerate(runs):
                start = starts[index]
                end = len(run) if bound is None else bisect_left(run, bound, start)
                if end > start:
                    bucket += run[start:end]
                    starts[index] = end
            # Stretches that are sorted already: sorting merges them, and a dict keeps the order a set would lose.
            bucket.sort()
            merged.extend(dict.fromkeys(bucket))
        self._duplicates += total - len(merged)
        return merged


def _integers(stretches: list[bytes]) -> list[int]:
    return _INTEGERS.decode(b"[" + b"".join(stretches).translate(None, b"+")[:-1] + b"]")


def _windows(text: str) -> Iterator[str]:
    """A long text cut at commas into pieces of about CHUNK characters."""
    start = 0
    while start < len(text):
        end = text.find(",", start + CHUNK)
        if end < 0:
            end = len(text)
        yield text[start:end]
        start = end + 1
