"""Strict headers, forms that only the console can send, and accounts that see nothing of one another."""

from __future__ import annotations

import re

import pytest

from cooee.model.message import MessageState
from cooee.web.console.pages import MODULES, OPERATOR_MODULES
from cooee.web.console.visit import Page, Who
from tests.console.support_console import Browser, Person, Shown, Site, came, person

PAGES: list[Page] = [page for module in (*MODULES, *OPERATOR_MODULES) for page in module.PAGES]
NUMBER = 61400123456


def strict(shown: Shown) -> None:
    policy = shown.header("content-security-policy") or ""
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert shown.header("x-content-type-options") == "nosniff"
    assert shown.header("x-frame-options") == "DENY"
    assert shown.header("referrer-policy") == "same-origin"


def furnished(who: Person) -> dict[str, str]:
    """Everything that an account can have, by the address of the page that shows it."""
    campaign = who.campaign(Destinations=[str(NUMBER), "61400123457"])
    who.settle(campaign, [(NUMBER, MessageState.DELIVERED, 0)])
    who.campaign(TimeScheduled="203001010900")
    who.get("/compose")
    draft = who.post("/compose", {"message": "Hello", "originator": "COOEE", "recipients": "0400123456"})
    assert re.fullmatch(r"/compose/\d+", draft.url), draft.words
    made = who.browser.upload("/lists/new", {"name": "Members"}, "x.csv", b"Name,Mobile\nAnn,0400123456\n")
    assert made.url.startswith("/lists/upload/"), made.words
    who.get("/lists/new")
    shown = who.post("/lists/new", {"name": "Friends", "numbers": "0400123456"})
    came(who, "Yes!", campaign=campaign)
    nameless = came(who, "Yes!", handset=None, originator="SHOP")
    return {
        "/replies/{number}": f"/replies/{NUMBER}",
        "/replies/from/{id}": f"/replies/from/{nameless}",
        "/optouts/{number}": f"/optouts/{NUMBER}",
        "/campaigns/{id}": f"/campaigns/{campaign}",
        "/campaigns/{id}/{number}": f"/campaigns/{campaign}/{NUMBER}",
        "/compose/{id}": draft.url,
        "/lists/{id}": shown.url.partition("?")[0],
        "/lists/upload/{id}": made.url.partition("?")[0],
    }


def address(page: Page, things: dict[str, str]) -> str:
    """The address of a page about one of these things."""
    fitting = sorted((key for key in things if page.path.startswith(key)), key=len)
    path = things[fitting[-1]] + page.path.removeprefix(fitting[-1]) if fitting else page.path
    return path.replace("{id}", "1").replace("{number}", str(NUMBER))


def private(page: Page) -> bool:
    return page.who is Who.ACCOUNT


@pytest.fixture(scope="module")
def owner(running: Site) -> tuple[Person, dict[str, str]]:
    who = person(running)
    return who, furnished(who)


def test_every_page_opens_for_its_owner_with_strict_headers(owner: tuple[Person, dict[str, str]]) -> None:
    who, things = owner
    for page in PAGES:
        if page.get is None or not private(page):
            continue
        shown = who.get(address(page, things))
        assert shown.status == 200, (page.path, shown.status, shown.words)
        strict(shown)
        assert "no-store" in (shown.header("cache-control") or ""), page.path
        assert 'style="' not in shown.text
        assert not re.search(r"<script(?![^>]*(src=|application/json))", shown.text)
        assert not re.search(r'\son\w+="', shown.text)


def test_every_link_leads_somewhere(owner: tuple[Person, dict[str, str]]) -> None:
    who, things = owner
    seen: set[str] = set()
    todo = ["/", *things.values()]
    while todo:
        url = todo.pop()
        if url in seen or len(seen) > 150:
            continue
        seen.add(url)
        shown = who.get(url)
        assert shown.status == 200, (url, shown.status)
        if "text/html" in (shown.header("content-type") or ""):
            page = shown.page
            todo += [link for link in page.links if link.startswith("/")]
            for resource in page.resources:
                assert resource.startswith("/static/"), resource


def test_nobody_sees_a_page_without_signing_in(running: Site, owner: tuple[Person, dict[str, str]]) -> None:
    _, things = owner
    stranger = Browser(running)
    for page in PAGES:
        if page.who is Who.ANYONE:
            continue
        door = "/sign-in" if page.who is Who.ACCOUNT else "/operator/sign-in"
        if page.get is not None:
            shown = stranger.get(address(page, things), follow=False)
            assert (shown.status, (shown.header("location") or "").partition("?")[0]) == (303, door), page.path
            strict(shown)
        if page.post is not None:
            stranger.get("/sign-in")
            shown = stranger.post(address(page, things), {"message": "x"}, follow=False)
            assert (shown.status, shown.header("location")) == (303, door), page.path


def test_another_accounts_things_are_as_if_they_were_not(
    running: Site, owner: tuple[Person, dict[str, str]]
) -> None:
    """Every address of one account, walked as another: each answers like an id that nobody has."""
    who, things = owner
    other = person(running)
    nowhere = {key: re.sub(r"/\d+", "/999999999", url, count=1) for key, url in things.items()}
    before = who.get("/campaigns").words, who.get("/lists").words
    walked = 0
    for page in PAGES:
        if not private(page) or not any(page.path.startswith(key) for key in things):
            continue
        if page.path == "/optouts/{number}":
            # Any number has a history, if an empty one (test_replies.py).
            continue
        theirs, missing = address(page, things), address(page, nowhere)
        if page.get is not None:
            shown, control = other.get(theirs), other.get(missing)
            assert shown.status == 404, (theirs, shown.words)
            assert _plain(shown) == _plain(control), theirs
            walked += 1
        if page.post is not None:
            other.get("/")
            fields = {"me": "0400123456", "numbers": "0400123456", "message": "x", "originator": "COOEE"}
            shown, control = other.post(theirs, fields), other.post(missing, fields)
            assert shown.status == 404, (theirs, shown.words)
            assert _plain(shown) == _plain(control), theirs
            walked += 1
    assert walked > 20
    assert (who.get("/campaigns").words, who.get("/lists").words) == before


def _plain(shown: Shown) -> str:
    """A page without what is drawn anew each time, and without its own address."""
    text = re.sub(r"[0-9a-f]{16,64}", "*", shown.text)
    return re.sub(r"/[a-z]+(/upload)?/\d+[\w/.-]*", "*", text)


def test_another_accounts_things_cannot_be_used(running: Site, owner: tuple[Person, dict[str, str]]) -> None:
    """Ids within a form or an address: a campaign to copy, a list to write to, a draft to keep."""
    _, things = owner
    other = person(running)
    campaign, draft, stored = (
        things[key].rpartition("/")[2] for key in ("/campaigns/{id}", "/compose/{id}", "/lists/{id}")
    )
    assert other.get(f"/compose?copy={campaign}").status == 404
    assert other.get(f"/compose?draft={draft}").status == 404
    other.get("/compose")
    base = {"message": "Hello", "originator": "COOEE"}
    for extra in ({"draft": draft, "keep": 1}, {"copied": campaign, "keep": 1}, {"list": stored}):
        shown = other.post("/compose", {**base, **extra})
        assert shown.status == 400, extra
        assert "recipients" not in shown.url
    made = other.browser.upload("/lists/new", {"name": "Mine"}, "x.csv", b"0400123456\n")
    shown = other.post(made.url, {"column": "0", "into": stored})
    assert shown.status == 400
    assert "not there any more" in shown.words


def test_every_form_needs_its_token(owner: tuple[Person, dict[str, str]]) -> None:
    who, things = owner
    before = who.get("/campaigns").words, who.get("/credits").words, who.get("/lists").words
    for page in PAGES:
        if page.post is None or page.who is Who.OPERATOR:
            continue
        url = address(page, things)
        for token in ("", "0" * 64, "é", who.browser.csrf.upper()):
            shown = who.browser.post(url, {"message": "x"}, csrf=token, follow=False)
            assert shown.status == 403, (url, token)
            assert "stale" in shown.words
    assert (who.get("/campaigns").words, who.get("/credits").words, who.get("/lists").words) == before


def test_a_token_is_worth_nothing_to_another_session(running: Site) -> None:
    one, two = person(running), person(running)
    one.get("/settings")
    shown = two.browser.post("/settings/times", {"zone": "UTC"}, csrf=one.browser.csrf)
    assert shown.status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_forms_of_other_sites_are_refused(running: Site, headers: dict[str, str]) -> None:
    who = person(running)
    who.get("/settings")
    shown = who.browser.post("/settings/times", {"zone": "UTC"}, headers=headers)
    assert shown.status == 403
    assert "another site" in shown.words


def test_forms_of_this_site_are_taken_with_their_origin(running: Site) -> None:
    who = person(running)
    who.get("/settings")
    origin = {"Origin": f"http://127.0.0.1:{running.port}", "Sec-Fetch-Site": "same-origin"}
    assert "Saved." in who.browser.post("/settings/times", {"zone": "UTC"}, headers=origin).words


def test_an_address_that_only_takes_forms_leads_to_the_page_that_has_them(running: Site) -> None:
    """A page that refused a form has its address: a filter on it, its pager and a reload ask for that."""
    who = person(running)
    running.operator("lee")
    lee = Browser(running)
    lee.sign_in_operator("lee")
    for browser, path, page in (
        (who.browser, "/sign-out", "/"),
        (who.browser, "/settings/password", "/settings"),
        (who.browser, "/lists/7/add?q=0400+1", "/lists/7?q=0400+1"),
        (who.browser, "/compose/7/send", "/compose/7"),
        (lee, "/operator/theme", "/operator"),
        (lee, "/operator/unrouted/all?number=1998&before=1-2", "/operator/unrouted?number=1998&before=1-2"),
        (lee, "/operator/accounts/7/senders/only", "/operator/accounts/7/senders"),
        (lee, "/operator/handsets/61400000001/answer", "/operator/handsets"),
    ):
        shown = browser.get(path, follow=False)
        assert (shown.status, shown.header("location")) == (303, page)
        strict(shown)
    for module in (*MODULES, *OPERATOR_MODULES):
        for page_ in module.PAGES:
            browser = lee if page_.path.startswith("/operator") else who.browser
            if page_.get is None:
                path = page_.path.replace("{id}", "7").replace("{number}", "61400000001")
                assert browser.get(path, follow=False).status == 303, path
    assert who.get("/").status == 200, "nobody is signed out"
    outside = Browser(running).get("/operator/accounts/7/password", follow=False)
    assert outside.header("location") == "/operator/sign-in?next=/operator/accounts/7/password"


def test_what_is_not_there_and_what_is_not_taken(running: Site) -> None:
    who = person(running)
    for path in ("/nothing", "/campaigns/0", "/campaigns/99999999999999999999", "/static/x/console.css", "/a/b/c"):
        shown = who.get(path)
        assert shown.status == 404, path
        strict(shown)
    assert re.search(r"Request id [0-9a-f]{16}", who.get("/nothing").words)
    refused = who.browser.send("PUT", "/settings")
    assert refused.status == 405
    assert who.post("/campaigns").status == 405
    assert Browser(running).get("/nothing").status == 404


def test_bodies_are_bounded(running: Site) -> None:
    who = person(running)
    who.get("/settings")
    shown = who.post("/settings/times", {"zone": "x" * 400_000})
    assert shown.status == 413
    assert "too large" in shown.words
    chunked = (piece for piece in [b"csrf=" + who.browser.csrf.encode() + b"&zone=" + b"x" * 400_000])
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused = who.browser.send("POST", "/settings/times", chunked, form)
    assert refused.status == 413


def test_a_form_that_is_none_is_refused_politely(running: Site) -> None:
    who = person(running)
    who.get("/settings")
    broken = who.browser.send(
        "POST", "/settings/times", b"--x\r\nbroken", {"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert broken.status in (400, 403)
    assert "Traceback" not in broken.text


def test_static_files_are_kept_for_ever_and_packed(running: Site) -> None:
    browser = Browser(running)
    page = browser.get("/sign-in").page
    assert len(page.resources) >= 4
    for path in page.resources:
        shown = browser.send("GET", path, headers={"Accept-Encoding": "gzip"})
        assert shown.status == 200
        assert "immutable" in (shown.header("cache-control") or "")
        strict(shown)
        if len(shown.body) > 1024:
            assert shown.header("content-encoding") == "gzip"
            assert browser.get(path).header("content-encoding") is None
    assert browser.get(re.sub(r"/static/\w+/", "/static/0123456789abcdef/", page.resources[0])).status == 404


def test_a_broken_page_says_so_and_keeps_its_secrets(
    running: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from cooee.service.history import History

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret text")

    who = person(running)
    monkeypatch.setattr(History, "page", broken)
    shown = who.get("/campaigns")
    assert shown.status == 500
    assert "Something broke on our side" in shown.words
    assert re.search(r"Request id [0-9a-f]{16}", shown.words)
    assert "secret text" not in shown.text + "".join(capfd.readouterr())


def test_a_database_that_is_away_is_told_apart(running: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from cooee.model.errors import StoreUnavailable
    from cooee.service.history import History

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("the disk is full")

    who = person(running)
    monkeypatch.setattr(History, "page", away)
    shown = who.get("/campaigns")
    assert shown.status == 503
    assert "The database is away" in shown.words


def test_live_parts_of_a_session_that_is_over_lead_to_the_door(running: Site) -> None:
    shown = Browser(running).send("GET", "/?part=active", headers={"HX-Request": "true"})
    assert shown.header("hx-redirect") == "/sign-in"


def test_text_of_others_is_never_markup(running: Site) -> None:
    who = person(running)
    nasty = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
    campaign = who.campaign(Message=nasty, Reference=nasty)
    who.get("/lists/new")
    who.post("/lists/new", {"name": nasty, "numbers": "0400123456"})
    for path in ("/campaigns", f"/campaigns/{campaign}", "/lists", "/compose", f"/compose?copy={campaign}",
                 f"/campaigns?q={nasty.replace('<', '%3C').replace('>', '%3E').replace(' ', '+')}",
                 f"/campaigns/{campaign}/{NUMBER}"):  # fmt: skip
        text = who.get(path).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text


def test_a_node_without_the_console_has_no_pages(tmp_path: object) -> None:
    from tests.api.support_api import Server

    with Server(f"sqlite:///{tmp_path}/cooee.db") as plain:
        assert Browser(plain).get("/").status == 404
        assert Browser(plain).get("/healthz").status == 200


def test_the_api_and_the_health_pages_are_what_they_were(running: Site) -> None:
    browser = Browser(running)
    assert browser.get("/healthz").body == b"ok\n"
    assert browser.get("/api/nothing").header("content-type") == "application/json"
    assert browser.get("/metrics").status == 200
