"""`cooee number …`: the numbers that handsets write to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cooee.cli.base import json_flag, run, show_json, show_table, station, takes_settings, utc_time
from cooee.config import Settings
from cooee.model.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cooee.service.numbers import NumberView

KINDS = ("dedicated", "shared", "optout")


@click.group()
def number() -> None:
    """Say whose the replies to a number are.

    \b
    Example:
      cooee number list
    """


@number.command()
@click.argument("msisdn")
@click.option("--account", help="Whose replies they are. Without it a shared number is every account's.")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    required=True,
    help="dedicated: all replies are the account's. shared: each goes to the account that last wrote to that "
    "handset from this number within 30 days. optout: who writes to it opts out.",
)
@click.option("--carrier", help="Only for what comes over this carrier: a short code may be others' elsewhere.")
@click.option("--assign-past", is_flag=True, help="Also assign what came to it before, when it was nobody's.")
@takes_settings("database")
def add(
    settings: Settings, msisdn: str, account: str | None, kind: str, carrier: str | None, assign_past: bool
) -> None:
    """Register MSISDN, a number or short code that carriers deliver replies to. A shared one is added once for
    each account that shares it.

    \b
    Examples:
      cooee number add 61400190499 --account acme --kind dedicated
      cooee number add 1999 --account acme --kind shared --carrier telco
    """
    from cooee.model.inbound import NumberKind
    from cooee.service.numbers import Numbers

    async def work() -> tuple[str, int]:
        async with station(settings) as at:
            numbers = Numbers(at.database, at.clock)
            added = await numbers.add(msisdn, NumberKind[kind.upper()], account, carrier)
            return added, await numbers.assign_past(added) if assign_past else 0

    added, assigned = run(work())
    click.echo(
        f"number {added} added, {kind}"
        + (f"; {counted(assigned, 'reply', 'replies')} assigned" if assign_past else "")
    )


@number.command()
@click.argument("msisdn")
@click.option("--account", help="Only this account's part in a shared number.")
@click.option("--carrier", help="Only what was added for this carrier.")
@takes_settings("database")
def remove(settings: Settings, msisdn: str, account: str | None, carrier: str | None) -> None:
    """Unregister MSISDN: replies to it are kept as nobody's from now on. Replies that came stay where they are.

    \b
    Example:
      cooee number remove 61400190499
    """
    from cooee.service.numbers import Numbers

    async def work() -> int:
        async with station(settings) as at:
            return await Numbers(at.database, at.clock).remove(msisdn, account, carrier)

    run(work())
    click.echo(f"number {msisdn} removed")


@number.command("list")
@json_flag
@takes_settings("database")
def list_numbers(settings: Settings, as_json: bool) -> None:
    """List every number, whose it is, and how many replies to it are nobody's.

    \b
    Example:
      cooee number list --json
    """
    from cooee.service.numbers import Numbers

    async def work() -> Sequence[NumberView]:
        async with station(settings) as at:
            return await Numbers(at.database, at.clock).list()

    views = run(work())
    if as_json:
        show_json(
            [
                {
                    "number": view.number,
                    "kind": view.kind.name.lower(),
                    "account": view.account,
                    "carrier": view.carrier,
                    "added_at": utc_time(view.added_at),
                    "unrouted": view.waiting,
                }
                for view in views
            ]
        )
        return
    show_table(
        ("Number", "Kind", "Account", "Carrier", "Added", "Unrouted"),
        [
            (
                view.number,
                view.kind.name.lower(),
                view.account or "every one",
                view.carrier or "any",
                utc_time(view.added_at),
                view.waiting,
            )
            for view in views
        ],
        "No numbers yet: add one with cooee number add.",
    )
