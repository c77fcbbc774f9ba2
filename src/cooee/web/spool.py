"""Answers of a head with a count and any number of rows behind it.

What fits one page is answered directly. More is written to a temporary file page by page, since the count comes
before the rows; then the file is streamed. So neither a million rows nor a slow client holds memory or a snapshot.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import IO, TypeVar

from cooee.web.respond import Streamed

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
    """
    count = 0
    first = b""
    file: IO[bytes] | None = None
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
                        file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (outlives this function)
                        file.write(first)
                    await asyncio.to_thread(_append, file, encode, page)
                count += len(page)
    except BaseException:
        if file is not None:
            file.close()
        raise
    before = head(count)
    if file is None:
        return before + first + _TAIL
    return Streamed(len(before) + file.tell() + len(_TAIL), _stream(before, file), file.close)


def _append(file: IO[bytes], encode: Callable[[Sequence[T]], bytes], page: Sequence[T]) -> None:
    file.write(b",")
    file.write(encode(page))


async def _stream(before: bytes, file: IO[bytes]) -> AsyncIterator[bytes]:
    yield before
    file.seek(0)
    while chunk := await asyncio.to_thread(file.read, CHUNK):
        yield chunk
    yield _TAIL
