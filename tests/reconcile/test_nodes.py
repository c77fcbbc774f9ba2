"""PostgreSQL: an engine dies in mid-campaign; it comes again, or its peer takes over."""

from __future__ import annotations

from pathlib import Path

from tests.reconcile.support_client import LONG, LONG_UNICODE, SHORT, Clients, Mix
from tests.reconcile.support_reconcile import Allowed, reconcile, settle
from tests.reconcile.support_stack import Stack, scaled, wait_for
from tests.support.postgres import PostgresServer

TAKEN_OVER_S = 25.0
"""A peer takes over after 15 s of the same beat, which it looks at every 3 s."""


def test_killed_engines_are_taken_over(postgres: PostgresServer, tmp_path: Path) -> None:
    """Two clusters side by side, for both have to wait until the dead engine counts as dead."""
    (tmp_path / "alone").mkdir()
    (tmp_path / "peers").mkdir()
    with (
        Stack(postgres.fresh(), tmp_path / "alone", smsc=["--fail=0.1"]) as alone,
        Stack(postgres.fresh(), tmp_path / "peers", smsc=["--fail=0.1"]) as peers,
    ):
        alone.prepare(window=50, tps=scaled(1000))
        peers.prepare(window=50, binds=2, tps=scaled(800))
        node = alone.node()
        api, doomed, peer = peers.node("api"), peers.node("engine"), peers.node("engine")
        wait_for(
            "both engines hold a bind",
            lambda: len({row[0] for row in peers.rows("SELECT owner FROM bind_lease")}) == 2,
            10,
        )
        mix = Mix(8, alone.accounts)
        first, second = Clients([node.port]), Clients([api.port])
        first.post([mix.campaign(scaled(2000)), mix.campaign(scaled(300), LONG)])
        first.begin(mix.campaigns(60, 3, SHORT, LONG_UNICODE))
        alone.smsc.wait_seen(scaled(600))
        node.restart_killed()
        second.post([mix.campaign(scaled(3000)), mix.campaign(scaled(300), LONG)])
        second.begin(mix.campaigns(40, 2))
        peers.smsc.wait_seen(scaled(800))
        doomed.kill()
        allowed = Allowed(events=1)
        for name, stack, clients, port in (
            ("kill -9", alone, first, node.port),
            ("kill -9 of one engine of two", peers, second, api.port),
        ):
            settle(stack, allowed, TAKEN_OVER_S + 20)
            report = reconcile(name, stack, clients.finish(), allowed, [port])
            assert stack.log_events("engine_taken_over")
            assert report.counts["delivered"] + report.counts["failed"] == report.counts["accepted"]
        assert peer.terminate()[0] == 0
        assert peers.rows("SELECT * FROM engine") == []
