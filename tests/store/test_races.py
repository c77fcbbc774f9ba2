"""The races that the architecture names, at every step at which one side can overtake the other."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Awaitable, Callable
from typing import Any

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.clock import HOUR, MINUTE
from cooee.model.errors import ApiError
from cooee.model.message import MessageState
from cooee.model.segments import segment
from cooee.service.campaigns import Campaigns
from cooee.service.routing import Routes
from cooee.store import campaigns, changes, receipts
from cooee.store.acceptance import Created, NewCampaign
from cooee.store.database import Lane, Tx
from cooee.store.dispatch import Outcome as TripOutcome
from cooee.store.receipts import look_again, rejoin
from tests.store.support_races import Outcome, Race, every_interleaving
from tests.store.support_store import FIRST, Hand, World, numbers, receipt, run
from tests.store.test_appends import held, owner, request

HANDED, DELIVERED, CANCELLED = MessageState.HANDED_OVER, MessageState.DELIVERED, MessageState.CANCELLED
ENGINE, PEER = 7, 8
_ids = itertools.count(1)


def races(url: str, make: Callable[[World], Awaitable[Race]], *, at_least: int) -> None:
    """Runs all interleavings; on PostgreSQL there must be as many as the actors have statements."""

    async def check(world: World) -> None:
        ways = await every_interleaving(world, lambda: make(world))
        assert ways >= (at_least if world.database.engine == "postgres" else 4)

    run(url, check)


async def claimed(world: World, count: int, room: int, **more: Any) -> tuple[NewCampaign, Hand]:
    """A campaign alone on a carrier of its own, claimed and marked up to `room`."""
    world.carrier_id = await world.carrier()
    new = await world.campaign(count, **more)
    (hand,) = await world.claim(ENGINE, room)
    return new, hand


def step(hand: Hand, mark: int = 0) -> Callable[[World], Awaitable[TripOutcome]]:
    """The engine's next trip for a batch."""

    async def trip(world: World) -> TripOutcome:
        hand.world = world
        refs = list(hand.refs)
        outcome = await hand.step(mark=mark)
        await rejoin(world.database, world.carrier_id, refs, world.clock.now_ms())
        return outcome

    return trip


# --- receipt against record ----------------------------------------------------------------------------------


def test_a_receipt_and_the_record_of_its_answer(database_url: str) -> None:
    """Whoever comes first, the message is delivered."""

    async def make(world: World) -> Race:
        new, hand = await claimed(world, 1, 1)
        smsc_id = f"r{next(_ids)}"
        hand.accept({0: smsc_id})

        async def receive(world: World) -> None:
            now, carrier = world.clock.now_ms(), world.carrier_id
            applied = await world.database.write(
                lambda tx: receipts.apply(tx, carrier, [receipt(smsc_id, handset=FIRST)], now), Lane.RECEIPTS
            )
            if applied.orphaned:
                await look_again(world.database, now)

        async def check(outcome: Outcome) -> None:
            await world.sweep()
            assert await world.states(new) == [DELIVERED]
            assert await world.orphans() == 0

        return Race(step(hand), receive, check)

    races(database_url, make, at_least=14)


def test_the_receipt_of_a_part_and_the_record_of_a_long_message(database_url: str) -> None:
    """Part by part: none of two receipts is lost."""

    async def make(world: World) -> Race:
        new, hand = await claimed(world, 1, 2, segments=2)
        smsc_id = f"p{next(_ids)}"
        hand.accept({0: smsc_id})
        await world.receive(receipt(f"{smsc_id}0", handset=FIRST))

        async def receive(world: World) -> None:
            now, carrier = world.clock.now_ms(), world.carrier_id
            applied = await world.database.write(
                lambda tx: receipts.apply(tx, carrier, [receipt(f"{smsc_id}1", handset=FIRST)], now)
            )
            if applied.orphaned:
                await look_again(world.database, now)

        async def check(outcome: Outcome) -> None:
            await world.sweep()
            message = (await world.messages(new))[FIRST]
            assert (message.state, message.delivered) == (DELIVERED, 0b11)
            assert await world.orphans() == 0

        return Race(step(hand), receive, check)

    races(database_url, make, at_least=14)


# --- pause and delete against mark ---------------------------------------------------------------------------


def pause_and(more: str | None, new: NewCampaign) -> Callable[[World], Awaitable[None]]:
    async def actor(world: World) -> None:
        await world.change("pause", new)
        if more is not None:
            await world.change(more, new)

    return actor


def test_a_pause_and_a_mark(database_url: str) -> None:
    """Once a pause is answered nothing more is marked."""

    async def make(world: World) -> Race:
        new, hand = await claimed(world, 10, 4)
        hand.accept({at: f"m{next(_ids)}" for at in range(4)})

        async def check(outcome: Outcome) -> None:
            granted = sum(grant.stop - grant.start for grant in outcome.first.grants)
            assert granted in ((0,) if outcome.overtaken else (0, 3))
            assert (await world.batches(new))[0].marked == 4 + granted
            # What has been answered is recorded, whether there was a mark or not.
            assert await world.states(new) == [HANDED] * 4
            assert await world.state(new) == CampaignState.PAUSED
            if granted:
                assert (await hand.accept({at: f"m{next(_ids)}" for at in range(4, 7)}).step(mark=1)).grants == []

        return Race(step(hand, mark=3), pause_and(None, new), check)

    races(database_url, make, at_least=14)


def test_a_pause_and_a_claim(database_url: str) -> None:
    async def make(world: World) -> Race:
        world.carrier_id = await world.carrier()
        new = await world.campaign(10)

        async def claim(world: World) -> list[Hand]:
            return await world.claim(ENGINE, 4)

        async def check(outcome: Outcome) -> None:
            assert not (outcome.overtaken and outcome.first)
            assert (await world.batches(new))[0].marked == (4 if outcome.first else 0)
            assert await world.claim(PEER, 4) == []

        return Race(claim, pause_and(None, new), check)

    races(database_url, make, at_least=10)


def test_a_delete_and_a_mark(database_url: str) -> None:
    """What was not marked is refunded, once; what was stays charged."""

    async def make(world: World) -> Race:
        before = await world.credits()
        new, hand = await claimed(world, 10, 4, segments=2)
        hand.accept({0: f"d{next(_ids)}", 1: f"d{next(_ids)}"})

        async def check(outcome: Outcome) -> None:
            assert await world.state(new) == CampaignState.DELETED
            marked = (await world.batches(new))[0].marked
            granted = sum(grant.stop - grant.start for grant in outcome.first.grants)
            assert marked == 2 + granted
            assert not (outcome.overtaken and granted)
            assert before - await world.credits() == marked * 2
            await world.check_ledger()

        return Race(step(hand, mark=3), pause_and("delete", new), check)

    races(database_url, make, at_least=20)


def test_a_delete_and_the_record_of_a_refusal(database_url: str) -> None:
    """Refused for now as the campaign goes: refunded once, by one of the two, and never tried again."""

    async def make(world: World) -> Race:
        before = await world.credits()
        new, hand = await claimed(world, 3, 3)
        hand.refuse(0).refuse(1, accepted=0).accept({2: f"f{next(_ids)}"})

        async def check(outcome: Outcome) -> None:
            assert await world.states(new) == [CANCELLED, CANCELLED, HANDED]
            assert before - await world.credits() == 1
            world.clock.advance(60)
            await world.ready_delayed()
            assert await world.claim(PEER) == []
            await world.check_ledger()

        return Race(step(hand), pause_and("delete", new), check)

    races(database_url, make, at_least=20)


# --- dealing against a suspended account that goes on ---------------------------------------------------------


def test_the_last_piece_and_an_account_that_goes_on(database_url: str) -> None:
    """What was put aside while the account was suspended is dealt, whoever comes first."""

    async def make(world: World) -> Race:
        world.carrier_id = await world.carrier()
        new = await world.campaign(1000, carriers=None)

        async def piece(world: World, after: int = 1, behind: int = 2) -> tuple[int, int] | None:
            return await world.database.write(
                lambda tx: campaigns.deal_piece(
                    tx, new.account_id, new.id, after=after, behind=behind,
                    deal=lambda count: [world.carrier_id] * count, now=world.clock.now_ms(),
                ),
                Lane.BULK,
            )  # fmt: skip

        async def go_on(world: World) -> None:
            now = world.clock.now_ms()

            async def operation(tx: Tx) -> None:
                await tx.run("set_account_state", id=new.account_id, state=1, at=None)
                await campaigns.release_account(tx, new.account_id, now, now)

            await world.database.write(operation)

        assert await piece(world, -1, 0) == (1, 2)
        await world.sql(f"UPDATE account SET state = 2 WHERE id = {new.account_id}")
        assert await world.claim(ENGINE) == []

        async def check(outcome: Outcome) -> None:
            if outcome.first is not None:
                assert outcome.first == (-1, 2)
            await world.deal(new)
            assert await world.state(new) == CampaignState.RUNNING
            assert {batch.state for batch in await world.batches(new)} == {BatchState.READY}

        return Race(piece, go_on, check)

    races(database_url, make, at_least=5)


# --- append and modify against start -------------------------------------------------------------------------


async def start(world: World) -> None:
    """The scheduler's part: what is due is dealt, and lets itself be claimed."""
    now = world.clock.now_ms()
    await world.write(lambda tx: campaigns.take_due(tx, now))
    for account_id, campaign_id in await world.rows("SELECT account_id, id FROM campaign WHERE state = 2"):
        went: tuple[int, int] | None = (-1, 0)
        while went is not None:
            after, behind = went
            went = await world.write(
                lambda tx, after=after, behind=behind, key=(account_id, campaign_id): campaigns.deal_piece(  # type: ignore[misc]
                    tx, *key, after=after, behind=behind, deal=lambda count: [world.carrier_id] * count, now=now
                ),
                Lane.BULK,
            )


async def everybody(world: World) -> dict[int, list[int]]:
    """Claims all that is ready on the world's carrier: recipients by campaign."""
    found: dict[int, list[int]] = {}
    for hand in await world.claim(ENGINE, 10_000):
        found.setdefault(hand.claimed.key[1], []).extend(hand.claimed.numbers)
    return found


def test_an_append_and_the_start(database_url: str) -> None:
    """Whoever was added is sent with the campaign; who came too late is sent with one of their own."""

    async def make(world: World) -> Race:
        world.carrier_id = await world.carrier()
        await world.sql(f"UPDATE carrier SET state = 2 WHERE id <> {world.carrier_id}")
        world.clock.advance(60)
        account, before = await owner(world), await world.credits()
        at = world.clock.now_ms() + HOUR

        def door(world: World) -> Campaigns:
            return Campaigns(world.database, world.ids, world.clock, Routes(world.database, world.clock))

        first = await door(world).create(account, request(numbers(3), at))
        world.clock.advance(3600)

        async def append(world: World) -> Created:
            late = request(array("q", [FIRST + 1, FIRST + 100]), at, now=world.clock.now_ms())
            return await door(world).create(account, late)

        async def check(outcome: Outcome) -> None:
            added: Created = outcome.first
            joined = added.campaign_id == first.campaign_id
            assert added.messages == (1 if joined else 2)
            assert not (outcome.overtaken and joined)
            await start(world)
            sent = await everybody(world)
            wanted = [*numbers(3), FIRST + 100] if joined else list(numbers(3))
            assert sorted(sent.pop(first.campaign_id)) == wanted == sorted(await held(world, first.campaign_id))
            assert list(sent.values()) == ([] if joined else [[FIRST + 1, FIRST + 100]])
            assert before - await world.credits() == 3 + added.messages
            await world.check_ledger()

        return Race(append, start, check)

    races(database_url, make, at_least=14)


def test_a_modify_and_the_start(database_url: str) -> None:
    """What is sent is what was charged, in text and in price."""
    text = "x" * 161

    async def make(world: World) -> Race:
        world.carrier_id = await world.carrier()
        before = await world.credits()
        new = await world.campaign(3, wake_at=world.clock.now_ms() + MINUTE)
        world.clock.advance(60)

        async def modify(world: World) -> Created:
            change = changes.Change(message=text, segmented=segment(text))
            now = world.clock.now_ms()
            return await world.database.write(lambda tx: changes.modify(tx, new.account_id, new.id, change, now))

        async def begin(world: World) -> list[Hand]:
            await start(world)
            return await world.claim(ENGINE)

        async def check(outcome: Outcome) -> None:
            changed = not isinstance(outcome.first, ApiError)
            assert not (outcome.overtaken and changed)
            hands = outcome.second or await begin(world)
            (hand,) = hands
            wanted = (text, 2, 2) if changed else ("hello", 1, 1)
            assert (hand.claimed.body, hand.claimed.segments, hand.claimed.credits_each) == wanted
            assert before - await world.credits() == 3 * wanted[1]
            await world.check_ledger()

        return Race(modify, begin, check)

    races(database_url, make, at_least=14)


# --- a closing window against a claim ------------------------------------------------------------------------


def test_a_window_that_closes_and_a_claim(database_url: str) -> None:
    """A campaign is scheduled again only where nothing went out: nothing is marked of what says it waits."""

    async def make(world: World) -> Race:
        world.carrier_id = await world.carrier()
        minute = world.clock.now_ms() // MINUTE % 1440
        account = await world.account(window=(minute, (minute + 1) % 1440))
        new = await world.campaign(10, account_id=account)
        closed = world.clock.now_ms() + MINUTE

        async def close(world: World) -> int:
            return await world.database.write(
                lambda tx: campaigns.wait_for_opening(tx, [(account, new.id)], closed)
            )

        async def claim(world: World) -> list[Hand]:
            return await world.claim(ENGINE, 4)

        async def check(outcome: Outcome) -> None:
            waits = await world.state(new) == CampaignState.SCHEDULED
            assert bool(outcome.first) == waits
            assert (await world.batches(new))[0].marked == (4 if outcome.second else 0)
            assert waits != bool(outcome.second)

        return Race(close, claim, check)

    races(database_url, make, at_least=10)


# --- takeover against late answer ----------------------------------------------------------------------------


def test_a_takeover_and_a_late_answer(database_url: str) -> None:
    """What a dead engine learnt counts, whoever comes first; it marks nothing more."""

    async def make(world: World) -> Race:
        new, hand = await claimed(world, 10, 4)
        hand.accept({0: f"t{next(_ids)}", 1: f"t{next(_ids)}"})

        async def take_over(world: World) -> tuple[int, int]:
            return await world.take_over(ENGINE)

        async def check(outcome: Outcome) -> None:
            granted = sum(grant.stop - grant.start for grant in outcome.first.grants)
            assert not (outcome.overtaken and granted)
            states = await world.states(new)
            assert states == [HANDED] * 2 + [MessageState.UNCERTAIN] * (2 + granted)
            # The rest is a peer's, and the doubtful ones are the only ones that go again.
            ((again, *_),) = [hand.claimed.numbers[hand.claimed.start :] for hand in await world.claim(PEER)]
            assert again == new.numbers[4 + granted]
            world.clock.advance(61)
            assert await world.decide() == (2 + granted, 0)
            resent = [number for hand in await world.claim(PEER) for number in hand.claimed.numbers]
            assert resent == list(new.numbers[2 : 4 + granted])

        return Race(step(hand, mark=3), take_over, check)

    races(database_url, make, at_least=14)


def test_two_peers_and_one_dead_engine(database_url: str) -> None:
    async def make(world: World) -> Race:
        new, _ = await claimed(world, 10, 4)

        async def take_over(world: World) -> tuple[int, int]:
            return await world.take_over(ENGINE)

        async def check(outcome: Outcome) -> None:
            assert await world.states(new) == [MessageState.UNCERTAIN] * 4
            (batch,) = await world.batches(new)
            assert (batch.epoch, batch.owner, batch.recorded) == (2, None, 4)
            world.clock.advance(61)
            assert await world.decide() == (4, 0)

        return Race(take_over, take_over, check)

    races(database_url, make, at_least=8)
