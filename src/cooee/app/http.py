"""uvicorn's HTTP protocol, with one write a response instead of two, and with connections that can be watched.

uvicorn writes a response's head as soon as the application has given it, and the body after it: two system calls,
and a client that is woken twice. Here the head waits for the body, and the commonest answers are taken whole
(docs/decisions/0007-single-messages.md).

It also keeps to itself whether a client has taken what was written (web/connection.py says who wants to know).
Here a connection tells it: what is neither in the transport's buffer nor unacknowledged in the system's has
arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import termios
from typing import Any, ClassVar

from cooee.app.patience import Patience
from cooee.web.connection import EXTENSION

LOOK_S = (0.001, 0.05)
"""How often it is looked whether octets have arrived: at first, and later."""


class _HeadWaits:
    """A transport whose writes of a response's head wait for what is written next."""

    __slots__ = ("__dict__", "_held", "_transport", "_write")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._write = transport.write
        self._held: bytes | None = None
        # Looked up once: these are asked for with every request.
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        held = self._held
        if held is not None:
            self._held = None
            self._write(held + data)
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._held = data
        else:
            self._write(data)

    def write_whole(self, data: bytes) -> None:
        """Writes a head that has its body behind it."""
        self._write(data)

    def flush(self) -> None:
        """Writes a head that nothing will follow."""
        held = self._held
        if held is not None:
            self._held = None
            self._write(held)

    def close(self) -> None:
        """Nothing that was written is lost."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class OneWrite(Patience):
    """Joins the head and the body of a response."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Everything is written through a transport that joins head and body."""
        self._joined = _HeadWaits(transport)
        super().connection_made(self._joined)  # type: ignore[arg-type]

    def on_response_complete(self) -> None:
        """A response without a body ends with its head."""
        self._joined.flush()
        super().on_response_complete()


class Watched(OneWrite):
    """To be given to uvicorn as its `http`: its requests know their connection (web/connection.py)."""

    _closed = False
    _all_taken = False
    _joined_headers: ClassVar[tuple[list[tuple[bytes, bytes]], bytes | None]] = ([], b"")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._extensions = {EXTENSION: self}
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: Any = self.scope
        scope["extensions"] = self._extensions

    def eof_received(self) -> None:
        # Now or never: the socket is about to be closed.
        self._all_taken = self._under_way() == 0
        self._closed = True
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._extensions = {}
        super().connection_lost(exc)

    def gone(self) -> bool:
        return self._closed

    def answer(self, scope: Any, head: bytes, body: bytes) -> bool:
        cycle = self.cycle
        if (
            cycle.scope is not scope
            or cycle.response_started
            or cycle.disconnected
            or not cycle.keep_alive
            or self.flow.write_paused
            or scope["method"] == "HEAD"
            or (common := self._common_headers()) is None
        ):
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        self._joined.write_whole(b"".join((head, common, b"\r\n", body)))
        cycle.message_event.set()
        self.on_response_complete()
        return True

    def _common_headers(self) -> bytes | None:
        """What uvicorn adds to every answer, a new list each second; joined once for all that share it.

        None where it ends the connection, as while a node drains: closing is uvicorn's work.
        """
        given = self.server_state.default_headers
        known, joined = Watched._joined_headers
        if known is not given:
            ends = any(name.lower() == b"connection" for name, _ in given)
            joined = None if ends else b"".join([b"%b: %b\r\n" % header for header in given])
            Watched._joined_headers = (given, joined)
        return joined

    async def taken(self, patience_s: float) -> bool:
        if self.gone() or self.transport.is_closing():
            return False
        pause, slowest = LOOK_S
        left = self._under_way()
        moved = self.loop.time()
        # uvloop hands over what was written at the end of its round.
        await asyncio.sleep(0)
        while not self.gone():
            before, left = left, self._under_way()
            if left == 0:
                return True
            if left != before:
                moved = self.loop.time()
            elif self.loop.time() - moved > patience_s:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 2, slowest)
        return self._all_taken

    def abort(self) -> None:
        sock = self.transport.get_extra_info("socket")
        if sock is not None and not self._closed:
            # What the system has buffered must not arrive either: it will be told again.
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as twin:
                twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _under_way(self) -> int:
        """Octets that were written and that the other side has not acknowledged."""
        buffered = self.transport.get_write_buffer_size()
        sock = self.transport.get_extra_info("socket")
        if buffered or sock is None:
            return buffered
        try:
            answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        except OSError:
            # A system that does not tell, or a socket that is gone: then only the buffer counts.
            return 0
        return int(struct.unpack("i", answer)[0])
