"""The trip of a bind: claim and mark, record, give back; on both engines."""

from __future__ import annotations

import asyncio

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.clock import HOUR, ManualClock
from cooee.model.message import MessageState
from tests.store.support_store import FIRST, MAX_AGE, World, run

HANDED, FAILED, WASHED = MessageState.HANDED_OVER, MessageState.FAILED, MessageState.WASHED


def test_claim_marks_what_there_is_room_for(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(700)
        (hand,) = await world.claim(7, 30)
        assert (hand.claimed.key, hand.claimed.start, hand.claimed.marked) == (
            (world.account_id, new.id, 0),
            0,
            30,
        )
        assert (hand.grant.start, hand.grant.stop, hand.grant.skip) == (0, 30, set())
        assert list(hand.claimed.numbers) == list(new.numbers[:500])
        assert (hand.claimed.originator, hand.claimed.body, hand.claimed.epoch) == ("61411", "hello", 1)
        first, second = await world.batches(new)
        assert (first.state, first.owner, first.epoch, first.marked, first.recorded) == (
            BatchState.OUT,
            7,
            1,
            30,
            0,
        )
        assert (second.state, second.owner, second.epoch) == (BatchState.READY, None, 0)
        assert await world.messages(new) == {}

    run(database_url, check)


def test_claim_counts_segments_and_takes_one_long_message_at_least(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(10, segments=3)
        (hand,) = await world.claim(7, 7)
        assert hand.claimed.marked == 2
        await world.trip(7, [])
        other = await world.campaign(5, segments=4)
        (long,) = await world.claim(7, 2)
        assert (long.claimed.key[1], long.claimed.marked) == (other.id, 1)
        assert (await world.batches(new))[0].marked == 2

    run(database_url, check)


def test_claim_covers_many_small_batches_in_one_trip(database_url: str) -> None:
    async def check(world: World) -> None:
        for at in range(30):
            await world.campaign([FIRST + at])
        hands = await world.claim(7, 20)
        assert len(hands) == 20
        assert [hand.claimed.marked for hand in hands] == [1] * 20
        assert len(await world.claim(8, 20, limit=4)) == 4
        assert len(await world.claim(8, 20)) == 6
        assert await world.claim(8, 20) == []

    run(database_url, check)


def test_record_moves_the_offset_only_over_what_is_answered(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(10)
        (hand,) = await world.claim(7, 4)
        await hand.accept([1, 2]).step()
        batch = (await world.batches(new))[0]
        assert (batch.marked, batch.recorded, batch.state) == (4, 0, BatchState.OUT)
        assert list(await world.messages(new)) == [FIRST + 1, FIRST + 2]
        outcome = await hand.accept([0]).step(mark=5)
        assert [(g.start, g.stop) for g in outcome.grants] == [(4, 9)]
        batch = (await world.batches(new))[0]
        assert (batch.marked, batch.recorded) == (9, 3)
        await hand.accept(range(3, 9)).step(mark=1)
        await hand.accept([9]).step()
        batch = (await world.batches(new))[0]
        assert (batch.marked, batch.recorded, batch.state, batch.owner) == (10, 10, BatchState.DONE, None)
        assert await world.states(new) == [HANDED] * 10
        message = (await world.messages(new))[FIRST]
        assert (message.attempt, message.accepted, message.credits, message.code) == (1, 1, 1, 0)
        assert await world.finish(new) == 1
        assert await world.state(new) == CampaignState.FINISHED

    run(database_url, check)


def test_a_final_refusal_is_recorded_with_its_code_and_stays_charged(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(2)
        (hand,) = await world.claim(7)
        await hand.accept([0]).fail(1, code=0x0B).step()
        assert await world.states(new) == [HANDED, FAILED]
        assert (await world.messages(new))[FIRST + 1].code == 0x0B
        assert await world.refunds() == []

    run(database_url, check)


def test_given_back_with_nothing_in_flight_it_may_be_claimed_by_another(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(10)
        (hand,) = await world.claim(7, 4)
        await hand.accept(range(4)).step(release=True)
        batch = (await world.batches(new))[0]
        assert (batch.state, batch.owner, batch.marked, batch.recorded) == (BatchState.READY, None, 4, 4)
        (other,) = await world.claim(8)
        assert (other.claimed.start, other.claimed.marked, other.claimed.epoch) == (4, 10, 2)

    run(database_url, check)


def test_given_back_while_something_is_in_flight_it_stays_out(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(10)
        (hand,) = await world.claim(7, 4)
        await hand.accept(range(3)).step(release=True)
        assert (await world.batches(new))[0].state == BatchState.OUT

    run(database_url, check)


def test_an_old_epoch_records_late_answers_and_moves_nothing(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(4)
        (hand,) = await world.claim(7, 3)
        assert await world.take_over(7) == (1, 3)
        (peer,) = await world.claim(8)
        assert (peer.claimed.start, peer.claimed.epoch) == (3, 3)
        before = await world.batches(new)
        hand.accept([0]).doubt(1)
        outcome = await hand.fail(2).step(mark=1)
        assert outcome.lost == [hand.claimed.key]
        assert outcome.grants == []
        assert await world.batches(new) == before
        # The late acceptance and the late refusal raise what was uncertain; a doubt says nothing new.
        assert await world.states(new) == [HANDED, MessageState.UNCERTAIN, FAILED]
        assert (await world.messages(new))[FIRST].uncertain_until is None

    run(database_url, check)


def test_another_engine_cannot_move_it_even_with_its_epoch(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(4)
        (hand,) = await world.claim(7, 2)
        hand.owner = 8
        assert (await hand.accept([0, 1]).step(mark=2)).lost == [hand.claimed.key]
        batch = (await world.batches(new))[0]
        assert (batch.owner, batch.marked, batch.recorded) == (7, 2, 0)

    run(database_url, check)


def test_paused_between_claim_and_mark(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(10)
        (hand,) = await world.claim(7, 4)
        await world.change("pause", new)
        outcome = await hand.accept(range(4)).step(mark=6)
        assert (outcome.grants, outcome.refused) == ([], [hand.claimed.key])
        # Recording commits where the mark is refused, and the batch goes back.
        assert await world.states(new) == [HANDED] * 4
        batch = (await world.batches(new))[0]
        assert (batch.state, batch.marked, batch.recorded) == (BatchState.READY, 4, 4)
        assert await world.claim(8) == []
        assert (await world.batches(new))[0].state == BatchState.HELD
        await world.change("unpause", new)
        assert await world.state(new) == CampaignState.STARTING
        await world.deal(new)
        assert await world.state(new) == CampaignState.RUNNING
        (again,) = await world.claim(8)
        assert (again.claimed.start, again.claimed.marked) == (4, 10)

    run(database_url, check)


def test_a_mark_refused_while_something_is_in_flight_keeps_the_batch(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(10)
        (hand,) = await world.claim(7, 4)
        await world.change("pause", new)
        assert (await hand.accept([0]).step(mark=6)).refused == [hand.claimed.key]
        batch = (await world.batches(new))[0]
        assert (batch.state, batch.owner, batch.recorded) == (BatchState.OUT, 7, 1)
        await hand.accept([1, 2, 3]).step(release=True)
        assert (await world.batches(new))[0].state == BatchState.READY

    run(database_url, check)


def test_suspended_account_is_given_nothing(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(10)
        (hand,) = await world.claim(7, 4)
        await world.sql(f"UPDATE account SET state = 2 WHERE id = {world.account_id}")
        assert (await hand.accept(range(4)).step(mark=6)).refused == [hand.claimed.key]
        assert await world.claim(7) == []
        assert (await world.batches(new))[0].state == BatchState.HELD
        await world.sql(f"UPDATE account SET state = 1 WHERE id = {world.account_id}")
        await world.write(lambda tx: tx.run("restart_account_campaigns", account_id=world.account_id))
        await world.deal(new)
        assert (await world.claim(7))[0].claimed.start == 4

    run(database_url, check)


def test_deleted_between_claim_and_mark_what_was_not_marked_is_cancelled_and_refunded_once(
    database_url: str,
) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(10)
        full = await world.credits()
        (hand,) = await world.claim(7, 4)
        await world.change("pause", new)
        await world.change("delete", new)
        assert await world.credits() == full + 6
        assert (await hand.accept(range(4)).step(mark=6)).refused == [hand.claimed.key]
        assert await world.claim(8) == []
        batch = (await world.batches(new))[0]
        assert (batch.state, batch.marked) == (BatchState.CANCELLED, 4)
        await world.change("delete", new)
        assert await world.refunds() == [(6, "campaign deleted")]
        assert await world.states(new) == [HANDED] * 4

    run(database_url, check)


def test_the_send_window_closes_between_two_marks(database_url: str) -> None:
    async def check(world: World) -> None:
        now = world.clock.now_ms()
        minute = now // 60_000 % 1440
        account = await world.account(window=(minute, minute + 1))
        new = await world.campaign(10, account_id=account)
        (hand,) = await world.claim(7, 4)
        world.clock.advance(120)
        assert (await hand.accept(range(4)).step(mark=6)).refused == [hand.claimed.key]
        outcome = await world.trip(7, room=10)
        assert outcome.claimed == []
        opens = now // 60_000 * 60_000 + 24 * HOUR
        batch = (await world.batches(new))[0]
        assert (batch.state, batch.not_before) == (BatchState.DELAYED, opens)
        assert await world.ready_delayed() == 0
        world.clock.advance((opens - world.clock.now_ms()) / 1000)
        assert await world.ready_delayed() == 1
        assert (await world.claim(7))[0].claimed.start == 4

    run(database_url, check)


def test_a_closed_window_does_not_age_a_retry(database_url: str) -> None:
    async def check(world: World) -> None:
        minute = world.clock.now_ms() // 60_000 % 1440
        account = await world.account(window=(minute, minute + 5))
        new = await world.campaign(1, account_id=account)
        first = world.clock.now_ms()
        (hand,) = await world.claim(7)
        await hand.refuse(0, delay_ms=1000).step()
        ages = (await world.batches(new))[1].expires_at
        assert ages is not None
        world.clock.advance(600)
        await world.ready_delayed()
        await world.claim(7)
        batch = (await world.batches(new))[1]
        assert batch.not_before is not None
        assert (batch.attempt, batch.expires_at) == (2, ages)
        # Until the closing it had what was left of five minutes, and now one of them.
        world.clock.advance((batch.not_before - world.clock.now_ms()) / 1000 + 60)
        await world.ready_delayed()
        (again,) = await world.claim(7)
        assert again.claimed.remains_ms == MAX_AGE - (5 * 60_000 - first % 60_000) - 60_000

    run(database_url, check)


def test_opted_out_recipients_are_washed_and_refunded_where_they_are_marked(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(10, segments=2)
        await world.opt_out(FIRST, FIRST + 5)
        await world.opt_out(FIRST + 1, account_id=await world.account())
        full = await world.credits()
        (hand,) = await world.claim(7, 8)
        assert hand.grant.skip == {0}
        assert await world.credits() == full + 2
        outcome = await hand.accept(range(1, 4)).step(mark=6)
        assert [(g.start, g.stop, g.skip) for g in outcome.grants] == [(4, 10, {5})]
        assert outcome.washed == 1
        assert await world.refunds() == [(2, "opted out"), (2, "opted out")]
        assert await world.states(new) == [WASHED, HANDED, HANDED, HANDED, WASHED]
        await hand.accept([4, 6, 7, 8, 9]).step()
        assert (await world.batches(new))[0].state == BatchState.DONE

    run(database_url, check)


def test_two_engines_never_get_the_same_batch(database_url: str) -> None:
    async def check(world: World) -> None:
        await world.campaign(5000)
        claimed = await asyncio.gather(*(world.claim(owner, 600) for owner in range(1, 9)))
        keys = [hand.claimed.key for hands in claimed for hand in hands]
        assert len(keys) == len(set(keys))
        assert len(keys) >= 5

    run(database_url, check)


def test_a_campaign_is_not_finished_while_something_is_open(database_url: str) -> None:
    async def check(world: World) -> None:
        new, doubtful, waiting = (
            await world.campaign(2),
            await world.campaign([FIRST + 10]),
            await world.campaign([FIRST + 20]),
        )
        first, second, _third = await world.claim(7)
        assert await world.finish(new, doubtful, waiting) == 0
        await first.accept([0]).refuse(1).step()
        await second.doubt(0).step()
        assert await world.finish(new, doubtful, waiting) == 0
        assert [await world.state(each) for each in (new, doubtful, waiting)] == [CampaignState.RUNNING] * 3

    run(database_url, check)


def test_the_clock_of_the_rows_is_the_trips_own(database_url: str) -> None:
    async def check(world: World) -> None:
        clock: ManualClock = world.clock
        new = await world.campaign(2)
        (hand,) = await world.claim(7)
        clock.advance(5)
        await hand.accept([0]).step()
        rows = await world.rows("SELECT changed_at FROM message")
        assert rows == [(clock.now_ms(),)]
        assert len(await world.messages(new)) == 1

    run(database_url, check)
