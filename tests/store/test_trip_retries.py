"""What is refused for now, and what becomes of it: retry batches, giving up, washing and deleting meanwhile."""

from __future__ import annotations

import pytest

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.clock import HOUR
from cooee.model.message import GAVE_UP, MessageState
from cooee.store.campaigns import deal_strays_again
from cooee.store.dispatch import record_late
from cooee.store.receipts import FAILED as FAILED_RECEIPT
from tests.store.support_store import FIRST, MAX_AGE, Hand, World, receipt, run

RETRYING, HANDED, FAILED = MessageState.RETRYING, MessageState.HANDED_OVER, MessageState.FAILED
CANCELLED, WASHED, DELIVERED = MessageState.CANCELLED, MessageState.WASHED, MessageState.DELIVERED


async def due_again(world: World, seconds: float = 2) -> Hand:
    """The retry, claimed once its time has come."""
    world.clock.advance(seconds)
    assert await world.ready_delayed() == 1
    (hand,) = await world.claim(7)
    return hand


def test_refused_recipients_go_into_one_retry_batch(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(6)
        (hand,) = await world.claim(7)
        started = world.clock.now_ms()
        outcome = await hand.accept([1, 2, 4]).refuse(3, code=0x14).refuse(0, delay_ms=500).refuse(5).step()
        assert outcome.retries == 1
        first, retry = await world.batches(new)
        assert (first.state, first.recorded) == (BatchState.DONE, 6)
        assert (retry.state, retry.attempt, retry.size, retry.marked) == (BatchState.DELAYED, 2, 3, 0)
        assert retry.not_before == started + 1000
        assert (retry.carrier_id, retry.expires_at) == (world.carrier_id, started + MAX_AGE)
        assert await world.states(new) == [RETRYING, HANDED, HANDED, RETRYING, HANDED, RETRYING]
        assert (await world.messages(new))[FIRST + 3].code == 0x14
        assert await world.claim(7) == []
        again = await due_again(world)
        assert list(again.claimed.numbers) == [FIRST, FIRST + 3, FIRST + 5]
        assert (again.claimed.attempt, again.claimed.first_at) == (2, started)
        assert set(await world.states(new)) == {MessageState.SENDING, HANDED}
        await again.accept({0: "x", 1: "y", 2: "z"}).step()
        assert await world.states(new) == [HANDED] * 6
        assert (await world.messages(new))[FIRST].attempt == 2
        assert await world.finish(new) == 1
        assert await world.refunds() == []

    run(database_url, check)


def test_what_is_never_taken_is_given_up_and_refunded(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(2, segments=2)
        (hand,) = await world.claim(7)
        await hand.accept([0]).refuse(1).step()
        for _ in range(3):
            world.clock.advance(6 * 3600)
            await world.ready_delayed()
            (hand,) = await world.claim(7)
            await hand.refuse(0).step()
        world.clock.advance(6 * 3600 - 1)
        await world.ready_delayed()
        (hand,) = await world.claim(7)
        # It would wait beyond its time.
        assert (await hand.refuse(0).step()).retries == 0
        assert await world.states(new) == [HANDED, FAILED]
        assert (await world.messages(new))[FIRST + 1].code == GAVE_UP
        assert await world.refunds() == [(2, "gave up")]
        assert await world.finish(new) == 1

    run(database_url, check)


def test_a_retry_whose_time_is_over_when_its_turn_comes_is_given_up_and_refunded(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(2)
        (hand,) = await world.claim(7)
        await hand.refuse(0).refuse(1, accepted=1).step()
        world.clock.advance(MAX_AGE / 1000)
        await world.ready_delayed()
        assert await world.claim(7) == []
        assert await world.states(new) == [FAILED, FAILED]
        assert [m.code for m in (await world.messages(new)).values()] == [GAVE_UP, GAVE_UP]
        # The second one has an accepted part: it stays charged.
        assert await world.refunds() == [(1, "gave up")]
        assert await world.finish(new) == 1

    run(database_url, check)


def test_time_paused_does_not_count(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        await hand.refuse(0).step()
        await world.change("pause", new)
        world.clock.advance(48 * 3600)
        await world.change("unpause", new)
        await world.deal(new)
        await world.ready_delayed()
        (again,) = await world.claim(7)
        assert again.claimed.attempt == 2
        assert again.claimed.expires_at == again.claimed.first_at + MAX_AGE + 48 * HOUR  # type: ignore[operator]

    run(database_url, check)


def test_a_long_message_is_retried_only_in_the_parts_that_are_missing(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(2, segments=3)
        (hand,) = await world.claim(7)
        hand.refs.append(hand.ref(0, "p0", 0))
        await hand.refuse(0, accepted=0b001).refuse(1).step()
        again = await due_again(world)
        assert again.grant.accepted == {0: 0b001}
        again.refs += [again.ref(0, "p1", 1), again.ref(0, "p2", 2)]
        again.rows.append(again._row(0, HANDED, 0b111))
        again.answered.add(0)
        await again.refuse(1).step()
        assert (await world.messages(new))[FIRST].accepted == 0b111
        assert (await world.messages(new))[FIRST].state == HANDED
        await world.receive(receipt("p0"), receipt("p1"))
        assert (await world.messages(new))[FIRST].state == HANDED
        await world.receive(receipt("p2"))
        assert (await world.messages(new))[FIRST].state == DELIVERED

    run(database_url, check)


def test_a_receipt_for_an_accepted_part_while_the_rest_is_retried(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1, segments=2)
        (hand,) = await world.claim(7)
        hand.refs.append(hand.ref(0, "p0", 0))
        await hand.refuse(0, accepted=0b01).step()
        await world.receive(receipt("p0"))
        assert await world.states(new) == [RETRYING]
        again = await due_again(world)
        again.refs.append(again.ref(0, "p1", 1))
        again.rows.append(again._row(0, HANDED, 0b11))
        again.answered.add(0)
        await again.step()
        await world.receive(receipt("p1"))
        assert await world.states(new) == [DELIVERED]

    run(database_url, check)


def test_a_failed_part_while_the_rest_is_retried_fails_the_message(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1, segments=2)
        (hand,) = await world.claim(7)
        hand.refs.append(hand.ref(0, "p0", 0))
        await hand.refuse(0, accepted=0b01).step()
        again = await due_again(world)
        await world.receive(receipt("p0", FAILED_RECEIPT))
        again.refs.append(again.ref(0, "p1", 1))
        again.rows.append(again._row(0, HANDED, 0b11))
        again.answered.add(0)
        await again.step()
        await world.receive(receipt("p1"))
        assert await world.states(new) == [FAILED]

    run(database_url, check)


def test_washed_when_its_retry_is_marked(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(2)
        (hand,) = await world.claim(7)
        await hand.refuse(0).refuse(1).step()
        await world.opt_out(FIRST)
        again = await due_again(world)
        assert again.grant.skip == {0}
        await again.accept([1]).step()
        assert await world.states(new) == [WASHED, HANDED]
        assert await world.refunds() == [(1, "opted out")]
        assert await world.finish(new) == 1

    run(database_url, check)


def test_washed_with_an_accepted_part_it_counts_as_failed_and_stays_charged(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1, segments=2)
        (hand,) = await world.claim(7)
        await hand.refuse(0, accepted=0b01).step()
        await world.opt_out(FIRST)
        again = await due_again(world)
        assert again.grant.skip == {0}
        assert await world.states(new) == [FAILED]
        assert await world.refunds() == []

    run(database_url, check)


def test_an_opt_out_never_lowers_what_is_settled(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        await hand.doubt(0).step()
        world.clock.advance(61)
        assert await world.decide() == (1, 0)
        # The late answer and its receipt settle it before the resend goes out; then its owner replies STOP.
        hand.accept({0: "first"})
        rows, refs = hand.rows, hand.refs
        await world.write(lambda tx: record_late(tx, world.carrier_id, rows, refs, world.clock.now_ms()))
        await world.receive(receipt("first"))
        assert await world.states(new) == [DELIVERED]
        await world.opt_out(FIRST)
        (again,) = await world.claim(7)
        assert again.grant.skip == {0}
        assert await world.states(new) == [DELIVERED]
        assert await world.refunds() == []

    run(database_url, check)


def test_deleted_while_waiting_for_a_retry(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(4, segments=2)
        (hand,) = await world.claim(7, 6)
        await hand.refuse(0).refuse(1, accepted=0b01).accept([2]).step()
        full = await world.credits()
        await world.change("pause", new)
        await world.change("delete", new)
        # Never marked: one; waiting for a retry without an accepted part: one.
        assert await world.credits() == full + 4
        assert await world.states(new) == [CANCELLED, FAILED, HANDED]
        world.clock.advance(2)
        await world.ready_delayed()
        assert await world.claim(7) == []
        assert [b.state for b in await world.batches(new)] == [BatchState.OUT, BatchState.CANCELLED]
        await hand.step(release=True)
        assert await world.claim(7) == []
        assert {b.state for b in await world.batches(new)} == {BatchState.CANCELLED}
        assert await world.credits() == full + 4

    run(database_url, check)


def test_deleted_while_a_retry_is_out_it_is_left_to_its_answer(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(3)
        (hand,) = await world.claim(7)
        await hand.refuse(0).refuse(1).refuse(2).step()
        again = await due_again(world)
        await world.change("pause", new)
        await world.change("delete", new)
        assert await world.refunds() == []
        outcome = await again.accept({0: "x"}).refuse(1).refuse(2, accepted=1).step()
        assert outcome.retries == 0
        assert await world.states(new) == [HANDED, CANCELLED, FAILED]
        assert await world.refunds() == [(1, "campaign deleted")]

    run(database_url, check)


def test_temporarily_refused_after_the_delete_it_is_cancelled_and_refunded(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(3)
        (hand,) = await world.claim(7)
        await world.change("pause", new)
        await world.change("delete", new)
        assert await world.refunds() == []
        await hand.accept([0]).refuse(1).fail(2).step()
        assert await world.states(new) == [HANDED, CANCELLED, FAILED]
        assert await world.refunds() == [(1, "campaign deleted")]
        assert await world.state(new) == CampaignState.DELETED

    run(database_url, check)


@pytest.mark.parametrize("accepted", [0, 1])
def test_a_retry_leaves_a_carrier_that_was_removed(database_url: str, accepted: int) -> None:
    """Its accepted parts lie on the old carrier; but no carrier may keep a campaign from ever ending."""

    async def check(world: World) -> None:
        other = await world.carrier()
        new = await world.campaign(1, segments=2)
        (hand,) = await world.claim(7)
        await hand.refuse(0, accepted=accepted).step()
        await world.carrier_state(world.carrier_id, 3)
        world.clock.advance(5)
        await world.ready_delayed()
        for _ in range(3):
            await world.write(deal_strays_again)
            if await world.state(new) == CampaignState.STARTING:
                await world.deal(new, lambda count: [other] * count)
        hands = await world.claim(7, carrier_id=other)
        if hands:
            await hands[0].accept([0]).step()
        assert await world.states(new) in ([HANDED], [FAILED])
        assert await world.finish(new) == 1

    run(database_url, check)
