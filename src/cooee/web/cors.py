"""Browsers: no CORS headers at all, unless the operator names origins (wire contract §1)."""

from __future__ import annotations

from cooee.web.respond import Header

_VARY: Header = (b"vary", b"Origin")


class Cors:
    """Tells which headers a browser's request is answered with; `*` among the origins means any."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = frozenset(origin.rstrip("/").encode() for origin in origins)
        self.active = bool(origins)
        self._any = "*" in origins

    def names(self, origin: bytes | None) -> bool:
        """Whether pages of this origin may call."""
        return origin is not None and (self._any or origin in self._origins)

    def headers(self, origin: bytes | None) -> tuple[Header, ...]:
        """What every answer carries."""
        if origin is None or not self.names(origin):
            return (_VARY,)
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"Retry-After"),
            _VARY,
        )

    def preflight(self, methods: str) -> tuple[Header, ...]:
        """What the answer to OPTIONS carries besides."""
        return (
            (b"access-control-allow-methods", methods.encode()),
            (b"access-control-allow-headers", b"Authorization, Content-Type, Idempotency-Key"),
            (b"access-control-max-age", b"600"),
        )
