"""Accounts: made, changed and credited by the operator, topped up through the API.

What a person types is checked here, and refused with a ConfigError that says what to do; what a client program
sends is refused with an ApiError.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass

from cooee.model.account import Account, AccountState
from cooee.model.clock import Clock, zone
from cooee.model.errors import CREDITS_INVALID, CREDITS_NOT_ALLOWED, SUSPENDED, ApiError, ConfigError
from cooee.model.msisdn import country_calling_code
from cooee.service.logins import Logins
from cooee.store import accounts as rows
from cooee.store import campaigns as campaign_rows
from cooee.store.database import Database, Row, Tx
from cooee.store.ids import Ids

MAX_NAME = 64
PASSWORD_LENGTH = (8, 128)
MAX_CREDITS = 2**53 - 1
"""A balance stays a number that every JSON reader keeps exact."""


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One line of the list of accounts."""

    id: int
    name: str
    state: AccountState
    credits: int
    zone: str
    country: str
    parent: str | None


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One change of a balance; `at` is UTC ms."""

    no: int
    at: int
    amount: int
    kind: str
    campaign_id: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as a person is shown it; `ledger` holds the newest lines first."""

    account: Account
    credits: int
    parent: str | None
    suspended_at: int | None
    ledger: Sequence[LedgerLine]


@dataclass(frozen=True, slots=True)
class LedgerDifference:
    """An account whose balance is not the sum of its ledger."""

    name: str
    credits: int
    ledger: int


def check_name(name: str) -> str:
    """`name`, if an account may be called so; ConfigError says why not."""
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or name != name.strip() or ":" in name:
        raise ConfigError(
            f"an account's name has 1 to {MAX_NAME} printable characters, no ':' and no space at either end"
        )
    return name


def check_password(password: str) -> str:
    """`password`, if it may be one; ConfigError says why not."""
    least, most = PASSWORD_LENGTH
    if not least <= len(password) <= most:
        raise ConfigError(f"a password has {least} to {most} characters; this one has {len(password)}")
    try:
        password.encode()
    except UnicodeEncodeError:
        raise ConfigError("the password is not valid UTF-8 text") from None
    return password


def check_country(country: str) -> str:
    """The ISO code in capitals; ConfigError when there is no such country."""
    try:
        country_calling_code(country)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return country.upper()


class Accounts:
    """The use cases around accounts."""

    def __init__(self, database: Database, ids: Ids, clock: Clock) -> None:
        self._database = database
        self._ids = ids
        self._clock = clock
        self._logins = Logins(database, clock)
        self.authenticate = self._logins.authenticate

    def close(self) -> None:
        """Ends the thread that verifies passwords."""
        self._logins.close()

    # --- the operator's --------------------------------------------------------------------------------------

    async def add(
        self,
        name: str,
        password: str,
        *,
        credits: int = 0,
        zone: str = "Australia/Sydney",
        country: str = "AU",
        parent: str | None = None,
        allow_unicode: bool = True,
        allow_long: bool = True,
        allow_international: bool = False,
        may_add_credits: bool = False,
        times_utc: bool = False,
    ) -> Account:
        """Makes an account; `credits` are its opening balance. ConfigError says what cannot be."""
        check_name(name)
        _check_zone(zone)
        country = check_country(country)
        if not 0 <= credits <= MAX_CREDITS:
            raise ConfigError(f"opening credits {credits}: take a whole number from 0")
        password_hash = await self._logins.hash(check_password(password))
        account_id = await self._ids.exactly_one("account")
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> Account:
            added = await tx.run(
                "add_account",
                id=account_id,
                name=name,
                password_hash=password_hash,
                parent_id=await _parent_id(tx, parent),
                zone=zone,
                country=country,
                allow_unicode=int(allow_unicode),
                allow_long=int(allow_long),
                allow_international=int(allow_international),
                may_add_credits=int(may_add_credits),
                times_utc=int(times_utc),
                created_at=now,
            )
            if not added:
                raise ConfigError(f"there is an account '{name}' already")
            if credits:
                await rows.give(tx, account_id, credits, kind="opening", at=now, reason="opening balance")
            return await _named(tx, name)

        account = await self._database.write(operation)
        self._logins.forget(name)
        return account

    async def set(
        self,
        name: str,
        *,
        zone: str | None = None,
        country: str | None = None,
        parent: str | None = None,
        allow_unicode: bool | None = None,
        allow_long: bool | None = None,
        allow_international: bool | None = None,
        may_add_credits: bool | None = None,
        times_utc: bool | None = None,
    ) -> Account:
        """Changes what is not None; an empty `parent` takes the parent away. ConfigError says what cannot be."""
        if zone is not None:
            _check_zone(zone)
        if country is not None:
            country = check_country(country)
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> Account:
            old = await _named(tx, name)
            parent_id = old.parent_id if parent is None else await _parent_id(tx, parent or None, old.id)

            def flag(new: bool | None, kept: bool) -> int:
                return int(kept if new is None else new)

            await tx.run(
                "set_account",
                id=old.id,
                zone=zone or old.zone_name,
                country=country or old.country,
                allow_unicode=flag(allow_unicode, old.allow_unicode),
                allow_long=flag(allow_long, old.allow_long),
                allow_international=flag(allow_international, old.allow_international),
                may_add_credits=flag(may_add_credits, old.may_add_credits),
                times_utc=flag(times_utc, old.times_utc),
                parent_id=parent_id,
            )
            new = await _named(tx, name)
            if new.send_window != old.send_window:
                await campaign_rows.window_changed(tx, new.id, now)
            return new

        account = await self._database.write(operation)
        self._logins.forget(name)
        return account

    async def list(self) -> builtins.list[AccountLine]:
        """Every account, by name."""

        async def operation(tx: Tx) -> builtins.list[AccountLine]:
            return [
                AccountLine(row[0], row[1], AccountState(row[2]), row[3], row[4], row[5], row[6])
                for row in await tx.all("list_accounts")
            ]

        return await self._database.read(operation)

    async def find(self, name: str) -> Account:
        """The account of that name; ConfigError when there is none."""

        async def operation(tx: Tx) -> Account:
            return await _named(tx, name)

        return await self._database.read(operation)

    async def show(self, name: str, *, ledger: int = 10) -> AccountView:
        """An account with its balance and the newest `ledger` lines; ConfigError when there is none."""

        async def operation(tx: Tx) -> AccountView:
            account = await _named(tx, name)
            summary = await _summary(tx, account.id)
            lines = await tx.all("account_ledger", account_id=account.id, limit=ledger)
            return AccountView(account, summary[0], summary[1], summary[2], [LedgerLine(*line) for line in lines])

        return await self._database.read(operation)

    async def suspend(self, name: str) -> bool:
        """Nothing of this account moves from now on; False when it was suspended already."""
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> bool:
            account = await _named(tx, name)
            # Every claim and mark looks at the account's state: there is nothing else to write.
            changed = await tx.run("set_account_state", id=account.id, state=int(AccountState.SUSPENDED), at=now)
            return changed == 1

        changed = await self._database.write(operation)
        self._logins.forget(name)
        return changed

    async def unsuspend(self, name: str) -> bool:
        """The account goes on; False when it was not suspended."""
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> bool:
            account = await _named(tx, name)
            summary = await _summary(tx, account.id)
            if not await tx.run("set_account_state", id=account.id, state=int(AccountState.ACTIVE), at=None):
                return False
            await campaign_rows.release_account(tx, account.id, summary[2], now)
            return True

        changed = await self._database.write(operation)
        self._logins.forget(name)
        return changed

    async def credit(self, name: str, amount: int, reason: str) -> int:
        """Corrects a balance by `amount`, which may be negative; the new one. ConfigError says what cannot be."""
        if not amount or abs(amount) > MAX_CREDITS:
            raise ConfigError(f"an amount of {amount} credits: take a whole number other than 0")
        if not reason.strip() or not reason.isprintable():
            raise ConfigError("say why, in one line: the reason stays in the ledger")
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> int:
            account = await _named(tx, name)
            balance = await rows.give(tx, account.id, amount, kind="adjustment", at=now, reason=reason.strip())
            if balance is None:
                raise ConfigError(f"account '{name}' has fewer than {-amount} credits")
            if balance > MAX_CREDITS:
                raise ConfigError(f"account '{name}' would have more than {MAX_CREDITS} credits")
            return balance

        return await self._database.write(operation)

    async def set_password(self, name: str, password: str) -> None:
        """A new password; headers with the old one stop working. ConfigError says what cannot be."""
        password_hash = await self._logins.hash(check_password(password))

        async def operation(tx: Tx) -> None:
            account = await _named(tx, name)
            await tx.run("set_password", id=account.id, password_hash=password_hash)

        await self._database.write(operation)
        self._logins.forget(name)

    async def differences(self) -> builtins.list[LedgerDifference]:
        """Accounts whose balance is not the sum of their ledger: there must be none."""

        async def operation(tx: Tx) -> builtins.list[LedgerDifference]:
            return [LedgerDifference(r[0], r[1], int(r[2])) for r in await tx.all("ledger_differences")]

        return await self._database.read(operation)

    # --- the client's ----------------------------------------------------------------------------------------

    async def balance(self, account: Account) -> int:
        """Credits left."""

        async def operation(tx: Tx) -> int:
            row = await tx.one("account_credits", id=account.id)
            if row is None:
                raise LookupError(f"account {account.id} is gone")
            return int(row[0])

        return await self._database.read(operation)

    async def top_up(self, account: Account, amount: int | None) -> int:
        """Adds credits that the operator bills later; the new balance (wire contract §8).

        ApiError: -129 not approved, -130 no amount that can be added (None: it was no whole number), -902.
        """
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> int:
            current = await rows.by_id(tx, account.id)
            if current is None or current.state is not AccountState.ACTIVE:
                raise ApiError(SUSPENDED)
            if not current.may_add_credits:
                raise ApiError(CREDITS_NOT_ALLOWED)
            if amount is None or not 0 < amount <= MAX_CREDITS:
                raise ApiError(CREDITS_INVALID)
            balance = await rows.give(tx, account.id, amount, kind="topup", at=now, reason="added through the API")
            if balance is None or balance > MAX_CREDITS:
                raise ApiError(CREDITS_INVALID)
            return balance

        return await self._database.write(operation)


def _check_zone(name: str) -> None:
    zone(name)


async def _named(tx: Tx, name: str) -> Account:
    account = await rows.by_name(tx, name) if name.isprintable() else None
    if account is None:
        raise ConfigError(f"there is no account '{name}': cooee account list shows those there are")
    return account


async def _summary(tx: Tx, account_id: int) -> Row:
    row = await tx.one("account_summary", id=account_id)
    if row is None:
        raise LookupError(f"account {account_id} is gone")
    return row


async def _parent_id(tx: Tx, parent: str | None, child_id: int | None = None) -> int | None:
    """The parent's id; ConfigError where it is the child itself or below it, or is there not."""
    if parent is None:
        return None
    found = await _named(tx, parent)
    above: Account | None = found
    while above is not None:
        if above.id == child_id:
            raise ConfigError(f"account '{parent}' is the account itself or below it: it cannot be its parent")
        above = await rows.by_id(tx, above.parent_id) if above.parent_id is not None else None
    return found.id
