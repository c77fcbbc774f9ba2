"""What happens when: a storm is made from its seed alone, before anything runs.

Kinds of events are dealt like cards, a shuffled deck after the other, so that a short storm has seen them all as
often as a long one in proportion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of event. `doubts`: what it does may leave a window of recipients uncertain."""

    name: str
    about: str
    doubts: bool = False
    engines: tuple[str, ...] = ("sqlite", "postgres")
    seconds: tuple[float, float] = (0.0, 0.0)
    """How long it lasts."""
    harmless_on: tuple[str, ...] = ("sqlite", "postgres")
    """Where it leaves nothing in doubt, among the kinds that do not."""

    def doubtful(self, engine: str) -> bool:
        """Whether it may leave recipients uncertain on that store."""
        return self.doubts or engine not in self.harmless_on


POSTGRES = ("postgres",)
KINDS: tuple[Kind, ...] = (
    Kind("kill", "kill -9 of a node", doubts=True, seconds=(0.0, 2.0)),
    Kind("stop", "SIGTERM under load", seconds=(0.0, 1.0)),
    Kind("cut", "SMSC connections cut in mid-PDU", doubts=True),
    Kind("smsc-killed", "kill -9 of an SMSC, whose ids begin anew", doubts=True, seconds=(0.2, 1.5)),
    Kind("silence", "an SMSC that takes submits and answers nothing", doubts=True, seconds=(2.0, 5.0)),
    Kind("late", "an SMSC that answers after the response timeout", doubts=True, seconds=(2.0, 4.0)),
    Kind("slow", "an SMSC that answers late, within the timeout", seconds=(1.0, 4.0)),
    Kind("throttle", "an SMSC that throttles", seconds=(1.0, 4.0)),
    Kind("refuse", "an SMSC that refuses for now", seconds=(1.0, 4.0)),
    Kind("receipts", "receipts repeated, out of order, early, ids in other forms", seconds=(2.0, 6.0)),
    Kind("clock", "a node's clock jumps, and jumps back", seconds=(1.0, 5.0)),
    Kind("disk-full", "the database's disk is full", seconds=(0.5, 2.0), harmless_on=("sqlite",)),
    Kind("pg-fast", "PostgreSQL stopped (fast) and started", doubts=True, engines=POSTGRES, seconds=(0.0, 4.0)),
    Kind("pg-immediate", "PostgreSQL stopped (immediate) and started", doubts=True, engines=POSTGRES,
         seconds=(0.0, 4.0)),
    Kind("pg-cut", "a node's connections to PostgreSQL cut in mid-message", doubts=True, engines=POSTGRES),
    Kind("pg-stall", "what a node and PostgreSQL say to each other vanishes", doubts=True, engines=POSTGRES,
         seconds=(1.0, 25.0)),
    Kind("pg-apart", "a node cannot reach PostgreSQL", doubts=True, engines=POSTGRES, seconds=(1.0, 20.0)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """One event: when it begins (seconds into the storm), how long it lasts, and the dice that its details use."""

    at: float
    kind: Kind
    seconds: float
    dice: int


def choose(engine: str, only: Sequence[str] = (), *, harmless: bool = False) -> list[Kind]:
    """The kinds of a storm on that store: those named by `only`, or all; with `harmless` without the doubtful."""
    return [
        kind
        for kind in KINDS
        if engine in kind.engines and (not only or kind.name in only) and not (harmless and kind.doubtful(engine))
    ]


def plan(seed: int, seconds: float, kinds: Sequence[Kind], pace: float) -> list[Event]:
    """The events of a storm of `seconds`, one each `pace` seconds on average, in order."""
    dice = Random(seed)
    events: list[Event] = []
    deck: list[Kind] = []
    at = dice.uniform(0.5, 1.0) * pace
    while at < seconds and kinds:
        if not deck:
            deck = list(kinds)
            dice.shuffle(deck)
        kind = deck.pop()
        lasts = min(dice.uniform(*kind.seconds), max(0.5, seconds - at))
        events.append(Event(round(at, 2), kind, round(lasts, 2), dice.randrange(1 << 30)))
        at += dice.uniform(0.4, 1.6) * pace
    return events
