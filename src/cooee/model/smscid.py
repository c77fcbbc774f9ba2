"""Message ids of SMSCs: how they are compared, and what else one may mean."""

from __future__ import annotations

import re

_DECIMAL = re.compile("[0-9]{1,40}")
_HEX = re.compile("[0-9a-f]{1,32}")


def canonical_id(text: str) -> str:
    """A message id as it is stored and compared: lower case, no leading zeros ("0" stays), no outer space."""
    text = text.strip().lower()
    return text.lstrip("0") or text[:1]


def id_candidates(text: str) -> tuple[str, ...]:
    """The ids that a receipt's id may mean, likeliest first: as given, from hex to decimal, from decimal to hex.

    SMSCs answer submit_sm in one of these forms and write their receipts in another. All canonical; no repeats.
    """
    given = canonical_id(text)
    found = [given]
    if _HEX.fullmatch(given):
        found.append(str(int(given, 16)))
    if _DECIMAL.fullmatch(given):
        found.append(f"{int(given):x}")
    return tuple(dict.fromkeys(found))
