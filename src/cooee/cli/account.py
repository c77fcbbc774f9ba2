"""`cooee account …`: the operator's side of accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cooee.cli.base import (
    json_flag,
    local_time,
    password_flag,
    read_password,
    run,
    show_fields,
    show_json,
    show_table,
    station,
    takes_settings,
    utc_time,
)
from cooee.cli.webhook import change_webhook, webhook_changes, webhook_options
from cooee.config import Settings
from cooee.model.words import counted

if TYPE_CHECKING:
    from cooee.service.accounts import Accounts, AccountView

NONE = "none"
"""What a person says to take a limit away."""

Command = TypeVar("Command", bound=Callable[..., Any])

_PERMISSIONS = (
    ("unicode", "allow_unicode", "Texts that need UCS-2."),
    ("long", "allow_long", "Texts of more than one segment."),
    ("international", "allow_international", "Numbers outside the account's country."),
    ("may-add-credits", "may_add_credits", "Topping itself up through the API, for later billing."),
    ("utc", "times_utc", "Times that the API returns are UTC, not local."),
)


def _permissions(command: Command) -> Command:
    decorated: Any = command
    for name, field, text in reversed(_PERMISSIONS):
        decorated = click.option(f"--{name}/--no-{name}", field, default=None, help=text)(decorated)
    return decorated  # type: ignore[no-any-return]


def _amount(context: click.Context, option: click.Parameter, text: str | None) -> int | str | None:
    """A whole number, or none."""
    if text is None or text.lower() == NONE:
        return text and NONE
    try:
        return int(text)
    except ValueError:
        raise click.BadParameter(f"'{text}' is neither a whole number nor none") from None


def _sending(command: Command) -> Command:
    """The options about what an account may send, when, and for how much."""
    made = (
        click.option("--send-window", metavar="HH:MM-HH:MM|none", help="When messages may go, in the account's "
                     "time, also over midnight; what is due outside waits.  [default: none]"),
        click.option("--originators", type=click.Choice(["any", "approved"]), help="Any valid originator, or "
                     "approved sender IDs only (cooee originator).  [default: any]"),
        click.option("--credit-limit", type=int, metavar="N", help="How far below zero the balance may go.  "
                     "[default: 0]"),
        click.option("--daily-cap", metavar="N|none", callback=_amount, help="Credits that may be charged in one "
                     "day of the account's time.  [default: none]"),
        click.option("--low-balance", metavar="N|none", callback=_amount, help="Warn when the balance falls below "
                     "this mark.  [default: none]"),
        click.option("--countries", metavar="AU,NZ|any", help="Send to numbers of these countries only.  "
                     "[default: any]"),
        click.option("--number-check", type=click.Choice(["plan", "shape"]), help="Take numbers that can be "
                     "mobiles by the numbering plan, or any of E.164 shape.  [default: plan]"),
        click.option("--smart-encoding/--no-smart-encoding", default=None, help="Write typographic quotes, "
                     "dashes, ellipses and no-break spaces as their GSM twins."),
    )  # fmt: skip
    decorated: Any = command
    for option in reversed(made):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """What was named on the command line, as the service takes it; the rest is left as it is.

    ConfigError for what cannot be read.
    """
    from cooee.service.settings import read_countries, read_window

    given = {name: value for name, value in values.items() if value is not None}
    for name in ("daily_cap", "low_balance"):
        if given.get(name) == NONE:
            given[name] = None
    if "send_window" in given:
        given["window"] = read_window(given.pop("send_window"))
    if "originators" in given:
        given["approved_only"] = given.pop("originators") == "approved"
    if "countries" in given:
        given["countries"] = read_countries(given["countries"])
    if "number_check" in given:
        given["shape_only"] = given.pop("number_check") == "shape"
    return given


@asynccontextmanager
async def _accounts(settings: Settings) -> AsyncIterator[Accounts]:
    from cooee.service.accounts import Accounts

    async with station(settings) as at:
        accounts = Accounts(at.database, at.ids, at.clock)
        try:
            yield accounts
        finally:
            accounts.close()


@click.group()
def account() -> None:
    """Add, change, credit and suspend accounts.

    \b
    Example:
      cooee account list
    """


@account.command()
@click.argument("name")
@password_flag
@click.option("--credits", type=int, help="Opening balance.  [default: 0]")
@click.option("--zone", help="Time zone, an IANA name.  [default: Australia/Sydney]")
@click.option("--country", help="Home country, whose local numbers are understood.  [default: AU]")
@click.option("--parent", help="Account that this one belongs to.")
@_permissions
@_sending
@takes_settings("database")
def add(settings: Settings, name: str, password_stdin: bool, **values: Any) -> None:
    """Add the account NAME. Its password is read from standard input.

    \b
    Example:
      echo 'a long password' | cooee account add acme --password-stdin --credits 1000
    """
    if not password_stdin:
        raise click.UsageError("an account needs a password: pipe it in and give --password-stdin")
    password = read_password()

    async def work() -> int:
        async with _accounts(settings) as accounts:
            return (await accounts.add(name, password, **_given(values))).id

    click.echo(f"account {name} added, UserId {run(work())}")


@account.command("set")
@click.argument("name")
@click.option("--zone", help="Time zone, an IANA name.")
@click.option("--country", help="Home country, whose local numbers are understood.")
@click.option("--parent", help="Account that this one belongs to; empty for none.")
@_permissions
@_sending
@webhook_options
@takes_settings("database", "webhook_allow_private")
def set_account(settings: Settings, name: str, **values: Any) -> None:
    """Change settings of the account NAME; what is not named stays.

    \b
    Examples:
      cooee account set acme --international --zone Australia/Perth
      cooee account set acme --send-window 08:00-21:00 --daily-cap 20000 --low-balance 500
      cooee account set acme --send-window none --daily-cap none
      echo 'a password' | cooee account set acme --reply-webhook https://acme.example/replies \\
          --webhook-username cooee --webhook-password-stdin
    """
    webhook = webhook_changes(settings, values)
    changes = _given(values)
    if not changes and not webhook:
        raise click.UsageError("name at least one setting to change")

    async def work() -> None:
        if changes:
            async with _accounts(settings) as accounts:
                await accounts.set(name, **changes)
        if webhook:
            await change_webhook(settings, name, webhook)

    run(work())
    click.echo(f"account {name} changed; running servers follow within 5 s")


@account.command()
@click.argument("name")
@click.option(
    "--ledger", type=click.IntRange(0, 10_000), default=10, show_default=True, help="Ledger lines to show."
)
@json_flag
@takes_settings("database")
def show(settings: Settings, name: str, ledger: int, as_json: bool) -> None:
    """Show the account NAME, its balance and the newest lines of its ledger.

    \b
    Example:
      cooee account show acme --ledger 50
    """

    async def work() -> AccountView:
        async with _accounts(settings) as accounts:
            return await accounts.show(name, ledger=ledger)

    from cooee.service.settings import countries_text, window_text

    view = run(work())
    if as_json:
        show_json(_view_json(view))
        return
    found = view.account
    suspended = view.suspended_at is not None and found.state.name == "SUSPENDED"
    show_fields(
        {
            "Account": found.name,
            "UserId": found.id,
            "State": found.state.name.lower(),
            **({"Suspended": local_time(view.suspended_at, found.zone_name)} if suspended else {}),
            "Credits": view.credits,
            "Parent": view.parent,
            "Country": found.country,
            "Zone": found.zone_name,
            "Times in API": "UTC" if found.times_utc else found.zone_name,
            "Unicode": found.allow_unicode,
            "Long messages": found.allow_long,
            "International": found.allow_international,
            "Adds credits": found.may_add_credits,
            "Send window": window_text(found.window),
            "Originators": "approved" if found.approved_only else "any",
            "Credit limit": found.credit_limit,
            "Daily cap": NONE if found.daily_cap is None else found.daily_cap,
            "Charged today": view.spent,
            "Low balance": NONE if found.low_balance is None else found.low_balance,
            "Countries": countries_text(found.countries),
            "Number check": "shape" if found.shape_only else "plan",
            "Smart encoding": found.smart_encoding,
            "Added": local_time(found.created_at, found.zone_name),
        }
    )
    if ledger:
        click.echo()
        show_table(
            ("No", "When", "Credits", "Kind", "Campaign", "Reason"),
            [
                (
                    line.no,
                    local_time(line.at, found.zone_name),
                    line.amount,
                    line.kind,
                    line.campaign_id,
                    line.reason,
                )
                for line in view.ledger
            ],
            "No ledger lines yet.",
        )


def _view_json(view: AccountView) -> dict[str, object]:
    from cooee.service.settings import window_text

    found = view.account
    return {
        "id": found.id,
        "name": found.name,
        "state": found.state.name.lower(),
        "credits": view.credits,
        "parent": view.parent,
        "country": found.country,
        "zone": found.zone_name,
        "times_utc": found.times_utc,
        "allow_unicode": found.allow_unicode,
        "allow_long": found.allow_long,
        "allow_international": found.allow_international,
        "may_add_credits": found.may_add_credits,
        "send_window": None if found.window is None else window_text(found.window),
        "originators": "approved" if found.approved_only else "any",
        "credit_limit": found.credit_limit,
        "daily_cap": found.daily_cap,
        "charged_today": view.spent,
        "low_balance": found.low_balance,
        "countries": list(found.countries) or None,
        "number_check": "shape" if found.shape_only else "plan",
        "smart_encoding": found.smart_encoding,
        "created_at": utc_time(found.created_at),
        "suspended_at": utc_time(view.suspended_at),
        "ledger": [
            {
                "no": line.no,
                "at": utc_time(line.at),
                "amount": line.amount,
                "kind": line.kind,
                "campaign_id": line.campaign_id,
                "reason": line.reason,
            }
            for line in view.ledger
        ],
    }


@account.command("list")
@json_flag
@takes_settings("database")
def list_accounts(settings: Settings, as_json: bool) -> None:
    """List every account with its balance.

    \b
    Example:
      cooee account list --json
    """

    async def work() -> list[dict[str, object]]:
        async with _accounts(settings) as accounts:
            return [
                {
                    "id": line.id,
                    "name": line.name,
                    "state": line.state.name.lower(),
                    "credits": line.credits,
                    "country": line.country,
                    "zone": line.zone,
                    "parent": line.parent,
                }
                for line in await accounts.list()
            ]

    lines = run(work())
    if as_json:
        show_json(lines)
        return
    show_table(
        ("UserId", "Name", "State", "Credits", "Country", "Zone", "Parent"),
        [tuple(line.values()) for line in lines],
        "No accounts yet: add one with cooee account add.",
    )


@account.command()
@click.argument("name")
@takes_settings("database")
def suspend(settings: Settings, name: str) -> None:
    """Suspend the account NAME: its logins are refused and nothing of it is handed over any more.

    \b
    Example:
      cooee account suspend acme
    """

    async def work() -> bool:
        async with _accounts(settings) as accounts:
            return await accounts.suspend(name)

    click.echo(f"account {name} {'suspended' if run(work()) else 'was suspended already'}")


@account.command()
@click.argument("name")
@takes_settings("database")
def unsuspend(settings: Settings, name: str) -> None:
    """Let the suspended account NAME go on where it stopped.

    \b
    Example:
      cooee account unsuspend acme
    """

    async def work() -> bool:
        async with _accounts(settings) as accounts:
            return await accounts.unsuspend(name)

    click.echo(f"account {name} {'is active again' if run(work()) else 'was not suspended'}")


@account.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("amount", type=int)
@click.option("--reason", required=True, help="Why, in one line; kept in the ledger.")
@takes_settings("database")
def credit(settings: Settings, name: str, amount: int, reason: str) -> None:
    """Add AMOUNT credits to the account NAME, or take some where it is negative, down to its credit limit.

    \b
    Examples:
      cooee account credit acme 5000 --reason 'invoice 1042'
      cooee account credit acme -200 --reason 'booked twice'
    """

    async def work() -> int:
        async with _accounts(settings) as accounts:
            return await accounts.credit(name, amount, reason)

    click.echo(f"account {name} has {counted(run(work()), 'credit')} now")


@account.command()
@click.argument("name")
@password_flag
@takes_settings("database")
def password(settings: Settings, name: str, password_stdin: bool) -> None:
    """Give the account NAME a new password, read from standard input. The old one stops working within 5 s.

    \b
    Example:
      echo 'another long password' | cooee account password acme --password-stdin
    """
    if not password_stdin:
        raise click.UsageError("pipe the new password in and give --password-stdin")
    secret = read_password()

    async def work() -> None:
        async with _accounts(settings) as accounts:
            await accounts.set_password(name, secret)

    run(work())
    click.echo(f"account {name} has a new password")
