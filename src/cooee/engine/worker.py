"""One bind at work: asks for room, makes a trip to the store, writes what was granted, and again.

A trip is one transaction (`store/dispatch.py`): it records the answers that have come, marks the next slice on
the batches that are out, and claims more. It is made when there is room and something to send, or 25 ms after an
answer came that nothing else took along. Only what a trip granted is written to the socket.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import structlog

from cooee.carriers.base import Carrier, Link, Order, Outgoing
from cooee.engine.arrivals import Arrivals
from cooee.engine.held import Held
from cooee.engine.pacing import Pacing
from cooee.engine.work import Slip, Work
from cooee.model.clock import Clock
from cooee.model.errors import CommitUnknown, CooeeError
from cooee.model.metrics import WASHED
from cooee.store import dispatch
from cooee.store.claims import Claimed, Key
from cooee.store.database import Database, Lane
from cooee.store.dispatch import Grant, Outcome, Step, Trip
from cooee.store.ids import Ids
from cooee.store.receipts import rejoin
from cooee.store.uncertain import Policy

log = structlog.get_logger()

RECORD_AFTER_S = 0.025
"""Answers wait this long for a mark to go along with."""
GATHER_S = 0.004
"""Room that is under a quarter of the window waits this long for more."""
CLAIM_EVERY_S = 0.01
"""A claim that found less than it could take is not repeated sooner: single messages gather meanwhile."""
PROMISE_S = 2.0
"""A worker that stops waits so long for messages that it reserved room for."""
RESERVED_S = 10.0
"""Room that was reserved and neither used nor released is free again after this."""
POLL_S = 0.5
"""How often to look for work that nobody announced (another process, another node)."""
SLICE = 1000
"""Segments that one trip marks at most."""
FEW_BATCHES, MOST_BATCHES = 8, 500
"""Batches that a claim looks at, at least and at most."""


class Worker:
    """Drives one link. `may_write` says whether the engine's beat is fresh enough to hand anything over."""

    def __init__(
        self,
        *,
        owner: int,
        database: Database,
        ids: Ids,
        clock: Clock,
        carrier: Carrier,
        policy: Policy,
        pacing: Pacing,
        may_write: Callable[[], bool],
        finished: Callable[[Iterable[tuple[int, int]]], None],
        disowned: Callable[[], None],
    ) -> None:
        self.carrier = carrier
        self.pacing = pacing
        self.owner = owner
        self._database = database
        self._ids = ids
        self._clock = clock
        self._policy = policy
        self._may_write = may_write
        self._finished = finished
        self._disowned = disowned
        self._works: dict[Key, Work] = {}
        self._event = asyncio.Event()
        self.arrivals = Arrivals(carrier, clock, pacing, self._until, self._event.set)
        """What the link tells goes there."""
        self._maybe_work = True
        self._limit = FEW_BATCHES
        self._next_claim = 0.0
        self._marking = 0
        """Segments that the trip under way may mark: they have no slot or token yet, and are nobody else's."""
        self._held = Held(self._early, self._send)
        self._reserved = 0
        self._reserved_at = 0.0
        self._credit = 0
        """Room that was found in this turn of the event loop and may still be reserved in it."""
        self._first_pending: float | None = None
        self._begun = self._ended = 0
        """Trips, whether or not there was anything to do."""
        self._retry_numbers: list[int] = []
        self._stopping = False
        self.resting = False
        """The carrier is paused: nothing new is marked, what is marked is finished, batches go back."""
        self._task: asyncio.Task[None] | None = None
        self.link: Link | None = None
        self.problem: str | None = None

    @property
    def answered(self) -> Counter[str]:
        """Messages by what became of them, as in the metric `cooee_submit_total`."""
        return self.arrivals.answered

    def _until(self, now: int) -> int | None:
        return None if self._policy.wait_ms is None else now + self._policy.wait_ms

    # --- life ----------------------------------------------------------------------------------------------

    def start(self, link: Link) -> None:
        """Begins to work on `link`, which must report to this worker."""
        self.link = link
        self.arrivals.name = link.name
        link.start()
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"worker {link.name}")

    def wake(self) -> None:
        """There may be work, or room, or answers."""
        self._maybe_work = True
        self._event.set()

    async def stop(self, deadline_s: float) -> None:
        """No new marks; what is out is answered, or recorded as uncertain at the deadline; batches go back, and
        what is held is recorded as not sent."""
        self._stopping = True
        self._credit = 0
        self._held.let_go()
        self._event.set()
        if self.link is not None:
            await self.link.close(deadline_s)
        self._event.set()
        if self._task is not None:
            try:
                async with asyncio.timeout(5):
                    await self._task
            except TimeoutError:
                self._task.cancel()
                log.error("worker_stuck", link=self._name, batches=len(self._works))
        if self._works or self.arrivals.has_late:
            # The store was away: these batches stay out under our name until we take over from ourselves.
            self._disowned()

    # --- fresh messages ------------------------------------------------------------------------------------

    def reserve(self, segments: int) -> bool:
        """Keeps room for a message that is being accepted in this process; False when there is none.

        Where a campaign takes every token of a bind with a limit, a few messages go ahead of it.
        """
        if self._credit < segments:
            if not self._may_go():
                return False
            self._credit = self._room(SLICE)
            if self._credit >= segments:
                asyncio.get_running_loop().call_soon(self._end_credit)
            elif self._slots() >= segments and self.pacing.may_go_ahead(segments):
                self._credit = segments
            else:
                self._credit = 0
                return False
            self._reserved_at = self._clock.monotonic()
        self._credit -= segments
        self.pacing.take(segments)
        self._reserved += segments
        return True

    def _end_credit(self) -> None:
        self._credit = 0

    def release(self, segments: int) -> None:
        """See `service.campaigns.FreshSlot`."""
        self._reserved = max(0, self._reserved - segments)
        self.pacing.take(-segments)

    def adopt(self, claims: Sequence[Claimed]) -> None:
        """See `service.campaigns.FreshSlot`: marked batches that were born ours."""
        now = self._clock.now_ms()
        orders: list[Order] = []
        sizes: list[int] = []
        for claimed in claims:
            work = self._begin(claimed, now, self._policy.max_age_ms)
            segments = len(claimed.numbers) * work.parts
            self._reserved = max(0, self._reserved - segments)
            work.open = segments
            sizes.append(segments)
            orders.append(Order(work.prepared, claimed.numbers, None, Slip(work, range(len(claimed.numbers)))))
        if (self._held.segments or self._early(0)) and not self._stopping:
            self._held.hold(orders, sizes)
        else:
            self._send(orders)
        if self._task is None or self._task.done():
            # This bind was closed while they were committed: nobody is left to record that they were not sent.
            self._disowned()

    def _early(self, behind: int) -> float:
        """Seconds until what has so many segments behind it may leave. Those have taken their tokens already, and
        so has what is still being accepted; the trip under way will take some."""
        return self.pacing.early(self._marking - behind - self._reserved)

    def _may_go(self) -> bool:
        return self.link is not None and not self._stopping and not self.resting and self._may_write()

    def _promised(self) -> bool:
        """Room was reserved a moment ago: the message may still be committed, and then it is this worker's."""
        return self._reserved > 0 and self._clock.monotonic() - self._reserved_at < PROMISE_S

    def _room(self, limit: int) -> int:
        """Segments that may be marked now, besides what is reserved."""
        if self._reserved and self._clock.monotonic() - self._reserved_at > RESERVED_S:
            self._reserved = 0  # whoever asked has gone
        return self.pacing.room(min(limit, self._slots()))

    def _slots(self) -> int:
        """Of the window, what is neither used nor promised."""
        return 0 if self.link is None else self.link.free - self._reserved - self._marking - self._held.segments

    @property
    def failure(self) -> BaseException | None:
        """What ended this worker, if it ended by a fault."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            return self._task.exception()
        return None

    async def recorded(self, deadline_s: float) -> None:
        """Waits until every answer that has arrived by now is recorded, or for so long at most."""
        begun = self._begun
        until = self._clock.monotonic() + deadline_s
        while self._ended <= begun and self._clock.monotonic() < until:
            if self._begun == self._ended and not self._has_news():
                return
            await asyncio.sleep(0.005)

    async def _run(self) -> None:
        backoff = 0.1
        while True:
            if not self._stopping:
                await self._rest()
            ask: Trip | None = None
            try:
                self._begun += 1
                ask = await self._plan()
                if ask is None:
                    self._ended = self._begun
                    if self._stopping and not (self._works or self.arrivals.has_late or self._promised()):
                        return
                    if self._stopping:
                        await self._pause(0.02)
                    continue
                await self._make(ask)
                self._ended = self._begun
                self.problem = None
                backoff = 0.1
            except CooeeError as error:
                self.problem = str(error)
                log.warning("trip_failed", link=self._name, reason=str(error))
                if ask is not None and isinstance(error, CommitUnknown):
                    self._disown(ask)
                elif ask is not None:
                    self._put_back(ask)
                self._marking = 0
                await self._pause(backoff)
                backoff = min(5.0, backoff * 2)
                if self._stopping and backoff > 1:
                    return

    @property
    def _name(self) -> str:
        return self.link.name if self.link is not None else self.carrier.name

    async def _pause(self, seconds: float) -> None:
        self._event.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            pass

    async def _rest(self) -> None:
        """Until there is something to do."""
        gathered = False
        while not self._stopping:
            link = self.link
            room = self._room(SLICE) if self._may_go() else 0
            marks = any(w.left and not w.stop_marking for w in self._works.values())
            if room > 0 and link is not None and (marks or self._maybe_work):
                early = 0.0 if marks else self._next_claim - self._clock.monotonic()
                if early > 0:
                    # Not woken by each message that is accepted meanwhile: that is the point.
                    await asyncio.sleep(early)
                    continue
                if gathered or room * 4 >= min(link.size, SLICE) or not self._busy():
                    return
                gathered = True
                await self._pause(GATHER_S)
                continue
            wait = POLL_S
            if self._has_news():
                since = self._first_pending
                if since is None:
                    since = self._first_pending = self._clock.monotonic()
                wait = RECORD_AFTER_S - (self._clock.monotonic() - since)
                if wait <= 0:
                    return
            tokens = self.pacing.wait()
            if tokens:
                wait = min(wait, max(0.005, tokens))
            before = self._clock.monotonic()
            await self._pause(wait)
            if self._clock.monotonic() - before >= POLL_S * 0.9:
                self._maybe_work = True

    def _busy(self) -> bool:
        return any(work.open for work in self._works.values())

    def _has_news(self) -> bool:
        if self.arrivals.has_news:
            return True
        return any(
            work.pending or work.recorded == len(work.claim.numbers) or (self.resting and not work.open)
            for work in self._works.values()
        )

    # --- a trip --------------------------------------------------------------------------------------------

    async def _plan(self) -> Trip | None:
        """What the next trip asks for; None when there is nothing."""
        now = self._clock.now_ms()
        self.arrivals.take(now)
        if not await self.arrivals.record_late(self._database):
            await self._pause(0.5)
        self._first_pending = None
        # A bind that is cut while ids are fetched makes more of them needed: so it is asked again.
        while len(self._retry_numbers) < sum(1 for work in self._works.values() if work.pending.refused):
            self._retry_numbers += await self._ids.take("batch", 100)
        self._credit = 0
        room = self._room(SLICE) if self._may_go() else 0
        steps: list[Step] = []
        marked = 0
        for work in list(self._works.values()):
            numbers: Sequence[int] = ()
            if work.left and not work.stop_marking and room > marked:
                count = min(work.left, (room - marked) // work.parts or (0 if marked else 1))
                numbers = work.claim.numbers[work.marked : work.marked + count]
                marked += count * work.parts
            work.advance()
            gives_back = (self._stopping or self.resting or work.stop_marking) and not work.open
            if not (numbers or work.pending or gives_back or work.recorded == len(work.claim.numbers)):
                continue
            retry_no = self._retry_numbers.pop() if work.pending.refused else 0
            steps.append(work.step(numbers, retry_no, gives_back))
        claim_room = room - marked if self._maybe_work and room > marked else 0
        if not steps and not claim_room:
            return None
        self._marking = marked + claim_room
        return Trip(
            owner=self.owner,
            carrier_id=self.carrier.id,
            now=now,
            max_age_ms=self._policy.max_age_ms,
            steps=steps,
            room=claim_room,
            limit=self._limit,
        )

    async def _make(self, ask: Trip) -> None:
        outcome = await self._database.write(lambda tx: dispatch.trip(tx, ask), Lane.ENGINE)
        self._apply(ask, outcome)
        refs = [ref for step in ask.steps for ref in step.refs]
        try:
            await rejoin(self._database, self.carrier.id, refs, ask.now)
        except CooeeError as error:
            # The trip is committed all the same; the sweep looks again.
            log.warning("rejoin_failed", link=self._name, reason=str(error))

    def _apply(self, ask: Trip, outcome: Outcome) -> None:
        self._marking = 0
        if ask.room:
            got = len(outcome.claimed) + outcome.set_aside
            self._maybe_work = got > 0
            # The claim reads as many batches as it may take: few while they are large, many while they are small.
            self._limit = min(MOST_BATCHES, ask.limit * 4) if got >= ask.limit else max(FEW_BATCHES, got * 2)
            full = got >= ask.limit or any(claimed.marked < len(claimed.numbers) for claimed in outcome.claimed)
            self._next_claim = self._clock.monotonic() + (0.0 if full else CLAIM_EVERY_S)
        if outcome.washed:
            WASHED.inc(outcome.washed)
        for key in outcome.refused:
            self._works[key].stop_marking = True
        for key in outcome.lost:
            log.warning("batch_lost", link=self._name, campaign=key[1], batch=key[2])
            self._drop(key)
        if outcome.given_up:
            self._finished([key[:2] for key in outcome.given_up])
        for claimed in outcome.claimed:
            self._begin(claimed, ask.now, ask.max_age_ms)
        orders: list[Order] = []
        for grant in outcome.grants:
            granted = self._works.get(grant.key)
            if granted is not None and (order := self._order(granted, grant)) is not None:
                orders.append(order)
        if orders:
            self._send(orders)
        self._let_go(ask)

    def _begin(self, claimed: Claimed, now: int, max_age_ms: int) -> Work:
        prepared, parts = self._prepare(claimed)
        work = self._works[claimed.key] = Work(claimed, prepared, parts, now, max_age_ms)
        return work

    def _prepare(self, claimed: Claimed) -> tuple[object, int]:
        validity = self._policy.max_age_ms // 1000
        if claimed.remains_ms is not None:
            # In whole quarters of an hour, so that retries of many batches share a template.
            validity = max(60, claimed.remains_ms // 900_000 * 900)
        # Only parts carry a reference: without it, all campaigns with the same text share a template.
        reference = claimed.concat_ref if claimed.segments > 1 else 0
        return self.carrier.prepare(Outgoing(claimed.originator, claimed.body, reference, validity))

    def _order(self, work: Work, grant: Grant) -> Order | None:
        """What a grant comes to on the wire; None when all of it was washed or settled."""
        work.marked = grant.stop
        positions: Sequence[int] = range(grant.start, grant.stop)
        numbers = work.claim.numbers
        destinations: Sequence[int] = numbers[grant.start : grant.stop]
        if grant.skip:
            for at in grant.skip:
                work.settle(at)
            positions = [at for at in positions if at not in grant.skip]
            destinations = [numbers[at] for at in positions]
        if not positions:
            work.advance()
            self._event.set()
            return None
        wanted: list[list[int]] | None = None
        segments = len(positions) * work.parts
        if grant.accepted:
            wanted = [
                [part for part in range(work.parts) if not grant.accepted.get(at, 0) >> part & 1]
                for at in positions
            ]
            segments = sum(map(len, wanted))
            self.arrivals.expect(work, positions, wanted, grant.accepted)
        work.open += segments
        self.pacing.take(segments)
        return Order(work.prepared, destinations, wanted, Slip(work, positions))

    def _send(self, orders: Sequence[Order]) -> None:
        link = self.link
        if link is not None and self._may_write() and not self._stopping:
            link.send(orders)
            return
        self.arrivals.never_written(orders)

    def _let_go(self, ask: Trip) -> None:
        """Forgets batches that the trip finished or gave back."""
        done: list[tuple[int, int]] = []
        for step in ask.steps:
            work = self._works.get(step.key)
            if work is None:
                continue
            if step.recorded == step.size:
                done.append(step.key[:2])
                del self._works[step.key]
            elif not step.in_flight and (step.release or work.stop_marking) and work.marked == step.marked:
                del self._works[step.key]
        if done:
            self._finished(done)

    # --- when a trip fails ---------------------------------------------------------------------------------

    def _put_back(self, ask: Trip) -> None:
        """Nothing was written, for certain: the next trip asks again."""
        for step in ask.steps:
            work = self._works.get(step.key)
            if work is not None:
                work.pending.put_back(step)

    def _disown(self, ask: Trip) -> None:
        """Nobody knows whether the trip was written: its batches are taken over from ourselves, and what we know
        of their answers is recorded as late."""
        for step in ask.steps:
            self._drop(step.key)
            rows = [row for row in step.rows if row[3] > 2]
            if rows or step.refs:
                self.arrivals.keep_late(rows, step.refs)
        self._disowned()

    def _drop(self, key: Key) -> None:
        work = self._works.pop(key, None)
        if work is not None:
            work.disowned = True
