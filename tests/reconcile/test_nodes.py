"""Several nodes on one PostgreSQL: an engine dies in mid-campaign, its peer takes over."""

from __future__ import annotations

from pathlib import Path

from tests.reconcile.support_client import LONG, Clients, Mix
from tests.reconcile.support_reconcile import Allowed, reconcile, settle
from tests.reconcile.support_stack import Stack, scaled, wait_for
from tests.support.postgres import PostgresServer

TAKEN_OVER_S = 25.0
"""A peer takes over after 15 s of the same beat, which it looks at every 3 s."""


def test_a_killed_engine_is_taken_over(postgres: PostgresServer, tmp_path: Path) -> None:
    with Stack(postgres.fresh(), tmp_path, smsc=["--fail=0.1"]) as stack:
        stack.prepare(window=50, binds=2, tps=scaled(800))
        api = stack.node("api")
        doomed, peer = stack.node("engine"), stack.node("engine")
        wait_for(
            "both engines hold a bind",
            lambda: len({row[0] for row in stack.rows("SELECT owner FROM bind_lease")}) == 2,
            10,
        )
        mix = Mix(8, stack.accounts)
        clients = Clients([api.port])
        clients.post([mix.campaign(scaled(3000)), mix.campaign(scaled(300), LONG)])
        clients.begin(mix.campaigns(40, 2))
        stack.smsc.wait_seen(scaled(800))
        doomed.kill()
        allowed = Allowed(events=1)
        settle(stack, allowed, TAKEN_OVER_S + 20)
        report = reconcile("engine killed", stack, clients.finish(), allowed, [api.port])
        assert stack.log_events("engine_taken_over")
        assert report.counts["delivered"] + report.counts["failed"] == report.counts["accepted"]
        assert peer.terminate()[0] == 0
        assert stack.rows("SELECT * FROM engine") == []
