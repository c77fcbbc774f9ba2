"""Receipts in the usual form, read in one go (the hot path of what comes in).

Nine of ten receipts are a deliver_sm without dates and UDH, in the text form of SMPP 3.4 appendix B, with the two
TLVs of a receipt or none. One pattern reads those from the octets; everything else takes the long way through
`pdu.decode` and `receipt.parse_receipt`, which say the same of these (a property test holds them together).
"""

from __future__ import annotations

import re

from cooee.smpp.framing import HEADER_LENGTH
from cooee.smpp.receipt import PlainReceipt, Receipt, ReceiptState, state_of

_FRAME = re.compile(
    rb"[^\0]{0,5}\0"  # service_type
    rb"..(?P<source>[^\0]{0,20})\0"
    rb"..(?P<destination>[^\0]{0,20})\0"
    rb"\x04.."  # esm_class: a receipt, without UDH; protocol_id, priority
    rb"\0\0"  # no schedule, no validity
    rb"..[\0\1\3]."  # registered_delivery, replace_if_present, a data_coding that is read as Latin-1
    rb"(?P<length>.)(?P<text>"
    rb"id:(?P<id>[^\s\"':\0]{1,64}) sub:\d+ dlvrd:\d+ submit date:\d+ done date:(?P<done>\d{1,64})"
    rb" stat:(?P<stat>[A-Za-z]+) err:(?P<err>[A-Za-z0-9_]{1,64})(?= text:| ?\Z| ?\0\x1e))",
    re.DOTALL,
)
_TLVS = re.compile(rb"\0\x1e\0.(?P<id>[^\0]{1,64})\0\x04\x27\0\x01(?P<state>.)", re.DOTALL)

# Nearly all say so. Looking an enum's member up in a set calls its hash, which is written in Python.
_DELIVERED = ReceiptState.DELIVERED
_KNOWN = frozenset(
    (ReceiptState.DELIVERED, ReceiptState.UNDELIVERABLE, ReceiptState.EXPIRED, ReceiptState.REJECTED)
)


def read_plain(frame: bytes, sequence: int) -> PlainReceipt | None:
    """The receipt in that deliver_sm, or None when it has another form (which says nothing against it)."""
    found = _FRAME.match(frame, HEADER_LENGTH)
    if found is None:
        return None
    source, destination, length, _, message_id, done, stat, error = found.groups()
    start = found.start("text")
    end = start + length[0]
    if found.end("text") > end or end > len(frame):
        return None
    value: bytes | None = None
    if end < len(frame):
        tlvs = _TLVS.fullmatch(frame, end)
        if tlvs is None or frame[end + 3] != tlvs.end("id") + 1 - tlvs.start("id"):
            return None
        message_id, value = tlvs.groups()
    state = state_of(value, str(stat, "latin-1"), ReceiptState.UNKNOWN)
    if state is not _DELIVERED and state not in _KNOWN:
        return None
    return PlainReceipt(
        sequence,
        Receipt(
            str(message_id, "latin-1"),
            state,
            str(error, "latin-1"),
            str(done, "latin-1"),
            str(source, "latin-1"),
            str(destination, "latin-1"),
            None,
            frame[HEADER_LENGTH:],
        ),
    )
