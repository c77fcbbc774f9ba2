"""Changes to campaigns that have not started: prices, states under the lock, and the send window."""

from __future__ import annotations

import asyncio

import pytest

from cooee.model.campaign import CampaignState
from cooee.model.clock import DAY, HOUR
from cooee.model.errors import CAMPAIGN_STATE, ApiError
from cooee.model.originator import parse_originator
from cooee.model.segments import segment
from cooee.service.campaigns import Campaigns
from cooee.service.recipients import ModifyCampaign
from cooee.service.routing import Routes
from cooee.store import accounts, campaigns, changes
from cooee.store.acceptance import Created, NewCampaign
from cooee.store.changes import Change, Schedule
from tests.store.support_store import World, run

LONG = "x" * 161


async def modify(world: World, new: NewCampaign, change: Change) -> Created:
    now = world.clock.now_ms()
    answer: Created = await world.write(lambda tx: changes.modify(tx, new.account_id, new.id, change, now))
    return answer


def text(message: str) -> Change:
    return Change(message=message, segmented=segment(message))


async def prices(world: World, new: NewCampaign) -> set[int]:
    rows = await world.rows(f"SELECT DISTINCT credits_each FROM batch WHERE campaign_id = {new.id}")
    return {row[0] for row in rows}


def test_every_batch_has_the_new_price(database_url: str) -> None:
    async def check(world: World) -> None:
        later = world.clock.now_ms() + DAY
        new, other = await world.campaign(1201, wake_at=later), await world.campaign(3, wake_at=later)
        assert await modify(world, new, text(LONG)) == Created(new.id, 1201, 2, 2402)
        assert await prices(world, new) == {2}
        assert await prices(world, other) == {1}
        assert await world.credits() == 1_000_000 - 2402 - 3
        await world.change("delete", new)
        assert await world.credits() == 1_000_000 - 3
        rows = await world.rows(
            f"SELECT amount, kind, reason FROM ledger WHERE campaign_id = {new.id} ORDER BY no"
        )
        assert rows == [
            (-1201, "charge", "campaign"),
            (-1201, "charge", "campaign modified"),
            (2402, "refund", "campaign deleted"),
        ]

    run(database_url, check)


def test_the_start_wins_or_waits(database_url: str) -> None:
    """Once taken it can't be changed; moved to later in time, it is not taken, nor called back early."""

    async def check(world: World) -> None:
        due = world.clock.now_ms() + HOUR
        new, moved = await world.campaign(2, wake_at=due), await world.campaign(2, wake_at=due)
        world.clock.advance(3601)
        now = world.clock.now_ms()
        await modify(world, moved, Change(schedule=Schedule(now + DAY, now + DAY)))
        await world.write(lambda tx: campaigns.take_due(tx, now))
        # What a scheduler does that looked before the change.
        await world.write(
            lambda tx: tx.many("postpone_due", [(moved.account_id, moved.id, now + 60_000)], now=now)
        )
        assert await world.state(new) == CampaignState.STARTING
        with pytest.raises(ApiError) as refused:
            await modify(world, new, text("late"))
        assert refused.value.code is CAMPAIGN_STATE
        assert await world.state(moved) == CampaignState.SCHEDULED
        assert await world.rows(f"SELECT wake_at FROM campaign WHERE id = {moved.id}") == [(now + DAY,)]

    run(database_url, check)


def test_paused_after_its_start_is_refused(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(2)
        await world.change("pause", new)
        with pytest.raises(ApiError, match="cannot be modified: it is paused, and was running before"):
            await modify(world, new, text("late"))

    run(database_url, check)


def test_paused_while_it_was_dealt_has_started(database_url: str) -> None:
    """What was dealt first may be on its way before the last is dealt."""

    async def check(world: World) -> None:
        new = await world.campaign(200 * 500 + 1, carriers=None)
        now = world.clock.now_ms()
        await world.write(
            lambda tx: campaigns.deal_piece(
                tx,
                new.account_id,
                new.id,
                after=-1,
                behind=0,
                deal=lambda count: [world.carrier_id] * count,
                now=now,
            )
        )
        assert await world.state(new) == CampaignState.STARTING
        await world.change("pause", new)
        with pytest.raises(ApiError, match="was running before"):
            await modify(world, new, text("late"))

    run(database_url, check)


def test_the_send_window_counts(database_url: str) -> None:
    async def check(world: World) -> None:
        minute = world.clock.now_ms() // 60_000 % 1440
        opens = (minute + 60) % 1440
        account_id = await world.account(window=(opens, (opens + 60) % 1440))
        new = await world.campaign(2, account_id=account_id, wake_at=world.clock.now_ms() + DAY)
        doors = Campaigns(
            world.database, world.ids, world.clock, Routes(world.database, world.clock), lambda deals: None
        )
        account = await world.database.read(lambda tx: accounts.by_id(tx, account_id))
        assert account is not None
        at_once = ModifyCampaign(None, None, parse_originator("Shop"), True, None)
        await doors.modify(account, new.id, at_once)
        rows = await world.rows(f"SELECT state, due_at, wake_at, originator FROM campaign WHERE id = {new.id}")
        wake = (world.clock.now_ms() // 60_000 + 60) * 60_000
        assert rows == [(CampaignState.SCHEDULED, None, wake, "Shop")]

    run(database_url, check)


def test_modify_and_start_at_the_same_moment(database_url: str) -> None:
    """Whichever comes first, the price is the one that is charged and the ledger adds up."""

    async def check(world: World) -> None:
        due = world.clock.now_ms() + HOUR
        news = [await world.campaign(3, wake_at=due) for _ in range(20)]
        world.clock.advance(3601)
        now = world.clock.now_ms()
        answers = await asyncio.gather(
            *(modify(world, new, text(LONG)) for new in news[:10]),
            world.write(lambda tx: campaigns.take_due(tx, now)),
            *(modify(world, new, text(LONG)) for new in news[10:]),
            return_exceptions=True,
        )
        done = [*answers[:10], *answers[11:]]
        for new, answer in zip(news, done, strict=True):
            assert isinstance(answer, Created | ApiError), answer
            assert await prices(world, new) == ({2} if isinstance(answer, Created) else {1})
            assert await world.state(new) == CampaignState.STARTING

    run(database_url, check)
