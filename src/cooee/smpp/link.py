"""One TCP connection of a session: what is read and written between its first octet and its last.

Everything is done a chunk at a time: the PDUs of one read are answered with one write, and the owner is told once
for each kind of news. Answers are told before inbound PDUs, so that a receipt that follows its submit_sm_resp in
the same chunk finds its message id known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from struct import Struct
from typing import TYPE_CHECKING, TypeAlias, cast

import structlog

from cooee.smpp.codes import RESPONSE, CommandId, CommandStatus, status_name
from cooee.smpp.framing import HEADER, HEADER_LENGTH, Framer, PduError
from cooee.smpp.pdu import (
    AlertNotification,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DataSm,
    DeliverSm,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Unbind,
    UnbindResp,
    decode,
    encode,
)
from cooee.smpp.plain import read_plain
from cooee.smpp.receipt import PlainReceipt
from cooee.smpp.window import Answer, Submission, Window

if TYPE_CHECKING:
    from cooee.smpp.session import Session

log = structlog.get_logger()

Inbound: TypeAlias = DeliverSm | DataSm | PlainReceipt

WRITE_BUFFER = 1024 * 1024
"""Octets that may wait for the socket before the peer counts as not reading: a large window fits."""

UNBOUND = "unbound"
"""Why a connection ended whose unbind was answered."""

_FLUSH_SECONDS = 2.0
_MESSAGE_ID_END = HEADER_LENGTH + 255

_SUBMIT_SM_RESP = int(CommandId.SUBMIT_SM_RESP)
_GENERIC_NACK = int(CommandId.GENERIC_NACK)
_DELIVER_SM = int(CommandId.DELIVER_SM)
_ACK = Struct(">IIIIB")

_BINDS = {"transceiver": BindTransceiver, "transmitter": BindTransmitter, "receiver": BindReceiver}

_HINTS = {
    CommandStatus.ESME_RINVPASWD: "wrong password",
    CommandStatus.ESME_RINVSYSID: "unknown system_id",
    CommandStatus.ESME_RALYBND: "too many binds for this system_id, or an old one that has not timed out",
    CommandStatus.ESME_RBINDFAIL: "often wrong credentials, or an address that is not allowed",
    CommandStatus.ESME_RINVBNDSTS: "this kind of bind is not allowed",
    CommandStatus.ESME_RINVSYSTYP: "wrong system_type",
    CommandStatus.ESME_RSYSERR: "the SMSC has a fault of its own",
    CommandStatus.ESME_RTHROTTLED: "too many attempts",
}


class Link(asyncio.Protocol):
    """The protocol of one connection. `done` holds, once it is over, why."""

    def __init__(self, session: Session) -> None:
        config = session.config
        self._session = session
        self._config = config
        self._clock = session.clock
        self.window = Window(config.window, config.response_timeout_s)
        self.done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.write_paused = False
        self.closing = False
        """True from the decision to close on: nothing is written any more."""
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tick_s = min(
            1.0,
            config.enquire_link_s / 4,
            config.enquire_timeout_s / 4,
            config.response_timeout_s / 4,
            config.bind_timeout_s / 4,
        )
        self._bind_command = _BINDS[config.bind_type].command | RESPONSE
        self._bind_sequence = 0
        self._bind_until = 0.0
        self._is_bound = False
        self._reason = ""
        self._finishing = False
        self._unbind_sent = False
        self.heard = 0.0
        """When the peer last said anything, on the monotonic clock."""
        self._enquired: float | None = None
        # By identity: a sloppy SMSC may use a sequence number again before its first use is acknowledged.
        self._unacknowledged: dict[int, Inbound] = {}
        self._read_paused = False
        self._faults = 0

    # What the session asks for.

    def submit(self, submissions: Sequence[Submission]) -> None:
        """Takes the slots, then writes what has one, all in one go."""
        now = self._clock.monotonic()
        take = self.window.take
        self._write(b"".join([take(submission, now) for submission in submissions]))

    def acknowledge(self, pdus: Sequence[Inbound], status: int) -> None:
        """Writes the responses to those PDUs that came in on this connection and have none yet."""
        pop = self._unacknowledged.pop
        # message_id is unused and NULL in deliver_sm_resp (§4.6.2); in data_sm_resp an empty one is as good.
        octets = [
            _ACK.pack(17, pdu.command | RESPONSE, status, pdu.sequence, 0)
            for pdu in pdus
            if pop(id(pdu), None) is not None
        ]
        self._write(b"".join(octets))
        if self._read_paused and len(self._unacknowledged) <= self._config.inbound_pause // 2:
            self._resume_reading()

    def finish(self) -> None:
        """Unbinds when all answers are in."""
        self._finishing = True
        self._unbind_when_idle()

    def abandon(self, reason: str) -> None:
        """Ends the connection now, with an unbind if there is a bind; open segments are lost."""
        if self._is_bound and not self._unbind_sent:
            self._unbind_sent = True
            self._write(encode(Unbind(self.window.next_sequence())))
        self._close(reason)
        self._lose(reason)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.closing:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        config = self._config
        self.heard = self._clock.monotonic()
        self._bind_until = self.heard + config.bind_timeout_s
        self._bind_sequence = self.window.next_sequence()
        bind = _BINDS[config.bind_type](
            self._bind_sequence,
            system_id=config.system_id,
            password=config.password,
            system_type=config.system_type,
            address_range=config.address_range,
        )
        self._write(encode(bind))
        self._session.binding()
        self._schedule()

    def data_received(self, data: bytes) -> None:
        try:
            self._receive(bytes(data))
        except Exception:
            log.exception("smpp_link_failed", session=self._session.name)
            self._close("internal fault, see the log")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.closing = True
        if not self._reason:
            middle = " in the middle of a PDU" if self._framer.pending else ""
            self._reason = f"connection lost{middle}: {exc or 'closed by the SMSC'}"
        if self._faults > 1:
            log.warning("smpp_pdu_faults", session=self._session.name, count=self._faults)
        self._lose(self._reason)
        if not self.done.done():
            self.done.set_result(self._reason)

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        self._pump(self._clock.monotonic())
        self._session.tell(self._session.events.answers, self._session, [])

    # Reading

    def _receive(self, data: bytes) -> None:
        now = self._clock.monotonic()
        self.heard = now
        self._enquired = None
        try:
            frames = self._framer.feed(data)
        except PduError as fault:
            self._leave(fault)
            return
        news = _News()
        answer = self.window.answer
        unpack = HEADER.unpack_from
        answered = news.answered
        last: Submission | None = None
        for frame in frames:
            _, command, status, sequence = unpack(frame)
            if command == _SUBMIT_SM_RESP:
                end = frame.find(0, HEADER_LENGTH, _MESSAGE_ID_END)
                message_id = str(frame[HEADER_LENGTH : end if end >= 0 else _MESSAGE_ID_END], "latin-1")
                submission = answer(sequence, status, message_id)
                if submission is None:
                    self._late(sequence, status, message_id, news)
                elif submission is not last:
                    answered[submission] = None
                    last = submission
            elif command == _DELIVER_SM and self._is_bound and (plain := read_plain(frame, sequence)):
                news.inbound.append(plain)
            elif command == _GENERIC_NACK:
                self._nacked(sequence, status, news)
            elif command == self._bind_command:
                self._bind_answered(status, frame)
            else:
                self._other(frame, command, sequence, news)
            if self.closing:
                break
        self._write(b"".join(news.replies))
        if news.unbound:
            # Said first, so that the owner does not answer the news below with new submissions.
            self._session.unbinding("the SMSC unbinds")
        else:
            self._pump(now)
        self._tell(news)
        if news.unbound:
            self._close("the SMSC has unbound")
        elif self._framer.fault is not None:
            self._leave(self._framer.fault)
        else:
            self._unbind_when_idle()

    def _tell(self, news: _News) -> None:
        session = self._session
        if news.answered:
            session.tell(session.events.answers, session, list(news.answered))
        for submission, answers in news.late.items():
            session.tell(session.events.late, session, submission, answers)
        if news.inbound:
            self._unacknowledged.update((id(pdu), pdu) for pdu in news.inbound)
            if len(self._unacknowledged) > self._config.inbound_pause and not self._read_paused:
                self._pause_reading()
            session.tell(session.events.inbound, session, news.inbound)

    def _late(self, sequence: int, status: int, message_id: str, news: _News) -> None:
        found = self.window.late(sequence)
        if found is not None:
            submission, (position, part) = found
            news.late.setdefault(submission, []).append((position, part, status, message_id))

    def _nacked(self, sequence: int, status: int, news: _News) -> None:
        # A nack without an error would read as an acceptance.
        status = status or CommandStatus.ESME_RUNKNOWNERR
        if sequence == self._bind_sequence and not self._is_bound:
            self._refused(status)
            return
        submission = self.window.answer(sequence, status, "")
        if submission is None:
            self._late(sequence, status, "", news)
        else:
            news.answered[submission] = None

    def _bind_answered(self, status: int, frame: bytes) -> None:
        if self._is_bound:
            return
        if status:
            self._refused(status)
            return
        self._is_bound = True
        self._session.bound(str(frame[HEADER_LENGTH:].partition(b"\0")[0][:64], "latin-1"))

    def _refused(self, status: int) -> None:
        hint = _HINTS.get(cast(CommandStatus, status), "the SMSC says no more")
        self._close(f"bind refused: {status_name(status)} ({hint})")

    def _other(self, frame: bytes, command: int, sequence: int, news: _News) -> None:
        try:
            pdu = decode(frame)
        except PduError as fault:
            self._note(fault)
            # A response is never answered: two peers that nack each other's nacks do not stop.
            if not command & RESPONSE:
                news.replies.append(encode(GenericNack(sequence, fault.command_status)))
            return
        if isinstance(pdu, DeliverSm | DataSm) and self._is_bound:
            news.inbound.append(pdu)
        elif isinstance(pdu, EnquireLink):
            news.replies.append(encode(EnquireLinkResp(sequence)))
        elif isinstance(pdu, Unbind):
            news.replies.append(encode(UnbindResp(sequence)))
            news.unbound = True
        elif isinstance(pdu, UnbindResp):
            self._close(UNBOUND)
        elif not command & RESPONSE and not isinstance(pdu, AlertNotification):
            news.replies.append(encode(GenericNack(sequence, CommandStatus.ESME_RINVBNDSTS)))

    def _note(self, fault: PduError) -> None:
        self._faults += 1
        if self._faults == 1:
            log.warning("smpp_pdu_fault", session=self._session.name, fault=str(fault))

    def _leave(self, fault: PduError) -> None:
        """Gives up a stream that is out of step."""
        if self.closing:
            return
        log.warning("smpp_stream_out_of_step", session=self._session.name, fault=str(fault))
        self._write(encode(GenericNack(fault.sequence, fault.command_status)))
        self._session.unbinding(f"garbage received: {fault}")
        self._close(f"garbage received: {fault}")

    def _pause_reading(self) -> None:
        if self._transport is not None and not self.closing:
            self._read_paused = True
            self._transport.pause_reading()
            log.warning("smpp_reading_paused", session=self._session.name, unanswered=len(self._unacknowledged))

    def _resume_reading(self) -> None:
        self._read_paused = False
        now = self._clock.monotonic()
        self.heard = now
        self.window.postpone(now)
        if self._transport is not None and not self.closing:
            self._transport.resume_reading()

    # Writing and time

    def _write(self, octets: bytes) -> None:
        if octets and self._transport is not None and not self.closing:
            self._transport.write(octets)

    def _pump(self, now: float) -> None:
        if not self.write_paused and not self.closing:
            self._write(self.window.pump(now))

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._tick_s, self._tick)

    def _tick(self) -> None:
        now = self._clock.monotonic()
        config = self._config
        if not self._is_bound:
            if now >= self._bind_until:
                self._close(f"no answer to the bind within {config.bind_timeout_s:g} s")
        elif not self._read_paused:
            # While paused, what has come lies unread: neither silence nor a missing answer means anything.
            self._expire(now)
            self._enquire(now)
        if not self.closing:
            self._unbind_when_idle()
            self._schedule()

    def _expire(self, now: float) -> None:
        session = self._session
        expired = self.window.expire(now)
        if expired:
            self._pump(now)
        for submission, segments in expired:
            reason = f"no answer within {self._config.response_timeout_s:g} s"
            session.tell(session.events.lost, session, submission, segments, [], reason)

    def _enquire(self, now: float) -> None:
        if self._enquired is not None:
            if now - self._enquired >= self._config.enquire_timeout_s:
                self._close("no answer to enquire_link", flush=False)
        elif now - self.heard >= self._config.enquire_link_s:
            self._enquired = now
            self._write(encode(EnquireLink(self.window.next_sequence())))

    def _unbind_when_idle(self) -> None:
        if self._finishing and not self._unbind_sent and self.window.idle:
            self._unbind_sent = True
            self._write(encode(Unbind(self.window.next_sequence())))

    def _close(self, reason: str, *, flush: bool = True) -> None:
        self._reason = self._reason or reason
        if self.closing:
            return
        self.closing = True
        if self._transport is None:
            return
        if flush:
            self._transport.close()
            # A peer that does not read would keep a closing connection for ever.
            asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._transport.abort)
        else:
            self._transport.abort()

    def _lose(self, reason: str) -> None:
        session = self._session
        for submission, unsure, unsent in self.window.drain():
            session.tell(session.events.lost, session, submission, unsure, unsent, reason)


class _News:
    """What one chunk brought."""

    __slots__ = ("answered", "inbound", "late", "replies", "unbound")

    def __init__(self) -> None:
        self.answered: dict[Submission, None] = {}
        self.late: dict[Submission, list[Answer]] = {}
        self.inbound: list[Inbound] = []
        self.replies: list[bytes] = []
        self.unbound = False
