"""Opens the store that an address names, brought up to date.

`sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://user:password@host/database`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast
from urllib.parse import unquote

from cooee.model.clock import Clock
from cooee.model.errors import ConfigError
from cooee.store import partitions
from cooee.store.database import Database
from cooee.store.migrate import migrate_postgres, migrate_sqlite
from cooee.store.postgres import PostgresDatabase, place
from cooee.store.sqlite import SqliteDatabase


def sqlite_path(url: str) -> Path | None:
    """The file that an sqlite:/// address names (four slashes: absolute), or None for another kind."""
    if not url.startswith("sqlite:"):
        return None
    if not url.startswith("sqlite:///") or len(url) == len("sqlite:///"):
        raise ConfigError(f"database '{url}': write sqlite:///relative/file.db or sqlite:////absolute/file.db")
    return Path(unquote(url.removeprefix("sqlite:///")))


async def open_database(url: str, clock: Clock, *, pool: int = 10) -> Database:
    """A ready store with every migration applied; ConfigError or StoreUnavailable say what is wrong."""
    path = sqlite_path(url)
    if path is not None:
        sqlite = await asyncio.to_thread(SqliteDatabase, path, clock)
        try:
            await asyncio.to_thread(migrate_sqlite, sqlite)
        except BaseException:
            await sqlite.close()
            raise
        return cast(Database, sqlite)
    if url.partition(":")[0] not in ("postgresql", "postgres"):
        raise ConfigError(f"database '{place(url)}': neither sqlite:///… nor postgresql://…")
    postgres = await PostgresDatabase.connect(url, size=pool)
    try:
        await migrate_postgres(postgres)
        await partitions.ensure(cast(Database, postgres), clock.now_ms())
    except BaseException:
        await postgres.close()
        raise
    return cast(Database, postgres)
