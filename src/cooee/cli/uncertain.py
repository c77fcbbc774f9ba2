"""`cooee uncertain …`: a person settles what no answer and no receipt has settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from cooee.cli.base import (
    json_flag,
    local_time,
    run,
    show_json,
    show_table,
    station,
    takes_settings,
    utc_time,
)
from cooee.config import Settings
from cooee.model.errors import ConfigError
from cooee.model.words import counted

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def uncertain() -> None:
    """Settle messages that may or may not have arrived: a connection broke before the carrier answered.

    A carrier with on_uncertain=hold keeps them for a person; with resend they settle by themselves.

    \b
    Example:
      cooee uncertain list
    """


@uncertain.command("list")
@click.option("--campaign", "campaign_id", type=int, help="Only those of this campaign.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="At most so many.")
@json_flag
@takes_settings("database")
def list_uncertain(settings: Settings, campaign_id: int | None, limit: int, as_json: bool) -> None:
    """List what is uncertain now, and until when it may settle by itself.

    \b
    Example:
      cooee uncertain list --campaign 1000042
    """
    from cooee.service.attention import Attention
    from cooee.store import inspect

    async def work() -> list[inspect.UncertainView]:
        async with station(settings) as at:
            if campaign_id is not None:
                await Attention(at.database, at.clock).span(campaign_id=campaign_id)
            return await at.database.read(lambda tx: inspect.uncertain(tx, campaign_id, limit))

    views = run(work())
    if as_json:
        show_json(
            [
                {
                    "campaign_id": view.campaign_id,
                    "account": view.account,
                    "destination": str(view.destination),
                    "attempt": view.attempt,
                    "carrier": view.carrier,
                    "since": utc_time(view.since),
                    "until": utc_time(view.until),
                    "held": view.until is None,
                }
                for view in views
            ]
        )
        return
    show_table(
        ("Campaign", "Account", "Number", "Attempt", "Carrier", "Since", "Settles itself by"),
        [
            (
                view.campaign_id,
                view.account,
                view.destination,
                view.attempt,
                view.carrier,
                local_time(view.since, view.zone),
                local_time(view.until, view.zone) or "held for you",
            )
            for view in views
        ],
        "Nothing is uncertain.",
    )


def _which(command: Command) -> Command:
    decorated: Any = command
    for option in (
        click.option("--all", "everything", is_flag=True, help="All of them, of every campaign."),
        click.option("--number", help="Only the one to this number, in international form."),
        click.option("--campaign", "campaign_id", type=int, help="Those of this campaign."),
    ):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def _chosen(campaign_id: int | None, number: str | None, everything: bool) -> int | None:
    """The destination, after checking that the choice was made clearly."""
    from cooee.cli.lookup import number_of

    if everything == (campaign_id is not None):
        raise click.UsageError("say which: --campaign ID, or --all")
    if number is not None and everything:
        raise click.UsageError("--number goes with --campaign")
    return None if number is None else number_of(number if number.startswith(("+", "00")) else f"+{number}", "AU")


async def _settle(settings: Settings, campaign_id: int | None, destination: int | None, *, again: bool) -> int:
    from cooee.service.attention import Attention

    async with station(settings) as at:
        attention = Attention(at.database, at.clock)
        span = await attention.span(campaign_id=campaign_id)
        if destination is None or campaign_id is None:
            return await attention.settle_all(span, again=again)
        settled = await attention.settle([(span.start[0], campaign_id, destination)], again=again)
        if not settled:
            raise ConfigError(
                f"{destination} is not uncertain in campaign {campaign_id}: "
                f"cooee uncertain list --campaign {campaign_id} shows what is"
            )
        return settled


@uncertain.command()
@_which
@takes_settings("database")
def resend(settings: Settings, campaign_id: int | None, number: str | None, everything: bool) -> None:
    """Have uncertain messages sent again. A recipient may then get the message twice.

    \b
    Example:
      cooee uncertain resend --campaign 1000042
    """
    destination = _chosen(campaign_id, number, everything)
    count = run(_settle(settings, campaign_id, destination, again=True))
    click.echo(f"{counted(count, 'message')} {'is' if count == 1 else 'are'} sent again as soon as an engine runs")


@uncertain.command()
@_which
@takes_settings("database")
def fail(settings: Settings, campaign_id: int | None, number: str | None, everything: bool) -> None:
    """Settle uncertain messages as failed. They stay charged; a receipt that still comes raises them.

    \b
    Example:
      cooee uncertain fail --campaign 1000042 --number 61400123456
    """
    destination = _chosen(campaign_id, number, everything)
    count = run(_settle(settings, campaign_id, destination, again=False))
    click.echo(f"{counted(count, 'message')} counted as failed")
