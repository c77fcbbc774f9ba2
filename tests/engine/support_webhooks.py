"""Webhooks of an engine at work on a real store, with real receivers on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cooee.engine.membership import Membership
from cooee.engine.webhooks import Webhooks
from cooee.model.webhook import DeliveryState
from cooee.service.receiver import Receiver
from cooee.store.secrets import Secrets
from tests.engine.support_link import Flaky, RunningClock, until
from tests.service.support_receiver import Hook
from tests.store.support_replies import Told, reply, set_webhook, told
from tests.store.support_store import World

SECRETS = Secrets(bytes(32), Path("test.key"))


@dataclass
class Desk:
    """One engine's webhooks, running."""

    world: World
    clock: RunningClock
    database: Flaky
    membership: Membership
    webhooks: Webhooks
    task: asyncio.Task[None]
    beats: asyncio.Task[None]

    async def hook(self, made: Hook | str, account_id: int | None = None, *, password: str = "pass word") -> int:
        """The account, the world's own by default, has a webhook there."""
        account = account_id or self.world.account_id
        url = made if isinstance(made, str) else made.url
        await set_webhook(self.world, account, SECRETS.encrypt(url), SECRETS.encrypt(password))
        return account

    async def reply(
        self, account_id: int | None = None, count: int = 1, *, handset: int = 61400000001
    ) -> list[int]:
        """Replies come in, and the engine is told."""
        account = account_id or self.world.account_id
        ids = await reply(self.world, account, count, handset=handset)
        self.webhooks.wake([account])
        return ids

    async def told(self, account_id: int | None = None) -> dict[int, Told]:
        return await told(self.world, account_id or self.world.account_id)

    async def until_all(self, state: DeliveryState, account_id: int | None = None, seconds: float = 8.0) -> None:
        """Until every delivery of the account is in that state."""

        async def done() -> bool:
            return {each.state for each in (await self.told(account_id)).values()} == {state}

        await until(done, seconds)

    async def until_recorded(self, attempts: int, account_id: int | None = None) -> None:
        """Until the deliveries of the account have that many recorded attempts together."""

        async def done() -> bool:
            return sum(each.attempts for each in (await self.told(account_id)).values()) == attempts

        await until(done)

    async def owners(self) -> set[int | None]:
        return {row[0] for row in await self.world.rows("SELECT owner FROM webhook")}

    def pass_time(self, seconds: float) -> None:
        """Time goes on, and the engine looks."""
        self.clock.advance(seconds)
        self.webhooks.wake([])

    def kill(self) -> None:
        """As kill -9: whatever runs ends, nothing more is written."""
        self.task.cancel()
        self.beats.cancel()
        for caller in list(self.webhooks._callers):
            caller.cancel()


@asynccontextmanager
async def desk(world: World, *, places: int = 64, name: str = "engine", alone: bool = True) -> AsyncIterator[Desk]:
    """An engine's webhooks on that store, stopped at the end."""
    clock = world.clock
    assert isinstance(clock, RunningClock)
    database = Flaky(world.database)
    membership = Membership(database, world.ids, clock, name, alone=alone)
    await membership.join()
    await membership.beat()
    receiver = Receiver(clock, allow_private=True)
    webhooks = Webhooks(database, clock, SECRETS, membership, receiver, places=places)
    beats = asyncio.ensure_future(_beats(membership))
    it = Desk(world, clock, database, membership, webhooks, asyncio.ensure_future(webhooks.run()), beats)
    try:
        yield it
        assert not it.task.done() or it.task.cancelled(), it.task
    finally:
        database.away = None
        it.task.cancel()
        await asyncio.gather(it.task, return_exceptions=True)
        await webhooks.stop(0.2)
        beats.cancel()
        await asyncio.gather(beats, return_exceptions=True)


async def _beats(membership: Membership) -> None:
    while True:
        await asyncio.sleep(0.02)
        await membership.beat()
