"""`cooee serve` with a wall clock that the storm can move: `python -m soak.node serve`.

The settings are those of the environment. `SOAK_CLOCK` names a file whose first eight octets say by how many
milliseconds this node's wall clock is off (little-endian, signed). Its monotonic clock is the machine's, as after
a step of NTP or by an administrator.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import sys
import time
from pathlib import Path

import uvloop

from cooee import logs
from cooee.app import SWITCH_S
from cooee.app.node import Node
from cooee.config import load
from cooee.model.errors import CooeeError

OCTETS = 8


class SteeredClock:
    """The machine's clocks, the wall clock off by what the file says."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._off = mmap.mmap(file.fileno(), OCTETS, prot=mmap.PROT_READ)

    def now_ms(self) -> int:
        """UTC milliseconds, off as told."""
        return time.time_ns() // 1_000_000 + int.from_bytes(self._off[:OCTETS], "little", signed=True)

    def monotonic(self) -> float:
        """The machine's."""
        return time.monotonic()


def steer(path: Path, seconds: float) -> None:
    """Sets by how much the clock that reads `path` is off."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(round(seconds * 1000).to_bytes(OCTETS, "little", signed=True))


async def _serve(clock: SteeredClock) -> None:
    settings = load()
    logs.setup(settings.log_format, settings.log_level)
    node = Node(settings, clock=clock)
    node.catch_signals()
    await node.start()
    await node.run()


def main() -> None:
    """Serves until SIGTERM; exit code 1 and a line on stderr when it cannot."""
    clock = SteeredClock(Path(os.environ.pop("SOAK_CLOCK")))
    sys.setswitchinterval(SWITCH_S)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(clock))
    except CooeeError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
