"""What the API says of itself: /openapi.json for programs and /docs for people. No login: there is nothing in them
that docs/api.md does not say.

Both are made when they are first asked for, on a thread, and kept as bytes.
"""

from __future__ import annotations

import asyncio

from cooee.model.codetable import CodeTable
from cooee.web.respond import Header, Send, encode, send_bytes

OPENAPI, DOCS = "/openapi.json", "/docs"
_PLAIN: Header = (b"content-type", b"text/plain; charset=utf-8")
_HTML: Header = (b"content-type", b"text/html; charset=utf-8")
_JSON: Header = (b"content-type", b"application/json")


class Documents:
    """Answers /openapi.json and /docs. `business_status` is the setting `error_http_status`."""

    def __init__(self, codes: CodeTable, business_status: int) -> None:
        self._codes = codes
        self._status = business_status
        self._made: tuple[bytes, bytes, tuple[Header, ...]] | None = None

    @staticmethod
    def has(path: str) -> bool:
        """Whether a path is one of these."""
        return path in (OPENAPI, DOCS, f"{DOCS}/")

    async def answer(self, method: str, path: str, send: Send) -> None:
        """One response; 405 for what only GET may do."""
        if method not in ("GET", "HEAD"):
            await send_bytes(send, 405, b"Method not allowed\n", ((b"allow", b"GET, HEAD"),), _PLAIN)
            return
        if self._made is None:
            self._made = await asyncio.to_thread(self._make)
        description, page, headers = self._made
        if path == OPENAPI:
            await send_bytes(send, 200, description, content=_JSON)
        else:
            await send_bytes(send, 200, page, headers, _HTML)

    def _make(self) -> tuple[bytes, bytes, tuple[Header, ...]]:
        # Imported here: they describe the API, so that they import it; and most nodes are never asked.
        from cooee.web import docspage, openapi

        document = openapi.document(self._status)
        headers = (
            (b"content-security-policy", docspage.POLICY.encode()),
            (b"referrer-policy", b"no-referrer"),
        )
        return encode(document), docspage.page(document, self._codes).encode(), headers
