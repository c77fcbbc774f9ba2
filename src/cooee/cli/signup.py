"""`cooee signup …`: who signed up for a trial, approved or refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from cooee.cli.base import json_flag, local_time, run, show_json, show_table, station, takes_settings, utc_time
from cooee.config import Settings

if TYPE_CHECKING:
    from cooee.service.signups import Signup, Signups


@asynccontextmanager
async def _signups(settings: Settings) -> AsyncIterator[Signups]:
    from cooee.app.signup import signup_rules
    from cooee.service.accounts import Accounts
    from cooee.service.signups import Signups

    async with station(settings) as at:
        accounts = Accounts(at.database, at.ids, at.clock)
        try:
            yield Signups(at.database, at.ids, at.clock, accounts, signup_rules(settings))
        finally:
            accounts.close()


@click.group()
def signup() -> None:
    """Approve or refuse who signed up for a trial on the console's page, where the setting signup lets them.

    \b
    Example:
      cooee signup list
    """


@signup.command("list")
@click.option("--over", is_flag=True, help="Those that were decided or have expired, as long as they are kept.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="At most so many.")
@json_flag
@takes_settings("database")
def list_signups(settings: Settings, over: bool, limit: int, as_json: bool) -> None:
    """List the sign-ups that wait, the newest first.

    \b
    Example:
      cooee signup list --json
    """

    async def work() -> list[Signup]:
        async with _signups(settings) as signups:
            return await signups.page(waiting=not over, limit=limit)

    found = run(work())
    if as_json:
        show_json([_json(each) for each in found])
        return
    show_table(
        ("Id", "User name", "Company", "E-mail", "Country", "Asked", "State", "Mail", "Had a trial"),
        [
            (
                each.id,
                each.wish.name,
                each.wish.company,
                each.wish.email,
                each.wish.country,
                local_time(each.created_at, each.wish.zone),
                each.state.name.lower() if not over or each.state else "expired",
                _mail(each),
                each.trial if each.account_id is None else None,
            )
            for each in found
        ],
        "Nothing was decided lately." if over else "Nobody waits.",
    )


def _mail(each: Signup) -> str | None:
    word = each.mail.name.lower()
    if word == "none":
        return None
    return f"{word} after {each.mail_tries}: {each.mail_error}" if each.mail_error else word


def _json(each: Signup) -> dict[str, object]:
    return {
        "id": each.id,
        "name": each.wish.name,
        "company": each.wish.company,
        "email": each.wish.email,
        "country": each.wish.country,
        "zone": each.wish.zone,
        "address": each.network,
        "state": each.state.name.lower(),
        "created_at": utc_time(each.created_at),
        "over_at": utc_time(each.over_at),
        "account_id": each.account_id,
        "mail": each.mail.name.lower(),
        "mail_at": utc_time(each.mail_at) if each.mail else None,
        "mail_tries": each.mail_tries,
        "mail_error": each.mail_error or None,
        "trial_of": each.trial,
    }


@signup.command()
@click.argument("id", type=click.IntRange(1, 2**53))
@takes_settings("database", "signup_credits")
def approve(settings: Settings, id: int) -> None:
    """Make an account of the sign-up ID, with the credits of a trial; without any where its mailbox had one.

    Sender IDs that it may use at once are those of the setting signup_senders.

    \b
    Example:
      cooee signup approve 42
    """

    async def work() -> tuple[str, int, int]:
        async with _signups(settings) as signups:
            return await signups.approve(id)

    name, account_id, credits = run(work())
    click.echo(f"account {name} added with UserId {account_id} and {credits} credits")


@signup.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=click.IntRange(1, 2**53))
@takes_settings("database")
def refuse(settings: Settings, ids: tuple[int, ...]) -> None:
    """Refuse the sign-ups with these IDs. Whoever has the password of one is told so at the sign-in page.

    \b
    Examples:
      cooee signup refuse 42
      cooee signup refuse 43 44 45
    """

    async def work() -> None:
        async with _signups(settings) as signups:
            for each in ids:
                name = await signups.refuse(each)
                click.echo(f"sign-up {each}, of {name}, is refused")

    run(work())
