"""Large campaigns: written unseen, piece by piece; the last transaction charges and shows them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.errors import BAD_FIELD, CREDITS_SHORT, SUSPENDED, ApiError
from cooee.store import acceptance, campaigns
from cooee.store.acceptance import Created, NewCampaign
from cooee.store.database import Lane
from tests.store.support_store import World, run

BATCHES = 210
"""Full ones: two transactions and a bit."""


async def begin(world: World, new: NewCampaign) -> None:
    await world.write(lambda tx: acceptance.begin_large(tx, new, world.clock.now_ms()))
    for first in range(0, len(new.pieces), new.at_once):
        await world.write(lambda tx, first=first: acceptance.add_piece(tx, new, first), Lane.BULK)  # type: ignore[misc]


async def publish(world: World, new: NewCampaign) -> Any:
    return await world.write(lambda tx: acceptance.publish_large(tx, new, world.clock.now_ms()))


def test_accepted_in_pieces(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.new(BATCHES * 500 - 7, carriers=None)
        await begin(world, new)
        # Nobody sees it, nothing is charged, nothing can be claimed.
        assert await world.state(new) == CampaignState.ACCEPTING
        assert await world.database.read(lambda tx: campaigns_seen(tx, new)) == []
        assert await world.credits() == 1_000_000
        assert await world.claim(7) == []
        with pytest.raises(ApiError):
            await world.change("pause", new)
        assert await publish(world, new) == Created(new.id, new.messages, 1, new.messages)
        assert await world.state(new) == CampaignState.STARTING
        assert await world.credits() == 1_000_000 - new.messages
        await world.deal(new)
        batches = await world.batches(new)
        assert [b.no for b in batches] == list(range(BATCHES))
        assert {b.state for b in batches} == {BatchState.READY}
        turns = [b.turn for b in batches]
        assert turns == sorted(set(turns))
        assert sum(b.size for b in batches) == new.messages
        assert await world.state(new) == CampaignState.RUNNING

    run(database_url, check)


@pytest.mark.parametrize("size", [20, 75])
def test_cut_for_a_slow_carrier_every_recipient_is_there_once(database_url: str, size: int) -> None:
    async def check(world: World) -> None:
        new = await world.new(30_011, carriers=None, batch=size)
        assert len(new.pieces) == -(-30_011 // size) > 2 * new.at_once / 3
        await begin(world, new)
        assert await publish(world, new) == Created(new.id, 30_011, 1, 30_011)
        await world.deal(new)
        batches = await world.batches(new)
        assert [b.no for b in batches] == list(range(len(new.pieces)))
        assert {b.size for b in batches[:-1]} == {size}
        turns = [b.turn for b in batches]
        assert turns == sorted(set(turns))
        assert b"".join(row[0] for row in await world.rows("SELECT numbers FROM batch ORDER BY no")) == (
            new.numbers.tobytes()
        )

    run(database_url, check)


@pytest.mark.parametrize("prices", [(), ((1, 10_000), (3, 20_011))])
def test_cut_again_for_fewer_batches_nobody_is_lost(
    database_url: str, prices: tuple[tuple[int, int], ...]
) -> None:
    async def check(world: World) -> None:
        new = msgspec.structs.replace(await world.new(30_011, carriers=None, batch=20), prices=prices)
        coarse = new.coarser(100)
        assert len(coarse.pieces) <= 100 + max(0, len(prices) - 1)
        assert b"".join(coarse.pieces) == new.numbers.tobytes()
        assert (coarse.credits, coarse.messages) == (new.credits, new.messages)
        # Never finer than it was.
        assert new.coarser(10_000).pieces == new.pieces

    run(database_url, check)


def test_a_transaction_takes_fewer_full_batches_than_small_ones(database_url: str) -> None:
    async def check(world: World) -> None:
        sizes = {size: (await world.new(1, batch=size)).at_once for size in (500, 150, 20)}
        assert sizes == {500: 100, 150: 240, 20: 500}

    run(database_url, check)


async def campaigns_seen(tx: Any, new: NewCampaign) -> list[Any]:
    return list(await tx.all("campaign_state", account_id=new.account_id, id=new.id)) + list(
        await tx.all("view_campaign", id=new.id)
    )


def test_scheduled_it_waits(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.new(6000, wake_at=world.clock.now_ms() + 60_000)
        await begin(world, new)
        await publish(world, new)
        assert await world.state(new) == CampaignState.SCHEDULED
        assert await world.write(lambda tx: campaigns.take_due(tx, world.clock.now_ms())) == 0
        world.clock.advance(60)
        assert await world.write(lambda tx: campaigns.take_due(tx, world.clock.now_ms())) == 1
        assert await world.state(new) == CampaignState.STARTING

    run(database_url, check)


def test_refused_when_short_or_suspended_it_leaves_nothing(database_url: str) -> None:
    async def check(world: World) -> None:
        poor = await world.account(5999)
        new = await world.new(6000, account_id=poor, carriers=None, key="k", digest="d")
        await begin(world, new)
        answer = await publish(world, new)
        assert isinstance(answer, ApiError)
        assert answer.code is CREDITS_SHORT
        assert await world.rows("SELECT * FROM idempotency") == []
        assert await world.credits(poor) == 5999
        await world.sql(f"UPDATE account SET state = 2 WHERE id = {poor}")
        answer = await publish(world, new)
        assert isinstance(answer, ApiError)
        assert answer.code is SUSPENDED
        await acceptance.drop_whole(world.database, poor, new.id)
        assert await world.rows("SELECT id FROM campaign") == []
        assert await world.rows("SELECT no FROM batch") == []

    run(database_url, check)


def test_idempotency_keys_of_large_campaigns(database_url: str) -> None:
    async def check(world: World) -> None:
        first, again, other = [
            await world.new(6000, carriers=None, key="k", digest=digest) for digest in ("d", "d", "e")
        ]
        for new in (first, again, other):
            await begin(world, new)
        created = await publish(world, first)
        assert created == Created(first.id, 6000, 1, 6000)
        assert await publish(world, again) == created
        answer = await publish(world, other)
        assert isinstance(answer, ApiError)
        assert answer.code is BAD_FIELD
        assert await world.credits() == 1_000_000 - 6000

    run(database_url, check)


def test_leftovers_are_dropped_and_published_ones_are_not(database_url: str) -> None:
    async def check(world: World) -> None:
        left, published = await world.new(120_000, carriers=None), await world.new(6000, carriers=None)
        await begin(world, left)
        await begin(world, published)
        await publish(world, published)
        before = world.clock.now_ms()
        assert await acceptance.drop_leftovers(world.database, before) == 0
        assert await acceptance.drop_leftovers(world.database, before + 1) == 1
        assert await world.rows("SELECT id FROM campaign") == [(published.id,)]
        assert await world.rows("SELECT DISTINCT campaign_id FROM batch") == [(published.id,)]

    run(database_url, check)


def test_dropping_never_touches_what_was_published_meanwhile(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.new(6000, carriers=None)
        await begin(world, new)
        await publish(world, new)
        # The sweep had seen it as a leftover just before.
        try:
            async with asyncio.timeout(10):
                await acceptance.drop_whole(world.database, new.account_id, new.id)
        finally:
            assert len(await world.batches(new)) == 12

    run(database_url, check)


def test_what_was_dropped_meanwhile_is_neither_charged_nor_confirmed(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.new(6000, carriers=None, key="k", digest="d")
        await begin(world, new)
        await acceptance.drop_whole(world.database, new.account_id, new.id)
        try:
            answer = await publish(world, new)
        except Exception as error:
            answer = error
        assert isinstance(answer, Exception)
        assert await world.credits() == 1_000_000
        assert await world.rows("SELECT * FROM idempotency") == []

    run(database_url, check)
