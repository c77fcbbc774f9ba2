"""submit_sm for a whole slice at once: encoded but for what differs between its messages.

Within a slice only the sequence number and the destination change. Destinations of as many digits make PDUs of
one length, so their octets lie at a fixed stride: the slice is one repeated block, into which each of the four
octets of the sequence number and each digit is laid with one strided assignment over all messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from struct import Struct, pack

from cooee.smpp.codes import ESM_UDHI, MAX_SEQUENCE, CommandId, Tag
from cooee.smpp.framing import HEADER, HEADER_LENGTH, MAX_PDU
from cooee.smpp.pdu import SubmitSm, encode

MAX_SHORT_MESSAGE = 254
"""Octets of short_message; longer user data goes as message_payload (SMPP 3.4 §5.2.21)."""

_LENGTH = Struct(">I")
_TLV = Struct(">HH")
_SEQUENCE_AT = 12
_SUBMIT_SM = int(CommandId.SUBMIT_SM)
MAX_DIGITS = 15
"""Digits of an MSISDN at most (E.164 §6.1)."""


class _Block:
    """All parts for destinations of one digit count: octets, and where sequence numbers and digits go."""

    __slots__ = ("destinations_at", "octets", "sequences_at", "starts")

    def __init__(self, pdus: Sequence[bytes], destination_at: int) -> None:
        self.octets = b"".join(pdus)
        self.starts: list[int] = []
        at = 0
        for pdu in pdus:
            self.starts.append(at)
            at += len(pdu)
        self.sequences_at = [start + _SEQUENCE_AT for start in self.starts]
        self.destinations_at = [start + destination_at for start in self.starts]
        self.starts.append(at)


@lru_cache(maxsize=256)
def _envelope(
    service_type: str,
    source_ton: int,
    source_npi: int,
    source: str,
    dest_ton: int,
    dest_npi: int,
    esm_class: int,
    protocol_id: int,
    priority: int,
    validity_period: str,
    registered_delivery: int,
    data_coding: int,
) -> tuple[bytes, bytes]:
    """What comes before the destination and after it, up to sm_length. Checked by the codec, once a sender."""
    pdu = encode(
        SubmitSm(
            0,
            service_type=service_type,
            source_addr_ton=source_ton,
            source_addr_npi=source_npi,
            source_addr=source,
            dest_addr_ton=dest_ton,
            dest_addr_npi=dest_npi,
            esm_class=esm_class,
            protocol_id=protocol_id,
            priority_flag=priority,
            validity_period=validity_period,
            registered_delivery=registered_delivery,
            data_coding=data_coding,
        )
    )
    # Ahead of destination_addr: two strings with their NULs, and TON and NPI twice (§4.4.1).
    at = HEADER_LENGTH + len(service_type) + len(source) + 6
    return pdu[HEADER_LENGTH:at], pdu[at + 1 : -1]


class SubmitTemplate:
    """One submit_sm, or all parts of a long one, encoded but for its sequence number and its destination.

    `parts` holds the user data of each segment, with its UDH when `udh`; one of more than 254 octets becomes a
    message_payload TLV. `validity_period` is the standard's time text; `tlvs` are encoded TLVs that every part
    gets. ValueError for a value that its field cannot hold.
    """

    __slots__ = ("_after", "_before", "_blocks", "_destination_at", "_tails", "_tlvs", "parts")

    def __init__(
        self,
        parts: Sequence[bytes],
        *,
        source: str,
        source_ton: int,
        source_npi: int,
        dest_ton: int = 1,
        dest_npi: int = 1,
        data_coding: int,
        udh: bool,
        registered_delivery: int = 1,
        validity_period: str = "",
        service_type: str = "",
        protocol_id: int = 0,
        priority: int = 0,
        tlvs: bytes = b"",
    ) -> None:
        if not parts:
            raise ValueError("a message has at least one part")
        self.parts = len(parts)
        self._tlvs = bytes(tlvs)
        self._before, self._after = _envelope(
            service_type, source_ton, source_npi, source, dest_ton, dest_npi, ESM_UDHI if udh else 0, protocol_id,
            priority, validity_period, registered_delivery, data_coding,
        )  # fmt: skip
        self._destination_at = HEADER_LENGTH + len(self._before)
        self._blocks: dict[int, _Block] = {}
        self._tails = [self._tail(part) for part in parts]
        # What does not fit is found here, not when the first slice goes out.
        longest = self._destination_at + MAX_DIGITS + max(map(len, self._tails))
        if longest > MAX_PDU:
            raise ValueError(f"a submit_sm of {longest} octets is over the limit of {MAX_PDU}")

    def encode(self, first_sequence: int, destinations: Sequence[int]) -> bytes:
        """All parts of all destinations (MSISDNs), message after message.

        Part p of destination i has the sequence number first_sequence + i * parts + p. ValueError where that
        leaves 1..0x7FFFFFFF: wrapping is the caller's business.
        """
        count = len(destinations)
        _check_sequences(first_sequence, count * self.parts)
        if not count:
            return b""
        if count == 1:
            return self._one(first_sequence, destinations[0])
        digits = "".join(map(str, destinations))
        shortest = len(str(min(destinations)))
        if shortest == len(str(max(destinations))):
            return bytes(self._run(first_sequence, count, shortest, digits.encode()))
        out = bytearray()
        at = done = 0
        for length, same in groupby(destinations, _digit_count):
            run = len(list(same))
            stop = at + run * length
            out += self._run(first_sequence + done * self.parts, run, length, digits[at:stop].encode())
            at = stop
            done += run
        return bytes(out)

    def encode_some(self, first_sequence: int, destination: int, parts: Sequence[int]) -> bytes:
        """The chosen parts (numbers from 0) for one destination, with sequence numbers in a row."""
        _check_sequences(first_sequence, len(parts))
        digits = str(destination).encode()
        block = self._block(len(digits))
        out = bytearray()
        for sequence, part in enumerate(parts, first_sequence):
            pdu = bytearray(block.octets[block.starts[part] : block.starts[part + 1]])
            _LENGTH.pack_into(pdu, _SEQUENCE_AT, sequence)
            pdu[self._destination_at : self._destination_at + len(digits)] = digits
            out += pdu
        return bytes(out)

    def _one(self, first_sequence: int, destination: int) -> bytes:
        """A single message: strided assignments, and a block, would cost more than they save."""
        digits = b"%d" % destination
        if self.parts == 1:
            tail = self._tails[0]
            total = self._destination_at + len(digits) + len(tail)
            return HEADER.pack(total, _SUBMIT_SM, 0, first_sequence) + self._before + digits + tail
        block = self._block(len(digits))
        out = bytearray(block.octets)
        for part, at in enumerate(block.sequences_at):
            _LENGTH.pack_into(out, at, first_sequence + part)
            place = block.destinations_at[part]
            out[place : place + len(digits)] = digits
        return bytes(out)

    def _run(self, first_sequence: int, count: int, length: int, digits: bytes) -> bytearray:
        block = self._block(length)
        stride = len(block.octets)
        parts = self.parts
        out = bytearray(block.octets * count)
        total = count * parts
        sequences = pack(f">{total}I", *range(first_sequence, first_sequence + total))
        for part, at in enumerate(block.sequences_at):
            for octet in range(4):
                out[at + octet :: stride] = sequences[4 * part + octet :: 4 * parts]
        for place in range(length):
            column = digits[place::length]
            for at in block.destinations_at:
                out[at + place :: stride] = column
        return out

    def _block(self, length: int) -> _Block:
        block = self._blocks.get(length)
        if block is None:
            digits = b"0" * length
            pdus = []
            for tail in self._tails:
                total = self._destination_at + length + len(tail)
                pdus.append(HEADER.pack(total, _SUBMIT_SM, 0, 0) + self._before + digits + tail)
            block = self._blocks[length] = _Block(pdus, self._destination_at)
        return block

    def _tail(self, payload: bytes) -> bytes:
        """What follows the destination's digits in the submit_sm of one part."""
        size = len(payload)
        if size > MAX_SHORT_MESSAGE:
            text = b"\0" + _TLV.pack(Tag.MESSAGE_PAYLOAD, size) + payload
        else:
            text = bytes((size,)) + payload
        return b"\0" + self._after + text + self._tlvs


def _digit_count(destination: int) -> int:
    return len(str(destination))


def _check_sequences(first: int, count: int) -> None:
    if first < 1 or first + count - 1 > MAX_SEQUENCE:
        raise ValueError(f"{count} sequence numbers from {first} leave 1..{MAX_SEQUENCE}")
