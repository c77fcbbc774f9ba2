"""Requests without an end, requests that never begin, and what is no HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from cooee.app.http import Watched

PATIENCE_S = 0.2
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answers with the size of the body; /late begins to read late, /at-once answers without reading."""
    if scope["path"] == "/late":
        await asyncio.sleep(3 * PATIENCE_S)
    size, more = 0, scope["path"] != "/at-once"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        more = message["more_body"]
    body = b"%d" % size
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def talk(what: Talk, patience_s: float = PATIENCE_S, keep_alive_s: int = 5) -> None:
    """Runs `what` against a server of its own."""
    protocol = type("Impatient", (Watched,), {"patience_s": patience_s})

    async def main() -> None:
        config = uvicorn.Config(
            app, port=0, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False,
            timeout_keep_alive=keep_alive_s,
        )  # fmt: skip
        server = uvicorn.Server(config)
        task = asyncio.create_task(server._serve())
        while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.005)
        try:
            port = server.servers[0].sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.timeout(20):
                await what(reader, writer)
            writer.close()
        finally:
            server.should_exit = True
            await task

    asyncio.run(main())


async def pieces(writer: asyncio.StreamWriter, piece: bytes, count: int, pause: float) -> None:
    for _ in range(count):
        writer.write(piece)
        try:
            await writer.drain()
        except ConnectionError:
            return
        await asyncio.sleep(pause)


async def rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    (size,) = [int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
    return await reader.readexactly(size)


def refusal(raw: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    assert b"connection: close" in head
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nx: ", b"GET / HTTP/1.1\r\n"])
def test_a_head_without_an_end_is_refused(start: bytes) -> None:
    async def what(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await writer.drain()
        await asyncio.sleep(0.02)
        more = b"a" * 4096 if start != b"GET / HTTP/1.1\r\n" else b"abc: def\r\n" * 400
        # Just too much: whoever is cut off while sending may lose the answer.
        await pieces(writer, more, 17, 0.01)
        status, said = refusal(await rest(reader))
        assert (status, said["Code"]) == (431, -906)

    talk(what, 15)


@pytest.mark.parametrize("raw", [b"GARBAGE\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n{}"])
def test_what_is_no_http_is_told_in_json(raw: bytes) -> None:
    async def what(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        assert refusal(await rest(reader)) == (400, {"Message": "Request is not valid HTTP", "Code": -900})

    talk(what)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b""),
        (b"", b"\r\n"),
        (b"GET / HTTP/1.1\r\n", b"a: b\r\n"),
        (b"POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n", b"x"),
        (b"POST /at-once HTTP/1.1\r\nContent-Length: 5000\r\n\r\n", b"x"),
        (b"GET / HTTP/1.1\r\n\r\n", b"\r\n"),
    ],
    ids=["silent", "empty lines", "slow head", "slow body", "slow body that nobody reads", "empty lines after"],
)
def test_a_client_that_gets_nowhere_is_cut_off(start: bytes, piece: bytes) -> None:
    async def what(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        sending = asyncio.create_task(pieces(writer, piece, 400, PATIENCE_S / 8))
        began = asyncio.get_running_loop().time()
        await rest(reader)
        # Keep-alive alone would hold it for 5 s, and the sender goes on for 10.
        assert asyncio.get_running_loop().time() - began < 3
        sending.cancel()

    talk(what)


def test_who_goes_on_is_waited_for() -> None:
    async def what(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for path in ("/", "/late"):
            writer.write(b"POST %b HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" % path.encode())
            await pieces(writer, b"x" * 50_000, 20, PATIENCE_S / 8)
            assert await answer(reader) == b"1000000"
        # A pause between two requests is no stall.
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(PATIENCE_S / 4)
        writer.write(b"{}")
        assert await answer(reader) == b"2"
        await asyncio.sleep(3 * PATIENCE_S)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await answer(reader) == b"0"

    talk(what)


def test_a_connection_is_kept_while_requests_come_and_closed_when_none_does() -> None:
    """One timer for all of them: it counts from the last answer, not from when it was set."""

    async def what(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < 2.2:
            writer.write(b"GET /at-once HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await answer(reader) == b"0"
            await asyncio.sleep(0.4)
        last = loop.time() - 0.4
        assert await reader.read() == b""
        assert 0.9 < loop.time() - last < 3

    talk(what, patience_s=30, keep_alive_s=1)


def test_a_request_that_takes_longer_than_a_connection_is_kept_is_answered() -> None:
    async def what(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /at-once HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await answer(reader) == b"0"
        await asyncio.sleep(0.8)
        writer.write(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await answer(reader) == b"0"
        assert await reader.read() == b""

    talk(what, patience_s=30, keep_alive_s=1)
