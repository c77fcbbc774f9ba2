"""`cooee credits report`: a parent's bill as a table, as CSV and as JSON."""

from __future__ import annotations

import csv
import io

import pytest

from cooee.model.clock import SystemClock, ms_to_local, zone
from tests.cli.support_cli import PASSWORD, Shell

NOW = ms_to_local(SystemClock().now_ms(), zone("Australia/Sydney"))
HEAD = "Account Opening Top-ups Charges Refunds Adjustments Closing Campaigns Messages Segments"
MONTH = f"{NOW.year}-{NOW.month:02d}"


@pytest.fixture
def bill(shell: Shell) -> Shell:
    """acme with 1000 credits, and =branch below it with corrections; a campaign of one."""
    shell.account()
    shell("account", "add", "=branch", "--password-stdin", "--parent", "acme", stdin=PASSWORD + "\n")
    shell("account", "credit", "=branch", "50", "--reason", "-invoice, 7")
    sent = ("--from", "Acme", "--to", "61400123456", "--text", "Hello")
    assert shell.json("send", "--account", "acme", *sent)["Code"] == 0
    return shell


def test_the_table(bill: Shell) -> None:
    said = bill("credits", "report", "--parent", "acme", "--month", MONTH).splitlines()
    assert said[0] == f"Credits of acme in {MONTH}, which is not over yet"
    assert said[1].startswith(f"From {MONTH}-01T00:00:00+1")
    assert said[1].endswith(", Australia/Sydney")
    assert [line.split() for line in said[3:7]] == [
        HEAD.split(),
        ["acme", "0", "0", "-1", "0", "1000", "999", "1", "1", "1"],
        ["=branch", "0", "0", "0", "0", "50", "50", "0", "0", "0"],
        ["Total", "0", "0", "-1", "0", "1050", "1049", "1", "1", "1"],
    ]
    assert said[5].startswith("  =branch")
    assert said[8] == "0 credits were added in 0 top-ups"
    details = bill("credits", "report", "--parent", "acme", "--month", MONTH, "--details").splitlines()
    assert details[:9] == said
    assert [line.split()[0] for line in details[10:]] == ["Account", "acme", "=branch"]


def test_csv(bill: Shell) -> None:
    said = bill("credits", "report", "--parent", "acme", "--month", MONTH, "--csv")
    assert list(csv.DictReader(io.StringIO(said))) == [
        {
            "account": name, "parent": parent, "opening": "0", "top_ups": "0", "charges": charges, "refunds": "0",
            "adjustments": given, "closing": closing, "campaigns": count, "messages": count, "segments": count,
        }
        for name, parent, charges, given, closing, count in (
            ("acme", "", "-1", "1000", "999", "1"),
            ("'=branch", "acme", "0", "50", "50", "0"),
        )
    ]  # fmt: skip
    lines = bill("credits", "report", "--parent", "acme", "--month", MONTH, "--csv", "--details")
    rows = list(csv.DictReader(io.StringIO(lines)))
    assert [(row["account"], row["amount"], row["kind"], row["reason"]) for row in rows] == [
        ("acme", "1000", "opening", "opening balance"),
        ("'=branch", "50", "adjustment", "'-invoice, 7"),
    ]
    assert all(row["at"].startswith(MONTH) for row in rows)


def test_json(bill: Shell) -> None:
    found = bill.json("credits", "report", "--parent", "acme", "--month", MONTH)
    assert (found["parent"], found["month"], found["complete"]) == ("acme", MONTH, False)
    assert [account["name"] for account in found["accounts"]] == ["acme", "=branch"]
    assert found["total"]["closing"] == 1049
    assert "lines" not in found
    found = bill.json("credits", "report", "--parent", "acme", "--month", MONTH, "--details")
    assert [line["amount"] for line in found["lines"]] == [1000, 50]


def test_what_cannot_be_reported(sqlite: Shell) -> None:
    sqlite.account()
    assert "no account 'other'" in sqlite("credits", "report", "--parent", "other", code=1)
    assert "is no month" in sqlite("credits", "report", "--parent", "acme", "--month", "October", code=1)
    assert "has not begun" in sqlite("credits", "report", "--parent", "acme", "--month", "9000-01", code=1)
    assert "either --csv or --json" in sqlite("credits", "report", "--parent", "acme", "--csv", "--json", code=2)
    said = sqlite("credits", "report", "--parent", "acme", "--details")
    assert "acme" in said
    assert "Total" not in said
    assert said.endswith("No top-ups.\n")
