"""A response leaves with one write, whatever its kind, and nothing of it is held back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from cooee.app.http import OneWrite, Watched
from cooee.web.respond import send_answer

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Wire(asyncio.Transport):
    """What was written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
    path = scope["path"]
    if path.startswith("/api"):
        await receive()
        await send_answer(scope, send, {"Code": 0}, ((b"x-extra", b"1"),) if path == "/api/extra" else ())
        return
    if path == "/reads":
        await receive()
    if path == "/fails":
        raise RuntimeError("on purpose")
    status = 204 if path == "/empty" else 200
    body = b"" if path == "/empty" else b"hello"
    chunks = [b"one,", b"two"] if path == "/streamed" else [body]
    headers = [] if path == "/empty" else [(b"content-length", b"%d" % sum(map(len, chunks)))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for no, chunk in enumerate(chunks, 1):
        await send({"type": "http.response.body", "body": chunk, "more_body": no < len(chunks)})


async def answer(
    *requests: bytes, kind: type[OneWrite] = OneWrite, paused: bool = False, common: bytes = b"date"
) -> Wire:
    """What is written for requests; `paused` while the client takes nothing, until all of them are here."""
    config = uvicorn.Config(app, http=kind, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    state.default_headers = [(common, b"close" if common == b"connection" else b"today")]
    protocol = kind(config=config, server_state=state, app_state={})
    wire = Wire()
    protocol.connection_made(wire)
    if paused:
        protocol.pause_writing()
    for request in requests:
        protocol.data_received(request)
    if paused:
        for _ in range(20):
            await asyncio.sleep(0)
        assert wire.writes == []
        protocol.resume_writing()
    for _ in range(20):
        await asyncio.sleep(0)
    if protocol.timeout_keep_alive_task is not None:
        protocol.timeout_keep_alive_task.cancel()
    return wire


def get(path: str, method: str = "GET", extra: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{extra}\r\n".encode()


def test_head_and_body_are_one_write() -> None:
    wire = asyncio.run(answer(get("/")))
    assert len(wire.writes) == 1
    assert wire.writes[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert wire.writes[0].endswith(b"\r\n\r\nhello")


def test_responses_in_a_pipeline_are_one_write_each_and_in_order() -> None:
    wire = asyncio.run(answer(get("/") + get("/streamed") + get("/")))
    assert [write.rpartition(b"\r\n\r\n")[2] for write in wire.writes] == [b"hello", b"one,", b"two", b"hello"]


@pytest.mark.parametrize(("path", "method"), [("/empty", "GET"), ("/", "HEAD")])
def test_a_head_without_a_body_is_not_held_back(path: str, method: str) -> None:
    wire = asyncio.run(answer(get(path, method)))
    assert b"".join(wire.writes).endswith(b"\r\n\r\n")
    assert b"".join(wire.writes).startswith(b"HTTP/1.1 20")


def test_continue_is_said_at_once() -> None:
    wire = asyncio.run(answer(get("/reads", "POST", "Content-Length: 2\r\nExpect: 100-continue\r\n")))
    assert wire.writes[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire = asyncio.run(answer(get("/reads", "POST", "Content-Length: 2\r\nExpect: 100-continue\r\n"), b"{}"))
    assert wire.writes[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert wire.writes[1].startswith(b"HTTP/1.1 200 OK\r\n")
    assert wire.writes[1].endswith(b"hello")


def test_a_closed_connection_gets_everything_first() -> None:
    wire = asyncio.run(answer(get("/", extra="Connection: close\r\n")))
    assert b"".join(wire.writes).endswith(b"hello")
    assert wire.closed
    wire = asyncio.run(answer(get("/fails")))
    assert b"".join(wire.writes).endswith(b"Internal Server Error")
    assert wire.closed


def parsed(write: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    head, _, body = write.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers = {name: value for name, _, value in (line.partition(b": ") for line in lines)}
    assert len(headers) == len(lines)
    return first, headers, body


@pytest.mark.parametrize("kind", [OneWrite, Watched])
@pytest.mark.parametrize("path", ["/api", "/api/extra"])
def test_an_answer_is_the_same_by_the_short_way_and_the_long_one(kind: type[OneWrite], path: str) -> None:
    (write,) = asyncio.run(answer(get(path), kind=kind)).writes
    extra = {b"x-extra": b"1"} if path == "/api/extra" else {}
    assert parsed(write) == (
        b"HTTP/1.1 200 OK",
        {
            b"content-type": b"application/json", b"x-content-type-options": b"nosniff",
            b"cache-control": b"no-store", b"content-length": b"10", b"date": b"today", **extra,
        },
        b'{"Code":0}',
    )  # fmt: skip


def test_short_answers_in_a_pipeline_come_in_order() -> None:
    wire = asyncio.run(answer(get("/api") + get("/") + get("/api") + get("/api/extra"), kind=Watched))
    assert [parsed(write)[2] for write in wire.writes] == [b'{"Code":0}', b"hello", b'{"Code":0}', b'{"Code":0}']


def test_a_short_answer_waits_for_a_client_that_takes_nothing() -> None:
    wire = asyncio.run(answer(get("/api"), kind=Watched, paused=True))
    assert parsed(b"".join(wire.writes))[2] == b'{"Code":0}'


def test_a_short_answer_to_a_client_that_wants_no_other_closes() -> None:
    wire = asyncio.run(answer(get("/api", extra="Connection: close\r\n"), kind=Watched))
    assert parsed(b"".join(wire.writes))[1][b"connection"] == b"close"
    assert wire.closed


def test_a_short_answer_to_head_has_no_body() -> None:
    wire = asyncio.run(answer(get("/api", "HEAD"), kind=Watched))
    _, headers, body = parsed(b"".join(wire.writes))
    assert (headers[b"content-length"], body) == (b"10", b"")


def test_a_node_that_drains_says_that_it_closes_and_does() -> None:
    wire = asyncio.run(answer(get("/api"), kind=Watched, common=b"connection"))
    assert parsed(b"".join(wire.writes))[1][b"connection"] == b"close"
    assert wire.closed


def test_octets_behind_a_whole_request_do_not_become_its_answer() -> None:
    """A client that is told -900 for what is carried out would send it again."""
    for path in ("/api", "/reads"):
        wire = asyncio.run(
            answer(get(path, "POST", "Content-Length: 2\r\n") + b"{}", b"\x16\x03x\r\n\r\n", kind=Watched)
        )
        first, headers, body = parsed(b"".join(wire.writes))
        assert (first, headers[b"connection"]) == (b"HTTP/1.1 200 OK", b"close")
        assert body in (b"hello", b'{"Code":0}')
        assert wire.closed
    wire = asyncio.run(answer(get("/reads", "POST", "Transfer-Encoding: chunked\r\n"), b"zz\r\n", kind=Watched))
    assert wire.writes[0].startswith(b"HTTP/1.1 400 ")
