"""Behind a reverse proxy, requests come from the client that it asks for.

`BehindProxies` stands around the whole application, and only where proxies are trusted: without them nothing is
looked at, and X-Forwarded-… headers mean nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from cooee.model.proxies import TrustedProxies, is_https

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class BehindProxies:
    """ASGI: gives `app` the client's address and scheme as a trusted proxy tells them."""

    def __init__(self, app: Application, proxies: TrustedProxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        client = scope.get("client") if scope["type"] == "http" else None
        if client is not None and self._proxies.trusts(client[0]):
            forwarded, proto = [], []
            for name, value in scope["headers"]:
                if name == b"x-forwarded-for":
                    forwarded.append(value.decode("latin-1"))
                elif name == b"x-forwarded-proto":
                    proto.append(value.decode("latin-1"))
            address, hops = self._proxies.client(client[0], ",".join(forwarded))
            # The port that a proxy tells, if any, is of no use to anybody.
            scope["client"] = (address, 0 if address != client[0] else client[1])
            https = is_https(",".join(proto), hops) if proto else None
            if https is not None:
                scope["scheme"] = "https" if https else "http"
        await self._app(scope, receive, send)
