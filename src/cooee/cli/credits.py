"""`cooee credits report`: the monthly bill of a parent account."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from cooee.cli.base import json_flag, run, show_json, show_table, station, takes_settings, utc_time
from cooee.config import Settings
from cooee.model.clock import iso_offset, zone
from cooee.model.words import counted

if TYPE_CHECKING:
    from cooee.service.billing import Bill, BillLine, Sums

_COLUMNS = {
    "opening": "Opening",
    "top_ups": "Top-ups",
    "charges": "Charges",
    "refunds": "Refunds",
    "adjustments": "Adjustments",
    "closing": "Closing",
    "campaigns": "Campaigns",
    "messages": "Messages",
    "segments": "Segments",
}


@click.group()
def credits() -> None:
    """Report the credits of accounts by month, for the bill.

    \b
    Example:
      cooee credits report --parent acme --month 2026-10
    """


@credits.command()
@click.option("--parent", required=True, metavar="NAME", help="The account that is billed, with all below it.")
@click.option("--month", metavar="YYYY-MM", help="Which month, in the parent's zone.  [default: the last one]")
@click.option("--details", is_flag=True, help="List each top-up and adjustment as well; with --csv, only those.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_flag
@takes_settings("database")
def report(settings: Settings, parent: str, month: str | None, details: bool, as_csv: bool, as_json: bool) -> None:
    """Show what became of the credits of an account and of all its sub-accounts in one month.

    Opening and closing balance, top-ups (what is billed), charges, refunds, and adjustments: opening credits and
    corrections by the operator. Campaigns are counted in the month that charged them first. The ledger is added up
    line by line; a balance that is not its sum is an error.

    \b
    Examples:
      cooee credits report --parent acme
      cooee credits report --parent acme --month 2026-10 --csv
      cooee credits report --parent acme --month 2026-10 --csv --details
    """
    if as_csv and as_json:
        raise click.UsageError("print either --csv or --json")

    async def work() -> tuple[Bill, list[BillLine]]:
        from cooee.service.billing import Billing

        async with station(settings) as at:
            billing = Billing(at.database, at.clock)
            bill = await billing.bill(parent, month)
            return bill, [line async for line in billing.lines(bill)] if details else []

    bill, lines = run(work())
    if as_json:
        show_json(_json(bill, lines if details else None))
    elif as_csv and details:
        _show_csv(("account", "no", "at", "amount", "kind", "reason"), _line_rows(bill, lines))
    elif as_csv:
        _show_csv(
            ("account", "parent", *_COLUMNS),
            [(item.name, item.parent or "", *_row(item.sums)) for item in bill.items],
        )
    else:
        _show(bill)
        if details:
            click.echo()
            show_table(
                ("Account", "No", "When", "Credits", "Kind", "Reason"), _line_rows(bill, lines), "No top-ups."
            )


def _row(sums: Sums) -> list[int]:
    return [getattr(sums, name) for name in _COLUMNS]


def _line_rows(bill: Bill, lines: Iterable[BillLine]) -> list[tuple[object, ...]]:
    where = zone(bill.zone)
    return [
        (line.account, line.no, iso_offset(line.at, where), line.amount, line.kind, line.reason) for line in lines
    ]


def _show(bill: Bill) -> None:
    where = zone(bill.zone)
    so_far = "" if bill.complete else ", which is not over yet"
    click.echo(f"Credits of {bill.parent} in {bill.month}{so_far}")
    click.echo(f"From {iso_offset(bill.starts, where)} until {iso_offset(bill.ends, where)}, {bill.zone}")
    click.echo()
    rows = [("  " * item.depth + item.name, *_row(item.sums)) for item in bill.items]
    if len(rows) > 1:
        rows.append(("Total", *_row(bill.total)))
    show_table(("Account", *_COLUMNS.values()), rows, "")
    click.echo()
    added, times = bill.total.top_ups, bill.total.top_up_count
    was = "was" if added == 1 else "were"
    click.echo(f"{counted(added, 'credit')} {was} added in {counted(times, 'top-up')}")


def _json(bill: Bill, lines: Sequence[BillLine] | None) -> dict[str, object]:
    found: dict[str, object] = {
        "parent": bill.parent,
        "month": bill.month,
        "zone": bill.zone,
        "from": utc_time(bill.starts),
        "until": utc_time(bill.ends),
        "complete": bill.complete,
        "accounts": [
            {"id": item.account_id, "name": item.name, "parent": item.parent, **asdict(item.sums)}
            for item in bill.items
        ],
        "total": asdict(bill.total),
    }
    if lines is not None:
        found["lines"] = [{**asdict(line), "at": utc_time(line.at)} for line in lines]
    return found


def _show_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula is quoted as it does itself."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value
