"""Codes of messages as a person sees them: names beside numbers, with an operator's own."""

from __future__ import annotations

import asyncio
import re

import pytest

from cooee.model.clock import SystemClock
from cooee.model.message import MessageState
from cooee.store.database import Row, Tx
from cooee.store.open import open_database
from cooee.web.messagecodes import OWN_CODES
from tests.cli.support_cli import Shell
from tests.cli.test_campaigns import A, B, C, D, send

FAILED = MessageState.FAILED


def failed(shell: Shell, campaign: int, outcomes: list[tuple[int, int, int, str]]) -> None:
    """Writes messages that failed: (number, mask of failed parts, code, what the carrier said)."""

    async def main() -> None:
        database = await open_database(shell.database, SystemClock(), pool=2)

        async def work(tx: Tx) -> None:
            rows: list[Row] = [
                (1001, campaign, number, int(FAILED if not mask else MessageState.HANDED_OVER), 1, 1, mask, 0, 1,
                 1_780_000_000_000, None, 0 if mask else code, detail)
                for number, mask, code, detail in outcomes
            ]  # fmt: skip
            await tx.many("record", rows, carrier_id=1, now=1_780_000_060_000)
            receipts: list[Row] = [
                (1001, campaign, number, 1, 0, 1, code, detail) for number, mask, code, detail in outcomes if mask
            ]
            await tx.many("apply_receipts", receipts, now=1_780_000_090_000)

        try:
            await database.write(work)
        finally:
            await database.close()

    asyncio.run(main())


@pytest.fixture
def campaign(shell: Shell) -> int:
    """A campaign whose four messages failed: two by receipts, one refused at once, one given up."""
    shell.account()
    shell("carrier", "add", "telco", "--kind", "smpp", "--set", "host=h", "--set", "system_id=x")
    number = send(shell)
    outcomes = [
        (A, 1, 11, "UNDELIV 011"),
        (B, 0, 11, "the carrier refuses the destination"),
        (C, 1, 11, "UNDELIV 011"),
        (D, 0, 998, "the carrier has a temporary fault"),
    ]
    failed(shell, number, outcomes)
    return number


def test_a_message_shows_the_name_of_its_code(shell: Shell, campaign: int) -> None:
    for number, words in (
        (A, "11: Subscriber has no SMS (permanent)"),
        (B, "11: Destination refused (permanent)"),
        (D, "998: Given up: not taken in time, or its fate is not known (temporary)"),
    ):
        page = shell("message", "show", str(campaign), str(number))
        assert re.search(rf"^Code +{re.escape(words)}$", page, re.M), page
    found = shell.json("message", "show", str(campaign), str(B))
    assert (found["code"], found["code_name"], found["code_permanent"]) == (11, "Destination refused", True)


def test_a_code_without_a_name_is_a_number(shell: Shell, campaign: int) -> None:
    other = send(shell)
    failed(shell, other, [(A, 1, 4711, "UNDELIV 4711"), (B, 1, 0, "")])
    assert re.search(r"^Code +4711$", shell("message", "show", str(other), str(A)), re.M)
    found = shell.json("message", "show", str(other), str(A))
    assert (found["code"], found["code_name"], found["code_permanent"]) == (4711, None, None)


def test_a_campaign_shows_why_messages_failed(shell: Shell, campaign: int) -> None:
    shown = shell.json("campaign", "show", str(campaign))
    assert shown["recipients"]["failed"] == 4
    assert shown["failures"] == [
        {"code": 11, "name": "Subscriber has no SMS", "permanent": True, "source": "receipt", "count": 2},
        {"code": 11, "name": "Destination refused", "permanent": True, "source": "submit", "count": 1},
        {
            "code": 998,
            "name": "Given up: not taken in time, or its fate is not known",
            "permanent": False,
            "source": "cooee",
            "count": 1,
        },
    ]
    page = shell("campaign", "show", str(campaign))
    assert re.search(r"^11: Subscriber has no SMS \(permanent\) +a receipt +2$", page, re.M)
    assert re.search(r"^11: Destination refused \(permanent\) +the carrier at once +1$", page, re.M)
    assert re.search(r"^998: Given up: .* +Cooee +1$", page, re.M)


def test_names_of_ones_own_are_used(shell: Shell, campaign: int) -> None:
    file = shell.folder / "codes.toml"
    file.write_text(OWN_CODES + "11 = { temporary = 'Try later' }\n", encoding="utf-8")
    words = shell("message", "show", str(campaign), str(A), "--codes-file", str(file))
    assert re.search(r"^Code +11: Try later \(temporary\)$", words, re.M)
    assert "11: Try later (temporary)" in shell("campaign", "show", str(campaign), "--codes-file", str(file))
    file.write_text("[receipt]\n11 = 'x'\n", encoding="utf-8")
    for command in (("message", "show", str(campaign), str(A)), ("campaign", "show", str(campaign))):
        words = shell(*command, "--codes-file", str(file), code=1)
        assert words.startswith("Error: 11 in [receipt] of codes file ")


def test_check_reads_the_codes(sqlite: Shell) -> None:
    sqlite("migrate")

    def codes(code: int, *more: str) -> tuple[str, str]:
        (found,) = [row for row in sqlite.json("check", *more, code=code) if row["check"] == "codes"]
        return found["result"], found["detail"]

    verdict, detail = codes(0)
    assert verdict == "OK"
    assert re.fullmatch(r"\d+ codes of messages have names", detail)
    file = sqlite.folder / "codes.toml"
    file.write_text(OWN_CODES, encoding="utf-8")
    assert codes(0, "--codes-file", str(file))[1].endswith(f" have names, 2 of them from {file}")
    file.write_text("[recieved]\n", encoding="utf-8")
    verdict, detail = codes(1, "--codes-file", str(file))
    assert verdict == "FAILED"
    assert "unknown section [recieved]" in detail
