"""Fixtures of the reconciliation harness."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes addresses of empty databases, for scenarios that run side by side; once for each engine."""
    if request.param == "sqlite":
        names = count()
        return lambda: f"sqlite:///{tmp_path / f'cooee{next(names)}.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.fresh
