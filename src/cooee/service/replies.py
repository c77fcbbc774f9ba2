"""Polls for replies (wire contract §6).

A poll pays first: an account has three, and gets one back a minute, however many nodes answer. Then it waits for
its turn: the polls of an account are answered one after the other, so that none passes on what another one is just
writing. Within a process a lock does that; among nodes a row that names the poll and a number that rises while its
node lives. Nobody compares two machines' clocks: a poll is taken for dead when its number has stood still for 15 s
of the waiting node's own time.

What was written is flagged in the end. Who dies in between leaves it unflagged: it is passed on again, never lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

import structlog

from cooee.model.account import Account
from cooee.model.clock import MINUTE, SECOND, Clock
from cooee.model.errors import TOO_MANY, UNAVAILABLE, ApiError, StoreError
from cooee.store import inbox as rows
from cooee.store.database import Database, Lane, Row, Tx
from cooee.store.inbox import PAGE, PIECE, Holder, Place

log = structlog.get_logger()

COST = MINUTE
BURST = 3
SLACK = MINUTE
"""How far the clocks of nodes may be apart before the bucket takes one of them for wrong."""
BEAT_S = 3.0
DEAD_S = 15.0
PATIENCE_S = 60.0
"""How long a poll waits for the ones before it."""
RETRY_AFTER_S = 5
LOOK_S = (0.02, 0.25)
"""How often another node's poll is looked at: at first, and later."""
FLAG_TRIES = 3


@dataclass(frozen=True, slots=True)
class Question:
    """Which replies are asked for.

    Those not passed on yet, or those received from `since` up to but not at `until`, both UTC ms.
    `sender` is the mobile they are to be from, or a sender that is no number; None for any.
    """

    since: int | None = None
    until: int = 0
    sender: int | str | None = None


class Replies:
    """The use cases of polling."""

    def __init__(self, database: Database, clock: Clock, *, alone: bool) -> None:
        """`alone`: no other process answers polls, so that a poll in the table that is none of ours is dead."""
        self._database = database
        self._clock = clock
        self._alone = alone
        self._queues: dict[int, tuple[asyncio.Lock, int]] = {}

    async def pay(self, account: Account) -> None:
        """Pays for a poll; ApiError -907 with the seconds to wait."""
        now = self._clock.now_ms()
        missing = await self._database.write(
            lambda tx: rows.pay(tx, account.id, now, cost=COST, burst=BURST, slack=SLACK)
        )
        if missing:
            raise ApiError(TOO_MANY, retry_after=math.ceil(missing / SECOND))

    @contextlib.asynccontextmanager
    async def turn(self, account: Account) -> AsyncIterator[None]:
        """Within, no other poll of the account is answered. It must have paid. ApiError -991 when the polls before
        it take too long."""
        poll = secrets.randbits(62)
        async with contextlib.AsyncExitStack() as undo:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await undo.enter_async_context(self._queue(account.id))
                    await self._begin(account.id, poll)
            except TimeoutError:
                raise ApiError(UNAVAILABLE, retry_after=RETRY_AFTER_S) from None
            beats = asyncio.create_task(self._beat(account.id, poll))
            try:
                yield
            finally:
                beats.cancel()
                await asyncio.shield(self._end(account.id, poll))

    async def pages(self, account: Account, question: Question) -> AsyncGenerator[list[Row], None]:
        """Replies, oldest first: (id, received_at UTC ms, originator, recipient, text, reference) each.

        Every page is one short read.
        """
        handset = question.sender if isinstance(question.sender, int) else None
        name = question.sender if isinstance(question.sender, str) else None
        after: Place = (-(2**62) if question.since is None else question.since, -1)
        while True:

            async def following(tx: Tx, after: Place = after) -> Sequence[Row]:
                if question.since is None:
                    return await rows.waiting(tx, account.id, after)
                return await rows.between(tx, account.id, after, question.until, handset)

            page = await self._database.read(following)
            found = [row for row in page if name is None or row[2] == name]
            if found:
                yield found
            if len(page) < PAGE:
                return
            after = (page[-1][1], page[-1][0])

    async def flag(self, account: Account, ids: array[int]) -> None:
        """These replies were written: they are not passed on again. A store that is away leaves them unflagged."""
        for at in range(0, len(ids), PIECE):
            if not await self._flag(account.id, ids[at : at + PIECE]):
                log.warning("replies_not_flagged", account=account.id, replies=len(ids) - at)
                return

    async def _flag(self, account_id: int, ids: Sequence[int]) -> bool:
        now = self._clock.now_ms()
        for wait in range(FLAG_TRIES):
            await asyncio.sleep(wait)
            with contextlib.suppress(StoreError):
                await self._database.write(lambda tx: rows.flag(tx, account_id, ids, now))
                return True
        return False

    @contextlib.asynccontextmanager
    async def _queue(self, account_id: int) -> AsyncIterator[None]:
        """One after the other within this process, in the order they came."""
        lock, users = self._queues.get(account_id, (None, 0))
        lock = lock or asyncio.Lock()
        self._queues[account_id] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            _, users = self._queues.pop(account_id)
            if users > 1:
                self._queues[account_id] = (lock, users - 1)

    async def _begin(self, account_id: int, poll: int) -> None:
        """Waits until no other node answers a poll of this account."""
        seen: Holder | None = None
        since = 0.0
        dead: Holder | None = None
        pause, slowest = LOOK_S
        while True:

            async def operation(tx: Tx, dead: Holder | None = dead) -> Holder | None:
                return await rows.begin(tx, account_id, poll, dead)

            holder = await self._database.write(operation)
            if holder is None:
                return
            if self._alone:
                dead = holder
                continue
            now = self._clock.monotonic()
            if holder != seen:
                seen, since = holder, now
            dead = seen if now - since >= DEAD_S else None
            await asyncio.sleep(pause)
            pause = min(pause * 2, slowest)

    async def _beat(self, account_id: int, poll: int) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            with contextlib.suppress(StoreError):
                await self._database.write(lambda tx: rows.beat(tx, account_id, poll), Lane.ENGINE)

    async def _end(self, account_id: int, poll: int) -> None:
        # If the store is away, the next poll takes this one for dead after a while.
        with contextlib.suppress(StoreError):
            await self._database.write(lambda tx: rows.end(tx, account_id, poll))
