"""The audit log."""

from __future__ import annotations

from datetime import datetime, timedelta

from starlette.responses import Response

from cooee.model.clock import local_to_ms
from cooee.service.audit import ACTIONS, AuditFilter
from cooee.web.console.pages.operator_accounts import at
from cooee.web.console.visit import Nav, Visit

PAGE = 50
FIELDS = ("who", "account", "carrier", "since", "until")
ACTORS = {"operator": "Operators", "account": "Accounts", "cli": "Command line"}


async def listing(visit: Visit) -> Response:
    """Changes, the newest first; the filter is in the address."""
    kind, action = visit.query("kind"), visit.query("action")
    texts = {name: visit.query(name).strip().replace("\0", "")[:64] for name in FIELDS}
    wanted = AuditFilter(
        actor_kind=kind if kind in ACTORS else "",
        actor=texts["who"],
        action=action if action in ACTIONS else "",
        account=texts["account"],
        carrier=texts["carrier"],
    )
    since, until = _day(visit, texts["since"]), _day(visit, texts["until"], days=1)
    if since is not None or until is not None:
        wanted = AuditFilter(
            wanted.actor_kind, wanted.actor, wanted.action, wanted.account, wanted.carrier,
            since=since or 0, until=until if until is not None else AuditFilter().until,
        )  # fmt: skip
    before = visit.key("before")
    lines = await visit.services.desk.audit.page(wanted, before=before, limit=PAGE + 1)
    more = len(lines) > PAGE
    lines = lines[:PAGE]
    return visit.page(
        "operator_audit.html",
        lines=lines,
        kind=kind,
        action=action,
        actors=ACTORS,
        actions=ACTIONS,
        filtered=wanted != AuditFilter(),
        first=before is None,
        next_before=lines[-1].id if more else None,
        typed=texts,
    )


def _day(visit: Visit, text: str, *, days: int = 0) -> int | None:
    """When a day begins, so many days later, UTC ms; None for what is no day."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d") + timedelta(days=days)  # noqa: DTZ007 (local to the page's zone)
        return local_to_ms(day, visit.zone)
    except (ValueError, OverflowError):
        return None


NAV = Nav("Audit", "/operator/audit", "audit")
PAGES = (at("/audit", listing),)
