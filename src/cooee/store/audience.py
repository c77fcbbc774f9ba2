"""Stored lists of numbers: operations on their rows. Each runs inside the caller's transaction.

A list that is unknown, another account's, deleted or not whole yet is one and the same here: ApiError -940 (wire
contract §8).
"""

from __future__ import annotations

from collections.abc import Sequence

from cooee.model.errors import NO_LIST, ApiError, StoreUnavailable
from cooee.store.database import Row, Tx

PAGE = 5000
"""Numbers read in one go."""
PIECE = 2000
"""Numbers that one transaction adds or removes (measured: 2 ms on SQLite, 10 ms where each is on a page of its
own), so that nobody waits long for the writer."""


async def overview(tx: Tx, account_id: int, *, deleted: bool) -> Sequence[Row]:
    """(id, description, count, deleted_at UTC ms or None, active campaign or 0) of every list, in no order."""
    return await tx.all("lists_of", account_id=account_id, deleted=int(deleted))


async def description(tx: Tx, account_id: int, list_id: int) -> str:
    """The description of a list; ApiError -940."""
    row = await tx.one("find_list", account_id=account_id, id=list_id)
    if row is None:
        raise ApiError(NO_LIST, list_id)
    return str(row[0])


async def known(tx: Tx, account_id: int, list_ids: Sequence[int]) -> set[int]:
    """Those of `list_ids` that the account has and has not deleted."""
    rows = [(list_id,) for list_id in list_ids]
    return {int(row[0]) for row in await tx.many_all("find_lists", rows, account_id=account_id)}


async def page(tx: Tx, account_id: int, list_id: int, after: int) -> list[int]:
    """The next PAGE numbers behind `after`, rising; fewer mean that these were the last."""
    rows = await tx.all("list_page", account_id=account_id, id=list_id, after=after, limit=PAGE)
    return [int(row[0]) for row in rows]


async def add(
    tx: Tx, account_id: int, list_id: int, text: str, numbers: Sequence[int], *, now: int, whole: bool
) -> None:
    """A new list with its first numbers. Unless it is `whole` with these, nobody sees it until `show`."""
    await tx.run(
        "add_list",
        account_id=account_id,
        id=list_id,
        description=text,
        now=now,
        filling_at=None if whole else now,
    )
    await _insert(tx, account_id, list_id, numbers)


async def fill(tx: Tx, account_id: int, list_id: int, numbers: Sequence[int], now: int) -> None:
    """The next numbers of a list that is not whole yet. StoreUnavailable when it was given up meanwhile."""
    await _go_on(tx, account_id, list_id, now)
    await _insert(tx, account_id, list_id, numbers)


async def show(tx: Tx, account_id: int, list_id: int) -> None:
    """A list that was filled piece by piece is whole now. StoreUnavailable when it was given up meanwhile."""
    await _go_on(tx, account_id, list_id, None)


async def _go_on(tx: Tx, account_id: int, list_id: int, now: int | None) -> None:
    if not await tx.run("go_on_filling", account_id=account_id, id=list_id, now=now):
        raise StoreUnavailable("the list was not filled in time")


async def give_up(tx: Tx, before: int) -> int:
    """Lists whose newest piece came before `before` (UTC ms) will never be whole; how many."""
    return await tx.run("give_up_filling", before=before)


async def drop_piece(tx: Tx) -> bool:
    """Removes a piece of a list that was given up; False when there is none."""
    row = await tx.one("given_up")
    if row is None:
        return False
    account_id, list_id = row
    dropped = await tx.run("drop_list_piece", account_id=account_id, id=list_id, limit=PIECE)
    if dropped:
        await tx.run("count_list", account_id=account_id, id=list_id, change=-dropped)
    if dropped < PIECE:
        await tx.run("drop_list", account_id=account_id, id=list_id)
    return True


async def _insert(tx: Tx, account_id: int, list_id: int, numbers: Sequence[int]) -> int:
    """Adds numbers to a list that the caller has made or locked; how many were new."""
    rows = [(number,) for number in numbers]
    added = await tx.many("add_list_numbers", rows, account_id=account_id, id=list_id)
    if added:
        await tx.run("count_list", account_id=account_id, id=list_id, change=added)
    return added


async def append(tx: Tx, account_id: int, list_id: int, numbers: Sequence[int]) -> int:
    """Adds numbers; how many were not in the list. ApiError -940."""
    await _lock(tx, account_id, list_id)
    return await _insert(tx, account_id, list_id, numbers)


async def remove(tx: Tx, account_id: int, list_id: int, numbers: Sequence[int]) -> int:
    """Takes numbers out; how many were in the list. ApiError -940."""
    await _lock(tx, account_id, list_id)
    rows = [(number,) for number in numbers]
    removed = await tx.many("remove_list_numbers", rows, account_id=account_id, id=list_id)
    if removed:
        await tx.run("count_list", account_id=account_id, id=list_id, change=-removed)
    return removed


async def delete(tx: Tx, account_id: int, list_id: int, now: int) -> bool:
    """Flags a list as deleted; False for one that is, which is left alone. -940 where there never was one."""
    row = await tx.one("lock_list", account_id=account_id, id=list_id)
    if row is None:
        raise ApiError(NO_LIST, list_id)
    if row[0] is not None:
        return False
    await tx.run("set_list_deleted", account_id=account_id, id=list_id, deleted_at=now)
    return True


async def _lock(tx: Tx, account_id: int, list_id: int) -> None:
    row = await tx.one("lock_list", account_id=account_id, id=list_id)
    if row is None or row[0] is not None:
        raise ApiError(NO_LIST, list_id)
