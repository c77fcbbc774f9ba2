"""Accounts from the command line, on both engines."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from cooee.cli import main
from tests.cli.support_cli import PASSWORD, Shell


def test_the_life_of_an_account(shell: Shell) -> None:
    said = shell("account", "add", "acme", "--password-stdin", "--credits", "500", "--zone", "Pacific/Auckland",
                 "--country", "NZ", "--no-long", "--international", stdin=PASSWORD + "\n")  # fmt: skip
    assert said == "account acme added, UserId 1001\n"
    shell.account("branch", "--parent", "acme", "--utc", "--may-add-credits", "--no-unicode")

    shown = shell.json("account", "show", "acme")
    assert shown["credits"] == 500
    assert shown["zone"] == "Pacific/Auckland"
    assert (shown["allow_long"], shown["allow_international"], shown["allow_unicode"]) == (False, True, True)
    assert [line["kind"] for line in shown["ledger"]] == ["opening"]
    branch = shell.json("account", "show", "branch")
    assert (branch["parent"], branch["times_utc"], branch["may_add_credits"]) == ("acme", True, True)

    assert (
        shell("account", "credit", "acme", "250", "--reason", "invoice 7") == "account acme has 750 credits now\n"
    )
    assert shell("account", "credit", "acme", "-50", "--reason", "twice") == "account acme has 700 credits now\n"
    assert shell("account", "suspend", "acme") == "account acme suspended\n"
    assert shell("account", "suspend", "acme") == "account acme was suspended already\n"
    assert shell.json("account", "list") == [
        {"id": 1001, "name": "acme", "state": "suspended", "credits": 700, "country": "NZ",
         "zone": "Pacific/Auckland", "parent": None},
        {"id": 1002, "name": "branch", "state": "active", "credits": 1000, "country": "AU",
         "zone": "Australia/Sydney", "parent": "acme"},
    ]  # fmt: skip
    assert shell("account", "unsuspend", "acme") == "account acme is active again\n"
    assert shell("account", "unsuspend", "acme") == "account acme was not suspended\n"
    shell("account", "set", "acme", "--long", "--zone", "Australia/Perth", "--country", "AU")
    assert shell("account", "password", "acme", "--password-stdin", stdin="another password\n").startswith(
        "account"
    )

    page = shell("account", "show", "acme", "--ledger", "2")
    assert re.search(r"^Long messages +yes$", page, re.MULTILINE)
    assert re.search(
        r"^ 3  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d Australia/Perth +-50  adjustment +-  twice$", page, re.M
    )
    assert "opening" not in page


def test_a_database_that_was_not_there_is_pointed_out(tmp_path: Path) -> None:
    def run(name: str, *arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, [*arguments, "--database", f"sqlite:///{tmp_path / name}"], env={})
        return result.exit_code, result.stderr

    code, said = run("wrong.db", "account", "suspend", "acme")
    assert code == 1
    assert said.startswith("Error: there is no account 'acme'")
    assert "wrong.db is new: is that the database you mean?" in said
    code, said = run("first.db", "account", "list")
    assert (code, said.count("\n")) == (0, 1)
    assert "first.db is a new database; its key file is " in said
    assert run("first.db", "account", "list") == (0, "")


def test_the_list_is_aligned_and_says_when_there_is_nobody(sqlite: Shell) -> None:
    assert sqlite("account", "list") == "No accounts yet: add one with cooee account add.\n"
    sqlite.account("a")
    sqlite.account("a much longer name")
    header, first, second = sqlite("account", "list").splitlines()
    assert header.index("State") == first.index("active") == second.index("active")
    assert header.index("Credits") + len("Credits") == first.index("1000") + 4


def test_what_cannot_be_is_one_line_and_exit_code_1(sqlite: Shell) -> None:
    sqlite.account()
    sqlite.account("caf\u00e9")
    twin = sqlite("account", "add", "cafe\u0301", "--password-stdin", stdin=PASSWORD + "\n", code=1)
    assert "whole letters" in twin
    assert "there is an account 'acme' already" in sqlite(
        "account", "add", "acme", "--password-stdin", stdin=PASSWORD, code=1
    )
    assert "'Mars/Base' is no time zone" in sqlite("account", "set", "acme", "--zone", "Mars/Base", code=1)
    assert "there is no account 'nobody'" in sqlite("account", "show", "nobody", code=1)
    assert "has fewer than 5000 credits" in sqlite("account", "credit", "acme", "-5000", "--reason", "x", code=1)
    assert "a password has 8 to 128 characters" in sqlite(
        "account", "password", "acme", "--password-stdin", stdin="short\n", code=1
    )


def test_wrong_calls_exit_2(sqlite: Shell) -> None:
    sqlite.account()
    assert "pipe it in" in sqlite("account", "add", "other", code=2)
    assert "holds no password" in sqlite("account", "add", "other", "--password-stdin", stdin="", code=2)
    assert "name at least one setting" in sqlite("account", "set", "acme", code=2)
    assert "Missing option '--reason'" in sqlite("account", "credit", "acme", "5", code=2)
    assert "not a valid integer" in sqlite("account", "credit", "acme", "many", "--reason", "x", code=2)


def test_a_password_that_is_no_text_is_refused(sqlite: Shell) -> None:

    from cooee.cli import main

    result = CliRunner().invoke(
        main,
        ["account", "add", "x", "--password-stdin"],
        input=b"\xff\xfe\n",
        env={"COOEE_DATABASE": sqlite.database},
    )
    assert result.exit_code == 2
    assert "not valid UTF-8" in result.stderr
