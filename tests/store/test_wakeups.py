"""Wake-ups between nodes: heard by the others, said once for many, and back after every outage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

from cooee.store.wakeups import CHANNEL, WakeUps
from tests.store.support_proxy import proxy
from tests.support.postgres import PostgresServer


async def until(done: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not done():  # noqa: ASYNC110 (nobody sets an event here)
            await asyncio.sleep(0.01)


def run(url: str, check: Callable[[WakeUps, list[bool], WakeUps, list[bool]], Awaitable[None]]) -> None:
    """Two nodes that both listen, connected; what each has heard since."""

    async def main() -> None:
        heard: tuple[list[bool], list[bool]] = ([], [])
        one, two = (WakeUps(url, some.append) for some in heard)
        one.start()
        two.start()
        try:
            await until(lambda: one.working and two.working)
            # A node that has just connected looks for what it did not hear.
            assert heard == ([True], [True])
            for some in heard:
                some.clear()
            await check(one, heard[0], two, heard[1])
        finally:
            await one.stop()
            await two.stop()

    asyncio.run(main())


def test_what_one_node_says_the_others_hear_and_not_itself(postgres: PostgresServer) -> None:
    async def check(one: WakeUps, heard_by_one: list[bool], two: WakeUps, heard_by_two: list[bool]) -> None:
        one.say(False)
        await until(lambda: heard_by_two == [False])
        two.say(True)
        await until(lambda: heard_by_one == [True])
        assert heard_by_two == [False]

    run(postgres.fresh(), check)


def test_many_are_said_once_and_the_greater_one_wins(postgres: PostgresServer) -> None:
    async def check(one: WakeUps, _: list[bool], two: WakeUps, heard: list[bool]) -> None:
        for number in range(1000):
            one.say(number == 500)
            if number % 100 == 0:
                await asyncio.sleep(0.001)
        await until(lambda: True in heard)
        await asyncio.sleep(0.1)
        assert len(heard) <= 4

    run(postgres.fresh(), check)


def test_a_node_that_only_speaks_listens_to_nothing(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def check(one: WakeUps, heard: list[bool], two: WakeUps, _: list[bool]) -> None:
        speaker = WakeUps(url, None)
        speaker.start()
        await until(lambda: speaker.working)
        speaker.say(False)
        await until(lambda: heard == [False])
        connection = await asyncpg.connect(url)
        listening = await connection.fetchval(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name = 'cooee wake-ups'"
        )
        await connection.close()
        assert listening == 3
        await speaker.stop()

    run(url, check)


def test_back_after_a_cut_it_looks_at_once_and_hears_again(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        async with proxy(url) as (middle, through):
            heard: list[bool] = []
            listener, speaker = WakeUps(through, heard.append), WakeUps(url, None)
            listener.start()
            speaker.start()
            await until(lambda: listener.working and speaker.working)
            heard.clear()
            middle.refuse = True
            middle.cut()
            await until(lambda: not listener.working)
            speaker.say(False)
            await asyncio.sleep(0.1)
            assert heard == []
            middle.refuse = False
            await until(lambda: listener.working)
            assert heard == [True]
            speaker.say(False)
            await until(lambda: heard == [True, False])
            await listener.stop()
            await speaker.stop()

    asyncio.run(main())


def test_what_could_not_be_said_is_said_later(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        async with proxy(url) as (middle, through):
            speaker = WakeUps(through, None)
            speaker.start()
            await until(lambda: speaker.working)
            connection = await asyncpg.connect(url)
            words: list[object] = []
            await connection.add_listener(CHANNEL, lambda *said: words.append(said[3]))
            middle.cut()
            speaker.say(True)
            await until(lambda: words == ["deal"])
            await connection.close()
            await speaker.stop()

    asyncio.run(main())
