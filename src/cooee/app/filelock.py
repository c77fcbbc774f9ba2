"""One server a file: an SQLite database is locked by the process that serves it. Commands may write beside it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from cooee.model.errors import ConfigError


class FileLock:
    """Holds `<database>.lock` until `release`; the kernel gives it back when the process dies."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        try:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError(f"cannot write {self._path}: {error.strerror}; does the folder exist?") from error
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._handle, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._handle)
            raise ConfigError(
                f"{database} is already being served by another process (pid {holder}): stop that one first, "
                "or use PostgreSQL for several nodes"
            ) from None
        os.ftruncate(self._handle, 0)
        os.write(self._handle, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Gives the file back."""
        os.close(self._handle)
