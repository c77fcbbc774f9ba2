"""Accounts: made, changed and credited by the operator, topped up through the API.

What a person types is checked here, and refused with a ConfigError that says what to do; what a client program
sends is refused with an ApiError.
"""

from __future__ import annotations

import builtins
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Unpack

from cooee.model.account import Account, AccountState
from cooee.model.clock import Clock
from cooee.model.errors import CREDITS_INVALID, CREDITS_NOT_ALLOWED, SUSPENDED, ApiError, ConfigError
from cooee.model.words import counted
from cooee.service import audit
from cooee.service.logins import Logins
from cooee.service.settings import MAX_CREDITS, NEW, AccountSettings, apply, texts
from cooee.store import accounts as rows
from cooee.store import campaigns as campaign_rows
from cooee.store.database import Database, Row, Tx
from cooee.store.ids import Ids

MAX_NAME = 64
PASSWORD_LENGTH = (8, 128)


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
    low: bool = False
    """The balance is below its low-balance mark."""


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
    """An account as a person is shown it; `ledger` holds the newest lines first.

    `spent` are the credits of the local day that the daily cap counts.
    """

    account: Account
    credits: int
    parent: str | None
    suspended_at: int | None
    spent: int
    ledger: Sequence[LedgerLine]


def check_name(name: str) -> str:
    """`name`, if an account may be called so; ConfigError says why not."""
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or name != name.strip() or ":" in name:
        raise ConfigError(
            f"an account's name has 1 to {MAX_NAME} printable characters, no ':' and no space at either end"
        )
    if not unicodedata.is_normalized("NFC", name):
        # Else two accounts could look the same, and a client's keyboard would decide which one it logs in to.
        raise ConfigError(f"the name '{name}' is written with combining marks: write it with whole letters (NFC)")
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


class Accounts:
    """The use cases around accounts."""

    def __init__(self, database: Database, ids: Ids, clock: Clock) -> None:
        self._database = database
        self._ids = ids
        self._clock = clock
        self._logins = Logins(database, clock)
        self.authenticate = self._logins.authenticate
        self.sign_in = self._logins.sign_in
        self.admit = self._logins.admit
        self.hash_password = self._logins.hash

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
        parent: str | None = None,
        **settings: Unpack[AccountSettings],
    ) -> Account:
        """Makes an account; `credits` are its opening balance. ConfigError says what cannot be."""
        check_name(name)
        made = apply(NEW, settings)
        if not 0 <= credits <= MAX_CREDITS:
            raise ConfigError(f"opening credits {credits}: take a whole number from 0")
        password_hash = await self._logins.hash(check_password(password))
        account_id = await self._ids.exactly_one("account")
        now = self._clock.now_ms()
        noted = audit.change("account added", account=name)

        async def operation(tx: Tx) -> Account:
            parent_id = await _parent_id(tx, parent)
            new = replace(made, id=account_id, name=name, password_hash=password_hash, parent_id=parent_id)
            if not await rows.insert(tx, new, now):
                raise ConfigError(f"there is an account '{name}' already")
            if credits:
                await rows.give(tx, account_id, credits, kind="opening", at=now, reason="opening balance")
            said = [f"parent {parent}"] if parent else []
            said += [f"opening balance {credits}"] if credits else []
            said += [part for part in [audit.differences(texts(NEW), texts(made))] if part]
            await audit.note(tx, noted, now, ", ".join(said))
            return await named(tx, name)

        account = await self._database.write(operation)
        self._logins.forget(name)
        return account

    async def set(self, name: str, *, parent: str | None = None, **settings: Unpack[AccountSettings]) -> Account:
        """Changes what is given; an empty `parent` takes the parent away. ConfigError says what cannot be."""
        now = self._clock.now_ms()
        noted = audit.change("account changed", account=name)

        async def operation(tx: Tx) -> Account:
            # Whoever changes other settings at this moment waits, or is seen.
            await tx.many_all("lock_accounts", [((await named(tx, name)).id,)])
            old = await named(tx, name)
            parent_id = old.parent_id if parent is None else await _parent_id(tx, parent or None, old.id)
            await rows.write_settings(tx, replace(apply(old, settings), parent_id=parent_id))
            new = await named(tx, name)
            if new.send_window != old.send_window:
                await campaign_rows.window_changed(tx, new.id, now)
            before, after = texts(old), texts(new)
            if old.parent_id != new.parent_id:
                before["parent"], after["parent"] = await _name_of(tx, old.parent_id), parent or "none"
            if before != after:
                await audit.note(tx, noted, now, audit.differences(before, after))
            return new

        account = await self._database.write(operation)
        self._logins.forget(name)
        return account

    def changed(self, name: str | None) -> None:
        """Sender IDs or rates of the account, or of everybody (None), were changed by this process."""
        if name is None:
            self._logins.forget_all()
        else:
            self._logins.forget(name)

    async def list(self) -> builtins.list[AccountLine]:
        """Every account, by name."""

        async def operation(tx: Tx) -> builtins.list[AccountLine]:
            return [
                AccountLine(row[0], row[1], AccountState(row[2]), row[3], row[4], row[5], row[6])
                for row in await tx.all("list_accounts")
            ]

        return await self._database.read(operation)

    async def page(
        self,
        *,
        after: str = "",
        word: str = "",
        state: AccountState | None = None,
        parent_id: int | None = None,
        limit: int = 50,
    ) -> builtins.list[AccountLine]:
        """Up to `limit` accounts behind the name `after`. `word` is part of a name, or a UserId."""

        async def operation(tx: Tx) -> builtins.list[AccountLine]:
            found = await rows.page(tx, after=after, word=word, state=state, parent_id=parent_id, limit=limit)
            return [
                AccountLine(
                    row[0], row[1], AccountState(row[2]), row[3], row[4], row[5], row[6],
                    low=row[7] is not None and row[3] < row[7],
                )
                for row in found
            ]  # fmt: skip

        return await self._database.read(operation)

    async def by_id(self, account_id: int) -> Account | None:
        """The account of that id, None where there is none."""
        return await self._database.read(lambda tx: rows.by_id(tx, account_id))

    async def find(self, name: str) -> Account:
        """The account of that name; ConfigError when there is none."""

        async def operation(tx: Tx) -> Account:
            return await named(tx, name)

        return await self._database.read(operation)

    async def show(self, name: str, *, ledger: int = 10) -> AccountView:
        """An account with its balance and the newest `ledger` lines; ConfigError when there is none."""

        async def operation(tx: Tx) -> AccountView:
            account = await named(tx, name)
            summary = await _summary(tx, account.id)
            lines = await tx.all("account_ledger", account_id=account.id, limit=ledger)
            today = account.day_starts(self._clock.now_ms()) <= summary[3]
            return AccountView(
                account,
                credits=summary[0],
                parent=summary[1],
                suspended_at=summary[2],
                spent=summary[4] if today else 0,
                ledger=[LedgerLine(*line) for line in lines],
            )

        return await self._database.read(operation)

    async def suspend(self, name: str) -> bool:
        """Nothing of this account moves from now on; False when it was suspended already."""
        now = self._clock.now_ms()
        noted = audit.change("account suspended", account=name)

        async def operation(tx: Tx) -> bool:
            account = await named(tx, name)
            # Every claim and mark looks at the account's state: there is nothing else to write.
            changed = await tx.run("set_account_state", id=account.id, state=int(AccountState.SUSPENDED), at=now)
            if changed:
                await audit.note(tx, noted, now)
            return changed == 1

        changed = await self._database.write(operation)
        self._logins.forget(name)
        return changed

    async def unsuspend(self, name: str) -> bool:
        """The account goes on; False when it was not suspended."""
        now = self._clock.now_ms()
        noted = audit.change("account resumed", account=name)

        async def operation(tx: Tx) -> bool:
            account = await named(tx, name)
            summary = await _summary(tx, account.id)
            if not await tx.run("set_account_state", id=account.id, state=int(AccountState.ACTIVE), at=None):
                return False
            await campaign_rows.release_account(tx, account.id, summary[2], now)
            await audit.note(tx, noted, now)
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
        noted = audit.change("credits adjusted", account=name)

        async def operation(tx: Tx) -> int:
            account = await named(tx, name)
            balance = await rows.give(tx, account.id, amount, kind="adjustment", at=now, reason=reason.strip())
            if balance is None:
                limit = f", and may not go below -{account.credit_limit}" if account.credit_limit else ""
                raise ConfigError(f"account '{name}' has fewer than {counted(-amount, 'credit')}{limit}")
            if balance > MAX_CREDITS:
                raise ConfigError(f"account '{name}' would have more than {MAX_CREDITS} credits")
            await audit.note(tx, noted, now, f"{amount:+}: {reason.strip()}")
            return balance

        return await self._database.write(operation)

    async def set_password(self, name: str, password: str) -> None:
        """A new password; headers with the old one stop working. ConfigError says what cannot be."""
        password_hash = await self._logins.hash(check_password(password))
        noted = audit.change("password changed", account=name)
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> None:
            account = await named(tx, name)
            await tx.run("set_password", id=account.id, password_hash=password_hash)
            await audit.note(tx, noted, now)

        await self._database.write(operation)
        self._logins.forget(name)

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
        noted = audit.change("credits topped up", account=account.name)

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
            await audit.note(tx, noted, now, f"{amount:+}")
            return balance

        return await self._database.write(operation)


async def named(tx: Tx, name: str) -> Account:
    """The account of that name; ConfigError when there is none."""
    account = await rows.by_name(tx, name) if name.isprintable() else None
    if account is None:
        raise ConfigError(f"there is no account '{name}': cooee account list shows those there are")
    return account


async def _name_of(tx: Tx, account_id: int | None) -> str:
    found = await rows.by_id(tx, account_id) if account_id is not None else None
    return found.name if found is not None else "none"


async def _summary(tx: Tx, account_id: int) -> Row:
    row = await tx.one("account_summary", id=account_id)
    if row is None:
        raise LookupError(f"account {account_id} is gone")
    return row


async def _parent_id(tx: Tx, parent: str | None, child_id: int | None = None) -> int | None:
    """The parent's id; ConfigError where it is the child itself or below it, or is there not."""
    if parent is None:
        return None
    found = await named(tx, parent)
    above: Account | None = found
    while above is not None:
        if above.id == child_id:
            raise ConfigError(f"account '{parent}' is the account itself or below it: it cannot be its parent")
        above = await rows.by_id(tx, above.parent_id) if above.parent_id is not None else None
    return found.id
