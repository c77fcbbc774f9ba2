"""The monthly bill of a parent: what became of the credits of its own account and of every one below it.

The ledger is the only source. It is append-only and numbered, so that a bill is read in stretches, each one a
short read, up to the line that was the newest when its account was begun with. What the lines add up to is
compared with the balance of that moment: a bill that does not agree with it is not given out.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields

from cooee.model.clock import Clock, month_bounds, ms_to_local, zone
from cooee.model.errors import ConfigError, StoreError
from cooee.model.words import counted
from cooee.service.accounts import named
from cooee.store import billing as rows
from cooee.store.database import Database, Tx

_MONTH = re.compile(r"([2-9][0-9]{3})-(0[1-9]|1[0-2])")
_BEFORE, _WITHIN = 0, 1


@dataclass(slots=True)
class Sums:
    """Credits of one account, or of several, in one month.

    `charges` are negative, `refunds` and `top_ups` positive; `adjustments` are everything else: opening credits
    and corrections by the operator. `campaigns` counts those that were charged first in this month, `messages` and
    `segments` what they have by now; those that retention has removed count as they were.
    """

    opening: int = 0
    top_ups: int = 0
    charges: int = 0
    refunds: int = 0
    adjustments: int = 0
    closing: int = 0
    top_up_count: int = 0
    campaigns: int = 0
    messages: int = 0
    segments: int = 0

    def add(self, other: Sums) -> None:
        """Adds another account's."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass(slots=True)
class Item:
    """An account on the bill. `depth` 0 is the parent itself; `upto` its newest ledger line that counts."""

    account_id: int
    name: str
    parent: str | None
    depth: int
    sums: Sums
    upto: int


@dataclass(slots=True)
class Bill:
    """A month of a parent, in its zone: `starts` and `ends` in UTC ms, the end outside; `complete`: it is over."""

    parent: str
    month: str
    zone: str
    starts: int
    ends: int
    complete: bool
    items: list[Item]
    total: Sums


@dataclass(frozen=True, slots=True)
class BillLine:
    """One top-up or adjustment; `at` is UTC ms."""

    account: str
    no: int
    at: int
    amount: int
    kind: str
    reason: str


class Billing:
    """Makes bills."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def bill(self, parent: str, month: str | None = None) -> Bill:
        """The bill of a month, `YYYY-MM`; None: the newest one that is over, in the parent's zone.

        ConfigError for an account or month that is none; StoreError where a balance is not the sum of its ledger.
        """

        async def find(tx: Tx) -> tuple[int, str]:
            account = await named(tx, parent)
            return account.id, account.zone_name

        account_id, zone_name = await self._database.read(find)
        now = self._clock.now_ms()
        month = month or self._last_month(now, zone_name)
        parts = _MONTH.fullmatch(month)
        if parts is None:
            raise ConfigError(f"'{month}' is no month: use YYYY-MM, as in 2026-10")
        year, number = int(parts[1]), int(parts[2])
        local = ms_to_local(now, zone(zone_name))
        if (year, number) > (local.year, local.month):
            raise ConfigError(f"{month} has not begun yet in {zone_name}")
        starts, ends = month_bounds(year, number, zone(zone_name))
        bill = Bill(parent, month, zone_name, starts, ends, ends <= now, [], Sums())
        for item in await self._family(account_id):
            await self._fill(item, starts, ends)
            bill.items.append(item)
            bill.total.add(item.sums)
        return bill

    async def lines(self, bill: Bill) -> AsyncIterator[BillLine]:
        """Every top-up and adjustment of a bill, account by account, in the order they were made."""
        for item in bill.items:
            for after in range(0, item.upto, rows.STRETCH):
                upto = min(after + rows.STRETCH, item.upto)

                async def stretch(
                    tx: Tx, item: Item = item, after: int = after, upto: int = upto
                ) -> list[BillLine]:
                    found = await rows.lines(tx, item.account_id, after, upto, bill.starts, bill.ends)
                    return [BillLine(item.name, *row) for row in found]

                for line in await self._database.read(stretch):
                    yield line

    @staticmethod
    def _last_month(now: int, zone_name: str) -> str:
        local = ms_to_local(now, zone(zone_name))
        year, month = (local.year, local.month - 1) if local.month > 1 else (local.year - 1, 12)
        return f"{year:04d}-{month:02d}"

    async def _family(self, top: int) -> list[Item]:
        """The account and all below it: each before its own sub-accounts, those by name."""
        names: dict[int, str] = {}
        below: dict[int, list[int]] = {}
        after = -1
        while True:

            async def following(tx: Tx, after: int = after) -> list[tuple[int, str, int | None]]:
                return [(row[0], row[1], row[2]) for row in await rows.accounts_page(tx, after)]

            page = await self._database.read(following)
            for account_id, name, parent_id in page:
                names[account_id] = name
                if parent_id is not None and account_id != top:
                    below.setdefault(parent_id, []).append(account_id)
            if len(page) < rows.ACCOUNTS:
                break
            after = page[-1][0]
        family: list[Item] = []
        waiting: list[tuple[int, str | None, int]] = [(top, None, 0)]
        while waiting:
            account_id, parent, depth = waiting.pop()
            family.append(Item(account_id, names[account_id], parent, depth, Sums(), 0))
            children = sorted(below.pop(account_id, ()), key=names.__getitem__, reverse=True)
            waiting += [(child, names[account_id], depth + 1) for child in children]
        return family

    async def _fill(self, item: Item, starts: int, ends: int) -> None:
        balance, item.upto = await self._database.read(lambda tx: rows.head(tx, item.account_id))
        total = 0
        for after in range(0, item.upto, rows.STRETCH):
            upto = min(after + rows.STRETCH, item.upto)

            async def stretch(tx: Tx, after: int = after, upto: int = upto) -> list[tuple[int, str, list[int]]]:
                found = await rows.sums(tx, item.account_id, after, upto, starts, ends)
                return [(row[0], row[1], [int(value) for value in row[2:]]) for row in found]

            for part, kind, (amount, *counts) in await self._database.read(stretch):
                total += amount
                if part == _BEFORE:
                    item.sums.opening += amount
                elif part == _WITHIN:
                    _book(item.sums, kind, amount, counts)
        if total != balance:
            raise StoreError(
                f"account '{item.name}' has {counted(balance, 'credit')} and its ledger says {total}: "
                "no bill can be made; cooee check shows every such account"
            )
        found = item.sums
        found.closing = found.opening + found.top_ups + found.charges + found.refunds + found.adjustments


def _book(found: Sums, kind: str, amount: int, counts: list[int]) -> None:
    lines, campaigns, messages, segments = counts
    match kind:
        case "topup":
            found.top_ups += amount
            found.top_up_count += lines
        case "charge":
            found.charges += amount
            found.campaigns += campaigns
            found.messages += messages
            found.segments += segments
        case "refund":
            found.refunds += amount
        case _:
            found.adjustments += amount
