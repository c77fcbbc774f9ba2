"""Numbers, keywords and replies on the command line."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from cooee.model.clock import SystemClock
from cooee.smpp.pdu import DeliverSm, encode
from cooee.smpp.smsc import Smsc, SmscConfig
from cooee.store import inbound
from cooee.store.database import Tx
from cooee.store.open import open_database
from cooee.store.parts import Whole
from tests.cli.support_cli import Shell

NUMBER, HANDSET = "61400190499", "61400000001"


def store(shell: Shell, operation: Callable[[Tx], Awaitable[object]]) -> None:
    """Writes into the shell's database."""

    async def main() -> None:
        database = await open_database(shell.database, SystemClock(), pool=2)
        try:
            await database.write(operation)
        finally:
            await database.close()

    asyncio.run(main())


def write(shell: Shell, *texts: str, source: str = HANDSET, to: str = NUMBER) -> None:
    """A handset writes."""
    now = SystemClock().now_ms()
    wholes = [Whole(source, 1, to, text, now + at) for at, text in enumerate(texts)]
    store(shell, lambda tx: inbound.deliver(tx, 1, wholes, now))


def test_numbers(shell: Shell) -> None:
    shell.account()
    shell.account("bravo", "--country", "DE")
    assert shell("number", "list") == "No numbers yet: add one with cooee number add.\n"
    added = shell("number", "add", "+" + NUMBER, "--account", "acme", "--kind", "dedicated")
    assert added == f"number {NUMBER} added, dedicated\n"
    assert "added, optout" in shell("number", "add", "0400 190 500", "--account", "acme", "--kind", "optout")
    shell("number", "add", "1999", "--account", "acme", "--kind", "shared")
    shell("number", "add", "1999", "--account", "bravo", "--kind", "shared")
    shell("number", "add", "2000", "--kind", "shared")
    assert [(row["number"], row["kind"], row["account"]) for row in shell.json("number", "list")] == [
        ("1999", "shared", "acme"), ("1999", "shared", "bravo"), ("2000", "shared", None),
        (NUMBER, "dedicated", "acme"), ("61400190500", "optout", "acme"),
    ]  # fmt: skip
    assert "every one" in shell("number", "list")
    for refused, why in (
        (("add", NUMBER, "--account", "bravo", "--kind", "dedicated"), "is dedicated already"),
        (("add", "1999", "--account", "acme", "--kind", "optout"), "is shared already"),
        (("add", "1999", "--account", "acme", "--kind", "shared"), "is there already"),
        (("add", "2001", "--kind", "optout"), "is one account's"),
        (("add", "COOEE", "--account", "acme", "--kind", "shared"), "no number that handsets can write to"),
        (("add", "2001", "--account", "nobody", "--kind", "shared"), "there is no account 'nobody'"),
        (("add", "2001", "--account", "acme", "--kind", "shared", "--carrier", "x"), "there is no carrier 'x'"),
        (("remove", "2001"), "is not there like this"),
    ):
        assert why in shell("number", *refused, code=1)
    shell("number", "remove", "1999", "--account", "acme")
    shell("number", "remove", NUMBER)
    assert [row["number"] for row in shell.json("number", "list")] == ["1999", "2000", "61400190500"]


def test_unrouted_replies_are_shown_and_assigned(shell: Shell) -> None:
    shell.account()
    shell("migrate")
    write(shell, "hello", "STOP", "x" * 100)
    write(shell, "other", to="1999")
    rows = shell.json("reply", "unrouted")
    assert sorted((row["to"], row["text"][:5]) for row in rows) == [
        ("1999", "other"), (NUMBER, "STOP"), (NUMBER, "hello"), (NUMBER, "xxxxx"),
    ]  # fmt: skip
    assert "…" in shell("reply", "unrouted", "--number", "+" + NUMBER)
    (first,) = (row["id"] for row in rows if row["text"] == "hello")
    said = shell("reply", "assign", str(first), "999", "998", "--account", "acme", code=1)
    assert said.startswith("Error: 998, 999 are no unrouted replies: cooee reply unrouted shows")
    assert shell("reply", "assign", str(first), "--account", "acme") == "1 reply assigned to acme\n"
    assert f"{first} is no unrouted reply" in shell("reply", "assign", str(first), "--account", "acme", code=1)
    assert [row["id"] for row in shell.json("reply", "list", "acme")] == [first]
    said = shell("number", "add", NUMBER, "--account", "acme", "--kind", "dedicated", "--assign-past")
    assert said == f"number {NUMBER} added, dedicated; 2 replies assigned\n"
    assert {row["kind"] for row in shell.json("reply", "list", "acme")} == {"reply", "stop"}
    assert [row["number"] for row in shell.json("optout", "list", "--account", "acme")] == [HANDSET]
    assert shell("reply", "assign", "--number", "1999", "--account", "acme") == "1 reply assigned to acme\n"
    assert "nothing to 1999 is unrouted" in shell(
        "reply", "assign", "--number", "1999", "--account", "acme", code=1
    )
    assert shell("reply", "unrouted") == "Every reply has found its account.\n"
    assert "name replies by their ids" in shell("reply", "assign", "--account", "acme", code=2)
    assert HANDSET in shell("reply", "list", "acme")
    assert shell.json("reply", "list", "acme", "--limit", "1")[0]["retrieved_at"] is None


def test_unrouted_replies_are_deleted(shell: Shell) -> None:
    shell.account()
    shell("migrate")
    write(shell, "hello", "there", "more")
    write(shell, "other", "another", to="1999")
    ids = {row["text"]: str(row["id"]) for row in shell.json("reply", "unrouted")}
    asked = shell("reply", "delete", ids["hello"], stdin="n\n")
    assert "Throw this reply away for good? [y/N]" in asked
    assert asked.endswith("nothing was deleted\n")
    assert len(shell.json("reply", "unrouted")) == 5
    said = shell("reply", "delete", ids["hello"], ids["there"], "999", stdin="y\n")
    assert "Throw these 2 replies away for good?" in said
    assert said.endswith("2 unrouted replies deleted\n")
    assert shell("reply", "delete", ids["more"], "--yes") == "1 unrouted reply deleted\n"
    assert shell("reply", "delete", ids["more"]) == "0 unrouted replies deleted\n"
    assert shell("reply", "delete", "--number", "+1999", "--yes") == "2 unrouted replies deleted\n"
    assert shell("reply", "unrouted") == "Every reply has found its account.\n"
    for wrong in ((), ("17", "--number", "1999")):
        assert "name replies by their ids" in shell("reply", "delete", *wrong, code=2)


def test_what_is_an_accounts_cannot_be_deleted(shell: Shell) -> None:
    shell.account()
    shell("migrate")
    write(shell, "hello")
    (row,) = shell.json("reply", "unrouted")
    shell("reply", "assign", str(row["id"]), "--account", "acme")
    shell("reply", "delete", str(row["id"]), "--yes")
    assert [each["id"] for each in shell.json("reply", "list", "acme")] == [row["id"]]


def test_keywords(shell: Shell) -> None:
    shell.account()
    words = {row["word"]: row["kind"] for row in shell.json("keyword", "list")}
    assert (words["stop"], words["start"], words["arrêt"]) == ("stop", "start", "stop")
    assert shell("keyword", "add", " No  More! ") == "'no more' opts a handset out from now on\n"
    shell("keyword", "add", "weiter", "--start")
    assert shell("keyword", "remove", "END") == "'end' is no keyword any more\n"
    assert "'end' is no keyword" in shell("keyword", "remove", "end", code=1)
    assert "can be no keyword" in shell("keyword", "add", "…!" * 99, code=1)
    assert "can be no keyword" in shell("keyword", "add", " . ", code=1)
    words = {row["word"]: row["kind"] for row in shell.json("keyword", "list")}
    assert (words["no more"], words["weiter"], words.get("end")) == ("stop", "start", None)
    assert "weiter" in shell("keyword", "list")
    assert shell.json("keyword", "account", "acme") == {
        "account": "acme", "keywords": True, "stop_answer": None, "start_answer": None,
    }  # fmt: skip
    shell("keyword", "account", "acme", "--off", "--stop-answer", "Bye", "--start-answer", "Hello")
    assert "Bye" in shell("keyword", "account", "acme", "--start-answer", "")
    assert shell.json("keyword", "account", "acme") == {
        "account": "acme", "keywords": False, "stop_answer": "Bye", "start_answer": None,
    }  # fmt: skip
    assert "at most 2000" in shell("keyword", "account", "acme", "--stop-answer", "x" * 2001, code=1)
    shell("account", "set", "acme", "--no-long", "--no-unicode")
    assert "takes 2 segments" in shell("keyword", "account", "acme", "--stop-answer", "x" * 161, code=1)
    assert "needs Unicode" in shell("keyword", "account", "acme", "--stop-answer", "пока", code=1)
    assert "needs Unicode" in shell("keyword", "account", "acme", "--stop-answer", "That’s it", code=1)
    shell("account", "set", "acme", "--smart-encoding")
    shell("keyword", "account", "acme", "--stop-answer", "That’s it")
    for nothing in (" ", "\u200b\ufeff"):
        assert "something to read" in shell("keyword", "account", "acme", "--stop-answer", nothing, code=1)
    assert "no account 'nobody'" in shell("keyword", "account", "nobody", code=1)


def test_quarantined_replies_are_recovered(shell: Shell) -> None:
    shell.account()
    shell("number", "add", NUMBER, "--account", "acme", "--kind", "dedicated")
    pdus = [
        DeliverSm(
            1, source_addr_ton=1, source_addr=HANDSET, destination_addr=NUMBER, esm_class=0x40,
            short_message=b"\x05\x00\x03\x01\x02" + text,
        )
        for text in (b"\x02world", b"\x01hello ")
    ]  # fmt: skip
    bodies = [*(encode(pdu) for pdu in pdus), b"nonsense"]

    async def keep(tx: Tx) -> None:
        for body in bodies:
            await tx.run("quarantine", at=1, carrier_id=1, kind="reply", body=body, reason="not yet")

    store(shell, keep)
    assert shell("reply", "recover") == "2 messages recovered, 1 cannot be read\n"
    assert [row["text"] for row in shell.json("reply", "list", "acme")] == ["hello world"]
    assert shell("reply", "recover") == "0 messages recovered, 1 cannot be read\n"


@contextmanager
def phones() -> Iterator[Smsc]:
    """A simulated SMSC with a control port, on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    smsc = Smsc(SmscConfig(control_port=0), SystemClock())
    asyncio.run_coroutine_threadsafe(smsc.start(), loop).result(10)
    try:
        yield smsc
    finally:
        asyncio.run_coroutine_threadsafe(smsc.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_handsets(sqlite: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with phones() as smsc:
        port = ("--control-port", str(smsc.control_port))
        ask = ("handset", "reply", "--from", HANDSET, "--to", NUMBER)
        assert sqlite(*ask, "--text", "Yes", *port) == "sent\n"
        assert sqlite(*ask, "--text", "y" * 200, "--system-id", "cooee", *port) == "sent in 2 parts\n"
        assert smsc.stats()["mo_pending"] == 3
        refused = sqlite("handset", "reply", "--from", "é", "--to", "1", "--text", "x", *port, code=1)
        assert "20 printable ASCII" in refused
        assert sqlite("handset", "inbox", HANDSET, *port).startswith(f"Handset {HANDSET} has received nothing")
        assert sqlite.json("handset", "inbox", HANDSET, *port) == []
        # A shell whose server has its control port from the environment, or from the file of the server.
        monkeypatch.setenv("COOEE_SIMULATE_CONTROL_PORT", port[1])
        assert sqlite(*ask, "--text", "Yes") == "sent\n"
        assert sqlite.json("handset", "inbox", HANDSET) == []
        monkeypatch.setenv("COOEE_SIMULATE_CONTROL_PORT", "1")
        assert sqlite.json("handset", "inbox", HANDSET, *port) == []
        assert "control port 1 " in sqlite("handset", "inbox", HANDSET, code=1)
        monkeypatch.delenv("COOEE_SIMULATE_CONTROL_PORT")
        (sqlite.folder / "cooee.toml").write_text(f"simulate_control_port = {port[1]}\n")
        assert sqlite.json("handset", "inbox", HANDSET, "--config", str(sqlite.folder / "cooee.toml")) == []
    assert "no simulated SMSC answers" in sqlite("handset", "inbox", HANDSET, *port, code=1)
