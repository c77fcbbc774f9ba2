"""A bounded SMPP 3.4 codec without I/O (SMPP 3.4 §4, §5).

Any octets either decode to one of the classes of `packets`, which this module offers too, or raise PduError.

What is tolerated, because carriers do it: responses without a body or with an unterminated last string; a
response that reports an error with a body of any kind; message ids up to 255 characters (§5.2.23 allows 64);
addresses up to 64 (§5.2.8 allows 20 outside data_sm); passwords up to 64 (§5.2.2 allows 8); a body where none
belongs. Text is read as Latin-1, which never fails and gives back the same octets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from struct import Struct
from typing import Any

from cooee.smpp.codes import INTERFACE_VERSION, RESPONSE, CommandId, CommandStatus, Tag
from cooee.smpp.framing import HEADER, HEADER_LENGTH, MAX_PDU, Framer, PduError
from cooee.smpp.packets import (
    CLASSES,
    OCTET,
    AlertNotification,
    BindReceiver,
    BindReceiverResp,
    BindTransceiver,
    BindTransceiverResp,
    BindTransmitter,
    BindTransmitterResp,
    CancelSm,
    CancelSmResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Part,
    Pdu,
    QuerySm,
    QuerySmResp,
    Response,
    SubmitSm,
    SubmitSmResp,
    Tlvs,
    Unbind,
    UnbindResp,
)

__all__ = [
    "INTERFACE_VERSION", "MAX_PDU", "RESPONSES", "AlertNotification", "BindReceiver", "BindReceiverResp",
    "BindTransceiver", "BindTransceiverResp", "BindTransmitter", "BindTransmitterResp", "CancelSm",
    "CancelSmResp", "CommandId", "CommandStatus", "DataSm", "DataSmResp", "DeliverSm", "DeliverSmResp",
    "EnquireLink", "EnquireLinkResp", "Framer", "GenericNack", "Outbind", "Pdu", "PduError", "QuerySm",
    "QuerySmResp", "SubmitSm", "SubmitSmResp", "Tag", "Tlvs", "Unbind", "UnbindResp", "decode", "encode",
    "encode_tlvs",
]  # fmt: skip

_TLV = Struct(">HH")
_RINVMSGLEN = CommandStatus.ESME_RINVMSGLEN

# What the readers need of a class, fetched once: class attributes cost more than the octets they describe.
_BY_COMMAND: dict[int, tuple[type[Any], tuple[Part, ...], bool, bool]] = {
    int(kind.command): (kind, kind.layout, kind.has_tlvs, kind.keeps_body) for kind in CLASSES
}

RESPONSES: dict[type[Pdu], type[Pdu]] = {
    kind: _BY_COMMAND[kind.command | RESPONSE][0]
    for kind in CLASSES
    if not kind.command & RESPONSE and kind.command | RESPONSE in _BY_COMMAND
}
"""The response class of each request class that has one."""


def decode(frame: bytes) -> Pdu:
    """The PDU in exactly one frame, header included; PduError for anything else."""
    if not HEADER_LENGTH <= len(frame) <= MAX_PDU:
        raise PduError(
            f"a PDU of {len(frame)} octets is not within {HEADER_LENGTH}..{MAX_PDU}",
            command_status=CommandStatus.ESME_RINVCMDLEN,
            recoverable=False,
        )
    length, command_id, status, sequence = HEADER.unpack_from(frame)
    if length != len(frame):
        raise PduError(
            f"command_length is {length}, the frame has {len(frame)} octets",
            command_status=CommandStatus.ESME_RINVCMDLEN,
            command_id=command_id,
            sequence=sequence,
            recoverable=False,
        )
    known = _BY_COMMAND.get(command_id)
    if known is None:
        raise PduError(
            "unknown command",
            command_status=CommandStatus.ESME_RINVCMDID,
            command_id=command_id,
            sequence=sequence,
            recoverable=True,
        )
    kind, layout, has_tlvs, keeps_body = known
    pdu: Pdu
    if not command_id & RESPONSE:
        values = _read(frame, layout, has_tlvs, command_id, sequence)
        pdu = kind(sequence, *values, frame[HEADER_LENGTH:]) if keeps_body else kind(sequence, *values)
        return pdu
    if length > HEADER_LENGTH and layout:
        try:
            pdu = kind(sequence, status, *_read(frame, layout, has_tlvs, command_id, sequence))
        except PduError:
            if not status:
                raise
        else:
            return pdu
    pdu = kind(sequence, status)
    return pdu


def _read(frame: bytes, layout: tuple[Part, ...], has_tlvs: bool, command_id: int, sequence: int) -> list[Any]:
    """The body's values in field order, with the TLVs last where the PDU may have some."""
    values: list[Any] = []
    add = values.append
    find = frame.find
    at = HEADER_LENGTH
    end = len(frame)
    for size, status in layout:
        if size > 0:
            stop = find(0, at, at + size)
            if stop < 0:
                # An unterminated last string of a response is read to the end of the PDU.
                if not command_id & RESPONSE or end - at >= size or len(layout) > 1:
                    raise _bad("a string is too long or not terminated", status, command_id, sequence)
                stop = end
            add(str(frame[at:stop], "latin-1"))
            at = stop + 1
        elif at >= end:
            raise _bad("the body is cut short", _RINVMSGLEN, command_id, sequence)
        elif size == OCTET:
            add(frame[at])
            at += 1
        else:
            stop = at + 1 + frame[at]
            if stop > end:
                raise _bad("sm_length is more than what follows", _RINVMSGLEN, command_id, sequence)
            add(frame[at + 1 : stop])
            at = stop
    if has_tlvs:
        add(_read_tlvs(frame, at, command_id, sequence) if at < end else ())
    return values


def _read_tlvs(frame: bytes, at: int, command_id: int, sequence: int) -> Tlvs:
    tlvs: list[tuple[int, bytes]] = []
    end = len(frame)
    while at < end:
        start = at + 4
        if start > end:
            raise _bad("a TLV is cut short", CommandStatus.ESME_RINVOPTPARSTREAM, command_id, sequence)
        tag, length = _TLV.unpack_from(frame, at)
        at = start + length
        if at > end:
            raise _bad("a TLV is cut short", CommandStatus.ESME_RINVPARLEN, command_id, sequence)
        tlvs.append((tag, frame[start:at]))
    return tuple(tlvs)


def _bad(reason: str, status: int, command_id: int, sequence: int) -> PduError:
    return PduError(reason, command_status=status, command_id=command_id, sequence=sequence, recoverable=True)


def encode(pdu: Pdu) -> bytes:
    """The octets of a PDU, header included; ValueError for a value that its field cannot hold.

    A response that reports an error and carries nothing else has no body (§4.4.2).
    """
    names = _FIELDS[type(pdu)]
    status = pdu.status if isinstance(pdu, Response) else 0
    values = names(pdu) if names is not None else ()
    body = b"" if status and not any(values) else b"".join(_write(pdu, values))
    length = HEADER_LENGTH + len(body)
    if length > MAX_PDU:
        raise ValueError(f"a {pdu.command.name.lower()} of {length} octets is over the limit of {MAX_PDU}")
    if not (0 <= pdu.sequence <= 0xFFFFFFFF and 0 <= status <= 0xFFFFFFFF):
        raise ValueError("sequence and status are 32-bit numbers")
    return HEADER.pack(length, pdu.command, status, pdu.sequence) + body


def _values_of(kind: type[Pdu]) -> Any:
    """A getter of the body's values as a tuple, or None for a PDU that is all header."""
    skip = 2 if issubclass(kind, Response) else 1
    names = tuple(field.name for field in fields(kind))[skip : skip + len(kind.layout) + kind.has_tlvs]
    if not names:
        return None
    if len(names) == 1:
        raise TypeError(f"{kind.__name__}: a single getter gives no tuple")
    return attrgetter(*names)


_FIELDS: dict[type[Pdu], Any] = {kind: _values_of(kind) for kind in CLASSES}


def _write(pdu: Pdu, values: Sequence[Any]) -> list[bytes]:
    pieces: list[bytes] = []
    for (size, _), value in zip(pdu.layout, values, strict=False):
        if size > 0:
            octets = _encoded(value)
            if len(octets) >= size or 0 in octets:
                raise ValueError(f"a text of {len(octets)} octets, or one with NUL, does not fit {size} octets")
            pieces.append(octets + b"\0")
        elif size == OCTET:
            pieces.append(_byte(value))
        else:
            if len(value) > 254:
                raise ValueError(f"short_message holds at most 254 octets, not {len(value)}")
            pieces.append(_byte(len(value)))
            pieces.append(value)
    if pdu.has_tlvs:
        pieces.append(encode_tlvs(values[-1]))
    return pieces


def _encoded(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError("SMPP strings hold Latin-1 only") from error


def _byte(value: int) -> bytes:
    if not 0 <= value <= 255:
        raise ValueError(f"{value} is no octet")
    return value.to_bytes(1, "big")


def encode_tlvs(tlvs: Tlvs) -> bytes:
    """The octets of those TLVs, in order; ValueError for a tag or a length over 65535."""
    pieces: list[bytes] = []
    for tag, value in tlvs:
        if not 0 <= tag <= 0xFFFF or len(value) > 0xFFFF:
            raise ValueError(f"TLV 0x{tag:04X} of {len(value)} octets does not exist")
        pieces.append(_TLV.pack(tag, len(value)))
        pieces.append(value)
    return b"".join(pieces)
