"""Reading one number as people write it (wire contract §9): any form in, the canonical MSISDN out.

What is read, in this order, once spaces, dots, dashes and brackets are gone:

1. `+` and E.164 digits; `00` or the home country's own international prefix, and E.164 digits. A bracketed
   trunk zero, as in `+61 (0)400 123 456`, is left out.
2. A leading zero: the home country's local form, `0400 123 456`.
3. Bare digits are E.164, `61400123456`. In a country whose local form has no leading zero (Spain, the United
   States) digits that are one of its mobiles in local form are read as that first; in the others such digits,
   a zero lost in a spreadsheet, are read so only where they are no mobile of any other country.

No numbering plan is applied to the outcome: any number of E.164 shape comes through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import phonenumbers

from cooee.model.numberplan import MAX_DIGITS, MIN_DIGITS, country_calling_code, is_mobile, plan_of

# Beside white space: dots, dashes of all widths, brackets, and the invisible marks that address books put
# around a number that is copied from them.
_SEPARATORS = (
    " \t\r\n\v\f.-()[]"
    "\u00a0\u2007\u2009\u202f\u2010\u2011\u2012\u2013\u2014\u2212"
    "\u200b\u200e\u200f\u202a\u202c\u2060\ufeff"
)
_REMOVE = dict.fromkeys(map(ord, _SEPARATORS))
_SHAPE = re.compile(f"[1-9][0-9]{{{MIN_DIGITS - 1},{MAX_DIGITS - 1}}}")
_TRUNK_ZERO = re.compile(r"(\s*[+(]|\s*00).*?\(0\)", re.DOTALL)
# Longer than any number with its separators: nothing is searched in what cannot be one.
MAX_RAW = 64


@dataclass(frozen=True, slots=True)
class Home:
    """How numbers are written within one country."""

    country: str
    calling_code: int
    idd: str
    """The prefix for calls abroad that is asked for before `00`, or ""."""
    trunk_zero: bool
    """The local form begins with a zero that is not dialled from abroad."""
    plain_zero: re.Pattern[str]
    """Matches a local form whose number abroad is the same without its zero, whatever its kind."""
    bare: str
    """Pattern source: local form without a leading zero of one of its mobiles, and a comma."""
    bare_prefix: str
    """What comes off the front of that form (8 in Russia), or ""."""
    local: re.Pattern[bytes]

    @property
    def bare_first(self) -> bool:
        """True where the local form has no leading zero, and bare digits are read as local first."""
        return not self.trunk_zero


@lru_cache(maxsize=512)
def home_of(country: str) -> Home:
    """How numbers are written in an ISO country; ValueError when there is no such country."""
    country = country.upper()
    code = country_calling_code(country)
    data: Any = phonenumbers.PhoneMetadata.metadata_for_region(country)
    idd = (data.preferred_international_prefix or data.international_prefix or "").replace("~", "")
    trunk = data.national_prefix or ""
    # A trunk prefix that is the calling code itself (1 in North America) makes E.164 of the number already.
    prefix = "" if trunk.startswith("0") or trunk == str(code) else trunk
    # The library's rule takes off what this matches; a zero alone where nothing longer (a carrier code) fits,
    # and unless that would make a number out of none or the other way round.
    longer = (data.national_prefix_for_parsing or "").removesuffix("|0").removesuffix("0")
    general = data.general_desc.national_number_pattern or ""
    plain = "(?!)"
    if trunk == "0" and data.national_prefix_transform_rule is None:
        plain = f"(?!(?:{general})$)0" if not longer else f"(?!(?:{general})$)(?!{longer})0"
    bare = (f"(?:{prefix})?" if prefix else "") + plan_of(code).mobile_in(country)
    return Home(
        country=country,
        calling_code=code,
        idd=idd if idd.isdigit() and idd.startswith("0") and idd != "00" else "",
        trunk_zero=trunk.startswith("0"),
        plain_zero=re.compile(plain),
        bare=bare,
        bare_prefix=prefix,
        local=re.compile(bare.encode()),
    )


def _shaped(digits: str) -> int | None:
    return int(digits) if _SHAPE.fullmatch(digits) else None


def _local(digits: str, home: Home) -> int | None:
    """The number of a local form with its leading zero."""
    if home.trunk_zero:
        number = _shaped(f"{home.calling_code}{digits[1:]}")
        if home.plain_zero.match(digits) or (number is not None and is_mobile(number)):
            return number
    # Trunk prefixes of more digits, carrier codes, mobile marks inside (Argentina's 15), zeros that stay (Italy).
    try:
        parsed = phonenumbers.parse(digits, home.country)
    except phonenumbers.NumberParseException:
        return None
    return _shaped(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)[1:])


def _bare(digits: str, home: Home) -> int | None:
    number = _shaped(digits)
    if not home.bare_first and number is not None and is_mobile(number):
        return number
    if home.local.match(digits.encode() + b","):
        national = digits
        if home.bare_prefix and not plan_of(home.calling_code).is_mobile(digits.encode() + b","):
            national = digits.removeprefix(home.bare_prefix)
        return _shaped(f"{home.calling_code}{national}")
    return number


def parse(raw: object, home: str) -> int | None:
    """The canonical MSISDN (E.164 digits as an int) of one number, or None where it has no E.164 shape.

    `raw` is text or an int, as JSON gives it; booleans, floats and everything else are None. Digits are ASCII
    only. `home` is the ISO country whose local form is understood; ValueError when it is none. Shape is 8 to 15
    digits that do not begin with 0 (ITU-T E.164 §6.2.1).
    """
    country = home_of(home)
    if type(raw) is int:
        return _bare(str(raw), country) if 0 < raw < 10**MAX_DIGITS else None
    if not isinstance(raw, str) or len(raw) > MAX_RAW:
        return None
    if "(0)" in raw and (mark := _TRUNK_ZERO.match(raw)):
        raw = mark[0][:-3] + raw[mark.end() :]
    digits = raw.translate(_REMOVE)
    plus = digits.startswith("+")
    if plus:
        digits = digits[1:]
    if not (digits.isascii() and digits.isdigit()):
        return None
    if plus:
        return _shaped(digits)
    if digits[0] != "0":
        return _bare(digits, country)
    if country.idd and digits.startswith(country.idd):
        return _shaped(digits[len(country.idd) :])
    if digits.startswith("00"):
        return _shaped(digits[2:])
    return _local(digits, country)
