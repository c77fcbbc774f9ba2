"""One bind of an ESME: connects, binds, keeps alive, reconnects; carries submissions and inbound messages.

    CLOSED ─start─▶ CONNECTING ─▶ BINDING ─▶ BOUND ─▶ UNBINDING ─▶ CLOSED
       ▲                │            │          │                      │
       └────────────────┴────────────┴──────────┴── jittered backoff ◀─┘  until stop()

What is promised: a slot is taken before the write, so the SMSC never sees more than `window` unanswered
submit_sm; each segment of a submission ends in exactly one answer, or in one `lost`, which a `late` answer may
follow; a message or receipt is acknowledged only when the owner says so, and only on the connection that it came
in on. A PDU that cannot be understood is answered with generic_nack; a stream that cannot be read on is left and
bound anew. Repeated failures wait longer each time, jittered, until a bind has held for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import SystemRandom
from typing import Protocol

import structlog

from cooee.model.clock import Clock
from cooee.model.errors import ConfigError
from cooee.smpp.link import UNBOUND, Inbound, Link
from cooee.smpp.window import Answer, Segment, Submission

__all__ = ["Answer", "BindConfig", "Inbound", "Segment", "Session", "SessionEvents", "State", "Submission"]

log = structlog.get_logger()

BIND_TYPES = ("transceiver", "transmitter", "receiver")

_HELD = 10
"""A bind that held this many times `reconnect_min_s` is a good one: the next wait starts small again."""


class State(Enum):
    """Where a session is."""

    CLOSED = "closed"
    CONNECTING = "connecting"
    BINDING = "binding"
    BOUND = "bound"
    UNBINDING = "unbinding"


@dataclass(frozen=True, slots=True, kw_only=True)
class BindConfig:
    """How to reach an SMSC and how to behave there. Times are seconds; `window` counts segments.

    `inbound_pause`: how many deliver_sm and data_sm may be unacknowledged before reading stops. `tls_ca_file`
    holds the certificates to trust instead of the system's. ConfigError for values that cannot work.
    """

    host: str
    port: int
    system_id: str
    password: str = field(repr=False)
    system_type: str = ""
    bind_type: str = "transceiver"
    address_range: str = ""
    window: int = 100
    enquire_link_s: float = 30.0
    enquire_timeout_s: float = 10.0
    response_timeout_s: float = 60.0
    bind_timeout_s: float = 10.0
    connect_timeout_s: float = 10.0
    reconnect_min_s: float = 1.0
    reconnect_max_s: float = 60.0
    inbound_pause: int = 5000
    tls: bool = False
    tls_ca_file: str = ""

    def __post_init__(self) -> None:
        if self.bind_type not in BIND_TYPES:
            raise ConfigError(f"bind_type is '{self.bind_type}'; use one of {', '.join(BIND_TYPES)}")
        if self.window < 1:
            raise ConfigError(f"window is {self.window}; at least one segment must fit")
        for text, limit, name in (
            (self.system_id, 15, "system_id"),
            (self.password, 64, "password"),
            (self.system_type, 12, "system_type"),
            (self.address_range, 40, "address_range"),
        ):
            if len(text) > limit or not text.isascii() or "\0" in text:
                raise ConfigError(f"{name} must be at most {limit} ASCII characters")
        if self.tls_ca_file and not self.tls:
            raise ConfigError("tls_ca_file has no effect without tls")


class SessionEvents(Protocol):
    """What a session tells its owner. All are called on the loop and must not block."""

    def answers(self, session: Session, submissions: list[Submission]) -> None:
        """New answers lie in these submissions: once for each chunk received.

        With an empty list: nothing new, but there may be room again (the peer reads on after it had stopped).
        """
        ...

    def lost(
        self,
        session: Session,
        submission: Submission,
        unsure: list[Segment],
        unsent: list[Segment],
        reason: str,
    ) -> None:
        """These segments get no answer: `unsure` were given to the socket, `unsent` certainly were not."""
        ...

    def late(self, session: Session, submission: Submission, answers: list[Answer]) -> None:
        """Answers that came after all, to segments that were lost to the response timeout."""
        ...

    def inbound(self, session: Session, pdus: list[Inbound]) -> None:
        """Messages and receipts, once for each chunk received; `acknowledge` them when they are safe."""
        ...

    def state(self, session: Session, state: State, reason: str) -> None:
        """The session has changed its state, and why."""
        ...


class Session:
    """One bind with an SMSC, for as long as it is started. Lives on one event loop."""

    def __init__(self, config: BindConfig, events: SessionEvents, clock: Clock, name: str) -> None:
        self.config = config
        self.name = name
        self.events = events
        self.clock = clock
        self.state = State.CLOSED
        self.reason = "not started"
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._failures = 0
        self._bound_at: float | None = None
        self._random = SystemRandom()
        self.connection = 0
        """A number drawn for the connection at hand: no other one, of any process, has it."""
        self.unbound = False
        """Whether the SMSC answered our last unbind: then it has read everything that was written before."""

    @property
    def heard(self) -> float:
        """When the SMSC last said anything over this connection, on the monotonic clock."""
        return self._link.heard if self._link is not None else 0.0

    @property
    def free(self) -> int:
        """Slots that a submission may take now, in segments; 0 unless bound and the peer reads."""
        link = self._link
        if link is None or self.state is not State.BOUND or link.closing or link.write_paused:
            return 0
        return link.window.free

    def start(self) -> None:
        """Connects and binds, and does so again whenever the bind is lost, until `stop`.

        Called on the loop, once. ConfigError where `tls_ca_file` cannot be used.
        """
        if self._task is not None or self._stopping:
            raise RuntimeError(f"session {self.name} was started before")
        context = self._tls()
        self._task = asyncio.get_running_loop().create_task(self._run(context), name=f"smpp {self.name}")

    async def stop(self, deadline_s: float) -> None:
        """Unbinds once all answers are in, or after `deadline_s` seconds: the rest is reported lost."""
        if self._task is None:
            return
        self._stopping = True
        link = self._link
        if link is not None and self.state is State.BOUND:
            self._enter(State.UNBINDING, "stopping")
            link.finish()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(deadline_s):
                    self.unbound = await asyncio.shield(link.done) == UNBOUND
        if link is not None:
            link.abandon("stopped before the answer came")
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        self._link = None
        self._enter(State.CLOSED, "stopped")

    def submit(self, *submissions: Submission) -> None:
        """Writes submissions at once, as far as there are slots; the rest follows as slots free.

        The caller keeps to `free`, unless it is a single message, whose parts may be more. When the bind has
        gone since `free` was asked, everything is reported lost as unsent, after this call.
        """
        link = self._link
        if link is not None and self.state is State.BOUND and not link.closing:
            link.submit(submissions)
            return
        for submission in submissions:
            unsent = [submission.segment(index) for index in range(submission.segments)]
            asyncio.get_running_loop().call_soon(
                self.tell, self.events.lost, self, submission, [], unsent, f"not bound: {self.reason}"
            )

    def acknowledge(self, pdus: Sequence[Inbound], status: int = 0) -> None:
        """Answers those messages with `status`, in one write; nothing for those of a connection that is gone."""
        if self._link is not None:
            self._link.acknowledge(pdus, status)

    def tell(self, event: Callable[..., None], *arguments: object) -> None:
        """Calls the owner; a fault of its own must not cost the bind."""
        try:
            event(*arguments)
        except Exception:
            log.exception("smpp_event_failed", session=self.name, smpp_event=getattr(event, "__name__", "?"))

    # What the link reports.

    def binding(self) -> None:
        """There is a connection, and the bind has been written."""
        self._enter(State.BINDING, f"as {self.config.system_id!r}, {self.config.bind_type}")

    def bound(self, system_id: str) -> None:
        """The SMSC has accepted the bind."""
        self._bound_at = self.clock.monotonic()
        self._enter(State.BOUND, f"bound to {system_id!r}")

    def unbinding(self, reason: str) -> None:
        """The link is being given up, in order."""
        if self.state is not State.UNBINDING:
            self._enter(State.UNBINDING, reason)

    # The life of the session.

    async def _run(self, context: ssl.SSLContext | None) -> None:
        while True:
            try:
                reason = await self._connection(context)
            except Exception:
                # A fault of ours must not end the session for good: the next attempt may fare better.
                log.exception("smpp_session_failed", session=self.name)
                reason = "internal fault, see the log"
            self._link = None
            if self._stopping:
                return
            self._enter(State.CLOSED, reason)
            await asyncio.sleep(self._backoff())

    async def _connection(self, context: ssl.SSLContext | None) -> str:
        """One connection from its first packet to its last; returns why it ended."""
        config = self.config
        self._bound_at = None
        self.connection = self._random.getrandbits(63)
        self._enter(State.CONNECTING, f"to {config.host}:{config.port}")
        link = Link(self)
        self._link = link
        try:
            async with asyncio.timeout(config.connect_timeout_s):
                await asyncio.get_running_loop().create_connection(
                    lambda: link, config.host, config.port, ssl=context
                )
        except TimeoutError:
            link.abandon("no connection in time")
            return f"no connection within {config.connect_timeout_s:g} s"
        except OSError as error:
            return f"cannot connect: {error.strerror or error}"
        return await asyncio.shield(link.done)

    def _tls(self) -> ssl.SSLContext | None:
        if not self.config.tls:
            return None
        try:
            return ssl.create_default_context(cafile=self.config.tls_ca_file or None)
        except OSError as error:
            raise ConfigError(f"tls_ca_file '{self.config.tls_ca_file}' cannot be used: {error}") from error

    def _backoff(self) -> float:
        config = self.config
        held = self._bound_at
        if held is not None and self.clock.monotonic() - held >= _HELD * config.reconnect_min_s:
            self._failures = 0
        # Bounded, for 2.0 ** n leaves the floats after a thousand failures.
        longest = min(config.reconnect_max_s, config.reconnect_min_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return longest * self._random.uniform(0.5, 1.0)

    def _enter(self, state: State, reason: str) -> None:
        self.state = state
        self.reason = reason
        log.info("smpp_state", session=self.name, state=state.value, reason=reason)
        self.tell(self.events.state, self, state, reason)
