"""`cooee operator …`: who may sign in to the console's operator pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from cooee.cli.base import (
    json_flag,
    password_flag,
    read_password,
    run,
    show_json,
    show_table,
    station,
    takes_settings,
    utc_time,
)
from cooee.config import Settings

if TYPE_CHECKING:
    from cooee.service.operators import Operators
    from cooee.store.sessions import OperatorRow


@asynccontextmanager
async def _operators(settings: Settings) -> AsyncIterator[Operators]:
    from cooee.service.accounts import Accounts
    from cooee.service.operators import Operators

    async with station(settings) as at:
        accounts = Accounts(at.database, at.ids, at.clock)
        try:
            yield Operators(at.database, at.ids, at.clock, accounts)
        finally:
            accounts.close()


def _piped_in(given: bool) -> str:
    if not given:
        raise click.UsageError("pipe the password in and give --password-stdin")
    return read_password()


@click.group()
def operator() -> None:
    """Add and remove the people who run this installation and sign in to the console's operator pages.

    \b
    Example:
      cooee operator list
    """


@operator.command()
@click.argument("name")
@password_flag
@takes_settings("database")
def add(settings: Settings, name: str, password_stdin: bool) -> None:
    """Add the operator NAME, with a password read from standard input.

    \b
    Example:
      echo 'a long password' | cooee operator add kim --password-stdin
    """
    secret = _piped_in(password_stdin)

    async def work() -> None:
        async with _operators(settings) as operators:
            await operators.add(name, secret)

    run(work())
    click.echo(f"operator {name} added: sign in at /operator of the console")


@operator.command()
@click.argument("name")
@takes_settings("database")
def remove(settings: Settings, name: str) -> None:
    """Remove the operator NAME. Whoever is signed in by that name is signed out.

    \b
    Example:
      cooee operator remove kim
    """

    async def work() -> None:
        async with _operators(settings) as operators:
            await operators.remove(name)

    run(work())
    click.echo(f"operator {name} removed")


@operator.command()
@click.argument("name")
@password_flag
@takes_settings("database")
def password(settings: Settings, name: str, password_stdin: bool) -> None:
    """Give the operator NAME a new password, read from standard input. Every session with the old one ends.

    \b
    Example:
      echo 'another long password' | cooee operator password kim --password-stdin
    """
    secret = _piped_in(password_stdin)

    async def work() -> None:
        async with _operators(settings) as operators:
            await operators.set_password(name, secret)

    run(work())
    click.echo(f"operator {name} has a new password")


@operator.command("list")
@json_flag
@takes_settings("database")
def list_operators(settings: Settings, as_json: bool) -> None:
    """List the operators.

    \b
    Example:
      cooee operator list --json
    """

    async def work() -> list[OperatorRow]:
        async with _operators(settings) as operators:
            return await operators.list()

    rows = run(work())
    if as_json:
        show_json([{"id": row.id, "name": row.name, "created_at": utc_time(row.created_at)} for row in rows])
        return
    show_table(
        ("Operator", "Added"),
        [(row.name, utc_time(row.created_at)) for row in rows],
        "No operators yet: add one with cooee operator add.",
    )
