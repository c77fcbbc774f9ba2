"""A proxy before PostgreSQL that cuts connections at a chosen moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit


class Proxy:
    """Passes everything on, until told otherwise. Listens on 127.0.0.1:`port`."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0
        self.cut_at: bytes | None = None
        """Cut everything as soon as a client sends this…"""
        self.pass_it_on = False
        """… with or without passing it on to the server first."""
        self.refuse = False
        self.hates: bytes | None = None
        """A connection that sends this is dropped, that one alone."""
        self.stalled = False
        """Nothing passes in either direction, and nobody is told: what a cable that was pulled does."""
        self.linger_s = 0.0
        """How much later a client sees that the server has closed the connection."""
        self.cuts = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            writer.transport.abort()
            return
        there, back = await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.5432")
        self._writers += [writer, back]
        for call in (self._up(reader, back), self._down(there, writer)):
            task = asyncio.get_running_loop().create_task(call)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                while self.stalled:  # noqa: ASYNC110 (the test sets it)
                    await asyncio.sleep(0.05)
                if self.hates is not None and self.hates in data:
                    self.cuts += 1
                    break
                if self.cut_at is not None and self.cut_at in data:
                    self.cut_at = None
                    self.cuts += 1
                    if self.pass_it_on:
                        writer.write(data)
                        await writer.drain()
                        await asyncio.sleep(0.1)
                    self.cut()
                    return
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                while self.stalled:  # noqa: ASYNC110 (the test sets it)
                    await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()
            await asyncio.sleep(self.linger_s)
        writer.close()

    def cut(self) -> None:
        """Drops every connection."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def ended(self) -> None:
        """Cuts what is left and waits for it."""
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxy(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A running proxy, and the address that leads through it."""
    parts = urlsplit(url)
    made = Proxy(parse_qs(parts.query)["host"][0])
    server = await asyncio.start_server(made.handle, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made, f"postgresql://{parts.username or 'postgres'}:a%20secret@127.0.0.1:{made.port}{parts.path}"
    finally:
        server.close()
        await made.ended()
