"""Enough rows that a plan which walks a table is seen: 50,000 messages and ids, 2,000 batches, many campaigns."""

from __future__ import annotations

import random
from array import array

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.message import MessageState
from cooee.store import audience
from cooee.store.database import Lane, Row, Tx
from tests.store.support_store import FIRST, World

MESSAGES = 50_000
BATCHES = 2000
CAMPAIGNS = 3000
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
    orphans: list[Row] = [(f"o{at}", f"p{at}", None, FIRST + at, "61411", 1, "", 0) for at in range(20_000)]

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

    async def fill(tx: Tx) -> None:
        for at in range(LISTS):
            numbers = range(FIRST, FIRST + (1 if at else 30_000))
            await audience.add(tx, account, LIST + at, "x", numbers, now=now, whole=at % 100 != 99)
        links = [(account, LIST + at % 2, LARGE + at) for at in range(CAMPAIGNS)]
        await tx.many("add_campaign_lists", links)

    await world.write(fill, Lane.BULK)
    for at in range(0, 2000, 100):
        await world.opt_out(FIRST + at)


def state_of(at: int) -> CampaignState:
    """Mostly finished ones, as in a database that has run for a while."""
    if at == 0:
        return CampaignState.RUNNING
    return {1: CampaignState.RUNNING, 2: CampaignState.SCHEDULED, 3: CampaignState.STARTING}.get(
        at % 500, CampaignState.FINISHED
    )
