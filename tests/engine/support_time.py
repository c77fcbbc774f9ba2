"""The API and an engine on one store, by a clock that stands where a test puts it; the test plays the carrier."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from cooee.engine.fleet import Defaults
from cooee.engine.supervisor import Engine
from cooee.model.carrier import CarrierRow
from cooee.model.clock import ManualClock, zone
from cooee.service.routing import Routes
from cooee.service.settings import read_window
from cooee.smpp.receipt import Receipt, ReceiptState
from cooee.store import carriers
from cooee.store.ids import Ids
from cooee.store.sqlite import SqliteDatabase
from tests.api.support_api import Client, Server
from tests.engine.support_link import FakeCarrier, Reply, RunningClock, accept, until
from tests.store.support_store import MAX_AGE, WAIT, raw

_firsts = itertools.count(61400100000, 1000)


class StandingClock(RunningClock):
    """The wall clock stands still; the other one runs, so that timers do."""

    def now_ms(self) -> int:
        return ManualClock.now_ms(self)

    def put(self, ms: int) -> None:
        """The wall clock shows that instant."""
        self._now_ms = ms
        self._monotonic += 1.0

    def tick(self, seconds: float = 0.55) -> None:
        """Time passes; by default enough for what comes round every half second."""
        self._monotonic += seconds


@dataclass
class Site:
    """A server, an engine and its carrier."""

    server: Server
    clock: StandingClock
    engine: Engine
    carrier: FakeCarrier
    faults: list[BaseException] = field(default_factory=list)

    def play(self, zone_name: str, window: str | None, **settings: Any) -> Play:
        """A new account in that zone with that send window, such as `08:00-21:00`."""
        self.carrier.reply = accept
        it = Play(self, self.server.account(zone=zone_name, **settings), zone_name)
        if window is not None:
            it.window(window)
        return it


@dataclass
class Play:
    """One account at work. Every method is something that a client, an operator or the carrier does."""

    site: Site
    client: Client
    zone_name: str
    """Local times of the test are told in this one, whatever the account's is later."""
    campaign: int = 0
    answer: dict[str, Any] = field(default_factory=dict)
    first: int = field(default_factory=lambda: next(_firsts))

    def __post_init__(self) -> None:
        self.start = len(self.site.carrier.sent)

    # --- the clock -----------------------------------------------------------------------------------------

    def at(self, local: str) -> int:
        """The instant of a local time; the second of two with a "+"."""
        moment = datetime.fromisoformat(local.removesuffix("+"))
        where = zone(self.zone_name)
        return round(moment.replace(tzinfo=where, fold=int(local.endswith("+"))).timestamp()) * 1000

    def go(self, local: str) -> None:
        """It is that time now."""
        self.site.clock.put(self.at(local))

    def look(self) -> None:
        """Whatever the engine does now by itself, it has done."""
        self.site.server.run(self._look())

    async def _look(self) -> None:
        scheduler = self.site.engine._scheduler
        # The first of the two rounds may have begun before.
        for _ in range(2):
            self.site.clock.tick()
            over = asyncio.Event()

            async def round_over(over: asyncio.Event = over) -> None:
                over.set()

            last = ("round", 0.0, round_over)
            scheduler._duties = (*(each for each in scheduler._duties if each[0] != "round"), last)
            scheduler.wake()
            await over.wait()
        lanes = self.site.engine._fleet._lanes.values()
        workers = [worker for lane in lanes for worker in lane.workers.values()]
        for worker in workers:
            worker.wake()
        await until(lambda: not any(w._maybe_work and w._room(1) for w in workers), every=0.002)

    # --- the client ----------------------------------------------------------------------------------------

    def create(self, count: int = 1, **changes: Any) -> None:
        self.answer = self.client.create(
            Destinations=[str(self.first + at) for at in range(count)], **changes
        ).json
        assert self.answer["Code"] == 0, self.answer
        self.campaign = self.answer["CampaignId"]

    def act(self, action: str, **more: Any) -> dict[str, Any]:
        body = {"Action": action, "CampaignId": self.campaign, **more}
        answer: dict[str, Any] = self.client.post("/api/campaign", body).json
        return answer

    def did(self, action: str, **more: Any) -> None:
        """An action that must succeed."""
        assert self.act(action, **more)["Code"] == 0

    @property
    def word(self) -> str:
        return str(self.act("status")["Message"])

    def report(self) -> list[tuple[str, int, int]]:
        """DRStatus: (TimeStamp, DeliveryReceiptStatusId, Code) each."""
        answer = self.client.post("/api/DRStatus", {"CampaignId": self.campaign}).json
        return [
            (row["TimeStamp"], row["Status"]["DeliveryReceiptStatusId"], row["Status"]["Code"])
            for row in answer["Destinations"]
        ]

    # --- the operator --------------------------------------------------------------------------------------

    def moves(self, zone_name: str) -> None:
        """The account's zone is another now."""
        self.site.server.run(self.site.server.accounts.set(self.client.name, zone=zone_name))

    def window(self, text: str | None) -> None:
        """Its send window is another now."""
        change = self.site.server.accounts.set(self.client.name, window=read_window(text or "none"))
        self.site.server.run(change)

    # --- the carrier ---------------------------------------------------------------------------------------

    def replies(self, reply: Reply | int | None) -> None:
        """What it says from now on: a status to all, or nothing (None)."""
        self.site.carrier.reply = (lambda destination, part: reply) if isinstance(reply, int) else reply

    def answers(self) -> None:
        """It takes what it has not answered, and whatever comes."""
        self.site.carrier.reply = accept

        async def answer() -> None:
            for link in self.site.carrier.links:
                link.answer()

        self.site.server.run(answer())

    def delivers(self) -> None:
        """A receipt for the message that it took last."""
        carrier = self.site.carrier
        done: list[bool] = []
        link = carrier.links[-1]
        receipt = Receipt(
            f"{carrier.id}-{carrier._ids}", ReceiptState.DELIVERED, "", "", str(self.first), "61400190499",
            None, b"raw",
        )  # fmt: skip

        async def say() -> None:
            link._events.receipts(link, [receipt], done.append)
            await until(lambda: done)

        self.site.server.run(say())
        assert done == [True]

    # --- what came of it -----------------------------------------------------------------------------------

    def _word_later(self) -> str:
        self.site.clock.tick(0.15)
        return self.word

    @property
    def sent(self) -> int:
        """Messages of this account's that were written, retries included."""
        return sum(self.first <= number < self.first + 1000 for number, _ in self.site.carrier.sent[self.start :])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        server = self.site.server
        return server.run(server.database.read(lambda tx: raw(tx, sql)))

    def expect(self, word: str, sent: int) -> None:
        """That is the status, and so many were written, once all is quiet."""

        async def soon(true: Callable[[], Any]) -> None:
            await until(true, 6)

        with suppress(AssertionError):
            self.site.server.run(soon(lambda: self.sent >= sent))
            self.look()
            loop_until(lambda: self._word_later() == word)
        got = (self.word, self.sent)
        assert got == (word, sent), f"{got} is not {(word, sent)}"


def loop_until(true: Callable[[], bool]) -> None:
    """Waits in the test's own thread."""

    async def wait() -> None:
        await until(true, 6)

    asyncio.run(wait())


@asynccontextmanager
async def _engine(server: Server, clock: StandingClock) -> AsyncIterator[Site]:
    database = server.database
    made: dict[int, FakeCarrier] = {}

    def make(row: CarrierRow) -> FakeCarrier:
        carrier = made[row.id] = FakeCarrier(row.id, window=5)
        return carrier

    given = {"host": "127.0.0.1", "system_id": "test", "tps": 0, "binds": 1}
    await database.write(lambda tx: carriers.insert(tx, 1, "telco", "smpp", given, "", 0))
    sqlite = isinstance(database, SqliteDatabase)
    engine = Engine(
        database=database,
        ids=Ids(database),
        clock=clock,
        secrets=None,  # type: ignore[arg-type]  # this carrier has no secret
        routes=Routes(database, clock),
        make=make,
        name="engine",
        alone=sqlite,
        defaults=Defaults(WAIT / 1000, MAX_AGE / 3_600_000),
        memory=database.memory if isinstance(database, SqliteDatabase) else None,
    )
    faults: list[BaseException] = []
    await engine.start(faults.append)
    try:
        await until(lambda: made and made[1].links)
        yield Site(server, clock, engine, made[1], faults)
    finally:
        await engine.stop(0.3)
    assert faults == []


@contextmanager
def site(url: str) -> Iterator[Site]:
    """Everything at work on a fresh store."""
    clock = StandingClock()
    with pytest.MonkeyPatch.context() as patch, Server(url, clock=clock) as server:
        patch.setattr("cooee.engine.supervisor.BEAT_S", 0.05)
        patch.setattr("cooee.engine.supervisor.FOLLOW_S", 0.1)
        patch.setattr("cooee.engine.scheduler.TICK_S", 0.02)
        patch.setattr("cooee.engine.worker.POLL_S", 0.05)
        running = _engine(server, clock)
        made = server.run(running.__aenter__())
        try:
            yield made
        finally:
            server.run(running.__aexit__(None, None, None))
