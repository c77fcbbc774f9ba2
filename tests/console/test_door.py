"""Signing in and out: who gets in, what their cookies are worth, and when a session is over."""

from __future__ import annotations

import itertools

import pytest

from cooee.config import Settings
from tests.api.support_api import PASSWORD, Client, basic
from tests.console.support_console import Browser, Person, Shown, Site, person, site

_operators = itertools.count(1)


def inside(browser: Browser) -> bool:
    """Whether the browser sees the overview, and not the door."""
    shown = browser.get("/", follow=False)
    return shown.status == 200


def cookie_of(shown: Shown, name: str) -> str:
    found = [value for key, value in shown.headers if key.lower() == "set-cookie" and value.startswith(f"{name}=")]
    assert found, shown.headers
    return found[-1]


def test_the_credentials_of_the_api_open_the_console(running: Site) -> None:
    client = running.account()
    browser = Browser(running)
    assert browser.get("/").url == "/sign-in"
    shown = browser.sign_in(client.name)
    assert (shown.status, shown.url) == (200, "/")
    assert client.name in shown.words
    assert "1,000 credits" in shown.words


@pytest.mark.parametrize("name", ["", "nobody", "nul\0", "a" * 64, "with:colon"])
def test_wrong_names_and_passwords_look_the_same(running: Site, name: str) -> None:
    client = running.account()
    wrong = Browser(running).sign_in(client.name, "not the password")
    other = Browser(running).sign_in(name, PASSWORD)
    for shown in (wrong, other):
        assert shown.status == 403
        assert "That name and password do not go together." in shown.words
        assert not [value for key, value in shown.headers if key.lower() == "set-cookie" and "cooee=" in value]


def test_a_password_that_a_colon_would_cut(running: Site) -> None:
    """Within Basic credentials "a:b" and "c" read like "a" and "b:c"."""
    client = running.account()
    running.run(running.accounts.set_password(client.name, "first:second"))
    assert Browser(running).sign_in(f"{client.name}:first", "second").status == 403
    assert inside_after(Browser(running), client, "first:second")


def inside_after(browser: Browser, client: Client, password: str) -> bool:
    browser.sign_in(client.name, password)
    return inside(browser)


def test_after_ten_failures_the_right_password_waits_too(running: Site) -> None:
    client = running.account()
    browser = Browser(running)
    for _ in range(10):
        assert browser.sign_in(client.name, "wrong").status == 403
    locked = browser.sign_in(client.name)
    assert locked.status == 429
    assert int(locked.header("retry-after") or 0) > 0
    assert "Too many failed tries" in locked.words
    # The API counts the same failures.
    assert client.post("/api/RetrieveUserSettings", b"").status == 429
    running.clock.advance(61)
    assert inside_after(browser, client, PASSWORD)


def test_failures_at_the_api_lock_the_console_too(running: Site) -> None:
    client = running.account()
    for _ in range(10):
        client.post("/api/RetrieveUserSettings", b"", login=basic(client.name, "wrong"))
    assert Browser(running).sign_in(client.name).status == 429
    running.clock.advance(61)


def test_a_suspended_account_stays_outside_and_is_shown_out(running: Site) -> None:
    who = person(running)
    running.run(running.accounts.suspend(who.account.name))
    assert who.get("/campaigns").url.startswith("/sign-in")
    shown = Browser(running).sign_in(who.account.name)
    assert shown.status == 403
    assert "suspended" in shown.words
    running.run(running.accounts.unsuspend(who.account.name))


def test_one_goes_on_to_where_one_wanted_to_go(running: Site) -> None:
    client = running.account()
    browser = Browser(running)
    door = browser.get("/campaigns?state=paused")
    assert door.url == "/sign-in?next=/campaigns%3Fstate%3Dpaused"
    fields = {**door.page.forms[0]["fields"], "name": client.name, "password": PASSWORD}
    assert browser.post(door.url, fields).url == "/campaigns?state=paused"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "\\\\evil"]
)
def test_the_door_leads_nowhere_else(running: Site, elsewhere: str) -> None:
    client = running.account()
    browser = Browser(running)
    browser.get("/sign-in")
    fields = {"name": client.name, "password": PASSWORD, "next": elsewhere}
    shown = browser.post("/sign-in", fields, follow=False)
    assert (shown.status, shown.header("location")) == (303, "/")


def test_cookies_are_strict_and_the_database_does_not_hold_the_token(running: Site) -> None:
    client = running.account()
    browser = Browser(running)
    browser.get("/sign-in")
    shown = browser.post("/sign-in", {"name": client.name, "password": PASSWORD}, follow=False)
    cookie = cookie_of(shown, "cooee")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    token = browser.cookies["cooee"][0]
    assert len(token) == 43

    async def stored(tx: object) -> list[str]:
        rows = await tx.all("find_session", token_hash=token, now=0, idle_since=0)  # type: ignore[attr-defined]
        return list(rows)

    assert running.run(running.database.read(stored)) == []


def test_signing_in_again_is_a_new_session_and_ends_the_old_one(running: Site) -> None:
    who = person(running)
    old = Browser(running, dict(who.browser.cookies))
    assert inside(old)
    # The door of somebody who is inside leads back in; its form is sent all the same.
    who.get("/")
    who.post("/sign-in", {"name": who.account.name, "password": PASSWORD})
    assert who.browser.cookies["cooee"] != old.cookies["cooee"]
    assert inside(who.browser)
    assert not inside(old)


def test_a_session_that_was_planted_is_not_taken_over(running: Site) -> None:
    client = running.account()
    planted = "A" * 43
    browser = Browser(running, {"cooee": (planted, "/")})
    browser.sign_in(client.name)
    assert browser.cookies["cooee"][0] != planted
    assert not inside(Browser(running, {"cooee": (planted, "/")}))


def test_signing_out_ends_the_session(running: Site) -> None:
    who = person(running)
    copy = Browser(running, dict(who.browser.cookies))
    who.get("/")
    shown = who.post("/sign-out")
    assert "You are signed out." in shown.words
    assert "cooee" not in who.browser.cookies
    assert not inside(copy)


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "A" * 44, "é" * 43, "' OR 1=1 --"])
def test_made_up_tokens_open_nothing(running: Site, token: str) -> None:
    encoded = token.encode().decode("latin-1")
    assert not inside(Browser(running, {"cooee": (encoded, "/")}))


def test_a_session_ends_when_it_is_left_alone(running: Site) -> None:
    who = person(running)
    for _ in range(4):
        running.clock.advance(7 * 3600)
        assert inside(who.browser)
    running.clock.advance(8 * 3600 + 61)
    assert not inside(who.browser)


def test_a_session_ends_in_any_case(running: Site) -> None:
    who = person(running)
    for _ in range(24):
        running.clock.advance(7 * 3600 - 60)
        assert inside(who.browser)
    running.clock.advance(3600)
    assert not inside(who.browser)


def test_a_new_password_signs_everybody_out_whoever_set_it(running: Site) -> None:
    who = person(running)
    running.run(running.accounts.set_password(who.account.name, "another password"))
    assert not inside(who.browser)
    assert inside_after(who.browser, Client(running, who.account.name, who.account), "another password")


def test_over_https_cookies_are_secure_and_bound_to_the_host(tmp_path: object) -> None:
    settings = Settings(console_https=True)
    with site(f"sqlite:///{tmp_path}/cooee.db", settings) as running:
        client = running.account()
        browser = Browser(running)
        first = browser.get("/sign-in")
        assert "Secure" in cookie_of(first, "__Host-cooee-door")
        shown = browser.post("/sign-in", {"name": client.name, "password": PASSWORD}, follow=False)
        assert "Secure" in cookie_of(shown, "__Host-cooee")
        assert inside(browser)
        running.operator()
        browser.get("/operator/sign-in")
        shown = browser.post("/operator/sign-in", {"name": "kim", "password": PASSWORD}, follow=False)
        assert "Path=/operator" in cookie_of(shown, "__Secure-cooee-operator")


def test_sessions_end_as_the_settings_say(tmp_path: object) -> None:
    with site(f"sqlite:///{tmp_path}/cooee.db", Settings(session_idle_m=5, session_h=1)) as running:
        who = person(running)
        running.clock.advance(4 * 60)
        assert inside(who.browser)
        running.clock.advance(5 * 60 + 61)
        assert not inside(who.browser)


class TestOperators:
    """They have a door, a cookie and pages of their own."""

    @pytest.fixture
    def name(self, running: Site) -> str:
        running.clock.advance(61)
        name = f"operator-{next(_operators)}"
        running.operator(name)
        return name

    def test_they_sign_in_at_their_own_door(self, running: Site, name: str) -> None:
        browser = Browser(running)
        assert browser.get("/operator").url == "/operator/sign-in"
        assert browser.sign_in_operator(name).url == "/operator"
        assert Browser(running).sign_in(name).status == 403
        assert browser.get("/").url == "/sign-in"

    def test_an_account_is_no_operator(self, running: Site, name: str) -> None:
        who = person(running)
        assert who.get("/operator").url == "/operator/sign-in"
        assert who.browser.sign_in_operator(who.account.name).status == 403
        # Nor is its session one under the other cookie's name.
        token, _ = who.browser.cookies["cooee"]
        assert (
            Browser(running, {"cooee-operator": (token, "/operator")}).get("/operator").url == "/operator/sign-in"
        )

    def test_an_operators_session_is_no_accounts(self, running: Site, name: str) -> None:
        browser = Browser(running)
        browser.sign_in_operator(name)
        token, path = browser.cookies["cooee-operator"]
        assert path == "/operator"
        assert not inside(Browser(running, {"cooee": (token, "/")}))

    def test_ten_failures_lock(self, running: Site, name: str) -> None:
        browser = Browser(running)
        for _ in range(10):
            assert browser.sign_in_operator(name, "wrong").status == 403
        assert browser.sign_in_operator(name).status == 429
        running.clock.advance(61)
        assert browser.sign_in_operator(name).url == "/operator"

    def test_a_new_password_or_removal_ends_their_sessions(self, running: Site, name: str) -> None:
        browser = Browser(running)
        browser.sign_in_operator(name)
        running.run(running.operators.set_password(name, "another password"))
        assert browser.get("/operator").url == "/operator/sign-in"
        assert browser.sign_in_operator(name, "another password").url == "/operator"
        running.run(running.operators.remove(name))
        assert browser.get("/operator").url == "/operator/sign-in"
        assert browser.sign_in_operator(name, "another password").status == 403

    def test_they_sign_out(self, running: Site, name: str) -> None:
        browser = Browser(running)
        browser.sign_in_operator(name)
        copy = Browser(running, dict(browser.cookies))
        assert "You are signed out." in browser.post("/operator/sign-out").words
        assert copy.get("/operator").url == "/operator/sign-in"


def test_the_theme_is_kept(running: Site) -> None:
    who: Person = person(running)
    assert 'data-theme="auto"' in who.get("/").text
    shown = who.post("/theme", {"theme": "dark", "back": "/credits"})
    assert shown.url == "/credits"
    assert 'data-theme="dark"' in shown.text
    assert who.post("/theme", {"theme": "x", "back": "https://evil.example"}).url == "/"
