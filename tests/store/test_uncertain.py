"""Recipients of whom nobody knows: taking over, late answers, and the carrier's policy."""

from __future__ import annotations

import pytest

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.message import FLAG_RESENT, FLAG_UNCERTAIN, GAVE_UP, MessageState
from cooee.store.dispatch import record_late
from cooee.store.receipts import DELIVERED as DELIVERED_RECEIPT
from cooee.store.receipts import FAILED as FAILED_RECEIPT
from cooee.store.receipts import OPEN
from cooee.store.uncertain import Policy
from tests.store.support_store import FIRST, MAX_AGE, WAIT, Hand, World, receipt, run

RETRYING, UNCERTAIN, HANDED = MessageState.RETRYING, MessageState.UNCERTAIN, MessageState.HANDED_OVER
FAILED, DELIVERED, SENDING = MessageState.FAILED, MessageState.DELIVERED, MessageState.SENDING


async def late(world: World, hand: Hand) -> None:
    """What the hand holds is recorded as late answers."""
    rows, refs = hand.rows, hand.refs
    hand.rows, hand.refs = [], []
    await world.write(lambda tx: record_late(tx, world.carrier_id, rows, refs, world.clock.now_ms()))


async def resent(world: World, new_hand: Hand) -> Hand:
    """The hand's first recipient, uncertain and claimed again after the wait."""
    await new_hand.doubt(0).step()
    world.clock.advance(61)
    assert await world.decide() == (1, 0)
    (again,) = await world.claim(7)
    assert again.claimed.attempt == 2
    return again


def test_take_over_makes_uncertain_what_lies_between_the_offsets_without_a_row(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(10)
        (hand,) = await world.claim(7, 5)
        await hand.accept([0, 2]).step()
        assert await world.take_over(7) == (1, 3)
        assert await world.states(new) == [HANDED, UNCERTAIN, HANDED, UNCERTAIN, UNCERTAIN]
        message = (await world.messages(new))[FIRST + 1]
        assert message.flags & FLAG_UNCERTAIN
        assert message.uncertain_until == world.clock.now_ms() + WAIT
        batch = (await world.batches(new))[0]
        assert (batch.state, batch.owner, batch.marked, batch.recorded) == (BatchState.READY, None, 5, 5)
        assert batch.epoch == 2
        assert await world.take_over(7) == (0, 0)
        (peer,) = await world.claim(8)
        assert (peer.claimed.start, peer.claimed.marked) == (5, 10)

    run(database_url, check)


def test_taken_over_when_all_was_marked_a_batch_is_done(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(3)
        await world.claim(7)
        await world.take_over(7)
        assert (await world.batches(new))[0].state == BatchState.DONE
        assert await world.finish(new) == 0
        world.clock.advance(61)
        assert await world.decide() == (3, 0)
        (again,) = await world.claim(8)
        await again.accept([0, 1, 2]).step()
        assert await world.finish(new) == 1

    run(database_url, check)


def test_taken_over_after_a_delete_nothing_more_is_sent(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(5)
        await world.claim(7, 3)
        await world.change("pause", new)
        await world.change("delete", new)
        assert await world.refunds() == [(2, "campaign deleted")]
        assert await world.take_over(7) == (1, 3)
        assert (await world.batches(new))[0].state == BatchState.CANCELLED
        world.clock.advance(61)
        assert await world.decide() == (0, 3)
        assert await world.states(new) == [FAILED] * 3
        # They may well have arrived: they stay charged.
        assert await world.refunds() == [(2, "campaign deleted")]

    run(database_url, check)


def test_take_over_takes_many_batches_in_pieces(database_url: str) -> None:
    async def check(world: World) -> None:
        for at in range(60):
            await world.campaign([FIRST + at])
        assert len(await world.claim(7)) == 60
        assert await world.take_over(7) == (50, 50)
        assert await world.take_over(7) == (10, 10)
        assert await world.take_over(7) == (0, 0)

    run(database_url, check)


def test_take_over_of_a_retry_leaves_alone_who_was_settled_before_it_went_out(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(2)
        (hand,) = await world.claim(7)
        await hand.doubt(0).doubt(1).step()
        world.clock.advance(61)
        assert await world.decide() == (2, 0)
        hand.accept({0: "first"})
        await late(world, hand)
        await world.receive(receipt("first"))
        assert await world.states(new) == [DELIVERED, RETRYING]
        (again,) = await world.claim(7)
        assert again.grant.skip == {0}
        assert await world.states(new) == [DELIVERED, SENDING]
        await world.take_over(7)
        assert await world.states(new) == [DELIVERED, UNCERTAIN]

    run(database_url, check)


def test_a_retry_that_was_out_at_a_crash_becomes_uncertain_once(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(2)
        (hand,) = await world.claim(7)
        await hand.accept([0]).refuse(1).step()
        world.clock.advance(2)
        await world.ready_delayed()
        await world.claim(7)
        assert await world.take_over(7) == (1, 1)
        message = (await world.messages(new))[FIRST + 1]
        assert (message.state, message.attempt) == (UNCERTAIN, 2)

    run(database_url, check)


def test_decide_sends_again_flagged_and_not_before_its_time(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(3)
        (hand,) = await world.claim(7)
        await hand.accept([1]).doubt(0).doubt(2).step()
        world.clock.advance(59)
        assert await world.decide() == (0, 0)
        world.clock.advance(2)
        assert await world.decide() == (2, 0)
        assert await world.decide() == (0, 0)
        assert await world.states(new) == [RETRYING, HANDED, RETRYING]
        (again,) = await world.claim(7)
        assert list(again.claimed.numbers) == [FIRST, FIRST + 2]
        assert (again.claimed.attempt, again.claimed.flags) == (2, FLAG_UNCERTAIN)
        await again.accept({0: "x", 1: "y"}).step()
        message = (await world.messages(new))[FIRST]
        assert (message.state, message.attempt) == (HANDED, 2)
        assert message.flags == FLAG_UNCERTAIN | FLAG_RESENT
        assert await world.rows("SELECT destination, attempt, accepted FROM attempt ORDER BY destination") == [
            (FIRST, 1, 0),
            (FIRST + 2, 1, 0),
        ]

    run(database_url, check)


def test_hold_waits_for_a_person(database_url: str) -> None:
    async def check(world: World) -> None:
        hold = Policy(None, MAX_AGE)
        new = await world.campaign(2)
        await world.claim(7)
        assert await world.take_over(7, hold) == (1, 2)
        world.clock.advance(1_000_000)
        assert await world.decide(hold) == (0, 0)
        assert await world.states(new) == [UNCERTAIN, UNCERTAIN]

    run(database_url, check)


def test_too_old_to_be_sent_again_it_fails_and_stays_charged(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        await hand.doubt(0).step()
        world.clock.advance(MAX_AGE / 1000)
        assert await world.decide() == (0, 1)
        message = (await world.messages(new))[FIRST]
        assert (message.state, message.code) == (FAILED, GAVE_UP)
        assert await world.refunds() == []
        assert await world.finish(new) == 1

    run(database_url, check)


def test_a_late_answer_settles_it_before_the_policy_does(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        await hand.doubt(0).step()
        await late(world, hand.accept({0: "late"}))
        assert await world.states(new) == [HANDED]
        world.clock.advance(61)
        assert await world.decide() == (0, 0)
        await world.receive(receipt("late"))
        assert await world.states(new) == [DELIVERED]

    run(database_url, check)


def test_a_late_answer_before_the_resend_goes_out_stops_it(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        await hand.doubt(0).step()
        world.clock.advance(61)
        assert await world.decide() == (1, 0)
        await late(world, hand.accept({0: "late"}))
        (again,) = await world.claim(7)
        assert again.grant.skip == {0}
        await again.step()
        assert await world.states(new) == [HANDED]
        assert await world.finish(new) == 1

    run(database_url, check)


def test_a_late_delivery_of_the_first_attempt_raises_a_failed_second(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        again = await resent(world, hand)
        await again.accept({0: "second"}).step()
        await late(world, hand.accept({0: "first"}))
        assert (await world.messages(new))[FIRST].attempt == 2
        await world.receive(receipt("second", FAILED_RECEIPT))
        # The first one was accepted too, and is open.
        assert await world.states(new) == [HANDED]
        await world.receive(receipt("first"))
        message = (await world.messages(new))[FIRST]
        assert (message.state, message.code) == (DELIVERED, 0)

    run(database_url, check)


def test_failed_once_both_attempts_are(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        again = await resent(world, hand)
        await again.accept({0: "second"}).step()
        await late(world, hand.accept({0: "first"}))
        await world.receive(receipt("second", FAILED_RECEIPT))
        await world.receive(receipt("first", FAILED_RECEIPT))
        message = (await world.messages(new))[FIRST]
        assert (message.state, message.code) == (FAILED, 1)

    run(database_url, check)


def test_an_unanswered_first_attempt_is_closed_once_its_resend_is_answered(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        again = await resent(world, hand)
        await again.accept({0: "second"}).step()
        await world.receive(receipt("second", FAILED_RECEIPT))
        assert await world.states(new) == [FAILED]
        await late(world, hand.accept({0: "first"}))
        await world.receive(receipt("first"))
        assert await world.states(new) == [DELIVERED]

    run(database_url, check)


def test_once_delivered_a_failed_second_attempt_never_lowers_it(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        again = await resent(world, hand)
        await again.accept({0: "second"}).step()
        await late(world, hand.accept({0: "first"}))
        await world.receive(receipt("first"))
        assert await world.states(new) == [DELIVERED]
        await world.receive(receipt("second", FAILED_RECEIPT))
        message = (await world.messages(new))[FIRST]
        assert (message.state, message.code) == (DELIVERED, 0)

    run(database_url, check)


@pytest.mark.parametrize("answer", ["accepted", "refused", "failed", "doubt"])
def test_delivered_while_its_resend_is_out_the_answer_of_that_never_lowers_it(
    database_url: str, answer: str
) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        again = await resent(world, hand)
        await late(world, hand.accept({0: "first"}))
        await world.receive(receipt("first"))
        assert await world.states(new) == [DELIVERED]
        match answer:
            case "accepted":
                again.accept({0: "second"})
            case "refused":
                again.refuse(0)
            case "failed":
                again.fail(0)
            case _:
                again.doubt(0)
        await again.step()
        assert await world.states(new) == [DELIVERED]
        await world.receive(receipt("second", FAILED_RECEIPT))
        assert await world.states(new) == [DELIVERED]
        world.clock.advance(61)
        await world.ready_delayed()
        assert await world.decide() == (0, 0)
        assert [b.state for b in await world.batches(new) if b.state == BatchState.OUT] == []

    run(database_url, check)


def test_failed_by_its_receipt_when_a_late_answer_stopped_the_resend(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        await hand.doubt(0).step()
        world.clock.advance(61)
        assert await world.decide() == (1, 0)
        await late(world, hand.accept({0: "late"}))
        await world.receive(receipt("late", FAILED_RECEIPT))
        message = (await world.messages(new))[FIRST]
        assert (message.state, message.code) == (FAILED, 1)
        (again,) = await world.claim(7)
        assert again.grant.skip == {0}
        await again.step()
        assert await world.states(new) == [FAILED]
        assert await world.finish(new) == 1

    run(database_url, check)


@pytest.mark.parametrize("second", [FAILED_RECEIPT, DELIVERED_RECEIPT])
def test_failed_while_its_resend_is_out_it_waits_for_what_that_comes_to(database_url: str, second: int) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        again = await resent(world, hand)
        await late(world, hand.accept({0: "first"}))
        await world.receive(receipt("first", FAILED_RECEIPT))
        assert await world.states(new) == [SENDING]
        await again.accept({0: "second"}).step()
        assert await world.states(new) == [HANDED]
        await world.receive(receipt("second", second))
        assert await world.states(new) == [DELIVERED if second == DELIVERED_RECEIPT else FAILED]

    run(database_url, check)


@pytest.mark.parametrize("first", [FAILED_RECEIPT, DELIVERED_RECEIPT])
@pytest.mark.parametrize("answer", ["refused", "failed", "doubt", "crash"])
def test_the_carrier_has_the_first_attempt_whatever_the_resend_comes_to(
    database_url: str, answer: str, first: int
) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        again = await resent(world, hand)
        await late(world, hand.accept({0: "first"}))
        match answer:
            case "refused":
                await again.refuse(0).step()
            case "failed":
                await again.fail(0).step()
            case "doubt":
                await again.doubt(0).step()
            case _:
                assert (await world.take_over(7))[0] == 1
        assert await world.states(new) == [HANDED]
        await world.receive(receipt("first", first))
        message = (await world.messages(new))[FIRST]
        assert message.state == (DELIVERED if first == DELIVERED_RECEIPT else FAILED)
        assert message.code == (0 if first == DELIVERED_RECEIPT else 1)
        world.clock.advance(61)
        await world.ready_delayed()
        assert await world.decide() == (0, 0)
        for left in await world.claim(7):
            assert left.grant.skip == {0}
            await left.step()
        assert await world.finish(new) == 1

    run(database_url, check)


def test_both_failed_it_is_failed_when_the_second_is_refused_last(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        again = await resent(world, hand)
        await late(world, hand.accept({0: "first"}))
        await world.receive(receipt("first", FAILED_RECEIPT))
        await again.fail(0).step()
        message = (await world.messages(new))[FIRST]
        assert (message.state, message.code) == (FAILED, 0x0B)

    run(database_url, check)


def test_a_receipt_for_one_part_leaves_a_doubtful_message_to_its_policy(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1, segments=2)
        (hand,) = await world.claim(7)
        hand.refs.append(hand.ref(0, "p0", 0))
        await hand.doubt(0, accepted=0b01).step()
        await world.receive(receipt("p0"))
        assert await world.states(new) == [UNCERTAIN]
        world.clock.advance(61)
        assert await world.decide() == (1, 0)

    run(database_url, check)


# --- stray receipts ----------------------------------------------------------------------------------------


async def doubtful(world: World, count: int = 1, **more: object) -> Hand:
    await world.campaign(count, **more)
    (hand,) = await world.claim(7)
    for at in range(count):
        hand.doubt(at)
    await hand.step()
    return hand


def test_a_stray_receipt_settles_the_one_that_it_fits(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(2)
        (hand,) = await world.claim(7)
        await hand.doubt(0).doubt(1).step()
        applied = await world.receive(receipt("77", handset=FIRST + 1))
        assert (applied.settled, applied.orphaned) == (1, 0)
        assert await world.states(new) == [UNCERTAIN, DELIVERED]
        world.clock.advance(61)
        assert await world.decide() == (1, 0)

    run(database_url, check)


@pytest.mark.parametrize("stray", ["other originator", "other handset", "no handset", "other carrier"])
def test_a_stray_receipt_that_fits_nobody_is_kept(database_url: str, stray: str) -> None:
    async def check(world: World) -> None:
        await doubtful(world)
        match stray:
            case "other originator":
                applied = await world.receive(receipt("77", handset=FIRST, originator="99"))
            case "other handset":
                applied = await world.receive(receipt("77", handset=FIRST + 9))
            case "no handset":
                applied = await world.receive(receipt("77"))
            case _:
                applied = await world.receive(receipt("77", handset=FIRST), carrier_id=await world.carrier())
        assert (applied.settled, applied.orphaned) == (0, 1)
        assert await world.orphans() == 1

    run(database_url, check)


def test_a_stray_receipt_that_fits_two_settles_neither(database_url: str) -> None:
    async def check(world: World) -> None:
        await doubtful(world)
        await doubtful(world)
        applied = await world.receive(receipt("77", handset=FIRST))
        assert (applied.settled, applied.orphaned) == (0, 1)

    run(database_url, check)


def test_strays_of_one_handset_are_told_apart_by_originator(database_url: str) -> None:
    async def check(world: World) -> None:
        await doubtful(world)
        applied = await world.receive(
            receipt("76", handset=FIRST, originator="99999"), receipt("77", handset=FIRST)
        )
        assert (applied.settled, applied.orphaned) == (1, 1)

    run(database_url, check)


def test_a_long_message_is_settled_by_as_many_strays_as_it_has_parts(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1, segments=2)
        (hand,) = await world.claim(7)
        await hand.doubt(0).step()
        assert (await world.receive(receipt("71", handset=FIRST))).orphaned == 1
        assert await world.states(new) == [UNCERTAIN]
        assert (await world.receive(receipt("72", handset=FIRST))).orphaned == 1
        await world.sweep()
        assert await world.states(new) == [DELIVERED]
        assert await world.orphans() == 0

    run(database_url, check)


def test_settled_by_a_notice_it_still_gets_its_final_receipt(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        await hand.doubt(0).step()
        await world.receive(receipt("77", OPEN, handset=FIRST))
        await world.receive(receipt("77", handset=FIRST))
        await world.sweep()
        assert await world.states(new) == [DELIVERED]
        world.clock.advance(61)
        assert await world.decide() == (0, 0)

    run(database_url, check)


def test_a_paused_campaign_resends_once_it_goes_on(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        await hand.doubt(0).step()
        await world.change("pause", new)
        world.clock.advance(61)
        await world.decide()
        assert await world.claim(7) == []
        await world.change("unpause", new)
        await world.deal(new)
        assert await world.state(new) == CampaignState.RUNNING
        (again,) = await world.claim(7)
        await again.accept({0: "x"}).step()
        assert await world.finish(new) == 1

    run(database_url, check)
