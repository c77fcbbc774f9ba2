"""Receipts find their messages, in any order, late, twice, and under another reading of their id."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cooee.model.clock import DAY
from cooee.model.message import MessageState, Parts
from cooee.model.smscid import canonical_id
from cooee.store.receipts import (
    DELIVERED,
    FAILED,
    OPEN,
    Incoming,
    agrees,
    look_again,
    rejoin,
    same_originator,
)
from cooee.store.refs import merge
from cooee.store.sqlite import SqliteDatabase
from tests.store.support_store import FIRST, Hand, World, receipt, run, world

HANDED, WAS_DELIVERED, HAS_FAILED = MessageState.HANDED_OVER, MessageState.DELIVERED, MessageState.FAILED


async def sent(world: World, ids: list[str], *, first: int = FIRST, segments: int = 1) -> Hand:
    """One recipient an id (or one of several parts), handed over."""
    await world.campaign(list(range(first, first + (len(ids) if segments == 1 else 1))), segments=segments)
    (hand,) = await world.claim(7)
    if segments == 1:
        hand.accept(dict(enumerate(ids)))
    else:
        hand.rows.append(hand._row(0, HANDED, hand.full))
        hand.refs += [hand.ref(0, smsc_id, part) for part, smsc_id in enumerate(ids)]
        hand.answered.add(0)
    await hand.step()
    return hand


async def journal(world: World) -> list[tuple[int, MessageState, int]]:
    rows = await world.rows("SELECT destination, state, code FROM message ORDER BY destination, campaign_id")
    return [(row[0] - FIRST, MessageState(row[1]), row[2]) for row in rows]


def test_delivered_and_failed(database_url: str) -> None:
    async def check(world: World) -> None:
        hand = await sent(world, ["1", "2", "3", "4"])
        world.clock.advance(9)
        applied = await world.receive(
            receipt("1"), receipt("2", FAILED, code=77), receipt("3", OPEN), receipt("nobody's")
        )
        assert (applied.matched, applied.orphaned, applied.settled) == (3, 1, 0)
        assert applied.campaigns == {hand.claimed.key[:2]}
        assert await journal(world) == [
            (0, WAS_DELIVERED, 0), (1, HAS_FAILED, 77), (2, HANDED, 0), (3, HANDED, 0),
        ]  # fmt: skip
        rows = await world.rows("SELECT changed_at, detail FROM message ORDER BY destination")
        now = world.clock.now_ms()
        assert rows == [(now, None), (now, "UNDELIV 001"), (now - 9000, None), (now - 9000, None)]
        # Said twice, nothing changes, not even the time.
        world.clock.advance(9)
        await world.receive(receipt("1"), receipt("2", FAILED, code=78))
        assert await world.rows("SELECT changed_at, detail FROM message ORDER BY destination") == rows
        assert (await journal(world))[1] == (1, HAS_FAILED, 77)

    run(database_url, check)


def test_delivered_after_failed_raises_and_the_reverse_lowers_nothing(database_url: str) -> None:
    async def check(world: World) -> None:
        await sent(world, ["1", "2"])
        await world.receive(receipt("1", FAILED), receipt("2"))
        await world.receive(receipt("1"), receipt("2", FAILED))
        assert await journal(world) == [(0, WAS_DELIVERED, 0), (1, WAS_DELIVERED, 0)]

    run(database_url, check)


@pytest.mark.parametrize(
    ("answered", "received"),
    [("255", "ff"), ("ff", "255"), ("1a", "001A"), ("10", "16"), ("16", "10"), ("0", "0000"), ("abc-1", "ABC-1")],
)
def test_readings_of_an_id(database_url: str, answered: str, received: str) -> None:
    async def check(world: World) -> None:
        await sent(world, [canonical_id(answered)])
        await world.receive(receipt(canonical_id(received), handset=FIRST))
        assert [state for _, state, _ in await journal(world)] == [WAS_DELIVERED]
        assert await world.orphans() == 0

    run(database_url, check)


def test_the_id_as_given_comes_before_its_other_readings(database_url: str) -> None:
    async def check(world: World) -> None:
        await sent(world, ["16", "10"])
        await world.receive(receipt("10"))
        assert [state for _, state, _ in await journal(world)] == [HANDED, WAS_DELIVERED]

    run(database_url, check)


def test_an_id_that_is_used_again_means_the_newest_message_whose_destination_agrees(database_url: str) -> None:
    async def check(world: World) -> None:
        for at in (0, 10, 10, 20):
            world.clock.advance(1)
            await sent(world, ["5"], first=FIRST + at)
        await world.receive(receipt("5", handset=FIRST + 10))
        assert [state for _, state, _ in await journal(world)] == [HANDED, HANDED, WAS_DELIVERED, HANDED]
        await world.receive(receipt("5", handset=FIRST))
        await world.receive(receipt("5"))
        assert [state for _, state, _ in await journal(world)] == [
            WAS_DELIVERED, HANDED, WAS_DELIVERED, WAS_DELIVERED,
        ]  # fmt: skip
        assert (await world.receive(receipt("5", handset=FIRST + 77))).orphaned == 1

    run(database_url, check)


def test_another_carriers_id_is_another_id(database_url: str) -> None:
    async def check(world: World) -> None:
        await sent(world, ["5"])
        applied = await world.receive(receipt("5"), carrier_id=await world.carrier())
        assert (applied.matched, applied.orphaned) == (0, 1)

    run(database_url, check)


def test_before_its_answer_and_then_joined_with_it(database_url: str) -> None:
    async def check(world: World) -> None:
        new = await world.campaign(3)
        (hand,) = await world.claim(7)
        await world.receive(receipt("ff"), receipt("0b", FAILED), receipt("9", handset=FIRST + 99))
        assert await world.orphans() == 3
        await hand.accept({0: "255", 1: "b", 2: "9"}).step()
        assert await world.states(new) == [WAS_DELIVERED, HAS_FAILED, HANDED]
        # The third one's destination does not agree: it stays.
        assert await world.orphans() == 1

    run(database_url, check)


def test_receipt_and_answer_in_one_commit(database_url: str) -> None:
    """Both are queued before the writer takes either: whichever goes first, they find each other at once."""

    async def check(world: World) -> None:
        database = world.database
        for number in range(10):
            new = await world.campaign([FIRST + number])
            (hand,) = await world.claim(7)
            hand.accept({0: f"r{number}"})
            refs = list(hand.refs)
            await asyncio.gather(hand.step(), world.receive(receipt(f"r{number}")))
            await rejoin(database, world.carrier_id, refs, world.clock.now_ms())
            await look_again(database, world.clock.now_ms())
            assert await world.states(new) == [WAS_DELIVERED]
        assert await world.orphans() == 0

    run(database_url, check)


def test_the_sweep_joins_what_was_missed(database_url: str) -> None:
    async def check(world: World) -> None:
        await world.receive(receipt("77"), *(receipt(f"x{at}") for at in range(700)))
        # As a transaction on another node would have left it: the id is there, and so is the orphan.
        new = await world.campaign(1)
        (hand,) = await world.claim(7)
        orphans = await world.rows(
            "SELECT id_1, kind, carrier_id, originator, error, code, at FROM orphan_receipt"
        )
        await world.sql("DELETE FROM orphan_receipt")
        await hand.accept({0: "77"}).step()
        await world.sql(
            "INSERT INTO orphan_receipt (id_1, kind, carrier_id, originator, error, code, at) VALUES "
            + ", ".join(
                f"('{i}', {kind}, {carrier}, '{who}', '{error}', {code}, {at})"
                for i, kind, carrier, who, error, code, at in orphans
            )
        )
        await world.sweep()
        assert await world.states(new) == [WAS_DELIVERED]
        assert await world.orphans() == 700

    run(database_url, check)


def test_a_receipt_may_take_seven_days_and_not_more(database_url: str) -> None:
    async def check(world: World) -> None:
        await sent(world, ["1", "2"])
        if world.database.engine == "sqlite":
            assert isinstance(world.database, SqliteDatabase)
            await merge(world.database, world.database.memory, at=1)
        world.clock.advance(7 * DAY / 1000 - 1)
        assert (await world.receive(receipt("1"))).matched == 1
        world.clock.advance(2)
        assert (await world.receive(receipt("2"))).orphaned == 1

    run(database_url, check)


def test_a_thousand_at_once_in_any_order(database_url: str) -> None:
    async def check(world: World) -> None:
        ids = [f"{number:x}" for number in random.Random(5).sample(range(10**6), 500)]
        await sent(world, ids)
        came = [receipt(smsc_id, FAILED if at % 10 == 0 else DELIVERED) for at, smsc_id in enumerate(ids)] * 2
        random.Random(6).shuffle(came)
        applied = await world.receive(*came)
        assert (applied.matched, applied.orphaned) == (1000, 0)
        states = [state for _, state, _ in await journal(world)]
        assert states == [HAS_FAILED if at % 10 == 0 else WAS_DELIVERED for at in range(500)]

    run(database_url, check)


def test_washed_and_cancelled_messages_take_no_receipt(database_url: str) -> None:
    async def check(world: World) -> None:
        hand = await sent(world, ["1"])
        await world.sql("UPDATE message SET state = 5")
        await world.receive(receipt("1"))
        assert await world.rows("SELECT state FROM message") == [(5,)]
        assert hand.claimed.segments == 1

    run(database_url, check)


# --- the lattice -------------------------------------------------------------------------------------------

PART_RECEIPTS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([DELIVERED, FAILED, OPEN])), min_size=1, max_size=9
)


@pytest.mark.parametrize("split", [False, True], ids=["one group", "one by one"])
def test_part_receipts_join_to_the_same_whatever_their_order(database_url: str, split: bool) -> None:
    """The rows agree with the masks of model/message.py, and no step of the way lowers a state."""

    async def check(world: World, came: list[tuple[int, int]], number: int) -> None:
        ids = [f"{number}-{part}" for part in range(3)]
        hand = await sent(world, ids, first=FIRST + number, segments=3)
        expected = Parts(3, accepted=7)
        last = HANDED
        rising = {HANDED: 0, HAS_FAILED: 1, WAS_DELIVERED: 2}
        groups = [[each] for each in came] if split else [came]
        for group in groups:
            await world.receive(*(receipt(ids[part], kind) for part, kind in group))
            for part, kind in group:
                bit = 1 << part
                expected = expected.join(
                    Parts(3, 7, bit if kind == DELIVERED else 0, bit if kind == FAILED else 0)
                )
            ((state, delivered, failed),) = await world.rows(
                f"SELECT state, delivered, failed FROM message WHERE campaign_id = {hand.claimed.key[1]}"
            )
            assert (delivered, failed) == (expected.delivered, expected.failed)
            masks = expected.state
            # Failed stays failed once it was said, until every part is delivered.
            assert MessageState(state) in ({masks, HAS_FAILED} if masks is HANDED else {masks})
            assert rising[MessageState(state)] >= rising[last]
            last = MessageState(state)

    async def main(examples: list[list[tuple[int, int]]]) -> None:
        async with world(database_url) as made:
            for number, came in enumerate(examples):
                await check(made, came, number)

    gathered: list[list[tuple[int, int]]] = []

    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(PART_RECEIPTS)
    def gather(came: list[tuple[int, int]]) -> None:
        gathered.append(came)

    gather()
    asyncio.run(main(gathered))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.builds(Parts, st.just(4), *[st.integers(0, 15)] * 3), min_size=1, max_size=5), st.randoms())
def test_masks_form_a_lattice(parts: list[Parts], rnd: random.Random) -> None:
    def joined(some: list[Parts]) -> Parts:
        whole = some[0]
        for each in some[1:]:
            whole = whole.join(each)
        return whole

    shuffled = parts * 2
    rnd.shuffle(shuffled)
    assert joined(shuffled) == joined(parts)


# --- who agrees with whom ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("handset", "destination", "same"),
    [
        (None, 61400000001, True), (61400000001, 61400000001, True), (400000001, 61400000001, True),
        (61400000002, 61400000001, False), (1, 61400000001, False), (861400000001, 61400000001, True),
    ],
)  # fmt: skip
def test_agrees(handset: int | None, destination: int, same: bool) -> None:
    assert agrees(handset, destination) is same


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("61411", "61411", True), ("+61411", "61411", True), ("0411222333", "61411222333", True),
        ("ACME", "acme", True), ("ACME", "ACM", False), ("61411", "11", False),
        ("61411222333", "61411222334", False),
    ],
)  # fmt: skip
def test_same_originator(ours: str, theirs: str, same: bool) -> None:
    assert same_originator(ours, theirs) is same


def test_a_receipt_without_an_id_matches_nothing(database_url: str) -> None:
    async def check(world: World) -> None:
        await sent(world, ["1"])
        applied = await world.receive(Incoming("", FIRST, "61411", DELIVERED, "", 0))
        assert (applied.matched, applied.orphaned) == (0, 1)
        await world.sweep()
        assert await world.orphans() == 1

    run(database_url, check)
