"""`cooee migrate` and `cooee check`: the database brought up to date, and the whole installation looked over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cooee.cli.base import json_flag, run, show_json, takes_settings
from cooee.config import Settings
from cooee.model.clock import SystemClock
from cooee.model.errors import CooeeError
from cooee.model.words import counted

if TYPE_CHECKING:
    from cooee.store.database import Database
    from cooee.store.secrets import Secrets

Verdict = Literal["OK", "WARNING", "FAILED"]


@click.command()
@takes_settings("database")
def migrate(settings: Settings) -> None:
    """Apply the database migrations that are missing, under a lock. A server does the same when it starts.

    \b
    Example:
      cooee migrate --database postgresql://cooee@db.internal/cooee
    """
    from cooee.store import inspect

    schema, applied = run(inspect.migrate(settings.database, SystemClock()))
    if applied:
        click.echo(f"applied {', '.join(f'{number:04d}' for number in applied)}; the schema is {schema} now")
    else:
        click.echo(f"nothing to do: the schema is {schema} already")


@dataclass(slots=True)
class Report:
    """The findings, printed as they come unless they are wanted as JSON."""

    quiet: bool
    found: list[tuple[Verdict, str, str]] = field(default_factory=list)

    def add(self, verdict: Verdict, what: str, detail: str) -> None:
        """One finding."""
        self.found.append((verdict, what, detail))
        if not self.quiet:
            click.echo(f"{verdict.ljust(7)}  {what}: {detail}")

    @property
    def failed(self) -> bool:
        """Whether anything failed."""
        return any(verdict == "FAILED" for verdict, _, _ in self.found)


@click.command()
@json_flag
@takes_settings("database", "key_file", "codes_file")
def check(settings: Settings, as_json: bool) -> None:
    """Verify the installation: configuration, codes, mail server, database, key file, carriers, ledger sums.

    Prints a line each, changes nothing, and exits 1 if anything failed. Every carrier is bound once, as an engine
    would; where sign-ups get mails, the mail server is signed in to.

    \b
    Example:
      cooee check --config /etc/cooee/cooee.toml
    """
    report = Report(as_json)
    report.add("OK", "configuration", f"role {settings.role}, API on {settings.host}:{settings.port}")
    _codes(settings, report)
    run(_mail(settings, report))
    run(_look_over(settings, report))
    if as_json:
        show_json([{"result": verdict, "check": what, "detail": detail} for verdict, what, detail in report.found])
    if report.failed:
        raise SystemExit(1)


def _codes(settings: Settings, report: Report) -> None:
    from cooee.service.codes import load_codes

    try:
        codes = load_codes(settings.codes_file)
    except CooeeError as error:
        report.add("FAILED", "codes", str(error))
        return
    own = f", {codes.own} of them from {settings.codes_file}" if settings.codes_file else ""
    report.add("OK", "codes", f"{len(codes)} codes of messages have names{own}")


async def _mail(settings: Settings, report: Report) -> None:
    from cooee.app.signup import mail_rules
    from cooee.service import mail

    if settings.signup != "email" or settings.role == "api":
        return
    where = f"{settings.smtp_host}:{settings.smtp_port}"
    try:
        rules = mail_rules(settings)
    except CooeeError as error:
        report.add("FAILED", "mail", str(error))
        return
    if rules is not None:
        verdict = await mail.probe(rules.server)
        said = "signed in" if settings.smtp_user else "it answers"
        report.add(
            "OK" if verdict.sent else "FAILED", "mail", f"{where}: {said if verdict.sent else verdict.reason}"
        )


async def _look_over(settings: Settings, report: Report) -> None:
    from cooee.store import inspect

    try:
        database = await inspect.open_as_it_is(settings.database, SystemClock())
    except CooeeError as error:
        report.add("FAILED", "database", str(error))
        return
    try:
        if not await _schema(database, settings, report):
            return
        secrets = await _key(database, settings, report)
        await _ledger(database, report)
        await _accounts(database, report)
        await _carriers(database, secrets, report)
    except CooeeError as error:
        report.add("FAILED", "database", str(error))
    finally:
        await database.close()


async def _schema(database: Database, settings: Settings, report: Report) -> bool:
    from cooee.store import inspect
    from cooee.store.migrate import newest
    from cooee.store.open import sqlite_path
    from cooee.store.postgres import place

    schema = await inspect.schema_of(database)
    if schema < newest():
        report.add("FAILED", "database", f"schema {schema}, this Cooee brings {newest()}: run cooee migrate")
        return False
    where = settings.database if sqlite_path(settings.database) is not None else place(settings.database)
    report.add("OK", "database", f"{database.engine} at {where}, schema {schema}")
    return True


async def _key(database: Database, settings: Settings, report: Report) -> Secrets | None:
    from cooee.store.secrets import check_secrets, key_path, permission_warning

    path: Path = key_path(settings.database, settings.key_file)
    try:
        secrets = await check_secrets(database, path)
    except CooeeError as error:
        report.add("FAILED", "key file", str(error))
        return None
    if secrets is None:
        report.add("OK", "key file", f"{path} is made when the first server or command starts")
        return None
    warning = permission_warning(path)
    if warning:
        report.add("WARNING", "key file", warning)
    else:
        report.add("OK", "key file", f"{path}, fingerprint {secrets.fingerprint}")
    return secrets


async def _ledger(database: Database, report: Report) -> None:
    rows = await database.read(lambda tx: tx.all("ledger_differences"))
    for name, balance, total in rows:
        report.add("FAILED", "ledger", f"account {name} has {counted(balance, 'credit')}, its ledger says {total}")
    if not rows:
        report.add("OK", "ledger", "every balance is the sum of its ledger")


async def _accounts(database: Database, report: Report) -> None:
    for (name,) in await database.read(lambda tx: tx.all("approval_missing")):
        report.add(
            "WARNING",
            f"account {name}",
            "only approved originators are let pass, and there are none: cooee originator add",
        )


async def _carriers(database: Database, secrets: Secrets | None, report: Report) -> None:
    from cooee.carriers.probe import try_carrier
    from cooee.model.carrier import CarrierState
    from cooee.store.carriers import all_carriers

    try:
        rows = await database.read(lambda tx: all_carriers(tx, secrets))
    except CooeeError as error:
        report.add("FAILED", "carriers", str(error))
        return
    rows = [row for row in rows if row.state is not CarrierState.REMOVED]
    if not rows:
        report.add("WARNING", "carriers", "there is none: messages stay queued until one is added")
    if rows and secrets is None:
        report.add("FAILED", "carriers", "their passwords cannot be read without the key file")
        return
    clock = SystemClock()
    outcomes = await asyncio.gather(*(try_carrier(row, clock) for row in rows))
    for row, (fine, said) in zip(rows, outcomes, strict=True):
        # A paused carrier is given nothing to send: out of reach, it harms nobody.
        paused = row.state is CarrierState.PAUSED
        verdict: Verdict = "OK" if fine else "WARNING" if paused else "FAILED"
        report.add(verdict, f"carrier {row.name}{' (paused)' if paused else ''}", said)
