"""One account's webhook as its engine sees it: what waits, what is under way, and how the receiver does.

How many calls run at once is felt out: one at first, one more with each reply that is taken, at most
`MOST_CALLS`; one again after a failure. Two replies of the same handset are never under way together, so a
conversation arrives in its order, unless one of them fails: the others do not wait for its next attempt.

A receiver that did not answer, or failed three times in a row, is left alone for a while: a quarter of a minute
first, later half the time that it has been down, at most a minute. Then one call finds out. So a dead receiver
costs a call a minute, however much waits for it, and is served again a minute after it is back.
"""

from __future__ import annotations

from collections import deque

from cooee.model.clock import SECOND
from cooee.model.webhook import GIVE_UP_MS, DeliveryState, Target, retry_ms
from cooee.service.receiver import Outcome
from cooee.store.database import Row
from cooee.store.webhooks import LONGEST_BLOCK_MS, Due, Webhook

MOST_CALLS = 8
"""Calls to one receiver at once."""
MOST_UNRECORDED = 32
"""Replies of one receiver that are under way or not recorded yet: as many a kill can have told twice."""
FAILURES = 3
"""In a row, of a receiver that answers, until it is left alone."""
SHORTEST_BLOCK_MS = 15 * SECOND
SLOW_S = 2.0
"""A receiver that takes longer is slow: it shares the places of the doubtful ones."""
_LOOK_AHEAD = 32


class Lane:
    """The webhook of one account. `target` is None where its secrets cannot be read."""

    def __init__(self, webhook: Webhook, target: Target | None, now_s: float, known: set[int]) -> None:
        self.account_id = webhook.account_id
        self.version = webhook.version
        self.target = target
        self.failures = webhook.failures
        self.down_since = webhook.down_since
        self.blocked_until = webhook.blocked_until
        self.queue: deque[Due] = deque()
        self.known = known
        """Replies that are queued, under way, or not recorded yet."""
        self.calls: dict[int, float] = {}
        """Replies under way, and since when (monotonic seconds)."""
        self.window = 1
        self.slow = False
        self.more = True
        """There may be due deliveries beyond the queue."""
        self.closing = False
        """It is given back as soon as nothing is under way."""
        self.used_at = now_s
        self._handsets: set[str] = set()

    # --- what may go -----------------------------------------------------------------------------------------

    @property
    def doubtful(self) -> bool:
        """Whether a call may well take long."""
        return self.failures > 0 or self.slow

    @property
    def idle(self) -> bool:
        """Nothing is queued, under way, or unrecorded."""
        return not self.known

    def blocked(self, now: int) -> bool:
        """Whether the receiver is left alone at `now` (UTC ms)."""
        return now < self.blocked_until <= now + LONGEST_BLOCK_MS

    def add(self, due: Due) -> None:
        """Queues a delivery that is due, unless it is known."""
        if due.reply_id not in self.known:
            self.known.add(due.reply_id)
            self.queue.append(due)

    def next(self, now: int, now_s: float) -> Due | None:
        """Takes the next delivery to call for, if one may go."""
        if self.closing or self.target is None or len(self.calls) >= self.window or self.blocked(now):
            return None
        if len(self.known) - len(self.queue) >= MOST_UNRECORDED:
            return None
        for at in range(min(len(self.queue), _LOOK_AHEAD)):
            due = self.queue[at]
            if due.originator not in self._handsets:
                del self.queue[at]
                self._handsets.add(due.originator)
                self.calls[due.reply_id] = now_s
                return due
        return None

    def clear(self) -> None:
        """Forgets what is queued: it stays in the rows."""
        self.known.difference_update(due.reply_id for due in self.queue)
        self.queue.clear()
        self.more = True

    # --- what came of it -------------------------------------------------------------------------------------

    def dropped(self, due: Due) -> None:
        """A call that was given up without an outcome."""
        self.calls.pop(due.reply_id, None)
        self._handsets.discard(due.originator)
        self.known.discard(due.reply_id)

    def done(self, due: Due, outcome: Outcome, now: int, now_s: float) -> bool:
        """Takes note of an outcome; True when the receiver is left alone from now on."""
        took_s = now_s - self.calls.pop(due.reply_id, now_s)
        self._handsets.discard(due.originator)
        self.used_at = now_s
        self.slow = took_s > SLOW_S
        if outcome.taken:
            self.failures, self.down_since, self.blocked_until = 0, None, 0
            self.window = min(self.window + 1, MOST_CALLS)
            return False
        self.window = 1
        self.failures += 1
        if self.down_since is None:
            self.down_since = now
        if self.blocked(now) or not (outcome.unreachable or self.failures >= FAILURES):
            return False
        down = now - self.down_since
        self.blocked_until = now + min(max(down // 2, SHORTEST_BLOCK_MS), LONGEST_BLOCK_MS)
        self.clear()
        return True

    @property
    def health(self) -> Row:
        """As it is stored."""
        return self.account_id, self.failures, self.down_since, self.blocked_until


def failed_row(due: Due, outcome: Outcome, down_since: int, now: int) -> Row:
    """What a failure makes of a delivery, as `Results.failed` has it: its next attempt, or the end of them.

    `down_since` is when the receiver began to fail: a reply that was held back counts as tried since then.
    """
    give_up_at = due.give_up_at
    if give_up_at is None:
        give_up_at = max(due.created_at, down_since) + GIVE_UP_MS
    state = DeliveryState.PARKED if now >= give_up_at else DeliveryState.WAITING
    next_at = min(now + retry_ms(due.attempts + 1), give_up_at)
    return (
        due.account_id, due.reply_id, due.attempts, state, next_at, give_up_at, now, outcome.status,
        outcome.reason, outcome.excerpt,
    )  # fmt: skip
