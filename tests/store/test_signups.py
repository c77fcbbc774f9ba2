"""Sign-ups that come at once, from several nodes, and how mailboxes are told apart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from cooee.model.clock import ManualClock
from cooee.model.errors import ConfigError
from cooee.model.signup import SignupRules, SignupState, Wish, check_email, mailbox_of
from cooee.service.accounts import Accounts
from cooee.service.signups import Limited, NameTaken, Signups
from cooee.service.throttle import WIDER
from cooee.store.ids import Ids
from cooee.store.open import open_database

PASSWORD = "a good password"
RULES = SignupRules(mode="approval")
WISH = Wish("ann", "Ann & Co", "ann@example.org", "UTC", "AU")


def run(url: str, rules: SignupRules, check: Callable[[list[Signups], Accounts], Awaitable[None]]) -> None:
    """`check` gets the sign-ups of two nodes on one store; on SQLite there is one, twice."""

    async def main() -> None:
        clock = ManualClock()
        async with AsyncExitStack() as stack:
            nodes = []
            for _ in range(2 if url.startswith("postgres") else 1):
                database = await open_database(url, clock, pool=4)
                stack.push_async_callback(database.close)
                accounts = Accounts(database, Ids(database), clock)
                stack.callback(accounts.close)
                nodes.append(Signups(database, Ids(database), clock, accounts, rules))
            await check([nodes[0], nodes[-1]], accounts)
            assert list(await database.read(lambda tx: tx.all("ledger_differences"))) == []

    asyncio.run(main())


def test_limits_hold_for_those_that_come_at_once(database_url: str) -> None:
    async def check(nodes: list[Signups], accounts: Accounts) -> None:
        answers = await asyncio.gather(
            *(
                nodes[at % 2].ask(replace(WISH, name=f"user-{at}", email=f"{at}@example.org"), PASSWORD, address)
                for at, address in enumerate(["192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::2"] * 4)
            ),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers if answer is not None] == [Limited] * 8
        found = await nodes[0].page()
        assert sorted(each.network for each in found) == ["192.0.2.1"] * 4 + ["2001:db8::/64"] * 4
        assert await nodes[1].count() == 8

    run(database_url, replace(RULES, per_address=4), check)


def test_a_wide_ipv6_network_has_a_limit_of_its_own(database_url: str) -> None:
    async def check(nodes: list[Signups], accounts: Accounts) -> None:
        def ask(at: int, address: str) -> Coroutine[Any, Any, None]:
            return nodes[at % 2].ask(
                replace(WISH, name=f"user-{at}", email=f"{at}@example.org"), PASSWORD, address
            )

        answers = await asyncio.gather(
            *(ask(at, f"2001:db8:0:{at:x}::1") for at in range(2 * WIDER + 3)), return_exceptions=True
        )
        refused = [answer for answer in answers if answer is not None]
        assert [type(answer) for answer in refused] == [Limited] * 3
        assert {(answer.whose, answer.wait_s) for answer in refused if isinstance(answer, Limited)} == {
            ("address", 3600)
        }
        # Whoever is outside of it does not notice, nor do IPv4 addresses, which are in no wider network.
        await ask(90, "2001:db8:1::1")
        for at in range(2 * WIDER + 3):
            await ask(100 + at, f"192.0.2.{at}")

    run(database_url, replace(RULES, per_address=2), check)


def test_the_total_holds_for_those_that_come_at_once(database_url: str) -> None:
    async def check(nodes: list[Signups], accounts: Accounts) -> None:
        answers = await asyncio.gather(
            *(nodes[at % 2].ask(replace(WISH, name=f"user-{at}"), PASSWORD, f"192.0.2.{at}") for at in range(12)),
            return_exceptions=True,
        )
        assert sum(answer is None for answer in answers) == 5

    run(database_url, replace(RULES, per_hour=5), check)


def test_a_name_goes_to_one_of_those_that_want_it(database_url: str) -> None:
    async def check(nodes: list[Signups], accounts: Accounts) -> None:
        answers = await asyncio.gather(
            *(nodes[at % 2].ask(replace(WISH, name=["ann", "Ann"][at % 2]), PASSWORD, "") for at in range(6)),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers if answer is not None] == [NameTaken] * 5
        assert await nodes[0].count() == 1

    run(database_url, RULES, check)


def test_an_approval_happens_once(database_url: str) -> None:
    async def check(nodes: list[Signups], accounts: Accounts) -> None:
        await nodes[0].ask(WISH, PASSWORD, "")
        (waiting,) = await nodes[0].page()
        answers = await asyncio.gather(
            *(node.approve(waiting.id) for node in nodes * 3),
            *(node.refuse(waiting.id) for node in nodes),
            return_exceptions=True,
        )
        assert sum(not isinstance(answer, ConfigError) for answer in answers) == 1, answers
        (over,) = await nodes[1].page(waiting=False)
        assert len(await accounts.list()) == (over.state is SignupState.APPROVED)

    run(database_url, RULES, check)


def test_two_of_one_mailbox_approved_at_once_get_the_credits_once(database_url: str) -> None:
    async def check(nodes: list[Signups], accounts: Accounts) -> None:
        for name in ("ann", "bob"):
            await nodes[0].ask(replace(WISH, name=name), PASSWORD, "")
        one, two = await nodes[0].page()
        made = await asyncio.gather(nodes[0].approve(one.id), nodes[1].approve(two.id))
        assert sorted(credits for _, _, credits in made) == [0, 100]
        assert sum(account.credits for account in await accounts.list()) == 100

    run(database_url, RULES, check)


def test_a_hash_is_in_no_text_of_a_sign_up(database_url: str) -> None:
    async def check(nodes: list[Signups], accounts: Accounts) -> None:
        await nodes[0].ask(WISH, PASSWORD, "")
        (waiting,) = await nodes[0].page()
        assert waiting.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert "argon2" not in repr(waiting)

    run(database_url, RULES, check)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ann@example.org", "Ann@Example.ORG", True),
        ("ann@example.org", "ann+sms@example.org", True),
        ("a.nn@gmail.com", "ann+x@googlemail.com", True),
        ("a.nn@example.org", "ann@example.org", False),
        ("ann@example.org", "ann@example.com", False),
        ("+ann@example.org", "+bob@example.org", False),
    ],
)
def test_ways_to_write_one_mailbox(one: str, other: str, same: bool) -> None:
    assert (mailbox_of(check_email(one)) == mailbox_of(check_email(other))) is same


@pytest.mark.parametrize("local", ["=?utf-8?q?victim?=", "=?utf-8?q?a=0D=0Ab?=", "=?utf-8?b?dmljdGlt?=", "x=?y"])
def test_what_programs_read_as_another_address_is_none(local: str) -> None:
    with pytest.raises(ConfigError):
        check_email(f"{local}@example.com")
