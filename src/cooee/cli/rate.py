"""`cooee rate …`: what a segment costs, by country."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from cooee.cli.base import json_flag, run, show_json, show_table, station, takes_settings
from cooee.config import Settings

if TYPE_CHECKING:
    from cooee.service.rates import Rate, Rates


@asynccontextmanager
async def _rates(settings: Settings) -> AsyncIterator[Rates]:
    from cooee.service.rates import Rates

    async with station(settings) as at:
        yield Rates(at.database, at.clock)


def _whose(account: str | None) -> str:
    return "everybody" if account is None else f"account {account}"


@click.group()
def rate() -> None:
    """Set what a segment costs, in credits, by the recipient's country. Where nothing is set it is 1.

    \b
    Example:
      cooee rate list
    """


@rate.command("set")
@click.argument("country")
@click.argument("credits_", metavar="CREDITS", type=int)
@click.option("--account", metavar="NAME", help="For this account alone.  [default: everybody]")
@takes_settings("database")
def set_rate(settings: Settings, country: str, credits_: int, account: str | None) -> None:
    """Set what a segment to COUNTRY costs: an ISO code, or 'other' for all without a rate of their own.

    With a rate for 'other', set one for the home country too: else it is one of them. An account's rate for a
    country goes before everybody's for it; both go before a rate for 'other'. What was charged before stays as it
    is.

    \b
    Examples:
      cooee rate set NZ 3
      cooee rate set AU 1 && cooee rate set other 5
      cooee rate set NZ 2 --account acme
    """

    async def work() -> str:
        async with _rates(settings) as rates:
            return await rates.set(country, credits_, account)

    kept = run(work())
    click.echo(f"a segment to {kept} costs {credits_} for {_whose(account)}; running servers follow within 5 s")


@rate.command()
@click.argument("country")
@click.option("--account", metavar="NAME", help="The rate of this account alone.  [default: everybody's]")
@takes_settings("database")
def remove(settings: Settings, country: str, account: str | None) -> None:
    """Take the rate of COUNTRY away: an ISO code, or 'other'.

    \b
    Example:
      cooee rate remove NZ --account acme
    """

    async def work() -> str:
        async with _rates(settings) as rates:
            return await rates.remove(country, account)

    kept = run(work())
    click.echo(f"the rate of {_whose(account)} for {kept} is gone; running servers follow within 5 s")


@rate.command("list")
@click.option("--account", metavar="NAME", help="The rates that hold for this account.  [default: everybody's]")
@json_flag
@takes_settings("database")
def list_rates(settings: Settings, account: str | None, as_json: bool) -> None:
    """List the rates, in credits a segment.

    \b
    Example:
      cooee rate list --account acme
    """

    async def work() -> Sequence[Rate]:
        async with _rates(settings) as rates:
            return await rates.list(account)

    found = run(work())
    if as_json:
        show_json([{"country": each.country, "credits": each.credits, "own": each.own} for each in found])
        return
    show_table(
        ("Country", "Credits", "Set for"),
        [(each.country, each.credits, _whose(account if each.own else None)) for each in found],
        "No rates yet: every segment costs 1. Set one with cooee rate set.",
    )
