"""A worker on a real store with a link of its own; and a whole engine on fake carriers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from cooee.engine.fleet import Defaults, Events
from cooee.engine.pacing import Pacing
from cooee.engine.supervisor import Engine
from cooee.engine.worker import Worker
from cooee.model.carrier import CarrierRow
from cooee.service.inbound import Inbound
from cooee.service.receipts import ReceiptIntake
from cooee.service.routing import Routes
from cooee.store.acceptance import NewCampaign
from cooee.store.claims import Claimed
from cooee.store.database import Database
from cooee.store.ids import Ids
from cooee.store.sqlite import SqliteDatabase
from cooee.store.uncertain import Policy
from tests.engine.support_link import FakeCarrier, FakeLink, Flaky, Reply, RunningClock, accept, until
from tests.store.support_store import MAX_AGE, WAIT, World, world

OWNER = 7


@dataclass
class Bench:
    """One worker at work."""

    world: World
    clock: RunningClock
    database: Flaky
    carrier: FakeCarrier
    worker: Worker
    link: FakeLink
    done: list[tuple[int, int]] = field(default_factory=list)
    fresh: bool = True
    """Whether the engine's beat is."""
    disowned: int = 0

    async def stop(self, deadline_s: float = 0.5) -> None:
        await self.worker.stop(deadline_s)

    async def settled(self) -> bool:
        """Nothing is left to send, and nothing is out."""
        return await self._batches("state IN (2, 4)") == 0

    async def idle(self) -> bool:
        """No batch is out."""
        return await self._batches("state = 4") == 0

    async def at_rest(self) -> None:
        """The worker has looked for work and found none."""
        await asyncio.sleep(0.1)
        await until(lambda: not self.worker._maybe_work)

    async def _batches(self, which: str) -> int:
        ((count,),) = await self.world.rows(f"SELECT COUNT(*) FROM batch WHERE {which}")
        return int(count)

    async def born_marked(self, to: int) -> bool:
        """Accepts a single message as the API of the same process does; whether it was born marked."""
        new = await self.world.new([to])
        if not self.worker.reserve(1):
            return False
        if not await self.accepted(new):
            self.worker.release(1)
            return False
        self.adopt(new)
        return True

    async def accepted(self, new: NewCampaign) -> bool:
        """Commits a fresh message that this worker is to have; False when it queues instead."""
        new.owner = self.worker.owner
        await self.world.create(new)
        return new.owner is not None

    def adopt(self, *committed: NewCampaign) -> None:
        """Hands them over after the commit."""
        self.worker.adopt(
            [
                Claimed(
                    (new.account_id, new.id, 0), 1, 1, 1, 0, None, None, 0, 1, new.numbers, new.originator,
                    new.body, new.encoding, new.segments, new.concat_ref,
                )
                for new in committed
            ]
        )  # fmt: skip


@asynccontextmanager
async def bench(
    url: str, *, window: int = 50, tps: float = 0.0, reply: Reply | None = accept, hold: bool = False
) -> AsyncIterator[Bench]:
    """A worker whose carrier answers as `reply` says; it is stopped at the end and must have left no fault."""
    clock = RunningClock()
    async with world(url, clock) as made:
        carrier = FakeCarrier(made.carrier_id, window=window, reply=reply)
        database = Flaky(made.database)
        shared: Database = database
        inbound = Inbound(shared, Ids(shared), clock, Routes(shared, clock))
        events = Events(
            ReceiptIntake(shared, clock, carrier.id, carrier.name, {}, lambda keys: None),
            inbound.intake(carrier.id, carrier.name),
        )
        link = carrier.link(0, events)
        it = Bench(made, clock, database, carrier, None, link)  # type: ignore[arg-type]

        def disowned() -> None:
            it.disowned += 1

        it.worker = worker = Worker(
            owner=OWNER,
            database=shared,
            ids=Ids(shared),
            clock=clock,
            carrier=carrier,
            policy=Policy(None if hold else WAIT, MAX_AGE),
            pacing=Pacing(clock, tps),
            may_write=lambda: it.fresh,
            finished=it.done.extend,
            disowned=disowned,
        )
        events.worker = worker
        try:
            worker.start(link)
            yield it
        finally:
            database.away = None
            await worker.stop(0.2)
        assert worker.failure is None, worker.failure


@dataclass
class Whole:
    """An engine with everything it has, on carriers that a test plays."""

    world: World
    clock: RunningClock
    database: Flaky
    engine: Engine
    carriers: dict[int, FakeCarrier]
    faults: list[BaseException] = field(default_factory=list)

    @property
    def sent(self) -> list[int]:
        """Destinations of everything that was written to any link."""
        return [destination for carrier in self.carriers.values() for destination, _ in carrier.sent]


@asynccontextmanager
async def whole(
    url: str, *, reply: Reply | None = accept, window: int = 50, made: World | None = None, name: str = "engine"
) -> AsyncIterator[Whole]:
    """A running engine on a fresh store, or on that of `made`."""
    if made is None:
        async with (
            world(url, RunningClock()) as fresh,
            whole(url, reply=reply, window=window, made=fresh, name=name) as it,
        ):
            yield it
        return
    clock = made.clock
    assert isinstance(clock, RunningClock)
    database = Flaky(made.database)
    shared: Database = database
    carriers: dict[int, FakeCarrier] = {}

    def make(row: CarrierRow) -> FakeCarrier:
        carrier = carriers[row.id] = FakeCarrier(row.id, window=window, reply=reply)
        return carrier

    sqlite = isinstance(made.database, SqliteDatabase)
    engine = Engine(
        database=shared,
        ids=Ids(shared),
        clock=clock,
        secrets=None,  # type: ignore[arg-type]  # carriers of these tests have no secret
        routes=Routes(shared, clock),
        make=make,
        name=name,
        alone=sqlite,
        defaults=Defaults(WAIT / 1000, MAX_AGE / 3_600_000),
        memory=made.database.memory if isinstance(made.database, SqliteDatabase) else None,
    )
    it = Whole(made, clock, database, engine, carriers)
    with pytest.MonkeyPatch.context() as patch:
        # Whatever it does every few seconds comes sooner: tests advance the clock, not the loop's timers.
        patch.setattr("cooee.engine.supervisor.BEAT_S", 0.1)
        patch.setattr("cooee.engine.supervisor.FOLLOW_S", 0.1)
        patch.setattr("cooee.engine.scheduler.TICK_S", 0.05)
        await engine.start(it.faults.append)
        try:
            yield it
        finally:
            database.away = None
            await engine.stop(0.3)
    assert it.faults == []
