"""Every page of the operator's side opens for operators, strictly; nobody else ever reaches one."""

from __future__ import annotations

import re

import pytest

from cooee.web.console.pages import OPERATOR_MODULES
from cooee.web.console.visit import Page
from tests.console.support_console import Browser, Shown, Site, person
from tests.console.support_operator import Kim, aside, carrier, operator, orphan, rows, uncertain
from tests.console.test_signup import GOOD

PAGES: list[Page] = [page for module in OPERATOR_MODULES for page in module.PAGES]
NUMBER = "61400123456"


@pytest.fixture(scope="module")
def things(running: Site) -> dict[str, str]:
    """Something behind every address."""
    account, _, carrier_id = uncertain(running)
    aside(running, carrier_id)
    orphan(running, carrier_id)
    stranger = Browser(running)
    stranger.get("/signup")
    stranger.post("/signup", GOOD)
    ((signup_id,),) = rows(running, "SELECT MAX(id) FROM signup")
    assert signup_id is not None
    return {
        "/operator/accounts/": str(account.id),
        "/operator/carriers/": str(carrier_id),
        "/operator/signups/": str(signup_id),
    }


def address(page: Page, things: dict[str, str]) -> str:
    path = page.path.replace("{number}", NUMBER)
    fitting = [key for key in things if page.path.startswith(key)]
    return path.replace("{id}", things[fitting[0]] if fitting else "1")


def strict(shown: Shown) -> None:
    policy = shown.header("content-security-policy") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert shown.header("x-frame-options") == "DENY"
    assert "no-store" in (shown.header("cache-control") or "")


@pytest.fixture(scope="module")
def kim(running: Site) -> Kim:
    return operator(running)


def test_every_page_opens_for_an_operator(kim: Kim, things: dict[str, str]) -> None:
    opened = 0
    for page in PAGES:
        if page.get is None:
            continue
        shown = kim.get(address(page, things))
        assert shown.status == 200, (page.path, shown.words)
        strict(shown)
        if "text/html" in (shown.header("content-type") or ""):
            assert 'style="' not in shown.text
            assert not re.search(r"<script(?![^>]*(src=|application/json))", shown.text)
            assert not re.search(r'\son\w+="', shown.text)
            opened += 1
    assert opened > 15


def test_every_link_and_every_polled_part_is_there(kim: Kim, things: dict[str, str]) -> None:
    seen: set[str] = set()
    todo = ["/operator", *(key + value for key, value in things.items() if key != "/operator/signups/")]
    while todo and len(seen) < 150:
        url = todo.pop()
        if url in seen:
            continue
        seen.add(url)
        shown = kim.get(url)
        assert shown.status == 200, (url, shown.status)
        if "text/html" in (shown.header("content-type") or ""):
            found = shown.page
            todo += [link for link in found.links if link.startswith("/operator")]
            todo += [link for link in found.polled if "part=" in link]
            for resource in found.resources:
                assert resource.startswith("/static/"), resource
    assert len(seen) > 25


def test_an_account_finds_nothing_there(running: Site, things: dict[str, str]) -> None:
    """Not a redirect, not a refusal: what an operator's page is called is nobody's business."""
    who = person(running)
    walked = 0
    for page in PAGES:
        if page.path == "/operator":
            continue
        url = address(page, things)
        if page.get is not None:
            shown = who.get(url)
            assert shown.status == 404, (url, shown.status)
            assert _plain(shown) == _plain(who.get("/operator/nothing-of-that-name"))
            walked += 1
        if page.post is not None:
            who.get("/")
            assert who.post(url, {"name": "x"}).status == 404, url
            walked += 1
    assert walked > 40


def _plain(shown: Shown) -> str:
    """Without what is drawn anew each time, and without its own address."""
    return re.sub(r"[0-9a-f]{16,64}|/operator/[\w/.-]+", "*", shown.text)


def test_an_operator_is_no_accounts_person(running: Site, kim: Kim) -> None:
    """The token of an operator, sent as an account's, opens no page of accounts."""
    token, _ = kim.browser.cookies["cooee-operator"]
    for name in ("cooee", "cooee-operator"):
        thief = Browser(running, {name: (token, "/")})
        for url in ("/campaigns", "/lists", "/credits", "/settings", "/compose"):
            shown = thief.get(url, follow=False)
            assert shown.status in (303, 404), (name, url)
            assert "Sign out" not in shown.text
    assert Browser(running, {"cooee-operator": (token, "/")}).get("/campaigns", follow=False).status == 404


def test_every_form_needs_its_token_and_its_origin(running: Site, kim: Kim, things: dict[str, str]) -> None:
    before = _everything(running)
    for page in PAGES:
        if page.post is None:
            continue
        url = address(page, things)
        for token in ("", "0" * 64, kim.browser.csrf.upper()):
            shown = kim.browser.post(url, {"name": "x", "what": "fail"}, csrf=token, follow=False)
            assert (shown.status, "stale" in shown.words) == (403, True), url
        kim.get("/operator")
        shown = kim.browser.post(url, {"what": "fail"}, follow=False, headers={"Origin": "https://evil.example"})
        assert shown.status == 403, url
    assert _everything(running) == before


def _everything(running: Site) -> list[list[tuple[object, ...]]]:
    return [
        rows(running, f"SELECT * FROM {table} ORDER BY 1, 2")
        for table in ("account", "carrier", "rate", "originator", "ledger", "quarantine", "audit", "signup")
    ]


def test_what_is_not_there_is_not_found(kim: Kim) -> None:
    for path in ("accounts/999999", "carriers/999999", "accounts/1/bill", "nothing"):
        assert kim.get(f"/operator/{path}").status == 404, path
    assert kim.get("/operator/accounts/99999999999999999").status == 404


def test_removed_carriers_are_gone(running: Site, kim: Kim) -> None:
    carrier_id = carrier(running)
    kim.post(f"/operator/carriers/{carrier_id}/remove", of=f"/operator/carriers/{carrier_id}/remove")
    assert kim.get(f"/operator/carriers/{carrier_id}").status == 404
