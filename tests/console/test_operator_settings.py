"""An operator's own login."""

from __future__ import annotations

import pytest

from tests.api.support_api import PASSWORD
from tests.console.support_console import Browser, Site
from tests.console.support_operator import Kim, operator, rows

NEW = "another long password"
GOOD = {"current": PASSWORD, "new": NEW, "again": NEW}


@pytest.fixture
def kim(running: Site) -> Kim:
    return operator(running)


def elsewhere(kim: Kim) -> Browser:
    browser = Browser(kim.site)
    assert browser.sign_in_operator(kim.name).url == "/operator"
    return browser


def test_another_password_ends_every_other_session(running: Site, kim: Kim) -> None:
    other, colleague = elsewhere(kim), operator(running)
    before = kim.browser.cookies["cooee-operator"]
    shown = kim.post("/operator/settings/password", GOOD)
    assert "Your password is changed." in shown.words
    assert kim.browser.cookies["cooee-operator"] != before
    assert kim.get("/operator/settings").url == "/operator/settings"
    assert other.get("/operator").url == "/operator/sign-in"
    stolen = Browser(running, {"cooee-operator": before})
    assert stolen.get("/operator").url == "/operator/sign-in"
    assert colleague.get("/operator").url == "/operator"
    assert Browser(running).sign_in_operator(kim.name).status == 403
    assert Browser(running).sign_in_operator(kim.name, NEW).url == "/operator"


def test_it_is_audited_without_the_password(running: Site, kim: Kim) -> None:
    kim.post("/operator/settings/password", {**GOOD, "current": "wrong"})
    kim.post("/operator/settings/password", GOOD)
    found = rows(
        running,
        f"SELECT action, detail, address, actor_kind FROM audit WHERE actor = '{kim.name}' ORDER BY id",
    )
    assert found == [
        ("operator signed in", "", "127.0.0.1", "operator"),
        ("password changed", f"operator {kim.name}", "127.0.0.1", "operator"),
    ]
    assert NEW not in str(rows(running, "SELECT * FROM audit"))


@pytest.mark.parametrize(
    ("changes", "status", "why"),
    [
        ({"current": "wrong"}, 403, "not the current password"),
        ({"current": ""}, 403, "not the current password"),
        ({"again": "something else"}, 400, "not typed the same way twice"),
        ({"new": "short", "again": "short"}, 400, "8 to 128 characters"),
    ],
)
def test_what_is_refused(kim: Kim, changes: dict[str, str], status: int, why: str) -> None:
    shown = kim.post("/operator/settings/password", {**GOOD, **changes})
    assert shown.status == status
    assert why in shown.words
    assert NEW not in shown.text
    assert Browser(kim.site).sign_in_operator(kim.name).url == "/operator"


def test_guessing_is_locked_out(running: Site, kim: Kim) -> None:
    for _ in range(10):
        assert kim.post("/operator/settings/password", {**GOOD, "current": "wrong"}).status == 403
    locked = kim.post("/operator/settings/password", GOOD)
    assert locked.status == 429
    assert locked.header("retry-after") is not None
    running.clock.advance(61)
    assert kim.post("/operator/settings/password", GOOD).status == 200


def test_signing_out_everywhere_else(running: Site, kim: Kim) -> None:
    other, colleague = elsewhere(kim), operator(running)
    shown = kim.post("/operator/settings/sign-out-elsewhere")
    assert "You are signed out everywhere else." in shown.words
    assert other.get("/operator").url == "/operator/sign-in"
    assert kim.get("/operator").url == "/operator"
    assert colleague.get("/operator").url == "/operator"
    assert "1 session" in kim.audited(who=kim.name, action="others signed out")


def test_it_is_in_the_navigation(kim: Kim) -> None:
    assert "/operator/settings" in kim.get("/operator").page.links
    assert f"You are signed in as {kim.name}." in kim.get("/operator/settings").words
