"""One run's world: an empty database, a simulated SMSC, and `cooee serve` bound to it."""

from __future__ import annotations

import array
import base64
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.database import Store, store
from bench.load import Totals
from bench.process import BenchError, Child, cpu_seconds, tree_cpu_seconds, until

ROOT = Path(__file__).resolve().parent.parent
LOGIN = ("bench", "a password for the bench")
CREDITS = 1_000_000_000
BINDS = 2
WINDOW = 1000

_COOEE = Path(sys.executable).with_name("cooee")


class Api:
    """A client of the server that is measured; each call has a connection of its own."""

    def __init__(self, port: int) -> None:
        self.port = port

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        peer = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            login = base64.b64encode(":".join(LOGIN).encode()).decode()
            peer.request(method, path, body, {"Authorization": f"Basic {login}"})
            reply = peer.getresponse()
            return reply.status, reply.read()
        except http.client.HTTPException as error:
            raise BenchError(f"{method} {path}: {error}") from error
        finally:
            peer.close()

    def create(self, body: bytes) -> dict[str, Any]:
        """POSTs a campaign and returns the answer; BenchError unless it has Code 0."""
        status, reply = self._ask("POST", "/api/campaign", body)
        answer: dict[str, Any] = json.loads(reply)
        if status != 200 or answer.get("Code") != 0:
            raise BenchError(f"the campaign was answered with {status} {answer}")
        return answer

    def crm(self, body: bytes) -> dict[str, Any]:
        """POSTs to stored lists and returns the answer; BenchError where it has a Code that is not 0."""
        status, reply = self._ask("POST", "/api/crm", body)
        answer: dict[str, Any] = json.loads(reply)
        if status != 200 or answer.get("Code", 0) != 0:
            raise BenchError(f"the list was answered with {status} {answer}")
        return answer

    def timed(self, path: str, bodies: Sequence[bytes]) -> tuple[list[float], list[bytes]]:
        """POSTs one after the other on one connection: seconds and answers; BenchError unless all are HTTP 200."""
        login = base64.b64encode(":".join(LOGIN).encode()).decode()
        taken: list[float] = []
        answers: list[bytes] = []
        peer = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            for body in bodies:
                asked = time.perf_counter()
                peer.request("POST", path, body, {"Authorization": f"Basic {login}"})
                reply = peer.getresponse()
                answers.append(reply.read())
                taken.append(time.perf_counter() - asked)
                if reply.status != 200:
                    raise BenchError(f"POST {path} was answered with {reply.status}")
        except http.client.HTTPException as error:
            raise BenchError(f"POST {path}: {error}") from error
        finally:
            peer.close()
        return taken, answers

    def ready(self) -> bool:
        """/readyz."""
        return self._ask("GET", "/readyz")[0] == 200

    def metrics(self) -> Metrics:
        """/metrics, read."""
        return Metrics(self._ask("GET", "/metrics")[1].decode())


class Metrics:
    """A page of metrics; several label sets of a name are summed."""

    def __init__(self, page: str) -> None:
        self._page = page

    def get(self, name: str, label: str = "") -> float:
        """The sum of `name` over the label sets that contain `label` (such as `outcome="accepted"`)."""
        total = 0.0
        for labels, value in re.findall(rf"^{name}(\{{.*\}})? (\S+)$", self._page, re.MULTILINE):
            if label in labels:
                total += float(value)
        return total

    @property
    def accepted(self) -> int:
        """Recipients accepted over the API."""
        return int(self.get("cooee_messages_accepted_total"))

    @property
    def recorded(self) -> int:
        """Segments whose submit_sm was answered, and recorded as accepted."""
        return int(self.get("cooee_submit_total", 'outcome="accepted"'))

    @property
    def lost(self) -> int:
        """Segments that came to anything else."""
        return int(self.get("cooee_submit_total")) - self.recorded

    @property
    def commits(self) -> int:
        """Transactions committed; 0 on PostgreSQL, which counts none."""
        return int(self.get("cooee_commit_seconds_count"))

    @property
    def receipts(self) -> int:
        """Receipts applied to their messages."""
        return int(self.get("cooee_receipts_total", 'outcome="matched"'))


class Smsc:
    """The simulated SMSC's process, and its control connection."""

    def __init__(self, child: Child, port: int, control_port: int) -> None:
        self.child = child
        self.port = port
        self.control_port = control_port
        self._peer = socket.create_connection(("127.0.0.1", control_port), 5)
        self._lines = self._peer.makefile("rb")

    def stats(self) -> dict[str, Any]:
        """Its counters."""
        self._peer.sendall(b'{"do": "stats"}\n')
        answer: dict[str, Any] = json.loads(self._lines.readline())
        return answer

    def ask(self, *lines: dict[str, Any]) -> None:
        """Has it do all of this, in one go; BenchError when it refuses something."""
        self._peer.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        for _ in lines:
            answer = json.loads(self._lines.readline())
            if not answer["ok"]:
                raise BenchError(f"the SMSC refuses: {answer['error']}")

    def close(self) -> None:
        """Ends the control connection and the process."""
        self._lines.close()
        self._peer.close()
        self.child.stop()


@dataclass(frozen=True)
class Samples:
    """What a load generator measured: `starts` (CLOCK_MONOTONIC) and `latencies`, in seconds, side by side."""

    totals: Totals
    starts: array.array[float]
    latencies: array.array[float]


class Load:
    """A running load generator."""

    def __init__(self, child: Child, out: Path) -> None:
        self.child = child
        self._out = out
        self.started = float(child.line().split()[1])

    def finish(self, *, now: bool = False) -> Samples:
        """Waits for its end, or asks for it `now`; BenchError when any request was refused or not answered."""
        if now:
            self.child.process.terminate()
        totals = msgspec.json.decode(self.child.line(), type=Totals)
        self.child.stop()
        values: array.array[float] = array.array("d")
        values.frombytes(self._out.read_bytes())
        if totals.refused or totals.unanswered or not totals.accepted:
            raise BenchError(
                f"load: {totals.accepted} accepted, {totals.refused} refused, {totals.unanswered} not answered; "
                f"the first refusal: {totals.example or 'none'}"
            )
        return Samples(totals, values[::2], values[1::2])


@dataclass(frozen=True)
class Cpu:
    """Seconds of processor time, in 10 ms steps: the server's, its event loop's share of that, and the peers'."""

    server: float
    loop: float
    smsc: float
    database: float

    def per(self, before: Cpu, messages: int) -> dict[str, float]:
        """Microseconds a message since `before`, by the names of figures."""
        return {
            "cpu": (self.server - before.server) / messages * 1e6,
            "loop_cpu": (self.loop - before.loop) / messages * 1e6,
            "smsc_cpu": (self.smsc - before.smsc) / messages * 1e6,
            "database_cpu": (self.database - before.database) / messages * 1e6,
        }


class Site:
    """What a bench works with."""

    def __init__(
        self, folder: Path, database: Store, env: dict[str, str], smsc: Smsc, server: Child, port: int
    ) -> None:
        self.folder = folder
        self.database = database
        self.smsc = smsc
        self.server = server
        self.api = Api(port)
        self.env = env
        self._loads: list[Child] = []

    def load(self, *, connections: int, seconds: float, think: float = 0.0, first: int = 0) -> Load:
        """Starts a load generator of single messages; returns once its connections are up."""
        name = f"load{len(self._loads)}"
        out = self.folder / f"{name}.samples"
        argv: list[str | Path] = [sys.executable, "-m", "bench.load"]
        for flag, value in {
            "port": self.api.port, "login": ":".join(LOGIN), "connections": connections, "seconds": seconds,
            "think": think, "first": first, "out": out,
        }.items():  # fmt: skip
            argv += [f"--{flag}", str(value)]
        child = Child(argv, self.folder / f"{name}.log", cwd=ROOT, env=self.env, piped=True)
        self._loads.append(child)
        return Load(child, out)

    def cpu(self) -> Cpu:
        """Processor time so far."""
        return Cpu(
            cpu_seconds(self.server.pid),
            cpu_seconds(self.server.pid, first_thread=True),
            cpu_seconds(self.smsc.child.pid),
            0.0 if self.database.pid is None else tree_cpu_seconds(self.database.pid),
        )

    def cooee(self, *words: str) -> None:
        """Runs a command beside the server."""
        _command(words, self.folder, self.env)

    def close_loads(self) -> None:
        """Ends what load is left."""
        for child in self._loads:
            child.stop()


@contextmanager
def site(engine: str, smsc: dict[str, Any], **settings: str) -> Iterator[Site]:
    """A site whose carrier is an SMSC with settings `smsc`, and whose server has `settings`; everything of it is
    gone afterwards."""
    base = Path.cwd() / ".cache"
    base.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=base))
    env = {name: value for name, value in os.environ.items() if not name.startswith("COOEE_")}
    env |= {f"COOEE_{name.upper()}": value for name, value in settings.items()}
    children: list[Child] = []
    made: Site | None = None
    peer: Smsc | None = None
    try:
        with store(engine, folder) as database:
            env["COOEE_DATABASE"] = database.url
            try:
                peer = _smsc(smsc, folder, env, children)
                _provision(folder, env, peer.port)
                server, port = _serve(folder, env, children)
                made = Site(folder, database, env, peer, server, port)
                until(made.api.ready, 20, "the server's readiness")
                until(lambda: made.api.metrics().get("cooee_binds") == BINDS, 20, "the carrier's binds")
                yield made
                server.alive()
            finally:
                if made is not None:
                    made.close_loads()
                for child in reversed(children):
                    child.stop()
                if peer is not None:
                    peer.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _smsc(settings: dict[str, Any], folder: Path, env: dict[str, str], children: list[Child]) -> Smsc:
    argv: list[str | Path] = [_COOEE, "smsc", "--port", "0", "--control-port", "0", "--log-level", "warning"]
    for name, value in settings.items():
        argv += ["--" + name.replace("_", "-"), str(value)]
    child = Child(argv, folder / "smsc.log", cwd=folder, env=env, piped=True)
    children.append(child)
    ports = re.findall(r":(\d+)", child.line())
    return Smsc(child, int(ports[0]), int(ports[1]))


def _provision(folder: Path, env: dict[str, str], port: int) -> None:
    name, password = LOGIN
    adding = ("account", "add", name, "--password-stdin", "--credits", str(CREDITS))
    _command(adding, folder, env, given=password + "\n")
    settings = {"host": "127.0.0.1", "port": port, "system_id": "bench", "window": WINDOW, "binds": BINDS}
    flags = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    _command(("carrier", "add", "bench", "--kind", "smpp", *flags), folder, env)


def _command(words: Sequence[str], folder: Path, env: dict[str, str], given: str = "") -> None:
    done = subprocess.run(
        [_COOEE, *words],
        cwd=folder,
        env=env,
        input=given,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"cooee {' '.join(words)}: {done.stderr.strip()}")


def _serve(folder: Path, env: dict[str, str], children: list[Child]) -> tuple[Child, int]:
    argv: list[str | Path] = [_COOEE, "serve", "--port", "0", "--log-format", "json"]
    child = Child(argv, folder / "serve.log", cwd=folder, env=env)
    children.append(child)
    address = re.compile(r'"address": ?"http://127\.0\.0\.1:(\d+)"')
    end = time.monotonic() + 30
    while not (found := address.search(child.log.read_text())):
        child.alive()
        if time.monotonic() > end:
            raise BenchError(f"the server did not start:\n{child.tail()}")
        time.sleep(0.02)
    return child, int(found[1])
