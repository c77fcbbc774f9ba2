"""`cooee retention run`: old rows are removed now, or it is told what would go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cooee.cli.base import json_flag, run, show_json, show_table, takes_settings
from cooee.config import Settings
from cooee.model.clock import DAY, HOUR, SystemClock

if TYPE_CHECKING:
    from cooee.service.retention import Removed


@click.group()
def retention() -> None:
    """Remove what is older than it is kept. Servers do so by themselves.

    \b
    Example:
      cooee retention run --dry-run
    """


@retention.command("run")
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would go.")
@json_flag
@takes_settings("database", "keep_messages_days", "keep_replies_days", "keep_receipts_days", "keep_audit_days")
def run_retention(settings: Settings, dry_run: bool, as_json: bool) -> None:
    """Remove old campaigns, replies, audit lines and technical rows now, beside the traffic, and say what went.

    It goes in short pieces. What is unfinished, uncertain, held, nobody's, parked or not passed on yet stays, and
    so does the ledger. The command may be stopped at any time: the next run goes on.

    \b
    Examples:
      cooee retention run --dry-run
      cooee retention run --keep-messages-days 90
    """

    async def work() -> list[Removed]:
        from cooee.app.keeping import keep_rules
        from cooee.service.retention import Retention
        from cooee.store.open import open_database

        clock = SystemClock()
        database = await open_database(settings.database, clock, pool=2)
        try:
            it = Retention(database, clock, keep_rules(settings))
            return await (it.plan() if dry_run else it.run())
        finally:
            await database.close()

    lines = run(work())
    if as_json:
        show_json(
            [
                {"table": line.table, "kept_s": line.keep_ms and line.keep_ms // 1000, "rows": line.rows}
                for line in lines
            ]
        )
        return
    show_table(
        ("Table", "Kept for", "Would go" if dry_run else "Removed"),
        [(line.table, _kept(line.keep_ms), line.rows) for line in lines],
        "",
    )


def _kept(ms: int | None) -> str:
    if ms is None:
        return "ever"
    if not ms:
        return "not at all"
    return f"{ms // DAY} days" if ms >= 2 * DAY else f"{ms // HOUR} hours" if ms >= 2 * HOUR else "1 hour"
