"""A bounded SMPP 3.4 codec without I/O (SMPP 3.4 §4, §5).

Each PDU is a frozen class with the standard's field names; `layout` says how its mandatory parameters lie on
the wire, in field order, so that one reader and one writer serve them all. Any octets either decode or raise
PduError.

What is tolerated, because carriers do it: responses without a body or with an unterminated last string; a
response that reports an error with a body of any kind; message ids up to 255 characters (§5.2.23 allows 64);
addresses up to 64 (§5.2.8 allows 20 outside data_sm); passwords up to 64 (§5.2.2 allows 8); a body where none
belongs. Text is read as Latin-1, which never fails and gives back the same octets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from struct import Struct
from typing import Any, ClassVar, TypeAlias

from cooee.smpp.codes import INTERFACE_VERSION, RESPONSE, CommandId, CommandStatus, Tag
from cooee.smpp.framing import HEADER, HEADER_LENGTH, MAX_PDU, Framer, PduError

__all__ = [
    "INTERFACE_VERSION", "MAX_PDU", "RESPONSES", "AlertNotification", "BindReceiver", "BindReceiverResp",
    "BindTransceiver", "BindTransceiverResp", "BindTransmitter", "BindTransmitterResp", "CancelSm",
    "CancelSmResp", "CommandId", "CommandStatus", "DataSm", "DataSmResp", "DeliverSm", "DeliverSmResp",
    "EnquireLink", "EnquireLinkResp", "Framer", "GenericNack", "Outbind", "Pdu", "PduError", "QuerySm",
    "QuerySmResp", "SubmitSm", "SubmitSmResp", "Tag", "Tlvs", "Unbind", "UnbindResp", "decode", "encode",
    "encode_tlvs",
]  # fmt: skip

Tlvs: TypeAlias = tuple[tuple[int, bytes], ...]
"""(tag, value) in wire order; an unknown or repeated tag is kept as it came."""

_Part: TypeAlias = tuple[int, int]
_OCTET = 0
_SHORT_MESSAGE = -1

_RINVMSGLEN = CommandStatus.ESME_RINVMSGLEN


def _string(size: int, status: CommandStatus = _RINVMSGLEN) -> _Part:
    """A C-octet string of at most `size` octets with its NUL; `status` answers one that is longer."""
    return size, status


_octet: _Part = (_OCTET, _RINVMSGLEN)
_short_message: _Part = (_SHORT_MESSAGE, _RINVMSGLEN)
_service_type = _string(6, CommandStatus.ESME_RINVSERTYP)
_source = (_octet, _octet, _string(65, CommandStatus.ESME_RINVSRCADR))
_destination = (_octet, _octet, _string(65, CommandStatus.ESME_RINVDSTADR))
_message_id = _string(256, CommandStatus.ESME_RINVMSGID)
_system_id = _string(16, CommandStatus.ESME_RINVSYSID)
_password = _string(65, CommandStatus.ESME_RINVPASWD)


@dataclass(frozen=True, slots=True)
class Pdu:
    """What all PDUs have: a command id and a sequence number."""

    command: ClassVar[CommandId]
    layout: ClassVar[tuple[_Part, ...]] = ()
    has_tlvs: ClassVar[bool] = False

    sequence: int


@dataclass(frozen=True, slots=True)
class _Response(Pdu):
    status: int = 0


@dataclass(frozen=True, slots=True)
class GenericNack(_Response):
    """The answer to a PDU that cannot be understood (§4.3)."""

    command = CommandId.GENERIC_NACK


@dataclass(frozen=True, slots=True)
class Unbind(Pdu):
    """The wish to end the session (§4.2)."""

    command = CommandId.UNBIND


@dataclass(frozen=True, slots=True)
class UnbindResp(_Response):
    command = CommandId.UNBIND_RESP


@dataclass(frozen=True, slots=True)
class EnquireLink(Pdu):
    """Is anybody there? (§4.11)"""

    command = CommandId.ENQUIRE_LINK


@dataclass(frozen=True, slots=True)
class EnquireLinkResp(_Response):
    command = CommandId.ENQUIRE_LINK_RESP


@dataclass(frozen=True, slots=True)
class Outbind(Pdu):
    """An SMSC asks an ESME to bind (§4.1.7)."""

    command = CommandId.OUTBIND
    layout = (_system_id, _password)

    system_id: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class _Bind(Pdu):
    layout = (
        _system_id, _password, _string(13, CommandStatus.ESME_RINVSYSTYP),
        _octet, _octet, _octet, _string(41),
    )  # fmt: skip
    has_tlvs = True

    system_id: str = ""
    password: str = ""
    system_type: str = ""
    interface_version: int = INTERFACE_VERSION
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""
    tlvs: Tlvs = ()

    def __repr__(self) -> str:
        # The password must never reach a log.
        return f"{type(self).__name__}(sequence={self.sequence}, system_id={self.system_id!r})"


@dataclass(frozen=True, slots=True, repr=False)
class BindReceiver(_Bind):
    """An ESME that only takes deliver_sm and data_sm (§4.1.3)."""

    command = CommandId.BIND_RECEIVER


@dataclass(frozen=True, slots=True, repr=False)
class BindTransmitter(_Bind):
    """An ESME that only submits (§4.1.1)."""

    command = CommandId.BIND_TRANSMITTER


@dataclass(frozen=True, slots=True, repr=False)
class BindTransceiver(_Bind):
    """An ESME that does both (§4.1.5)."""

    command = CommandId.BIND_TRANSCEIVER


@dataclass(frozen=True, slots=True)
class _BindResp(_Response):
    # Some SMSCs answer with names longer than the 15 characters that an ESME may have.
    layout = (_string(65, CommandStatus.ESME_RINVSYSID),)
    has_tlvs = True

    system_id: str = ""
    tlvs: Tlvs = ()


@dataclass(frozen=True, slots=True)
class BindReceiverResp(_BindResp):
    command = CommandId.BIND_RECEIVER_RESP


@dataclass(frozen=True, slots=True)
class BindTransmitterResp(_BindResp):
    command = CommandId.BIND_TRANSMITTER_RESP


@dataclass(frozen=True, slots=True)
class BindTransceiverResp(_BindResp):
    command = CommandId.BIND_TRANSCEIVER_RESP


@dataclass(frozen=True, slots=True)
class _Message(Pdu):
    layout = (
        _service_type, *_source, *_destination, _octet, _octet, _octet,
        _string(17, CommandStatus.ESME_RINVSCHED), _string(17, CommandStatus.ESME_RINVEXPIRY),
        _octet, _octet, _octet, _octet, _short_message,
    )  # fmt: skip
    has_tlvs = True

    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: Tlvs = ()

    def tlv(self, tag: int) -> bytes | None:
        """The value of the first TLV with that tag, or None."""
        return _find(self.tlvs, tag)

    @property
    def payload(self) -> bytes:
        """The user data, UDH included: short_message, or message_payload where that is empty (§5.3.2.32)."""
        return self.short_message or _find(self.tlvs, Tag.MESSAGE_PAYLOAD) or b""


@dataclass(frozen=True, slots=True)
class SubmitSm(_Message):
    """A message from the ESME (§4.4.1)."""

    command = CommandId.SUBMIT_SM


@dataclass(frozen=True, slots=True)
class DeliverSm(_Message):
    """A message or a delivery receipt to the ESME (§4.6.1)."""

    command = CommandId.DELIVER_SM


@dataclass(frozen=True, slots=True)
class _MessageResp(_Response):
    layout = (_message_id,)
    has_tlvs = True

    message_id: str = ""
    tlvs: Tlvs = ()


@dataclass(frozen=True, slots=True)
class SubmitSmResp(_MessageResp):
    command = CommandId.SUBMIT_SM_RESP


@dataclass(frozen=True, slots=True)
class DeliverSmResp(_MessageResp):
    command = CommandId.DELIVER_SM_RESP


@dataclass(frozen=True, slots=True)
class DataSm(Pdu):
    """A message either way, its text in message_payload (§4.7.1)."""

    command = CommandId.DATA_SM
    layout = (_service_type, *_source, *_destination, _octet, _octet, _octet)
    has_tlvs = True

    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    registered_delivery: int = 0
    data_coding: int = 0
    tlvs: Tlvs = ()

    def tlv(self, tag: int) -> bytes | None:
        """The value of the first TLV with that tag, or None."""
        return _find(self.tlvs, tag)

    @property
    def payload(self) -> bytes:
        """The user data, UDH included."""
        return _find(self.tlvs, Tag.MESSAGE_PAYLOAD) or b""


@dataclass(frozen=True, slots=True)
class DataSmResp(_MessageResp):
    command = CommandId.DATA_SM_RESP


@dataclass(frozen=True, slots=True)
class QuerySm(Pdu):
    """What became of a message? (§4.8.1)"""

    command = CommandId.QUERY_SM
    layout = (_message_id, *_source)

    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""


@dataclass(frozen=True, slots=True)
class QuerySmResp(_Response):
    """`final_date` is the standard's time text, empty while the message is not final (§4.8.2)."""

    command = CommandId.QUERY_SM_RESP
    layout = (_message_id, _string(17), _octet, _octet)

    message_id: str = ""
    final_date: str = ""
    message_state: int = 0
    error_code: int = 0


@dataclass(frozen=True, slots=True)
class CancelSm(Pdu):
    """Take a message back (§4.9.1)."""

    command = CommandId.CANCEL_SM
    layout = (_service_type, _message_id, *_source, *_destination)

    service_type: str = ""
    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""


@dataclass(frozen=True, slots=True)
class CancelSmResp(_Response):
    command = CommandId.CANCEL_SM_RESP


@dataclass(frozen=True, slots=True)
class AlertNotification(Pdu):
    """A handset has become reachable; nobody answers it (§4.12.1)."""

    command = CommandId.ALERT_NOTIFICATION
    layout = (*_source, *_destination)
    has_tlvs = True

    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    esme_addr_ton: int = 0
    esme_addr_npi: int = 0
    esme_addr: str = ""
    tlvs: Tlvs = ()


_CLASSES: tuple[type[Pdu], ...] = (
    GenericNack, BindReceiver, BindReceiverResp, BindTransmitter, BindTransmitterResp, QuerySm, QuerySmResp,
    SubmitSm, SubmitSmResp, DeliverSm, DeliverSmResp, Unbind, UnbindResp, CancelSm, CancelSmResp,
    BindTransceiver, BindTransceiverResp, Outbind, EnquireLink, EnquireLinkResp, AlertNotification, DataSm,
    DataSmResp,
)  # fmt: skip

# What the readers need of a class, fetched once: class attributes cost more than the octets they describe.
_BY_COMMAND: dict[int, tuple[type[Any], tuple[_Part, ...], bool]] = {
    int(kind.command): (kind, kind.layout, kind.has_tlvs) for kind in _CLASSES
}

RESPONSES: dict[type[Pdu], type[Pdu]] = {
    kind: _BY_COMMAND[kind.command | RESPONSE][0]
    for kind in _CLASSES
    if not kind.command & RESPONSE and kind.command | RESPONSE in _BY_COMMAND
}
"""The response class of each request class that has one."""


def decode(frame: bytes) -> Pdu:
    """The PDU in exactly one frame, header included; PduError for anything else."""
    if len(frame) < HEADER_LENGTH:
        raise PduError(
            f"{len(frame)} octets are no header",
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
    kind, layout, has_tlvs = known
    pdu: Pdu
    if not command_id & RESPONSE:
        pdu = kind(sequence, *_read(frame, layout, has_tlvs, command_id, sequence))
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


def _read(
    frame: bytes, layout: tuple[_Part, ...], has_tlvs: bool, command_id: int, sequence: int
) -> list[Any]:
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
        elif size == _OCTET:
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


_TLV = Struct(">HH")


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


def _find(tlvs: Tlvs, tag: int) -> bytes | None:
    for known, value in tlvs:
        if known == tag:
            return value
    return None


def encode(pdu: Pdu) -> bytes:
    """The octets of a PDU, header included; ValueError for a value that its field cannot hold.

    A response that reports an error and carries nothing else has no body (§4.4.2).
    """
    names = _FIELDS[type(pdu)]
    status = pdu.status if isinstance(pdu, _Response) else 0
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
    skip = 2 if issubclass(kind, _Response) else 1
    names = tuple(field.name for field in fields(kind))[skip:]
    if not names:
        return None
    if len(names) == 1:
        raise TypeError(f"{kind.__name__}: a single getter gives no tuple")
    return attrgetter(*names)


_FIELDS: dict[type[Pdu], Any] = {kind: _values_of(kind) for kind in _CLASSES}


def _write(pdu: Pdu, values: Sequence[Any]) -> list[bytes]:
    pieces: list[bytes] = []
    for (size, _), value in zip(pdu.layout, values, strict=False):
        if size > 0:
            octets = _encoded(value)
            if len(octets) >= size or 0 in octets:
                raise ValueError(
                    f"a text of {len(octets)} octets, or one with NUL, does not fit {size} octets"
                )
            pieces.append(octets + b"\0")
        elif size == _OCTET:
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
