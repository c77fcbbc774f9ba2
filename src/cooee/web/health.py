"""Pages for whoever watches the process: /healthz, /readyz, /metrics."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from cooee.model.metrics import REGISTRY
from cooee.web.respond import Header, Send, encode, send_bytes

_PLAIN: Header = (b"content-type", b"text/plain; charset=utf-8")
_METRICS: Header = (b"content-type", CONTENT_TYPE_LATEST.encode())
_JSON: Header = (b"content-type", b"application/json")

PATHS = ("/healthz", "/readyz", "/metrics")

Readiness = Callable[[], tuple[bool, dict[str, Any]]]


class Pages:
    """Answers what lies outside of /api."""

    def __init__(self, readiness: Readiness, *, metrics: bool) -> None:
        self._readiness = readiness
        self._metrics = metrics

    async def answer(self, method: str, path: str, send: Send) -> None:
        """One response; 404 for a path that is none, 405 for what only GET may do."""
        if path not in PATHS or (path == "/metrics" and not self._metrics):
            await send_bytes(send, 404, b"Not found\n", content=_PLAIN)
        elif method not in ("GET", "HEAD"):
            await send_bytes(send, 405, b"Method not allowed\n", ((b"allow", b"GET, HEAD"),), _PLAIN)
        elif path == "/healthz":
            await send_bytes(send, 200, b"ok\n", content=_PLAIN)
        elif path == "/metrics":
            await send_bytes(send, 200, generate_latest(REGISTRY), content=_METRICS)
        else:
            ready, reasons = self._readiness()
            await send_bytes(send, 200 if ready else 503, encode({"ready": ready, **reasons}), content=_JSON)


class HealthOnly:
    """The ASGI application of a node without the API: /healthz, /readyz and /metrics."""

    def __init__(self, readiness: Readiness, *, metrics: bool) -> None:
        self._pages = Pages(readiness, metrics=metrics)

    async def __call__(self, scope: MutableMapping[str, Any], receive: object, send: Send) -> None:
        if scope["type"] == "http":
            await self._pages.answer(scope["method"], scope["path"], send)
