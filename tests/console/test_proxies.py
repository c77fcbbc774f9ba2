"""A node behind a reverse proxy: who asks, and how, is what a trusted proxy says; nobody else is believed."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from cooee.app.node import Node
from cooee.config import Settings
from cooee.service.audit import AuditFilter
from tests.api.support_api import PASSWORD, basic
from tests.console.support_console import Browser

CLIENT, OTHER = "203.0.113.5", "203.0.113.77"


class Behind:
    """A node in a thread of its own; requests come as its proxy would send them."""

    def __init__(self, folder: Path, *trusted: str) -> None:
        self.settings = Settings(
            database=f"sqlite:///{folder / 'cooee.db'}", port=0, simulate=True, trusted_proxies=trusted
        )

    @contextmanager
    def running(self) -> Iterator[Behind]:
        self.loop = uvloop.new_event_loop()
        thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        thread.start()
        self.node = Node(self.settings)
        self.run(self.node.start())
        try:
            self.run(self.node.accounts.add("acme", PASSWORD, credits=100))
            self.run(self.node.operators.add("kim", PASSWORD))
            yield self
        finally:
            self.run(self.node.stop())
            self.loop.call_soon_threadsafe(self.loop.stop)
            thread.join()
            self.loop.close()

    @property
    def port(self) -> int:
        return self.node.port

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def api(self, headers: Mapping[str, str], password: str = PASSWORD) -> tuple[int, str | None]:
        """The API's status for a balance, and after how long to come again."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(
                "GET", "/api/credits", headers={"Authorization": basic("acme", password), **headers}
            )
            response = connection.getresponse()
            response.read()
            return response.status, response.getheader("Retry-After")
        finally:
            connection.close()

    def addresses(self, action: str) -> list[str]:
        """From where that was done, the newest first."""
        services = self.node.console_services
        assert services is not None
        return [line.address for line in self.run(services.desk.audit.page(AuditFilter(action=action)))]


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Behind]:
    with Behind(tmp_path, "127.0.0.0/8").running() as found:
        yield found


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Behind]:
    with Behind(tmp_path).running() as found:
        yield found


class Proxied(Browser):
    """A browser behind a proxy that adds these headers."""

    def __init__(self, site: Behind, **headers: str) -> None:
        super().__init__(site)  # type: ignore[arg-type]
        self.added = {name.replace("_", "-"): value for name, value in headers.items()}

    def _once(self, method: str, url: str, body: Any, headers: Mapping[str, str]) -> Any:
        return super()._once(method, url, body, {**self.added, **headers})


def test_the_api_locks_the_client_out_and_not_the_proxy(behind: Behind) -> None:
    for at in range(10):
        # What the client itself writes in front is another thing each time, and helps nothing.
        status, _ = behind.api({"X-Forwarded-For": f"198.51.100.{at}, {CLIENT}"}, "wrong")
        assert status == 401
    status, wait = behind.api({"X-Forwarded-For": f"198.51.100.99, {CLIENT}"})
    assert (status, wait is not None) == (429, True)
    assert behind.api({"X-Forwarded-For": OTHER})[0] == 200
    assert behind.api({})[0] == 200


def test_the_console_counts_together_with_the_api(behind: Behind) -> None:
    for _ in range(10):
        behind.api({"X-Forwarded-For": CLIENT}, "wrong")
    browser = Proxied(behind, X_Forwarded_For=CLIENT)
    assert browser.sign_in("acme").status == 429
    assert Proxied(behind, X_Forwarded_For=OTHER).sign_in("acme").url == "/"


def test_several_headers_are_one_list(behind: Behind) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", behind.port, timeout=30)
    statuses = []
    for at in range(11):
        connection.putrequest("GET", "/api/credits")
        connection.putheader("Authorization", basic("acme", "wrong"))
        connection.putheader("X-Forwarded-For", f"198.51.100.{at}")
        connection.putheader("x-forwarded-for", f"{CLIENT}, 127.0.0.9")
        connection.endheaders()
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()
    assert statuses == [401] * 10 + [429]
    assert behind.api({"X-Forwarded-For": OTHER})[0] == 200


def test_the_audit_log_names_the_client(behind: Behind) -> None:
    browser = Proxied(behind, X_Forwarded_For=f"1.2.3.4, {CLIENT}")
    browser.sign_in("acme")
    browser.get("/settings")
    browser.post("/settings/times", {"zone": "Asia/Tokyo"})
    Proxied(behind, X_Forwarded_For="[2001:db8::7]:443").sign_in_operator("kim")
    assert behind.addresses("signed in") == [CLIENT]
    assert behind.addresses("account changed") == [CLIENT]
    assert behind.addresses("operator signed in") == ["2001:db8::7"]


@pytest.mark.parametrize(("proto", "secure"), [("https", True), ("http", False), ("gopher", False), ("", False)])
def test_cookies_are_secure_where_the_client_comes_by_https(behind: Behind, proto: str, secure: bool) -> None:
    browser = Proxied(behind, X_Forwarded_For=CLIENT, X_Forwarded_Proto=proto)
    assert browser.sign_in("acme").url == "/"
    name = "__Host-cooee" if secure else "cooee"
    assert name in browser.cookies
    shown = Proxied(behind, X_Forwarded_Proto=proto).get("/sign-in")
    (cookie,) = [value for key, value in shown.headers if key.lower() == "set-cookie"]
    assert ("Secure" in cookie) is secure
    # They go on being known, here and there.
    assert browser.get("/settings").url == "/settings"
    browser.post("/settings/times", {"zone": "Asia/Tokyo"})
    operator = Proxied(behind, X_Forwarded_Proto=proto)
    assert operator.sign_in_operator("kim").url == "/operator"
    assert ("__Secure-cooee-operator" in operator.cookies) is secure


@pytest.mark.parametrize("garbage", ["unknown", ",,,", "1.2.3", "<b>", "\xff\xfe", "9" * 5000, "::1%eth0"])
def test_garbage_counts_as_the_proxys_own(behind: Behind, garbage: str) -> None:
    browser = Proxied(behind, X_Forwarded_For=garbage)
    assert browser.sign_in("acme").url == "/"
    assert behind.addresses("signed in") == ["127.0.0.1"]
    assert behind.api({"X-Forwarded-For": garbage})[0] == 200


def test_nobody_is_believed_where_no_proxy_is_trusted(alone: Behind) -> None:
    for at in range(10):
        assert alone.api({"X-Forwarded-For": f"203.0.113.{at}"}, "wrong")[0] == 401
    assert alone.api({"X-Forwarded-For": "203.0.113.99"})[0] == 429
    operator = Proxied(alone, X_Forwarded_For=CLIENT, X_Forwarded_Proto="https")
    assert operator.sign_in_operator("kim").url == "/operator"
    assert "cooee-operator" in operator.cookies
    assert alone.addresses("operator signed in") == ["127.0.0.1"]


def test_a_peer_that_is_no_proxy_is_not_believed(tmp_path: Path) -> None:
    with Behind(tmp_path, "10.0.0.0/8", "::1").running() as found:
        for at in range(10):
            assert found.api({"X-Forwarded-For": f"10.0.0.{at}"}, "wrong")[0] == 401
        assert found.api({"X-Forwarded-For": "10.0.0.99"})[0] == 429
