"""The operator's pages in a real Chromium: each at two widths, light and dark, and the wall of phones alive."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from cooee.model.msisdn import Checked
from cooee.model.originator import Originator
from cooee.model.segments import segment
from cooee.service.recipients import CreateCampaign
from tests.console.support_browser import (
    OPERATOR_PATHS,
    PASSWORD,
    Running,
    Scheme,
    Watched,
    chromium,
    context_of,
    furnish,
    keep,
    operator_in,
)

__all__ = ["chromium"]

NUMBER = "61400190499"


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("operator")) as found:
        found.run(furnish(found))
        yield found


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_every_page(furnished: Running, chromium: Browser, width: int, scheme: Scheme) -> None:
    watched = operator_in(chromium, furnished.base, width, scheme)
    page = watched.page
    wrong: list[str] = []
    for path in OPERATOR_PATHS:
        page.goto(furnished.base + path)
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if beyond > 0:
            wrong.append(f"{path} is {beyond} px wider than a screen of {width}")
        if "phone=" not in path and "?" not in path:
            keep(page, f"{path.strip('/').replace('/', '-')}-{width}-{scheme}")
    page.context.close()
    assert wrong + watched.faults == []


def test_the_wall_is_alive(furnished: Running, chromium: Browser) -> None:
    """A message arrives while somebody types on another phone; the answer reaches the inbox of the account."""
    watched = operator_in(chromium, furnished.base, 1280, "light")
    page = watched.page
    page.goto(f"{furnished.base}/operator/handsets?phone=0400+000+123")
    assert page.get_by_text("Nothing has come yet.").is_visible()
    _send(furnished, "61400000123", "Your table is ready")
    page.locator("#screen-0 .bubble", has_text="Your table is ready").wait_for(timeout=10_000)
    page.goto(f"{furnished.base}/operator/handsets?phone=0400+000+123")
    field = page.locator("#text-61400000123")
    field.focus()
    page.keyboard.type("On my ")
    _send(furnished, "61400000124", "Another phone")
    page.locator(".handset .bubble", has_text="Another phone").wait_for(timeout=10_000)
    # Nothing was taken from under the fingers.
    page.keyboard.type("way")
    assert field.input_value() == "On my way"
    page.keyboard.press("Enter")
    page.locator(".sms.mine .bubble", has_text="On my way").wait_for(timeout=10_000)
    assert page.evaluate("document.activeElement.id") == "text-61400000123"
    # Nobody is so quick as to choose in the 20 ms after the exchange, before htmx knows of it.
    expect(page.locator(".htmx-added")).to_have_count(0)
    page.locator("#place-0 select").select_option("dead")
    page.locator("#place-0 .chip", has_text="dead").wait_for(timeout=10_000)
    keep(page, "handsets")
    page.get_by_role("button", name="Make it slow").click()
    page.get_by_text("The network is slow").wait_for()
    page.get_by_role("button", name="Make it quick again").click()
    page.get_by_text("The network is quick").wait_for()
    page.context.close()
    account = Watched(context_of(chromium, 1280, "light").new_page(), furnished.base)
    account.page.goto(f"{furnished.base}/sign-in?next=/replies")
    account.page.fill("#name", "acme")
    account.page.fill("#password", PASSWORD)
    account.page.keyboard.press("Enter")
    account.page.get_by_text("On my way").first.wait_for(timeout=10_000)
    account.page.context.close()
    assert watched.faults + account.faults == []


def _send(running: Running, to: str, text: str) -> None:
    async def work() -> None:
        services = running.node.console_services
        assert services is not None
        account = await services.accounts.find("acme")
        new = CreateCampaign(
            message=text, segmented=segment(text), originator=Originator(NUMBER, "msisdn"), due_at=None,
            reference=None, recipients=Checked(array("q", [int(to)]), 0, 0, 0), idempotency_key=None,
            body_digest="",
        )  # fmt: skip
        await services.campaigns.create(account, new)

    running.run(work())


def test_a_carrier_is_checked_without_leaving_the_page(furnished: Running, chromium: Browser) -> None:
    watched = operator_in(chromium, furnished.base, 1280, "light")
    page = watched.page
    page.goto(f"{furnished.base}/operator/carriers/2")
    page.evaluate("window.kept = true")
    page.get_by_role("button", name="Check it").click()
    page.get_by_text("It cannot be bound to.").wait_for(timeout=20_000)
    page.goto(f"{furnished.base}/operator/carriers/1")
    page.get_by_role("button", name="Check it").click()
    page.get_by_text("It can be bound to.").wait_for(timeout=20_000)
    page.context.close()
    assert watched.faults == []


def test_all_boxes_of_a_page(furnished: Running, chromium: Browser) -> None:
    watched = operator_in(chromium, furnished.base, 1280, "light")
    page = watched.page
    page.goto(f"{furnished.base}/operator/quarantine")
    page.get_by_label("All on this page").check()
    page.get_by_role("button", name="Throw the chosen ones away").click()
    page.wait_for_url(re.compile("done=quarantine-deleted"))
    assert page.get_by_text("Nothing is put aside").is_visible()
    page.context.close()
    assert watched.faults == []
