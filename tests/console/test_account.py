"""Credits and settings."""

from __future__ import annotations

import csv
import io
import re

from cooee.model.inbound import NumberKind
from cooee.service.numbers import Numbers
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

    def test_the_ledger_as_a_file(self, running: Site) -> None:
        who = person(running, zone="Asia/Tokyo")
        running.run(running.accounts.credit(who.account.name, 7, "=a gift"))
        campaign = who.campaign()
        assert "/credits/export.csv" in who.get("/credits").page.links
        shown = who.get("/credits/export.csv")
        assert 'filename="credits.csv"' in (shown.header("content-disposition") or "")
        head, *lines = csv.reader(io.StringIO(shown.text))
        assert head == ["no", "time (Asia/Tokyo)", "what", "campaign", "why", "credits"]
        assert [(line[0], line[2], line[3], line[4], line[5]) for line in lines] == [
            ("3", "charge", str(campaign), "campaign", "-1"),
            ("2", "adjustment", "", "'=a gift", "7"),
            ("1", "opening", "", lines[2][4], "1000"),
        ]
        other = person(running)
        assert "a gift" not in other.get("/credits/export.csv").text

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

    def test_one_credit_is_no_plural(self, running: Site) -> None:
        assert "1 credit " in person(running, credits=1).get("/").words
        assert "1 credits" not in person(running, credits=1).get("/").words


class TestSettings:
    def test_senders_and_numbers(self, running: Site) -> None:
        who, other = person(running, approved_only=True), person(running)
        assert "None is approved yet" in who.get("/settings").words
        assert "None is this account's own." in who.get("/settings").words
        assert "Any valid number or name may be the sender." in other.get("/settings").words
        numbers = Numbers(running.database, running.clock)
        for number, kind in (
            ("61400555001", NumberKind.DEDICATED), ("61400555002", NumberKind.SHARED),
            ("61400555003", NumberKind.OPTOUT),
        ):  # fmt: skip
            running.run(numbers.add(number, kind, who.account.name))
        said = who.get("/settings").words
        assert "yours alone" in said
        assert "replies of those you wrote to" in said
        assert "whatever is sent to it opts out" in said
        assert "yours alone" not in other.get("/settings").words

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
        locked = who.post("/settings/password", {**guess, "current": PASSWORD})
        assert locked.status == 429
        assert int(locked.header("retry-after") or 0) > 0
        running.clock.advance(61)

    def test_signing_everybody_else_out(self, running: Site) -> None:
        who = person(running)
        other = Browser(running)
        other.sign_in(who.account.name)
        who.get("/settings")
        assert "Everybody else is signed out." in who.post("/settings/sign-out-elsewhere").words
        assert other.get("/").url == "/sign-in"
        assert who.get("/").url == "/"
