"""What a link reports, kept for a test to look at; and a carrier row that leads to a simulated SMSC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cooee.carriers.base import Answer, Link, Order, Segment, Slice
from cooee.carriers.smpp import SmppCarrier, SmppLink
from cooee.model.carrier import CarrierRow, CarrierState
from cooee.model.clock import SystemClock
from cooee.smpp.mo import Mo
from cooee.smpp.receipt import Receipt
from cooee.smpp.smsc import Smsc, SmscConfig

Done = Callable[[bool], None]


@dataclass
class Events:
    """A `LinkEvents` that remembers. `acknowledge` None leaves receipts and messages to the test."""

    acknowledge: bool | None = True
    accepted: dict[tuple[object, int, int], str] = field(default_factory=dict)
    """(token, position, part) → id."""
    refused: dict[tuple[object, int, int], int] = field(default_factory=dict)
    unsure: list[tuple[object, int, int]] = field(default_factory=list)
    unsent: list[tuple[object, int, int]] = field(default_factory=list)
    answered_late: list[tuple[object, Answer]] = field(default_factory=list)
    came: list[Receipt] = field(default_factory=list)
    messages_came: list[Mo] = field(default_factory=list)
    waiting: list[Done] = field(default_factory=list)
    states: list[tuple[bool, str]] = field(default_factory=list)

    def answers(self, link: Link, slices: Sequence[Slice]) -> None:
        for each in slices:
            answers, each.answers = each.answers, []
            for position, part, status, smsc_id in answers:
                key = (each.token, position, part)
                assert key not in self.accepted
                assert key not in self.refused
                if status:
                    self.refused[key] = status
                else:
                    self.accepted[key] = smsc_id

    def lost(
        self, link: Link, what: Slice, unsure: Sequence[Segment], unsent: Sequence[Segment], reason: str
    ) -> None:
        self.answers(link, [what])
        self.unsure += [(what.token, *segment) for segment in unsure]
        self.unsent += [(what.token, *segment) for segment in unsent]

    def late(self, link: Link, what: Slice, answers: Sequence[Answer]) -> None:
        self.answered_late += [(what.token, answer) for answer in answers]

    def receipts(self, link: Link, receipts: Sequence[Receipt], done: Done) -> None:
        self.came += receipts
        self._done(done)

    def messages(self, link: Link, messages: Sequence[Mo], done: Done) -> None:
        self.messages_came += messages
        self._done(done)

    def _done(self, done: Done) -> None:
        if self.acknowledge is None:
            self.waiting.append(done)
        else:
            done(self.acknowledge)

    def state(self, link: Link, up: bool, reason: str) -> None:
        self.states.append((up, reason))


def row(port: int = 2775, *, secret: str | None = None, **settings: Any) -> CarrierRow:
    """A carrier of kind smpp."""
    given = {"host": "127.0.0.1", "port": port, "system_id": "cooee", "window": 50, **settings}
    return CarrierRow(1, "test", "smpp", CarrierState.ACTIVE, given, secret, 0, 1, 1)


def order(carrier: SmppCarrier, message: object, to: Sequence[int], mark: object = "slice") -> Order:
    """A slice of a prepared message to these."""
    return Order(message, to, None, mark)


@asynccontextmanager
async def bound(
    events: Events, *, secret: str | None = None, carrier: dict[str, Any] | None = None, **smsc: Any
) -> AsyncIterator[tuple[Smsc, SmppCarrier, SmppLink]]:
    """An SMSC, and a link that is up."""
    clock = SystemClock()
    smsc.setdefault("receipt_delay", 0.01)
    server = Smsc(SmscConfig(**smsc), clock)
    await server.start()
    made = SmppCarrier(row(server.port, secret=secret, **(carrier or {})), clock)
    link = made.link(0, events)
    link.start()
    try:
        await until(lambda: link.up)
        yield server, made, link
    finally:
        await link.close(0.2)
        await server.stop()


async def until(true: Callable[[], object], seconds: float = 6.0) -> None:
    """Waits until calling `true` gives something true."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not true():
        assert loop.time() < end, "it never became true"
        await asyncio.sleep(0.005)
