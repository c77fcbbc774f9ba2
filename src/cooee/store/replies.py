"""Replies find their accounts, and are stored. Each operation runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cooee.model.inbound import ReplyKind
from cooee.store import webhooks
from cooee.store.database import Row, Tx


@dataclass(frozen=True, slots=True)
class NewReply:
    """A reply that has found its account. Fields are the columns of `reply`; times are UTC ms."""

    account_id: int
    id: int
    received_at: int
    carrier_id: int
    originator: str
    handset: int | None
    recipient: str
    body: str
    kind: ReplyKind
    parts: int
    missing: int
    campaign_id: int | None
    reference: str


async def add(tx: Tx, replies: Sequence[NewReply], now: int) -> None:
    """Stores replies of accounts, whatever way they came: at once, re-assembled late, assigned or recovered."""
    rows: list[Row] = [
        (
            r.account_id, r.id, r.received_at, r.carrier_id, r.originator, r.handset, r.recipient, r.body, r.kind,
            r.parts, r.missing, r.campaign_id, r.reference,
        )
        for r in replies
    ]  # fmt: skip
    await tx.many("add_replies", rows)
    await webhooks.enqueue(tx, [(r.account_id, r.id) for r in replies], now)


@dataclass(frozen=True, slots=True)
class Unrouted:
    """A message that is nobody's. Fields are the columns of `unrouted_reply`."""

    id: int
    received_at: int
    carrier_id: int
    originator: str
    handset: int | None
    recipient: str
    body: str
    parts: int
    missing: int


async def add_unrouted(tx: Tx, messages: Sequence[Unrouted]) -> None:
    """Keeps messages that are nobody's, for a person to assign."""
    rows: list[Row] = [
        (m.id, m.received_at, m.carrier_id, m.originator, m.handset, m.recipient, m.body, m.parts, m.missing)
        for m in messages
    ]
    await tx.many("add_unrouted", rows)
