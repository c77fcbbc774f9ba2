"""The engine as a whole: joins, beats, follows the carriers, runs the scheduler, and stops in order.

The order of a stop: no new marks → what is in flight is answered, or recorded as uncertain at the deadline →
unbind → leases and row are given up. Whatever of that a kill prevents, the next engine makes good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from cooee.engine.fleet import Defaults, Fleet, MakeCarrier
from cooee.engine.mailer import Mailer, MailRules
from cooee.engine.membership import BEAT_S, Membership
from cooee.engine.retention import Keeper
from cooee.engine.scheduler import Scheduler
from cooee.engine.webhooks import Webhooks
from cooee.engine.worker import Worker
from cooee.model.carrier import CarrierRow
from cooee.model.clock import Clock
from cooee.model.errors import CooeeError
from cooee.model.live import EngineLive
from cooee.model.metrics import UNCERTAIN
from cooee.service.inbound import Inbound
from cooee.service.keeping import Keep
from cooee.service.receiver import Receiver
from cooee.service.resolver import Resolve
from cooee.service.routing import Routes
from cooee.store import acceptance, audience
from cooee.store.carriers import all_carriers
from cooee.store.database import Database
from cooee.store.ids import Ids
from cooee.store.refs import RefMemory
from cooee.store.secrets import Secrets

log = structlog.get_logger()

FOLLOW_S = 1.0


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """How webhooks are called: whether at private addresses too, how many at once, and who resolves names."""

    allow_private: bool = False
    calls: int = 256
    resolve: Resolve | None = None


class Engine:
    """One engine on one store. `alone`: this process is the only one that can have an engine here.

    `parts_wait_s`: how long a long reply waits for all of its parts. `announce` tells the engines of other nodes
    that something was dealt. `keep`: what is kept for how long. `mails`: how mails to sign-ups go out, if they do.
    """

    def __init__(
        self,
        *,
        database: Database,
        ids: Ids,
        clock: Clock,
        secrets: Secrets,
        routes: Routes,
        make: MakeCarrier,
        name: str,
        alone: bool,
        defaults: Defaults,
        memory: RefMemory | None,
        announce: Callable[[bool], None] | None = None,
        parts_wait_s: float = 600.0,
        webhooks: WebhookSettings = WebhookSettings(),
        keep: Keep | None = None,
        mails: MailRules | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._secrets = secrets
        self._alone = alone
        self._membership = Membership(database, ids, clock, name, alone=alone)
        keep = keep or Keep()
        self._restart = False
        self._scheduler: Scheduler
        inbound = Inbound(
            database, ids, clock, routes, parts_wait_s=parts_wait_s, stored=self.replied, wake=self.wake
        )
        self._fleet = Fleet(
            database,
            ids,
            clock,
            self._membership,
            make,
            defaults,
            inbound,
            finished=lambda keys: self._scheduler.finished(keys),
            changed=lambda keys: self._scheduler.changed(keys),
            disowned=self._disowned,
            keeps_receipts=keep.receipts_ms > 0,
        )
        self._announce = announce or (lambda deals: None)
        self._scheduler = Scheduler(
            database, ids, clock, routes, self._fleet.policy, self._dealt, memory, inbound.duties
        )
        receiver = Receiver(clock, allow_private=webhooks.allow_private, resolve=webhooks.resolve)
        self._webhooks = Webhooks(database, clock, secrets, self._membership, receiver, places=webhooks.calls)
        self._keeper = Keeper(database, clock, keep)
        self._mailer = Mailer(database, clock, mails) if mails is not None else None
        self._tasks: list[asyncio.Task[None]] = []
        self._ready: str | None = "the engine is starting"
        self._failed: Callable[[BaseException], None] | None = None

    def wake(self, deals: bool) -> None:
        """Something was accepted; `deals`: its batches must be dealt to carriers first."""
        if deals:
            self._scheduler.wake()
        else:
            self._fleet.wake()

    def _dealt(self) -> None:
        """The scheduler made something ready: for the binds of this engine, and for those of its peers."""
        self._fleet.wake()
        self._announce(False)

    def replied(self, accounts: Iterable[int]) -> None:
        """Replies of these accounts were committed: their webhooks are told."""
        self._webhooks.wake(accounts)

    def reserve(self, carrier_id: int, segments: int) -> Worker | None:
        """Room for a fresh message. Only where no peer can take this engine for dead meanwhile: on PostgreSQL a
        batch that is born marked could belong to an engine that was evicted a moment ago."""
        return self._fleet.reserve(carrier_id, segments) if self._alone else None

    def problems(self) -> list[str]:
        """Why messages do not go out, a sentence each; empty when all is well."""
        found = [self._ready] if self._ready else []
        if self._membership.trouble:
            found.append(self._membership.trouble)
        if self._scheduler.stuck:
            found.append(self._scheduler.stuck)
        return found + self._fleet.problems()

    def live(self) -> EngineLive:
        """What a page shows of this engine."""
        return EngineLive(self._membership.id, self._fleet.live())

    async def start(self, failed: Callable[[BaseException], None]) -> None:
        """Joins, makes good what dead engines left, and begins. `failed` is told of a fault that ends it."""
        self._failed = failed
        await self._membership.join()
        if self._alone:
            now = self._clock.now_ms()
            await acceptance.drop_leftovers(self._database, now + 1)
            await self._database.write(lambda tx: audience.give_up(tx, now + 1))
        for row in (await self._rows()).values():
            self._fleet.know(row)
        await self._membership.beat()
        UNCERTAIN.labels("all", "engine gone").inc(await self._membership.take_over(self._fleet.policy))
        works = [self._beat(), self._follow(), self._scheduler.run(), self._webhooks.run(), self._keeper.run()]
        if self._mailer is not None:
            works.append(self._mailer.run())
        for work in works:
            task = asyncio.get_running_loop().create_task(work)
            task.add_done_callback(self._ended)
            self._tasks.append(task)
        self._ready = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None and self._failed is not None:
            error = task.exception()
            log.error("engine_failed", reason=str(error), exc_info=error)
            self._failed(error if error is not None else RuntimeError("engine task ended"))

    async def _rows(self) -> dict[int, CarrierRow]:
        rows = await self._database.read(lambda tx: all_carriers(tx, self._secrets))
        return {row.id: row for row in rows}

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            await self._membership.beat()
            try:
                UNCERTAIN.labels("all", "engine gone").inc(await self._membership.take_over(self._fleet.policy))
            except CooeeError as error:
                log.warning("take_over_failed", reason=str(error))

    async def _follow(self) -> None:
        while True:
            try:
                if self._membership.evicted or self._restart:
                    await self._begin_anew()
                await self._fleet.follow(await self._rows())
                self._fleet.measure()
            except CooeeError as error:
                log.warning("follow_failed", reason=str(error))
            await asyncio.sleep(FOLLOW_S)

    def _disowned(self) -> None:
        """A commit whose outcome nobody knows: batches may be ours without our knowing."""
        self._restart = True

    async def _begin_anew(self) -> None:
        """Gives up everything under the old id, as a peer would see it, and goes on under a new one."""
        old = self._membership.id
        log.warning("engine_begins_anew", engine=old)
        await self._fleet.stop(2.0)
        self._webhooks.abandon()
        await self._membership.join()
        self._restart = False
        await self._membership.give_up(old, self._fleet.policy)
        await self._membership.beat()

    async def stop(self, deadline_s: float) -> None:
        """An orderly end; nothing stays leased."""
        self._ready = "the engine is stopping"
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.gather(*self._tasks[1:], return_exceptions=True)
        # The beat goes on while answers are awaited: nobody must take over from us meanwhile.
        await asyncio.gather(self._fleet.stop(deadline_s), self._webhooks.stop(deadline_s))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._membership.leave()
        except CooeeError as error:
            log.warning("leave_failed", reason=str(error))
