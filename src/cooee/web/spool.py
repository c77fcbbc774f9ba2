"""Answers of a head with a count and any number of rows behind it.

What fits one page is answered directly. More is written to a temporary file page by page, since the count comes
before the rows; then the file is streamed. So neither a million rows nor a slow client holds memory or a snapshot.
Nothing is sent before all of it is in the file: where the disk is full the answer is -991, whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import IO, TypeVar

import structlog

from cooee.model.errors import UNAVAILABLE, ApiError
from cooee.web.respond import RETRY_AFTER_S, Streamed

log = structlog.get_logger()
T = TypeVar("T")

IN_MEMORY = 1 << 20
CHUNK = 1 << 16
_SMALL = 200
_TAIL = b"]}"


async def spool(
    pages: AsyncGenerator[list[T], None], encode: Callable[[Sequence[T]], bytes], head: Callable[[int], bytes]
) -> bytes | Streamed:
    """`head(count)`, the rows of all pages, and the two brackets that close an array and its object.

    `encode` gives a page's rows as the inside of a JSON array. It runs on other threads, one call at a time.
    ApiError -991 where the file cannot be written.
    """
    count = 0
    first = b""
    file: _File | None = None
    try:
        async with aclosing(pages):
            async for page in pages:
                if not page:
                    continue
                if not count:
                    small = len(page) <= _SMALL
                    first = encode(page) if small else await asyncio.to_thread(encode, page)
                else:
                    if file is None:
                        file = _File()
                        await asyncio.to_thread(file.write, first)
                    more = await asyncio.to_thread(encode, page)
                    await asyncio.to_thread(file.write, b",", more)
                count += len(page)
        before = head(count)
        if file is None:
            return before + first + _TAIL
        size = await asyncio.to_thread(file.finish)
    except BaseException:
        if file is not None:
            file.close()
        raise
    return Streamed(len(before) + size + len(_TAIL), _stream(before, file), file.close)


class _File:
    """A temporary file without a name: whatever ends the process, it is gone. Small ones stay in memory."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (closed by `close`)

    def write(self, *pieces: bytes) -> None:
        """Appends; ApiError -991 where that cannot be."""
        try:
            for piece in pieces:
                self._file.write(piece)
        except OSError as error:
            raise _refusal(error) from error

    def finish(self) -> int:
        """How much was written, all of it on the file, which is read from its start now; ApiError -991."""
        try:
            self._file.flush()
            size = self._file.tell()
            self._file.seek(0)
        except OSError as error:
            raise _refusal(error) from error
        return size

    def read(self) -> bytes:
        """The next piece; empty at the end."""
        return self._file.read(CHUNK)

    def close(self) -> None:
        """Lets go of the file. What could not be written to it before cannot be now either."""
        with contextlib.suppress(OSError):
            self._file.close()


def _refusal(error: OSError) -> ApiError:
    log.error("spool_failed", reason=error.strerror or type(error).__name__)
    return ApiError(UNAVAILABLE, retry_after=RETRY_AFTER_S)


async def _stream(before: bytes, file: _File) -> AsyncIterator[bytes]:
    yield before
    while chunk := await asyncio.to_thread(file.read):
        yield chunk
    yield _TAIL
