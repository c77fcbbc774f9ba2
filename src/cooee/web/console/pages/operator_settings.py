"""An operator's own login: another password, and signing out everywhere else."""

from __future__ import annotations

from starlette.responses import Response

from cooee.web.console.pages.operator_accounts import at
from cooee.web.console.password_form import NotChanged, change_password
from cooee.web.console.visit import Nav, Visit


async def show(visit: Visit) -> Response:
    """The form."""
    return _page(visit)


def _page(visit: Visit, problem: str | None = None, status: int = 200) -> Response:
    return visit.page("operator_settings.html", status, problem=problem)


async def set_password(visit: Visit) -> Response:
    """Another password; every other session of this operator ends."""
    name, services = visit.operator.name, visit.services
    try:
        changed = await change_password(
            visit,
            lambda current: services.operators.verify(name, current, visit.address),
            lambda new: services.operators.set_password(name, new),
        )
    except NotChanged as error:
        return error.on(_page(visit, error.problem, error.status))
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
