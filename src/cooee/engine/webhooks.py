"""Replies to webhooks: leases receivers, calls them side by side, records what came of it in groups.

Nothing is written before a call. After a kill, what was not recorded is told again by whoever leases the receiver
next: a reply that was taken at that very moment arrives twice, any other once.

No receiver delays another. Each has few calls at once (`webhook_lane.py`), and all together have `places`.
Receivers that fail, or are slow, may take a quarter of these; the rest is kept for sound ones, which take turns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping

import structlog

from cooee.engine.membership import Membership
from cooee.engine.webhook_lane import SLOW_S, Lane
from cooee.engine.webhook_results import Recorder
from cooee.model.clock import SECOND, Clock
from cooee.model.errors import CommitUnknown, ConfigError, CooeeError
from cooee.model.metrics import WEBHOOK_LATE, WEBHOOKS, WEBHOOKS_DOWN
from cooee.model.webhook import GIVE_UP_MS, ReplyCall, Target, WebhookState
from cooee.service.receiver import Outcome, Receiver
from cooee.store import webhooks as rows
from cooee.store.database import Database, Tx
from cooee.store.database import Lane as Priority
from cooee.store.secrets import Secrets
from cooee.store.webhooks import Due, Webhook

log = structlog.get_logger()

LOOK_S = 0.5
"""How often the rows are looked at without being told."""
LOOK_OTHERS_S = 0.1
"""How often they are after replies of accounts that are not leased, most of which have no webhook."""
REST_S = 0.05
"""The least time between two looks."""
MOST_QUEUED = 20_000
"""Deliveries that are kept in memory, shared by the receivers that have some."""
EACH = (4, 64)
"""Deliveries of one receiver that are read at once: at least, and at most."""
PAGE = 2000
"""Deliveries that one statement reads at most."""
CLAIMS = 200
"""Receivers leased in one transaction."""
IDLE_S = 5.0
"""How long a receiver without replies stays leased."""
MEASURE_S = 10.0


class Webhooks:
    """The webhooks that this engine calls."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        secrets: Secrets,
        membership: Membership,
        receiver: Receiver,
        *,
        places: int,
    ) -> None:
        self._database = database
        self._clock = clock
        self._secrets = secrets
        self._membership = membership
        self._receiver = receiver
        self._places = places
        self._lanes: dict[int, Lane] = {}
        self._lost: dict[int, set[int]] = {}
        self._sound: deque[Lane] = deque()
        self._in_doubt: deque[Lane] = deque()
        self._queued: set[Lane] = set()
        self._callers: set[asyncio.Task[None]] = set()
        self._open = 0
        self._doubtful = 0
        self._look = asyncio.Event()
        self._told: set[int] = set()
        self._recorder = Recorder(database, clock, membership, self._go_on)
        self._fault: BaseException | None = None
        self._stopping = False
        self._claimed_perhaps = False
        self._each = EACH[1]
        self._looked = self._measured = float("-inf")

    def wake(self, accounts: Iterable[int]) -> None:
        """Replies of these accounts were committed."""
        self._told.update(accounts)
        self._look.set()

    # --- the loops -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Looks, leases and calls until cancelled. Errors of the store are logged, and tried again."""
        recorder = asyncio.get_running_loop().create_task(self._recorder.run())
        try:
            while True:
                try:
                    await self._turn()
                except CooeeError as error:
                    log.warning("webhooks_failed", reason=str(error))
                    await asyncio.sleep(1.0)
                self._pump()
                if recorder.done():
                    recorder.result()
                if self._fault is not None:
                    raise self._fault
                try:
                    async with asyncio.timeout(LOOK_S):
                        await self._look.wait()
                except TimeoutError:
                    pass
                self._look.clear()
                await asyncio.sleep(REST_S)
        finally:
            recorder.cancel()
            await asyncio.gather(recorder, return_exceptions=True)

    async def _turn(self) -> None:
        now_s = self._clock.monotonic()
        told, self._told = self._told, set()
        for account in told & self._lanes.keys():
            self._lanes[account].more = True
        others = bool(told - self._lanes.keys())
        if now_s - self._looked >= (LOOK_OTHERS_S if others else LOOK_S):
            self._looked = now_s
            await self._follow()
            await self._lease()
        elif others:
            self._told |= told
            self._look.set()
        await self._fill()
        await self._give_back()
        if now_s - self._measured >= MEASURE_S:
            self._measured = now_s
            await self._measure()

    # --- leases ----------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Sees what a person changed, and what is no longer ours."""
        owner = self._membership.id
        held = {row[0]: row for row in await self._database.read(lambda tx: tx.all("held_webhooks", owner=owner))}
        for account, lane in list(self._lanes.items()):
            row = held.get(account)
            if row is None:
                self._lose(lane)
            elif row[1] != lane.version or row[2] != WebhookState.ON or row[3] != 1:
                lane.closing = True
                lane.clear()
        self._lost = {account: known for account, known in self._lost.items() if known}
        if self._claimed_perhaps:
            await self._release([account for account in held if account not in self._lanes])
            self._claimed_perhaps = False
        for removed in await self._database.read(lambda tx: tx.all("removed_webhooks")):
            await self._park_removed(removed[0])

    async def _park_removed(self, account: int) -> None:
        moved = rows.PIECE
        while moved == rows.PIECE:
            moved = await self._database.write(
                lambda tx: rows.park_all(tx, account, self._clock.now_ms()), Priority.BULK
            )
            WEBHOOKS.labels("parked").inc(moved)

    async def _lease(self) -> None:
        """Takes receivers that have something due, up to our share of them."""
        owner, now = self._membership.id, self._clock.now_ms()
        held, free = await self._database.read(lambda tx: rows.due(tx, owner, now))
        for account in held:
            if account in self._lanes:
                self._lanes[account].more = True
        room = CLAIMS
        if self._membership.peers > 1:
            shares = await self._database.read(lambda tx: tx.all("webhook_shares"))
            share = -(-(sum(row[1] for row in shares) + len(free)) // self._membership.peers)
            room = min(room, share - len(self._lanes))
            self._yield_surplus(share)
        if room <= 0 or not free or not self._membership.may_write():
            return
        wanted = free[:room]
        try:
            taken = await self._database.write(lambda tx: rows.claim(tx, owner, wanted), Priority.ENGINE)
        except CommitUnknown:
            self._claimed_perhaps = True
            raise
        for webhook in taken:
            known = self._lost.pop(webhook.account_id, set())
            lane = Lane(webhook, self._target(webhook), self._clock.monotonic(), known)
            self._lanes[webhook.account_id] = lane
        if len(free) > len(wanted):
            self._looked = float("-inf")
            self._look.set()

    def _yield_surplus(self, share: int) -> None:
        """Gives receivers to peers that have fewer; a few more than our share are ours to keep."""
        surplus = len(self._lanes) - share - max(2, share // 10)
        for lane in list(self._lanes.values())[: max(0, surplus)]:
            lane.closing = True
            lane.clear()

    def _target(self, webhook: Webhook) -> Target | None:
        try:
            password = self._secrets.decrypt(webhook.secret) if webhook.secret else ""
            return Target(self._secrets.decrypt(webhook.url), webhook.username, password)
        except ConfigError as error:
            log.error("webhook_unusable", account=webhook.account_id, reason=str(error))
            return None

    def _lose(self, lane: Lane) -> None:
        lane.closing = True
        lane.clear()
        self._lanes.pop(lane.account_id, None)
        if not lane.idle:
            # If it comes back to us, what is under way is not called for a second time.
            self._lost[lane.account_id] = lane.known

    async def _give_back(self) -> None:
        now_s = self._clock.monotonic()
        over = [
            lane.account_id
            for lane in self._lanes.values()
            if lane.idle and (lane.closing or (not lane.more and now_s - lane.used_at > IDLE_S))
        ]
        if over:
            await self._release(over)
            for account in over:
                del self._lanes[account]

    async def _release(self, accounts: list[int]) -> None:
        owner = self._membership.id
        keys = [(account,) for account in sorted(accounts)]
        await self._database.write(lambda tx: tx.many("release_webhooks", keys, owner=owner), Priority.ENGINE)

    async def _fill(self) -> None:
        """Reads what is due of the receivers whose queues run short, many at once."""
        now = self._clock.now_ms()
        least, most = EACH
        self._each = each = min(most, max(least, MOST_QUEUED // max(1, len(self._lanes))))
        short = [lane for lane in self._lanes.values() if self._short(lane) and not lane.blocked(now)]
        many = PAGE // each
        for first in range(0, len(short), many):
            some = {lane.account_id: lane for lane in short[first : first + many]}
            # What comes in while this is read is told by another wake.
            for lane in some.values():
                lane.more = False
            with self._recorder.remembering():
                try:
                    found = await self._read_due(some, now, each)
                except CooeeError:
                    for lane in some.values():
                        lane.more = True
                    raise
                self._queue(some, found, each)

    def _short(self, lane: Lane) -> bool:
        """Whether there may be more to queue for a receiver, and little is queued."""
        wanted = lane.more and not lane.closing and lane.target is not None
        return wanted and len(lane.queue) < max(1, self._each // 4)

    async def _read_due(self, accounts: Iterable[int], now: int, each: int) -> list[Due]:
        return await self._database.read(lambda tx: rows.due_replies(tx, accounts, now, each))

    def _queue(self, lanes: Mapping[int, Lane], found: Iterable[Due], each: int) -> None:
        counts: dict[int, int] = {}
        for due in found:
            lane = lanes[due.account_id]
            counts[due.account_id] = counts.get(due.account_id, 0) + 1
            if not lane.closing:
                lane.add(due)
        for account, count in counts.items():
            lane = lanes[account]
            lane.more = lane.more or count == each
            lane.used_at = self._clock.monotonic()
            self._offer(lane)

    # --- calls -----------------------------------------------------------------------------------------------

    def _offer(self, lane: Lane) -> None:
        """Puts a receiver at the end of the row, unless it is in it."""
        if lane.queue and lane not in self._queued:
            self._queued.add(lane)
            (self._in_doubt if lane.doubtful else self._sound).append(lane)

    def _go_on(self, lane: Lane) -> None:
        """Some of its results were recorded, which may have been what it waited for."""
        if lane.queue:
            self._offer(lane)
            self._pump()

    def _pump(self) -> None:
        """Starts calls while there are places and something to call for."""
        while (job := self._take()) is not None:
            task = asyncio.get_running_loop().create_task(self._call(*job))
            self._callers.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._callers.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._fault = task.exception()
            self._look.set()

    def _take(self) -> tuple[Lane, Due, bool] | None:
        """The next call: receivers take turns. A place is taken with it."""
        if self._stopping or self._open >= self._places or not self._membership.may_write():
            return None
        now, now_s = self._clock.now_ms(), self._clock.monotonic()
        for line in (self._sound, self._in_doubt):
            while line and (line is self._sound or self._doubtful < self._places // 4):
                lane = line.popleft()
                if lane.doubtful and line is self._sound:
                    self._in_doubt.append(lane)
                    continue
                self._queued.discard(lane)
                due = lane.next(now, now_s)
                if due is not None:
                    self._open += 1
                    self._doubtful += lane.doubtful
                    self._offer(lane)
                    return lane, due, lane.doubtful
        return None

    async def _call(self, lane: Lane, due: Due, doubtful: bool) -> None:
        """Calls, and goes on with whatever is next: one task serves many replies."""
        job: tuple[Lane, Due, bool] | None = (lane, due, doubtful)
        while job is not None:
            lane, due, doubtful = job
            try:
                outcome = await self._one(lane, due, doubtful)
            except asyncio.CancelledError:
                lane.dropped(due)
                raise
            self._settle(lane, due, outcome)
            job = self._take()

    async def _one(self, lane: Lane, due: Due, doubtful: bool) -> Outcome:
        call = ReplyCall(due.originator, due.recipient, due.reference, due.body)
        moved: list[bool] = []

        def slow() -> None:
            """From here on it counts as doubtful, so that sound receivers keep their places."""
            lane.slow = True
            if not doubtful:
                self._doubtful += 1
                moved.append(True)

        timer = asyncio.get_running_loop().call_later(SLOW_S, slow)
        try:
            if lane.target is None:
                raise RuntimeError("a call for a receiver without an address")
            return await self._receiver.call(lane.target, call, keep=bool(lane.queue))
        finally:
            timer.cancel()
            self._open -= 1
            self._doubtful -= bool(doubtful or moved)

    def _settle(self, lane: Lane, due: Due, outcome: Outcome) -> None:
        """Notes an outcome for the next group of results."""
        now = self._clock.now_ms()
        was_down = lane.failures > 0
        blocked = lane.done(due, outcome, now, self._clock.monotonic())
        self._recorder.add(lane, due, outcome, now, health=was_down or not outcome.taken)
        if blocked:
            self._blocked(lane, outcome, now)
        elif was_down and outcome.taken:
            log.info("webhook_back", account=lane.account_id)
        self._offer(lane)
        if self._short(lane):
            self._look.set()

    def _blocked(self, lane: Lane, outcome: Outcome, now: int) -> None:
        host = lane.target.host if lane.target else ""
        since = lane.down_since if lane.down_since is not None else now
        if now - since >= GIVE_UP_MS:
            self._recorder.give_up(lane.account_id)
        # Once when it goes down, and then about once an hour, a line.
        if lane.failures <= 8 or lane.failures % 60 == 0:
            log.warning(
                "webhook_failing", account=lane.account_id, host=host, reason=outcome.reason,
                failures=lane.failures, down_s=(now - since) // SECOND,
            )  # fmt: skip

    async def _measure(self) -> None:
        now = self._clock.now_ms()
        row = await self._database.read(lambda tx: tx.one("most_overdue", now=now))
        since, down = (row[0], row[1]) if row is not None else (None, 0)
        WEBHOOK_LATE.set(max(0, now - since) / SECOND if since is not None else 0)
        WEBHOOKS_DOWN.set(down)

    # --- the end ---------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """This engine goes on under another id: its receivers are leased anew."""
        for lane in list(self._lanes.values()):
            self._lose(lane)

    async def stop(self, deadline_s: float) -> None:
        """No new calls; those under way may end until the deadline; results are recorded, leases given up."""
        self._stopping = True
        if self._callers:
            await asyncio.wait(self._callers, timeout=deadline_s)
        for task in list(self._callers):
            task.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)
        try:
            await self._recorder.flush()
            owner = self._membership.id

            async def drop(tx: Tx) -> None:
                await tx.run("drop_webhook_leases", owner=owner)

            await self._database.write(drop, Priority.ENGINE)
        except CooeeError as error:
            log.warning("webhooks_not_given_up", reason=str(error))
        self._lanes.clear()
        await self._receiver.close()
