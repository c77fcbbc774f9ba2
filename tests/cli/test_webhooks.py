"""Reply webhooks from the command line, on both engines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cooee.model.clock import SystemClock
from cooee.model.inbound import ReplyKind
from cooee.store import replies
from cooee.store.database import Tx
from cooee.store.open import open_database
from cooee.store.replies import NewReply
from tests.cli.support_cli import Shell
from tests.service.support_receiver import Answer, Hook, hook, plain

URL = "https://acme.example/hook?token=t0p-secret"


def inside(database: str, work: Any) -> Any:
    """Runs a store operation beside the commands."""

    async def main() -> Any:
        opened = await open_database(database, SystemClock(), pool=2)
        try:
            return await opened.write(work)
        finally:
            await opened.close()

    return asyncio.run(main())


def come_in(shell: Shell, account_id: int, *numbers: int) -> None:
    """Replies with these ids."""
    now = SystemClock().now_ms()
    new = [
        NewReply(
            account_id=account_id, id=number, received_at=now, carrier_id=1, originator="61400000001",
            handset=61400000001, recipient="61411", body="private words", kind=ReplyKind.REPLY, parts=1, missing=0,
            campaign_id=None, reference="",
        )
        for number in numbers
    ]  # fmt: skip
    inside(shell.database, lambda tx: replies.add(tx, new, now))


def park(shell: Shell) -> None:
    """Everything that waits was tried for a day."""

    async def write(tx: Tx) -> None:
        rows = await tx.all("delivery_log", account_id=1001, state=None, limit=100)
        results = [(1001, row[2], row[4], 3, 1, 1, 1_780_000_000_000, 500, "answered 500", "Oops") for row in rows]
        await tx.many("deliveries_failed", results)

    inside(shell.database, write)


@contextmanager
def receiver(answer: Answer) -> Iterator[Hook]:
    """A receiver on a thread of its own, for commands that block this one."""
    ready, over = threading.Event(), threading.Event()
    found: list[Hook] = []

    async def main() -> None:
        async with hook(answer) as made:
            found.append(made)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        over.set()
        thread.join()


def test_a_webhook_is_set_with_the_account_and_shown_without_its_secrets(shell: Shell) -> None:
    shell.account()
    assert "has no webhook" in shell("webhook", "show", "acme")
    assert shell.json("webhook", "show", "acme") == {"account": "acme", "on": False}
    said = shell("account", "set", "acme", "--reply-webhook", URL, "--webhook-username", "u", "--utc",
                 "--webhook-password-stdin", stdin="s3cret\n")  # fmt: skip
    assert said == "account acme changed; running servers follow within 5 s\n"
    page = shell("webhook", "show", "acme")
    assert "https://acme.example/hook?token=…" in page
    shown = shell.json("webhook", "show", "acme")
    assert (shown["on"], shown["url"], shown["username"], shown["has_password"]) == (
        True, "https://acme.example/hook?token=…", "u", True,
    )  # fmt: skip
    assert (shown["waiting"], shown["parked"], shown["failing_since"]) == (0, 0, None)
    for text in (page, str(shown)):
        assert "t0p" not in text
        assert "s3cret" not in text
    assert shell.json("account", "show", "acme")["times_utc"] is True


def test_what_is_not_named_stays(shell: Shell) -> None:
    shell.account()
    shell("account", "set", "acme", "--reply-webhook", URL, "--webhook-password-stdin", stdin="s3cret\n")
    shell("account", "set", "acme", "--webhook-username", "new")
    shown = shell.json("webhook", "show", "acme")
    assert (shown["username"], shown["has_password"], shown["url"][:25]) == (
        "new",
        True,
        "https://acme.example/hook",
    )
    shell("account", "set", "acme", "--reply-webhook", "https://other.example/")
    shown = shell.json("webhook", "show", "acme")
    assert (shown["url"], shown["username"], shown["has_password"]) == ("https://other.example/", "new", True)


def test_secrets_are_encrypted_at_rest(sqlite: Shell, tmp_path: Path) -> None:
    sqlite.account()
    sqlite("account", "set", "acme", "--reply-webhook", URL, "--webhook-password-stdin", stdin="s3cret\n")
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"t0p-secret" not in held
    assert b"s3cret" not in held


def test_taking_it_away_parks_what_waits(shell: Shell) -> None:
    shell.account()
    shell("account", "set", "acme", "--reply-webhook", URL)
    come_in(shell, 1001, 5, 6)
    assert shell.json("webhook", "show", "acme")["waiting"] == 2
    shell("account", "set", "acme", "--reply-webhook", "none")
    shown = shell.json("webhook", "show", "acme")
    assert (shown["on"], shown["url"], shown["has_password"], shown["parked"]) == (False, None, False, 2)
    assert "none" in shell("webhook", "show", "acme")
    (line, _) = shell.json("webhook", "parked", "acme")
    assert line["reason"] == "the webhook was taken away"
    assert "has no webhook: set one first" in shell("webhook", "replay", "acme", code=1)
    shell("account", "set", "acme", "--reply-webhook", "none")
    come_in(shell, 1001, 7)
    assert len(shell.json("webhook", "deliveries", "acme")) == 2


def test_the_log_the_parked_ones_and_their_replay(shell: Shell) -> None:
    shell.account()
    assert shell("webhook", "parked") == "Nothing is parked.\n"
    assert shell("webhook", "deliveries", "acme") == "Nothing was told yet.\n"
    shell("account", "set", "acme", "--reply-webhook", URL)
    come_in(shell, 1001, 5, 6, 7)
    assert [line["state"] for line in shell.json("webhook", "deliveries", "acme")] == ["waiting"] * 3
    park(shell)
    lines = shell.json("webhook", "parked")
    assert [(line["account"], line["reply_id"], line["status"]) for line in lines] == [
        ("acme", 5, 500), ("acme", 6, 500), ("acme", 7, 500),
    ]  # fmt: skip
    assert [line["reply_id"] for line in shell.json("webhook", "parked", "acme", "--limit", "2")] == [5, 6]
    newest = shell.json("webhook", "deliveries", "acme", "--state", "parked")
    assert [line["reply_id"] for line in newest] == [7, 6, 5]
    page = shell("webhook", "deliveries", "acme", "--state", "parked")
    assert "answered 500: Oops" in page
    assert "private words" not in page
    assert shell("webhook", "deliveries", "acme", "--state", "delivered") == "No such deliveries.\n"
    assert shell("webhook", "replay", "acme", "6") == "1 delivery is due again\n"
    assert shell("webhook", "replay", "acme") == "2 deliveries are due again\n"
    assert shell("webhook", "replay", "acme") == "nothing of account acme is parked\n"
    assert "no delivery 99" in shell("webhook", "replay", "acme", "99", code=1)
    newest = shell.json("webhook", "deliveries", "acme", "--limit", "2")
    assert [(line["reply_id"], line["state"], line["attempts"]) for line in newest] == [
        (7, "waiting", 0), (6, "waiting", 0),
    ]  # fmt: skip


def test_a_test_says_what_came_back(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.account()
    assert "has no webhook" in shell("webhook", "test", "acme", code=1)
    monkeypatch.setenv("COOEE_WEBHOOK_ALLOW_PRIVATE", "true")
    with receiver(plain(b"0\n")) as made:
        shell("account", "set", "acme", "--reply-webhook", made.url, "--webhook-username", "u",
              "--webhook-password-stdin", stdin="s3cret\n")  # fmt: skip
        said = shell("webhook", "test", "acme")
        assert said == f"127.0.0.1:{made.port} took the test reply: it answered 200 with 0\n"
        (call,) = made.calls
        assert (call.query["username"], call.query["password"]) == ("u", "s3cret")
        assert call.query["message_text"].startswith("This is a test of your reply webhook")
        made.answer = plain(b"<html>0</html>", "404 Not Found")
        said = shell("webhook", "test", "acme", code=1)
        assert said == (
            f"Error: 127.0.0.1:{made.port} did not take the test reply: answered 404: <html>0</html>\n"
        )
        monkeypatch.delenv("COOEE_WEBHOOK_ALLOW_PRIVATE")
        said = shell("webhook", "test", "acme", code=1)
        assert "refused: 127.0.0.1 is loopback" in said
        assert len(made.calls) == 2
    assert shell.json("webhook", "deliveries", "acme") == []


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "reason"),
    [
        (["--reply-webhook", "ftp://x/"], None, 1, "webhook URL refused"),
        (["--reply-webhook", "http://127.0.0.1/"], None, 1, "127.0.0.1 is loopback"),
        (["--reply-webhook", "https://u:p@acme.example/"], None, 1, "holds a login"),
        (["--reply-webhook", "none", "--webhook-username", "u"], None, 1, "no webhook needs no login"),
        (["--webhook-username", "u"], None, 1, "has no webhook: give its URL"),
        (["--webhook-password-stdin"], "pw\n", 1, "has no webhook: give its URL"),
        (["--reply-webhook-stdin", "--reply-webhook", URL], URL + "\n", 2, "give one of them"),
        (["--reply-webhook-stdin"], "", 2, "--reply-webhook-stdin: standard input holds no URL"),
        (["--reply-webhook-stdin"], "ftp://x/\n", 1, "Error: "),
        (["--reply-webhook-stdin", "--webhook-password-stdin"], URL + "\n", 2, "holds no password"),
        (["--reply-webhook", URL, "--webhook-password-stdin"], "", 2, "holds no password"),
    ],
)
def test_what_cannot_be(sqlite: Shell, arguments: list[str], stdin: str | None, code: int, reason: str) -> None:
    sqlite.account()
    assert reason in sqlite("account", "set", "acme", *arguments, stdin=stdin, code=code)
    assert sqlite.json("webhook", "show", "acme") == {"account": "acme", "on": False}


def test_a_url_that_holds_a_secret_comes_from_standard_input(sqlite: Shell) -> None:
    sqlite.account()
    sqlite("account", "set", "acme", "--reply-webhook-stdin", stdin=URL + "\n")
    shown = sqlite.json("webhook", "show", "acme")
    assert (shown["url"], shown["has_password"]) == ("https://acme.example/hook?token=…", False)
    lines = "https://other.example/\ns3cret\n"
    sqlite("account", "set", "acme", "--webhook-password-stdin", "--reply-webhook-stdin", stdin=lines)
    shown = sqlite.json("webhook", "show", "acme")
    assert (shown["url"], shown["has_password"]) == ("https://other.example/", True)
    sqlite("account", "set", "acme", "--reply-webhook-stdin", stdin="none\n")
    assert sqlite.json("webhook", "show", "acme")["on"] is False


def test_a_wrong_url_changes_nothing_else(sqlite: Shell) -> None:
    sqlite.account()
    sqlite("account", "set", "acme", "--utc", "--reply-webhook", "ftp://x/", code=1)
    assert sqlite.json("account", "show", "acme")["times_utc"] is False


def test_nobody_of_that_name(sqlite: Shell) -> None:
    for words in (["show", "nobody"], ["deliveries", "nobody"], ["parked", "nobody"], ["replay", "nobody"],
                  ["test", "nobody"]):  # fmt: skip
        assert "there is no account 'nobody'" in sqlite("webhook", *words, code=1)
    assert "there is no account 'nobody'" in sqlite("account", "set", "nobody", "--reply-webhook", URL, code=1)
