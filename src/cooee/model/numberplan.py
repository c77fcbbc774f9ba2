"""Numbering plans: which numbers can be mobiles, and in which country (wire contract §9).

The plan is the `phonenumbers` metadata, loaded a calling code at a time, when first asked for. That library
judges a number in ~20 µs; here its rules are compiled into one regular expression a calling code, which says
the same (a property test compares them) about twenty times faster, and many numbers in one call.

Patterns work on bytes and on tokens that end with a comma, `61400123456,`, so that they can run through a whole
list. How the library decides, and so how the pattern is built: of the regions that share a calling code, the
first whose leading digits match, or, where it states none, whose rules give the number any type, is the number's
region; the number's type is then the first of the region's types that matches, mobile being the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

MIN_DIGITS = 8
MAX_DIGITS = 15

_NON_GEOGRAPHIC = "001"
_SPECIAL = (
    "premium_rate", "toll_free", "shared_cost", "voip", "personal_number", "pager", "uan", "voicemail",
)  # fmt: skip
_NEVER = "(?!)"


def _usable(desc: Any) -> bool:
    return desc is not None and bool(desc.national_number_pattern) and tuple(desc.possible_length) != (-1,)


def _of_length(sizes: Iterable[int]) -> str:
    """A pattern that looks ahead for a number of one of these lengths: one alternative a range, for speed."""
    ordered = sorted(sizes)
    starts = [size for size in ordered if size - 1 not in ordered]
    ends = [size for size in ordered if size + 1 not in ordered]
    ranges = (f"{{{low},{high}}}" if low < high else f"{{{low}}}" for low, high in zip(starts, ends, strict=True))
    return f"(?={'|'.join(f'[0-9]{span},' for span in ranges)})"


def _match(desc: Any, within: frozenset[int] = frozenset()) -> str:
    """A pattern that matches a whole national number, comma included, as the description does.

    `within` are the lengths that have been made sure of before.
    """
    sizes = frozenset(desc.possible_length)
    known = not sizes or (within and within <= sizes)
    return ("" if known else _of_length(sizes)) + f"(?:{desc.national_number_pattern}),"


@dataclass(frozen=True, slots=True)
class _Region:
    """One region's rules as patterns over `national number,`."""

    name: str
    here: str  # looks ahead: is the number in this region, once no earlier region has claimed it?
    mobile: str  # matches a number that can be a mobile by this region's rules
    implied: bool  # whatever matches `mobile` also matches `here`
    sizes: frozenset[int]  # how long a mobile can be; empty: not told


def _region(calling_code: int, name: str) -> _Region:
    data: Any = PhoneMetadata.metadata_for_region_or_calling_code(calling_code, name)
    general = data.general_desc
    if not _usable(general):
        return _Region(name, _NEVER, _NEVER, True, frozenset())
    # With one pattern for both kinds the library looks at the fixed-line one alone.
    same = data.same_mobile_and_fixed_line_pattern
    mobile = data.fixed_line if same else data.mobile
    special = [desc for desc in (getattr(data, kind) for kind in _SPECIAL) if _usable(desc)]
    pattern = _NEVER
    sizes: frozenset[int] = frozenset()
    if _usable(mobile):
        sizes = frozenset(mobile.possible_length or general.possible_length)
        # A special range takes numbers away only where its lengths can be a mobile's.
        rivals = [d for d in special if not sizes or not d.possible_length or sizes & set(d.possible_length)]
        pattern = (
            (_of_length(sizes) if sizes else "")
            + f"(?={_match(general, sizes)})"
            + "".join(f"(?!{_match(rival, sizes)})" for rival in rivals)
            + _match(mobile, sizes)
        )
    if data.leading_digits is not None:
        return _Region(name, f"(?={data.leading_digits})", pattern, False, sizes)
    kinds = [d for d in (*special, data.fixed_line, None if same else data.mobile) if _usable(d)]
    valid = "|".join(map(_match, kinds)) or _NEVER
    return _Region(name, f"(?=(?={_match(general)})(?:{valid}))", pattern, True, sizes)


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbering plan of one calling code."""

    calling_code: int
    regions: tuple[str, ...]
    body: str
    """Pattern source over `national number,`: can be a mobile."""
    _rules: tuple[_Region, ...]
    _mobile: re.Pattern[bytes]
    _here: tuple[re.Pattern[bytes], ...]

    def is_mobile(self, national: bytes) -> bool:
        """`national` ends with a comma."""
        return self._mobile.match(national) is not None

    def region_of(self, national: bytes) -> str | None:
        """The region of a national number that ends with a comma; None when no region claims it."""
        for name, pattern in zip(self.regions, self._here, strict=True):
            if pattern.match(national):
                return name
        return None

    def inside(self, region: str) -> str:
        """Pattern source that looks ahead: is the national number inside `region`?

        Regions can hold the same number (Christmas Island's mobiles are Australia's): it is inside both. One
        that no region claims is inside the first, the main country of the calling code.
        """
        if len(self.regions) == 1:
            return ""
        own = next(rule.here for rule in self._rules if rule.name == region)
        if region != self.regions[0]:
            return own
        return f"(?:{own}|(?!{'|'.join(rule.here for rule in self._rules)}))"

    @property
    def shaped(self) -> bool:
        """True when every mobile of the plan has E.164 shape, so that nothing need look for it."""
        sizes = {size + len(str(self.calling_code)) for rule in self._rules for size in rule.sizes}
        told = all(rule.sizes or rule.mobile == _NEVER for rule in self._rules)
        return told and all(MIN_DIGITS <= size <= MAX_DIGITS for size in sizes)

    def mobile_inside(self, region: str) -> str:
        """Pattern source over `national number,`: can be a mobile, and is inside `region`."""
        first = self._rules[0]
        if len(self.regions) == 1 or (region == first.name and first.implied):
            # What is a mobile by the first region's own rules needs no other region's opinion. It is by far
            # the most frequent case, so it comes first.
            rest = "" if len(self.regions) == 1 else f"|(?={self.body}){self.inside(region)}{self.body}"
            return f"(?:{first.mobile}{rest})"
        return f"(?={self.body}){self.inside(region)}{self.body}"

    def mobile_in(self, region: str) -> str:
        """Pattern source over `national number,`: can be a mobile by the rules of `region` alone."""
        rule = next(rule for rule in self._rules if rule.name == region)
        return rule.mobile if rule.implied or len(self.regions) == 1 else rule.here + rule.mobile


@cache
def plan_of(calling_code: int) -> Plan:
    """The plan of a calling code that exists; compiled when first asked for (milliseconds)."""
    regions = tuple(COUNTRY_CODE_TO_REGION_CODE[calling_code])
    rules = tuple(_region(calling_code, name) for name in regions)
    body = ""
    for rule in reversed(rules):
        if len(rules) == 1:
            body = rule.mobile
        else:
            own = rule.mobile if rule.implied else rule.here + rule.mobile
            # Whether a number has any type is dear to find out: first see that a later region may want it.
            wanted = f"(?={'|'.join(later.mobile for later in rules[1:])})" if rule is rules[0] else ""
            body = f"(?:{own}|{wanted}(?!{rule.here}){body})" if body else own
    here = ("",) if len(rules) == 1 else tuple(rule.here for rule in rules)
    return Plan(
        calling_code,
        regions,
        body,
        rules,
        re.compile(body.encode()),
        tuple(re.compile(pattern.encode()) for pattern in here),
    )


_CODES: dict[bytes, int] = {b"%d" % code: code for code in COUNTRY_CODE_TO_REGION_CODE}


def split(msisdn: int) -> tuple[Plan, bytes] | None:
    """The plan and the national number, comma behind, of an E.164 number; None for an unknown calling code."""
    digits = b"%d," % msisdn
    for size in (1, 2, 3):
        code = _CODES.get(digits[:size])
        if code is not None:
            return plan_of(code), digits[size:]
    return None


def is_mobile(msisdn: int) -> bool:
    """True when the numbering plan says that the number can be a mobile (MOBILE or FIXED_LINE_OR_MOBILE)."""
    parts = split(msisdn)
    return parts is not None and parts[0].is_mobile(parts[1])


def country_of(msisdn: int) -> str | None:
    """The ISO 3166 region of a number, None where the plan knows none.

    Calling codes that belong to no country (satellite phones, international freephone) are none, too.
    """
    parts = split(msisdn)
    region = None if parts is None else parts[0].region_of(parts[1])
    return None if region == _NON_GEOGRAPHIC else region


@cache
def _calling_codes() -> dict[str, int]:
    return {
        region: code
        for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()
        for region in regions
        if region != _NON_GEOGRAPHIC
    }


def country_calling_code(country: str) -> int:
    """61 for "AU"; ValueError for what is no ISO 3166 country with a numbering plan."""
    code = _calling_codes().get(country.upper())
    if code is None:
        raise ValueError(f"'{country}' is no country with a numbering plan; use an ISO code such as AU")
    return code


@lru_cache(maxsize=512)
def _inside(home: str) -> re.Pattern[bytes]:
    plan = plan_of(country_calling_code(home))
    return re.compile(plan.inside(home.upper()).encode())


def is_home(msisdn: int, home: str) -> bool:
    """True when a number is inside the ISO country `home`, also where countries share a calling code.

    A number that none of the sharing countries claims counts to the main one (the United States for +1).
    ValueError for an unknown country.
    """
    parts = split(msisdn)
    if parts is None or parts[0].calling_code != country_calling_code(home):
        return False
    return _inside(home).match(parts[1]) is not None


@cache
def main_country(calling_code: int) -> re.Pattern[bytes]:
    """Cuts `number,number,` of one calling code into stretches that the main one of its countries has (group 1),
    and single numbers that it has not."""
    plan = plan_of(calling_code)
    first = plan._rules[0]
    # What can be a mobile there is the most frequent by far, and told apart sooner.
    own = f"(?:{first.mobile}|{first.here}[0-9]*+,)" if first.implied else f"{first.here}[0-9]*+,"
    return re.compile(f"((?:{calling_code}{own})++)|([^,]*+,)".encode())


@lru_cache(maxsize=512)
def _reached(calling_code: int, countries: tuple[str, ...]) -> bool | tuple[re.Pattern[bytes], ...]:
    """Whether all or none of a calling code's countries are among these; else how to find those that are."""
    regions = plan_of(calling_code).regions
    listed = [region for region in regions if region in countries]
    if len(listed) in (0, len(regions)):
        return bool(listed)
    return tuple(_inside(region) for region in listed)


def is_in(msisdn: int, countries: tuple[str, ...]) -> bool:
    """True when a number is inside one of the ISO `countries` (in capitals), as `is_home` has it for one."""
    parts = split(msisdn)
    if parts is None:
        return False
    found = _reached(parts[0].calling_code, countries)
    if isinstance(found, bool):
        return found
    return any(pattern.match(parts[1]) is not None for pattern in found)
