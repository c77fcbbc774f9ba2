"""The pages docs/cli.md, docs/configuration.md and docs/message-codes.md, made from what they describe.

`python -m cooee.cli.reference docs` writes them; a test fails when they are not current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from msgspec import Struct

from cooee.cli import COMMANDS, HELP, main
from cooee.config import PREFIX, Settings
from cooee.model.carrier import SmppSettings
from cooee.model.options import options
from cooee.service.codes import load_codes
from cooee.web import messagecodes

WIDTH = 100
_MARK = "<!-- made from the code: {} -->"


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups before what they hold."""
    top = click.Context(main, info_name="cooee")
    for name in COMMANDS:
        command = main.get_command(top, name)
        if command is None:
            raise LookupError(name)
        yield from _walk(f"cooee {name}", command)


def _walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _walk(f"{path} {name}", inner)


def help_of(path: str, command: click.Command) -> str:
    """A command's help text at the width of the page."""
    context = click.Context(
        command, info_name=path, terminal_width=WIDTH, max_content_width=WIDTH, help_option_names=HELP
    )
    return command.get_help(context)


def cli_page() -> str:
    """docs/cli.md."""
    parts = [
        "# Command line",
        "Made from the commands themselves by `python -m cooee.cli.reference docs`.",
        "Every command exits 0 when it did what was asked, 1 when that failed (one line on standard error says "
        "why), and 2 when it was called wrongly. With `--json` data is printed for programs: times in UTC, "
        "destinations as text. Times in tables are in the account's zone, which is named beside them. Passwords "
        "are read from standard input only, so that they never show in a list of processes; at a terminal they "
        "are asked for, so that they do not stay in the history of the shell either.",
        "```\n" + help_of("cooee", main) + "\n```",
    ]
    for path, command in commands():
        parts += [f"## {path}", "```\n" + help_of(path, command) + "\n```"]
    return "\n\n".join(parts) + "\n"


def table(struct: type[Struct], *, environment: bool) -> str:
    """A Markdown table of a Struct's options."""
    head = (
        "| setting | environment | takes | default | meaning |"
        if environment
        else "| setting | takes | default | meaning |"
    )
    lines = [head, "|---" * (head.count("|") - 1) + "|"]
    for option in options(struct).values():
        default = (
            "*required*" if option.default is None else f"`{option.default}`" if option.default else "*empty*"
        )
        cells = [f"`{option.name}`"]
        if environment:
            cells.append(f"`{PREFIX}{option.name.upper()}`")
        cells += [option.takes, default, option.description]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """docs/configuration.md with its two tables made anew; the prose around them is written by hand."""
    for name, made in (
        ("settings", table(Settings, environment=True)),
        ("carrier settings", table(SmppSettings, environment=False)),
    ):
        opening, closing = _MARK.format(name), _MARK.format(f"end of {name}")
        before, found, rest = page.partition(opening)
        if not found or closing not in rest:
            raise ValueError(f"the page lacks {opening} … {closing}")
        page = f"{before}{opening}\n{made}\n{closing}{rest.partition(closing)[2]}"
    return page


def write(folder: Path) -> None:
    """Writes the pages into `folder`."""
    (folder / "message-codes.md").write_text(messagecodes.page(load_codes()), encoding="utf-8")
    (folder / "cli.md").write_text(cli_page(), encoding="utf-8")
    page = folder / "configuration.md"
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
