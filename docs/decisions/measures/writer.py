"""Decision 0002: two threads that share the interpreter. Run with `python FILE`.

One thread reads or changes 500 rows of an SQLite file, the other computes all the time, as an event loop under
load does. Prints the mean time of one statement, alone and beside the other thread, at Python's own switch
interval and at Cooee's.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep

import apsw
import msgspec

from cooee.app import SWITCH_S

ROWS = 500
TIMES = 300
PYTHONS_OWN = sys.getswitchinterval()


def mean(statement: Callable[[], object]) -> float:
    """Milliseconds a statement."""
    started = perf_counter()
    for _ in range(TIMES):
        statement()
        sleep(0)
    return (perf_counter() - started) / TIMES * 1000


def busy(stop: threading.Event) -> None:
    """Wants the interpreter all the time."""
    while not stop.is_set():
        sum(range(200))


def main(folder: str) -> None:
    """Makes the file, then measures."""
    connection = apsw.Connection(str(Path(folder) / "rows.db"))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b INTEGER, c TEXT)")
    with connection:
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", [(n, n * 7, "x" * 200) for n in range(ROWS)])

    def stepping() -> object:
        return connection.execute("SELECT a, b, c FROM t").fetchall()

    def folded() -> object:
        text = connection.execute("SELECT json_group_array(json_array(a, b, c)) FROM t").get
        return msgspec.json.decode(text)

    def changing() -> object:
        return connection.execute("UPDATE t SET b = b + 1 RETURNING a, b, c").fetchall()

    for interval in (PYTHONS_OWN, SWITCH_S):
        sys.setswitchinterval(interval)
        for statement in (stepping, folded, changing):
            alone = mean(statement)
            stop = threading.Event()
            other = threading.Thread(target=busy, args=(stop,))
            other.start()
            beside = mean(statement)
            stop.set()
            other.join()
            name = f"switch interval {interval * 1000:g} ms, {statement.__name__}:"
            sys.stdout.write(f"{name:41} {alone:5.2f} ms alone, {beside:5.2f} ms beside\n")
    connection.close()


with tempfile.TemporaryDirectory() as place:
    main(place)
