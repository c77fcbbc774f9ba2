"""Request bodies: received up to a limit, decoded as far as needed (wire contract §1).

A small body is decoded as it is. A large one is split into its fields, but a field's value stays JSON text until
somebody asks for it: so a million destinations are never decoded as a whole.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from cooee.model.errors import BAD_JSON, TOO_LARGE, ApiError
from cooee.service.recipients import LARGE

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Buffer = bytes | bytearray

LARGE_AT_ONCE = 2
"""Large bodies in memory at a time: a third waits unread, so that memory stays bounded."""
STALLED_S = 20
"""A large body that brings nothing for so long makes room for others."""

_BOM = b"\xef\xbb\xbf"
_WINDOW = 1 << 20
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_values = msgspec.json.Decoder(dict[str, Any])


class Disconnected(Exception):
    """The client is gone; there is nobody to answer."""


class Places:
    """The large bodies that are in memory: LARGE_AT_ONCE, and one of each account. So a customer with a slow line
    keeps no other one waiting, however much it sends at once."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(LARGE_AT_ONCE)
        self._of: dict[int, tuple[asyncio.Lock, list[None]]] = {}

    async def take(self, account_id: int) -> None:
        """Waits for a place."""
        lock, there = self._of.setdefault(account_id, (asyncio.Lock(), []))
        there.append(None)
        try:
            await lock.acquire()
            try:
                await self._all.acquire()
            except BaseException:
                lock.release()
                raise
        except BaseException:
            self._gone(account_id)
            raise

    def give_back(self, account_id: int) -> None:
        """The place that was taken."""
        self._all.release()
        self._of[account_id][0].release()
        self._gone(account_id)

    def _gone(self, account_id: int) -> None:
        there = self._of[account_id][1]
        there.pop()
        if not there:
            del self._of[account_id]


class Room:
    """Holds a place among the large bodies, from the first octet too many until `leave`."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._account_id: int | None = None

    async def enter(self, account_id: int) -> None:
        if self._account_id is None:
            await self._places.take(account_id)
            self._account_id = account_id

    def leave(self) -> None:
        if self._account_id is not None:
            self._places.give_back(self._account_id)
            self._account_id = None


async def read_body(receive: Receive, limit: int, declared: bytes | None, room: Room, account_id: int) -> Buffer:
    """The whole body of an account's request. ApiError -906 once it is over `limit` octets, however it is sent;
    Disconnected."""
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise ApiError(TOO_LARGE)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    first: bytes = message.get("body", b"")
    if len(first) > limit:
        raise ApiError(TOO_LARGE)
    if not message.get("more_body", False):
        return first
    body = bytearray(first)
    more = True
    while more:
        if len(body) > LARGE:
            await room.enter(account_id)
            try:
                async with asyncio.timeout(STALLED_S):
                    message = await receive()
            except TimeoutError:
                raise ApiError(BAD_JSON, "complete") from None
        else:
            message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            raise ApiError(TOO_LARGE)
    return body


async def drain(receive: Receive, limit: int, seconds: float) -> None:
    """Takes and drops what a client goes on sending, within bounds, so that it gets to read its answer."""
    try:
        async with asyncio.timeout(seconds):
            while limit > 0:
                message = await receive()
                limit -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def split_fields(body: Buffer, *, may_be_empty: bool) -> dict[str, Any]:
    """The fields of a JSON object by their names in lower case: their values, or msgspec.Raw with their JSON text
    where the body is large or holds a number that only `decode_value` reads.

    A name's last value counts, and of names that differ only in case the one that came first last: objects with a
    name twice are read in many ways (RFC 8259 §4), and here in one, however large the body is. ApiError -900 for
    anything that is no JSON object; one comma too many behind a value is let pass, and half a surrogate pair
    becomes a NUL, which no field takes either.
    """
    if body[:3] == _BOM:
        body = body[3:]
    if len(body) < 64 and not body.strip():
        if may_be_empty:
            return {}
        raise ApiError(BAD_JSON, "valid JSON")
    if len(body) <= LARGE:
        try:
            return {name.lower(): value for name, value in _values.decode(body).items()}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # the longer way knows why, or takes it all the same
    try:
        _check_utf8(body)
        try:
            found = _fields.decode(body)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            found = _fields.decode(_whole_characters(_without_trailing_commas(body)))
    except msgspec.ValidationError:
        raise ApiError(BAD_JSON, "a JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ApiError(BAD_JSON, "valid JSON") from None
    return {name.lower(): raw for name, raw in found.items()}


def decode_value(raw: bytes | msgspec.Raw) -> object:
    """The value of one JSON text. ApiError -900 where it is none."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        pass
    # Numbers beyond what a float can hold are JSON all the same.
    try:
        return json.loads(bytes(raw), parse_int=_whole)
    except (ValueError, RecursionError):
        raise ApiError(BAD_JSON, "valid JSON") from None


def _whole(text: str) -> int | float:
    # Python reads no more digits than 4300; beyond that it is a number all the same, but none that we take.
    return int(text) if len(text) <= 4000 else float(text)


def _check_utf8(body: Buffer) -> None:
    """UnicodeDecodeError where the text is none: values that nobody asks for are not looked at otherwise."""
    if body.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(body)
    for start in range(0, len(body), _WINDOW):
        decoder.decode(view[start : start + _WINDOW], start + _WINDOW >= len(body))


# Everything up to a comma that a closing bracket follows; bounded, so that one call does not take long.
_ORDINARY = re.compile(
    rb'(?:[^",]{1,65536}+|"(?:[^"\\]{1,65536}+|\\.)*+"|,(?![ \t\r\n]*+[}\]])){1,10000}+', re.DOTALL
)
_WHITE = b" \t\r\n"


def _without_trailing_commas(body: Buffer) -> Buffer:
    """`body` without commas between a value and a closing bracket, strings untouched."""
    pieces: list[Buffer] = []
    start = position = 0
    while position < len(body):
        ordinary = _ORDINARY.match(body, position)
        if ordinary is not None:
            position = ordinary.end()
        elif body[position] != 0x2C:
            break
        else:
            before = position - 1
            while before >= 0 and body[before] in _WHITE:
                before -= 1
            if before >= 0 and body[before] not in b"{[,:":
                pieces.append(body[start:position])
                start = position + 1
            position += 1
    if not pieces:
        return body
    pieces.append(body[start:])
    return b"".join(pieces)


_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def _whole_characters(body: Buffer) -> Buffer:
    """`body` with escapes of lone surrogates, which no text can hold, as NULs."""
    if _HALF.search(body) is None:
        return body
    return _ESCAPE.sub(lambda found: rb"\u0000" if found[1] else found[0], body)
