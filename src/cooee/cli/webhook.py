"""`cooee webhook …`, and the options of `cooee account set` that make a webhook."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cooee.cli.base import (
    json_flag,
    local_time,
    read_password,
    run,
    show_fields,
    show_json,
    show_table,
    station,
    takes_settings,
    utc_time,
)
from cooee.config import Settings
from cooee.model.webhook import DeliveryState

if TYPE_CHECKING:
    from cooee.service.receiver import Outcome
    from cooee.service.webhooks import DeliveryLine, ReplyWebhooks, WebhookView

Command = TypeVar("Command", bound=Callable[..., Any])
SETTINGS = ("database", "webhook_allow_private")
STATES = {state.name.lower(): state for state in DeliveryState}


def webhook_options(command: Command) -> Command:
    """The options of a command that changes an account's webhook; it passes their values to `webhook_changes`."""
    decorated: Any = command
    for option in (
        click.option(
            "--webhook-password-stdin", is_flag=True, help="Read the webhook's password from standard input."
        ),
        click.option(
            "--reply-webhook-stdin",
            is_flag=True,
            help="Read the webhook's URL from standard input, a line before the password's: it may hold a secret.",
        ),
        click.option("--webhook-username", metavar="TEXT", help="What the webhook is told as `username`."),
        click.option("--reply-webhook", metavar="URL", help="Where replies go by HTTP GET; `none` for nowhere."),
    ):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def webhook_changes(settings: Settings, values: dict[str, Any]) -> dict[str, str]:
    """Takes the webhook's options out of `values`: what `change_webhook` is to change, empty for nothing.

    Reads URL and password from standard input, in this order, where that is asked for. ConfigError says what
    cannot be.
    """
    from cooee.service.webhooks import check

    url, username = values.pop("reply_webhook"), values.pop("webhook_username")
    changes = {"url": url, "username": username}
    if values.pop("reply_webhook_stdin"):
        if url is not None:
            raise click.UsageError("--reply-webhook and --reply-webhook-stdin: give one of them")
        changes["url"] = read_password("URL", "--reply-webhook-stdin")
    if values.pop("webhook_password_stdin"):
        changes["password"] = read_password("password", "--webhook-password-stdin")
    given = {name: value for name, value in changes.items() if value is not None}
    check(allow_private=settings.webhook_allow_private, **given)
    return given


async def change_webhook(settings: Settings, name: str, changes: dict[str, str]) -> None:
    """Changes the webhook of the account NAME; ConfigError says what cannot be."""
    async with _webhooks(settings) as webhooks:
        await webhooks.set(name, **changes)


@asynccontextmanager
async def _webhooks(settings: Settings) -> AsyncIterator[ReplyWebhooks]:
    from cooee.service.webhooks import ReplyWebhooks

    async with station(settings) as at:
        allow_private = settings.webhook_allow_private
        yield ReplyWebhooks(at.database, at.clock, at.secrets, allow_private=allow_private)


@click.group()
def webhook() -> None:
    """Show, test and replay reply webhooks. They are set with cooee account set.

    \b
    Example:
      cooee webhook show acme
    """


@webhook.command()
@click.argument("name")
@json_flag
@takes_settings(*SETTINGS)
def show(settings: Settings, name: str, as_json: bool) -> None:
    """Show the reply webhook of the account NAME and how it does. The values in the URL's query are left out.

    \b
    Example:
      cooee webhook show acme
    """

    async def work() -> WebhookView | None:
        async with _webhooks(settings) as webhooks:
            return await webhooks.show(name)

    view = run(work())
    if as_json:
        show_json(_view_json(name, view))
        return
    if view is None or not (view.on or view.parked):
        click.echo(f"account {name} has no webhook: cooee account set {name} --reply-webhook URL makes one")
        return
    show_fields(
        {
            "Account": view.account,
            "Webhook": view.url if view.on else "none",
            "Username": view.username or None,
            "Password": "set" if view.has_password else "not set",
            "Changed": local_time(view.changed_at, view.zone),
            "Failing since": local_time(view.failing_since, view.zone),
            "Left alone until": local_time(view.quiet_until, view.zone),
            "Waiting": view.waiting,
            "Oldest came in": local_time(view.oldest_at, view.zone),
            "Next is due": local_time(view.next_at, view.zone),
            "Parked": view.parked,
        }
    )


def _view_json(name: str, view: WebhookView | None) -> dict[str, object]:
    if view is None:
        return {"account": name, "on": False}
    return {
        "account": name,
        "on": view.on,
        "url": view.url or None,
        "username": view.username,
        "has_password": view.has_password,
        "changed_at": utc_time(view.changed_at),
        "failing_since": utc_time(view.failing_since),
        "quiet_until": utc_time(view.quiet_until),
        "waiting": view.waiting,
        "oldest_at": utc_time(view.oldest_at),
        "next_at": utc_time(view.next_at),
        "parked": view.parked,
    }


_limit = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Deliveries to show."
)


@webhook.command()
@click.argument("name")
@click.option("--state", type=click.Choice(list(STATES)), help="Only those.")
@_limit
@json_flag
@takes_settings("database")
def deliveries(settings: Settings, name: str, state: str | None, limit: int, as_json: bool) -> None:
    """List what the reply webhook of the account NAME was told, newest first.

    \b
    Example:
      cooee webhook deliveries acme --state waiting
    """

    async def work() -> Sequence[DeliveryLine]:
        async with _webhooks(settings) as webhooks:
            return await webhooks.deliveries(name, state=STATES[state] if state else None, limit=limit)

    _list(run(work()), as_json, "No such deliveries." if state else "Nothing was told yet.")


@webhook.command()
@click.argument("name", required=False)
@_limit
@json_flag
@takes_settings("database")
def parked(settings: Settings, name: str | None, limit: int, as_json: bool) -> None:
    """List replies that no webhook would take for a day: of the account NAME, or of all. Oldest first.

    \b
    Example:
      cooee webhook parked
    """

    async def work() -> Sequence[DeliveryLine]:
        async with _webhooks(settings) as webhooks:
            return await webhooks.parked(name, limit=limit)

    _list(run(work()), as_json, "Nothing is parked.")


def _list(lines: Sequence[DeliveryLine], as_json: bool, empty: str) -> None:
    if as_json:
        show_json([_line_json(line) for line in lines])
        return
    show_table(
        (
            "Account",
            "Reply",
            "State",
            "Attempts",
            "Came in",
            "Next attempt",
            "Last attempt",
            "From",
            "To",
            "Result",
        ),
        [
            (
                line.account,
                line.reply_id,
                line.state.name.lower(),
                line.attempts,
                local_time(line.created_at, line.zone),
                local_time(line.next_at, line.zone),
                local_time(line.last_at, line.zone),
                line.originator,
                line.recipient,
                _result(line),
            )
            for line in lines
        ],
        empty,
    )


def _result(line: DeliveryLine) -> str | None:
    if line.state is DeliveryState.DELIVERED:
        return "taken"
    if not line.reason:
        return None
    return f"{line.reason}: {line.excerpt}" if line.excerpt else line.reason


def _line_json(line: DeliveryLine) -> dict[str, object]:
    return {
        "account": line.account,
        "reply_id": line.reply_id,
        "state": line.state.name.lower(),
        "attempts": line.attempts,
        "created_at": utc_time(line.created_at),
        "next_at": utc_time(line.next_at),
        "last_at": utc_time(line.last_at),
        "originator": line.originator,
        "recipient": line.recipient,
        "status": line.status,
        "reason": line.reason,
        "excerpt": line.excerpt,
    }


@webhook.command()
@click.argument("name")
@click.argument("reply_id", type=int, required=False)
@takes_settings(*SETTINGS)
def replay(settings: Settings, name: str, reply_id: int | None) -> None:
    """Tell the reply webhook of the account NAME again: all that is parked, or the delivery of REPLY_ID at once.

    \b
    Examples:
      cooee webhook replay acme
      cooee webhook replay acme 1042
    """

    async def work() -> int:
        async with _webhooks(settings) as webhooks:
            return await webhooks.replay(name, reply_id)

    count = run(work())
    if not count:
        click.echo(f"nothing of account {name} is parked")
        return
    click.echo(f"{count} {'delivery is' if count == 1 else 'deliveries are'} due again")


@webhook.command()
@click.argument("name")
@takes_settings(*SETTINGS)
def test(settings: Settings, name: str) -> None:
    """Call the reply webhook of the account NAME with a reply that says it is a test; exit code 1 if not taken.

    The message comes from 61491570006, a number that is nobody's, and has the reference cooee-test.

    \b
    Example:
      cooee webhook test acme
    """

    async def work() -> tuple[str, Outcome]:
        async with _webhooks(settings) as webhooks:
            return await webhooks.test(name)

    host, outcome = run(work())
    if outcome.taken:
        click.echo(f"{host} took the test reply: it answered {outcome.status} with 0")
        return
    detail = f"{outcome.reason}: {outcome.excerpt}" if outcome.excerpt else outcome.reason
    raise click.ClickException(f"{host} did not take the test reply: {detail}")
