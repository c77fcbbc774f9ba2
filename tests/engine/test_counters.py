"""Counters of large campaigns come right in the end, whatever happened while they were counted."""

from __future__ import annotations

from cooee.model.errors import StoreUnavailable
from cooee.store.acceptance import NewCampaign
from tests.engine.test_scheduler import Desk, desk, on_desk
from tests.store.support_store import FIRST, World, receipt, run


async def sent(world: World, it: Desk) -> NewCampaign:
    """A large campaign that is handed over, finished and counted."""
    new = await world.campaign(1001)
    for hand in await world.claim(7, 2000):
        await hand.accept({at: f"{hand.claimed.key[2]}-{at}" for at in range(len(hand.claimed.numbers))}).step()
        it.scheduler.finished([hand.claimed.key[:2]])
    await it.pass_time(3)
    assert (await it.counts(new))["handed_over"] == 1001
    return new


def test_counters_that_could_not_be_written_are_written_later(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        new = await sent(world, it)
        done = await world.receive(receipt("0-0", handset=FIRST))
        it.scheduler.changed(done.campaigns or ())
        it.database.away = StoreUnavailable("away")
        await it.pass_time(3)
        it.database.away = None
        for _ in range(30):
            await it.pass_time(3)
        assert (await it.counts(new)).get("delivered") == 1

    on_desk(database_url, check)


def test_counters_are_right_after_a_restart(database_url: str) -> None:
    async def check(world: World) -> None:
        async with desk(world) as it:
            new = await sent(world, it)
            # The receipt is stored; before it is counted, the node goes.
            await world.receive(receipt("0-0", handset=FIRST))
        async with desk(world) as again:
            for _ in range(30):
                await again.pass_time(3)
            assert (await again.counts(new)).get("delivered") == 1

    run(database_url, check)


def test_a_storm_of_small_campaigns_hides_no_large_one(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        new = await sent(world, it)
        done = await world.receive(receipt("0-0", handset=FIRST))
        it.scheduler.changed({(world.account_id, number) for number in range(new.id - 5001, new.id)})
        it.scheduler.changed(done.campaigns or ())
        for _ in range(30):
            await it.pass_time(3)
        assert (await it.counts(new)).get("delivered") == 1

    on_desk(database_url, check)
