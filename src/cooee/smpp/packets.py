"""The PDUs of SMPP 3.4 as classes: one each, with the standard's field names (SMPP 3.4 §4).

`layout` says how the mandatory parameters lie on the wire, in field order, so that one reader and one writer (in
`pdu`) serve them all. Sizes are the standard's (§5.2), but where carriers are known to go further.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from cooee.smpp.codes import INTERFACE_VERSION, CommandId, CommandStatus, Tag

Tlvs: TypeAlias = tuple[tuple[int, bytes], ...]
"""(tag, value) in wire order; an unknown or repeated tag is kept as it came."""

Part: TypeAlias = tuple[int, int]
"""One parameter: the most octets of its C-octet string with the NUL, or OCTET or SHORT_MESSAGE; and the
command_status that answers a bad one."""

OCTET = 0
SHORT_MESSAGE = -1

_RINVMSGLEN = CommandStatus.ESME_RINVMSGLEN


def _string(size: int, status: CommandStatus = _RINVMSGLEN) -> Part:
    """A C-octet string of at most `size` octets with its NUL; `status` answers one that is longer."""
    return size, status


_octet: Part = (OCTET, _RINVMSGLEN)
_short_message: Part = (SHORT_MESSAGE, _RINVMSGLEN)
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
    layout: ClassVar[tuple[Part, ...]] = ()
    has_tlvs: ClassVar[bool] = False
    keeps_body: ClassVar[bool] = False
    """Whether its octets are kept with what was read from them."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Response(Pdu):
    """What all responses have besides: the command_status."""

    status: int = 0


@dataclass(frozen=True, slots=True)
class GenericNack(Response):
    """The answer to a PDU that cannot be understood (§4.3)."""

    command = CommandId.GENERIC_NACK


@dataclass(frozen=True, slots=True)
class Unbind(Pdu):
    """The wish to end the session (§4.2)."""

    command = CommandId.UNBIND


@dataclass(frozen=True, slots=True)
class UnbindResp(Response):
    """The answer to unbind (§4.2.2)."""

    command = CommandId.UNBIND_RESP


@dataclass(frozen=True, slots=True)
class EnquireLink(Pdu):
    """Is anybody there? (§4.11)"""

    command = CommandId.ENQUIRE_LINK


@dataclass(frozen=True, slots=True)
class EnquireLinkResp(Response):
    """The answer to enquire_link (§4.11.2)."""

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
class _BindResp(Response):
    # Some SMSCs answer with names longer than the 15 characters that an ESME may have.
    layout = (_string(65, CommandStatus.ESME_RINVSYSID),)
    has_tlvs = True

    system_id: str = ""
    tlvs: Tlvs = ()


@dataclass(frozen=True, slots=True)
class BindReceiverResp(_BindResp):
    """The answer to bind_receiver (§4.1.4)."""

    command = CommandId.BIND_RECEIVER_RESP


@dataclass(frozen=True, slots=True)
class BindTransmitterResp(_BindResp):
    """The answer to bind_transmitter (§4.1.2)."""

    command = CommandId.BIND_TRANSMITTER_RESP


@dataclass(frozen=True, slots=True)
class BindTransceiverResp(_BindResp):
    """The answer to bind_transceiver (§4.1.6)."""

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
    """A message or a delivery receipt to the ESME (§4.6.1). `body` is what came behind the header, b"" for one
    that did not come."""

    command = CommandId.DELIVER_SM
    keeps_body = True

    body: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class _MessageResp(Response):
    layout = (_message_id,)
    has_tlvs = True

    message_id: str = ""
    tlvs: Tlvs = ()


@dataclass(frozen=True, slots=True)
class SubmitSmResp(_MessageResp):
    """The answer to submit_sm, with the SMSC's message id (§4.4.2)."""

    command = CommandId.SUBMIT_SM_RESP


@dataclass(frozen=True, slots=True)
class DeliverSmResp(_MessageResp):
    """The answer to deliver_sm (§4.6.2)."""

    command = CommandId.DELIVER_SM_RESP


@dataclass(frozen=True, slots=True)
class DataSm(Pdu):
    """A message either way, its text in message_payload (§4.7.1). `body` as in DeliverSm."""

    command = CommandId.DATA_SM
    layout = (_service_type, *_source, *_destination, _octet, _octet, _octet)
    has_tlvs = True
    keeps_body = True

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
    body: bytes = field(default=b"", compare=False, repr=False)

    def tlv(self, tag: int) -> bytes | None:
        """The value of the first TLV with that tag, or None."""
        return _find(self.tlvs, tag)

    @property
    def payload(self) -> bytes:
        """The user data, UDH included."""
        return _find(self.tlvs, Tag.MESSAGE_PAYLOAD) or b""


@dataclass(frozen=True, slots=True)
class DataSmResp(_MessageResp):
    """The answer to data_sm (§4.7.2)."""

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
class QuerySmResp(Response):
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
class CancelSmResp(Response):
    """The answer to cancel_sm (§4.9.2)."""

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


def _find(tlvs: Tlvs, tag: int) -> bytes | None:
    for known, value in tlvs:
        if known == tag:
            return value
    return None


CLASSES: tuple[type[Pdu], ...] = (
    GenericNack, BindReceiver, BindReceiverResp, BindTransmitter, BindTransmitterResp, QuerySm, QuerySmResp,
    SubmitSm, SubmitSmResp, DeliverSm, DeliverSmResp, Unbind, UnbindResp, CancelSm, CancelSmResp,
    BindTransceiver, BindTransceiverResp, Outbind, EnquireLink, EnquireLinkResp, AlertNotification, DataSm,
    DataSmResp,
)  # fmt: skip
"""All of them."""
