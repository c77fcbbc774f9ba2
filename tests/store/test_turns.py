"""Who goes next: campaigns take turns, so a single message never waits for a million."""

from __future__ import annotations

from collections import Counter

import pytest

from cooee.model.campaign import BatchState, CampaignState
from cooee.store import acceptance, campaigns
from cooee.store.acceptance import NewCampaign
from cooee.store.database import Lane
from tests.store.support_store import FIRST, World, run


async def large(world: World, batches: int) -> NewCampaign:
    new = await world.new(batches * 500, carriers=None)
    await world.write(lambda tx: acceptance.begin_large(tx, new, world.clock.now_ms()))
    for first in range(0, batches, new.at_once):
        await world.write(lambda tx, first=first: acceptance.add_piece(tx, new, first), Lane.BULK)  # type: ignore[misc]
    await world.write(lambda tx: acceptance.publish_large(tx, new, world.clock.now_ms()))
    return new


async def deal_piece(world: World, new: NewCampaign, after: int, behind: int) -> tuple[int, int] | None:
    """One piece of the dealing, all to the world's carrier."""
    went: tuple[int, int] | None = await world.write(
        lambda tx: campaigns.deal_piece(
            tx, new.account_id, new.id, after=after, behind=behind,
            deal=lambda count: [world.carrier_id] * count, now=world.clock.now_ms(),
        ),
        Lane.BULK,
    )  # fmt: skip
    return went


async def next_of(world: World, count: int) -> list[int]:
    """The campaigns of the next `count` batches, claimed one at a time."""
    order = []
    for _ in range(count):
        hands = await world.claim(7, 1, limit=500)
        order += [hand.claimed.key[1] for hand in hands]
    return order


def test_a_single_message_behind_2000_batches_is_claimed_next(database_url: str) -> None:
    async def check(world: World) -> None:
        await world.sql("UPDATE account SET credits = credits + 1000000")
        await world.sql("UPDATE ledger SET amount = amount + 1000000")
        new = await large(world, 2000)
        await world.deal(new)
        await next_of(world, 3)
        single = await world.campaign([FIRST])
        assert single.id in await next_of(world, 3)
        # And so is one that comes later still.
        await next_of(world, 2)
        single = await world.campaign([FIRST])
        assert single.id in await next_of(world, 3)

    run(database_url, check)


def test_two_large_campaigns_alternate(database_url: str) -> None:
    async def check(world: World) -> None:
        first, second = await large(world, 40), await large(world, 40)
        await world.deal(first)
        await world.deal(second)
        order = await next_of(world, 60)
        assert Counter(order[:20])[first.id] in (9, 10, 11)
        for at in range(2, 50, 2):
            assert set(order[at : at + 2]) == {first.id, second.id}

    run(database_url, check)


@pytest.mark.parametrize("slow", [20, 75])
def test_campaigns_cut_for_slow_and_for_fast_carriers_take_the_same_turns(database_url: str, slow: int) -> None:
    """Whatever a batch holds, a turn is one batch: about a second of the carrier."""

    async def check(world: World) -> None:
        long = await world.campaign(1000, segments=3, batch=slow)
        await world.campaign(4000, batch=75)
        order = await next_of(world, 24)
        assert Counter(order)[long.id] in (11, 12, 13)
        single = await world.campaign([FIRST])
        assert single.id in await next_of(world, 5)

    run(database_url, check)


def test_many_small_campaigns_share_the_front(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(5000)
        singles = [await world.campaign([FIRST + at]) for at in range(5)]
        order = await next_of(world, 7)
        assert order[0] == new.id
        assert {single.id for single in singles} <= set(order)

    run(database_url, check)


def test_retries_queue_up_at_the_front_when_their_time_comes(database_url: str) -> None:
    async def check(world: World) -> None:
        first = await world.campaign([FIRST])
        (hand,) = await world.claim(7)
        await hand.refuse(0).step()
        await world.campaign(20_000)
        world.clock.advance(2)
        await world.ready_delayed()
        assert first.id in await next_of(world, 2)

    run(database_url, check)


def test_dealing_stops_for_a_pause_and_goes_on(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await large(world, 450)
        assert await deal_piece(world, new, -1, 0) == (199, 200)
        await world.change("pause", new)
        assert await deal_piece(world, new, 199, 200) is None
        await world.change("unpause", new)
        await world.deal(new)
        assert await world.state(new) == CampaignState.RUNNING
        turns = [b.turn for b in await world.batches(new)]
        assert turns[:200] == list(range(200))
        assert turns[200:] == sorted(turns[200:])

    run(database_url, check)


@pytest.mark.parametrize("why", ["paused", "suspended", "stray"])
def test_what_is_held_again_while_the_rest_is_dealt_is_dealt_again(database_url: str, why: str) -> None:
    """Whoever claims puts aside what may not go at that moment, behind the back of the dealing."""

    async def check(world: World) -> None:
        new = await large(world, 450)
        now = world.clock.now_ms()
        went = await deal_piece(world, new, -1, 0)
        if why == "paused":
            await world.change("pause", new)
            assert await world.claim(7) == []
            await world.change("unpause", new)
        elif why == "suspended":
            await world.sql("UPDATE account SET state = 2")
            assert await world.claim(7) == []
            await world.sql("UPDATE account SET state = 1")
            await world.write(lambda tx: campaigns.release_account(tx, new.account_id, now, now))
        else:
            other = await world.carrier()
            await world.carrier_state(world.carrier_id, 2)
            assert await world.write(campaigns.deal_strays_again, Lane.BULK) == 1
            world.carrier_id = other
        assert 0 in [b.no for b in await world.batches(new) if b.state == BatchState.HELD]
        while went is not None:
            went = await deal_piece(world, new, *went)
        assert await world.state(new) == CampaignState.RUNNING
        assert {b.state for b in await world.batches(new)} == {BatchState.READY}

    run(database_url, check)


def test_dealing_for_a_suspended_account_comes_to_an_end(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await large(world, 10)
        went = await deal_piece(world, new, -1, 0)
        await world.sql("UPDATE account SET state = 2")
        assert await world.claim(7) == []
        assert went is not None
        assert await deal_piece(world, new, *went) is None
        assert await world.state(new) == CampaignState.RUNNING
        await world.sql("UPDATE account SET state = 1")
        now = world.clock.now_ms()
        await world.write(lambda tx: campaigns.release_account(tx, new.account_id, now, now))
        await world.deal(new)
        assert {b.state for b in await world.batches(new)} == {BatchState.READY}

    run(database_url, check)


def test_batches_leave_a_paused_carrier_for_another(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(250 * 500)
        other = await world.carrier()
        await world.carrier_state(world.carrier_id, 2)
        for _ in range(3):
            await world.write(campaigns.deal_strays_again, Lane.BULK)
            await world.deal(new, lambda count: [other] * count)
        assert {b.carrier_id for b in await world.batches(new)} == {other}
        assert await world.state(new) == CampaignState.RUNNING
        # With no other carrier they stay where they are.
        await world.carrier_state(other, 2)
        assert await world.write(campaigns.deal_strays_again, Lane.BULK) == 0
        assert await world.state(new) == CampaignState.RUNNING

    run(database_url, check)


def test_without_a_carrier_dealing_says_so_and_changes_nothing(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(5, carriers=None)
        with pytest.raises(LookupError, match="no carrier"):
            await world.deal(new, lambda count: None)
        assert await world.state(new) == CampaignState.STARTING

    run(database_url, check)
