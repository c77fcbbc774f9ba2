"""Two actors on one store, one of which is held at each of its steps in turn while the other goes on.

On PostgreSQL a step is a statement, and a commit; the other actor then runs on a connection of its own until it is
done or waits for a lock. On SQLite, where one transaction follows another, a step is a transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from cooee.store.database import Database, Lane, Operation, Row, T, Tx
from tests.store.support_store import World, raw

MOST_STEPS = 200


class Hold:
    """Stops whoever comes to step number `at`, until it is let go."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._count = 0
        self.arrived = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def step(self) -> None:
        self._count += 1
        if self._count == self._at:
            self.arrived.set()
            await self.goes_on.wait()


class _SteppedTx:
    """A transaction that takes a step before each statement."""

    def __init__(self, tx: Any, hold: Hold) -> None:
        self._tx = tx
        self._hold = hold

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    async def all(self, name: str, /, **values: object) -> Any:
        await self._hold.step()
        return await self._tx.all(name, **values)

    async def one(self, name: str, /, **values: object) -> Any:
        await self._hold.step()
        return await self._tx.one(name, **values)

    async def run(self, name: str, /, **values: object) -> Any:
        await self._hold.step()
        return await self._tx.run(name, **values)

    async def many(self, name: str, rows: Any, /, **values: object) -> Any:
        await self._hold.step()
        return await self._tx.many(name, rows, **values)

    async def many_all(self, name: str, rows: Any, /, **values: object) -> Any:
        await self._hold.step()
        return await self._tx.many_all(name, rows, **values)


class SteppedDatabase:
    """One actor's view of the store."""

    def __init__(self, database: Database, hold: Hold) -> None:
        self._database = database
        self._hold = hold
        self.engine = database.engine
        self.queries = database.queries

    async def write(self, operation: Operation[T], lane: Lane = Lane.API) -> T:
        await self._hold.step()
        if self.engine == "sqlite":
            return await self._database.write(operation, lane)

        async def stepped(tx: Tx) -> T:
            answer = await operation(_SteppedTx(tx, self._hold))
            await self._hold.step()
            return answer

        return await self._database.write(stepped, lane)

    async def read(self, operation: Operation[T]) -> T:
        return await self._database.read(operation)

    async def close(self) -> None:
        await self._database.close()


Actor = Callable[[World], Awaitable[Any]]


@dataclass
class Outcome:
    """What came of a race: answers, or the errors that were raised; and whether the second one was done first."""

    first: Any
    second: Any
    overtaken: bool


@dataclass
class Race:
    """One race on fresh rows: two actors, and what must hold afterwards."""

    first: Actor
    second: Actor
    check: Callable[[Outcome], Awaitable[None]]


async def every_interleaving(world: World, make: Callable[[], Awaitable[Race]]) -> int:
    """Runs the race anew for each step at which either actor can be held; in how many ways that was."""
    ways = 0
    for swapped in (False, True):
        for at in range(1, MOST_STEPS):
            race = await make()
            held, other = (race.second, race.first) if swapped else (race.first, race.second)
            mine, theirs, overtaken, arrived = await _run(world, held, other, at)
            if swapped:
                # Held was the second one: it was done first unless it was overtaken.
                outcome = Outcome(theirs, mine, not overtaken)
            else:
                outcome = Outcome(mine, theirs, overtaken)
            try:
                await race.check(outcome)
            except AssertionError as error:
                raise AssertionError(
                    f"held at step {at} of the {'second' if swapped else 'first'}: {error}"
                ) from error
            ways += 1
            if not arrived:
                break
        else:
            raise AssertionError("an actor without an end")
    return ways


async def _run(world: World, held: Actor, other: Actor, at: int) -> tuple[Any, Any, bool, bool]:
    """Answers of both, whether `other` was done while `held` stood still, and whether `held` came so far."""
    hold = Hold(at)
    mine = asyncio.ensure_future(held(replace(world, database=SteppedDatabase(world.database, hold))))
    arrival = asyncio.ensure_future(hold.arrived.wait())
    await asyncio.wait([mine, arrival], return_when=asyncio.FIRST_COMPLETED, timeout=10)
    arrived = arrival.done()
    arrival.cancel()
    theirs = asyncio.ensure_future(other(world))
    overtaken = False
    if arrived:
        overtaken = await _done_or_waiting(world, theirs)
    hold.goes_on.set()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(mine, theirs, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not hasattr(answer, "code"):
            raise answer
    with suppress(asyncio.CancelledError):
        await arrival
    return answers[0], answers[1], overtaken, arrived


async def _done_or_waiting(world: World, task: asyncio.Future[Any]) -> bool:
    """True once the task is done; False when it waits for a lock that somebody holds."""
    for _ in range(2000):
        await asyncio.wait([task], timeout=0.004)
        if task.done():
            return True
        if world.database.engine == "postgres" and await world.database.read(_waiting):
            return False
    raise AssertionError("neither done nor waiting")


async def _waiting(tx: Tx) -> bool:
    rows: list[Row] = list(
        await raw(
            tx,
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
    )
    return bool(rows)
