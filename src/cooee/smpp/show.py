"""A receipt's PDU for a person's eyes: its parameters and TLVs by name, its text with nothing hidden in it.

Whatever octets a carrier sent can be shown. Nothing here is trusted or acted upon.
"""

from __future__ import annotations

from dataclasses import dataclass

from cooee.smpp.codes import ESM_INTERMEDIATE, ESM_RECEIPT, ESM_TYPE_MASK, ESM_UDHI, CommandId, Tag
from cooee.smpp.framing import HEADER, HEADER_LENGTH, PduError
from cooee.smpp.packets import DataSm, DeliverSm
from cooee.smpp.pdu import decode
from cooee.smpp.receipt import BY_NUMBER, ReceiptState, parse_receipt

_NETWORKS = {1: "ANSI-136", 2: "IS-95", 3: "GSM"}
"""Types of networks in network_error_code (SMPP 3.4 §5.3.2.31)."""
_UCS2 = 8


@dataclass(frozen=True, slots=True)
class ShownReceipt:
    """What a receipt says. `says` is how Cooee reads its state, None where the octets are no whole PDU; then all
    but `octets` is empty. `tlvs` are (name, value) in wire order, `octets` the PDU's body in hexadecimal."""

    command: str
    says: ReceiptState | None
    message_id: str
    source: str
    destination: str
    esm_class: str
    data_coding: int
    text: str
    tlvs: tuple[tuple[str, str], ...]
    octets: str


def show_receipt(command: int, body: bytes) -> ShownReceipt:
    """A deliver_sm or data_sm, given its command_id and what came behind its header."""
    try:
        pdu = decode(HEADER.pack(HEADER_LENGTH + len(body), command, 0, 1) + body)
    except PduError:
        pdu = None
    if not isinstance(pdu, DeliverSm | DataSm):
        return ShownReceipt("", None, "", "", "", "", 0, "", (), body.hex(" "))
    receipt = parse_receipt(pdu)
    tlvs = [(tag, value) for tag, value in pdu.tlvs if tag != Tag.MESSAGE_PAYLOAD or value != pdu.payload]
    return ShownReceipt(
        command=CommandId(command).name.lower(),
        says=ReceiptState.UNKNOWN if receipt is None else receipt.state,
        message_id="" if receipt is None else plain(receipt.message_id),
        source=plain(pdu.source_addr),
        destination=plain(pdu.destination_addr),
        esm_class=_esm_class(pdu.esm_class),
        data_coding=pdu.data_coding,
        text=_text(pdu.payload, pdu.esm_class, pdu.data_coding),
        tlvs=tuple((_name(tag), _value(tag, value)) for tag, value in tlvs),
        octets=body.hex(" "),
    )


def plain(text: str) -> str:
    """The text with everything that cannot be seen written out, as in `\\x00` and `\\u202e`."""
    return "".join(
        each if each.isprintable() and each != "\\" else each.encode("unicode_escape").decode() for each in text
    )


def _esm_class(value: int) -> str:
    kind = {ESM_RECEIPT: "receipt", ESM_INTERMEDIATE: "intermediate notification"}.get(value & ESM_TYPE_MASK)
    return f"0x{value:02X}" + (f" ({kind})" if kind else "")


def _text(raw: bytes, esm_class: int, data_coding: int) -> str:
    if esm_class & ESM_UDHI and raw:
        raw = raw[raw[0] + 1 :]
    if data_coding == _UCS2 and raw[:1] == b"\0":
        return plain(raw.decode("utf-16-be", "replace"))
    return plain(str(raw, "latin-1"))


def _name(tag: int) -> str:
    try:
        return Tag(tag).name.lower()
    except ValueError:
        return f"0x{tag:04X}"


def _value(tag: int, value: bytes) -> str:
    if tag == Tag.MESSAGE_STATE and len(value) == 1:
        state = BY_NUMBER.get(value[0])
        return f"{value[0]} ({state.value})" if state else f"{value[0]}"
    if tag == Tag.NETWORK_ERROR_CODE and len(value) == 3:
        network = _NETWORKS.get(value[0], f"network {value[0]}")
        return f"{network}, error {int.from_bytes(value[1:], 'big')}"
    if tag == Tag.USER_MESSAGE_REFERENCE and len(value) <= 2:
        return str(int.from_bytes(value, "big"))
    words = value.removesuffix(b"\0")
    if words and words.isascii() and str(words, "ascii").isprintable():
        return plain(str(words, "ascii"))
    return value.hex(" ") if value else "(empty)"
