"""Stored lists on both engines: counts, pieces that break off, and two who change one list."""

from __future__ import annotations

import asyncio
from array import array
from typing import Any

import pytest

from cooee.model.errors import NO_LIST, ApiError, CommitUnknown, StoreError, StoreUnavailable
from cooee.service.accounts import Accounts
from cooee.service.audience import Audience
from cooee.store import audience as rows
from cooee.store.audience import PAGE, PIECE
from cooee.store.database import Lane
from tests.store.support_store import World, run

FIRST = 61400000000


def some(count: int, first: int = FIRST) -> array[int]:
    return array("q", range(first, first + count))


class Breaking:
    """A database whose write number `at` fails, before or after it was carried out."""

    def __init__(self, database: Any, at: int, error: Exception, *, after: bool = False) -> None:
        self.engine = database.engine
        self.queries = database.queries
        self.read = database.read
        self.lanes: list[Lane] = []
        self._database, self._at, self._error, self._after = database, at, error, after

    async def write(self, operation: Any, lane: Lane = Lane.API) -> Any:
        self.lanes.append(lane)
        breaks = len(self.lanes) == self._at
        if breaks and not self._after:
            raise self._error
        answer = await self._database.write(operation, lane)
        if breaks:
            raise self._error
        return answer


async def lists_for(made: World, database: Any = None) -> tuple[Audience, Any]:
    accounts = Accounts(made.database, made.ids, made.clock)
    account = await accounts.add(f"client {await made.ids.one('batch')}", "a long password", credits=0)
    accounts.close()
    return Audience(database or made.database, made.ids, made.clock), account


async def numbers_of(lists: Audience, account: Any, list_id: int) -> list[int]:
    return [number async for page in lists.pages(account, list_id) for number in page]


async def agrees(made: World) -> bool:
    """Every list's count is how many numbers it has."""
    wrong = await made.rows(
        "SELECT l.id FROM list l WHERE l.count <> (SELECT COUNT(*) FROM list_number n "
        "WHERE n.account_id = l.account_id AND n.list_id = l.id)"
    )
    return wrong == []


def test_small_and_large_the_same(database_url: str) -> None:
    async def check(made: World) -> None:
        lists, account = await lists_for(made)
        for count in (0, 1, PIECE, PIECE + 1, 2 * PAGE):
            list_id = await lists.create(account, f"{count:06}", some(count))
            assert await numbers_of(lists, account, list_id) == list(some(count))
            assert await lists.append(account, list_id, some(count, FIRST + count // 2)) == count // 2
            assert await lists.append(account, list_id, some(count)) == 0
            assert await lists.remove(account, list_id, some(count)) == count
            left = count // 2
            assert await numbers_of(lists, account, list_id) == list(some(left, FIRST + count))
        found = await lists.overview(account)
        assert [(view.description, view.count) for view in found] == [
            ("000000", 0), ("000001", 0), (f"{PIECE:06}", PIECE // 2), (f"{PIECE + 1:06}", PIECE // 2),
            (f"{2 * PAGE:06}", PAGE),
        ]  # fmt: skip
        assert [found[at].id + 1 for at in range(4)] == [view.id for view in found[1:]]
        assert await agrees(made)

    run(database_url, check)


def test_lists_of_two_accounts_do_not_mix(database_url: str) -> None:
    async def check(made: World) -> None:
        lists, mine = await lists_for(made)
        _, theirs = await lists_for(made)
        list_id = await lists.create(mine, "x", some(3))
        for refused in (
            lists.append(theirs, list_id, some(1, 1)),
            lists.remove(theirs, list_id, some(1)),
            lists.delete(theirs, list_id),
            lists.description(theirs, list_id),
            lists.require(theirs, [list_id]),
        ):
            with pytest.raises(ApiError) as raised:
                await refused
            assert raised.value.code is NO_LIST
        assert await numbers_of(lists, theirs, list_id) == []
        await lists.require(mine, [list_id])
        assert await numbers_of(lists, mine, list_id) == list(some(3))

    run(database_url, check)


def test_a_new_list_that_breaks_off_is_never_seen(database_url: str) -> None:
    """Three pieces and the step that shows it; the id is taken by other means."""

    async def check(made: World) -> None:
        for at in (2, 3, 4):
            breaking = Breaking(made.database, at, StoreUnavailable("away"))
            lists, account = await lists_for(made, breaking)
            with pytest.raises(StoreUnavailable):
                await lists.create(account, "x", some(3 * PIECE))
            assert breaking.lanes[:3] == [Lane.BULK] * 3
            assert await lists.overview(account, deleted=True) == []
            ((hidden,),) = await made.rows(f"SELECT id FROM list WHERE account_id = {account.id}")
            for refused in (
                lists.description(account, hidden),
                lists.require(account, [hidden]),
                lists.append(account, hidden, some(1)),
                lists.remove(account, hidden, some(1)),
                lists.delete(account, hidden),
            ):
                with pytest.raises(ApiError) as raised:
                    await refused
                assert raised.value.code is NO_LIST
        assert await agrees(made)

    run(database_url, check)


def test_an_unknown_commit_is_looked_up(database_url: str) -> None:
    async def check(made: World) -> None:
        unknown = CommitUnknown("broke")
        lists, account = await lists_for(made, Breaking(made.database, 1, unknown, after=True))
        list_id = await lists.create(account, "x", some(3))
        assert await numbers_of(lists, account, list_id) == list(some(3))
        for count, at in ((3, 1), (2 * PIECE, 2), (2 * PIECE, 3)):
            lists, account = await lists_for(made, Breaking(made.database, at, unknown))
            with pytest.raises(CommitUnknown):
                await lists.create(account, "x", some(count))
            assert await lists.overview(account) == []

    run(database_url, check)


@pytest.mark.parametrize("remove", [False, True], ids=["append", "remove"])
def test_a_change_that_breaks_off_is_not_said_to_be_undone(database_url: str, remove: bool) -> None:
    async def check(made: World) -> None:
        whole, account = await lists_for(made)
        list_id = await whole.create(account, "x", some(3 * PIECE) if remove else some(0))

        def change(lists: Audience) -> Any:
            return (lists.remove if remove else lists.append)(account, list_id, some(3 * PIECE))

        first = Audience(Breaking(made.database, 1, StoreUnavailable("away")), made.ids, made.clock)  # type: ignore[arg-type]
        with pytest.raises(StoreUnavailable):
            await change(first)
        later = Audience(Breaking(made.database, 3, StoreUnavailable("away")), made.ids, made.clock)  # type: ignore[arg-type]
        with pytest.raises(StoreError) as raised:
            await change(later)
        assert not isinstance(raised.value, StoreUnavailable)
        assert await agrees(made)
        # Repeated, it does what is left.
        assert await change(whole) == PIECE
        assert await agrees(made)

    run(database_url, check)


def test_a_list_deleted_under_a_large_change(database_url: str) -> None:
    async def check(made: World) -> None:
        lists, account = await lists_for(made)
        list_id = await lists.create(account, "x", some(0))

        class Deleting(Breaking):
            async def write(self, operation: Any, lane: Lane = Lane.API) -> Any:
                answer = await super().write(operation, lane)
                if len(self.lanes) == 1:
                    await lists.delete(account, list_id)
                return answer

        deleting = Audience(Deleting(made.database, 0, Exception()), made.ids, made.clock)  # type: ignore[arg-type]
        with pytest.raises(ApiError) as raised:
            await deleting.append(account, list_id, some(2 * PIECE))
        assert raised.value.code is NO_LIST
        (view,) = await lists.overview(account, deleted=True)
        assert (view.count, view.deleted_at) == (PIECE, made.clock.now_ms())
        made.clock.advance(60)
        await lists.delete(account, list_id)
        assert await lists.overview(account, deleted=True) == [view]
        assert await agrees(made)

    run(database_url, check)


def test_many_change_one_list_at_once(database_url: str) -> None:
    async def check(made: World) -> None:
        lists, account = await lists_for(made)
        list_id = await lists.create(account, "x", some(0))
        added = await asyncio.gather(*(lists.append(account, list_id, some(300, FIRST + at)) for at in range(6)))
        assert sum(added) == 305
        await asyncio.gather(
            *(lists.append(account, list_id, some(200, FIRST + at)) for at in (0, 50)),
            *(lists.remove(account, list_id, some(200, FIRST + at)) for at in (0, 50)),
        )
        assert await agrees(made)

    run(database_url, check)


def test_a_page_is_found_by_its_key(database_url: str) -> None:
    """Neither a page nor a change walks through the other numbers of a long list."""

    async def check(made: World) -> None:
        _, account = await lists_for(made)
        await made.write(
            lambda tx: rows.add(tx, account.id, 7, "x", some(3000), now=made.clock.now_ms(), whole=True)
        )
        assert await made.write(lambda tx: rows.page(tx, account.id, 7, FIRST + 2998)) == [FIRST + 2999]
        if made.database.engine == "sqlite":
            for name, values in (
                ("list_page", {"account_id": 1, "id": 7, "after": 0, "limit": 5}),
                ("remove_list_numbers", {"account_id": 1, "id": 7, "rows": "[[1]]"}),
            ):

                async def explain(tx: Any, name: str = name, values: dict[str, Any] = values) -> list[str]:
                    text = made.database.queries[name].text
                    return [row[3] for row in tx.connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]

                plan = " ".join(await made.write(explain))
                assert "SEARCH list_number USING PRIMARY KEY (account_id=? AND list_id=? AND number" in plan

    run(database_url, check)


async def swept(made: World) -> int:
    """Drops what was given up; how many transactions that took."""
    count = 0
    while await made.write(rows.drop_piece, Lane.BULK):
        count += 1
        assert await agrees(made)
    return count


def test_a_half_made_list_is_swept_piece_by_piece(database_url: str) -> None:
    async def check(made: World) -> None:
        whole, account = await lists_for(made)
        kept = await whole.create(account, "kept", some(2 * PIECE))
        gone = await whole.create(account, "gone", some(3))
        await whole.delete(account, gone)
        breaking = Audience(Breaking(made.database, 4, StoreUnavailable("away")), made.ids, made.clock)  # type: ignore[arg-type]
        with pytest.raises(StoreUnavailable):
            await breaking.create(account, "x", some(5 * PIECE))
        # As long as it may still go on, it is left alone.
        assert await made.write(lambda tx: rows.give_up(tx, made.clock.now_ms())) == 0
        assert await swept(made) == 0
        assert await made.write(lambda tx: rows.give_up(tx, made.clock.now_ms() + 1)) == 1
        assert await swept(made) == 4
        assert {row[0] for row in await made.rows("SELECT id FROM list")} == {kept, gone}
        assert {row[0] for row in await made.rows("SELECT DISTINCT list_id FROM list_number")} == {kept, gone}
        assert await numbers_of(whole, account, kept) == list(some(2 * PIECE))

    run(database_url, check)


@pytest.mark.parametrize("at", [2, 3])
def test_a_list_that_was_given_up_is_neither_filled_nor_shown(database_url: str, at: int) -> None:
    async def check(made: World) -> None:
        class GivenUp(Breaking):
            async def write(self, operation: Any, lane: Lane = Lane.API) -> Any:
                if len(self.lanes) == at - 1:
                    await made.write(lambda tx: rows.give_up(tx, made.clock.now_ms() + 1))
                return await super().write(operation, lane)

        slow = GivenUp(made.database, 0, Exception())
        lists, account = await lists_for(made, slow)
        with pytest.raises(StoreUnavailable):
            await lists.create(account, "x", some(2 * PIECE))
        assert await swept(made) > 0
        assert await made.rows("SELECT id FROM list") == await made.rows("SELECT number FROM list_number") == []

    run(database_url, check)


def test_each_piece_shows_that_its_list_is_alive(database_url: str) -> None:
    """However long the whole takes, a list that goes on is never given up."""

    async def check(made: World) -> None:
        class Slow(Breaking):
            async def write(self, operation: Any, lane: Lane = Lane.API) -> Any:
                assert await made.write(lambda tx: rows.give_up(tx, made.clock.now_ms() - 60_000)) == 0
                made.clock.advance(50)
                return await super().write(operation, lane)

        lists, account = await lists_for(made, Slow(made.database, 0, Exception()))
        list_id = await lists.create(account, "x", some(6 * PIECE))
        assert await numbers_of(lists, account, list_id) == list(some(6 * PIECE))

    run(database_url, check)


def test_appends_removes_and_deletes_of_one_list_at_once(database_url: str) -> None:
    """Large and small ones go through one another; counts stay right, and after the delete nothing changes."""

    async def check(made: World) -> None:
        lists, account = await lists_for(made)
        list_id = await lists.create(account, "x", some(0))
        large = 2 * PIECE + 1
        added = await asyncio.gather(*(lists.append(account, list_id, some(large, FIRST + at)) for at in range(4)))
        assert sum(added) == large + 3
        both = await asyncio.gather(
            *(lists.append(account, list_id, some(large, FIRST + 100 + at)) for at in range(3)),
            *(lists.remove(account, list_id, some(large, FIRST + at)) for at in range(3)),
            *(lists.append(account, list_id, some(10, FIRST + at)) for at in range(10)),
            *(lists.remove(account, list_id, some(10, FIRST + at)) for at in range(10)),
        )
        taken = sum(both[3:6]) + sum(both[16:])
        (view,) = await lists.overview(account)
        assert view.count == sum(added) + sum(both[:3]) + sum(both[6:16]) - taken
        assert await agrees(made)
        ended = await asyncio.gather(
            *(lists.append(account, list_id, some(large, FIRST + 20_000 + at)) for at in range(3)),
            lists.delete(account, list_id),
            *(lists.remove(account, list_id, some(large, FIRST + at)) for at in range(3)),
            lists.delete(account, list_id),
            return_exceptions=True,
        )
        refused = [answer for answer in ended if isinstance(answer, BaseException)]
        assert all(isinstance(error, ApiError) and error.code is NO_LIST for error in refused)
        assert refused
        assert ended[3] is ended[7] is None
        before = await lists.overview(account, deleted=True)
        assert await lists.overview(account) == []
        for change in (lists.append, lists.remove):
            with pytest.raises(ApiError):
                await change(account, list_id, some(5))
        assert await lists.overview(account, deleted=True) == before
        assert await agrees(made)

    run(database_url, check)
