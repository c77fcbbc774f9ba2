"""Engines remove old rows by themselves, at their times, and whoever commits beside that keeps the pace."""

from __future__ import annotations

import asyncio
import statistics
import time
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cooee.engine.retention import FIRST_S, RUN_S, TIDY_S, Keeper
from cooee.model.campaign import BatchState, CampaignState
from cooee.model.clock import DAY, HOUR, SystemClock
from cooee.model.errors import StoreUnavailable
from cooee.service.keeping import Keep
from cooee.service.retention import Retention
from cooee.store.database import Lane, Row, Tx
from tests.engine.support_engine import whole
from tests.engine.support_link import Flaky, until
from tests.service.support_retention import KEEP, ids_of, later, reply, sent
from tests.store.support_store import FIRST, World, world


@asynccontextmanager
async def keeper(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[World, Flaky]]:
    """A keeper at work by the world's clock."""
    monkeypatch.setattr("cooee.engine.retention.TICK_S", 0.01)
    async with world(url) as made:
        database = Flaky(made.database)
        task = asyncio.create_task(Keeper(database, made.clock, KEEP).run())
        try:
            yield made, database
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def key(made: World, name: str, age_ms: int) -> None:
    await made.sql(
        f"INSERT INTO idempotency VALUES ({made.account_id}, '{name}', '', '', {made.clock.now_ms() - age_ms})"
    )


async def gone(made: World, table: str) -> None:
    async def none() -> bool:
        return await made.rows(f"SELECT COUNT(*) FROM {table}") == [(0,)]

    await until(none)


def test_small_tables_every_minute_and_the_rest_after_a_while(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with keeper(database_url, monkeypatch) as (made, _):
            old = await sent(made, 1)
            await reply(made, 1)
            await key(made, "a", 25 * HOUR)
            made.clock.jump(100 * 86400)
            made.clock.advance(TIDY_S + 1)
            await gone(made, "idempotency")
            assert await ids_of(made, "campaign") == [old.id]
            assert await ids_of(made, "reply") == [1]
            made.clock.advance(FIRST_S)
            await gone(made, "campaign")
            await gone(made, "reply")
            await reply(made, 2)
            made.clock.jump(100 * 86400)
            made.clock.advance(RUN_S)
            await gone(made, "reply")

    asyncio.run(main())


def test_a_database_that_is_away_is_tried_again(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with keeper(database_url, monkeypatch) as (made, database):
            await sent(made, 1)
            database.away = StoreUnavailable("away")
            later(made, 40)
            await asyncio.sleep(0.1)
            assert len(await ids_of(made, "campaign")) == 1
            database.away = None
            made.clock.advance(FIRST_S + 1)
            await gone(made, "campaign")

    asyncio.run(main())


def test_an_engine_keeps_rows_as_long_as_it_is_told(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default 400 days, by the engine's own clock."""
    monkeypatch.setattr("cooee.engine.retention.TICK_S", 0.01)

    async def main() -> None:
        async with whole(database_url) as it:
            await reply(it.world, 1)
            it.clock.jump(399 * 86400)
            await reply(it.world, 2)
            it.clock.advance(FIRST_S + 1)
            await asyncio.sleep(0.3)
            assert await ids_of(it.world, "reply") == [1, 2]
            it.clock.jump(2 * 86400)
            it.clock.advance(RUN_S + 1)

            async def first_gone() -> bool:
                return await ids_of(it.world, "reply") == [2]

            await until(first_gone)

    asyncio.run(main())


OLD = 60_000


async def fill(made: World) -> None:
    """OLD old messages: half of them of one large campaign, half of single ones."""
    at = made.clock.now_ms() - 100 * DAY
    sizes = [OLD // 2] + [1] * (OLD // 2)
    ids = list(await made.ids.take("campaign", len(sizes)))
    a, k = made.account_id, made.carrier_id
    for first in range(0, len(sizes), 10_000):
        piece = list(zip(ids, sizes, strict=True))[first : first + 10_000]
        campaigns: list[Row] = [
            (a, no, CampaignState.FINISHED, "61411", "x", 0, 1, 0, None, None, None, at, size, size, 1, 0, 0, 0)
            for no, size in piece
        ]
        batches: list[Row] = [
            (a, no, start, k, 0, BatchState.DONE, 1, min(500, size), 1, 0, None, at, at, None, min(500, size),
             array("q", range(FIRST + start, FIRST + start + min(500, size))).tobytes())
            for no, size in piece
            for start in range(0, size, 500)
        ]  # fmt: skip
        messages: list[Row] = [
            (a, no, FIRST + n, 7, 1, 1, 1, 0, 1, at, None, 0, None) for no, size in piece for n in range(size)
        ]

        async def write(
            tx: Tx, campaigns: Any = campaigns, batches: Any = batches, messages: Any = messages
        ) -> None:
            await tx.many("add_campaigns", campaigns, now=at)
            await tx.many("add_batches", batches)
            await tx.many("record", messages, carrier_id=k, now=at)

        await made.write(write, Lane.BULK)
    await made.sql(f"UPDATE campaign SET finished_at = {at}")


def test_who_commits_beside_a_run_keeps_the_pace(tmp_path: Path) -> None:
    """On SQLite, where there is one writer. Medians, for a busy machine stops every thread now and then;
    docs/decisions/measures/retention.py does the same with a million and shows the rest."""

    async def main() -> None:
        async with world(f"sqlite:///{tmp_path / 'c.db'}") as made:
            await fill(made)
            held: list[float] = []
            took: list[float] = []
            over = asyncio.Event()

            class Watched(Retention):
                async def _write(self, operation: Any) -> Any:
                    async def timed(tx: Tx) -> Any:
                        started = time.perf_counter()
                        answer = await operation(tx)
                        held.append(time.perf_counter() - started)
                        return answer

                    return await super()._write(timed)

            async def traffic() -> None:
                number = 0
                while not over.is_set():
                    number += 1
                    started = time.perf_counter()
                    await made.sql(f"INSERT INTO meta VALUES ('m{number}', '')")
                    took.append(time.perf_counter() - started)
                    await asyncio.sleep(0.01)

            working = asyncio.create_task(traffic())
            lines = await Watched(made.database, SystemClockOf(made), Keep(30, 30)).run()
            over.set()
            await working
            assert {line.table: line.rows for line in lines}["message"] == OLD
            assert await made.rows("SELECT COUNT(*) FROM message") == [(0,)]
            assert len(held) > OLD // 2 // 1000
            assert statistics.quantiles(held, n=20)[-1] < 0.02
            assert len(took) > 20
            assert statistics.median(took) < 0.02

    asyncio.run(main())


class SystemClockOf(SystemClock):
    """The world's date, and the machine's seconds: the pauses are real ones."""

    def __init__(self, made: World) -> None:
        self._made = made

    def now_ms(self) -> int:
        return self._made.clock.now_ms()
