"""What the commands share: settings as flags, the opened database, passwords from stdin, tables and JSON."""

from __future__ import annotations

import asyncio
import functools
import getpass
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from msgspec import inspect

from cooee import logs
from cooee.config import Settings, load
from cooee.model.clock import Clock, SystemClock, ms_to_local, zone
from cooee.model.errors import CooeeError
from cooee.model.options import Option, options

if TYPE_CHECKING:
    from cooee.store.database import Database
    from cooee.store.ids import Ids
    from cooee.store.secrets import Secrets

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
password_flag = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


def flag(option: Option) -> Callable[[Command], Command]:
    """A command-line flag for an option; None when it is not given."""
    name = "--" + option.name.replace("_", "-")
    text = option.description
    if option.default:
        text += f"  [default: {option.default}]"
    match option.type:
        case inspect.BoolType():
            return click.option(f"{name}/--no-{name[2:]}", option.name, default=None, help=text)
        case inspect.LiteralType():
            choice = click.Choice([str(value) for value in option.type.values])
            return click.option(name, option.name, type=choice, default=None, help=text)
        case _:
            numeric = isinstance(option.type, inspect.IntType | inspect.FloatType)
            metavar = "NUMBER" if numeric else "TEXT"
            return click.option(name, option.name, metavar=metavar, default=None, help=text)


def takes_settings(*names: str, keeps_running: bool = False) -> Callable[[Command], Command]:
    """Gives a command `--config` and flags for these settings, and passes it the whole `settings`.

    Logs are set up as well: as the settings say for what keeps running, silent for a command whose outcome is one
    line anyway.
    """
    known = options(Settings)

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def wrapper(*args: Any, config: str | None, **values: Any) -> Any:
            settings = load({name: values.pop(name) for name in names}, file=config)
            logs.setup(settings.log_format, settings.log_level if keeps_running else "critical")
            return command(*args, settings=settings, **values)

        flags = [click.option("--config", metavar="FILE", help="TOML file with settings.")]
        flags += [flag(known[name]) for name in names]
        decorated: Any = wrapper
        for each in reversed(flags):
            decorated = each(decorated)
        return cast(Command, decorated)

    return decorate


@dataclass(frozen=True, slots=True)
class Station:
    """An opened database and what goes with it."""

    settings: Settings
    database: Database
    ids: Ids
    clock: Clock
    secrets: Secrets


@asynccontextmanager
async def station(settings: Settings) -> AsyncIterator[Station]:
    """Opens the database of the settings, brought up to date, and its key file; closes it at the end.

    An SQLite file that was not there is made, and that is said: a command in the wrong folder would else seem to
    have lost everything. ConfigError or StoreUnavailable say what is wrong.
    """
    # Imported here: they bring the drivers along, and `cooee --help` needs neither.
    from cooee.service.audit import Actor, acting
    from cooee.store.ids import Ids
    from cooee.store.open import open_database, sqlite_path
    from cooee.store.secrets import key_path, open_secrets, permission_warning

    clock = SystemClock()
    path = sqlite_path(settings.database)
    made = path is not None and not await asyncio.to_thread(path.exists)
    database = await open_database(settings.database, clock, pool=2)
    try:
        secrets = await open_secrets(database, key_path(settings.database, settings.key_file))
        warning = permission_warning(secrets.path)
        if warning:
            click.echo(f"Warning: {warning}", err=True)
        try:
            with acting(Actor("cli")):
                yield Station(settings, database, Ids(database), clock, secrets)
        except CooeeError as error:
            if made:
                raise CooeeError(f"{error} ({path} is new: is that the database you mean?)") from error
            raise
        if made:
            click.echo(f"Note: {path} is a new database; its key file is {secrets.path}", err=True)
    finally:
        await database.close()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a command's coroutine to its end."""
    return asyncio.run(coroutine)


def read_password(what: str = "password", option: str = "--password-stdin") -> str:
    """The next line of standard input; a usage error where there is none. From a person at a terminal it is asked
    for, and not shown. `what` names it, `option` is what asked for it."""
    try:
        if sys.stdin.isatty():
            secret = getpass.getpass(f"{what[0].upper()}{what[1:]} (it is not shown): ", sys.stderr)
        else:
            secret = sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except EOFError:
        secret = ""
    except UnicodeDecodeError:
        raise click.UsageError(f"the {what} on standard input is not valid UTF-8 text") from None
    if not secret:
        raise click.UsageError(f"{option}: standard input holds no {what}")
    return secret


def show_json(value: object) -> None:
    """Prints JSON for programs: indented, keys in order."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(headers: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Prints aligned columns, numbers to the right; the sentence `empty` when there is no row."""
    if not rows:
        click.echo(empty)
        return
    texts = [[_cell(value) for value in row] for row in rows]
    right = [all(isinstance(row[i], int) or row[i] is None for row in rows) for i in range(len(headers))]
    widths = [max(len(headers[i]), *(len(row[i]) for row in texts)) for i in range(len(headers))]
    for line in [list(headers), *texts]:
        cells = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def show_fields(fields: Mapping[str, object]) -> None:
    """Prints one thing: a name and a value a line."""
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        click.echo(f"{name.ljust(width)}  {_cell(value)}".rstrip())


def local_time(ms: int | None, zone_name: str) -> str | None:
    """`2026-11-24 19:32:10 Australia/Sydney`, for people; None for None."""
    if ms is None:
        return None
    return f"{ms_to_local(ms, zone(zone_name)).isoformat(sep=' ')} {zone_name}"


def utc_time(ms: int | None) -> str | None:
    """`2026-11-24T08:32:10Z`, for programs; None for None."""
    return None if ms is None else f"{ms_to_local(ms, None).isoformat()}Z"


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)
