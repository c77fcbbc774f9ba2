"""The composition root: builds, starts and stops everything in order. Only the commands call it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

from cooee.config import Settings

SWITCH_S = 0.0005
"""How long a thread may keep the interpreter lock. With Python's 5 ms the event loop and the writer thread wait
for each other longer than a commit takes (docs/decisions/0002-sqlite-writer.md)."""


def _run(main: Coroutine[Any, Any, None]) -> None:
    import uvloop

    sys.setswitchinterval(SWITCH_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def serve(settings: Settings) -> None:
    """`cooee serve`: runs until SIGTERM or SIGINT, and returns once everything is stopped in order.

    ConfigError and StoreError say why it cannot start, or what ended it.
    """
    from cooee.app.node import serve as main

    _run(main(settings))


def demo(settings: Settings) -> None:
    """`cooee demo`: a fresh database, an account, the simulated SMSC and a first campaign; serves until Ctrl-C."""
    from cooee.app.demo import demo as main

    _run(main(settings))
