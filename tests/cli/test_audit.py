"""What is changed on the command line is in the audit log, as the command line's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cooee.model.clock import SystemClock
from cooee.service.audit import Audit, AuditFilter, AuditLine
from cooee.store.open import open_database
from tests.cli.support_cli import PASSWORD, Shell


def lines(shell: Shell, **wanted: str) -> list[AuditLine]:
    async def work() -> list[AuditLine]:
        database = await open_database(shell.database, SystemClock(), pool=1)
        try:
            return await Audit(database).page(AuditFilter(**wanted), limit=100)  # type: ignore[arg-type]
        finally:
            await database.close()

    return asyncio.run(work())


def test_every_family_of_changes(shell: Shell) -> None:
    shell.account("acme", "--zone", "Asia/Tokyo")
    steps: tuple[tuple[str, Callable[[], object], str, str], ...] = (
        ("account changed", lambda: shell("account", "set", "acme", "--daily-cap", "50"), "acme", "none → 50"),
        (
            "credits adjusted",
            lambda: shell("account", "credit", "acme", "-5", "--reason", "x"),
            "acme",
            "-5: x",
        ),
        ("account suspended", lambda: shell("account", "suspend", "acme"), "acme", ""),
        ("account resumed", lambda: shell("account", "unsuspend", "acme"), "acme", ""),
        ("sender IDs approved", lambda: shell("originator", "add", "acme", "CLINIC"), "acme", "CLINIC"),
        ("rate set", lambda: shell("rate", "set", "NZ", "3"), "", "NZ 3, for everybody"),
        ("number added", lambda: shell("number", "add", "1999", "--kind", "shared"), "", "1999, shared"),
        ("keyword added", lambda: shell("keyword", "add", "genug"), "", "genug, STOP"),
    )
    for action, step, account, detail in steps:
        step()
        newest = lines(shell)[0]
        assert (newest.actor_kind, newest.actor, newest.action) == ("cli", "", action)
        assert newest.account == account
        assert detail in newest.detail, newest
    password = "another long password"
    shell("account", "password", "acme", "--password-stdin", stdin=f"{password}\n")
    shell("operator", "add", "kim", "--password-stdin", stdin=f"{PASSWORD}\n")
    setting = ("--set", "host=h", "--set", "system_id=s")
    shell("carrier", "add", "telco", "--kind", "smpp", *setting, "--password-stdin", stdin="hunter2\n")
    shell("carrier", "pause", "telco")
    found = lines(shell)
    assert [line.action for line in found[:4]] == [
        "carrier paused", "carrier added", "operator added", "password changed",
    ]  # fmt: skip
    said = " ".join(line.detail for line in found)
    for secret in (password, PASSWORD, "hunter2"):
        assert secret not in said
    assert [line.action for line in lines(shell, carrier="telco")] == ["carrier paused", "carrier added"]
    assert len(lines(shell, account="acme")) == 7


def test_campaigns_lists_and_opt_outs_too(shell: Shell) -> None:
    shell.account("acme")
    shell("optout", "add", "61400123456", "--account", "acme")
    (line, *_) = lines(shell, account="acme")
    assert (line.actor_kind, line.action, line.detail, line.address) == (
        "cli", "numbers opted out", "61400123456", "",
    )  # fmt: skip


def test_what_changes_nothing_is_not_in_it(shell: Shell) -> None:
    shell.account()
    before = len(lines(shell))
    shell("account", "set", "acme", "--daily-cap", "none")
    shell("account", "unsuspend", "acme")
    shell("account", "credit", "acme", "-5000", "--reason", "x", code=1)
    shell("account", "show", "acme")
    shell("rate", "remove", "NZ", code=1)
    shell("uncertain", "fail", "--all")
    assert len(lines(shell)) == before
