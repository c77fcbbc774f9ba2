"""What an operator does with accounts: found, added, changed, credited, priced, suspended; all audited."""

from __future__ import annotations

import re

import pytest

from cooee.model.account import AccountState
from cooee.model.clock import ms_to_local, zone
from tests.api.support_api import PASSWORD
from tests.console.support_console import Browser, Site, person
from tests.console.support_operator import Kim, operator, rows

FORM = {
    "zone": "Pacific/Auckland", "country": "NZ", "parent": "", "window": "", "originators": "any",
    "credit_limit": "0", "daily_cap": "", "low_balance": "", "countries": "", "number_check": "plan",
    "allow_unicode": "1", "allow_long": "1",
}  # fmt: skip


@pytest.fixture
def kim(running: Site) -> Kim:
    return operator(running)


def added(kim: Kim, name: str, **fields: str) -> int:
    """Through the form; the UserId."""
    given = {"name": name, "password": PASSWORD, "again": PASSWORD, "credits": "1,000", **FORM, **fields}
    shown = kim.post("/operator/accounts/new", given, of="/operator/accounts/new")
    found = re.fullmatch(r"/operator/accounts/(\d+)\?done=account-added", shown.url)
    assert found is not None, shown.words
    return int(found[1])


class TestTheList:
    def test_found_by_a_part_of_the_name_or_the_user_id(self, running: Site, kim: Kim) -> None:
        one = added(kim, "Find_Me 100% sure")
        added(kim, "findXme")
        shown = kim.get("/operator?q=find_me")
        assert "Find_Me 100% sure" in shown.words
        assert "findXme" not in shown.words
        assert "Find_Me" in kim.get(f"/operator?q={one}").words
        assert "No account fits" in kim.get("/operator?q=nobody-of-that-name").words
        assert kim.get("/operator?q=%00&after=%00&parent=zz&state=x").status == 200

    def test_pages_of_fifty_by_name(self, running: Site, kim: Kim) -> None:
        async def many() -> None:
            for at in range(53):
                await running.accounts.add(f"paged-{at:03d}", PASSWORD)

        running.run(many())
        shown = kim.get("/operator?q=paged-")
        assert "paged-049" in shown.words
        assert "paged-050" not in shown.words
        (following,) = [link for link in shown.page.links if "after=" in link]
        assert "q=paged-" in following
        second = kim.get(following)
        assert re.findall(r"paged-\d+", second.words)[0] == "paged-050"
        assert "First" in second.words

    def test_by_state_and_by_parent(self, running: Site, kim: Kim) -> None:
        top = added(kim, "a parent")
        added(kim, "a child", parent="a parent")
        running.run(running.accounts.suspend("a child"))
        assert "a child" in kim.get("/operator?state=suspended").words
        assert "a child" not in kim.get("/operator?state=active&q=a+child").words
        below = kim.get(f"/operator?parent={top}").words
        assert "Those below a parent" in below
        assert "a child" in below
        assert "a child" in kim.get(f"/operator/accounts/{top}").words


class TestAdding:
    def test_everything_of_the_form_is_set(self, running: Site, kim: Kim) -> None:
        top = added(kim, "over it")
        added(
            kim, "whole", parent="over it", window="8:00-21:00", originators="approved", credit_limit="500",
            daily_cap="20 000", low_balance="-5", countries="nz, AU", number_check="shape",
            allow_international="1", may_add_credits="1", times_utc="1", smart_encoding="1",
        )  # fmt: skip
        found = running.run(running.accounts.find("whole"))
        assert (found.zone_name, found.country, found.parent_id) == ("Pacific/Auckland", "NZ", top)
        assert (found.window, found.approved_only, found.credit_limit) == ((480, 1260), True, 500)
        assert (found.daily_cap, found.low_balance, found.countries) == (20_000, -5, ("AU", "NZ"))
        assert (found.shape_only, found.allow_international, found.may_add_credits) == (True, True, True)
        assert (found.times_utc, found.smart_encoding) == (True, True)
        assert running.run(running.accounts.balance(found)) == 1000
        assert Browser(running).sign_in("whole").url == "/"
        assert "opening balance 1000" in kim.audited(account="whole")

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"name": "with:colon"}, "no ':'"),
            ({"name": ""}, "1 to 64"),
            ({"password": "short", "again": "short"}, "8 to 128"),
            ({"again": "another one"}, "not typed the same way twice"),
            ({"credits": "many"}, "no whole number"),
            ({"credits": "-5"}, "whole number from 0"),
            ({"zone": "Mars/Olympus"}, "Mars/Olympus"),
            ({"country": "XX"}, "XX"),
            ({"window": "8-21"}, "write 08:00-21:00"),
            ({"window": "08:00-08:00"}, "opens as it closes"),
            ({"daily_cap": "lots"}, "no whole number"),
            ({"countries": "NZ,QQ"}, "QQ"),
            ({"countries": "AU,NZ"}, "allow international numbers too"),
            ({"parent": "nobody"}, "no account 'nobody'"),
        ],
    )
    def test_what_cannot_be_is_said_and_what_was_typed_stays(
        self, kim: Kim, fields: dict[str, str], says: str
    ) -> None:
        given = {"name": "refused", "password": PASSWORD, "again": PASSWORD, **FORM, **fields}
        given["low_balance"] = "777"
        shown = kim.post("/operator/accounts/new", given)
        assert shown.status == 400
        assert says in shown.words, shown.words
        assert 'value="777"' in shown.text
        assert "cooee account" not in shown.words
        assert PASSWORD not in shown.text
        assert rows(kim.site, "SELECT COUNT(*) FROM account WHERE name = 'refused'") == [(0,)]

    def test_a_name_that_is_taken(self, kim: Kim) -> None:
        added(kim, "taken twice")
        shown = kim.post(
            "/operator/accounts/new", {"name": "taken twice", "password": PASSWORD, "again": PASSWORD, **FORM}
        )
        assert "there is an account" in shown.words.lower()


class TestChanging:
    def test_settings_are_written_and_audited_by_what_changed(self, running: Site, kim: Kim) -> None:
        number = added(kim, "changing")
        url = f"/operator/accounts/{number}/settings"
        assert 'value="NZ"' in kim.get(url).text
        shown = kim.post(url, {**FORM, "window": "22:00-06:00", "daily_cap": "100"}, of=url)
        assert "Saved" in shown.words
        found = running.run(running.accounts.find("changing"))
        assert (found.window, found.daily_cap) == ((1320, 360), 100)
        said = kim.audited(account="changing", action="account changed")
        assert "window none → 22:00-06:00, daily_cap none → 100" in said
        assert kim.name in said
        # The same once more changes nothing, and says nothing.
        before = rows(running, "SELECT COUNT(*) FROM audit")
        kim.post(url, {**FORM, "window": "22:00-06:00", "daily_cap": "100"}, of=url)
        assert rows(running, "SELECT COUNT(*) FROM audit") == before

    def test_no_account_is_below_itself(self, kim: Kim) -> None:
        number = added(kim, "a loop")
        shown = kim.post(f"/operator/accounts/{number}/settings", {**FORM, "parent": "a loop"})
        assert (shown.status, "below it" in shown.words) == (400, True)

    def test_a_parent_is_taken_away(self, running: Site, kim: Kim) -> None:
        added(kim, "the parent")
        number = added(kim, "the child", parent="the parent")
        kim.post(f"/operator/accounts/{number}/settings", {**FORM, "parent": ""})
        assert running.run(running.accounts.find("the child")).parent_id is None
        assert "parent the parent → none" in kim.audited(account="the child")

    def test_suspended_and_active_again(self, running: Site, kim: Kim) -> None:
        who = person(running)
        base = f"/operator/accounts/{who.account.id}"
        kim.post(f"{base}/suspend", of=f"{base}/access")
        assert running.run(running.accounts.find(who.account.name)).state is AccountState.SUSPENDED
        assert who.get("/campaigns").url.startswith("/sign-in")
        assert "Suspended" in kim.get(base).words
        kim.post(f"{base}/resume", of=f"{base}/access")
        assert running.run(running.accounts.find(who.account.name)).state is AccountState.ACTIVE
        said = kim.audited(account=who.account.name)
        assert "account suspended" in said
        assert "account resumed" in said

    def test_a_password(self, running: Site, kim: Kim) -> None:
        who = person(running)
        url = f"/operator/accounts/{who.account.id}/password"
        assert kim.post(url, {"new": "another password", "again": "another passwort"}).status == 400
        assert kim.post(url, {"new": "short", "again": "short"}).status == 400
        shown = kim.post(url, {"new": "another password", "again": "another password"})
        assert "password is changed" in shown.words
        assert who.get("/campaigns").url.startswith("/sign-in")
        assert Browser(running).sign_in(who.account.name, "another password").url == "/"
        lines = rows(
            running,
            f"SELECT detail FROM audit WHERE account = '{who.account.name}' AND action = 'password changed'",
        )
        assert lines == [("",)]


class TestCredits:
    def test_added_and_taken_with_a_reason(self, running: Site, kim: Kim) -> None:
        who = person(running)
        url = f"/operator/accounts/{who.account.id}/credits"
        shown = kim.post(url, {"take": "", "amount": "5,000", "reason": "invoice 1042"}, of=url)
        assert "Balance 6,000" in shown.words
        assert "invoice 1042 +5,000" in shown.words
        shown = kim.post(url, {"take": "1", "amount": "200", "reason": "booked twice"}, of=url)
        assert "Balance 5,800" in shown.words
        assert "-200: booked twice" in kim.audited(account=who.account.name)
        assert "invoice 1042" in who.get("/credits").words

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"amount": "0", "reason": "x"}, "other than 0"),
            ({"amount": "-5", "reason": "x"}, "above zero"),
            ({"amount": "1.5", "reason": "x"}, "no whole number"),
            ({"amount": "5", "reason": " "}, "say why"),
            ({"amount": "2000", "reason": "x", "take": "1"}, "fewer than 2000"),
        ],
    )
    def test_what_cannot_be(self, running: Site, kim: Kim, fields: dict[str, str], says: str) -> None:
        who = person(running)
        url = f"/operator/accounts/{who.account.id}/credits"
        shown = kim.post(url, fields)
        assert (shown.status, says in shown.words.lower()) == (400, True), shown.words
        assert running.run(running.accounts.balance(who.account)) == 1000

    def test_the_ledger_in_pages(self, running: Site, kim: Kim) -> None:
        who = person(running)

        async def many() -> None:
            for at in range(60):
                await running.accounts.credit(who.account.name, 1, f"line {at}")

        running.run(many())
        url = f"/operator/accounts/{who.account.id}/credits"
        shown = kim.get(url)
        assert "line 59" in shown.words
        assert "line 5 " not in shown.words
        (older,) = [link for link in shown.page.links if "before=" in link]
        assert "line 5 " in kim.get(older).words

    def test_the_bill_as_page_and_as_csv(self, running: Site, kim: Kim) -> None:
        top = person(running, may_add_credits=True)
        child = running.account(parent=top.account.name, may_add_credits=True).account
        running.run(running.accounts.top_up(child, 300))
        running.run(running.accounts.credit(top.account.name, 5, "=1+1"))
        top.campaign()
        base = f"/operator/accounts/{top.account.id}"
        shown = kim.get(f"{base}/bill?month={_month(running)}")
        assert "the 1 account below it" in shown.words
        assert "The month is not over yet." in shown.words
        assert "300 1 top-up" in shown.words
        csv = kim.get(f"{base}/bill.csv?month={_month(running)}")
        assert csv.header("content-type") == "text/csv; charset=utf-8"
        lines = csv.text.splitlines()
        assert lines[0].startswith("account,parent,opening,top_ups,charges")
        assert lines[2].startswith(f"{child.name},{top.account.name},0,300,0,0,1000,1300")
        each = kim.get(f"{base}/bill-lines.csv?month={_month(running)}").text
        assert "'=1+1" in each
        assert "topup" in each
        assert kim.get(f"{base}/bill?month=2999-01").status == 400
        assert kim.get(f"{base}/bill?month=soon").status == 400
        assert kim.get(f"{base}/bill").status == 200


def _month(running: Site) -> str:
    return f"{ms_to_local(running.clock.now_ms(), zone('Australia/Sydney')):%Y-%m}"


class TestRatesAndSenders:
    def test_rates_for_everybody_and_for_one(self, running: Site, kim: Kim) -> None:
        who = person(running, allow_international=True)
        own = f"/operator/accounts/{who.account.id}/rates"
        kim.post("/operator/rates", {"country": "nz", "credits": "3"})
        kim.post("/operator/rates", {"country": "other", "credits": "5"})
        kim.post(own, {"country": "NZ", "credits": "2"})
        shown = kim.get(own).words
        assert f"NZ 2 {who.account.name} Remove" in shown
        assert "other 5 everybody" in shown
        assert "NZ 3" in kim.get("/operator/rates").words
        kim.post(f"{own}/remove", {"country": "NZ"})
        assert "NZ 3 everybody" in kim.get(own).words
        for country in ("NZ", "other"):
            kim.post("/operator/rates/remove", {"country": country})
        assert "No rates yet" in kim.get("/operator/rates").words
        assert kim.post("/operator/rates/remove", {"country": "NZ"}).status == 400
        assert kim.post("/operator/rates", {"country": "NZ", "credits": "x"}).status == 400
        assert kim.post("/operator/rates", {"country": "Narnia", "credits": "1"}).status == 400
        assert "NZ 2" in kim.audited(account=who.account.name, action="rate set")
        assert "other 5, for everybody" in kim.audited(action="rate set")

    def test_sender_ids(self, running: Site, kim: Kim) -> None:
        who = person(running)
        url = f"/operator/accounts/{who.account.id}/senders"
        shown = kim.post(url, {"senders": "CLINIC\n\n+61400190499\n"})
        assert "CLINIC" in shown.words
        assert "61 400 190 499" in shown.words.replace("  ", " ")
        assert kim.post(url, {"senders": "much too long a name"}).status == 400
        assert kim.post(url, {"senders": "\n"}).status == 400
        shown = kim.post(f"{url}/only", {"approved_only": "1"}, of=url)
        assert "Approved sender IDs only." in shown.words
        assert running.run(running.accounts.find(who.account.name)).approved == {"CLINIC", "61400190499"}
        shown = kim.post(f"{url}/remove", [("sender", "CLINIC"), ("sender", "61400190499")])
        assert "nothing that it sends is let pass" in shown.words
        assert "sender IDs removed" in kim.audited(account=who.account.name)
