"""Replies to webhooks: told in order, tried again on schedule, never lost, and nobody waits for another."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from cooee.engine.membership import DEAD_S
from cooee.model.clock import DAY, HOUR, MINUTE
from cooee.model.errors import CommitUnknown, StoreUnavailable
from cooee.model.webhook import DeliveryState, WebhookState
from cooee.store import webhooks as rows
from cooee.store.uncertain import Policy
from tests.engine.support_link import RunningClock, until
from tests.engine.support_webhooks import Desk, desk
from tests.service.support_receiver import Call, Hook, hook, nothing, plain, slowly
from tests.store.support_replies import reply
from tests.store.support_store import MAX_AGE, WAIT, World, world

WAITING, DELIVERED, PARKED = DeliveryState.WAITING, DeliveryState.DELIVERED, DeliveryState.PARKED


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is looked at twice a second is looked at sooner: tests advance the clock, not the loop's timers."""
    monkeypatch.setattr("cooee.engine.webhooks.LOOK_S", 0.05)
    monkeypatch.setattr("cooee.engine.webhooks.LOOK_OTHERS_S", 0.01)
    monkeypatch.setattr("cooee.engine.webhooks.REST_S", 0.01)
    monkeypatch.setattr("cooee.engine.webhook_results.AGAIN_S", 0.05)


def at_desk(url: str, check: Callable[[Desk, Hook], Awaitable[None]], *, places: int = 64) -> None:
    """Runs `check` with an engine and one receiver, which is not set for anybody yet."""

    async def main() -> None:
        async with world(url, RunningClock()) as made, hook() as receiver, desk(made, places=places) as at:
            await check(at, receiver)

    asyncio.run(main())


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port that refuses connections."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def test_replies_are_told_once_and_flagged_retrieved(database_url: str) -> None:
    async def check(at: Desk, receiver: Hook) -> None:
        await at.hook(f"{receiver.url}?token=t")
        await at.reply(count=40)
        await at.until_all(DELIVERED)
        assert sorted(receiver.texts) == sorted(f"hello {no}" for no in range(40))
        assert all(each.retrieved and each.attempts == 1 for each in (await at.told()).values())
        first = receiver.calls[0]
        assert first.pairs == [
            ("token", "t"), ("username", "user"), ("password", "pass word"), ("originator", "61400000001"),
            ("recipient", "61411"), ("reference", "ref"), ("message_text", "hello 0"),
        ]  # fmt: skip

    at_desk(database_url, check)


def test_what_came_in_while_no_engine_ran_is_told_when_one_does(database_url: str) -> None:
    async def main() -> None:
        async with world(database_url, RunningClock()) as made, hook() as receiver:
            async with desk(made) as at:
                await at.hook(receiver)
            await reply(made, made.account_id, 3)
            async with desk(made) as at:
                await at.until_all(DELIVERED)
            assert len(receiver.calls) == 3

    asyncio.run(main())


def test_the_schedule_is_1_2_4_minutes_up_to_an_hour_for_a_day(database_url: str) -> None:
    """30 attempts: at once, six that double, 22 an hour apart, and the last one when the day is over."""
    waits = [1, 2, 4, 8, 16, 32] + [60] * 22 + [57]

    async def check(at: Desk, receiver: Hook) -> None:
        receiver.answer = plain(b"<html>0</html>")
        await at.hook(receiver)
        (number,) = await at.reply()
        for count, wait in enumerate(waits, 1):
            await at.until_recorded(count)
            assert len(receiver.calls) == count
            delivery = (await at.told())[number]
            assert (delivery.state, delivery.status) == (WAITING, 200)
            ahead = delivery.next_at - at.clock.now_ms()
            assert wait * MINUTE - 10_000 < ahead <= wait * MINUTE, (count, ahead / MINUTE)
            at.pass_time((ahead - 3000) / 1000)
            await asyncio.sleep(0.03)
            assert len(receiver.calls) == count, "not a moment too soon"
            at.pass_time(3.1)
        await at.until_all(PARKED)
        assert len(receiver.calls) == 30
        assert not (await at.told())[number].retrieved
        at.pass_time(2 * 86400)
        await asyncio.sleep(0.1)
        assert len(receiver.calls) == 30

    at_desk(database_url, check)


def test_a_failure_is_followed_by_success(database_url: str) -> None:
    async def check(at: Desk, receiver: Hook) -> None:
        receiver.answer = plain(b"0", "500 Oops")
        await at.hook(receiver)
        (number,) = await at.reply()
        await at.until_recorded(1)
        assert (await at.told())[number].reason == "answered 500"
        receiver.answer = plain(b"0\n")
        at.pass_time(60)
        await at.until_all(DELIVERED)
        assert len(receiver.calls) == 2
        assert await at.world.rows("SELECT failures, down_since, blocked_until FROM webhook") == [(0, None, 0)]

    at_desk(database_url, check)


def test_one_handset_is_told_in_its_order_others_side_by_side(database_url: str) -> None:
    async def check(at: Desk, receiver: Hook) -> None:
        receiver.answer = slowly(0.02)
        await at.hook(receiver)
        await at.reply(count=12, handset=0)
        await at.until_all(DELIVERED)
        assert receiver.texts == [f"hello {no}" for no in range(12)]
        assert receiver.most_open_calls == 1
        await at.reply(count=60, handset=61400001000)
        await at.until_all(DELIVERED)
        assert 1 < receiver.most_open_calls <= 8

    at_desk(database_url, check)


def test_a_dead_receiver_costs_a_call_a_minute_and_delays_nobody(database_url: str, dead_port: int) -> None:
    async def check(at: Desk, receiver: Hook) -> None:
        dead = await at.world.account()
        await at.hook(f"http://127.0.0.1:{dead_port}/", dead)
        await at.hook(receiver)
        await at.reply(dead, 300)
        await at.until_recorded(1, dead)
        await at.reply(count=50)
        await at.until_all(DELIVERED)
        for _ in range(5):
            at.pass_time(61)
            await asyncio.sleep(0.2)
        attempts = [each.attempts for each in (await at.told(dead)).values()]
        assert 4 <= sum(attempts) <= 8
        ((failures, since),) = await at.world.rows(
            f"SELECT failures, down_since FROM webhook WHERE account_id = {dead}"
        )
        assert failures == sum(attempts)
        assert since is not None

    at_desk(database_url, check)


def test_what_waited_for_a_dead_receiver_goes_when_it_is_back(database_url: str) -> None:
    async def check(at: Desk, receiver: Hook) -> None:
        receiver.answer = plain(b"", "503 Down")
        await at.hook(receiver)
        await at.reply(count=100)
        await at.until_recorded(3)
        receiver.answer = plain()
        at.pass_time(16)
        await until(lambda: len(receiver.calls) >= 100)
        at.pass_time(60)
        await at.until_all(DELIVERED)
        assert len(receiver.calls) == 103

    at_desk(database_url, check)


def test_after_a_day_down_all_of_it_is_parked_and_can_be_replayed(database_url: str, dead_port: int) -> None:
    async def check(at: Desk, receiver: Hook) -> None:
        account = await at.hook(f"http://127.0.0.1:{dead_port}/")
        await at.reply(count=700)
        await at.until_recorded(1)
        at.pass_time(DAY / 1000 + 1)
        await at.until_all(PARKED)
        untried = [each for each in (await at.told()).values() if each.attempts == 0]
        assert len(untried) >= 690
        assert {each.reason for each in untried} == {"the receiver was down"}
        await at.hook(receiver)
        now = at.clock.now_ms()
        while await at.world.write(lambda tx: rows.replay(tx, account, None, now)):
            pass
        await at.until_all(DELIVERED, seconds=20)
        assert len(receiver.calls) == 700

    at_desk(database_url, check)


def test_receivers_that_hang_leave_places_to_sound_ones(database_url: str) -> None:
    """Eight places, and ten receivers that never answer: the sound one is served all the same."""

    async def main() -> None:
        async with AsyncExitStack() as stack:
            made = await stack.enter_async_context(world(database_url, RunningClock()))
            receiver = await stack.enter_async_context(hook())
            hanging = await stack.enter_async_context(hook(nothing))
            at = await stack.enter_async_context(desk(made, places=8))
            await at.hook(receiver)
            for _ in range(10):
                account = await made.account()
                await at.hook(hanging, account)
                # They failed before: that they are doubtful is in the rows.
                await made.sql(f"UPDATE webhook SET failures = 1, down_since = 1 WHERE account_id = {account}")
                await at.reply(account, 5)
            await hanging.wait(2)
            await at.reply(count=30)
            await at.until_all(DELIVERED)
            assert hanging.most_open_calls == 2

    asyncio.run(main())


def test_a_store_that_is_away_loses_nothing_and_doubles_nothing(database_url: str) -> None:
    async def check(at: Desk, receiver: Hook) -> None:
        away = asyncio.Event()

        async def cut(call: Call, writer: asyncio.StreamWriter) -> None:
            if len(receiver.calls) == 3:
                at.database.away = StoreUnavailable("the disk is full")
                away.set()
            plain()(call, writer)

        receiver.answer = cut
        await at.hook(receiver)
        await at.reply(count=5)
        await away.wait()
        await asyncio.sleep(0.3)
        told = len(receiver.calls)
        at.database.away = None
        await at.until_all(DELIVERED)
        assert sorted(receiver.texts) == [f"hello {no}" for no in range(5)]
        assert told <= 5

    at_desk(database_url, check)


@pytest.mark.parametrize("written", [True, False])
def test_results_whose_commit_is_unknown_are_written_again(database_url: str, written: bool) -> None:
    async def check(at: Desk, receiver: Hook) -> None:
        receiver.answer = plain(b"no")
        await at.hook(receiver)
        (number,) = await at.reply()
        await at.until_recorded(1)
        receiver.answer = plain()

        async def cut(call: Call, writer: asyncio.StreamWriter) -> None:
            at.database.ends = [(written, CommitUnknown("cut"))]
            plain()(call, writer)

        receiver.answer = cut
        at.pass_time(61)
        await at.until_all(DELIVERED)
        assert (await at.told())[number].attempts == 2
        assert len(receiver.calls) == 2

    at_desk(database_url, check)


@pytest.mark.parametrize("written", [True, False])
def test_a_lease_whose_commit_is_unknown_is_found_again(database_url: str, written: bool) -> None:
    async def check(at: Desk, receiver: Hook) -> None:
        at.database.ends = [(written, CommitUnknown("cut"))]
        await at.hook(receiver)
        await at.reply()
        await at.until_all(DELIVERED)
        assert len(receiver.calls) == 1

    at_desk(database_url, check)


def test_what_a_killed_engine_had_leased_goes_by_another(database_url: str) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            made = await stack.enter_async_context(world(database_url, RunningClock()))
            receiver = await stack.enter_async_context(hook())
            first = await stack.enter_async_context(desk(made, name="first", alone=False))
            await first.hook(receiver)
            await first.reply(count=10)
            await first.until_all(DELIVERED)
            first.kill()
            second = await stack.enter_async_context(desk(made, name="second", alone=False))
            await reply(made, made.account_id, 1, text="last")
            await asyncio.sleep(0.2)
            assert len(receiver.calls) == 10, "it is leased"
            owner = first.membership.id
            await second.membership.take_from(owner, lambda _: Policy(WAIT, MAX_AGE), await _beat(made, owner))
            second.webhooks.wake([made.account_id])
            await second.until_all(DELIVERED)
            assert receiver.texts[10:] == ["last 0"]
            assert await second.owners() == {second.membership.id}

    asyncio.run(main())


async def _beat(made: World, owner: int) -> int:
    ((beat,),) = await made.rows(f"SELECT beat FROM engine WHERE id = {owner}")
    return int(beat)


def test_an_acknowledged_reply_is_repeated_once_after_a_kill(database_url: str) -> None:
    """The receiver says 0, and the engine dies before it can write that down."""

    async def main() -> None:
        async with world(database_url, RunningClock()) as made, hook() as receiver, desk(made) as first:
            await first.hook(receiver)

            def last_words(call: Call, writer: asyncio.StreamWriter) -> None:
                first.database.away = StoreUnavailable("killed")
                plain()(call, writer)

            receiver.answer = last_words
            await first.reply()
            await receiver.wait(1)
            await asyncio.sleep(0.1)
            first.kill()
            await asyncio.gather(first.task, return_exceptions=True)
            owner = first.membership.id
            receiver.answer = plain()
            async with desk(made) as second:
                await made.write(lambda tx: tx.run("drop_webhook_leases", owner=owner))
                await second.until_all(DELIVERED)
                assert receiver.texts == ["hello 0", "hello 0"]
            first.database.away = None

    asyncio.run(main())


def test_a_peer_takes_over_when_the_beat_stops(database_url: str) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            made = await stack.enter_async_context(world(database_url, RunningClock()))
            receiver = await stack.enter_async_context(hook())
            first = await stack.enter_async_context(desk(made, name="first", alone=False))
            await first.hook(receiver)
            await first.reply()
            await first.until_all(DELIVERED)
            first.kill()
            first.database.away = StoreUnavailable("killed")
            second = await stack.enter_async_context(desk(made, name="second", alone=False))
            await reply(made, made.account_id)
            await second.membership.beat()
            second.clock.advance(DEAD_S + 1)
            await second.membership.beat()
            assert first.membership.id in second.membership.dead
            await second.membership.take_over(lambda _: Policy(WAIT, MAX_AGE))
            second.webhooks.wake([])
            await second.until_all(DELIVERED)
            assert len(receiver.calls) == 2

    asyncio.run(main())


def test_an_engine_whose_beat_is_old_calls_nobody(database_url: str) -> None:
    async def check(at: Desk, receiver: Hook) -> None:
        await at.hook(receiver)
        at.membership._last_commit = float("-inf")
        at.database.away = StoreUnavailable("cut off")
        await at.reply()
        await asyncio.sleep(0.2)
        assert receiver.calls == []
        at.database.away = None
        await at.until_all(DELIVERED)

    at_desk(database_url, check)


def test_engines_share_the_receivers(database_url: str) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            made = await stack.enter_async_context(world(database_url, RunningClock()))
            receiver = await stack.enter_async_context(hook(slowly(0.01)))
            first = await stack.enter_async_context(desk(made, name="first", alone=False))
            accounts = [await made.account() for _ in range(20)]
            for account in accounts:
                await first.hook(receiver, account)
                await first.reply(account, 3)
            for account in accounts:
                await first.until_all(DELIVERED, account)
            assert await first.owners() == {first.membership.id}
            second = await stack.enter_async_context(desk(made, name="second", alone=False))
            await until(lambda: first.membership.peers == second.membership.peers == 2)
            for account in accounts:
                await reply(made, account, 3)
            first.webhooks.wake(accounts)
            await until(lambda: len(receiver.calls) == 120)
            for account in accounts:
                await first.until_all(DELIVERED, account)

            async def shared() -> bool:
                for account in accounts:
                    await reply(made, account)
                owners = [row[0] for row in await made.rows("SELECT owner FROM webhook")]
                return min(owners.count(first.membership.id), owners.count(second.membership.id)) >= 7

            await until(shared)
            count = len(await made.rows("SELECT 1 FROM reply"))
            await until(lambda: len(receiver.calls) == count)
            for account in accounts:
                await first.until_all(DELIVERED, account)

    asyncio.run(main())


def test_an_orderly_stop_waits_for_answers_and_leaves_nothing_leased(database_url: str) -> None:
    async def main() -> None:
        async with world(database_url, RunningClock()) as made, hook(slowly(0.3)) as receiver:
            async with desk(made) as at:
                await at.hook(receiver)
                await at.reply()
                await receiver.wait(1)
                at.task.cancel()
                await asyncio.gather(at.task, return_exceptions=True)
                await at.webhooks.stop(5)
                assert [each.state for each in (await at.told()).values()] == [DELIVERED]
                assert await at.owners() == {None}
            receiver.answer = nothing
            async with desk(made) as at:
                (number,) = await at.reply()
                await receiver.wait(2)
                at.task.cancel()
                await asyncio.gather(at.task, return_exceptions=True)
                began = asyncio.get_running_loop().time()
                await at.webhooks.stop(0.2)
                assert asyncio.get_running_loop().time() - began < 2
                assert ((await at.told())[number].state, (await at.told())[number].attempts) == (WAITING, 0)
                assert await at.owners() == {None}

    asyncio.run(main())


def test_changes_by_a_person_are_followed(database_url: str) -> None:
    async def main() -> None:
        async with (
            world(database_url, RunningClock()) as made, hook() as old, hook() as new, desk(made) as at,
        ):  # fmt: skip
            account = await at.hook(old)
            await at.reply()
            await at.until_all(DELIVERED)
            await at.hook(new, password="another")
            await asyncio.sleep(0.2)
            await at.reply()
            await at.until_all(DELIVERED)
            assert (len(old.calls), len(new.calls)) == (1, 1)
            assert new.calls[0].query["password"] == "another"

            await made.sql(f"UPDATE account SET state = 2 WHERE id = {account}")
            await asyncio.sleep(0.2)
            await at.reply()
            await asyncio.sleep(0.2)
            assert len(new.calls) == 1, "a suspended account stands still"
            await made.sql(f"UPDATE account SET state = 1 WHERE id = {account}")
            await at.until_all(DELIVERED)

            new.answer = plain(b"no")
            await at.reply(count=2)
            await new.wait(4)
            now = at.clock.now_ms()
            await made.write(
                lambda tx: rows.put(tx, account, WebhookState.OFF, url="", username="", secret="", now=now)
            )

            async def parked() -> bool:
                return [each.state for each in (await at.told()).values()].count(PARKED) == 2

            await until(parked)
            await at.reply()
            await asyncio.sleep(0.1)
            assert len(await at.told()) == 5, "without a webhook nothing is told"

    asyncio.run(main())


def test_a_webhook_whose_secrets_cannot_be_read_holds_up_nobody(database_url: str) -> None:
    async def check(at: Desk, receiver: Hook) -> None:
        other = await at.world.account()
        await at.hook(receiver)
        await at.world.sql("UPDATE webhook SET url = 'sealed with another key'")
        await at.reply()
        await at.hook(receiver, other)
        await at.reply(other)
        await at.until_all(DELIVERED, other)
        assert [each.state for each in (await at.told()).values()] == [WAITING]
        await at.hook(receiver)
        await at.until_all(DELIVERED)

    at_desk(database_url, check)


def test_how_late_the_replies_are_is_measured(database_url: str) -> None:
    from cooee.model.metrics import WEBHOOK_LATE, WEBHOOKS_DOWN

    async def check(at: Desk, receiver: Hook) -> None:
        await at.hook(receiver)
        at.membership.evicted = True  # nothing is called for
        await at.reply()
        at.clock.advance(HOUR / 1000)
        await at.webhooks._measure()
        assert 3600 <= WEBHOOK_LATE._value.get() < 3700
        await at.world.sql(f"UPDATE webhook SET blocked_until = {at.clock.now_ms() + MINUTE}")
        await at.webhooks._measure()
        assert (WEBHOOK_LATE._value.get(), WEBHOOKS_DOWN._value.get()) == (0, 1)

    at_desk(database_url, check)


def test_what_is_kept_in_memory_is_bounded(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten receivers with much to get share few places in memory, and all of it arrives in order."""
    monkeypatch.setattr("cooee.engine.webhooks.MOST_QUEUED", 40)
    monkeypatch.setattr("cooee.engine.webhooks.EACH", (2, 8))
    monkeypatch.setattr("cooee.engine.webhooks.PAGE", 12)

    async def main() -> None:
        async with world(database_url, RunningClock()) as made, hook() as receiver:
            accounts = [await made.account() for _ in range(10)]
            async with desk(made) as at:
                for account in accounts:
                    await at.hook(f"http://127.0.0.1:{receiver.port}/{account}", account)
            for account in accounts:
                await reply(made, account, 20, handset=0)
            most = 0

            def look(call: Call, writer: asyncio.StreamWriter) -> None:
                nonlocal most
                most = max(most, sum(len(lane.queue) for lane in at.webhooks._lanes.values()))
                plain()(call, writer)

            receiver.answer = look
            async with desk(made) as at:
                for account in accounts:
                    await at.until_all(DELIVERED, account, seconds=20)
            assert 0 < most <= 50
            for account in accounts:
                texts = [call.query["message_text"] for call in receiver.calls if call.path == f"/{account}"]
                assert texts == [f"hello {no}" for no in range(20)]

    asyncio.run(main())
