"""Nodes are restarted one after the other under load, or upgraded: no client sees an error, and none repeats."""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import islice
from pathlib import Path

import asyncpg
import pytest

from cooee.store.migrate import newest
from tests.nodes.support_cluster import Balancer, Customer
from tests.reconcile.support_client import numbers
from tests.reconcile.support_reconcile import Allowed, reconcile
from tests.reconcile.support_stack import Stack, wait_for
from tests.support.postgres import PostgresServer

NOTICED_S = 25.0
"""A node looks every 10 s whether the schema has become too new for it, and then stops in order."""


def _customers(stack: Stack, balancer: Balancer, count: int) -> list[Customer]:
    stream, lock = numbers(90), threading.Lock()

    def some() -> list[int]:
        with lock:
            return list(islice(stream, 2))

    return [Customer(balancer, stack.accounts[no % 2], some) for no in range(count)]


def test_a_rolling_restart_under_load_costs_no_client_an_error(postgres: PostgresServer, tmp_path: Path) -> None:
    with Stack(postgres.fresh(), tmp_path, settings={"drain_s": "1"}) as stack:
        stack.prepare(window=50, binds=2, tps=600)
        apis = [stack.node("api"), stack.node("api")]
        engines = [stack.node("engine"), stack.node("engine")]
        with Balancer(apis) as balancer:
            customers = _customers(stack, balancer, 4)
            for node in (apis[0], engines[0], apis[1], engines[1]):
                time.sleep(0.5)
                code, seconds = node.terminate()
                assert code == 0
                assert seconds < 10
                node.start()
            told = [one for customer in customers for one in customer.end()]
        assert len(told) > 50
        # Everything that was out when an engine stopped was answered first: nothing is in doubt.
        report = reconcile("rolling restart", stack, told, Allowed(events=0), [node.port for node in apis])
        assert report.counts["delivered"] == report.counts["accepted"]
        assert not stack.log_events("engine_taken_over")


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


def test_a_rolling_upgrade_under_load(postgres: PostgresServer, tmp_path: Path) -> None:
    """A newer version migrates beside this one: first so that this one may go on, then so that it may not."""
    url = postgres.fresh()
    with Stack(url, tmp_path, settings={"drain_s": "1"}) as stack:
        stack.prepare(window=50, binds=2, tps=600)
        api, engine = stack.node("api"), stack.node("engine")
        with Balancer([api]) as balancer:
            customers = _customers(stack, balancer, 2)
            time.sleep(1)
            # What the first node of a newer version does: one column more, and older programs may stay.
            migrated = (
                "BEGIN",
                "ALTER TABLE campaign ADD COLUMN of_the_future BIGINT NOT NULL DEFAULT 0",
                "ALTER TABLE message ADD COLUMN of_the_future BIGINT",
                f"UPDATE meta SET value = '{newest() + 1}' WHERE name = 'schema'",
                "COMMIT",
            )
            asyncio.run(_execute(url, *migrated))
            time.sleep(1)
            # A node of this version may still be started beside the newer ones.
            code, _ = engine.terminate()
            assert code == 0
            engine.start()
            time.sleep(1)
            told = [one for customer in customers for one in customer.end()]
        report = reconcile("rolling upgrade", stack, told, Allowed(events=0), [api.port])
        assert report.counts["delivered"] == report.counts["accepted"] > 20
        asyncio.run(_execute(url, f"UPDATE meta SET value = '{newest() + 1}' WHERE name = 'oldest_program'"))
        wait_for("both nodes stop", lambda: api.ended is not None and engine.ended is not None, NOTICED_S, 0.2)
        assert (api.ended, engine.ended) == (1, 1)
        for node in (api, engine):
            with pytest.raises(AssertionError, match="upgrade Cooee on this machine"):
                node.start()
        assert stack.rows("SELECT * FROM engine") == []
        assert stack.rows("SELECT * FROM bind_lease") == []
        assert len(stack.log_events("program_too_old")) == 2
