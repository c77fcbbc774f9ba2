"""A complete simulated SMSC with handsets, speaking SMPP 3.4 over TCP.

    smsc = Smsc(SmscConfig(receipts=1.0, fail=0.02), clock)
    await smsc.start()
    ... smsc.port ...
    await smsc.stop()

The demo's carrier and the peer of tests and benches. All of it runs in the event loop that started it, and
nothing in it is safe to call from another thread. Everything random follows the seed.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, deque
from contextlib import suppress
from typing import Any, Literal

import structlog

from cooee.model.clock import Clock
from cooee.model.errors import ConfigError
from cooee.smpp.codes import CommandStatus
from cooee.smpp.pdu import BindReceiver, BindTransceiver, BindTransmitter
from cooee.smpp.smsc.config import RUNTIME, SmscConfig, checked
from cooee.smpp.smsc.control import ControlServer
from cooee.smpp.smsc.esme import Esme
from cooee.smpp.smsc.handsets import Handsets, HandsetState, Text, mo_parts
from cooee.smpp.smsc.intake import Intake
from cooee.smpp.smsc.journal import quoted
from cooee.smpp.smsc.link import Link, is_receipt
from cooee.smpp.smsc.receipts import Delivery, MoPart, ReceiptWriter
from cooee.smpp.smsc.schedule import TICK, Schedule

log = structlog.get_logger()

Submits = Literal["ignore", "accept", "late"]

_IDLE_TICK = 0.02
_MAX_UNROUTED = 10_000


class Smsc:
    """The SMSC: listens from `start` to `stop`. ConfigError when a setting is out of range."""

    def __init__(self, config: SmscConfig, clock: Clock) -> None:
        self.config = checked(config)
        self.clock = clock
        self.counts: Counter[str] = Counter()
        self.handsets = Handsets(self.config)
        self.schedule: Schedule[Esme, Delivery] = Schedule()
        self.intake = Intake(self.config, clock, self.schedule, self.handsets)
        self.port = 0
        self.control_port = 0
        self._writer = ReceiptWriter(self.config)
        self._esmes: dict[str, Esme] = {}
        self._links: set[Link] = set()
        self._alone = asyncio.Event()
        self._alone.set()
        self._numbers = 0
        self._references = 0
        self._mo_open = 0
        self._unrouted: deque[MoPart] = deque(maxlen=_MAX_UNROUTED)
        self._answers: deque[tuple[float, Link, list[bytes]]] = deque()
        self._silent_until: float | None = None
        self._submits: Submits = "ignore"
        self._hushed: list[tuple[Link, list[bytes]]] = []
        self._stopped = False
        self._server: asyncio.Server | None = None
        self._control: ControlServer | None = None
        self._timer: asyncio.TimerHandle | None = None

    # Life

    async def start(self) -> None:
        """Listens; `port` and `control_port` are then set. OSError when a port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, self.config.host, self.config.port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        if self.config.control_port is not None:
            self._control = ControlServer(self)
            self.control_port = await self._control.start(self.config.control_port)
        self._arm()
        log.info("smsc_listening", host=self.config.host, port=self.port, control_port=self.control_port)

    async def stop(self, grace: float = 0.0) -> None:
        """Stops listening and closes all connections.

        With `grace` the binds are asked to unbind first and have so many seconds to answer; without, they are
        cut.
        """
        if self._server is not None:
            self._server.close()
        if self._control is not None:
            await self._control.stop()
        if grace:
            self.unbind()
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._alone.wait()
        self._stopped = True
        for link in list(self._links):
            link.cut(None)
        await self._alone.wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.intake.journal is not None:
            self.intake.journal.close()
            self.intake.journal = None

    def _accept(self) -> Link:
        self._numbers += 1
        return Link(self, self._numbers)

    def opened(self, link: Link) -> None:
        """A connection has come."""
        self.counts["connections"] += 1
        self._links.add(link)
        self._alone.clear()
        if self._stopped:
            link.cut(None)

    def closed(self, link: Link) -> None:
        """A connection has gone."""
        self._links.discard(link)
        if not self._links:
            self._alone.set()

    # Time

    def _arm(self) -> None:
        wait = self.schedule.wait(self.clock.monotonic())
        if self._answers:
            wait = TICK
        delay = _IDLE_TICK if wait is None else min(max(wait, TICK), _IDLE_TICK)
        self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        try:
            self._pass(self.clock.monotonic())
        finally:
            self._arm()

    def _pass(self, now: float) -> None:
        if self._silent_until is not None and now >= self._silent_until:
            self.speak()
        touched: dict[Esme, None] = {}
        for esme, deliveries in self.schedule.due(now):
            esme.ready.extend(self.intake.still_wanted(deliveries))
            touched[esme] = None
        for esme in touched:
            esme.pump()
        while self._answers and self._answers[0][0] <= now:
            _, link, answers = self._answers.popleft()
            self.send(link, answers)
        for link in list(self._links):
            link.watch(now)

    # What links ask

    def may_bind(self, pdu: BindReceiver | BindTransceiver | BindTransmitter) -> int:
        """The status that a bind is answered with."""
        config = self.config
        if config.refuse_binds:
            return CommandStatus.ESME_RBINDFAIL
        if config.credentials and (pdu.system_id, pdu.password) not in config.credentials:
            return CommandStatus.ESME_RINVPASWD
        esme = self._esmes.get(pdu.system_id)
        if config.max_binds and esme is not None and len(esme.binds) >= config.max_binds:
            return CommandStatus.ESME_RALYBND
        return CommandStatus.ESME_ROK

    def bound(self, link: Link, system_id: str, *, receives: bool) -> Esme:
        """A link has bound. What waits for its ESME follows with the next tick, after the bind's answer."""
        esme = self._esmes.setdefault(system_id, Esme(system_id))
        esme.binds.append(link)
        self.counts["binds"] += 1
        if receives:
            waiting = [*esme.ready, *self._unrouted]
            self._unrouted.clear()
            esme.ready.clear()
            if waiting:
                self.schedule.add(self.clock.monotonic(), esme, waiting)
        return esme

    def answer(self, link: Link, answers: list[bytes]) -> None:
        """Sends answers, or holds or swallows them where a fault is on."""
        if self.config.answer_delay:
            self._answers.append((self.clock.monotonic() + self.config.answer_delay, link, answers))
        else:
            self.send(link, answers)

    def send(self, link: Link, answers: list[bytes]) -> None:
        """Sends answers now, unless there is silence."""
        if not self.silent:
            link.write(answers)
        elif self._submits == "late":
            self._hushed.append((link, answers))

    def ignores(self) -> bool:
        """True while requests are to be left alone altogether."""
        return self.silent and self._submits == "ignore"

    def refused_unbound(self) -> None:
        """Counts a message on a bind that may not send any."""
        self.intake.counts["submits"] += 1
        self.intake.refused[CommandStatus.ESME_RINVBNDSTS.name] += 1

    def written(self, deliveries: list[Delivery], sequence: int, bind: bytes) -> list[bytes]:
        """deliver_sm PDUs, counted and journalled."""
        receipts = [delivery for delivery in deliveries if isinstance(delivery, tuple)]
        self.counts["receipts_sent"] += len(receipts)
        self.counts["mo_sent"] += len(deliveries) - len(receipts)
        if self.intake.journal is not None and self.config.journal_receipts and receipts:
            now_ms = self.clock.now_ms()
            self.intake.journal.write([
                b"R %d %b %b %b %b\n" % (now_ms, quoted(to), message_id, outcome.stat, bind)
                for message_id, to, _, outcome, *_ in receipts
            ])  # fmt: skip
        return self._writer.write(deliveries, sequence)

    def acknowledged(
        self, esme: Esme, done: list[Delivery], refused: list[tuple[Delivery, int]], bind: bytes
    ) -> None:
        """deliver_sm were answered: done with, or to be sent again after a while."""
        acked = sum(map(is_receipt, done))
        self.counts["receipts_acked"] += acked
        self.counts["mo_acked"] += len(done) - acked
        self._mo_open -= len(done) - acked
        if refused:
            self.counts["deliveries_refused"] += len(refused)
            again = [delivery for delivery, _ in refused]
            self.schedule.add(self.clock.monotonic() + self.config.retry_delay, esme, again)
        if self.intake.journal is not None and self.config.journal_receipts:
            now_ms = self.clock.now_ms()
            self.intake.journal.write([
                b"A %d %b %b %d %b\n" % (now_ms, quoted(delivery[1]), delivery[0], status, bind)
                for delivery, status in [*((d, 0) for d in done), *refused]
                if isinstance(delivery, tuple)
            ])  # fmt: skip

    # Faults

    @property
    def silent(self) -> bool:
        """True while nothing at all is sent."""
        return self._silent_until is not None

    def silence(self, seconds: float | None = None, submits: Submits = "ignore") -> None:
        """Sends nothing for `seconds`, or until `speak`.

        What comes in meanwhile is ignored for good, or accepted though never answered, or answered late.
        """
        self._silent_until = sys.float_info.max if seconds is None else self.clock.monotonic() + seconds
        self._submits = submits

    def speak(self) -> None:
        """Ends a silence: late answers and what has become ready go out."""
        self._silent_until = None
        hushed, self._hushed = self._hushed, []
        for link, answers in hushed:
            link.write(answers)
        for esme in self._esmes.values():
            esme.pump()

    def drop(self, system_id: str | None = None, *, mid_pdu: bool = False) -> int:
        """Cuts all connections, or those of one system_id; how many. `mid_pdu` leaves half a PDU behind."""
        links = [
            link
            for link in self._links
            if system_id is None or (link.esme is not None and link.esme.system_id == system_id)
        ]
        for link in links:
            link.cut([bytes((0, 0, 0, 16)) + bytes(12)] if mid_pdu else None)
        return len(links)

    def unbind(self, system_id: str | None = None) -> int:
        """Asks all binds, or those of one system_id, to unbind; how many."""
        links = [
            link for link in self._links if link.esme is not None and system_id in (None, link.esme.system_id)
        ]
        for link in links:
            link.ask_to_unbind()
        return len(links)

    def set(self, **changes: object) -> None:
        """Changes settings while running; ConfigError for unknown, fixed or wrong ones, and then none changes."""
        for name in changes:
            if name not in RUNTIME:
                raise ConfigError(f"SMSC settings: '{name}' is none that can change while it runs")
        self.config = checked(self.config, **changes)
        self.intake.configure(self.config)
        self.handsets.configure(self.config)
        self._writer = ReceiptWriter(self.config)

    # Handsets

    def handset(self, number: str, state: HandsetState | str) -> None:
        """Puts a handset into a state: on, off, dead or full. ValueError for another."""
        self.intake.switch(number.encode("latin-1"), HandsetState(state))

    def inbox(self, number: str) -> list[Text]:
        """What a handset has received, oldest first."""
        return self.handsets.inbox(number)

    def reply(self, from_: str, to: str, text: str, system_id: str | None = None) -> int:
        """A handset sends a message; how many parts it takes.

        It goes to `system_id`, else to the ESME that last sent from the originator `to`, else to any that can
        receive, and waits for one when there is none. ValueError for bad addresses or texts.
        """
        self._references += 1
        parts = mo_parts(from_, to, text, self._references)
        esme: Esme | None
        if system_id is not None:
            esme = self._esmes.setdefault(system_id, Esme(system_id))
        else:
            esme = self.intake.routes.get(to.encode("latin-1")) or self._any_receiver()
        self.counts["mo"] += len(parts)
        self._mo_open += len(parts)
        if esme is None:
            # Nobody to give them to: the oldest go first when they are too many.
            self._mo_open -= max(0, len(self._unrouted) + len(parts) - _MAX_UNROUTED)
            self._unrouted.extend(parts)
        else:
            esme.ready.extend(parts)
            esme.pump()
        return len(parts)

    def _any_receiver(self) -> Esme | None:
        for esme in self._esmes.values():
            if any(bind.receives for bind in esme.binds):
                return esme
        return None

    # Figures

    def stats(self) -> dict[str, Any]:
        """Counters since the start or the last reset, and what is there now."""
        intake, counts = self.intake.counts, self.counts
        pending = len(self.schedule) + len(self._unrouted)
        pending += sum(len(esme.ready) for esme in self._esmes.values())
        pending += sum(link.unanswered for link in self._links)
        return {
            "connections": counts["connections"],
            "connections_open": len(self._links),
            "binds": counts["binds"],
            "binds_open": sum(len(esme.binds) for esme in self._esmes.values()),
            "binds_refused": counts["binds_refused"],
            "submits": intake["submits"],
            "accepted": intake["accepted"],
            "refused": dict(self.intake.refused),
            "receipts_planned": intake["receipts_planned"],
            "receipts_sent": counts["receipts_sent"],
            "receipts_acked": counts["receipts_acked"],
            "receipts_pending": pending - self._mo_open,
            "receipts_lost": intake["receipts_lost"],
            "mo": counts["mo"],
            "mo_sent": counts["mo_sent"],
            "mo_acked": counts["mo_acked"],
            "mo_pending": self._mo_open,
            "deliveries_refused": counts["deliveries_refused"],
            "bad_pdus": counts["bad_pdus"],
            "held": self.intake.held(),
            "handsets": len(self.handsets),
            "silent": self.silent,
        }

    def reset(self) -> None:
        """Counters go to zero and inboxes are emptied; binds and what is pending stay."""
        self.counts.clear()
        self.intake.counts.clear()
        self.intake.refused.clear()
        self.handsets.clear()
