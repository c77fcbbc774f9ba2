"""Wake-ups between the nodes of one PostgreSQL: LISTEN and NOTIFY on a connection of their own.

A node that has accepted, dealt or unpaused something says so, and the engines of the others look at once instead
of at their next poll. Nothing rests on it: what is said while the connection is down, or behind a pooler that does
not pass LISTEN on, is found by polling (at most half a second later). What is said within 20 ms is said once, so a
stream of messages costs no statement each, and no transaction of the hot path carries a NOTIFY, which would make
commits wait for each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import structlog

log = structlog.get_logger()

CHANNEL = "cooee_wake"
DEAL, SEND = "deal", "send"
GATHER_S = 0.02
CHECK_S = 10.0
"""A connection that nobody used for so long is tried: one that is half open looks like a silent one."""
ANSWER_S = 5.0
FIRST_S, LONGEST_S = 0.5, 5.0
"""Pauses between attempts to connect."""

_BROKEN = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    asyncio.TimeoutError,
)


class WakeUps:
    """One node's end. `woken` is called when a peer says something, with True when there is something to deal;
    without it the node only speaks."""

    def __init__(self, url: str, woken: Callable[[bool], None] | None) -> None:
        self._url = url
        self._woken = woken
        self._event = asyncio.Event()
        self._pending = self._deals = False
        self._task: asyncio.Task[None] | None = None
        self._own = 0
        self.working = False
        """The connection is up."""

    def start(self) -> None:
        """Begins to connect, and goes on trying until `stop`."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="wake-ups")

    async def stop(self) -> None:
        """Hangs up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def say(self, deals: bool) -> None:
        """There is something to send on other nodes; `deals`: it must be dealt to carriers first."""
        self._pending = True
        self._deals = self._deals or deals
        self._event.set()

    async def _run(self) -> None:
        pause = FIRST_S
        said = False
        while True:
            try:
                connection = await asyncpg.connect(
                    self._url, timeout=ANSWER_S, server_settings={"application_name": "cooee wake-ups"}
                )
            except _BROKEN as error:
                if not said:
                    log.warning("wakeups_lost", reason=f"{type(error).__name__}; engines poll meanwhile")
                    said = True
                await asyncio.sleep(pause)
                pause = min(LONGEST_S, pause * 2)
                continue
            try:
                connection.add_termination_listener(lambda _: self._event.set())
                self._own = connection.get_server_pid()
                if self._woken is not None:
                    await connection.add_listener(CHANNEL, self._heard)
                    # Whatever was said before this was not heard.
                    self._woken(True)
                self.working = True
                if said:
                    log.info("wakeups_back")
                pause, said = FIRST_S, False
                await self._speak(connection)
            except _BROKEN as error:
                log.warning("wakeups_lost", reason=f"{type(error).__name__}; engines poll meanwhile")
                said = True
            finally:
                self.working = False
                connection.terminate()
            await asyncio.sleep(pause)
            pause = min(LONGEST_S, pause * 2)

    async def _speak(self, connection: Any) -> None:
        """Says what is to be said, until the connection breaks."""
        while True:
            try:
                async with asyncio.timeout(CHECK_S):
                    await self._event.wait()
            except TimeoutError:
                await connection.execute("SELECT 1", timeout=ANSWER_S)
                continue
            self._event.clear()
            if connection.is_closed():
                raise ConnectionResetError
            if not self._pending:
                continue
            word = DEAL if self._deals else SEND
            self._pending = self._deals = False
            try:
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, word, timeout=ANSWER_S)
            except BaseException:
                # Said again once there is a connection, though polling will have found it by then.
                self._pending, self._deals = True, self._deals or word == DEAL
                raise
            await asyncio.sleep(GATHER_S)

    def _heard(self, _connection: object, pid: int, _channel: str, word: object) -> None:
        if pid != self._own and self._woken is not None:
            self._woken(word == DEAL)
