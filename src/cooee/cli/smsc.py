"""`cooee smsc`: the simulated SMSC on a port, its every behaviour a flag."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from cooee.cli.base import flag, show_json, takes_settings
from cooee.config import Settings
from cooee.model.clock import SystemClock
from cooee.model.errors import ConfigError
from cooee.model.options import Option, options
from cooee.smpp.smsc.config import SmscConfig

Command = TypeVar("Command", bound=Callable[..., Any])

_PORT = 2775
_PAIRS = {"failures": "STAT=ERR,…", "statuses": "STATUS=SHARE,…"}
"""Fields that hold pairs, and how they are written."""


def _flags(command: Command) -> Command:
    known = options(SmscConfig)
    plain = _plain_options()
    flags = [flag(option) for option in plain.values()]
    flags += [click.option(f"--{n}", metavar=form, help=known[n].description) for n, form in _PAIRS.items()]
    flags.append(
        click.option(
            "--credentials",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="File with a `system_id:password` a line: who may bind. Without it anybody may.",
        )
    )
    for each in reversed(flags):
        command = each(command)
    return command


def _plain_options() -> dict[str, Option]:
    """The fields that a single value says; `port` has the usual port as its default here."""
    found = {name: option for name, option in options(SmscConfig).items() if name not in (*_PAIRS, "credentials")}
    found["port"] = replace(found["port"], default=str(_PORT))
    return found


@click.command()
@_flags
@takes_settings("log_format", "log_level", keeps_running=True)
def smsc(settings: Settings, credentials: Path | None, **values: Any) -> None:
    """Run a simulated SMSC with handsets until Ctrl-C. It speaks SMPP 3.4; nothing reaches a real phone.

    It answers submit_sm, sends receipts, and can throttle, refuse, drop connections, repeat, delay or re-order
    receipts. With --control-port it takes commands as lines of JSON, such as {"do": "stats"} or
    {"do": "reply", "from": "61400123456", "to": "61400000000", "text": "STOP"}.

    \b
    Examples:
      cooee smsc --port 2775 --receipts 1.0 --fail 0.02
      cooee smsc --tps 50 --statuses ESME_RTHROTTLED=0.1 --receipt-delay 3 --control-port 2776
    """
    config = _config(credentials, values)
    import uvloop

    stats = uvloop.run(_serve(config))
    click.echo("seen by the SMSC:")
    show_json(stats)


def _config(credentials: Path | None, values: dict[str, Any]) -> SmscConfig:
    given: dict[str, Any] = {}
    plain = _plain_options()
    for name, value in values.items():
        if value is None:
            continue
        if name in _PAIRS:
            given[name] = _pairs(name, value)
        else:
            given[name] = plain[name].read_text(value, "the flags") if isinstance(value, str) else value
    if credentials is not None:
        given["credentials"] = _credentials(credentials)
    return SmscConfig(**{"port": _PORT, **given})


def _pairs(name: str, text: str) -> tuple[tuple[str, Any], ...]:
    pairs = []
    for item in text.split(","):
        first, equals, second = item.strip().partition("=")
        try:
            if not equals:
                raise ValueError(item)
            pairs.append((first, float(second) if name == "statuses" else second))
        except ValueError:
            raise click.UsageError(f"--{name}: '{item}' is not of the form {_PAIRS[name].split(',')[0]}") from None
    return tuple(pairs)


def _credentials(path: Path) -> tuple[tuple[str, str], ...]:
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        system_id, colon, password = line.strip().partition(":")
        if not colon or not system_id:
            raise ConfigError(f"{path}, line {number}: write system_id:password")
        pairs.append((system_id, password))
    if not pairs:
        raise ConfigError(f"{path} names nobody who may bind")
    return tuple(pairs)


async def _serve(config: SmscConfig) -> dict[str, Any]:
    from cooee.smpp.smsc import Smsc

    server = Smsc(config, SystemClock())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await server.start()
    except OSError as error:
        await server.stop()
        raise ConfigError(
            f"the SMSC cannot listen on {config.host}:{config.port}: {error.strerror or error}"
        ) from error
    click.echo(f"SMSC on {config.host}:{server.port}" + _control(server.control_port))
    await stop.wait()
    stats = server.stats()
    await server.stop(grace=2.0)
    return stats


def _control(port: int) -> str:
    return f", control on 127.0.0.1:{port}" if port else ""
