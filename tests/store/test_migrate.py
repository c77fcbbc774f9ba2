"""Migrations: once, under a lock, and never by a program that is too old for the schema."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from cooee.model.clock import DAY, ManualClock
from cooee.model.errors import ConfigError, StoreUnavailable
from cooee.store import partitions
from cooee.store.database import Database, Tx
from cooee.store.inspect import migrate, schema_of
from cooee.store.migrate import check_fits, migrate_postgres, migrate_sqlite, migrations, newest
from cooee.store.open import open_database, sqlite_path
from cooee.store.postgres import PostgresDatabase
from cooee.store.queries import Engine
from cooee.store.sqlite import SqliteDatabase
from tests.store.support_proxy import proxy
from tests.store.support_store import World, raw, raw_run, run, world
from tests.support.postgres import PostgresServer

ENGINES: tuple[Engine, ...] = ("sqlite", "postgres")


async def again(database: Database) -> list[int]:
    """Migrates an open database."""
    if isinstance(database, SqliteDatabase):
        return await asyncio.to_thread(migrate_sqlite, database)
    assert isinstance(database, PostgresDatabase)
    return await migrate_postgres(database)


def test_the_numbers_follow_each_other_and_each_text_is_for_one_engine() -> None:
    for engine in ENGINES:
        found = migrations(engine)
        assert [number for number, _ in found] == list(range(1, len(found) + 1))
        for _, text in found:
            assert "{" not in text
            assert not re.search(r"^\s*-- \[", text, re.MULTILINE)
    assert "WITHOUT ROWID" in migrations("sqlite")[0][1]
    assert "WITHOUT ROWID" not in migrations("postgres")[0][1]
    assert "PARTITION BY RANGE" in migrations("postgres")[0][1]
    assert newest() == len(migrations("sqlite"))


def test_applied_once(database_url: str) -> None:
    async def main() -> None:
        clock = ManualClock()
        assert await migrate(database_url, clock) == (newest(), list(range(1, newest() + 1)))
        assert await migrate(database_url, clock) == (newest(), [])
        database = await open_database(database_url, clock, pool=2)
        assert await schema_of(database) == newest()
        assert await again(database) == []
        await database.close()

    asyncio.run(main())


def test_two_nodes_at_once(database_url: str) -> None:
    async def main() -> None:
        opened = await asyncio.gather(*(open_database(database_url, ManualClock(), pool=2) for _ in range(4)))
        for database in opened:
            assert await schema_of(database) == newest()
            await database.close()

    asyncio.run(main())


def test_a_schema_that_needs_a_newer_program_is_refused(database_url: str) -> None:
    async def main() -> None:
        async with world(database_url) as made:
            await made.sql("UPDATE meta SET value = '99' WHERE name = 'schema'")
            # A newer schema that older programs can still work on: the rolling upgrade.
            assert await again(made.database) == []
            await made.sql("UPDATE meta SET value = '98' WHERE name = 'oldest_program'")
        with pytest.raises(ConfigError) as raised:
            await open_database(database_url, ManualClock(), pool=2)
        text = str(raised.value)
        assert "schema 99" in text
        assert "98" in text
        assert f"this one knows {newest()}" in text
        assert "upgrade Cooee" in text

    asyncio.run(main())


def test_a_running_program_notices_that_the_schema_has_become_too_new(database_url: str) -> None:
    async def check(made: World) -> None:
        await check_fits(made.database)
        await made.sql(f"UPDATE meta SET value = '{newest() + 1}' WHERE name = 'schema'")
        # A newer version has migrated, and this one may stay.
        await check_fits(made.database)
        await made.sql(f"UPDATE meta SET value = '{newest() + 1}' WHERE name = 'oldest_program'")
        with pytest.raises(ConfigError, match="upgrade Cooee on this machine"):
            await check_fits(made.database)

    run(database_url, check)


def test_a_server_that_goes_away_while_it_migrates_is_a_sentence(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        async with proxy(url) as (middle, through):
            middle.hates = b"pg_advisory_xact_lock"
            with pytest.raises(StoreUnavailable, match="is the server running"):
                await open_database(through, ManualClock(), pool=2)

    asyncio.run(main())


def test_a_migration_that_breaks_leaves_nothing_behind(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with world(database_url) as made:
            known = newest()
            texts = {engine: migrations(engine) for engine in ENGINES}

            def more(engine: Engine) -> list[tuple[int, str]]:
                return [
                    *texts[engine],
                    (known + 1, "CREATE TABLE half (id BIGINT PRIMARY KEY); SELECT no_such_column FROM half;"),
                ]

            with monkeypatch.context() as patch:
                patch.setattr("cooee.store.migrate.newest", lambda: known + 1)
                patch.setattr("cooee.store.migrate.migrations", more)
                with pytest.raises(Exception, match="no_such_column"):
                    await again(made.database)
            assert await schema_of(made.database) == newest()
            assert await tables_named(made, "half") == 0
            assert await again(made.database) == []

    asyncio.run(main())


async def tables_named(made: World, name: str) -> int:
    table = (
        f"SELECT COUNT(*) FROM sqlite_schema WHERE name = '{name}'"
        if made.database.engine == "sqlite"
        else f"SELECT COUNT(*) FROM pg_class WHERE relname = '{name}'"
    )
    return int((await made.rows(table))[0][0])


def test_both_engines_have_the_same_tables_and_columns(postgres: PostgresServer, tmp_path: object) -> None:
    urls = (f"sqlite:///{tmp_path}/c.db", postgres.fresh())

    async def columns(url: str) -> set[tuple[str, str]]:
        async with world(url) as made:
            if made.database.engine == "sqlite":
                return {
                    (row[0], row[1])
                    for row in await made.rows(
                        "SELECT s.name, c.name FROM sqlite_schema s JOIN pragma_table_info(s.name) c "
                        "WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite_%'"
                    )
                }
            return {
                (row[0], row[1])
                for row in await made.rows(
                    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
                )
                if not re.search(r"_(default|\d+)$", row[0])
            }

    async def main() -> None:
        sqlite, postgres_columns = [await columns(url) for url in urls]
        assert sqlite - postgres_columns == {("slice_answer", "id"), ("slice_answer", "body")}
        assert postgres_columns - sqlite == set()

    asyncio.run(main())


def test_partitions_are_made_ahead_and_only_once(database_url: str) -> None:
    async def check(made: World) -> None:
        now = made.clock.now_ms()
        sqlite = made.database.engine == "sqlite"
        # Opening the database made them: no row can come before them.
        assert await partitions.ensure(made.database, now) == 0
        # A day later one more day is made.
        assert await partitions.ensure(made.database, now + DAY) == (0 if sqlite else 1)
        await made.campaign(3)
        (hand,) = await made.claim(7)
        await hand.accept([0, 1, 2]).step()
        if not sqlite:
            where = await made.rows(
                "SELECT DISTINCT m.tableoid::regclass::text, r.tableoid::regclass::text "
                "FROM message m, segment_ref r"
            )
            assert [("default" in a, "default" in b) for a, b in where] == [(False, False)]

    run(database_url, check)


def test_partitions_can_still_be_made_when_rows_came_first(database_url: str) -> None:
    async def check(made: World) -> None:
        await made.campaign(3)
        (hand,) = await made.claim(7)
        await hand.accept([0, 1, 2]).step()
        await partitions.ensure(made.database, made.clock.now_ms())
        assert len(await made.rows("SELECT destination FROM message")) == 3
        assert len(await made.rows("SELECT state FROM message")) == 3

    run(database_url, check)


def test_a_database_without_a_schema_is_told_apart_from_one_that_is_away(database_url: str) -> None:
    async def main() -> None:
        if database_url.startswith("sqlite"):
            path = sqlite_path(database_url)
            assert path is not None
            bare: Any = SqliteDatabase(path, ManualClock())
        else:
            bare = await PostgresDatabase.connect(database_url, size=1)
        assert await schema_of(bare) == 0

        async def look(tx: Tx) -> object:
            await raw_run(tx, "CREATE TABLE other (id BIGINT)")
            return await raw(tx, "SELECT * FROM other")

        assert await bare.write(look) == []
        await bare.close()

    asyncio.run(main())
