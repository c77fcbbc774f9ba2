"""What a store offers to the rooms above it, whichever engine is behind.

An *operation* is a coroutine function that takes a `Tx`. On PostgreSQL it runs as one; on SQLite the writer
thread drives it to its end without ever suspending. So an operation awaits nothing but its `Tx`, keeps no
state outside of it, and may be run again from the start: after a deadlock, or alone when the group it came
with failed.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from cooee.model.errors import CommitUnknown, StoreUnavailable
from cooee.store.queries import Query

T = TypeVar("T")
Item = TypeVar("Item")
Answer = TypeVar("Answer")
Row = Sequence[Any]


class Lane(enum.IntEnum):
    """Who goes first when the writer is busy; a lower lane that has waited long enough overtakes."""

    RECEIPTS = 0
    API = 1
    ENGINE = 2
    BULK = 3


class Tx(Protocol):
    """One transaction. `name` is always the name of a query in sql/."""

    engine: str

    async def all(self, name: str, /, **values: object) -> Sequence[Row]:
        """Every row of the answer."""
        ...

    async def one(self, name: str, /, **values: object) -> Row | None:
        """The first row, or None."""
        ...

    async def run(self, name: str, /, **values: object) -> int:
        """Executes a change; how many rows it touched."""
        ...

    async def many(self, name: str, rows: Sequence[Row], /, **values: object) -> int:
        """Executes a `rows(…)` change with all `rows` in one statement; how many rows it touched."""
        ...

    async def many_all(self, name: str, rows: Sequence[Row], /, **values: object) -> Sequence[Row]:
        """The same for a query, or for a change that returns rows."""
        ...

    def after_commit(self, call: Callable[[], None]) -> None:
        """`call` runs once this transaction is committed, and never if it is not."""
        ...

    def after_rollback(self, call: Callable[[], None]) -> None:
        """`call` runs if this transaction is rolled back."""
        ...


Operation = Callable[[Tx], Awaitable[T]]


class Database(Protocol):
    """A store. Errors: StoreUnavailable (nothing was written), CommitUnknown (it may have been)."""

    engine: str
    queries: dict[str, Query]

    async def write(self, operation: Operation[T], lane: Lane = Lane.API) -> T:
        """Runs `operation` in a transaction and returns once it is committed to disk."""
        ...

    async def read(self, operation: Operation[T]) -> T:
        """Runs a reading `operation` on one consistent snapshot."""
        ...

    async def close(self) -> None:
        """Finishes what was begun, then lets go of the database."""
        ...


def _one(item: object) -> int:
    return 1


class Grouped(Generic[Item, Answer]):
    """Group commit: items that arrive while a transaction is under way share the next one.

    `operation(tx, items)` answers each item in order, with a value or with an exception for that item alone;
    items in one group see each other. A group takes items up to a `weight` of `limit` in all. A group that fails
    as a whole is replayed one by one, so that bad data in one item never takes the others with it.
    """

    def __init__(
        self,
        database: Database,
        operation: Callable[[Tx, list[Item]], Awaitable[list[Answer | Exception]]],
        *,
        lane: Lane = Lane.API,
        limit: int = 500,
        parallel: int = 1,
        weight: Callable[[Item], int] = _one,
    ) -> None:
        self._database = database
        self._operation = operation
        self._lane = lane
        self._limit = limit
        self._weight = weight
        self._free = parallel
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def put(self, item: Item) -> Answer:
        """Waits until the item is committed and returns its answer, or raises what it raised."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._free:
            self._free -= 1
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _drain(self) -> None:
        try:
            while self._waiting:
                count = self._fitting()
                group = self._waiting[:count]
                del self._waiting[:count]
                await self._commit(group)
        finally:
            self._free += 1

    def _fitting(self) -> int:
        """How many of those that wait go together: one at least."""
        total = 0
        for count, (item, _) in enumerate(self._waiting):
            total += self._weight(item)
            if count and total > self._limit:
                return count
        return len(self._waiting)

    async def _commit(self, group: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        items = [item for item, _ in group]
        try:
            answers = await self._database.write(lambda tx: self._operation(tx, items), self._lane)
        except Exception as error:
            if len(group) == 1 or isinstance(error, (StoreUnavailable, CommitUnknown)):
                answers = [error] * len(group)
            else:
                for pair in group:
                    await self._commit([pair])
                return
        for (_, future), answer in zip(group, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
