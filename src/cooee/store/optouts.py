"""Opt-outs: who must not be written to, since when and why, and who it was before.

Each operation runs inside the caller's transaction. The wash, which looks here for every recipient,
is in `claims`.
"""

from __future__ import annotations

from collections.abc import Sequence

from cooee.model.inbound import Reason
from cooee.store.database import Row, Tx

PAGE = 2000
"""Opt-outs read in one go."""
PIECE = 2000
"""Numbers that one transaction adds or removes, so that nobody waits long for the writer."""
NEWEST = (2**62, 0)
"""Where the first page begins."""


async def add(tx: Tx, rows: Sequence[tuple[int, int, str, str]], reason: Reason, now: int) -> int:
    """Opts numbers out: (account_id, destination, who, text) each; how many were not opted out before.

    `who` did it: the account's name, the handset or the operator; `text` is what the handset wrote, "" for none.
    """
    unique = {row[:2]: row for row in rows}
    ordered: list[Row] = [(a, d, reason.value, who, body) for (a, d), (_, _, who, body) in sorted(unique.items())]
    return await tx.many("add_optouts", ordered, now=now)


async def remove(tx: Tx, rows: Sequence[tuple[int, int, str, str]], reason: Reason, now: int) -> int:
    """Ends opt-outs: rows as in `add`; how many there were. They stay in the history."""
    unique = {row[:2]: row for row in rows}
    ordered = [row for _, row in sorted(unique.items())]
    await tx.many("keep_optouts", ordered, reason=reason.value, now=now)
    return await tx.many("drop_optouts", ordered)


async def page(tx: Tx, account_id: int, before: tuple[int, int] = NEWEST, limit: int = PAGE) -> Sequence[Row]:
    """The next `limit` opt-outs before (added_at, destination), newest first: (destination, added_at UTC ms,
    reason, text). Fewer mean that these were the last."""
    return await tx.all(
        "optouts_page", account_id=account_id, added_at=before[0], destination=before[1], limit=limit
    )
