"""`cooee originator …`: the sender IDs that an account may use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from cooee.cli.base import json_flag, run, show_json, station, takes_settings
from cooee.config import Settings

if TYPE_CHECKING:
    from cooee.service.senders import Senders


@asynccontextmanager
async def _senders(settings: Settings) -> AsyncIterator[Senders]:
    from cooee.service.senders import Senders

    async with station(settings) as at:
        yield Senders(at.database, at.clock)


def _count(number: int) -> str:
    return f"{number} sender ID{'' if number == 1 else 's'}"


@click.group()
def originator() -> None:
    """Approve the sender IDs of accounts that may use approved ones only (account set --originators approved).

    \b
    Example:
      cooee originator list acme
    """


@originator.command()
@click.argument("name")
@click.argument("senders", metavar="SENDER...", nargs=-1, required=True)
@takes_settings("database")
def add(settings: Settings, name: str, senders: tuple[str, ...]) -> None:
    """Approve sender IDs for the account NAME: numbers in international form, short codes, or names.

    Names are compared letter by letter: Acme is not ACME.

    \b
    Example:
      cooee originator add acme Acme 'Acme Shop' +61400190499
    """

    async def work() -> int:
        async with _senders(settings) as kept:
            return await kept.add(name, senders)

    click.echo(f"{_count(run(work()))} added to account {name}; running servers follow within 5 s")


@originator.command()
@click.argument("name")
@click.argument("senders", metavar="SENDER...", nargs=-1, required=True)
@takes_settings("database")
def remove(settings: Settings, name: str, senders: tuple[str, ...]) -> None:
    """Take approvals of the account NAME back. What it has accepted already is sent all the same.

    \b
    Example:
      cooee originator remove acme 'Acme Shop'
    """

    async def work() -> int:
        async with _senders(settings) as kept:
            return await kept.remove(name, senders)

    click.echo(f"{_count(run(work()))} removed from account {name}; running servers follow within 5 s")


@originator.command("list")
@click.argument("name")
@json_flag
@takes_settings("database")
def list_senders(settings: Settings, name: str, as_json: bool) -> None:
    """List the approved sender IDs of the account NAME.

    \b
    Example:
      cooee originator list acme --json
    """

    async def work() -> Sequence[str]:
        async with _senders(settings) as kept:
            return await kept.list(name)

    found = run(work())
    if as_json:
        show_json(list(found))
        return
    for text in found or ["No sender IDs yet: add some with cooee originator add."]:
        click.echo(text)
