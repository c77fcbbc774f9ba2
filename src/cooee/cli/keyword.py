"""`cooee keyword …`: words that opt a handset out or bring it back, and what is answered to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cooee.cli.base import json_flag, run, show_fields, show_json, show_table, station, takes_settings
from cooee.config import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cooee.model.inbound import ReplyKind


@click.group()
def keyword() -> None:
    """Edit the words that opt a handset out, or bring it back, when they are all that it writes.

    Upper and lower case, white space and punctuation around them make no difference.

    \b
    Example:
      cooee keyword list
    """


@keyword.command()
@click.argument("word")
@click.option("--start", is_flag=True, help="It brings a handset back; without this it opts one out.")
@takes_settings("database")
def add(settings: Settings, word: str, start: bool) -> None:
    """Make WORD a keyword, for all accounts that use keywords.

    \b
    Examples:
      cooee keyword add 'no more'
      cooee keyword add weiter --start
    """
    from cooee.model.inbound import ReplyKind
    from cooee.service.keywords import Keywords

    async def work() -> str:
        async with station(settings) as at:
            return await Keywords(at.database, at.clock).add(word, ReplyKind.START if start else ReplyKind.STOP)

    form = run(work())
    click.echo(f"'{form}' {'brings a handset back' if start else 'opts a handset out'} from now on")


@keyword.command()
@click.argument("word")
@takes_settings("database")
def remove(settings: Settings, word: str) -> None:
    """Make WORD a word like any other.

    \b
    Example:
      cooee keyword remove end
    """
    from cooee.service.keywords import Keywords

    async def work() -> str:
        async with station(settings) as at:
            return await Keywords(at.database, at.clock).remove(word)

    click.echo(f"'{run(work())}' is no keyword any more")


@keyword.command("list")
@json_flag
@takes_settings("database")
def list_keywords(settings: Settings, as_json: bool) -> None:
    """List the keywords.

    \b
    Example:
      cooee keyword list --json
    """
    from cooee.service.keywords import Keywords

    async def work() -> Sequence[tuple[str, ReplyKind]]:
        async with station(settings) as at:
            return await Keywords(at.database, at.clock).list()

    found = run(work())
    if as_json:
        show_json([{"word": word, "kind": kind.name.lower()} for word, kind in found])
        return
    show_table(("Word", "Kind"), [(word, kind.name.lower()) for word, kind in found], "There are no keywords.")


@keyword.command()
@click.argument("name")
@click.option("--on/--off", "on", default=None, help="Whether keywords work for this account.  [default: on]")
@click.option("--stop-answer", metavar="TEXT", help="Sent to who opts out by STOP or its kin; empty for nothing.")
@click.option("--start-answer", metavar="TEXT", help="Sent to who comes back by START; empty for nothing.")
@json_flag
@takes_settings("database")
def account(
    settings: Settings,
    name: str,
    on: bool | None,
    stop_answer: str | None,
    start_answer: str | None,
    as_json: bool,
) -> None:
    """Show or change how the account NAME takes keywords.

    An answer goes out at most once a handset a day, from the number that was written to, also to who has just
    opted out. It is charged like any message, waits for the send window, and is left out when credits are short.

    \b
    Examples:
      cooee keyword account acme --stop-answer 'You get no more messages. START to return.'
      cooee keyword account acme --off
    """
    from cooee.model.inbound import ReplyKind
    from cooee.service.keywords import Keywords

    async def work() -> tuple[bool, str | None, str | None]:
        async with station(settings) as at:
            keywords = Keywords(at.database, at.clock)
            if on is not None:
                await keywords.use(name, on=on)
            if stop_answer is not None:
                await keywords.answer(name, ReplyKind.STOP, stop_answer)
            if start_answer is not None:
                await keywords.answer(name, ReplyKind.START, start_answer)
            return await keywords.settings(name)

    used, stop, start = run(work())
    if as_json:
        show_json({"account": name, "keywords": used, "stop_answer": stop, "start_answer": start})
        return
    show_fields({"Account": name, "Keywords": used, "Answer to STOP": stop, "Answer to START": start})
