"""Handsets behind a simulated SMSC, as their page knows them. What runs the SMSC provides them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

STATES = ("on", "off", "dead", "full")


@dataclass(frozen=True, slots=True)
class Bubble:
    """One message on a handset, of another (`sender`) or its own (`mine`, to `sender`). `at` is UTC ms; `missing`:
    parts have not come."""

    at: int
    sender: str
    text: str
    mine: bool
    missing: bool


@dataclass(frozen=True, slots=True)
class Phone:
    """One handset. `state` is one of STATES; `version` is another whenever anything of it is."""

    number: str
    state: str
    bubbles: tuple[Bubble, ...]
    version: int

    @property
    def last_at(self) -> int:
        """When the newest message came or went, UTC ms; 0 where there is none."""
        return self.bubbles[-1].at if self.bubbles else 0

    @property
    def answers_to(self) -> str:
        """Whom an answer goes to: the newest sender that has a number. "" for none."""
        return next((each.sender for each in reversed(self.bubbles) if each.sender.isdigit()), "")


class Phones(Protocol):
    """Every handset of this process's simulated SMSC."""

    @property
    def slow(self) -> bool:
        """Whether the network is slow: receipts take long."""
        ...

    def set_slow(self, slow: bool) -> None:
        """Makes the network slow, or as it was."""
        ...

    def latest(self, count: int) -> list[str]:
        """Numbers of the handsets that received something last, the newest first."""
        ...

    def phone(self, number: str) -> Phone:
        """A handset, also one that has received nothing."""
        ...

    def switch(self, number: str, state: str) -> None:
        """Puts a handset into one of STATES."""
        ...

    def answer(self, number: str, to: str, text: str) -> None:
        """The handset sends a message. ValueError for an address or a text that cannot be sent."""
        ...
