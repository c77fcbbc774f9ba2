"""Receivers of replies on loopback: real HTTP servers that answer as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Call:
    """A request as it came in."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def raw_query(self) -> str:
        return urlsplit(self.target).query

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self.raw_query, keep_blank_values=True)

    @property
    def query(self) -> dict[str, str]:
        return dict(self.pairs)


Answer = Callable[[Call, asyncio.StreamWriter], Awaitable[None] | None]


def plain(body: bytes = b"0", status: str = "200 OK", *headers: str) -> Answer:
    """A whole answer with that body."""
    head = "".join(f"{line}\r\n" for line in headers)

    def answer(_call: Call, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    return answer


def redirect(place: str, status: int = 302) -> Answer:
    return plain(b"moved", f"{status} Found", f"Location: {place}")


def raw(octets: bytes, *, close: bool = True) -> Answer:
    """Exactly these octets."""

    def answer(_call: Call, writer: asyncio.StreamWriter) -> None:
        writer.write(octets)
        if close:
            writer.close()

    return answer


async def nothing(_call: Call, _writer: asyncio.StreamWriter) -> None:
    """Takes the request, and never says a word."""
    await asyncio.sleep(3600)


async def endless(_call: Call, writer: asyncio.StreamWriter) -> None:
    """A body without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n0")
    while True:
        writer.write(b" " * 65536)
        await writer.drain()


def slowly(seconds: float, then: Answer | None = None) -> Answer:
    """The answer after a while."""

    async def answer(call: Call, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        done = (then or plain())(call, writer)
        if done is not None:
            await done

    return answer


@dataclass
class Hook:
    """A running receiver. `answer` may be changed at any time."""

    answer: Answer
    port: int = 0
    scheme: str = "http"
    calls: list[Call] = field(default_factory=list)
    connections: int = 0
    open_calls: int = 0
    most_open_calls: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    @property
    def texts(self) -> list[str]:
        """The message texts, in the order they came."""
        return [call.query["message_text"] for call in self.calls]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.split("\r\n")
                method, target, _ = first.split(" ")
                headers = dict(line.lower().split(": ", 1) for line in lines if line)
                call = Call(method, target, headers)
                self.calls.append(call)
                self.open_calls += 1
                self.most_open_calls = max(self.most_open_calls, self.open_calls)
                try:
                    done = self.answer(call, writer)
                    if done is not None:
                        await done
                    await writer.drain()
                finally:
                    self.open_calls -= 1
        writer.close()

    async def wait(self, count: int, seconds: float = 10.0) -> None:
        """Until that many calls have come."""
        async with asyncio.timeout(seconds):
            while len(self.calls) < count:  # noqa: ASYNC110 (a server cannot know who waits)
                await asyncio.sleep(0.01)


@asynccontextmanager
async def hook(
    answer: Answer | None = None, *, host: str = "127.0.0.1", context: ssl.SSLContext | None = None
) -> AsyncIterator[Hook]:
    """A receiver that answers `0` unless told otherwise."""
    made = Hook(answer or plain(), scheme="https" if context else "http")
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(made.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, host, 0, ssl=context, limit=1 << 20, backlog=512)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
