"""Delivery receipts: what a deliver_sm or data_sm says about a message that was submitted before.

SMPP 3.4 gives receipts TLVs (§5.3.2.12, §5.3.2.35, §5.3.2.31) and, in appendix B, a text that it calls typical
and no two SMSCs write alike. TLVs are believed before the text. The text is read by its field names, wherever
they stand; the fields after `text:` are the subscriber's own words and are never looked into.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import ClassVar

import msgspec

from cooee.model.smscid import canonical_id, id_candidates
from cooee.smpp.codes import ESM_INTERMEDIATE, ESM_RECEIPT, ESM_TYPE_MASK, ESM_UDHI, CommandId, Tag
from cooee.smpp.pdu import DataSm, DeliverSm

__all__ = [
    "PlainReceipt",
    "Receipt",
    "ReceiptState",
    "canonical_id",
    "id_candidates",
    "is_receipt",
    "parse_receipt",
    "state_of",
]


class ReceiptState(Enum):
    """What became of the message (SMPP 3.4 §5.2.28)."""

    ENROUTE = "enroute"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    DELETED = "deleted"
    UNDELIVERABLE = "undeliverable"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    SKIPPED = "skipped"


_OPEN = frozenset((ReceiptState.ENROUTE, ReceiptState.ACCEPTED, ReceiptState.UNKNOWN))


class Receipt(msgspec.Struct, gc=False):
    """One receipt, as received.

    `message_id` is the SMSC's, empty when it names none; `error` its error as text, "" if none (the decimal code
    where it is the network_error_code TLV). `done_at_text` is the SMSC's own local time in its own form.
    `source` is the handset, `destination` the originator of the message. `raw` is the PDU's body, octet by octet,
    and `command` what kind of PDU it was.
    """

    message_id: str
    state: ReceiptState
    error: str
    done_at_text: str
    source: str
    destination: str
    user_message_reference: int | None
    raw: bytes
    command: int = CommandId.DELIVER_SM

    @property
    def final(self) -> bool:
        """Nothing further is to be expected. UNKNOWN is not final: a better receipt may follow."""
        return self.state not in _OPEN

    @property
    def delivered(self) -> bool:
        """The handset has it."""
        return self.state is ReceiptState.DELIVERED


BY_NUMBER = {
    0: ReceiptState.ENROUTE,  # SMPP 5.0: scheduled
    1: ReceiptState.ENROUTE,
    2: ReceiptState.DELIVERED,
    3: ReceiptState.EXPIRED,
    4: ReceiptState.DELETED,
    5: ReceiptState.UNDELIVERABLE,
    6: ReceiptState.ACCEPTED,
    7: ReceiptState.UNKNOWN,
    8: ReceiptState.REJECTED,
    9: ReceiptState.SKIPPED,
}

# Words are told apart by their first five letters: SMSCs cut, lengthen and misspell the rest.
_BY_WORD = {
    "deliv": ReceiptState.DELIVERED,
    "expir": ReceiptState.EXPIRED,
    "delet": ReceiptState.DELETED,
    "cance": ReceiptState.DELETED,
    "undel": ReceiptState.UNDELIVERABLE,
    "faile": ReceiptState.UNDELIVERABLE,
    "accep": ReceiptState.ACCEPTED,
    "ackno": ReceiptState.ACCEPTED,
    "unkno": ReceiptState.UNKNOWN,
    "rejec": ReceiptState.REJECTED,
    "enrou": ReceiptState.ENROUTE,
    "en_ro": ReceiptState.ENROUTE,
    "buffe": ReceiptState.ENROUTE,
    "sched": ReceiptState.ENROUTE,
    "skipp": ReceiptState.SKIPPED,
} | {str(number): state for number, state in BY_NUMBER.items()}

_USUAL = re.compile(
    r"id:(?P<id>[^\s\"':]+) sub:\d+ dlvrd:\d+ submit date:\d+ done date:(?P<done>\d+)"
    r" stat:(?P<stat>[A-Za-z]+) err:(?P<err>\w+)(?: text:| ?$)",
    re.IGNORECASE | re.ASCII,
)

_FIELD = re.compile(
    r"(?<![a-z0-9_])"
    r"(id|sub|dlvrd|submit[ _-]?date|done[ _-]?date|stat(?:us|e)?|err(?:or)?(?:[ _-]?code)?|text)\s*[:=]",
    re.IGNORECASE,
)
_OWN_FIELDS = ("sub", "dlvrd", "submitdate", "donedate")
_NAMES = {"status": "stat", "state": "stat", "error": "err", "errorcode": "err", "errcode": "err"}
_LONGEST_TEXT = 1024
_UCS2 = 8


class PlainReceipt(msgspec.Struct, gc=False):
    """A deliver_sm that is a receipt in the usual form and was read in one go (plain.py)."""

    command: ClassVar[CommandId] = CommandId.DELIVER_SM

    sequence: int
    receipt: Receipt


def is_receipt(pdu: DeliverSm | DataSm | PlainReceipt) -> bool:
    """True for a receipt or an intermediate notification, also from an SMSC that does not mark it as one."""
    return parse_receipt(pdu) is not None


def parse_receipt(pdu: DeliverSm | DataSm | PlainReceipt) -> Receipt | None:
    """The receipt in that PDU, or None when it is no receipt (but a message from a handset).

    A PDU is one when its esm_class says so (§5.2.12), when it has the TLVs of one, or when its text has the form
    of one beyond doubt. One that is marked as a receipt but names no message has an empty `message_id`.
    """
    if isinstance(pdu, PlainReceipt):
        return pdu.receipt
    kind = pdu.esm_class & ESM_TYPE_MASK
    marked = kind in (ESM_RECEIPT, ESM_INTERMEDIATE)
    if not marked and kind:
        return None  # an acknowledgement by the handset's user
    id_value: bytes | None = None
    state_value: bytes | None = None
    error_value: bytes | None = None
    reference: int | None = None
    for tag, value in pdu.tlvs:
        if tag == Tag.RECEIPTED_MESSAGE_ID:
            id_value = value
        elif tag == Tag.MESSAGE_STATE:
            state_value = value
        elif tag == Tag.NETWORK_ERROR_CODE:
            error_value = value
        elif tag == Tag.USER_MESSAGE_REFERENCE and len(value) <= 2:
            reference = int.from_bytes(value, "big")
    if not marked and id_value is not None and state_value is not None:
        marked = True
    found = _read_text(pdu.payload, pdu.esm_class, pdu.data_coding, marked)
    if found is None:
        if not marked:
            return None
        found = ("", "", "", "")
    message_id, word, error, done = found
    if id_value is not None:
        message_id = str(id_value.partition(b"\0")[0][:255], "latin-1").strip() or message_id
    default = ReceiptState.ENROUTE if kind == ESM_INTERMEDIATE and not word else ReceiptState.UNKNOWN
    state = state_of(state_value, word, default)
    if error_value is not None and len(error_value) == 3:
        error = str(int.from_bytes(error_value[1:], "big"))
    return Receipt(
        message_id,
        state,
        error,
        done,
        pdu.source_addr,
        pdu.destination_addr,
        reference,
        pdu.body,
        pdu.command,
    )


def state_of(value: bytes | None, word: str, default: ReceiptState) -> ReceiptState:
    """The state that a message_state TLV says, else the stat word of the text, else `default`."""
    if value is not None and len(value) == 1:
        return BY_NUMBER.get(value[0], ReceiptState.UNKNOWN)
    return _BY_WORD.get(word[:5].lower(), default)


def _read_text(raw: bytes, esm_class: int, data_coding: int, marked: bool) -> tuple[str, str, str, str] | None:
    """(id, stat, err, done date) of the text form, each "" where missing; None when it has not that form."""
    text = str(raw[:_LONGEST_TEXT], "latin-1")
    usual = _USUAL.match(text)
    if usual is not None and usual["stat"][:5].lower() in _BY_WORD:
        message_id, done, word, error = usual.groups()
        return message_id, word, error, done
    if esm_class & ESM_UDHI and raw:
        raw = raw[raw[0] + 1 :]
    raw = raw[:_LONGEST_TEXT]
    if data_coding == _UCS2 and raw[:1] == b"\0":
        text = raw.decode("utf-16-be", "replace")
    else:
        text = str(raw, "latin-1")
    if not marked and text.lstrip()[:2].lower() != "id":
        return None
    fields: dict[str, str] = {}
    pieces = _FIELD.split(text)
    for at in range(1, len(pieces), 2):
        name = re.sub("[ _-]", "", pieces[at].lower())
        if name == "text":
            break
        fields.setdefault(_NAMES.get(name, name), pieces[at + 1].strip(" \t\r\n\0\"',;|"))
    message_id = fields.get("id", "")
    word = fields.get("stat", "")
    if not marked and (
        pieces[0].strip()
        or not message_id
        or word[:5].lower() not in _BY_WORD
        or not any(name in fields for name in _OWN_FIELDS)
    ):
        # A handset's owner may write "id: 5"; only the whole form, from the first letter on, is a receipt.
        return None
    return message_id[:255], word, fields.get("err", "")[:64], fields.get("donedate", "")[:64]
