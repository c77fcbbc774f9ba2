"""Message ids, what becomes of a message, and delivery receipts as they go out (SMPP 3.4 appendix B)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import TypeAlias

from cooee.model.clock import ms_to_local
from cooee.smpp.codes import CommandId, Tag
from cooee.smpp.framing import HEADER, HEADER_LENGTH
from cooee.smpp.pdu import encode_tlvs
from cooee.smpp.smsc.config import STATES, SmscConfig
from cooee.smpp.smsc.submits import Shape

_MASK = (1 << 64) - 1
_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a message ended, or that it is under way: a receipt's stat and err, and message_state."""

    stat: bytes
    err: bytes
    state: int

    @classmethod
    def of(cls, stat: str, err: str = "000") -> Outcome:
        """The outcome of that stat text; KeyError for one that STATES does not have."""
        return cls(stat.encode(), err.encode(), STATES[stat])


DELIVERED = Outcome.of("DELIVRD")
ENROUTE = Outcome.of("ENROUTE")
DELETED = Outcome.of("DELETED")
DEAD = Outcome.of("UNDELIV", "001")
FULL = Outcome.of("UNDELIV", "211")

Receipt: TypeAlias = tuple[bytes, bytes, Shape, Outcome, int, int]
"""message id, destination, shape, outcome, submitted, done (UTC ms): a bare tuple, for there is one a message."""


class MoPart:
    """One deliver_sm of a handset's own: everything behind the header."""

    __slots__ = ("body",)

    def __init__(self, body: bytes) -> None:
        self.body = body


Delivery: TypeAlias = Receipt | MoPart
"""What goes to an ESME as deliver_sm and waits for its answer."""


class Ids:
    """Gives message ids in one of the styles that SMSCs have."""

    def __init__(self, style: str, first: int, seed: int) -> None:
        self._next = first
        self._salt = Random(seed).getrandbits(64)  # noqa: S311 - no secret, a simulation that must repeat
        self._write: Callable[[int], bytes] = {
            "decimal": b"%d".__mod__, "hex": b"%x".__mod__, "random": self._random, "uuid": self._uuid,
        }[style]  # fmt: skip

    def take(self, count: int) -> list[bytes]:
        """The next `count` ids."""
        first = self._next
        self._next += count
        return list(map(self._write, range(first, self._next)))

    def _mixed(self, number: int) -> int:
        # The finaliser of splitmix64: one to one, so that ids which look random never come twice.
        value = (number * 0x9E3779B97F4A7C15 + self._salt) & _MASK
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
        return value ^ (value >> 31)

    def _random(self, number: int) -> bytes:
        return b"%d" % self._mixed(number)

    def _uuid(self, number: int) -> bytes:
        return str(uuid.UUID(int=self._mixed(number) << 64 | self._mixed(~number), version=4)).encode()


def receipt_ids(config: SmscConfig) -> Callable[[bytes], bytes] | None:
    """How the id of a response is written in its receipt; None when it is the same."""
    base = 16 if config.ids == "hex" else 10
    style = {"decimal": b"%d", "hex": b"%x"}.get(config.receipt_id)
    width, upper = config.receipt_id_width, config.receipt_id_upper
    if style is None and not width and not upper:
        return None

    def write(message_id: bytes) -> bytes:
        text = message_id if style is None else style % int(message_id, base)
        text = text.rjust(width, b"0")
        return text.upper() if upper else text

    return write


@lru_cache(maxsize=64)
def _minute(minute: int) -> bytes:
    return ms_to_local(minute * _MINUTE, None).strftime("%y%m%d%H%M").encode()


_LENGTHS = [bytes((length,)) for length in range(256)]
_ID_TLV = [encode_tlvs(((Tag.RECEIPTED_MESSAGE_ID, b"\0" * n),))[: -n or None] for n in range(128)]


def _tlvs(outcome: Outcome) -> bytes:
    tlvs = [(int(Tag.MESSAGE_STATE), bytes((outcome.state,)))]
    if outcome.err.isdigit() and int(outcome.err):
        # Network type 3 is GSM (SMPP 3.4 §5.3.2.31).
        tlvs.append((int(Tag.NETWORK_ERROR_CODE), b"\x03" + int(outcome.err).to_bytes(2, "big")))
    return encode_tlvs(tuple(tlvs))


class ReceiptWriter:
    """Makes deliver_sm of deliveries. What receipts of one minute share is made once."""

    def __init__(self, config: SmscConfig) -> None:
        self._ids = receipt_ids(config)
        self._text = config.receipt_form != "tlv"
        self._tlvs = config.receipt_form != "text"
        self._shared: dict[tuple[Outcome, int, int], tuple[bytes, bytes]] = {}

    def write(self, deliveries: Iterable[Delivery], sequence: int) -> list[bytes]:
        """deliver_sm PDUs in the order of `deliveries`, numbered from `sequence` on."""
        written: list[bytes] = []
        add = written.append
        pack = HEADER.pack
        shared = self._shared
        convert = self._ids
        with_text, with_tlvs = self._text, self._tlvs
        text = tlvs = b""
        for delivery in deliveries:
            if isinstance(delivery, MoPart):
                body = delivery.body
            else:
                message_id, destination, shape, outcome, submitted, done = delivery
                key = (outcome, submitted // _MINUTE, done // _MINUTE)
                rest = shared.get(key)
                if rest is None:
                    rest = self._share(*key)
                if convert is not None:
                    message_id = convert(message_id)
                if with_text:
                    text = b"id:" + message_id + rest[0]
                if with_tlvs:
                    tlvs = _ID_TLV[len(message_id) + 1] + message_id + b"\0" + rest[1]
                tail = shape.notice_tail if outcome is ENROUTE else shape.receipt_tail
                body = shape.head + destination + tail + _LENGTHS[len(text)] + text + tlvs + shape.echo
            add(pack(HEADER_LENGTH + len(body), CommandId.DELIVER_SM, 0, sequence) + body)
            sequence += 1
        return written

    def _share(self, outcome: Outcome, submitted: int, done: int) -> tuple[bytes, bytes]:
        if len(self._shared) > 1000:
            self._shared.clear()
        text = b" sub:001 dlvrd:%b submit date:%b done date:%b stat:%b err:%b text:" % (
            b"001" if outcome is DELIVERED else b"000",
            _minute(submitted),
            _minute(done),
            outcome.stat,
            outcome.err,
        )
        rest = self._shared[outcome, submitted, done] = (text, _tlvs(outcome))
        return rest
