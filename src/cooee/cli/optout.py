"""`cooee optout …`: who must not be written to, as the operator sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from cooee.cli.base import json_flag, local_time, run, show_json, show_table, station, takes_settings, utc_time
from cooee.config import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cooee.model.account import Account
    from cooee.service.optouts import Optouts
    from cooee.store.database import Database, Row

WHO = "operator"


@click.group()
def optout() -> None:
    """Opt numbers out of an account's messages, and see who did so, when and why.

    \b
    Example:
      cooee optout list acme
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
@click.argument("account")
@click.argument("numbers", nargs=-1, required=True)
@takes_settings("database")
def add(settings: Settings, account: str, numbers: tuple[str, ...]) -> None:
    """Opt NUMBERS out: ACCOUNT writes to them no more, from the very next slice of every campaign.

    \b
    Example:
      cooee optout add acme 61400123456 '0400 123 457'
    """
    from cooee.model.inbound import Reason

    async def work() -> tuple[int, int]:
        async with _optouts(settings, account) as (optouts, found, _):
            valid = optouts.check(found, numbers)
            if not valid:
                raise click.UsageError("none of these is a number")
            return await optouts.add(found, valid, reason=Reason.ADMIN, who=WHO), len(valid)

    added, valid = run(work())
    click.echo(f"{added} numbers opted out of {account}; {valid - added} were before")


@optout.command()
@click.argument("account")
@click.argument("numbers", nargs=-1, required=True)
@takes_settings("database")
def remove(settings: Settings, account: str, numbers: tuple[str, ...]) -> None:
    """Let ACCOUNT write to NUMBERS again. The history keeps that they were opted out.

    \b
    Example:
      cooee optout remove acme 61400123456
    """
    from cooee.model.inbound import Reason

    async def work() -> int:
        async with _optouts(settings, account) as (optouts, found, _):
            return await optouts.remove(found, optouts.check(found, numbers), reason=Reason.ADMIN, who=WHO)

    click.echo(f"{run(work())} numbers may be written to again by {account}")


@optout.command("list")
@click.argument("account")
@click.option("--history", is_flag=True, help="Also those that hold no longer.")
@click.option("--number", help="Only this number, with its history.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="At most so many.")
@json_flag
@takes_settings("database")
def list_optouts(
    settings: Settings, account: str, history: bool, number: str | None, limit: int, as_json: bool
) -> None:
    """List who opted out of ACCOUNT, newest first: when, by whom, why, and what they wrote.

    \b
    Examples:
      cooee optout list acme --history
      cooee optout list acme --number 61400123456
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
