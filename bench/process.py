"""Processes of a bench: started, watched through /proc, ended by their own ids."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

_TICK = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """A bench that could not be run, or whose outcome is wrong; says why."""


def until(done: Callable[[], bool], seconds: float, what: str, every: float = 0.02) -> None:
    """Returns when `done` is true; BenchError naming `what` when that takes longer than `seconds`."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise BenchError(f"{what}: not within {seconds:g} s")
        time.sleep(every)


class Child:
    """A process of ours. Its standard error, and its output unless `piped`, go to `log`."""

    def __init__(
        self, argv: Sequence[str | Path], log: Path, *, cwd: Path, env: Mapping[str, str], piped: bool = False
    ) -> None:
        self.log = log
        self._log = log.open("wb")
        self.process = subprocess.Popen(
            [str(arg) for arg in argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else self._log,
            stderr=self._log,
            cwd=cwd,
            env=dict(env),
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def line(self) -> str:
        """The next line of a piped output; BenchError when it has ended."""
        assert self.process.stdout is not None
        text = self.process.stdout.readline().decode()
        if not text:
            raise BenchError(f"{self.log.stem} ended early:\n{self.tail()}")
        return text.strip()

    def tail(self) -> str:
        """The last of what it said."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def alive(self) -> None:
        """BenchError when it has ended."""
        code = self.process.poll()
        if code is not None:
            raise BenchError(f"{self.log.stem} ended with {code}:\n{self.tail()}")

    def rss_mb(self) -> float:
        """Resident memory now, in MB of 10^6 octets."""
        return _status(self.pid, "VmRSS")

    def peak_mb(self) -> float:
        """The most resident memory it ever had, as the kernel keeps it (VmHWM)."""
        return _status(self.pid, "VmHWM")

    def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM, then SIGKILL; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
        code = self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()
        return code


def cpu_seconds(pid: int, *, first_thread: bool = False) -> float:
    """Processor time of one process: of all its threads, or of its first one, which runs a server's event loop."""
    fields = (
        Path(f"/proc/{pid}/task/{pid}/stat" if first_thread else f"/proc/{pid}/stat")
        .read_text()
        .rsplit(")", 1)[1]
        .split()
    )
    return (int(fields[11]) + int(fields[12])) / _TICK


def tree_cpu_seconds(pid: int) -> float:
    """Processor time of a process and of the children that it has now."""
    root = psutil.Process(pid)
    total = 0.0
    for each in (root, *root.children(recursive=True)):
        try:
            total += cpu_seconds(each.pid)
        except FileNotFoundError:
            continue
    return total


class Others:
    """How many cores the rest of the machine kept busy while a run went on: a measure of the run's disturbance.

    Counts what is neither this process nor a child of it that has ended, so it is right once all peers have been
    stopped, and only where all of them were our own children.
    """

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._busy = self._foreign()

    def cores(self) -> float:
        """Since this was made; time that the host took from this machine counts as well."""
        return max(0.0, (self._foreign() - self._busy) / (time.monotonic() - self._since))

    def _foreign(self) -> float:
        user, nice, system, _idle, _wait, irq, soft, steal = map(
            int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        )
        ours = os.times()
        busy = (user + nice + system + irq + soft + steal) / _TICK
        return busy - ours.user - ours.system - ours.children_user - ours.children_system


def _status(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    raise BenchError(f"/proc/{pid}/status has no {name}")
