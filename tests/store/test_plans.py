"""The hot queries on seeded rows: none of them walks through messages, ids or batches."""

from __future__ import annotations

import asyncio
import json
import re
from array import array
from pathlib import Path
from typing import Any

import pytest

from cooee.store.database import Row
from cooee.store.queries import Query
from cooee.store.sqlite import STEPS, SqliteTx
from tests.store.support_seed import LARGE, LIST, seed
from tests.store.support_store import FIRST, World, world
from tests.support.postgres import PostgresServer

A, C = 1001, 1
NOW = 1_780_000_000_000
PACKED = array("q", [FIRST, FIRST + 1]).tobytes()

KEYS: list[Row] = [(A, LARGE, FIRST + at) for at in range(0, 20_000, 40)]
"""500 recipients."""
SINGLES: list[Row] = [(A, LARGE + at, 0) for at in range(1, 500)]
"""Batches of many small campaigns."""
OUT: list[Row] = [(A, LARGE, no) for no in range(1500, 1600)]
IDS: list[Row] = [(str(at * 7919),) for at in range(500)]

HOT: dict[str, tuple[list[Row], dict[str, Any]]] = {
    "claimable": ([], {"carrier_id": C, "limit": 500, "want": 1000}),
    "front_turn": ([], {"carrier_id": C}),
    "take_batches": ([(*key, 5) for key in SINGLES], {"owner": 7}),
    "set_aside": ([(*key, 1, None) for key in SINGLES], {}),
    "held_batches": ([(*key, 0) for key in OUT], {"owner": 7}),
    "share_campaigns": ([key[:2] for key in SINGLES], {}),
    "advance": ([(*key, 0, 6, 6, 4) for key in OUT], {"owner": 7}),
    "retry_messages": (KEYS, {}),
    "retry_out": (KEYS, {}),
    "record": (
        [(*key, 3, 1, 1, 1, 0, 1, NOW, None, 0, None) for key in KEYS],
        {"carrier_id": C, "now": NOW},
    ),
    "with_optouts": ([(A,)], {}),
    "opted_out": ([(A, FIRST + at) for at in range(500)], {}),
    "late_attempt": ([(*key, 1, 1) for key in KEYS], {}),
    "apply_receipts": ([(*key, 1, 1, 0, 0, None) for key in KEYS], {"now": NOW}),
    "find_refs": (IDS, {"carrier_id": C, "since": NOW - 10**9}),
    "any_orphan": ([], {"carrier_id": C}),
    "orphans_for": (IDS, {"carrier_id": C}),
    "orphan_page": ([], {"after": 0}),
    "drop_orphans": ([(at,) for at in range(500)], {}),
    "drop_old_orphans": ([], {"before": NOW - 10**9, "limit": 1000}),
    "receipt_boundary": ([], {"after": NOW, "until": NOW + 10**8, "skip": 100}),
    "receipts_within": (
        [],
        {
            "since": NOW + 10**7,
            "after": NOW + 10**7 + 3600,
            "until": NOW + 2 * 10**7,
            "campaign_id": LARGE + 7,
            "destination": FIRST + 50,
            "limit": 10,
        },
    ),
    "unpacked_receipts": (
        [],
        {"carrier_id": C, "after": NOW, "after_id": 1, "before": NOW + 2 * 10**8, "limit": 2000},
    ),
    "receipt_rows": ([(at,) for at in range(1, 251)], {}),
    "drop_receipt_rows": ([(at,) for at in range(1, 251)], {}),
    "leave_receipt_rows": ([(at,) for at in range(1, 251)], {}),
    "drop_old_receipts": ([], {"before": NOW + 10**6, "limit": 30}),
    "campaigns_by_age": ([], {"after": LARGE, "before": NOW, "limit": 1000}),
    "campaign_that_stays": ([], {"low": LARGE, "high": LARGE + 1000, "before": NOW}),
    "lock_over": ([(A, LARGE + at) for at in range(150)], {"before": NOW}),
    "keep_past": ([(A, LARGE + at) for at in range(150)], {"now": NOW, "swept": 1}),
    "drop_campaigns": ([(A, LARGE + at) for at in range(150)], {}),
    "drop_messages_of": ([(A, LARGE + at) for at in range(150)], {}),
    "drop_batches_of": ([(A, LARGE + at) for at in range(150)], {}),
    "drop_attempts_of": ([(A, LARGE + at) for at in range(150)], {}),
    "drop_lists_of": ([(A, LARGE + at) for at in range(150)], {}),
    "drop_courses_of": ([(A, LARGE + at) for at in range(150)], {}),
    "drop_console_answers_of": ([(A, LARGE + at) for at in range(150)], {}),
    "drop_counts_of": ([(A, LARGE + at) for at in range(150)], {}),
    "retire_batches": ([], {"account_id": A, "id": LARGE, "limit": 100}),
    "unswept": ([], {}),
    "drop_message_piece": ([], {"account_id": A, "id": LARGE, "limit": 1000}),
    "drop_attempt_piece": ([], {"account_id": A, "id": LARGE, "limit": 1000}),
    "drop_batch_piece": ([], {"account_id": A, "id": LARGE, "limit": 100}),
    "old_replies": ([], {"account_id": A, "received_at": NOW, "id": 1, "before": NOW + 5000, "limit": 1000}),
    "drop_deliveries": ([(at,) for at in range(500)], {"account_id": A}),
    "drop_replies": ([(at,) for at in range(500)], {"account_id": A}),
    "ref_boundary": ([], {"carrier_id": C, "smsc_id": "5", "at": 0, "skip": 3999}),
    "old_refs": (
        [],
        {"carrier_id": C, "smsc_id": "5", "at": 0, "last_id": "6", "last_at": 0, "before": NOW},
    ),
    "drop_refs": (
        [],
        {"carrier_id": C, "smsc_id": "5", "at": 0, "last_id": "6", "last_at": 0, "before": NOW},
    ),
    "drop_old_keys": ([], {"before": NOW, "limit": 1000}),
    "drop_old_quarantine": ([], {"before": NOW, "limit": 1000}),
    "drop_old_audit": ([], {"before": NOW, "limit": 200}),
    "drop_old_optouts": ([], {"before": NOW, "limit": 1000}),
    "any_uncertain": ([], {"carrier_id": C}),
    "uncertain_to": ([(FIRST + at,) for at in range(500)], {"carrier_id": C}),
    "settle_uncertain": ([(*key, 1) for key in KEYS], {"now": NOW}),
    "uncertain_due": ([], {"now": NOW + 10**6}),
    "uncertain_fail": (KEYS, {"now": NOW}),
    "archive_attempts": (KEYS, {"now": NOW}),
    "resend": (KEYS, {"now": NOW}),
    "recorded_of": ([(*key, 1) for key in KEYS], {}),
    "take_over": ([(*key, 0, 2, 0) for key in OUT], {}),
    "abandoned": ([], {"owner": 7}),
    "delayed_due": ([], {"now": NOW + 10**6}),
    "make_ready": ([(*key, 0) for key in SINGLES], {}),
    "finish": ([(A, LARGE + at) for at in range(500)], {"now": NOW}),
    "running_page": ([], {"after": LARGE}),
    "starting_campaigns": ([], {}),
    "windowed_page": ([], {"after": LARGE}),
    "windowed_starting": ([], {}),
    "any_marked": ([], {"account_id": A, "id": LARGE}),
    "age_account_retries": ([], {"account_id": A, "stood_still": 1000}),
    "await_dealing": ([], {"account_id": A}),
    "restart_account_campaigns": ([], {"account_id": A}),
    "judge_scheduled": ([], {"account_id": A, "now": NOW}),
    "judge_delayed": ([], {"account_id": A, "now": NOW, "backoff": NOW + 10**6}),
    "due_campaigns": ([], {"now": NOW}),
    "stale_accepting": ([], {"before": NOW}),
    "held_piece": ([], {"account_id": A, "id": LARGE, "after": -1, "limit": 200}),
    "deal": ([(A, LARGE, no, C, no, 2) for no in range(1620, 1640)], {}),
    "running_large": ([(LARGE + at,) for at in range(500)], {}),
    "count_states": ([], {"account_id": A, "id": LARGE + 5}),
    "waiting": ([], {"account_id": A, "id": LARGE + 5}),
    "kept_counts": ([], {"account_id": A, "id": LARGE}),
    "report_page": ([], {"account_id": A, "campaign_id": LARGE, "after": FIRST + 100, "limit": 500}),
    "report_one": ([], {"account_id": A, "campaign_id": LARGE, "destination": FIRST}),
    "failure_page": ([], {"account_id": A, "campaign_id": LARGE, "after": FIRST + 100, "limit": 500}),
    "ledger_sums": ([], {"account_id": A, "after": 10, "upto": 500, "starts": 0, "ends": NOW * 2}),
    "ledger_lines": ([], {"account_id": A, "after": 10, "upto": 500, "starts": 0, "ends": NOW * 2}),
    "inspect_message": ([], {"account_id": A, "campaign_id": LARGE, "destination": FIRST}),
    "cancel_retrying": ([], {"account_id": A, "id": LARGE, "now": NOW}),
    "unsent": ([], {"account_id": A, "id": LARGE + 5}),
    "lock_campaign": ([], {"account_id": A, "id": LARGE}),
    "campaign_state": ([], {"account_id": A, "id": LARGE}),
    "appendable": (
        [],
        {"account_id": A, "reference": "r", "originator": "x", "body": "b", "asked_at": NOW, "due_at": None},
    ),
    "unstarted_like": ([(at, A, f"r{at}") for at in range(500)], {}),
    "batch_numbers": ([], {"account_id": A, "id": LARGE, "after": 1500, "limit": 100}),
    "last_batch": ([], {"account_id": A, "id": LARGE}),
    "lock_unstarted": ([], {"account_id": A, "id": LARGE}),
    "view_campaign": ([], {"id": LARGE}),
    "history_one": ([], {"account_id": A, "id": LARGE}),
    "history_active": ([], {"account_id": A, "limit": 10}),
    "history_kept_counts": ([(LARGE + at,) for at in range(50)], {"account_id": A}),
    "history_counts": ([(LARGE + at,) for at in range(1, 50)], {"account_id": A}),
    "created_between": (
        [],
        {"account_id": A, "from": NOW, "until": NOW + 5, "after_at": NOW, "after_id": LARGE, "limit": 500},
    ),
    "course_piece": ([], {"account_id": A, "id": LARGE, "after": FIRST + 100, "bucket": 60_000, "limit": 500}),
    "recipients_page": ([], {"account_id": A, "id": LARGE, "after": FIRST + 100, "state": None, "limit": 50}),
    "first_batches": ([], {"account_id": A, "id": LARGE, "after": 1500, "limit": 40}),
    "ledger_page": ([], {"account_id": A, "before": 100, "limit": 50}),
    "conversation_replies": (
        [],
        {"account_id": A, "handset": FIRST, "received_at": NOW + 10**6, "id": 1, "limit": 50},
    ),
    "inbox_waiting": ([], {"account_id": A, "received_at": NOW + 5, "id": 1, "limit": 1000}),
    "inbox_between": ([], {"account_id": A, "received_at": NOW + 5, "id": 1, "until": NOW + 999, "limit": 1000}),
    "inbox_from": (
        [],
        {"account_id": A, "handset": FIRST, "received_at": NOW, "id": 1, "until": NOW + 10**6, "limit": 1000},
    ),
    "inbox_flag": ([(at,) for at in range(1000)], {"account_id": A, "now": NOW}),
    "numbers_of": ([("61411",)], {}),
    "contacts_of": ([("61411", FIRST + at) for at in range(500)], {}),
    "note_contacts": ([("61411", FIRST + at, A, LARGE) for at in range(500)], {"now": NOW}),
    "inbound_senders": ([(A, LARGE + at) for at in range(500)], {}),
    "drop_old_contacts": ([], {"before": NOW, "limit": 1000}),
    "find_seen": ([(at * 7919,) for at in range(500)], {"carrier_id": C}),
    "drop_seen": ([(at * 7919, 1, 1) for at in range(500)], {"carrier_id": C}),
    "drop_old_seen": ([], {"before": NOW, "limit": 1000}),
    "parts_of": ([(str(FIRST + at), "61411", 7, 3) for at in range(200)], {"carrier_id": C}),
    "drop_parts": ([(str(FIRST + at), "61411", 7, 3) for at in range(200)], {"carrier_id": C}),
    "overdue_parts": ([], {"before": NOW}),
    "unrouted_page": ([], {"recipient": "61411", "after_at": NOW, "after_id": 5}),
    "unrouted_one": ([], {"id": 5}),
    "drop_unrouted": ([(at,) for at in range(200)], {}),
    "keyword_accounts": ([(A,)], {}),
    "due_answers": ([], {}),
    "any_answer_due": ([], {}),
    "answers_made": ([(A, FIRST + at, 1, 1, None, None) for at in range(100)], {}),
    "drop_old_answers": ([], {"before": NOW - 10**9, "limit": 1000}),
    "add_optouts": ([(A, FIRST + at, "Client", "x", "") for at in range(500)], {"now": NOW}),
    "keep_optouts": ([(A, FIRST + at, "x", "") for at in range(500)], {"now": NOW, "reason": "Client"}),
    "drop_optouts": ([(A, FIRST + at, "x", "") for at in range(500)], {}),
    "optouts_page": ([], {"account_id": A, "added_at": 0, "destination": FIRST + 1000, "limit": 500}),
    "lists_of": ([], {"account_id": A, "deleted": 0}),
    "find_list": ([], {"account_id": A, "id": LIST}),
    "find_lists": ([(LIST + at,) for at in range(500)], {"account_id": A}),
    "list_page": ([], {"account_id": A, "id": LIST, "after": FIRST + 10_000, "limit": 5000}),
    "lock_list": ([], {"account_id": A, "id": LIST}),
    "add_list_numbers": ([(FIRST + at,) for at in range(4000)], {"account_id": A, "id": LIST}),
    "remove_list_numbers": ([(FIRST + at,) for at in range(4000)], {"account_id": A, "id": LIST}),
    "drop_list_piece": ([], {"account_id": A, "id": LIST, "limit": 4000}),
    "go_on_filling": ([], {"account_id": A, "id": LIST, "now": NOW}),
    "give_up_filling": ([], {"before": NOW}),
    "given_up": ([], {}),
    "add_campaign_lists": ([(A, LIST, LARGE + at) for at in range(500)], {}),
}

TECHNICAL = (
    "idempotency",
    "quarantine",
    "optout_past",
    "campaign_past",
    "attempt",
    "webhook_delivery",
    "campaign_course",
    "reply_answer",
    "audit",
)
RECEIVING = ("reply", "last_contact", "inbound_seen", "reply_part", "unrouted_reply", "auto_answer")
WALKED = (
    "message", "segment_ref", "receipt_log", "batch", "optout", "list_number", "campaign_list",
    *RECEIVING, *TECHNICAL,
)  # fmt: skip
BIG = (*WALKED, "orphan_receipt", "campaign")
SMALL_INDEX = re.compile(
    r"(batch_(ready|delayed|out)|reply_new|campaign_past_unswept|quarantine_receipt|receipt_log_unpacked|auto_answer_due|message_(uncertain|doubt|retrying)|campaign_(accepting|starting|running|wake|unstarted))"
)
"""Partial indexes: they hold only what is to be done, so walking them is what they are for."""


def aliases(text: str) -> dict[str, str]:
    """What the names of a plan stand for."""
    found = {table: table for table in BIG}
    for table, alias in re.findall(r"\b(\w+)(?:\s+AS)?\s+([a-z])\b", text):
        if table in BIG:
            found[alias] = table
    return found


async def sqlite_walks(world: World, query: Query, rows: list[Row], values: dict[str, Any]) -> list[str]:
    text, given = query.text, dict[str, Any](values)
    bound: list[Any] | None = None
    if query.bound:
        some = rows[: STEPS[-1]]
        text, bound = query.for_rows(len(some)), [values[name] for name in query.parameters]
        bound += [value for row in some for value in row]
    elif rows:
        given["rows"] = json.dumps([list(row) for row in rows])

    async def explain(tx: Any) -> list[str]:
        assert isinstance(tx, SqliteTx)
        return [row[3] for row in tx.connection.execute(f"EXPLAIN QUERY PLAN {text}", bound or given)]

    names = aliases(query.text)
    bad: list[str] = []
    if query.text.endswith("LIMIT 1"):
        return bad
    for line in await world.database.read(explain):
        scanned = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", line)
        if scanned and scanned[1] in names and not SMALL_INDEX.fullmatch(scanned[2] or ""):
            bad.append(line)
        # A search by account alone walks all that an account has.
        searched = re.match(r"SEARCH (\w+) USING .*\((account_id=\?|carrier_id=\?|owner=\?)\)$", line)
        if searched and searched[1] in names and not SMALL_INDEX.search(line):
            bad.append(line)
        # The partial index of what is uncertain or out, walked once a row, is quadratic.
        if rows and re.search(
            r"INDEX (batch_out|message_uncertain|message_retrying) \((owner=\?|account_id=\?)\)", line
        ):
            bad.append(line)
    return bad


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in nodes(child))]


async def postgres_plan(
    world: World, query: Query, rows: list[Row], values: dict[str, Any]
) -> list[dict[str, Any]]:
    """The plan of the prepared statement itself, for these values."""
    given = dict(values)
    if rows:
        for name, column in zip(query.row_columns, zip(*rows, strict=True), strict=True):
            given[f"col_{name}"] = column

    async def explain(tx: Any) -> str:
        arguments = [given[name] for name in query.parameters]
        answer: str = await tx.connection.fetchval(f"EXPLAIN (FORMAT JSON) {query.text}", *arguments)
        return answer

    return nodes(json.loads(await world.database.write(explain))[0]["Plan"])


async def postgres_walks(
    world: World, query: Query, rows: list[Row], values: dict[str, Any], partial: set[str], empty: set[str]
) -> list[str]:
    bad = []
    for node in await postgres_plan(world, query, rows, values):
        table = node.get("Relation Name", "")
        relation = re.sub(r"_(default|\d+)$", "", table)
        if table in empty:
            continue  # a partition without rows is read in no time, whichever way
        if relation not in WALKED:
            continue
        if node["Node Type"] == "Seq Scan":
            bad.append(f"Seq Scan on {relation}")
        index = node.get("Index Name", "")
        if index and index not in partial and "Index Cond" not in node:
            bad.append(f"{node['Node Type']} of all of {index}")
    return bad


@pytest.mark.parametrize("analysed", [True, False], ids=["analysed", "young"])
def test_no_hot_query_walks_a_table_on_sqlite(tmp_path: Path, analysed: bool) -> None:
    """With statistics, and without any, as it is until the first `PRAGMA optimize`."""

    async def main() -> None:
        async with world(f"sqlite:///{tmp_path / 'c.db'}") as made:
            await seed(made)
            if analysed:
                await made.sql("ANALYZE")
            bad: dict[str, list[str]] = {}
            for name, (rows, values) in HOT.items():
                query = made.database.queries[name]
                walks = await sqlite_walks(made, query, rows, values) if query.text else []
                if walks:
                    bad[name] = walks
            assert bad == {}

    asyncio.run(main())


def test_no_hot_query_walks_a_table_on_postgres(postgres: PostgresServer) -> None:
    url = postgres.fresh()

    async def main() -> None:
        async with world(url) as made:
            await seed(made)
            await made.sql("ANALYZE")
            rows_of = await made.rows(
                "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
                "WHERE i.indpred IS NOT NULL"
            )
            partial = {row[0] for row in rows_of}
            none = await made.rows("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples = 0")
            empty = {row[0] for row in none}
            bad: dict[str, list[str]] = {}
            for name, (rows, values) in HOT.items():
                query = made.database.queries[name]
                walks = await postgres_walks(made, query, rows, values, partial, empty) if query.text else []
                if walks:
                    bad[name] = walks
            assert bad == {}
            # Each reading of an id is looked up, however many orphans there are.
            rows, values = HOT["orphans_for"]
            plan = await postgres_plan(made, made.database.queries["orphans_for"], rows, values)
            used = {node.get("Index Name") for node in plan if "Index Cond" in node}
            assert {"orphan_receipt_1", "orphan_receipt_2", "orphan_receipt_3"} <= used

    asyncio.run(main())
