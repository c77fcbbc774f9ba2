"""Batches are dealt to the carriers that are there, in proportion to their TPS, evenly mixed."""

from __future__ import annotations

from collections import Counter

import pytest

from cooee.service.routing import FRESH_S, Routes
from tests.store.support_store import World, run


async def routes(world: World, *tps: int) -> tuple[Routes, list[int]]:
    """Routes over carriers of these TPS; the world's own one is removed."""
    await world.carrier_state(world.carrier_id, 3)
    made = [await world.carrier(tps=each) for each in tps]
    found = Routes(world.database, world.clock)
    await found.refresh()
    return found, made


@pytest.mark.parametrize(
    ("tps", "shares"),
    [((50, 100, 50), (100, 200, 100)), ((10,), (400,)), ((0, 0), (200, 200)), ((0, 1000), (200, 200)),
     ((0, 3000, 3000), (133, 133, 134)), ((1, 399), (1, 399))],
)  # fmt: skip
def test_in_proportion(database_url: str, tps: tuple[int, ...], shares: tuple[int, ...]) -> None:
    async def check(world: World) -> None:
        found, made = await routes(world, *tps)
        dealt = Counter(found.deal(400) or ())
        for carrier, share in zip(made, shares, strict=True):
            assert abs(dealt[carrier] - share) <= 1

    run(database_url, check)


def test_evenly_mixed_also_one_at_a_time(database_url: str) -> None:
    async def check(world: World) -> None:
        found, (slow, fast) = await routes(world, 10, 30)
        dealt = [(found.deal(1) or [0])[0] for _ in range(40)]
        assert Counter(dealt) == {slow: 10, fast: 30}
        for at in range(0, 40, 4):
            assert dealt[at : at + 4].count(slow) == 1

    run(database_url, check)


def test_changes_are_seen_within_seconds_and_asked_for_no_sooner(database_url: str) -> None:
    async def check(world: World) -> None:
        found, (first, second) = await routes(world, 10, 10)
        await world.carrier_state(first, 2)
        assert bool(found.stale) is False
        await found.refresh()
        assert set(found.carriers) == {first, second}
        world.clock.advance(FRESH_S)
        assert bool(found.stale) is True
        await found.refresh()
        assert list(found.carriers) == [second]
        assert found.deal(3) == [second] * 3
        await world.carrier_state(second, 3)
        world.clock.advance(FRESH_S)
        await found.refresh()
        assert not list(found.carriers)
        assert found.deal(3) is None

    run(database_url, check)


def test_batches_are_cut_for_the_slowest_bind_that_has_a_limit(database_url: str) -> None:
    async def check(world: World) -> None:
        found, _ = await routes(world)
        assert found.batch_size(1) == 500
        found, _ = await routes(world, 0)
        assert found.batch_size(7) == 500
        slow = await world.carrier(tps=150, binds=2)
        await world.carrier(tps=400)
        world.clock.advance(FRESH_S)
        await found.refresh()
        assert (found.batch_size(1), found.batch_size(3)) == (75, 25)
        # Nothing is dealt to one that is paused.
        await world.carrier_state(slow, 2)
        world.clock.advance(FRESH_S)
        await found.refresh()
        assert found.batch_size(1) == 400

    run(database_url, check)
