"""Creates with a Reference: numbers, races with the start and with each other, and a ledger that adds up."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cooee.model.account import Account
from cooee.model.campaign import BatchState, CampaignState
from cooee.model.clock import DAY, HOUR
from cooee.model.errors import ApiError, StoreUnavailable
from cooee.model.msisdn import Checked
from cooee.model.originator import parse_originator
from cooee.model.segments import segment
from cooee.service.campaigns import Campaigns
from cooee.service.recipients import CreateCampaign, ModifyCampaign
from cooee.service.routing import Routes
from cooee.store import accounts, appends, campaigns
from cooee.store.acceptance import Created
from cooee.store.appends import Compared, Other
from cooee.store.claims import Claimed
from tests.store.support_store import FIRST, World, numbers, run
from tests.store.test_large import begin


def doors(world: World) -> Campaigns:
    return Campaigns(world.database, world.ids, world.clock, Routes(world.database, world.clock))


async def owner(world: World, account_id: int | None = None) -> Account:
    found = await world.database.read(lambda tx: accounts.by_id(tx, account_id or world.account_id))
    assert found is not None
    return found


def request(to: array[int], at: int | None, *, message: str = "hello", now: int = 0) -> CreateCampaign:
    originator = parse_originator("Shop")
    assert originator is not None
    due_at = at if at is not None and at > now else None
    return CreateCampaign(
        message, segment(message), originator, due_at, "r", Checked(to, 1, 2, 3), None, "", asked_at=at
    )


async def held(world: World, campaign_id: int) -> list[int]:
    """Every recipient of a campaign, over all its batches."""
    found: list[int] = []
    for (packed,) in await world.rows(f"SELECT numbers FROM batch WHERE campaign_id = {campaign_id} ORDER BY no"):
        part = array("q")
        part.frombytes(packed)
        found += part
    return found


def test_batches_and_sums_grow(database_url: str) -> None:
    async def check(world: World) -> None:
        account, door, at = await owner(world), doors(world), world.clock.now_ms() + DAY
        first = await door.create(account, request(numbers(700), at))
        # A retry's batch lies behind all others, and is none of them.
        await world.sql(
            "INSERT INTO batch (account_id, campaign_id, no, turn, state, attempt, size, credits_each, flags, "
            "epoch, marked, recorded, numbers) SELECT account_id, campaign_id, 1000000000, 0, 5, "
            f"2, 0, 1, 0, 0, 0, 0, numbers FROM batch WHERE campaign_id = {first.campaign_id} AND no = 0"
        )
        second = await door.create(account, request(numbers(1300, FIRST + 200), at))
        assert second == Created(first.campaign_id, 800, 1, 800)
        rows = await world.rows(
            f"SELECT no, size, state, credits_each FROM batch WHERE campaign_id = {first.campaign_id} ORDER BY no"
        )
        assert rows[:4] == [
            (0, 500, BatchState.HELD, 1), (1, 200, BatchState.HELD, 1),
            (2, 500, BatchState.HELD, 1), (3, 300, BatchState.HELD, 1),
        ]  # fmt: skip
        columns = "messages, credits, batches, dropped_invalid, dropped_duplicate, dropped_international"
        assert await world.rows(f"SELECT {columns} FROM campaign") == [(1500, 1500, 4, 2, 4, 6)]
        assert await world.credits() == 1_000_000 - 1500

    run(database_url, check)


def test_a_large_campaign_is_compared_outside_of_the_transaction(database_url: str) -> None:
    async def check(world: World) -> None:
        account, door, at = await owner(world), doors(world), world.clock.now_ms() + DAY
        count = (appends.PAGE + 5) * 500
        first = await door.create(account, request(numbers(count), at))
        again = await door.create(account, request(numbers(20, FIRST + count - 10), at))
        assert again == Created(first.campaign_id, 10, 1, 10)
        large = await door.create(account, request(numbers(count, FIRST + 30_000), at))
        assert large == Created(first.campaign_id, 29_990, 1, 29_990)
        assert sorted(await held(world, first.campaign_id)) == list(numbers(count + 30_000))
        batches = await world.rows("SELECT no FROM batch ORDER BY no")
        assert [no for (no,) in batches] == list(range(len(batches)))
        assert await world.rows("SELECT batches, messages FROM campaign") == [(len(batches), count + 30_000)]

    run(database_url, check)


def test_whoever_came_in_between_is_seen(database_url: str) -> None:
    """A large list was compared and written; then somebody added, started, or made a campaign: compare anew."""

    async def check(world: World) -> None:
        account, door, at = await owner(world), doors(world), world.clock.now_ms() + HOUR
        now = world.clock.now_ms()
        staged = msgspec.structs.replace(
            await world.new(6000, wake_at=at), originator="Shop", reference="r", due_at=at
        )
        await begin(world, staged)

        async def publish(known: Compared) -> Any:
            return await world.write(lambda tx: appends.publish(tx, staged, at, known, now))

        first = await door.create(account, request(numbers(2), at))
        assert await publish(Compared()) is Other.AGAIN
        assert await publish(Compared(first.campaign_id + 1, 0)) is Other.AGAIN
        await door.create(account, request(numbers(2, FIRST + 9000), at))
        assert await publish(Compared(first.campaign_id, 0)) is Other.AGAIN
        await door.pause(account.id, first.campaign_id)
        await door.delete(account.id, first.campaign_id)
        assert await publish(Compared(first.campaign_id, 1)) is Other.AGAIN
        assert await world.state(staged) == CampaignState.ACCEPTING
        assert await publish(Compared()) == Created(staged.id, 6000, 1, 6000)
        assert await world.state(staged) == CampaignState.SCHEDULED
        swept = msgspec.structs.replace(staged, id=staged.id + 1000)
        with pytest.raises(StoreUnavailable):
            await world.write(lambda tx: appends.publish(tx, swept, at, Compared(staged.id, 11), now))

    run(database_url, check)


def test_a_start_at_the_same_moment(database_url: str) -> None:
    """Whoever is added before the start is dealt with it; whoever comes later has a campaign of their own."""

    async def check(world: World) -> None:
        account, door = await owner(world), doors(world)
        at = world.clock.now_ms() + HOUR
        first = await door.create(account, request(numbers(3), at))
        world.clock.advance(3601)
        now = world.clock.now_ms()

        async def add(n: int) -> Created:
            return await door.create(account, request(array("q", [FIRST + 100 + n]), at, now=now))

        early = [add(n) for n in range(10)]
        late = [add(n) for n in range(10, 20)]
        start = world.write(lambda tx: campaigns.take_due(tx, now))
        *answers, _ = await asyncio.gather(*early, *late, start)
        mine = [n for n, answer in enumerate(answers) if answer.campaign_id == first.campaign_id]
        assert sorted(await held(world, first.campaign_id)) == [*numbers(3), *(FIRST + 100 + n for n in mine)]
        ((messages, credits),) = await world.rows(
            f"SELECT messages, credits FROM campaign WHERE id = {first.campaign_id}"
        )
        assert messages == credits == 3 + len(mine)
        assert await world.credits() == 1_000_000 - 23
        after = await door.create(account, request(array("q", [FIRST + 500]), at, now=now))
        assert after.campaign_id != first.campaign_id

    run(database_url, check)


def test_two_large_lists_at_the_same_moment_are_one_campaign(database_url: str) -> None:
    async def check(world: World) -> None:
        account, door, at = await owner(world), doors(world), world.clock.now_ms() + DAY
        first, second = await asyncio.gather(
            door.create(account, request(numbers(8000), at)),
            door.create(account, request(numbers(8000, FIRST + 1000), at)),
        )
        assert first.campaign_id == second.campaign_id
        assert sorted((first.messages, second.messages)) == [1000, 8000]
        assert sorted(await held(world, first.campaign_id)) == list(numbers(9000))
        assert await world.rows("SELECT COUNT(*) FROM campaign") == [(1,)]

    run(database_url, check)


@dataclass
class Slot:
    """Room on a bind."""

    owner: int = 7
    adopted: int = 0
    released: int = 0

    def adopt(self, claims: Sequence[Claimed]) -> None:
        self.adopted += len(claims)

    def release(self, segments: int) -> None:
        self.released += segments


def test_a_fresh_message_with_a_reference_is_handed_over_or_its_room_given_back(database_url: str) -> None:
    async def check(world: World) -> None:
        slots: list[Slot] = []

        def fresh(carrier: int, segments: int) -> Slot:
            slots.append(Slot())
            return slots[-1]

        account = await owner(world)
        door = Campaigns(world.database, world.ids, world.clock, Routes(world.database, world.clock), fresh=fresh)
        await door.create(account, request(numbers(1), None))
        await asyncio.sleep(0.01)
        assert [(slot.adopted, slot.released) for slot in slots] == [(1, 0)]
        at = world.clock.now_ms() + HOUR
        paused = await door.create(account, request(numbers(1), at))
        await door.pause(account.id, paused.campaign_id)
        world.clock.advance(3601)
        late = request(numbers(2, FIRST + 1)[:1], at, now=world.clock.now_ms())
        assert (await door.create(account, late)).campaign_id == paused.campaign_id
        await asyncio.sleep(0.01)
        assert [(slot.adopted, slot.released) for slot in slots] == [(1, 0), (0, 1)]
        rows = await world.rows(f"SELECT state, owner, marked FROM batch WHERE campaign_id = {paused.campaign_id}")
        assert rows == [(BatchState.HELD, None, 0)] * 2

    run(database_url, check)


STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 30), st.integers(1, 20)),
    st.tuples(st.just("modify"), st.sampled_from(["hello", "x" * 161, "x" * 400, "ł" * 71])),
    st.tuples(st.sampled_from(["pause", "unpause", "delete", "time"])),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_the_ledger_adds_up_whatever_is_done(steps: list[tuple[Any, ...]]) -> None:
    """`run` compares every balance with its ledger at the end; what is left standing is what was paid for."""

    async def check(world: World) -> None:
        account_id = await world.account(100)
        account, door, at = await owner(world, account_id), doors(world), world.clock.now_ms() + DAY
        newest = 0
        text = "hello"
        for step in steps:
            try:
                match step:
                    case ("add", start, count):
                        new = request(numbers(count, FIRST + start), at, message=text)
                        newest = (await door.create(account, new)).campaign_id
                    case ("modify", message):
                        change = ModifyCampaign(message, segment(message), None, False, None)
                        await door.modify(account, newest, change)
                        text = message
                    case ("time",):
                        at += HOUR
                        await door.modify(account, newest, ModifyCampaign(None, None, None, True, at))
                    case (action,):
                        await getattr(door, action)(account_id, newest)
            except ApiError:
                pass
        paid = await world.rows(
            "SELECT COALESCE(SUM(size * credits_each), 0) FROM batch b JOIN campaign c ON c.id = b.campaign_id "
            "WHERE c.state <> 5"
        )
        assert await world.credits(account_id) == 100 - paid[0][0]
        for row in await world.rows(
            "SELECT c.id, c.messages, c.credits, c.batches, COUNT(*), SUM(size), SUM(size * credits_each) "
            "FROM campaign c JOIN batch b ON b.campaign_id = c.id GROUP BY c.id, c.messages, c.credits, c.batches"
        ):
            assert (row[1], row[2], row[3]) == (row[5], row[6], row[4])
            recipients = await held(world, row[0])
            assert len(set(recipients)) == len(recipients)

    with TemporaryDirectory() as folder:
        run(f"sqlite:///{Path(folder) / 'cooee.db'}", check)
