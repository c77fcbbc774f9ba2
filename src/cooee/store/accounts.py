"""Operations on accounts and their ledger. Each takes a `Tx` and runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from cooee.model.account import Account, AccountState
from cooee.store.database import Row, Tx


def account_of(row: Row) -> Account:
    """An `Account` from a row of account_by_name or account_by_id."""
    opens, closes = row[12], row[13]
    return Account(
        id=row[0],
        name=row[1],
        password_hash=row[2],
        parent_id=row[3],
        state=AccountState(row[4]),
        zone_name=row[5],
        country=row[6],
        allow_unicode=bool(row[7]),
        allow_long=bool(row[8]),
        allow_international=bool(row[9]),
        may_add_credits=bool(row[10]),
        times_utc=bool(row[11]),
        window=None if opens is None else (opens, closes),
        created_at=row[14],
    )


async def by_name(tx: Tx, name: str) -> Account | None:
    """The account of that name, or None."""
    row = await tx.one("account_by_name", name=name)
    return account_of(row) if row else None


async def by_id(tx: Tx, account_id: int) -> Account | None:
    """The account of that id, or None."""
    row = await tx.one("account_by_id", id=account_id)
    return account_of(row) if row else None


async def give(
    tx: Tx, account_id: int, amount: int, *, kind: str, at: int, reason: str, campaign_id: int | None = None
) -> int | None:
    """Adds `amount` credits with a ledger row; the new balance, or None when it would fall below zero."""
    row = await tx.one("give", id=account_id, amount=amount)
    if row is None:
        return None
    await tx.many("add_ledger", [(account_id, row[0], amount, kind, campaign_id, reason)], at=at)
    return int(row[1])


async def refund(tx: Tx, refunds: Sequence[tuple[int, int, int, str]], at: int) -> None:
    """Gives credits back: (account_id, campaign_id, amount, reason) each; one ledger row a campaign and reason."""
    sums: dict[tuple[int, int, str], int] = {}
    for account_id, campaign_id, amount, reason in refunds:
        if amount:
            key = (account_id, campaign_id, reason)
            sums[key] = sums.get(key, 0) + amount
    for (account_id, campaign_id, reason), amount in sorted(sums.items()):
        await give(tx, account_id, amount, kind="refund", at=at, reason=reason, campaign_id=campaign_id)
