"""SQLite: one writer thread with group commit, and a few readers (docs/decisions/0002-sqlite-writer.md).

All writes of the process pass through one thread that owns the one writing connection. It takes what is
queued, runs it in one transaction, commits once and then answers all. While a commit waits for the disk the
next group gathers by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, cast

import apsw
import msgspec
import structlog

from cooee.model.clock import Clock
from cooee.model.errors import StoreError, StoreUnavailable
from cooee.model.metrics import COMMIT_JOBS, COMMIT_SECONDS
from cooee.store.database import Lane, Operation, Row
from cooee.store.queries import Query, load
from cooee.store.refs import RefMemory

log = structlog.get_logger()
T = TypeVar("T")

HOLD_S = 0.02
"""How long one transaction may go on taking jobs."""
AGE_S = 0.1
"""A job that has waited this long counts as one lane higher."""
BUSY_S = 10.0
"""How long to wait for another process (a command beside the server) that holds the write lock."""

_json = msgspec.json.Encoder()


def _steps(*sizes: int) -> tuple[int, ...]:
    """For 0, 1, 2… rows that are left: how many the next statement takes."""
    return tuple(max((size for size in sizes if size <= left), default=0) for left in range(max(sizes) + 1))


STEPS = _steps(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Statements of these sizes are kept prepared. A few sizes too many cost memory, too few cost statements."""

_FATAL = (
    apsw.FullError, apsw.IOError, apsw.BusyError, apsw.LockedError, apsw.ReadOnlyError, apsw.CorruptError,
    apsw.NotADBError, apsw.NoMemError, apsw.InterruptError, apsw.CantOpenError,
)  # fmt: skip
"""Errors of the database as a whole; every other one is the operation's own."""


def _ours(error: Exception) -> Exception:
    """An operation's own database error as PostgreSQL's would come; anything else as it is."""
    if not isinstance(error, apsw.Error):
        return error
    ours = StoreError(f"{type(error).__name__}: {error}")
    ours.__cause__ = error
    return ours


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs an operation to its end on this thread. It must not suspend: its Tx never does."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast(T, stop.value)
    coroutine.close()
    raise RuntimeError("a store operation awaited something other than its transaction")


class SqliteTx:
    """One transaction on one connection; see `database.Tx`."""

    engine = "sqlite"

    def __init__(
        self, connection: apsw.Connection, queries: dict[str, Query], memory: RefMemory | None = None
    ) -> None:
        self.connection = connection
        self.memory = memory
        self._queries = queries
        self.hooks: list[Callable[[], None]] = []
        self.undo: list[Callable[[], None]] = []

    def _execute(self, name: str, values: dict[str, Any]) -> Sequence[Row]:
        query = self._queries[name]
        if not query.text:
            return ()
        cursor = self.connection.execute(query.text, values)
        if query.folded:
            return cast(Sequence[Row], msgspec.json.decode(cursor.get))
        return cursor.fetchall()

    def _rows(self, name: str, rows: Sequence[Row]) -> str:
        query = self._queries[name]
        if True in query.byte_columns:
            flags = query.byte_columns
            rows = [[v.hex() if b else v for v, b in zip(row, flags, strict=True)] for row in rows]
        return _json.encode(rows).decode()

    async def all(self, name: str, /, **values: Any) -> Sequence[Row]:
        return self._execute(name, values)

    async def one(self, name: str, /, **values: Any) -> Row | None:
        rows = self._execute(name, values)
        return rows[0] if rows else None

    async def run(self, name: str, /, **values: Any) -> int:
        self._execute(name, values)
        return self.connection.changes() if self._queries[name].text else 0

    def _bound(self, query: Query, rows: Sequence[Row], values: dict[str, Any]) -> int:
        """Runs a `bound` query, in as many statements as its rows take; how many rows it changed."""
        head = [values[name] for name in query.parameters]
        changed, at, left = 0, 0, len(rows)
        while left:
            count = STEPS[left] if left < len(STEPS) else STEPS[-1]
            chosen = chain.from_iterable(rows[at : at + count])
            self.connection.execute(query.for_rows(count), [*head, *chosen])
            changed += self.connection.changes()
            at += count
            left -= count
        return changed

    async def many(self, name: str, rows: Sequence[Row], /, **values: Any) -> int:
        if not rows:
            return 0
        query = self._queries[name]
        if query.bound:
            return self._bound(query, rows, values)
        return await self.run(name, rows=self._rows(name, rows), **values)

    async def many_all(self, name: str, rows: Sequence[Row], /, **values: Any) -> Sequence[Row]:
        if not rows:
            return ()
        return self._execute(name, {"rows": self._rows(name, rows), **values})

    def after_commit(self, call: Callable[[], None]) -> None:
        self.hooks.append(call)

    def after_rollback(self, call: Callable[[], None]) -> None:
        self.undo.append(call)


@dataclass(slots=True)
class _Job:
    operation: Callable[[SqliteTx], Coroutine[Any, Any, Any]]
    lane: Lane
    since: float
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


def open_connection(path: Path, *, readonly: bool = False) -> apsw.Connection:
    """A connection set up for durability: WAL, synchronous=FULL, no mmap. StoreUnavailable if it can't be had."""
    flags = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    if not readonly:
        # Texts, numbers and password hashes are in it. SQLite gives its -wal and -shm the same mode.
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        connection = apsw.Connection(str(path), flags=flags, statementcachesize=512)
        connection.set_busy_timeout(int(BUSY_S * 1000))
        for pragma in (
            "journal_mode = WAL" if not readonly else "query_only = ON",
            "synchronous = FULL",
            "foreign_keys = ON",
            "temp_store = MEMORY",
            "cache_size = -32768" if not readonly else "cache_size = -4096",
            "journal_size_limit = 67108864",
            "wal_autocheckpoint = 4000",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except apsw.Error as error:
        raise StoreUnavailable(explain(error, path)) from error
    return connection


def explain(error: BaseException, path: Path) -> str:
    """One sentence for a person about an SQLite error."""
    match error:
        case apsw.FullError():
            return f"the disk that holds {path.name} is full: free some room; nothing was lost"
        case apsw.BusyError() | apsw.LockedError():
            return f"{path.name} is locked by another process: end it, or wait until it is done"
        case apsw.CantOpenError():
            return f"cannot open the database file {path}: does its folder exist, and may this user write there?"
        case apsw.ReadOnlyError() | apsw.PermissionsError() | apsw.AuthError():
            return f"cannot write to {path}: check its owner and permissions"
        case apsw.NotADBError() | apsw.CorruptError():
            return f"{path} is not a sound SQLite database: restore it from a backup"
        case _:
            return f"the database file {path.name} cannot be used: {error}"


class SqliteDatabase:
    """The embedded store. Made by `open`; one per process and file."""

    engine = "sqlite"

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.queries = load("sqlite")
        self.memory = RefMemory()
        self._clock = clock
        self._connection = open_connection(path)
        self._lanes: tuple[deque[_Job], ...] = tuple(deque() for _ in Lane)
        self._wake = threading.Condition()
        self._closing = False
        self._local = threading.local()
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="sqlite-read")
        self._reader_connections: list[apsw.Connection] = []
        self._thread = threading.Thread(target=self._work, name="sqlite-write", daemon=True)
        self._thread.start()

    # --- callers' side -------------------------------------------------------------------------------------

    async def write(self, operation: Operation[T], lane: Lane = Lane.API) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job = _Job(cast(Any, operation), lane, self._clock.monotonic(), future)
        with self._wake:
            if self._closing:
                raise StoreUnavailable("the database is closing")
            self._lanes[lane].append(job)
            self._wake.notify()
        return await future

    async def read(self, operation: Operation[T]) -> T:
        if self._closing:
            raise StoreUnavailable("the database is closing")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, operation)

    async def close(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._thread.join)
        await loop.run_in_executor(None, self._readers.shutdown)
        for connection in self._reader_connections:
            connection.close()
        self._connection.close()

    # --- readers -------------------------------------------------------------------------------------------

    def _read(self, operation: Operation[T]) -> T:
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = open_connection(self.path, readonly=True)
            self._reader_connections.append(connection)
        try:
            connection.execute("BEGIN")
            try:
                return cast(T, drive(cast(Any, operation)(SqliteTx(connection, self.queries))))
            finally:
                connection.execute("COMMIT")
        except _FATAL as error:
            raise StoreUnavailable(explain(error, self.path)) from error
        except apsw.Error as error:
            raise _ours(error) from error

    # --- the writer ----------------------------------------------------------------------------------------

    def _pop(self) -> _Job | None:
        """The job that is due: the highest lane, counting one lane up for every AGE_S waited."""
        now = self._clock.monotonic()
        best: deque[_Job] | None = None
        best_rank = 1e9
        for lane, queue in enumerate(self._lanes):
            if queue:
                rank = lane - (now - queue[0].since) / AGE_S
                if rank < best_rank:
                    best, best_rank = queue, rank
        return best.popleft() if best is not None else None

    def _work(self) -> None:
        while True:
            with self._wake:
                while (job := self._pop()) is None:
                    if self._closing:
                        return
                    self._wake.wait()
            done = self._transaction(job)
            loops: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
            for job in done:
                loops.setdefault(job.future.get_loop(), []).append(job)
            for loop, jobs in loops.items():
                try:
                    loop.call_soon_threadsafe(_resolve, jobs)
                except RuntimeError:
                    log.debug("answer_without_listener", action="store_write", jobs=len(jobs))

    def _transaction(self, job: _Job | None) -> list[_Job]:
        done: list[_Job] = []
        hooks: list[Callable[[], None]] = []
        undo: list[Callable[[], None]] = []
        connection = self._connection
        started = self._clock.monotonic()
        try:
            connection.execute("BEGIN IMMEDIATE")
            while job is not None:
                done.append(job)
                tx = SqliteTx(connection, self.queries, self.memory)
                # The first job needs no savepoint: if it fails, the transaction holds nothing else.
                name = f"job{len(done)}" if len(done) > 1 else ""
                if name:
                    connection.execute(f"SAVEPOINT {name}")
                try:
                    job.result = drive(job.operation(tx))
                    hooks += tx.hooks
                    undo += tx.undo
                    if name:
                        connection.execute(f"RELEASE {name}")
                except Exception as error:
                    for call in reversed(tx.undo):
                        call()
                    if isinstance(error, _FATAL):
                        raise
                    job.error = _ours(error)
                    if name:
                        connection.execute(f"ROLLBACK TO {name}")
                        connection.execute(f"RELEASE {name}")
                    else:
                        connection.execute("ROLLBACK")
                        connection.execute("BEGIN IMMEDIATE")
                if job.lane is Lane.BULK or self._clock.monotonic() - started > HOLD_S:
                    break
                with self._wake:
                    job = self._pop()
            connection.execute("COMMIT")
            COMMIT_SECONDS.observe(self._clock.monotonic() - started)
            COMMIT_JOBS.inc(len(done))
        except Exception as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            for call in reversed(undo):
                call()
            text = explain(error, self.path) if isinstance(error, apsw.Error) else str(error)
            log.error("store_write_failed", reason=text, jobs=len(done))
            failure = StoreUnavailable(text) if isinstance(error, apsw.Error) else StoreError(text)
            for each in done or ([job] if job else []):
                each.error = each.error or failure
            return done or ([job] if job else [])
        for hook in hooks:
            try:
                hook()
            except Exception as error:
                # It is committed all the same, and the writer must live.
                log.error("after_commit_failed", reason=f"{type(error).__name__}: {error}")
        return done


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
