"""The audit log."""

from __future__ import annotations

from starlette.responses import Response

from cooee.service.audit import ACTIONS
from cooee.web.console.audit_filter import ACTORS, read_page
from cooee.web.console.pages.operator_accounts import at
from cooee.web.console.visit import Nav, Visit


async def listing(visit: Visit) -> Response:
    """Changes, the newest first; the filter is in the address."""
    return visit.page("operator_audit.html", shown=await read_page(visit), actors=ACTORS, actions=ACTIONS)


NAV = Nav("Audit", "/operator/audit", "audit")
PAGES = (at("/audit", listing),)
