"""What an operator sets about an account's sending on the command line: settings, sender IDs, rates."""

from __future__ import annotations

import re

import pytest

from tests.cli.support_cli import PASSWORD, Shell

RULES = (
    "send_window", "originators", "credit_limit", "daily_cap", "low_balance", "countries", "number_check",
    "smart_encoding",
)  # fmt: skip


def rules(shell: Shell, name: str = "acme") -> list[object]:
    shown = shell.json("account", "show", name)
    return [shown[rule] for rule in RULES]


def line(page: str, name: str) -> str:
    found = re.search(rf"^{name} +(.*)$", page, re.MULTILINE)
    assert found, page
    return found[1]


def test_every_rule_is_set_shown_and_taken_away(shell: Shell) -> None:
    shell.account()
    plain = [None, "any", 0, None, None, None, "plan", False]
    assert rules(shell) == plain
    said = shell(
        "account", "set", "acme", "--send-window", "08:00-21:00", "--originators", "approved", "--credit-limit",
        "500", "--daily-cap", "20000", "--low-balance", "-100", "--countries", "nz, AU", "--international",
        "--number-check", "shape", "--smart-encoding",
    )  # fmt: skip
    assert said == "account acme changed; running servers follow within 5 s\n"
    assert rules(shell) == ["08:00-21:00", "approved", 500, 20000, -100, ["AU", "NZ"], "shape", True]
    page = shell("account", "show", "acme")
    assert [line(page, name) for name in (
        "Send window", "Originators", "Credit limit", "Daily cap", "Charged today", "Low balance", "Countries",
        "Number check", "Smart encoding",
    )] == ["08:00-21:00", "approved", "500", "20000", "0", "-100", "AU,NZ", "shape", "yes"]  # fmt: skip

    # What is not named stays.
    shell("account", "set", "acme", "--no-long", "--zone", "Australia/Perth")
    assert rules(shell) == ["08:00-21:00", "approved", 500, 20000, -100, ["AU", "NZ"], "shape", True]
    shell(
        "account", "set", "acme", "--send-window", "none", "--originators", "any", "--credit-limit", "0",
        "--daily-cap", "none", "--low-balance", "NONE", "--countries", "any", "--number-check", "plan",
        "--no-smart-encoding",
    )  # fmt: skip
    assert rules(shell) == plain
    page = shell("account", "show", "acme")
    assert [line(page, name) for name in ("Send window", "Daily cap", "Low balance", "Countries")] == [
        "none", "none", "none", "any",
    ]  # fmt: skip


def test_an_account_is_added_with_its_rules(sqlite: Shell) -> None:
    sqlite.account("acme", "--send-window", "21:00-8:00", "--daily-cap", "0", "--countries", "AU")
    assert rules(sqlite) == ["21:00-08:00", "any", 0, 0, None, ["AU"], "plan", False]
    sqlite.account("always", "--send-window", "00:00-24:00")
    assert rules(sqlite, "always")[0] is None


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--send-window", "8-21", "write 08:00-21:00"),
        ("--send-window", "08:60-21:00", "write 08:00-21:00"),
        ("--send-window", "", "write 08:00-21:00"),
        ("--send-window", "24:00-08:00", "closes by 24:00"),
        ("--send-window", "08:00-24:30", "closes by 24:00"),
        ("--send-window", "08:00-08:00", "give none"),
        ("--credit-limit", "-5", "take a whole number from 0"),
        ("--daily-cap", "-5", "take a whole number from 0"),
        ("--low-balance", "9007199254740992", "take a whole number"),
        ("--countries", "AU,XX", "'XX' is no country"),
        ("--countries", ",", "name at least one"),
        ("--countries", "AU,NZ", "set --international too"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(sqlite: Shell, option: str, value: str, says: str) -> None:
    sqlite.account()
    assert says in sqlite("account", "set", "acme", option, value, code=1)
    assert says in sqlite("account", "add", "other", "--password-stdin", option, value, stdin=PASSWORD, code=1)
    assert len(sqlite.json("account", "list")) == 1


def test_wrong_words_are_wrong_usage(sqlite: Shell) -> None:
    sqlite.account()
    assert "neither a whole number nor none" in sqlite("account", "set", "acme", "--daily-cap", "much", code=2)
    assert "not one of 'any', 'approved'" in sqlite("account", "set", "acme", "--originators", "some", code=2)
    assert "not one of 'plan', 'shape'" in sqlite("account", "set", "acme", "--number-check", "no", code=2)


def test_what_was_charged_today_is_shown(shell: Shell) -> None:
    shell.account("acme", "--daily-cap", "10", "--credit-limit", "5")
    shell("send", "--account", "acme", "--from", "Shop", "--to", "0400123456", "--text", "hello")
    page = shell("account", "show", "acme")
    assert line(page, "Charged today") == "1"
    assert shell.json("account", "show", "acme")["charged_today"] == 1
    assert "may not go below -5" in shell("account", "credit", "acme", "-1005", "--reason", "x", code=1)
    assert "has -5 credits now" in shell("account", "credit", "acme", "-1004", "--reason", "x")
    assert shell.json("account", "list")[0]["credits"] == -5
    assert "every balance is the sum" in shell("check", code=0)
    send = ("send", "--account", "acme", "--from", "Shop", "--to", "0400123456", "--text", "hello")
    assert "Insufficient credits" in shell(*send, code=1)
    assert "has 1 credit now" in shell("account", "credit", "acme", "6", "--reason", "x")
    shell("account", "credit", "acme", "-6", "--reason", "x")
    assert "has 95 credits now" in shell("account", "credit", "acme", "100", "--reason", "x")
    many = ",".join(str(61400200000 + n) for n in range(10))
    assert "Insufficient credits" in shell(*send, "--to", many, code=1)


# --- sender IDs --------------------------------------------------------------------------------------------


def test_sender_ids(shell: Shell) -> None:
    shell.account("acme", "--originators", "approved")
    assert shell("originator", "list", "acme") == "No sender IDs yet: add some with cooee originator add.\n"
    assert "WARNING  account acme: only approved originators" in shell("check")
    send = ("send", "--account", "acme", "--to", "0400123456", "--text", "hello", "--from")
    assert "not approved for this account" in shell(*send, "Acme", code=1)
    said = shell("originator", "add", "acme", "Acme", "+61400190499", "123456")
    assert said == "3 sender IDs added to account acme; running servers follow within 5 s\n"
    assert shell("originator", "add", "acme", "Acme", "Two").startswith("1 sender ID added")
    assert shell.json("originator", "list", "acme") == ["123456", "61400190499", "Acme", "Two"]
    assert shell("originator", "list", "acme") == "123456\n61400190499\nAcme\nTwo\n"
    assert "account acme" not in shell("check")
    shell(*send, "Acme")
    shell(*send, "0061400190499")
    unknown = shell("originator", "remove", "acme", "Acme", "61400190499", "Nobody", code=1)
    assert unknown.startswith("Error: account 'acme' has no sender ID 'Nobody': cooee originator list acme ")
    assert len(shell.json("originator", "list", "acme")) == 4
    said = shell("originator", "remove", "acme", "Acme", "61400190499")
    assert said.startswith("2 sender IDs removed from account acme")
    assert "not approved for this account" in shell(*send, "Acme", code=1)
    assert "'12' can be no sender" in shell("originator", "add", "acme", "12", code=1)
    assert "there is no account 'nobody'" in shell("originator", "add", "nobody", "Acme", code=1)
    assert "there is no account 'nobody'" in shell("originator", "list", "nobody", code=1)
    shell("originator", "add", "acme", code=2)


# --- rates -------------------------------------------------------------------------------------------------


def test_rates(shell: Shell) -> None:
    shell.account("acme", "--international")
    assert shell("rate", "list") == "No rates yet: every segment costs 1. Set one with cooee rate set.\n"
    said = shell("rate", "set", "nz", "3")
    assert said == "a segment to NZ costs 3 for everybody; running servers follow within 5 s\n"
    shell("rate", "set", "OTHER", "5")
    shell("rate", "set", "AU", "1")
    said = shell("rate", "set", "NZ", "2", "--account", "acme")
    assert said == "a segment to NZ costs 2 for account acme; running servers follow within 5 s\n"
    assert shell("rate", "list") == (
        "Country  Credits  Set for\n"
        "AU             1  everybody\n"
        "NZ             3  everybody\n"
        "other          5  everybody\n"
    )  # fmt: skip
    assert shell.json("rate", "list", "--account", "acme") == [
        {"country": "AU", "credits": 1, "own": False},
        {"country": "NZ", "credits": 2, "own": True},
        {"country": "other", "credits": 5, "own": False},
    ]
    sent = shell.json(
        "send",
        "--account",
        "acme",
        "--from",
        "Shop",
        "--to",
        "0400123456,64211234567,447400123456",
        "--text",
        "hi",
    )
    assert sent["Credits"] == 1 + 2 + 5
    said = shell("rate", "remove", "NZ", "--account", "acme")
    assert said == "the rate of account acme for NZ is gone; running servers follow within 5 s\n"
    assert "there is no rate of its own for account 'acme' for NZ" in shell(
        "rate", "remove", "NZ", "--account", "acme", code=1
    )
    assert "there is no rate for GB" in shell("rate", "remove", "GB", code=1)
    assert "take a whole number from 0 to 100000" in shell("rate", "set", "NZ", "100001", code=1)
    assert "'XX' is no country" in shell("rate", "set", "XX", "1", code=1)
    assert "there is no account 'nobody'" in shell("rate", "set", "NZ", "1", "--account", "nobody", code=1)
    assert "not a valid integer" in shell("rate", "set", "NZ", "1.5", code=2)
