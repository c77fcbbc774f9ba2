"""People and supervisors interfere in mid-campaign: SIGTERM, pause, unpause, delete."""

from __future__ import annotations

from pathlib import Path
from time import sleep

from tests.reconcile.support_client import LONG, SHORT, Api, Clients, Mix
from tests.reconcile.support_reconcile import Allowed, reconcile
from tests.reconcile.support_stack import Stack, scaled

STOP_S = 15.0
"""How long a stop may take."""


def _nothing_leased(stack: Stack) -> None:
    assert stack.rows("SELECT * FROM bind_lease") == []
    assert stack.rows("SELECT * FROM engine") == []
    assert stack.rows("SELECT account_id, campaign_id, no FROM batch WHERE state = 4 OR owner IS NOT NULL") == []


def test_sigterm_under_load_leaves_nothing_leased(database_url: str, tmp_path: Path) -> None:
    with Stack(database_url, tmp_path) as stack:
        stack.prepare(window=50, binds=2, tps=scaled(1200))
        node = stack.node()
        mix = Mix(71, stack.accounts)
        clients = Clients([node.port])
        clients.post([mix.campaign(scaled(1500)), mix.campaign(scaled(200), LONG)])
        clients.begin(mix.campaigns(300, 2))
        for seen in (300, 1000):
            stack.smsc.wait_seen(scaled(seen))
            code, seconds = node.terminate()
            assert code == 0
            assert seconds < STOP_S
            _nothing_leased(stack)
            node.start()
        # Everything in flight was answered before the end: nothing is in doubt.
        reconcile("SIGTERM", stack, clients.finish(), Allowed(events=0), [node.port])


def test_sigterm_while_the_smsc_is_silent_keeps_what_is_in_doubt(database_url: str, tmp_path: Path) -> None:
    with Stack(database_url, tmp_path, settings={"stop_deadline_s": "0.7"}) as stack:
        stack.prepare(window=50, binds=2, tps=scaled(1200))
        node = stack.node()
        mix = Mix(72, stack.accounts)
        clients = Clients([node.port])
        clients.post([mix.campaign(scaled(1000)), mix.campaign(scaled(200), LONG)])
        stack.smsc.wait_seen(scaled(300))
        stack.smsc.ask("silence", submits="accept")
        sleep(0.2)
        code, seconds = node.terminate()
        assert code == 0
        assert seconds < STOP_S
        _nothing_leased(stack)
        stack.smsc.ask("speak")
        node.start()
        report = reconcile("SIGTERM, silent SMSC", stack, clients.finish(), Allowed(events=1), [node.port])
        assert report.counts["uncertain"] > 0


def test_pause_unpause_and_delete_in_mid_campaign(database_url: str, tmp_path: Path) -> None:
    with Stack(database_url, tmp_path) as stack:
        stack.smsc.ask("set", statuses=[["ESME_RMSGQFUL", 0.05]])
        stack.prepare(window=50, binds=2, tps=scaled(600))
        node = stack.node()
        mix = Mix(10, ["acme"])
        clients = Clients([node.port])
        api = Api([node.port], "acme")
        doomed, long, resumed, still = (
            told.campaign_id
            for told in clients.post(
                [
                    mix.campaign(scaled(800)),
                    mix.campaign(scaled(300), LONG),
                    mix.campaign(scaled(500)),
                    mix.campaign(scaled(800)),
                ]
            )
        )
        stack.smsc.wait_seen(scaled(400))
        assert api.action(doomed, "delete")["Code"] == -931, "running: to be paused first"
        for campaign_id in (doomed, long, resumed, still):
            assert api.action(campaign_id, "pause") == {"Message": "Paused", "Code": 0}
        stack.smsc.ask("set", statuses=[])
        sleep(0.5)
        before = stack.smsc.seen
        sleep(0.7)
        assert stack.smsc.seen == before, "nothing goes out while everything is paused"
        other = clients.post([mix.campaign(20, SHORT)])[0].campaign_id
        assert api.action(resumed, "unpause") == {"Message": "Unpaused", "Code": 0}
        assert api.action(doomed, "delete") == {"Message": "Deleted", "Code": 0}
        assert api.action(doomed, "delete") == {"Message": "Deleted", "Code": 0}
        assert api.action(long, "unpause")["Code"] == 0
        stack.smsc.wait_seen(before + scaled(100))
        assert api.action(long, "pause")["Code"] == 0
        assert api.action(long, "delete")["Code"] == 0
        allowed = Allowed(still=frozenset({still}))
        report = reconcile("pause, delete", stack, clients.finish(), allowed, [node.port])
        assert report.counts["refunded"] > 0
        words = {one: api.action(one, "status")["Message"] for one in (doomed, long, resumed, still, other)}
        assert words == {
            doomed: "Deleted", long: "Deleted", resumed: "Finished", still: "Paused", other: "Finished",
        }  # fmt: skip
        assert api.action(still, "unpause")["Code"] == 0
        reconcile("pause, delete, unpaused", stack, clients.told, Allowed(), [node.port])
        api.close()
