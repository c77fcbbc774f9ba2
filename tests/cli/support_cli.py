"""Runs commands in this process, as a shell would: arguments in, exit code and both streams out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cooee.cli import main

PASSWORD = "a long password"
NEW = "Note: "
"""How the line begins that says that a command made its database."""


@dataclass
class Shell:
    """A shell whose COOEE_DATABASE and COOEE_KEY_FILE are set."""

    database: str
    folder: Path

    def __call__(self, *arguments: str, stdin: str | None = None, code: int = 0) -> str:
        """What the command printed, without the note that it made the database; asserts its exit code, and that
        failures are one line and no traceback."""
        environ = {"COOEE_DATABASE": self.database, "COOEE_KEY_FILE": str(self.folder / "test.key")}
        result = CliRunner().invoke(main, list(arguments), input=stdin, env=environ)
        said = result.stdout + result.stderr
        assert result.exception is None or isinstance(result.exception, SystemExit), said
        assert result.exit_code == code, said
        if code == 1 and result.stderr:
            assert result.stderr.startswith("Error: ")
            assert result.stderr.count("\n") == 1, result.stderr
        return "".join(line for line in said.splitlines(keepends=True) if not line.startswith(NEW))

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What the command printed as JSON."""
        return json.loads(self(*arguments, "--json", code=code))

    def account(self, name: str = "acme", *more: str) -> None:
        """Adds an account with 1000 credits."""
        self("account", "add", name, "--password-stdin", "--credits", "1000", *more, stdin=PASSWORD + "\n")


@pytest.fixture
def shell(database_url: str, tmp_path: Path) -> Shell:
    """A shell beside an empty database, on each engine."""
    return Shell(database_url, tmp_path)


@pytest.fixture
def sqlite(tmp_path: Path) -> Shell:
    """A shell beside an empty SQLite database."""
    return Shell(f"sqlite:///{tmp_path / 'cooee.db'}", tmp_path)
