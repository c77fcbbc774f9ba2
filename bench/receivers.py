"""Receivers of replies, as a process of its own: one that takes every reply, and one that never answers.

It prints `PORT DEAD_PORT HANGING_PORT` once it listens; nobody listens on the second. At SIGTERM it writes a
double for every reply that it took to --out, how many seconds after its sending it came, and prints how many came
more than once. A reply's text is `NUMBER SECONDS`, the latter when it was sent (CLOCK_MONOTONIC).
"""

from __future__ import annotations

import argparse
import array
import asyncio
import re
import signal
import socket
import time
from pathlib import Path
from typing import cast

import uvloop

_TEXT = re.compile(rb"message_text=(\d+)%20(\d+\.\d+)")
_TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n0"


class Book:
    """What came, and when."""

    def __init__(self) -> None:
        self.latencies = array.array("d")
        self.seen: set[int] = set()
        self.twice = 0


class Taking(asyncio.Protocol):
    """Answers every request with 0."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._transport: asyncio.Transport
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are transports by their methods only.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if b"\r\n\r\n" not in self._head:
            return
        found = _TEXT.search(self._head)
        self._head = b""
        if found:
            number = int(found[1])
            if number in self._book.seen:
                self._book.twice += 1
            else:
                self._book.seen.add(number)
                self._book.latencies.append(time.monotonic() - float(found[2]))
        self._transport.write(_TAKEN)
        self._transport.close()


async def serve(book: Book) -> None:
    """Until SIGTERM."""
    loop = asyncio.get_running_loop()
    taking = await loop.create_server(lambda: Taking(book), "127.0.0.1", 0, backlog=2048)
    hanging = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, backlog=2048)
    dead = socket.socket()
    dead.bind(("127.0.0.1", 0))
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    ports = (taking.sockets[0].getsockname()[1], dead.getsockname()[1], hanging.sockets[0].getsockname()[1])
    print(*ports, flush=True)
    await stop.wait()


def main(out: Path) -> None:
    """Serves, then tells what came."""
    book = Book()
    uvloop.run(serve(book))
    out.write_bytes(book.latencies.tobytes())
    print(book.twice, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    main(parser.parse_args().out)
