"""TCP proxies on loopback that cut, refuse and stall: before SMSCs and before PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

Upstream = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
CHUNK = 65536


class Proxy:
    """One proxy. Only the loop of its `Proxies` touches it; other threads go through that one's methods."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.half_of: str | None = None
        """Cut everything in the middle of the next chunk that goes `up` or `down`."""
        self.apart = False
        self.stalled = False
        """Nothing passes, and nobody is told."""
        self.cuts = 0

    async def start(self) -> None:
        """Listens."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Closes everything."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.apart:
                raise ConnectionError
            there, back = await self._upstream()
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        for pump in (self._pump(reader, back, "up"), self._pump(there, writer, "down")):
            task = asyncio.get_running_loop().create_task(pump)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                while self.stalled:  # noqa: ASYNC110 (a thread sets it)
                    await asyncio.sleep(0.05)
                if self.half_of == way and len(data) > 1:
                    self.half_of = None
                    self.cuts += 1
                    writer.write(data[: len(data) // 2])
                    with suppress(OSError):
                        await asyncio.wait_for(writer.drain(), 1)
                    # The peer reads its half before it sees the end.
                    await asyncio.sleep(0.02)
                    self.cut()
                    return
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    def cut(self) -> None:
        """Drops every connection."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def part(self, apart: bool) -> None:
        """Nobody gets through, or everybody again."""
        self.apart = apart
        if apart:
            self.cut()


class Proxies:
    """A thread with an event loop that runs proxies for threads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._all: list[Proxy] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()

    def before(self, upstream: Upstream) -> Proxy:
        """A new proxy, listening."""
        proxy = Proxy(upstream)
        asyncio.run_coroutine_threadsafe(proxy.start(), self._loop).result(10)
        self._all.append(proxy)
        return proxy

    def before_port(self, port: int) -> Proxy:
        """A proxy before a port of loopback."""
        return self.before(lambda: asyncio.open_connection("127.0.0.1", port))

    def before_socket(self, path: str) -> Proxy:
        """A proxy before a Unix socket."""
        return self.before(lambda: asyncio.open_unix_connection(path))

    def do(self, call: Callable[[], None]) -> None:
        """Runs `call` on the loop, and waits for it."""

        async def run() -> None:
            call()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def stop(self) -> None:
        """Ends them all."""
        for proxy in self._all:
            asyncio.run_coroutine_threadsafe(proxy.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
