"""Who lives, who is taken over, whose binds are whose: by beats that are seen, not by clocks compared."""

from __future__ import annotations

import asyncio

import pytest

from cooee.engine.membership import BEAT_S, DEAD_S, SILENT_S, Membership
from cooee.model.clock import ManualClock
from cooee.model.errors import StoreUnavailable
from cooee.model.message import MessageState
from cooee.store.uncertain import Policy
from tests.engine.support_link import Flaky
from tests.store.support_store import MAX_AGE, WAIT, World, run


class Node:
    """An engine's membership, with a clock and a way to the database of its own."""

    def __init__(self, world: World, name: str = "node", *, alone: bool = False) -> None:
        self.clock = ManualClock()
        self.database = Flaky(world.database)
        self.membership = Membership(self.database, world.ids, self.clock, name, alone=alone)

    @property
    def id(self) -> int:
        return self.membership.id

    async def take_over(self) -> int:
        return await self.membership.take_over(lambda _: Policy(WAIT, MAX_AGE))


async def nodes(world: World, count: int = 2) -> list[Node]:
    made = [Node(world, f"node {no}") for no in range(count)]
    for node in made:
        await node.membership.join()
    await beats(made)
    return made


async def beats(some: list[Node], seconds: float = 0.0) -> None:
    """Time passes, and these show that they live as often as they should."""
    passed = 0.0
    while True:
        for node in some:
            await node.membership.beat()
        if passed >= seconds:
            return
        passed += BEAT_S
        for node in some:
            node.clock.advance(BEAT_S)


def test_whoever_beats_is_alive_however_long(database_url: str) -> None:
    async def check(world: World) -> None:
        first, second = await nodes(world)
        assert first.id != second.id
        await beats([first, second], 60)
        assert (first.membership.peers, second.membership.peers) == (2, 2)
        assert (first.membership.dead, second.membership.dead) == ([], [])
        assert first.membership.may_write()
        assert await first.take_over() == 0

    run(database_url, check)


def test_dead_after_fifteen_seconds_of_the_same_beat(database_url: str) -> None:
    async def check(world: World) -> None:
        first, second = await nodes(world)
        new = await world.campaign(5)
        await world.claim(second.id, 3)
        await beats([first], DEAD_S - BEAT_S)
        assert first.membership.dead == []
        assert await first.take_over() == 0
        await beats([first], 2 * BEAT_S)
        assert first.membership.dead == [second.id]
        assert first.membership.peers == 1
        assert await first.take_over() == 3
        assert await world.states(new) == [MessageState.UNCERTAIN] * 3
        assert await world.rows("SELECT id FROM engine") == [(first.id,)]
        assert first.membership.dead == []
        # What is left of it goes on here.
        (hand,) = await world.claim(first.id)
        assert hand.claimed.start == 3

    run(database_url, check)


def test_the_one_that_was_taken_over_finds_out_and_writes_nothing_more(database_url: str) -> None:
    async def check(world: World) -> None:
        first, second = await nodes(world)
        await beats([first], DEAD_S + BEAT_S)
        await first.take_over()
        assert second.membership.may_write()
        await second.membership.beat()
        assert second.membership.evicted
        assert not second.membership.may_write()
        old = second.id
        await second.membership.join()
        assert second.id != old
        assert second.membership.may_write()
        await second.membership.beat()
        assert not second.membership.evicted

    run(database_url, check)


def test_silent_for_eight_seconds_it_writes_nothing_until_it_has_beaten_again(database_url: str) -> None:
    async def check(world: World) -> None:
        (node,) = await nodes(world, 1)
        node.clock.advance(SILENT_S - 0.01)
        assert node.membership.may_write()
        node.clock.advance(0.02)
        assert not node.membership.may_write()
        await node.membership.beat()
        assert node.membership.may_write()

    run(database_url, check)


def test_a_beat_counts_from_before_it_was_sent(database_url: str) -> None:
    async def check(world: World) -> None:
        (node,) = await nodes(world, 1)
        write = node.database.write

        async def slow(*arguments: object) -> object:
            node.clock.advance(SILENT_S + 1)
            return await write(*arguments)  # type: ignore[arg-type]

        node.database.write = slow  # type: ignore[method-assign, assignment]
        await node.membership.beat()
        assert not node.membership.may_write()

    run(database_url, check)


def test_an_outage_of_the_database_begins_the_watch_anew(database_url: str) -> None:
    async def check(world: World) -> None:
        first, second = await nodes(world)
        await world.campaign(5)
        await world.claim(second.id, 3)
        await beats([first], 12)
        first.database.away = StoreUnavailable("away")
        await beats([first], 30)
        assert not first.membership.may_write()
        first.database.away = None
        # Both were cut off: nobody is dead yet.
        await beats([first], 12)
        assert first.membership.dead == []
        assert await first.take_over() == 0
        await beats([first], 2 * BEAT_S)
        assert first.membership.dead == [second.id]

    run(database_url, check)


def test_after_a_hiccup_of_the_database_nobody_is_robbed(database_url: str) -> None:
    async def check(world: World) -> None:
        first, second = await nodes(world)
        new = await world.campaign(5)
        await world.claim(second.id, 3)
        first.database.away = StoreUnavailable("away")
        await first.membership.beat()
        assert first.membership.trouble == "away"
        first.database.away = None
        # The supervisor takes over right after each beat.
        assert await first.take_over() == 0
        assert await world.messages(new) == {}
        await second.membership.beat()
        assert not second.membership.evicted

    run(database_url, check)


def test_one_that_joined_a_moment_ago_is_not_robbed(database_url: str) -> None:
    async def check(world: World) -> None:
        (first,) = await nodes(world, 1)
        late = Node(world)
        await late.membership.join()
        new = await world.campaign(5)
        await world.claim(late.id, 3)
        assert await first.take_over() == 0
        assert await world.messages(new) == {}

    run(database_url, check)


def test_one_that_beats_again_just_before_is_left_alone(database_url: str) -> None:
    async def check(world: World) -> None:
        first, second = await nodes(world)
        new = await world.campaign(5)
        await world.claim(second.id, 3)
        await beats([first], DEAD_S + BEAT_S)
        assert first.membership.dead == [second.id]
        await second.membership.beat()
        assert await first.take_over() == 0
        assert await world.messages(new) == {}
        await first.membership.beat()
        assert first.membership.dead == []

    run(database_url, check)


def test_batches_without_an_engine_are_taken_at_once(database_url: str) -> None:
    async def check(world: World) -> None:
        (first,) = await nodes(world, 1)
        new = await world.campaign(5)
        await world.claim(987_654, 3)
        assert await first.take_over() == 3
        assert len(await world.messages(new)) == 3

    run(database_url, check)


@pytest.mark.parametrize("hours", [1, -1])
def test_a_wall_clock_that_jumps_changes_nothing(database_url: str, hours: int) -> None:
    async def check(world: World) -> None:
        first, second = await nodes(world)
        await world.campaign(5)
        await world.claim(second.id, 3)
        first.clock.jump(3600 * hours)
        assert first.membership.may_write()
        await beats([first, second], 30)
        assert first.membership.dead == []
        await beats([first], 12)
        first.clock.jump(3600 * hours)
        await first.membership.beat()
        assert first.membership.dead == []
        await beats([first], 2 * BEAT_S)
        assert first.membership.dead == [second.id]

    run(database_url, check)


def test_alone_it_takes_over_at_once(tmp_path: object) -> None:
    async def check(world: World) -> None:
        gone = Node(world)
        await gone.membership.join()
        new = await world.campaign(5)
        await world.claim(gone.id, 3)
        node = Node(world, alone=True)
        await node.membership.join()
        await node.membership.beat()
        assert node.membership.peers == 1
        assert await node.take_over() == 3
        assert await world.states(new) == [MessageState.UNCERTAIN] * 3
        assert await node.membership.lease({world.carrier_id: 2}) == {world.carrier_id: [0, 1]}

    run(f"sqlite:///{tmp_path}/c.db", check)


def test_two_that_see_a_third_die_take_over_once(database_url: str) -> None:
    async def check(world: World) -> None:
        first, second, third = await nodes(world, 3)
        for at in range(60):
            await world.campaign([61400000001 + at])
        await world.claim(third.id)
        await beats([first, second], DEAD_S + BEAT_S)
        taken = list(await asyncio.gather(first.take_over(), second.take_over()))
        # The other one comes back to it with its next beat, should it have been in the way.
        taken.append(await first.take_over())
        taken.append(await second.take_over())
        assert sum(taken) == 60
        rows = await world.rows("SELECT COUNT(*), COUNT(DISTINCT campaign_id) FROM message WHERE state = 2")
        assert rows == [(60, 60)]

    run(database_url, check)


def test_take_over_of_more_than_a_piece(database_url: str) -> None:
    async def check(world: World) -> None:
        first, second = await nodes(world)
        for at in range(120):
            await world.campaign([61400000001 + at])
        await world.claim(second.id)
        await beats([first], DEAD_S + BEAT_S)
        assert await first.take_over() == 120

    run(database_url, check)


def test_leaving_gives_up_row_and_binds(database_url: str) -> None:
    async def check(world: World) -> None:
        (node,) = await nodes(world, 1)
        await node.membership.lease({world.carrier_id: 3})
        await node.membership.leave()
        assert await world.rows("SELECT * FROM engine") == []
        assert await world.rows("SELECT * FROM bind_lease") == []

    run(database_url, check)


# --- binds -------------------------------------------------------------------------------------------------


def test_binds_are_shared_evenly_and_change_hands_only_when_released(database_url: str) -> None:
    async def check(world: World) -> None:
        carrier = world.carrier_id
        first, second = Node(world), Node(world)
        await first.membership.join()
        await first.membership.beat()
        assert await first.membership.lease({carrier: 4}) == {carrier: [0, 1, 2, 3]}
        await second.membership.join()
        await beats([first, second])
        # The first one is told to give up two; until it has closed them nobody else has them.
        assert await second.membership.lease({carrier: 4}) == {carrier: []}
        assert await first.membership.lease({carrier: 4}) == {carrier: [0, 1]}
        assert await second.membership.lease({carrier: 4}) == {carrier: []}
        await first.membership.release(carrier, 2)
        assert await second.membership.lease({carrier: 4}) == {carrier: [2]}
        await first.membership.release(carrier, 3)
        assert await second.membership.lease({carrier: 4}) == {carrier: [2, 3]}
        assert await first.membership.lease({carrier: 4}) == {carrier: [0, 1]}

    run(database_url, check)


def test_binds_of_a_dead_engine_go_to_the_living(database_url: str) -> None:
    async def check(world: World) -> None:
        carrier = world.carrier_id
        first, second = await nodes(world)
        await second.membership.lease({carrier: 4})
        await first.membership.lease({carrier: 4})
        await beats([first], DEAD_S + BEAT_S)
        assert await first.membership.lease({carrier: 4}) == {carrier: [2, 3]}
        await first.take_over()
        held = await first.membership.lease({carrier: 4})
        assert sorted(held[carrier]) == [0, 1, 2, 3]

    run(database_url, check)


def test_binds_leased_by_one_that_does_not_know_it_is_dead_are_taken_back(database_url: str) -> None:
    """Between its eviction and the beat that tells it, an engine may still lease what its peer has just freed."""

    async def check(world: World) -> None:
        carrier = world.carrier_id
        first, second = await nodes(world)
        await beats([first], DEAD_S + BEAT_S)
        await first.take_over()
        assert await second.membership.lease({carrier: 2}) == {carrier: [0]}
        # It finds out, begins anew, and the store goes away before it has given up what it had as the old one.
        await second.membership.beat()
        await second.membership.join()
        await first.take_over()
        assert await first.membership.lease({carrier: 2}) == {carrier: [0, 1]}

    run(database_url, check)


def test_nobody_releases_anothers_bind(database_url: str) -> None:
    async def check(world: World) -> None:
        carrier = world.carrier_id
        first, second = await nodes(world)
        assert await first.membership.lease({carrier: 1}) == {carrier: [0]}
        await second.membership.release(carrier, 0)
        assert await second.membership.lease({carrier: 1}) == {carrier: []}

    run(database_url, check)


def test_two_that_ask_at_once_never_hold_the_same_bind(database_url: str) -> None:
    async def check(world: World) -> None:
        made = await nodes(world, 3)
        wanted = {world.carrier_id: 7, await world.carrier(): 3}
        held = await asyncio.gather(*(node.membership.lease(wanted) for node in made))
        for carrier, binds in wanted.items():
            taken = [no for each in held for no in each[carrier]]
            assert sorted(taken) == list(range(binds))

    run(database_url, check)


def test_fewer_binds_are_followed(database_url: str) -> None:
    async def check(world: World) -> None:
        carrier = world.carrier_id
        (node,) = await nodes(world, 1)
        assert await node.membership.lease({carrier: 3}) == {carrier: [0, 1, 2]}
        assert await node.membership.lease({carrier: 1}) == {carrier: [0]}
        assert await node.membership.lease({carrier: 2}) == {carrier: [0, 1]}

    run(database_url, check)
