"""Signing up for a trial, where that is allowed: the form, and the page that a mail's link leads to.

Both are for strangers. Where sign-up is off, neither page is there.
"""

from __future__ import annotations

from starlette.responses import Response

from cooee.model.errors import ConfigError
from cooee.model.signup import MAX_COMPANY, MAX_EMAIL, NAME_LENGTH, Wish
from cooee.service.accounts import PASSWORD_LENGTH
from cooee.service.signups import Limited, NameTaken
from cooee.web.console import ConsoleSettings
from cooee.web.console.account_form import sentence
from cooee.web.console.look import duration
from cooee.web.console.pages.settings import zones
from cooee.web.console.visit import Page, Visit, Who

FORM = 16 * 1024


async def show(visit: Visit) -> Response:
    """The form; whoever is signed in has an account."""
    if visit.guest is not None:
        return visit.go("/")
    rules = visit.services.signups.rules
    return _form(visit, Wish("", "", "", rules.zone, rules.countries[0]), {})


def _form(
    visit: Visit, wish: Wish, problems: dict[str, str], status: int = 200, wait_s: int | None = None
) -> Response:
    page = visit.page(
        "signup.html",
        status,
        wish=wish,
        problems=problems,
        rules=visit.services.signups.rules,
        zones=zones(),
        name_length=NAME_LENGTH,
        password_length=PASSWORD_LENGTH,
        most={"company": MAX_COMPANY, "email": MAX_EMAIL},
    )
    if wait_s is not None:
        page.headers["retry-after"] = str(wait_s)
    return page


async def ask(visit: Visit) -> Response:
    """A stranger asks. The answer to a form without a mistake is the same for every e-mail address."""
    if visit.guest is not None:
        return visit.go("/")
    signups = visit.services.signups
    wish, found = signups.read(
        name=visit.text("name").strip()[:100],
        company=visit.text("company")[:1000],
        email=visit.text("email")[:1000],
        zone_name=visit.text("zone")[:64],
        country=visit.text("country")[:2],
    )
    problems = {field: _sentence(text) for field, text in found.items()}
    password = visit.text("password")
    if password != visit.text("again"):
        problems["password"] = "The password was not typed the same way twice."  # noqa: S105 (a sentence)
    if problems:
        return _form(visit, wish, problems, 400)
    try:
        await signups.ask(wish, password, visit.address)
    except ConfigError as error:
        return _form(visit, wish, {"password": sentence(error)}, 400)
    except NameTaken:
        return _form(visit, wish, {"name": "That user name is taken. Choose another one."}, 400)
    except Limited as limit:
        return _form(visit, wish, {"all": _too_many(limit)}, 429, limit.wait_s)
    return visit.go("/signup/sent")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _too_many(limit: Limited) -> str:
    said = {
        "address": "Too many sign-ups were tried from your network within an hour.",
        "hour": "More people sign up at the moment than are let in within an hour.",
        "day": "More people have signed up today than are let in within a day.",
    }[limit.whose]
    return f"{said} Nothing was saved. Try again in {duration(limit.wait_s)}."


async def sent(visit: Visit) -> Response:
    """What happens next. Nothing in it depends on what was sent."""
    return visit.page("signup_sent.html", rules=visit.services.signups.rules)


async def look(visit: Visit) -> Response:
    """What the link would confirm: programs that look into mails follow it, so that nothing is done yet."""
    token = visit.query("key")
    found = await visit.services.signups.look_up(token)
    return visit.page("signup_confirm.html", 404 if found is None else 200, found=found, token=token)


async def confirm(visit: Visit) -> Response:
    """Makes the account, once; whoever presses again hears the same."""
    token = visit.text("key")
    found = await visit.services.signups.confirm(token, visit.address)
    if found is not None and found.done:
        return visit.go("/sign-in", done="signup-confirmed")
    return visit.page("signup_confirm.html", 404 if found is None else 409, found=found, token=token)


def _on(settings: ConsoleSettings) -> bool:
    return settings.signup != "off"


def _by_mail(settings: ConsoleSettings) -> bool:
    return settings.signup == "email"


NOTICES = {
    "signup-confirmed": "Your account is there. Sign in with the user name and the password that you chose."
}
PAGES = (
    Page("/signup", show, ask, who=Who.ANYONE, takes=FORM, there=_on),
    Page("/signup/sent", sent, who=Who.ANYONE, there=_on),
    Page("/signup/confirm", look, confirm, who=Who.ANYONE, takes=FORM, there=_by_mail),
)
