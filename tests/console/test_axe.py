"""axe on every page of the console, of accounts and of operators: on a phone and on a desktop, light and dark.

One browser and one session a side. A page is opened once; then the window changes its width and the system its
theme, as they do under people's hands. axe looks for everything once, then for what a width may change, and in
each case for colours in both themes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from cooee.web.console.pages import MODULES, OPERATOR_MODULES
from cooee.web.console.visit import Page
from tests.console.support_browser import (
    OPERATOR_PATHS,
    Running,
    Watched,
    chromium,
    context_of,
    furnish,
    operator_in,
    paths,
    signed_in,
)

__all__ = ["chromium"]

DESKTOP, PHONE = 1440, 390
COLOURS = ("color-contrast", "link-in-text-block")
SHAPES = (
    "aria-hidden-focus", "button-name", "input-button-name", "label", "link-name", "nested-interactive",
    "scrollable-region-focusable", "select-name", "summary-name",
)  # fmt: skip
"""Rules about what a narrow page hides, or scrolls."""


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("axe")) as found:
        paths(found)
        found.run(furnish(found))
        yield found


def look(watched: Watched) -> list[str]:
    """Serious faults of the page that is open, at every width and in both themes."""
    page = watched.page
    wrong: list[str] = []
    if page.locator("[data-plot]").count():
        page.locator(".uplot canvas").first.wait_for()
    for width, scheme, rules in (
        (DESKTOP, "light", ()),
        (DESKTOP, "dark", COLOURS),
        (PHONE, "dark", COLOURS),
        (PHONE, "light", (*COLOURS, *SHAPES)),
    ):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        wrong += [f"{width} {scheme} {fault}" for fault in watched.axe(*rules)]
    return wrong


def unseen(modules: tuple[object, ...], walked: list[str]) -> list[str]:
    """Pages that none of these addresses leads to; what is downloaded is no page."""
    left = []
    for module in modules:
        pages: tuple[Page, ...] = module.PAGES  # type: ignore[attr-defined]
        for page in pages:
            if page.get is None or page.path.endswith(".csv"):
                continue
            pattern = re.sub(r"\{(id|number)\}", r"\\d+", page.path)
            if not any(re.fullmatch(pattern, path.partition("?")[0]) for path in walked):
                left.append(page.path)
    return left


def test_the_pages_of_accounts(furnished: Running, chromium: Browser) -> None:
    outside = ["/sign-in", "/operator/sign-in", "/signup", "/signup/sent", "/signup/confirm?key=x"]
    walked = paths(furnished)
    assert unseen(MODULES, [*walked, *outside]) == []
    watched = Watched(context_of(chromium, 1440, "light").new_page(), furnished.base)
    wrong: list[str] = []
    for path in outside:
        watched.page.goto(furnished.base + path)
        wrong += look(watched)
    watched.page.context.close()
    watched = signed_in(context_of(chromium, 1440, "light"), furnished.base)
    for path in walked:
        watched.page.goto(furnished.base + path)
        wrong += look(watched)
    # Forms that were refused.
    page = watched.page
    page.goto(f"{furnished.base}/compose")
    page.fill("#message", "Hello")
    page.fill("#originator", "CLINIC")
    page.fill("#recipients", "nobody")
    page.get_by_role("button", name="Rehearse").click()
    page.locator(".problem").first.wait_for()
    wrong += look(watched)
    page.context.close()
    assert wrong == []


def test_the_pages_of_operators(furnished: Running, chromium: Browser) -> None:
    assert unseen(OPERATOR_MODULES, list(OPERATOR_PATHS)) == []
    watched = operator_in(chromium, furnished.base, 1440, "light")
    page = watched.page
    wrong: list[str] = []
    for path in OPERATOR_PATHS:
        page.goto(furnished.base + path)
        wrong += look(watched)
    page.goto(f"{furnished.base}/operator/unrouted?number=1998")
    page.get_by_role("button", name="Delete…").first.click()
    page.get_by_role("heading", name="Delete 1 reply?").wait_for()
    wrong += look(watched)
    page.goto(f"{furnished.base}/operator/settings")
    for name, value in (("current", "wrong wrong"), ("new", "new password"), ("again", "new password")):
        page.fill(f"#{name}", value)
    page.get_by_role("button", name="Change the password").click()
    page.get_by_text("not the current password").wait_for()
    wrong += look(watched)
    page.context.close()
    assert wrong == []


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("main.querySelector('h1').style.color = 'rgba(128, 128, 128, 0.4)'", "color-contrast"),
        ("main.append(document.createElement('button'))", "button-name"),
    ],
)
def test_what_is_wrong_is_found(furnished: Running, chromium: Browser, fault: str, rule: str) -> None:
    watched = signed_in(context_of(chromium, 390, "dark"), furnished.base)
    watched.page.goto(f"{furnished.base}/settings")
    watched.page.evaluate(f"(() => {{ const main = document.querySelector('main'); {fault} }})()")
    found = look(watched)
    watched.page.context.close()
    assert any(rule in each for each in found)
