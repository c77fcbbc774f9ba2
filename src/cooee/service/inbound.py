"""Replies: one carrier's messages from handsets, stored in groups; acknowledged only once they are committed.

As with receipts, what arrives while a transaction is under way goes into the next one, a group that fails is
replayed singly, and what fails alone goes raw into quarantine and is acknowledged. While the store is down nothing
is acknowledged with success: the SMSC keeps it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from cooee.model.clock import SECOND, Clock
from cooee.model.errors import CommitUnknown, CooeeError, StoreUnavailable
from cooee.model.metrics import REPLIES, UNROUTED
from cooee.service.answers import Answers
from cooee.service.quarantine import set_aside
from cooee.service.routing import Routes
from cooee.smpp.mo import Mo
from cooee.smpp.pdu import encode
from cooee.store import inbound, seen
from cooee.store.database import Database, Lane, Row, Tx
from cooee.store.ids import Ids
from cooee.store.inbound import Taken
from cooee.store.parts import Arrival, PartKey
from cooee.store.seen import Copy, SeenKey

log = structlog.get_logger()

GROUP = 500
"""Messages that one transaction takes at most (measured: about 14 ms on SQLite)."""
SETTLED_S = 1.0
"""What an SMSC says this long after an acknowledgement was written shows that it is there, and has it."""
TEND_S = 1.0
FORGET = 1000

Done = Callable[[bool], None]
Duty = tuple[str, float, Callable[[], Awaitable[None]]]
"""Name, seconds between two runs, what to do."""


class Connection(Protocol):
    """What is asked of a link: see `carriers.base.Link`."""

    @property
    def connection(self) -> int: ...

    @property
    def heard(self) -> float: ...

    @property
    def unbound(self) -> bool: ...

    @property
    def up(self) -> bool: ...


def arrival_of(message: Mo, at: int) -> Arrival:
    """A message or part as the store needs it; `at` is UTC ms."""
    part = None if message.part is None else (message.part.concat, message.part.total, message.part.no)
    return Arrival(message.source, message.ton, message.destination, message.coding, message.body, part, at)


class Inbound:
    """What the intakes of all carriers share, and what is done from time to time.

    `stored` is told of the accounts that replies came for, after the commit; `wake` that a campaign was accepted.
    """

    def __init__(
        self,
        database: Database,
        ids: Ids,
        clock: Clock,
        routes: Routes,
        *,
        parts_wait_s: float = 600.0,
        stored: Callable[[set[int]], None] = lambda accounts: None,
        wake: Callable[[bool], None] = lambda deals: None,
    ) -> None:
        self.database = database
        self.clock = clock
        self._parts_wait_ms = round(parts_wait_s * SECOND)
        self._stored = stored
        self._answers = Answers(database, ids, clock, routes, wake)
        self.duties: tuple[Duty, ...] = (
            ("answers", 1.0, self._answers.send),
            ("reply_parts", 1.0, self._give_up_parts),
            ("unrouted", 10.0, self._count_unrouted),
        )

    def intake(self, carrier_id: int, name: str) -> ReplyIntake:
        """The inbound side of one carrier."""
        return ReplyIntake(self, carrier_id, name)

    async def close(self) -> None:
        """Waits for what is under way; all intakes are closed."""
        await self._answers.idle()

    def told(self, carrier: str, taken: Taken) -> None:
        """A group was committed."""
        for outcome, count in (
            ("stored", taken.replies),
            ("unrouted", taken.unrouted),
            ("repeated", taken.repeats),
            ("part", taken.waiting),
        ):
            if count:
                REPLIES.labels(carrier, outcome).inc(count)
        if taken.unrouted:
            log.warning("replies_unrouted", carrier=carrier, replies=taken.unrouted, hint="cooee reply unrouted")
        if taken.accounts:
            self._stored(taken.accounts)
        if taken.answers:
            self._answers.hurry()

    async def _give_up_parts(self) -> None:
        now = self.clock.now_ms()
        before = now - self._parts_wait_ms

        async def overdue(tx: Tx) -> Sequence[Row]:
            return await tx.all("overdue_parts", before=before)

        by_carrier: dict[tuple[int, str], list[PartKey]] = {}
        for row in await self.database.read(overdue):
            by_carrier.setdefault((row[0], row[5]), []).append((row[1], row[2], row[3], row[4]))
        for (carrier_id, name), keys in by_carrier.items():

            async def give_up(tx: Tx, carrier_id: int = carrier_id, keys: list[PartKey] = keys) -> Taken:
                return await inbound.give_up_parts(tx, carrier_id, keys, before, now)

            taken = await self.database.write(give_up, Lane.RECEIPTS)
            log.warning("reply_parts_missing", carrier=name, replies=taken.replies + taken.unrouted)
            self.told(name, taken)

    async def _count_unrouted(self) -> None:
        row = await self.database.read(lambda tx: tx.one("count_unrouted"))
        UNROUTED.set(row[0] if row is not None else 0)


@dataclass(slots=True)
class _Chunk:
    """The messages of one read, and how to acknowledge them."""

    link: Connection
    connection: int
    at: int
    messages: Sequence[Mo]
    done: Done


class ReplyIntake:
    """One carrier's messages from handsets."""

    def __init__(self, shared: Inbound, carrier_id: int, name: str) -> None:
        self._shared = shared
        self._database = shared.database
        self._clock = shared.clock
        self._carrier_id = carrier_id
        self._name = name
        self._queue: deque[_Chunk] = deque()
        self._task: asyncio.Task[None] | None = None
        self._known = _Known(shared.clock)
        self._tending: asyncio.Task[None] | None = None
        self.caught_up: Callable[[], Awaitable[None]] = _nothing
        """Awaited before messages are stored: what they answer may have been sent a moment ago."""

    def take(self, link: Connection, messages: Sequence[Mo], done: Done) -> None:
        """Queues what came over a link; `done` is called after its commit."""
        connection = link.connection
        self._known.meet(connection, link)
        self._queue.append(_Chunk(link, connection, self._clock.now_ms(), messages, done))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def idle(self) -> None:
        """Waits until everything taken is answered."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """The links are closed: what the SMSC certainly knows of is forgotten."""
        await self.idle()
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        await self._forget()

    async def _drain(self) -> None:
        try:
            while self._queue:
                chunks = [self._queue.popleft()]
                size = len(chunks[0].messages)
                while self._queue and size + len(self._queue[0].messages) <= GROUP:
                    chunks.append(self._queue.popleft())
                    size += len(chunks[-1].messages)
                await self.caught_up()
                # One read may bring more than a transaction should hold.
                items = [(chunk, message) for chunk in chunks for message in chunk.messages]
                failed: set[int] = set()
                keys: dict[int, list[SeenKey]] = {}
                for start in range(0, len(items), GROUP):
                    piece = items[start : start + GROUP]
                    for (chunk, _), key in zip(piece, await self._store(piece), strict=True):
                        if key is None:
                            failed.add(id(chunk))
                        else:
                            keys.setdefault(id(chunk), []).extend(key)
                for chunk in chunks:
                    ok = id(chunk) not in failed
                    chunk.done(ok)
                    mine = keys.get(id(chunk), ())
                    if ok:
                        self._known.acknowledged(chunk.connection, mine)
                    else:
                        # A part of it was stored, and comes again with the rest.
                        self._known.doubt(key[:2] for key in mine)
                self._tend()
        finally:
            self._task = None

    async def _store(self, items: Sequence[tuple[_Chunk, Mo]]) -> list[list[SeenKey] | None]:
        """For each, what it is known by, in a list that is empty for what was put aside; None where it failed."""
        arrivals = [
            (arrival_of(message, chunk.at), Copy(message.digest, chunk.connection, chunk.at))
            for chunk, message in items
        ]
        try:
            taken = await self._database.write(
                lambda tx: inbound.take(tx, self._carrier_id, arrivals, self._known, self._clock.now_ms()),
                Lane.RECEIPTS,
            )
        except (StoreUnavailable, CommitUnknown) as error:
            log.warning("replies_deferred", carrier=self._name, replies=len(items), reason=str(error))
            if isinstance(error, CommitUnknown):
                self._known.doubt((copy.digest, copy.connection) for _, copy in arrivals)
            await asyncio.sleep(0.5)
            return [None] * len(items)
        except Exception as error:
            if len(items) == 1:
                carrier, pdu = (self._carrier_id, self._name), encode(items[0][1].pdu)
                aside = await set_aside(self._database, self._clock, carrier, "reply", pdu, error)
                return [[] if aside else None]
            return [(await self._store([item]))[0] for item in items]
        self._shared.told(self._name, taken)
        return [[key] for key in taken.keys]

    def _tend(self) -> None:
        if self._known.waiting and self._tending is None:
            self._tending = asyncio.get_running_loop().create_task(self._forget_later())

    async def _forget_later(self) -> None:
        try:
            while self._known.waiting:
                await asyncio.sleep(TEND_S)
                await self._forget()
        finally:
            self._tending = None

    async def _forget(self) -> None:
        """What has been acknowledged for certain need not be told from repeats any more."""
        keys = self._known.settled()
        try:
            for start in range(0, len(keys), FORGET):
                piece = keys[start : start + FORGET]

                async def forget(tx: Tx, piece: Sequence[SeenKey] = piece) -> None:
                    await seen.forget(tx, self._carrier_id, piece)

                await self._database.write(forget, Lane.BULK)
        except CooeeError as error:
            # They stay until their time is over; a person who writes the same again meanwhile over another
            # connection would be taken for the SMSC.
            log.warning("replies_not_settled", carrier=self._name, reason=str(error))


async def _nothing() -> None:
    pass


class _Known:
    """What this process knows of acknowledgements (`store.seen.Acknowledged`): which were written, on connections
    that live, and not yet proved to have arrived."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._links: dict[int, Connection] = {}
        self._at: dict[SeenKey, int] = {}
        self._order: dict[int, deque[tuple[SeenKey, float]]] = {}
        self._doubts: set[tuple[int, int]] = set()

    @property
    def waiting(self) -> bool:
        """Whether there is anything to settle."""
        return bool(self._at)

    def meet(self, connection: int, link: Connection) -> None:
        """Something came over that connection."""
        self._links[connection] = link

    def lives(self, connection: int) -> bool:
        """See `store.seen.Acknowledged`."""
        link = self._links.get(connection)
        return link is not None and link.connection == connection and link.up

    def at(self, key: SeenKey) -> int | None:
        """See `store.seen.Acknowledged`."""
        return self._at.get(key)

    def doubt(self, copies: Iterable[tuple[int, int]]) -> None:
        """These, (digest, connection) each, are refused now and are stored, or may be."""
        self._doubts.update(copies)

    def doubted(self, digest: int, connection: int) -> bool:
        """See `store.seen.Acknowledged`."""
        return (digest, connection) in self._doubts

    def acknowledged(self, connection: int, keys: Sequence[SeenKey]) -> None:
        """The acknowledgements of these were just written, if the connection was still there."""
        if not self.lives(connection):
            return
        now, monotonic = self._clock.now_ms(), self._clock.monotonic()
        order = self._order.setdefault(connection, deque())
        for key in keys:
            self._at[key] = now
            order.append((key, monotonic))

    def settled(self) -> list[SeenKey]:
        """Whose acknowledgements have arrived since the last time. Those of a connection that broke never will be:
        they are left to the table."""
        found: list[SeenKey] = []
        for connection, order in list(self._order.items()):
            link = self._links[connection]
            same = link.connection == connection
            sure = link.heard - SETTLED_S if same else float("-inf")
            if same and link.unbound:
                sure = float("inf")
            while order and order[0][1] <= sure:
                found.append(order.popleft()[0])
            if not self.lives(connection):
                for key, _ in order:
                    self._at.pop(key, None)
                order.clear()
            if not order:
                del self._order[connection]
        for key in found:
            self._at.pop(key, None)
        for connection in [c for c in self._links if c not in self._order and not self.lives(c)]:
            del self._links[connection]
            self._doubts = {each for each in self._doubts if each[1] != connection}
        return found
