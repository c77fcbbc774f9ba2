"""On PostgreSQL whole partitions are dropped, and nobody who works on the table waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from cooee.model.clock import DAY
from cooee.service.retention import WHOLE_WAIT_MS, Elsewhere, Retention
from cooee.store import partitions
from cooee.store.database import Tx
from cooee.store.ids import Ids
from cooee.store.partitions import CAMPAIGNS
from cooee.store.retention import LOCK
from tests.service.support_retention import KEEP, counts, kept, later, left, sent
from tests.store.support_store import World, raw
from tests.support.postgres import PostgresServer

GRACE_DAYS = WHOLE_WAIT_MS / DAY


@pytest.fixture
def on_postgres(postgres: PostgresServer) -> Callable[[Callable[[World, Retention], Awaitable[None]]], None]:
    """Runs a check on a fresh PostgreSQL store."""

    def run(check: Callable[[World, Retention], Awaitable[None]]) -> None:
        url = postgres.fresh()

        async def main() -> None:
            async with kept(url) as (made, retention):
                await check(made, retention)
                await made.check_ledger()

        asyncio.run(main())

    return run


Run = Callable[[Callable[[World, Retention], Awaitable[None]]], None]


async def names(made: World, parent: str) -> set[str]:
    """Partitions that there are."""
    rows = await made.database.read(lambda tx: tx.all("partitions"))
    return {row[0] for row in rows if row[0].startswith(parent)}


async def go_on(made: World, partition: int) -> None:
    """Campaigns get ids in a later partition from now on."""
    await made.sql(f"UPDATE counter SET value = {partition * CAMPAIGNS + 1} WHERE name = 'campaign'")
    made.ids = Ids(made.database)
    await partitions.ensure(made.database, made.clock.now_ms())


def test_a_partition_in_which_all_is_old_is_dropped(on_postgres: Run) -> None:
    async def check(made: World, retention: Retention) -> None:
        old = [await sent(made, 2), await sent(made, 1200)]
        await go_on(made, 3)
        later(made, 20)
        young = await sent(made, 2)
        before = await left(made, young)
        assert await names(made, "message") == {"message_default", *(f"message_{no}" for no in range(1, 5))}
        later(made, 11)
        assert counts(await retention.plan())["campaign"] == 2
        assert counts(await retention.run())["campaign"] == 2
        assert await names(made, "message") == {"message_default", "message_3", "message_4"}
        for new in old:
            assert await left(made, new) == {}
        assert await left(made, young) == before

    on_postgres(check)


def test_old_campaigns_wait_for_the_younger_ones_beside_them_but_not_for_long(on_postgres: Run) -> None:
    async def check(made: World, retention: Retention) -> None:
        old = await sent(made, 2)
        later(made, GRACE_DAYS + 1)
        young = await sent(made, 2)
        await go_on(made, 3)
        later(made, 30 - GRACE_DAYS)
        assert counts(await retention.run()).get("campaign") is None
        later(made, GRACE_DAYS - 0.5)
        assert counts(await retention.plan())["campaign"] == 1
        assert counts(await retention.run())["campaign"] == 1
        assert await left(made, old) == {}
        assert "message" in await left(made, young)
        assert "message_1" in await names(made, "message")
        later(made, 2)
        await retention.run()
        assert await left(made, young) == {}
        assert "message_1" not in await names(made, "message")

    on_postgres(check)


def test_what_a_node_still_sends_under_an_old_id_is_safe(on_postgres: Run) -> None:
    """A node that held back a block of ids uses them long after the others went on."""

    async def check(made: World, retention: Retention) -> None:
        held_back = made.ids
        old = await sent(made, 2)
        await go_on(made, 3)
        later(made, 31)
        made.ids = held_back
        late = await sent(made, 2)
        assert late.id < 2 * CAMPAIGNS
        later(made, 8)
        assert counts(await retention.run())["campaign"] == 1
        assert await left(made, old) == {}
        assert (await left(made, late))["message"] == 2
        later(made, 31)
        await retention.run()
        assert "message_1" not in await names(made, "message")
        # The partition is gone, and there are still ids left.
        last = await sent(made, 2)
        assert await made.rows(f"SELECT COUNT(*) FROM message_default WHERE campaign_id = {last.id}") == [(2,)]
        later(made, 38)
        assert counts(await retention.run())["campaign"] == 1
        assert await left(made, last) == {}

    on_postgres(check)


def test_whoever_works_on_the_table_is_not_waited_for(on_postgres: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cooee.service.retention.TRY_S", 0.01)

    async def check(made: World, retention: Retention) -> None:
        old = await sent(made, 2)
        await go_on(made, 3)
        later(made, 31)
        reading, done = asyncio.Event(), asyncio.Event()

        async def hold(tx: Tx) -> None:
            await tx.all("count_states", account_id=old.account_id, id=old.id)
            reading.set()
            await done.wait()

        slowest = 0.0

        async def traffic() -> None:
            nonlocal slowest
            while not done.is_set():
                started = time.perf_counter()
                await made.database.read(lambda tx: tx.all("count_states", account_id=old.account_id, id=old.id))
                slowest = max(slowest, time.perf_counter() - started)
                await asyncio.sleep(0.005)

        holding = asyncio.create_task(made.database.read(hold))
        await reading.wait()
        working = asyncio.create_task(traffic())
        await retention.run()
        assert "message_1" in await names(made, "message")
        # Nothing stood behind the drop for longer than its 50 ms, and what a busy machine adds.
        assert slowest < 1.0
        done.set()
        await asyncio.gather(holding, working)
        await retention.run()
        assert "message_1" not in await names(made, "message")
        assert await left(made, old) == {}

    on_postgres(check)


def test_days_of_ids_are_dropped_after_eight_days(on_postgres: Run) -> None:
    async def check(made: World, retention: Retention) -> None:
        day = made.clock.now_ms() // DAY
        await sent(made, 3)
        first = await names(made, "segment_ref")
        assert len(first) == 4
        made.clock.jump(((day + 8) * DAY - made.clock.now_ms()) / 1000)
        await partitions.ensure(made.database, made.clock.now_ms())
        await retention.run()
        assert first <= await names(made, "segment_ref")
        later(made, 1)
        assert counts(await retention.plan())["segment_ref"] == 3
        await retention.run()
        assert len(first - await names(made, "segment_ref")) == 1
        assert await made.rows("SELECT COUNT(*) FROM segment_ref") == [(0,)]

    on_postgres(check)


def test_one_node_removes_at_a_time(on_postgres: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cooee.service.retention.TRY_S", 0.01)

    async def check(made: World, retention: Retention) -> None:
        old = await sent(made, 2)
        later(made, 38)
        taken, done = asyncio.Event(), asyncio.Event()

        async def hold(tx: Tx) -> None:
            await raw(tx, f"SELECT pg_advisory_xact_lock({LOCK})")
            taken.set()
            await done.wait()

        holding = asyncio.create_task(made.database.write(hold))
        await taken.wait()
        with pytest.raises(Elsewhere, match="another node"):
            await retention.run()
        assert (await left(made, old))["campaign"] == 1
        done.set()
        await holding
        peer = Retention(made.database, made.clock, KEEP)
        went = await asyncio.gather(retention.run(), peer.run(), return_exceptions=True)
        assert any(isinstance(lines, list) for lines in went)
        assert await left(made, old) == {}

    on_postgres(check)
