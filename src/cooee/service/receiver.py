"""Calling a customer's webhook: one HTTP GET, guarded, and a verdict.

The guard (SSRF): a name is resolved here, every address is judged by model/addresses.py, and the connection goes
to the very address that was judged, so a name server that answers differently a moment later gains nothing. Each
socket's address is judged once more when it is made. Redirects are followed by hand, three at most, each judged
like the first URL; from https to http none is followed, for the query holds the password. No proxy of the
environment is used, no cookie is kept, nothing is decompressed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urljoin

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from cooee import __version__
from cooee.model.addresses import forbidden
from cooee.model.clock import Clock
from cooee.model.webhook import MAX_ANSWER, TAKEN, ReplyCall, Target, clean_url, request_url
from cooee.service.resolver import Resolve, SystemResolver

log = structlog.get_logger()

CONNECT_S = 5.0
"""For a connection, its TLS handshake included."""
TOTAL_S = 15.0
"""For everything, redirects included."""
IDLE_S = 2.0
"""How long a connection waits to be used again."""
MAX_REDIRECTS = 3
REASON_LENGTH = 120
_EXCERPT = 24
_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS = {"User-Agent": f"Cooee/{__version__}", "Accept": "text/plain, */*;q=0.5", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call. `reason` says in a few words what was wrong, without any secret or message text.

    `excerpt` is the beginning of a wrong answer, for the eyes of a person; '' where it could tell a secret.
    `unreachable`: nobody answered at all, so the next call will hardly fare better.
    """

    taken: bool
    status: int | None = None
    reason: str = ""
    excerpt: str = ""
    unreachable: bool = False


class _Refused(OSError):
    """An address that nothing is sent to."""


class _Judged(AbstractResolver):
    """aiohttp's door to names: passes on only what may be called."""

    def __init__(self, resolve: Resolve, allow_private: bool) -> None:
        self._resolve = resolve
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found: list[ResolveResult] = []
        refused = ""
        for text in await self._resolve(host):
            address = ip_address(text)
            reason = forbidden(address, allow_private=self._allow_private)
            if reason:
                refused = refused or f"it resolves to {text}, which is {reason}"
                continue
            kind = socket.AF_INET if address.version == 4 else socket.AF_INET6
            found.append(
                ResolveResult(
                    hostname=host, host=text, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST
                )
            )
        if not found:
            raise _Refused(refused) if refused else OSError("it has no address")
        return found

    async def close(self) -> None:
        """Nothing is held."""


class Receiver:
    """Calls webhooks. Close it at the end."""

    def __init__(self, clock: Clock, *, allow_private: bool, resolve: Resolve | None = None) -> None:
        self._allow_private = allow_private
        self._resolver = _Judged(resolve or SystemResolver(clock), allow_private)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    def _socket(self, info: Any) -> socket.socket:
        family, kind, proto, _, where = info
        reason = forbidden(ip_address(where[0]), allow_private=self._allow_private)
        if reason:
            raise _Refused(f"{where[0]} is {reason}")
        return socket.socket(family, kind, proto)

    def _session(self, keep: bool) -> aiohttp.ClientSession:
        """One for connections that are used again, one for others: idle ones by the thousand are too many."""
        if keep not in self._sessions:
            make = partial(
                aiohttp.TCPConnector,
                resolver=self._resolver,
                use_dns_cache=False,
                limit=0,
                socket_factory=self._socket,
                ssl=ssl.create_default_context(),
            )
            connector = make(keepalive_timeout=IDLE_S) if keep else make(force_close=True)
            self._sessions[keep] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
                headers=_HEADERS,
                trust_env=False,
                auto_decompress=False,
                requote_redirect_url=False,
            )
        return self._sessions[keep]

    async def close(self) -> None:
        """Lets go of every connection."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def call(self, target: Target, call: ReplyCall, *, keep: bool = False) -> Outcome:
        """Tells one reply; raises only when cancelled. `keep`: the connection will be used again at once."""
        try:
            async with asyncio.timeout(TOTAL_S):
                return await self._follow(target, call, keep)
        except TimeoutError:
            return Outcome(False, reason=f"no whole answer within {TOTAL_S:g} s", unreachable=True)
        except Exception as error:
            # A receiver that finds a fault of ours, or of the library, must not end the calls of all others.
            log.error("webhook_call_failed", host=target.host, reason=type(error).__name__)
            return Outcome(False, reason=f"the call failed by a fault of its own ({type(error).__name__})")

    async def _follow(self, target: Target, call: ReplyCall, keep: bool) -> Outcome:
        url = request_url(target, call)
        secrets = (target.password, call.text)
        for _ in range(1 + MAX_REDIRECTS):
            try:
                # Judged again on each call: what was stored may come from before the setting changed.
                clean_url(url, allow_private=self._allow_private)
            except ValueError as error:
                return Outcome(False, reason=_short(f"refused: {error}"))
            try:
                answer = await self._get(url, keep, secrets)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                return _failure(error)
            if isinstance(answer, Outcome):
                return answer
            status, location = answer
            following = urljoin(url, location)
            try:
                following = clean_url(following, allow_private=self._allow_private)
            except ValueError as error:
                return Outcome(False, status, _short(f"redirected to a URL that is refused: {error}"))
            if url.startswith("https:") and not following.startswith("https:"):
                return Outcome(False, status, "redirected from https to http, which would tell the password")
            url = following
        return Outcome(False, status, f"more than {MAX_REDIRECTS} redirects")

    async def _get(self, url: str, keep: bool, secrets: Iterable[str]) -> Outcome | tuple[int, str]:
        """One request: what came of it, or a redirect's status and place."""
        response = await self._session(keep).get(URL(url, encoded=True), allow_redirects=False)
        # A connection is used again only if the answer was read to its end; it is back in the pool by then.
        with contextlib.closing(response):
            status = response.status
            location = response.headers.get("Location")
            if status in _REDIRECTS and location:
                return status, location
            body, ended = await _read(response)
            if not 200 <= status < 300:
                return Outcome(False, status, f"answered {status}", _excerpt(body, secrets))
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                return Outcome(False, status, f"answered {status} with a compressed body, which is not read")
            if not ended:
                return Outcome(
                    False, status, f"answered {status} with more than {MAX_ANSWER} octets instead of 0",
                    _excerpt(body, secrets),
                )  # fmt: skip
            if body.strip() != TAKEN:
                what = "something else than 0" if body.strip() else "an empty body instead of 0"
                return Outcome(False, status, f"answered {status} with {what}", _excerpt(body, secrets))
            return Outcome(True, status)


async def _read(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """The beginning of a body, and whether that is all of it."""
    body = b""
    while len(body) <= MAX_ANSWER:
        piece = await response.content.read(MAX_ANSWER + 1 - len(body))
        if not piece:
            return body, True
        body += piece
    return body, False


def _excerpt(body: bytes, secrets: Iterable[str]) -> str:
    """A short, printable beginning; nothing where a receiver echoes what it was sent."""
    text = body[: MAX_ANSWER // 4].decode("utf-8", "replace")
    # As it is, and as it stands in the URL, which is what most receivers echo.
    if any(secret and (secret[:4] in text or quote(secret[:4], safe="") in text) for secret in secrets):
        return ""
    shown = "".join(character if character.isprintable() else " " for character in text.strip())
    return shown if len(shown) <= _EXCERPT else shown[:_EXCERPT] + "…"


def _failure(error: Exception) -> Outcome:
    """An error of the network in a few words. The texts of aiohttp are not used: some hold the whole URL."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            inner = error.certificate_error
            detail = getattr(inner, "verify_message", "") or type(inner).__name__
            reason = f"its certificate is not accepted: {detail}"
        case aiohttp.ClientSSLError():
            reason = "no TLS connection: " + (getattr(error.os_error, "reason", "") or "handshake failed")
        case aiohttp.ClientConnectorDNSError():
            cause = error.os_error
            if isinstance(cause, _Refused):
                return Outcome(False, reason=_short(f"refused: {cause}"))
            detail = "no answer from the name server" if isinstance(cause, TimeoutError) else _words(cause)
            reason = f"its name has no address: {detail}"
        case aiohttp.ConnectionTimeoutError():
            reason = f"no connection within {CONNECT_S:g} s"
        case aiohttp.ClientConnectorError():
            reason = f"no connection: {_words(error.os_error)}"
        case aiohttp.ServerDisconnectedError() | ConnectionResetError():
            reason = "the connection ended before an answer came"
        case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError() | ValueError():
            return Outcome(False, reason="what it answered is not valid HTTP")
        case TimeoutError():
            reason = f"its name has no address: no answer from the name server within {CONNECT_S:g} s"
        case OSError():
            reason = f"no connection: {_words(error)}"
        case _:
            reason = "the connection broke"
    return Outcome(False, reason=_short(reason), unreachable=True)


def _words(error: OSError) -> str:
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return error.strerror or str(error) or type(error).__name__


def _short(text: str) -> str:
    return text if len(text) <= REASON_LENGTH else text[: REASON_LENGTH - 1] + "…"
