"""Faults in mid-campaign: killed servers, cut connections, a silent or dying SMSC."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import sleep

import pytest

from cooee.store import receiptlog
from tests.reconcile.support_client import LONG, LONG_UNICODE, SHORT, Clients, Mix
from tests.reconcile.support_reconcile import Allowed, reconcile
from tests.reconcile.support_stack import Stack, scaled


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_killed_servers_lose_nothing(database_url: str, tmp_path: Path) -> None:
    with Stack(database_url, tmp_path, smsc=["--fail=0.1"]) as stack:
        stack.prepare(window=50, tps=scaled(1500))
        node = stack.node()
        mix = Mix(2, stack.accounts)
        clients = Clients([node.port])
        clients.post([mix.campaign(scaled(2000)), mix.campaign(scaled(300), LONG)])
        clients.begin(mix.campaigns(150, 3, SHORT, LONG_UNICODE))
        # PostgreSQL, where a killed engine is taken over only after 15 s: test_nodes.py.
        for seen in (300, 900, 1600):
            stack.smsc.wait_seen(scaled(seen))
            node.restart_killed()
        report = reconcile("kill -9", stack, clients.finish(), Allowed(events=node.kills), [node.port])
        assert report.counts["uncertain"] > 0
        assert report.counts["delivered"] + report.counts["failed"] == report.counts["accepted"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_receipts_as_they_came_outlive_a_kill(database_url: str, tmp_path: Path) -> None:
    """Each receipt of each part is kept, and none oftener than the SMSC sent it: what was committed and not yet
    acknowledged comes again."""
    with Stack(database_url, tmp_path, smsc=["--receipt-delay=0.2"]) as stack:
        stack.prepare(window=50, tps=scaled(1500))
        node = stack.node()
        mix = Mix(8, stack.accounts)
        told = Clients([node.port]).post([mix.campaign(scaled(1500)), mix.campaign(scaled(200), LONG)])
        for seen in (400, 1000):
            stack.smsc.wait_seen(scaled(seen))
            node.restart_killed()
        reconcile("kill -9, receipts", stack, told, Allowed(events=node.kills), [node.port])
        kept: Counter[tuple[int, ...]] = Counter()
        for (packed,) in stack.rows("SELECT body FROM receipt_log"):
            for account_id, campaign_id, number, part, attempt, *_, body in receiptlog.unpack(packed):
                # The SMSC writes sources as MSISDNs, so no entry says whose it is beside its body.
                source = number or int(body[3 : body.index(0, 3)])
                kept[account_id, campaign_id, source, part, attempt] += 1
        delivered = stack.rows(
            "SELECT account_id, campaign_id, destination, attempt, parts, delivered FROM message WHERE state = 7"
        )
        assert len(delivered) > scaled(1000)
        for *key, attempt, parts, mask in delivered:
            assert mask == (1 << parts) - 1
            for part in range(parts):
                assert 1 <= kept[(*key, part, attempt)] <= 1 + node.kills
        # Repeats are what a kill cuts off between a commit and its answers, not the rule.
        assert sum(kept.values()) < 1.5 * len(kept)
        campaign_id, number = delivered[0][1:3]
        shown = json.loads(stack.cli("message", "show", str(campaign_id), str(number), "--json"))
        assert shown["receipts_complete"]
        assert "stat:DELIVRD" in shown["receipts"][0]["text"]


def test_cut_connections_lose_nothing(database_url: str, tmp_path: Path) -> None:
    with Stack(database_url, tmp_path, smsc=["--fail=0.1"]) as stack:
        stack.prepare(window=40, binds=2, tps=scaled(1500))
        node = stack.node()
        mix = Mix(3, stack.accounts)
        clients = Clients([node.port])
        clients.post([mix.campaign(scaled(1500)), mix.campaign(scaled(300), LONG)])
        clients.begin(mix.campaigns(30, 2))
        cuts = 0
        for seen, mid_pdu in ((300, False), (800, True), (1300, True)):
            stack.smsc.wait_seen(scaled(seen))
            stack.smsc.ask("set", answer_delay=0.05)
            sleep(0.2)
            cuts += stack.smsc.ask("drop", mid_pdu=mid_pdu)["connections"]
            stack.smsc.ask("set", answer_delay=0)
        assert cuts > 0
        report = reconcile("cut", stack, clients.finish(), Allowed(events=3), [node.port])
        assert report.counts["uncertain"] > 0


def test_a_silent_smsc_loses_nothing(databases: Callable[[], str], tmp_path: Path) -> None:
    """Submits that it ignores, takes without an answer, or answers late; the three side by side."""
    with ExitStack() as stacks:
        running = []
        for submits, wait in (("ignore", 1.0), ("accept", 1.0), ("late", 8.0)):
            folder = tmp_path / submits
            folder.mkdir()
            stack = stacks.enter_context(Stack(databases(), folder, uncertain_wait_s=wait))
            # An odd window: its edge cuts a long message in two, of which one part is given up and one is not.
            stack.prepare(window=51, tps=scaled(1000), response_timeout_s=1)
            running.append((submits, stack, Clients([stack.node().port])))
        for submits, stack, clients in running:
            mix = Mix(4, stack.accounts)
            clients.begin([mix.campaign(scaled(800)), mix.campaign(scaled(150), LONG), *mix.campaigns(10, 1)])
            stack.smsc.wait_seen(scaled(100))
            stack.smsc.ask("silence", seconds=1.6, submits=submits)
        for submits, stack, clients in running:
            # Every second without answers gives up a window, and what then goes out meets the same silence.
            told = clients.finish()
            report = reconcile(f"silent, {submits}", stack, told, Allowed(events=3), clients.ports)
            assert report.counts["uncertain"] > 0
            if submits == "late":
                assert report.counts["twice"] == report.counts["resent"] == 0


def test_hold_sends_nothing_twice(database_url: str, tmp_path: Path) -> None:
    with Stack(database_url, tmp_path) as stack:
        stack.prepare(window=50, tps=scaled(500), response_timeout_s=1, on_uncertain="hold")
        node = stack.node()
        mix = Mix(7, stack.accounts)
        clients = Clients([node.port])
        told = clients.post([mix.campaign(scaled(1000)), mix.campaign(scaled(200), LONG), *mix.campaigns(10, 1)])
        stack.smsc.wait_seen(scaled(200))
        if stack.engine == "sqlite":
            node.restart_killed()
        else:
            stack.smsc.ask("drop")
        stack.smsc.wait_seen(scaled(500))
        stack.smsc.ask("silence", seconds=1.6, submits="ignore")
        report = reconcile("hold", stack, told, Allowed(events=4, hold=True), [node.port])
        assert report.counts["held"] > 0
        listed = json.loads(stack.cli("uncertain", "list", "--limit=100000", "--json"))
        held = stack.rows("SELECT campaign_id, destination FROM message WHERE state = 2")
        assert sorted((one["campaign_id"], int(one["destination"])) for one in listed) == sorted(held)
        assert all(one["held"] for one in listed)
        if stack.engine == "postgres":
            return
        stack.cli("uncertain", "fail", "--all")
        report = reconcile("hold, then failed by hand", stack, told, Allowed(events=4), [node.port])
        assert report.counts["twice"] == report.counts["held"] == 0


def test_an_smsc_that_dies_and_counts_its_ids_anew(database_url: str, tmp_path: Path) -> None:
    with Stack(database_url, tmp_path, smsc=["--fail=0.3"]) as stack:
        stack.prepare(window=50, tps=scaled(1200))
        node = stack.node()
        mix = Mix(9, stack.accounts)
        clients = Clients([node.port])
        told = clients.post([mix.campaign(scaled(1500)), mix.campaign(scaled(200), LONG)])
        for seen in (400, 500):
            stack.smsc.wait_seen(scaled(seen))
            stack.smsc.kill()
            stack.smsc.start()
        report = reconcile("SMSC killed", stack, told, Allowed(events=2), [node.port])
        assert report.counts["handed"] > 0, "receipts that died with the SMSC cannot have come"
        assert report.counts["failed"] > 0
