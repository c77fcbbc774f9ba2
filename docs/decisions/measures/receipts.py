"""Decision 0006: what it takes to read one usual receipt, both ways. Run with `python FILE`."""

from __future__ import annotations

import sys
from timeit import repeat

from cooee.smpp.packets import DeliverSm
from cooee.smpp.pdu import decode, encode
from cooee.smpp.plain import read_plain
from cooee.smpp.receipt import parse_receipt

TEXT = b"id:81023 sub:001 dlvrd:001 submit date:2611240900 done date:2611240901 stat:DELIVRD err:000 text:Hello"
FRAME = encode(
    DeliverSm(
        9,
        source_addr="61400123456",
        destination_addr="COOEE",
        esm_class=4,
        short_message=TEXT,
        tlvs=((0x1E, b"81023\0"), (0x427, b"\2")),
    )
)
COUNT = 20_000


def long_way() -> object:
    """Decode the PDU, then read its TLVs and its text."""
    pdu = decode(FRAME)
    return parse_receipt(pdu) if isinstance(pdu, DeliverSm) else None


def short_way() -> object:
    """One pattern over the octets."""
    return read_plain(FRAME, 9)


for name, way in (("decode and parse", long_way), ("one pattern", short_way)):
    best = min(repeat(way, number=COUNT, repeat=5)) / COUNT
    sys.stdout.write(f"{name}: {best * 1e6:.1f} µs a receipt\n")
