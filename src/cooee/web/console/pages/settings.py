"""An account's own settings: password, time zone, how the API writes times, and signing out everywhere."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import available_timezones

from starlette.responses import Response

from cooee.model.errors import ConfigError
from cooee.web.console.password_form import NotChanged, change_password
from cooee.web.console.visit import Nav, Page, Visit


@lru_cache(maxsize=1)
def zones() -> list[str]:
    """Zones as people know them: a region and a place, and UTC."""
    regions = (
        "Africa/", "America/", "Antarctica/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/",
    )  # fmt: skip
    return ["UTC", *sorted(name for name in available_timezones() if name.startswith(regions))]


async def show(visit: Visit) -> Response:
    """The forms."""
    return await _page(visit)


async def _page(visit: Visit, problem: str | None = None, at: str = "", status: int = 200) -> Response:
    numbers = await visit.services.desk.numbers.of(visit.account)
    return visit.page("settings.html", status, problem=problem, at=at, zones=zones(), numbers=numbers)


async def set_times(visit: Visit) -> Response:
    """Another zone; times of the API in UTC or in that zone."""
    try:
        await visit.services.accounts.set(
            visit.account.name, zone=visit.text("zone")[:64], times_utc=visit.text("times_utc") == "1"
        )
    except ConfigError as error:
        return await _page(visit, f"{error}.", "times", 400)
    return visit.go("/settings", done="times")


async def set_password(visit: Visit) -> Response:
    """Another password, for people and programs alike; every other session ends."""
    account, services = visit.account, visit.services
    try:
        await change_password(
            visit,
            lambda current: services.accounts.sign_in(account.name, current, visit.address),
            lambda new: services.accounts.set_password(account.name, new),
        )
    except NotChanged as error:
        return error.on(await _page(visit, error.problem, "password", error.status))
    mine = visit.guest.token if visit.guest is not None else None
    await services.sessions.close_all(account, but=mine)
    token = await services.sessions.open(await services.accounts.find(account.name), instead_of=mine)
    response = visit.go("/settings", done="password")
    visit.cookies.set_session(response, token, operator=False)
    return response


async def sign_out_elsewhere(visit: Visit) -> Response:
    """Ends every other session of the account."""
    guest = visit.guest
    await visit.services.sessions.close_all(visit.account, but=guest.token if guest is not None else None)
    return visit.go("/settings", done="elsewhere")


NAV = Nav("Settings", "/settings", "settings")
NOTICES = {
    "times": "Saved.",
    "password": "The password is changed, and everybody else is signed out. Programs need the new one too.",
    "elsewhere": "Everybody else is signed out.",
}
PAGES = (
    Page("/settings", show),
    Page("/settings/times", post=set_times),
    Page("/settings/password", post=set_password),
    Page("/settings/sign-out-elsewhere", post=sign_out_elsewhere),
)
