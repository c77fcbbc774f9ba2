"""One run: a world, clients, a storm, and the books."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from soak.books import Outcome, Replies, reconcile
from soak.clients import Client, Promises, let_go
from soak.handsets import Handsets, Webhook
from soak.plan import Event, choose, plan
from soak.storm import FAR_S, Storm
from soak.world import ACCOUNTS, World
from tests.reconcile.support_reconcile import Allowed, settle

ROLES = {"sqlite": ("all",), "postgres": ("api", "api", "engine", "engine", "engine")}
SETTLE_S = 150.0
RECIPIENTS_EACH = 55
"""Segments that a client asks for with each thing it does, on average."""


@dataclass(frozen=True)
class Order:
    """What to run. `pace`: seconds from one event to the next; `tps`: of each of the three carriers."""

    engine: str
    seed: int
    seconds: float
    harmless: bool = False
    only: tuple[str, ...] = ()
    pace: float = 3.0
    clients: int = 4
    tps: int = 120
    roles: tuple[str, ...] = ()

    @property
    def pause_s(self) -> float:
        """How long a client rests between two things, so that they ask for about what the carriers can take."""
        return self.clients * RECIPIENTS_EACH / (3 * self.tps)

    @property
    def events(self) -> list[Event]:
        """What will happen, made from the seed alone."""
        return plan(self.seed, self.seconds, choose(self.engine, self.only, harmless=self.harmless), self.pace)


@dataclass
class Result:
    """What happened, and what the books say."""

    order: Order
    outcome: Outcome
    happened: Counter[str]
    settled_s: float


def run(order: Order, keep: Path | None = None) -> Result:
    """Runs it. Journals and logs are left in `keep` where that is given. AssertionError: it never settled."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        return _run(order, keep)
    with tempfile.TemporaryDirectory(prefix="cooee-soak-") as folder:
        return _run(order, Path(folder))


def _run(order: Order, folder: Path) -> Result:
    world = World(
        order.engine,
        folder,
        order.seed,
        roles=order.roles or ROLES[order.engine],
        # Where nothing may become uncertain, a busy machine must not make it so.
        response_timeout_s=30.0 if order.harmless else 3.0,
        tps=order.tps,
    )
    with world:
        promises = Promises(world.numbers)
        over = threading.Event()
        clients = [
            Client(no, order.seed, world.api_ports, ACCOUNTS[no % len(ACCOUNTS)], promises, over, order.pause_s)
            for no in range(order.clients)
        ]
        webhook = Webhook(order.seed)
        world.bring_replies(webhook.port)
        handsets = [Handsets(world, no, order.seed, over, order.pause_s / 2) for no in range(2)]
        world.smsc_killed = [some.killed for some in handsets]
        everybody: list[Client | Handsets] = [*clients, *handsets]
        for each in everybody:
            each.start()
        storm = Storm(world)
        try:
            storm.blow(order.events, order.seconds)
            # Twice as far as a clock can have jumped: whatever was put off by a wrong clock is due.
            world.calm(2 * FAR_S)
        finally:
            over.set()
        for each in everybody:
            each.join()
        webhook.calm()
        began = time.monotonic()
        world.hasten()
        states = world.stack.rows("SELECT id, state FROM campaign WHERE state IN (1, 4) ORDER BY id")
        let_go(world.api_ports, promises, [(int(row[0]), int(row[1])) for row in states])
        try:
            settle(world.stack, Allowed(hold=True), SETTLE_S)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{world.stuck()}") from error
        replies = Replies(handsets, webhook)
        replies.settle(world)
        webhook.close()
        settled = time.monotonic() - began
        outcome = reconcile(world, promises, storm, replies, harmless=order.harmless)
        world.keep_database()
        return Result(order, outcome, storm.counts, settled)
