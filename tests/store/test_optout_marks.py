"""An opt-out holds from the very next mark on, and its end from the one after that; on both engines."""

from __future__ import annotations

import asyncio
from array import array

import pytest

from cooee.model.account import Account
from cooee.model.campaign import BatchState
from cooee.model.errors import StoreError, StoreUnavailable
from cooee.model.message import MessageState
from cooee.service.optouts import Optouts
from cooee.store import accounts, optouts
from cooee.store.database import Database, Lane, Operation
from tests.store.support_store import FIRST, World, numbers, run

HANDED, WASHED = MessageState.HANDED_OVER, MessageState.WASHED


async def owner(world: World, account_id: int | None = None) -> Account:
    found = await world.database.read(lambda tx: accounts.by_id(tx, account_id or world.account_id))
    assert found is not None
    return found


def service(world: World) -> Optouts:
    return Optouts(world.database, world.clock)


def test_a_campaign_under_way_obeys_with_its_next_slice(database_url: str) -> None:
    async def check(world: World) -> None:
        account, mine = await owner(world), service(world)
        new = await world.campaign(10)
        full = await world.credits()
        (hand,) = await world.claim(7, 3)
        # The first is marked already: it goes out. The others are washed, whichever slice they are in.
        assert await mine.add(account, [FIRST, FIRST + 3, FIRST + 8]) == 3
        outcome = await hand.accept(range(3)).step(mark=3)
        assert [(grant.start, grant.stop, grant.skip) for grant in outcome.grants] == [(3, 6, {3})]
        assert await mine.remove(account, [FIRST + 8]) == 1
        assert await mine.add(account, [FIRST + 9]) == 1
        outcome = await hand.accept([4, 5]).step(mark=4)
        assert [(grant.start, grant.stop, grant.skip) for grant in outcome.grants] == [(6, 10, {9})]
        await hand.accept([6, 7, 8]).step()
        assert await world.states(new) == [HANDED, HANDED, HANDED, WASHED, *[HANDED] * 5, WASHED]
        assert (await world.batches(new))[0].state == BatchState.DONE
        assert await world.credits() == full + 2
        await world.check_ledger()

    run(database_url, check)


def test_a_number_that_came_back_is_sent_to_again(database_url: str) -> None:
    async def check(world: World) -> None:
        account, mine = await owner(world), service(world)
        for opted_out in (True, False, True):
            change = mine.add if opted_out else mine.remove
            assert await change(account, [FIRST]) == 1
            new = await world.campaign([FIRST])
            hands = await world.claim(7)
            if not opted_out:
                await hands[0].accept([0]).step()
            assert await world.states(new) == [WASHED if opted_out else HANDED]
            world.clock.advance(1)
        past = await world.rows("SELECT reason, who, deleted_reason, deleted_who FROM optout_past")
        assert past == [("Client", account.name, "Client", account.name)]

    run(database_url, check)


def test_another_accounts_opt_out_is_its_own(database_url: str) -> None:
    async def check(world: World) -> None:
        other = await owner(world, await world.account())
        assert await service(world).add(other, [FIRST]) == 1
        new = await world.campaign([FIRST])
        (hand,) = await world.claim(7)
        await hand.accept([0]).step()
        assert await world.states(new) == [HANDED]

    run(database_url, check)


def test_adds_and_removes_of_the_same_numbers_at_once(database_url: str) -> None:
    async def check(world: World) -> None:
        account, mine = await owner(world), service(world)
        many = numbers(5000)
        added = await asyncio.gather(*(mine.add(account, many) for _ in range(3)))
        assert sum(added) == 5000
        removed = await asyncio.gather(*(mine.remove(account, many) for _ in range(3)))
        assert sum(removed) == 5000
        assert await world.rows("SELECT count(*) FROM optout") == [(0,)]
        assert await world.rows("SELECT count(*) FROM optout_past") == [(5000,)]

    run(database_url, check)


def test_pages_have_each_once_newest_first(database_url: str) -> None:
    async def check(world: World) -> None:
        account, mine = await owner(world), service(world)
        size = optouts.PAGE
        await mine.add(account, numbers(size + 10))
        world.clock.advance(1)
        await mine.add(account, numbers(size, FIRST + 100_000))
        pages = [page async for page in mine.pages(account)]
        assert [len(page) for page in pages] == [size, size, 10]
        found = [(row[1], row[0]) for page in pages for row in page]
        assert found == sorted(set(found), reverse=True)

    run(database_url, check)


class Failing:
    """A store that goes away after some writes."""

    def __init__(self, database: Database, writes: int) -> None:
        self._database = database
        self._writes = writes

    async def write(self, operation: Operation[int], lane: Lane = Lane.API) -> int:
        self._writes -= 1
        if self._writes < 0:
            raise StoreUnavailable("gone")
        return await self._database.write(operation, lane)


def test_nothing_was_accepted_is_said_only_where_it_is_true(database_url: str) -> None:
    async def check(world: World) -> None:
        account = await owner(world)
        many = array("q", numbers(optouts.PIECE + 1))
        for writes, said in ((0, StoreUnavailable), (1, StoreError)):
            with pytest.raises(StoreError) as raised:
                await Optouts(Failing(world.database, writes), world.clock).add(account, many)  # type: ignore[arg-type]
            assert type(raised.value) is said
        assert await world.rows("SELECT count(*) FROM optout") == [(optouts.PIECE,)]
        assert await service(world).add(account, many) == 1

    run(database_url, check)
