"""The `cooee` command. `main` is the way in; a family of commands is a module that is read when it is called."""

from __future__ import annotations

import importlib
from typing import Any

import click

from cooee import __version__
from cooee.model.errors import CooeeError

__all__ = ["COMMANDS", "main"]

COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("cooee.cli.serve", "Run Cooee: the API, the engine, or both."),
    "demo": ("cooee.cli.serve", "Show a campaign going out and coming back, on a fresh database."),
    "migrate": ("cooee.cli.upkeep", "Apply the database migrations that are missing."),
    "check": ("cooee.cli.upkeep", "Verify configuration, database, key file, carriers and ledger sums."),
    "account": ("cooee.cli.account", "Add, change, credit and suspend accounts."),
    "operator": ("cooee.cli.operator", "Add and remove who may sign in to the operator pages."),
    "signup": ("cooee.cli.signup", "Approve or refuse who signed up for a trial."),
    "originator": ("cooee.cli.originator", "Approve sender IDs of accounts."),
    "rate": ("cooee.cli.rate", "Set what a segment costs, by country."),
    "credits": ("cooee.cli.credits", "Report the credits of accounts by month, for the bill."),
    "webhook": ("cooee.cli.webhook", "Show, test and replay reply webhooks."),
    "carrier": ("cooee.cli.carrier", "Add, change, check and pause carriers."),
    "campaign": ("cooee.cli.campaign", "List, show, pause and delete campaigns."),
    "message": ("cooee.cli.message", "Look one message up."),
    "uncertain": ("cooee.cli.uncertain", "Settle messages that may or may not have arrived."),
    "send": ("cooee.cli.send", "Send a message as an account."),
    "number": ("cooee.cli.number", "Say whose the replies to a number are."),
    "reply": ("cooee.cli.reply", "Look at replies, and assign those that are nobody's."),
    "optout": ("cooee.cli.optout", "Opt numbers out, and see who did so and why."),
    "keyword": ("cooee.cli.keyword", "Edit STOP, START and their kin, and the answers to them."),
    "pause": ("cooee.cli.campaign", "Pause everything that is scheduled or running."),
    "retention": ("cooee.cli.retention", "Remove what is older than it is kept."),
    "handset": ("cooee.cli.handset", "Play the phones behind the simulated SMSC."),
    "smsc": ("cooee.cli.smsc", "Run a simulated SMSC with handsets."),
}
"""Every command: the module that holds it under its own name, and its line in the overview."""


HELP = ["-h", "--help"]


class Commands(click.Group):
    """Reads a command's module only when it is called, and turns our errors into one line and exit code 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CooeeError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": HELP, "max_content_width": 110})
@click.version_option(__version__, prog_name="cooee")
def main() -> None:
    """Cooee sends and receives SMS in bulk: a REST API in front, SMPP carriers behind.

    Settings come from a TOML file (--config or COOEE_CONFIG), from COOEE_* in the environment, and from flags;
    each overrides the one before.

    \b
    Example:
      cooee serve --database sqlite:///cooee.db
    """
