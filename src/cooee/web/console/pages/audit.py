"""What was done with this account: by its own people, and by whoever runs the installation."""

from __future__ import annotations

from starlette.responses import Response

from cooee.service.audit import ACTIONS_OF_ACCOUNTS
from cooee.web.console.audit_filter import read_page
from cooee.web.console.visit import Page, Visit

ACTORS = {"account": "This account", "operator": "Operators", "cli": "Command line"}


async def listing(visit: Visit) -> Response:
    """Its lines of the audit log, the newest first; the filter is in the address.

    Who of the operators it was, and where they sat, is not the account's to know.
    """
    shown = await read_page(visit, visit.account.name)
    return visit.page("audit.html", shown=shown, actors=ACTORS, actions=ACTIONS_OF_ACCOUNTS)


PAGES = (Page("/settings/audit", listing),)
