"""Every form of the console in a real Chromium: which there are, which were used, and people who use them.

Each form, and each control that sends something elsewhere than its form, is marked where its template is read. The
browser says which marked one is sent, so that a form that no walk uses is found whatever page it is on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, FileSystemLoader, meta
from playwright.sync_api import Browser, Locator, expect
from starlette.routing import compile_path

from cooee.web.console import look
from cooee.web.console.pages import MODULES, OPERATOR_MODULES
from tests.console.support_browser import PASSWORD, Running, Watched
from tests.service.support_receiver import Hook, hook

TEMPLATES = Path(str(files("cooee.web.console").joinpath("templates")))
PATIENCE_MS = 15_000
_SENDS = r"(?:hx-(?:post|put|patch|delete)|formaction)"
_TAG = re.compile(rf"<(?:form\b|[a-z]+(?=[^<]*?\s{_SENDS}=))")
_WHERE = re.compile(rf'^[^<>]*?\s({_SENDS}|action)="([^"]*)"')
_TELL = """
addEventListener("submit", (event) => {
  const door = event.submitter?.dataset.door || event.target.dataset.door;
  if (door) usedDoor(door);
}, true);
addEventListener("htmx:beforeRequest", (event) => {
  const door = event.detail.elt.dataset.door;
  if (door) usedDoor(door);
});
"""


def doors_of(template: str, source: str) -> list[tuple[int, str, str]]:
    """Forms and sending controls of a template: where its tag's name ends, its mark, and what it is."""
    found = []
    for at, tag in enumerate(_TAG.finditer(source)):
        line = source.count("\n", 0, tag.start()) + 1
        where = _WHERE.match(source[tag.end() :])
        told = f"{template}:{line} {tag[0]}" + (f" {where[1]}={where[2]}" if where else "")
        found.append((tag.end(), f"{template}:{at}", told))
    return found


class _Marking(FileSystemLoader):
    """Reads templates, and marks what sends something."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        source, path, fresh = super().get_source(environment, template)
        for end, mark, _ in reversed(doors_of(template, source)):
            source = f'{source[:end]} data-door="{mark}"{source[end:]}'
        return source, path, fresh


@contextmanager
def marking() -> Iterator[None]:
    """Consoles whose first page is asked for meanwhile mark their forms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(look, "FileSystemLoader", _Marking)
        yield


def doors(*, operators: bool) -> dict[str, str]:
    """Every form and sending control on the pages of one side, by its mark."""
    environment = Environment(autoescape=True)
    sources = {path.name: path.read_text(encoding="utf-8") for path in TEMPLATES.glob("*.html")}
    wanted = [name for name in sources if name[0] != "_" and name.startswith("operator_") == operators]
    seen: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in seen:
            seen.add(name)
            wanted += filter(None, meta.find_referenced_templates(environment.parse(sources[name])))
    return {mark: told for name in seen for _, mark, told in doors_of(name, sources[name])}


def posts(*, operators: bool) -> list[str]:
    """Every address of one side that takes a POST."""
    pages = [page for module in (*MODULES, *OPERATOR_MODULES) for page in module.PAGES]
    return [
        page.path for page in pages if page.post is not None and page.path.startswith("/operator") == operators
    ]


@dataclass
class Walk:
    """What all people of a test have used together."""

    browser: Browser
    base: str
    used: set[str] = field(default_factory=set)
    """Marks of forms and controls."""
    asked: set[str] = field(default_factory=set)
    """Paths of requests other than GET."""
    people: list[Someone] = field(default_factory=list)

    def someone(self, *, scripts: bool = True, width: int = 390) -> Someone:
        """Somebody with a browser of their own, on a phone unless it is told to be wider."""
        context = self.browser.new_context(
            java_script_enabled=scripts, viewport={"width": width, "height": 900}, reduced_motion="reduce"
        )
        context.set_default_timeout(PATIENCE_MS)
        if scripts:
            context.expose_binding("usedDoor", lambda _, mark: self.used.add(mark))
            context.add_init_script(_TELL)
        person = Someone(context.new_page(), self.base, walk=self)
        self.people.append(person)
        return person

    def left(self, *, operators: bool) -> list[str]:
        """What nobody has used: forms, controls and addresses of one side."""
        unused = [told for mark, told in doors(operators=operators).items() if mark not in self.used]
        for path in posts(operators=operators):
            pattern = compile_path(path.replace("{id}", "{id:int}").replace("{number}", "{number:int}"))[0]
            if not any(pattern.match(asked) for asked in self.asked):
                unused.append(f"POST {path}")
        return sorted(unused)

    @property
    def faults(self) -> list[str]:
        """Whatever went wrong in anybody's browser."""
        return [fault for person in self.people for fault in (*person.faults, *person.refusals)]


@dataclass
class Someone(Watched):
    """Somebody who fills in forms by their labels and presses their buttons."""

    walk: Walk = field(kw_only=True)
    refusals: list[str] = field(default_factory=list)
    """Answers of 400 and above that nobody expected."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.page.on("response", self._answered)
        self.page.on("requestfailed", self._failed)

    def _said(self, message: Any) -> None:
        # What the browser says about refusals is known better from the refusals themselves.
        if "the server responded with a status of" not in message.text:
            super()._said(message)

    def _asked(self, request: Any) -> None:
        super()._asked(request)
        if request.method != "GET":
            self.walk.asked.add(request.url.removeprefix(self.base).partition("?")[0])

    def _answered(self, response: Any) -> None:
        if response.status >= 400:
            self.refusals.append(f"{response.status} {response.url}")

    def _failed(self, request: Any) -> None:
        # A page may be left before its picture or one of its live parts has come.
        if request.failure != "net::ERR_ABORTED" or request.is_navigation_request():
            self.faults.append(f"{self.page.url}: {request.url}: {request.failure}")

    # --- what people do ----------------------------------------------------------------------------------------

    def open(self, path: str) -> None:
        """Goes to a page."""
        answer = self.page.goto(self.base + path, wait_until="domcontentloaded")
        assert answer is not None
        assert answer.status == 200, f"{answer.status} {path}"

    def fill(self, *labels: str) -> None:
        """Types into fields: label, text, label, text and so on."""
        for label, text in zip(labels[::2], labels[1::2], strict=True):
            self.labelled(label).fill(text)

    def labelled(self, label: str) -> Locator:
        """The control with this label."""
        return self.page.get_by_label(label, exact=True)

    def has(self, *labels: str) -> None:
        """Fields hold what is said: label, text, label, text and so on."""
        for label, text in zip(labels[::2], labels[1::2], strict=True):
            assert self.labelled(label).input_value() == text, label

    def _ready(self) -> None:
        """Nobody is so quick as to use a part of a page in the 20 ms before htmx knows that it is new."""
        expect(self.page.locator(".htmx-added")).to_have_count(0)

    def choose(self, label: str, option: str) -> None:
        """Chooses from a list."""
        self._ready()
        self.labelled(label).select_option(label=option)

    def tick(self, label: str) -> None:
        """Marks a box."""
        self._ready()
        self.page.get_by_label(label).check()

    def click(self, name: str, within: Locator | None = None) -> None:
        """Presses a button that changes a part of the page."""
        self._ready()
        (within or self.page).get_by_role("button", name=name).click()

    def press(self, name: str, status: int = 200, within: Locator | None = None) -> None:
        """Presses a button that leads to a page, which has that status."""
        self._ready()
        with self.page.expect_navigation(wait_until="domcontentloaded") as arriving:
            (within or self.page).get_by_role("button", name=name, exact=True).click()
        answer = arriving.value
        assert answer.status == status, f"{answer.status} {answer.url}: {self.main}"
        if status >= 400:
            self.page.wait_for_timeout(0)
            self.refusals.remove(f"{status} {answer.url}")

    def follow(self, name: str, within: Locator | None = None) -> None:
        """Follows a link."""
        with self.page.expect_navigation(wait_until="domcontentloaded") as arriving:
            (within or self.page).get_by_role("link", name=name, exact=True).first.click()
        assert arriving.value.status == 200, arriving.value.url

    def see(self, *texts: str) -> None:
        """These are on the page, or will be soon."""
        for text in texts:
            self.page.get_by_text(text).filter(visible=True).first.wait_for()

    def told(self, text: str) -> None:
        """The page says that something was done."""
        self.page.locator(".notice", has_text=text).wait_for()

    def refused(self, text: str) -> None:
        """The page says what is wrong."""
        self.page.locator(".problem", has_text=text).first.wait_for()

    def row(self, text: str) -> Locator:
        """The line of a table with this text."""
        return self.page.locator("tbody tr", has_text=text)

    def card(self, title: str) -> Locator:
        """The section with this heading."""
        return self.page.locator("section", has=self.page.get_by_role("heading", name=title, exact=True))

    @property
    def main(self) -> str:
        """What the page says."""
        return self.page.locator("main").inner_text()

    def enter(self, name: str, *, operator: bool = False) -> None:
        """Signs in."""
        side = "/operator" if operator else ""
        self.open(f"{side}/sign-in")
        self.fill("Operator" if operator else "Account", name, "Password", PASSWORD)
        self.press("Sign in")
        assert self.page.url == f"{self.base}{side or '/'}"


@contextmanager
def receiver(running: Running) -> Iterator[Hook]:
    """A program that takes replies, on the node's loop."""
    undo = AsyncExitStack()
    try:
        yield running.run(undo.enter_async_context(hook()))
    finally:
        running.run(undo.aclose())


def given_up(running: Running, *replies: int) -> None:
    """Replies that the account's webhook did not take for so long that they were given up."""
    now = running.node.clock.now_ms()
    for reply in replies:
        running.sql(
            f"INSERT INTO webhook_delivery SELECT id, {reply}, 3, 30, {now}, 0, NULL, {now}, 500, 'wrong', '<p>' "
            "FROM account WHERE name = 'acme'"
        )
