"""Stored lists: made, filled, emptied, deleted and read (wire contract §8).

A list may have millions of numbers. What is small goes in or out with one transaction; more goes piece by piece
in the lowest lane. A new list is hidden until it is whole. Appending and removing show as they go: repeating a
request that broke off does no harm.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from cooee.model.account import Account
from cooee.model.clock import Clock
from cooee.model.errors import NO_LIST, ApiError, CommitUnknown, StoreError, StoreUnavailable
from cooee.model.words import counted
from cooee.service import audit
from cooee.store import audience as rows
from cooee.store.audience import PIECE
from cooee.store.database import Database, Lane, Tx
from cooee.store.ids import Ids

MAX_ID = 2**53
"""No list has an id beyond; what is asked for beyond is not found."""
UNDER_WAY = 2
"""Pieces of one request that are written at a time."""
LOOKED_UP = 1000
"""Lists that one query looks up."""


@dataclass(frozen=True, slots=True)
class ListView:
    """A list as its owner is shown it. `deleted_at` is UTC ms; `active` a campaign's id, or 0."""

    id: int
    description: str
    count: int
    deleted_at: int | None
    active: int


_Change = Callable[[Tx, int, int, Sequence[int]], Awaitable[int]]


class Audience:
    """The use cases of stored lists. A list of another account is none here: ApiError -940."""

    def __init__(self, database: Database, ids: Ids, clock: Clock) -> None:
        self._database = database
        self._ids = ids
        self._clock = clock

    async def overview(self, account: Account, *, deleted: bool = False) -> list[ListView]:
        """The account's lists by description, case folded, then by id; with `deleted`, those that are too."""
        found = await self._database.read(lambda tx: rows.overview(tx, account.id, deleted=deleted))
        return sorted((ListView(*row) for row in found), key=lambda each: (each.description.casefold(), each.id))

    async def description(self, account: Account, list_id: int) -> str:
        """What a list is called; -940."""
        _check_id(list_id)
        return await self._database.read(lambda tx: rows.description(tx, account.id, list_id))

    async def require(self, account: Account, list_ids: Sequence[int]) -> None:
        """-940 for the first of `list_ids` that the account does not have."""
        for at in range(0, len(list_ids), LOOKED_UP):
            some = list_ids[at : at + LOOKED_UP]
            asked = [list_id for list_id in some if 0 < list_id <= MAX_ID]

            async def look(tx: Tx, asked: Sequence[int] = asked) -> set[int]:
                return await rows.known(tx, account.id, asked)

            known = await self._database.read(look)
            for list_id in some:
                if list_id not in known:
                    raise ApiError(NO_LIST, list_id)

    async def pages(self, account: Account, list_id: int, after: int = 0) -> AsyncGenerator[list[int], None]:
        """The numbers of a list behind `after`, rising, page by page; every page is one short read."""
        while True:

            async def following(tx: Tx, after: int = after) -> list[int]:
                return await rows.page(tx, account.id, list_id, after)

            page = await self._database.read(following)
            if page:
                yield page
                after = page[-1]
            if len(page) < rows.PAGE:
                return

    async def create(self, account: Account, description: str, numbers: array[int]) -> int:
        """Makes a list of `numbers` (sorted, unique, perhaps none); its id."""
        list_id = await self._ids.exactly_one("list")
        whole = len(numbers) <= PIECE
        noted = audit.said(
            audit.change("list created", account=account.name),
            f"list {list_id}, {counted(len(numbers), 'number')}: {description}",
        )

        async def add(tx: Tx) -> None:
            now = self._clock.now_ms()
            await rows.add(tx, account.id, list_id, description, numbers[:PIECE], now=now, whole=whole)
            if whole:
                await audit.note(tx, noted, now)

        async def show(tx: Tx) -> None:
            await rows.show(tx, account.id, list_id)
            await audit.note(tx, noted, self._clock.now_ms())

        try:
            await self._database.write(add, Lane.API if whole else Lane.BULK)
            if not whole:
                await self._in_pieces(self._fill, account, list_id, numbers[PIECE:])
                await self._database.write(show)
        except CommitUnknown:
            await self._look_up(account, list_id)
        return list_id

    async def _fill(self, tx: Tx, account_id: int, list_id: int, numbers: Sequence[int]) -> int:
        await rows.fill(tx, account_id, list_id, numbers, self._clock.now_ms())
        return len(numbers)

    async def append(self, account: Account, list_id: int, numbers: array[int]) -> int:
        """Adds numbers to a list; how many were not in it. -940."""
        noted = audit.change("list numbers added", account=account.name)
        return await self._change(rows.append, account, list_id, numbers, noted)

    async def remove(self, account: Account, list_id: int, numbers: array[int]) -> int:
        """Takes numbers out of a list; how many were in it. -940."""
        noted = audit.change("list numbers removed", account=account.name)
        return await self._change(rows.remove, account, list_id, numbers, noted)

    async def delete(self, account: Account, list_id: int) -> None:
        """Deletes a list, and succeeds again for one that is deleted; its rows stay. -940."""
        _check_id(list_id)
        noted = audit.change("list deleted", account=account.name)

        async def delete(tx: Tx) -> None:
            now = self._clock.now_ms()
            if await rows.delete(tx, account.id, list_id, now):
                await audit.note(tx, noted, now, f"list {list_id}")

        await self._database.write(delete)

    async def _change(
        self, change: _Change, account: Account, list_id: int, numbers: array[int], noted: audit.Change | None
    ) -> int:
        _check_id(list_id)
        small = len(numbers) <= PIECE

        async def begin(tx: Tx) -> int:
            done = await change(tx, account.id, list_id, numbers[:PIECE])
            if done or not small:
                # What goes in by pieces is noted with the first of them: whatever follows is its doing.
                said = f"list {list_id}, {counted(len(numbers), 'number')}"
                await audit.note(tx, noted, self._clock.now_ms(), said)
            return done

        first = await self._database.write(begin, Lane.API if small else Lane.BULK)
        if small:
            return first
        try:
            return first + await self._in_pieces(change, account, list_id, numbers[PIECE:])
        except StoreUnavailable as error:
            # "Nothing was accepted" would not be true any more.
            raise StoreError(f"a part of the numbers is in: {error}") from error

    async def _in_pieces(self, change: _Change, account: Account, list_id: int, numbers: array[int]) -> int:
        """With the next piece on its way while one is written: the writer then waits for the disk alone."""
        starts = iter(range(0, len(numbers), PIECE))
        failed: list[Exception] = []

        async def carry_on() -> int:
            changed = 0
            for at in starts:
                piece = numbers[at : at + PIECE]

                async def one(tx: Tx, piece: array[int] = piece) -> int:
                    return await change(tx, account.id, list_id, piece)

                try:
                    changed += await self._database.write(one, Lane.BULK)
                except Exception as error:
                    failed.append(error)
                if failed:
                    break
            return changed

        counts = await asyncio.gather(*(carry_on() for _ in range(UNDER_WAY)))
        if failed:
            raise failed[0]
        return sum(counts)

    async def _look_up(self, account: Account, list_id: int) -> None:
        """Whether a new list is there after all; a hidden one is not."""
        try:
            await self.description(account, list_id)
        except ApiError:
            raise CommitUnknown("the database connection broke while the list was being committed") from None


def _check_id(list_id: int) -> None:
    if not 0 < list_id <= MAX_ID:
        raise ApiError(NO_LIST, list_id)
