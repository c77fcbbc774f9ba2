"""Sign-ups for a trial: who waits, to be approved or refused; and what became of the others of late."""

from __future__ import annotations

from starlette.responses import Response

from cooee.model.errors import ConfigError
from cooee.web.console.account_form import sentence
from cooee.web.console.pages.operator_accounts import at
from cooee.web.console.visit import Visit

PAGE = 50


async def listing(visit: Visit) -> Response:
    """Those that wait, or the others, the newest first; which is in the address."""
    return await _listing(visit)


async def _listing(visit: Visit, problem: str | None = None, status: int = 200) -> Response:
    signups = visit.services.signups
    before = visit.key("before")
    over = visit.query("show") == "over"
    lines = await signups.page(waiting=not over, before=before, limit=PAGE + 1)
    more = len(lines) > PAGE
    lines = lines[:PAGE]
    return visit.page(
        "operator_signups.html",
        status,
        lines=lines,
        over=over,
        rules=signups.rules,
        problem=problem,
        first=before is None,
        next_before=lines[-1].id if more else None,
    )


async def approve(visit: Visit) -> Response:
    """An account is made of it."""
    try:
        _, _, credits = await visit.services.signups.approve(visit.number("id"))
    except ConfigError as error:
        return await _listing(visit, sentence(error), 400)
    without = visit.services.signups.rules.credits and not credits
    return visit.go("/operator/signups", done="signup-approved-without" if without else "signup-approved")


async def refuse(visit: Visit) -> Response:
    """It becomes nothing."""
    try:
        await visit.services.signups.refuse(visit.number("id"))
    except ConfigError as error:
        return await _listing(visit, sentence(error), 400)
    return visit.go("/operator/signups", done="signup-refused")


async def mail(visit: Visit) -> Response:
    """Its mail goes out once more."""
    try:
        await visit.services.signups.mail_again(visit.number("id"))
    except ConfigError as error:
        return await _listing(visit, sentence(error), 400)
    return visit.go("/operator/signups", done="signup-mail")


NOTICES = {
    "signup-approved": "Approved: its people can sign in now. Nobody writes to them, so tell them.",
    "signup-approved-without": "Approved without credits: a mailbox has one trial.",
    "signup-refused": "Refused. Whoever has its password is told so at the sign-in page.",
    "signup-mail": "Its mail goes out again, with another link.",
}
PAGES = (
    at("/signups", listing),
    at("/signups/{id}/approve", post=approve),
    at("/signups/{id}/refuse", post=refuse),
    at("/signups/{id}/mail", post=mail),
)
