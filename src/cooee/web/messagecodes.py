"""The page of the codes of messages, in Markdown: docs/message-codes.md, and a part of /docs."""

from __future__ import annotations

from cooee.model.codetable import CodeTable, Source

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

INTRODUCTION = """\
Why a message failed is a number: `Code` in [DRStatus](api.md#post-apidrstatus), and in `cooee message show` and
`cooee campaign show`, which put its name beside it. It is the carrier's own number, passed on as it came. The
codes that the API answers requests with are others, all below 0: see [the API](api.md#codes).

Permanent means that the same message to the same number would fail again. Temporary: it may arrive at another
time. A number without a name is shown as a number; what the carrier wrote is kept, and `cooee message show` prints
it."""

_OWN = f"""\
## Names of your own

A TOML file with the entries that are to be new or different, named by the setting `codes_file`. What it does not
name stays as below. `cooee check` says whether it can be read; a server with a file that cannot does not start.
The words change what people see, not what is tried again.

```text
{OWN_CODES}```"""


def tables(codes: CodeTable, level: str = "##") -> list[str]:
    """A heading of that level, a sentence and a table for each who says codes."""
    parts = []
    for source, (title, prose) in _SAID.items():
        lines = [f"| {row.code} | {_cell(row.name)} | {row.lasts} |" for row in codes.rows(source)]
        rows = "\n".join(["| Code | Name | |", "|---|---|---|", *lines])
        parts += [f"{level} {title} [{source.value}]", prose, rows]
    return parts


def page(codes: CodeTable) -> str:
    """docs/message-codes.md."""
    parts = [
        "# Codes of messages",
        "Made from `src/cooee/codes.toml` by `python -m cooee.cli.reference docs`.",
        INTRODUCTION,
        _OWN,
        *tables(codes),
    ]
    return "\n\n".join(parts) + "\n"


def _cell(name: str) -> str:
    return name.replace("|", "\\|")
