"""Looking accounts up for commands, and reading numbers as they write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cooee.model.errors import ConfigError

if TYPE_CHECKING:
    from cooee.model.account import Account
    from cooee.store.database import Database


async def account_named(database: Database, name: str) -> Account:
    """The account of that name; ConfigError where there is none."""
    from cooee.store import accounts

    found = await database.read(lambda tx: accounts.by_name(tx, name))
    if found is None:
        raise ConfigError(f"there is no account '{name}': cooee account list shows those there are")
    return found


def number_of(text: str, country: str) -> int:
    """The MSISDN that `text` is for an account of `country`; a usage error where it is none."""
    from cooee.model.msisdn import parse

    number = parse(text, country)
    if number is None:
        raise click.UsageError(f"'{text}' is no mobile number")
    return number
