"""Host names to addresses, on threads of our own.

The system's getaddrinfo blocks, for half a minute where a name server is dead, and an event loop has few threads
for it. So names that resolved before have threads of their own: names that never did, or that fail, cannot take
these. The threads are daemons: an end of the process does not wait for a name server.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import threading
from collections.abc import Awaitable, Callable

from cooee.model.clock import Clock

Resolve = Callable[[str], Awaitable[list[str]]]
"""The addresses of a host name, best first; OSError where there are none."""

KEEP_S = 60.0
"""How long an answer is used again."""
TIMEOUT_S = 5.0
MOST = 10_000
"""Names whose addresses are kept."""

_Job = tuple[str, "asyncio.Future[list[str]]"]


class _Threads:
    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._started = 0
        self._busy = 0

    def ask(self, host: str) -> asyncio.Future[list[str]]:
        answer: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        self._busy += 1
        answer.add_done_callback(self._done)
        if self._started < min(self._most, self._busy):
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        self._jobs.put((host, answer))
        return answer

    def _done(self, _answer: asyncio.Future[list[str]]) -> None:
        self._busy -= 1

    def _work(self) -> None:
        while True:
            host, answer = self._jobs.get()
            if answer.cancelled():
                continue
            result: list[str] | OSError
            try:
                found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
                result = list(dict.fromkeys(str(entry[4][0]) for entry in found))
            except (OSError, UnicodeError) as error:
                result = error if isinstance(error, OSError) else OSError("no host name")
            # The loop may be closed by now: nobody waits for the answer then.
            with contextlib.suppress(RuntimeError):
                answer.get_loop().call_soon_threadsafe(_settle, answer, result)


def _settle(answer: asyncio.Future[list[str]], result: list[str] | OSError) -> None:
    if answer.done():
        return
    if isinstance(result, OSError):
        answer.set_exception(result)
    else:
        answer.set_result(result)


class SystemResolver:
    """What the operating system says, kept for a minute. An instance is a `Resolve`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, list[str]]] = {}
        self._good = _Threads(16, "resolve")
        self._doubtful = _Threads(16, "resolve-doubtful")

    async def __call__(self, host: str) -> list[str]:
        known = self._known.get(host)
        now = self._clock.monotonic()
        if known is not None and now < known[0]:
            return known[1]
        threads = self._good if known is not None else self._doubtful
        try:
            async with asyncio.timeout(TIMEOUT_S):
                addresses = await threads.ask(host)
        except OSError:
            self._known.pop(host, None)
            raise
        if len(self._known) >= MOST:
            self._known.pop(next(iter(self._known)))
        self._known[host] = (now + KEEP_S, addresses)
        return addresses
