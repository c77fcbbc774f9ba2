"""The short form of the fault storm, on both engines; and the storm itself: repeatable, complete, not silent."""

from __future__ import annotations

import re
import socket
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from soak.__main__ import main
from soak.books import PROMISED, WORDS, Outcome
from soak.databases import Disk
from soak.node import SteeredClock, steer
from soak.plan import KINDS, choose, plan
from soak.proxy import Proxies
from soak.report import write
from soak.run import Order, Result, run
from soak.storm import DOINGS
from tests.docs.support_docs import ROOT

SEED = 20
SHORT = {
    "sqlite": Order("sqlite", SEED, seconds=13.0, pace=1.0),
    "postgres": Order("postgres", SEED, seconds=12.0, pace=0.72, roles=("api", "engine", "engine")),
}


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_short_storm_breaks_no_promise(engine: str, tmp_path: Path) -> None:
    """`make soak` is the long one."""
    result = run(SHORT[engine], tmp_path)
    assert result.outcome.faults == []
    assert set(result.outcome.broken.values()) == {0}
    assert sum(result.happened.values()) >= 10
    counts = result.outcome.counts
    for word in ("campaigns", "recipients", "submits", "receipts", "delivered", "failed", "washed", "cancelled"):
        assert counts[word] > 0, word
    assert counts["replies"] > 5


def test_the_same_seed_makes_the_same_storm() -> None:
    for engine in ("sqlite", "postgres"):
        one, two = (plan(7, 600.0, choose(engine), 3.0) for _ in range(2))
        assert one == two
        assert one != plan(8, 600.0, choose(engine), 3.0)
        # Dealt like cards: no kind is rarer than another.
        counts = Counter(event.kind.name for event in one)
        assert set(counts) == {kind.name for kind in KINDS if engine in kind.engines}
        assert max(counts.values()) - min(counts.values()) <= 1


def test_every_kind_of_event_is_carried_out() -> None:
    assert DOINGS.keys() == {kind.name for kind in KINDS}
    harmless = {kind.name for kind in choose("sqlite", harmless=True)}
    assert {"stop", "clock", "disk-full", "throttle", "receipts"} <= harmless
    assert not {"kill", "cut", "silence"} & harmless
    assert [kind.name for kind in choose("sqlite", ["kill", "pg-fast"])] == ["kill"]


def test_every_broken_promise_has_a_column() -> None:
    """What a check calls a fault is what the table looks for: a word that was changed would hide it."""
    source = "".join(
        (ROOT / path).read_text(encoding="utf-8")
        for path in ("soak/books.py", "tests/reconcile/support_reconcile.py")
    )
    for word in WORDS:
        assert re.search(rf'report\.fault\(\s*"{re.escape(word)}"', source), word
    assert set(WORDS.values()) == set(PROMISED)


def test_a_report_replaces_the_run_before_it(tmp_path: Path) -> None:
    page = tmp_path / "reliability.md"
    blocks = "\n\n".join(f"<!-- soak: {word} -->\n<!-- soak: end -->" for word in ("runs", "zeros", "twice"))
    page.write_text(f"# Page\n\n{blocks}\n\nThe end.\n")

    def result(engine: str, seed: int, lost: int) -> Result:
        counts = dict.fromkeys(
            ("campaigns", "recipients", "submits", "receipts", "replies", "handed", "held", "washed", "cancelled",
             "uncertain", "twice"), 1234,
        )  # fmt: skip
        outcome = Outcome(counts, {**dict.fromkeys(PROMISED, 0), "receipts lost": lost}, Counter(kill=3))
        return Result(Order(engine, seed, 60.0), outcome, Counter(kill=2), 1.0)

    write(result("sqlite", 1, 0), page)
    write(result("postgres", 1, 0), page)
    write(result("sqlite", 2, 7), page)
    text = page.read_text()
    assert "seed 1" in text
    assert text.count("| sqlite, all, seed 2, 1 min |") == 3
    assert "sqlite, all, seed 1" not in text
    assert "| 1,234 |" in text
    assert "| 0 | 7 | 0 |" in text
    assert "| 2: 3 | – |" in text
    assert text.startswith("# Page\n")
    assert text.endswith("\nThe end.\n")


def test_a_plan_can_be_looked_at() -> None:
    shown = CliRunner().invoke(main, ["--plan", "--seed", "3", "--engine", "sqlite", "--minutes", "1"])
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert len(lines) > 10
    assert all(re.match(r" +\d+\.\d\d +\d+\.\d\d  [a-z-]+ ", line) for line in lines)


def test_a_steered_clock_jumps_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    steer(path, 0.0)
    clock = SteeredClock(path)
    now, running = clock.now_ms(), clock.monotonic()
    steer(path, -3600.0)
    assert -3_600_000 <= clock.now_ms() - now < -3_590_000
    assert 0 <= clock.monotonic() - running < 10
    steer(path, 0.0)
    assert 0 <= clock.now_ms() - now < 10_000


def test_a_full_disk_takes_nothing_until_there_is_room() -> None:
    disk = Disk()
    try:
        assert disk.mounted or disk.folder.is_dir()
        file = disk.folder / "file"
        file.write_bytes(b"x" * 100_000)
        if disk.mounted:
            disk.fill([])
            with pytest.raises(OSError, match="No space left"):
                (disk.folder / "more").write_bytes(b"x" * 100_000)
            disk.free([])
        (disk.folder / "more").write_bytes(b"x" * 100_000)
    finally:
        disk.remove()
    assert not disk.folder.exists()


def ended(peer: socket.socket) -> bool:
    try:
        return peer.recv(100) == b""
    except ConnectionResetError:
        return True


def test_a_proxy_cuts_in_the_middle() -> None:
    proxies = Proxies()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        proxy = proxies.before_port(server.getsockname()[1])
        client = socket.create_connection(("127.0.0.1", proxy.port), 5)
        peer, _ = server.accept()
        peer.settimeout(5)
        client.sendall(b"whole")
        assert peer.recv(100) == b"whole"
        proxy.half_of = "up"
        client.sendall(b"halved")
        assert peer.recv(100) == b"hal"
        assert ended(peer)
        proxies.do(lambda: proxy.part(True))
        apart = socket.create_connection(("127.0.0.1", proxy.port), 5)
        assert ended(apart)
        for each in (client, peer, apart):
            each.close()
    proxies.stop()
