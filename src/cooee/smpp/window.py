"""The window of one bind: which segments are out, unanswered, and which wait for a slot. No I/O.

Slots are counted in segments. A submission takes its slots, and a row of consecutive sequence numbers, before
anything of it is written. An entry of `waiting` is a taken slot; popping it is both the match of an answer and the
release of the slot, so an answer that comes twice finds nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from cooee.smpp.codes import MAX_SEQUENCE
from cooee.smpp.template import SubmitTemplate

LATE_KEPT = 10_000
"""Segments whose answer never came, remembered in case it still does."""

LATE_SECONDS = 600.0

Segment = tuple[int, int]
"""(position in the submission's destinations, part number)."""

Answer = tuple[int, int, int, str]
"""(position, part, command_status, the SMSC's message id as received)."""


class Submission:
    """One slice on its way: the owner makes it, a session carries it.

    `destinations` are MSISDNs; `wanted` names the parts to send for each of them, None for all. `token` is the
    owner's own. `answers` are those that have come and were not taken yet: the owner swaps the list for a new
    one. A submission is handed to a session once.
    """

    __slots__ = (
        "_deadline", "_first", "_open", "_segments", "_sent", "_total", "answers", "destinations", "template",
        "token", "wanted",
    )  # fmt: skip

    def __init__(
        self,
        template: SubmitTemplate,
        destinations: Sequence[int],
        wanted: Sequence[Sequence[int]] | None = None,
        token: object = None,
    ) -> None:
        self.template = template
        self.destinations = destinations
        self.wanted = wanted
        self.token = token
        self.answers: list[Answer] = []
        self._segments: list[Segment] | None = None
        if wanted is None:
            self._total = len(destinations) * template.parts
        else:
            self._segments = [(position, part) for position, parts in enumerate(wanted) for part in parts]
            self._total = len(self._segments)
        self._first = 0
        self._sent = 0
        self._open = 0
        self._deadline = 0.0

    @property
    def segments(self) -> int:
        """How many submit_sm this is."""
        return self._total

    def segment(self, index: int) -> Segment:
        """Which segment the submit_sm number `index` (from 0) of this submission is."""
        if self._segments is not None:
            return self._segments[index]
        return divmod(index, self.template.parts)

    def _encode(self, start: int, stop: int) -> bytes:
        """The octets of the submit_sm numbers `start` to before `stop`."""
        first = self._first
        if self._segments is None:
            parts = self.template.parts
            if start % parts == 0 and stop % parts == 0:
                whole = self.destinations[start // parts : stop // parts]
                return self.template.encode(first + start, whole)
        pieces: list[bytes] = []
        index = start
        while index < stop:
            position, part = self.segment(index)
            chosen = [part]
            while index + len(chosen) < stop:
                next_position, next_part = self.segment(index + len(chosen))
                if next_position != position:
                    break
                chosen.append(next_part)
            destination = self.destinations[position]
            pieces.append(self.template.encode_some(first + index, destination, chosen))
            index += len(chosen)
        return b"".join(pieces)


class Window:
    """Slots, sequence numbers and deadlines of one connection.

    `size` is in segments, `timeout` in seconds since the last write of a submission.
    """

    __slots__ = ("_late", "_live", "_queue", "_sequence", "_size", "_timeout", "waiting")

    def __init__(self, size: int, timeout: float) -> None:
        self._size = size
        self._timeout = timeout
        self._sequence = 0
        self.waiting: dict[int, Submission] = {}
        """Sequence number → submission, one entry for each submit_sm that is out and unanswered."""
        self._live: dict[Submission, None] = {}
        self._queue: deque[Submission] = deque()
        self._late: dict[int, tuple[Submission, float]] = {}

    @property
    def free(self) -> int:
        """Slots that no unanswered segment holds; none while segments are queued, for `pump` fills them first."""
        return self._size - len(self.waiting)

    @property
    def idle(self) -> bool:
        """True when nothing is out or queued."""
        return not self._live

    def next_sequence(self, count: int = 1) -> int:
        """The first of `count` consecutive sequence numbers; 1 follows when they would leave the range."""
        first = self._sequence + 1
        if first + count - 1 > MAX_SEQUENCE:
            first = 1
        self._sequence = first + count - 1
        return first

    def take(self, submission: Submission, now: float) -> bytes:
        """Slots for a submission; returns the octets to write now. What does not fit is queued."""
        total = submission._total
        if not total:
            return b""
        submission._first = self.next_sequence(total)
        submission._open = total
        self._live[submission] = None
        if total == 1 and not self._queue and len(self.waiting) < self._size:
            # A single message is the commonest submission of all.
            self.waiting[submission._first] = submission
            submission._sent = 1
            submission._deadline = now + self._timeout
            return submission._encode(0, 1)
        self._queue.append(submission)
        return self.pump(now)

    def pump(self, now: float) -> bytes:
        """The octets of queued segments that have a slot now."""
        if not self._queue:
            return b""
        pieces: list[bytes] = []
        while self._queue:
            room = self._size - len(self.waiting)
            if room <= 0:
                break
            submission = self._queue[0]
            start = submission._sent
            stop = min(submission._total, start + room)
            first = submission._first
            self.waiting.update(dict.fromkeys(range(first + start, first + stop), submission))
            pieces.append(submission._encode(start, stop))
            submission._sent = stop
            submission._deadline = now + self._timeout
            if stop == submission._total:
                self._queue.popleft()
        return b"".join(pieces)

    def answer(self, sequence: int, status: int, message_id: str) -> Submission | None:
        """Records the answer to a segment that is out; None when that sequence number is not."""
        submission = self.waiting.pop(sequence, None)
        if submission is None:
            return None
        index = sequence - submission._first
        if submission._segments is not None:
            position, part = submission._segments[index]
        elif submission.template.parts == 1:
            position, part = index, 0
        else:
            position, part = divmod(index, submission.template.parts)
        submission.answers.append((position, part, status, message_id))
        submission._open -= 1
        if not submission._open:
            del self._live[submission]
        return submission

    def late(self, sequence: int) -> tuple[Submission, Segment] | None:
        """The segment that was given up and is answered now, after all; told once."""
        found = self._late.pop(sequence, None)
        if found is None:
            return None
        submission = found[0]
        return submission, submission.segment(sequence - submission._first)

    def postpone(self, now: float) -> None:
        """Starts every deadline anew: nothing was read meanwhile, so answers may be lying in the socket."""
        for submission in self._live:
            submission._deadline = now + self._timeout

    def expire(self, now: float) -> list[tuple[Submission, list[Segment]]]:
        """Gives up what was written and not answered in time; its slots are free again."""
        if self._late:
            self._forget(now)
        lost: list[tuple[Submission, list[Segment]]] = []
        for submission in [live for live in self._live if live._sent and live._deadline <= now]:
            unsure = self._unanswered(submission)
            if not unsure:
                continue
            segments: list[Segment] = []
            for index in unsure:
                sequence = submission._first + index
                del self.waiting[sequence]
                self._late[sequence] = (submission, now + LATE_SECONDS)
                segments.append(submission.segment(index))
            submission._open -= len(unsure)
            if not submission._open:
                del self._live[submission]
            lost.append((submission, segments))
        return lost

    def drain(self) -> list[tuple[Submission, list[Segment], list[Segment]]]:
        """Ends the window: each open submission with its segments in doubt and those never written."""
        lost: list[tuple[Submission, list[Segment], list[Segment]]] = []
        for submission in self._live:
            unsure = [submission.segment(index) for index in self._unanswered(submission)]
            unsent = [submission.segment(index) for index in range(submission._sent, submission._total)]
            lost.append((submission, unsure, unsent))
        self._live.clear()
        self._queue.clear()
        self.waiting.clear()
        self._late.clear()
        return lost

    def _unanswered(self, submission: Submission) -> list[int]:
        waiting = self.waiting
        first = submission._first
        return [index for index in range(submission._sent) if waiting.get(first + index) is submission]

    def _forget(self, now: float) -> None:
        late = self._late
        surplus = len(late) - LATE_KEPT
        old: list[int] = []
        for number, (sequence, (_, until)) in enumerate(late.items()):
            if number >= surplus and until > now:
                break
            old.append(sequence)
        for sequence in old:
            del late[sequence]
