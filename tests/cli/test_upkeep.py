"""`cooee migrate` and `cooee check`: a line each, and an exit code that says it all."""

from __future__ import annotations

import asyncio

import pytest

from cooee.model.clock import SystemClock
from cooee.store.database import Tx
from cooee.store.migrate import newest
from cooee.store.open import open_database
from tests.cli.support_cli import Shell
from tests.cli.test_carriers import SETTINGS, smsc


def found(shell: Shell, code: int) -> dict[str, tuple[str, str]]:
    """The findings by what was checked."""
    return {row["check"]: (row["result"], row["detail"]) for row in shell.json("check", code=code)}


def test_migrate_applies_what_is_missing_once(shell: Shell) -> None:
    said = shell("migrate")
    assert said.startswith("applied 0001")
    assert said.endswith(f"the schema is {newest()} now\n")
    assert shell("migrate") == f"nothing to do: the schema is {newest()} already\n"


def test_check_on_a_fresh_database_changes_nothing(shell: Shell) -> None:
    before = found(shell, 1)
    assert before["database"][0] == "FAILED"
    shell("migrate")
    findings = found(shell, 0)
    assert findings["database"][0] == "OK"
    assert findings["key file"] == (
        "OK",
        f"{shell.folder / 'test.key'} is made when the first server or command starts",
    )
    assert findings["carriers"] == ("WARNING", "there is none: messages stay queued until one is added")
    assert not (shell.folder / "test.key").exists()


def test_check_says_what_to_do_about_a_database_without_its_tables(shell: Shell) -> None:
    if shell.database.startswith("sqlite"):
        assert "there is no file" in found(shell, 1)["database"][1]
        (shell.folder / "cooee.db").touch()
    verdict, said = found(shell, 1)["database"]
    assert verdict == "FAILED"
    assert said == f"schema 0, this Cooee brings {newest()}: run cooee migrate"


def test_check_tries_every_carrier(shell: Shell) -> None:
    with smsc() as port:
        shell("carrier", "add", "good", "--kind", "smpp", *SETTINGS, "--set", f"port={port}")
        assert found(shell, 0)["carrier good"] == ("OK", f"127.0.0.1:{port}: bound to 'cooee-smsc'")
        lines = shell("check").splitlines()
        assert [line.split()[0] for line in lines] == ["OK"] * 6
    shell("carrier", "add", "gone", "--kind", "smpp", *SETTINGS, "--set", f"port={port}")
    shell("carrier", "pause", "good")
    findings = found(shell, 1)
    assert findings["carrier gone"][0] == "FAILED"
    assert "cannot connect" in findings["carrier gone"][1]
    assert findings["carrier good (paused)"][0] == "WARNING"


def test_check_finds_a_balance_that_is_not_the_sum_of_its_ledger(shell: Shell) -> None:
    shell.account()
    assert found(shell, 0)["ledger"][0] == "OK"

    async def tamper() -> None:
        database = await open_database(shell.database, SystemClock(), pool=2)

        async def work(tx: Tx) -> None:
            await tx.one("charge", id=1001, amount=1, count=1, day=0)

        try:
            await database.write(work)
        finally:
            await database.close()

    asyncio.run(tamper())
    assert found(shell, 1)["ledger"] == ("FAILED", "account acme has 999 credits, its ledger says 1000")


def test_check_finds_a_missing_key_and_commands_refuse_to_go_on(shell: Shell) -> None:
    shell.account()
    shell("carrier", "add", "telco", "--kind", "smpp", *SETTINGS)
    key = shell.folder / "test.key"
    key.chmod(0o644)
    assert found(shell, 1)["key file"][0] == "WARNING"
    key.rename(shell.folder / "elsewhere")
    findings = found(shell, 1)
    assert findings["key file"][0] == "FAILED"
    assert "copy that file" in findings["key file"][1]
    assert findings["carriers"][0] == "FAILED"
    assert "copy that file" in shell("account", "list", code=1)


def test_an_unreachable_database_is_one_line(sqlite: Shell) -> None:
    sqlite.database = "postgresql://cooee:s3cret@127.0.0.1:1/cooee"
    assert "cannot be reached" in sqlite("account", "list", code=1)
    assert "cannot be reached" in sqlite("migrate", code=1)
    verdict, said = found(sqlite, 1)["database"]
    assert verdict == "FAILED"
    assert "s3cret" not in said
    sqlite.database = "mysql://x"
    assert "neither sqlite:///" in sqlite("account", "list", code=1)
    sqlite.database = "sqlite:///" + str(sqlite.folder / "no" / "such" / "x.db")
    assert "Error: " in sqlite("account", "list", code=1)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://127.0.0.1:1/cooee?password=s3cret",
        "postgresql://cooee:s3cret@127.0.0.1:99999999/cooee",
        "postgresql://cooee:s3cret@127.0.0.1:port/cooee",
        "postgresql://cooee:s3cret@[::1/cooee",
        "postgresql://cooee:s3c@ret@127.0.0.1:1/cooee",
        "mysql://cooee:s3cret@127.0.0.1/cooee?password=s3cret",
    ],
)
def test_no_address_is_a_traceback_or_tells_its_password(sqlite: Shell, address: str) -> None:
    sqlite.database = address
    for said in (
        sqlite("account", "list", code=1),
        sqlite("migrate", code=1),
        sqlite("check", code=1),
        sqlite("serve", "--port", "0", code=1),
    ):
        assert "s3c" not in said
        assert "ret@" not in said


def test_a_setting_that_is_none_is_one_line(sqlite: Shell) -> None:
    path = sqlite.folder / "c.toml"
    path.write_text("databse = 'x'\n")
    assert "did you mean database?" in sqlite("account", "list", "--config", str(path), code=1)
    assert "cannot be read" in sqlite("check", "--config", str(sqlite.folder / "none.toml"), code=1)
