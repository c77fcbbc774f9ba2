"""Uncertain recipients, quarantine and the audit log."""

from __future__ import annotations

import re

import pytest

from cooee.model.message import GAVE_UP, MessageState
from tests.console.support_console import Site, person
from tests.console.support_operator import Kim, aside, carrier, operator, rows, sql, uncertain

FIRST = 61400123456


@pytest.fixture
def kim(running: Site) -> Kim:
    return operator(running)


def states(running: Site, campaign: int) -> list[tuple[int, bool]]:
    """(state, due at once) of a campaign's recipients."""
    found = rows(
        running,
        f"SELECT state, uncertain_until FROM message WHERE campaign_id = {campaign} ORDER BY destination",
    )
    return [(state, until is not None) for state, until in found]


class TestUncertain:
    def test_listed_by_account_and_campaign(self, running: Site, kim: Kim) -> None:
        account, campaign, _ = uncertain(running, 2)
        _, other, _ = uncertain(running, 1)
        shown = kim.get(f"/operator/uncertain?campaign={campaign}")
        assert "2 recipients." in shown.words
        assert "held for you" in shown.words
        assert str(other) not in shown.words
        assert "2 recipients. " in kim.get(f"/operator/uncertain?account={account.name}").words + " "
        assert "no campaign" in kim.get(f"/operator/uncertain?account={account.name}&campaign={other}").words
        assert "no account" in kim.get("/operator/uncertain?account=nobody").words
        assert "is no campaign" in kim.get("/operator/uncertain?campaign=x").words
        assert kim.get("/operator/uncertain?after=1-2-x").status == 200

    def test_in_pages_of_a_hundred(self, running: Site, kim: Kim) -> None:
        _, campaign, _ = uncertain(running, 103)
        shown = kim.get(f"/operator/uncertain?campaign={campaign}")
        assert shown.text.count('name="key"') == 100
        (following,) = [link for link in shown.page.links if "after=" in link]
        second = kim.get(following)
        assert second.text.count('name="key"') == 3
        assert "103 recipients." in second.words

    def test_the_chosen_ones_are_sent_again(self, running: Site, kim: Kim) -> None:
        account, campaign, _ = uncertain(running, 3)
        key = f"{account.id}-{campaign}-{FIRST + 1}"
        shown = kim.post("/operator/uncertain/resend", [("key", key), ("campaign", campaign)])
        assert "They are sent again" in shown.words
        assert f"campaign={campaign}" in shown.url
        assert states(running, campaign) == [(2, False), (2, True), (2, False)]
        assert f"1 recipient of campaign {campaign}" in kim.audited(action="uncertain resent")

    def test_the_chosen_ones_are_counted_as_failed(self, running: Site, kim: Kim) -> None:
        account, campaign, _ = uncertain(running, 3)
        keys = [("key", f"{account.id}-{campaign}-{FIRST + at}") for at in (0, 2)]
        kim.post("/operator/uncertain/fail", [*keys, ("key", "1-2-3"), ("key", "nonsense")])
        assert [state for state, _ in states(running, campaign)] == [6, 2, 6]
        assert rows(
            running, f"SELECT DISTINCT code FROM message WHERE campaign_id = {campaign} AND state = 6"
        ) == [(GAVE_UP,)]
        assert f"2 recipients of campaign {campaign}" in kim.audited(action="uncertain failed")

    def test_nothing_chosen_is_said(self, kim: Kim) -> None:
        shown = kim.post("/operator/uncertain/fail", {"campaign": ""})
        assert (shown.status, "Nothing was chosen" in shown.words) == (400, True)

    def test_all_of_a_campaign_and_nothing_else(self, running: Site, kim: Kim) -> None:
        _, campaign, _ = uncertain(running, 4)
        _, other, _ = uncertain(running, 1)
        asked = kim.get(f"/operator/uncertain/all?campaign={campaign}")
        assert "4 recipients" in asked.words
        assert kim.post("/operator/uncertain/all", {"campaign": campaign}).status == 400
        kim.post("/operator/uncertain/all", {"campaign": campaign, "what": "fail"})
        assert {state for state, _ in states(running, campaign)} == {MessageState.FAILED}
        assert states(running, other) == [(2, False)]
        kim.post("/operator/uncertain/all", {"what": "resend"})
        assert states(running, other) == [(2, True)]

    def test_what_is_settled_meanwhile_stays_as_it_is(self, running: Site, kim: Kim) -> None:
        account, campaign, _ = uncertain(running, 1)
        sql(running, f"UPDATE message SET state = 7 WHERE campaign_id = {campaign}")
        kim.post("/operator/uncertain/fail", [("key", f"{account.id}-{campaign}-{FIRST}")])
        assert states(running, campaign) == [(7, False)]


class TestQuarantine:
    def test_octets_are_readable_and_escaped(self, running: Site, kim: Kim) -> None:
        aside(running, carrier(running), "receipt", b"id:1042 <script>\x00\xff" + bytes(5000))
        shown = kim.get("/operator/quarantine")
        assert "0000 69 64 3a 31 30 34 32 20 3c 73 63 72 69 70 74 3e id:1042 <script>" in shown.words
        assert "<script>\x00" not in shown.text
        assert "more octets" in shown.words
        assert "no such state" in shown.words

    def test_by_kind_and_thrown_away(self, running: Site, kim: Kim) -> None:
        carrier_id = carrier(running)
        one, two = aside(running, carrier_id, "receipt"), aside(running, carrier_id, "odd")
        shown = kim.get("/operator/quarantine?kind=odd")
        assert shown.text.count('name="item"') == 1
        assert "None of that kind" in kim.get("/operator/quarantine?kind=nothing").words
        shown = kim.post("/operator/quarantine/delete", [("item", two), ("kind", "odd")])
        assert shown.url == "/operator/quarantine?kind=odd&done=quarantine-deleted"
        left = [row[0] for row in rows(running, "SELECT id FROM quarantine")]
        assert one in left
        assert two not in left
        assert "1 item" in kim.audited(action="quarantine deleted")
        assert kim.post("/operator/quarantine/delete", {"item": "x"}).status == 400
        assert kim.post("/operator/quarantine/delete", {"item": str(2**63)}).status == 400

    def test_in_pages(self, running: Site, kim: Kim) -> None:
        carrier_id = carrier(running)
        for _ in range(51):
            aside(running, carrier_id, "many")
        shown = kim.get("/operator/quarantine?kind=many")
        (older,) = [link for link in shown.page.links if "before=" in link]
        assert kim.get(older).text.count('name="item"') == 1


class TestAudit:
    def test_filters(self, running: Site, kim: Kim) -> None:
        who = person(running)
        kim.post(f"/operator/accounts/{who.account.id}/credits", {"amount": "5", "reason": "for the test"})
        for filters in (
            {"who": kim.name},
            {"account": who.account.name},
            {"action": "credits adjusted"},
            {"kind": "operator", "account": who.account.name, "who": kim.name},
        ):
            assert "+5: for the test" in kim.audited(**filters), filters
        for nothing in (
            {"who": "nobody"},
            {"account": who.account.name, "action": "rate set"},
            {"kind": "cli", "account": who.account.name},
            {"account": who.account.name, "until": "2001-01-01"},
            {"account": who.account.name, "since": "2999-01-01"},
            {"carrier": "nothing", "who": kim.name},
        ):
            assert "No change fits" in kim.audited(**nothing), nothing
        assert "+5" in kim.audited(account=who.account.name, since="soon", action="nonsense")

    def test_what_an_accounts_people_change_is_theirs(self, running: Site, kim: Kim) -> None:
        who = person(running, may_add_credits=True)
        who.get("/settings")
        who.post("/settings/times", {"zone": "Asia/Tokyo"})
        who.post("/credits", {"amount": "700"})
        said = kim.audited(account=who.account.name, kind="account")
        assert "zone Australia/Sydney → Asia/Tokyo" in said
        assert "+700" in said
        assert f"{who.account.name} account 127.0.0.1 account changed" in said

    def test_programs_on_the_api_are_not_in_it(self, running: Site, kim: Kim) -> None:
        who = person(running)
        before = rows(running, "SELECT COUNT(*) FROM audit")
        running.run(running.accounts.credit(who.account.name, 5, "by no person"))
        who.campaign()
        assert rows(running, "SELECT COUNT(*) FROM audit") == before

    def test_in_pages(self, running: Site, kim: Kim) -> None:
        who = person(running)
        url = f"/operator/accounts/{who.account.id}/credits"
        for at in range(52):
            kim.post(url, {"amount": "1", "reason": f"line {at}"})
        shown = kim.get(f"/operator/audit?account={who.account.name}")
        assert "line 51" in shown.words
        (older,) = [link for link in shown.page.links if "before=" in link]
        second = kim.get(older)
        assert re.findall(r"line \d+", second.words) == ["line 1", "line 0"]

    def test_a_change_that_fails_is_not_in_it(self, running: Site, kim: Kim) -> None:
        who = person(running)
        url = f"/operator/accounts/{who.account.id}/credits"
        kim.post(url, {"amount": "9999", "reason": "too many", "take": "1"})
        assert "too many" not in kim.audited(account=who.account.name)

    def test_signing_in_is_in_it(self, kim: Kim) -> None:
        assert "operator signed in" in kim.audited(who=kim.name)
        assert "127.0.0.1" in kim.audited(who=kim.name)
