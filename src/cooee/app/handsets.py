"""The handsets of the embedded simulated SMSC, for the console's page."""

from __future__ import annotations

import zlib
from collections import OrderedDict, deque

from cooee.model.clock import Clock
from cooee.smpp.smsc import Smsc
from cooee.smpp.smsc.handsets import HandsetState
from cooee.web.console.phones import Bubble, Phone

SLOW_S = 20.0
"""How much later receipts come in a slow network."""
WRITERS = 1000
"""Handsets whose own messages are kept, the latest ones."""
WRITTEN = 20
"""Own messages that a handset keeps."""


class SimulatedPhones:
    """See `web.console.phones.Phones`. The SMSC keeps what handsets received; what they wrote is kept here."""

    def __init__(self, smsc: Smsc, clock: Clock) -> None:
        self._smsc = smsc
        self._clock = clock
        self._usual_delay = smsc.config.receipt_delay
        self._written: OrderedDict[str, deque[Bubble]] = OrderedDict()

    @property
    def slow(self) -> bool:
        """Whether receipts take long."""
        return self._smsc.config.receipt_delay >= self._usual_delay + SLOW_S

    def set_slow(self, slow: bool) -> None:
        """Receipts come later by SLOW_S, or as at the start."""
        self._smsc.set(receipt_delay=self._usual_delay + (SLOW_S if slow else 0.0))

    def latest(self, count: int) -> list[str]:
        """Numbers of the handsets that received something last, the newest first."""
        return self._smsc.handsets.latest(count)

    def phone(self, number: str) -> Phone:
        """A handset as it is now."""
        bubbles = [
            Bubble(text.time_ms, text.sender, text.text, mine=False, missing=not text.complete)
            for text in self._smsc.inbox(number)
        ]
        bubbles += self._written.get(number, ())
        bubbles.sort(key=lambda each: each.at)
        state = self._smsc.handsets.states.get(number.encode(), HandsetState.ON).value
        return Phone(number, state, tuple(bubbles), zlib.crc32(repr((state, bubbles)).encode()))

    def switch(self, number: str, state: str) -> None:
        """Puts a handset into a state; ValueError for one that is none."""
        self._smsc.handset(number, state)

    def answer(self, number: str, to: str, text: str) -> None:
        """The handset sends a message; ValueError for what cannot be sent."""
        self._smsc.reply(number, to, text)
        written = self._written.setdefault(number, deque(maxlen=WRITTEN))
        self._written.move_to_end(number)
        if len(self._written) > WRITERS:
            self._written.popitem(last=False)
        written.append(Bubble(self._clock.now_ms(), to, text, mine=True, missing=False))
