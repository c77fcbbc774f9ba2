"""What an operator looks up and settles on the command line; and the database as it is, before any migration."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from cooee.model.campaign import BatchState
from cooee.model.clock import Clock
from cooee.model.errors import ConfigError, StoreError
from cooee.model.message import MessageState
from cooee.store.database import Database, Row, Tx
from cooee.store.migrate import migrate_postgres, migrate_sqlite
from cooee.store.open import sqlite_path
from cooee.store.postgres import PostgresDatabase
from cooee.store.sqlite import SqliteDatabase


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt at a recipient. The masks hold a bit for each part; `at` is UTC ms."""

    no: int
    carrier: str | None
    parts: int
    accepted: int
    delivered: int
    failed: int
    at: int


@dataclass(frozen=True, slots=True)
class MessageView:
    """What became of one recipient. Times are UTC ms; `attempts` are the earlier ones."""

    state: MessageState
    last: AttemptView
    first_at: int
    uncertain_until: int | None
    flags: int
    credits: int
    code: int
    detail: str | None
    attempts: Sequence[AttemptView]


@dataclass(frozen=True, slots=True)
class WaitingView:
    """A recipient without an outcome: its batch, and whether it was marked for sending."""

    batch: int
    state: BatchState
    marked: bool
    carrier: str | None
    not_before: int | None


@dataclass(frozen=True, slots=True)
class UncertainView:
    """A recipient that may or may not have been reached; `until` None: held for a person."""

    campaign_id: int
    account: str
    zone: str
    destination: int
    attempt: int
    carrier: str | None
    since: int
    until: int | None


async def message(tx: Tx, account_id: int, campaign_id: int, destination: int) -> MessageView | None:
    """The outcome of one recipient, None while it has none."""
    key = {"account_id": account_id, "campaign_id": campaign_id, "destination": destination}
    row = await tx.one("inspect_message", **key)
    if row is None:
        return None
    earlier = await tx.all("inspect_attempts", **key)
    return MessageView(
        state=MessageState(row[0]),
        last=AttemptView(row[1], row[2], row[3], row[4], row[5], row[6], row[10]),
        first_at=row[9],
        uncertain_until=row[11],
        flags=row[7],
        credits=row[8],
        code=row[12],
        detail=row[13],
        attempts=[AttemptView(*each) for each in earlier],
    )


async def waiting(tx: Tx, account_id: int, campaign_id: int, destination: int) -> WaitingView | None:
    """Where a recipient without an outcome is; None when it is not in the campaign at all."""
    after = -1
    while True:
        page = await tx.all("inspect_batches", account_id=account_id, campaign_id=campaign_id, after=after)
        for no, state, _, marked, not_before, carrier, packed in page:
            numbers: array[int] = array("q")
            numbers.frombytes(packed)
            place = bisect_left(numbers, destination)
            if place < len(numbers) and numbers[place] == destination:
                return WaitingView(no, BatchState(state), place < marked, carrier, not_before)
        if not page:
            return None
        after = page[-1][0]


async def uncertain(tx: Tx, campaign_id: int | None, limit: int) -> list[UncertainView]:
    """Up to `limit` uncertain recipients of one campaign, or of all."""
    return [UncertainView(*row) for row in await tx.all("inspect_uncertain", campaign_id=campaign_id, limit=limit)]


async def pausable(tx: Tx, after: int) -> Sequence[Row]:
    """(account_id, id) of the next campaigns behind id `after` that can be paused."""
    return await tx.all("pausable_campaigns", after=after)


# --- the database as it is ---------------------------------------------------------------------------------


async def open_as_it_is(url: str, clock: Clock) -> Database:
    """The database without its migrations; ConfigError where an SQLite file is not there yet."""
    path = sqlite_path(url)
    if path is None:
        return cast(Database, await PostgresDatabase.connect(url, size=2))
    if not await asyncio.to_thread(path.exists):
        raise ConfigError(f"there is no file {path} yet: cooee migrate or cooee serve makes it")
    return cast(Database, await asyncio.to_thread(SqliteDatabase, path, clock))


async def schema_of(database: Database) -> int:
    """The newest migration that was applied; 0 for none."""

    async def read(tx: Tx) -> Row | None:
        return await tx.one("get_meta", name="schema")

    try:
        row = await database.read(read)
    except StoreError as error:
        # What the engines say where nothing was migrated yet; a real outage is something else.
        if "no such table" in str(error) or "UndefinedTable" in str(error):
            return 0
        raise
    return 0 if row is None else int(row[0])


async def migrate(url: str, clock: Clock) -> tuple[int, list[int]]:
    """Applies what is missing: (the schema number now, the migrations applied)."""
    path = sqlite_path(url)
    if path is not None:
        sqlite = await asyncio.to_thread(SqliteDatabase, path, clock)
        try:
            applied = await asyncio.to_thread(migrate_sqlite, sqlite)
            return await schema_of(cast(Database, sqlite)), applied
        finally:
            await sqlite.close()
    postgres = await PostgresDatabase.connect(url, size=2)
    try:
        applied = await migrate_postgres(postgres)
        return await schema_of(cast(Database, postgres)), applied
    finally:
        await postgres.close()
