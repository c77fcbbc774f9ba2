"""The shells of tests/cli/support_cli.py are fixtures of all tests here."""

from tests.cli.support_cli import shell, sqlite

__all__ = ["shell", "sqlite"]
