"""Messages from handsets (MO): what a deliver_sm or data_sm that is no receipt says, without I/O.

A long message comes in parts. They carry a concatenation header in the user data (3GPP 23.040 §9.2.3.24.1 with an
8-bit reference, §9.2.3.24.8 with one of 16 bits) or the SAR TLVs (SMPP 3.4 §5.3.2.22 to §5.3.2.24). A
character may lie on both sides of a cut, so parts are kept as octets and read when they are joined
(model/datacoding.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

from cooee.model.datacoding import coding_of
from cooee.smpp.codes import ESM_UDHI, Tag
from cooee.smpp.packets import DataSm, DeliverSm

_CONCAT_8, _CONCAT_16 = 0x00, 0x08
_SAR, _UDH_16 = 1 << 32, 1 << 31
"""In front of a reference, so that those of SAR, 16 bits and 8 bits never meet."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a long message this is: number `no` of `total`, from 1. `concat` is what its parts share."""

    concat: int
    total: int
    no: int


@dataclass(frozen=True, slots=True)
class Mo:
    """One PDU from a handset. Addresses as the SMSC wrote them, `ton` is that of the source; `body` is the user
    data without its header, in `coding`. `digest` is the same for the same PDU sent again, a signed 64-bit number.
    """

    source: str
    ton: int
    destination: str
    coding: int
    body: bytes
    part: Part | None
    digest: int
    pdu: DeliverSm | DataSm = field(repr=False, compare=False)


def parse_mo(pdu: DeliverSm | DataSm) -> Mo:
    """What a handset sent; never raises. A header or TLVs that make no sense are no concatenation."""
    payload = pdu.payload
    body, part = payload, None
    if pdu.esm_class & ESM_UDHI and payload and payload[0] < len(payload):
        body = payload[payload[0] + 1 :]
        part = _udh(payload[1 : payload[0] + 1])
    if part is None:
        part = _sar(pdu)
    return Mo(
        pdu.source_addr,
        pdu.source_addr_ton,
        pdu.destination_addr,
        coding_of(pdu.data_coding),
        body,
        part,
        _digest(pdu, payload, part),
        pdu,
    )


def _udh(header: bytes) -> Part | None:
    """The last concatenation element that is well formed (§9.2.3.24: of several the last one counts)."""
    found = None
    at = 0
    while at + 2 <= len(header):
        kind, length = header[at], header[at + 1]
        value = header[at + 2 : at + 2 + length]
        at += 2 + length
        if kind == _CONCAT_8 and length == 3 == len(value):
            found = _part(value[0], value[1], value[2]) or found
        elif kind == _CONCAT_16 and length == 4 == len(value):
            found = _part(_UDH_16 | value[0] << 8 | value[1], value[2], value[3]) or found
    return found


def _sar(pdu: DeliverSm | DataSm) -> Part | None:
    reference = pdu.tlv(Tag.SAR_MSG_REF_NUM)
    total = pdu.tlv(Tag.SAR_TOTAL_SEGMENTS)
    number = pdu.tlv(Tag.SAR_SEGMENT_SEQNUM)
    if reference is None or total is None or number is None:
        return None
    if len(reference) != 2 or len(total) != 1 or len(number) != 1:
        return None
    return _part(_SAR | int.from_bytes(reference, "big"), total[0], number[0])


def _part(concat: int, total: int, no: int) -> Part | None:
    return Part(concat, total, no) if 1 <= no <= total and total > 1 else None


def _digest(pdu: DeliverSm | DataSm, payload: bytes, part: Part | None) -> int:
    """Of what is the message's own. Sequence numbers and TLVs like time stamps may be others the second time."""
    head = f"{pdu.source_addr}\0{pdu.destination_addr}\0{pdu.esm_class}\0{pdu.data_coding}\0{part}\0"
    return int.from_bytes(blake2b(head.encode() + payload, digest_size=8).digest(), "big", signed=True)
