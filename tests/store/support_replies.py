"""Replies in the store, and what their webhooks know of them."""

from __future__ import annotations

from typing import NamedTuple

from cooee.model.inbound import ReplyKind
from cooee.model.webhook import WebhookState
from cooee.store import replies, webhooks
from cooee.store.replies import NewReply
from tests.store.support_store import FIRST, World


class Told(NamedTuple):
    """A delivery, and whether its reply is flagged retrieved."""

    state: int
    attempts: int
    next_at: int
    give_up_at: int | None
    status: int | None
    reason: str
    retrieved: bool


async def set_webhook(world: World, account_id: int, url: str = "sealed", secret: str = "") -> None:
    """The account has a webhook; texts are stored as they are given."""
    now = world.clock.now_ms()
    await world.write(
        lambda tx: webhooks.put(tx, account_id, WebhookState.ON, url=url, username="user", secret=secret, now=now)
    )


async def reply(
    world: World, account_id: int, count: int = 1, *, handset: int = FIRST, text: str = "hello"
) -> list[int]:
    """Stores replies in one transaction, each of another handset unless `handset` is 0; their ids.

    Their texts are "hello 0", "hello 1"….
    """
    ids = await world.ids.take("reply", count)
    now = world.clock.now_ms()
    new = [
        NewReply(
            account_id=account_id, id=number, received_at=now, carrier_id=world.carrier_id,
            originator=str(handset + at if handset else FIRST), handset=handset + at if handset else FIRST,
            recipient="61411", body=f"{text} {at}", kind=ReplyKind.REPLY, parts=1, missing=0, campaign_id=None,
            reference="ref",
        )
        for at, number in enumerate(ids)
    ]  # fmt: skip
    await world.write(lambda tx: replies.add(tx, new, now))
    return list(ids)


async def told(world: World, account_id: int) -> dict[int, Told]:
    """The deliveries of an account, by reply."""
    rows = await world.rows(
        "SELECT d.reply_id, d.state, d.attempts, d.next_at, d.give_up_at, d.status, d.reason, "
        "CASE WHEN r.retrieved_at IS NULL THEN 0 ELSE 1 END FROM webhook_delivery d "
        "JOIN reply r ON r.account_id = d.account_id AND r.id = d.reply_id "
        f"WHERE d.account_id = {account_id} ORDER BY d.reply_id"
    )
    return {row[0]: Told(row[1], row[2], row[3], row[4], row[5], row[6], bool(row[7])) for row in rows}


async def states(world: World, account_id: int) -> list[int]:
    return [delivery.state for delivery in (await told(world, account_id)).values()]
