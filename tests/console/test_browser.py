"""The console in a real Chromium: every page at three widths, light and dark, without an error, a request that
leaves the host, or a serious fault that axe finds; and the way from a list to a delivered message by keyboard."""

from __future__ import annotations

import asyncio
import os
import re
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
AXED = ((390, "dark"), (1440, "light"))
"""Where axe looks: it takes most of the time, and both layouts and both themes are in these two."""
PICTURES = os.environ.get("COOEE_TEST_PICTURES")
"""A folder: pictures of every page are kept there, for the documentation."""


@dataclass
class Running:
    """A node with the simulated SMSC, in a thread of its own."""

    folder: Path
    node: Node = field(init=False)
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
            public_url="https://sms.cooee.example",
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

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.node.port}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("browser")) as found:
        yield found


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

    def axe(self) -> list[str]:
        """Serious faults of the page as it is."""
        # Written into the page by the browser itself, which the page's policy does not forbid.
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run(document)")
        assert len(found["passes"]) > 5, self.page.url
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


def test_the_whole_way_by_keyboard(running: Running, chromium: Browser, tmp_path: Path) -> None:
    """Sign in, upload a list, write to it, rehearse, send, watch it deliver, read one recipient's story, answer
    what they reply, and see that they opt out."""
    people = tmp_path / "people.csv"
    rows = "".join(f"Person {at},0400 {at // 1000:03d} {at % 1000:03d}\n" for at in range(1200))
    people.write_text(f"Name,Mobile\n{rows}Somebody,hello\n", encoding="utf-8")
    context = context_of(chromium, 1280, "light")
    watched = signed_in(context, running.base)
    page = watched.page

    page.goto(f"{running.base}/lists/new")
    page.focus("#name")
    page.keyboard.type("Members")
    page.set_input_files("#file", people)
    page.focus("form.card button.primary")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/lists/upload/\d+"))
    page.focus("form button.primary")
    page.keyboard.press("Enter")
    page.get_by_text("1,200 numbers added").wait_for(timeout=20_000)
    page.get_by_role("link", name="Write to it").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/compose\?list="))

    page.focus("#message")
    page.keyboard.type("It’s time: your check-up is due. Call us, or reply STOP to opt out.")
    page.get_by_text("right single quotation mark").wait_for()
    page.get_by_role("button", name="Use these instead").focus()
    page.keyboard.press("Enter")
    page.get_by_text("GSM 7-bit · ").wait_for()
    assert page.input_value("#message").startswith("It's time")
    page.focus("#originator")
    page.keyboard.type(NUMBER)
    page.locator("#recipients").fill("0400 999 999\nhello")
    page.get_by_text("1 valid · 0 duplicate · 1 invalid").wait_for()
    keep(page, "compose")
    page.get_by_role("button", name="Rehearse").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/compose/\d+$"))
    assert page.get_by_text("Send to 1,201 for 1,201 credits").is_visible()
    keep(page, "rehearsal")
    page.get_by_role("button", name="Send to 1,201").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/campaigns/\d+"))
    # The page follows by itself.
    page.locator("#live .keys li", has_text="delivered").get_by_text("1,201").wait_for(timeout=30_000)
    page.locator("#live .chip.Finished").wait_for(timeout=30_000)
    page.locator(".uplot canvas").first.wait_for()
    keep(page, "campaign")
    page.fill("#number", "0400 999 999")
    page.keyboard.press("Enter")
    page.get_by_text("Yes. It was delivered to the phone.").wait_for()
    keep(page, "story")

    page.goto(f"{running.base}/replies")
    running.text("What time?")
    # It appears by itself.
    page.get_by_role("link", name="What time?").wait_for(timeout=15_000)
    assert page.locator(".talks li.unread").count() == 1
    page.get_by_role("link", name="What time?").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{running.base}/replies/61400999999")
    page.focus("#message")
    page.keyboard.type("At half past nine.")
    page.get_by_text("1 segment · GSM 7-bit").wait_for()
    page.get_by_role("button", name="Send the answer").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Your answer is on its way.").wait_for()
    page.locator(".thread .ours", has_text="At half past nine.").get_by_text("delivered").wait_for(timeout=20_000)
    running.text("Thanks! See you then.")
    page.locator(".thread .theirs", has_text="See you then").wait_for(timeout=15_000)
    keep(page, "conversation")
    running.text("STOP")
    page.get_by_text("this opted the number out").wait_for(timeout=15_000)
    page.reload()
    assert page.get_by_text("It has opted out and is not written to.").is_visible()
    page.goto(f"{running.base}/optouts")
    page.locator("tbody tr", has_text="STOP").get_by_role("link").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{running.base}/optouts/61400999999")
    assert page.get_by_text("Opted out: it is not written to.").is_visible()
    assert watched.faults == []
    context.close()


def test_a_stranger_signs_up_by_keyboard(running: Running, chromium: Browser) -> None:
    """From the sign-in page over a mistake, the mail and its link to the first page of the new account."""
    context = context_of(chromium, 390, "light")
    watched = Watched(context.new_page(), running.base)
    page = watched.page
    page.goto(f"{running.base}/sign-in")
    page.get_by_role("link", name="Sign up for a free trial").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{running.base}/signup")
    for label, text in (
        ("Company, or your name", "Ann & Co"),
        ("E-mail address", "ann@example.org"),
        ("User name", "acme"),
        ("Password", PASSWORD),
        ("The same once more", PASSWORD),
    ):
        page.get_by_label(label, exact=True).focus()
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.get_by_text("That user name is taken.").wait_for()
    # The browser itself writes down that the answer was a refusal.
    watched.faults = [fault for fault in watched.faults if "400 (Bad Request)" not in fault]
    assert page.get_by_label("User name").get_attribute("aria-invalid") == "true"
    wrong = watched.axe()
    page.get_by_label("User name").fill("ann")
    for label in ("Password", "The same once more"):
        page.get_by_label(label, exact=True).focus()
        page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{running.base}/signup/sent")
    for _ in range(100):
        if running.post.mails:
            break
        page.wait_for_timeout(100)
    text = running.post.mails[-1][2].get_content()
    link = re.search(r"https://sms\.cooee\.example(/signup/confirm\?key=[\w-]+)", text)
    assert link is not None
    page.goto(running.base + link[1])
    wrong += watched.axe()
    keep(page, "signup-confirm")
    page.get_by_role("button", name="Make my account").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Your account is there.").wait_for()
    page.get_by_label("Account", exact=True).fill("ann")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{running.base}/")
    assert page.locator(".status", has_text="100 credits").count() == 1
    context.close()
    assert wrong + watched.faults == []


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
        "/optouts/61400000008", "/settings/webhook",
    ]  # fmt: skip


_made: dict[str, int] = {}


async def _things(running: Running) -> dict[str, int]:
    """What the pages are about, made once."""
    if _made:
        return _made
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
    _made["campaign"] = (await services.campaigns.create(account, new(long, many))).campaign_id
    later = services.clock.now_ms() + 86_400_000
    _made["later"] = (await services.campaigns.create(account, new("Later", many[:3], later))).campaign_id
    _made["list"] = await services.audience.create(account, "Friends", many)
    body = DraftBody(message=long, originator="CLINIC", sources=("pasted",))
    _made["draft"] = await services.drafts.create(
        account, body, Taken(many, 1, 2, 0, [Reject("line 3", "hello", "no phone number")])
    )
    smsc = running.node.smsc
    assert smsc is not None
    smsc.reply("61400000007", NUMBER, "Yes, I will come. Is there parking?")
    smsc.reply("61400000008", NUMBER, "STOP")
    table = io.BytesIO(b"Name,Mobile\nAnn,0400123456\n")
    _made["upload"] = await services.imports.keep(account, "people.csv", table)
    for _ in range(300):
        if (await services.campaigns.status(account, _made["campaign"])) == "Finished":
            break
        await asyncio.sleep(0.1)
    for _ in range(300):
        if len(await services.conversations.page(account)) >= 2:
            break
        await asyncio.sleep(0.1)
    return _made


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page(running: Running, chromium: Browser, width: int, scheme: Scheme) -> None:
    context = context_of(chromium, width, scheme)
    wrong: list[str] = []
    outside = Watched(context.new_page(), running.base)
    for path in ("/sign-in", "/signup", "/signup/sent"):
        outside.page.goto(running.base + path)
        wrong += outside.axe()
        beyond = outside.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        if beyond > 0:
            wrong.append(f"{path} is {beyond} px wider than a screen of {width}")
        keep(outside.page, f"outside{path.replace('/', '-')}-{width}-{scheme}")
    wrong += outside.faults
    outside.page.close()
    watched = signed_in(context, running.base)
    page = watched.page
    for path in paths(running):
        page.goto(running.base + path)
        if page.locator("[data-plot]").count():
            page.locator(".uplot canvas").first.wait_for()
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if beyond > 0:
            wrong.append(f"{path} is {beyond} px wider than a screen of {width}")
        if (width, scheme) in AXED:
            wrong += watched.axe()
        if PICTURES and path in (
            "/",
            "/campaigns",
            f"/campaigns/{_made['campaign']}",
            "/compose",
            "/replies",
            "/optouts",
            "/settings",
        ):
            name = {"/": "overview"}.get(
                path, path.strip("/").split("/")[0] + ("-one" if path.count("/") > 1 else "")
            )
            keep(page, f"{name}-{width}-{scheme}")
    faults = [fault for fault in [*outside.faults, *watched.faults] if "/nothing" not in fault]
    context.close()
    assert wrong + faults == []


def test_operators_pages(running: Running, chromium: Browser) -> None:
    context = context_of(chromium, 834, "light")
    watched = Watched(context.new_page(), running.base)
    page = watched.page
    page.goto(f"{running.base}/operator")
    assert watched.axe() == []
    page.fill("#name", "kim")
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{running.base}/operator")
    assert page.get_by_text("acme").first.is_visible()
    assert watched.axe() == []
    assert watched.faults == []
    context.close()


def test_the_theme_changes_without_a_reload(running: Running, chromium: Browser) -> None:
    context = context_of(chromium, 1280, "light")
    watched = signed_in(context, running.base)
    page = watched.page
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.evaluate("window.kept = true")
    page.get_by_role("button", name="Theme").click()
    assert page.evaluate(ground) != light
    assert page.evaluate("window.kept") is True
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert watched.faults == []
    context.close()


def test_without_scripts_it_works_too(running: Running, chromium: Browser) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{running.base}/sign-in")
    page.fill("#name", "acme")
    page.fill("#password", PASSWORD)
    page.click("form button.primary")
    page.goto(f"{running.base}/compose")
    page.fill("#message", "Hello “there”")
    page.fill("#originator", "CLINIC")
    page.fill("#recipients", "0400 123 456")
    page.click("text=Rehearse")
    assert re.search(r"/compose/\d+$", page.url)
    page.click("text=Send to 1 for 1 credit")
    assert re.search(r"/campaigns/\d+", page.url)
    page.click(".tools form[action='/theme'] button")
    assert 'data-theme="dark"' in page.content()
    context.close()
