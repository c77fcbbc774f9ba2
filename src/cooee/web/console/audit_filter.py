"""Which lines of the audit log a page shows; the filter is in its address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cooee.model.clock import local_to_ms
from cooee.service.audit import ACTIONS, AuditFilter, AuditLine
from cooee.web.console.visit import Visit

PAGE = 50
FIELDS = ("who", "account", "carrier", "since", "until")
ACTORS = {"operator": "Operators", "account": "Accounts", "cli": "Command line"}


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A page of the log. `typed` is what the fields of the form hold; `next_before` the key of older lines."""

    lines: Sequence[AuditLine]
    typed: dict[str, str]
    filtered: bool
    first: bool
    next_before: int | None


async def read_page(visit: Visit, account: str = "") -> AuditPage:
    """The page that the address asks for; of one `account` alone where it is named."""
    kind, action = visit.query("kind"), visit.query("action")
    typed = {name: visit.query(name).strip().replace("\0", "")[:64] for name in FIELDS}
    since, until = _day(visit, typed["since"]), _day(visit, typed["until"], days=1)
    anything = AuditFilter(account=account)
    wanted = AuditFilter(
        actor_kind=kind if kind in ACTORS else "",
        actor="" if account else typed["who"],
        action=action if action in ACTIONS else "",
        account=account or typed["account"],
        carrier="" if account else typed["carrier"],
        since=since or 0,
        until=anything.until if until is None else until,
    )
    typed |= {"kind": kind, "action": action}
    before = visit.key("before")
    lines = await visit.services.desk.audit.page(wanted, before=before, limit=PAGE + 1)
    more = len(lines) > PAGE
    lines = lines[:PAGE]
    return AuditPage(lines, typed, wanted != anything, before is None, lines[-1].id if more else None)


def _day(visit: Visit, text: str, *, days: int = 0) -> int | None:
    """When a day begins, so many days later, UTC ms; None for what is no day."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d") + timedelta(days=days)  # noqa: DTZ007 (local to the page's zone)
        return local_to_ms(day, visit.zone)
    except (ValueError, OverflowError):
        return None
