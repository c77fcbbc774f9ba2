"""States of a recipient's message. They only rise (docs/architecture.md, "The rows").

Each part of a message has a bit in three masks: accepted by the SMSC, delivered, failed. A delivered part stays
delivered whatever comes later, so the masks form a lattice: receipts may come late, twice, and in any order.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class MessageState(enum.IntEnum):
    """Numbers are stored and rise within an attempt. A recipient that still waits has no row and no state."""

    SENDING = 0
    """A retry of it is out and unanswered. (A first attempt that is out has no row yet.)"""
    RETRYING = 1
    """Refused for now; a retry batch holds it."""
    UNCERTAIN = 2
    """Written to a socket, and nobody knows whether it arrived."""
    HANDED_OVER = 3
    """The carrier took every part."""
    WASHED = 4
    """Opted out when its turn came; refunded."""
    CANCELLED = 5
    """Its campaign was deleted while it waited for a retry; refunded."""
    FAILED = 6
    """A receipt, a refusal or our giving up says so."""
    DELIVERED = 7
    """Every part has a receipt that says so."""


FLAG_UNCERTAIN = 1
FLAG_RESENT = 2

GAVE_UP = 998
"""`Code` of a recipient that we gave up on."""
UNREADABLE = 999
"""`Code` where the carrier's own error is no decimal number."""


def code_of(error: str) -> int:
    """What DRStatus shows for a carrier's error text: its number, or 999 (wire contract §5)."""
    text = error.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    return UNREADABLE


@dataclass(frozen=True, slots=True)
class Parts:
    """The masks of one attempt; bit p stands for part p."""

    parts: int
    accepted: int = 0
    delivered: int = 0
    failed: int = 0

    def join(self, other: Parts) -> Parts:
        """Both together: commutative, associative, idempotent."""
        return Parts(
            self.parts,
            self.accepted | other.accepted,
            self.delivered | other.delivered,
            self.failed | other.failed,
        )

    @property
    def state(self) -> MessageState:
        """Delivered when all parts are, failed when one is, else handed over."""
        full = (1 << self.parts) - 1
        if self.delivered & full == full:
            return MessageState.DELIVERED
        if self.failed & ~self.delivered & full:
            return MessageState.FAILED
        return MessageState.HANDED_OVER
