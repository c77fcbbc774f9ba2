"""The phones behind the SMSC: what they received, whether they can, and what they send themselves.

Every destination is a phone. Inboxes exist for the latest N of them only, and hold PDUs as they came;
concatenated parts are joined and texts decoded when somebody looks.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, TypeAlias

from cooee.model import gsm
from cooee.model.segments import Encoding, segment
from cooee.smpp import codes
from cooee.smpp.smsc.config import SmscConfig
from cooee.smpp.smsc.receipts import MoPart
from cooee.smpp.smsc.submits import WHOLE, Part, Shape, split_udh

Raw: TypeAlias = tuple[int, Shape, bytes, Part]
"""time (UTC ms), shape, user data, part: a bare tuple, for there is one a message."""

PARTS_KEPT = 4
"""Parts an inbox keeps for each message that it is asked to keep."""


class HandsetState(enum.Enum):
    """What a handset does with messages."""

    ON = "on"
    OFF = "off"
    """Messages wait, and so do their receipts, until it is on again."""
    DEAD = "dead"
    """Nothing reaches it: UNDELIV 001."""
    FULL = "full"
    """Its memory is full: UNDELIV 211."""


@dataclass(frozen=True, slots=True)
class Text:
    """A message as a handset shows it. `complete` is False while parts are missing from `text`."""

    time_ms: int
    sender: str
    text: str
    parts: int
    complete: bool

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


class Handsets:
    """The inboxes of the latest handsets, and the states of those that are not simply on."""

    def __init__(self, config: SmscConfig) -> None:
        self.states: dict[bytes, HandsetState] = {}
        self._inboxes: OrderedDict[bytes, list[Raw]] = OrderedDict()
        self.configure(config)

    def configure(self, config: SmscConfig) -> None:
        """Takes new limits, and keeps to them at once."""
        self._limit = config.handsets
        self._shown = config.inbox
        self._kept = config.inbox * PARTS_KEPT
        while len(self._inboxes) > self._limit:
            self._inboxes.popitem(last=False)

    def __len__(self) -> int:
        return len(self._inboxes)

    def clear(self) -> None:
        """Empties all inboxes; states stay."""
        self._inboxes.clear()

    def receive(self, number: bytes, raw: Raw) -> None:
        """Puts a message into a handset's inbox."""
        inboxes = self._inboxes
        inbox = inboxes.get(number)
        if inbox is None:
            if not self._limit:
                return
            inboxes[number] = [raw]
            if len(inboxes) > self._limit:
                inboxes.popitem(last=False)
            return
        inboxes.move_to_end(number)
        inbox.append(raw)
        if len(inbox) > self._kept:
            del inbox[0]

    def latest(self, count: int) -> list[str]:
        """The handsets that received something last, up to `count`, the newest first."""
        return [number.decode("latin-1") for number in islice(reversed(self._inboxes), count)]

    def inbox(self, number: str) -> list[Text]:
        """What a handset shows, oldest first; empty also for one whose inbox is not kept."""
        return joined(self._inboxes.get(number.encode("latin-1"), []))[-self._shown :]


def joined(raws: list[Raw]) -> list[Text]:
    """Messages as shown: parts joined in their order, each message where its first part came.

    A part that comes twice begins another message, as the phone cannot know better: doubles stay visible.
    """
    messages: list[tuple[Raw, dict[int, bytes]]] = []
    open_: dict[tuple[bytes, int, int], dict[int, bytes]] = {}
    for raw in raws:
        _, shape, data, part = raw
        if part is WHOLE:
            messages.append((raw, {1: data}))
            continue
        key = (shape.source, part.reference, part.total)
        parts = open_.get(key)
        if parts is None or part.number in parts:
            parts = open_[key] = {}
            messages.append((raw, parts))
        parts[part.number] = data
        if len(parts) == part.total:
            del open_[key]
    return [_shown(raw, parts) for raw, parts in messages]


def _shown(raw: Raw, parts: dict[int, bytes]) -> Text:
    time_ms, shape, _, part = raw
    data = b"".join(split_udh(parts[n])[1] if shape.udhi else parts[n] for n in sorted(parts))
    return Text(
        time_ms, shape.source.decode("latin-1"), decoded(data, shape.data_coding), part.total,
        len(parts) == part.total,
    )  # fmt: skip


def decoded(data: bytes, data_coding: int) -> str:
    """The text of user data without header (SMPP 3.4 §5.2.19); binary is shown as Latin-1."""
    if data_coding == 8:
        return data.decode("utf-16-be", "replace")
    if data_coding == 0:
        return gsm.decode(data)
    return data.decode("latin-1")


def mo_parts(sender: str, to: str, text: str, reference: int) -> list[MoPart]:
    """The deliver_sm of a handset's message, in parts behind an 8-bit UDH when it is long.

    ValueError for addresses that SMPP cannot carry and texts that cannot be cut.
    """
    cut = segment(text)
    esm_class = codes.ESM_UDHI if cut.count > 1 else 0
    head = (
        b"\0" + _address(sender) + _address(to) + bytes((esm_class,)) + b"\0" * 6
        + bytes((8 if cut.encoding is Encoding.UCS2 else 0, 0))
    )  # fmt: skip
    return [MoPart(head + bytes((len(data),)) + data) for data in cut.user_data(reference)]


def _address(address: str) -> bytes:
    if not (1 <= len(address) <= 20 and address.isascii() and address.isprintable()):
        raise ValueError("an address has 1 to 20 printable ASCII characters")
    if not address.isdigit():
        ton_npi = b"\5\0"
    elif len(address) > 8:
        ton_npi = b"\1\1"
    else:
        # Short codes belong to a network.
        ton_npi = b"\3\0"
    return ton_npi + address.encode() + b"\0"
