"""The audit log: who changed what, when, of which account or carrier.

Whoever lets a person in says so with `acting`; services then write a line in the transaction of each change, with
`change` before it and `note` within it. Where nobody acts (a program on the API, the engine) nothing is written.
Details never hold a password or the text of a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Literal

from cooee.store import audit as rows
from cooee.store.audit import AuditFilter, AuditLine, Entry
from cooee.store.database import Database, Tx

__all__ = [
    "ACTIONS", "ACTIONS_OF_ACCOUNTS", "Actor", "Audit", "AuditFilter", "AuditLine", "Change",
    "acting", "change", "differences", "note", "said",
]  # fmt: skip

MAX_DETAIL = 2000

ACTIONS = (
    "account added", "account changed", "account suspended", "account resumed", "password changed",
    "credits adjusted", "credits topped up", "sender IDs approved", "sender IDs removed",
    "rate set", "rate removed",
    "carrier added", "carrier changed", "carrier paused", "carrier resumed", "carrier removed",
    "number added", "number removed", "replies assigned", "keyword added", "keyword removed", "keywords changed",
    "webhook changed", "webhook replayed", "uncertain resent", "uncertain failed", "quarantine deleted",
    "operator added", "operator removed", "operator signed in",
    "sign-up approved", "sign-up refused", "sign-up confirmed", "sign-up mailed again",
    "signed in", "others signed out",
    "campaign created", "campaign changed", "campaign paused", "campaign resumed", "campaign cancelled",
    "list created", "list deleted", "list numbers added", "list numbers removed",
    "import begun", "import finished", "numbers opted out", "numbers let back", "reply answered",
    "replies deleted",
)  # fmt: skip
"""Every action there is."""
_STRANGERS = ("sign-up refused", "sign-up mailed")
ACTIONS_OF_ACCOUNTS = tuple(
    action
    for action in ACTIONS
    if not action.startswith(
        ("carrier ", "keyword ", "uncertain ", "quarantine ", "operator ", "replies deleted", *_STRANGERS)
    )
)
"""Those that concern one account."""
_KNOWN = frozenset(ACTIONS)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, from which address. The command line has no name of its own, and no address."""

    kind: Literal["operator", "account", "cli"]
    name: str = ""
    address: str = ""


Change = Entry
"""A change that is going to be made."""


_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


@contextmanager
def acting(actor: Actor | None) -> Iterator[None]:
    """Changes that are made inside, and in the tasks begun there, are this actor's."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def change(action: str, *, account: str = "", carrier: str = "", by: Actor | None = None) -> Change | None:
    """What is going to be noted; None where nobody acts. Called before the transaction, which may run
    in another thread."""
    if action not in _KNOWN:
        raise ValueError(f"'{action}' is no action of the audit log")
    actor = by or _actor.get()
    return None if actor is None else Change(actor.kind, actor.name, actor.address, action, account, carrier)


def said(made: Change | None, detail: str) -> Change | None:
    """The same, of which is known already what to say; for stores that write it themselves."""
    return None if made is None else replace(made, detail=_short(detail))


async def note(tx: Tx, made: Change | None, at: int, detail: str = "") -> None:
    """Writes the line into the transaction of the change itself. `at` is UTC ms."""
    if made is None:
        return
    await rows.add(tx, replace(made, detail=_short(detail)) if detail else made, at)


def _short(detail: str) -> str:
    return detail if len(detail) <= MAX_DETAIL else detail[: MAX_DETAIL - 1] + "…"


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """What is another now, as in `tps 100 → 200, window 10 → default`; "" stands for a default."""
    changed = [name for name in {**old, **new} if old.get(name, "") != new.get(name, "")]
    return ", ".join(f"{name} {old.get(name) or 'default'} → {new.get(name) or 'default'}" for name in changed)


class Audit:
    """Reads the log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: AuditFilter, *, before: int | None = None, limit: int = 50) -> list[AuditLine]:
        """Up to `limit` lines below the id `before`, the newest first."""
        return await self._database.read(lambda tx: rows.page(tx, wanted, before, limit))
