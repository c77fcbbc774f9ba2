"""Every form on the operator's pages is sent in a real Chromium: one walk, which tells whether one is missing."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from cooee.model.msisdn import Checked
from cooee.model.originator import Originator
from cooee.model.segments import segment
from cooee.service.recipients import CreateCampaign
from cooee.store.acceptance import Created
from tests.console.support_browser import NUMBER, PASSWORD, Running, chromium
from tests.console.support_forms import Someone, Walk, marking
from tests.console.support_operator_forms import (
    NEW_PASSWORD,
    a_new_account,
    its_access,
    its_money,
    its_replies,
    its_senders,
    rates,
    sign_ups,
)

__all__ = ["chromium"]

SHORT_CODE = "1998"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = {"webhook_allow_private": True}
    with marking(), Running(tmp_path_factory.mktemp("forms"), settings=settings) as found:
        yield found


def test_every_form_of_operators(running: Running, chromium: Browser) -> None:
    walk = Walk(chromium, running.base)
    kim = walk.someone(width=1280)
    sign_in(kim)
    a_new_account(kim)
    its_money(kim)
    its_senders(kim)
    its_access(kim)
    its_replies(kim, running)
    rates(kim)
    sign_ups(kim, running)
    handsets(kim, running)
    uncertain(kim, running)
    numbers(kim, running)
    nobodys(kim, running)
    keywords(kim)
    quarantine(kim, running)
    carriers(kim)
    audit(kim)
    own_login(kim)
    kim.click("Theme")
    assert kim.page.evaluate("document.documentElement.dataset.theme") == "dark"
    kim.press("Sign out")
    kim.told("You are signed out.")
    without_scripts(walk.someone(scripts=False))
    assert walk.faults == []
    assert walk.left(operators=True) == []


def sign_in(kim: Someone) -> None:
    """A wrong password, then the right one."""
    kim.open("/operator/rates")
    kim.fill("Operator", "kim", "Password", "wrong password")
    kim.press("Sign in", 403)
    kim.refused("That name and password do not go together.")
    kim.has("Operator", "kim")
    kim.fill("Password", PASSWORD)
    kim.press("Sign in")
    assert kim.page.url == f"{kim.base}/operator/rates"


# --- messages ----------------------------------------------------------------------------------------------------


def send(running: Running, *numbers: int) -> int:
    """A campaign that has gone out; its id."""
    services = running.node.console_services
    assert services is not None
    account = running.run(services.accounts.find("acme"))
    new = CreateCampaign(
        message="Your table is ready", segmented=segment("Your table is ready"),
        originator=Originator(NUMBER, "msisdn"), due_at=None, reference=None,
        recipients=Checked(array("q", numbers), 0, 0, 0), idempotency_key=None, body_digest="",
    )  # fmt: skip
    created: Created = running.run(services.campaigns.create(account, new))
    return created.campaign_id


def handsets(kim: Someone, running: Running) -> None:
    """A phone is looked for, answers and dies; the network is slow and quick."""
    send(running, 61400000123)
    kim.open("/operator/handsets")
    kim.fill("Show the phone of a number", "nobody")
    kim.press("Show")
    kim.refused("“nobody” is no number")
    kim.has("Show the phone of a number", "nobody")
    kim.fill("Show the phone of a number", "0400 000 123")
    kim.press("Show")
    phone = kim.page.get_by_label("Phone 61400000123")
    phone.get_by_text("Your table is ready").wait_for()
    kim.fill("Answer from 61400000123", "  ")
    kim.click("Send", phone)
    kim.refused("An answer has 1 to 2000 characters.")
    kim.fill("Answer from 61400000123", "On my way")
    kim.click("Send", phone)
    phone.locator(".mine", has_text="On my way").wait_for()
    assert phone.locator(".problem").count() == 0
    kim.choose("State of 61400000123", "Dead: nothing arrives")
    phone.locator(".chip", has_text="dead").wait_for()
    kim.press("Make it slow")
    kim.see("The network is slow")
    kim.press("Make it quick again")
    kim.see("The network is quick")


def uncertain(kim: Someone, running: Running) -> None:
    """Some are chosen and all are settled, either way."""
    campaign = send(running, *range(61400000200, 61400000206))
    services = running.node.console_services
    assert services is not None
    account = running.run(services.accounts.find("acme"))
    for _ in range(200):
        line = running.run(services.history.find(account, campaign)).line
        # Later receipts would settle what is going to be in doubt.
        if running.run(services.history.counts(account, line))["delivered"] == 6:
            break
        kim.page.wait_for_timeout(50)

    def doubt() -> None:
        running.sql(f"UPDATE message SET state = 2, uncertain_until = NULL WHERE campaign_id = {campaign}")

    doubt()
    kim.open("/operator/uncertain")
    kim.fill("Account", "acme", "Campaign", "none")
    kim.press("Show")
    kim.refused("'none' is no campaign.")
    kim.has("Account", "acme", "Campaign", "none")
    kim.fill("Campaign", str(campaign))
    kim.press("Show")
    kim.see("6 recipients.")
    kim.tick(f"Choose 61400000200 of campaign {campaign}")
    kim.press("Send the chosen ones again")
    kim.told("They are sent again")
    kim.has("Account", "acme", "Campaign", str(campaign))
    kim.tick(f"Choose 61400000201 of campaign {campaign}")
    kim.press("Count the chosen ones as failed")
    kim.told("They count as failed")
    assert kim.page.get_by_label("Choose 61400000201").count() == 0
    kim.follow("Settle all of them")
    kim.press("Count all as failed")
    kim.told("They count as failed")
    doubt()
    kim.open(f"/operator/uncertain/all?campaign={campaign}")
    kim.press("Send all again")
    kim.told("They are sent again")


def numbers(kim: Someone, running: Running) -> None:
    """A number with what came to it before; and it is taken away."""
    nobody_knows(running, "1997", 61400000301)
    kim.open("/operator/numbers")
    kim.fill("Number", "1997", "Account", "nobody")
    kim.choose("Kind", "Opt-outs: who writes to it opts out")
    kim.tick("Also assign what came to it before")
    kim.press("Add it", 400)
    kim.refused("There is no account 'nobody'")
    kim.has("Number", "1997", "Account", "nobody", "Kind", "optout")
    assert kim.page.get_by_label("Also assign what came to it before").is_checked()
    kim.fill("Account", "acme")
    kim.choose("Kind", "Dedicated: all replies are one account's")
    kim.press("Add it")
    kim.told("Replies to it are taken from now on.")
    assert "acme" in kim.row("1997").inner_text()
    assert kim.row("1997").locator("td.num").first.inner_text() == "0"
    kim.press("Remove 1997")
    kim.told("Replies to it are kept as nobody's from now on.")
    assert kim.row("1997").count() == 0


def nobody_knows(running: Running, to: str, *handsets: int) -> None:
    """Handsets write to a number that is nobody's."""
    now = running.node.clock.now_ms()
    running.sql(
        *(
            f"INSERT INTO unrouted_reply VALUES ({handset}, {now}, 1, '{handset}', {handset}, '{to}', 'Hi', 1, 0)"
            for handset in handsets
        )
    )


def nobodys(kim: Someone, running: Running) -> None:
    """What is nobody's is given to an account, some and all of it; or thrown away, one, some and all of it."""
    nobody_knows(running, SHORT_CODE, *range(61400000310, 61400000316))
    nobody_knows(running, "1996", 61400000320)
    kim.open("/operator/unrouted")
    kim.fill("Came to", SHORT_CODE)
    kim.press("Show")
    assert kim.page.locator("tbody tr").count() == 6
    kim.tick("Choose the one from 61400000310")
    kim.fill("Account", "nobody")
    kim.press("Give it the chosen ones", 400)
    kim.refused("There is no account 'nobody'")
    kim.has("Account", "nobody", "Came to", SHORT_CODE)
    assert kim.page.locator("tbody tr").count() == 6
    assert kim.page.locator("tbody :checked").count() == 1
    kim.fill("Account", "acme")
    kim.press("Give it the chosen ones")
    kim.told("They are in the account's inbox now")

    kim.fill("Came to", "1996")
    kim.press("Show")
    kim.fill("Account", "nobody")
    kim.press("Give it everything that came to 1996", 400)
    kim.refused("There is no account 'nobody'")
    kim.has("Account", "nobody", "Came to", "1996")
    # The other form of that page still leads where it says.
    kim.fill("Came to", SHORT_CODE)
    kim.press("Show")
    assert kim.page.locator("tbody tr").count() == 5
    kim.fill("Came to", "1996")
    kim.press("Show")
    kim.fill("Account", "acme")
    kim.press("Give it everything that came to 1996")
    kim.told("They are in the account's inbox now")

    kim.press("Delete… the one from 61400000311")
    kim.see("Delete 1 reply?")
    kim.press("Delete it")
    kim.told("They are thrown away.")
    kim.tick("Choose the one from 61400000312")
    kim.tick("Choose the one from 61400000313")
    kim.press("Delete the chosen ones…")
    kim.see("Delete 2 replies?")
    kim.press("Delete them")
    kim.told("They are thrown away.")
    kim.fill("Came to", SHORT_CODE)
    kim.press("Show")
    kim.press(f"Delete everything that came to {SHORT_CODE}…")
    kim.press("Delete them")
    kim.told("They are thrown away.")
    kim.see("Every reply is somebody's")


def keywords(kim: Someone) -> None:
    """A word is added and removed; what it was to do is not forgotten over a mistake."""
    kim.open("/operator/keywords")
    kim.fill("Word", "...")
    kim.choose("What it does", "Brings back")
    kim.press("Add it", 400)
    kim.refused("can be no keyword")
    kim.has("Word", "...", "What it does", "start")
    kim.fill("Word", "hello again")
    kim.press("Add it")
    kim.told("It works from now on")
    back = kim.card("Bring back")
    kim.press("Remove hello again", within=back)
    kim.told("It is a word like any other from now on.")
    assert "hello again" not in back.inner_text()


def quarantine(kim: Someone, running: Running) -> None:
    """What was put aside is looked through by kind and thrown away."""
    for kind in ("receipt", "receipt", "message"):
        running.sql(
            "INSERT INTO quarantine (at, carrier_id, kind, body, reason) "
            f"VALUES ({running.node.clock.now_ms()}, 1, '{kind}', x'0001', 'no id')"
        )
    kim.open("/operator/quarantine")
    kim.choose("Kind", "receipt (2)")
    kim.press("Show")
    kim.tick("All on this page")
    kim.press("Throw the chosen ones away")
    kim.told("They are gone.")
    kim.see("None of that kind")
    kim.follow("Show all")
    kim.tick("message")
    kim.press("Throw the chosen ones away")
    kim.see("Nothing is put aside")


def carriers(kim: Someone) -> None:
    """Added, tried, paused, let go on, changed, and taken out of service."""
    kim.open("/operator/carriers/new")
    kim.fill("Name", "telco", "host", "127.0.0.1", "port", "none", "system_id", "acme", "Password", "secret")
    kim.press("Add the carrier", 400)
    kim.page.locator(".problem").wait_for()
    kim.has("Name", "telco", "host", "127.0.0.1", "port", "none", "system_id", "acme")
    kim.fill("port", "1", "Password", "secret")
    kim.press("Add the carrier")
    kim.told("The carrier is there.")
    kim.click("Check it")
    kim.see("It cannot be bound to.")
    kim.press("Pause")
    kim.told("Paused.")
    kim.press("Resume")
    kim.told("It is given messages again.")
    kim.follow("Change")
    kim.fill("system_id", "a" * 16)
    kim.press("Save", 400)
    kim.page.locator(".problem").wait_for()
    kim.has("system_id", "a" * 16)
    kim.fill("system_id", "acme2")
    kim.press("Save")
    kim.told("Saved.")
    kim.see("as acme2")
    kim.follow("Remove")
    kim.press("Pause it instead")
    kim.told("Paused.")
    kim.follow("Remove")
    kim.press("Remove it")
    kim.told("It is out of service.")
    assert kim.row("telco").count() == 0


# --- what was done, and who did it -------------------------------------------------------------------------------


def audit(kim: Someone) -> None:
    """Every filter at once; each stays as it was chosen."""
    kim.open("/operator/audit")
    kim.choose("Done by", "Operators")
    kim.choose("What", "carrier removed")
    kim.fill("Name", "kim", "Carrier", "telco", "From", "2001-01-01", "To", "2999-01-01")
    kim.press("Show")
    assert kim.page.locator("tbody tr").count() == 1
    kim.has("Done by", "operator", "What", "carrier removed", "Name", "kim", "Carrier", "telco")
    kim.has("From", "2001-01-01", "To", "2999-01-01")
    kim.fill("Account", "acme")
    kim.press("Show")
    kim.see("No change fits")


def own_login(kim: Someone) -> None:
    """Another password; whoever is signed in elsewhere is signed out."""
    other = kim.walk.someone()
    other.enter("kim", operator=True)
    kim.open("/operator/settings")
    kim.fill("Current password", "wrong password")
    kim.fill("New password", NEW_PASSWORD, "New password again", NEW_PASSWORD)
    kim.press("Change the password", 403)
    kim.refused("That is not the current password.")
    kim.fill("Current password", PASSWORD)
    kim.fill("New password", NEW_PASSWORD, "New password again", NEW_PASSWORD)
    kim.press("Change the password")
    kim.told("Your password is changed.")
    other.open("/operator/settings")
    other.fill("Operator", "kim", "Password", NEW_PASSWORD)
    other.press("Sign in")
    assert other.page.url == f"{other.base}/operator/settings"
    kim.press("Sign me out everywhere else")
    kim.told("You are signed out everywhere else.")
    other.open("/operator/settings")
    assert "/operator/sign-in" in other.page.url


def without_scripts(lee: Someone) -> None:
    """The theme is a form like any other where there are no scripts, also on a page that refused something."""
    lee.open("/operator/sign-in")
    lee.fill("Operator", "kim", "Password", NEW_PASSWORD)
    lee.press("Sign in")
    lee.open("/operator/settings")
    lee.fill("Current password", "wrong password")
    lee.fill("New password", NEW_PASSWORD, "New password again", NEW_PASSWORD)
    lee.press("Change the password", 403)
    lee.press("Theme: as the system")
    assert lee.page.url == f"{lee.base}/operator/settings"
    assert 'data-theme="dark"' in lee.page.content()
