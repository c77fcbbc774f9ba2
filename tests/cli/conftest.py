"""The shells of tests/cli/support_cli.py are fixtures of all tests here."""

from tests.cli.support_cli import logs_restored, shell, sqlite

__all__ = ["logs_restored", "shell", "sqlite"]
