"""RetrieveUserSettings and credits: the published examples, top-ups, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.support_api import Client, Server


def add(client: Client, amount: Any = ..., action: str = "add") -> Any:
    body = {"credits": amount, "action": action}
    return client.post("/api/credits", {name: value for name, value in body.items() if value is not ...})


def test_published_settings(server: Server) -> None:
    client = server.account(credits=116, allow_unicode=True)
    number = client.account.id
    for body in (b"", b"{}", b'{"Anything": 1}'):
        assert client.post("/api/RetrieveUserSettings", body).body.decode() == (
            f'{{"UserId":{number},"AllowUnicode":true,"AllowInternational":false,"Credits":116,"Code":0,'
            '"AllowLongMessages":true}'
        )
    other = server.account(credits=119, allow_unicode=False, allow_international=True, allow_long=False)
    settings = other.post("/api/retrieveusersettings/", b"").json
    assert settings["UserId"] == number + 1
    assert (settings["AllowUnicode"], settings["AllowInternational"]) == (False, True)
    assert (settings["Credits"], settings["AllowLongMessages"]) == (119, False)


def test_published_top_up(server: Server) -> None:
    client = server.account(credits=7488, may_add_credits=True)
    assert add(client, 1000).body == b'{"Credits":8488,"Code":0}'
    assert add(client, "12", "ADD").body == b'{"Credits":8500,"Code":0}'
    assert client.call("GET", "/api/credits").body == b'{"Credits":8500,"Code":0}'
    ledger = server.run(server.accounts.show(client.name)).ledger
    assert [(line.amount, line.kind) for line in ledger] == [(12, "topup"), (1000, "topup"), (7488, "opening")]
    assert list(server.run(server.database.read(lambda tx: tx.all("ledger_differences")))) == []


def test_not_approved(server: Server) -> None:
    client = server.account()
    for amount in (1000, 0, -5):
        assert add(client, amount).json == {"Message": "Not allowed to add credits", "Code": -129}
    assert client.credits == 1000


@pytest.mark.parametrize(
    "amount",
    [..., None, 0, -5, "-5", 1.5, 1.0, "1.0", "1e3", "many", "", True, [1], {}, 2**53, 10**30, 2**53 - 1000],
)
def test_amounts_that_are_none(server: Server, amount: Any) -> None:
    client = server.account(may_add_credits=True)
    assert add(client, amount).json == {"Message": "Invalid amount of credits to add", "Code": -130}
    assert client.credits == 1000


def test_fractions_in_exponent_form(server: Server) -> None:
    client = server.account(may_add_credits=True)
    assert client.post("/api/credits", b'{"credits": 1e3, "action": "add"}').code == -130
    assert client.post("/api/credits", b'{"credits": 1e999, "action": "add"}').code == -130


def test_actions(server: Server) -> None:
    client = server.account(may_add_credits=True)
    assert add(client, 5, "take").json == {"Message": "Unknown action 'take'", "Code": -910}
    assert client.post("/api/credits", json.dumps({"credits": 5}).encode()).json["Code"] == -910
    assert client.credits == 1000


def test_accounts_do_not_touch_each_other(server: Server) -> None:
    rich, poor = server.account(credits=500, may_add_credits=True), server.account(credits=5)
    add(rich, 100)
    assert poor.create().code == 0
    assert (rich.credits, poor.credits) == (600, 4)
