"""Where an operator arrives: the accounts of this installation."""

from __future__ import annotations

from starlette.responses import Response

from cooee.web.console.visit import Nav, Page, Visit, Who


async def accounts(visit: Visit) -> Response:
    """Every account with its balance."""
    word = visit.query("q").strip().casefold()
    lines = [line for line in await visit.services.accounts.list() if word in line.name.casefold()]
    return visit.page("operator_accounts.html", lines=lines, q=visit.query("q"))


NAV = Nav("Accounts", "/operator", "accounts")
PAGES = (Page("/operator", accounts, who=Who.OPERATOR),)
