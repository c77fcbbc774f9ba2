"""Who gets in: right and wrong passwords, suspended accounts, throttling, floods, changes made elsewhere."""

from __future__ import annotations

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from cooee.model.account import Account
from cooee.model.clock import ManualClock
from cooee.model.errors import ApiError, ConfigError
from cooee.service import logins
from cooee.service.accounts import Accounts
from cooee.service.logins import MAX_WAITING_PER_ADDRESS, parse_basic
from cooee.service.throttle import MAX_COUNTERS, PER_ADDRESS, PER_USER, WIDER, LoginThrottle, networks_of
from cooee.store.database import Database
from cooee.store.ids import Ids
from cooee.store.open import open_database
from tests.api.support_api import PASSWORD, Client, Server, basic

T = TypeVar("T")


def settings(client: Client, login: str = "") -> int:
    return client.post("/api/RetrieveUserSettings", b"", login=login).status


def test_right_and_wrong(server: Server) -> None:
    client = server.account()
    assert settings(client) == 200
    assert settings(client, basic(client.name).replace("Basic", "bAsIc ").rstrip("=")) == 200
    for name, password in (
        (client.name, "wrong"), (client.name, PASSWORD + " "), (client.name, ""), ("", PASSWORD), ("nobody", "x"),
        ("a" * 5000, "x"), ("nul\0", "x"), (client.name.upper(), PASSWORD),
    ):  # fmt: skip
        answer = client.post("/api/RetrieveUserSettings", b"", login=basic(name, password))
        assert (answer.status, answer.code) == (401, -901)


def test_passwords_in_any_script(server: Server) -> None:
    client = server.account()
    password = "пароль:with:colons \N{BALLOON}"
    server.run(server.accounts.set_password(client.name, password))
    assert settings(client, basic(client.name, password)) == 200
    latin = base64.b64encode(f"{client.name}:Größe-999".encode("latin-1")).decode()
    server.run(server.accounts.set_password(client.name, "Größe-999"))
    assert settings(client, f"Basic {latin}") == 200


def test_suspended(server: Server) -> None:
    client = server.account()
    assert settings(client) == 200
    assert server.run(server.accounts.suspend(client.name))
    answer = client.create()
    assert (answer.status, answer.code) == (403, -902)
    assert answer.json["Message"] == "Account is suspended"
    assert settings(client, basic(client.name, "wrong-password")) == 401
    assert client.untouched()
    assert server.run(server.accounts.unsuspend(client.name))
    assert settings(client) == 200


def test_a_new_password_counts_at_once(server: Server) -> None:
    client = server.account()
    assert settings(client) == 200
    server.run(server.accounts.set_password(client.name, "another-password"))
    assert settings(client) == 401
    assert settings(client, basic(client.name, "another-password")) == 200


def test_changes_made_elsewhere_take_effect(server: Server) -> None:
    """Another process writes to the same database: 5 s later everybody knows."""
    client = server.account()
    assert settings(client) == 200
    elsewhere = Accounts(server.database, Ids(server.database), server.clock)
    server.run(elsewhere.suspend(client.name))
    server.clock.advance(5)
    assert settings(client) == 403
    server.run(elsewhere.unsuspend(client.name))
    server.run(elsewhere.set_password(client.name, "another-password"))
    server.clock.advance(5)
    assert settings(client) == 401
    elsewhere.close()


def test_ten_failures_a_minute(server: Server) -> None:
    client, other = server.account(), server.account()
    for _ in range(10):
        assert settings(client, basic(client.name, "wrong-password")) == 401
    answer = client.post("/api/RetrieveUserSettings", b"")
    assert (answer.status, answer.code) == (429, -907)
    assert answer.json["Message"] == "Too many requests"
    assert int(answer.headers["retry-after"]) == 60
    assert settings(client, basic(client.name, "wrong-password")) == 429
    assert settings(other) == 200
    server.clock.advance(59)
    assert settings(client) == 429
    server.clock.advance(1)
    assert settings(client) == 200


def test_a_remembered_login_is_throttled_too(server: Server) -> None:
    client = server.account()
    assert settings(client) == 200
    for _ in range(10):
        settings(client, basic(client.name, "wrong-password"))
    assert settings(client) == 429
    server.clock.advance(60)
    assert settings(client) == 200


def test_a_hundred_failures_from_one_address() -> None:
    clock = ManualClock()
    throttle = LoginThrottle(clock)
    for number in range(100):
        throttle.check(f"user{number}", "192.0.2.1")
        throttle.failed(f"user{number}", "192.0.2.1")
    with pytest.raises(ApiError) as refused:
        throttle.check("somebody", "192.0.2.1")
    assert (refused.value.code.code, refused.value.retry_after) == (-907, 60)
    throttle.check("user1", "192.0.2.2")
    clock.advance(30)
    with pytest.raises(ApiError) as refused:
        throttle.check("somebody", "::ffff:192.0.2.1")
    assert refused.value.retry_after == 30
    clock.advance(30)
    throttle.check("somebody", "192.0.2.1")
    assert not throttle.active


def test_an_ipv6_network_is_one_address() -> None:
    throttle = LoginThrottle(ManualClock())
    for number in range(10):
        throttle.failed("bob", f"2001:db8::{number:x}")
    with pytest.raises(ApiError):
        throttle.check("bob", "2001:db8::ffff:1")
    throttle.check("bob", "2001:db8:0:1::1")


def test_who_has_a_wide_ipv6_network_fails_not_much_oftener() -> None:
    clock = ManualClock()
    throttle = LoginThrottle(clock)
    for number in range(PER_USER * WIDER):
        throttle.failed("bob", f"2001:db8:0:{number:x}::1")
    for address in ("2001:db8:0:ffff::1", "2001:db8::1"):
        with pytest.raises(ApiError) as refused:
            throttle.check("bob", address)
        assert (refused.value.code.code, refused.value.retry_after) == (-907, 60)
    throttle.check("alice", "2001:db8:0:ffff::1")
    throttle.check("bob", "2001:db8:1::1")
    for number in range((PER_ADDRESS - PER_USER) * WIDER):
        throttle.failed(f"user{number}", f"2001:db8:0:{number:x}::1")
    with pytest.raises(ApiError):
        throttle.check("alice", "2001:db8:0:ffff::1")
    throttle.check("alice", "2001:db8:1::1")
    clock.advance(60)
    throttle.check("bob", "2001:db8::1")
    assert not throttle.active


@pytest.mark.parametrize(
    ("address", "networks"),
    [
        ("192.0.2.1", ("192.0.2.1", "")),
        ("2001:DB8:1:2:3:4:5:6", ("2001:db8:1:2::/64", "2001:db8:1::/48")),
        ("fe80::1%eth0", ("fe80::/64", "fe80::/48")),
        ("::1", ("::/64", "::/48")),
        ("::ffff:192.0.2.1", ("192.0.2.1", "")),
        ("64:ff9b::c000:201", ("192.0.2.1", "")),
        ("2002:c000:201:7::1", ("192.0.2.1", "")),
        ("", ("", "")),
        ("not an address", ("not an address", "")),
        ("x" * 1000, ("x" * 64, "")),
    ],
)
def test_what_counts_as_one_address(address: str, networks: tuple[str, str]) -> None:
    assert networks_of(address) == networks


def test_counters_outlive_their_address() -> None:
    """The user's minute may begin later than the address's, and lasts as long."""
    clock = ManualClock()
    throttle = LoginThrottle(clock)
    throttle.failed("alice", "192.0.2.1")
    clock.advance(50)
    for _ in range(10):
        throttle.failed("bob", "192.0.2.1")
    clock.advance(15)
    assert throttle.active
    with pytest.raises(ApiError):
        throttle.check("bob", "192.0.2.1")


def test_memory_is_bounded() -> None:
    throttle = LoginThrottle(ManualClock())
    for number in range(MAX_COUNTERS + 500):
        throttle.failed("x" * 100_000, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(throttle._users) == len(throttle._addresses) == MAX_COUNTERS


@pytest.mark.parametrize("bad", ["", "Basic", "Basic ü", "Digest YTpi", "Basic " + "=" * 9, "Basic YWI="])
def test_headers_that_are_none(bad: str) -> None:
    with pytest.raises(ApiError):
        parse_basic(bad)


def test_names_may_not_break_the_header(server: Server) -> None:
    for name in ("", "a:b", " a", "a ", "x" * 65, "tab\t", "nul\0"):
        with pytest.raises(ConfigError):
            server.run(server.accounts.add(name, PASSWORD))


def test_many_connections_with_one_password_verify_it_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = server.account()
    calls = []
    matches = logins._matches

    def counted(stored: str, password: str) -> bool:
        calls.append(password)
        return matches(stored, password)

    monkeypatch.setattr(logins, "_matches", counted)
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda _: settings(client), range(40))) == {200}
    assert len(calls) == 1
    server.clock.advance(301)
    assert settings(client) == 200
    assert len(calls) == 2


def test_a_flood_keeps_nobody_out(tmp_path: Path) -> None:
    """One address may have few logins waiting; another one's, and remembered ones, go through meanwhile."""

    async def main() -> None:
        clock = ManualClock()
        database: Database = await open_database(f"sqlite:///{tmp_path / 'cooee.db'}", clock)
        accounts = Accounts(database, Ids(database), clock)
        for name in ("alice", "bob"):
            await accounts.add(name, PASSWORD)
        await accounts.authenticate(basic("alice"), "192.0.2.1")

        async def attempt(login: str, address: str) -> int | str:
            try:
                account: Account = await accounts.authenticate(login, address)
            except ApiError as error:
                return error.code.code
            return account.name

        flood = [
            asyncio.create_task(attempt(basic(f"user{number}", "guess"), "198.51.100.7")) for number in range(500)
        ]
        await asyncio.sleep(0)
        assert await attempt(basic("alice"), "192.0.2.1") == "alice"
        assert sum(not task.done() for task in flood) <= MAX_WAITING_PER_ADDRESS
        assert await attempt(basic("bob"), "192.0.2.9") == "bob"
        outcomes = await asyncio.gather(*flood)
        assert outcomes.count(-901) == MAX_WAITING_PER_ADDRESS
        assert outcomes.count(-907) == 500 - MAX_WAITING_PER_ADDRESS
        # Neither has somebody with a wide IPv6 network, though every address is in another one.
        for guess in ("once", "and again"):
            flood = [
                asyncio.create_task(attempt(basic(f"user{n}", guess), f"2001:db8:0:{n:x}::1")) for n in range(60)
            ]
            await asyncio.sleep(0)
            assert await attempt(basic("bob", guess), "2001:db8:1::1") == -901
            outcomes = await asyncio.gather(*flood)
            assert outcomes.count(-901) == MAX_WAITING_PER_ADDRESS * WIDER
        # So many addresses that the queue is full: whoever is remembered still gets in.
        flood = [asyncio.create_task(attempt(basic("eve", str(n)), f"10.0.0.{n}")) for n in range(200)]
        await asyncio.sleep(0)
        assert await attempt(basic("alice"), "192.0.2.1") == "alice"
        assert await attempt(basic("bob"), "192.0.2.77") == "bob"
        outcomes = await asyncio.gather(*flood)
        assert outcomes.count(-901) == logins.MAX_WAITING
        accounts.close()
        await database.close()

    asyncio.run(main())
