"""Fixtures that several rooms use: a PostgreSQL server, and a fresh store on each engine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.support.postgres import PostgresServer

LONG = ("reconcile", "soak", "nodes", "pains", "console", "engine")
"""Folders of tests that wait for real processes: begun first, so that no worker is alone with them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the folders with long tests in front; within a folder nothing moves."""

    def place(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return LONG.index(folder) if folder in LONG else len(LONG)

    items.sort(key=place)


@pytest.fixture(autouse=True)
def logs_restored() -> Iterator[None]:
    """Logging as a fresh process has it: a command that a test calls sets it up for its own level and streams."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real server, started when the first test asks for it."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, once for each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'cooee.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.fresh()
