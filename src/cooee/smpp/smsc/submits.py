"""Reading submit_sm fast: consecutive ones differ in little but destination and text.

What they share is parsed once and kept as a `Shape`; a submit_sm that begins and goes on like the one before
costs two comparisons. Everything else takes the codec.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from cooee.smpp import codes
from cooee.smpp.pdu import DataSm, SubmitSm

BODY = 16


class Shape:
    """What submit_sm have in common: all mandatory parameters but destination and short_message.

    `prefix` is the body up to destination_addr, `middle` from the NUL after it up to sm_length.
    """

    __slots__ = (
        "data_coding",
        "echo",
        "head",
        "middle",
        "notice_tail",
        "prefix",
        "receipt_tail",
        "registered",
        "source",
        "udhi",
    )

    def __init__(self, pdu: SubmitSm | DataSm) -> None:
        service = pdu.service_type.encode("latin-1") + b"\0"
        source = pdu.source_addr.encode("latin-1")
        from_ = bytes((pdu.source_addr_ton, pdu.source_addr_npi)) + source + b"\0"
        to = bytes((pdu.dest_addr_ton, pdu.dest_addr_npi))
        self.prefix = service + from_ + to
        if isinstance(pdu, SubmitSm):
            self.middle = (
                bytes((0, pdu.esm_class, pdu.protocol_id, pdu.priority_flag))
                + pdu.schedule_delivery_time.encode("latin-1") + b"\0"
                + pdu.validity_period.encode("latin-1") + b"\0"
                + bytes((
                    pdu.registered_delivery, pdu.replace_if_present_flag, pdu.data_coding,
                    pdu.sm_default_msg_id,
                ))
            )  # fmt: skip
        else:
            self.middle = b""
        self.source = source
        self.echo = b""
        """TLVs that receipts get from this one message; a shape that has some is never shared."""
        self.udhi = bool(pdu.esm_class & codes.ESM_UDHI)
        self.registered = pdu.registered_delivery
        self.data_coding = pdu.data_coding
        # A receipt goes the other way: what stands before and after the handset's number in it.
        self.head = b"\0" + to
        # Behind esm_class: protocol_id, priority_flag, two empty times, and four more flags of zero.
        self.receipt_tail = b"\0" + from_ + bytes((codes.ESM_RECEIPT,)) + b"\0" * 8
        self.notice_tail = b"\0" + from_ + bytes((codes.ESM_INTERMEDIATE,)) + b"\0" * 8


UNSEEN = Shape(SubmitSm(0))
"""What a connection's first message is compared with."""


class Part(NamedTuple):
    """Which part of a concatenated message a PDU is."""

    reference: int
    number: int
    total: int


WHOLE = Part(0, 1, 1)
_UDH_8 = Struct(">BBB")
_UDH_16 = Struct(">HBB")


def split_udh(data: bytes) -> tuple[bytes, bytes]:
    """A user data header's elements and what follows it; (b"", data) where its length is impossible."""
    if not data or 1 + data[0] > len(data):
        return b"", data
    return data[1 : 1 + data[0]], data[1 + data[0] :]


def part_of_udh(elements: bytes) -> Part:
    """The concatenation element of a UDH, 8-bit or 16-bit (3GPP 23.040 §9.2.3.24); WHOLE without one."""
    at = 0
    while at + 2 <= len(elements):
        kind, size = elements[at], elements[at + 1]
        value = elements[at + 2 : at + 2 + size]
        if kind == 0x00 and len(value) == 3:
            reference, total, number = _UDH_8.unpack(value)
        elif kind == 0x08 and len(value) == 4:
            reference, total, number = _UDH_16.unpack(value)
        else:
            at += 2 + size
            continue
        return Part(reference, number, total) if 1 <= number <= total else WHOLE
    return WHOLE


def part_of(pdu: SubmitSm | DataSm) -> Part:
    """Which part `pdu` is, by its UDH or its SAR TLVs (SMPP 3.4 §5.3.2.22)."""
    if pdu.esm_class & codes.ESM_UDHI:
        return part_of_udh(split_udh(pdu.payload)[0])
    reference = pdu.tlv(codes.Tag.SAR_MSG_REF_NUM)
    total = pdu.tlv(codes.Tag.SAR_TOTAL_SEGMENTS)
    number = pdu.tlv(codes.Tag.SAR_SEGMENT_SEQNUM)
    if not (reference and total and number) or not 1 <= number[0] <= total[0]:
        return WHOLE
    return Part(int.from_bytes(reference, "big"), number[0], total[0])


def segments_of(pdu: SubmitSm | DataSm) -> int:
    """How many short messages a PDU is: more than one only for a long message_payload."""
    size = len(pdu.payload)
    octets = size if pdu.data_coding == 8 else (7 * size + 7) // 8
    return 1 if octets <= 140 else -(-octets // 134)
