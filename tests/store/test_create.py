"""Acceptance in groups: charged, numbered, kept under its Idempotency-Key, or refused alone."""

from __future__ import annotations

import asyncio

import pytest

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.errors import BAD_FIELD, CREDITS_SHORT, SUSPENDED, ApiError, Code
from cooee.store import acceptance
from cooee.store.acceptance import Created, NewCampaign
from cooee.store.database import Grouped, Tx
from tests.store.support_store import FIRST, World, run


def refusal(answer: Created | Exception) -> Code:
    assert isinstance(answer, ApiError), answer
    return answer.code


async def ledger(world: World, account_id: int) -> list[tuple[int, int, str, int | None]]:
    rows = await world.rows(
        f"SELECT no, amount, kind, campaign_id FROM ledger WHERE account_id = {account_id} ORDER BY no"
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def count(world: World, table: str) -> int:
    return int((await world.rows(f"SELECT COUNT(*) FROM {table}"))[0][0])


def test_a_group_is_charged_and_numbered(database_url: str) -> None:
    async def check(world: World) -> None:
        other = await world.account(100)
        first, second, third = (
            await world.new(3, segments=2),
            await world.new(4, account_id=other),
            await world.new(1001),
        )
        answers = await world.create(first, second, third)
        assert answers == [
            Created(first.id, 3, 2, 6),
            Created(second.id, 4, 1, 4),
            Created(third.id, 1001, 1, 1001),
        ]
        assert await ledger(world, world.account_id) == [
            (1, 1_000_000, "opening", None),
            (2, -6, "charge", first.id),
            (3, -1001, "charge", third.id),
        ]
        assert await ledger(world, other) == [(1, 100, "opening", None), (2, -4, "charge", second.id)]
        assert await world.credits(other) == 96
        assert [await world.state(new) for new in (first, second, third)] == [CampaignState.RUNNING] * 3
        assert [b.size for b in await world.batches(third)] == [500, 500, 1]
        assert {b.state for b in await world.batches(third)} == {BatchState.READY}

    run(database_url, check)


def test_who_is_short_is_refused_alone(database_url: str) -> None:
    async def check(world: World) -> None:
        poor = await world.account(10)
        items = [
            await world.new(6, account_id=poor),
            await world.new(5, account_id=poor),
            await world.new(2),
            await world.new(4, account_id=poor),
        ]
        answers = await world.create(*items)
        assert answers[0] == Created(items[0].id, 6, 1, 6)
        assert refusal(answers[1]) is CREDITS_SHORT
        assert [type(answer) for answer in answers[2:]] == [Created, Created]
        assert await world.credits(poor) == 0
        assert [row[:2] for row in await ledger(world, poor)] == [(1, 10), (2, -6), (3, -4)]
        # All or nothing for each request: nothing of the refused one is there.
        assert await world.rows(f"SELECT id FROM campaign WHERE id = {items[1].id}") == []
        assert await world.rows(f"SELECT no FROM batch WHERE campaign_id = {items[1].id}") == []

    run(database_url, check)


def test_a_suspended_account_is_told_so(database_url: str) -> None:
    async def check(world: World) -> None:
        await world.sql(f"UPDATE account SET state = 2 WHERE id = {world.account_id}")
        (answer,) = await world.create(await world.new(1))
        assert refusal(answer) is SUSPENDED

    run(database_url, check)


def test_states_at_birth(database_url: str) -> None:
    async def check(world: World) -> None:
        undealt = await world.campaign(1, carriers=None)
        later = await world.campaign(1, wake_at=world.clock.now_ms() + 1000)
        assert await world.state(undealt) == CampaignState.STARTING
        assert await world.state(later) == CampaignState.SCHEDULED
        for new in (undealt, later):
            (batch,) = await world.batches(new)
            assert (batch.state, batch.carrier_id) == (BatchState.HELD, None)
        assert await world.claim(7) == []

    run(database_url, check)


# --- Idempotency-Key ---------------------------------------------------------------------------------------


def test_the_same_key_and_body_is_answered_again_and_charged_once(database_url: str) -> None:
    async def check(world: World) -> None:
        first = await world.campaign(3, key="k", digest="d")
        again = await world.new(3, key="k", digest="d")
        assert await world.create(again) == [Created(first.id, 3, 1, 3)]
        assert await count(world, "campaign") == 1
        assert await world.credits() == 1_000_000 - 3
        # Another account's key of the same name is another key.
        other = await world.new(3, account_id=await world.account(), key="k", digest="other")
        assert await world.create(other) == [Created(other.id, 3, 1, 3)]

    run(database_url, check)


def test_the_same_key_with_another_body_is_refused(database_url: str) -> None:
    async def check(world: World) -> None:
        await world.campaign(3, key="k", digest="d")
        (answer,) = await world.create(await world.new(3, key="k", digest="e"))
        assert refusal(answer) is BAD_FIELD
        assert "Idempotency-Key" in str(answer)
        assert await count(world, "campaign") == 1

    run(database_url, check)


def test_the_same_key_twice_in_one_group(database_url: str) -> None:
    async def check(world: World) -> None:
        items = [
            await world.new(3, key="k", digest="d"),
            await world.new(3, key="k", digest="d"),
            await world.new(3, key="k", digest="e"),
        ]
        answers = await world.create(*items)
        assert answers[0] == Created(items[0].id, 3, 1, 3)
        assert answers[1] == answers[0]
        assert refusal(answers[2]) is BAD_FIELD
        assert await count(world, "campaign") == 1
        assert await world.credits() == 1_000_000 - 3

    run(database_url, check)


def test_the_same_key_twice_in_one_group_when_the_first_is_refused(database_url: str) -> None:
    async def check(world: World) -> None:
        poor = await world.account(2)
        items = [await world.new(3, account_id=poor, key="k", digest="d") for _ in range(2)]
        assert [refusal(answer) for answer in await world.create(*items)] == [CREDITS_SHORT] * 2
        assert await count(world, "idempotency") == 0

    run(database_url, check)


def test_a_refused_request_does_not_keep_its_key(database_url: str) -> None:
    async def check(world: World) -> None:
        poor = await world.account(2)
        (answer,) = await world.create(await world.new(3, account_id=poor, key="k", digest="d"))
        assert refusal(answer) is CREDITS_SHORT
        assert await count(world, "idempotency") == 0
        small = await world.new(2, account_id=poor, key="k", digest="d")
        assert await world.create(small) == [Created(small.id, 2, 1, 2)]

    run(database_url, check)


def test_a_key_is_forgotten_after_a_day(database_url: str) -> None:
    async def check(world: World) -> None:
        await world.campaign(1, key="k", digest="d")
        world.clock.advance(24 * 3600 - 1)
        (kept,) = await world.create(await world.new(1, key="k", digest="e"))
        assert refusal(kept) is BAD_FIELD
        world.clock.advance(2)
        new = await world.new(1, key="k", digest="e")
        assert await world.create(new) == [Created(new.id, 1, 1, 1)]
        (again,) = await world.create(await world.new(1, key="k", digest="e"))
        assert again == Created(new.id, 1, 1, 1)
        assert await count(world, "campaign") == 2

    run(database_url, check)


def test_find_key_answers_before_anything_is_prepared(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1, key="k", digest="d")

        async def find(key: str, digest: str) -> Created | Exception | None:
            now = world.clock.now_ms()
            return await world.database.read(
                lambda tx: acceptance.find_key(tx, world.account_id, key, digest, now)
            )

        assert await find("k", "d") == Created(new.id, 1, 1, 1)
        assert isinstance(await find("k", "e"), ApiError)
        assert await find("other", "d") is None

    run(database_url, check)


def test_one_key_from_many_sides_at_once_is_accepted_once(database_url: str) -> None:
    async def check(world: World) -> None:
        items = [await world.new([FIRST], key="k", digest="d") for _ in range(6)]
        answers = [answer for (answer,) in await asyncio.gather(*(world.create(item) for item in items))]
        assert len({answer.campaign_id for answer in answers if isinstance(answer, Created)}) == 1
        assert len([answer for answer in answers if isinstance(answer, Created)]) == 6
        assert await count(world, "campaign") == 1
        assert await world.credits() == 1_000_000 - 1

    run(database_url, check)


# --- the door that the service uses ------------------------------------------------------------------------


@pytest.mark.parametrize("parallel", [1, 3])
def test_many_at_once_are_each_answered_for_themselves(database_url: str, parallel: int) -> None:
    async def check(world: World) -> None:
        poor = await world.account(7)
        groups: list[int] = []

        async def operation(tx: Tx, items: list[NewCampaign]) -> list[Created | Exception]:
            groups.append(len(items))
            return await acceptance.create_group(tx, items, world.clock.now_ms())

        creates: Grouped[NewCampaign, Created] = Grouped(world.database, operation, limit=50, parallel=parallel)
        items = [await world.new(1, account_id=poor if at % 4 == 0 else None) for at in range(120)]
        answers = await asyncio.gather(*(creates.put(item) for item in items), return_exceptions=True)
        accepted = [a for a in answers if isinstance(a, Created)]
        short = [a for a in answers if isinstance(a, ApiError)]
        assert len(accepted) == 90 + 7
        assert len(short) == 23
        for item, answer in zip(items, answers, strict=True):
            if isinstance(answer, Created):
                assert answer.campaign_id == item.id
        assert await world.credits(poor) == 0
        assert max(groups) <= 50
        assert len(groups) < 60

    run(database_url, check)


def test_a_poisoned_request_is_refused_alone(database_url: str) -> None:
    async def check(world: World) -> None:
        async def operation(tx: Tx, items: list[NewCampaign]) -> list[Created | Exception]:
            return await acceptance.create_group(tx, items, world.clock.now_ms())

        creates: Grouped[NewCampaign, Created] = Grouped(world.database, operation)
        items = [await world.new(1) for _ in range(5)]
        items[2].id = items[1].id  # breaks the primary key
        answers = await asyncio.gather(*(creates.put(item) for item in items), return_exceptions=True)
        assert [isinstance(answer, Created) for answer in answers] == [True, True, False, True, True]
        assert await world.credits() == 1_000_000 - 4

    run(database_url, check)
