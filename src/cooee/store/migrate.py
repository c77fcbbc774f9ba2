"""Brings the schema up to date, under a lock, and keeps older programs off a schema they cannot use.

`migrations/NNNN_name.sql` are applied in order, each in one transaction. `meta` holds `schema` (the newest one
applied) and `oldest_program` (the lowest schema number that a program must know to work on this database), so
that in a rolling upgrade the old nodes go on until the new schema says they cannot.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import apsw

from cooee.model.errors import ConfigError, StoreUnavailable
from cooee.store.database import Database, Tx
from cooee.store.postgres import GONE, PostgresDatabase
from cooee.store.queries import Engine
from cooee.store.sqlite import SqliteDatabase, open_connection

OLDEST_PROGRAM = 1
"""Programs that know fewer migrations than this cannot run on the schema below."""
LOCK = 0x636F6F6565
"""PostgreSQL advisory lock of whoever migrates ("cooee")."""

_ENGINE_TYPES: dict[Engine, dict[str, str]] = {
    "sqlite": {"blob": "BLOB", "serial": "INTEGER PRIMARY KEY AUTOINCREMENT"},
    "postgres": {"blob": "BYTEA", "serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"},
}


def migrations(engine: Engine) -> list[tuple[int, str]]:
    """Every migration's number and its text for `engine`, in order."""
    found = []
    for path in sorted(files("cooee.store").joinpath("migrations").iterdir(), key=lambda p: p.name):
        if match := re.fullmatch(r"(\d{4})_\w+\.sql", path.name):
            found.append((int(match[1]), _for_engine(path.read_text(encoding="utf-8"), engine)))
    return found


def _for_engine(source: str, engine: Engine) -> str:
    kept: list[str] = []
    current = "both"
    for line in source.splitlines():
        mark = re.fullmatch(r"\s*-- \[(sqlite|postgres|both)\]", line)
        if mark:
            current = mark[1]
        elif current in ("both", engine):
            kept.append(line)
    text = "\n".join(kept)
    for name, sql in _ENGINE_TYPES[engine].items():
        text = text.replace(f"{{{name}}}", sql)
    return text


def newest() -> int:
    """The schema number that this program brings."""
    return migrations("sqlite")[-1][0]


def _check(schema: int, oldest: int) -> None:
    if newest() < oldest:
        raise ConfigError(
            f"this database has schema {schema} and needs a Cooee that knows schema {oldest} or newer; "
            f"this one knows {newest()}: upgrade Cooee on this machine"
        )


async def check_fits(database: Database) -> None:
    """Whether this program may go on working on the schema as it is by now; ConfigError when it may not.

    A newer version that migrates beside a running one says by `oldest_program` whether that can stay.
    """

    async def read(tx: Tx) -> dict[str, str]:
        rows = [await tx.one("get_meta", name=name) for name in ("schema", "oldest_program")]
        return {name: str(row[0]) for name, row in zip(("schema", "oldest_program"), rows, strict=True) if row}

    values = await database.read(read)
    _check(int(values.get("schema", 0)), int(values.get("oldest_program", 0)))


def migrate_sqlite(database: SqliteDatabase) -> list[int]:
    """Applies what is missing to the file; the numbers applied. Safe beside a running server."""
    applied = []
    connection = open_connection(database.path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        has_meta = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'").get
        values = dict(connection.execute("SELECT name, value FROM meta")) if has_meta else {}
        schema = int(values.get("schema", 0))
        _check(schema, int(values.get("oldest_program", 0)))
        for number, text in migrations("sqlite"):
            if number > schema:
                connection.execute(text)
                applied.append(number)
        if applied:
            for name, value in (("schema", applied[-1]), ("oldest_program", OLDEST_PROGRAM)):
                connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, str(value)))
        connection.execute("COMMIT")
        if applied:
            connection.execute("PRAGMA optimize")
    except apsw.BusyError as error:
        raise StoreUnavailable("the database file is locked by another process: end it, or wait") from error
    finally:
        connection.close()
    return applied


async def migrate_postgres(database: PostgresDatabase) -> list[int]:
    """Applies what is missing to the shared database; the numbers applied. Others wait for the lock."""
    try:
        return await _migrate_postgres(database)
    except GONE as error:
        raise database.unavailable(error) from error


async def _migrate_postgres(database: PostgresDatabase) -> list[int]:
    applied = []
    connection: Any
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        values: dict[str, str] = {}
        if await connection.fetchval("SELECT to_regclass('meta') IS NOT NULL"):
            values = dict(await connection.fetch("SELECT name, value FROM meta"))
        schema = int(values.get("schema", 0))
        _check(schema, int(values.get("oldest_program", 0)))
        for number, text in migrations("postgres"):
            if number > schema:
                await connection.execute(text)
                applied.append(number)
        if applied:
            for name, value in (("schema", applied[-1]), ("oldest_program", OLDEST_PROGRAM)):
                await connection.execute(
                    "INSERT INTO meta VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    name,
                    str(value),
                )
    return applied
