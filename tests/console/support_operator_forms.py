"""An operator's way through the forms of accounts: what they are, may do and pay, and who wants to be one."""

from __future__ import annotations

from cooee.model.signup import Wish
from tests.console.support_browser import PASSWORD, Running
from tests.console.support_forms import Someone, given_up, receiver

NEW_PASSWORD = "another long password"


def a_new_account(kim: Someone) -> None:
    """Added, found again, and changed."""
    kim.open("/operator/accounts/new")
    kim.fill("Name", "perth", "Opening balance", "many", "Daily cap", "lots", "Country", "NZ")
    kim.fill("Password", PASSWORD, "Password again", PASSWORD)
    kim.choose("Time zone", "Pacific/Auckland")
    kim.tick("Smart encoding")
    kim.press("Add the account", 400)
    kim.refused("'many' is no whole number.")
    kim.refused("'lots' is no whole number.")
    kim.has("Name", "perth", "Opening balance", "many", "Daily cap", "lots", "Country", "NZ")
    kim.has("Time zone", "Pacific/Auckland", "Password", "")
    assert kim.page.get_by_label("Smart encoding").is_checked()
    kim.fill("Opening balance", "1,200", "Daily cap", "", "Password", PASSWORD, "Password again", PASSWORD)
    kim.press("Add the account")
    kim.told("The account is there.")
    kim.see("1,200")
    kim.open("/operator")
    kim.fill("Find", "pert")
    kim.choose("State", "Active")
    kim.press("Show")
    assert kim.page.locator("tbody tr").count() == 1
    kim.follow("perth")
    kim.follow("Settings")
    kim.fill("Send window", "in the morning", "Low balance", "100")
    kim.choose("Originators", "Approved sender IDs only")
    kim.press("Save", 400)
    kim.page.locator("#window-problem").wait_for()
    kim.has("Send window", "in the morning", "Low balance", "100", "Originators", "approved")
    kim.fill("Send window", "08:00-21:00")
    kim.press("Save")
    kim.told("Saved.")
    kim.has("Send window", "08:00-21:00", "Low balance", "100", "Originators", "approved")


def its_money(kim: Someone) -> None:
    """Credits are taken; the bill of another month; rates of its own."""
    kim.follow("Credits")
    kim.choose("What", "Take")
    kim.fill("How many", "some", "Why", "Paid twice")
    kim.press("Change the balance", 400)
    kim.refused("'some' is no whole number.")
    kim.has("What", "1", "How many", "some", "Why", "Paid twice")
    kim.fill("How many", "200")
    kim.press("Change the balance")
    kim.told("The balance is changed")
    assert "-200" in kim.row("Paid twice").inner_text()
    kim.follow("Bill")
    before = kim.labelled("Month").locator("option").nth(1).inner_text()
    kim.choose("Month", before)
    kim.press("Show")
    kim.see(f"in {before}, in Pacific/Auckland")
    kim.has("Month", before)
    kim.follow("Rates", kim.page.locator(".tabs"))
    kim.fill("Country", "Narnia", "Credits a segment", "3")
    kim.press("Set it", 400)
    kim.page.locator(".problem").wait_for()
    kim.has("Country", "Narnia", "Credits a segment", "3")
    kim.fill("Country", "NZ")
    kim.press("Set it")
    kim.told("The rate is set.")
    kim.press("Remove the rate of NZ")
    kim.told("The rate is gone.")
    kim.see("No rates yet")


def its_senders(kim: Someone) -> None:
    """Sender IDs are approved and taken back, and cease to matter."""
    kim.follow("Sender IDs")
    kim.fill("Sender IDs, one a line", "ACME\n?")
    kim.press("Approve", 400)
    kim.page.locator(".problem").wait_for()
    kim.has("Sender IDs, one a line", "ACME\n?")
    kim.fill("Sender IDs, one a line", "ACME\nDENTIST")
    kim.press("Approve")
    kim.told("Approved.")
    kim.tick("ACME")
    kim.press("Take the chosen ones back")
    kim.told("Taken back.")
    assert kim.page.locator(".choices").inner_text() == "DENTIST"
    kim.press("Let any originator pass")
    kim.told("Saved.")
    kim.see("Any valid originator.")
    kim.press("Let only these pass")
    kim.see("Approved sender IDs only.")


def its_access(kim: Someone) -> None:
    """Suspended, let go on, and given another password."""
    kim.follow("Access")
    kim.press("Suspend perth")
    kim.told("Suspended.")
    kim.press("Make it active again")
    kim.told("It is active again")
    kim.fill("New password", NEW_PASSWORD, "New password again", PASSWORD)
    kim.press("Change the password", 400)
    kim.refused("The password was not typed the same way twice.")
    kim.fill("New password", NEW_PASSWORD, "New password again", NEW_PASSWORD)
    kim.press("Change the password")
    kim.told("The password is changed.")


def its_replies(kim: Someone, running: Running) -> None:
    """Webhook and keywords of an account; and what was given up, over all accounts."""
    kim.open("/operator?q=acme")
    kim.follow("acme")
    kim.follow("Replies", kim.page.locator(".tabs"))
    with receiver(running) as received:
        hook, words = kim.card("Webhook"), kim.card("Keywords")
        kim.fill("Address", "ftp://example.org/", "User name", "robot")
        kim.press("Save", 400, hook)
        kim.page.locator(".problem").wait_for()
        kim.has("Address", "ftp://example.org/", "User name", "robot")
        kim.fill("Address", received.url)
        kim.press("Save", within=hook)
        kim.told("Saved.")
        kim.has("User name", "robot")
        kim.press("Send a test")
        kim.told(f"127.0.0.1:{received.port} took the test.")
        given_up(running, 9100, 9101)
        kim.follow("Replies", kim.page.locator(".tabs"))
        kim.press("Send all that were given up again")
        kim.told("They are sent again.")

        services = running.node.console_services
        assert services is not None
        running.run(services.accounts.set("acme", allow_long=False))
        box = "STOP, START and their kin work for its numbers"
        kim.page.get_by_label(box).uncheck()
        kim.fill("Answer to who opts out", "x" * 200, "Answer to who comes back", "Welcome")
        kim.press("Save", 400, words)
        kim.refused("The answer takes 2 segments")
        kim.has("Answer to who opts out", "x" * 200, "Answer to who comes back", "Welcome")
        assert not kim.page.get_by_label(box).is_checked()
        kim.fill("Answer to who opts out", "You hear no more.")
        kim.press("Save", within=words)
        kim.told("Saved.")
        kim.has("Answer to who opts out", "You hear no more.", "Answer to who comes back", "Welcome")
        assert not kim.page.get_by_label(box).is_checked()

        given_up(running, 9200, 9201)
        kim.open("/operator/webhooks")
        kim.fill("Account", "nobody")
        kim.press("Show")
        kim.page.locator(".problem").wait_for()
        kim.has("Account", "nobody")
        kim.fill("Account", "acme")
        kim.press("Show")
        kim.press("Send the chosen ones again", 400)
        kim.refused("Nothing was chosen.")
        kim.tick("All on this page")
        kim.press("Send the chosen ones again")
        kim.told("They are sent again.")
        kim.see("Nothing was given up")
        kim.open("/operator?q=acme")
        kim.follow("acme")
        kim.follow("Replies", kim.page.locator(".tabs"))
        kim.press("Take it away")
        kim.told("Saved.")
        assert kim.page.get_by_role("button", name="Take it away").count() == 0


# --- who there is, and what it costs -----------------------------------------------------------------------------


def rates(kim: Someone) -> None:
    """What everybody pays."""
    kim.open("/operator/rates")
    kim.fill("Country", "FJ", "Credits a segment", "few")
    kim.press("Set it", 400)
    kim.refused("'few' is no whole number.")
    kim.has("Country", "FJ", "Credits a segment", "few")
    kim.fill("Credits a segment", "7")
    kim.press("Set it")
    kim.told("The rate is set.")
    assert "7" in kim.row("FJ").inner_text()
    kim.press("Remove the rate of FJ")
    kim.told("The rate is gone.")


def sign_ups(kim: Someone, running: Running) -> None:
    """One hears again, one is refused, one is approved."""
    services = running.node.console_services
    assert services is not None
    for name in ("bob", "cleo"):
        wish = Wish(name, "A company", f"{name}@example.org", "Australia/Perth", "AU")
        running.run(services.signups.ask(wish, PASSWORD, "127.0.0.1"))
    kim.open("/operator/signups")
    kim.press("Mail again to bob")
    kim.told("Its mail goes out again")
    kim.press("Refuse bob")
    kim.told("Refused.")
    kim.press("Approve cleo")
    kim.told("Approved")
    kim.see("Nobody waits")
    kim.choose("Show", "Decided or expired")
    kim.press("Show")
    assert "refused" in kim.row("bob").inner_text()
    assert "approved" in kim.row("cleo").inner_text()
