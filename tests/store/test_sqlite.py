"""The one writer of SQLite: groups, lanes, errors, and what a kill leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from cooee.model.clock import ManualClock, SystemClock
from cooee.model.errors import CooeeError, StoreUnavailable
from cooee.store.database import Lane, Tx
from cooee.store.open import open_database
from cooee.store.sqlite import AGE_S, SqliteDatabase, explain, open_connection

Check = Callable[[SqliteDatabase, ManualClock], Awaitable[None]]


def run(tmp_path: Path, check: Check) -> None:
    async def main() -> None:
        clock = ManualClock()
        database = await open_database(f"sqlite:///{tmp_path / 'c.db'}", clock)
        assert isinstance(database, SqliteDatabase)
        try:
            await check(database, clock)
        finally:
            await database.close()

    asyncio.run(main())


def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        await database.write(lambda tx: put(tx, "a"))
        modes = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
        assert modes == {"c.db": 0o600, "c.db-wal": 0o600, "c.db-shm": 0o600}

    before = os.umask(0o022)
    try:
        run(tmp_path, check)
    finally:
        os.umask(before)


async def put(tx: Tx, name: str, value: str = "") -> None:
    await tx.run("claim_meta", name=name, value=value)


async def get(database: SqliteDatabase, name: str) -> str | None:
    async def read(tx: Tx) -> str | None:
        row = await tx.one("get_meta", name=name)
        return None if row is None else str(row[0])

    return await database.read(read)


def commits(database: SqliteDatabase) -> list[int]:
    """A list that grows by one with each commit of the writer."""
    seen: list[int] = []

    def committed() -> bool:
        seen.append(1)
        return False  # goes on

    database._connection.set_commit_hook(committed)
    return seen


class Gate:
    """Holds the writer inside a transaction until it is opened."""

    def __init__(self, database: SqliteDatabase, lane: Lane = Lane.BULK) -> None:
        self._open = threading.Event()
        self.entered = threading.Event()
        self.task = asyncio.get_running_loop().create_task(database.write(self._hold, lane))

    async def _hold(self, tx: Tx) -> None:
        self.entered.set()
        assert self._open.wait(10)

    async def closed(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.entered.wait, 10)

    async def open(self) -> None:
        self._open.set()
        await self.task


def test_writes_that_come_together_are_committed_together(tmp_path: Path) -> None:
    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        gate = Gate(database)
        await gate.closed()
        seen = commits(database)
        writes = [
            asyncio.create_task(database.write(lambda tx, n=number: put(tx, f"n{n}")))  # type: ignore[misc]
            for number in range(300)
        ]
        await asyncio.sleep(0.01)
        await gate.open()
        await asyncio.gather(*writes)
        assert 1 <= len(seen) <= 3
        assert await get(database, "n299") == ""

    run(tmp_path, check)


def test_later_jobs_of_a_group_see_the_earlier_ones_and_readers_only_what_is_committed(tmp_path: Path) -> None:
    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        gate = Gate(database)
        await gate.closed()
        inside = threading.Event()
        goes_on = threading.Event()

        async def first(tx: Tx) -> None:
            await put(tx, "a", "1")

        async def second(tx: Tx) -> str:
            row = await tx.one("get_meta", name="a")
            inside.set()
            assert goes_on.wait(10)
            return str(row[0]) if row is not None else "nothing"

        writes = [asyncio.create_task(database.write(each)) for each in (first, second)]
        await asyncio.sleep(0.01)
        await gate.open()
        await asyncio.get_running_loop().run_in_executor(None, inside.wait, 10)
        assert await get(database, "a") is None
        goes_on.set()
        assert await asyncio.gather(*writes) == [None, "1"]
        assert await get(database, "a") == "1"

    run(tmp_path, check)


@pytest.mark.parametrize("bad", [0, 2, 4])
def test_a_job_that_fails_fails_alone(tmp_path: Path, bad: int) -> None:
    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        gate = Gate(database)
        await gate.closed()

        async def fails(tx: Tx) -> None:
            await put(tx, "left behind")
            raise ValueError("bad data")

        async def breaks(tx: Tx) -> None:
            await put(tx, "left behind too")
            for _ in range(2):
                await tx.many("add_ledger", [(1, 1, 1, "x", None, "")], at=0)

        writes = [asyncio.create_task(database.write(lambda tx, n=n: put(tx, f"n{n}"))) for n in range(5)]  # type: ignore[misc]
        writes.insert(bad, asyncio.create_task(database.write(fails)))
        writes.insert(bad, asyncio.create_task(database.write(breaks)))
        await asyncio.sleep(0.01)
        seen = commits(database)
        await gate.open()
        answers = await asyncio.gather(*writes, return_exceptions=True)
        assert isinstance(answers[bad + 1], ValueError)
        assert isinstance(answers[bad], Exception)
        assert [answer for at, answer in enumerate(answers) if at not in (bad, bad + 1)] == [None] * 5
        assert await get(database, "left behind") is None
        assert await get(database, "left behind too") is None
        assert [await get(database, f"n{n}") for n in range(5)] == [""] * 5
        assert len(seen) <= 3

    run(tmp_path, check)


def test_an_error_of_the_database_is_one_of_ours(tmp_path: Path) -> None:
    """As on PostgreSQL: whoever catches CooeeError need not know the engine."""

    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        async def twice(tx: Tx) -> None:
            for _ in range(2):
                await tx.many("add_ledger", [(1, 1, 1, "x", None, "")], at=0)

        with pytest.raises(CooeeError) as raised:
            await database.write(twice)
        assert not isinstance(raised.value, StoreUnavailable)

    run(tmp_path, check)


def test_an_operation_that_awaits_something_else_is_refused(tmp_path: Path) -> None:
    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        async def wanders(tx: Tx) -> None:
            await put(tx, "half")
            await asyncio.sleep(0)

        async def wanders_reading(tx: Tx) -> None:
            await asyncio.sleep(0)

        with pytest.raises(RuntimeError, match="awaited something other than its transaction"):
            await database.read(wanders_reading)
        with pytest.raises(RuntimeError, match="awaited something other than its transaction"):
            await database.write(wanders)
        assert await get(database, "half") is None
        await database.write(lambda tx: put(tx, "goes on"))
        assert await get(database, "goes on") == ""

    run(tmp_path, check)


def test_lanes_go_in_order_and_bulk_ends_its_transaction(tmp_path: Path) -> None:
    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        gate = Gate(database)
        await gate.closed()
        order: list[str] = []

        async def note(tx: Tx, name: str) -> None:
            order.append(name)

        lanes = (Lane.BULK, Lane.ENGINE, Lane.API, Lane.RECEIPTS, Lane.BULK, Lane.API)
        writes = [
            asyncio.create_task(database.write(lambda tx, n=lane.name: note(tx, n), lane))  # type: ignore[misc]
            for lane in lanes
        ]
        await asyncio.sleep(0.01)
        await gate.open()
        await asyncio.gather(*writes)
        assert order == ["RECEIPTS", "API", "API", "ENGINE", "BULK", "BULK"]

    run(tmp_path, check)


def test_what_has_waited_long_enough_overtakes(tmp_path: Path) -> None:
    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        gate = Gate(database)
        await gate.closed()
        order: list[str] = []

        async def note(tx: Tx, name: str) -> None:
            order.append(name)

        old = asyncio.create_task(database.write(lambda tx: note(tx, "bulk"), Lane.BULK))
        await asyncio.sleep(0.01)
        clock.advance(AGE_S * 3 + 0.001)
        young = asyncio.create_task(database.write(lambda tx: note(tx, "receipts"), Lane.RECEIPTS))
        await asyncio.sleep(0.01)
        await gate.open()
        await asyncio.gather(old, young)
        assert order == ["bulk", "receipts"]

    run(tmp_path, check)


def test_the_writer_lets_go_after_its_time_is_up(tmp_path: Path) -> None:
    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        gate = Gate(database)
        await gate.closed()
        seen = commits(database)

        async def slow(tx: Tx, number: int) -> None:
            await put(tx, f"n{number}")
            clock.advance(0.015)

        writes = [asyncio.create_task(database.write(lambda tx, n=n: slow(tx, n))) for n in range(8)]  # type: ignore[misc]
        await asyncio.sleep(0.01)
        await gate.open()
        await asyncio.gather(*writes)
        assert 4 <= len(seen) <= 6

    run(tmp_path, check)


def test_hooks_run_after_the_commit_and_only_then(tmp_path: Path) -> None:
    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        ran: list[str] = []

        async def works(tx: Tx) -> None:
            tx.after_commit(lambda: ran.append("works"))

        async def fails(tx: Tx) -> None:
            tx.after_commit(lambda: ran.append("fails"))
            raise ValueError("bad data")

        answers = await asyncio.gather(*(database.write(each) for each in (works, fails)), return_exceptions=True)
        assert isinstance(answers[1], ValueError)
        assert ran == ["works"]

    run(tmp_path, check)


def test_whoever_stops_waiting_harms_nobody(tmp_path: Path) -> None:
    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        gate = Gate(database)
        await gate.closed()
        gone = asyncio.create_task(database.write(lambda tx: put(tx, "gone")))
        stays = asyncio.create_task(database.write(lambda tx: put(tx, "stays")))
        await asyncio.sleep(0.01)
        gone.cancel()
        await gate.open()
        await stays
        assert await get(database, "stays") == ""

    run(tmp_path, check)


# --- errors ------------------------------------------------------------------------------------------------


def test_a_closed_database_refuses_both(tmp_path: Path) -> None:
    async def main() -> None:
        database = await open_database(f"sqlite:///{tmp_path / 'c.db'}", ManualClock())
        await database.close()
        with pytest.raises(StoreUnavailable, match="closing"):
            await database.write(lambda tx: put(tx, "x"))
        with pytest.raises(StoreUnavailable, match="clos"):
            await database.read(lambda tx: tx.all("leases"))

    asyncio.run(main())


def test_what_is_queued_at_the_close_is_still_committed(tmp_path: Path) -> None:
    async def main() -> None:
        database = await open_database(f"sqlite:///{tmp_path / 'c.db'}", ManualClock())
        assert isinstance(database, SqliteDatabase)
        gate = Gate(database)
        await gate.closed()
        writes = [asyncio.create_task(database.write(lambda tx, n=n: put(tx, f"n{n}"))) for n in range(50)]  # type: ignore[misc]
        await asyncio.sleep(0.01)
        closing = asyncio.create_task(database.close())
        await asyncio.sleep(0.01)
        await gate.open()
        await asyncio.gather(*writes, closing)

    asyncio.run(main())
    connection = apsw.Connection(str(tmp_path / "c.db"))
    assert connection.execute("SELECT COUNT(*) FROM meta WHERE name LIKE 'n%'").get == 50
    connection.close()


def test_a_full_disk_is_said_and_heals(tmp_path: Path) -> None:
    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        pages = database._connection.execute("PRAGMA page_count").get
        database._connection.execute(f"PRAGMA max_page_count = {pages + 5}")
        with pytest.raises(StoreUnavailable, match=r"the disk that holds c\.db is full"):
            await database.write(lambda tx: put(tx, "big", "x" * 1_000_000))
        assert await get(database, "big") is None
        await database.write(lambda tx: put(tx, "small"))
        database._connection.execute("PRAGMA max_page_count = 1000000")
        await database.write(lambda tx: put(tx, "big", "x" * 1_000_000))
        assert await get(database, "big") is not None

    run(tmp_path, check)


def test_a_full_disk_fails_the_whole_group_for_certain(tmp_path: Path) -> None:
    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        pages = database._connection.execute("PRAGMA page_count").get
        database._connection.execute(f"PRAGMA max_page_count = {pages + 5}")
        gate = Gate(database)
        await gate.closed()
        names = ("a", "big", "b")
        writes = [
            asyncio.create_task(database.write(lambda tx, n=n: put(tx, n, "x" * (1_000_000 if n == "big" else 1))))  # type: ignore[misc]
            for n in names
        ]
        await asyncio.sleep(0.01)
        await gate.open()
        answers = await asyncio.gather(*writes, return_exceptions=True)
        for name, answer in zip(names, answers, strict=True):
            kept = await get(database, name)
            # Whoever was told "nothing was written" finds nothing, and whoever was not finds it.
            assert (kept is None) == isinstance(answer, StoreUnavailable), name
        assert isinstance(answers[1], StoreUnavailable)

    run(tmp_path, check)


def test_a_file_that_another_process_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cooee.store.sqlite.BUSY_S", 0.05)

    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        other = open_connection(tmp_path / "c.db")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match=r"c\.db is locked by another process"):
            await database.write(lambda tx: put(tx, "x"))
        other.execute("COMMIT")
        await database.write(lambda tx: put(tx, "x"))
        other.close()

    run(tmp_path, check)


def test_a_command_beside_the_server_waits_for_its_turn(tmp_path: Path) -> None:
    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        other = open_connection(tmp_path / "c.db")
        other.execute("BEGIN IMMEDIATE")
        write = asyncio.create_task(database.write(lambda tx: put(tx, "x")))
        await asyncio.sleep(0.05)
        assert not write.done()
        other.execute("COMMIT")
        await write
        other.close()

    run(tmp_path, check)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(StoreUnavailable, match="does its folder exist"):
            await open_database(f"sqlite:///{tmp_path / 'nowhere' / 'c.db'}", ManualClock())

    asyncio.run(main())


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "c.db").write_bytes(b"not a database at all, " * 100)

    async def main() -> None:
        with pytest.raises(StoreUnavailable, match="not a sound SQLite database"):
            await open_database(f"sqlite:///{tmp_path / 'c.db'}", ManualClock())

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (apsw.FullError(), "free some room"), (apsw.BusyError(), "locked by another process"),
        (apsw.LockedError(), "locked by another process"), (apsw.CantOpenError(), "does its folder exist"),
        (apsw.ReadOnlyError(), "check its owner and permissions"),
        (apsw.CorruptError(), "restore it from a backup"),
        (apsw.IOError("disk I/O error"), "disk I/O error"),
    ],
)  # fmt: skip
def test_every_error_is_one_sentence_for_a_person(error: Exception, words: str) -> None:
    text = explain(error, Path("/data/c.db"))
    assert words in text
    assert "c.db" in text
    assert "\n" not in text


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        with pytest.raises(StoreUnavailable, match="check its owner and permissions"):
            await database.read(lambda tx: put(tx, "x"))

    run(tmp_path, check)


def test_durable_by_its_pragmas(tmp_path: Path) -> None:
    async def check(database: SqliteDatabase, clock: ManualClock) -> None:
        def pragma(name: str) -> Any:
            return database._connection.execute(f"PRAGMA {name}").get

        assert (pragma("journal_mode"), pragma("synchronous"), pragma("foreign_keys")) == ("wal", 2, 1)
        assert pragma("mmap_size") in (0, None)

    run(tmp_path, check)


# --- killed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [40, 333])
def test_nothing_that_was_committed_is_lost_by_a_kill(tmp_path: Path, after: int) -> None:
    path = tmp_path / "c.db"
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.store.support_writer", str(path)],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    assert child.stdout is not None
    said: list[int] = []
    try:
        for line in child.stdout:
            said.append(int(line))
            if len(said) >= after:
                break
    finally:
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read()
        child.wait(10)
        child.stdout.close()
    said += [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    assert len(said) >= after

    async def main() -> None:
        database = await open_database(f"sqlite:///{path}", SystemClock())
        assert isinstance(database, SqliteDatabase)
        kept = {
            int(row[0])
            for row in await database.read(lambda tx: rows(tx, "SELECT value FROM meta WHERE name LIKE 'row %'"))
        }
        assert set(said) <= kept
        assert await database.read(lambda tx: rows(tx, "PRAGMA integrity_check")) == [("ok",)]
        await database.close()

    asyncio.run(main())


async def rows(tx: Any, sql: str) -> list[Any]:
    return list(tx.connection.execute(sql))
