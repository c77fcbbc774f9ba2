"""An operator's own login: another password, and signing out everywhere else."""

from __future__ import annotations

from starlette.responses import Response

from cooee.model.errors import UNAUTHORISED, ApiError, ConfigError
from cooee.web.console.account_form import sentence
from cooee.web.console.pages.operator_accounts import at
from cooee.web.console.visit import Nav, Visit


async def show(visit: Visit) -> Response:
    """The form."""
    return _page(visit)


def _page(visit: Visit, problem: str | None = None, status: int = 200) -> Response:
    return visit.page("operator_settings.html", status, problem=problem)


async def set_password(visit: Visit) -> Response:
    """Another password; every other session of this operator ends."""
    name, services = visit.operator.name, visit.services
    new = visit.text("new")
    try:
        await services.operators.verify(name, visit.text("current"), visit.address)
        if new != visit.text("again"):
            return _page(visit, "The new password was not typed the same way twice.", 400)
        changed = await services.operators.set_password(name, new)
    except ApiError as error:
        if error.code is UNAUTHORISED:
            return _page(visit, "That is not the current password.", 403)
        page = _page(visit, f"{error}: wait a minute.", error.code.http)
        if error.retry_after is not None:
            page.headers["retry-after"] = str(error.retry_after)
        return page
    except ConfigError as error:
        return _page(visit, sentence(error), 400)
    token = await services.sessions.open(changed)
    response = visit.go("/operator/settings", done="operator-password")
    visit.cookies.set_session(response, token, operator=True)
    return response


async def sign_out_elsewhere(visit: Visit) -> Response:
    """Ends every other session of this operator."""
    guest = visit.guest
    await visit.services.sessions.close_all(visit.operator, but=guest.token if guest is not None else None)
    return visit.go("/operator/settings", done="operator-elsewhere")


NAV = Nav("Your login", "/operator/settings", "settings")
NOTICES = {
    "operator-password": "Your password is changed. Wherever else you were signed in, you are not any more.",
    "operator-elsewhere": "You are signed out everywhere else.",
}
PAGES = (
    at("/settings", show),
    at("/settings/password", post=set_password),
    at("/settings/sign-out-elsewhere", post=sign_out_elsewhere),
)
