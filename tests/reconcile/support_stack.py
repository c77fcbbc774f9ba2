"""Real processes for the reconciliation harness: `cooee serve` nodes and `cooee smsc`, on loopback.

`COOEE_RECONCILE_SCALE` (a factor, 1 by default) multiplies the number of recipients of every scenario, so that the
same tests make a longer run: `COOEE_RECONCILE_SCALE=10 pytest -s tests/reconcile`. It is taken out of the
environment here, for the processes under test refuse settings that they do not know.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import apsw
import asyncpg
from click.testing import CliRunner

from cooee.cli import main
from cooee.smpp.smsc import control

SCALE = float(os.environ.pop("COOEE_RECONCILE_SCALE", "1"))
PASSWORD = "a long password"
START_S = 20.0
"""How long a process may take until it answers; a busy machine is slow."""


def scaled(count: int) -> int:
    """`count` recipients, times the factor of the run."""
    return max(1, round(count * SCALE))


def wait_for(what: str, done: Callable[[], bool], seconds: float, every: float = 0.05) -> None:
    """Until `done()`; AssertionError naming `what` when that takes longer than `seconds`."""
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}"
        time.sleep(every)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Process:
    """One process of ours, its output in a file. `module` is what Python runs."""

    def __init__(
        self, arguments: Sequence[str], environ: dict[str, str], output: Path, module: str = "cooee"
    ) -> None:
        self._output = output.open("ab")
        self.popen = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdout=self._output, stderr=self._output, env=environ
        )

    def kill(self) -> None:
        """SIGKILL, as a power cut would, and waits until it is gone."""
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        self._output.close()

    def terminate(self, seconds: float) -> tuple[int, float]:
        """SIGTERM; its exit code and how many seconds that took. AssertionError when it takes too long."""
        began = time.monotonic()
        self.popen.send_signal(signal.SIGTERM)
        try:
            code = self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {seconds:g} s after SIGTERM") from None
        self._output.close()
        return code, time.monotonic() - began


def http_status(port: int, path: str) -> int:
    """The HTTP status of a page, 0 when nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


class Node:
    """A `cooee serve` that can be killed, stopped and started again."""

    def __init__(self, environ: dict[str, str], output: Path, role: str, module: str = "cooee") -> None:
        self.port = free_port()
        self.role = role
        self._environ = {**environ, "COOEE_PORT": str(self.port), "COOEE_ROLE": role}
        self._output = output
        self._module = module
        self._process: Process | None = None
        self.kills = 0

    @property
    def pid(self) -> int | None:
        """Its process, None while it does not run."""
        return None if self._process is None else self._process.popen.pid

    @property
    def ended(self) -> int | None:
        """The exit code of a process that ended without being told to."""
        return None if self._process is None else self._process.popen.poll()

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        process = self._process = Process(["serve"], self._environ, self._output, self._module)

        def answers() -> bool:
            assert process.popen.poll() is None, f"the server ended: {self._output.read_text()[-2000:]}"
            return http_status(self.port, "/healthz") == 200

        wait_for("the server answers", answers, START_S)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self.kills += 1
            self._process = None

    def restart_killed(self) -> None:
        """kill -9, and starts it again."""
        self.kill()
        self.start()

    def terminate(self) -> tuple[int, float]:
        """SIGTERM; exit code and seconds."""
        assert self._process is not None
        process, self._process = self._process, None
        return process.terminate(20)


class SmscProcess:
    """`cooee smsc`, with a journal and a control port."""

    def __init__(self, environ: dict[str, str], folder: Path, flags: Sequence[str]) -> None:
        self.port, self.control_port = free_port(), free_port()
        self.journal = folder / "journal"
        self._environ = environ
        self._output = folder / "smsc.log"
        self._flags = [
            "smsc", f"--port={self.port}", f"--control-port={self.control_port}", f"--journal={self.journal}",
            "--journal-receipts", "--receipt-delay=0.3", *flags,
        ]  # fmt: skip
        self._process: Process | None = None

    def start(self) -> None:
        """Starts it, and waits until it can be controlled."""
        self._process = Process(self._flags, self._environ, self._output)

        def answers() -> bool:
            try:
                return bool(control("127.0.0.1", self.control_port, {"do": "stats"})["ok"])
            except OSError:
                return False

        wait_for("the SMSC answers", answers, START_S)

    def kill(self) -> None:
        """kill -9: whatever receipts it held are gone."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def ask(self, what: str, **more: Any) -> dict[str, Any]:
        """A control command, which must succeed."""
        answer = control("127.0.0.1", self.control_port, {"do": what, **more})
        assert answer["ok"], answer
        return answer

    @property
    def pending(self) -> int:
        """Receipts and messages that it still has to deliver."""
        return int(self.ask("stats")["receipts_pending"])

    @property
    def seen(self) -> int:
        """Submits that it has taken since its start."""
        return int(self.ask("stats")["accepted"])

    def wait_seen(self, count: int, seconds: float = 30.0) -> None:
        """Until it has taken `count` submits since its start: a campaign is then on its way."""
        wait_for(f"{count} submits", lambda: self.seen >= count, seconds, 0.01)


class Stack:
    """A database, an SMSC, and nodes; everything that runs is killed at the end."""

    def __init__(
        self,
        database_url: str,
        folder: Path,
        *,
        uncertain_wait_s: float = 1.0,
        smsc: Sequence[str] = (),
        settings: dict[str, str] | None = None,
        module: str = "cooee",
    ) -> None:
        self.database_url = database_url
        self.folder = folder
        self._environ = {name: text for name, text in os.environ.items() if not name.startswith("COOEE_")}
        self._environ |= {
            "COOEE_DATABASE": database_url,
            "COOEE_KEY_FILE": str(folder / "test.key"),
            "COOEE_UNCERTAIN_WAIT_S": str(uncertain_wait_s),
            "COOEE_LOG_FORMAT": "json",
            **{f"COOEE_{name.upper()}": text for name, text in (settings or {}).items()},
        }
        self.smsc = SmscProcess(self._environ, folder, smsc)
        self.smscs = [self.smsc]
        self._module = module
        self.nodes: list[Node] = []
        self.accounts: list[str] = []
        self.window = self.binds = 0

    def __enter__(self) -> Stack:
        for smsc in self.smscs:
            smsc.start()
        return self

    def add_smsc(self, name: str, flags: Sequence[str]) -> SmscProcess:
        """Another SMSC, with a folder of its own; started with the first one."""
        folder = self.folder / name
        folder.mkdir()
        self.smscs.append(SmscProcess(self._environ, folder, flags))
        return self.smscs[-1]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes:
            node.kill()
        for smsc in self.smscs:
            smsc.kill()

    @property
    def pending(self) -> int:
        """Receipts and messages that its SMSCs still have to deliver."""
        return sum(smsc.pending for smsc in self.smscs)

    @property
    def engine(self) -> str:
        """Which store this runs on."""
        return "sqlite" if self.database_url.startswith("sqlite") else "postgres"

    def cli(self, *arguments: str, stdin: str | None = None) -> str:
        """Runs a `cooee` command that must succeed; what it printed."""
        result = CliRunner().invoke(main, list(arguments), input=stdin, env=self._environ)
        assert result.exit_code == 0, f"{arguments}: {result.output} {result.exception!r}"
        return result.stdout

    def prepare(self, *, window: int = 50, binds: int = 1, tps: int = 0, **settings: object) -> None:
        """Two accounts, and the carrier `telco` with those settings."""
        for name in ("acme", "bravo"):
            self.cli(
                "account", "add", name, "--credits=10000000", "--international", "--password-stdin",
                stdin=PASSWORD + "\n",
            )  # fmt: skip
            self.accounts.append(name)
        self.window, self.binds = window, binds
        values = {
            "host": "127.0.0.1", "port": self.smsc.port, "system_id": "cooee", "window": window, "binds": binds,
            "tps": tps, **settings,
        }  # fmt: skip
        changes = [f"--set={name}={value}" for name, value in values.items()]
        self.cli("carrier", "add", "telco", "--kind=smpp", *changes)

    def node(self, role: str = "all", environ: dict[str, str] | None = None) -> Node:
        """A new node, started. `environ` is what it has beside, or instead of, the environment of all nodes."""
        output = self.folder / f"node{len(self.nodes)}.log"
        node = Node({**self._environ, **(environ or {})}, output, role, self._module)
        self.nodes.append(node)
        node.start()
        return node

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Reads the database directly."""
        if self.engine == "sqlite":
            path = self.database_url.removeprefix("sqlite:///")
            connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
            try:
                connection.setbusytimeout(5000)
                return list(connection.execute(sql))
            finally:
                connection.close()
        return asyncio.run(_fetch(self.database_url, sql))

    def log_events(self, event: str) -> list[dict[str, Any]]:
        """What the nodes logged under that name."""
        found = []
        for path in sorted(self.folder.glob("node*.log")):
            for line in path.read_text().splitlines():
                if f'"{event}"' in line and line.startswith("{"):
                    entry = json.loads(line)
                    if entry.get("event") == event:
                        found.append(entry)
        return found


async def _fetch(url: str, sql: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()
