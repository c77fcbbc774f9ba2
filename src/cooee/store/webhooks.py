"""Deliveries of replies to webhooks: written with the reply, leased by account, recorded in groups.

Each operation takes a `Tx` and runs inside the caller's transaction. An engine leases whole webhooks (`claim`),
reads what is due of them without writing anything, calls the receivers, and records what came of it (`record`). So
a delivery costs one insert and one update, and after a kill nothing is to be cleaned up but the leases: what was
not recorded is still waiting, and is told again, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cooee.model.clock import MINUTE
from cooee.model.webhook import GIVE_UP_MS, WebhookState
from cooee.store.database import Row, Tx

LONGEST_BLOCK_MS = MINUTE
"""How long a receiver that fails is left alone at most."""
PIECE = 500


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as it is stored: `url` and `secret` are encrypted. Times are UTC ms."""

    account_id: int
    version: int
    url: str
    username: str
    secret: str
    failures: int
    down_since: int | None
    blocked_until: int


@dataclass(frozen=True, slots=True)
class Due:
    """A reply that its webhook is to be told of now; `give_up_at` is None before the first failed attempt."""

    account_id: int
    reply_id: int
    attempts: int
    created_at: int
    give_up_at: int | None
    originator: str
    recipient: str
    reference: str
    body: str


@dataclass(slots=True)
class Results:
    """What came of calls, to be recorded together. Rows are in the columns of their queries."""

    taken: list[Row] = field(default_factory=list)
    """(account_id, reply_id, at, status)"""
    failed: list[Row] = field(default_factory=list)
    """(account_id, reply_id, attempts before, state, next_at, give_up_at, at, status, reason, excerpt)"""
    health: dict[int, Row] = field(default_factory=dict)
    """By account: (account_id, failures, down_since, blocked_until)"""

    def __bool__(self) -> bool:
        return bool(self.taken or self.failed or self.health)


async def enqueue(tx: Tx, replies: Sequence[tuple[int, int]], now: int) -> None:
    """Deliveries for those of the replies, (account_id, reply_id) each, whose account has a webhook."""
    await tx.many("enqueue_deliveries", replies, now=now)


async def due(tx: Tx, owner: int, now: int) -> tuple[list[int], list[int]]:
    """Accounts with something due: (of those that `owner` has, of those that nobody has)."""
    held: list[int] = []
    free: list[int] = []
    for row in await tx.all("due_webhooks", owner=owner, now=now, longest_block=LONGEST_BLOCK_MS):
        (free if row[1] is None else held).append(row[0])
    return sorted(held), sorted(free)


async def claim(tx: Tx, owner: int, accounts: Iterable[int]) -> list[Webhook]:
    """Leases the webhooks of these accounts, as far as they are still free."""
    rows = await tx.many_all("claim_webhooks", [(account,) for account in accounts], owner=owner)
    return [Webhook(*row) for row in rows]


async def due_replies(tx: Tx, accounts: Iterable[int], now: int, each: int) -> list[Due]:
    """The next `each` due deliveries of each of these accounts, in the order they became due."""
    rows = await tx.many_all("due_replies", [(account,) for account in accounts], now=now, each=each)
    return [Due(*row) for row in rows]


async def record(tx: Tx, owner: int, results: Results) -> int:
    """Writes what came of calls; how many deliveries moved. May be repeated: it changes nothing then.

    A reply that was taken is flagged retrieved in the same transaction.
    """
    await tx.many("webhook_health", [results.health[account] for account in sorted(results.health)], owner=owner)
    taken = sorted(results.taken, key=_key)
    moved = await tx.many("deliveries_taken", taken)
    moved += await tx.many("deliveries_failed", sorted(results.failed, key=_key))
    await tx.many("retrieved_by_webhook", taken)
    return moved


async def park_expired(tx: Tx, account_id: int, reason: str, now: int) -> int:
    """Parks up to 500 deliveries of a receiver that has been down for `GIVE_UP_MS`; how many."""
    return await tx.run(
        "park_expired", account_id=account_id, reason=reason, now=now, untried_before=now - GIVE_UP_MS
    )


async def park_all(tx: Tx, account_id: int, now: int) -> int:
    """Parks up to 500 of what waits for a webhook that was taken away; how many."""
    return await tx.run("park_all", account_id=account_id, now=now)


async def put(
    tx: Tx, account_id: int, state: WebhookState, *, url: str, username: str, secret: str, now: int
) -> None:
    """A webhook as a person sets it; `url` and `secret` are encrypted. It counts as sound until it fails."""
    await tx.run(
        "put_webhook", account_id=account_id, state=state, url=url, username=username, secret=secret, now=now
    )


async def replay(tx: Tx, account_id: int, reply_id: int | None, now: int) -> int:
    """Makes one delivery due, or up to 500 parked ones, and lets the receiver be called at once; how many."""
    if reply_id is not None:
        moved = await tx.run("replay_one", account_id=account_id, reply_id=reply_id, now=now)
    else:
        moved = await tx.run("replay_parked", account_id=account_id, now=now)
    if moved:
        await tx.run("unblock_webhook", account_id=account_id)
    return moved


def _key(row: Row) -> tuple[int, int]:
    return row[0], row[1]
