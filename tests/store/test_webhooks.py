"""Deliveries to webhooks in the rows: who gets them, who leases them, what is recorded, and what is given up."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from cooee.model.clock import DAY, HOUR, MINUTE
from cooee.model.webhook import DeliveryState, WebhookState
from cooee.store import webhooks
from cooee.store.database import Row
from cooee.store.webhooks import Due, Results, Webhook
from tests.store.support_replies import reply, set_webhook, states, told
from tests.store.support_store import World, run

WAITING, DELIVERED, PARKED = DeliveryState.WAITING, DeliveryState.DELIVERED, DeliveryState.PARKED
ME, PEER = 7, 8


async def due(world: World, owner: int = ME) -> tuple[list[int], list[int]]:
    found: tuple[list[int], list[int]] = await world.write(
        lambda tx: webhooks.due(tx, owner, world.clock.now_ms())
    )
    return found


async def claim(world: World, *accounts: int, owner: int = ME) -> list[Webhook]:
    found: list[Webhook] = await world.write(lambda tx: webhooks.claim(tx, owner, accounts))
    return found


async def replies_of(world: World, *accounts: int, each: int = 10) -> list[Due]:
    found: list[Due] = await world.write(lambda tx: webhooks.due_replies(tx, accounts, world.clock.now_ms(), each))
    return found


async def record(world: World, results: Results, owner: int = ME) -> int:
    moved: int = await world.write(lambda tx: webhooks.record(tx, owner, results))
    return moved


def taken(world: World, *found: Due) -> list[Row]:
    return [(each.account_id, each.reply_id, world.clock.now_ms(), 200) for each in found]


def failed(world: World, each: Due, state: DeliveryState = WAITING, wait: int = MINUTE) -> Row:
    now = world.clock.now_ms()
    give_up_at = each.give_up_at or now + DAY
    return (
        each.account_id, each.reply_id, each.attempts, state, now + wait, give_up_at, now, 500,
        "answered 500", "x",
    )  # fmt: skip


def test_only_replies_of_accounts_with_a_webhook_are_told(database_url: str) -> None:
    async def check(world: World) -> None:
        other = await world.account()
        before = await reply(world, world.account_id)
        await set_webhook(world, world.account_id)
        ids = await reply(world, world.account_id, 3)
        await reply(world, other, 2)
        assert list(await told(world, world.account_id)) == ids, before
        assert await told(world, other) == {}
        assert await states(world, world.account_id) == [WAITING] * 3
        await world.write(lambda tx: webhooks.enqueue(tx, [(world.account_id, ids[0])], 0))
        assert len(await told(world, world.account_id)) == 3

    run(database_url, check)


def test_a_reply_and_its_delivery_are_there_together_or_not_at_all(database_url: str) -> None:
    async def check(world: World) -> None:
        await set_webhook(world, world.account_id)

        async def half(tx: Any) -> None:
            await webhooks.enqueue(tx, [(world.account_id, 5)], 0)
            raise LookupError

        with pytest.raises(LookupError):
            await world.write(half)
        assert await world.rows("SELECT * FROM webhook_delivery") == []

    run(database_url, check)


def test_what_is_due_is_leased_by_one_engine(database_url: str) -> None:
    async def check(world: World) -> None:
        accounts = [world.account_id, await world.account(), await world.account()]
        for account in accounts:
            await set_webhook(world, account)
        await reply(world, accounts[0])
        await reply(world, accounts[1])
        assert await due(world) == ([], accounts[:2])
        (mine,) = await claim(world, accounts[0])
        assert (mine.account_id, mine.version, mine.url, mine.username) == (accounts[0], 1, "sealed", "user")
        assert await due(world) == ([accounts[0]], [accounts[1]])
        assert await due(world, PEER) == ([], [accounts[1]])
        assert [each.account_id for each in await claim(world, *accounts[:2], owner=PEER)] == [accounts[1]]
        assert await claim(world, *accounts[:2]) == []
        await world.write(lambda tx: tx.many("release_webhooks", [(accounts[1],)], owner=ME))
        assert await due(world, PEER) == ([accounts[1]], []), "not ours to release"
        await world.write(lambda tx: tx.run("drop_webhook_leases", owner=PEER))
        assert await due(world) == ([accounts[0]], [accounts[1]])

    run(database_url, check)


@pytest.mark.parametrize("why", ["suspended", "blocked", "taken away", "later"])
def test_what_may_not_go_now_is_not_due(database_url: str, why: str) -> None:
    async def check(world: World) -> None:
        await set_webhook(world, world.account_id)
        await reply(world, world.account_id)
        now = world.clock.now_ms()
        await world.sql(
            {
                "suspended": f"UPDATE account SET state = 2 WHERE id = {world.account_id}",
                "blocked": f"UPDATE webhook SET blocked_until = {now + MINUTE}",
                "taken away": f"UPDATE webhook SET state = {WebhookState.OFF:d}",
                "later": f"UPDATE webhook_delivery SET next_at = {now + MINUTE}",
            }[why]
        )
        assert await due(world) == ([], [])
        world.clock.advance(60)
        assert await due(world) == ([], [world.account_id] if why in ("blocked", "later") else [])

    run(database_url, check)


def test_a_clock_that_was_set_back_blocks_nobody(database_url: str) -> None:
    async def check(world: World) -> None:
        await set_webhook(world, world.account_id)
        await reply(world, world.account_id)
        await world.sql(f"UPDATE webhook SET blocked_until = {world.clock.now_ms() + HOUR}")
        assert await due(world) == ([], [world.account_id])

    run(database_url, check)


def test_due_replies_come_in_their_order_a_few_of_each(database_url: str) -> None:
    async def check(world: World) -> None:
        other = await world.account()
        for account in (world.account_id, other):
            await set_webhook(world, account)
        first = await reply(world, world.account_id, 4)
        theirs = await reply(world, other, 2)
        await world.sql(f"UPDATE webhook_delivery SET next_at = next_at + 1 WHERE reply_id = {first[0]}")
        world.clock.advance(1)
        later = await reply(world, world.account_id)
        found = await replies_of(world, world.account_id, other)
        assert [each.reply_id for each in found] == [*first[1:], first[0], *later, *theirs]
        assert found[0].body == "hello 1"
        assert (found[0].originator, found[0].recipient, found[0].reference) == ("61400000002", "61411", "ref")
        assert [each.reply_id for each in await replies_of(world, world.account_id, other, each=1)] == [
            first[1], theirs[0],
        ]  # fmt: skip

    run(database_url, check)


def test_what_was_taken_is_delivered_and_retrieved_at_once(database_url: str) -> None:
    async def check(world: World) -> None:
        await set_webhook(world, world.account_id)
        ids = await reply(world, world.account_id, 2)
        await claim(world, world.account_id)
        found = await replies_of(world, world.account_id)
        results = Results(taken=taken(world, found[0]))
        assert await record(world, results) == 1
        rows = await told(world, world.account_id)
        assert (rows[ids[0]].state, rows[ids[0]].attempts, rows[ids[0]].status) == (DELIVERED, 1, 200)
        assert [rows[each].retrieved for each in ids] == [True, False]
        assert await record(world, results) == 0, "recorded again it changes nothing"
        assert [each.reply_id for each in await replies_of(world, world.account_id)] == ids[1:]

    run(database_url, check)


def test_a_reply_that_a_poll_took_keeps_its_time(database_url: str) -> None:
    async def check(world: World) -> None:
        await set_webhook(world, world.account_id)
        await reply(world, world.account_id)
        await world.sql("UPDATE reply SET retrieved_at = 5")
        (found,) = await replies_of(world, world.account_id)
        await record(world, Results(taken=taken(world, found)))
        assert await world.rows("SELECT retrieved_at FROM reply") == [(5,)]

    run(database_url, check)


def test_a_failure_counts_once_and_only_for_who_saw_the_row(database_url: str) -> None:
    async def check(world: World) -> None:
        await set_webhook(world, world.account_id)
        (number,) = await reply(world, world.account_id)
        (found,) = await replies_of(world, world.account_id)
        row = failed(world, found)
        assert await record(world, Results(failed=[row])) == 1
        assert await record(world, Results(failed=[row])) == 0
        delivery = (await told(world, world.account_id))[number]
        now = world.clock.now_ms()
        assert delivery == (WAITING, 1, now + MINUTE, now + DAY, 500, "answered 500", False)
        # What the receiver took counts, whoever tells it, and whatever was recorded meanwhile.
        await record(world, Results(taken=taken(world, found)), owner=PEER)
        assert await states(world, world.account_id) == [DELIVERED]
        (again,) = (await told(world, world.account_id)).values()
        assert (again.reason, again.retrieved) == ("", True)
        late = replace(found, attempts=2)
        await record(world, Results(failed=[failed(world, late, PARKED)]))
        assert await states(world, world.account_id) == [DELIVERED], "nothing takes it back"

    run(database_url, check)


def test_how_the_receiver_does_is_written_by_who_leases_it(database_url: str) -> None:
    async def check(world: World) -> None:
        await set_webhook(world, world.account_id)
        await reply(world, world.account_id)
        await claim(world, world.account_id)
        health = Results(health={world.account_id: (world.account_id, 3, 5, 9)})
        await record(world, health, owner=PEER)
        query = "SELECT failures, down_since, blocked_until FROM webhook"
        assert await world.rows(query) == [(0, None, 0)]
        await record(world, health)
        assert await world.rows(query) == [(3, 5, 9)]
        await set_webhook(world, world.account_id)
        assert await world.rows(query) == [(0, None, 0)], "what a person sets is tried at once"
        assert await world.rows("SELECT version FROM webhook") == [(2,)]

    run(database_url, check)


def test_after_a_day_what_was_held_back_is_parked(database_url: str) -> None:
    async def check(world: World) -> None:
        await set_webhook(world, world.account_id)
        (tried, untried) = await reply(world, world.account_id, 2)
        (first, _) = await replies_of(world, world.account_id)
        await record(world, Results(failed=[failed(world, first)]))
        world.clock.advance(DAY // 1000 - 1)
        (fresh,) = await reply(world, world.account_id)
        now = world.clock.now_ms()

        async def park() -> int:
            moved: int = await world.write(
                lambda tx: webhooks.park_expired(
                    tx, world.account_id, "the receiver was down", world.clock.now_ms()
                )
            )
            return moved

        assert await park() == 0
        world.clock.advance(1)
        assert await park() == 2
        rows = await told(world, world.account_id)
        assert [rows[each].state for each in (tried, untried, fresh)] == [PARKED, PARKED, WAITING]
        assert (rows[tried].reason, rows[untried].reason) == ("answered 500", "the receiver was down")
        assert not rows[tried].retrieved
        assert now < world.clock.now_ms()

    run(database_url, check)


def test_parked_ones_can_be_replayed_one_by_one_or_all(database_url: str) -> None:
    async def check(world: World) -> None:
        await set_webhook(world, world.account_id)
        ids = await reply(world, world.account_id, 600)
        await world.sql("UPDATE webhook_delivery SET state = 3, attempts = 30, give_up_at = 5, last_at = 4")
        await world.sql("UPDATE webhook SET blocked_until = 99, failures = 9, down_since = 1")
        assert await replies_of(world, world.account_id) == []

        async def replay(reply_id: int | None) -> int:
            moved: int = await world.write(
                lambda tx: webhooks.replay(tx, world.account_id, reply_id, world.clock.now_ms())
            )
            return moved

        assert await replay(ids[7]) == 1
        (found,) = await replies_of(world, world.account_id)
        assert (found.reply_id, found.attempts, found.give_up_at) == (ids[7], 0, None)
        assert await world.rows("SELECT blocked_until, failures, down_since FROM webhook") == [(0, 0, None)]
        assert [await replay(None) for _ in range(3)] == [500, 99, 0]
        await record(world, Results(taken=taken(world, found)))
        assert await replay(ids[7]) == 0, "delivered is delivered"
        assert await replay(10**9) == 0
        assert len(await replies_of(world, world.account_id, each=1000)) == 599

    run(database_url, check)


def test_what_waits_for_a_webhook_that_is_taken_away_is_parked(database_url: str) -> None:
    async def check(world: World) -> None:
        await set_webhook(world, world.account_id)
        await reply(world, world.account_id, 3)
        now = world.clock.now_ms()
        await world.write(
            lambda tx: webhooks.put(
                tx, world.account_id, WebhookState.OFF, url="", username="", secret="", now=now
            )
        )
        await reply(world, world.account_id)
        assert [row[0] for row in await world.write(lambda tx: tx.all("removed_webhooks"))] == [world.account_id]
        assert await world.write(lambda tx: webhooks.park_all(tx, world.account_id, now)) == 3
        assert await world.write(lambda tx: tx.all("removed_webhooks")) in ([], ())
        assert {each.reason for each in (await told(world, world.account_id)).values()} == {
            "the webhook was taken away"
        }

    run(database_url, check)


HOT: dict[str, tuple[list[Row], dict[str, Any]]] = {
    "enqueue_deliveries": ([(1001, at) for at in range(300)], {"now": 1}),
    "due_webhooks": ([], {"owner": ME, "now": 10**15, "longest_block": MINUTE}),
    "due_replies": ([(1001,), (1002,)], {"now": 10**15, "each": 64}),
    "deliveries_taken": ([(1001, at, 1, 200) for at in range(300)], {}),
    "retrieved_by_webhook": ([(1001, at, 1, 200) for at in range(300)], {}),
    "deliveries_failed": ([(1001, at, 0, 1, 1, 1, 1, 500, "", "") for at in range(300)], {}),
    "park_expired": ([], {"account_id": 1001, "reason": "", "now": 1, "untried_before": 1}),
    "most_overdue": ([], {"now": 1}),
    "removed_webhooks": ([], {}),
    "count_waiting": ([], {"account_id": 1001}),
    "count_parked": ([], {"account_id": 1001}),
}


def test_no_hot_query_walks_deliveries_or_replies(database_url: str) -> None:
    """Among 20,000 delivered replies of an account, a few wait."""

    async def check(world: World) -> None:
        other = await world.account()
        for account in (world.account_id, other):
            await set_webhook(world, account)
        for _ in range(20):
            await reply(world, world.account_id, 1000)
        await world.sql("UPDATE webhook_delivery SET state = 2")
        await reply(world, world.account_id, 20)
        await reply(world, other, 20)
        if world.database.engine == "postgres":
            await world.sql("ANALYZE webhook_delivery")
            await world.sql("ANALYZE reply")
        walks = {name: await _walks(world, name, rows, values) for name, (rows, values) in HOT.items()}
        assert {name: found for name, found in walks.items() if found} == {}

    run(database_url, check)


async def _walks(world: World, name: str, rows: list[Row], values: dict[str, Any]) -> list[str]:
    query = world.database.queries[name]
    given = dict(values)

    async def explain(tx: Any) -> list[str]:
        if tx.engine == "sqlite":
            if rows:
                given["rows"] = json.dumps([list(row) for row in rows])
            lines = [row[3] for row in tx.connection.execute(f"EXPLAIN QUERY PLAN {query.text}", given)]
            tables = {"d", "x", "p", "webhook_delivery", "reply"}
            bad = []
            for line in lines:
                scanned = re.match(r"SCAN (\w+)", line)
                whole = re.match(r"SEARCH (\w+) USING (?!.*_(due|parked)).*\(account_id=\?\)$", line)
                if (scanned and scanned[1] in tables) or (whole and whole[1] in tables):
                    bad.append(line)
            return bad
        if rows:
            for column, of in zip(query.row_columns, zip(*rows, strict=True), strict=True):
                given[f"col_{column}"] = of
        text = await tx.connection.fetchval(
            f"EXPLAIN (FORMAT JSON) {query.text}", *[given[each] for each in query.parameters]
        )
        found = re.findall(r'"Node Type": "Seq Scan",[^}]*?"Relation Name": "(\w+)"', text)
        return [table for table in found if table in ("webhook_delivery", "reply")]

    walks: list[str] = await world.write(explain)
    return walks
