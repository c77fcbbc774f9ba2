"""What the users of other systems suffer from: fifteen complaints, each tried here end to end on real processes.

The numbers are those of docs/reliability.md, which says what each is about.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from cooee.smpp.pdu import DeliverSm
from soak.node import steer
from tests.nodes.support_cluster import busiest
from tests.pains.support_pains import (
    DELIVERED,
    FAILED,
    ORIGINATOR,
    House,
    Webhook,
    local,
    resident_mb,
)
from tests.reconcile.support_client import LONG, Clients, Mix
from tests.reconcile.support_reconcile import Allowed, reconcile
from tests.reconcile.support_stack import Stack, http_status, wait_for
from tests.smpp.support_peer import Call, Peer
from tests.support.postgres import PostgresServer


def paced(house: House, tps: int) -> None:
    """The carrier's speed, 0 for any; the running node follows within a second."""
    house.stack.cli("carrier", "set", "telco", f"--set=tps={tps}")
    time.sleep(1.5)


def test_pain_01_nothing_stays_unsent_after_a_restart(house: House) -> None:
    client, people = house.account("pain1"), house.people(900)
    paced(house, 400)
    campaign = client.send(people)
    for share in (0.2, 0.5):
        wait_for("part of it is sent", lambda share=share: len(house.submits(people)) > share * 900, 20)  # type: ignore[misc]
        assert client.status(campaign) == "Running"
        house.kill()
    paced(house, 0)
    results = client.wait(campaign, 900)
    assert sorted(results) == sorted(people)
    assert set(house.submits(people)) == {(number, 1) for number in people}


def test_pain_02_pause_and_resume_neither_repeat_nor_stick(house: House) -> None:
    client, people = house.account("pain2"), house.people(600)
    paced(house, 300)
    campaign = client.send(people)
    for _ in range(3):
        seen = len(house.submits(people))
        wait_for("it goes on", lambda seen=seen: len(house.submits(people)) > seen + 30, 20)  # type: ignore[misc]
        assert client.api.action(campaign, "pause")["Code"] == 0
        assert client.status(campaign) == "Paused"
        time.sleep(0.3)
        still = len(house.submits(people))
        time.sleep(0.5)
        assert len(house.submits(people)) == still
        assert client.api.action(campaign, "unpause")["Code"] == 0
    paced(house, 0)
    client.wait(campaign, 600)
    assert set(house.submits(people).values()) == {1}


def test_pain_03_receipt_ids_match_in_every_form(house: House) -> None:
    client = house.account("pain3")
    forms: list[dict[str, object]] = [
        {"receipt_id": "hex"},
        {"receipt_id": "hex", "receipt_id_upper": True},
        {"receipt_id": "same", "receipt_id_width": 20},
        {"receipt_id": "hex", "receipt_id_width": 16, "receipt_id_upper": True},
    ]
    for form in forms:
        people = house.people(40)
        with house.smsc(**form):
            results = client.wait(client.send(people, LONG), 40)
        assert set(results.values()) == {(DELIVERED, 0)}, form


def test_pain_04_receipts_that_come_early_or_are_cut_off_are_kept(house: House) -> None:
    client, people = house.account("pain4"), house.people(120)
    with house.smsc(early=1.0):
        results = client.wait(client.send(people[:40]), 40)
        assert set(results.values()) == {(DELIVERED, 0)}
    with house.smsc(receipt_delay=0.6, receipt_jitter=0.5):
        campaign = client.send(people[40:])
        wait_for("all are sent", lambda: len(house.submits(people)) == 120, 20)
        for _ in range(3):
            time.sleep(0.25)
            house.stack.smsc.ask("drop", mid_pdu=True)
        results = client.wait(campaign, 80)
    assert set(results.values()) == {(DELIVERED, 0)}


def test_pain_05_a_failed_part_is_not_hidden_by_a_later_good_one(house: House) -> None:
    client, people = house.account("pain5"), house.people(80)
    with house.smsc(fail=0.4, receipt_jitter=0.5):
        results = client.wait(client.send(people, LONG), 80)
    hidden = 0
    for number, entries in house.journal(people).items():
        said = [entry.stat for entry in entries if entry.kind == "R"]
        whole = set(said) == {"DELIVRD"}
        assert results[number][0] == (DELIVERED if whole else FAILED), said
        hidden += not whole and said[-1] == "DELIVRD"
    assert hidden > 0, "no good part came after a failed one"


def test_pain_06_ucs2_and_emoji_are_split_and_counted_as_they_are_sent(house: House) -> None:
    client = house.account("pain6")
    texts = {
        "a" * 160: 1,
        "a" * 159 + "€": 2,
        "a" * 152 + "€" + "a" * 10: 2,
        "ж" * 70: 1,
        "ж" * 71: 2,
        "😀" * 35: 1,
        # 66 units fit before a pair that may not be split: 33 pairs in each part, not 33.5.
        "😀" * 67: 3,
        "ж" * 66 + "😀" + "ж" * 10: 2,
    }
    for text, segments in texts.items():
        people = house.people(1)
        answer = client.create(people, text)
        assert (answer["Segments"], answer["Credits"]) == (segments, segments), text
        client.wait(int(answer["CampaignId"]), 1)
        assert len(house.submits(people)) == segments
        (shown,) = house.stack.smsc.ask("inbox", number=str(people[0]))["messages"]
        assert (shown["text"], shown["complete"]) == (text, True)


def test_pain_07_throttling_counts_parts_and_fails_nothing(house: House) -> None:
    client, people = house.account("pain7"), house.people(100)
    paced(house, 60)
    campaign = client.send(people, LONG)
    client.wait(campaign, 100)
    times = sorted(
        entry.time_ms / 1000
        for entries in house.journal(people).values()
        for entry in entries
        if entry.kind == "S"
    )
    assert len(times) == 200
    assert busiest(times, 1.0) <= 60 * 1.25
    paced(house, 0)
    more = house.people(100)
    with house.smsc(tps=40):
        campaign = client.send(more, LONG)
        wait_for("the SMSC throttles", lambda: "ESME_RTHROTTLED" in house.stack.smsc.ask("stats")["refused"], 10)
        time.sleep(1)
    results = client.wait(campaign, 100)
    assert set(results.values()) == {(DELIVERED, 0)}
    assert set(house.submits(more).values()) == {1}


def test_pain_08_neither_a_bad_number_nor_a_long_queue_blocks_the_rest(house: House) -> None:
    client, people = house.account("pain8"), house.people(200)
    with house.smsc(statuses=[["ESME_RINVDSTADR", 0.2]]):
        results = client.wait(client.send(people), 200)
    refused = {number for number, result in results.items() if result == (FAILED, 0x0B)}
    assert 10 < len(refused) < 90
    assert all(result == (DELIVERED, 0) for number, result in results.items() if number not in refused)
    paced(house, 150)
    # Within seconds whoever accepts campaigns knows it as well, and cuts their batches for it.
    time.sleep(3)
    queue = house.people(3000)
    long = client.send(queue)
    wait_for("it is on its way", lambda: len(house.submits(queue)) > 100, 20)
    for no, one in enumerate(house.people(8)):
        asked = time.time()
        if no < 5:
            client.send([one])
        else:
            # From another process, whose messages always take their turn in the queue.
            house.stack.cli(
                "send",
                "--account",
                "pain8",
                "--from",
                ORIGINATOR,
                "--to",
                str(one),
                "--text",
                "Your code is 123456",
            )
        wait_for("it is sent", lambda one=one: bool(house.submits([one])), 30)  # type: ignore[misc]
        (entry,) = (entry for entry in house.journal([one])[one] if entry.kind == "S")
        assert entry.time_ms / 1000 - asked < 4.0
    assert client.status(long) == "Running"
    assert len(house.submits(queue)) < 3000
    client.api.action(long, "pause")
    client.api.action(long, "delete")
    paced(house, 0)


def test_pain_09_a_timeout_or_a_crash_doubles_nothing(house: House) -> None:
    client, people = house.account("pain9"), house.people(400)
    first = client.create(people[:1], key="the-same")
    assert client.create(people[:1], key="the-same") == first
    house.kill()
    assert client.create(people[:1], key="the-same") == first
    assert house.stack.cli("account", "show", "pain9", "--json").count('"kind": "charge"') == 1
    house.stack.cli("carrier", "set", "telco", "--set=on_uncertain=hold")
    paced(house, 300)
    campaign = client.send(people[1:])
    wait_for("part of it is sent", lambda: len(house.submits(people)) > 100, 20)
    house.kill()
    paced(house, 0)
    wait_for("the rest is sent", lambda: len(house.submits(people)) >= 400 - 100, 20)

    def held() -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(house.stack.cli("uncertain", "list", "--json"))
        return [one for one in listed if one["campaign_id"] == campaign]

    wait_for("what is known is recorded", lambda: len(client.results(campaign)) + len(held()) == 399, 20, 0.2)
    # Nobody was sent to twice, and who may not have been reached at all is listed for a person.
    assert set(house.submits(people).values()) == {1}
    assert {number for number, _ in house.submits(people)} | {int(one["destination"]) for one in held()} >= set(
        people
    )
    house.stack.cli("uncertain", "fail", "--all")
    house.stack.cli("carrier", "set", "telco", "--set=on_uncertain=resend")
    time.sleep(1.5)


def test_pain_10_webhooks_are_neither_lost_nor_doubled(house: House) -> None:
    house.account("pain10")
    number, handsets = "61480000010", [61_455_100_000 + n for n in range(30)]
    hook = Webhook()
    house.stack.cli("number", "add", number, "--account", "pain10", "--kind", "dedicated")
    house.stack.cli(
        "account", "set", "pain10", "--reply-webhook", f"http://127.0.0.1:{hook.port}/", "--webhook-username", "u",
        "--webhook-allow-private",
    )  # fmt: skip
    try:
        for n, handset in enumerate(handsets):
            house.reply(handset, number, f"reply {n}")
        wait_for("the webhook refuses", lambda: hook.refused > 0, 15)
        house.kill()
        hook.willing = True
        # A refused one comes again after minutes, whatever was killed meanwhile.
        steer(house.clock, 7200.0)
        wait_for("every reply is taken", lambda: len(hook.taken) == 30, 30)
        time.sleep(1)
        assert hook.taken == {f"reply {n}": 1 for n in range(30)}
    finally:
        steer(house.clock, 0.0)
        hook.close()


def _receipt(call: Call, sequence: int, message_id: str, source: str, stat: str) -> None:
    text = (
        f"id:{message_id} sub:001 dlvrd:001 submit date:2611241200 done date:2611241200 stat:{stat} err:000 text:"
    )
    call.send(
        DeliverSm(
            sequence, source_addr=source, destination_addr=ORIGINATOR, esm_class=4, short_message=text.encode()
        )
    )


def test_pain_11_a_late_status_never_overwrites_the_final_one(house: House) -> None:
    """Whatever comes after DELIVRD, in whatever order, the message stays delivered."""
    client = house.account("pain11")

    async def main() -> None:
        async with Peer() as peer:
            peer.answers_submits = True
            await asyncio.to_thread(
                house.stack.cli, "carrier", "add", "scripted", "--kind=smpp", "--set=host=127.0.0.1",
                f"--set=port={peer.port}", "--set=system_id=x",
            )  # fmt: skip
            await asyncio.to_thread(house.stack.cli, "carrier", "pause", "telco")
            await asyncio.sleep(3.5)
            people = house.people(3)
            campaign = await asyncio.to_thread(client.send, people)
            async with asyncio.timeout(20):
                while len(peer.call.submits) < 3:  # noqa: ASYNC110 (the peer has no event for it)
                    await asyncio.sleep(0.05)
            sequence = 100
            for stats in (
                ("DELIVRD", "UNDELIV", "ENROUTE"),
                ("ENROUTE", "DELIVRD", "EXPIRED"),
                ("UNDELIV", "DELIVRD"),
            ):
                submit = peer.call.submits[sequence // 10 - 10]
                for stat in stats:
                    sequence += 1
                    _receipt(peer.call, sequence, f"m{submit.sequence}", submit.destination_addr, stat)
                    await asyncio.sleep(0.3)
                sequence = sequence // 10 * 10 + 10
            results = await asyncio.to_thread(client.wait, campaign, 3)
            assert {number: result[0] for number, result in results.items()} == dict.fromkeys(people, DELIVERED)
            await asyncio.to_thread(house.stack.cli, "carrier", "resume", "telco")
            await asyncio.to_thread(house.stack.cli, "carrier", "remove", "scripted")
            await asyncio.sleep(1.5)

    asyncio.run(main())


def test_pain_12_memory_is_bounded(house: House) -> None:
    client = house.account("pain12")
    pid = house.node.pid
    assert pid is not None
    with house.smsc(receipts=0.0):
        client.wait_sent(client.send(house.people(2000)), 2000)
        before = resident_mb(pid)
        client.wait_sent(client.send(house.people(60_000)), 60_000)
        # 60,000 numbers alone are 240 kB; a task, a future or a row object each would be 60 MB and more.
        assert resident_mb(pid) - before < 60


def test_pain_12_nodes_share_the_work(postgres: PostgresServer, tmp_path: Path) -> None:
    with Stack(postgres.fresh(), tmp_path) as stack:
        stack.prepare(window=50, binds=2, tps=600)
        api = stack.node("api")
        stack.node("engine")
        stack.node("engine")
        wait_for("each has a bind", lambda: len(stack.rows("SELECT DISTINCT owner FROM bind_lease")) == 2, 15)
        clients = Clients([api.port])
        told = clients.post([Mix(12, stack.accounts).campaign(1200)])
        reconcile("two engines share", stack, told, Allowed(), [api.port])
        submits = [line.split() for line in stack.smsc.journal.read_text().splitlines() if line.startswith("S")]
        shares = {bind: sum(line[-1] == bind for line in submits) for bind in {line[-1] for line in submits}}
        assert len(shares) == 2
        assert min(shares.values()) > 1200 * 0.3


def test_pain_13_it_starts_with_nothing_and_keeps_its_configuration(tmp_path: Path) -> None:
    """No broker, no database server, no console: an empty folder, a command, and what was set stays set."""
    with Stack(f"sqlite:///{tmp_path / 'cooee.db'}", tmp_path) as stack:
        node = stack.node()
        # Accounts and carriers come while it runs, and count at once.
        stack.prepare()
        clients = Clients([node.port])
        told = clients.post([Mix(13, ["acme"]).campaign(20)])
        reconcile("before the restart", stack, told, Allowed(), [node.port])
        listed = stack.cli("carrier", "list", "--json"), stack.cli("account", "list", "--json")
        node.restart_killed()
        assert (stack.cli("carrier", "list", "--json"), stack.cli("account", "list", "--json")) == listed
        wait_for("it is ready", lambda: http_status(node.port, "/readyz") == 200, 10)
        clients.post([Mix(14, ["bravo"]).campaign(20)])
        reconcile("after it", stack, clients.told, Allowed(), [node.port])


def test_pain_14_a_send_window_holds_in_the_accounts_zone(house: House) -> None:
    """The window opens in an hour, by the clock of a zone that is 8 hours ahead."""
    hours = [f"{(local(8 * 3600 + ahead * 3600).tm_hour):02d}:{local().tm_min:02d}" for ahead in (1, 3)]
    client = house.account("pain14", "--zone", "Australia/Perth", "--send-window", "-".join(hours))
    people = house.people(50)
    try:
        campaign = client.send(people)
        time.sleep(1.5)
        assert client.status(campaign) == "Scheduled"
        steer(house.clock, 50 * 60.0)
        time.sleep(1.5)
        assert not house.submits(people)
        steer(house.clock, 65 * 60.0)
        client.wait(campaign, 50)
    finally:
        steer(house.clock, 0.0)


def test_pain_15_every_message_tells_its_story_and_an_opt_out_holds(house: House) -> None:
    client = house.account("pain15")
    number = "61480000015"
    house.stack.cli("number", "add", number, "--account", "pain15", "--kind", "dedicated")
    gone, dead, fine = house.people(3)
    first = client.send([gone, dead, fine], Originator=number)
    client.wait(first, 3)
    house.reply(gone, number, "stop!")
    house.stack.smsc.ask("handset", number=str(dead), state="dead")

    def opted_out() -> list[dict[str, Any]]:
        return list(client.api.post("/api/optouts", {"Action": "list"})[1]["OptOut"])

    wait_for("the opt-out is kept", lambda: len(opted_out()) == 1, 15)
    (row,) = opted_out()
    assert (row["Originator"], row["MessageText"], row["Reason"]) == (str(gone), "stop!", "Reply")
    credits = client.api.credits()
    second = client.send([gone, dead, fine])
    client.wait(second, 2)
    assert client.api.credits() == credits - 2
    assert sum(house.submits([gone]).values()) == 1
    stories = {one: client.story(second, one) for one in (gone, dead, fine)}
    assert [stories[one]["state"] for one in (gone, dead, fine)] == ["washed", "failed", "delivered"]
    assert stories[dead]["detail"]
    assert stories[dead]["code"] == client.results(second)[dead][1]
    # One that waits tells that, too, and one that was cancelled.
    waiting = client.send([fine], TimeScheduled="203501010900")
    assert client.story(waiting, fine)["state"] == "waiting"
    client.api.action(waiting, "delete")
    assert client.story(waiting, fine)["state"] == "cancelled"
