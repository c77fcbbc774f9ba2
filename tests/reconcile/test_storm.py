"""Hundreds of requests of one account at once, while the engine sends: the books come out right to the credit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reconcile.support_reconcile import Allowed, settle
from tests.reconcile.support_stack import PASSWORD, Stack, scaled
from tests.reconcile.support_storm import Storm, let_go, reconcile_storm

OPENING = 1200
"""Few enough that some requests come too late for the credits."""


@pytest.mark.parametrize(
    ("database_url", "nodes"), [("sqlite", 1), ("postgres", 1), ("postgres", 2)], indirect=["database_url"]
)
def test_a_storm_on_one_account(database_url: str, tmp_path: Path, nodes: int) -> None:
    with Stack(database_url, tmp_path) as stack:
        stack.prepare(window=20, binds=2, tps=scaled(600))
        stack.cli(
            "account", "add", "storm", f"--credits={OPENING}", "--international", "--may-add-credits",
            "--password-stdin", stdin=PASSWORD + "\n",
        )  # fmt: skip
        ports = [stack.node().port for _ in range(nodes)]
        storm = Storm(ports, "storm", seed=90 + nodes)
        storm.blow(clients=24, calls=scaled(40))
        settle(stack, Allowed())
        report = reconcile_storm(stack, storm, OPENING)
        assert report.counts.keys() >= {"delivered", "cancelled", "waiting", "refund", "topup"}
        # It was a storm: every action succeeded, and was refused, while others were at it.
        for action in ("modify", "pause", "unpause", "delete"):
            assert storm.answers[action, 0], action
            assert storm.answers[action, -931], action
        assert storm.answers["create", -202]
        assert sum(storm.answers.values()) > scaled(700)
        let_go(stack, storm)
        settle(stack, Allowed())
        report = reconcile_storm(stack, storm, OPENING)
        assert "waiting" not in report.counts
