"""PostgreSQL: conflicts are retried whole, and every kind of outage says what it is."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from cooee.engine.membership import DEAD_S
from cooee.model.clock import ManualClock
from cooee.model.errors import CommitUnknown, StoreError, StoreUnavailable
from cooee.store.database import Lane, Tx
from cooee.store.open import open_database
from cooee.store.postgres import VANISHED, PostgresDatabase, explain
from tests.store.support_proxy import Proxy, proxy
from tests.store.support_store import raw, raw_run
from tests.support.postgres import PostgresServer


async def opened(url: str, *, pool: int = 4) -> PostgresDatabase:
    database = await open_database(url, ManualClock(), pool=pool)
    assert isinstance(database, PostgresDatabase)
    return database


async def put(tx: Tx, name: str, value: str = "") -> None:
    await tx.run("claim_meta", name=name, value=value)


async def get(database: PostgresDatabase, name: str) -> str | None:
    async def read(tx: Tx) -> str | None:
        row = await tx.one("get_meta", name=name)
        return None if row is None else str(row[0])

    return await database.read(read)


def test_two_that_deadlock_both_get_through(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        database = await opened(url)
        runs = 0
        met = asyncio.Barrier(2)

        def crossing(first: str, second: str) -> object:
            tries = 0

            async def operation(tx: Tx) -> None:
                nonlocal runs, tries
                runs += 1
                tries += 1
                await tx.one("take_ids", name=first, count=1)
                if tries == 1:
                    await met.wait()
                await tx.one("take_ids", name=second, count=1)

            return operation

        async with asyncio.timeout(15):
            await asyncio.gather(
                database.write(crossing("campaign", "account")),  # type: ignore[arg-type]
                database.write(crossing("account", "campaign")),  # type: ignore[arg-type]
            )
        # One of them was run again from the start, and each counted once.
        assert runs == 3
        rows = await database.read(lambda tx: tx.connection.fetch("SELECT name, value FROM counter"))  # type: ignore[attr-defined]
        values = {row[0]: row[1] for row in rows}
        assert (values["campaign"], values["account"]) == (1_000_003, 1003)
        await database.close()

    asyncio.run(main())


def test_what_conflicts_for_ever_is_given_up_with_a_sentence(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.fresh()
    monkeypatch.setattr("cooee.store.postgres.RETRIES", 3)

    async def main() -> None:
        database = await opened(url)
        runs = 0

        async def operation(tx: Tx) -> None:
            nonlocal runs
            runs += 1
            await put(tx, "x")
            raise asyncpg.SerializationError("could not serialize access")

        with pytest.raises(StoreUnavailable, match="too busy: SerializationError"):
            await database.write(operation)
        assert runs == 3
        assert await get(database, "x") is None
        await database.close()

    asyncio.run(main())


def test_an_error_of_a_statement_is_ours_and_nothing_is_written(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        database = await opened(url)

        async def twice(tx: Tx) -> None:
            await put(tx, "x")
            for _ in range(2):
                await tx.many("add_ledger", [(1, 1, 1, "x", None, "")], at=0)

        with pytest.raises(StoreError, match="UniqueViolation") as raised:
            await database.write(twice)
        assert not isinstance(raised.value, StoreUnavailable)
        assert await get(database, "x") is None

        async def fails(tx: Tx) -> None:
            await put(tx, "y")
            raise ValueError("bad data")

        with pytest.raises(ValueError, match="bad data"):
            await database.write(fails)
        assert await get(database, "y") is None
        await database.close()

    asyncio.run(main())


def test_readers_see_one_snapshot_and_cannot_write(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        database = await opened(url)

        async def read(tx: Tx) -> tuple[object, object]:
            before = await tx.one("get_meta", name="x")
            await database.write(lambda other: put(other, "x", "1"))
            return before, await tx.one("get_meta", name="x")

        assert await database.read(read) == (None, None)
        assert await get(database, "x") == "1"
        with pytest.raises(StoreError, match="ReadOnly"):
            await database.read(lambda tx: put(tx, "y"))
        await database.close()

    asyncio.run(main())


def test_hooks_run_once_after_the_commit(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        database = await opened(url)
        ran: list[str] = []
        tries = 0

        async def operation(tx: Tx) -> None:
            nonlocal tries
            tries += 1
            tx.after_commit(lambda: ran.append("done"))
            if tries < 3:
                raise asyncpg.DeadlockDetectedError("deadlock")

        await database.write(operation)
        assert ran == ["done"]

        async def fails(tx: Tx) -> None:
            tx.after_commit(lambda: ran.append("never"))
            raise ValueError("bad data")

        with pytest.raises(ValueError, match="bad data"):
            await database.write(fails)
        assert ran == ["done"]
        await database.close()

    asyncio.run(main())


def test_a_hook_that_fails_does_not_make_a_commit_look_failed(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        database = await opened(url)
        ran: list[str] = []

        def fail() -> None:
            raise OSError("nobody reads the log any more")

        async def operation(tx: Tx) -> int:
            await put(tx, "kept")
            tx.after_commit(fail)
            tx.after_commit(lambda: ran.append("the next one"))
            return 7

        assert await database.write(operation) == 7
        assert ran == ["the next one"]
        assert await get(database, "kept") == ""
        await database.close()

    asyncio.run(main())


def test_bulk_goes_one_at_a_time_and_leaves_room_for_the_others(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        database = await opened(url, pool=2)
        at_once = most = 0

        async def bulk(tx: Tx) -> None:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.02)
            at_once -= 1

        many = [asyncio.create_task(database.write(bulk, Lane.BULK)) for _ in range(5)]
        await asyncio.sleep(0.01)
        await asyncio.wait_for(database.write(lambda tx: put(tx, "x")), 1)
        assert not many[-1].done()
        await asyncio.gather(*many)
        assert most == 1
        await database.close()

    asyncio.run(main())


# --- outages -----------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there() -> None:
    async def main() -> None:
        with pytest.raises(StoreUnavailable) as raised:
            await opened("postgresql://someone:hush-hush@127.0.0.1:1/cooee")
        assert "127.0.0.1:1/cooee cannot be reached" in str(raised.value)
        assert "is the server running?" in str(raised.value)
        assert "hush" not in str(raised.value)

    asyncio.run(main())


def test_a_database_that_is_not_there(postgres: PostgresServer) -> None:
    url = postgres.fresh()
    name = url.split("/")[3].split("?")[0]

    async def main() -> None:
        with pytest.raises(StoreUnavailable, match="does not exist: create that database first"):
            await opened(url.replace(name, "nowhere"))

    asyncio.run(main())


def test_a_connection_that_dies_before_the_commit_wrote_nothing(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        async with proxy(url) as (middle, through):
            database = await opened(through)

            async def cut(tx: Tx) -> None:
                await put(tx, "x")
                middle.cut()
                await put(tx, "y")

            with pytest.raises(StoreUnavailable) as raised:
                await database.write(cut)
            assert "secret" not in str(raised.value)
            assert await get(database, "x") is None
            await database.close()

    asyncio.run(main())


def test_a_session_that_the_server_ends_in_a_transaction_wrote_nothing(postgres: PostgresServer) -> None:
    """As a fast stop does: the server says so first, and the connection breaks a moment later."""
    url = postgres.fresh()

    async def main() -> None:
        async with proxy(url) as (middle, through):
            database = await opened(through)
            middle.linger_s = 1.0

            async def ended(tx: Tx) -> None:
                await put(tx, "x")
                ((pid,),) = await raw(tx, "SELECT pg_backend_pid()")
                other = await asyncpg.connect(url)
                await other.execute("SELECT pg_terminate_backend($1)", pid)
                await other.close()
                await asyncio.sleep(0.2)
                await put(tx, "y")

            with pytest.raises(StoreUnavailable):
                await database.write(ended)
            middle.linger_s = 0.0
            assert await get(database, "x") is None
            await database.write(lambda tx: put(tx, "z"))
            await database.close()

    asyncio.run(main())


def test_what_a_vanished_node_had_locked_is_free_again(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without power closes no connection: the server must not wait for it."""
    assert int(VANISHED["idle_in_transaction_session_timeout"]) < DEAD_S * 1000
    monkeypatch.setitem(VANISHED, "idle_in_transaction_session_timeout", "500")
    url = postgres.fresh()

    async def main() -> None:
        async with proxy(url) as (middle, through):
            gone, living = await opened(through, pool=2), await opened(url, pool=2)
            await living.write(lambda tx: put(tx, "x"))
            locked = asyncio.Event()

            async def lock(tx: Tx) -> None:
                await raw(tx, "SELECT value FROM meta WHERE name = 'x' FOR UPDATE")
                middle.stalled = True
                locked.set()
                await raw(tx, "SELECT 1")

            task = asyncio.create_task(gone.write(lock))
            await locked.wait()

            async def change(tx: Tx) -> None:
                await raw_run(tx, "UPDATE meta SET value = '1' WHERE name = 'x'")

            async with asyncio.timeout(10):
                await living.write(change)
            middle.stalled = False
            with pytest.raises(StoreUnavailable):
                await task
            await gone.close()
            await living.close()

    asyncio.run(main())


def test_a_table_that_is_migrated_meanwhile_costs_a_retry_and_no_error(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        database = await opened(url, pool=2)

        async def look(tx: Tx) -> int:
            return len((await raw(tx, "SELECT * FROM meta LIMIT 1"))[0])

        assert await database.write(look) == 2
        other = await asyncpg.connect(url)
        await other.execute("ALTER TABLE meta ADD COLUMN of_the_future TEXT")
        await other.close()
        assert await database.write(look) == 3
        other = await asyncpg.connect(url)
        await other.execute("ALTER TABLE meta ADD COLUMN of_another_future TEXT")
        await other.close()
        assert await database.read(look) == 4
        await database.close()

    asyncio.run(main())


def test_a_value_that_no_column_holds_is_the_statements_own_fault(postgres: PostgresServer) -> None:
    """Else one bad receipt would be taken for an outage, and keep a carrier's others from being stored."""
    url = postgres.fresh()

    async def main() -> None:
        database = await opened(url)

        async def too_big(tx: Tx) -> None:
            await tx.run("take_lease", carrier_id=1 << 70, no=0, owner=1)

        with pytest.raises(StoreError) as raised:
            await database.write(too_big)
        assert not isinstance(raised.value, StoreUnavailable)
        await database.close()

    asyncio.run(main())


@pytest.mark.parametrize("arrives", [True, False])
def test_a_connection_that_dies_in_commit_leaves_it_unknown(postgres: PostgresServer, arrives: bool) -> None:
    url = postgres.fresh()

    async def main() -> None:
        async with proxy(url) as (middle, through):
            database = await opened(through)

            async def write(tx: Tx) -> None:
                await put(tx, "x", "1")
                middle.pass_it_on = arrives
                middle.cut_at = b"COMMIT"

            with pytest.raises(CommitUnknown) as raised:
                await database.write(write)
            assert "secret" not in str(raised.value)
            assert middle.cuts == 1
            assert await get(database, "x") == ("1" if arrives else None)
            await database.close()

    asyncio.run(main())


def test_a_cut_while_reading_is_no_unknown_commit(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        async with proxy(url) as (middle, through):
            database = await opened(through)

            async def read(tx: Tx) -> None:
                middle.cut_at = b"COMMIT"
                await tx.all("leases")

            with pytest.raises(StoreUnavailable):
                await database.read(read)
            await database.close()

    asyncio.run(main())


def test_back_again_after_an_outage(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        async with proxy(url) as (middle, through):
            database = await opened(through)
            await database.write(lambda tx: put(tx, "before"))
            await outage(middle, database)
            await database.write(lambda tx: put(tx, "after"))
            assert await get(database, "before") == ""
            assert await get(database, "after") == ""
            await database.close()

    async def outage(middle: Proxy, database: PostgresDatabase) -> None:
        middle.refuse = True
        middle.cut()
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                await asyncio.wait_for(database.write(lambda tx: put(tx, "meanwhile")), 8)
        middle.refuse = False

    asyncio.run(main())


class Impatient:
    """A pool whose connections are waited for only briefly."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def acquire(self, timeout: float) -> Any:
        assert timeout >= 1
        return self._pool.acquire(timeout=0.05)

    async def close(self) -> None:
        await self._pool.close()


def test_a_pool_that_is_used_up_says_so(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        database = await opened(url, pool=1)
        database.pool = Impatient(database.pool)
        held, goes_on = asyncio.Event(), asyncio.Event()

        async def holds(tx: Tx) -> None:
            held.set()
            await goes_on.wait()

        holding = asyncio.create_task(database.write(holds))
        await held.wait()
        with pytest.raises(StoreUnavailable) as raised:
            await database.write(lambda tx: put(tx, "x"))
        goes_on.set()
        await holding
        await database.close()
        # The server runs: what is short are this node's own connections.
        assert "is the server running" not in str(raised.value)
        assert "connection" in str(raised.value)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (asyncpg.InvalidPasswordError(), "check user and password"),
        (asyncpg.InvalidCatalogNameError(), "create that database first"),
        (asyncpg.DiskFullError(), "free some room"),
        (asyncpg.TooManyConnectionsError(), "has no free connection"),
        (ConnectionRefusedError(), "is the server running?"),
    ],
)
def test_every_error_is_one_sentence_for_a_person(error: Exception, words: str) -> None:
    text = explain(error, "the PostgreSQL database at db.example/cooee")
    assert words in text
    assert text.startswith(("the PostgreSQL database at db.example/cooee", "the disk of the PostgreSQL database"))


def test_close_does_not_wait_for_ever(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        database = await opened(url)
        await database.write(lambda tx: put(tx, "x"))
        await asyncio.wait_for(database.close(), 6)
        with pytest.raises(StoreUnavailable):
            await database.write(lambda tx: put(tx, "y"))

    asyncio.run(main())
