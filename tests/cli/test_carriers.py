"""Carriers from the command line, on both engines, and tried against a real SMSC."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cooee.model.carrier import CarrierState
from cooee.model.clock import SystemClock
from cooee.smpp.smsc import Smsc, SmscConfig
from cooee.store.carriers import all_carriers
from cooee.store.open import open_database
from cooee.store.secrets import Secrets, read_key
from tests.cli.support_cli import Shell

SETTINGS = ("--set", "host=127.0.0.1", "--set", "system_id=acme")


@contextmanager
def smsc(**config: object) -> Iterator[int]:
    """A simulated SMSC on a thread of its own; its port."""
    started = threading.Event()
    port = 0
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        nonlocal port
        server = Smsc(SmscConfig(**config), SystemClock())  # type: ignore[arg-type]
        await server.start()
        port = server.port
        started.set()
        await stop.wait()
        await server.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    assert started.wait(5)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)
        loop.close()


def test_the_life_of_a_carrier(shell: Shell) -> None:
    said = shell("carrier", "add", "telco", "--kind", "smpp", *SETTINGS, "--set", "tps=20", "--password-stdin",
                 stdin="s3cret\n")  # fmt: skip
    assert said == "carrier telco added; running engines follow within 5 s\n"
    shell("carrier", "set", "telco", "--set", "tps=", "--set", "window=50", "--set", "binds=2")
    assert shell("carrier", "pause", "telco").startswith("carrier telco paused")
    assert shell("carrier", "pause", "telco") == "carrier telco was paused already\n"
    assert shell.json("carrier", "list") == [
        {"id": 1, "name": "telco", "kind": "smpp", "state": "paused", "version": 3,
         "settings": {"host": "127.0.0.1", "system_id": "acme", "window": 50, "binds": 2}}
    ]  # fmt: skip
    assert shell("carrier", "resume", "telco").startswith("carrier telco resumed")
    assert shell("carrier", "resume", "telco") == "carrier telco was not paused\n"
    page = shell("carrier", "list")
    assert "127.0.0.1:2775" in page
    assert "s3cret" not in page

    shell("carrier", "remove", "telco")
    assert shell("carrier", "list").startswith("No carriers yet")
    shell("carrier", "add", "telco", "--kind", "smpp", *SETTINGS)
    assert [row["id"] for row in shell.json("carrier", "list")] == [2]


def test_passwords_are_stored_sealed_and_forgotten_with_the_carrier(shell: Shell) -> None:
    shell("carrier", "add", "telco", "--kind", "smpp", *SETTINGS, "--password-stdin", stdin="s3cret\n")

    async def rows(secrets: Secrets | None) -> list[tuple[str, CarrierState, str | None, str]]:
        database = await open_database(shell.database, SystemClock(), pool=2)
        try:
            stored = {row[0]: row[5] for row in await database.read(lambda tx: tx.all("all_carriers"))}
            carriers = await database.read(lambda tx: all_carriers(tx, secrets))
            return [(row.name, row.state, row.secret, stored[row.id]) for row in carriers]
        finally:
            await database.close()

    secrets = read_key(shell.folder / "test.key")
    ((name, state, secret, stored),) = asyncio.run(rows(secrets))
    assert (name, state, secret) == ("telco", CarrierState.ACTIVE, "s3cret")
    assert "s3cret" not in stored
    shell("carrier", "set", "telco", "--set", "tps=5")
    assert asyncio.run(rows(secrets))[0][2] == "s3cret"
    shell("carrier", "set", "telco", "--password-stdin", stdin="n3w\n")
    assert asyncio.run(rows(secrets))[0][2] == "n3w"
    shell("carrier", "remove", "telco")
    assert asyncio.run(rows(secrets)) == [("telco (removed 1)", CarrierState.REMOVED, None, "")]


def test_what_cannot_be_is_one_line_and_exit_code_1(sqlite: Shell) -> None:
    add = ("carrier", "add", "telco", "--kind", "smpp")
    assert "needs system_id" in sqlite(*add, "--set", "host=h", code=1)
    assert "did you mean window?" in sqlite(*add, *SETTINGS, "--set", "windw=1", code=1)
    assert "is no carrier name" in sqlite("carrier", "add", "a b", "--kind", "smpp", *SETTINGS, code=1)
    assert "at most 64" in sqlite(*add, *SETTINGS, "--password-stdin", stdin="x" * 65, code=1)
    assert "there is none yet" in sqlite("carrier", "remove", "telco", code=1)
    sqlite(*add, *SETTINGS)
    assert "a carrier 'telco' already" in sqlite(*add, *SETTINGS, code=1)
    assert "did you mean telco?" in sqlite("carrier", "set", "telko", "--set", "tps=1", code=1)
    assert "known are telco" in sqlite("carrier", "pause", "zzz", code=1)
    assert "needs host" in sqlite("carrier", "set", "telco", "--set", "host=", code=1)


def test_wrong_calls_exit_2(sqlite: Shell) -> None:
    assert "not of the form name=value" in sqlite(
        "carrier", "add", "telco", "--kind", "smpp", "--set", "host", code=2
    )
    assert "'pigeon' is not 'smpp'" in sqlite("carrier", "add", "telco", "--kind", "pigeon", code=2)
    assert "at least one setting" in sqlite("carrier", "set", "telco", code=2)


def test_a_carrier_is_tried_with_its_own_password(sqlite: Shell) -> None:
    with smsc(credentials=(("acme", "s3cret"),)) as port:
        settings = (*SETTINGS, "--set", f"port={port}")
        sqlite("carrier", "add", "right", "--kind", "smpp", *settings, "--password-stdin", stdin="s3cret\n")
        sqlite("carrier", "add", "wrong", "--kind", "smpp", *settings, "--password-stdin", stdin="guess\n")
        assert sqlite("carrier", "check", "right") == (
            f"OK  carrier right: 127.0.0.1:{port}: bound to 'cooee-smsc'\n"
        )
        said = sqlite("carrier", "check", "wrong", code=1)
        assert said.startswith(f"FAILED  carrier wrong: 127.0.0.1:{port}: ")
        assert "ESME_RINVPASWD" in said
    found = sqlite.json("carrier", "check", "right", code=1)
    assert found["ok"] is False
    assert "cannot connect" in found["reason"]
