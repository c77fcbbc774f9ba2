"""Group commit: what comes together is committed together and answered singly."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cooee.model.errors import CommitUnknown, StoreUnavailable
from cooee.store.database import Database, Grouped, Lane, Tx
from tests.store.support_store import World, run


async def counting(tx: Tx, items: list[str]) -> list[int | Exception]:
    """Each item gets the number of rows that are there before it."""
    answers: list[int | Exception] = []
    for item in items:
        if item == "poison":
            raise ValueError("poison")
        if item == "refused":
            answers.append(LookupError("refused"))
            continue
        await tx.run("claim_meta", name=f"item {item}", value="")
        answers.append(
            len([row for row in [await tx.one("get_meta", name=f"item {before}") for before in "abcde"] if row])
        )
    return answers


def test_items_of_a_group_see_each_other_and_are_answered_in_order(database_url: str) -> None:
    async def check(world: World) -> None:
        grouped: Grouped[str, int] = Grouped(world.database, counting)
        assert await asyncio.gather(*(grouped.put(item) for item in "abc")) == [1, 2, 3]
        assert await grouped.put("d") == 4

    run(database_url, check)


def test_a_refusal_is_one_items_own(database_url: str) -> None:
    async def check(world: World) -> None:
        grouped: Grouped[str, int] = Grouped(world.database, counting)
        answers = await asyncio.gather(
            *(grouped.put(item) for item in ("a", "refused", "b")), return_exceptions=True
        )
        assert (answers[0], answers[2]) == (1, 2)
        assert isinstance(answers[1], LookupError)

    run(database_url, check)


def test_a_poisoned_item_fails_alone(database_url: str) -> None:
    async def check(world: World) -> None:
        grouped: Grouped[str, int] = Grouped(world.database, counting)
        answers = await asyncio.gather(
            *(grouped.put(item) for item in ("a", "b", "poison", "c")), return_exceptions=True
        )
        assert [answers[0], answers[1], answers[3]] == [1, 2, 3]
        assert isinstance(answers[2], ValueError)

    run(database_url, check)


def test_whoever_stops_waiting_harms_nobody(database_url: str) -> None:
    async def check(world: World) -> None:
        grouped: Grouped[str, int] = Grouped(world.database, counting)
        tasks = [asyncio.create_task(grouped.put(item)) for item in "abc"]
        await asyncio.sleep(0)
        tasks[1].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[1], asyncio.CancelledError)
        assert [answers[0], answers[2]] == [1, 3]

    run(database_url, check)


class Held:
    """A database whose writes are held, counted, and answered as told."""

    engine = "sqlite"

    def __init__(self, answer: Exception | None = None) -> None:
        self.groups: list[int] = []
        self.lanes: list[Lane] = []
        self.gate = asyncio.Event()
        self.at_once = self.most = 0
        self._answer = answer

    async def write(self, operation: Any, lane: Lane = Lane.API) -> Any:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.lanes.append(lane)
        try:
            await self.gate.wait()
            if self._answer is not None:
                raise self._answer
            return await operation(self)
        finally:
            self.at_once -= 1


async def noting(tx: Any, items: list[int]) -> list[int | Exception]:
    tx.groups.append(len(items))
    return list(items)


@pytest.mark.parametrize("parallel", [1, 3])
def test_groups_gather_up_to_their_limit_while_one_is_under_way(parallel: int) -> None:
    async def main() -> None:
        held = Held()
        database: Database = held  # type: ignore[assignment]
        grouped: Grouped[int, int] = Grouped(database, noting, lane=Lane.RECEIPTS, limit=10, parallel=parallel)
        tasks = []
        for number in range(5):
            tasks.append(asyncio.create_task(grouped.put(number)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        tasks += [asyncio.create_task(grouped.put(number)) for number in range(5, 35)]
        await asyncio.sleep(0.01)
        held.gate.set()
        assert await asyncio.gather(*tasks) == list(range(35))
        assert held.groups[0] == 1
        assert sum(held.groups) == 35
        assert max(held.groups) == 10
        assert held.most == parallel
        assert set(held.lanes) == {Lane.RECEIPTS}
        assert await grouped.put(99) == 99

    asyncio.run(main())


def test_groups_gather_up_to_a_weight() -> None:
    """Heavy ones go with few others, one that is heavier than the limit goes alone, and none overtakes another."""

    async def main() -> None:
        held = Held()
        database: Database = held  # type: ignore[assignment]
        grouped: Grouped[int, int] = Grouped(database, noting, limit=10, weight=lambda item: item)
        first = asyncio.create_task(grouped.put(0))
        await asyncio.sleep(0.01)
        weights = [1, 9, 5, 6, 40, 10, 1, 2, 3, 4, 1]
        tasks = [asyncio.create_task(grouped.put(each)) for each in weights]
        await asyncio.sleep(0.01)
        held.gate.set()
        assert await asyncio.gather(*tasks) == weights
        assert await first == 0
        assert held.groups == [1, 2, 1, 1, 1, 1, 4, 1]

    asyncio.run(main())


@pytest.mark.parametrize("error", [StoreUnavailable("away"), CommitUnknown("who knows")])
def test_an_outage_is_everybodys_and_nothing_is_tried_again(error: Exception) -> None:
    async def main() -> None:
        held = Held(error)
        database: Database = held  # type: ignore[assignment]
        grouped: Grouped[int, int] = Grouped(database, noting)
        held.gate.set()
        answers = await asyncio.gather(*(grouped.put(number) for number in range(5)), return_exceptions=True)
        assert answers == [error] * 5
        assert len(held.lanes) == 1

    asyncio.run(main())
