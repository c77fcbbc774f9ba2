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
from cooee.model.codetable import Source
from cooee.model.options import options
from cooee.service.codes import load_codes

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
        "are read from standard input only, so that they never show in a list of processes.",
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


OWN_CODES = """\
[receipt]
6 = { temporary = "Phone is switched off" }
4711 = { permanent = "Prepaid card is used up" }
"""
"""The example of an operator's own file."""

_SAID = {
    Source.COOEE: ("Cooee", "What Cooee itself says."),
    Source.SUBMIT: (
        "Refused at once",
        "The command_status with which an SMSC refused a submit_sm (SMPP 3.4 §5.1.3), in decimal. Carriers have "
        "numbers of their own from 1024 on. Which of them Cooee tries again is in [carriers]"
        "(carriers.md#answers-to-submit_sm): those that are temporary here.",
    ),
    Source.RECEIPT: (
        "In a receipt",
        "The error that stood in a receipt. Below 100 most SMSCs pass on the errors of GSM MAP (3GPP 29.002 "
        "§17.6.6); from 300 come those of the CIMD2 family. Carriers differ: the setting "
        "[`codes`](carriers.md#the-settings-in-practice) of one translates its numbers to these.",
    ),
}


def codes_page() -> str:
    """docs/message-codes.md."""
    codes = load_codes()
    parts = [
        "# Codes of messages",
        "Made from `src/cooee/codes.toml` by `python -m cooee.cli.reference docs`.",
        "Why a message failed is a number: `Code` in [DRStatus](api.md#post-apidrstatus), and in `cooee message "
        "show` and `cooee campaign show`, which put its name beside it. It is the carrier's own number, passed on "
        "as it came. The codes that the API answers requests with are others, all below 0: see "
        "[the API](api.md#codes).",
        "Permanent means that the same message to the same number would fail again. Temporary: it may arrive at "
        "another time. A number without a name is shown as a number; what the carrier wrote is kept, and `cooee "
        "message show` prints it.",
        "## Names of your own",
        "A TOML file with the entries that are to be new or different, named by the setting `codes_file`. What it "
        "does not name stays as below. `cooee check` says whether it can be read; a server with a file that "
        "cannot does not start. The words change what people see, not what is tried again.",
        f"```text\n{OWN_CODES}```",
    ]
    for source, (title, prose) in _SAID.items():
        lines = [f"| {row.code} | {row.name} | {row.lasts} |" for row in codes.rows(source)]
        rows = "\n".join(["| Code | Name | |", "|---|---|---|", *lines])
        parts += [f"## {title} [{source.value}]", prose, rows]
    return "\n\n".join(parts) + "\n"


def write(folder: Path) -> None:
    """Writes the pages into `folder`."""
    (folder / "message-codes.md").write_text(codes_page(), encoding="utf-8")
    (folder / "cli.md").write_text(cli_page(), encoding="utf-8")
    page = folder / "configuration.md"
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
