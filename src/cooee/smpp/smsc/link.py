"""One TCP connection of an ESME: binds, answers, and the window of deliver_sm that it has not answered."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from cooee.model.clock import ms_to_local
from cooee.smpp.codes import INTERFACE_VERSION, MAX_SEQUENCE, RESPONSE, CommandId, CommandStatus, Tag
from cooee.smpp.framing import HEADER, HEADER_LENGTH, Framer, PduError
from cooee.smpp.pdu import (
    RESPONSES,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    CancelSm,
    CancelSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    QuerySm,
    QuerySmResp,
    Unbind,
    UnbindResp,
    decode,
    encode,
)  # fmt: skip
from cooee.smpp.smsc.esme import Esme
from cooee.smpp.smsc.journal import quoted
from cooee.smpp.smsc.receipts import ENROUTE, Delivery, MoPart
from cooee.smpp.smsc.submits import UNSEEN

if TYPE_CHECKING:
    from cooee.smpp.smsc.server import Smsc

_SUBMIT, _DATA = int(CommandId.SUBMIT_SM), int(CommandId.DATA_SM)
_DELIVER_RESP, _DATA_RESP = int(CommandId.DELIVER_SM_RESP), int(CommandId.DATA_SM_RESP)
_MESSAGES = frozenset({_SUBMIT, _DATA})
# Answers pile up to here before an ESME that does not read is no longer read from itself. Generous, so that a
# peer which writes a whole window before it reads anything never deadlocks with us.
_HIGH_WATER = 8 * 1024 * 1024

_Bind: TypeAlias = BindReceiver | BindTransceiver | BindTransmitter


class Link(asyncio.Protocol):
    """A connection. `Smsc` owns it; an `Esme` delivers through it once it is bound to receive."""

    def __init__(self, smsc: Smsc, number: int) -> None:
        self._smsc = smsc
        self._framer = Framer()
        self._transport: Any = None
        self.number = number
        self.esme: Esme | None = None
        self._transmits = self.receives = False
        self._blocked = False
        self._shape = UNSEEN
        self._name = b"-"
        self._submits = 0
        self._sequence = 1
        self._pending: dict[int, Delivery] = {}
        self._writes: deque[tuple[float, int, int]] = deque()
        self._opened = self._heard = 0.0
        self._asked = False

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._opened = self._heard = self._smsc.clock.monotonic()
        self._smsc.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._smsc.closed(self)

    def pause_writing(self) -> None:
        self._blocked = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._blocked = False
        if not self._closing():
            self._transport.resume_reading()
            if self.esme is not None:
                self.esme.pump()

    def data_received(self, data: bytes) -> None:
        if self._closing():
            return
        self._heard = self._smsc.clock.monotonic()
        self._asked = False
        try:
            frames = self._framer.feed(data)
        except PduError:
            frames = []
        unpack = HEADER.unpack_from
        messages: list[bytes] = []
        acks: list[tuple[int, int]] = []
        answers: list[bytes] = []
        for frame in frames:
            _, command, status, sequence = unpack(frame)
            if command in _MESSAGES and self._transmits:
                messages.append(frame)
            elif command == _DELIVER_RESP:
                acks.append((sequence, status))
            else:
                if messages:
                    answers += self._take(messages)
                    messages = []
                if acks:
                    self._acknowledged(acks)
                    acks = []
                if self._closing():
                    return
                answers += self._handle(frame)
        if messages:
            answers += self._take(messages)
        if acks:
            self._acknowledged(acks)
        if answers:
            self._smsc.answer(self, answers)
        fault = self._framer.fault
        if fault is not None and not self._closing():
            # Out of step: nothing that follows could be trusted (SMPP 3.4 §4.3).
            self._smsc.counts["bad_pdus"] += 1
            self._smsc.answer(self, [encode(GenericNack(fault.sequence, fault.command_status))])
            self.close()
        elif self.esme is not None and self.esme.ready:
            self.esme.pump()

    # Messages in

    def _take(self, frames: list[bytes]) -> list[bytes]:
        smsc = self._smsc
        esme = self.esme
        if smsc.ignores() or esme is None:
            return []
        every = smsc.config.drop_after
        cut = bool(every) and self._submits + len(frames) >= every
        if cut:
            frames = frames[: max(1, every - self._submits)]
        self._submits += len(frames)
        answers, self._shape = smsc.intake.take(esme, frames, self._shape, self._name)
        if esme.ready:
            esme.pump()
        if cut:
            self.cut(answers if smsc.config.drop_mid_pdu else None)
            return []
        return answers

    def cut(self, answers: list[bytes] | None) -> None:
        """Drops the connection: at once, or in the middle of the last of `answers`."""
        if answers and not self._closing():
            self._transport.write(b"".join(answers)[: -(len(answers[-1]) // 2)])
            self.close()
        else:
            self._transport.abort()

    # Deliveries out

    def room(self) -> int:
        """How many deliver_sm it may be sent now."""
        if not self.receives or self._blocked or self._closing() or self._smsc.silent:
            return 0
        return self._smsc.config.window - len(self._pending)

    def deliver(self, deliveries: list[Delivery]) -> None:
        """Writes deliveries, which fill its window until they are answered."""
        first = self._sequence
        if first + len(deliveries) > MAX_SEQUENCE:
            first = 1
        self._sequence = first + len(deliveries)
        self._pending.update(zip(range(first, self._sequence), deliveries, strict=True))
        self._writes.append((self._smsc.clock.monotonic(), first, self._sequence))
        self._transport.write(b"".join(self._smsc.written(deliveries, first, self._name)))

    def _acknowledged(self, acks: list[tuple[int, int]]) -> None:
        pop = self._pending.pop
        done: list[Delivery] = []
        refused: list[tuple[Delivery, int]] = []
        for sequence, status in acks:
            delivery = pop(sequence, None)
            if delivery is not None:
                if status:
                    refused.append((delivery, status))
                else:
                    done.append(delivery)
        if self.esme is not None:
            self._smsc.acknowledged(self.esme, done, refused, self._name)

    @property
    def unanswered(self) -> int:
        """How many deliver_sm were sent and are not acknowledged."""
        return len(self._pending)

    # Everything else

    def _handle(self, frame: bytes) -> list[bytes]:
        smsc = self._smsc
        _, command, _, sequence = HEADER.unpack_from(frame)
        try:
            pdu = decode(frame)
        except PduError as error:
            smsc.counts["bad_pdus"] += 1
            if command & RESPONSE:
                return []
            answer = None
            if error.command_status != CommandStatus.ESME_RINVCMDID:
                answer = HEADER.pack(HEADER_LENGTH, command | RESPONSE, error.command_status, sequence)
            return [answer or encode(GenericNack(sequence, CommandStatus.ESME_RINVCMDID))]
        if smsc.ignores():
            return []
        if isinstance(pdu, _Bind):
            # Never held back: deliveries follow at once, and nothing may precede the answer to a bind.
            smsc.send(self, [self._bind(pdu)])
            return []
        if isinstance(pdu, EnquireLink):
            return [encode(EnquireLinkResp(sequence))]
        if isinstance(pdu, Unbind):
            self._leave()
            smsc.answer(self, [encode(UnbindResp(sequence))])
            self.close()
            return []
        if isinstance(pdu, UnbindResp):
            self.close()
            return []
        if command & RESPONSE:
            return []
        if isinstance(pdu, QuerySm) and self._transmits and self.esme is not None:
            return [encode(self._query(self.esme, pdu))]
        if isinstance(pdu, CancelSm) and self._transmits and self.esme is not None:
            return [encode(self._cancel(self.esme, pdu))]
        if type(pdu) in RESPONSES:
            status = CommandStatus.ESME_RINVBNDSTS
            if command in _MESSAGES:
                smsc.refused_unbound()
            return [HEADER.pack(HEADER_LENGTH, command | RESPONSE, status, sequence)]
        return []

    def _bind(self, pdu: _Bind) -> bytes:
        smsc = self._smsc
        status = CommandStatus.ESME_RALYBND if self.esme is not None else smsc.may_bind(pdu)
        if status:
            smsc.counts["binds_refused"] += 1
            return HEADER.pack(HEADER_LENGTH, pdu.command | RESPONSE, status, pdu.sequence)
        self._transmits = not isinstance(pdu, BindReceiver)
        self.receives = not isinstance(pdu, BindTransmitter)
        self._name = quoted(pdu.system_id.encode("latin-1") + b"#%d" % self.number)
        self.esme = smsc.bound(self, pdu.system_id, receives=self.receives)
        answer: Any = RESPONSES[type(pdu)]
        return encode(
            answer(
                pdu.sequence, system_id=smsc.config.system_id,
                tlvs=((int(Tag.SC_INTERFACE_VERSION), bytes((INTERFACE_VERSION,))),),
            )
        )  # fmt: skip

    def _query(self, esme: Esme, pdu: QuerySm) -> QuerySmResp:
        found = self._smsc.intake.find(esme, pdu.message_id.encode("latin-1"))
        if found is None:
            return QuerySmResp(pdu.sequence, CommandStatus.ESME_RQUERYFAIL)
        receipt, outcome = found
        final = ""
        if outcome is not ENROUTE:
            final = ms_to_local(self._smsc.intake.ended(receipt), None).strftime("%y%m%d%H%M%S") + "000+"
        error = int(outcome.err) if outcome.err.isdigit() else 0
        return QuerySmResp(pdu.sequence, 0, pdu.message_id, final, outcome.state, min(error, 255))

    def _cancel(self, esme: Esme, pdu: CancelSm) -> CancelSmResp:
        """One message by its id, or without one all of that source and destination (SMPP 3.4 §4.9)."""
        intake = self._smsc.intake
        destination = pdu.destination_addr.encode("latin-1")
        if pdu.message_id:
            found = intake.find(esme, pdu.message_id.encode("latin-1"))
            receipts = []
            if found is not None and found[1] is ENROUTE and destination in (b"", found[0][1]):
                receipts = [found[0]]
        else:
            receipts = intake.under_way(esme, pdu.source_addr.encode("latin-1"), destination)
        if not receipts:
            return CancelSmResp(pdu.sequence, CommandStatus.ESME_RCANCELFAIL)
        for receipt in receipts:
            intake.cancel(esme, receipt)
        return CancelSmResp(pdu.sequence)

    def _leave(self) -> None:
        esme, self.esme = self.esme, None
        self._transmits = self.receives = False
        if esme is not None:
            esme.binds.remove(self)
            esme.again(self._pending.values())
            self._pending.clear()
            esme.pump()

    def write(self, pieces: list[bytes]) -> None:
        """Writes PDUs now, unless the connection is on its way down."""
        if not self._closing():
            self._transport.write(b"".join(pieces))

    def ask_to_unbind(self) -> None:
        """Sends unbind; the answer closes the connection."""
        self.write([encode(Unbind(self._next()))])

    def close(self) -> None:
        """Closes once what was written has gone out."""
        self._transport.close()

    def _closing(self) -> bool:
        return bool(self._transport.is_closing())

    def _next(self) -> int:
        sequence = self._sequence if self._sequence <= MAX_SEQUENCE else 1
        self._sequence = sequence + 1
        return sequence

    def watch(self, now: float) -> None:
        """What time brings: answers that never came, silent peers, connections that do not bind."""
        config = self._smsc.config
        if self._closing():
            return
        if self.esme is None:
            if config.bind_timeout and now - self._opened > config.bind_timeout:
                self.close()
            return
        self._forget_answered()
        if config.ack_timeout:
            self._give_up(self.esme, now - config.ack_timeout)
        if config.enquire_link and now - self._heard > config.enquire_link:
            if not self._asked and not self._smsc.silent:
                self._asked = True
                self.write([encode(EnquireLink(self._next()))])
            elif now - self._heard > 2 * config.enquire_link:
                self.cut(None)

    def _forget_answered(self) -> None:
        # Deliveries are pending in the order of the writes, so all writes before the oldest one's are done.
        oldest = next(iter(self._pending), None)
        while self._writes and (oldest is None or not self._writes[0][1] <= oldest < self._writes[0][2]):
            self._writes.popleft()

    def _give_up(self, esme: Esme, before: float) -> None:
        writes = self._writes
        while writes and writes[0][0] < before:
            _, first, end = writes.popleft()
            lost = [d for n in range(first, end) if (d := self._pending.pop(n, None)) is not None]
            if lost:
                esme.again(lost)
                esme.pump()


def is_receipt(delivery: Delivery) -> bool:
    """True for a receipt, False for a part of a handset's own message."""
    return not isinstance(delivery, MoPart)
