"""How much of a request is waited for, and how long: uvicorn bounds neither.

A client that is not logged in yet may send a request line and headers without an end, or open connections and say
nothing; each holds memory and a file descriptor. Here a head has a size and a time to come in, and a body has to
make progress. A request that comes whole, as nearly all do, costs no timer; between requests there is one timer
all the time.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cooee.model.errors import BAD_JSON, TOO_LARGE
from cooee.web.respond import encode

MAX_HEAD = 65_536
"""Octets of request line and headers that are taken beyond those that came with their first piece."""
PATIENCE_S = 30.0
"""How long a head may take, and how often it is looked whether a body goes on."""
LEAST = 32_768
"""Octets of a body that must come in that time, unless it is we who read no more: about 1 KiB/s."""


class Patience(HttpToolsProtocol):
    """Ends connections that go on for ever or not at all; what is no HTTP is told in JSON like any other error."""

    patience_s = PATIENCE_S
    _timer: asyncio.TimerHandle | None = None
    _in_head = False
    _octets = 0
    """Of what is unfinished, head or body, since it was last looked."""
    _paused = False
    _idle_since: float | None = None
    """When the last answer was complete, until something comes after it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # One that is left from the request before is about that one.
        self._disarm()
        self._in_head = True
        self._octets = 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._disarm()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        inside = self._in_head
        super().data_received(data)
        if self._in_head:
            self._octets += len(data) if inside else 0
            if self._octets > MAX_HEAD:
                self._in_head = False
                self._end(431, {"Message": "Request headers too large", "Code": TOO_LARGE.code})
                return
        elif self._answering():
            if not self.cycle.more_body:
                return
            self._octets += len(data)
        if self._timer is None and not self.transport.is_closing():
            self._arm()

    def on_response_complete(self) -> None:
        """As uvicorn's, but for the timer: one that is set goes on, and looks how long nothing came."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_again_after(self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            # The answer of the request that is under way sets it again.
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._look_again_after(left)
        elif not self.transport.is_closing():
            self.transport.close()

    def _look_again_after(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def send_400_response(self, msg: str) -> None:
        self._end(400, {"Message": "Request is not valid HTTP", "Code": BAD_JSON.code})

    def _answering(self) -> bool:
        """A request is under way: its head is here, and its answer has not been written."""
        return self.cycle is not None and not self.cycle.response_complete

    def _arm(self) -> None:
        self._timer = self.loop.call_later(self.patience_s, self._look)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._answering():
            paused, self._paused = self._paused or self.flow.read_paused, self.flow.read_paused
            octets, self._octets = self._octets, 0
            if not self.cycle.more_body:
                return
            if paused or octets >= LEAST:
                self._arm()
                return
        elif self._idle_since is not None:
            # Between two requests the other timer runs.
            return
        self.transport.close()

    def _end(self, status: int, answer: dict[str, object]) -> None:
        if self._answering() and (self.pipeline or self.cycle.response_started or not self.cycle.more_body):
            # Whoever waits for the answer to a whole request would take this for it, and might send it again.
            if status == HTTPStatus.BAD_REQUEST:
                self.cycle.keep_alive = False
            else:
                self.transport.close()
            return
        body = encode(answer)
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
