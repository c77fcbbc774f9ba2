"""Handsets write while servers are killed and connections cut: each message is stored once, with its campaign."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reconcile.support_stack import Stack, scaled, wait_for

NUMBER = "61400190499"
LONG = "Ich käme gern, nur nicht am 24.; geht auch der 25.? 😀 " * 6


def _texts(count: int) -> Iterator[tuple[str, str]]:
    """(handset, text) of each message: every text once, one of four of them long, some in UCS-2."""
    for number in range(count):
        text = f"{number} {LONG if number % 4 == 0 else 'да' if number % 4 == 1 else 'Yes'}"
        yield str(61400000000 + number % 97), text


def _write(stack: Stack, written: list[tuple[str, str]], count: int, seed: Iterator[tuple[str, str]]) -> None:
    for _ in range(count):
        handset, text = next(seed)
        stack.smsc.ask("reply", **{"from": handset, "to": NUMBER, "text": text, "system_id": "cooee"})
        written.append((handset, text))


def _prepared(stack: Stack, binds: int) -> None:
    stack.prepare(binds=binds)
    stack.cli("number", "add", NUMBER, "--account", "acme", "--kind", "dedicated")
    stack.cli("keyword", "account", "acme", "--stop-answer", "Bye")


def _all_in(stack: Stack, written: list[tuple[str, str]]) -> None:
    wait_for("every message is acknowledged", lambda: stack.smsc.ask("stats")["mo_pending"] == 0, 60)
    found = Counter((row[0], row[1]) for row in stack.rows("SELECT originator, body FROM reply"))
    missing = Counter(written) - found
    doubled = found - Counter(written)
    assert not missing, f"{len(missing)} lost, such as {next(iter(missing))}"
    assert not doubled, f"{len(doubled)} stored twice, such as {next(iter(doubled))}"
    for table in ("reply_part", "unrouted_reply", "quarantine"):
        assert stack.rows(f"SELECT COUNT(*) FROM {table}") == [(0,)], table


def test_killed_while_handsets_write(database_url: str, tmp_path: Path) -> None:
    with Stack(database_url, tmp_path) as stack:
        _prepared(stack, binds=2)
        node = stack.node()
        written: list[tuple[str, str]] = []
        texts = _texts(scaled(2000))
        for _ in range(4):
            _write(stack, written, scaled(120), texts)
            node.restart_killed()
        _write(stack, written, scaled(120), texts)
        stack.smsc.ask("drop", mid_pdu=True)
        _write(stack, written, scaled(50), texts)
        _all_in(stack, written)


def test_stop_is_kept_and_answered_once_whatever_is_killed(database_url: str, tmp_path: Path) -> None:
    with Stack(database_url, tmp_path) as stack:
        _prepared(stack, binds=1)
        node = stack.node()
        handsets = [str(61400000000 + number) for number in range(scaled(60))]
        for at, handset in enumerate(handsets):
            stack.smsc.ask("reply", **{"from": handset, "to": NUMBER, "text": "STOP", "system_id": "cooee"})
            if at % 20 == 10:
                node.restart_killed()
        wait_for("every STOP is acknowledged", lambda: stack.smsc.ask("stats")["mo_pending"] == 0, 60)
        assert [str(row[0]) for row in stack.rows("SELECT destination FROM optout ORDER BY 1")] == handsets
        wait_for(
            "every STOP is answered",
            lambda: stack.rows("SELECT COUNT(*) FROM auto_answer WHERE state = 1") == [(len(handsets),)],
            30,
        )
        # One campaign for each, and no more credits than they cost.
        assert stack.rows("SELECT COUNT(*), SUM(credits) FROM campaign") == [(len(handsets), len(handsets))]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_two_nodes_share_the_parts(database_url: str, tmp_path: Path) -> None:
    with Stack(database_url, tmp_path) as stack:
        _prepared(stack, binds=4)
        stack.node()
        second = stack.node()
        wait_for("both have binds", lambda: len(stack.rows("SELECT DISTINCT owner FROM bind_lease")) == 2, 30)
        written: list[tuple[str, str]] = []
        texts = _texts(scaled(2000))
        for _ in range(3):
            _write(stack, written, scaled(100), texts)
            stack.smsc.ask("drop", mid_pdu=True)
        second.kill()
        _write(stack, written, scaled(100), texts)
        _all_in(stack, written)
