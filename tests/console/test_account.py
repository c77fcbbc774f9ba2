"""Credits and settings."""

from __future__ import annotations

import re

from tests.api.support_api import PASSWORD
from tests.console.support_console import Browser, Site, person


class TestCredits:
    def test_the_ledger_in_pages(self, running: Site) -> None:
        who = person(running)
        for _ in range(54):
            who.campaign()
        first = who.get("/credits")
        assert "Balance 946" in first.words
        numbers = [int(no) for no in re.findall(r'<tr><td class="num">(\d+)</td>', first.text)]
        assert numbers == list(range(55, 5, -1))
        second = who.get(next(link for link in first.page.links if "before=" in link))
        numbers = [int(no) for no in re.findall(r'<tr><td class="num">(\d+)</td>', second.text)]
        assert numbers == [5, 4, 3, 2, 1]
        assert "Opening balance" in second.words
        assert "+1,000" in second.words

    def test_topping_up_where_it_is_approved(self, running: Site) -> None:
        who = person(running, may_add_credits=True)
        shown = who.get("/credits")
        assert "Add credits" in shown.words
        done = who.post("/credits", {"amount": "2,500"})
        assert "The credits were added" in done.words
        assert "Balance 3,500" in done.words
        for amount in ("0", "-1", "1.5", "many", "", "9" * 30):
            refused = who.post("/credits", {"amount": amount})
            assert refused.status == 400
            assert "a whole number above zero" in refused.words

    def test_topping_up_where_it_is_not(self, running: Site) -> None:
        who = person(running)
        assert "Add credits" not in who.get("/credits").words
        refused = who.post("/credits", {"amount": "5"})
        assert refused.status == 403
        assert "may not add credits" in refused.words
        assert "Balance 1,000" in who.get("/credits").words

    def test_nothing_yet(self, running: Site) -> None:
        assert "Nothing has happened yet" in person(running, credits=0).get("/credits").words


class TestSettings:
    def test_zone_and_times(self, running: Site) -> None:
        who = person(running)
        who.get("/settings")
        shown = who.post("/settings/times", {"zone": "Europe/Berlin", "times_utc": "1"})
        assert "Saved." in shown.words
        account = running.run(running.accounts.find(who.account.name))
        assert account.zone_name == "Europe/Berlin"
        assert account.times_utc
        assert "Europe/Berlin" in who.get("/").words
        who.post("/settings/times", {"zone": "Europe/Berlin"})
        assert not running.run(running.accounts.find(who.account.name)).times_utc
        refused = who.post("/settings/times", {"zone": "Mars/Olympus"})
        assert refused.status == 400
        assert "no time zone" in refused.words

    def test_password(self, running: Site) -> None:
        who = person(running)
        other = Browser(running)
        other.sign_in(who.account.name)
        who.get("/settings")
        good = {"current": PASSWORD, "new": "a new password", "again": "a new password"}
        for changes, why in (
            ({"current": "wrong"}, "not the current password"),
            ({"again": "another one"}, "not typed the same way twice"),
            ({"new": "short", "again": "short"}, "8 to 128 characters"),
        ):
            refused = who.post("/settings/password", {**good, **changes})
            assert refused.status in (400, 403)
            assert why in refused.words
        assert other.get("/").url == "/"
        before = who.browser.cookies["cooee"]
        done = who.post("/settings/password", good)
        assert "The password is changed" in done.words
        assert who.browser.cookies["cooee"] != before
        assert who.get("/").url == "/"
        assert other.get("/").url == "/sign-in"
        assert Browser(running).sign_in(who.account.name).status == 403
        assert Browser(running).sign_in(who.account.name, "a new password").url == "/"

    def test_guessing_the_current_password_is_locked_too(self, running: Site) -> None:
        who = person(running)
        who.get("/settings")
        guess = {"current": "wrong", "new": "a new password", "again": "a new password"}
        for _ in range(10):
            assert who.post("/settings/password", guess).status == 403
        assert who.post("/settings/password", {**guess, "current": PASSWORD}).status == 429
        running.clock.advance(61)

    def test_signing_everybody_else_out(self, running: Site) -> None:
        who = person(running)
        other = Browser(running)
        other.sign_in(who.account.name)
        who.get("/settings")
        assert "Everybody else is signed out." in who.post("/settings/sign-out-elsewhere").words
        assert other.get("/").url == "/sign-in"
        assert who.get("/").url == "/"
