"""What the engine and a carrier promise each other.

The engine hands over slices: recipients that were marked, in one committed transaction, before `send` is called.
A carrier writes a slice at once as far as the link has room, and reports each segment of it exactly once: as an
answer, or as lost. A lost segment may still be answered later (`late`). A carrier stores nothing. Receipts and
messages from handsets are acknowledged to the SMSC only when the engine calls the acknowledgement that came with
them, which it does after its commit.

Errors are a closed set, `SendError`; each says whether the recipient may be tried again, how long to wait and
whether the whole link should slow down. The engine never looks at a carrier's own status numbers, except to show
them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from cooee.smpp.mo import Mo
from cooee.smpp.receipt import Receipt

Answer = tuple[int, int, int, str]
"""Position in the slice, part, the carrier's status (0: accepted), the carrier's message id."""
Segment = tuple[int, int]
"""Position in the slice, part."""


class SendError(enum.Enum):
    """Why a carrier did not take a message. (may be tried again, first wait in ms, slows the link, words)"""

    THROTTLED = (True, 1000, True, "the carrier asks to slow down")
    CONGESTED = (True, 5000, False, "the carrier's queue is full")
    TEMPORARY = (True, 5000, False, "the carrier has a temporary fault")
    NOT_SENT = (True, 200, False, "the connection closed before it was written")
    BAD_DESTINATION = (False, 0, False, "the carrier refuses the destination")
    BAD_ORIGINATOR = (False, 0, False, "the carrier refuses the originator")
    BAD_CONTENT = (False, 0, False, "the carrier refuses the message")
    REJECTED = (False, 0, False, "the carrier refuses for a reason of its own")

    def __init__(self, retry: bool, wait_ms: int, slows: bool, words: str) -> None:
        self.retry = retry
        self.wait_ms = wait_ms
        self.slows = slows
        self.words = words


class Outgoing(NamedTuple):
    """A message as it is to be sent to many. `concat_ref` numbers its parts' header; `validity_s`: how long the
    carrier may try, None to leave that to the carrier."""

    originator: str
    body: str
    concat_ref: int
    validity_s: int | None = None


class Slice(Protocol):
    """Recipients of one message on their way through one link. `token` is the engine's own."""

    destinations: Sequence[int]
    token: object
    answers: list[Answer]


class Order(msgspec.Struct):
    """A slice to be sent: a prepared message, its recipients, the parts `wanted` of each (None: all)."""

    prepared: object
    destinations: Sequence[int]
    wanted: Sequence[Sequence[int]] | None
    token: object


class Link(Protocol):
    """One bind."""

    name: str

    @property
    def up(self) -> bool:
        """Whether it can send now."""
        ...

    @property
    def reason(self) -> str:
        """Why it is up or down, in words."""
        ...

    @property
    def connection(self) -> int:
        """A number of the connection at hand that no other one has, in any process."""
        ...

    @property
    def heard(self) -> float:
        """When the carrier last said anything over it, on the monotonic clock."""
        ...

    @property
    def unbound(self) -> bool:
        """Closed in order: the carrier has read every acknowledgement."""
        ...

    @property
    def free(self) -> int:
        """Segments that it takes now."""
        ...

    @property
    def size(self) -> int:
        """Segments that it takes at most: its window."""
        ...

    def start(self) -> None:
        """Connects, and again whenever the connection is lost, until `close`."""
        ...

    def send(self, orders: Sequence[Order]) -> None:
        """Writes slices in one go. The caller keeps to `free`, except for a single message of several parts."""
        ...

    async def close(self, deadline_s: float) -> None:
        """Waits for answers until the deadline, reports the rest lost, unbinds."""
        ...


class LinkEvents(Protocol):
    """What a link tells the engine; called on the event loop, must not block."""

    def answers(self, link: Link, slices: Sequence[Slice]) -> None:
        """New answers lie in these slices; with none, there may be room again."""
        ...

    def lost(
        self, link: Link, what: Slice, unsure: Sequence[Segment], unsent: Sequence[Segment], reason: str
    ) -> None:
        """No answer will come; `unsent` was certainly never written."""
        ...

    def late(self, link: Link, what: Slice, answers: Sequence[Answer]) -> None:
        """Answers to what had been reported lost."""
        ...

    def receipts(self, link: Link, receipts: Sequence[Receipt], done: Callable[[bool], None]) -> None:
        """Receipts; `done(True)` acknowledges them, `done(False)` asks the SMSC to send them again."""
        ...

    def messages(self, link: Link, messages: Sequence[Mo], done: Callable[[bool], None]) -> None:
        """Messages from handsets, or parts of such; `done` as for receipts."""
        ...

    def state(self, link: Link, up: bool, reason: str) -> None:
        """The link came up or went down."""
        ...


class Carrier(Protocol):
    """A carrier's whole knowledge: how to prepare, how to judge, how to link."""

    id: int
    name: str

    def prepare(self, message: Outgoing) -> tuple[object, int]:
        """A message made ready for any number of `send`s, and how many parts it has."""
        ...

    def judge(self, status: int) -> SendError:
        """What a status other than 0 means."""
        ...

    def link(self, no: int, events: LinkEvents) -> Link:
        """Bind number `no`, not started yet."""
        ...
