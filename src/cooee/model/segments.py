"""Splitting a text into short messages (3GPP 23.040 §9.2.3.24, wire contract §3).

One SMS holds 140 octets: 160 septets or 70 UTF-16 code units. A longer text is split into parts, each behind
a concatenation header that takes 6 octets (8-bit reference: 153 septets or 67 units are left) or 7 (16-bit:
152 or 66). An escape pair and a surrogate pair always stay together, so that a text can need one part more than
the plain division says: what is counted here is what is sent.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import lru_cache

from cooee.model import gsm

MAX_PARTS = 255


class Encoding(enum.IntEnum):
    """How a text travels; the value is SMPP's data_coding (SMPP 3.4 §5.2.19)."""

    GSM7 = 0
    UCS2 = 8


# (encoding, wide) → what a part holds beside its header, in octets of user data: septets for GSM, twice the
# code units for UCS-2.
_SINGLE = {Encoding.GSM7: 160, Encoding.UCS2: 140}
_PART = {
    (Encoding.GSM7, False): 153,
    (Encoding.GSM7, True): 152,
    (Encoding.UCS2, False): 134,
    (Encoding.UCS2, True): 132,
}


@dataclass(frozen=True, slots=True)
class Segmented:
    """A text cut into parts: user data without headers, GSM as one septet an octet, UCS-2 as UTF-16BE."""

    encoding: Encoding
    parts: tuple[bytes, ...]

    @property
    def count(self) -> int:
        """How many short messages it takes, and so how many are charged."""
        return len(self.parts)

    def user_data(self, reference: int, wide: bool = False) -> tuple[bytes, ...]:
        """Each part as it goes into short_message, behind its concatenation header when there are several.

        `reference` is cut to 8 bits, with `wide` to 16; it must be the same for a part that is sent again.
        ValueError when `wide` is asked of parts that were not cut for the longer header.
        """
        count = len(self.parts)
        if count == 1:
            return self.parts
        if wide:
            if max(map(len, self.parts)) > _PART[self.encoding, True]:
                raise ValueError("the parts leave no room for a 16-bit reference: segment with wide=True")
            head = bytes((6, 0x08, 4, (reference >> 8) & 0xFF, reference & 0xFF, count))
        else:
            head = bytes((5, 0x00, 3, reference & 0xFF, count))
        return tuple(head + bytes((number,)) + part for number, part in enumerate(self.parts, 1))


# Bounded by what it may hold in the worst case: 1,024 texts of 2,000 characters and their parts are ~12 MB.
@lru_cache(maxsize=1024)
def segment(text: str, wide: bool = False) -> Segmented:
    """`text` cut into the parts that are sent; `wide` leaves room for 16-bit concatenation references.

    GSM-7 where every character is in its tables, else UCS-2. ValueError for a lone surrogate, which no
    encoding can carry, and for a text of more than 255 parts.
    """
    if gsm.is_gsm(text):
        encoding, data = Encoding.GSM7, gsm.encode(text)
    else:
        try:
            encoding, data = Encoding.UCS2, text.encode("utf-16-be")
        except UnicodeEncodeError as error:
            # `from None`: the codec's error carries the whole text, which must not reach a log.
            raise ValueError(f"lone surrogate at index {error.start}") from None
    if len(data) <= _SINGLE[encoding]:
        return Segmented(encoding, (data,))
    room = _PART[encoding, wide]
    parts = []
    start = 0
    while start < len(data):
        end = start + room
        if end < len(data):
            if encoding is Encoding.GSM7:
                if data[end - 1] == gsm.ESCAPE:
                    end -= 1
            elif 0xD8 <= data[end - 2] <= 0xDB:
                end -= 2
        parts.append(data[start:end])
        start = end
    if len(parts) > MAX_PARTS:
        raise ValueError(f"a text of {len(parts)} parts: concatenation counts to {MAX_PARTS}")
    return Segmented(encoding, tuple(parts))


def utf16_length(text: str) -> int:
    """`text` in UTF-16 code units, as the limit of 2000 counts (wire contract §3); a lone surrogate is one."""
    if text.isascii():
        return len(text)
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
