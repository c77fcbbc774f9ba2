"""What an account's people do in the console is in the audit log; they see their own account's lines of it."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from cooee.service.audit import ACTIONS_OF_ACCOUNTS
from cooee.store.audience import PIECE
from tests.api.support_api import PASSWORD, Client
from tests.console.support_console import HANDSET, Browser, Person, Site, came, person
from tests.console.support_operator import Kim, operator, rows

SECRET = "hunter2-hunter2"
TEXT = "A very private message"


@pytest.fixture
def kim(running: Site) -> Kim:
    return operator(running)


def lines(who: Person, *, actor_kind: str = "account") -> list[tuple[str, str]]:
    """(action, detail) of what was done by the account's people, the oldest first; and always from where."""
    found = rows(
        who.site,
        "SELECT action, detail, actor, address FROM audit "
        f"WHERE account = '{who.account.name}' AND actor_kind = '{actor_kind}' ORDER BY id",
    )
    for _, _, actor, address in found:
        assert (actor, address) == (who.account.name, "127.0.0.1")
    return [(action, detail) for action, detail, _, _ in found]


def last(who: Person) -> tuple[str, str]:
    return lines(who)[-1]


def draft(who: Person, **changes: Any) -> str:
    """Rehearses; the page's address."""
    who.get("/compose")
    fields = {"message": TEXT, "originator": "COOEE", "recipients": "0400123456\n0400123457", **changes}
    return who.post("/compose", fields).url


class TestCampaigns:
    def test_sent_once_is_told_once(self, running: Site) -> None:
        who = person(running)
        url = draft(who)
        campaign = who.post(f"{url}/send").url.split("?")[0].rpartition("/")[2]
        who.post(f"{url}/send")
        said = f"campaign {campaign}: 2 recipients, 2 credits, from COOEE"
        assert lines(who) == [("signed in", ""), ("campaign created", said)]

    def test_a_trial_of_ones_own(self, running: Site) -> None:
        who = person(running)
        url = draft(who)
        once = re.search(r'name="once" value="([^"]+)"', who.get(url).text)
        assert once is not None
        for _ in range(2):
            who.post(f"{url}/to-me", {"me": "0400 111 111", "once": once[1]})
        (_, (action, detail)) = lines(who)
        assert action == "campaign created"
        assert detail.endswith(": 1 recipient, 1 credit, from COOEE")

    def test_a_large_one(self, running: Site) -> None:
        who = person(running, credits=10_000)
        numbers = "\n".join(f"61400{at:06d}" for at in range(5001))
        who.post(f"{draft(who, recipients=numbers)}/send")
        assert last(who)[0] == "campaign created"
        assert ": 5001 recipients, 5001 credits, " in last(who)[1]

    def test_added_to_one_of_the_same_reference(self, running: Site) -> None:
        who = person(running)
        fields = {"reference": "tomorrow", "when": "later", "at": "2099-01-01T10:00"}
        first = who.post(f"{draft(who, **fields)}/send").url.split("?")[0].rpartition("/")[2]
        second = who.post(f"{draft(who, **fields, recipients='0400123457 0400123458')}/send").url
        assert first in second
        assert last(who) == (
            "campaign created",
            f"campaign {first}: 1 recipient added, 1 credit, from COOEE",
        )

    def test_what_is_refused_is_not_in_it(self, running: Site) -> None:
        who = person(running, credits=1)
        who.post(f"{draft(who)}/send")
        assert lines(who) == [("signed in", "")]

    def test_paused_resumed_changed_cancelled(self, running: Site) -> None:
        who = person(running)
        campaign = who.campaign(TimeScheduled="209901011000")
        url = f"/campaigns/{campaign}"
        who.get(url)
        who.post(f"{url}/pause")
        who.post(f"{url}/pause")
        who.post(f"{url}/resume")
        edit = {"message": f"{TEXT}, changed", "originator": "OTHER", "when": "later", "at": "2099-01-02T10:00"}
        who.post(f"{url}/edit", edit)
        who.post(f"{url}/cancel")
        who.post(f"{url}/cancel")
        named = f"campaign {campaign}"
        assert lines(who)[1:] == [
            ("campaign paused", named),
            ("campaign resumed", named),
            ("campaign changed", f"{named}: text, sender, time"),
            ("campaign cancelled", named),
        ]

    def test_an_answer(self, running: Site) -> None:
        who = person(running)
        came(who, "What time?")
        once = re.search(r'name="once" value="([^"]+)"', who.get(f"/replies/{HANDSET}").text)
        assert once is not None
        for _ in range(2):
            who.post(f"/replies/{HANDSET}", {"message": TEXT, "once": once[1]})
        (_, (action, detail)) = lines(who)
        assert action == "reply answered"
        assert re.fullmatch(r"campaign \d+: 1 recipient, 1 credit, from 61400190499", detail)


class TestLists:
    def test_made_filled_emptied_deleted(self, running: Site) -> None:
        who = person(running)
        who.get("/lists/new")
        url = who.post("/lists/new", {"name": "VIPs", "numbers": "0400123456"}).url.split("?")[0]
        number = url.rpartition("/")[2]
        who.post(f"{url}/add", {"numbers": "0400123456 0400123457"})
        who.post(f"{url}/add", {"numbers": "0400123456"})
        who.post(f"{url}/remove", {"numbers": "0400123457"})
        who.post(f"{url}/delete")
        who.post(f"{url}/delete")
        assert lines(who)[1:] == [
            ("list created", f"list {number}, 1 number: VIPs"),
            ("list numbers added", f"list {number}, 2 numbers"),
            ("list numbers removed", f"list {number}, 1 number"),
            ("list deleted", f"list {number}"),
        ]

    def test_in_pieces_is_one_act(self, running: Site) -> None:
        who = person(running)
        many = "\n".join(f"61400{at:06d}" for at in range(2 * PIECE + 5))
        who.get("/lists/new")
        url = who.post("/lists/new", {"name": "Many", "numbers": many}).url.split("?")[0]
        who.post(f"{url}/remove", {"numbers": many})
        number = url.rpartition("/")[2]
        assert lines(who)[1:] == [
            ("list created", f"list {number}, 4005 numbers: Many"),
            ("list numbers removed", f"list {number}, 4005 numbers"),
        ]

    def test_an_import(self, running: Site) -> None:
        who = person(running)
        who.get("/lists/new")
        sheet = b"Name,Mobile\nAnn,0400123456\nBob,0400123457\n"
        shown = who.browser.upload("/lists/new", {"name": "People"}, "people.csv", sheet)
        url = shown.url.split("?")[0]
        who.post(url, {"column": "1", "into": "0", "name": "People"})
        for _ in range(200):
            if "import finished" in dict(lines(who)):
                break
            time.sleep(0.05)
        assert lines(who)[1] == ("import begun", "column 2 of people.csv into a new list: People")
        action, detail = last(who)
        assert action == "import finished"
        assert re.fullmatch(r"list \d+: 2 numbers of people\.csv, 2 new", detail)
        assert len(lines(who)) == 3


class TestOptouts:
    def test_out_and_back(self, running: Site) -> None:
        who = person(running)
        who.get("/optouts")
        who.post("/optouts/add", {"numbers": "0400123456"})
        who.post("/optouts/add", {"numbers": "0400123456 0400123457"})
        who.post("/optouts/remove", {"numbers": "0400123456 0400123457 0400123458"})
        who.post("/optouts/remove", {"numbers": "0400123456"})
        assert lines(who)[1:] == [
            ("numbers opted out", "61400123456"),
            ("numbers opted out", "1 of 2 numbers"),
            ("numbers let back", "2 of 3 numbers"),
        ]


class TestSettings:
    def test_password_and_webhook(self, running: Site) -> None:
        who = person(running)
        other = Browser(running)
        other.sign_in(who.account.name)
        who.get("/settings")
        who.post("/settings/sign-out-elsewhere")
        who.post("/settings/sign-out-elsewhere")
        who.post("/settings/password", {"current": "wrong", "new": SECRET, "again": SECRET})
        who.post("/settings/password", {"current": PASSWORD, "new": SECRET, "again": SECRET})
        hook = {"url": f"https://hooks.example.org/{SECRET[:7]}?key=k3y", "username": "u", "password": SECRET}
        assert "Saved." in who.post("/settings/webhook", hook).words
        who.post("/settings/webhook/remove")
        found = lines(who)
        assert [action for action, _ in found] == [
            "signed in", "signed in", "others signed out", "password changed",
            "webhook changed", "webhook changed",
        ]  # fmt: skip
        assert found[2][1] == "1 session"
        assert "k3y" not in str(found)
        assert SECRET not in str(found)
        assert PASSWORD not in str(found)

    def test_their_own_page(self, running: Site, kim: Kim) -> None:
        """Theirs, by whomever; nothing of others; and of operators no more than that it was one."""
        who, neighbour = person(running), person(running)
        kim.post(f"/operator/accounts/{who.account.id}/credits", {"amount": "50", "reason": "a gift"})
        neighbour.get("/optouts")
        neighbour.post("/optouts/add", {"numbers": "0400999999"})
        running.run(running.accounts.set(who.account.name, zone="Asia/Tokyo"))
        who.get("/optouts")
        who.post("/optouts/add", {"numbers": "0400123456"})
        assert "See what was done" in who.get("/settings").words
        shown = who.get("/settings/audit")
        assert "an operator – credits adjusted +50: a gift" in shown.words
        assert f"{who.account.name} 127.0.0.1 numbers opted out 61400123456" in shown.words
        assert kim.name not in shown.text
        for filters in (
            "", "?kind=account", f"?account={neighbour.account.name}", f"?who={neighbour.account.name}",
            "?carrier=telco&action=nonsense&since=soon",
        ):  # fmt: skip
            found = who.get(f"/settings/audit{filters}")
            assert found.status == 200
            assert "0400999999" not in found.text
            assert "61400999999" not in found.text
            assert "numbers opted out" in found.words
        assert "a gift" not in who.get("/settings/audit?kind=account").words
        assert "a gift" in who.get("/settings/audit?kind=operator&action=credits+adjusted").words
        assert "Nothing fits" in who.get("/settings/audit?until=2001-01-01").words
        for action in ACTIONS_OF_ACCOUNTS:
            assert f"<option>{action}</option>" in shown.text
        assert "carrier added" not in shown.text
        assert "quarantine" not in shown.text

    def test_its_pages(self, running: Site) -> None:
        who = person(running)
        who.get("/optouts")
        for at in range(52):
            who.post("/optouts/add", {"numbers": f"04001234{at:02d}"})
        shown = who.get("/settings/audit?kind=account")
        assert shown.text.count("numbers opted out</td>") == 50
        (older,) = [link for link in shown.page.links if "before=" in link]
        assert "kind=account" in older
        second = who.get(older)
        assert second.text.count("numbers opted out</td>") == 2
        assert "signed in" in second.words

    def test_nobody_else_opens_it(self, running: Site, kim: Kim) -> None:
        assert Browser(running).get("/settings/audit").url.startswith("/sign-in")
        assert kim.browser.get("/settings/audit", follow=False).status in (303, 404)


def test_nothing_private_is_ever_in_it(running: Site, kim: Kim) -> None:
    """After everything above: no text, no password."""
    every = str(rows(running, "SELECT actor, action, account, carrier, detail FROM audit"))
    for secret in (TEXT, SECRET, PASSWORD, "k3y", "What time?"):
        assert secret not in every


def test_what_a_program_does_is_not_in_it(running: Site) -> None:
    who = person(running)
    client = Client(running, who.account.name, who.account)
    campaign = client.create(TimeScheduled="209901011000").json["CampaignId"]
    for action in ("pause", "unpause", "delete"):
        client.post("campaign", {"Action": action, "CampaignId": campaign})
    client.post("optouts", {"Action": "add", "Numbers": "61400123456"})
    client.post("crm", {"Action": "create", "Description": "x", "Numbers": "61400123456"})
    assert lines(who) == [("signed in", "")]


def test_operators_see_and_filter_all_of_it(running: Site, kim: Kim) -> None:
    who = person(running)
    who.post(f"{draft(who)}/send")
    shown = kim.audited(account=who.account.name, action="campaign created")
    assert f"{who.account.name} account 127.0.0.1 campaign created" in shown
    assert "No change fits" in kim.audited(account=who.account.name, action="campaign paused")
