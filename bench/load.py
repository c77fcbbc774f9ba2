"""The load generator: single-message requests over keep-alive HTTP/1.1, as a process of its own.

One epoll loop over plain sockets, because a load that costs as much as the server would measure itself: a request
takes it a send, a receive and a line of arithmetic. `python -m bench.load --help` lists its flags.

It prints `started SECONDS` (CLOCK_MONOTONIC) once all connections are up, and at its end a line of JSON
(`Totals`). For every answer with Code 0 two doubles are written to --out: when its request was sent, and how long
the answer took.
"""

from __future__ import annotations

import argparse
import array
import base64
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.bodies import single

_DRAIN_S = 10.0


class Totals(msgspec.Struct):
    """What the load generator saw. Times are CLOCK_MONOTONIC seconds, `cpu_us` microseconds a request."""

    started: float
    ended: float
    accepted: int
    refused: int
    example: str
    unanswered: int
    cpu_us: float


def requests(port: int, login: str, first: int) -> Iterator[bytes]:
    """Rendered requests without end, each with a number and a text of its own."""
    head = (
        "POST /api/campaign HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\n"
        f"Authorization: Basic {base64.b64encode(login.encode()).decode()}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(single(0))}\r\n\r\n"
    ).encode()
    template = head + single(0).replace(b"0" * 8, b"%08d")
    number = first
    while True:
        yield template % (number, number)
        number += 1


class Load:
    """`connections` clients, each of which sends its next request `think` seconds after the last answer."""

    def __init__(self, port: int, connections: int, think: float, rendered: Iterator[bytes]) -> None:
        self.think = think
        self.rendered = rendered
        self.samples = array.array("d")
        self.refused = 0
        self.example = ""
        self.stopped = False
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._sent: dict[int, float] = {}
        self._parts: dict[int, bytes] = {}
        for _ in range(connections):
            peer = socket.create_connection(("127.0.0.1", port), 5)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.setblocking(False)
            self._sockets[peer.fileno()] = peer
            self._poll.register(peer.fileno(), select.EPOLLIN)

    def _send(self, fd: int) -> None:
        request = next(self.rendered)
        self._sent[fd] = time.monotonic()
        if self._sockets[fd].send(request) != len(request):
            raise OSError("the socket took a part of a request only")

    def _complete(self, fd: int, data: bytes) -> bool:
        """Whether an answer's last octets have come. It is one flat JSON object, so `}` ends it."""
        if data[-1:] != b"}":
            self._parts[fd] = data
            return False
        if data[:12] != b"HTTP/1.1 200" or b'"Code":0,' not in data:
            self.refused += 1
            self.example = self.example or data.decode(errors="replace")
            return True
        return True

    def run(self, seconds: float) -> tuple[float, float]:
        """Sends for so long, or until `stopped`; then waits for the answers. Returns when it began and ended."""
        waiting: deque[tuple[float, int]] = deque()
        now = time.monotonic
        sockets, sent, parts, samples, think = self._sockets, self._sent, self._parts, self.samples, self.think
        began = now()
        end = began + seconds
        step = think / len(sockets)
        waiting.extend((began + i * step, fd) for i, fd in enumerate(sockets))
        drained = end + _DRAIN_S
        while True:
            at = now()
            if self.stopped or at >= end:
                drained = min(drained, at + _DRAIN_S)
                self.stopped = True
                if not sent or at > drained:
                    return began, at
                waiting.clear()
            while waiting and waiting[0][0] <= at:
                self._send(waiting.popleft()[1])
            wait = 0.05 if not waiting else max(0.0, min(0.05, waiting[0][0] - at))
            for fd, _ in self._poll.poll(wait):
                data = sockets[fd].recv(65536)
                if not data:
                    raise OSError(f"the server closed a connection; {self.refused} refused: {self.example}")
                if fd in parts:
                    data = parts.pop(fd) + data
                refused = self.refused
                if not self._complete(fd, data):
                    continue
                at = now()
                began_at = sent.pop(fd)
                if refused == self.refused:
                    samples.append(began_at)
                    samples.append(at - began_at)
                if think:
                    waiting.append((at + think, fd))
                elif not self.stopped and at < end:
                    self._send(fd)

    @property
    def unanswered(self) -> int:
        """Requests whose answer never came."""
        return len(self._sent)


def main() -> None:
    """The process."""
    flags = argparse.ArgumentParser(
        prog="python -m bench.load", description="Single-message load on `cooee serve`."
    )
    flags.add_argument("--port", type=int, required=True)
    flags.add_argument("--login", required=True, help="account:password")
    flags.add_argument("--connections", type=int, default=50)
    flags.add_argument("--seconds", type=float, default=10.0)
    flags.add_argument("--think", type=float, default=0.0, help="seconds between an answer and the next request")
    flags.add_argument("--first", type=int, default=0, help="number of the first message")
    flags.add_argument("--out", type=Path, required=True, help="file for the samples")
    given = flags.parse_args()
    load = Load(given.port, given.connections, given.think, requests(given.port, given.login, given.first))

    def stop(_signal: int, _frame: object) -> None:
        load.stopped = True

    signal.signal(signal.SIGTERM, stop)
    print(f"started {time.monotonic()}", flush=True)
    cpu = time.process_time()
    began, ended = load.run(given.seconds)
    cpu = time.process_time() - cpu
    with given.out.open("wb") as out:
        load.samples.tofile(out)
    accepted = len(load.samples) // 2
    answered = max(1, accepted + load.refused)
    totals = Totals(
        began, ended, accepted, load.refused, load.example, load.unanswered, round(cpu / answered * 1e6, 2)
    )
    print(msgspec.json.encode(totals).decode(), flush=True)


if __name__ == "__main__":
    main()
