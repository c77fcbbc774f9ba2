"""uvicorn's HTTP protocol, with one write a response instead of two.

uvicorn writes a response's head as soon as the application has given it, and the body after it: two system calls,
and a client that is woken twice. Here the head waits for the body (docs/decisions/0007-single-messages.md).
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


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


class OneWrite(HttpToolsProtocol):
    """To be given to uvicorn as its `http`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Everything is written through a transport that joins head and body."""
        self._joined = _HeadWaits(transport)
        super().connection_made(self._joined)  # type: ignore[arg-type]

    def on_response_complete(self) -> None:
        """A response without a body ends with its head."""
        self._joined.flush()
        super().on_response_complete()
