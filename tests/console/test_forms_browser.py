"""Every form on the pages of an account, and of whoever has none yet, is sent in a real Chromium.

One walk, so that it can tell whether a form is missing. Each form is filled in by its labels and sent with its
button, with a mistake first where that is cheap: what was typed is still there, and the page says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.console.support_browser import NUMBER, PASSWORD, Running, chromium
from tests.console.support_forms import Someone, Walk, given_up, marking, receiver

__all__ = ["chromium"]

ZONE = "Australia/Sydney"
NEW_PASSWORD = "another long password"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = {"webhook_allow_private": True, "signup_countries": ["AU", "NZ"]}
    with marking(), Running(tmp_path_factory.mktemp("forms"), settings=settings) as found:
        yield found


def test_every_form_of_accounts(running: Running, chromium: Browser, tmp_path: Path) -> None:
    walk = Walk(chromium, running.base)
    ann = walk.someone()
    sign_in(ann)
    compose(ann, tmp_path)
    try_it_first(ann)
    scheduled(ann, running)
    look_things_up(ann)
    lists(ann, tmp_path)
    credits_and_settings(ann)
    optouts(ann)
    replies(ann, running)
    webhook(ann, running)
    approved_senders(ann, running)
    ann.click("Theme")
    assert ann.page.evaluate("document.documentElement.dataset.theme") == "dark"
    ann.press("Sign out")
    ann.told("You are signed out.")
    sign_up(walk.someone(), running)
    without_scripts(walk.someone(scripts=False))
    assert walk.faults == []
    assert walk.left(operators=False) == []


def test_what_nobody_uses_is_missed(chromium: Browser) -> None:
    """A form, a button that sends one elsewhere, one that only asks, and an address that takes one."""
    nobody = Walk(chromium, "http://127.0.0.1")
    missed = [re.sub(r":\d+", "", told) for told in nobody.left(operators=False)]
    for told in (
        "compose.html <form action=/compose",
        "list.html <button formaction=/lists/{{ each.id }}/remove",
        "_meter.html <button formaction=/compose/fix",
        "_sender_field.html <input hx-post=/compose/count",
        "campaigns.html <form action=/campaigns",
        "POST /theme",
    ):
        assert told in missed
    nobody.asked.add("/lists/1000001/remove")
    assert "POST /lists/{id}/remove" in missed
    assert "POST /lists/{id}/remove" not in nobody.left(operators=False)
    assert "POST /operator/accounts/{id}/suspend" in nobody.left(operators=True)


def sign_in(ann: Someone) -> None:
    """A wrong password, then the right one; on to where one wanted to go."""
    ann.open("/lists")
    ann.fill("Account", "acme", "Password", "wrong password")
    ann.press("Sign in", 403)
    ann.refused("That name and password do not go together.")
    ann.has("Account", "acme", "Password", "")
    ann.fill("Password", PASSWORD)
    ann.press("Sign in")
    assert ann.page.url == f"{ann.base}/lists"


# --- a message, from its text to the end of its campaign ---------------------------------------------------------


def compose(ann: Someone, folder: Path) -> None:
    """A text is counted and put right, mistakes are told, nothing that was typed is lost."""
    people = folder / "people.csv"
    people.write_text("Name,Mobile\nBob,0400 000 777\n", encoding="utf-8")
    ann.open("/compose")
    ann.fill("Message", "It’s tomorrow", "Sender", "!", "Numbers", "nobody")
    ann.see("right single quotation mark", "0 valid · 0 duplicate · 1 invalid")
    ann.click("Use these instead")
    ann.see("GSM 7-bit · ")
    ann.page.get_by_text("Reference", exact=True).first.click()
    ann.fill("Reference", "June")
    ann.labelled("From a file").set_input_files(people)
    # Who says a time means it.
    ann.fill(f"Day and time, {ZONE}", "2001-02-03T04:05")
    assert ann.labelled(f"At a time, {ZONE}").is_checked()
    ann.press("Rehearse", 400)
    ann.refused("A sender is a number")
    ann.refused("That time has passed")
    # No browser lets a page keep a file; its recipients must not be forgotten.
    ann.refused("Choose people.csv again")
    ann.has("Message", "It's tomorrow", "Sender", "!", "Numbers", "nobody", "Reference", "June")
    ann.has(f"Day and time, {ZONE}", "2001-02-03T04:05")
    ann.fill("Sender", "CLINIC")
    # At once, whatever time is still written there.
    ann.labelled("At once").check()
    ann.press("Rehearse", 400)
    ann.refused("That is no mobile number.")
    ann.labelled("From a file").set_input_files(people)
    ann.press("Rehearse")
    ann.see("Nothing has been sent.", "column Mobile of people.csv", "Send to 1 for 1 credit")


def try_it_first(ann: Someone) -> None:
    """To one's own phone; then the draft is changed, and another one thrown away."""
    ann.fill("My number", "nobody")
    ann.press("Send it to me", 400)
    ann.refused("That is no mobile number.")
    ann.has("My number", "nobody")
    ann.fill("My number", "0400 000 999")
    ann.press("Send it to me")
    ann.told("It is on its way to your phone.")
    ann.follow("Change it")
    assert ann.page.get_by_label("Keep the 1 recipient of this draft").is_checked()
    # Whoever presses Enter wants what the form is for, not the first button in it.
    ann.fill("Message", "It’s next week")
    ann.see("right single quotation mark")
    with ann.page.expect_navigation():
        ann.labelled("Sender").press("Enter")
    ann.see("It’s next week", "Send to 1 for 1 credit")
    ann.press("Throw it away")
    ann.told("The draft is gone; nothing was sent.")


def scheduled(ann: Someone, running: Running) -> None:
    """Sent for later, paused, let go on, changed in time and after it, cancelled."""
    ann.fill("Message", "Later", "Sender", "CLINIC", "Numbers", "0400 000 001, 0400 000 002")
    ann.fill(f"Day and time, {ZONE}", "2031-02-03T04:05")
    ann.press("Rehearse")
    ann.press("Schedule to 2 for 2 credits")
    ann.told("Accepted.")
    campaign = int(re.findall(r"/campaigns/(\d+)", ann.page.url)[0])
    ann.press("Pause")
    ann.told("Paused.")
    ann.press("Resume")
    ann.told("It goes on.")
    ann.follow("Edit")
    ann.fill("Sender", "?", "Message", "Much later")
    ann.press("Save", 400)
    ann.refused("A sender is a number")
    ann.has("Sender", "?", "Message", "Much later", f"Day and time, {ZONE}", "2031-02-03T04:05")
    ann.fill("Sender", "DENTIST")
    ann.press("Save")
    ann.told("Saved.")
    ann.see("Much later", "DENTIST")
    ann.press("Pause")
    # Its time goes by while it is paused: the text can be changed all the same.
    running.sql(f"UPDATE campaign SET due_at = due_at - 315360000000 WHERE id = {campaign}")
    ann.follow("Edit")
    ann.has(f"Day and time, {ZONE}", "2021-02-05T04:05")
    ann.fill("Message", "Too late")
    ann.press("Save")
    ann.told("Saved.")
    ann.see("Too late")
    ann.follow("Cancel", ann.page.locator(".actions"))
    ann.press("Cancel it")
    ann.told("Cancelled.")
    ann.fill("What happened to one number?", "0400 000 009")
    ann.press("Look it up")
    ann.refused("0400 000 009 is not among the recipients of this campaign.")
    ann.has("Number", "0400 000 009")
    ann.fill("Number", "0400 000 001")
    ann.press("Show")
    ann.see("Did they get it?")
    ann.follow("Recipients")
    ann.choose("State", "delivered")
    ann.press("Show")
    ann.see("Nobody of this state yet")


def look_things_up(ann: Someone) -> None:
    """Filters of what was sent and done; they stay as they were chosen."""
    ann.open("/campaigns")
    ann.fill("Find", "Too late")
    ann.choose("State", "Deleted")
    ann.tick("Without single messages")
    ann.press("Show")
    assert ann.page.locator("tbody tr").count() == 1
    ann.has("Find", "Too late", "State", "deleted")
    ann.fill("Find", "nothing like it")
    ann.press("Show")
    ann.see("No campaign fits")
    ann.open("/settings/audit")
    ann.choose("What", "campaign cancelled")
    ann.choose("Done by", "This account")
    ann.press("Show")
    assert ann.page.locator("tbody tr").count() == 1
    ann.fill("To", "2001-01-01")
    ann.press("Show")
    ann.see("Nothing fits")
    ann.has("To", "2001-01-01", "What", "campaign cancelled")


# --- lists -------------------------------------------------------------------------------------------------------


def lists(ann: Someone, folder: Path) -> None:
    """Made of pasted numbers and of a file, added to, taken from, looked into, deleted."""
    ann.open("/lists/new")
    both = folder / "both.csv"
    both.write_text("0400 000 009\n", encoding="utf-8")
    ann.fill("Name", "Friends", "Or numbers", "nobody")
    ann.labelled("From a file").set_input_files(both)
    ann.press("Go on", 400)
    ann.refused("Take the numbers or the file now")
    ann.refused("Choose both.csv again")
    ann.press("Go on", 400)
    ann.refused("None of these is a number.")
    ann.has("Name", "Friends", "Or numbers", "nobody")
    ann.fill("Or numbers", "0400 000 001\n0400 000 002")
    ann.press("Go on")
    ann.told("The list is there.")
    ann.fill("Numbers", "nobody")
    ann.press("Take these out", 400)
    ann.refused("None of these is a number.")
    ann.has("Numbers", "nobody")
    # The other form of that page still leads where it says.
    ann.fill("Is a number in it?", "0400 000 002")
    ann.press("Look")
    assert ann.page.locator(".numbers li").all_inner_texts() == ["61400000002"]
    ann.fill("Numbers", "0400 000 002")
    ann.press("Take these out")
    ann.told("The numbers were taken out.")
    ann.fill("Numbers", "nobody")
    ann.press("Add these", 400)
    ann.has("Numbers", "nobody")
    ann.fill("Numbers", "0400 000 003, 0400 000 004")
    ann.press("Add these")
    ann.told("The numbers were added.")
    ann.see("2 numbers changed.")
    assert ann.page.locator(".numbers li").count() == 3

    people = folder / "members.csv"
    people.write_text("Mobile,Partner\n0400 000 005,0400 000 006\n0400 000 007,\n", encoding="utf-8")
    ann.labelled("Or add from a file").set_input_files(people)
    ann.fill("Numbers", "0400 000 008")
    ann.press("Choose the column", 400)
    # Neither is dropped without a word.
    ann.refused("Take the numbers or the file now")
    ann.has("Numbers", "0400 000 008")
    ann.labelled("Or add from a file").set_input_files(people)
    ann.fill("Numbers", "")
    ann.press("Choose the column")
    ann.choose("Column", "Partner")
    ann.choose("Into", "A new list")
    ann.fill("Name of the new list", " ")
    ann.press("Import", 400)
    ann.refused("Give the new list a name.")
    # The column that was chosen is still chosen, and not again the one that looks best.
    ann.has("Column", "1", "Into", "0", "Name of the new list", " ")
    ann.fill("Name of the new list", "Partners")
    ann.press("Import")
    ann.see("1 number added")
    ann.follow("Go to the list")
    ann.see("Partners", "1 number. CrmId")
    ann.open("/lists")
    ann.fill("Find", "partn")
    ann.press("Show")
    assert ann.page.locator("tbody tr").count() == 1
    ann.follow("Partners")
    ann.follow("Delete")
    ann.press("Delete it")
    ann.told("The list is deleted.")
    assert ann.row("Partners").count() == 0


# --- the account itself ------------------------------------------------------------------------------------------


def credits_and_settings(ann: Someone) -> None:
    """Credits, zone and password; whoever is signed in elsewhere is signed out."""
    ann.open("/credits")
    ann.fill("How many", "some")
    ann.press("Add", 400)
    ann.refused("Say how many credits")
    ann.has("How many", "some")
    ann.fill("How many", "1,500")
    ann.press("Add")
    ann.told("The credits were added")
    assert "+1,500" in ann.row("Top-up").first.inner_text()

    ann.open("/settings")
    ann.choose("Time zone", "Asia/Tokyo")
    ann.tick("The API returns times in UTC")
    ann.press("Save")
    ann.told("Saved.")
    ann.has("Time zone", "Asia/Tokyo")
    assert ann.page.get_by_label("The API returns times in UTC").is_checked()

    other = ann.walk.someone()
    other.enter("acme")
    ann.fill("Current password", "wrong password")
    ann.fill("New password", NEW_PASSWORD, "New password again", NEW_PASSWORD)
    ann.press("Change the password", 403)
    ann.refused("That is not the current password.")
    other.open("/settings")
    assert other.page.url == f"{other.base}/settings"
    ann.fill("Current password", PASSWORD)
    ann.fill("New password", NEW_PASSWORD, "New password again", NEW_PASSWORD)
    ann.press("Change the password")
    ann.told("The password is changed")
    other.open("/settings")
    assert "/sign-in" in other.page.url
    other.fill("Account", "acme", "Password", NEW_PASSWORD)
    other.press("Sign in")
    assert other.page.url == f"{other.base}/settings"
    ann.press("Sign everybody else out")
    ann.told("Everybody else is signed out.")
    other.open("/settings")
    assert "/sign-in" in other.page.url


def optouts(ann: Someone) -> None:
    """By hand, many and one."""
    ann.open("/optouts")
    ann.fill("Numbers", "nobody")
    ann.press("Let these be written to again", 400)
    ann.refused("None of these is a number.")
    ann.fill("Numbers", "nothing")
    ann.press("Opt these out", 400)
    ann.refused("None of these is a number.")
    ann.has("Numbers", "nothing")
    # The other form of that page still leads where it says.
    ann.fill("One number's history", "0400 000 011")
    ann.press("Look")
    ann.see("Never opted out: it can be written to.")
    ann.press("Opt it out")
    ann.told("They are not written to from now on.")
    ann.fill("Numbers", "0400 000 012\n0400 000 013")
    ann.press("Opt these out")
    ann.see("2 numbers changed.")
    ann.fill("Numbers", "0400 000 012")
    ann.press("Let these be written to again")
    ann.told("They can be written to again")
    assert ann.page.locator("tbody tr").count() == 2
    ann.follow("61400000011")
    ann.press("Let it be written to again")
    ann.told("They can be written to again")
    assert ann.page.locator("tbody th").all_inner_texts() == ["61400000013"]


# --- what people write -------------------------------------------------------------------------------------------


def replies(ann: Someone, running: Running) -> None:
    """One is looked for and answered."""
    running.text("What time?", "61400000021")
    services = running.node.console_services
    assert services is not None
    account = running.run(services.accounts.find("acme"))
    for _ in range(200):
        if running.run(services.conversations.find(account, 61400000021)) is not None:
            break
        ann.page.wait_for_timeout(50)
    ann.open("/replies")
    ann.see("What time?")
    ann.fill("Number", "0400 000 022")
    ann.press("Show")
    ann.refused("0400 000 022 has not written to you.")
    ann.choose("Show", "Opted out")
    ann.fill("Number", "")
    ann.press("Show")
    ann.has("Show", "stops")
    ann.fill("Number", "0400 000 021")
    ann.press("Show")
    assert ann.page.url == f"{ann.base}/replies/61400000021"
    box = ann.labelled(f"From {NUMBER}")
    box.fill("x" * 2001)
    ann.see("It is longer than 2,000 characters.")
    ann.press("Send the answer", 400)
    ann.refused("It is longer than 2,000 characters.")
    assert box.input_value() == "x" * 2001
    box.fill("At ten.")
    ann.press("Send the answer")
    ann.told("Your answer is on its way.")
    ann.page.locator(".thread .ours", has_text="At ten.").wait_for()


def webhook(ann: Someone, running: Running) -> None:
    """Set, tried, taken away; what was given up is sent again, one and all of them."""
    with receiver(running) as received:
        ann.open("/settings/webhook")
        ann.fill("Address", "ftp://example.org/", "User name", "robot", "Password", "secret")
        ann.press("Save", 400)
        ann.page.locator(".problem").first.wait_for()
        ann.has("Address", "ftp://example.org/", "User name", "robot")
        ann.fill("Address", received.url, "Password", "secret")
        ann.press("Save")
        ann.told("Saved.")
        ann.see(f"Now {received.url}.")
        ann.has("User name", "robot", "Address", "")
        ann.press("Send a test")
        ann.told(f"127.0.0.1:{received.port} took the test.")
        given_up(running, 9100, 9101, 9102)
        ann.open("/settings/webhook?state=given-up")
        ann.press("Send again reply 9101")
        ann.told("It is sent again.")
        ann.press("Send all that were given up again")
        ann.told("It is sent again.")
        ann.open("/settings/webhook?state=given-up")
        ann.see("None is in this state.")
        ann.press("Take it away")
        ann.told("Replies are not sent anywhere any more")
        ann.see("There is none.")


# --- whom one may be ---------------------------------------------------------------------------------------------


def approved_senders(ann: Someone, running: Running) -> None:
    """Where only some senders are approved, one is chosen of them."""
    services = running.node.console_services
    assert services is not None
    running.run(services.desk.senders.add("acme", ["CLINIC", NUMBER]))
    running.run(services.accounts.set("acme", approved_only=True))
    ann.open("/compose")
    ann.fill("Message", "Hello")
    ann.choose("Sender", "CLINIC")
    ann.page.locator("#phone .from", has_text="CLINIC").wait_for()
    ann.fill("Numbers", "0400 000 031")
    ann.press("Rehearse")
    ann.press("Send to 1 for 1 credit")
    ann.told("Accepted.")
    running.run(services.desk.senders.remove("acme", ["CLINIC"]))
    # Who it is from is not changed without a word.
    ann.follow("Copy")
    ann.has("Sender", "CLINIC")
    ann.fill("Numbers", "0400 000 031")
    ann.press("Rehearse", 400)
    ann.refused("CLINIC is not approved for this account.")
    ann.has("Sender", "CLINIC")


def sign_up(cleo: Someone, running: Running) -> None:
    """A stranger, with a mistake; the link in the mail; the first visit."""
    cleo.open("/signup")
    cleo.fill("Company, or your name", "Cleo & Co", "E-mail address", "cleo@example.org", "User name", "acme")
    cleo.fill("Password", PASSWORD, "The same once more", PASSWORD)
    cleo.choose("Country", "NZ")
    cleo.choose("Time zone", "Pacific/Auckland")
    cleo.press("Sign up", 400)
    cleo.refused("That user name is taken.")
    cleo.has("Company, or your name", "Cleo & Co", "E-mail address", "cleo@example.org", "User name", "acme")
    cleo.has("Country", "NZ", "Time zone", "Pacific/Auckland")
    cleo.fill("User name", "cleo", "Password", PASSWORD, "The same once more", PASSWORD)
    cleo.press("Sign up")
    cleo.see("Look into your mail")
    for _ in range(100):
        if running.post.mails:
            break
        cleo.page.wait_for_timeout(100)
    link = re.search(r"(/signup/confirm\?key=[\w-]+)", running.post.mails[-1][2].get_content())
    assert link is not None
    cleo.open(link[1])
    cleo.press("Make my account")
    cleo.told("Your account is there.")
    cleo.enter("cleo")


def without_scripts(dora: Someone) -> None:
    """The theme is a form like any other where there are no scripts, also on a page that refused something."""
    dora.open("/sign-in")
    dora.fill("Account", "acme", "Password", NEW_PASSWORD)
    dora.press("Sign in")
    dora.press("Theme: as the system")
    assert 'data-theme="dark"' in dora.page.content()
    dora.open("/optouts")
    dora.fill("Numbers", "nobody")
    dora.press("Opt these out", 400)
    dora.press("Theme: dark")
    assert 'data-theme="light"' in dora.page.content()
