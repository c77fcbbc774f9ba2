"""The scheduler by itself: each duty at its time, by a clock that a test advances, on both engines."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cooee.engine.scheduler import LIST_PIECES, Scheduler
from cooee.model.campaign import BatchState, CampaignState
from cooee.model.clock import DAY, HOUR, MINUTE
from cooee.model.errors import StoreUnavailable
from cooee.model.message import GAVE_UP, MessageState
from cooee.service.routing import Routes
from cooee.store import acceptance, audience, campaigns
from cooee.store.acceptance import NewCampaign
from cooee.store.database import Database, Tx
from cooee.store.ids import Ids
from cooee.store.uncertain import Policy
from tests.engine.support_link import Flaky, until
from tests.store.support_store import FIRST, MAX_AGE, WAIT, World, receipt, run

S, B, M = CampaignState, BatchState, MessageState


@dataclass
class Desk:
    """A scheduler at work on a world's store."""

    world: World
    database: Flaky
    scheduler: Scheduler
    woken: int = 0
    rounds: int = 0
    """How often the duties were gone through."""

    async def round_over(self) -> None:
        """The last of the duties."""
        self.rounds += 1

    async def pass_time(self, seconds: float = 0.0) -> None:
        """The clock goes on, and everything that is due then is done."""
        self.world.clock.advance(seconds)
        # The first of the two rounds may have begun before.
        enough = self.rounds + 2
        self.scheduler.wake()
        await until(lambda: self.rounds >= enough)

    def stuck(self) -> str | None:
        """Why nothing is dealt, if so."""
        return self.scheduler.stuck

    async def wake_at(self, new: NewCampaign) -> int:
        ((at,),) = await self.world.rows(f"SELECT wake_at FROM campaign WHERE id = {new.id}")
        return int(at)

    async def counts(self, new: NewCampaign) -> dict[str, int]:
        """Recipients by state, as a person is shown them."""
        return await self.world.database.read(lambda tx: campaigns.count(tx, new.account_id, new.id))


@asynccontextmanager
async def desk(world: World, policy: Policy | None = None) -> AsyncIterator[Desk]:
    chosen = policy or Policy(WAIT, MAX_AGE)
    database = Flaky(world.database)
    shared: Database = database

    def woken() -> None:
        it.woken += 1

    async def round_over() -> None:
        await it.round_over()

    scheduler = Scheduler(
        shared, Ids(shared), world.clock, Routes(shared, world.clock), lambda _: chosen, woken, None,
        duties=[("round", 0.0, round_over)],
    )  # fmt: skip
    it = Desk(world, database, scheduler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cooee.engine.scheduler.TICK_S", 0.01)
        task = asyncio.get_running_loop().create_task(scheduler.run())
        try:
            await it.pass_time()
            yield it
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def on_desk(url: str, check: Callable[[World, Desk], Awaitable[None]], policy: Policy | None = None) -> None:
    """Runs `check` with a scheduler at work on a fresh store."""

    async def main(world: World) -> None:
        async with asyncio.timeout(30), desk(world, policy) as it:
            await check(world, it)

    run(url, main)


def test_who_wakes_it_while_it_is_at_work_is_heard_at_once(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        clock = world.clock
        rounds = 0

        async def woken_meanwhile() -> None:
            nonlocal rounds
            rounds += 1
            if rounds < 4:
                scheduler.wake()

        scheduler = Scheduler(
            world.database, Ids(world.database), clock, Routes(world.database, clock),
            lambda _: Policy(WAIT, MAX_AGE), lambda: None, None, duties=[("round", 0.0, woken_meanwhile)],
        )  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cooee.engine.scheduler.TICK_S", 3600.0)
            task = asyncio.get_running_loop().create_task(scheduler.run())
            try:
                await until(lambda: rounds == 4)
                # And nobody wakes it after that.
                await asyncio.sleep(0.1)
                assert rounds == 4
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    run(f"sqlite:///{tmp_path / 'cooee.db'}", check)


# --- due ---------------------------------------------------------------------------------------------------


def test_a_closed_window_puts_it_off_to_its_opening_in_the_accounts_own_time(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        account = await world.account(window=(8 * 60, 18 * 60))
        await world.sql(f"UPDATE account SET zone = 'Australia/Sydney' WHERE id = {account}")
        # Sydney is ten hours ahead in winter: 18:00 there is 8:00 UTC, and it opens again at 22:00 UTC.
        midnight = world.clock.now_ms() // DAY * DAY + DAY
        world.clock.advance((midnight + 8 * HOUR - MINUTE - world.clock.now_ms()) / 1000)
        early = await world.campaign(2, account_id=account, wake_at=world.clock.now_ms() + MINUTE - 1000)
        late = await world.campaign(2, account_id=account, wake_at=midnight + 8 * HOUR)
        await it.pass_time(60)
        assert (await world.state(early), await world.state(late)) == (S.SCHEDULED, S.SCHEDULED)
        assert await it.wake_at(early) == await it.wake_at(late) == midnight + 22 * HOUR
        await it.pass_time(14 * 3600 - 1)
        assert await world.state(late) == S.SCHEDULED
        await it.pass_time(1)
        assert (await world.state(early), await world.state(late)) == (S.RUNNING, S.RUNNING)

    on_desk(database_url, check)


def test_a_suspended_accounts_campaign_waits_for_the_account(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        new = await world.campaign(2, wake_at=world.clock.now_ms() + 1000)
        await world.sql(f"UPDATE account SET state = 2 WHERE id = {world.account_id}")
        await it.pass_time(300)
        assert await world.state(new) == S.SCHEDULED
        await world.sql(f"UPDATE account SET state = 1 WHERE id = {world.account_id}")
        await it.pass_time(60)
        assert await world.state(new) == S.RUNNING

    on_desk(database_url, check)


@pytest.mark.parametrize("then", ["pause", "delete"])
def test_stopped_before_its_time_it_is_never_started(database_url: str, then: str) -> None:
    async def check(world: World, it: Desk) -> None:
        new = await world.campaign(2, wake_at=world.clock.now_ms() + 1000)
        await world.change("pause", new)
        if then == "delete":
            await world.change("delete", new)
        await it.pass_time(3600)
        assert await world.state(new) == (S.PAUSED if then == "pause" else S.DELETED)
        assert await world.claim(7) == []

    on_desk(database_url, check)


# --- dealing -----------------------------------------------------------------------------------------------


def test_without_a_carrier_it_says_how_many_wait_and_until_when(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        await world.carrier_state(world.carrier_id, 2)
        await it.pass_time(5)
        assert it.stuck() is None
        new = [await world.campaign(1, carriers=None)]
        await it.pass_time(1)
        assert it.stuck() == "1 campaign waits: there is no active carrier"
        new += [await world.campaign(1, carriers=None) for _ in range(2)]
        await it.pass_time(1)
        assert it.stuck() == "3 campaigns wait: there is no active carrier"
        assert it.woken == 0
        await world.change("pause", new[0])
        await it.pass_time(1)
        assert it.stuck() == "2 campaigns wait: there is no active carrier"
        await world.change("pause", new[1])
        await it.pass_time(1)
        assert it.stuck() == "1 campaign waits: there is no active carrier"
        await world.carrier_state(world.carrier_id, 1)
        await it.pass_time(5)
        assert it.stuck() is None
        assert [await world.state(each) for each in new] == [S.PAUSED, S.PAUSED, S.RUNNING]
        assert it.woken > 0

    on_desk(database_url, check)


def test_a_large_campaign_is_dealt_in_proportion_and_takes_turns(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        await world.carrier_state(world.carrier_id, 3)
        slow, fast = await world.carrier(tps=100), await world.carrier(tps=300)
        await it.pass_time(5)
        # 240 batches: more than one piece of dealing.
        new = await world.campaign(120_000, carriers=None)
        await it.pass_time(1)
        assert await world.state(new) == S.RUNNING
        batches = await world.batches(new)
        assert Counter(batch.carrier_id for batch in batches) == {slow: 60, fast: 180}
        assert {batch.state for batch in batches} == {B.READY}
        for carrier in (slow, fast):
            turns = [batch.turn for batch in batches if batch.carrier_id == carrier]
            assert turns == sorted(turns)
            assert len(set(turns)) == len(turns)
        # Whoever comes now does not queue up behind all of it.
        small = await world.campaign(10, carriers=None)
        await it.pass_time(1)
        (batch,) = await world.batches(small)
        ahead = [each for each in batches if each.carrier_id == batch.carrier_id and each.turn < batch.turn]
        assert len(ahead) <= 2

    on_desk(database_url, check)


def test_batches_of_a_removed_carrier_are_dealt_to_another_retries_too(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        new = await world.campaign(1000)
        hand = (await world.claim(7, 1))[0]
        await hand.refuse(0, delay_ms=1000).step(release=True)
        await it.pass_time(2)
        assert [batch.attempt for batch in await world.batches(new)] == [1, 1, 2]
        # With nobody to take them they stay where they are, and nothing is moved about.
        await world.carrier_state(world.carrier_id, 3)
        before = await world.batches(new)
        await it.pass_time(6)
        assert (await world.batches(new), await world.state(new)) == (before, S.RUNNING)
        other = await world.carrier()
        await it.pass_time(6)
        await it.pass_time(6)
        batches = await world.batches(new)
        assert [(batch.carrier_id, batch.state) for batch in batches] == [(other, B.READY)] * 3
        assert (batches[0].marked, batches[2].attempt) == (1, 2)
        assert await world.state(new) == S.RUNNING

    on_desk(database_url, check)


def test_a_retry_waits_for_its_paused_carrier_and_the_rest_moves_on(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        other = await world.carrier()
        new = await world.campaign(1000)
        hand = (await world.claim(7, 1))[0]
        await hand.refuse(0, delay_ms=1000).step(release=True)
        await it.pass_time(2)
        await world.carrier_state(world.carrier_id, 2)
        await it.pass_time(6)
        await it.pass_time(6)
        settled = await world.batches(new)
        assert [batch.carrier_id for batch in settled] == [other, other, world.carrier_id]
        await it.pass_time(60)
        # No churn: what has nowhere better to go is left alone.
        assert await world.batches(new) == settled
        assert await world.state(new) == S.RUNNING

    on_desk(database_url, check)


# --- retries, the end --------------------------------------------------------------------------------------


def test_a_retry_is_ready_at_its_time_and_not_before(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        await hand.refuse(0, delay_ms=10_000).step()
        await it.pass_time(9)
        assert (await world.batches(new))[1].state == B.DELAYED
        assert it.woken == 0
        await it.pass_time(1)
        assert (await world.batches(new))[1].state == B.READY
        assert it.woken == 1

    on_desk(database_url, check)


def test_finished_when_nothing_is_open_and_not_before(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        new = await world.campaign(3)
        (hand,) = await world.claim(7)
        await hand.accept([0]).doubt(1).refuse(2, delay_ms=5000).step()
        it.scheduler.finished([hand.claimed.key[:2]])
        await it.pass_time(1)
        assert await world.state(new) == S.RUNNING
        await it.pass_time(5)
        (again,) = await world.claim(7)
        await again.accept([0]).step()
        it.scheduler.finished([hand.claimed.key[:2]])
        await it.pass_time(1)
        assert await world.states(new) == [M.HANDED_OVER, M.UNCERTAIN, M.HANDED_OVER]
        assert await world.state(new) == S.RUNNING
        await world.receive(receipt("stray", handset=FIRST + 1))
        assert (await world.states(new))[1] == M.DELIVERED
        it.scheduler.finished([hand.claimed.key[:2]])
        await it.pass_time(1)
        assert await world.state(new) == S.FINISHED

    on_desk(database_url, check)


def test_what_nobody_reported_finished_is_found(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        news = [await world.campaign([FIRST + at]) for at in range(3)]
        for hand in (await world.claim(7))[:2]:
            await hand.accept([0]).step()
        await it.pass_time(11)
        states = sorted([await world.state(new) for new in news])
        assert states == [S.RUNNING, S.FINISHED, S.FINISHED]

    on_desk(database_url, check)


# --- uncertain ---------------------------------------------------------------------------------------------


def test_uncertain_recipients_go_out_again_at_their_time_once_flagged(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        new = await world.campaign(3)
        (hand,) = await world.claim(7)
        await hand.accept([0]).doubt(1).doubt(2).step()
        await it.pass_time(WAIT / 1000 - 1)
        assert len(await world.batches(new)) == 1
        await it.pass_time(1)
        (_, resend) = await world.batches(new)
        assert (resend.state, resend.attempt, resend.size) == (B.READY, 2, 2)
        await it.pass_time(WAIT / 1000)
        assert len(await world.batches(new)) == 2
        (again,) = await world.claim(7)
        assert list(again.claimed.numbers) == [FIRST + 1, FIRST + 2]
        await again.accept([0, 1]).step()
        messages = await world.messages(new)
        assert [bool(messages[FIRST + at].flags & 1) for at in range(3)] == [False, True, True]
        assert await world.refunds() == []

    on_desk(database_url, check)


def test_a_receipt_that_came_first_settles_it_before_it_is_sent_again(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        new = await world.campaign(2)
        (hand,) = await world.claim(7)
        await world.receive(receipt("stray", handset=FIRST))
        assert await world.orphans() == 1
        await hand.doubt(0).doubt(1).step()
        await it.pass_time(WAIT / 1000)
        assert (await world.messages(new))[FIRST].state == M.DELIVERED
        assert [batch.size for batch in await world.batches(new)] == [2, 1]
        assert await world.orphans() == 0

    on_desk(database_url, check)


def test_held_for_a_person_it_waits_for_ever(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        hand.doubt(0)
        hand.rows = [(*row[:10], None, *row[11:]) for row in hand.rows]
        await hand.step()
        await it.pass_time(DAY / 1000 * 3)
        assert await world.states(new) == [M.UNCERTAIN]
        assert await world.state(new) == S.RUNNING
        assert len(await world.batches(new)) == 1

    on_desk(database_url, check, Policy(None, MAX_AGE))


@pytest.mark.parametrize("why", ["age", "deleted"])
def test_too_old_or_deleted_it_fails_and_stays_charged(database_url: str, why: str) -> None:
    async def check(world: World, it: Desk) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        await hand.doubt(0).step()
        if why == "deleted":
            await world.change("pause", new)
            await world.change("delete", new)
        else:
            world.clock.advance(MAX_AGE / 1000)
        await it.pass_time(WAIT / 1000)
        message = (await world.messages(new))[FIRST]
        assert (message.state, message.code, message.uncertain_until) == (M.FAILED, GAVE_UP, None)
        assert len(await world.batches(new)) == 1
        assert await world.refunds() == []

    on_desk(database_url, check)


# --- counters, tidying up, faults --------------------------------------------------------------------------


def test_counters_of_a_large_campaign_follow_its_receipts(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        new = await world.campaign(1001)
        for hand in await world.claim(7, 2000):
            await hand.accept(
                {at: f"{hand.claimed.key[2]}-{at}" for at in range(len(hand.claimed.numbers))}
            ).step()
            it.scheduler.finished([hand.claimed.key[:2]])
        await it.pass_time(3)
        assert (await it.counts(new))["handed_over"] == 1001
        done = await world.receive(*(receipt(f"0-{at}", handset=FIRST + at) for at in range(300)))
        it.scheduler.changed(done.campaigns or ())
        # Kept for two seconds: counting a million rows with every receipt would cost too much.
        await it.pass_time(3)
        counts = await it.counts(new)
        assert (counts["handed_over"], counts["delivered"], counts["waiting"]) == (701, 300, 0)

    on_desk(database_url, check)


def test_what_was_never_accepted_to_its_end_is_swept_away(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        old = await world.new(6000, carriers=None)
        await world.write(lambda tx: acceptance.begin_large(tx, old, world.clock.now_ms()))
        await world.write(lambda tx: acceptance.add_piece(tx, old, 0))
        await it.pass_time(14 * 60)
        young = await world.new(6000, carriers=None)
        await world.write(lambda tx: acceptance.begin_large(tx, young, world.clock.now_ms()))
        await it.pass_time(61)
        await it.pass_time(61)
        assert await world.rows("SELECT id FROM campaign ORDER BY id") == [(young.id,)]
        assert await world.batches(old) == []
        answer = await world.write(lambda tx: acceptance.publish_large(tx, young, world.clock.now_ms()))
        assert answer.messages == 6000

    on_desk(database_url, check)


def test_a_list_whose_node_died_while_it_was_filled_is_swept_away(database_url: str) -> None:
    async def check(world: World) -> None:
        async def add(tx: Tx) -> None:
            for list_id, whole in ((1, True), (2, False), (3, False)):
                numbers = range(FIRST, FIRST + audience.PIECE)
                await audience.add(
                    tx, world.account_id, list_id, "x", numbers, now=world.clock.now_ms(), whole=whole
                )

        await world.write(add)
        for piece in range(1, LIST_PIECES + 5):
            numbers = range(FIRST + piece * audience.PIECE, FIRST + (piece + 1) * audience.PIECE)
            await world.write(
                lambda tx, to=numbers: audience.fill(tx, world.account_id, 2, to, world.clock.now_ms())  # type: ignore[misc]
            )
        async with desk(world) as it:
            await it.pass_time(10 * MINUTE / 1000)
            await world.write(lambda tx: audience.fill(tx, world.account_id, 3, [FIRST], world.clock.now_ms()))
            await it.pass_time(6 * MINUTE / 1000)
            # The rest of it goes in the rounds that follow, with no time in between.
            await it.pass_time()
            assert await world.rows("SELECT id FROM list ORDER BY id") == [(1,), (3,)]
            assert await world.rows("SELECT DISTINCT list_id FROM list_number ORDER BY list_id") == [(1,), (3,)]
            await it.pass_time(15 * MINUTE / 1000)
            assert await world.rows("SELECT id FROM list") == [(1,)]

    run(database_url, check)


def test_an_outage_delays_the_duties_and_ends_none(database_url: str) -> None:
    async def check(world: World, it: Desk) -> None:
        new = await world.campaign(1, wake_at=world.clock.now_ms() + 1000)
        retried = await world.campaign([FIRST + 1])
        (hand,) = await world.claim(7)
        await hand.refuse(0, delay_ms=1000).step()
        it.database.away = StoreUnavailable("away")
        for _ in range(3):
            await it.pass_time(10)
        assert await world.state(new) == S.SCHEDULED
        it.database.away = None
        await it.pass_time(10)
        assert await world.state(new) == S.RUNNING
        assert (await world.batches(retried))[1].state == B.READY

    on_desk(database_url, check)


def test_two_at_once_do_nothing_twice(database_url: str) -> None:
    async def check(world: World) -> None:
        due = await world.campaign(1200, wake_at=world.clock.now_ms() + 5000)
        doubtful = await world.campaign(40, carriers=[world.carrier_id])
        (hand,) = await world.claim(7)
        for at in range(40):
            hand.doubt(at)
        await hand.step()
        async with asyncio.timeout(30), desk(world) as one, desk(world) as two:
            world.clock.advance(WAIT / 1000 + 5)
            await asyncio.gather(one.pass_time(), two.pass_time())
            await asyncio.gather(one.pass_time(5), two.pass_time(5))
            batches = await world.batches(due)
            assert [(batch.state, batch.epoch) for batch in batches] == [(B.READY, 0)] * 3
            assert await world.state(due) == S.RUNNING
            again = [batch for batch in await world.batches(doubtful) if batch.attempt == 2]
            assert [batch.size for batch in again] == [40]

    run(database_url, check)
