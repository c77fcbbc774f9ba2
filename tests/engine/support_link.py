"""A carrier whose links do what a test says, and a database that fails when it says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cooee.carriers.base import Answer, LinkEvents, Order, Outgoing, Segment, SendError
from cooee.model.clock import ManualClock
from cooee.store.database import Database, Lane, Operation, T

THROTTLED, QUEUE_FULL, SYSTEM_ERROR, BAD_NUMBER = 0x58, 0x14, 0x08, 0x0B


class RunningClock(ManualClock):
    """Runs with the machine's clock, and can be advanced besides: timers see it go on, tests need not wait."""

    def __init__(self) -> None:
        super().__init__()
        self._from = time.monotonic()

    def now_ms(self) -> int:
        return super().now_ms() + round((time.monotonic() - self._from) * 1000)

    def monotonic(self) -> float:
        return super().monotonic() + time.monotonic() - self._from


@dataclass
class FakeSlice:
    """One order on its way; `open` holds its unanswered segments."""

    prepared: Outgoing
    destinations: Sequence[int]
    token: object
    answers: list[Answer] = field(default_factory=list)
    open: list[Segment] = field(default_factory=list)


class FakeLink:
    """One bind. `reply(destination, part)` says each segment's status at once; None leaves it open."""

    def __init__(self, carrier: FakeCarrier, no: int, events: LinkEvents) -> None:
        self.name = f"{carrier.name}/{no}"
        self.size = carrier.window
        self.up = False
        self.reason = "not started"
        self.connection = id(self)
        self.heard = 0.0
        self.unbound = False
        self.slices: list[FakeSlice] = []
        self.sent: list[tuple[int, int]] = []
        """(destination, part) of everything written, in order."""
        self.writes: list[int] = []
        """Segments of each write."""
        self.closed = False
        self.given_up: list[tuple[FakeSlice, Segment]] = []
        self._carrier = carrier
        self._events = events

    @property
    def free(self) -> int:
        return max(0, self.size - sum(len(each.open) for each in self.slices)) if self.up else 0

    def start(self) -> None:
        self.set_up(True)

    def set_up(self, up: bool, reason: str = "bound") -> None:
        self.up, self.reason = up, reason
        self._events.state(self, up, reason)

    def send(self, orders: Sequence[Order]) -> None:
        assert self.up, "written to a link that is down"
        self.writes.append(0)
        touched = []
        for order in orders:
            assert isinstance(order.prepared, tuple)
            message, parts = order.prepared
            slice_ = FakeSlice(message, order.destinations, order.token)
            wanted = order.wanted or [range(parts)] * len(order.destinations)
            slice_.open = [(at, part) for at, some in enumerate(wanted) for part in some]
            self.sent += [(order.destinations[at], part) for at, part in slice_.open]
            self.writes[-1] += len(slice_.open)
            self.slices.append(slice_)
            touched.append(slice_)
        if self._carrier.reply is not None:
            asyncio.get_running_loop().call_soon(self._reply, touched)

    def _reply(self, slices: Sequence[FakeSlice]) -> None:
        assert self._carrier.reply is not None
        for each in slices:
            for at, part in list(each.open):
                status = self._carrier.reply(each.destinations[at], part)
                if status is not None:
                    self._answer(each, (at, part), status)
        self._report(slices)

    def _answer(self, slice_: FakeSlice, segment: Segment, status: int) -> None:
        slice_.open.remove(segment)
        slice_.answers.append((*segment, status, self._carrier.next_id() if status == 0 else ""))

    def _report(self, slices: Sequence[FakeSlice]) -> None:
        self.slices = [each for each in self.slices if each.open]
        self._events.answers(self, slices)

    def answer(self, status: int = 0, *, count: int | None = None, only: int | None = None) -> int:
        """Answers open segments, the oldest first: `count` of them, or those to destination `only`."""
        done = 0
        touched = []
        for each in list(self.slices):
            for at, part in list(each.open):
                if (count is None or done < count) and (only is None or each.destinations[at] == only):
                    self._answer(each, (at, part), status)
                    done += 1
                    touched.append(each)
        self._report(touched)
        return done

    @property
    def open(self) -> list[int]:
        """Destinations of unanswered segments."""
        return [each.destinations[at] for each in self.slices for at, _ in each.open]

    def lose(self, *, unsent: int = 0, reason: str = "connection lost") -> None:
        """Everything that is open gets no answer; the last `unsent` segments were never written."""
        slices, self.slices = self.slices, []
        left = sum(len(each.open) for each in slices) - unsent
        for each in slices:
            unsure, never = each.open[: max(0, left)], each.open[max(0, left) :]
            left -= len(each.open)
            self.given_up += [(each, segment) for segment in unsure]
            each.open = []
            self._events.lost(self, each, unsure, never, reason)

    def cut(self, *, unsent: int = 0) -> None:
        """The connection is gone."""
        self.up, self.reason = False, "cut"
        self.lose(unsent=unsent)
        self._events.state(self, False, "cut")

    def answer_late(self, status: int = 0) -> list[str]:
        """What was given up is answered after all; the ids."""
        ids = []
        given_up, self.given_up = self.given_up, []
        for each, segment in given_up:
            smsc_id = self._carrier.next_id() if status == 0 else ""
            ids.append(smsc_id)
            self._events.late(self, each, [(*segment, status, smsc_id)])
        return ids

    async def close(self, deadline_s: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_s
        while self.slices and loop.time() < until:  # noqa: ASYNC110 (bounded by the deadline)
            await asyncio.sleep(0.005)
        if self.slices:
            self.lose(reason="stopped")
        self.closed = True
        self.up, self.reason = False, "closed"


Reply = Callable[[int, int], int | None]


def accept(destination: int, part: int) -> int:
    """Takes everything."""
    return 0


class FakeCarrier:
    """A carrier of one part for each 160 letters. `reply` None: answers come when the test says so."""

    def __init__(self, carrier_id: int, *, window: int = 50, reply: Reply | None = accept) -> None:
        self.id = carrier_id
        self.name = f"fake {carrier_id}"
        self.window = window
        self.reply = reply
        self.links: list[FakeLink] = []
        self.prepared: list[Outgoing] = []
        self._ids = 0

    def next_id(self) -> str:
        self._ids += 1
        return f"{self.id}-{self._ids}"

    def prepare(self, message: Outgoing) -> tuple[object, int]:
        self.prepared.append(message)
        parts = -(-len(message.body) // 160)
        return (message, parts), parts

    def judge(self, status: int) -> SendError:
        return {
            THROTTLED: SendError.THROTTLED, QUEUE_FULL: SendError.CONGESTED, SYSTEM_ERROR: SendError.TEMPORARY,
            BAD_NUMBER: SendError.BAD_DESTINATION,
        }.get(status, SendError.REJECTED)  # fmt: skip

    def link(self, no: int, events: LinkEvents) -> FakeLink:
        link = FakeLink(self, no, events)
        self.links.append(link)
        return link

    @property
    def sent(self) -> list[tuple[int, int]]:
        """Everything that any of its links wrote."""
        return [each for link in self.links for each in link.sent]


class Flaky:
    """A database that is away while `away` is set, and whose next commits end as `ends` says, one each."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.engine = database.engine
        self.queries = database.queries
        self.away: Exception | None = None
        self.ends: list[tuple[bool, Exception]] = []
        """(whether it is written, what is raised) of the next writes."""
        self.writes = 0

    async def write(self, operation: Operation[T], lane: Lane = Lane.API) -> T:
        if self.away is not None:
            raise self.away
        if self.ends and lane is Lane.ENGINE:
            written, error = self.ends.pop(0)
            if written:
                await self._database.write(operation, lane)
            raise error
        self.writes += 1
        return await self._database.write(operation, lane)

    async def read(self, operation: Operation[T]) -> T:
        if self.away is not None:
            raise self.away
        return await self._database.read(operation)

    async def close(self) -> None:
        await self._database.close()


async def until(true: Callable[[], Any], seconds: float = 8.0, every: float = 0.01) -> None:
    """Waits until calling `true`, which may be a coroutine function, gives something true."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        answer = true()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return
        assert loop.time() < end, "it never became true"
        await asyncio.sleep(every)
