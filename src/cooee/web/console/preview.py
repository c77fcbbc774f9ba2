"""A text as it will arrive: its segments, the room that is left, and the character that makes it dearer."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from cooee.model import gsm
from cooee.model.segments import Encoding, segment, utf16_length

AROUND = 18
SHOWN = 6


@dataclass(frozen=True, slots=True)
class Outside:
    """A character that GSM 7-bit does not have, how often it is there, and what could stand for it (None: nothing;
    "": it can be left out)."""

    char: str
    name: str
    count: int
    twin: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a text comes to. `left`: characters (septets or UTF-16 units) that still fit the last segment.

    `before`, `culprit`, `after`: the first character that forces UCS-2 and what stands around it. `fixed`:
    segments once every twin is used, None where that changes nothing.
    """

    encoding: Encoding
    parts: Sequence[str]
    left: int
    used: int
    outside: Sequence[Outside]
    more_outside: int
    before: str
    culprit: str
    after: str
    fixed: int | None

    @property
    def count(self) -> int:
        return len(self.parts)


def preview(text: str) -> Preview | None:
    """None for a text that cannot be sent at all, and for none."""
    if not text or "\0" in text or utf16_length(text) > 2000:
        return None
    try:
        segmented = segment(text)
    except ValueError:
        return None
    ucs2 = segmented.encoding is Encoding.UCS2
    several = segmented.count > 1
    unit = 2 if ucs2 else 1
    room = (67 if several else 70) if ucs2 else (153 if several else 160)
    last = len(segmented.parts[-1]) // unit
    parts = [part.decode("utf-16-be") if ucs2 else gsm.decode(part) for part in segmented.parts]
    used = sum(len(part) for part in segmented.parts) // unit
    at = gsm.first_outside(text)
    found: dict[str, int] = {}
    for char in text if at is not None else "":
        if not gsm.is_gsm(char):
            found[char] = found.get(char, 0) + 1
    outside = [Outside(char, _name(char), count, gsm.twin(char)) for char, count in found.items()]
    plain = gsm.smart(text)
    fixed = segment(plain).count if at is not None and plain != text and plain else None
    return Preview(
        encoding=segmented.encoding,
        parts=parts,
        left=room - last,
        used=used,
        outside=outside[:SHOWN],
        more_outside=max(0, len(outside) - SHOWN),
        before="" if at is None else text[max(0, at - AROUND) : at],
        culprit="" if at is None else text[at],
        after="" if at is None else text[at + 1 : at + 1 + AROUND],
        fixed=fixed,
    )


def with_twins(text: str) -> str:
    """`text` with every character replaced that has a twin in GSM 7-bit."""
    return "".join(char if gsm.is_gsm(char) or (twin := gsm.twin(char)) is None else twin for char in text)


def _name(char: str) -> str:
    return unicodedata.name(char, f"U+{ord(char):04X}").lower()
