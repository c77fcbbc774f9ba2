"""Answers: JSON with strict headers, every error rendered in one place (wire contract §1, §2)."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import msgspec
import structlog

from cooee.model.errors import INTERNAL, TOO_LARGE, UNAUTHORISED, UNAVAILABLE, ApiError, StoreUnavailable
from cooee.web.body import Receive
from cooee.web.connection import EXTENSION, Connection

log = structlog.get_logger()

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

NO_CONTENT = 204
RETRY_AFTER_S = 5
"""What a client is told to wait while the database is away."""

STALLED_S = 300
"""A client that takes nothing of a large answer for so long is given up. Long, for a system tells that there is
room again only when a third of its buffer is free: that is a megabyte, which a slow client takes minutes for."""

_STRICT: tuple[Header, ...] = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
_JSON: Header = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode
_CARRIED_OUT = (
    b"HTTP/1.1 200 OK\r\n"
    + b"".join([b"%b: %b\r\n" % header for header in (_JSON, *_STRICT)])
    + b"content-length: %d\r\n"
)


@dataclass(slots=True)
class Streamed:
    """A JSON answer of known length that is not held in memory; `close` frees what it holds.

    `sent`, if there is one, is awaited in the end, and told whether the client has taken the whole answer.
    """

    length: int
    chunks: AsyncIterator[bytes]
    close: Callable[[], None]
    sent: Callable[[bool], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as it goes out."""

    status: int
    body: bytes
    code: int
    headers: tuple[Header, ...] = ()


def encode(answer: dict[str, object]) -> bytes:
    """A JSON object with its keys in the order they have."""
    return _encode(answer)


async def send_answer(
    scope: MutableMapping[str, Any], send: Send, answer: dict[str, object] | bytes, extra: tuple[Header, ...]
) -> None:
    """The answer to a request that was carried out; at once where our own server is behind it."""
    body = answer if isinstance(answer, bytes) else _encode(answer)
    if not extra:
        extensions = scope.get("extensions")
        connection: Connection | None = extensions.get(EXTENSION) if extensions else None
        if connection is not None and connection.answer(scope, _CARRIED_OUT % len(body), body):
            return
    await send_bytes(send, 200, body, extra)


async def send_bytes(
    send: Send, status: int, body: bytes, extra: tuple[Header, ...] = (), content: Header = _JSON
) -> None:
    """A whole response. A client that has gone meanwhile is no error."""
    sized = (content, (b"content-length", b"%d" % len(body))) if status != NO_CONTENT else ()
    headers = [*sized, *_STRICT, *extra]
    try:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    except OSError:
        return


def streamed(answer: bytes | Streamed) -> Streamed:
    """`answer` as one that is streamed."""
    if isinstance(answer, Streamed):
        return answer

    async def whole() -> AsyncIterator[bytes]:
        yield answer

    return Streamed(len(answer), whole(), lambda: None)


def start_of(answer: Streamed, extra: tuple[Header, ...]) -> dict[str, Any]:
    """The ASGI message that a streamed response begins with."""
    headers = [_JSON, (b"content-length", b"%d" % answer.length), *_STRICT, *extra]
    return {"type": "http.response.start", "status": 200, "headers": headers}


async def send_streamed(send: Send, answer: Streamed, extra: tuple[Header, ...], receive: Receive) -> None:
    """A streamed response. What it holds is freed at once when the client goes away, and when it takes nothing
    for STALLED_S; then the response stays incomplete and the connection is closed."""
    # A server need not say, when it is sent to, that there is nobody any more; it says so when it is asked.
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await send(start_of(answer, extra))
        async for chunk in answer.chunks:
            if gone.done() and gone.result():
                return
            async with asyncio.timeout(STALLED_S):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except TimeoutError:
        log.info("client_stalled", seconds=STALLED_S)
    except OSError:
        return
    finally:
        gone.cancel()
        answer.close()


async def _gone(receive: Receive) -> bool:
    """Waits for the client to go. False where the server has something else to say, which it should not."""
    message = await receive()
    return bool(message["type"] == "http.disconnect")


def refusal_of(error: Exception, business_status: int) -> Refusal:
    """How an error is told to the client. What is no ApiError is logged under a request id, without its text:
    that might hold a message or a secret."""
    if isinstance(error, StoreUnavailable):
        error = ApiError(UNAVAILABLE, retry_after=RETRY_AFTER_S)
    elif not isinstance(error, ApiError):
        error = _internal(error)
    code = error.code
    headers: list[Header] = []
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after))
    if code is UNAUTHORISED:
        headers.append((b"www-authenticate", b'Basic realm="Cooee", charset="UTF-8"'))
    if code is TOO_LARGE:
        headers.append((b"connection", b"close"))
    body = _encode({"Message": str(error), "Code": code.code})
    return Refusal(business_status if code.business else code.http, body, code.code, tuple(headers))


def _internal(error: Exception) -> ApiError:
    request_id = token_hex(8)
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    log.error("request_failed", request_id=request_id, error=type(error).__name__, where=where)
    return ApiError(INTERNAL, request_id)
