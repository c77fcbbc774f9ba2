"""Replies as people read them: a conversation for each handset, with what was written to it and what it did.

What was read here is no matter of the API's: a poll or a webhook passes a reply on all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cooee.model.account import Account
from cooee.model.clock import Clock
from cooee.store import conversations as rows
from cooee.store import optouts as optout_rows
from cooee.store.conversations import NEWEST, ReplyRow, SentRow, Talk
from cooee.store.database import Database, Row, Tx

__all__ = [
    "NEWEST",
    "OPTOUTS_FROM",
    "Conversation",
    "Conversations",
    "OptoutLine",
    "OptoutPast",
    "ReplyRow",
    "SentRow",
    "Talk",
]

OPTOUTS_FROM = optout_rows.NEWEST
"""Before every opt-out: (added_at, destination)."""
SHOWN = 50
"""Replies of one conversation on a page."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a handset and an account wrote to each other; `lines` from the oldest. `more`: there are older replies.
    `opted_out`: since when (UTC ms) and why, or None."""

    lines: Sequence[ReplyRow | SentRow]
    more: tuple[int, int] | None
    newest: ReplyRow
    opted_out: tuple[int, str] | None


@dataclass(frozen=True, slots=True)
class OptoutLine:
    """An opt-out that holds; `added_at` is UTC ms, `text` what the handset wrote."""

    destination: int
    added_at: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class OptoutPast:
    """An opt-out of a number, also one that ended. Times are UTC ms."""

    added_at: int
    reason: str
    who: str
    text: str
    deleted_at: int | None
    deleted_reason: str | None
    deleted_who: str | None


class Conversations:
    """The use cases."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def page(
        self,
        account: Account,
        *,
        before: tuple[int, int] = NEWEST,
        stops: bool = False,
        unread: bool = False,
        limit: int = 50,
    ) -> list[Talk]:
        """The next conversations before (received_at, id), the newest first. `stops`: ended by an opt-out."""
        return await self._database.read(
            lambda tx: rows.page(tx, account.id, before, stops=stops, unread=unread, limit=limit)
        )

    async def find(self, account: Account, handset: int, before: tuple[int, int] = NEWEST) -> Conversation | None:
        """The conversation with a handset, None where it never wrote; what is shown counts as read."""

        async def look(tx: Tx) -> Conversation | None:
            found = await rows.replies(tx, account.id, handset, before, SHOWN + 1)
            if not found:
                return None
            replies = found[:SHOWN]
            campaigns = {reply.campaign_id for reply in replies if reply.campaign_id is not None}
            if before == NEWEST:
                campaigns.update(await rows.answers(tx, account.id, handset, SHOWN))
            sent = await rows.sent(tx, account.id, handset, sorted(campaigns))
            lines: list[ReplyRow | SentRow] = [*replies, *sent]
            lines.sort(key=lambda line: line.at if isinstance(line, SentRow) else line.received_at)
            more = (replies[-1].received_at, replies[-1].id) if len(found) > SHOWN else None
            return Conversation(lines, more, replies[0], await rows.opted_out(tx, account.id, handset))

        conversation = await self._database.read(look)
        if conversation is not None and before == NEWEST:
            until = conversation.newest.received_at
            await self._database.write(lambda tx: rows.read(tx, account.id, handset, until))
        return conversation

    async def nameless(self, account: Account, reply_id: int) -> ReplyRow | None:
        """One reply of a sender that is no number, which nobody can answer."""
        return await self._database.read(lambda tx: rows.nameless(tx, account.id, reply_id))

    async def answered(self, account: Account, handset: int, campaign_id: int) -> None:
        """A campaign answers this handset: it belongs to the conversation."""
        now = self._clock.now_ms()
        await self._database.write(lambda tx: rows.add_answer(tx, account.id, handset, campaign_id, now))

    async def optouts(
        self, account: Account, *, before: tuple[int, int] = optout_rows.NEWEST, limit: int = 100
    ) -> list[OptoutLine]:
        """The next opt-outs before (added_at, destination), the newest first."""

        async def look(tx: Tx) -> Sequence[Row]:
            return await optout_rows.page(tx, account.id, before, limit)

        return [OptoutLine(*row) for row in await self._database.read(look)]

    async def optout_history(self, account: Account, destination: int) -> list[OptoutPast]:
        """Every opt-out of a number, the newest first."""
        found = await self._database.read(lambda tx: rows.history(tx, account.id, destination, 100))
        return [OptoutPast(*row[1:8]) for row in found]
