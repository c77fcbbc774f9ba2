"""Originators: who a message says it is from (wire contract §9)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Kind = Literal["msisdn", "short", "alpha"]

_MSISDN = re.compile(r"[1-9][0-9]{8,14}")
_INTERNATIONAL = re.compile(r"(?:\+|00)([1-9][0-9]{8,14})")
_SHORT = re.compile(r"[0-9]{3,8}")
_ALPHA = re.compile(r"(?=.*[A-Za-z])(?! )[A-Za-z0-9 \-_.&]{1,11}(?<! )")
_TON = {"msisdn": 1, "short": 3, "alpha": 5}
_NPI = {"msisdn": 1, "short": 0, "alpha": 0}


@dataclass(frozen=True, slots=True)
class Originator:
    """A sender: `text` as it goes on air (an MSISDN as E.164 digits without `+`), and what kind it is."""

    text: str
    kind: Kind

    @property
    def ton(self) -> int:
        """source_addr_ton: 1 international, 3 network specific, 5 alphanumeric (SMPP 3.4 §5.2.5)."""
        return _TON[self.kind]

    @property
    def npi(self) -> int:
        """source_addr_npi: 1 for ISDN (E.164), else 0 (SMPP 3.4 §5.2.6)."""
        return _NPI[self.kind]


@lru_cache(maxsize=1024)
def parse_originator(raw: str) -> Originator | None:
    """The sender that `raw` names, or None where it can be none.

    3 to 8 digits are a short code, 9 to 15 that do not begin with 0 an MSISDN, which may come with `+` or `00`
    in front. Else 1 to 11 ASCII letters, digits, spaces and - _ . & with at least one letter, and no space at
    either end. Local forms are not understood: what a sender would look like abroad must not be guessed.
    """
    if found := _INTERNATIONAL.fullmatch(raw):
        return Originator(found[1], "msisdn")
    if _MSISDN.fullmatch(raw):
        return Originator(raw, "msisdn")
    if _SHORT.fullmatch(raw):
        return Originator(raw, "short")
    if _ALPHA.fullmatch(raw):
        return Originator(raw, "alpha")
    return None
