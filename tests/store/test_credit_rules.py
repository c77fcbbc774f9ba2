"""Rates, credit limits, daily caps and low-balance marks against a plain model, and under many at once."""

from __future__ import annotations

import asyncio
import random
from array import array
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cooee.model.account import Account
from cooee.model.campaign import CampaignState
from cooee.model.clock import DAY, ms_to_local
from cooee.model.errors import ApiError
from cooee.model.metrics import LOW_BALANCE
from cooee.model.msisdn import Checked
from cooee.model.originator import parse_originator
from cooee.model.segments import segment
from cooee.model.tariff import OTHER
from cooee.service.campaigns import Campaigns
from cooee.service.recipients import CreateCampaign, ModifyCampaign
from cooee.service.routing import Routes
from cooee.store import accounts, uncertain
from cooee.store.database import Database, Tx
from cooee.store.ids import Ids
from cooee.store.open import open_database
from cooee.store.uncertain import Policy
from tests.store.support_store import MAX_AGE, World, run, world

HOME, ABROAD, ELSEWHERE = 61400000000, 64210000000, 447400000000
COUNTRY = {"61": "AU", "64": "NZ", "44": "GB"}
OPENING = 300


def text(segments: int) -> str:
    """A text of 1, 2 or 3 segments."""
    return "x" * (10, 200, 400)[segments - 1]


def recipients(number: int) -> array[int]:
    """Up to eleven, in one to three countries; two lists have some in common."""
    found = [HOME + n for n in range(number % 4, number % 4 + 1 + number % 5)]
    found += [ABROAD + n for n in range(number % 3)]
    found += [ELSEWHERE + n for n in range(number // 3 % 3)]
    return array("q", sorted(found))


@dataclass
class PlainCampaign:
    reference: str
    segments: int
    rates: dict[int, int]
    """What each recipient was charged a segment."""
    day: date
    deleted: bool = False

    @property
    def credits(self) -> int:
        return self.segments * sum(self.rates.values())


@dataclass
class Plain:
    """The rules, as one would write them down."""

    credits: int = OPENING
    limit: int = 0
    cap: int | None = None
    mark: int | None = None
    rates: dict[str, int] = field(default_factory=dict)
    day: date = date.min
    spent: int = 0
    crossings: int = 0
    campaigns: dict[int, PlainCampaign] = field(default_factory=dict)

    def rate(self, number: int) -> int:
        return self.rates.get(COUNTRY[str(number)[:2]], self.rates.get(OTHER, 1))

    def charge(self, amount: int, today: date) -> bool:
        spent = self.spent if today == self.day else 0
        if self.credits - amount < -self.limit or (self.cap is not None and spent + amount > self.cap):
            return False
        self.day, self.spent = today, spent + amount
        if self.mark is not None and self.credits >= self.mark > self.credits - amount:
            self.crossings += 1
        self.credits -= amount
        return True

    def refund(self, amount: int, campaign: PlainCampaign) -> None:
        self.credits += amount
        if campaign.day == self.day:
            self.spent = max(0, self.spent - amount)


class Story:
    """An account on a shared store, and what the plain model says of it."""

    def __init__(self, made: World, account_id: int) -> None:
        self.world = made
        self.id = account_id
        self.door = Campaigns(made.database, made.ids, made.clock, Routes(made.database, made.clock))
        self.plain = Plain()
        self.due = made.clock.now_ms() + 400 * DAY
        self.before = LOW_BALANCE._value.get()

    async def account(self) -> Account:
        found = await self.world.database.read(lambda tx: accounts.by_id(tx, self.id))
        assert found is not None
        return found

    async def settle(self, **changes: object) -> None:
        new = replace(await self.account(), **changes)  # type: ignore[arg-type]
        await self.world.write(lambda tx: accounts.write_settings(tx, new))

    async def today(self) -> date:
        return ms_to_local(self.world.clock.now_ms(), (await self.account()).zone).date()

    async def create(self, reference: str, segments: int, number: int) -> None:
        """A create, or an addition where the reference is that of a campaign with the same text."""
        plain, today, wanted = self.plain, await self.today(), recipients(number)
        fitting = [
            campaign
            for campaign in plain.campaigns.values()
            if campaign.reference == reference and campaign.segments == segments and not campaign.deleted
        ]
        target = fitting[-1] if fitting else None
        known = target.rates if target is not None else {}
        rates = {n: plain.rate(n) for n in wanted if n not in known}
        cost = segments * sum(rates.values())
        # Nothing is taken where nobody is left to be added.
        fits = not rates or plain.charge(cost, today)
        originator = parse_originator("Shop")
        assert originator is not None
        request = CreateCampaign(
            text(segments), segment(text(segments)), originator, self.due, reference,
            Checked(wanted, 0, 0, 0), None, "", asked_at=self.due,
        )  # fmt: skip
        if not fits:
            await self.refused(self.door.create(await self.account(), request), -202)
            return
        made = await self.door.create(await self.account(), request)
        assert (made.messages, made.credits, made.segments) == (len(rates), cost, segments)
        if target is not None:
            target.rates |= rates
        else:
            plain.campaigns[made.campaign_id] = PlainCampaign(reference, segments, rates, today)

    @staticmethod
    async def refused(call: Awaitable[object], code: int) -> None:
        with pytest.raises(ApiError) as raised:
            await call
        assert raised.value.code.code == code

    async def modify(self, key: int, segments: int) -> None:
        campaign = self.plain.campaigns[key]
        more = (segments - campaign.segments) * sum(campaign.rates.values())
        fits = True
        if not campaign.deleted and segments != campaign.segments:
            if more >= 0:
                fits = self.plain.charge(more, await self.today())
            else:
                self.plain.refund(-more, campaign)
        change = ModifyCampaign(text(segments), segment(text(segments)), None, False, None)
        if campaign.deleted or not fits:
            code = -931 if campaign.deleted else -202
            await self.refused(self.door.modify(await self.account(), key, change), code)
            return
        made = await self.door.modify(await self.account(), key, change)
        campaign.segments = segments
        assert (made.credits, made.messages) == (campaign.credits, len(campaign.rates))

    async def step(self, what: str, number: int) -> None:
        plain, keys = self.plain, list(self.plain.campaigns)
        chosen = keys[number % len(keys)] if keys else None
        match what:
            case "create":
                await self.create(f"r{number % 4}", 1 + number % 3, number)
            case "append" if chosen is not None:
                found = plain.campaigns[chosen]
                await self.create(found.reference, found.segments, number)
            case "modify" if chosen is not None:
                await self.modify(chosen, 1 + number // 7 % 3)
            case "delete" if chosen is not None:
                campaign = plain.campaigns[chosen]
                if not campaign.deleted:
                    plain.refund(campaign.credits, campaign)
                    campaign.deleted = True
                await self.door.delete(self.id, chosen)
            case "top up":
                plain.credits += number % 60
                await self.world.write(
                    lambda tx: accounts.give(tx, self.id, number % 60, kind="topup", at=0, reason="test")
                )
            case "limit":
                plain.limit = number % 100
                await self.settle(credit_limit=plain.limit)
            case "cap":
                plain.cap = None if number % 3 == 0 else number % 150
                await self.settle(daily_cap=plain.cap)
            case "mark":
                plain.mark = None if number % 5 == 0 else number % OPENING
                await self.settle(low_balance=plain.mark)
            case "rate":
                country = ("AU", "NZ", "GB", OTHER)[number % 4]
                plain.rates[country] = number // 4 % 4
                await self.world.write(lambda tx: accounts.put_rate(tx, self.id, country, number // 4 % 4))
            case "time":
                self.world.clock.advance(number % 40 * 3600)

    async def check(self) -> None:
        """The books of the database and the model's are the same."""
        plain, made = self.plain, self.world
        ((credits, number, spent),) = await made.rows(
            f"SELECT credits, ledger_no, day_spent FROM account WHERE id = {self.id}"
        )
        assert (credits, spent) == (plain.credits, plain.spent)
        ledger = await made.rows(f"SELECT no, amount FROM ledger WHERE account_id = {self.id} ORDER BY no")
        assert [row[0] for row in ledger] == list(range(1, number + 1))
        assert sum(row[1] for row in ledger) == credits
        assert LOW_BALANCE._value.get() - self.before == plain.crossings
        for key, campaign in plain.campaigns.items():
            ((state, sums),) = await made.rows(f"SELECT state, credits FROM campaign WHERE id = {key}")
            assert (state == CampaignState.DELETED, int(sums)) == (campaign.deleted, campaign.credits)
            batches = await made.rows(f"SELECT size, credits_each, numbers FROM batch WHERE campaign_id = {key}")
            each: dict[int, int] = {}
            for size, credits_each, packed in batches:
                numbers = array("q")
                numbers.frombytes(packed)
                assert (len(numbers), list(numbers)) == (size, sorted(numbers))
                each |= dict.fromkeys(numbers, credits_each)
            assert each == {n: campaign.segments * rate for n, rate in campaign.rates.items()}


WHAT = ["create", "append", "modify", "delete", "top up", "limit", "cap", "mark", "rate", "time"]
STEPS = st.lists(st.tuples(st.sampled_from(WHAT), st.integers(0, 1000)), min_size=4, max_size=25)


def test_the_books_are_those_of_a_plain_model(database_url: str) -> None:
    stories: list[list[tuple[str, int]]] = []

    @settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(STEPS)
    def gather(steps: list[tuple[str, int]]) -> None:
        stories.append(steps)

    gather()
    rnd = random.Random(5)
    often = [*WHAT, "create", "create", "append", "modify"]
    stories += [[(rnd.choice(often), rnd.randrange(1000)) for _ in range(80)] for _ in range(5)]

    async def main() -> None:
        async with world(database_url) as made:
            for steps in stories:
                story = Story(made, await made.account(OPENING))
                await story.settle(zone_name="Australia/Sydney")
                for what, number in steps:
                    await story.step(what, number)
                await story.check()

    asyncio.run(main())


async def storm(made: World, doors: Sequence[Campaigns], account_id: int) -> tuple[int, int]:
    """Creates, additions, modifies and deletes at once from several nodes: how many went and were short."""
    due = made.clock.now_ms() + DAY
    originator = parse_originator("Shop")
    assert originator is not None
    found = await made.database.read(lambda tx: accounts.by_id(tx, account_id))
    assert found is not None
    account = found
    rnd = random.Random(3)

    def request(number: int, *, scheduled: bool) -> CreateCampaign:
        at = due if scheduled else None
        return CreateCampaign(
            text(1), segment(text(1)), originator, at, f"r{number % 6}" if scheduled else None,
            Checked(recipients(rnd.randrange(1000)), 0, 0, 0), None, "", asked_at=at,
        )  # fmt: skip

    first = [await doors[0].create(account, request(number, scheduled=True)) for number in range(6)]

    async def one(number: int) -> str:
        door = doors[number % len(doors)]
        key = first[number % 6].campaign_id
        try:
            match number % 5:
                case 0 | 1:
                    await door.create(account, request(number, scheduled=False))
                case 2:
                    await door.create(account, request(number, scheduled=True))
                case 3:
                    body = text(1 + number // 5 % 3)
                    await door.modify(account, key, ModifyCampaign(body, segment(body), None, False, None))
                case 4 if number % 25 == 4:
                    await door.delete(account_id, key)
                case _:
                    await door.create(account, request(number, scheduled=False))
        except ApiError as error:
            return str(error.code.code)
        return "0"

    outcomes = await asyncio.gather(*(one(number) for number in range(200)))
    assert set(outcomes) <= {"0", "-202", "-931"}
    return outcomes.count("0"), outcomes.count("-202")


def crossings(ledger: Sequence[tuple[int, int]], mark: int) -> int:
    """How often a balance fell below a mark, from its ledger."""
    balance, found = 0, 0
    for _, amount in ledger:
        found += balance >= mark > balance + amount
        balance += amount
    return found


def test_many_nodes_at_once_pass_no_limit_and_tell_each_crossing_once(database_url: str) -> None:
    async def main() -> None:
        async with world(database_url) as made:
            other: Database | None = None
            doors = [Campaigns(made.database, made.ids, made.clock, Routes(made.database, made.clock))]
            if made.database.engine == "postgres":
                other = await open_database(database_url, made.clock, pool=6)
                doors.append(Campaigns(other, Ids(other), made.clock, Routes(other, made.clock)))
            for cap, credits, limit in ((None, 260, 40), (300, 5000, 0), (290, 270, 1000)):
                account_id = await made.account(credits)
                before = LOW_BALANCE._value.get()
                row = await made.database.read(lambda tx, key=account_id: accounts.by_id(tx, key))  # type: ignore[misc]
                assert row is not None
                mark = credits - 100
                new = replace(row, daily_cap=cap, credit_limit=limit, low_balance=mark)

                async def settle(tx: Tx, new: Account = new) -> None:
                    await accounts.write_settings(tx, new)
                    await accounts.put_rate(tx, new.id, "NZ", 3)

                await made.write(settle)
                went, short = await storm(made, doors, account_id)
                assert went > 30
                assert short > 10
                ledger = [
                    (row[0], row[1])
                    for row in await made.rows(
                        f"SELECT no, amount FROM ledger WHERE account_id = {account_id} ORDER BY no"
                    )
                ]
                assert ledger[0] == (1, credits)
                balance, spent, most = credits, 0, 0
                for _, amount in ledger[1:]:
                    balance += amount
                    assert balance >= -limit
                    spent -= amount
                    most = max(most, spent)
                assert cap is None or most <= cap
                # All its campaigns are of this day, so that what came back gave room again.
                assert spent == credits - balance
                assert await made.rows(f"SELECT credits, day_spent FROM account WHERE id = {account_id}") == [
                    (balance, spent)
                ]
                assert LOW_BALANCE._value.get() - before == crossings(ledger, mark)
            if other is not None:
                await other.close()

    asyncio.run(main())


def test_a_transaction_that_is_rolled_back_tells_nothing(database_url: str) -> None:
    async def check(made: World) -> None:
        row = await made.database.read(lambda tx: accounts.by_id(tx, made.account_id))
        assert row is not None
        await made.write(lambda tx: accounts.write_settings(tx, replace(row, low_balance=1_000_000)))
        before = LOW_BALANCE._value.get()

        async def broken(tx: Tx) -> None:
            assert await accounts.charge(tx, made.account_id, 5, day=0) is not None
            raise ApiError.field("x", "breaks")

        for _ in range(2):
            try:
                await made.write(broken)
            except ApiError:
                continue
        assert LOW_BALANCE._value.get() == before
        assert await made.credits() == 1_000_000
        (answer,) = await made.create(await made.new(1))
        assert not isinstance(answer, Exception)
        assert LOW_BALANCE._value.get() == before + 1

    run(database_url, check)


def test_days_only_go_on(database_url: str) -> None:
    """A node that knows an older zone, or whose clock is behind, begins no day anew."""

    async def check(made: World) -> None:
        row = await made.database.read(lambda tx: accounts.by_id(tx, made.account_id))
        assert row is not None
        await made.write(lambda tx: accounts.write_settings(tx, replace(row, daily_cap=10)))

        async def charge(amount: int, day: int) -> bool:
            async def operation(tx: Tx) -> bool:
                no = await accounts.charge(tx, made.account_id, amount, day=day)
                if no is not None:
                    line = (made.account_id, no, -amount, "charge", None, "test")
                    await tx.many("add_ledger", [line], at=0)
                return no is not None

            took: bool = await made.write(operation)
            return took

        assert await charge(6, 1000)
        assert not await charge(5, 1000)
        assert not await charge(5, 900)
        assert not await charge(5, 0)
        assert await charge(4, 900)
        assert await charge(10, 2000)
        assert not await charge(1, 1000)

    run(database_url, check)


def test_what_is_sent_again_keeps_its_price(database_url: str) -> None:
    """Uncertain recipients of one campaign whose rates differ do not share a batch."""

    async def check(made: World) -> None:
        to = [HOME + 1, HOME + 2, ABROAD + 1]
        new = await made.new(to)
        new.prices = ((1, 2), (3, 1))
        new.__post_init__()
        new.carriers = [made.carrier_id] * len(new.pieces)
        (answer,) = await made.create(new)
        assert not isinstance(answer, Exception)
        assert answer.credits == 5
        for hand in await made.claim(7, 10):
            for at in range(len(hand.claimed.numbers)):
                hand.doubt(at)
            await hand.step(release=True)
        made.clock.advance(3600)
        fresh = await made.ids.take("batch", 10)
        again, _, _ = await made.write(
            lambda tx: uncertain.decide(tx, lambda _: Policy(1000, MAX_AGE), fresh, made.clock.now_ms())
        )
        assert again == 3
        rows = await made.rows(
            f"SELECT size, credits_each FROM batch WHERE campaign_id = {new.id} AND attempt = 2 ORDER BY size"
        )
        assert rows == [(1, 3), (2, 1)]

    run(database_url, check)


def test_whatever_comes_back_comes_back_at_its_price(database_url: str) -> None:
    """Washed, given up and deleted recipients of one campaign, each at the rate that it was charged at."""

    async def check(made: World) -> None:
        new = await made.new([HOME + 1, HOME + 2, ABROAD + 1, ABROAD + 2, ELSEWHERE + 1])
        new.prices = ((1, 2), (3, 2), (7, 1))
        new.__post_init__()
        new.carriers = [made.carrier_id] * len(new.pieces)
        await made.opt_out(ABROAD + 2)
        (answer,) = await made.create(new)
        assert not isinstance(answer, Exception)
        assert answer.credits == 2 + 6 + 7
        hands = {hand.claimed.credits_each: hand for hand in await made.claim(7, 4)}
        # Home went out. Of the two abroad one was washed, the other is to be tried again.
        await hands[1].accept([0, 1]).step(release=True)
        assert await made.refunds() == [(3, "opted out")]
        (at,) = {0, 1} - hands[3].answered
        await hands[3].refuse(at).step(release=True)
        await made.change("pause", new)
        await made.change("delete", new)
        assert await made.refunds() == [(3, "opted out"), (3 + 7, "campaign deleted")]
        assert await made.credits() == 1_000_000 - 2

    run(database_url, check)
