"""Cutting a byte stream into PDUs, and what is raised when it cannot be (SMPP 3.4 §3.2)."""

from __future__ import annotations

from struct import Struct

from cooee.model.errors import CooeeError
from cooee.smpp.codes import CommandStatus, command_name, status_name

HEADER = Struct(">IIII")
"""command_length, command_id, command_status, sequence_number."""

HEADER_LENGTH = 16
MAX_PDU = 64 * 1024

_LENGTH = Struct(">I")


class PduError(CooeeError):
    """A PDU cannot be understood.

    `command_status` is what the peer should be told, `command_id` and `sequence` are those of the faulty PDU
    (0 where they are not known). `recoverable`: the stream is still in step, so generic_nack answers it;
    otherwise nothing after it can be trusted, and only a new bind helps.
    """

    def __init__(
        self, reason: str, *, command_status: int, command_id: int = 0, sequence: int = 0, recoverable: bool
    ) -> None:
        super().__init__(f"{command_name(command_id)}: {reason} ({status_name(command_status)})")
        self.command_status = command_status
        self.command_id = command_id
        self.sequence = sequence
        self.recoverable = recoverable


class Framer:
    """Cuts what a socket delivers into whole PDUs, holding back at most one that is incomplete."""

    __slots__ = ("_max", "_need", "_rest", "fault")

    def __init__(self, max_pdu: int = MAX_PDU) -> None:
        self._max = max_pdu
        self._rest = bytearray()
        self._need = _LENGTH.size
        self.fault: PduError | None = None
        """Why the stream cannot be read on, once that is so."""

    @property
    def pending(self) -> int:
        """Octets of an incomplete PDU that are waiting for the rest."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """The PDUs, header and all, that `data` completes.

        PDUs ahead of an impossible command_length are still returned, and `fault` is set. PduError (not
        recoverable) when there are none, and on every call after that.
        """
        if self.fault is not None:
            raise self.fault
        rest = self._rest
        if rest:
            # Collected in place, looked at when whole: a peer that dribbles costs no quadratic copying.
            rest += data
            if len(rest) < self._need:
                return []
            data = bytes(rest)
            rest.clear()
        frames: list[bytes] = []
        cut = frames.append
        unpack = _LENGTH.unpack_from
        limit = self._max
        end = len(data)
        last = end - _LENGTH.size
        at = 0
        need = _LENGTH.size
        while at <= last:
            length = unpack(data, at)[0]
            if not HEADER_LENGTH <= length <= limit:
                self.fault = _impossible(data[at : at + HEADER_LENGTH], length, limit)
                if not frames:
                    raise self.fault
                return frames
            stop = at + length
            if stop > end:
                need = length
                break
            cut(data[at:stop])
            at = stop
        if at < end:
            rest += data[at:]
        self._need = need
        return frames


def _impossible(head: bytes, length: int, limit: int) -> PduError:
    known = len(head) == HEADER_LENGTH
    _, command_id, _, sequence = HEADER.unpack(head) if known else (0, 0, 0, 0)
    return PduError(
        f"command_length {length} is not within {HEADER_LENGTH}..{limit}",
        command_status=CommandStatus.ESME_RINVCMDLEN,
        command_id=command_id,
        sequence=sequence,
        recoverable=False,
    )
