"""Operations on replies as conversations. Each takes a `Tx` and runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cooee.model.inbound import ReplyKind
from cooee.model.message import MessageState
from cooee.store.database import Row, Tx

NEWEST = (2**62, 2**62)
"""Before every reply: (received_at, id)."""


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation by its newest reply. `handset` is None for a sender that is no number. Times are UTC ms."""

    id: int
    received_at: int
    originator: str
    handset: int | None
    recipient: str
    body: str
    kind: ReplyKind
    campaign_id: int | None
    unread: bool


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """Something that a handset wrote; `missing` of its `parts` never came."""

    id: int
    received_at: int
    originator: str
    recipient: str
    body: str
    kind: ReplyKind
    parts: int
    missing: int
    campaign_id: int | None


@dataclass(frozen=True, slots=True)
class SentRow:
    """Something that was written to a handset; `state` None while it has none."""

    campaign_id: int
    at: int
    originator: str
    body: str
    messages: int
    state: MessageState | None


def _reply(row: Row) -> ReplyRow:
    return ReplyRow(row[0], row[1], row[2], row[3], row[4], ReplyKind(row[5]), row[6], row[7], row[8])


async def page(
    tx: Tx, account_id: int, before: tuple[int, int], *, stops: bool, unread: bool, limit: int
) -> list[Talk]:
    """The next conversations before (received_at, id), the newest first."""
    rows = await tx.all(
        "conversations",
        account_id=account_id, received_at=before[0], id=before[1], limit=limit,
        stops=int(stops), unread=int(unread),
    )  # fmt: skip
    return [
        Talk(row[0], row[1], row[2], row[3], row[4], row[5], ReplyKind(row[6]), row[7], bool(row[8]))
        for row in rows
    ]


async def replies(tx: Tx, account_id: int, handset: int, before: tuple[int, int], limit: int) -> list[ReplyRow]:
    """What a handset wrote before (received_at, id), the newest first."""
    rows = await tx.all(
        "conversation_replies",
        account_id=account_id, handset=handset, received_at=before[0], id=before[1], limit=limit,
    )  # fmt: skip
    return [_reply(row) for row in rows]


async def nameless(tx: Tx, account_id: int, reply_id: int) -> ReplyRow | None:
    """One reply of a sender that is no number, or None."""
    row = await tx.one("conversation_reply", account_id=account_id, id=reply_id)
    return None if row is None else _reply(row)


async def sent(tx: Tx, account_id: int, handset: int, campaigns: Sequence[int]) -> list[SentRow]:
    """What these campaigns wrote to the handset."""
    rows = await tx.many_all(
        "conversation_campaigns", [(key,) for key in campaigns], account_id=account_id, handset=handset
    )
    return [
        SentRow(row[0], row[1], row[2], row[3], row[4], None if row[5] is None else MessageState(row[5]))
        for row in rows
    ]


async def answers(tx: Tx, account_id: int, handset: int, limit: int) -> list[int]:
    """The campaigns that answered a handset from the console, the newest first."""
    found = await tx.all("conversation_answers", account_id=account_id, handset=handset, limit=limit)
    return [int(row[0]) for row in found]


async def add_answer(tx: Tx, account_id: int, handset: int, campaign_id: int, now: int) -> None:
    """A campaign answers a handset."""
    await tx.run(
        "add_conversation_answer", account_id=account_id, handset=handset, campaign_id=campaign_id, now=now
    )


async def read(tx: Tx, account_id: int, handset: int, until: int) -> None:
    """Everything that came until then was read."""
    await tx.run("read_conversation", account_id=account_id, handset=handset, until=until)


async def opted_out(tx: Tx, account_id: int, destination: int) -> tuple[int, str] | None:
    """Since when (UTC ms) and why a number is opted out; None where it is not."""
    row = await tx.one("is_opted_out", account_id=account_id, destination=destination)
    return None if row is None else (int(row[0]), str(row[1]))


async def history(tx: Tx, account_id: int, destination: int, limit: int) -> Sequence[Row]:
    """(destination, added_at, reason, who, text, deleted_at, reason, who, text) of a number, the newest first."""
    return await tx.all("optout_history", account_id=account_id, destination=destination, limit=limit)
