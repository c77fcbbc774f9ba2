"""Operations on accounts and their ledger. Each takes a `Tx` and runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import structlog

from cooee.model.account import Account, AccountState
from cooee.model.metrics import LOW_BALANCE
from cooee.model.tariff import tariff_of
from cooee.store.database import Row, Tx

log = structlog.get_logger()

EVERYBODY = 0
"""In the place of an account's id: rates that hold where the account has none of its own."""


def account_of(row: Row) -> Account:
    """An `Account` from a row of account_by_name or account_by_id, without what other tables hold."""
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
        approved_only=bool(row[15]),
        credit_limit=row[16],
        daily_cap=row[17],
        low_balance=row[18],
        countries=tuple(row[19].split(",")) if row[19] else (),
        shape_only=bool(row[20]),
        smart_encoding=bool(row[21]),
    )


async def _whole(tx: Tx, row: Row) -> Account:
    """The account of a row, with its rates, and with its sender IDs where they matter."""
    account = account_of(row)
    everybody: dict[str, int] = {}
    own: dict[str, int] = {}
    for whose, country, credits in await tx.all("rates_of", account_id=account.id):
        (own if whose == account.id else everybody)[country] = credits
    approved = frozenset(await originators(tx, account.id)) if account.approved_only else frozenset[str]()
    return replace(account, tariff=tariff_of(everybody, own), approved=approved)


async def by_name(tx: Tx, name: str) -> Account | None:
    """The account of that name, or None."""
    row = await tx.one("account_by_name", name=name)
    return await _whole(tx, row) if row else None


async def by_id(tx: Tx, account_id: int) -> Account | None:
    """The account of that id, or None."""
    row = await tx.one("account_by_id", id=account_id)
    return await _whole(tx, row) if row else None


async def page(
    tx: Tx, *, after: str, word: str, state: AccountState | None, parent_id: int | None, limit: int
) -> Sequence[Row]:
    """(id, name, state, credits, zone, country, parent's name, low-balance mark) of the next accounts behind a
    name. `word` is looked for in names, and taken for an id; "" lets everybody pass."""
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return await tx.all(
        "accounts_page",
        after=after,
        word=f"%{escaped}%" if word else None,
        folded=f"%{escaped.lower()}%",
        number=word,
        state=None if state is None else int(state),
        parent_id=parent_id,
        limit=limit,
    )


async def insert(tx: Tx, account: Account, now: int) -> bool:
    """Adds an account without credits; False where there is one of its name."""
    added = await tx.run(
        "add_account",
        id=account.id,
        name=account.name,
        password_hash=account.password_hash,
        parent_id=account.parent_id,
        zone=account.zone_name,
        country=account.country,
        allow_unicode=int(account.allow_unicode),
        allow_long=int(account.allow_long),
        allow_international=int(account.allow_international),
        may_add_credits=int(account.may_add_credits),
        times_utc=int(account.times_utc),
        created_at=now,
    )
    if added:
        await write_settings(tx, account)
    return bool(added)


async def write_settings(tx: Tx, account: Account) -> None:
    """Writes every setting of an account that a person may change; its sender IDs and rates are not among them."""
    opens, closes = account.window or (None, None)
    await tx.run(
        "set_account",
        id=account.id,
        zone=account.zone_name,
        country=account.country,
        allow_unicode=int(account.allow_unicode),
        allow_long=int(account.allow_long),
        allow_international=int(account.allow_international),
        may_add_credits=int(account.may_add_credits),
        times_utc=int(account.times_utc),
        parent_id=account.parent_id,
        opens=opens,
        closes=closes,
        approved_only=int(account.approved_only),
        credit_limit=account.credit_limit,
        daily_cap=account.daily_cap,
        low_balance=account.low_balance,
        countries=",".join(account.countries),
        shape_only=int(account.shape_only),
        smart_encoding=int(account.smart_encoding),
    )


# --- sender IDs and rates ----------------------------------------------------------------------------------


async def originators(tx: Tx, account_id: int) -> Sequence[str]:
    """An account's approved sender IDs, in order."""
    return [row[0] for row in await tx.all("originators_of", account_id=account_id)]


async def add_originators(tx: Tx, account_id: int, texts: Iterable[str], now: int) -> int:
    """Approves sender IDs; how many were not approved before."""
    return await tx.many(
        "add_originators", [(text,) for text in sorted(set(texts))], account_id=account_id, now=now
    )


async def remove_originators(tx: Tx, account_id: int, texts: Iterable[str]) -> int:
    """Takes approvals back; how many there were."""
    rows = [(text,) for text in sorted(set(texts))]
    return await tx.many("remove_originators", rows, account_id=account_id)


async def rates(tx: Tx, account_id: int) -> Mapping[str, int]:
    """The rates that an account, or EVERYBODY, has of its own: credits a segment by country."""
    found = await tx.all("rates_of", account_id=account_id)
    return {country: credits for whose, country, credits in found if whose == account_id}


async def put_rate(tx: Tx, account_id: int, country: str, credits: int) -> None:
    """Sets the rate of an account, or of EVERYBODY, for a country."""
    await tx.run("put_rate", account_id=account_id, country=country, credits=credits)


async def drop_rate(tx: Tx, account_id: int, country: str) -> bool:
    """Takes it away; False when there was none."""
    return bool(await tx.run("drop_rate", account_id=account_id, country=country))


# --- credits -----------------------------------------------------------------------------------------------


async def charge(tx: Tx, account_id: int, amount: int, *, day: int, count: int = 1) -> int | None:
    """Takes `amount` credits from an active account, if neither its credit limit nor its daily cap is passed.

    `day` is when its local day began, UTC ms. The number of the first of `count` ledger rows, which are the
    caller's to write; or None, and nothing was taken.
    """
    row = await tx.one("charge", id=account_id, amount=amount, count=count, day=day)
    if row is None:
        return None
    if row[2] is not None:
        _watch(tx, row, amount)
    return int(row[0])


async def give(
    tx: Tx, account_id: int, amount: int, *, kind: str, at: int, reason: str, campaign_id: int | None = None
) -> int | None:
    """Adds `amount` credits with a ledger row; the new balance.

    A negative amount takes some: None, and nothing is taken, when the balance would pass the credit limit.
    """
    row = await tx.one("give", id=account_id, amount=amount)
    if row is None:
        return None
    await tx.many("add_ledger", [(account_id, row[0], amount, kind, campaign_id, reason)], at=at)
    if row[2] is not None:
        _watch(tx, row, -amount)
    return int(row[1])


async def refund(tx: Tx, refunds: Sequence[tuple[int, int, int, str]], at: int) -> None:
    """Gives credits back: (account_id, campaign_id, amount, reason) each; one ledger row a campaign and reason."""
    sums: dict[tuple[int, int, str], int] = {}
    for account_id, campaign_id, amount, reason in refunds:
        if amount:
            key = (account_id, campaign_id, reason)
            sums[key] = sums.get(key, 0) + amount
    for (account_id, campaign_id, reason), amount in sorted(sums.items()):
        row = await tx.one("refund", id=account_id, campaign_id=campaign_id, amount=amount)
        if row is not None:
            line = (account_id, row[0], amount, "refund", campaign_id, reason)
            await tx.many("add_ledger", [line], at=at)


def _watch(tx: Tx, row: Row, taken: int) -> None:
    """Tells, once it is committed, that a balance fell below its mark.

    `row` is one of charge or give. The row lock orders all changes of a balance, so that exactly one of them sees
    it on both sides, whichever node it is on.
    """
    _, credits, mark, name = row
    if not credits < mark <= credits + taken:
        return

    def tell() -> None:
        LOW_BALANCE.inc()
        log.warning("balance_low", account=name, credits=credits, mark=mark)

    tx.after_commit(tell)
