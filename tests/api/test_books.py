"""Whatever clients, operator and carrier do in whatever order: the books are those of a plain model, step by step.

A hypothesis state machine calls the API as two accounts, claims and records slices as an engine does, lets time
pass, and compares everything that can be seen after each step. `COOEE_STATEFUL_SCALE` (a factor, 1 by default)
makes a longer run of other sequences each time.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cooee.model.campaign import STATUS_WORD, CampaignState
from cooee.model.message import MessageState
from cooee.store import campaigns, carriers
from cooee.store.ids import Ids
from tests.api.support_api import Client, Server
from tests.api.support_books import (
    CANCELLED,
    FAILED,
    OUT,
    RETRY,
    SENT,
    TEXTS,
    UNCERTAIN,
    WAITING,
    WASHED,
    Holder,
    Planned,
)
from tests.store.support_store import WAIT, Hand, World, raw

SCALE = float(os.environ.pop("COOEE_STATEFUL_SCALE", "1"))
ENGINE = 7
FIRST = 61400200000
MINUTE = 60_000
WORDS = {
    MessageState.SENDING: OUT, MessageState.RETRYING: RETRY, MessageState.UNCERTAIN: UNCERTAIN,
    MessageState.HANDED_OVER: SENT, MessageState.WASHED: WASHED, MessageState.CANCELLED: CANCELLED,
    MessageState.FAILED: FAILED,
}  # fmt: skip

ACCOUNT = st.integers(0, 1)
PICK = st.integers(0, 99)
NUMBERS = st.sets(st.integers(0, 9), min_size=1, max_size=6)
TEXT = st.sampled_from(sorted(TEXTS, key=len))
ORIGINATOR = st.sampled_from(["61400190499", "Shop"])
WHEN = st.sampled_from([None, -60, 30, 60])
"""Minutes after the start of the story; those of several requests agree often."""
FROM = {
    "pause": ("Scheduled", "Running"),
    "unpause": ("Paused",),
    "delete": ("Scheduled", "Paused"),
}
"""Where an action leads somewhere."""
REFERENCE = st.sampled_from([None, "a", "b"])


class Story(RuleBasedStateMachine):
    """Two accounts on one running API; their campaigns go out through the store's own trips."""

    server: Server
    world: World

    @initialize(credits=st.integers(25, 90), numbers=NUMBERS)
    def begin(self, credits: int, numbers: set[int]) -> None:
        self.server.run(self._forget())
        self.clients: list[Client] = [
            self.server.account(credits=credits, zone="UTC", may_add_credits=True, allow_international=True)
            for _ in range(2)
        ]
        self.holders = [Holder(credits), Holder(credits)]
        self.base = self.server.clock.now_ms() // MINUTE * MINUTE
        self.hands: list[Hand] = []
        # Every story has something that waits, something that goes, and somebody who must not be written to.
        self.create(0, numbers, "short", "Shop", 30, "a")
        self.create(0, numbers, "short", "Shop", None, "b")
        self.create(1, numbers, "x" * 161, "Shop", 60, None)
        self.opt_out_or_in(0, min(numbers))

    async def _forget(self) -> None:
        """What an earlier story left must not be claimed in this one."""
        await self.world.sql("UPDATE batch SET state = 6, owner = NULL")
        await self.world.sql("UPDATE campaign SET state = 5")
        await self.world.sql("UPDATE message SET state = 6 WHERE state < 3")

    # --- helpers -------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self.server.clock.now_ms()

    def _campaigns(self) -> list[tuple[int, Planned]]:
        return [(at, planned) for at, holder in enumerate(self.holders) for planned in holder.campaigns]

    def _pick(self, pick: int, *states: str) -> tuple[int, Planned]:
        """Mostly one in these states: what is refused is tried too, but not all the time."""
        there = self._campaigns()
        fit = [one for one in there if one[1].state in states]
        chosen = fit if fit and pick % 4 else there
        return chosen[pick // 4 % len(chosen)]

    def _asked(self, when: int | None) -> tuple[int | None, str | None]:
        if when is None:
            return None, None
        at = self.base + when * MINUTE
        return at, datetime.fromtimestamp(at // 1000, UTC).strftime("%Y%m%d%H%M")

    def _post(self, at: int, action: str, **fields: Any) -> dict[str, Any]:
        body = {"Action": action, **{name: value for name, value in fields.items() if value is not None}}
        answer = self.clients[at].post("/api/campaign", body)
        assert answer.status == 200
        found: dict[str, Any] = answer.json
        return found

    # --- clients -------------------------------------------------------------------------------------------

    @rule(at=ACCOUNT, numbers=NUMBERS, text=TEXT, originator=ORIGINATOR, when=WHEN, reference=REFERENCE)
    def create(
        self, at: int, numbers: set[int], text: str, originator: str, when: int | None, reference: str | None
    ) -> None:
        asked, shown = self._asked(when)
        wanted = [FIRST + number for number in sorted(numbers)]
        answer = self._post(
            at, "create", Message=text, Originator=originator, TimeScheduled=shown, Reference=reference,
            Destinations=[*map(str, wanted), "nobody", str(wanted[0])],
        )  # fmt: skip
        code, planned, added = self.holders[at].create(wanted, text, originator, asked, reference, self.now)
        assert answer["Code"] == code, answer
        if planned is None:
            return
        assert planned.id in (0, answer["CampaignId"])
        planned.id = answer["CampaignId"]
        each = TEXTS[text]
        assert (answer["Messages"], answer["Segments"], answer["Credits"]) == (added, each, added * each)

    @rule(pick=PICK, numbers=NUMBERS)
    @precondition(lambda self: self._named())
    def create_again(self, pick: int, numbers: set[int]) -> None:
        """The same request with other numbers, while the first may still wait, or not."""
        named = self._named()
        at, planned = named[pick % len(named)]
        when = None if planned.due is None else (planned.due - self.base) // MINUTE
        self.create(at, numbers, planned.text, planned.originator, when, planned.reference)

    def _named(self) -> list[tuple[int, Planned]]:
        return [(at, planned) for at, planned in self._campaigns() if planned.reference is not None]

    @rule(pick=PICK, text=st.none() | TEXT, originator=st.none() | ORIGINATOR, when=WHEN)
    def modify(self, pick: int, text: str | None, originator: str | None, when: int | None) -> None:
        at, planned = self._pick(pick, "Scheduled", "Paused")
        asked, shown = self._asked(when)
        answer = self._post(
            at, "modify", CampaignId=planned.id, Message=text, Originator=originator, TimeScheduled=shown
        )
        assert answer["Code"] == self.holders[at].modify(planned.id, text, originator, asked, self.now), answer
        if answer["Code"] == 0:
            count = len(planned.people)
            got = (answer["CampaignId"], answer["Messages"], answer["Segments"], answer["Credits"])
            assert got == (planned.id, count, planned.each, count * planned.each)

    @rule(pick=PICK, action=st.sampled_from(["pause", "unpause", "unpause", "delete"]), stranger=st.integers(0, 9))
    def act(self, pick: int, action: str, stranger: int) -> None:
        at, planned = self._pick(pick, *FROM[action])
        at = 1 - at if stranger == 0 else at
        answer = self._post(at, action, CampaignId=planned.id)
        assert answer["Code"] == self.holders[at].act(action, planned.id, self.now), answer
        if stranger:
            assert self._post(at, "status", CampaignId=planned.id)["Message"] == planned.state

    @rule(at=ACCOUNT, amount=st.sampled_from([0, 1, 7, 40]))
    def top_up(self, at: int, amount: int) -> None:
        answer = self.clients[at].post("/api/credits", {"action": "add", "credits": amount})
        assert answer.code == self.holders[at].top_up(amount)
        if answer.code == 0:
            assert answer.json["Credits"] == self.holders[at].credits

    @rule(at=ACCOUNT, number=st.integers(0, 9))
    def opt_out_or_in(self, at: int, number: int) -> None:
        out = self.holders[at].opted_out
        account, destination = self.clients[at].account.id, FIRST + number
        if destination in out:
            sql = f"DELETE FROM optout WHERE account_id = {account} AND destination = {destination}"
            self.server.run(self.world.sql(sql))
        else:
            self.server.run(self.world.opt_out(destination, account_id=account))
        out ^= {destination}

    # --- the engine ----------------------------------------------------------------------------------------

    @rule(minutes=st.sampled_from([0, 1, 10, 31]))
    def time_passes(self, minutes: int) -> None:
        self.server.clock.advance(minutes * 60)
        self.server.run(self._duties())
        busy = {hand.claimed.key[1] for hand in self.hands}
        for holder in self.holders:
            holder.time_passes(self.now, busy)

    async def _duties(self) -> None:
        world = self.world
        await world.write(lambda tx: campaigns.take_due(tx, self.now))
        for account_id, campaign_id in await world.rows("SELECT account_id, id FROM campaign WHERE state = 2"):
            went: tuple[int, int] | None = (-1, 0)
            while went is not None:
                after, behind = went
                went = await world.write(
                    lambda tx, after=after, behind=behind, key=(account_id, campaign_id): campaigns.deal_piece(  # type: ignore[misc]
                        tx, *key, after=after, behind=behind, deal=lambda count: [1] * count, now=self.now
                    )
                )
        await world.ready_delayed()
        await world.decide()
        keys = await world.rows("SELECT account_id, id FROM campaign WHERE state = 3")
        await world.write(lambda tx: tx.many("finish", [(key[0], key[1]) for key in keys], now=self.now))

    def _owner(self, hand: Hand) -> tuple[Holder, Planned]:
        for holder in self.holders:
            planned = holder.find(hand.claimed.key[1])
            if planned is not None:
                return holder, planned
        raise AssertionError("a batch of nobody's campaign was claimed")

    def _granted(self, hand: Hand, start: int, stop: int, skip: set[int]) -> None:
        holder, planned = self._owner(hand)
        assert hand.claimed.body == planned.text
        assert hand.claimed.originator == planned.originator
        for position in range(start, stop):
            holder.marked(planned, hand.claimed.numbers[position], written=position not in skip)

    @rule(room=st.integers(1, 12))
    def claim(self, room: int) -> None:
        for hand in self.server.run(self.world.claim(ENGINE, room)):
            self._granted(hand, hand.grant.start, hand.grant.stop, hand.grant.skip)
            self.hands.append(hand)

    @rule()
    def claim_everything(self) -> None:
        """Nothing that may go is left behind."""
        self.time_passes(1)
        for _ in range(20):
            self.claim(1000)
        held = {
            (hand.claimed.key[1], number) for hand in self.hands for number in hand.claimed.numbers[hand.marked :]
        }
        for _, planned in self._campaigns():
            if planned.state == "Running":
                left = {n for n, p in planned.people.items() if p.state in (WAITING, RETRY)}
                assert not {(planned.id, number) for number in left} - held

    @rule(pick=PICK, seed=st.integers(0, 2**32), mark=st.integers(0, 4))
    @precondition(lambda self: self.hands)
    def answer(self, pick: int, seed: int, mark: int) -> None:
        """The carrier answers some of a batch, and more of it is marked with what that came to."""
        hand = self.hands[pick % len(self.hands)]
        holder, planned = self._owner(hand)
        rnd = random.Random(seed)
        for position in range(hand.recorded, hand.marked):
            if position in hand.answered:
                continue
            what = rnd.choice(["accept", "accept", "fail", "refuse", "doubt", "silence"])
            if what == "silence":
                continue
            match what:
                case "accept":
                    hand.accept([position])
                case "fail":
                    hand.fail(position)
                case "refuse":
                    hand.refuse(position, delay_ms=MINUTE)
                case "doubt":
                    hand.doubt(position)
            holder.answered(planned, hand.claimed.numbers[position], what, self.now + WAIT)
        self._step(hand, mark)

    def _step(self, hand: Hand, mark: int) -> None:
        _, planned = self._owner(hand)
        left = len(hand.claimed.numbers) - hand.marked
        outcome = self.server.run(hand.step(mark=mark))
        assert outcome.lost == []
        asked = min(mark, left)
        if asked and planned.state == "Running":
            (grant,) = outcome.grants
            assert grant.stop - grant.start == asked
            self._granted(hand, grant.start, grant.stop, grant.skip)
        else:
            assert outcome.grants == []
            assert bool(outcome.refused) == bool(asked)
        given_back = bool(outcome.refused) and hand.recorded == hand.marked
        if given_back or hand.recorded == len(hand.claimed.numbers):
            self.hands.remove(hand)

    # --- what can be seen ----------------------------------------------------------------------------------

    @invariant()
    def the_books_agree(self) -> None:
        if not hasattr(self, "holders"):
            return
        ids = ", ".join(str(client.account.id) for client in self.clients)
        states, people, ledger, credits = self.server.run(self.world.database.read(lambda tx: _books(tx, ids)))
        for client, holder in zip(self.clients, self.holders, strict=True):
            account = client.account.id
            assert holder.credits >= 0
            assert client.credits == holder.credits
            assert credits[account] == holder.credits
            lines = [line for line in ledger if line[0] == account]
            assert sum(line[3] for line in lines) == holder.credits
            assert sum(line[3] for line in lines if line[2] in ("opening", "topup")) == holder.given
            for planned in holder.campaigns:
                state, messages, total = states[planned.id]
                assert STATUS_WORD[CampaignState(state)] == planned.state
                assert (messages, total) == (len(planned.people), len(planned.people) * planned.each)
                booked = {kind: sum(li[3] for li in lines if li[1:3] == (planned.id, kind)) for kind in KINDS}
                assert booked == {"charge": -planned.charged, "refund": planned.refunded}
                assert planned.charged - planned.refunded == sum(
                    planned.each for p in planned.people.values() if p.state not in (WASHED, CANCELLED)
                )
                rows = {number: WORDS[MessageState(s)] for c, number, s in people if c == planned.id}
                assert rows == {number: p.state for number, p in planned.people.items() if p.tried}


KINDS = ("charge", "refund")


async def _books(tx: Any, ids: str) -> tuple[Any, ...]:
    states = await raw(tx, f"SELECT id, state, messages, credits FROM campaign WHERE account_id IN ({ids})")
    people = await raw(tx, f"SELECT campaign_id, destination, state FROM message WHERE account_id IN ({ids})")
    ledger = await raw(tx, f"SELECT account_id, campaign_id, kind, amount FROM ledger WHERE account_id IN ({ids})")
    credits = await raw(tx, f"SELECT id, credits FROM account WHERE id IN ({ids})")
    return {row[0]: row[1:] for row in states}, people, ledger, dict(credits)


@pytest.fixture
def story(server: Server) -> Iterator[type[Story]]:
    world = World(server.database, server.clock, Ids(server.database), carrier_id=1)
    given = {"host": "127.0.0.1", "system_id": "test", "tps": 0, "binds": 1}
    server.run(world.write(lambda tx: carriers.insert(tx, 1, "telco", "smpp", given, "", 0)))
    yield type("StoryHere", (Story,), {"server": server, "world": world})
    server.run(world.check_ledger())


def test_the_books_are_those_of_a_plain_model(server: Server, story: type[Story]) -> None:
    profile = settings(
        max_examples=round(25 * SCALE),
        stateful_step_count=40,
        deadline=None,
        derandomize=SCALE == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(story, settings=profile)
