"""A small scripted SMSC at the other end of a real socket, and an owner that writes down what it is told."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cooee.model.clock import SystemClock
from cooee.smpp.codes import CommandStatus
from cooee.smpp.pdu import (
    RESPONSES,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    EnquireLink,
    Framer,
    Pdu,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    decode,
    encode,
)
from cooee.smpp.session import Answer, BindConfig, Inbound, Segment, Session, State, Submission
from cooee.smpp.template import SubmitTemplate

FIRST = 61491570000


class Call:
    """One connection to the peer: what was received on it, and the means to answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.received: list[Pdu] = []
        self.closed = False

    def send(self, *pdus: Pdu) -> None:
        """Writes PDUs in one go."""
        self.write(b"".join(map(encode, pdus)))

    def write(self, octets: bytes) -> None:
        """Writes whatever octets."""
        self.writer.write(octets)

    def cut(self) -> None:
        """Breaks the connection without a word."""
        self.writer.transport.abort()

    @property
    def submits(self) -> list[SubmitSm]:
        """The submit_sm received so far."""
        return [pdu for pdu in self.received if isinstance(pdu, SubmitSm)]

    def of(self, kind: type[Pdu]) -> list[Pdu]:
        """The PDUs of that class received so far."""
        return [pdu for pdu in self.received if isinstance(pdu, kind)]

    def answer(self, *submits: SubmitSm, status: int = 0) -> None:
        """Answers those submit_sm, the message id being "m" and the sequence number."""
        self.send(
            *(
                SubmitSmResp(one.sequence, status, message_id="" if status else f"m{one.sequence}")
                for one in submits
            )
        )


class Peer:
    """Answers binds (with `bind_statuses` in turn, then ESME_ROK), unbind and enquire_link by itself.

    `answers_*` switch that off; with `answers_submits`, submit_sm are answered too.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.calls: list[Call] = []
        self.bind_statuses: list[int] = []
        self.answers_binds = True
        self.answers_enquiries = True
        self.answers_unbinds = True
        self.answers_submits = False
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Peer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for call in self.calls:
            call.cut()
        await self._server.wait_closed()

    @property
    def call(self) -> Call:
        """The latest connection."""
        return self.calls[-1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = Call(reader, writer)
        self.calls.append(call)
        framer = Framer()
        try:
            while data := await reader.read(65536):
                for frame in framer.feed(data):
                    pdu = decode(frame)
                    call.received.append(pdu)
                    self._react(call, pdu)
        except ConnectionError:
            pass
        finally:
            call.closed = True
            writer.close()

    def _react(self, call: Call, pdu: Pdu) -> None:
        if isinstance(pdu, BindTransceiver | BindTransmitter | BindReceiver):
            if self.answers_binds:
                status = self.bind_statuses.pop(0) if self.bind_statuses else 0
                answer = RESPONSES[type(pdu)]
                call.send(
                    answer(pdu.sequence, status, "" if status else "peer")  # type: ignore[call-arg]
                )
        elif isinstance(pdu, EnquireLink):
            if self.answers_enquiries:
                call.send(RESPONSES[EnquireLink](pdu.sequence))
        elif isinstance(pdu, Unbind):
            if self.answers_unbinds:
                call.send(RESPONSES[Unbind](pdu.sequence))
        elif isinstance(pdu, SubmitSm) and self.answers_submits:
            call.answer(pdu)


class Owner:
    """Writes down every event; acknowledges nothing by itself."""

    def __init__(self) -> None:
        self.states: list[tuple[State, str]] = []
        self.chunks: list[list[Submission]] = []
        self.losses: list[tuple[Submission, list[Segment], list[Segment], str]] = []
        self.late_answers: list[tuple[Submission, list[Answer]]] = []
        self.inbounds: list[list[Inbound]] = []
        self.on_answers: Callable[[Session], None] | None = None

    def answers(self, session: Session, submissions: list[Submission]) -> None:
        self.chunks.append(submissions)
        if self.on_answers is not None:
            self.on_answers(session)

    def lost(
        self,
        session: Session,
        submission: Submission,
        unsure: list[Segment],
        unsent: list[Segment],
        reason: str,
    ) -> None:
        self.losses.append((submission, unsure, unsent, reason))

    def late(self, session: Session, submission: Submission, answers: list[Answer]) -> None:
        self.late_answers.append((submission, answers))

    def inbound(self, session: Session, pdus: list[Inbound]) -> None:
        self.inbounds.append(pdus)

    def state(self, session: Session, state: State, reason: str) -> None:
        self.states.append((state, reason))

    @property
    def reasons(self) -> str:
        """All reasons told with states, one a line."""
        return "\n".join(reason for _, reason in self.states)

    @property
    def pdus(self) -> list[Inbound]:
        """All inbound PDUs told."""
        return [pdu for chunk in self.inbounds for pdu in chunk]


def config(port: int, **more: object) -> BindConfig:
    """A bind to the peer that reconnects at once."""
    given: dict[str, object] = {
        "host": "127.0.0.1",
        "port": port,
        "system_id": "cooee",
        "password": "geheim",
        "reconnect_min_s": 0.01,
        "reconnect_max_s": 0.02,
        "window": 10,
    }
    return BindConfig(**(given | more))  # type: ignore[arg-type]


@asynccontextmanager
async def bound(peer: Peer, **more: object) -> AsyncIterator[tuple[Session, Owner]]:
    """A session that is bound to the peer, and its owner."""
    owner = Owner()
    session = Session(config(peer.port, **more), owner, SystemClock(), "test")
    session.start()
    try:
        await until(lambda: session.state is State.BOUND)
        yield session, owner
    finally:
        await session.stop(0.05)


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Waits for something to become true; AssertionError when it does not."""
    for _ in range(round(seconds / 0.002)):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not become true in time")


def message(parts: int = 1) -> SubmitTemplate:
    """A message of that many parts."""
    texts = [f"part {number}".encode() for number in range(parts)]
    return SubmitTemplate(texts, source="Cooee", source_ton=5, source_npi=0, data_coding=0, udh=parts > 1)


def slice_of(count: int, parts: int = 1) -> Submission:
    """A submission to `count` numbers from FIRST on."""
    return Submission(message(parts), range(FIRST, FIRST + count), token=count)


THROTTLED = int(CommandStatus.ESME_RTHROTTLED)


def self_signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A fresh certificate for 127.0.0.1 in `folder`, and the context of a server that shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peer")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "peer.pem", folder / "peer.key"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context
