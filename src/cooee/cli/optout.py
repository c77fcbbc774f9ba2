"""`cooee optout …`: who must not be written to, as the operator sees it."""

from __future__ import annotations

import re
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, BinaryIO

import click

from cooee.cli.base import json_flag, local_time, run, show_json, show_table, station, takes_settings, utc_time
from cooee.config import Settings
from cooee.model.errors import ConfigError
from cooee.model.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cooee.model.account import Account
    from cooee.service.optouts import Optouts
    from cooee.store.database import Database, Row

WHO = "operator"
SHOWN = 10
"""Lines of an imported file that are named when they hold no number."""

account_flag = click.option("--account", required=True, metavar="NAME", help="Whose opt-outs.")


@click.group()
def optout() -> None:
    """Opt numbers out of an account's messages, and see who did so, when and why.

    \b
    Example:
      cooee optout list --account acme
    """


@asynccontextmanager
async def _optouts(settings: Settings, name: str) -> AsyncIterator[tuple[Optouts, Account, Database]]:
    from cooee.service.accounts import Accounts
    from cooee.service.optouts import Optouts

    async with station(settings) as at:
        accounts = Accounts(at.database, at.ids, at.clock)
        try:
            account = await accounts.find(name)
        finally:
            accounts.close()
        optouts = Optouts(at.database, at.clock)
        await optouts.prepare(account)
        yield optouts, account, at.database


@optout.command()
@click.argument("numbers", nargs=-1, required=True)
@account_flag
@takes_settings("database")
def add(settings: Settings, numbers: tuple[str, ...], account: str) -> None:
    """Opt NUMBERS out: the account writes to them no more, from the very next slice of every campaign.

    \b
    Example:
      cooee optout add --account acme 61400123456 '0400 123 457'
    """
    from cooee.model.inbound import Reason

    async def work() -> tuple[int, int]:
        async with _optouts(settings, account) as (optouts, found, _):
            valid = _valid(optouts, found, numbers)
            return await optouts.add(found, valid, reason=Reason.ADMIN, who=WHO), len(valid)

    click.echo(_added(account, *run(work())))


@optout.command()
@click.argument("numbers", nargs=-1, required=True)
@account_flag
@takes_settings("database")
def remove(settings: Settings, numbers: tuple[str, ...], account: str) -> None:
    """Let the account write to NUMBERS again. The history keeps that they were opted out.

    \b
    Example:
      cooee optout remove --account acme 61400123456
    """
    from cooee.model.inbound import Reason

    async def work() -> tuple[int, int]:
        async with _optouts(settings, account) as (optouts, found, _):
            valid = _valid(optouts, found, numbers)
            return await optouts.remove(found, valid, reason=Reason.ADMIN, who=WHO), len(valid)

    removed, valid = run(work())
    others = valid - removed
    rest = f"; {others} {'was' if others == 1 else 'were'} not opted out" if others else ""
    click.echo(f"{counted(removed, 'number')} may be written to by {account} again{rest}")


@optout.command("import")
@click.argument("file", type=click.File("rb"))
@account_flag
@takes_settings("database")
def import_file(settings: Settings, file: BinaryIO, account: str) -> None:
    """Opt out the numbers in FILE: one a line, or the first column of a CSV file; - reads standard input.

    Lines that hold no number are named and left out. A file that was imported in part may be imported again.

    \b
    Example:
      cooee optout import --account acme suppressed.csv
    """
    from cooee.model.inbound import Reason

    async def work() -> tuple[int, int]:
        async with _optouts(settings, account) as (optouts, found, _):
            numbers, wrong = _read(file, found.country)
            for line, text in wrong[:SHOWN]:
                click.echo(f"line {line}: '{text}' is no number", err=True)
            if len(wrong) > SHOWN:
                click.echo(f"and {counted(len(wrong) - SHOWN, 'more line')}", err=True)
            if not numbers:
                raise ConfigError(f"there is no number in {file.name}")
            return await optouts.add(found, numbers, reason=Reason.ADMIN, who=WHO), len(numbers)

    click.echo(_added(account, *run(work())))


def _read(file: BinaryIO, country: str) -> tuple[array[int], list[tuple[int, str]]]:
    """The numbers in a file, sorted, each once, and the lines that hold none: (number of the line, text)."""
    from cooee.model.msisdn import parse

    found: set[int] = set()
    wrong: list[tuple[int, str]] = []
    for at, line in enumerate(file, 1):
        text = re.split("[,;\t]", line.decode("utf-8-sig", "replace"), maxsplit=1)[0].strip().strip("\"'")
        if not text:
            continue
        number = parse(text, country)
        if number is not None:
            found.add(number)
        else:
            wrong.append((at, text if len(text) <= 40 else text[:39] + "…"))
    return array("q", sorted(found)), wrong


def _valid(optouts: Optouts, account: Account, numbers: Sequence[str]) -> array[int]:
    """The numbers, every one of which must be one."""
    for each in numbers:
        if not optouts.check(account, [each]):
            raise click.UsageError(f"'{each}' is no number")
    return optouts.check(account, numbers)


def _added(account: str, added: int, valid: int) -> str:
    rest = f"; {valid - added} had before" if valid > added else ""
    return f"{counted(added, 'number')} opted out of {account}{rest}"


@optout.command("list")
@account_flag
@click.option("--history", is_flag=True, help="Also those that hold no longer.")
@click.option("--number", help="Only this number, with its history.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="At most so many.")
@json_flag
@takes_settings("database")
def list_optouts(
    settings: Settings, account: str, history: bool, number: str | None, limit: int, as_json: bool
) -> None:
    """List who opted out, newest first: when, by whom, why, and what they wrote.

    \b
    Examples:
      cooee optout list --account acme --history
      cooee optout list --account acme --number 61400123456
    """

    async def work() -> tuple[Sequence[Row], str]:
        async with _optouts(settings, account) as (optouts, found, database):
            wanted = None if number is None else optouts.check(found, [number])
            if wanted is not None and len(wanted) != 1:
                raise click.UsageError(f"'{number}' is no number")
            if not history and wanted is None:
                rows = await database.read(lambda tx: tx.all("optout_list", account_id=found.id, limit=limit))
                return [(*row, None, None, None, None) for row in rows], found.zone_name
            destination = None if wanted is None else wanted[0]
            return await database.read(
                lambda tx: tx.all("optout_history", account_id=found.id, destination=destination, limit=limit)
            ), found.zone_name

    rows, zone = run(work())
    if as_json:
        show_json(
            [
                {
                    "number": str(row[0]),
                    "added_at": utc_time(row[1]),
                    "reason": row[2],
                    "who": row[3],
                    "text": row[4],
                    "deleted_at": utc_time(row[5]),
                    "deleted_reason": row[6],
                    "deleted_who": row[7],
                    "deleted_text": row[8],
                }
                for row in rows
            ]
        )
        return
    show_table(
        ("Number", "Opted out", "Reason", "Who", "Text", "Until", "Ended by"),
        [
            (row[0], local_time(row[1], zone), row[2], row[3], row[4], local_time(row[5], zone), row[7])
            for row in rows
        ],
        f"Nobody opted out of {account}.",
    )
