"""A balancer in front of several API nodes, and what a journal tells about rates."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cooee.smpp.smsc import read_journal
from tests.reconcile.support_client import Api, Ask, Told
from tests.reconcile.support_stack import Node, http_status


def submitted(journal: Path) -> list[float]:
    """When the SMSC took each submit_sm, in seconds, rising."""
    return sorted(entry.time_ms / 1000 for entry in read_journal(journal) if entry.kind == "S")


def busiest(times: list[float], seconds: float) -> int:
    """The most submits in any stretch of so many seconds."""
    return max(bisect_left(times, at + seconds) - number for number, at in enumerate(times))


def between(times: list[float], since: float, until: float) -> int:
    """How many came in that stretch."""
    return bisect_left(times, until) - bisect_left(times, since)


class Balancer:
    """What a load balancer does: it asks /readyz, and sends requests to the nodes that said 200 last.

    It repeats nothing. A client that gets no answer has got an error.
    """

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self._ready = {node.port for node in nodes}
        self._over = threading.Event()
        self._turn = 0
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Balancer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            self._ready = {node.port for node in self._nodes if http_status(node.port, "/readyz") == 200}

    def port(self) -> int:
        """Where the next request goes."""
        ready = sorted(self._ready)
        self._turn += 1
        return ready[self._turn % len(ready)]


@dataclass
class Customer:
    """A client that sends one message after the other through the balancer, each on a connection of its own."""

    balancer: Balancer
    account: str
    numbers: Callable[[], list[int]]
    told: list[Told] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.02):
            ask = Ask(self.account, self.numbers(), "One of many.")
            port = self.balancer.port()
            api = Api([port], self.account)
            body: dict[str, Any] = {
                "Action": "create", "Originator": ask.originator, "Message": ask.text,
                "Destinations": [str(number) for number in ask.numbers],
            }  # fmt: skip
            try:
                status, answer = api.post("/api/campaign", body)
            except Exception as error:
                self.errors.append(f"port {port}: {type(error).__name__}: {error}")
                continue
            finally:
                api.close()
            if status != 200 or answer["Code"] != 0:
                self.errors.append(f"port {port}: {status} {answer}")
                continue
            self.told.append(
                Told(ask, answer["CampaignId"], answer["Messages"], answer["Segments"], answer["Credits"])
            )

    def end(self) -> list[Told]:
        """After its last answer; AssertionError with every error that it saw."""
        self._over.set()
        self._thread.join(30)
        assert not self.errors, self.errors[:5]
        return self.told


def latencies(journal: Path, asked: dict[int, float]) -> list[float]:
    """Seconds from each answer (`asked`: by number, when it came) to the submit_sm at the SMSC, rising."""
    return sorted(
        entry.time_ms / 1000 - asked[int(entry.destination)]
        for entry in read_journal(journal)
        if entry.kind == "S" and int(entry.destination) in asked
    )


def now() -> float:
    """The wall clock, as the SMSC's journal has it."""
    return time.time()
