"""What ASGI does not tell: whether an answer has reached the client; and a shorter way to write one.

ASGI's `send` returns as soon as the server has taken the octets, and after a disconnect it may return as if
nothing were wrong. For replies, which are passed on once, that is not enough. So our server (app/http.py) gives
each request its connection in the scope, which tells when everything that was written has been acknowledged by the
other side's TCP. What the client's program does with it nobody can know.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Protocol

EXTENSION = "cooee.connection"
"""Where a request's connection stands in its ASGI scope, under `extensions`."""


class Connection(Protocol):
    """The connection that a request came over."""

    def gone(self) -> bool:
        """The client has closed its side, or the connection is lost."""
        ...

    def answer(self, scope: MutableMapping[str, Any], head: bytes, body: bytes) -> bool:
        """Writes the whole answer to the request of `scope` at once: `head` holds status line and headers without
        the empty line. False, and nothing is written, where that cannot be; then ASGI's `send` must do it."""
        ...

    async def taken(self, patience_s: float) -> bool:
        """Whether the client takes all that was written so far. To be asked without awaiting anything in between.

        False when it closes before, or when nothing moves for `patience_s`.
        """
        ...

    def abort(self) -> None:
        """Cuts the connection; what is unwritten is dropped."""
        ...
