"""An operator who has signed in, and things for the operator's pages to show."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from cooee.model.account import Account
from cooee.model.message import MessageState
from tests.console.support_console import Browser, Shown, Site, person

_names = itertools.count(1)


@dataclass
class Kim:
    """An operator at the console."""

    site: Site
    name: str
    browser: Browser

    def get(self, url: str) -> Shown:
        return self.browser.get(url)

    def post(self, url: str, fields: Any = (), *, of: str = "/operator", live: bool = False) -> Shown:
        """Sends a form of the page `of`."""
        self.browser.get(of)
        return self.browser.post(url, fields, headers={"HX-Request": "true"} if live else None)

    def audited(self, **filters: str) -> str:
        """The words of the audit log."""
        return self.get(f"/operator/audit?{urlencode(filters)}").words


def operator(running: Site) -> Kim:
    """A new operator, signed in; failed logins of earlier tests are over."""
    running.clock.advance(61)
    name = f"kim-{next(_names)}"
    running.operator(name)
    browser = Browser(running)
    assert browser.sign_in_operator(name).url == "/operator"
    return Kim(running, name, browser)


async def run_sql(tx: Any, sql: str) -> None:
    """A statement that is no named query: what an engine would have written."""
    if tx.engine == "sqlite":
        tx.connection.execute(sql)
    else:
        await tx.connection.execute(sql)


def sql(running: Site, *statements: str) -> None:
    """Runs statements in one transaction."""

    async def work(tx: Any) -> None:
        for each in statements:
            await run_sql(tx, each)

    running.run(running.database.write(work))


def rows(running: Site, text: str) -> list[tuple[Any, ...]]:
    """The rows of a statement."""

    async def work(tx: Any) -> list[tuple[Any, ...]]:
        if tx.engine == "sqlite":
            return [tuple(row) for row in tx.connection.execute(text)]
        return [tuple(row) for row in await tx.connection.fetch(text)]

    return running.run(running.database.read(work))


def carrier(running: Site, **settings: str) -> int:
    """A new carrier; its id."""
    given = {"host": "127.0.0.1", "port": "1", "system_id": "acme", **settings}
    return running.run(running.carriers.add(f"telco-{next(_names)}", "smpp", given, "secret")).id


def uncertain(running: Site, count: int = 3) -> tuple[Account, int, int]:
    """An account and a campaign of it, all of whose recipients are uncertain; and the carrier that had them."""
    who = person(running)
    numbers = [61400123456 + at for at in range(count)]
    campaign = who.campaign(Destinations=[str(number) for number in numbers])
    who.settle(campaign, [(number, MessageState.UNCERTAIN, 0) for number in numbers])
    carrier_id = carrier(running)
    sql(
        running,
        f"UPDATE message SET carrier_id = {carrier_id}, uncertain_until = NULL WHERE campaign_id = {campaign}",
    )
    return who.account, campaign, carrier_id


def aside(running: Site, carrier_id: int, kind: str = "receipt", body: bytes = b"\0\x01raw") -> int:
    """Something in quarantine; its id."""
    blob = f"x'{body.hex()}'" if running.url.startswith("sqlite") else f"'\\x{body.hex()}'::bytea"
    sql(
        running,
        "INSERT INTO quarantine (at, carrier_id, kind, body, reason) VALUES "
        f"({running.clock.now_ms()}, {carrier_id}, '{kind}', {blob}, 'no such state')",
    )
    return int(rows(running, "SELECT MAX(id) FROM quarantine")[0][0])


def orphan(running: Site, carrier_id: int) -> None:
    """A receipt that matches nothing."""
    sql(
        running,
        "INSERT INTO orphan_receipt (carrier_id, id_1, handset, originator, kind, error, code, at) VALUES "
        f"({carrier_id}, 'abc1042', 61400123456, '61400190499', 2, 'UNDELIV 301', 301, {running.clock.now_ms()})",
    )
