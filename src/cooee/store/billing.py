"""Reading operations for bills. Each takes a `Tx` and runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from cooee.store.database import Row, Tx

STRETCH = 20_000
"""Ledger lines that one read goes over: no snapshot stays open for long (measured: about 15 ms on SQLite)."""
ACCOUNTS = 5000


async def accounts_page(tx: Tx, after: int) -> Sequence[Row]:
    """(id, name, parent_id) of the next accounts behind id `after`; fewer than ACCOUNTS: the last ones."""
    return await tx.all("account_parents", after=after, limit=ACCOUNTS)


async def head(tx: Tx, account_id: int) -> tuple[int, int]:
    """The balance, and the number of the newest ledger line, of one instant."""
    row = await tx.one("ledger_head", id=account_id)
    if row is None:
        raise LookupError(f"account {account_id} is gone")
    return int(row[0]), int(row[1])


async def sums(tx: Tx, account_id: int, after: int, upto: int, starts: int, ends: int) -> Sequence[Row]:
    """Lines after..upto, summed: (0 before / 1 in / 2 after the span, kind, credits, lines, campaigns, messages,
    segments) each."""
    return await tx.all("ledger_sums", account_id=account_id, after=after, upto=upto, starts=starts, ends=ends)


async def lines(tx: Tx, account_id: int, after: int, upto: int, starts: int, ends: int) -> Sequence[Row]:
    """(no, at, amount, kind, reason) of what is listed one by one among lines after..upto."""
    return await tx.all("ledger_lines", account_id=account_id, after=after, upto=upto, starts=starts, ends=ends)
