"""One running API for each engine, shared by the tests of a module: every test has an account of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.support_api import Server
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('api') / 'cooee.db'}"
    else:
        engine: PostgresServer = request.getfixturevalue("postgres")
        url = engine.fresh()
    with Server(url) as running:
        yield running
