"""Signing in and out, and the switch between light and dark."""

from __future__ import annotations

from starlette.responses import Response

from cooee.model.errors import SUSPENDED, TOO_MANY, UNAUTHORISED, ApiError
from cooee.model.signup import MailState, SignupState
from cooee.service.signups import Sleeper
from cooee.web.console.links import local_path
from cooee.web.console.look import THEME_COOKIE, THEMES
from cooee.web.console.visit import Page, Visit, Who

YEAR_S = 365 * 24 * 3600


def _home(visit: Visit) -> str:
    return "/operator" if visit.operator_side else "/"


def _inside(visit: Visit) -> str:
    """Where to go after signing in: where one wanted to go, within one's own side."""
    home = _home(visit)
    path = local_path(visit.text("next") or visit.query("next"), home)
    return path if path.startswith("/operator") == visit.operator_side else home


async def show(visit: Visit) -> Response:
    """The form."""
    if visit.guest is not None:
        return visit.go(_inside(visit))
    return visit.page("sign_in.html", next=_inside(visit), name="", problem=None)


async def sign_in(visit: Visit) -> Response:
    """A fresh session, whatever the browser had before."""
    name, password = visit.text("name"), visit.text("password")
    services = visit.services
    try:
        if visit.operator_side:
            token = await services.sessions.open(
                await services.operators.sign_in(name, password, visit.address),
                instead_of=visit.guest.token if visit.guest is not None else None,
            )
        else:
            sleeper = await services.signups.waiting(name, password, visit.address)
            if sleeper is not None:
                return visit.page(
                    "sign_in.html", 403, next=_inside(visit), name=name[:64], problem=_asleep(sleeper)
                )
            token = await services.sessions.open(
                await services.accounts.sign_in(name, password, visit.address),
                instead_of=visit.guest.token if visit.guest is not None else None,
                address=visit.address,
            )
    except ApiError as error:
        problem, status = _problem(error)
        page = visit.page("sign_in.html", status, next=_inside(visit), name=name[:64], problem=problem)
        if error.retry_after is not None:
            page.headers["retry-after"] = str(error.retry_after)
        return page
    response = visit.go(_inside(visit))
    visit.cookies.set_session(response, token, operator=visit.operator_side)
    return response


def _problem(error: ApiError) -> tuple[str, int]:
    if error.code is UNAUTHORISED:
        return "That name and password do not go together.", 403
    if error.code is TOO_MANY:
        wait = error.retry_after or 60
        return f"Too many failed tries. Wait {wait} second{'s' if wait != 1 else ''}, then try again.", 429
    if error.code is SUSPENDED:
        return "This account is suspended. Ask whoever runs this installation.", 403
    raise error


def _asleep(sleeper: Sleeper) -> str:
    """Why a sign-up cannot sign in, for whoever has its password. Nothing of it depends on what is known of its
    e-mail address."""
    if sleeper.state is SignupState.REFUSED:
        return "Your sign-up was refused. Ask whoever runs this installation why."
    if sleeper.mail is MailState.NONE:
        return "Your sign-up waits: whoever runs this installation has to approve it first. Try again later."
    if sleeper.mail is MailState.REJECTED:
        return (
            "Your sign-up waits for its link, but the mail with it was refused: is the e-mail address right? Sign "
            "up again with another user name, or ask whoever runs this installation."
        )
    return "Your sign-up waits for you: open the link in the mail from us, and press the button there."


async def sign_out(visit: Visit) -> Response:
    """Ends the session; also where there is none any more."""
    if visit.guest is not None:
        await visit.services.sessions.close(visit.guest.token)
    response = visit.go("/operator/sign-in" if visit.operator_side else "/sign-in", done="signed-out")
    visit.cookies.drop_session(response, operator=visit.operator_side)
    return response


async def theme(visit: Visit) -> Response:
    """Light, dark, or as the system is."""
    chosen = visit.text("theme")
    response = visit.go(local_path(visit.text("back"), _home(visit)))
    response.set_cookie(
        THEME_COOKIE,
        chosen if chosen in THEMES else "auto",
        max_age=YEAR_S,
        path="/",
        secure=visit.https,
        samesite="lax",
    )
    return response


NOTICES = {"signed-out": "You are signed out."}
PAGES = (
    Page("/sign-in", show, sign_in, who=Who.ANYONE),
    Page("/sign-out", post=sign_out, who=Who.ANYONE),
    Page("/operator/sign-in", show, sign_in, who=Who.ANYONE),
    Page("/operator/sign-out", post=sign_out, who=Who.ANYONE),
    Page("/theme", post=theme, who=Who.ANYONE),
    Page("/operator/theme", post=theme, who=Who.ANYONE),
)
