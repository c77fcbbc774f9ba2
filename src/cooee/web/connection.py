"""What ASGI does not tell: whether an answer has reached the client.

ASGI's `send` returns as soon as the server has taken the octets, and after a disconnect it may return as if
nothing were wrong. For replies, which are passed on once, that is not enough. So uvicorn's protocol is extended
here: each request finds its connection in the scope and can ask whether everything that was written has been
acknowledged by the other side's TCP. What the client's program does with it nobody can know.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import termios
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION = "cooee.connection"
"""Where a request's connection stands in its ASGI scope, under `extensions`."""
LOOK_S = (0.001, 0.05)


class Connection(Protocol):
    """The connection that a request came over."""

    def gone(self) -> bool:
        """The client has closed its side, or the connection is lost."""
        ...

    async def taken(self, patience_s: float) -> bool:
        """Whether the client takes all that was written so far. To be asked without awaiting anything in between.

        False when it closes before, or when nothing moves for `patience_s`.
        """
        ...

    def abort(self) -> None:
        """Cuts the connection; what is unwritten is dropped."""
        ...


class WatchedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, whose requests know their connection."""

    _closed = False
    _all_taken = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: Any = self.scope
        scope["extensions"] = {EXTENSION: self}

    def eof_received(self) -> None:
        # Now or never: the socket is about to be closed.
        self._all_taken = self._under_way() == 0
        self._closed = True
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        super().connection_lost(exc)

    def gone(self) -> bool:
        return self._closed

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
