"""Campaigns, messages and what is uncertain, from the command line, on both engines."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import pytest

from cooee.model.campaign import CampaignState
from cooee.model.clock import DAY, SystemClock
from cooee.model.message import FLAG_UNCERTAIN, MessageState
from cooee.smpp.codes import Tag
from cooee.smpp.pdu import DeliverSm, encode
from cooee.store import receiptlog
from cooee.store.database import Row, Tx
from cooee.store.open import open_database
from cooee.store.receipts import DELIVERED, Incoming
from tests.cli.support_cli import Shell

A, B, C, D = 61400123456, 61400123457, 61400123458, 61400123459


def send(shell: Shell, *more: str) -> int:
    """Sends to four numbers; the campaign's id."""
    numbers = ("--to", f"{A},0400 123 457", "--to", f"+{C}", "--to", str(D))
    answer = shell.json("send", "--account", "acme", "--from", "Acme", *numbers, "--text", "Hello", *more)
    assert answer["Code"] == 0
    return int(answer["CampaignId"])


UNTOUCHED = (MessageState.UNCERTAIN, MessageState.WASHED)
"""Of these no part was accepted."""


def record(
    shell: Shell,
    campaign: int,
    rows: Sequence[tuple[int, MessageState, int, int | None]],
    at: int = 1_780_000_000_000,
) -> None:
    """Writes outcomes as an engine would: (number, state, flags, uncertain_until); first tried at `at`, UTC ms."""

    async def main() -> None:
        database = await open_database(shell.database, SystemClock(), pool=2)

        async def work(tx: Tx) -> None:
            table: list[Row] = [
                (1001, campaign, number, int(state), 1, 2, 0 if state in UNTOUCHED else 3, flags, 1,
                 at, until, 0, None)
                for number, state, flags, until in rows
            ]  # fmt: skip
            await tx.many("record", table, carrier_id=1, now=at + 60_000)

        try:
            await database.write(work)
        finally:
            await database.close()

    asyncio.run(main())


@pytest.fixture
def campaign(shell: Shell) -> int:
    """A campaign of four, one carrier."""
    shell.account()
    shell("carrier", "add", "telco", "--kind", "smpp", "--set", "host=h", "--set", "system_id=x")
    return send(shell)


def test_a_message_is_sent_as_the_api_would_and_can_be_found(shell: Shell, campaign: int) -> None:
    assert shell.json("account", "show", "acme")["credits"] == 996
    (listed,) = shell.json("campaign", "list")
    shown = shell.json("campaign", "show", str(campaign))
    assert shown == {**listed, "recipients": shown["recipients"], "failures": []}
    assert (listed["account"], listed["state"], listed["messages"], listed["credits"]) == ("acme", "Running", 4, 4)
    assert shown["recipients"]["waiting"] == 4
    page = shell("campaign", "show", str(campaign))
    assert re.search(r"^Created +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d Australia/Sydney$", page, re.M)
    assert re.search(r"^Waiting +4$", page, re.M)
    said = shell("message", "show", str(campaign), "0400123456")
    assert re.search(r"^State +waiting: its turn has not come yet$", said, re.M)
    assert re.search(r"^Carrier +telco$", said, re.M)
    assert shell("campaign", "list", "--account", "acme").count(str(campaign)) == 1


def test_receipts_are_shown_as_the_carrier_wrote_them(
    shell: Shell, campaign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Receipts of a time so long ago are kept only where nobody removed them yet.
    at = SystemClock().now_ms() - 60 * DAY
    record(shell, campaign, [(number, MessageState.HANDED_OVER, 0, None) for number in (A, B)], at)
    text = b"id:x%d stat:DELIVRD err:000 text:\x1b[31mHi"
    tlvs = ((int(Tag.MESSAGE_STATE), b"\x02"), (0x1403, b"\x01\xff"))

    async def main() -> None:
        database = await open_database(shell.database, SystemClock(), pool=2)

        async def work(tx: Tx) -> None:
            for part in (0, 1):
                pdu = DeliverSm(1, source_addr=str(A), destination_addr="Acme", esm_class=4,
                    short_message=text % part, tlvs=tlvs)  # fmt: skip
                ref = (f"x{part}", at, 1001, campaign, A, part, 1)
                came = Incoming(f"x{part}", A, "Acme", DELIVERED, "", 0, 5, encode(pdu)[16:])
                await receiptlog.keep(tx, 1, [(ref, came)], at + 30_000 + part)

        try:
            await database.write(work)
        finally:
            await database.close()

    asyncio.run(main())
    page = shell("message", "show", str(campaign), str(A))
    said = page[page.index("Receipt ") :]
    assert re.search(r"^Receipt .*, telco, attempt 1, part 1: delivered$", said, re.M)
    assert re.search(rf"^  deliver_sm from {A} to Acme, esm_class 0x04 \(receipt\)$", said, re.M)
    assert (
        "\n  id:x1 stat:DELIVRD err:000 text:\\x1b[31mHi\n  message_state: 2 (delivered)\n  0x1403: 01 ff\n"
        in said
    )
    assert "some may be gone" in said
    assert "No receipt was found." in shell("message", "show", str(campaign), str(B))
    shown = shell.json("message", "show", str(campaign), str(A))
    assert [(one["part"], one["state"], one["message_id"]) for one in shown["receipts"]] == [
        (1, "delivered", "x0"),
        (2, "delivered", "x1"),
    ]
    assert shown["receipts"][0]["tlvs"][1] == {"name": "0x1403", "value": "01 ff"}
    assert shown["receipts_complete"] is False
    monkeypatch.setenv("COOEE_KEEP_RECEIPTS_DAYS", "0")
    assert "Receipts are not kept as they come" in shell("message", "show", str(campaign), str(A))
    assert shell.json("message", "show", str(campaign), str(A))["receipts"] is None


def test_refusals_are_the_apis_own(shell: Shell) -> None:
    shell.account("acme", "--no-unicode", "--no-long")
    base = ("send", "--account", "acme", "--from", "Acme", "--to", str(A), "--text")
    assert "Account does not allow unicode messages" in shell(*base, "Привет", code=1)
    assert "Account does not allow messages longer than one SMS" in shell(*base, "x" * 161, code=1)
    assert "Campaign message text not specified" in shell(*base, " ", code=1)
    assert "TimeScheduled is not valid" in shell(*base, "x", "--at", "tomorrow", code=1)
    assert "No valid destination" in shell(
        "send", "--account", "acme", "--from", "Acme", "--to", "12", "--text", "x", code=1
    )
    assert "there is no account 'other'" in shell(
        "send", "--account", "other", "--from", "A", "--to", "1", "--text", "x", code=1
    )
    assert "at least one number" in shell("send", "--account", "acme", "--from", "A", "--text", "x", code=2)
    shell("account", "suspend", "acme")
    assert "Account is suspended" in shell(*base, "x", code=1)
    assert shell("campaign", "list") == "No campaigns yet.\n"
    assert shell.json("account", "show", "acme")["credits"] == 1000


def test_numbers_come_from_a_file_too(sqlite: Shell) -> None:
    sqlite.account()
    path = sqlite.folder / "numbers.txt"
    path.write_text(f"{A}\n\n0400 123 457\n", encoding="utf-8")
    said = sqlite("send", "--account", "acme", "--from", "Acme", "--to-file", str(path), "--text", "x")
    assert re.search(r"^Messages +2$", said, re.M)
    path.write_bytes(b"\xff\xfe")
    assert "is no UTF-8 text" in sqlite(
        "send", "--account", "acme", "--from", "Acme", "--to-file", str(path), "--text", "x", code=2
    )


def test_a_campaign_is_paused_let_go_and_deleted(shell: Shell, campaign: int) -> None:
    number = str(campaign)
    assert "it is running" in shell("campaign", "delete", number, code=1)
    assert shell("campaign", "pause", number) == f"campaign {number} paused\n"
    assert shell.json("campaign", "show", number)["state"] == "Paused"
    shell("campaign", "unpause", number)
    assert "it is running" in shell("campaign", "unpause", number, code=1)
    shell("campaign", "pause", number)
    shell("campaign", "delete", number)
    shown = shell.json("campaign", "show", number)
    assert (shown["state"], shown["recipients"]["cancelled"], shown["recipients"]["waiting"]) == ("Deleted", 4, 0)
    assert shell.json("account", "show", "acme")["credits"] == 1000
    assert shell.json("message", "show", number, str(A))["state"] == "cancelled"
    for action in ("show", "pause", "unpause", "delete"):
        assert shell("campaign", action, "77", code=1) == "Error: Campaign not found\n"


def test_pause_all_stops_what_runs_and_what_is_scheduled(shell: Shell, campaign: int) -> None:
    scheduled = send(shell, "--at", "209901010900")
    other = send(shell)
    shell("campaign", "pause", str(other))
    shell("campaign", "delete", str(other))
    assert "--all" in shell("pause", code=2)
    assert shell("pause", "--all").startswith("2 campaigns paused")
    states = {row["id"]: row["state"] for row in shell.json("campaign", "list")}
    assert states == {campaign: "Paused", scheduled: "Paused", other: "Deleted"}
    assert shell("pause", "--all").startswith("0 campaigns paused")


def test_what_became_of_a_message(shell: Shell, campaign: int) -> None:
    until = 1_780_000_120_000
    record(
        shell,
        campaign,
        [
            (A, MessageState.HANDED_OVER, 0, None),
            (B, MessageState.UNCERTAIN, FLAG_UNCERTAIN, until),
            (C, MessageState.WASHED, 0, None),
        ],
    )
    found = shell.json("message", "show", str(campaign), str(A))
    assert (found["state"], found["destination"], found["first_at"]) == (
        "handed_over",
        str(A),
        "2026-05-28T20:26:40Z",
    )
    assert found["attempts"] == [
        {"attempt": 1, "carrier": "telco", "parts": 2, "accepted": [1, 2], "delivered": [], "failed": [],
         "at": "2026-05-28T20:27:40Z"}
    ]  # fmt: skip
    page = shell("message", "show", str(campaign), str(B))
    assert re.search(r"^State +uncertain: given to the carrier's connection", page, re.M)
    assert re.search(r"^Noted +was uncertain$", page, re.M)
    assert re.search(r"^Decided by +2026-05-29 06:28:40 Australia/Sydney$", page, re.M)
    assert re.search(r"^ +1  telco +0 of 2 +0 of 2 +0 of 2 +2026-05-29 06:27:40 Australia/Sydney$", page, re.M)
    assert "opted out" in (page := shell("message", "show", str(campaign), str(C)))
    assert "never handed to a carrier" in page
    assert shell.json("message", "show", str(campaign), str(C))["attempts"] == []
    assert shell("message", "show", str(campaign), "0400999999", code=1) == (
        f"Error: campaign {campaign} has no recipient 61400999999\n"
    )
    assert "is no mobile number" in shell("message", "show", str(campaign), "abc", code=2)
    assert "Campaign not found" in shell("message", "show", "77", str(A), code=1)


def test_a_person_settles_what_is_uncertain(shell: Shell, campaign: int) -> None:
    other = send(shell)
    held = [(number, MessageState.UNCERTAIN, FLAG_UNCERTAIN, None) for number in (A, B, C)]
    assert shell("uncertain", "list") == "Nothing is uncertain.\n"
    record(shell, campaign, held)
    record(shell, other, held[:1])

    page = shell("uncertain", "list", "--campaign", str(campaign))
    assert page.count("held for you") == 3
    assert len(shell.json("uncertain", "list", "--limit", "2")) == 2
    assert shell("uncertain", "fail", "--campaign", str(campaign), "--number", str(A)).startswith("1 message ")
    for action in ("fail", "resend"):
        said = shell("uncertain", action, "--campaign", str(campaign), "--number", str(A), code=1)
        assert f"{A} is not uncertain in campaign {campaign}" in said
        assert "there is no campaign 99" in shell("uncertain", action, "--campaign", "99", code=1)
    assert "there is no campaign 99" in shell("uncertain", "list", "--campaign", "99", code=1)
    assert shell("uncertain", "resend", "--campaign", str(campaign)).startswith("2 messages are sent again")
    listed = shell.json("uncertain", "list")
    assert [(row["campaign_id"], row["destination"], row["held"]) for row in listed] == [
        (campaign, str(B), False),
        (campaign, str(C), False),
        (other, str(A), True),
    ]
    assert shell("uncertain", "fail", "--all").startswith("3 messages counted as failed")
    assert shell("uncertain", "list") == "Nothing is uncertain.\n"
    found = shell.json("message", "show", str(campaign), str(A))
    assert (found["state"], found["code"], found["was_uncertain"]) == ("failed", 998, True)
    assert shell.json("account", "show", "acme")["credits"] == 992


def test_the_choice_of_what_to_settle_is_made_clearly(sqlite: Shell) -> None:
    for action in ("resend", "fail"):
        assert "say which" in sqlite("uncertain", action, code=2)
        assert "say which" in sqlite("uncertain", action, "--all", "--campaign", "1", code=2)
        assert "goes with --campaign" in sqlite("uncertain", action, "--all", "--number", str(A), code=2)
        assert "is no mobile number" in sqlite("uncertain", action, "--campaign", "1", "--number", "x", code=2)


def test_every_state_has_its_words() -> None:
    from cooee.cli.message import _STORIES
    from cooee.model.campaign import STATUS_WORD

    assert set(_STORIES) == set(MessageState)
    assert set(STATUS_WORD) == set(CampaignState) - {CampaignState.ACCEPTING}
