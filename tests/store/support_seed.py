"""Enough rows that a plan which walks a table is seen: 50,000 messages and ids, 2,000 batches, many campaigns and
replies."""

from __future__ import annotations

import random
from array import array

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.inbound import ReplyKind
from cooee.model.message import MessageState
from cooee.store import audience, replies
from cooee.store.database import Lane, Row, Tx
from cooee.store.replies import NewReply
from tests.store.support_store import FIRST, World

MESSAGES = 50_000
BATCHES = 2000
CAMPAIGNS = 3000
REPLIES = 20_000
LARGE = 1_000_001
"""The campaign that most of it belongs to."""
LISTS = 300
LIST = 2001
"""The list that most numbers of lists are in, and every campaign was sent to."""


async def seed(world: World) -> None:
    """Fills a world. Campaign LARGE runs with 2,000 batches: done, out with engines 7 and 8, ready, delayed."""
    account, carrier = world.account_id, world.carrier_id
    now = world.clock.now_ms()
    rnd = random.Random(3)
    campaigns: list[Row] = [
        (
            account,
            LARGE + at,
            state_of(at),
            "61411",
            "hello",
            0,
            1,
            at,
            None,
            now,
            now + 10**6,
            now,
            5,
            5,
            1,
            0,
            0,
            0,
        )
        for at in range(CAMPAIGNS)
    ]
    packed = array("q", range(FIRST, FIRST + 10)).tobytes()
    batches: list[Row] = []
    for no in range(BATCHES):
        state = (
            BatchState.DONE if no < 1500 else BatchState.OUT if no < 1600 else BatchState.DELAYED if no < 1620
            else BatchState.HELD if no < 1640 else BatchState.READY
        )  # fmt: skip
        owner = 7 + no % 2 if state is BatchState.OUT else None
        not_before = now + 1000 * no if state is BatchState.DELAYED else None
        batches.append(
            (account, LARGE, no, carrier, no, state, 1 + no % 2, 10, 1, 0, not_before, now, now + 10**7, owner, 5,
             packed)
        )  # fmt: skip
    batches += [
        (account, LARGE + at, 0, carrier, at, BatchState.DONE if at > 50 else BatchState.READY, 1, 10, 1, 0, None,
         None, None, None, 0, packed)
        for at in range(1, CAMPAIGNS)
    ]  # fmt: skip
    ids = rnd.sample(range(10**12), MESSAGES)
    messages: list[Row] = []
    for at in range(MESSAGES):
        outcome = MessageState.DELIVERED
        if at % 500 == 0:
            outcome = MessageState.UNCERTAIN
        elif at % 701 == 0:
            outcome = MessageState.RETRYING
        until = now + 1000 * at if outcome is MessageState.UNCERTAIN else None
        messages.append((account, LARGE, FIRST + at, outcome, 1, 1, 1, 0, 1, now, until, 0, None))
    refs: list[Row] = [(str(ids[at]), now - at, account, LARGE, FIRST + at, 0, 1) for at in range(MESSAGES)]
    orphans: list[Row] = [
        (f"o{at}", f"p{at}", None, FIRST + at, "61411", 1, "", 0, 5, b"") for at in range(20_000)
    ]

    async def write(tx: Tx) -> None:
        await tx.many("add_campaigns", campaigns, now=now)
        await tx.many("add_batches", batches)

    await world.write(write, Lane.BULK)
    for first in range(0, MESSAGES, 10_000):
        await world.write(
            lambda tx, f=first: tx.many("record", messages[f : f + 10_000], carrier_id=carrier, now=now),  # type: ignore[misc]
            Lane.BULK,
        )
        await world.write(
            lambda tx, f=first: tx.many("add_refs", refs[f : f + 10_000], carrier_id=carrier),  # type: ignore[misc]
            Lane.BULK,
        )
        await world.write(
            lambda tx, f=first: tx.many("add_orphans", orphans[f // 10 * 4 :][:4000], carrier_id=carrier, now=now),  # type: ignore[misc]
            Lane.BULK,
        )
    await seed_receipts(world, now)
    await seed_audit(world, now)
    written = [
        NewReply(
            account, at, now + at, carrier, str(FIRST + at % 1000), FIRST + at % 1000, "61411", "yes",
            ReplyKind.REPLY, 1, 0, None, "",
        )
        for at in range(REPLIES)
    ]  # fmt: skip
    for first in range(0, REPLIES, 5000):
        await world.write(lambda tx, f=first: replies.add(tx, written[f : f + 5000], now), Lane.BULK)  # type: ignore[misc]
    await world.sql(f"UPDATE reply SET retrieved_at = {now} WHERE id < {REPLIES - 500}")
    await seed_receiving(world, now)
    out: list[Row] = [(account, FIRST + at, "Client", "", "") for at in range(0, 200_000, 100)]
    await world.write(lambda tx: tx.many("add_optouts", out, now=0))

    async def fill(tx: Tx) -> None:
        for at in range(LISTS):
            numbers = range(FIRST, FIRST + (1 if at else 30_000))
            await audience.add(tx, account, LIST + at, "x", numbers, now=now, whole=at % 100 != 99)
        links = [(account, LIST + at % 2, LARGE + at) for at in range(CAMPAIGNS)]
        await tx.many("add_campaign_lists", links)

    await world.write(fill, Lane.BULK)


async def seed_receipts(world: World, now: int) -> None:
    """Two days of receipts as they came: 20,000 rows, the newest 500 of which were not put together yet."""
    numbers = f"""WITH RECURSIVE n(at) AS (SELECT 0 UNION ALL SELECT at + 1 FROM n WHERE at < 19999)
        SELECT {now} + at * 8640, 0, {world.carrier_id}, {LARGE} + at, 5, {FIRST} + at, 100, 9,
        CASE WHEN at < 19500 THEN 1 ELSE 0 END, '' FROM n"""
    await world.sql(
        "INSERT INTO receipt_log (at, at_span, carrier_id, campaign_low, campaign_span, destination_low, "
        f"destination_span, receipts, packed, body) {numbers}"
    )


async def seed_audit(world: World, now: int) -> None:
    """20,000 lines of the audit log, a second apart."""
    lines = f"""WITH RECURSIVE n(at) AS (SELECT 0 UNION ALL SELECT at + 1 FROM n WHERE at < 19999)
        SELECT {now} + at * 1000, 'operator', 'kim', '192.0.2.7', 'account changed', 'acme', '', '' FROM n"""
    await world.sql(
        f"INSERT INTO audit (at, actor_kind, actor, address, action, account, carrier, detail) {lines}"
    )


async def seed_receiving(world: World, now: int) -> None:
    """What is kept about handsets: contacts, copies, parts, messages that are nobody's, answers; 20,000 each."""
    account, carrier = world.account_id, world.carrier_id
    many = range(REPLIES)
    contacts: list[Row] = [("61411", FIRST + at, account, LARGE) for at in many]
    seen: list[Row] = [(at * 7919, 1, 1, now + at) for at in many]
    parts: list[Row] = [(str(FIRST + at), "61411", 7, 3, 1, 1, 0, now + at, b"x") for at in many]
    nobodys: list[Row] = [
        (at, now + at, carrier, "x", None, f"6141{at % 9}", "hello", 1, 0) for at in many
    ]  # fmt: skip
    answers: list[Row] = [(account, FIRST + at, 1, 1, "61411", "Bye") for at in many]
    for first in range(0, REPLIES, 5000):
        piece = slice(first, first + 5000)

        async def write(tx: Tx, piece: slice = piece) -> None:
            await tx.many("note_contacts", contacts[piece], now=now + piece.start)
            await tx.many("add_seen", seen[piece], carrier_id=carrier)
            await tx.many("add_parts", parts[piece], carrier_id=carrier)
            await tx.many("add_unrouted", nobodys[piece])
            await tx.many("add_answers", answers[piece], now=now + piece.start)

        await world.write(write, Lane.BULK)
    await world.sql(f"UPDATE auto_answer SET state = 1 WHERE handset > {FIRST + 100}")


def state_of(at: int) -> CampaignState:
    """Mostly finished ones, as in a database that has run for a while."""
    if at == 0:
        return CampaignState.RUNNING
    return {1: CampaignState.RUNNING, 2: CampaignState.SCHEDULED, 3: CampaignState.STARTING}.get(
        at % 500, CampaignState.FINISHED
    )
