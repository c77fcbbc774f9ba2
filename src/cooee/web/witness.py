"""Answers whose sender must know whether the client has them.

uvicorn's `send` returns silently after a disconnect, and `receive` says "disconnected" as well once an answer is
complete; so whether all is written is found out before the last, empty piece of the body. Behind any other server
than our own (`connection`) only a disconnect that came before counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from cooee.web.body import Receive
from cooee.web.connection import EXTENSION, Connection
from cooee.web.respond import STALLED_S, Header, Send, Streamed, start_of


class _Listening:
    """Tells from ASGI alone whether the client has gone."""

    def __init__(self, receive: Receive) -> None:
        self._end = asyncio.ensure_future(receive())

    def gone(self) -> bool:
        return self._end.done()

    def answer(self, scope: MutableMapping[str, Any], head: bytes, body: bytes) -> bool:
        return False

    async def taken(self, patience_s: float) -> bool:
        # What has happened is known to the task after one round.
        await asyncio.sleep(0)
        return not self.gone()

    def abort(self) -> None:
        self._end.cancel()


async def send_witnessed(
    scope: MutableMapping[str, Any], receive: Receive, send: Send, answer: Streamed, extra: tuple[Header, ...]
) -> None:
    """A streamed response; `answer.sent` is told whether the client has taken all of it."""
    known: Connection | None = (scope.get("extensions") or {}).get(EXTENSION)
    connection = known or _Listening(receive)
    taken = False
    try:
        taken = await _all_taken(connection, send, answer, extra)
    except (OSError, TimeoutError):
        pass
    finally:
        if not taken or known is None:
            connection.abort()
        answer.close()
        if answer.sent is not None:
            await asyncio.shield(answer.sent(taken))
    if taken:
        await send({"type": "http.response.body", "body": b""})


async def _all_taken(connection: Connection, send: Send, answer: Streamed, extra: tuple[Header, ...]) -> bool:
    await send(start_of(answer, extra))
    async for chunk in answer.chunks:
        if connection.gone():
            return False
        async with asyncio.timeout(STALLED_S):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    return await connection.taken(STALLED_S)
