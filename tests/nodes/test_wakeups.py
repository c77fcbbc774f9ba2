"""A message that one node accepts is handed over by another: at once, and without LISTEN at the next poll."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from statistics import median

from tests.nodes.support_cluster import latencies, now
from tests.reconcile.support_client import Ask, Clients, numbers
from tests.reconcile.support_stack import Stack, wait_for
from tests.store.support_proxy import Proxy, proxy
from tests.support.postgres import PostgresServer

MESSAGES = 20
POLLED_S = 1.5
"""Half a second, and what a busy machine adds."""


@contextmanager
def proxied(url: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy that runs in a thread of its own, for processes."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    context = proxy(url)
    try:
        yield asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _measured(stack: Stack, environ: dict[str, str]) -> list[float]:
    stack.prepare(window=20, binds=1)
    api = stack.node("api")
    stack.node("engine", environ)
    wait_for("the bind is up", lambda: stack.smsc.ask("stats")["binds"] == 1, 15)
    clients = Clients([api.port])
    asked: dict[int, float] = {}
    for number in islice(numbers(55), MESSAGES):
        clients.post([Ask("acme", [number], "Hello")])
        asked[number] = now()
        # Not in step with the poll.
        time.sleep(0.13)
    stack.smsc.wait_seen(MESSAGES, 10)
    return latencies(stack.smsc.journal, asked)


def test_an_engine_is_woken_by_what_another_node_accepts(postgres: PostgresServer, tmp_path: Path) -> None:
    with Stack(postgres.fresh(), tmp_path) as stack:
        found = _measured(stack, {})
        print(f"woken: median {median(found) * 1000:.0f} ms, worst {found[-1] * 1000:.0f} ms")
        assert len(found) == MESSAGES
        assert median(found) < 0.1


def test_without_listen_it_is_found_by_polling(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.fresh()
    with proxied(url) as (middle, through), Stack(url, tmp_path) as stack:
        middle.hates = b'LISTEN "'
        found = _measured(stack, {"COOEE_DATABASE": through})
        print(f"polled: median {median(found) * 1000:.0f} ms, worst {found[-1] * 1000:.0f} ms")
        assert middle.cuts > 0
        assert len(found) == MESSAGES
        assert found[-1] < POLLED_S
        assert stack.log_events("wakeups_lost")
