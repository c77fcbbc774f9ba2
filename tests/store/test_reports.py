"""Reading reports page by page, on both engines."""

from __future__ import annotations

import asyncio

import pytest

from cooee.model.clock import ManualClock
from cooee.model.codetable import Source
from cooee.service.accounts import Accounts
from cooee.service.reports import Reports
from cooee.store import reports
from cooee.store.database import Row, Tx
from cooee.store.ids import Ids
from cooee.store.open import open_database
from tests.api.support_api import PASSWORD, ensure_partition


def test_pages_walk_the_key(database_url: str) -> None:
    """Pages hold every message once, in order, of one campaign of one account alone."""

    async def main() -> None:
        clock = ManualClock()
        database = await open_database(database_url, clock)
        accounts = Accounts(database, Ids(database), clock)
        account = await accounts.add("alice", PASSWORD)
        numbers = list(range(61400000000, 61400000000 + 2 * reports.PAGE + 3))

        async def fill(tx: Tx) -> None:
            await ensure_partition(tx)
            for owner, campaign in ((account.id, 1), (account.id, 2), (account.id + 1, 1)):
                await tx.many(
                    "add_campaigns",
                    [(owner, campaign, 6, "x", "x", 0, 1, 0, None, None, None, 0, 1, 1, 1, 0, 0, 0)],
                    now=0,
                )
                rows = [
                    (owner, campaign, n, 7 if n % 2 else 3, 1, 1, 1, 0, 1, campaign, None, 0, None)
                    for n in numbers
                ]
                await tx.many("record", rows, carrier_id=1, now=1000 * campaign + owner)

        await database.write(fill)

        async def page(tx: Tx) -> list[Row]:
            return [tuple(row) for row in await reports.page(tx, account.id, 1, numbers[4])]

        found = await database.read(page)
        assert len(found) == reports.PAGE
        assert found[0] == (numbers[5], 7, 1000 + account.id, 0)
        final = [row async for some in Reports(database).settled(account, 1) for row in some]
        assert [row[0] for row in final] == [n for n in numbers if n % 2]
        one = [row async for some in Reports(database).settled(account, 1, numbers[1]) for row in some]
        assert [tuple(row) for row in one] == [(numbers[1], 7, 1000 + account.id, 0)]
        accounts.close()
        await database.close()

    asyncio.run(main())


def test_failures_are_counted_by_pages(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message once, by code and by who said it, however the pages are cut; other campaigns do not count."""

    async def main() -> None:
        clock = ManualClock()
        database = await open_database(database_url, clock)
        first, count = 61400000000, 50

        async def fill(tx: Tx) -> None:
            await ensure_partition(tx)
            for owner, campaign in ((1001, 1), (1001, 2), (1002, 1)):
                rows = [
                    (owner, campaign, first + n, 6 if n % 3 == 0 else 3, 1, 1, n % 3, 0, 1, 0, None,
                     998 if n == 0 else 8 if n % 3 == 0 else 0, None)
                    for n in range(count)
                ]  # fmt: skip
                await tx.many("record", rows, carrier_id=1, now=1000)
            said = [(1001, 1, first + n, 1, 0, 1, 8 if n % 2 else 300, "x") for n in range(count) if n % 3]
            await tx.many("apply_receipts", said, now=2000)

        await database.write(fill)
        receipts = [n for n in range(count) if n % 3]
        expected = {
            (8, Source.SUBMIT): len(range(3, count, 3)),
            (8, Source.RECEIPT): sum(n % 2 for n in receipts),
            (300, Source.RECEIPT): sum(1 - n % 2 for n in receipts),
            (998, Source.COOEE): 1,
        }
        for page in (1, 7, count, count + 1):
            monkeypatch.setattr(reports, "FAILURE_PAGE", page)
            found = await Reports(database).failures(1001, 1)
            assert {(each.code, each.source): each.count for each in found} == expected
            assert [each.count for each in found] == sorted((each.count for each in found), reverse=True)
        assert await Reports(database).failures(1001, 3) == []
        await database.close()

    asyncio.run(main())
