"""What octets and their data_coding say as text (SMPP 3.4 §5.2.19, 3GPP 23.038 §4), for what comes in."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from cooee.model import gsm

GSM, BINARY, UCS2 = 0, 4, 8

_BY_CODING: dict[int, str] = {
    1: "ascii", 3: "latin-1", 5: "shift_jis", 6: "iso8859_5", 7: "iso8859_8", 8: "utf-16-be", 10: "iso2022_jp",
    13: "euc_jp", 14: "euc_kr",
}  # fmt: skip
"""data_coding → Python's codec (SMPP 3.4 §5.2.19)."""


def coding_of(data_coding: int) -> int:
    """SMPP's data_coding, where an SMSC passes the GSM data coding scheme through (3GPP 23.038 §4): 0, 4 or 8."""
    group = data_coding >> 4
    if 1 <= group <= 7:
        # General groups: bits 3 and 2 tell the alphabet, 2 being UCS-2; 3 is reserved, and read as the first.
        return (GSM, BINARY, UCS2, GSM)[data_coding >> 2 & 3]
    if group in (0xC, 0xD):
        return GSM
    if group == 0xE:
        return UCS2
    if group == 0xF:
        return BINARY if data_coding & 4 else GSM
    return data_coding


def text_of(pieces: Iterable[tuple[int, bytes]]) -> str:
    """The text of a message's parts in order, (coding, octets) each; never raises.

    Parts in one coding are joined before they are read. Octets that are no text are shown in hexadecimal. NUL,
    which databases do not take, is left out.
    """
    return "".join(
        _decoded(coding, b"".join(body for _, body in run)) for coding, run in groupby(pieces, key=lambda p: p[0])
    )


def _decoded(coding: int, data: bytes) -> str:
    if coding == GSM:
        # No septet has the high bit: the SMSC's own alphabet is another one then.
        text = gsm.decode(data) if data.isascii() else _eight_bits(data)
    elif coding == UCS2:
        text = _ucs2(data)
    elif coding in _BY_CODING:
        text = data.decode(_BY_CODING[coding], "replace")
    else:
        text = f"[binary, {len(data)} octets: {data.hex()}]" if data else ""
    return text.replace("\0", "")


def _eight_bits(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _ucs2(data: bytes) -> str:
    if data[:2] in (b"\xfe\xff", b"\xff\xfe"):
        return data.decode("utf-16", "replace")
    return data.decode("utf-16-be", "replace")
