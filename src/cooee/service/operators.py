"""Operators: the people who run this installation and sign in to the console's operator pages.

What a person types is refused with a ConfigError that says what to do. Failed logins count as those of
accounts do.
"""

from __future__ import annotations

import builtins

from cooee.model.clock import Clock
from cooee.model.errors import ConfigError
from cooee.service import audit
from cooee.service.accounts import Accounts, check_name, check_password
from cooee.store import sessions as rows
from cooee.store.database import Database, Tx
from cooee.store.ids import Ids
from cooee.store.sessions import OperatorRow


class Operators:
    """The use cases around operators."""

    def __init__(self, database: Database, ids: Ids, clock: Clock, accounts: Accounts) -> None:
        self._database = database
        self._ids = ids
        self._clock = clock
        self._accounts = accounts

    async def add(self, name: str, password: str) -> OperatorRow:
        """A new operator. ConfigError says what cannot be."""
        _check(name)
        password_hash = await self._accounts.hash_password(check_password(password))
        operator_id = await self._ids.exactly_one("operator")
        now = self._clock.now_ms()
        made = audit.change("operator added")

        async def operation(tx: Tx) -> OperatorRow:
            if not await rows.add_operator(tx, operator_id, name, password_hash, now):
                raise ConfigError(f"there is an operator '{name}' already")
            await audit.note(tx, made, now, f"operator {name}")
            return await _named(tx, name)

        return await self._database.write(operation)

    async def remove(self, name: str) -> None:
        """Takes an operator away; every session ends. ConfigError when there is none of that name."""
        made = audit.change("operator removed")
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> None:
            await rows.drop_operator(tx, (await _named(tx, name)).id)
            await audit.note(tx, made, now, f"operator {name}")

        await self._database.write(operation)

    async def set_password(self, name: str, password: str) -> OperatorRow:
        """A new password; every session of the operator ends. ConfigError says what cannot be."""
        password_hash = await self._accounts.hash_password(check_password(password))
        made = audit.change("password changed")
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> OperatorRow:
            await rows.set_operator_password(tx, (await _named(tx, name)).id, password_hash)
            await audit.note(tx, made, now, f"operator {name}")
            return await _named(tx, name)

        return await self._database.write(operation)

    async def list(self) -> builtins.list[OperatorRow]:
        """Every operator, by name."""
        return await self._database.read(rows.operators)

    async def verify(self, name: str, password: str, address: str) -> OperatorRow:
        """The operator of these credentials, for a client at `address`.

        ApiError: -901 wrong, -907 too many failures or logins at once.
        """

        async def find() -> OperatorRow | None:
            if not name.isprintable() or len(name) > 64:
                return None
            return await self._database.read(lambda tx: rows.operator_named(tx, name))

        return await self._accounts.admit(f"operator:{name}", password, address, find)

    async def sign_in(self, name: str, password: str, address: str) -> OperatorRow:
        """The same for somebody who comes in, which is audited."""
        found = await self.verify(name, password, address)
        made = audit.change("operator signed in", by=audit.Actor("operator", found.name, address))
        now = self._clock.now_ms()
        await self._database.write(lambda tx: audit.note(tx, made, now))
        return found


def _check(name: str) -> None:
    try:
        check_name(name)
    except ConfigError as error:
        raise ConfigError(str(error).replace("an account's", "an operator's")) from None


async def _named(tx: Tx, name: str) -> OperatorRow:
    found = await rows.operator_named(tx, name) if name.isprintable() else None
    if found is None:
        raise ConfigError(f"there is no operator '{name}': cooee operator list shows those there are")
    return found
