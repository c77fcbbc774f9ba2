"""Old campaigns, replies and technical rows go; whatever is not done with stays, and the books stay right."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.clock import DAY, HOUR, MINUTE
from cooee.model.errors import NO_CAMPAIGN, ApiError, StoreUnavailable
from cooee.service.billing import Billing
from cooee.service.keeping import AUDIT, RULES, Keep
from cooee.service.retention import Retention
from cooee.store import audience, audit, campaigns, reports
from cooee.store import retention as rows
from cooee.store.audit import AuditFilter, AuditLine, Entry
from cooee.store.database import Tx
from tests.service.support_retention import (
    CHILDREN,
    KEEP,
    counts,
    earlier_attempt,
    ids_of,
    kept,
    later,
    left,
    merged,
    reply,
    sent,
    state,
)
from tests.store.support_seed import seed_audit
from tests.store.support_store import FIRST, World

S = CampaignState
Check = Callable[[World, Retention], Awaitable[None]]


def run(url: str, check: Check, keep: Keep = KEEP) -> None:
    async def main() -> None:
        async with kept(url, keep) as (made, retention):
            await check(made, retention)
            await made.check_ledger()

    asyncio.run(main())


def test_an_old_campaign_goes_with_everything_it_has(database_url: str) -> None:
    async def check(made: World, retention: Retention) -> None:
        old = await sent(made, 3)
        await made.sql(f"INSERT INTO campaign_list VALUES ({old.account_id}, {old.id}, 2001)")
        await made.sql(f"INSERT INTO campaign_count VALUES ({old.account_id}, {old.id}, 7, 3)")
        await made.sql(f"INSERT INTO campaign_course VALUES ({old.account_id}, {old.id}, 0, '')")
        await made.sql(f"INSERT INTO reply_answer VALUES ({old.account_id}, {FIRST}, {old.id}, 0)")
        await earlier_attempt(made, old)
        assert set(await left(made, old)) == {"campaign", *CHILDREN}
        later(made, 20)
        young = await sent(made, 2)
        before = await left(made, young)
        later(made, 18)
        await merged(made)
        expected = {"campaign": 1, "message": 3, "segment_ref": 5}
        assert counts(await retention.plan()) == expected
        if made.database.engine == "postgres":
            # Three of these ids went with their day, whose rows nobody counts.
            expected["segment_ref"] = 2
        assert counts(await retention.run()) == expected
        assert await made.rows("SELECT * FROM segment_ref") == []
        assert await left(made, old) == {}
        assert await left(made, young) == before
        assert counts(await retention.plan()) == {}
        assert counts(await retention.run()) == {}

    run(database_url, check)


def test_a_removed_campaign_is_none_to_whoever_asks(database_url: str) -> None:
    async def check(made: World, retention: Retention) -> None:
        old = await sent(made, 2)
        assert len(await made.database.read(lambda tx: reports.page(tx, old.account_id, old.id, 0))) == 2
        later(made, 38)
        await retention.run()
        for call in (campaigns.pause, campaigns.unpause, campaigns.delete):
            with pytest.raises(ApiError) as error:
                await made.write(lambda tx, call=call: call(tx, old.account_id, old.id, made.clock.now_ms()))  # type: ignore[misc]
            assert error.value.code is NO_CAMPAIGN
        assert await made.database.read(lambda tx: reports.page(tx, old.account_id, old.id, 0)) == []

    run(database_url, check)


@pytest.mark.parametrize("count", [2, 1200])
def test_bills_count_removed_campaigns(database_url: str, count: int) -> None:
    async def check(made: World, retention: Retention) -> None:
        await sent(made, count, segments=2)
        await sent(made, 1)
        later(made, 38)
        billing = Billing(made.database, made.clock)
        ((name,),) = await made.rows(f"SELECT name FROM account WHERE id = {made.account_id}")
        ((month,),) = await made.rows("SELECT MAX(at) FROM ledger")
        assert month
        before = await billing.bill(name, "2026-05")
        assert (before.total.campaigns, before.total.messages) == (2, count + 1)
        assert before.total.segments == 2 * count + 1
        await retention.run()
        assert await ids_of(made, "campaign") == []
        assert (await billing.bill(name, "2026-05")).total == before.total

    run(database_url, check)


def test_what_is_not_over_stays_however_old_it_is(database_url: str) -> None:
    async def check(made: World, retention: Retention) -> None:
        hour = made.clock.now_ms() + HOUR
        scheduled = await made.campaign(2, wake_at=hour)
        paused = await made.campaign(2, wake_at=hour)
        await made.change("pause", paused)
        starting = await made.campaign(2, carriers=None)
        held = await made.campaign(2)
        (hand,) = await made.claim(7)
        await hand.accept([0]).doubt(1).step(release=True)
        # A person keeps it uncertain, and the campaign was deleted: it is still to be settled.
        await state(made, held, S.DELETED)
        out = await made.campaign(2)
        await made.claim(7)
        await state(made, out, S.DELETED)
        running = await made.campaign(1)
        stay = [scheduled, paused, starting, held, out, running]
        later(made, 1000)
        assert counts(await retention.plan()).get("campaign") is None
        assert counts(await retention.run()).get("campaign") is None
        assert await ids_of(made, "campaign") == sorted(new.id for new in stay)
        await made.sql(f"UPDATE message SET state = 6 WHERE campaign_id = {held.id} AND state = 2")
        assert counts(await retention.run())["campaign"] == 1
        assert await left(made, held) == {}

    run(database_url, check)


@pytest.mark.parametrize("count", [2, 60_000])
def test_a_deleted_campaign_leaves_nothing_in_a_carriers_queue(database_url: str, count: int) -> None:
    async def check(made: World, retention: Retention) -> None:
        other = await made.carrier()
        deleted = await made.campaign(count, carriers=[other] * -(-count // 500))
        await made.change("pause", deleted)
        await made.change("delete", deleted)
        assert {batch.state for batch in await made.batches(deleted)} == {BatchState.READY}
        later(made, 38)
        running = await made.campaign(1, carriers=[other])
        await retention.run()
        assert await left(made, deleted) == {}
        (hand,) = await made.claim(7, carrier_id=other)
        assert hand.claimed.key[1] == running.id

    run(database_url, check)


def test_a_large_campaign_is_unseen_at_once_and_a_run_that_was_cut_goes_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(made: World, retention: Retention) -> None:
        old = await sent(made, 1200)
        await earlier_attempt(made, old)
        later(made, 38)
        write, calls = made.database.write, 0

        async def cut(operation: object, lane: object = None) -> object:
            nonlocal calls
            calls += 1
            if calls % (len(KEEP.rules) + 2) == 0:
                raise StoreUnavailable("cut")
            return await write(operation, lane)  # type: ignore[arg-type]

        cuts = 0
        with monkeypatch.context() as patch:
            patch.setattr(made.database, "write", cut)
            patch.setattr("cooee.service.retention.PIECE", 400)
            for _ in range(30):
                try:
                    await retention.run()
                except StoreUnavailable:
                    cuts += 1
                    shown = await made.database.read(lambda tx: reports.page(tx, old.account_id, old.id, 0))
                    assert len(shown) == (1200 if "campaign" in await left(made, old) else 0)
                else:
                    break
        assert cuts > 1
        assert await left(made, old) == {}
        assert await made.rows("SELECT swept FROM campaign_past") == [(1,)]

    run(database_url, check)


def test_nothing_goes_where_everything_is_kept_for_ever(database_url: str) -> None:
    async def check(made: World, retention: Retention) -> None:
        old = await sent(made, 2)
        await reply(made, 1)
        await merged(made)
        later(made, 5000)
        assert set(counts(await retention.plan())) == {"segment_ref"}
        await retention.run()
        assert {"campaign", "batch", "message"} <= set(await left(made, old))
        assert await ids_of(made, "reply") == [1]

    run(database_url, check, Keep(0, 0))


def test_a_reply_finds_the_reference_of_a_campaign_that_was_removed(database_url: str) -> None:
    async def check(made: World, retention: Retention) -> None:
        old = await made.new(1)
        old.reference = "spring"
        await made.create(old)
        await made.sql(
            f"INSERT INTO inbound_number VALUES ('61411', 0, {made.account_id}, 1, 'AU', {made.clock.now_ms()})"
        )
        (hand,) = await made.claim(7)
        await hand.accept([0]).step(release=True)
        assert await made.finish(old) == 1
        later(made, 40)
        assert counts(await retention.run())["campaign"] == 1
        rows = await made.database.read(lambda tx: tx.many_all("contacts_of", [("61411", FIRST)]))
        assert [(*tuple(row)[2:4], row[5]) for row in rows] == [(made.account_id, old.id, "spring")]

    run(database_url, check)


def test_the_active_campaign_of_a_list_stays_right(database_url: str) -> None:
    async def check(made: World, retention: Retention) -> None:
        await made.write(
            lambda tx: audience.add(tx, made.account_id, 2001, "x", [FIRST], now=made.clock.now_ms(), whole=True)
        )
        old = await sent(made, 1)
        active = await made.campaign(1, wake_at=made.clock.now_ms() + 10**12)
        for new in (old, active):
            await made.sql(f"INSERT INTO campaign_list VALUES ({made.account_id}, {new.id}, 2001)")
        later(made, 38)
        await retention.run()
        (row,) = await made.database.read(lambda tx: audience.overview(tx, made.account_id, deleted=True))
        assert (row[0], row[2], row[4]) == (2001, 1, active.id)
        assert await ids_of(made, "campaign_list", "campaign_id") == [active.id]

    run(database_url, check)


def test_replies_go_once_they_were_passed_on_and_their_webhook_is_done(database_url: str) -> None:
    async def check(made: World, retention: Retention) -> None:
        await reply(made, 1)
        await reply(made, 2, retrieved=False)
        await reply(made, 3, delivery=2)
        await reply(made, 4, delivery=1)
        await reply(made, 5, delivery=3)
        await made.sql(
            "INSERT INTO unrouted_reply VALUES "
            f"(9, {made.clock.now_ms()}, {made.carrier_id}, 'x', NULL, '61411', 'hello', 1, 0)"
        )
        later(made, 59)
        await reply(made, 6, delivery=2)
        later(made, 2)
        assert counts(await retention.plan()) == {"reply": 2}
        assert counts(await retention.run()) == {"reply": 2}
        assert await ids_of(made, "reply") == [2, 4, 5, 6]
        assert await ids_of(made, "webhook_delivery", "reply_id") == [4, 5, 6]
        assert await ids_of(made, "unrouted_reply") == [9]
        later(made, 1000)
        await made.sql("UPDATE webhook_delivery SET state = 2")
        assert counts(await retention.run()) == {"reply": 3}
        assert await ids_of(made, "reply") == [2]

    run(database_url, check)


def test_pages_of_replies_that_stay_are_passed_over(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cooee.service.retention.PAGE", 3)

    async def check(made: World, retention: Retention) -> None:
        other = await made.account()
        for no in range(10):
            await reply(made, no, retrieved=no in (3, 8, 9))
        await made.sql(f"UPDATE reply SET account_id = {other} WHERE id = 9")
        later(made, 61)
        assert counts(await retention.run()) == {"reply": 3}
        assert await ids_of(made, "reply") == [0, 1, 2, 4, 5, 6, 7]

    run(database_url, check)


OLD_AND_YOUNG = {
    "idempotency": "({a}, '{n}', '', '', {at})",
    "inbound_seen": "({k}, {n}, 1, 1, {at})",
    "auto_answer": "({a}, {n}, 1, 1, 1, 'x', 'x', {at}, NULL, NULL)",
    "orphan_receipt": "({k}, '{n}', NULL, NULL, NULL, 'x', 1, '', 0, {at})",
    "last_contact": "('61411', {n}, {a}, 1, {at})",
    "quarantine": "({at}, {k}, 'receipt', '', '')",
    "signup": "({n}, 0, 0, {at}, 'x', 'x{n}', '', '', '', '', '', '', '', NULL, 0, 0, 0, '')",
    "signup_link": "('{n}', 1, {at})",
    "signup_try": "({at}, 'x', 1)",
    "optout_past": "({a}, {n}, 1, {at}, 'Reply', 'x', '', 'Reply', 'x', '')",
}
COLUMNS = {
    "orphan_receipt": "(carrier_id, id_1, id_2, id_3, handset, originator, kind, error, code, at)",
    "quarantine": "(at, carrier_id, kind, body, reason)",
    "signup_try": "(at, network, stored)",
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.table)
def test_technical_rows_go_in_pieces_after_their_time(
    database_url: str, rule: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    (rule,) = [each for each in RULES if each is rule]
    monkeypatch.setattr("cooee.service.retention.PIECE", 20)

    async def check(made: World, retention: Retention) -> None:
        old = made.clock.now_ms() - rule.keep_ms - 1

        async def add(first: int, count: int, at: int) -> None:
            values = ", ".join(
                OLD_AND_YOUNG[rule.table].format(a=made.account_id, k=made.carrier_id, n=n, at=at)
                for n in range(first, first + count)
            )
            await made.sql(f"INSERT INTO {rule.table} {COLUMNS.get(rule.table, '')} VALUES {values}")

        await add(0, 50, old)
        await add(100, 3, old + MINUTE)
        assert counts(await retention.plan()) == {rule.table: 50}
        await retention.tidy()
        assert await made.rows(f"SELECT COUNT(*) FROM {rule.table}") == [(3,)]
        assert counts(await retention.run()) == {}
        made.clock.advance(61)
        assert counts(await retention.run()) == {rule.table: 3}

    run(database_url, check)


@pytest.mark.parametrize(
    ("keep", "days"),
    [(Keep(400, 400, 30), 30), (Keep(20, 400, 30), 20), (Keep(0, 0, 30), 30), (Keep(400, 400, 0), 0)],
    ids=["as set", "not longer than messages", "messages for ever", "none"],
)
def test_receipts_as_they_came_go_after_their_time(database_url: str, keep: Keep, days: int) -> None:
    async def check(made: World, retention: Retention) -> None:
        now = made.clock.now_ms()
        for at in (*range(now - days * DAY - 70, now - days * DAY), now - days * DAY, now):
            await made.sql(
                "INSERT INTO receipt_log (at, at_span, carrier_id, campaign_low, campaign_span, destination_low, "
                f"destination_span, receipts, packed, body) VALUES ({at}, 0, 1, 1, 0, 1, 0, 1, 1, '')"
            )
        assert counts(await retention.plan()) == {"receipt_log": 70}
        await retention.tidy()
        ((left, oldest),) = await made.rows("SELECT COUNT(*), MIN(at) FROM receipt_log")
        assert (left, oldest) == (2, now - days * DAY)
        assert {line.table: line.keep_ms for line in await retention.run()}["receipt_log"] == days * DAY

    run(database_url, check, keep)


@pytest.mark.parametrize(("days", "left"), [(1830, 3), (90, 1), (0, 63)], ids=["default", "as set", "for ever"])
def test_lines_of_the_audit_log_go_after_their_time(
    database_url: str, days: int, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pieces, whatever they are about, and on every engine by its own clock."""
    monkeypatch.setattr("cooee.service.retention.PIECE", 20)

    async def check(made: World, retention: Retention) -> None:
        now = made.clock.now_ms()
        for at in (*range(now - 1830 * DAY - 60, now - 1830 * DAY), now - 1830 * DAY, now - 91 * DAY, now):
            entry = Entry("account", "acme", "192.0.2.7", "campaign created", account="acme", detail="é" * 2000)
            await made.write(lambda tx, entry=entry, at=at: audit.add(tx, entry, at))  # type: ignore[misc]
        gone = {"audit": 63 - left} if left < 63 else {}
        assert counts(await retention.plan()) == gone
        kept = await audit_lines(made)
        assert {line.table: line.keep_ms for line in await retention.run()}["audit"] == (days * DAY or None)
        assert await audit_lines(made) == kept[:left]
        assert counts(await retention.run()) == counts(await retention.plan()) == {}

    run(database_url, check, Keep(audit_days=days))


def test_lines_of_the_audit_log_go_some_hundreds_at_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_rows, pieces = rows.drop_rows, []

    async def noted(tx: Tx, query: str, before: int, limit: int) -> int:
        went = await drop_rows(tx, query, before, limit)
        if query == AUDIT.drop:
            pieces.append(went)
        return went

    monkeypatch.setattr(rows, "drop_rows", noted)

    async def check(made: World, retention: Retention) -> None:
        await seed_audit(made, 0)
        await retention.tidy()
        assert await audit_lines(made) == []
        assert sum(pieces) == 20_000
        assert max(pieces) <= 200

    run(database_url, check)


async def audit_lines(made: World) -> list[AuditLine]:
    """The whole log, the newest first."""
    return await made.database.read(lambda tx: audit.page(tx, AuditFilter(), None, 30_000))


def test_answers_that_are_due_and_replies_in_quarantine_stay(database_url: str) -> None:
    async def check(made: World, retention: Retention) -> None:
        await made.sql(f"INSERT INTO auto_answer VALUES ({made.account_id}, 1, 1, 0, 1, 'x', 'x', 0, NULL, NULL)")
        await made.sql(f"INSERT INTO quarantine {COLUMNS['quarantine']} VALUES (0, 1, 'reply', '', '')")
        assert counts(await retention.plan()) == {}
        assert counts(await retention.run()) == {}
        assert len(await made.rows("SELECT * FROM auto_answer")) == 1
        assert len(await made.rows("SELECT * FROM quarantine")) == 1

    run(database_url, check)


def test_a_count_that_is_under_way_leaves_nothing_of_a_removed_campaign(database_url: str) -> None:
    async def check(made: World, retention: Retention) -> None:
        old = await sent(made, 2)
        later(made, 38)
        await retention.run()
        await campaigns.recount(made.database, old.account_id, old.id)
        assert await ids_of(made, "campaign_count", "campaign_id") == []

    run(database_url, check)


def test_ids_rise_but_for_what_idle_nodes_hold_back(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A young campaign with a low id does not hide old ones with higher ids."""
    monkeypatch.setattr("cooee.service.retention.PAGE", 5)

    async def check(made: World, retention: Retention) -> None:
        held_back = [await made.ids.one("campaign") for _ in range(3)]
        old = [await sent(made, 1) for _ in range(8)]
        later(made, 38)
        for number in held_back:
            new = await made.new(1)
            new.id = number
            await made.create(new)
        assert counts(await retention.run())["campaign"] == 8
        for new in old:
            assert await left(made, new) == {}
        assert await ids_of(made, "campaign") == held_back

    run(database_url, check)


def test_what_is_held_by_somebody_is_left_to_the_next_run(database_url: str) -> None:
    """On PostgreSQL nobody is waited for; on SQLite writes follow one another."""

    async def check(made: World, retention: Retention) -> None:
        old = await sent(made, 1)
        later(made, 38)
        if made.database.engine == "sqlite":
            assert counts(await retention.run())["campaign"] == 1
            return
        locked, done = asyncio.Event(), asyncio.Event()

        async def hold(tx: Tx) -> None:
            await tx.one("lock_campaign", account_id=old.account_id, id=old.id)
            locked.set()
            await done.wait()

        holding = asyncio.create_task(made.database.write(hold))
        await locked.wait()
        assert counts(await retention.run()).get("campaign") is None
        done.set()
        await holding
        assert counts(await retention.run())["campaign"] == 1

    run(database_url, check)
