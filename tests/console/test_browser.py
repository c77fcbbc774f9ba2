"""The console in a real Chromium: every page at three widths, light and dark, without an error or a request that
leaves the host; and the way from a list to a delivered message by keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.console.support_browser import (
    NUMBER,
    PASSWORD,
    PICTURES,
    WIDTHS,
    Running,
    Scheme,
    Watched,
    chromium,
    context_of,
    keep,
    paths,
    signed_in,
)

__all__ = ["chromium"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("browser")) as found:
        yield found


def test_the_whole_way_by_keyboard(running: Running, chromium: Browser, tmp_path: Path) -> None:
    """Sign in, upload a list, write to it, rehearse, send, watch it deliver, read one recipient's story, answer
    what they reply, and see that they opt out."""
    people = tmp_path / "people.csv"
    rows = "".join(f"Person {at},0400 {at // 1000:03d} {at % 1000:03d}\n" for at in range(1200))
    people.write_text(f"Name,Mobile\n{rows}Somebody,hello\n", encoding="utf-8")
    context = context_of(chromium, 1280, "light")
    watched = signed_in(context, running.base)
    page = watched.page

    page.goto(f"{running.base}/lists/new")
    page.focus("#name")
    page.keyboard.type("Members")
    page.set_input_files("#file", people)
    page.focus("form.card button.primary")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/lists/upload/\d+"))
    page.focus("form button.primary")
    page.keyboard.press("Enter")
    page.get_by_text("1,200 numbers added").wait_for(timeout=20_000)
    page.get_by_role("link", name="Write to it").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/compose\?list="))

    page.focus("#message")
    page.keyboard.type("It’s time: your check-up is due. Call us, or reply STOP to opt out.")
    page.get_by_text("right single quotation mark").wait_for()
    page.get_by_role("button", name="Use these instead").focus()
    page.keyboard.press("Enter")
    page.get_by_text("GSM 7-bit · ").wait_for()
    assert page.input_value("#message").startswith("It's time")
    page.focus("#originator")
    page.keyboard.type(NUMBER)
    page.locator("#recipients").fill("0400 999 999\nhello")
    page.get_by_text("1 valid · 0 duplicate · 1 invalid").wait_for()
    # The list is ticked already.
    page.get_by_text("At most 1,201 credits for 1,201 recipients.").wait_for()
    keep(page, "compose")
    page.get_by_role("button", name="Rehearse").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/compose/\d+$"))
    assert page.get_by_text("Send to 1,201 for 1,201 credits").is_visible()
    keep(page, "rehearsal")
    page.get_by_role("button", name="Send to 1,201").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/campaigns/\d+"))
    # The page follows by itself.
    page.locator("#live .keys li", has_text="delivered").get_by_text("1,201").wait_for(timeout=30_000)
    page.locator("#live .chip.Finished").wait_for(timeout=30_000)
    page.locator(".uplot canvas").first.wait_for()
    keep(page, "campaign")
    page.fill("#number", "0400 999 999")
    page.keyboard.press("Enter")
    page.get_by_text("Yes. It was delivered to the phone.").wait_for()
    page.locator("#receipts pre", has_text="stat:DELIVRD").wait_for()
    keep(page, "story")
    # What the carrier wrote opens by keyboard, and is no fault for who cannot see it.
    page.locator("#receipts summary").focus()
    page.keyboard.press("Enter")
    page.locator("#receipts dd", has_text="0x04 (receipt)").wait_for()
    assert watched.axe() == []

    page.goto(f"{running.base}/replies")
    running.text("What time?")
    # It appears by itself.
    page.get_by_role("link", name="What time?").wait_for(timeout=15_000)
    assert page.locator(".talks li.unread").count() == 1
    page.get_by_role("link", name="What time?").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{running.base}/replies/61400999999")
    page.focus("#message")
    page.keyboard.type("At half past nine.")
    page.get_by_text("1 segment · GSM 7-bit").wait_for()
    page.get_by_role("button", name="Send the answer").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Your answer is on its way.").wait_for()
    page.locator(".thread .ours", has_text="At half past nine.").get_by_text("delivered").wait_for(timeout=20_000)
    running.text("Thanks! See you then.")
    page.locator(".thread .theirs", has_text="See you then").wait_for(timeout=15_000)
    keep(page, "conversation")
    running.text("STOP")
    page.get_by_text("this opted the number out").wait_for(timeout=15_000)
    page.reload()
    assert page.get_by_text("It has opted out and is not written to.").is_visible()
    page.goto(f"{running.base}/optouts")
    page.locator("tbody tr", has_text="STOP").get_by_role("link").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{running.base}/optouts/61400999999")
    assert page.get_by_text("Opted out: it is not written to.").is_visible()
    assert watched.faults == []
    context.close()


def test_a_stranger_signs_up_by_keyboard(running: Running, chromium: Browser) -> None:
    """From the sign-in page over a mistake, the mail and its link to the first page of the new account."""
    context = context_of(chromium, 390, "light")
    watched = Watched(context.new_page(), running.base)
    page = watched.page
    page.goto(f"{running.base}/sign-in")
    page.get_by_role("link", name="Sign up for a free trial").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{running.base}/signup")
    for label, text in (
        ("Company, or your name", "Ann & Co"),
        ("E-mail address", "ann@example.org"),
        ("User name", "acme"),
        ("Password", PASSWORD),
        ("The same once more", PASSWORD),
    ):
        page.get_by_label(label, exact=True).focus()
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.get_by_text("That user name is taken.").wait_for()
    # The browser itself writes down that the answer was a refusal.
    watched.faults = [fault for fault in watched.faults if "400 (Bad Request)" not in fault]
    assert page.get_by_label("User name").get_attribute("aria-invalid") == "true"
    wrong = watched.axe()
    page.get_by_label("User name").fill("ann")
    for label in ("Password", "The same once more"):
        page.get_by_label(label, exact=True).focus()
        page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{running.base}/signup/sent")
    for _ in range(100):
        if running.post.mails:
            break
        page.wait_for_timeout(100)
    text = running.post.mails[-1][2].get_content()
    link = re.search(r"https://sms\.cooee\.example(/signup/confirm\?key=[\w-]+)", text)
    assert link is not None
    page.goto(running.base + link[1])
    wrong += watched.axe()
    keep(page, "signup-confirm")
    page.get_by_role("button", name="Make my account").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Your account is there.").wait_for()
    page.get_by_label("Account", exact=True).fill("ann")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{running.base}/")
    assert page.locator(".status", has_text="100 credits").count() == 1
    context.close()
    assert wrong + watched.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page(running: Running, chromium: Browser, width: int, scheme: Scheme) -> None:
    context = context_of(chromium, width, scheme)
    wrong: list[str] = []
    outside = Watched(context.new_page(), running.base)
    for path in ("/sign-in", "/signup", "/signup/sent"):
        outside.page.goto(running.base + path)
        beyond = outside.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        if beyond > 0:
            wrong.append(f"{path} is {beyond} px wider than a screen of {width}")
        keep(outside.page, f"outside{path.replace('/', '-')}-{width}-{scheme}")
    wrong += outside.faults
    outside.page.close()
    watched = signed_in(context, running.base)
    page = watched.page
    for path in paths(running):
        page.goto(running.base + path)
        if page.locator("[data-plot]").count():
            page.locator(".uplot canvas").first.wait_for()
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if beyond > 0:
            wrong.append(f"{path} is {beyond} px wider than a screen of {width}")
        if PICTURES and path in (
            "/",
            "/campaigns",
            f"/campaigns/{running.made['campaign']}",
            "/compose",
            "/replies",
            "/optouts",
            "/settings",
        ):
            name = {"/": "overview"}.get(
                path, path.strip("/").split("/")[0] + ("-one" if path.count("/") > 1 else "")
            )
            keep(page, f"{name}-{width}-{scheme}")
    faults = [fault for fault in [*outside.faults, *watched.faults] if "/nothing" not in fault]
    context.close()
    assert wrong + faults == []


def test_the_theme_changes_without_a_reload(running: Running, chromium: Browser) -> None:
    context = context_of(chromium, 1280, "light")
    watched = signed_in(context, running.base)
    page = watched.page
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.evaluate("window.kept = true")
    page.get_by_role("button", name="Theme").click()
    assert page.evaluate(ground) != light
    assert page.evaluate("window.kept") is True
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert watched.faults == []
    context.close()


def test_without_scripts_it_works_too(running: Running, chromium: Browser) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{running.base}/sign-in")
    page.fill("#name", "acme")
    page.fill("#password", PASSWORD)
    page.click("form button.primary")
    page.goto(f"{running.base}/compose")
    page.fill("#message", "Hello “there”")
    page.fill("#originator", "CLINIC")
    page.fill("#recipients", "0400 123 456")
    page.click("text=Rehearse")
    assert re.search(r"/compose/\d+$", page.url)
    page.click("text=Send to 1 for 1 credit")
    assert re.search(r"/campaigns/\d+", page.url)
    page.click(".tools form[action='/theme'] button")
    assert 'data-theme="dark"' in page.content()
    context.close()
