"""`cooee carrier …`: the operator's side of carriers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from cooee.cli.base import (
    json_flag,
    password_flag,
    read_password,
    run,
    show_json,
    show_table,
    station,
    takes_settings,
)
from cooee.config import Settings
from cooee.model.carrier import KINDS, CarrierRow, SmppSettings
from cooee.model.options import options, text_of

if TYPE_CHECKING:
    from cooee.service.carriers import Carriers

FOLLOW = "running engines follow within 5 s"


def settings_help() -> str:
    """The settings of a carrier, for a help page: a line or two each."""
    lines = []
    for name, option in options(SmppSettings).items():
        default = (
            "required" if option.default is None else f"default {option.default}" if option.default else "unset"
        )
        lines.append(f"  {name}: {option.takes} ({default})\n      {option.description}")
    return "\b\nSettings of kind smpp:\n" + "\n".join(lines)


class _WithSettings(click.Command):
    """A command whose help ends with the table of carrier settings."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(settings_help())


def _pairs(_ctx: click.Context, _param: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"'{text}' is not of the form name=value")
        pairs[name.strip()] = value
    return pairs


set_flag: Callable[[Any], Any] = click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", callback=_pairs, help="A setting; may be repeated."
)


@asynccontextmanager
async def _carriers(settings: Settings) -> AsyncIterator[Carriers]:
    from cooee.service.carriers import Carriers

    async with station(settings) as at:
        yield Carriers(at.database, at.ids, at.clock, at.secrets)


@click.group()
def carrier() -> None:
    """Add, change, check and pause carriers: who messages are handed to.

    \b
    Example:
      cooee carrier list
    """


@carrier.command(cls=_WithSettings)
@click.argument("name")
@click.option("--kind", type=click.Choice(list(KINDS)), required=True, help="How the carrier is spoken to.")
@set_flag
@password_flag
@takes_settings("database")
def add(settings: Settings, name: str, kind: str, changes: dict[str, str], password_stdin: bool) -> None:
    """Add the carrier NAME. It is used at once; its password is read from standard input.

    \b
    Example:
      echo secret | cooee carrier add telco --kind smpp --set host=smpp.telco.example --set port=2775 \\
          --set system_id=acme --set tps=100 --set window=50 --set binds=2 --password-stdin
    """
    secret = read_password() if password_stdin else None

    async def work() -> CarrierRow:
        async with _carriers(settings) as carriers:
            return await carriers.add(name, kind, changes, secret)

    run(work())
    click.echo(f"carrier {name} added; {FOLLOW}")


@carrier.command("set", cls=_WithSettings)
@click.argument("name")
@set_flag
@password_flag
@takes_settings("database")
def set_carrier(settings: Settings, name: str, changes: dict[str, str], password_stdin: bool) -> None:
    """Change settings of the carrier NAME; an empty value takes one back to its default.

    \b
    Example:
      cooee carrier set telco --set tps=200 --set max_age_h=
    """
    if not changes and not password_stdin:
        raise click.UsageError("name at least one setting to change")
    secret = read_password() if password_stdin else None

    async def work() -> CarrierRow:
        async with _carriers(settings) as carriers:
            return await carriers.set(name, changes, secret)

    run(work())
    click.echo(f"carrier {name} changed; {FOLLOW}")


@carrier.command("list")
@json_flag
@takes_settings("database")
def list_carriers(settings: Settings, as_json: bool) -> None:
    """List the carriers and their settings, without passwords.

    \b
    Example:
      cooee carrier list
    """

    async def work() -> list[CarrierRow]:
        async with _carriers(settings) as carriers:
            return await carriers.list()

    rows = run(work())
    if as_json:
        show_json(
            [
                {
                    "id": row.id,
                    "name": row.name,
                    "kind": row.kind,
                    "state": row.state.name.lower(),
                    "version": row.version,
                    "settings": row.settings,
                }
                for row in rows
            ]
        )
        return
    shown_apart = {"host", "port", "tps", "binds", "window"}
    show_table(
        ("Name", "Kind", "State", "SMSC", "TPS", "Binds", "Window", "Other settings"),
        [
            (
                row.name,
                row.kind,
                row.state.name.lower(),
                f"{row.smpp.host}:{row.smpp.port}",
                row.tps or None,
                row.binds,
                row.smpp.window,
                " ".join(f"{name}={text_of(v)}" for name, v in row.settings.items() if name not in shown_apart),
            )
            for row in rows
        ],
        "No carriers yet: messages stay queued until one is added with cooee carrier add.",
    )


@carrier.command()
@click.argument("name")
@takes_settings("database")
def remove(settings: Settings, name: str) -> None:
    """Take the carrier NAME out of service for good. What waits for it goes to the other carriers.

    \b
    Example:
      cooee carrier remove telco
    """

    async def work() -> None:
        async with _carriers(settings) as carriers:
            await carriers.remove(name)

    run(work())
    click.echo(f"carrier {name} removed; {FOLLOW}")


@carrier.command()
@click.argument("name")
@json_flag
@takes_settings("database")
def check(settings: Settings, name: str, as_json: bool) -> None:
    """Connect to the carrier NAME and bind once, as an engine would; say how that went.

    A carrier that limits binds may refuse this one while engines hold theirs.

    \b
    Example:
      cooee carrier check telco
    """
    from cooee.carriers.probe import try_carrier

    async def work() -> tuple[bool, str]:
        from cooee.service.carriers import Carriers

        async with station(settings) as at:
            found = await Carriers(at.database, at.ids, at.clock, at.secrets).find(name)
            return await try_carrier(found, at.clock)

    fine, said = run(work())
    if as_json:
        show_json({"name": name, "ok": fine, "reason": said})
    else:
        click.echo(f"{'OK' if fine else 'FAILED'}  carrier {name}: {said}")
    if not fine:
        raise SystemExit(1)


@carrier.command()
@click.argument("name")
@takes_settings("database")
def pause(settings: Settings, name: str) -> None:
    """Hand nothing more to the carrier NAME. Its binds stay up, so receipts and replies still come.

    \b
    Example:
      cooee carrier pause telco
    """

    async def work() -> bool:
        async with _carriers(settings) as carriers:
            return await carriers.pause(name)

    click.echo(f"carrier {name} paused; {FOLLOW}" if run(work()) else f"carrier {name} was paused already")


@carrier.command()
@click.argument("name")
@takes_settings("database")
def resume(settings: Settings, name: str) -> None:
    """Hand messages to the paused carrier NAME again.

    \b
    Example:
      cooee carrier resume telco
    """

    async def work() -> bool:
        async with _carriers(settings) as carriers:
            return await carriers.resume(name)

    click.echo(f"carrier {name} resumed; {FOLLOW}" if run(work()) else f"carrier {name} was not paused")
