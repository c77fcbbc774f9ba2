"""Replies over SMPP sockets, from a handset's message to what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cooee.engine.fleet import Events
from cooee.model.clock import DAY, MINUTE
from cooee.model.errors import CommitUnknown, StoreUnavailable
from cooee.model.inbound import NumberKind, ReplyKind, sender_of
from cooee.model.message import MessageState
from cooee.service import inbound as service
from cooee.service.inbound import Inbound
from cooee.service.recovery import recover
from cooee.service.routing import Routes
from cooee.smpp.mo import parse_mo
from cooee.smpp.smsc.handsets import mo_parts
from cooee.store import inbound
from cooee.store.acceptance import Created
from cooee.store.database import Lane
from tests.engine.support_link import FakeCarrier, FakeLink, Flaky
from tests.engine.support_replies import Exchange, exchange, until
from tests.store.support_inbound import (
    HANDSET,
    NUMBER,
    add_number,
    kept,
    message,
    optouts,
    set_answer,
    texts,
    unrouted,
)
from tests.store.support_store import World
from tests.store.support_store import run as run_world

LONG = "Ich käme gern, nur nicht am 24. – geht auch der 25.? 😀 " * 8


def run(url: str, check: Callable[[Exchange], Awaitable[None]], **more: object) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), exchange(url, **more) as it:  # type: ignore[arg-type]
            await check(it)

    asyncio.run(main())


async def send(it: Exchange, *handsets: int, reference: str | None = None, text: str = "hello") -> int:
    """A campaign from NUMBER, handed over and recorded; its id."""
    new = await it.world.new(list(handsets) or [HANDSET], body=text)
    new.originator, new.reference = NUMBER, reference
    (created,) = await it.world.create(new)
    assert isinstance(created, Created)
    assert it.engine is not None
    it.engine.wake(True)

    async def done() -> bool:
        return await it.world.state(new) == 6

    await until(done)
    return new.id


def test_a_campaign_is_answered(database_url: str) -> None:
    async def check(it: Exchange) -> None:
        await add_number(it.world)
        await send(it, reference="appointment 7")
        for text in ("Yes", LONG, "Yes"):
            it.write(text)
        await it.all_acknowledged()
        assert [(r.text, r.reference, r.originator) for r in await kept(it.world)] == [
            (text, "appointment 7", str(HANDSET)) for text in ("Yes", LONG, "Yes")
        ]
        it.write("hello", to="61400999999")
        await it.all_acknowledged()
        assert await unrouted(it.world) == ["hello"]

    run(database_url, check)


def test_a_handset_that_answers_at_once(database_url: str) -> None:
    """Before the answer to the submit_sm is recorded, which may take 25 ms and more."""

    async def check(it: Exchange) -> None:
        await add_number(it.world, kind=NumberKind.SHARED)
        assert it.engine is not None
        expected = []
        for number in range(8):
            new = await it.world.new([HANDSET + number])
            new.originator, new.reference = NUMBER, f"campaign {number}"
            await it.world.create(new)
            it.engine.wake(False)
            while not it.smsc.inbox(str(HANDSET + number)):  # noqa: ASYNC110 (it has no event for it)
                await asyncio.sleep(0.0005)
            it.write("Yes", source=str(HANDSET + number))
            expected.append(f"campaign {number}")
        await it.all_acknowledged()
        assert sorted(r.reference for r in await kept(it.world)) == expected

    run(database_url, check)


def test_stop_washes_and_is_answered_all_the_same(database_url: str) -> None:
    async def check(it: Exchange) -> None:
        world = it.world
        await add_number(world)
        await set_answer(world, world.account_id, "Bye for now")
        await send(it)
        before = await world.credits()
        it.write("STOP")
        it.write("stop")
        await until(lambda: len(it.smsc.inbox(str(HANDSET))) == 2)
        assert [text.text for text in it.smsc.inbox(str(HANDSET))] == ["hello", "Bye for now"]
        assert await world.credits() == before - 1
        await send(it, text="does not arrive")
        assert len(it.smsc.inbox(str(HANDSET))) == 2
        # The answer is a campaign of its own, and what is written next answers it.
        it.write("thanks")
        await it.all_acknowledged()
        ((answer,),) = await world.rows("SELECT campaign_id FROM auto_answer WHERE state = 1")
        assert [(r.kind, r.reference) for r in await kept(world)][2] == (ReplyKind.REPLY, str(answer))
        it.write("START")
        await it.all_acknowledged()
        assert await optouts(world) == []
        await send(it, text="arrives again")
        assert it.smsc.inbox(str(HANDSET))[-1].text == "arrives again"

    run(database_url, check)


def test_answers_are_skipped_or_held_as_any_message(database_url: str) -> None:
    async def check(it: Exchange) -> None:
        world = it.world
        now = it.clock.now_ms()
        minute = now % DAY // MINUTE
        opens = (minute + 120) % 1440
        poor = await world.account(credits=0)
        asleep = await world.account(window=(opens, (opens + 60) % 1440))
        narrow = await world.account()
        dear = await world.account(credits=6)
        await world.sql(f"INSERT INTO rate (account_id, country, credits) VALUES ({dear}, 'AU', 7)")
        await world.sql(f"UPDATE account SET allow_unicode = 0, allow_international = 0 WHERE id = {narrow}")
        numbers = {poor: "1001", asleep: "1002", narrow: "1003", dear: "1004"}
        for account, number in numbers.items():
            await add_number(world, number, account_id=account)
            await set_answer(world, account, "Пока" if account == narrow else "Bye")
            it.write("STOP", to=number)

        async def made() -> bool:
            ((count,),) = await world.rows("SELECT COUNT(*) FROM auto_answer WHERE state <> 0")
            return bool(count == 4)

        await until(made)
        rows = {row[0]: row[1:] for row in await world.rows("SELECT account_id, state, skipped FROM auto_answer")}
        assert rows[poor][0] == 2
        assert "credits" in rows[poor][1].lower()
        assert rows[narrow][0] == 2
        assert "Unicode" in rows[narrow][1]
        assert rows[dear][0] == 2
        assert rows[asleep] == (1, None)
        await asyncio.sleep(0.3)
        assert it.smsc.inbox(str(HANDSET)) == []
        it.clock.advance(121 * 60)
        await until(lambda: [text.text for text in it.smsc.inbox(str(HANDSET))] == ["Bye"])
        assert len(await optouts(world)) == 4

    run(database_url, check)


def test_the_answer_to_start_does_not_reach_who_has_written_stop_since(database_url: str) -> None:
    async def check(it: Exchange) -> None:
        world = it.world
        opens = (it.clock.now_ms() % DAY // MINUTE + 120) % 1440
        account = await world.account(window=(opens, (opens + 60) % 1440))
        await add_number(world, account_id=account)
        await set_answer(world, account, "Welcome back", ReplyKind.START)
        before = await world.credits(account)
        it.write("START")

        async def made() -> bool:
            return await world.rows("SELECT state FROM auto_answer") == [(1,)]

        await until(made)
        it.write("STOP")
        await it.all_acknowledged()
        it.clock.advance(121 * 60)

        async def washed() -> bool:
            return await world.rows("SELECT state FROM message") == [(MessageState.WASHED,)]

        await until(washed)
        assert it.smsc.inbox(str(HANDSET)) == []
        assert await world.credits(account) == before

    run(database_url, check)


def test_a_read_of_which_a_part_is_stored_is_refused_and_stored_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One read may bring more than a transaction takes, and the store may go away in between."""

    async def check(world: World) -> None:
        monkeypatch.setattr(service, "GROUP", 2)
        await add_number(world)
        database = Flaky(world.database)
        shared = Inbound(database, world.ids, world.clock, Routes(database, world.clock))
        intake = shared.intake(world.carrier_id, "carrier")
        write, calls = database.write, 0

        async def flaky(operation: Any, lane: Lane = Lane.API) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise StoreUnavailable("gone")
            return await write(operation, lane)

        database.write = flaky  # type: ignore[method-assign]
        link = FakeLink(FakeCarrier(world.carrier_id), 0, Events(None, intake))  # type: ignore[arg-type]
        link.up = True
        messages = [parse_mo(pdu) for text in ("a", "b", "c") for pdu in message(text)]
        told: list[bool] = []
        for _ in range(2):
            intake.take(link, messages, told.append)
            await intake.idle()
            # At once: an SMSC that has waited for an answer in vain is known by that already.
            world.clock.advance(1)
        assert told == [False, True]
        assert await texts(world) == ["a", "b", "c"]
        await intake.close()

    run_world(database_url, check)


def test_nothing_is_acknowledged_before_it_is_stored(database_url: str) -> None:
    async def check(it: Exchange) -> None:
        await add_number(it.world)
        it.database.away = StoreUnavailable("gone")
        it.write("Yes")
        it.write(LONG)
        await asyncio.sleep(1.2)
        assert it.smsc.stats()["mo_acked"] == 0
        it.database.away = None
        await it.all_acknowledged()
        assert sorted(await texts(it.world)) == sorted(["Yes", LONG])

    run(database_url, check)


def test_a_commit_that_nobody_knows_of_stores_once(database_url: str) -> None:
    async def check(it: Exchange) -> None:
        await add_number(it.world)
        write, calls = it.database.write, 0

        async def flaky(operation: Any, lane: Lane = Lane.API) -> Any:
            nonlocal calls
            done = await write(operation, lane)
            if lane is Lane.RECEIPTS and (calls := calls + 1) == 1:
                raise CommitUnknown("the connection broke")
            return done

        it.database.write = flaky  # type: ignore[method-assign]
        it.write("Yes")
        await it.all_acknowledged()
        assert calls == 2
        assert await texts(it.world) == ["Yes"]

    run(database_url, check)


@pytest.mark.parametrize("mid_pdu", [False, True])
def test_connections_break_and_nothing_is_lost_or_stored_twice(database_url: str, mid_pdu: bool) -> None:
    async def check(it: Exchange) -> None:
        await add_number(it.world)
        written = []
        for number in range(60):
            text = f"{number} {LONG}" if number % 3 == 0 else f"{number}"
            written.append(text)
            it.write(text, source=str(HANDSET + number % 7))
            if number % 15 == 7:
                await asyncio.sleep(0.02)
                it.smsc.drop("test", mid_pdu=mid_pdu)
        await until(lambda: it.smsc.stats()["mo_pending"] == 0, 30)
        assert sorted(await texts(it.world)) == sorted(written)
        assert await it.count("reply_part") == 0

    run(database_url, check)


def test_parts_before_and_after_a_restart(database_url: str) -> None:
    async def check(it: Exchange) -> None:
        await add_number(it.world)
        it.smsc.silence()
        it.write(LONG)
        it.smsc.speak()

        async def some() -> bool:
            return await it.count("reply_part") + await it.count("reply") > 0

        await until(some)
        await it.stop()
        it.write("Yes")
        await it.start()
        await it.all_acknowledged()
        assert sorted(await texts(it.world)) == sorted([LONG, "Yes"])

    run(database_url, check)


def test_the_same_after_an_orderly_restart_is_a_person(database_url: str) -> None:
    async def check(it: Exchange) -> None:
        await add_number(it.world)
        it.write("Yes")
        await it.all_acknowledged()
        await it.stop()
        assert await it.count("inbound_seen") == 0
        await it.start()
        it.write("Yes")
        await it.all_acknowledged()
        assert await texts(it.world) == ["Yes", "Yes"]

    run(database_url, check)


def test_what_has_surely_arrived_is_forgotten(database_url: str) -> None:
    async def check(it: Exchange) -> None:
        await add_number(it.world)
        it.write("Yes")
        await it.all_acknowledged()
        assert await it.count("inbound_seen") == 1
        await asyncio.sleep(1.1)
        it.write("something else")
        await it.all_acknowledged()

        async def forgotten() -> bool:
            return await it.count("inbound_seen") == 1

        await until(forgotten)
        it.smsc.drop("test")
        it.write("Yes")
        await it.all_acknowledged()
        assert await texts(it.world) == ["Yes", "something else", "Yes"]

    run(database_url, check)


def test_parts_that_never_come(database_url: str) -> None:
    async def check(it: Exchange) -> None:
        await add_number(it.world)
        # The last part is lost on its way to the SMSC.
        parts = mo_parts(str(HANDSET), NUMBER, LONG, 99)[:-1]
        esme = it.smsc._esmes["test"]
        it.smsc._mo_open += len(parts)
        esme.ready.extend(parts)
        esme.pump()
        await it.all_acknowledged()
        assert await texts(it.world) == []
        it.clock.advance(601)

        async def passed_on() -> bool:
            return await it.count("reply") == 1

        await until(passed_on)
        (reply,) = await kept(it.world)
        assert LONG.startswith(reply.text)
        assert reply.missing == 1

    run(database_url, check)


def test_one_that_cannot_be_stored_is_put_aside_and_recovered(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(it: Exchange) -> None:
        await add_number(it.world)

        def broken(raw: str, ton: int, country: str) -> tuple[str, int | None]:
            if raw == "61400000013":
                raise ValueError("this one is poisoned")
            return sender_of(raw, ton, country)

        with monkeypatch.context() as patch:
            patch.setattr(inbound, "sender_of", broken)
            it.smsc.silence()
            for number in range(10, 17):
                it.write(f"from {number}", source=f"614000000{number}")
            it.smsc.speak()
            await it.all_acknowledged()
            assert sorted(await texts(it.world)) == [f"from {n}" for n in range(10, 17) if n != 13]
            assert await it.count("quarantine") == 1
            assert await recover(it.world.database, it.clock) == (0, 1)
        assert await recover(it.world.database, it.clock) == (1, 0)
        assert sorted(await texts(it.world)) == [f"from {n}" for n in range(10, 17)]
        assert await it.count("quarantine") == 0

    run(database_url, check)


def test_stop_to_a_shared_number_over_the_air(database_url: str) -> None:
    async def check(it: Exchange) -> None:
        world = it.world
        await add_number(world, kind=NumberKind.SHARED, account_id=0)
        second = await world.account()
        for account in (world.account_id, second):
            new = await world.new([HANDSET], account_id=account)
            new.originator = NUMBER
            await world.create(new)
        assert it.engine is not None
        it.engine.wake(True)
        await until(lambda: len(it.smsc.inbox(str(HANDSET))) == 2)

        async def known() -> bool:
            return await it.count("last_contact") == 2

        await until(known)
        it.write("STOP")
        await it.all_acknowledged()
        assert [row[0] for row in await optouts(world)] == sorted([world.account_id, second])
        assert len(await kept(world)) == 1

    run(database_url, check)
