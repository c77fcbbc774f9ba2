"""A real Chromium, a node with something on every page of its console, and axe."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import uvloop
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from cooee.app.node import Node
from cooee.config import Settings
from cooee.model.inbound import NumberKind
from cooee.model.signup import Wish
from cooee.service.numbers import Numbers
from tests.support.smtp import FakeSmtp

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
AXE = Path(__file__).with_name("vendor") / "axe.min.js"
PASSWORD = "a long password"
NUMBER = "61400190499"
Scheme = Literal["light", "dark"]
WIDTHS = (390, 834, 1440)
PICTURES = os.environ.get("COOEE_TEST_PICTURES")
"""A folder: pictures of every page are kept there, for the documentation."""


@dataclass
class Running:
    """A node with the simulated SMSC, in a thread of its own."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings that are other than usual."""
    node: Node = field(init=False)
    made: dict[str, int] = field(default_factory=dict)
    post: FakeSmtp = field(init=False)
    """Where its mails go."""
    _undo: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Running:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.post = self._undo.enter_context(FakeSmtp())
        settings = Settings(
            database=f"sqlite:///{self.folder / 'cooee.db'}", simulate=True, port=0, signup="email",
            smtp_host="127.0.0.1", smtp_port=self.post.port, smtp_tls="none", smtp_from="trial@cooee.example",
            public_url="https://sms.cooee.example", **self.settings,
        )  # fmt: skip
        self.node = Node(settings)
        self.run(self.node.start())
        self.run(self.node.accounts.add("acme", PASSWORD, credits=250_000, may_add_credits=True))
        self.run(self.node.operators.add("kim", PASSWORD))
        numbers = Numbers(self.node.database, self.node.clock)
        self.run(numbers.add(NUMBER, NumberKind.DEDICATED, "acme"))
        return self

    def text(self, words: str, handset: str = "61400999999") -> None:
        """A handset writes to the account's number."""

        async def send() -> None:
            assert self.node.smsc is not None
            self.node.smsc.reply(handset, NUMBER, words)

        self.run(send())

    def __exit__(self, *_: object) -> None:
        self.run(self.node.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        self._undo.close()

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def sql(self, *statements: str) -> None:
        """What an engine, or time, would have written."""

        async def work(tx: Any) -> None:
            for each in statements:
                tx.connection.execute(each)

        self.run(self.node.database.write(work))

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.node.port}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.fail("there is no Chromium on this machine: apt-get install chromium (`make test` tries that)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page whose faults are written down."""

    page: Page
    base: str
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.faults.append(f"{self.page.url}: {error}"))
        self.page.on("request", self._asked)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{self.page.url}: {message.text}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.base, "data:")):
            self.faults.append(f"{self.page.url} asked for {request.url}")

    def axe(self, *rules: str) -> list[str]:
        """Serious faults of the page as it is; of some rules alone, where they are named."""
        if not self.page.evaluate("typeof axe === 'object'"):
            # Written into the page by the browser itself, which the page's policy does not forbid.
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        if rules:
            options["runOnly"] = {"type": "rule", "values": list(rules)}
        found = self.page.evaluate("options => axe.run(document, options)", options)
        assert len(found["passes"]) + len(found["inapplicable"]) >= (len(rules) or 20), self.page.url
        return [
            f"{self.page.url}: {each['id']}: {each['nodes'][0]['html'][:200]}: "
            f"{each['nodes'][0].get('failureSummary', '')[:300]}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]


def context_of(chromium: Browser, width: int, scheme: Scheme) -> BrowserContext:
    return chromium.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",
    )


def signed_in(context: BrowserContext, base: str) -> Watched:
    watched = Watched(context.new_page(), base)
    watched.page.goto(f"{base}/sign-in")
    watched.page.fill("#name", "acme")
    watched.page.fill("#password", PASSWORD)
    watched.page.keyboard.press("Enter")
    watched.page.wait_for_url(f"{base}/")
    return watched


def keep(page: Page, name: str) -> None:
    """Keeps a picture, where the documentation is made."""
    if PICTURES:
        page.wait_for_timeout(600)
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)


def paths(running: Running) -> list[str]:
    """Every page with something on it."""
    at = running.run(_things(running))
    return [
        "/", "/compose", f"/compose/{at['draft']}", "/campaigns", f"/campaigns/{at['campaign']}",
        f"/campaigns/{at['campaign']}/recipients", f"/campaigns/{at['campaign']}/61400000001",
        f"/campaigns/{at['later']}/edit", f"/campaigns/{at['later']}/cancel", "/lists",
        "/lists/new", f"/lists/{at['list']}", f"/lists/{at['list']}/delete", f"/lists/upload/{at['upload']}",
        "/credits", "/settings",
        "/nothing", "/campaigns?q=nothing+like+it", "/replies", "/replies/61400000007", "/optouts",
        "/optouts/61400000008", "/settings/webhook", "/settings/audit",
        "/settings/audit?until=2001-01-01", f"/replies/from/{at['nameless']}", "/replies?show=stops",
        "/lists?q=zzz",
    ]  # fmt: skip


async def _things(running: Running) -> dict[str, int]:
    """What the pages are about, made once."""
    made = running.made
    if made:
        return made
    import io
    from array import array

    from cooee.model.msisdn import Checked
    from cooee.model.originator import Originator
    from cooee.model.segments import segment
    from cooee.service.drafts import DraftBody
    from cooee.service.intake import Reject, Taken
    from cooee.service.recipients import CreateCampaign

    services = running.node.console_services
    assert services is not None
    account = await services.accounts.find("acme")

    def new(text: str, numbers: array[int], due_at: int | None = None) -> CreateCampaign:
        return CreateCampaign(
            message=text,
            segmented=segment(text),
            originator=Originator("CLINIC", "alpha"),
            due_at=due_at,
            reference=None,
            recipients=Checked(numbers, 0, 0, 0),
            idempotency_key=None,
            body_digest="",
        )

    many = array("q", range(61400000000, 61400003000))
    long = "Cooee! Your appointment is tomorrow at 10:30. Reply STOP to opt out. " * 4
    made["campaign"] = (await services.campaigns.create(account, new(long, many))).campaign_id
    later = services.clock.now_ms() + 86_400_000
    made["later"] = (await services.campaigns.create(account, new("Later", many[:3], later))).campaign_id
    made["list"] = await services.audience.create(account, "Friends", many)
    body = DraftBody(message=long, originator="CLINIC", sources=("pasted",))
    made["draft"] = await services.drafts.create(
        account, body, Taken(many, 1, 2, 0, [Reject("line 3", "hello", "no phone number")])
    )
    smsc = running.node.smsc
    assert smsc is not None
    smsc.reply("61400000007", NUMBER, "Yes, I will come. Is there parking?")
    smsc.reply("61400000008", NUMBER, "STOP")
    smsc.reply("Parcels", NUMBER, "Your parcel is on its way")
    table = io.BytesIO(b"Name,Mobile\nAnn,0400123456\n")
    made["upload"] = await services.imports.keep(account, "people.csv", table)
    for _ in range(300):
        if (await services.campaigns.status(account, made["campaign"])) == "Finished":
            break
        await asyncio.sleep(0.1)
    for _ in range(300):
        talks = await services.conversations.page(account)
        if len(talks) >= 3:
            break
        await asyncio.sleep(0.1)
    made["nameless"] = next(talk.id for talk in talks if talk.handset is None)
    return made


async def furnish(running: Running) -> None:
    """Something on every page of operators."""
    services = running.node.console_services
    assert services is not None
    desk, accounts = services.desk, services.accounts
    await accounts.add(
        "acme-perth", PASSWORD, credits=1200, parent="acme", low_balance=5000, zone="Australia/Perth"
    )
    await accounts.add("nightowl", PASSWORD, country="NZ")
    await accounts.suspend("nightowl")
    await accounts.set("acme", window=(480, 1260), daily_cap=200_000)
    await accounts.set("acme", window=None)
    await accounts.credit("acme", 5000, "invoice 1042")
    for country, credits in (("NZ", 3), ("AU", 1), ("other", 5)):
        await desk.rates.set(country, credits)
    await desk.senders.add("acme", ["CLINIC", "Acme Shop", NUMBER])
    await desk.numbers.add("1999", NumberKind.SHARED, None)
    await desk.carriers.add("telco", "smpp", {"host": "127.0.0.1", "port": "1", "system_id": "acme"}, "x")
    await desk.carriers.pause("telco")
    await services.webhooks.set("acme", url="https://hooks.example.invalid/replies")
    for name in ("ann", "bob", "cleo", "dora", "eve"):
        wish = Wish(
            name, "A company with a rather long name", f"{name}@sales.example.org", "Australia/Perth", "AU"
        )
        await services.signups.ask(wish, PASSWORD, "2001:db8::1")
    first, second, *_ = await services.signups.page()
    await services.signups.refuse(first.id)
    await services.signups.approve(second.id)
    now = services.clock.now_ms()

    async def put(tx: object) -> None:
        connection = tx.connection  # type: ignore[attr-defined]
        for at in range(3):
            connection.execute(
                "INSERT INTO quarantine (at, carrier_id, kind, body, reason) VALUES (?, 1, 'receipt', ?, 'no id')",
                (now, bytes(range(64))),
            )
            connection.execute(
                "INSERT INTO unrouted_reply VALUES (?, ?, 1, '61400000001', 61400000001, '1998', 'Hi', 1, 0)",
                (9000 + at, now),
            )
            connection.execute(
                "INSERT INTO webhook_delivery VALUES (1001, ?, 3, 30, ?, 0, NULL, ?, 500, 'wrong', '<p>')",
                (at, now, now),
            )
            connection.execute(
                "INSERT INTO orphan_receipt (carrier_id, id_1, handset, originator, kind, error, code, at) "
                "VALUES (1, 'abc', 61400123456, '61400190499', 2, 'UNDELIV 301', 301, ?)",
                (now,),
            )
            connection.execute(
                "INSERT INTO message VALUES (1001, 999, ?, 2, 1, 1, 1, 0, 0, 0, 1, 1, ?, ?, NULL, 0, NULL)",
                (61400000001 + at, now, now),
            )

    await running.node.database.write(put)


OPERATOR_PATHS = (
    "/operator", "/operator?q=nobody", "/operator/accounts/new", "/operator/accounts/1001",
    "/operator/accounts/1001/settings", "/operator/accounts/1001/credits", "/operator/accounts/1001/bill",
    "/operator/accounts/1001/senders", "/operator/accounts/1001/replies", "/operator/accounts/1001/rates",
    "/operator/accounts/1001/access", "/operator/accounts/1003/access", "/operator/rates", "/operator/carriers",
    "/operator/signups", "/operator/signups?show=over",
    "/operator/carriers/new", "/operator/carriers/1", "/operator/carriers/2", "/operator/carriers/2/edit",
    "/operator/carriers/1/remove", "/operator/carriers/1/unmatched", "/operator/numbers", "/operator/unrouted",
    "/operator/keywords", "/operator/uncertain", "/operator/uncertain/all", "/operator/webhooks",
    "/operator/quarantine", "/operator/audit", "/operator/settings", "/operator/handsets",
    "/operator/handsets?phone=0400+000+001", "/operator/webhooks?account=nobody", "/operator/audit?who=nobody",
)  # fmt: skip


def operator_in(chromium: Browser, base: str, width: int, scheme: Scheme) -> Watched:
    watched = Watched(context_of(chromium, width, scheme).new_page(), base)
    watched.page.goto(f"{base}/operator/sign-in")
    watched.page.fill("#name", "kim")
    watched.page.fill("#password", PASSWORD)
    watched.page.keyboard.press("Enter")
    watched.page.wait_for_url(f"{base}/operator")
    return watched
