"""The binds of this engine: opened, paced and closed as carriers, leases and peers change."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from cooee.carriers.base import Answer, Carrier, Link, Segment, Slice
from cooee.engine.membership import Membership
from cooee.engine.pacing import Pacing
from cooee.engine.worker import Worker
from cooee.model.carrier import CarrierRow, CarrierState
from cooee.model.clock import HOUR, SECOND, Clock
from cooee.model.live import BindLive, CarrierLive
from cooee.model.metrics import BINDS, IN_FLIGHT
from cooee.service.inbound import Inbound, ReplyIntake
from cooee.service.receipts import ReceiptIntake
from cooee.smpp.mo import Mo
from cooee.smpp.receipt import Receipt
from cooee.store.database import Database
from cooee.store.ids import Ids
from cooee.store.uncertain import Policy

log = structlog.get_logger()

CATCH_UP_S = 0.5
"""How long a reply waits at most for the recording of what it may answer."""

MakeCarrier = Callable[[CarrierRow], Carrier]

RATE_S = 10.0
"""The rate that is shown is that of so many seconds."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a carrier does where its own settings are silent."""

    uncertain_wait_s: float
    max_age_h: float


@dataclass(slots=True)
class Lane:
    """One carrier as this engine runs it. `links` holds what is up or coming up, by bind number."""

    row: CarrierRow
    carrier: Carrier
    intake: ReceiptIntake
    replies: ReplyIntake
    workers: dict[int, Worker] = field(default_factory=dict)
    links: dict[int, Link] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)
    """What the workers of binds that are closed had answered."""
    samples: deque[tuple[float, int]] = field(default_factory=deque)
    """(monotonic time, messages answered by then) of the last RATE_S."""

    def answered(self) -> Counter[str]:
        """Messages by outcome since this engine began with the carrier."""
        return sum((worker.answered for worker in self.workers.values()), Counter(self.ended))

    def sample(self, now: float) -> float:
        """Messages a second over the last RATE_S."""
        self.samples.append((now, self.answered().total()))
        while len(self.samples) > 2 and now - self.samples[1][0] >= RATE_S:
            self.samples.popleft()
        (then, before), (_, total) = self.samples[0], self.samples[-1]
        return (total - before) / (now - then) if now > then else 0.0

    async def caught_up(self) -> None:
        """Waits until the answers that came before now are recorded: a handset may reply at once."""
        await asyncio.gather(*(worker.recorded(CATCH_UP_S) for worker in self.workers.values()))

    async def idle(self) -> None:
        """Waits until what came in is answered."""
        await self.intake.idle()
        await self.replies.idle()

    async def close(self) -> None:
        """The same, once all links are closed."""
        await self.intake.idle()
        await self.replies.close()


class Events:
    """What the links of one carrier report, passed to the worker or the intake that it concerns."""

    def __init__(self, intake: ReceiptIntake, replies: ReplyIntake) -> None:
        self._intake = intake
        self._replies = replies
        self.worker: Worker | None = None

    def answers(self, link: Link, slices: Sequence[Slice]) -> None:
        """See `carriers.base.LinkEvents`."""
        if self.worker is not None:
            self.worker.arrivals.answers(slices)

    def lost(
        self, link: Link, what: Slice, unsure: Sequence[Segment], unsent: Sequence[Segment], reason: str
    ) -> None:
        """See `carriers.base.LinkEvents`."""
        if self.worker is not None:
            self.worker.arrivals.lost(what, unsure, unsent, reason)

    def late(self, link: Link, what: Slice, answers: Sequence[Answer]) -> None:
        """See `carriers.base.LinkEvents`."""
        if self.worker is not None:
            self.worker.arrivals.late(what, answers)

    def receipts(self, link: Link, receipts: Sequence[Receipt], done: Callable[[bool], None]) -> None:
        """See `carriers.base.LinkEvents`."""
        self._intake.take(receipts, done)

    def messages(self, link: Link, messages: Sequence[Mo], done: Callable[[bool], None]) -> None:
        """See `carriers.base.LinkEvents`."""
        self._replies.take(link, messages, done)

    def state(self, link: Link, up: bool, reason: str) -> None:
        """See `carriers.base.LinkEvents`."""
        if up and self.worker is not None:
            self.worker.wake()


class Fleet:
    """Every bind that this engine holds."""

    def __init__(
        self,
        database: Database,
        ids: Ids,
        clock: Clock,
        membership: Membership,
        make: MakeCarrier,
        defaults: Defaults,
        inbound: Inbound,
        finished: Callable[[Iterable[tuple[int, int]]], None],
        changed: Callable[[set[tuple[int, int]]], None],
        disowned: Callable[[], None],
        keeps_receipts: bool,
    ) -> None:
        self._database = database
        self._ids = ids
        self._clock = clock
        self._membership = membership
        self._make = make
        self._defaults = defaults
        self._inbound = inbound
        self._finished = finished
        self._changed = changed
        self._disowned = disowned
        self._keeps = keeps_receipts
        self._lanes: dict[int, Lane] = {}
        self._policies: dict[int, Policy] = {}
        self._stop_deadline_s = 10.0

    # --- what others ask -----------------------------------------------------------------------------------

    def policy(self, carrier_id: int | None) -> Policy:
        """A carrier's policy about uncertain recipients; the defaults for one that is unknown."""
        known = self._policies.get(carrier_id) if carrier_id is not None else None
        return known or Policy(
            round(self._defaults.uncertain_wait_s * SECOND), round(self._defaults.max_age_h * HOUR)
        )

    def wake(self) -> None:
        """There may be something to send."""
        for lane in self._lanes.values():
            for worker in lane.workers.values():
                worker.wake()

    def reserve(self, carrier_id: int, segments: int) -> Worker | None:
        """Room on one of a carrier's binds, for a message that is being accepted in this process."""
        lane = self._lanes.get(carrier_id)
        if lane is None:
            return None
        for worker in lane.workers.values():
            if worker.reserve(segments):
                return worker
        return None

    def problems(self) -> list[str]:
        """What keeps messages from going out, a sentence each; empty when all is well."""
        found = []
        for lane in self._lanes.values():
            if lane.row.state is not CarrierState.ACTIVE:
                continue
            down = [link for link in lane.links.values() if not link.up]
            if lane.links and len(down) == len(lane.links):
                found.append(f"carrier {lane.row.name} is not bound: {down[0].reason}")
            found += [f"{w.carrier.name}: {w.problem}" for w in lane.workers.values() if w.problem]
        return found

    def live(self) -> dict[int, CarrierLive]:
        """What a page shows of each carrier."""
        found = {}
        for carrier_id, lane in self._lanes.items():
            binds = [
                BindLive(no, link.up, link.reason, link.size - link.free if link.up else 0, link.size)
                for no, link in sorted(lane.links.items())
            ]
            problems = [worker.problem for worker in lane.workers.values() if worker.problem]
            found[carrier_id] = CarrierLive(
                tuple(binds), lane.sample(self._clock.monotonic()), dict(lane.answered()), tuple(problems)
            )
        return found

    def measure(self) -> None:
        """Sets the gauges, and notes what the rates are reckoned from."""
        now = self._clock.monotonic()
        for lane in self._lanes.values():
            lane.sample(now)
            BINDS.labels(lane.row.name).set(sum(link.up for link in lane.links.values()))
            used = sum(link.size - link.free for link in lane.links.values() if link.up)
            IN_FLIGHT.labels(lane.row.name).set(used)

    # --- following the carriers ----------------------------------------------------------------------------

    def know(self, row: CarrierRow) -> None:
        """Takes note of a carrier's policy."""
        settings = row.smpp
        wait = settings.uncertain_wait_s
        wait_s = self._defaults.uncertain_wait_s if wait is None else wait
        age_h = settings.max_age_h or self._defaults.max_age_h
        hold = settings.on_uncertain == "hold"
        self._policies[row.id] = Policy(None if hold else round(wait_s * SECOND), round(age_h * HOUR))

    async def follow(self, rows: Mapping[int, CarrierRow]) -> None:
        """Opens, closes and re-paces binds so that they fit the carriers and our leases."""
        for row in rows.values():
            self.know(row)
        live = {row.id: row for row in rows.values() if row.state is not CarrierState.REMOVED}
        for carrier_id, lane in list(self._lanes.items()):
            row_now = live.get(carrier_id)
            if row_now is None or _needs_new_binds(lane.row, row_now):
                await self._close_lane(lane)
            else:
                lane.row = row_now
        leases = await self._membership.lease({row.id: row.binds for row in live.values()})
        for carrier_id, row in live.items():
            await self._fit(row, leases.get(carrier_id, []))

    async def _fit(self, row: CarrierRow, binds: Sequence[int]) -> None:
        lane = self._lanes.get(row.id)
        if lane is None:
            try:
                carrier = self._make(row)
            except Exception as error:
                log.error("carrier_unusable", carrier=row.name, reason=str(error))
                return
            intake = ReceiptIntake(
                self._database,
                self._clock,
                row.id,
                row.name,
                row.smpp.codes,
                self._changed,
                keeps=self._keeps,
            )
            lane = self._lanes[row.id] = Lane(row, carrier, intake, self._inbound.intake(row.id, row.name))
            lane.replies.caught_up = lane.caught_up
        for no in set(lane.links) - set(binds):
            await self._close_bind(lane, no)
        for no in set(binds) - set(lane.links):
            self._open_bind(lane, no)
        active = row.state is CarrierState.ACTIVE
        share = row.tps / row.binds if row.tps else 0.0
        for no, worker in lane.workers.items():
            worker.pacing.share(share)
            worker.resting = not active
            if worker.failure is not None:
                raise worker.failure
            if active and lane.links[no].up:
                worker.wake()

    def _open_bind(self, lane: Lane, no: int) -> None:
        events = Events(lane.intake, lane.replies)
        link = lane.carrier.link(no, events)
        worker = Worker(
            owner=self._membership.id,
            database=self._database,
            ids=self._ids,
            clock=self._clock,
            carrier=lane.carrier,
            policy=self.policy(lane.row.id),
            pacing=Pacing(self._clock, lane.row.tps / lane.row.binds if lane.row.tps else 0.0),
            may_write=self._membership.may_write,
            finished=self._finished,
            disowned=self._disowned,
        )
        events.worker = worker
        lane.links[no] = link
        lane.workers[no] = worker
        worker.start(link)

    async def _close_bind(self, lane: Lane, no: int) -> None:
        await lane.workers[no].stop(self._stop_deadline_s)
        await lane.idle()
        lane.ended += lane.workers[no].answered
        del lane.workers[no], lane.links[no]
        await self._membership.release(lane.row.id, no)

    async def _close_lane(self, lane: Lane) -> None:
        await asyncio.gather(*(worker.stop(self._stop_deadline_s) for worker in lane.workers.values()))
        await lane.close()
        for no in list(lane.links):
            await self._membership.release(lane.row.id, no)
        BINDS.labels(lane.row.name).set(0)
        self._lanes.pop(lane.row.id, None)

    async def stop(self, deadline_s: float) -> None:
        """Every bind: no new marks, answers awaited until the deadline, the rest uncertain, unbound."""
        lanes = list(self._lanes.values())
        await asyncio.gather(
            *(worker.stop(deadline_s) for lane in lanes for worker in lane.workers.values()),
            return_exceptions=True,
        )
        for lane in lanes:
            await lane.close()
        await self._inbound.close()
        self._lanes.clear()


def _needs_new_binds(old: CarrierRow, new: CarrierRow) -> bool:
    """Whether a change of a carrier can only be followed with new connections."""
    return (old.kind, old.settings, old.secret) != (new.kind, new.settings, new.secret) and not _only_tps(old, new)


def _only_tps(old: CarrierRow, new: CarrierRow) -> bool:
    def rest(row: CarrierRow) -> dict[str, object]:
        return {name: value for name, value in row.settings.items() if name not in ("tps", "binds")}

    return old.kind == new.kind and old.secret == new.secret and rest(old) == rest(new)
