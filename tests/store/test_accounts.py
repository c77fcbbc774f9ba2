"""Accounts and their ledger, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cooee.model.account import AccountState
from cooee.model.clock import ManualClock
from cooee.model.errors import ApiError, ConfigError
from cooee.service.accounts import Accounts
from cooee.service.settings import MAX_CREDITS
from cooee.store import accounts as rows
from cooee.store.database import Database, Tx
from cooee.store.ids import Ids
from cooee.store.open import open_database

PASSWORD = "a good password"
Check = Callable[[Accounts, Database, ManualClock], Awaitable[None]]


def run(url: str, check: Check) -> None:
    async def main() -> None:
        clock = ManualClock()
        database = await open_database(url, clock, pool=4)
        accounts = Accounts(database, Ids(database), clock)
        try:
            await check(accounts, database, clock)
            assert list(await database.read(lambda tx: tx.all("ledger_differences"))) == []
        finally:
            accounts.close()
            await database.close()

    asyncio.run(main())


def test_add_and_show(database_url: str) -> None:
    async def check(accounts: Accounts, database: Database, clock: ManualClock) -> None:
        parent = await accounts.add("Parent & Sons", PASSWORD)
        child = await accounts.add(
            "child", PASSWORD, credits=50, zone="Pacific/Auckland", country="nz", parent="Parent & Sons",
            allow_unicode=False, allow_long=False, allow_international=True, may_add_credits=True, times_utc=True,
        )  # fmt: skip
        assert child.id == parent.id + 1
        view = await accounts.show("child")
        assert view.account == child
        assert (view.credits, view.parent, view.suspended_at) == (50, "Parent & Sons", None)
        assert (child.zone_name, child.country, child.parent_id) == ("Pacific/Auckland", "NZ", parent.id)
        assert not child.allow_unicode
        assert not child.allow_long
        assert child.allow_international
        assert child.may_add_credits
        assert child.shown_zone is None
        assert child.created_at == clock.now_ms()
        assert PASSWORD not in child.password_hash
        assert child.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert [(line.no, line.amount, line.kind) for line in view.ledger] == [(1, 50, "opening")]
        assert [(line.name, line.credits, line.parent) for line in await accounts.list()] == [
            ("Parent & Sons", 0, None),
            ("child", 50, "Parent & Sons"),
        ]
        assert await accounts.find("child") == child

    run(database_url, check)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "a:b"}, "no ':'"),
        ({"name": ""}, "1 to 64"),
        ({"name": "x" * 65}, "1 to 64"),
        ({"name": "there"}, "already"),
        ({"password": "short"}, "8 to 128"),
        ({"password": "x" * 129}, "8 to 128"),
        ({"password": "half a pair \ud800"}, "UTF-8"),
        ({"zone": "Mars/Olympus"}, "time zone"),
        ({"zone": "../etc/passwd"}, "time zone"),
        ({"country": "XX"}, "no country"),
        ({"parent": "nobody"}, "no account 'nobody'"),
        ({"credits": -1}, "opening credits"),
        ({"credits": MAX_CREDITS + 1}, "opening credits"),
    ],
)
def test_what_cannot_be_added(database_url: str, changes: dict[str, Any], says: str) -> None:
    async def check(accounts: Accounts, database: Database, clock: ManualClock) -> None:
        await accounts.add("there", PASSWORD)
        settings: dict[str, Any] = {"name": "new", "password": PASSWORD, **changes}
        with pytest.raises(ConfigError, match=says):
            await accounts.add(settings.pop("name"), settings.pop("password"), **settings)
        assert [line.name for line in await accounts.list()] == ["there"]

    run(database_url, check)


def test_set_changes_what_is_named(database_url: str) -> None:
    async def check(accounts: Accounts, database: Database, clock: ManualClock) -> None:
        top = await accounts.add("top", PASSWORD)
        before = await accounts.add("sub", PASSWORD, credits=5)
        after = await accounts.set("sub", zone="Europe/Berlin", country="de", parent="top", allow_unicode=False)
        assert (after.zone_name, after.country, after.parent_id) == ("Europe/Berlin", "DE", top.id)
        assert (after.allow_unicode, after.allow_long) == (False, before.allow_long)
        assert (after.password_hash, after.created_at) == (before.password_hash, before.created_at)
        with pytest.raises(ConfigError, match="below it"):
            await accounts.set("top", parent="sub")
        with pytest.raises(ConfigError, match="below it"):
            await accounts.set("top", parent="top")
        assert (await accounts.set("sub", parent="", times_utc=True)).parent_id is None
        for bad in ({"zone": "nowhere"}, {"country": "??"}, {"parent": "nobody"}):
            with pytest.raises(ConfigError):
                await accounts.set("sub", **bad)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="no account"):
            await accounts.set("nobody", zone="Europe/Berlin")

    run(database_url, check)


def test_suspend_and_unsuspend(database_url: str) -> None:
    async def check(accounts: Accounts, database: Database, clock: ManualClock) -> None:
        await accounts.add("bob", PASSWORD)
        assert await accounts.suspend("bob")
        assert not await accounts.suspend("bob")
        view = await accounts.show("bob")
        assert view.account.state is AccountState.SUSPENDED
        assert view.suspended_at == clock.now_ms()
        clock.advance(10)
        assert await accounts.unsuspend("bob")
        assert not await accounts.unsuspend("bob")
        view = await accounts.show("bob")
        assert (view.account.state, view.suspended_at) == (AccountState.ACTIVE, None)
        with pytest.raises(ConfigError):
            await accounts.suspend("nobody")

    run(database_url, check)


def test_corrections_of_a_balance(database_url: str) -> None:
    async def check(accounts: Accounts, database: Database, clock: ManualClock) -> None:
        account = await accounts.add("bob", PASSWORD, credits=10)
        assert await accounts.credit("bob", 5, "a gift") == 15
        assert await accounts.credit("bob", -15, "and taken back") == 0
        for amount, reason in ((-1, "more"), (0, "nothing"), (5, "  "), (5, "two\nlines"), (MAX_CREDITS + 1, "x")):
            with pytest.raises(ConfigError):
                await accounts.credit("bob", amount, reason)
        assert await accounts.credit("bob", MAX_CREDITS, "all there is") == MAX_CREDITS
        with pytest.raises(ConfigError, match="more than"):
            await accounts.credit("bob", 1, "one more")
        assert await accounts.balance(account) == MAX_CREDITS
        view = await accounts.show("bob", ledger=2)
        assert [(line.no, line.amount, line.kind, line.reason) for line in view.ledger] == [
            (4, MAX_CREDITS, "adjustment", "all there is"),
            (3, -15, "adjustment", "and taken back"),
        ]

    run(database_url, check)


def test_top_up_looks_at_the_account_as_it_is(database_url: str) -> None:
    """What was allowed when the request came in may not be any more when it is carried out."""

    async def check(accounts: Accounts, database: Database, clock: ManualClock) -> None:
        account = await accounts.add("bob", PASSWORD, may_add_credits=True)
        assert await accounts.top_up(account, 5) == 5
        await accounts.set("bob", may_add_credits=False)
        with pytest.raises(ApiError) as refused:
            await accounts.top_up(account, 5)
        assert refused.value.code.code == -129
        await accounts.suspend("bob")
        with pytest.raises(ApiError) as refused:
            await accounts.top_up(account, 5)
        assert refused.value.code.code == -902
        assert await accounts.balance(account) == 5

    run(database_url, check)


def test_credits_from_many_sides_at_once(database_url: str) -> None:
    async def check(accounts: Accounts, database: Database, clock: ManualClock) -> None:
        account = await accounts.add("bob", PASSWORD, credits=10, may_add_credits=True)
        moves = [accounts.top_up(account, 3) for _ in range(20)]
        moves += [accounts.credit("bob", -2, "spent") for _ in range(20)]
        outcomes = await asyncio.gather(*moves, return_exceptions=True)
        errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert all("fewer" in str(error) for error in errors)
        view = await accounts.show("bob", ledger=100)
        assert view.credits == 10 + 20 * 3 - (20 - len(errors)) * 2
        assert sorted(line.no for line in view.ledger) == list(range(1, len(view.ledger) + 1))

    run(database_url, check)


def test_refunds_make_one_line_a_campaign(database_url: str) -> None:
    async def check(accounts: Accounts, database: Database, clock: ManualClock) -> None:
        account = await accounts.add("bob", PASSWORD)

        async def operation(tx: Tx) -> None:
            parts = [(account.id, 7, 2, "washed"), (account.id, 7, 3, "washed"), (account.id, 8, 0, "washed")]
            await rows.refund(tx, parts, clock.now_ms())

        await database.write(operation)
        view = await accounts.show("bob")
        assert [(line.campaign_id, line.amount, line.kind) for line in view.ledger] == [(7, 5, "refund")]
        assert view.credits == 5

    run(database_url, check)
