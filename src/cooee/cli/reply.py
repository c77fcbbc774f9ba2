"""`cooee reply …`: what handsets wrote, and what of it is nobody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cooee.store.database import Row


@click.group()
def reply() -> None:
    """Look at replies, and give those that are nobody's to an account.

    \b
    Example:
      cooee reply unrouted
    """


@reply.command("list")
@click.argument("account")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@json_flag
@takes_settings("database")
def list_replies(settings: Settings, account: str, limit: int, as_json: bool) -> None:
    """List the newest replies of ACCOUNT. They are not flagged as retrieved by this.

    \b
    Example:
      cooee reply list acme --limit 10
    """
    from cooee.model.inbound import ReplyKind
    from cooee.service.accounts import Accounts

    async def work() -> Sequence[Row]:
        async with station(settings) as at:
            accounts = Accounts(at.database, at.ids, at.clock)
            try:
                found = await accounts.find(account)
            finally:
                accounts.close()
            return await at.database.read(lambda tx: tx.all("list_replies", account_id=found.id, limit=limit))

    rows = run(work())
    if as_json:
        show_json(
            [
                {
                    "id": row[0],
                    "received_at": utc_time(row[1]),
                    "from": row[3],
                    "to": row[4],
                    "text": row[5],
                    "kind": ReplyKind(row[6]).name.lower(),
                    "parts": row[7],
                    "missing_parts": row[8],
                    "reference_id": row[9],
                    "retrieved_at": utc_time(row[10]),
                }
                for row in rows
            ]
        )
        return
    show_table(
        ("Id", "Received", "From", "To", "Kind", "Reference", "Retrieved", "Text"),
        [
            (
                row[0],
                local_time(row[1], row[11]),
                row[3],
                row[4],
                ReplyKind(row[6]).name.lower(),
                row[9],
                row[10] is not None,
                _text(row[5], row[8]),
            )
            for row in rows
        ],
        f"No replies to {account} yet.",
    )


@reply.command()
@click.option("--number", "recipient", metavar="MSISDN", help="Only those that were sent to this number.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@json_flag
@takes_settings("database")
def unrouted(settings: Settings, recipient: str | None, limit: int, as_json: bool) -> None:
    """List replies that are nobody's: no account has the number that they were sent to, or none that shares it
    wrote to that handset.

    \b
    Example:
      cooee reply unrouted --number 61400190499
    """
    from cooee.model.inbound import number_of
    from cooee.service.numbers import Numbers

    wanted = None if recipient is None else number_of(recipient)

    async def work() -> Sequence[Row]:
        async with station(settings) as at:
            return await Numbers(at.database, at.clock).unrouted(wanted, limit)

    rows = run(work())
    if as_json:
        show_json(
            [
                {
                    "id": row[0],
                    "received_at": utc_time(row[1]),
                    "carrier": row[2],
                    "from": row[3],
                    "to": row[4],
                    "text": row[5],
                    "parts": row[6],
                    "missing_parts": row[7],
                }
                for row in rows
            ]
        )
        return
    show_table(
        ("Id", "Received", "Carrier", "From", "To", "Text"),
        [(row[0], utc_time(row[1]), row[2], row[3], row[4], _text(row[5], row[7])) for row in rows],
        "Every reply has found its account.",
    )


@reply.command()
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
@click.option("--account", required=True, help="Whose they are.")
@click.option("--number", "recipient", metavar="MSISDN", help="All that were sent to this number.")
@takes_settings("database")
def assign(settings: Settings, ids: tuple[int, ...], account: str, recipient: str | None) -> None:
    """Give unrouted replies to an account, by ID or all those to a number. Keywords do what they say.

    \b
    Examples:
      cooee reply assign 17 18 --account acme
      cooee reply assign --number 61400190499 --account acme
    """
    from cooee.model.inbound import number_of
    from cooee.service.numbers import Numbers

    if bool(ids) == (recipient is not None):
        raise click.UsageError("name replies by their ids, or a number with --number")

    async def work() -> int:
        async with station(settings) as at:
            numbers = Numbers(at.database, at.clock)
            if recipient is None:
                unknown = await numbers.not_unrouted(ids)
                if unknown:
                    raise ConfigError(f"{_no_reply(unknown)}: cooee reply unrouted shows those there are")
                return await numbers.assign(ids, account)
            taken = await numbers.assign_past(number_of(recipient), account)
            if not taken:
                raise ConfigError(f"nothing to {recipient} is unrouted: cooee reply unrouted shows what is")
            return taken

    click.echo(f"{counted(run(work()), 'reply', 'replies')} assigned to {account}")


@reply.command()
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
@click.option("--number", "recipient", metavar="MSISDN", help="All that were sent to this number.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@takes_settings("database")
def delete(settings: Settings, ids: tuple[int, ...], recipient: str | None, yes: bool) -> None:
    """Throw unrouted replies away for good, by ID or all those to a number. Replies of accounts are left alone.

    \b
    Examples:
      cooee reply delete 17 18
      cooee reply delete --number 61400190499 --yes
    """
    from cooee.model.inbound import number_of
    from cooee.service.numbers import Numbers

    if bool(ids) == (recipient is not None):
        raise click.UsageError("name replies by their ids, or a number with --number")
    number = None if recipient is None else number_of(recipient)

    async def count() -> tuple[int, int]:
        async with station(settings) as at:
            numbers = Numbers(at.database, at.clock)
            if number is not None:
                return await numbers.count_unrouted(number)
            return len(await numbers.unrouted_some(ids)), 0

    async def work(until: int) -> int:
        async with station(settings) as at:
            numbers = Numbers(at.database, at.clock)
            return await (numbers.delete_past(number, until) if number is not None else numbers.delete(ids))

    found, until = run(count())
    these = "this reply" if found == 1 else f"these {found} replies"
    if found and not yes and not click.confirm(f"Throw {these} away for good?"):
        click.echo("nothing was deleted")
        return
    gone = run(work(until)) if found else 0
    click.echo(f"{counted(gone, 'unrouted reply', 'unrouted replies')} deleted")


@reply.command()
@takes_settings("database")
def recover(settings: Settings) -> None:
    """Read replies again that lie in quarantine: versions without replies left them there, and so does a fault.

    \b
    Example:
      cooee reply recover
    """
    from cooee.service.recovery import recover as again

    async def work() -> tuple[int, int]:
        async with station(settings) as at:
            return await again(at.database, at.clock)

    taken, left = run(work())
    click.echo(f"{counted(taken, 'message')} recovered, {left} cannot be read")


def _no_reply(ids: Sequence[int]) -> str:
    named = ", ".join(map(str, ids))
    return f"{named} is no unrouted reply" if len(ids) == 1 else f"{named} are no unrouted replies"


def _text(text: str, missing: int) -> str:
    shown = " ".join(text.split())
    if len(shown) > 60:
        shown = shown[:59] + "…"
    return f"{shown} ({counted(missing, 'part')} missing)" if missing else shown
