"""Operations on the audit log. Each takes a `Tx` and runs inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass

from cooee.store.database import Tx

NEWEST = 2**62
"""An id that no line has yet."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that is going to be written. `account` and `carrier` are "" where it concerns none; `address` is the
    client's, "" where there is none."""

    actor_kind: str
    actor: str
    address: str
    action: str
    account: str = ""
    carrier: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One change. `at` is UTC ms; the rest as in `Entry`."""

    id: int
    at: int
    actor_kind: str
    actor: str
    address: str
    action: str
    account: str
    carrier: str
    detail: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which lines; "" lets everything pass. `since` and `until` are UTC ms, the latter outside."""

    actor_kind: str = ""
    actor: str = ""
    action: str = ""
    account: str = ""
    carrier: str = ""
    since: int = 0
    until: int = NEWEST


async def add(tx: Tx, entry: Entry, at: int) -> None:
    """Writes a line. `at` is UTC ms."""
    await tx.run(
        "add_audit",
        at=at, actor_kind=entry.actor_kind, actor=entry.actor, address=entry.address, action=entry.action,
        account=entry.account, carrier=entry.carrier, detail=entry.detail,
    )  # fmt: skip


async def page(tx: Tx, wanted: AuditFilter, before: int | None, limit: int) -> list[AuditLine]:
    """Up to `limit` lines below the id `before`, the newest first."""
    values = {
        "before": NEWEST if before is None else before,
        "actor_kind": wanted.actor_kind,
        "action": wanted.action,
        "since": wanted.since,
        "until": wanted.until,
        "limit": limit,
    }
    # The name that fits the fewest lines decides which index is walked.
    if wanted.carrier:
        name = "audit_of_carrier"
        values |= {"carrier": wanted.carrier, "actor": wanted.actor, "account": wanted.account}
    elif wanted.account:
        name = "audit_of_account"
        values |= {"account": wanted.account, "actor": wanted.actor}
    elif wanted.actor:
        name = "audit_of_actor"
        values["actor"] = wanted.actor
    else:
        name = "audit_page"
    return [AuditLine(*row) for row in await tx.all(name, **values)]
