"""`cooee serve` and `cooee demo`: what keeps running."""

from __future__ import annotations

import click

from cooee.cli.base import takes_settings
from cooee.config import Settings


@click.command()
@takes_settings(
    "database",
    "key_file",
    "host",
    "port",
    "role",
    "simulate",
    "simulate_control_port",
    "log_format",
    "log_level",
    keeps_running=True,
)
def serve(settings: Settings) -> None:
    """Run Cooee until SIGTERM or Ctrl-C: the API, the engine that hands messages to carriers, or both.

    The database is made and brought up to date as needed. A stop takes no new work, waits for the answers to what
    is in flight, and exits 0. Accounts and carriers may be changed by other commands meanwhile.

    \b
    Examples:
      cooee serve
      cooee serve --database postgresql://cooee@db.internal/cooee --role engine
      cooee serve --simulate --port 9000
    """
    from cooee import app

    app.serve(settings)


@click.command()
@takes_settings("host", "port", "log_format", "log_level", keeps_running=True)
def demo(settings: Settings) -> None:
    """Show Cooee at work: a fresh database, a demo account, and a simulated SMSC.

    Sends a first campaign through the public API, shows it being delivered, prints curl lines to try, and keeps
    serving until Ctrl-C. No message reaches a real phone.

    \b
    Example:
      cooee demo --port 9000
    """
    from cooee import app

    app.demo(settings)
