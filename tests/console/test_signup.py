"""Signing up for a trial through the pages: asked, approved or confirmed, limited; not there where it is off."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from cooee.app.signup import mail_rules
from cooee.config import Settings
from cooee.engine.mailer import Mailer
from tests.api.support_api import PASSWORD, basic
from tests.console.support_console import Browser, Shown, Site, person, site
from tests.console.support_operator import operator, rows
from tests.support.postgres import PostgresServer
from tests.support.smtp import FakeSmtp

Open = Callable[..., Site]
GOOD = {
    "company": "Ann & Co", "email": "ann@example.org", "name": "ann", "password": PASSWORD, "again": PASSWORD,
    "zone": "Australia/Perth", "country": "AU",
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Open]:
    """Opens sites with settings of their own, by default all on one database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'cooee.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.fresh()
    with ExitStack() as stack:

        def make(**settings: Any) -> Site:
            return stack.enter_context(site(url, Settings(**{"signup": "approval", **settings})))

        yield make


@contextmanager
def mailing(opened: Open, **settings: Any) -> Iterator[tuple[Site, Callable[[], str]]]:
    """A site that sends mails, and what sends the next one and tells its link."""
    with FakeSmtp() as server:
        chosen = {
            "signup": "email", "smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_tls": "none",
            "smtp_from": "trial@cooee.example", "public_url": "https://sms.cooee.example/", **settings,
        }  # fmt: skip
        running = opened(**chosen)
        rules = mail_rules(Settings(**chosen))
        assert rules is not None

        def deliver() -> str:
            running.run(Mailer(running.database, running.clock, rules).one())
            text = server.mails[-1][2].get_content()
            found = re.search(r"https://sms\.cooee\.example(/signup/confirm\?key=[\w-]+)", text)
            return found[1] if found is not None else text

        yield running, deliver


def ask(running: Site, **changes: str) -> Shown:
    """Somebody fills the form in, as a stranger."""
    browser = Browser(running)
    browser.get("/signup")
    return browser.post("/signup", {**GOOD, **changes})


def api(running: Site, name: str) -> int:
    """The status of a request to the API with these credentials."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    try:
        connection.request("POST", "/api/RetrieveUserSettings", b"{}", {"Authorization": basic(name)})
        return connection.getresponse().status
    finally:
        connection.close()


def stored(running: Site) -> int:
    return int(rows(running, "SELECT COUNT(*) FROM signup")[0][0])


def test_where_it_is_off_there_is_no_such_page(opened: Open) -> None:
    running = opened(signup="off")
    guests = [Browser(running), person(running).browser]
    for browser in guests:
        assert "/signup" not in browser.get("/sign-in").text
        for method in ("GET", "HEAD", "POST", "PUT"):
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            for path in ("/signup", "/signup/", "/signup/sent", "/signup/confirm", "/signup/confirm?key=x"):
                body = b"name=ann" if method == "POST" else None
                shown = browser.send(method, path, body, form, follow=False)
                control = browser.send(method, "/nothing", body, form, follow=False)
                assert (shown.status, plain(shown)) == (control.status, plain(control)), (method, path)
                assert sorted(name for name, _ in shown.headers) == sorted(name for name, _ in control.headers)
    # Whoever runs it reads why nobody comes, and is not offered the page.
    kim = operator(running)
    assert "Sign-ups" not in kim.get("/operator").words
    assert "the setting signup is off" in kim.get("/operator/signups").words


def plain(shown: Shown) -> str:
    return re.sub(r"[0-9a-f]{16,64}|/(signup|nothing)[/\w?=]*", "*", shown.text)


def test_the_link_page_is_for_mails_only(opened: Open) -> None:
    running = opened()
    assert Browser(running).get("/signup").status == 200
    assert Browser(running).get("/signup/confirm?key=x").status == 404
    assert "This link" not in Browser(running).get("/signup/confirm?key=x").words


def test_a_sign_up_waits_for_an_operator(opened: Open) -> None:
    running = opened(signup_senders=("CLINIC",))
    kim = operator(running)
    stranger = Browser(running)
    shown = stranger.get("/sign-in")
    assert "/signup" in shown.page.links
    shown = stranger.get("/signup")
    assert "100 credits" in shown.words
    assert "Whoever runs this installation looks at your sign-up" in shown.words
    shown = stranger.post("/signup", {**GOOD, "company": "  <b>Ann</b>  & Co "})
    assert (shown.status, shown.url) == (200, "/signup/sent")
    assert "Your sign-up waits" in shown.words
    assert rows(running, "SELECT name, credits FROM account") == []
    # It is no account.
    assert api(running, "ann") == 401
    assert "Your sign-up waits: whoever runs" in stranger.sign_in("ann").words
    assert stranger.get("/", follow=False).status == 303
    for name, password in (("ann", "wrong password"), ("bob", PASSWORD), ("ANN", PASSWORD)):
        shown = stranger.sign_in(name, password)
        assert "do not go together" in shown.words
        assert "waits" not in shown.words

    assert "Sign-ups (1)" in kim.get("/operator").words
    shown = kim.get("/operator/signups")
    assert "<b>Ann</b> & Co" in shown.words
    assert "<b>Ann" not in shown.text
    assert "ann@example.org" in shown.words
    assert "AU, Australia/Perth" in shown.words
    ((signup_id,),) = rows(running, "SELECT id FROM signup")
    shown = kim.post(f"/operator/signups/{signup_id}/approve", of="/operator/signups")
    assert "Approved" in shown.words
    assert "Nobody waits" in shown.words
    ((account_id, zone, country, approved_only, stays),) = rows(
        running, "SELECT id, zone, country, approved_only, allow_international FROM account"
    )
    assert (zone, country, approved_only, stays) == ("Australia/Perth", "AU", 1, 0)
    assert rows(running, "SELECT amount, kind, reason FROM ledger") == [(100, "opening", "free trial")]
    assert rows(running, "SELECT originator FROM originator") == [("CLINIC",)]
    assert "<b>Ann</b> & Co, ann@example.org" in kim.get(f"/operator/accounts/{account_id}").words
    said = kim.audited(action="sign-up approved")
    assert f"sign-up {signup_id}, opening balance 100" in said
    assert "ann@example.org" not in said
    # The hash is where it is used, and nowhere else.
    assert rows(running, "SELECT password_hash FROM signup") == [("",)]
    assert stranger.sign_in("ann").url == "/"
    assert api(running, "ann") == 200
    assert stranger.get("/signup").url == "/"
    again = kim.post(f"/operator/signups/{signup_id}/approve", of="/operator/signups")
    assert "was approved already" in again.words
    refused = kim.post(f"/operator/signups/{signup_id}/refuse", of="/operator/signups")
    assert "was approved already" in refused.words
    assert "approved" in kim.get("/operator/signups?show=over").words
    assert kim.post("/operator/signups/99/approve", of="/operator/signups").words.count("There is no sign-up 99.")


def test_a_refused_one_is_told_so_and_is_gone_after_a_week(opened: Open) -> None:
    from cooee.service.keeping import Keep
    from cooee.service.retention import Retention

    running = opened()
    kim = operator(running)
    ask(running)
    ((signup_id,),) = rows(running, "SELECT id FROM signup")
    assert "Refused." in kim.post(f"/operator/signups/{signup_id}/refuse", of="/operator/signups").words
    stranger = Browser(running)
    assert "Your sign-up was refused" in stranger.sign_in("ann").words
    assert "do not go together" in stranger.sign_in("ann", "wrong password").words
    assert api(running, "ann") == 401
    assert "sign-up refused" in kim.audited()
    # The name is free again.
    assert ask(running, email="other@example.org").url == "/signup/sent"
    assert "Your sign-up waits" in stranger.sign_in("ann").words
    keeper = Retention(running.database, running.clock, Keep())
    running.run(keeper.tidy())
    assert stored(running) == 2
    running.clock.advance(7 * 86400 + 1)
    running.run(keeper.tidy())
    assert rows(running, "SELECT email, state FROM signup") == [("other@example.org", 0)]
    assert rows(running, "SELECT * FROM signup_try") == []
    # One that nobody decides expires, and is swept away as well.
    running.clock.advance(23 * 86400)
    assert "do not go together" in stranger.sign_in("ann").words
    running.clock.advance(7 * 86400 + 1)
    running.run(keeper.tidy())
    assert stored(running) == 0


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "ab", "A user name has 3 to 32"),
        ("name", "x" * 33, "A user name has 3 to 32"),
        ("name", "visit.evil.example", "A user name has"),
        ("name", "аnn", "A user name has"),
        ("name", "ann:x", "A user name has"),
        ("name", "-ann", "A user name has"),
        ("company", " ", "Give the name of your company"),
        ("company", "x" * 101, "Give the name of your company"),
        ("company", "a\0b", "Give the name of your company"),
        ("email", "ann", "That is no e-mail address"),
        ("email", "ann@localhost", "That is no e-mail address"),
        ("email", "ann@example.org\r\nBcc: bob@example.org", "That is no e-mail address"),
        ("email", "Ann <ann@example.org>", "That is no e-mail address"),
        ("email", "a@b.c," + "ann@example.org", "That is no e-mail address"),
        ("email", "ann@" + "x" * 250 + ".org", "That is no e-mail address"),
        ("email", "..@example.org", "That is no e-mail address"),
        ("zone", "Mars/Base", "is no time zone"),
        ("zone", "../../etc/passwd", "is no time zone"),
        ("country", "CU", "Choose one of AU, NZ"),
        ("password", "short", "A password has 8 to 128"),
        ("password", "x" * 129, "A password has 8 to 128"),
        ("again", "another password", "not typed the same way twice"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(tmp_path: Any, field: str, value: str, said: str) -> None:
    chosen = Settings(signup="approval", signup_countries=("AU", "NZ"))
    with site(f"sqlite:///{tmp_path / 'cooee.db'}", chosen) as running:
        changes = {field: value}
        if field == "password":
            changes["again"] = value
        shown = ask(running, **changes)
        assert shown.status == 400
        assert said in shown.words
        assert PASSWORD not in shown.text
        if field not in ("company", "password", "again"):
            # What was right is still there.
            assert 'value="Ann &amp; Co"' in shown.text
        assert stored(running) == 0
        assert rows(running, "SELECT * FROM signup_try") == []


def test_a_form_is_bounded_and_comes_from_here(opened: Open) -> None:
    running = opened()
    browser = Browser(running)
    browser.get("/signup")
    assert browser.post("/signup", {**GOOD, "company": "x" * 20_000}).status == 413
    browser.get("/signup")
    assert browser.post("/signup", GOOD, csrf="0" * 64).status == 403
    browser.get("/signup")
    assert browser.post("/signup", GOOD, headers={"Origin": "https://evil.example"}).status == 403
    assert browser.post("/signup", GOOD, headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    assert stored(running) == 0


def test_a_taken_user_name_is_told(opened: Open) -> None:
    running = opened(signup_wait_days=1)
    running.run(running.accounts.add("Acme", PASSWORD))
    for name in ("Acme", "acme", "ACME"):
        shown = ask(running, name=name)
        assert shown.status == 400
        assert "That user name is taken" in shown.words
    assert ask(running).url == "/signup/sent"
    for name in ("ann", "ANN"):
        assert "That user name is taken" in ask(running, name=name, email="bob@example.org").words
    running.clock.advance(86400)
    assert ask(running, email="bob@example.org").url == "/signup/sent"
    # The one that expired stays, for its mails are counted.
    assert rows(running, "SELECT email, state FROM signup ORDER BY id") == [
        ("ann@example.org", 4), ("bob@example.org", 0),
    ]  # fmt: skip


def test_nothing_tells_whether_an_e_mail_address_is_known(opened: Open) -> None:
    """One that had its trial, and one that nobody has ever seen: the same answers everywhere."""
    with mailing(opened) as (running, deliver):
        ask(running)
        browser = Browser(running)
        link = deliver()
        browser.get(link)
        browser.post("/signup/confirm", {"key": link.partition("=")[2]})
        assert len(rows(running, "SELECT * FROM account")) == 1
        seen = []
        for name, email in (("known", "Ann+x@Example.org"), ("fresh", "new@example.org")):
            answers = [ask(running, name=name, email=email)]
            for _ in range(2):
                answers.append(ask(running, name=name, email="third@example.org"))
                answers.append(Browser(running).sign_in(name))
                answers.append(Browser(running).sign_in(name, "wrong password"))
                deliver()
            seen.append([(shown.status, shown.url, plain(shown).replace(name, "NAME")) for shown in answers])
        assert seen[0] == seen[1]
        # Only who reads that mailbox knows.
        running.clock.advance(3600)
        ask(running, name="known-2")
        assert "account ann," in deliver()


def test_a_link_is_a_page_with_a_button(opened: Open) -> None:
    with mailing(opened) as (running, deliver):
        shown = ask(running)
        assert "Look into your mail" in shown.words
        assert "ann@example.org" not in shown.text
        link = deliver()
        key = link.partition("=")[2]
        assert "open the link in the mail" in Browser(running).sign_in("ann").words
        # Programs that look into mails follow links, and may not have a cookie.
        for method in ("GET", "HEAD", "GET"):
            assert Browser(running).send(method, link).status == 200
        assert rows(running, "SELECT * FROM account") == []
        browser = Browser(running)
        shown = browser.get(link)
        assert "Make the account?" in shown.words
        assert "Ann & Co" in shown.words
        assert browser.post("/signup/confirm", {"key": key}, csrf="").status == 403
        assert rows(running, "SELECT * FROM account") == []
        browser.get(link)
        shown = browser.post("/signup/confirm", {"key": key})
        assert (shown.url, shown.status) == ("/sign-in?done=signup-confirmed", 200)
        assert "Your account is there" in shown.words
        for again in (browser, Browser(running)):
            again.get(link)
            assert again.post("/signup/confirm", {"key": key}).url == "/sign-in?done=signup-confirmed"
        assert "It was made already" in browser.get(link).words
        assert rows(running, "SELECT name, credits FROM account") == [("ann", 100)]
        assert rows(running, "SELECT COUNT(*) FROM ledger") == [(1,)]
        assert browser.sign_in("ann").url == "/"
        assert "100" in browser.get("/credits").words
        kim = operator(running)
        said = kim.audited(account="ann", action="sign-up confirmed")
        assert "127.0.0.1" in said
        for wrong in ("", key[:-1], key + "x", "x" * 43):
            browser.get("/signup/confirm?key=" + wrong)
            shown = browser.post("/signup/confirm", {"key": wrong})
            assert shown.status == 404
            assert "This link does not work any more" in shown.words


def test_an_operator_helps_where_a_mail_does_not_come(opened: Open) -> None:
    with mailing(opened) as (running, deliver):
        kim = operator(running)
        ask(running)
        assert "not tried yet" in kim.get("/operator/signups").words
        first = deliver()
        assert "sent" in kim.get("/operator/signups").words
        ((signup_id,),) = rows(running, "SELECT id FROM signup")
        assert "goes out again" in kim.post(f"/operator/signups/{signup_id}/mail", of="/operator/signups").words
        assert deliver() != first
        kim.post(f"/operator/signups/{signup_id}/approve", of="/operator/signups")
        assert "It was made already" in Browser(running).get(first).words
        assert rows(running, "SELECT name, credits FROM account") == [("ann", 100)]
        shown = kim.post(f"/operator/signups/{signup_id}/mail", of="/operator/signups")
        assert "was approved already" in shown.words


def test_a_mailbox_has_one_trial_for_operators_too(opened: Open) -> None:
    running = opened()
    kim = operator(running)
    for name, email in (("ann", "Ann.Lee@gmail.com"), ("ann-2", "annlee+2@googlemail.com")):
        ask(running, name=name, email=email)
    shown = kim.get("/operator/signups")
    assert "had a trial" not in shown.words
    first, second = (row[0] for row in rows(running, "SELECT id FROM signup ORDER BY id"))
    kim.post(f"/operator/signups/{first}/approve", of="/operator/signups")
    assert "had a trial: ann" in kim.get("/operator/signups").words
    shown = kim.post(f"/operator/signups/{second}/approve", of="/operator/signups")
    assert "Approved without credits" in shown.words
    assert rows(running, "SELECT name, credits FROM account ORDER BY id") == [("ann", 100), ("ann-2", 0)]
    # Who is behind it is known of both.
    for account_id, email in rows(running, "SELECT account_id, email FROM trial"):
        assert f"Ann & Co, {email}" in kim.get(f"/operator/accounts/{account_id}").words
    assert len(rows(running, "SELECT * FROM trial")) == 2
    ask(running, name="ann-3", email="annlee@gmail.com")
    shown = kim.get("/operator/signups")
    assert re.findall(r"had a trial: ([\w-]+)", shown.words) == ["ann"]


def test_without_credits(opened: Open) -> None:
    running = opened(signup_credits=0, signup_senders=("any",))
    kim = operator(running)
    assert "credits" not in Browser(running).get("/signup").words
    ask(running)
    ((signup_id,),) = rows(running, "SELECT id FROM signup")
    shown = kim.post(f"/operator/signups/{signup_id}/approve", of="/operator/signups")
    assert "without credits" not in shown.words
    assert rows(running, "SELECT COUNT(*) FROM ledger") == [(0,)]
    assert rows(running, "SELECT approved_only FROM account") == [(0,)]


def test_tries_of_an_address_are_limited_over_nodes_and_restarts(opened: Open) -> None:
    limits = {"signup_per_address": 3}
    one = opened(**limits)
    two = opened(**limits) if one.url.startswith("postgres") else one
    assert ask(one, name="ab").status == 400
    assert ask(one).url == "/signup/sent"
    one.clock.advance(600)
    two.clock.advance(600 if two is not one else 0)
    assert "taken" in ask(two).words
    assert ask(two, name="bob").url == "/signup/sent"
    for running in (one, two):
        shown = ask(running, name="cleo")
        assert shown.status == 429
        assert "Too many sign-ups were tried from your network within an hour." in shown.words
        assert "Try again in 50 min." in shown.words
        assert shown.header("retry-after") == "3000"
        assert 'value="cleo"' in shown.text
    # A name that is taken is not told either.
    assert "taken" not in ask(one).words
    assert stored(one) == 2
    third = opened(**limits) if one.url.startswith("postgres") else None
    for running in [each for each in (one, third) if each is not None]:
        running.clock.advance(3000 + (600 if running is third else 0))
    assert ask(third or one, name="cleo").url == "/signup/sent"


@pytest.mark.parametrize(
    ("limit", "said", "until"),
    [
        ("signup_per_hour", "More people sign up at the moment", 3600),
        ("signup_per_day", "More people have signed up today", 86400),
    ],
)
def test_all_together_are_limited(opened: Open, limit: str, said: str, until: int) -> None:
    running = opened(**{limit: 2})
    for name in ("ann", "bob"):
        assert ask(running, name=name).url == "/signup/sent"
    shown = ask(running, name="cleo")
    assert (shown.status, shown.header("retry-after")) == (429, str(until))
    assert said in shown.words
    running.clock.advance(until - 1)
    assert ask(running, name="cleo").status == 429
    running.clock.advance(1)
    assert ask(running, name="cleo").url == "/signup/sent"


def test_passwords_of_waiting_ones_are_guessed_no_faster_than_others(opened: Open) -> None:
    running = opened()
    ask(running)
    browser = Browser(running)
    for _ in range(10):
        assert browser.sign_in("ann", "wrong password").status == 403
    shown = browser.sign_in("ann")
    assert shown.status == 429
    assert "Too many failed tries" in shown.words
    running.clock.advance(61)
    assert "Your sign-up waits" in browser.sign_in("ann").words


def test_an_account_that_an_operator_made_goes_first(opened: Open) -> None:
    running = opened()
    kim = operator(running)
    ask(running)
    running.run(running.accounts.add("ann", "another password"))
    browser = Browser(running)
    assert "do not go together" in browser.sign_in("ann").words
    assert browser.sign_in("ann", "another password").url == "/"
    ((signup_id,),) = rows(running, "SELECT id FROM signup")
    shown = kim.post(f"/operator/signups/{signup_id}/approve", of="/operator/signups")
    assert "There is an account 'ann' already" in shown.words
    assert len(rows(running, "SELECT * FROM account")) == 1
    assert rows(running, "SELECT state FROM signup") == [(0,)]
    assert rows(running, "SELECT * FROM trial") == []


def test_the_list_has_pages(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cooee.web.console.pages.operator_signups.PAGE", 2)
    running = opened()
    kim = operator(running)
    for at in range(5):
        ask(running, name=f"user-{at}", email=f"user{at}@example.org")
    shown, names = kim.get("/operator/signups"), []
    for _ in range(3):
        names += re.findall(r"<h2>(user-\d)", shown.text)
        further = [link for link in shown.page.links if "before=" in link]
        if further:
            shown = kim.get(further[-1])
    assert names == [f"user-{at}" for at in (4, 3, 2, 1, 0)]


def test_pages_for_strangers_are_strict(opened: Open) -> None:
    running = opened(signup="email")
    for path in ("/signup", "/signup/sent", "/signup/confirm?key=x"):
        shown = Browser(running).get(path)
        policy = shown.header("content-security-policy") or ""
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert shown.header("x-frame-options") == "DENY"
        assert "no-store" in (shown.header("cache-control") or "")
        assert shown.header("referrer-policy") == "same-origin"
        assert 'style="' not in shown.text
        assert not re.search(r"<script(?![^>]*(src=|application/json))", shown.text)
        assert not re.search(r'\son\w+="', shown.text)
        for link in [link for link in shown.page.links if link.startswith("/")]:
            assert Browser(running).get(link).status == 200, link
        for resource in shown.page.resources:
            assert resource.startswith("/static/")


def test_the_settings_of_the_form(opened: Open) -> None:
    running = opened(signup_countries=("NZ", "AU"), signup_zone="Pacific/Auckland", signup_credits=1)
    shown = Browser(running).get("/signup")
    assert "1 credit," in shown.words
    assert "<option selected>NZ</option>" in shown.text
    assert "<option selected>Pacific/Auckland</option>" in shown.text
