"""An engine on SMPP sockets, with a simulated SMSC and its handsets at the other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from cooee.carriers.smpp import SmppCarrier
from cooee.engine.fleet import Defaults
from cooee.engine.supervisor import Engine
from cooee.model.clock import SystemClock
from cooee.service.routing import Routes
from cooee.smpp.smsc import Smsc, SmscConfig
from cooee.store.database import Database
from cooee.store.ids import Ids
from cooee.store.sqlite import SqliteDatabase
from tests.engine.support_link import Flaky, RunningClock
from tests.store.support_inbound import HANDSET, NUMBER
from tests.store.support_store import MAX_AGE, WAIT, World, world


@dataclass
class Exchange:
    """A world whose first carrier leads to `smsc`, and an engine that is bound to it."""

    world: World
    smsc: Smsc
    clock: RunningClock
    database: Flaky
    engine: Engine | None = None
    parts_wait_s: float = 600.0
    faults: list[BaseException] = field(default_factory=list)

    async def start(self) -> None:
        """A new engine, as after a restart."""
        database: Database = self.database
        engine = Engine(
            database=database,
            ids=Ids(database),
            clock=self.clock,
            secrets=None,  # type: ignore[arg-type]  # this carrier has no secret
            routes=Routes(database, self.clock),
            make=lambda row: SmppCarrier(row, SystemClock()),
            name="engine",
            alone=isinstance(self.world.database, SqliteDatabase),
            defaults=Defaults(WAIT / 1000, MAX_AGE / 3_600_000),
            memory=self.world.database.memory if isinstance(self.world.database, SqliteDatabase) else None,
            parts_wait_s=self.parts_wait_s,
        )
        await engine.start(self.faults.append)
        self.engine = engine

    async def stop(self) -> None:
        """The engine ends in order."""
        engine, self.engine = self.engine, None
        if engine is not None:
            await engine.stop(0.3)

    def write(self, text: str, source: str = str(HANDSET), to: str = NUMBER) -> None:
        """A handset writes."""
        self.smsc.reply(source, to, text, system_id="test")

    async def all_acknowledged(self) -> None:
        """The SMSC is done with every message from a handset."""
        await until(lambda: self.smsc.stats()["mo_pending"] == 0)

    async def count(self, table: str) -> int:
        ((count,),) = await self.world.rows(f"SELECT COUNT(*) FROM {table}")
        return int(count)


async def until(true: Callable[[], bool | Awaitable[bool]], seconds: float = 15.0) -> None:
    """Waits until it is so."""
    async with asyncio.timeout(seconds):
        while True:
            now = true()
            if now if isinstance(now, bool) else await now:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def exchange(url: str, *, parts_wait_s: float = 600.0, **smsc: Any) -> AsyncIterator[Exchange]:
    """Everything running and bound; ended in order, without a fault."""
    options = {"receipt_delay": 0.01, "retry_delay": 0.1, **smsc}
    peer = Smsc(SmscConfig(**options), SystemClock())
    await peer.start()
    clock = RunningClock()
    try:
        async with world(url, clock) as made:
            await made.sql("UPDATE carrier SET state = 3")
            made.carrier_id = await made.carrier(port=peer.port)
            it = Exchange(made, peer, clock, Flaky(made.database), parts_wait_s=parts_wait_s)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("cooee.engine.supervisor.FOLLOW_S", 0.1)
                patch.setattr("cooee.engine.scheduler.TICK_S", 0.05)
                patch.setattr("cooee.service.inbound.TEND_S", 0.1)
                await it.start()
                try:
                    await until(lambda: peer.stats()["binds"] > 0)
                    yield it
                finally:
                    it.database.away = None
                    await it.stop()
            assert it.faults == []
    finally:
        await peer.stop()
