"""PostgreSQL: the shared store of several nodes, through a pool of connections.

Every operation is one transaction at READ COMMITTED with explicit row locks, taken in one order (account,
campaign, batch, message, keys ascending). Serialization failures and deadlocks are retried whole.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import asyncpg
import structlog

from cooee.model.errors import CommitUnknown, ConfigError, StoreError, StoreUnavailable
from cooee.store.database import Lane, Operation, Row
from cooee.store.queries import Query, load

log = structlog.get_logger()
T = TypeVar("T")

PLANNING = {
    # Plans are made for the values at hand: one cached while tables were empty ruins the hot path.
    "plan_cache_mode": "force_custom_plan",
    # A few hundred rows are looked up by key in tables of millions. A hash join would read the whole table for
    # that, and on a young partition, without statistics, the planner believes it to be cheap.
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    # Tables that are written this often are in memory; a page by key costs no more than one in a row.
    "random_page_cost": "1.1",
    "jit": "off",
    "application_name": "cooee",
}
"""How each connection plans (docs/decisions/0005-postgres-plans.md)."""
VANISHED = {
    # A machine that loses its power or its network says nothing. What its transactions had locked is free again
    # before a peer takes over from it; transactions of ours are never idle for longer than an event loop stalls.
    "idle_in_transaction_session_timeout": "10000",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
"""When the server gives up a connection (times in ms, those of TCP in s)."""
RETRIES = 8
_AGAIN = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    # A newer version has migrated a table while this one runs: statements are prepared anew.
    asyncpg.InvalidCachedStatementError,
)
GONE: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    # The server has said that it ends the session, and the end of the connection is not here yet.
    asyncpg.InternalClientError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DiskFullError,
    ConnectionError,
    OSError,
    asyncio.TimeoutError,
)
"""Errors after which nobody is there; every other one is the statement's own."""


class PostgresTx:
    """One transaction on one connection; see `database.Tx`."""

    engine = "postgres"

    def __init__(self, connection: Any, queries: dict[str, Query]) -> None:
        self.connection = connection
        self._queries = queries
        self.hooks: list[Callable[[], None]] = []
        self.undo: list[Callable[[], None]] = []

    @staticmethod
    def _columns(query: Query, rows: Sequence[Row], values: dict[str, Any]) -> dict[str, Any]:
        for name, column in zip(query.row_columns, zip(*rows, strict=True), strict=True):
            values[f"col_{name}"] = column
        return values

    async def _fetch(self, query: Query, values: dict[str, Any]) -> Sequence[Row]:
        if not query.text:
            return ()
        rows = await self.connection.fetch(query.text, *[values[name] for name in query.parameters])
        return cast(Sequence[Row], rows)

    async def _change(self, query: Query, values: dict[str, Any]) -> int:
        if not query.text:
            return 0
        tag: str = await self.connection.execute(query.text, *[values[name] for name in query.parameters])
        last = tag.rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0

    async def all(self, name: str, /, **values: Any) -> Sequence[Row]:
        return await self._fetch(self._queries[name], values)

    async def one(self, name: str, /, **values: Any) -> Row | None:
        rows = await self._fetch(self._queries[name], values)
        return rows[0] if rows else None

    async def run(self, name: str, /, **values: Any) -> int:
        return await self._change(self._queries[name], values)

    async def many(self, name: str, rows: Sequence[Row], /, **values: Any) -> int:
        if not rows:
            return 0
        query = self._queries[name]
        return await self._change(query, self._columns(query, rows, values))

    async def many_all(self, name: str, rows: Sequence[Row], /, **values: Any) -> Sequence[Row]:
        if not rows:
            return ()
        query = self._queries[name]
        return await self._fetch(query, self._columns(query, rows, values))

    def after_commit(self, call: Callable[[], None]) -> None:
        self.hooks.append(call)

    def after_rollback(self, call: Callable[[], None]) -> None:
        self.undo.append(call)


WRITE = "write postgresql://user:password@host:port/database, with special characters as %40 and the like"


def place(url: str) -> str:
    """Host, port and database of an address, without user, password and query; ConfigError when it is none."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        if parts.port is not None and not parts.port:
            raise ValueError
    except ValueError:
        raise ConfigError(f"the database address is none: {WRITE}") from None
    return f"{host}{parts.path}"


def explain(error: BaseException, where: str) -> str:
    """One sentence for a person about a PostgreSQL error; `where` is the address without its password."""
    match error:
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            return f"{where} refused the login: check user and password in COOEE_DATABASE"
        case asyncpg.InvalidCatalogNameError():
            return f"{where} does not exist: create that database first"
        case asyncpg.DiskFullError():
            return f"the disk of {where} is full: free some room; nothing was lost"
        case asyncpg.TooManyConnectionsError():
            return f"{where} has no free connection: raise max_connections or run fewer nodes"
        case TimeoutError():
            return f"{where} gave no connection in time: it is overloaded, or pool_size is too small for this node"
        case _:
            return f"{where} cannot be reached ({type(error).__name__}): is the server running?"


class PostgresDatabase:
    """The shared store. Made by `connect`."""

    engine = "postgres"

    def __init__(self, pool: Any, where: str) -> None:
        self.pool = pool
        self._where = where
        self.queries = load("postgres")
        self._bulk = asyncio.Semaphore(1)

    @classmethod
    async def connect(cls, url: str, *, size: int = 10) -> PostgresDatabase:
        """Opens a pool on `postgresql://…`; StoreUnavailable or ConfigError say why it can't be had."""
        where = f"the PostgreSQL database at {place(url)}"
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=size,
                timeout=5,
                command_timeout=60,
                server_settings=PLANNING | VANISHED,
            )
        except (asyncpg.PostgresError, *GONE) as error:
            raise StoreUnavailable(explain(error, where)) from error
        except (ValueError, OverflowError, asyncpg.InterfaceError) as error:
            # What asyncpg says of it may hold the password.
            raise ConfigError(f"{where}: {WRITE}") from error
        return cls(pool, where)

    def unavailable(self, error: BaseException) -> StoreUnavailable:
        """What to raise for one of `GONE`."""
        return StoreUnavailable(explain(error, self._where))

    async def write(self, operation: Operation[T], lane: Lane = Lane.API) -> T:
        if lane is Lane.BULK:
            async with self._bulk:
                return await self._retrying(operation, readonly=False)
        return await self._retrying(operation, readonly=False)

    async def _retrying(self, operation: Operation[T], *, readonly: bool) -> T:
        for attempt in range(RETRIES):
            try:
                return await self._once(operation, readonly=readonly)
            except _AGAIN as error:
                if attempt == RETRIES - 1:
                    raise StoreUnavailable(f"{self._where} is too busy: {type(error).__name__}") from error
                await asyncio.sleep(random.uniform(0.002, 0.02) * 2**attempt)  # noqa: S311 (jitter)
        raise AssertionError  # pragma: no cover

    async def read(self, operation: Operation[T]) -> T:
        return await self._retrying(operation, readonly=True)

    async def _once(self, operation: Operation[T], *, readonly: bool) -> T:
        committing = False
        try:
            async with self.pool.acquire(timeout=10) as connection:
                isolation = "repeatable_read" if readonly else "read_committed"
                transaction = connection.transaction(isolation=isolation, readonly=readonly)
                await transaction.start()
                tx = PostgresTx(connection, self.queries)
                try:
                    result = await operation(tx)
                except BaseException:
                    for call in reversed(tx.undo):
                        call()
                    if not connection.is_closed():
                        await transaction.rollback()
                    raise
                committing = not readonly
                await transaction.commit()
        except _AGAIN:
            raise
        except GONE as error:
            if isinstance(error, ValueError):
                # asyncpg's word for a value that the column cannot hold: the statement's own fault.
                raise StoreError(f"{type(error).__name__}: {error}") from error
            text = explain(error, self._where)
            log.warning("store_unreachable", reason=text)
            raise (CommitUnknown(text) if committing else StoreUnavailable(text)) from error
        except asyncpg.PostgresError as error:
            raise StoreError(f"{type(error).__name__}: {error}") from error
        for hook in tx.hooks:
            try:
                hook()
            except Exception as error:
                # It is committed all the same, and whoever asked must not be told otherwise.
                log.error("after_commit_failed", reason=f"{type(error).__name__}: {error}")
        return result

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self.pool.close(), 5)
        except TimeoutError:
            self.pool.terminate()
