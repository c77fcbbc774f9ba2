"""Operators from the command line, on both engines."""

from __future__ import annotations

from tests.cli.support_cli import PASSWORD, Shell


def test_the_life_of_an_operator(shell: Shell) -> None:
    assert shell("operator", "list") == "No operators yet: add one with cooee operator add.\n"
    said = shell("operator", "add", "kim", "--password-stdin", stdin=PASSWORD + "\n")
    assert said == "operator kim added: sign in at /operator of the console\n"
    shell("operator", "add", "alex", "--password-stdin", stdin=PASSWORD + "\n")
    listed = shell.json("operator", "list")
    assert [each["name"] for each in listed] == ["alex", "kim"]
    assert set(listed[0]) == {"id", "name", "created_at"}
    assert "kim" in shell("operator", "list")
    said = shell("operator", "password", "kim", "--password-stdin", stdin="another password\n")
    assert said == "operator kim has a new password\n"
    assert shell("operator", "remove", "kim") == "operator kim removed\n"
    assert [each["name"] for each in shell.json("operator", "list")] == ["alex"]


def test_what_cannot_be(shell: Shell) -> None:
    shell("operator", "add", "kim", "--password-stdin", stdin=PASSWORD + "\n")
    for arguments, stdin, why in (
        (["add", "kim", "--password-stdin"], PASSWORD, "there is an operator 'kim' already"),
        (["add", "a:b", "--password-stdin"], PASSWORD, "an operator's name has"),
        (["add", "alex", "--password-stdin"], "short", "8 to 128 characters"),
        (["remove", "nobody"], "", "there is no operator 'nobody'"),
        (["password", "nobody", "--password-stdin"], PASSWORD, "there is no operator 'nobody'"),
    ):
        assert why in shell("operator", *arguments, stdin=stdin + "\n", code=1)
    assert "pipe the password in" in shell("operator", "add", "alex", code=2)
    assert "pipe the password in" in shell("operator", "password", "kim", code=2)
