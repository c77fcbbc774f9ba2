"""`cooee campaign …` and `cooee pause`: what an operator sees of campaigns, and stops."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from cooee.cli.base import (
    json_flag,
    local_time,
    run,
    show_fields,
    show_json,
    show_table,
    station,
    takes_settings,
    utc_time,
)
from cooee.config import Settings
from cooee.model.campaign import STATUS_WORD
from cooee.model.codetable import CodeTable, Source
from cooee.model.errors import CAMPAIGN_STATE, NO_CAMPAIGN, ApiError
from cooee.model.words import counted

if TYPE_CHECKING:
    from cooee.cli.base import Station
    from cooee.service.campaigns import Campaigns, CampaignView
    from cooee.store.reports import Failures

_COUNTS = {
    "waiting": "Waiting",
    "sending": "In flight",
    "retrying": "Waiting to retry",
    "uncertain": "Uncertain",
    "handed_over": "Handed over",
    "delivered": "Delivered",
    "failed": "Failed",
    "washed": "Opted out",
    "cancelled": "Cancelled",
}
"""How the counts are called and ordered."""


@asynccontextmanager
async def _campaigns(settings: Settings) -> AsyncIterator[tuple[Campaigns, Station]]:
    from cooee.service.campaigns import Campaigns
    from cooee.service.routing import Routes

    async with station(settings) as at:
        yield Campaigns(at.database, at.ids, at.clock, Routes(at.database, at.clock)), at


def as_json_object(view: CampaignView) -> dict[str, object]:
    """A campaign for programs."""
    return {
        "id": view.id,
        "account": view.account,
        "state": STATUS_WORD[view.state],
        "originator": view.originator,
        "reference": view.reference,
        "messages": view.messages,
        "segments": view.segments,
        "credits": view.credits,
        "dropped": dict(zip(("invalid", "duplicate", "international"), view.dropped, strict=True)),
        "created_at": utc_time(view.created_at),
        "due_at": utc_time(view.due_at),
        "started_at": utc_time(view.started_at),
        "finished_at": utc_time(view.finished_at),
    }


@click.group()
def campaign() -> None:
    """List, show, pause and delete campaigns, whosever they are.

    \b
    Example:
      cooee campaign list
    """


@campaign.command("list")
@click.option("--account", help="Only campaigns of this account.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="The newest so many.")
@json_flag
@takes_settings("database")
def list_campaigns(settings: Settings, account: str | None, limit: int, as_json: bool) -> None:
    """List campaigns, the newest first.

    \b
    Example:
      cooee campaign list --account acme --limit 10
    """

    async def work() -> Sequence[CampaignView]:
        from cooee.cli.lookup import account_named

        async with _campaigns(settings) as (campaigns, at):
            account_id = None if account is None else (await account_named(at.database, account)).id
            return await campaigns.list(account_id=account_id, limit=limit)

    views = run(work())
    if as_json:
        show_json([as_json_object(view) for view in views])
        return
    show_table(
        ("Campaign", "Account", "Status", "Originator", "Messages", "Credits", "Created", "Reference"),
        [
            (
                view.id,
                view.account,
                STATUS_WORD[view.state],
                view.originator,
                view.messages,
                view.credits,
                local_time(view.created_at, view.zone),
                view.reference,
            )
            for view in views
        ],
        "No campaigns yet.",
    )


@campaign.command()
@click.argument("campaign_id", metavar="ID", type=int)
@json_flag
@takes_settings("database", "codes_file")
def show(settings: Settings, campaign_id: int, as_json: bool) -> None:
    """Show the campaign ID: what was asked for, where its recipients are, and why messages failed.

    \b
    Example:
      cooee campaign show 1000042
    """

    async def work() -> tuple[CampaignView, dict[str, int], Sequence[Failures]]:
        from cooee.service.reports import Reports

        async with _campaigns(settings) as (campaigns, at):
            view = await _found(campaigns, campaign_id)
            counts = await campaigns.counts(view.account_id, view.id)
            failures = (
                await Reports(at.database).failures(view.account_id, view.id) if counts.get("failed") else []
            )
            return view, counts, failures

    from cooee.service.codes import load_codes

    codes = load_codes(settings.codes_file)
    view, counts, failures = run(work())
    # A first attempt that is out has no row yet: it is what the others leave over.
    counts["sending"] = counts.get("sending", 0) + max(0, view.messages - sum(counts.values()))
    ordered = {name: counts.get(name, 0) for name in _COUNTS}
    if as_json:
        why = [_failures_json(each, codes) for each in failures]
        show_json({**as_json_object(view), "recipients": ordered, "failures": why})
        return
    invalid, duplicate, international = view.dropped
    show_fields(
        {
            "Campaign": view.id,
            "Account": view.account,
            "Status": STATUS_WORD[view.state],
            "Originator": view.originator,
            "Reference": view.reference,
            "Messages": view.messages,
            "Segments each": view.segments,
            "Credits": view.credits,
            "Dropped": f"{invalid} invalid, {duplicate} duplicate, {international} international",
            "Created": local_time(view.created_at, view.zone),
            "Due": local_time(view.due_at, view.zone) or "at once",
            "Started": local_time(view.started_at, view.zone),
            "Finished": local_time(view.finished_at, view.zone),
        }
    )
    click.echo()
    show_table(
        ("Recipients", "Count"),
        [(_COUNTS[name], count) for name, count in ordered.items() if count or name in ("waiting", "delivered")],
        "",
    )
    if failures:
        click.echo()
        show_table(
            ("Failed with code", "Said by", "Count"),
            [(codes.words(each.code, each.source), _SAID_BY[each.source], each.count) for each in failures],
            "",
        )


_SAID_BY = {Source.SUBMIT: "the carrier at once", Source.RECEIPT: "a receipt", Source.COOEE: "Cooee"}


def _failures_json(each: Failures, codes: CodeTable) -> dict[str, object]:
    name = codes.find(each.code, each.source)
    return {
        "code": each.code,
        "name": name and name.name,
        "permanent": name and name.permanent,
        "source": each.source.value,
        "count": each.count,
    }


async def _found(campaigns: Campaigns, campaign_id: int) -> CampaignView:
    view = await campaigns.find(campaign_id) if 0 <= campaign_id < 2**53 else None
    if view is None:
        raise ApiError(NO_CAMPAIGN)
    return view


def _change(settings: Settings, campaign_id: int, change: Callable[[Campaigns, int], Awaitable[None]]) -> None:
    async def work() -> None:
        async with _campaigns(settings) as (campaigns, _):
            view = await _found(campaigns, campaign_id)
            await change(campaigns, view.account_id)

    run(work())


@campaign.command("pause")
@click.argument("campaign_id", metavar="ID", type=int)
@takes_settings("database")
def pause_campaign(settings: Settings, campaign_id: int) -> None:
    """Pause the campaign ID: what is not yet handed over stays.

    \b
    Example:
      cooee campaign pause 1000042
    """
    _change(settings, campaign_id, lambda campaigns, account_id: campaigns.pause(account_id, campaign_id))
    click.echo(f"campaign {campaign_id} paused")


@campaign.command()
@click.argument("campaign_id", metavar="ID", type=int)
@takes_settings("database")
def unpause(settings: Settings, campaign_id: int) -> None:
    """Let the paused campaign ID go on; if its time has passed, at once.

    \b
    Example:
      cooee campaign unpause 1000042
    """
    _change(settings, campaign_id, lambda campaigns, account_id: campaigns.unpause(account_id, campaign_id))
    click.echo(f"campaign {campaign_id} unpaused")


@campaign.command()
@click.argument("campaign_id", metavar="ID", type=int)
@takes_settings("database")
def delete(settings: Settings, campaign_id: int) -> None:
    """Delete the scheduled or paused campaign ID: what was not handed over is cancelled and refunded.

    \b
    Example:
      cooee campaign delete 1000042
    """
    _change(settings, campaign_id, lambda campaigns, account_id: campaigns.delete(account_id, campaign_id))
    click.echo(f"campaign {campaign_id} deleted")


@click.command()
@click.option("--all", "everything", is_flag=True, help="Say that you mean it.")
@takes_settings("database")
def pause(settings: Settings, everything: bool) -> None:
    """Pause every campaign that is scheduled or running: the emergency brake.

    \b
    Example:
      cooee pause --all
    """
    if not everything:
        raise click.UsageError("this pauses every campaign of every account: say so with --all")

    async def work() -> int:
        from cooee.store import inspect

        paused, after = 0, -1
        async with _campaigns(settings) as (campaigns, at):
            while page := await at.database.read(lambda tx, after=after: inspect.pausable(tx, after)):  # type: ignore[misc]
                for account_id, campaign_id in page:
                    try:
                        await campaigns.pause(account_id, campaign_id)
                    except ApiError as error:
                        # It finished, or was deleted, between the two: there is nothing to pause any more.
                        if error.code not in (CAMPAIGN_STATE, NO_CAMPAIGN):
                            raise
                    else:
                        paused += 1
                after = page[-1][1]
        return paused

    click.echo(f"{counted(run(work()), 'campaign')} paused; cooee campaign unpause lets one go on")
