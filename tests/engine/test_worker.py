"""One bind at work: marked before it is written, recorded whatever happens, given back in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.errors import CommitUnknown, StoreUnavailable
from cooee.model.message import MessageState
from cooee.store.dispatch import Outcome
from tests.engine.support_engine import OWNER, bench
from tests.engine.support_link import BAD_NUMBER, QUEUE_FULL, THROTTLED, accept, until
from tests.store.support_store import FIRST, receipt

HANDED, FAILED, RETRYING = MessageState.HANDED_OVER, MessageState.FAILED, MessageState.RETRYING
UNCERTAIN = MessageState.UNCERTAIN


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await main()

    asyncio.run(bounded())


def test_a_campaign_is_sent_recorded_and_done(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, window=100) as it:
            new = await it.world.campaign(1200)
            it.worker.wake()
            await until(it.settled)
            assert sorted(it.carrier.sent) == [(FIRST + at, 0) for at in range(1200)]
            assert set(await it.world.states(new)) == {HANDED}
            assert len(await it.world.messages(new)) == 1200
            assert {b.state for b in await it.world.batches(new)} == {BatchState.DONE}
            assert set(it.done) == {(new.account_id, new.id)}
            assert await it.world.finish(new) == 1
            assert max(it.link.writes) <= 100
            # Every id leads to its message.
            ids = [f"{it.carrier.id}-{at}" for at in range(1, 1201)]
            applied = await it.world.receive(*(receipt(smsc_id) for smsc_id in ids))
            assert applied.matched == 1200
            assert len(it.carrier.prepared) <= 4

    run(main)


def test_nothing_is_written_that_is_not_marked(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, window=10, reply=None) as it:
            new = await it.world.campaign(30)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 10)
            (batch,) = await it.world.batches(new)
            assert (batch.marked, batch.recorded, batch.state, batch.owner) == (10, 0, BatchState.OUT, OWNER)
            it.link.answer(count=4)
            await until(lambda: len(it.carrier.sent) == 14)
            (batch,) = await it.world.batches(new)
            assert (batch.marked, batch.recorded) == (14, 4)
            it.carrier.reply = accept
            it.link.answer()
            await until(it.settled)
            assert sorted(it.carrier.sent) == [(FIRST + at, 0) for at in range(30)]

    run(main)


def test_an_answer_is_recorded_soon_though_nothing_is_left_to_mark(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, reply=None) as it:
            new = await it.world.campaign(5)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 5)
            it.link.answer(only=FIRST + 3)

            async def recorded() -> bool:
                return list(await it.world.messages(new)) == [FIRST + 3]

            await until(recorded, 1.0)
            assert (await it.world.batches(new))[0].recorded == 0
            it.link.answer()

    run(main)


def test_refusals_are_final_or_tried_again(database_url: str) -> None:
    async def main() -> None:
        asked: list[int] = []

        def reply(destination: int, part: int) -> int:
            asked.append(destination)
            if destination == FIRST:
                return BAD_NUMBER
            if destination == FIRST + 1:
                return QUEUE_FULL if asked.count(destination) == 1 else 0
            return 0

        async with bench(database_url, reply=reply) as it:
            new = await it.world.campaign(3)
            it.worker.wake()
            await until(it.settled)
            messages = await it.world.messages(new)
            assert [m.state for m in messages.values()] == [FAILED, RETRYING, HANDED]
            assert (messages[FIRST].code, messages[FIRST + 1].code) == (BAD_NUMBER, QUEUE_FULL)
            it.clock.advance(10)
            assert await it.world.ready_delayed() == 1
            it.worker.wake()
            await until(it.settled)
            assert await it.world.states(new) == [FAILED, HANDED, HANDED]
            assert asked.count(FIRST + 1) == 2
            assert await it.world.refunds() == []
            assert await it.world.finish(new) == 1

    run(main)


def test_throttled_it_stands_still_and_goes_on(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, window=10, reply=None) as it:
            await it.world.campaign(100)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 10)
            it.link.answer(THROTTLED, count=1)
            it.link.answer()
            written = len(it.carrier.sent)
            await asyncio.sleep(0.3)
            assert len(it.carrier.sent) == written
            it.clock.advance(1.5)
            await until(lambda: len(it.carrier.sent) > written)
            it.carrier.reply = accept
            it.link.answer()

    run(main)


def test_tps_counts_segments(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, window=100, tps=40) as it:
            await it.world.campaign(100, segments=2, body="x" * 300)
            loop = asyncio.get_running_loop()
            started = loop.time()
            it.worker.wake()
            await asyncio.sleep(1.5)
            passed = loop.time() - started
            assert 40 * passed * 0.6 - 4 <= len(it.carrier.sent) <= 40 * (passed + 0.3) + 4
            it.worker.pacing.share(0)
            it.worker.wake()
            await until(it.settled)

    run(main)


def test_a_message_that_is_longer_than_the_window_still_goes(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, window=3) as it:
            new = await it.world.campaign(4, segments=7, body="x" * 1000)
            it.worker.wake()
            await until(it.settled)
            assert sorted(it.carrier.sent) == [(FIRST + at, part) for at in range(4) for part in range(7)]
            assert await it.world.states(new) == [HANDED] * 4
            assert (await it.world.messages(new))[FIRST].accepted == 0b1111111

    run(main)


def test_a_retry_sends_only_the_parts_that_are_missing_with_the_same_reference(database_url: str) -> None:
    async def main() -> None:
        first = True

        def reply(destination: int, part: int) -> int:
            return QUEUE_FULL if first and part == 1 else 0

        async with bench(database_url, reply=reply) as it:
            new = await it.world.campaign(2, segments=3, body="x" * 400)
            it.worker.wake()
            await until(it.settled)
            assert await it.world.states(new) == [RETRYING] * 2
            assert (await it.world.messages(new))[FIRST].accepted == 0b101
            first = False
            before = len(it.carrier.sent)
            it.clock.advance(10)
            await it.world.ready_delayed()
            it.worker.wake()
            await until(it.settled)
            assert sorted(it.carrier.sent[before:]) == [(FIRST, 1), (FIRST + 1, 1)]
            assert await it.world.states(new) == [HANDED] * 2
            assert len({message.concat_ref for message in it.carrier.prepared}) == 1
            ids = [f"{it.carrier.id}-{at}" for at in range(1, 7)]
            await it.world.receive(*(receipt(smsc_id) for smsc_id in ids))
            assert await it.world.states(new) == [MessageState.DELIVERED] * 2

    run(main)


def test_a_part_that_is_refused_for_good_fails_the_message(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, reply=lambda destination, part: (0, QUEUE_FULL, BAD_NUMBER)[part]) as it:
            new = await it.world.campaign(1, segments=3, body="x" * 400)
            it.worker.wake()
            await until(it.settled)
            message = (await it.world.messages(new))[FIRST]
            assert (message.state, message.code, message.accepted) == (FAILED, BAD_NUMBER, 0b001)

    run(main)


# --- lost and late -----------------------------------------------------------------------------------------


def test_a_cut_makes_uncertain_what_was_written_and_retries_what_was_not(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, reply=None) as it:
            new = await it.world.campaign(6)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 6)
            it.link.answer(count=2)
            it.link.cut(unsent=1)
            await until(it.settled)
            assert await it.world.states(new) == [HANDED, HANDED, UNCERTAIN, UNCERTAIN, UNCERTAIN, RETRYING]
            assert await it.world.finish(new) == 0
            # The bind is back: what was never written goes out, what is uncertain waits for its policy.
            it.link.set_up(True)
            it.clock.advance(1)
            await it.world.ready_delayed()
            it.worker.wake()
            await until(lambda: it.link.open == [FIRST + 5])
            it.link.answer()
            it.clock.advance(61)
            assert await it.world.decide() == (3, 0)
            it.worker.wake()
            await until(lambda: sorted(it.link.open) == [FIRST + 2, FIRST + 3, FIRST + 4])
            it.link.answer()
            await until(it.settled)
            assert set(await it.world.states(new)) == {HANDED}
            assert await it.world.finish(new) == 1

    run(main)


def test_a_late_answer_settles_it(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, reply=None) as it:
            new = await it.world.campaign(2)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 2)
            it.link.lose(reason="no answer in time")
            await until(it.settled)
            assert await it.world.states(new) == [UNCERTAIN] * 2
            ids = it.link.answer_late()

            async def handed() -> bool:
                return await it.world.states(new) == [HANDED] * 2

            await until(handed)
            await it.world.receive(*(receipt(smsc_id) for smsc_id in ids))
            assert await it.world.states(new) == [MessageState.DELIVERED] * 2
            it.clock.advance(61)
            assert await it.world.decide() == (0, 0)

    run(main)


def test_a_late_refusal_settles_it_only_if_it_is_final(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, reply=None) as it:
            new = await it.world.campaign([FIRST])
            other = await it.world.campaign([FIRST + 1])
            it.worker.wake()
            await until(lambda: len(it.link.open) == 2)
            it.link.lose()
            await until(it.settled)
            kept = [each for each in it.link.given_up if each[0].destinations[0] == FIRST + 1]
            it.link.given_up = [each for each in it.link.given_up if each not in kept]
            it.link.answer_late(BAD_NUMBER)
            it.link.given_up = kept
            it.link.answer_late(QUEUE_FULL)

            async def failed() -> bool:
                return await it.world.states(new) == [FAILED]

            await until(failed)
            await asyncio.sleep(0.1)
            assert await it.world.states(other) == [UNCERTAIN]

    run(main)


def test_a_long_message_cut_between_its_parts(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, reply=None) as it:
            new = await it.world.campaign(1, segments=3, body="x" * 400)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 3)
            it.link.answer(count=1)
            await asyncio.sleep(0.1)
            assert await it.world.messages(new) == {}
            it.link.lose()
            await until(it.settled)
            message = (await it.world.messages(new))[FIRST]
            assert (message.state, message.accepted) == (UNCERTAIN, 0b001)
            it.link.answer_late()

            async def handed() -> bool:
                return await it.world.states(new) == [HANDED]

            await until(handed)
            await it.world.receive(*(receipt(f"{it.carrier.id}-{at}") for at in (1, 2, 3)))
            assert await it.world.states(new) == [MessageState.DELIVERED]

    run(main)


# --- who may not send --------------------------------------------------------------------------------------


def test_without_a_fresh_beat_nothing_is_written_and_answers_are_still_recorded(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, window=5, reply=None) as it:
            new = await it.world.campaign(20)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 5)
            it.fresh = False
            it.link.answer()

            async def recorded() -> bool:
                return len(await it.world.messages(new)) == 5

            await until(recorded)
            it.worker.wake()
            await asyncio.sleep(0.15)
            assert len(it.carrier.sent) == 5
            assert not it.worker.reserve(1)
            it.fresh = True
            it.carrier.reply = accept
            it.worker.wake()
            await until(it.settled)
            assert len(it.carrier.sent) == 20

    run(main)


def test_a_beat_that_ends_during_the_commit_keeps_the_slice_back(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url) as it:
            write = it.database.write

            async def stale(*arguments: object) -> object:
                answer: object = await write(*arguments)  # type: ignore[arg-type]
                if isinstance(answer, Outcome) and answer.grants:
                    it.fresh = False
                return answer

            it.database.write = stale  # type: ignore[method-assign, assignment]
            new = await it.world.campaign(3)
            it.worker.wake()
            await until(it.settled)
            assert it.carrier.sent == []
            # They were marked and never written, for certain: they wait for a retry.
            assert await it.world.states(new) == [RETRYING] * 3

    run(main)


def test_a_resting_carrier_finishes_what_is_out_and_gives_the_rest_back(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, window=5, reply=None) as it:
            new = await it.world.campaign(20)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 5)
            it.worker.resting = True
            it.link.answer()
            await until(it.idle)
            (batch,) = await it.world.batches(new)
            assert (batch.state, batch.marked, batch.recorded) == (BatchState.READY, 5, 5)
            assert len(it.carrier.sent) == 5
            it.worker.wake()
            await asyncio.sleep(0.1)
            assert len(it.carrier.sent) == 5
            it.worker.resting = False
            it.carrier.reply = accept
            it.worker.wake()
            await until(it.settled)
            assert sorted(it.carrier.sent) == [(FIRST + at, 0) for at in range(20)]

    run(main)


def test_a_pause_stops_it_after_the_slice_that_is_out(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, window=5, reply=None) as it:
            new = await it.world.campaign(20)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 5)
            await it.world.change("pause", new)
            it.link.answer()
            await until(it.idle)
            assert len(it.carrier.sent) == 5
            it.worker.wake()

            async def held() -> bool:
                return (await it.world.batches(new))[0].state == BatchState.HELD

            await until(held)
            await it.world.change("delete", new)
            assert await it.world.refunds() == [(15, "campaign deleted")]
            assert await it.world.state(new) == CampaignState.DELETED

    run(main)


def test_opted_out_recipients_are_not_written(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url) as it:
            await it.world.opt_out(FIRST, FIRST + 7, FIRST + 9)
            new = await it.world.campaign(10)
            alone = await it.world.campaign([FIRST])
            it.worker.wake()
            await until(it.settled)
            assert sorted(destination for destination, _ in it.carrier.sent) == [
                FIRST + at for at in (1, 2, 3, 4, 5, 6, 8)
            ]
            assert await it.world.states(alone) == [MessageState.WASHED]
            assert await it.world.finish(new, alone) == 2

    run(main)


# --- stop --------------------------------------------------------------------------------------------------


def test_an_orderly_stop_waits_for_answers_and_gives_the_rest_back(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, window=5, reply=None) as it:
            new = await it.world.campaign(20)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 5)
            stopping = asyncio.create_task(it.stop(5))
            await asyncio.sleep(0.1)
            assert not stopping.done()
            it.link.answer()
            await stopping
            (batch,) = await it.world.batches(new)
            assert (batch.state, batch.marked, batch.recorded) == (BatchState.READY, 5, 5)
            assert await it.world.states(new) == [HANDED] * 5
            assert it.link.closed

    run(main)


def test_at_the_deadline_what_is_unanswered_becomes_uncertain(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, window=5, reply=None) as it:
            new = await it.world.campaign(20)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 5)
            it.link.answer(count=2)
            await it.stop(0.1)
            (batch,) = await it.world.batches(new)
            assert (batch.state, batch.marked, batch.recorded) == (BatchState.READY, 5, 5)
            assert await it.world.states(new) == [HANDED, HANDED, UNCERTAIN, UNCERTAIN, UNCERTAIN]

    run(main)


# --- the store is away -------------------------------------------------------------------------------------


def test_a_store_outage_in_mid_trip_loses_nothing_and_sends_nothing_twice(database_url: str) -> None:
    async def main() -> None:
        def reply(destination: int, part: int) -> int | None:
            return QUEUE_FULL if destination % 10 == 0 and it.carrier.sent.count((destination, 0)) == 1 else 0

        async with bench(database_url, window=20) as it:
            it.carrier.reply = reply
            new = await it.world.campaign(300)
            it.worker.wake()
            for _ in range(6):
                await asyncio.sleep(0.03)
                it.database.away = StoreUnavailable("away")
                await asyncio.sleep(0.06)
                it.database.away = None
                it.worker.wake()
            await until(it.settled)
            it.clock.advance(20)
            while await it.world.ready_delayed():
                it.worker.wake()
                await until(it.settled)
            assert len(await it.world.messages(new)) == 300
            assert set(await it.world.states(new)) == {HANDED}
            for at in range(300):
                expected = 2 if (FIRST + at) % 10 == 0 else 1
                assert it.carrier.sent.count((FIRST + at, 0)) == expected
            assert it.disowned == 0
            assert it.worker.failure is None
            assert it.worker.problem is None

    run(main)


def test_an_outage_while_numbers_for_retries_are_fetched(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, reply=None) as it:
            new = await it.world.campaign(3)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 3)
            it.database.away = StoreUnavailable("away")
            it.link.answer(QUEUE_FULL)
            await asyncio.sleep(0.2)
            assert it.worker.failure is None
            assert it.worker.problem == "away"
            it.database.away = None
            await until(it.settled)
            assert await it.world.states(new) == [RETRYING] * 3
            assert it.worker.problem is None

    run(main)


@pytest.mark.parametrize("written", [True, False])
def test_an_unknown_commit_is_given_up_and_what_is_known_is_recorded(database_url: str, written: bool) -> None:
    """The engine then begins anew and takes over from itself; the worker must not go on with what it had."""

    async def main() -> None:
        async with bench(database_url, window=5, reply=None) as it:
            new = await it.world.campaign(20)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 5)
            it.database.ends.append((written, CommitUnknown("cut in COMMIT")))
            it.link.answer(count=3)
            await until(lambda: it.disowned)
            it.fresh = False
            # What was known before is recorded as late answers; the rest of the slice is taken over.
            await it.world.take_over(OWNER)

            async def recorded() -> bool:
                return (await it.world.states(new))[:3] == [HANDED] * 3

            await until(recorded)
            states = await it.world.states(new)
            assert set(states[3:]) == {UNCERTAIN}
            assert (await it.world.batches(new))[0].owner is None
            it.link.answer()
            await until(recorded)

            async def settled() -> bool:
                return (await it.world.states(new))[:5] == [HANDED] * 5

            await until(settled)
            assert len(it.carrier.sent) == 5

    run(main)


def test_a_second_look_that_fails_is_no_failed_trip(database_url: str) -> None:
    """On PostgreSQL, orphans are looked for again after the commit: that must not undo anything."""

    async def main() -> None:
        def reply(destination: int, part: int) -> int:
            return QUEUE_FULL if destination == FIRST else 0

        async with bench(database_url, reply=reply) as it:
            it.database.engine = "postgres"
            new = await it.world.campaign(3)
            read = it.database.read

            async def fails(operation: object) -> object:
                raise StoreUnavailable("away for a moment")

            it.database.read = fails  # type: ignore[method-assign, assignment]
            it.worker.wake()
            await until(it.settled)
            it.database.read = read  # type: ignore[method-assign]
            await asyncio.sleep(0.3)
            batches = await it.world.batches(new)
            assert [b.state for b in batches] == [BatchState.DONE, BatchState.DELAYED]
            assert await it.world.rows("SELECT COUNT(*) FROM message") == [(3,)]
            assert it.disowned == 0

    run(main)


def test_stopped_during_an_outage_it_says_that_batches_are_left(database_url: str) -> None:
    """Else they stay out with a living engine, and nobody ever takes them over."""

    async def main() -> None:
        async with bench(database_url, window=5, reply=None) as it:
            await it.world.campaign(20)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 5)
            it.database.away = StoreUnavailable("away")
            it.link.answer()
            await it.stop(0.1)
            assert it.disowned == 1
            it.database.away = None

    run(main)


# --- lost to a peer ----------------------------------------------------------------------------------------


def test_taken_over_by_a_peer_it_records_late_answers_and_goes_on_with_other_work(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, window=5, reply=None) as it:
            new = await it.world.campaign(20)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 5)
            assert await it.world.take_over(OWNER) == (1, 5)
            (peer,) = await it.world.claim(8, 15)
            it.link.answer(count=2)

            async def handed() -> bool:
                return (await it.world.states(new))[:5] == [HANDED] * 2 + [UNCERTAIN] * 3

            await until(handed)
            it.link.answer()

            async def all_handed() -> bool:
                return (await it.world.states(new))[:5] == [HANDED] * 5

            await until(all_handed)
            assert len(it.carrier.sent) == 5
            assert (await it.world.batches(new))[0].owner == 8
            other = await it.world.campaign([FIRST + 100])
            it.worker.wake()
            await until(lambda: it.link.open == [FIRST + 100])
            it.link.answer()

            async def other_handed() -> bool:
                return await it.world.states(other) == [HANDED]

            await until(other_handed)
            await peer.accept(range(5, 20)).step()

    run(main)


# --- fresh messages ----------------------------------------------------------------------------------------


def test_a_fresh_message_goes_at_once_and_its_answer_is_recorded(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, window=3, reply=None) as it:
            await it.at_rest()
            assert [await it.born_marked(FIRST + at) for at in range(5)] == [True] * 3 + [False] * 2
            assert [destination for destination, _ in it.carrier.sent] == [FIRST, FIRST + 1, FIRST + 2]
            it.link.answer()
            await until(it.settled)
            rows = await it.world.rows("SELECT state, COUNT(*) FROM message GROUP BY state")
            assert rows == [(int(HANDED), 3)]
            assert await it.born_marked(FIRST + 9)
            it.link.answer()
            await until(it.settled)

    run(main)


def test_reserved_room_is_not_marked_by_a_campaign(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, window=5, reply=None) as it:
            await it.at_rest()
            assert it.worker.reserve(1)
            await it.at_rest()
            assert it.worker.reserve(1)
            await it.world.campaign(20)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 3)
            await asyncio.sleep(0.05)
            assert len(it.link.open) == 3
            it.worker.release(1)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 4)
            # Whoever reserved and never came back does not block it for ever.
            it.clock.advance(11)
            it.worker.wake()
            await until(lambda: len(it.link.open) == 5)
            it.carrier.reply = accept
            it.link.answer()

    run(main)


def test_of_those_that_come_together_each_leaves_with_its_own_token(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url, window=100, tps=40) as it:
            await it.at_rest()
            it.clock.advance(2)
            committed = []
            for at in range(6):
                new = await it.world.new([FIRST + at])
                await it.accepted(new)
                committed.append(new)
            # Four tokens are there, and two are taken in advance.
            assert [it.worker.reserve(1) for _ in range(7)] == [True] * 6 + [False]
            loop = asyncio.get_running_loop()
            began = loop.time()
            it.adopt(*committed)
            assert it.link.writes == [4]
            await until(lambda: len(it.link.sent) == 6)
            assert loop.time() - began > 0.03
            assert it.link.writes == [4, 1, 1]
            assert it.worker._held.segments == 0
            await until(it.settled)

    run(main)


def test_what_is_held_stands_still_with_the_bind(database_url: str) -> None:
    """The carrier asks to slow down while it is held."""

    async def main() -> None:
        async with bench(database_url, window=100, tps=40) as it:
            await it.at_rest()
            it.clock.advance(2)
            committed = []
            for at in range(6):
                new = await it.world.new([FIRST + at])
                await it.accepted(new)
                committed.append(new)
            assert all(it.worker.reserve(1) for _ in committed)
            loop = asyncio.get_running_loop()
            it.adopt(*committed)
            assert it.link.writes == [4]
            it.worker.pacing.throttled()
            began = loop.time()
            await until(lambda: len(it.link.sent) == 6)
            assert loop.time() - began > 0.45
            await until(it.settled)

    run(main)


def test_a_fresh_message_to_someone_who_opted_out_is_not_born_marked(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url) as it:
            await it.world.opt_out(FIRST)
            await it.at_rest()
            assert not await it.born_marked(FIRST)
            it.worker.wake()
            await until(lambda: it.world.rows("SELECT 1 FROM message WHERE state = 4"))
            assert it.carrier.sent == []

    run(main)


def test_a_fresh_message_that_comes_to_a_stopped_bind_is_not_forgotten(database_url: str) -> None:
    async def main() -> None:
        async with bench(database_url) as it:
            await until(lambda: it.worker.reserve(1))
            await it.stop(0.1)
            new = await it.world.new([FIRST])
            assert await it.accepted(new)
            it.adopt(new)
            assert it.carrier.sent == []
            assert it.disowned == 1

    run(main)
