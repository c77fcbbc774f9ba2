"""The whole engine on carriers that a test plays: due, dealt, sent, settled, finished, stopped, begun anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.clock import HOUR
from cooee.model.errors import CommitUnknown, StoreUnavailable
from cooee.model.message import MessageState
from cooee.smpp.receipt import Receipt, ReceiptState
from cooee.store import acceptance, audience, campaigns
from cooee.store.acceptance import NewCampaign
from tests.engine.support_engine import Whole, whole
from tests.engine.support_link import QUEUE_FULL, RunningClock, accept, until
from tests.store.support_store import FIRST, World, world
from tests.support.postgres import PostgresServer

HANDED, DELIVERED = MessageState.HANDED_OVER, MessageState.DELIVERED


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(40):
            await main()

    asyncio.run(bounded())


def in_state(made: World, new: NewCampaign, state: CampaignState) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return await made.state(new) == state

    return check


def said(it: Whole, smsc_id: str, handset: int) -> list[bool]:
    """A receipt comes over the first carrier's first link; what it is acknowledged with."""
    (carrier, *_) = it.carriers.values()
    link = carrier.links[0]
    answers: list[bool] = []
    receipt = Receipt(smsc_id, ReceiptState.DELIVERED, "", "", str(handset), "61411", None, b"raw")
    link._events.receipts(link, [receipt], answers.append)
    return answers


def test_accepted_without_a_carrier_it_waits_says_so_and_goes_on(database_url: str) -> None:
    async def main() -> None:
        async with whole(database_url) as it:
            await it.world.carrier_state(it.world.carrier_id, 2)
            new = await it.world.campaign(700, carriers=None)
            it.engine.wake(True)
            await until(lambda: any("no active carrier" in problem for problem in it.engine.problems()))
            assert await it.world.state(new) == CampaignState.STARTING
            await it.world.carrier_state(it.world.carrier_id, 1)
            it.clock.advance(5)
            await until(in_state(it.world, new, CampaignState.FINISHED))
            assert it.engine.problems() == []
            assert sorted(it.sent) == [FIRST + at for at in range(700)]
            assert set(await it.world.states(new)) == {HANDED}

    run(main)


def test_scheduled_it_starts_when_it_is_due_and_not_before(database_url: str) -> None:
    async def main() -> None:
        async with whole(database_url) as it:
            new = await it.world.campaign(3, wake_at=it.clock.now_ms() + HOUR)
            it.clock.advance(3590)
            it.engine.wake(True)
            await asyncio.sleep(0.4)
            assert await it.world.state(new) == CampaignState.SCHEDULED
            assert it.sent == []
            it.clock.advance(10)
            await until(in_state(it.world, new, CampaignState.FINISHED))
            assert len(it.sent) == 3

    run(main)


def test_due_while_the_window_is_closed_it_waits_for_its_opening(database_url: str) -> None:
    async def main() -> None:
        async with whole(database_url) as it:
            minute = it.clock.now_ms() // 60_000 % 1440
            account = await it.world.account(window=((minute + 60) % 1440, (minute + 120) % 1440))
            new = await it.world.campaign(3, account_id=account, wake_at=it.clock.now_ms() + 1000)
            it.clock.advance(60)
            await asyncio.sleep(0.6)
            assert await it.world.state(new) == CampaignState.SCHEDULED
            it.clock.advance(3600)
            await until(in_state(it.world, new, CampaignState.FINISHED))

    run(main)


def test_a_window_that_closes_on_the_way_delays_the_rest(database_url: str) -> None:
    async def main() -> None:
        async with whole(database_url, window=5, reply=None) as it:
            minute = it.clock.now_ms() // 60_000 % 1440
            account = await it.world.account(window=(minute, (minute + 30) % 1440))
            new = await it.world.campaign(12, account_id=account)
            it.engine.wake(False)
            await until(lambda: len(it.sent) == 5)
            it.clock.advance(1860)
            (carrier,) = it.carriers.values()
            carrier.reply = accept
            carrier.links[0].answer()

            async def delayed() -> bool:
                return (await it.world.batches(new))[0].state == BatchState.DELAYED

            await until(delayed)
            assert len(it.sent) == 5
            it.clock.advance(23 * 3600 + 1800)
            await until(in_state(it.world, new, CampaignState.FINISHED))
            assert sorted(it.sent) == [FIRST + at for at in range(12)]

    run(main)


def test_refused_for_now_it_is_tried_again_without_anybodys_doing(database_url: str) -> None:
    async def main() -> None:
        tried: list[int] = []

        def reply(destination: int, part: int) -> int:
            tried.append(destination)
            return QUEUE_FULL if tried.count(destination) < 3 and destination == FIRST else 0

        async with whole(database_url, reply=reply) as it:
            new = await it.world.campaign(4)
            it.engine.wake(False)

            async def retrying(attempt: int) -> bool:
                message = (await it.world.messages(new)).get(FIRST)
                return message is not None and (message.state, message.attempt) == (
                    MessageState.RETRYING,
                    attempt,
                )

            for attempt in (1, 2):
                await until(lambda attempt=attempt: retrying(attempt))  # type: ignore[misc]
                it.clock.advance(20)
            await until(in_state(it.world, new, CampaignState.FINISHED))
            assert tried.count(FIRST) == 3
            assert set(await it.world.states(new)) == {HANDED}

    run(main)


def test_receipts_settle_and_are_acknowledged_after_their_commit(database_url: str) -> None:
    async def main() -> None:
        async with whole(database_url) as it:
            new = await it.world.campaign(2)
            it.engine.wake(False)
            await until(in_state(it.world, new, CampaignState.FINISHED))
            (carrier,) = it.carriers.values()
            answers = said(it, f"{carrier.id}-1", FIRST)
            assert answers == []
            await until(lambda: answers)
            assert answers == [True]
            assert await it.world.states(new) == [DELIVERED, HANDED]
            it.database.away = StoreUnavailable("away")
            answers = said(it, f"{carrier.id}-2", FIRST + 1)
            await until(lambda: answers)
            assert answers == [False]
            it.database.away = None
            assert await it.world.states(new) == [DELIVERED, HANDED]
            answers = said(it, f"{carrier.id}-2", FIRST + 1)
            await until(lambda: answers)
            assert await it.world.states(new) == [DELIVERED] * 2

    run(main)


def test_uncertain_recipients_are_decided_by_their_carriers_policy(database_url: str) -> None:
    async def main() -> None:
        async with whole(database_url, reply=None) as it:
            holding = await it.world.carrier(on_uncertain="hold")
            new = await it.world.campaign(2)
            held = await it.world.campaign(1, carriers=[holding])
            await until(lambda: len(it.carriers) == 2)
            it.engine.wake(False)
            await until(lambda: len(it.sent) == 3)
            for carrier in it.carriers.values():
                carrier.reply = accept
                carrier.links[0].lose()

            async def uncertain() -> bool:
                return (await it.world.rows("SELECT COUNT(*) FROM message WHERE state = 2")) == [(3,)]

            await until(uncertain)
            await asyncio.sleep(0.3)
            assert await it.world.state(new) == CampaignState.RUNNING
            it.clock.advance(65)
            await until(in_state(it.world, new, CampaignState.FINISHED))
            assert len(it.sent) == 5
            assert await it.world.states(held) == [MessageState.UNCERTAIN]
            assert await it.world.state(held) == CampaignState.RUNNING
            assert [m.flags for m in (await it.world.messages(new)).values()] == [3, 3]

    run(main)


def test_a_paused_carriers_batches_are_dealt_to_another(database_url: str) -> None:
    async def main() -> None:
        async with whole(database_url, reply=None, window=5) as it:
            other = await it.world.carrier()
            new = await it.world.campaign(1500)
            await until(lambda: len(it.carriers) == 2)
            it.engine.wake(False)
            await until(lambda: len(it.sent) == 5)
            await it.world.carrier_state(it.world.carrier_id, 2)
            it.carriers[other].reply = accept
            it.carriers[other].window = 500
            it.carriers[other].links[0].size = 500
            await asyncio.sleep(1.2)
            it.carriers[it.world.carrier_id].links[0].answer()

            async def finished() -> bool:
                it.clock.advance(1)
                return await it.world.state(new) == CampaignState.FINISHED

            await until(finished)
            assert len(it.carriers[it.world.carrier_id].sent) == 5
            assert len(it.carriers[other].sent) == 1495
            assert len(set(it.sent)) == 1500

    run(main)


def test_a_removed_carrier_closes_its_binds_and_a_changed_one_opens_new_ones(database_url: str) -> None:
    async def main() -> None:
        async with whole(database_url) as it:
            await until(lambda: it.carriers)
            first = it.carriers[it.world.carrier_id]
            await until(lambda: first.links and first.links[0].up)
            await it.world.sql(
                "UPDATE carrier SET settings = replace(settings, '\"test\"', '\"other\"'), version = version + 1"
            )
            await until(lambda: first.links[0].closed)
            await until(lambda: it.carriers[it.world.carrier_id] is not first)
            second = it.carriers[it.world.carrier_id]
            await until(lambda: second.links and second.links[0].up)
            await it.world.carrier_state(it.world.carrier_id, 3)
            await until(lambda: second.links[0].closed)

            async def released() -> bool:
                return await it.world.rows("SELECT * FROM bind_lease") == []

            await until(released)

    run(main)


def test_as_many_binds_as_are_asked_for_share_the_work(database_url: str) -> None:
    async def main() -> None:
        async with whole(database_url, window=5) as it:
            await it.world.sql("UPDATE carrier SET binds = 3")
            await until(lambda: it.carriers and len(it.carriers[it.world.carrier_id].links) == 3)
            new = await it.world.campaign(3000)
            it.engine.wake(False)
            await until(in_state(it.world, new, CampaignState.FINISHED), 20)
            links = it.carriers[it.world.carrier_id].links
            assert all(link.sent for link in links)
            assert sorted(it.sent) == [FIRST + at for at in range(3000)]
            await it.world.sql("UPDATE carrier SET binds = 1")
            await until(lambda: [link.closed for link in links] == [False, True, True])

    run(main)


def test_a_carrier_that_is_not_bound_is_a_problem_that_is_said(database_url: str) -> None:
    async def main() -> None:
        async with whole(database_url) as it:
            await until(lambda: it.carriers and it.carriers[it.world.carrier_id].links)
            assert it.engine.problems() == []
            it.carriers[it.world.carrier_id].links[0].set_up(False, "refused: wrong password")
            assert it.engine.problems() == [
                f"carrier carrier {it.world.carrier_id} is not bound: refused: wrong password"
            ]

    run(main)


def test_counters_of_large_campaigns_are_kept(database_url: str) -> None:
    async def main() -> None:
        async with whole(database_url, window=500) as it:
            large, small = await it.world.campaign(1500), await it.world.campaign(5)
            it.engine.wake(False)
            await until(in_state(it.world, large, CampaignState.FINISHED))

            async def counted() -> bool:
                it.clock.advance(2)
                rows = await it.world.rows("SELECT campaign_id, state, messages FROM campaign_count")
                return rows == [(large.id, int(HANDED), 1500)]

            await until(counted)
            for new, count in ((large, 1500), (small, 5)):
                counts = await it.world.database.read(
                    lambda tx, new=new: campaigns.count(tx, new.account_id, new.id)  # type: ignore[misc]
                )
                assert (counts["handed_over"], counts["waiting"], counts["cancelled"]) == (count, 0, 0)

    run(main)


# --- stop, crash, begin anew -------------------------------------------------------------------------------


def test_an_orderly_stop_leaves_nothing_leased_and_the_next_engine_goes_on(database_url: str) -> None:
    async def main() -> None:
        async with world(database_url, RunningClock()) as made:
            async with whole(database_url, window=5, reply=None, made=made) as it:
                new = await made.campaign(20)
                it.engine.wake(False)
                await until(lambda: len(it.sent) == 5)
            assert await made.rows("SELECT * FROM engine") == []
            assert await made.rows("SELECT * FROM bind_lease") == []
            (batch,) = await made.batches(new)
            assert (batch.state, batch.marked, batch.recorded) == (BatchState.READY, 5, 5)
            assert await made.states(new) == [MessageState.UNCERTAIN] * 5
            first = list(it.sent)
            async with whole(database_url, made=made) as again:
                await until(lambda: len(again.sent) == 15)
                again.clock.advance(65)
                await until(in_state(made, new, CampaignState.FINISHED))
                assert sorted(first + again.sent) == sorted(
                    [*(FIRST + at for at in range(20)), *(FIRST + at for at in range(5))]
                )

    run(main)


def test_after_a_crash_the_next_engine_on_the_file_takes_over_at_once(tmp_path: object) -> None:
    async def main() -> None:
        async with world(f"sqlite:///{tmp_path}/c.db", RunningClock()) as made:
            dead = await made.ids.one("engine")
            await made.write(lambda tx: tx.run("add_engine", id=dead, name="dead", now=0))
            new = await made.campaign(10)
            await made.claim(dead, 4)
            left = await made.new(6000, carriers=None)
            await made.write(lambda tx: acceptance.begin_large(tx, left, made.clock.now_ms()))
            half = range(FIRST, FIRST + audience.PIECE)
            await made.write(
                lambda tx: audience.add(tx, new.account_id, 1, "x", half, now=made.clock.now_ms(), whole=False)
            )

            async def no_list() -> bool:
                return await made.rows("SELECT id FROM list") == await made.rows("SELECT number FROM list_number")

            async with whole("", made=made) as it:
                await until(no_list)
                await until(lambda: len(it.sent) == 6)
                assert (await made.states(new))[:4] == [MessageState.UNCERTAIN] * 4
                assert await made.rows(f"SELECT id FROM campaign WHERE id = {left.id}") == []
                it.clock.advance(65)
                await until(in_state(made, new, CampaignState.FINISHED))

    run(main)


def test_an_unknown_commit_lets_the_engine_begin_anew(database_url: str) -> None:
    async def main() -> None:
        async with whole(database_url, window=5, reply=None) as it:
            new = await it.world.campaign(20)
            it.engine.wake(False)
            await until(lambda: len(it.sent) == 5)
            ((old,),) = await it.world.rows("SELECT id FROM engine")
            (carrier,) = it.carriers.values()
            it.database.ends.append((True, CommitUnknown("cut in COMMIT")))
            carrier.links[0].answer()

            async def renewed() -> bool:
                rows = await it.world.rows("SELECT id FROM engine")
                return len(rows) == 1 and rows[0][0] != old

            await until(renewed)

            async def finished() -> bool:
                it.clock.advance(5)
                for each in it.carriers.values():
                    for link in each.links:
                        link.answer()
                return await it.world.state(new) == CampaignState.FINISHED

            await until(finished)
            # Whatever was in doubt was sent again, flagged; nothing was forgotten.
            assert len(await it.world.messages(new)) == 20
            assert set(await it.world.states(new)) == {HANDED}
            doubled = {each for each in it.sent if it.sent.count(each) > 1}
            flagged = {number for number, m in (await it.world.messages(new)).items() if m.flags & 1}
            assert doubled <= flagged

    run(main)


def test_an_outage_of_the_store_is_survived(database_url: str) -> None:
    async def main() -> None:
        async with whole(database_url, window=20) as it:
            new = await it.world.campaign(2000)
            it.engine.wake(False)
            await until(lambda: len(it.sent) > 200)
            it.database.away = StoreUnavailable("away")
            await asyncio.sleep(1.2)
            assert any("away" in problem for problem in it.engine.problems())
            it.database.away = None
            await until(in_state(it.world, new, CampaignState.FINISHED), 20)
            assert sorted(it.sent) == [FIRST + at for at in range(2000)]
            await until(lambda: it.engine.problems() == [])

    run(main)


# --- two engines -------------------------------------------------------------------------------------------


def test_two_engines_share_binds_and_batches_and_send_each_message_once(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        async with world(url, RunningClock()) as made:
            await made.sql("UPDATE carrier SET binds = 4")
            async with (
                whole(url, window=10, made=made, name="first") as first,
                whole(url, window=10, made=made, name="second") as second,
            ):

                def up(it: Whole) -> int:
                    return sum(link.up for carrier in it.carriers.values() for link in carrier.links)

                await until(lambda: (up(first), up(second)) == (2, 2), 15)
                new = await made.campaign(6000)
                first.engine.wake(False)
                second.engine.wake(False)
                await until(in_state(made, new, CampaignState.FINISHED), 20)
                assert first.sent
                assert second.sent
                assert sorted(first.sent + second.sent) == [FIRST + at for at in range(6000)]
                assert set(await made.states(new)) == {HANDED}

    run(main)


@pytest.mark.parametrize("closing", ["first", "second"])
def test_when_one_leaves_the_other_takes_its_binds(postgres: PostgresServer, closing: str) -> None:
    url = postgres.fresh()

    async def main() -> None:
        async with world(url, RunningClock()) as made:
            await made.sql("UPDATE carrier SET binds = 2")
            async with whole(url, made=made, name="stays") as stays:
                await until(lambda: stays.carriers and len(stays.carriers[made.carrier_id].links) == 2)
                if closing == "first":
                    await made.sql("UPDATE engine SET beat = beat + 1")
                async with whole(url, made=made, name="goes") as goes:
                    await until(
                        lambda: goes.carriers and any(link.up for link in goes.carriers[made.carrier_id].links), 15
                    )
                links = stays.carriers[made.carrier_id].links
                await until(lambda: sum(link.up for link in links) == 2, 15)
                new = await made.campaign(20)
                stays.engine.wake(False)
                await until(in_state(made, new, CampaignState.FINISHED))

    run(main)
