"""Campaigns, replies and technical rows of some age, and what is left of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cooee.model.campaign import CampaignState
from cooee.model.clock import DAY
from cooee.model.inbound import ReplyKind
from cooee.service.keeping import Keep
from cooee.service.retention import Removed, Retention
from cooee.store import refs, replies
from cooee.store.acceptance import NewCampaign
from cooee.store.replies import NewReply
from cooee.store.sqlite import SqliteDatabase
from tests.store.support_store import FIRST, World, receipt, world

KEEP = Keep(messages_days=30, replies_days=60)
CHILDREN = ("batch", "message", "attempt", "campaign_list", "campaign_count", "campaign_course", "reply_answer")


@asynccontextmanager
async def kept(url: str, keep: Keep = KEEP) -> AsyncIterator[tuple[World, Retention]]:
    """A store, and retention on it."""
    async with world(url) as made:
        yield made, Retention(made.database, made.clock, keep)


async def sent(made: World, count: int = 2, **more: object) -> NewCampaign:
    """A finished campaign with receipts for all its messages."""
    new = await made.campaign(count, **more)
    for hand in await made.claim(7, room=10_000):
        total = len(hand.claimed.numbers)
        ids = {at: f"{new.id}-{hand.claimed.key[2]}-{at}" for at in range(total)}
        await hand.accept(ids).step(release=True)
        await made.receive(*(receipt(smsc_id) for smsc_id in ids.values()))
    assert await made.finish(new) == 1
    return new


async def earlier_attempt(made: World, new: NewCampaign) -> None:
    """Its first recipient was uncertain once, and sent again."""
    await made.sql(
        f"INSERT INTO attempt VALUES ({new.account_id}, {new.id}, {FIRST}, 1, {made.carrier_id}, 1, 0, 0, 0, 0)"
    )


async def merged(made: World) -> None:
    """Ids of segments are in their table, as they are on PostgreSQL at once."""
    if isinstance(made.database, SqliteDatabase):
        await refs.merge(made.database, made.database.memory, at=1)


async def left(made: World, new: NewCampaign) -> dict[str, int]:
    """Rows of a campaign that are still there, by table; nothing where there are none."""
    found = {}
    for table in ("campaign", *CHILDREN):
        column = "id" if table == "campaign" else "campaign_id"
        ((count,),) = await made.rows(f"SELECT COUNT(*) FROM {table} WHERE {column} = {new.id}")
        if count:
            found[table] = int(count)
    return found


async def reply(made: World, no: int, *, retrieved: bool = True, delivery: int | None = None) -> None:
    """A reply, passed on or not; `delivery` is the state of its webhook's delivery."""
    now = made.clock.now_ms()
    new = NewReply(
        made.account_id,
        no,
        now,
        made.carrier_id,
        str(FIRST),
        FIRST,
        "61411",
        "yes",
        ReplyKind.REPLY,
        1,
        0,
        None,
        "",
    )
    await made.write(lambda tx: replies.add(tx, [new], now))
    if retrieved:
        await made.sql(f"UPDATE reply SET retrieved_at = {now} WHERE id = {no}")
    if delivery is not None:
        await made.sql(
            "INSERT INTO webhook_delivery "
            "(account_id, reply_id, state, attempts, created_at, next_at, reason, excerpt) "
            f"VALUES ({made.account_id}, {no}, {delivery}, 1, {now}, {now}, '', '')"
        )


async def ids_of(made: World, table: str, column: str = "id") -> list[int]:
    """Which rows a table has."""
    return [row[0] for row in await made.rows(f"SELECT {column} FROM {table} ORDER BY 1")]


def counts(lines: list[Removed]) -> dict[str, int]:
    """What went, by table, without what did not."""
    return {line.table: line.rows for line in lines if line.rows}


def later(made: World, days: float) -> None:
    """Days go by."""
    made.clock.advance(days * DAY / 1000)


async def state(made: World, new: NewCampaign, state: CampaignState) -> None:
    """A campaign is in another state, since now."""
    await made.sql(
        f"UPDATE campaign SET state = {int(state)}, finished_at = {made.clock.now_ms()} WHERE id = {new.id}"
    )
