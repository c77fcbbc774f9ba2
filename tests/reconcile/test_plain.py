"""Runs without a fault of ours: everything is final, nothing is sent twice, whatever the SMSC's manners are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reconcile.support_client import LONG, LONG_UNICODE, SHORT, UNICODE, Clients, Mix
from tests.reconcile.support_reconcile import Allowed, reconcile
from tests.reconcile.support_stack import Stack, scaled


def test_many_campaigns_of_all_sizes(database_url: str, tmp_path: Path) -> None:
    with Stack(database_url, tmp_path, smsc=["--fail=0.05", "--ids=random"]) as stack:
        stack.prepare(window=500, binds=2)
        node = stack.node()
        mix = Mix(1, stack.accounts)
        clients = Clients([node.port])
        clients.begin(
            [
                *mix.campaigns(12, 1, SHORT, LONG, UNICODE),
                *mix.campaigns(4, scaled(300), SHORT, LONG, UNICODE, LONG_UNICODE),
                mix.campaign(scaled(20_000)),
                *mix.campaigns(8, 1, SHORT, LONG_UNICODE),
            ]
        )
        told = clients.finish()
        report = reconcile("plain", stack, told, Allowed(), [node.port])
        assert report.counts["failed"] > 0
        assert report.counts["delivered"] + report.counts["failed"] == report.counts["accepted"]


def test_throttled_and_refused_for_now_and_for_good(database_url: str, tmp_path: Path) -> None:
    with Stack(database_url, tmp_path, smsc=[f"--tps={scaled(400)}"]) as stack:
        stack.smsc.ask("set", statuses=[["ESME_RINVDSTADR", 0.03], ["ESME_RSYSERR", 0.03]])
        stack.prepare(window=50, tps=scaled(800))
        node = stack.node()
        mix = Mix(6, stack.accounts)
        clients = Clients([node.port])
        clients.begin([*mix.campaigns(4, scaled(250), SHORT, LONG), *mix.campaigns(5, 1)])
        told = clients.finish()
        stack.smsc.wait_seen(scaled(600))
        stack.smsc.ask("set", statuses=[["ESME_RINVDSTADR", 0.03]], tps=0)
        report = reconcile("throttled, refused", stack, told, Allowed(), [node.port])
        assert stack.smsc.ask("stats")["refused"].keys() == {"ESME_RTHROTTLED", "ESME_RINVDSTADR", "ESME_RSYSERR"}
        assert report.counts["failed"] > 0
        assert report.counts["twice"] == 0


@pytest.mark.parametrize(
    ("database_url", "flags"),
    [
        ("sqlite", ["--ids=hex", "--receipt-id=decimal"]),
        ("postgres", ["--ids=hex", "--receipt-id=decimal"]),
        ("sqlite", ["--ids=decimal", "--receipt-id=hex", "--receipt-id-upper", "--first-id=200000"]),
        ("postgres", ["--ids=hex", "--receipt-id-width=12", "--receipt-id-upper", "--first-id=2748"]),
    ],
    ids=["sqlite-hex-decimal", "postgres-hex-decimal", "sqlite-decimal-HEX", "postgres-00HEX"],
    indirect=["database_url"],
)
def test_receipts_early_repeated_out_of_order_and_with_ids_in_other_dress(
    database_url: str, tmp_path: Path, flags: list[str]
) -> None:
    manners = ["--early=0.2", "--repeat=0.2", "--receipt-jitter=0.7", "--late=0.05", "--late-by=1", "--fail=0.1"]
    with Stack(database_url, tmp_path, smsc=[*manners, *flags]) as stack:
        stack.prepare(window=100, binds=2)
        node = stack.node()
        mix = Mix(11, stack.accounts)
        clients = Clients([node.port])
        clients.begin([*mix.campaigns(3, scaled(400), SHORT, LONG), *mix.campaigns(10, 1)])
        report = reconcile("receipts, " + flags[1][2:], stack, clients.finish(), Allowed(), [node.port])
        assert report.counts["handed"] == 0
        assert report.counts["orphans"] == 0
