"""Monthly bills: whatever was booked and whenever, the sums are those of the ledger, month after month."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from cooee.model.clock import ManualClock, iso_offset, local_to_ms, month_bounds, ms_to_local, zone
from cooee.model.errors import ConfigError, StoreError
from cooee.service.billing import Bill, Billing, BillLine, Sums
from cooee.store import accounts as rows
from cooee.store import billing as stretches
from cooee.store.database import Tx
from tests.store.support_store import World, world

SYDNEY = "Australia/Sydney"


def at(text: str, where: str = SYDNEY) -> int:
    return local_to_ms(datetime.fromisoformat(text), zone(where))


@asynccontextmanager
async def family(url: str, now: str = "2026-11-15T12:00") -> AsyncIterator[tuple[World, Billing]]:
    """acme > (north > deep), south; and stranger, who belongs to nobody. All without credits."""
    async with world(url) as made:
        made.clock.jump((at(now) - made.clock.now_ms()) / 1000)
        parents = {"acme": None, "south": 1, "north": 1, "deep": 3, "stranger": None}
        for no, (name, parent) in enumerate(parents.items(), 1):

            async def add(tx: Tx, no: int = no, name: str = name, parent: int | None = parent) -> None:
                await tx.run(
                    "add_account",
                    id=no, name=name, password_hash="", parent_id=parent, zone=SYDNEY, country="AU",
                    allow_unicode=1, allow_long=1, allow_international=1, may_add_credits=1, times_utc=0,
                    created_at=0,
                )  # fmt: skip

            await made.write(add)
        yield made, Billing(made.database, made.clock)


async def book(made: World, account: int, amount: int, kind: str, when: int, campaign: int | None = None) -> None:
    reason = "campaign" if kind == "charge" else f"a {kind}"

    async def work(tx: Tx) -> None:
        booked = await rows.give(tx, account, amount, kind=kind, at=when, reason=reason, campaign_id=campaign)
        assert booked is not None

    await made.write(work)


def test_a_bill_of_a_family(database_url: str) -> None:
    async def main() -> None:
        async with family(database_url) as (made, billing):
            october = at("2026-10-10T10:00")
            await book(made, 1, 100, "opening", at("2026-09-10T10:00"))
            await book(made, 1, -30, "charge", october, 1)
            await book(made, 1, 5, "refund", october, 1)
            await book(made, 4, 1000, "topup", october)
            await book(made, 4, 500, "topup", october + 1)
            await book(made, 4, -7, "adjustment", october)
            await book(made, 2, 10, "opening", october)
            await book(made, 5, 10_000, "topup", october)
            await book(made, 1, -20, "charge", at("2026-11-01T00:00"), 2)
            bill = await billing.bill("acme", "2026-10")
            assert [(item.name, item.parent, item.depth) for item in bill.items] == [
                ("acme", None, 0), ("north", "acme", 1), ("deep", "north", 2), ("south", "acme", 1),
            ]  # fmt: skip
            by_name = {item.name: item.sums for item in bill.items}
            assert by_name["acme"] == Sums(opening=100, charges=-30, refunds=5, closing=75)
            assert by_name["deep"] == Sums(top_ups=1500, top_up_count=2, adjustments=-7, closing=1493)
            assert by_name["south"] == Sums(adjustments=10, closing=10)
            assert by_name["north"] == Sums()
            assert bill.total == Sums(100, 1500, -30, 5, 3, 1578, 2)
            assert bill.complete
            lines = [line async for line in billing.lines(bill)]
            assert lines == [
                BillLine("deep", 1, october, 1000, "topup", "a topup"),
                BillLine("deep", 2, october + 1, 500, "topup", "a topup"),
                BillLine("deep", 3, october, -7, "adjustment", "a adjustment"),
                BillLine("south", 1, october, 10, "opening", "a opening"),
            ]
            north = await billing.bill("north", "2026-10")
            assert [item.name for item in north.items] == ["north", "deep"]
            assert north.items[0].parent is None
            november = await billing.bill("acme", "2026-11")
            assert not november.complete
            assert november.items[0].sums == Sums(opening=75, charges=-20, closing=55)

    asyncio.run(main())


def test_campaigns_count_in_the_month_that_charged_them_first(database_url: str) -> None:
    async def main() -> None:
        async with family(database_url) as (made, billing):
            made.clock.jump((at("2026-10-31T23:59") - made.clock.now_ms()) / 1000)
            await book(made, 1, 1000, "opening", made.clock.now_ms())
            first = await made.new(40, account_id=1, segments=3)
            await made.create(first)
            made.clock.advance(120)
            second = await made.new(5, account_id=1)
            await made.create(second)
            await book(made, 1, -7, "charge", made.clock.now_ms(), 4711)
            made.clock.advance(60 * 60 * 24 * 40)
            october, november = [await billing.bill("acme", month) for month in ("2026-10", "2026-11")]
            assert october.total == Sums(
                adjustments=1000, charges=-120, closing=880, campaigns=1, messages=40, segments=120
            )
            # A charge whose campaign is gone is a charge all the same.
            assert november.total == Sums(
                opening=880, charges=-12, closing=868, campaigns=1, messages=5, segments=5
            )

    asyncio.run(main())


def test_months_add_up_to_the_ledger_whatever_was_booked(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random bookings at random times, out of order too: each month closes with what the next one opens with, and
    every sum is that of the rows, however the ledger is cut into stretches."""
    rnd = random.Random(7)
    months = ["2026-09", "2026-10", "2026-11"]

    async def main() -> None:
        async with family(database_url) as (made, billing):
            edges = [edge for year, month in ((2026, 9), (2026, 10), (2026, 11))
                     for edge in month_bounds(year, month, zone(SYDNEY))]  # fmt: skip
            for account in (1, 3, 4):
                await book(made, account, 10_000, "opening", at("2026-08-01T00:00"))
                for _ in range(60):
                    near = rnd.choice(edges) + rnd.choice([-1, 0, 1, -3_600_000, rnd.randrange(86_400_000 * 20)])
                    kind = rnd.choice(["topup", "charge", "refund", "adjustment"])
                    amount = rnd.randrange(1, 50) * (-1 if kind == "charge" else 1)
                    await book(made, account, amount, kind, near, 9 if kind in ("charge", "refund") else None)
            table = await made.rows("SELECT account_id, at, amount, kind FROM ledger")
            for cut in (1, 7, 61, 20_000):
                monkeypatch.setattr(stretches, "STRETCH", cut)
                bills = [await billing.bill("acme", month) for month in months]
                for before, after in itertools.pairwise(bills):
                    assert before.ends == after.starts
                    for one, other in zip(before.items, after.items, strict=True):
                        assert one.sums.closing == other.sums.opening
                for bill in bills:
                    await agree(billing, bill, table)

    asyncio.run(main())


async def agree(billing: Billing, bill: Bill, table: list[tuple[Any, ...]]) -> None:
    """The bill says what the rows say."""
    listed: dict[str, int] = defaultdict(int)
    async for line in billing.lines(bill):
        assert bill.starts <= line.at < bill.ends
        listed[line.account] += line.amount
    for item in bill.items:
        mine = [row for row in table if row[0] == item.account_id]
        inside: dict[str, int] = defaultdict(int)
        for _, when, amount, kind in mine:
            if bill.starts <= when < bill.ends:
                inside[kind] += amount
        found = item.sums
        assert found.opening == sum(row[2] for row in mine if row[1] < bill.starts)
        assert found.closing == sum(row[2] for row in mine if row[1] < bill.ends)
        assert (found.top_ups, found.charges, found.refunds) == (
            inside["topup"], inside["charge"], inside["refund"]
        )  # fmt: skip
        assert found.adjustments == inside["adjustment"] + inside["opening"]
        assert listed[item.name] == found.top_ups + found.adjustments


def test_what_is_booked_meanwhile_belongs_to_the_next_bill(database_url: str) -> None:
    """A bill whose lines are listed later shows the same lines."""

    async def main() -> None:
        async with family(database_url) as (made, billing):
            await book(made, 1, 10, "topup", at("2026-11-02T00:00"))
            bill = await billing.bill("acme", "2026-11")
            await book(made, 1, 20, "topup", at("2026-11-03T00:00"))
            assert [line.amount async for line in billing.lines(bill)] == [10]
            assert (await billing.bill("acme", "2026-11")).total.top_ups == 30

    asyncio.run(main())


def test_no_bill_where_the_books_do_not_balance(database_url: str) -> None:
    async def main() -> None:
        async with family(database_url) as (made, billing):
            await book(made, 4, 10, "topup", at("2026-10-02T00:00"))
            await made.sql("UPDATE account SET credits = 11 WHERE id = 4")
            with pytest.raises(StoreError, match="account 'deep' has 11 credits and its ledger says 10"):
                await billing.bill("acme", "2026-10")
            await billing.bill("south", "2026-10")
            await made.sql("UPDATE account SET credits = 10 WHERE id = 4")

    asyncio.run(main())


def test_months_that_are_none_and_the_usual_one(database_url: str) -> None:
    async def main() -> None:
        async with family(database_url, "2027-01-01T00:00") as (made, billing):
            assert (await billing.bill("acme")).month == "2026-12"
            made.clock.advance(-1)
            assert (await billing.bill("acme")).month == "2026-11"
            assert not (await billing.bill("acme", "2026-12")).complete
            for month in ("2027-01", "2027-12", "9999-12"):
                with pytest.raises(ConfigError, match="has not begun yet in Australia/Sydney"):
                    await billing.bill("acme", month)
            for month in ("2026-13", "2026-1", "26-10", "2026-00", "2026-10-01", "1999-12", "٢٠٢٦-10", "x"):
                with pytest.raises(ConfigError, match="is no month: use YYYY-MM"):
                    await billing.bill("acme", month)
            for name in ("nobody", "a\0b"):
                with pytest.raises(ConfigError, match="there is no account"):
                    await billing.bill(name)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("where", "year", "month", "hours"),
    [
        (SYDNEY, 2026, 10, 31 * 24 - 1),
        (SYDNEY, 2026, 4, 30 * 24 + 1),
        ("UTC", 2026, 2, 28 * 24),
        ("UTC", 2028, 2, 29 * 24),
        # The clock goes forward at the midnight that begins the month: there is no 00:00.
        ("America/Asuncion", 2017, 10, 31 * 24 - 1),
        # It skips a whole day at the end of the year.
        ("Pacific/Apia", 2011, 12, 30 * 24),
    ],
)
def test_the_length_of_a_month_goes_by_its_zone(where: str, year: int, month: int, hours: int) -> None:
    starts, ends = month_bounds(year, month, zone(where))
    assert ends - starts == hours * 3_600_000
    assert ms_to_local(starts, zone(where)).month == month
    assert ms_to_local(starts - 1000, zone(where)).month == (month - 2) % 12 + 1
    assert month_bounds(year + month // 12, month % 12 + 1, zone(where))[0] == ends


def test_a_time_with_its_offset() -> None:
    when = ManualClock(1_595_898_362_999).now_ms()
    assert iso_offset(when, zone(SYDNEY)) == "2020-07-28T11:06:02+10:00"
    assert iso_offset(when, zone("UTC")) == "2020-07-28T01:06:02+00:00"
