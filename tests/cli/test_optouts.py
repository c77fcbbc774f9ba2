"""Opt-outs from the command line, on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.support_cli import Shell

OF_ACME = ("--account", "acme")


@pytest.fixture
def acme(shell: Shell) -> Shell:
    shell.account()
    return shell


def listed(shell: Shell, *more: str) -> list[tuple[str, str, str]]:
    return [(row["number"], row["reason"], row["who"]) for row in shell.json("optout", "list", *OF_ACME, *more)]


def test_add_list_remove(acme: Shell) -> None:
    assert acme("optout", "list", *OF_ACME) == "Nobody opted out of acme.\n"
    said = acme("optout", "add", *OF_ACME, "61400123456", "0400 123 457", "+61 400 123 456")
    assert said == "2 numbers opted out of acme\n"
    assert acme("optout", "add", *OF_ACME, "61400123456") == "0 numbers opted out of acme; 1 had before\n"
    assert sorted(listed(acme)) == [
        ("61400123456", "Admin", "operator"),
        ("61400123457", "Admin", "operator"),
    ]
    table = acme("optout", "list", *OF_ACME)
    assert "61400123456" in table
    assert "Australia/Sydney" in table
    said = acme("optout", "remove", *OF_ACME, "0400123456", "61400000000")
    assert said == "1 number may be written to by acme again; 1 was not opted out\n"
    assert [row[0] for row in listed(acme)] == ["61400123457"]
    (past,) = acme.json("optout", "list", *OF_ACME, "--number", "61400123456")
    assert (past["deleted_reason"], past["deleted_who"]) == ("Admin", "operator")
    assert len(listed(acme, "--history")) == 2
    assert len(listed(acme, "--history", "--limit", "1")) == 1


def test_what_is_no_number_changes_nothing(acme: Shell) -> None:
    for action in ("add", "remove"):
        assert "'nonsense' is no number" in acme("optout", action, *OF_ACME, "61400123456", "nonsense", code=2)
    assert "'nonsense' is no number" in acme("optout", "list", *OF_ACME, "--number", "nonsense", code=2)
    assert listed(acme) == []


def test_an_account_that_is_none(acme: Shell) -> None:
    for action in (["add", "61400123456"], ["remove", "61400123456"], ["list"], ["import", "-"]):
        assert "there is no account 'nobody'" in acme("optout", *action, "--account", "nobody", code=1)
    assert "Missing option '--account'" in acme("optout", "list", code=2)


def test_import(acme: Shell, tmp_path: Path) -> None:
    path = tmp_path / "suppressed.csv"
    path.write_bytes(
        "\ufeffMobile,Name\r\n".encode()
        + b'"+61 400 123 456",Ann\r\n0400123457;Bob\r\n\r\n  \n61400123456\n'
        + "nix\tBé\n\xff\xfe,\n447700900123".encode("latin-1")
    )
    said = acme("optout", "import", *OF_ACME, str(path))
    assert "3 numbers opted out of acme\n" in said
    assert "line 1: 'Mobile' is no number\n" in said
    assert "line 7: 'nix' is no number\n" in said
    assert "line 8: '" in said
    assert sorted(row[0] for row in listed(acme)) == ["447700900123", "61400123456", "61400123457"]
    assert "0 numbers opted out of acme; 3 had before" in acme("optout", "import", *OF_ACME, str(path))


def test_import_from_standard_input_in_pieces(acme: Shell) -> None:
    lines = [str(61400000000 + number) for number in range(5000)] + ["x" * 100] * 15
    said = acme("optout", "import", *OF_ACME, "-", stdin="\n".join(lines))
    assert said.startswith("5000 numbers opted out of acme\n")
    assert said.count(" is no number\n") == 10
    assert "and 5 more lines\n" in said
    assert len(listed(acme, "--limit", "100000")) == 5000


def test_import_of_nothing(acme: Shell, tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text("\n")
    assert f"there is no number in {path}" in acme("optout", "import", *OF_ACME, str(path), code=1)
    assert "No such file" in acme("optout", "import", *OF_ACME, str(tmp_path / "none"), code=2)
