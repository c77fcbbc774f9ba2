"""POST /api/campaign with Action modify: the published example, every refusal, and what it does to the credits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cooee.model.clock import ms_to_local
from tests.api.support_api import Answer, Client, Server

FIVE = ["61400123456", "61400123999", "61400123888", "61400123777", "61400123666"]
LATER = "209901010900"
MISSING: Any = ...


def scheduled(client: Client, **changes: Any) -> int:
    answer = client.create(**{"TimeScheduled": LATER, "Destinations": FIVE, **changes})
    found = answer.json["CampaignId"]
    assert isinstance(found, int)
    return found


def modify(client: Client, campaign: object, **changes: Any) -> Answer:
    return client.post("/api/campaign", {"CampaignId": campaign, "Action": "modify", **changes})


def act(client: Client, action: str, campaign: int) -> str:
    word = client.post("/api/campaign", {"CampaignId": campaign, "Action": action}).json["Message"]
    assert isinstance(word, str)
    return word


def row(server: Server, campaign: int, columns: str) -> tuple[Any, ...]:
    async def operation(tx: Any) -> tuple[Any, ...]:
        sql = f"SELECT {columns} FROM campaign WHERE id = {campaign}"
        if tx.engine == "sqlite":
            return tuple(next(iter(tx.connection.execute(sql))))
        return tuple(await tx.connection.fetchrow(sql))

    return server.run(server.database.read(operation))


def test_published_example(server: Server) -> None:
    client = server.account()
    campaign = scheduled(client)
    local = ms_to_local(server.clock.now_ms(), client.account.zone) + timedelta(days=30)
    answer = client.post(
        "/api/campaign",
        {
            "Message": "Modified message text",
            "Originator": "61400111222",
            "CampaignID": str(campaign),
            "TimeScheduled": local.strftime("%Y%m%d%H%M"),
            "Action": "modify",
        },
    )
    assert answer.status == 200
    assert answer.body.decode() == f'{{"Code":0,"CampaignId":{campaign},"Messages":5,"Segments":1,"Credits":5}}'
    body, originator, due_at, wake_at = row(server, campaign, "body, originator, due_at, wake_at")
    assert (body, originator) == ("Modified message text", "61400111222")
    assert due_at == wake_at
    assert 0 <= server.clock.now_ms() + 30 * 86_400_000 - due_at < 86_400_000
    assert client.credits == 995
    assert act(client, "status", campaign) == "Scheduled"


def test_what_is_not_named_stays(server: Server) -> None:
    client = server.account()
    campaign = scheduled(client)
    columns = "body, originator, due_at, wake_at, messages, credits, state, reference"
    before = row(server, campaign, columns)
    none = {"Message": None, "Originator": None, "TimeScheduled": None}
    for changes in ({}, none, {"Destinations": ["61400123111"], "Reference": "other"}):
        assert modify(client, campaign, **changes).json["Messages"] == 5
        assert row(server, campaign, columns) == before
    assert modify(client, campaign, Originator="Shop").code == 0
    assert row(server, campaign, columns) == (before[0], "Shop", *before[2:])
    assert client.credits == 995


def test_the_difference_is_charged_and_given_back(server: Server) -> None:
    client = server.account()
    campaign = scheduled(client)
    assert modify(client, campaign, Message="x" * 161).json == {
        "Code": 0, "CampaignId": campaign, "Messages": 5, "Segments": 2, "Credits": 10,
    }  # fmt: skip
    assert client.credits == 990
    assert modify(client, campaign, Message="\N{BALLOON}" * 36 + "x").json["Credits"] == 10
    assert row(server, campaign, "encoding, segments, credits") == (8, 2, 10)
    assert client.credits == 990
    assert modify(client, campaign, Message="short").json["Credits"] == 5
    assert row(server, campaign, "encoding, segments, credits") == (0, 1, 5)
    assert client.credits == 995
    modify(client, campaign, Message="x" * 400)
    assert act(client, "delete", campaign) == "Deleted"
    assert client.credits == 1000


def test_too_few_credits_change_nothing(server: Server) -> None:
    client = server.account(credits=9)
    campaign = scheduled(client)
    before = row(server, campaign, "body, originator, segments, credits, due_at")
    answer = modify(client, campaign, Message="x" * 161, Originator="Shop", TimeScheduled="209801010900")
    assert answer.json == {"Message": "Insufficient credits available to start campaign", "Code": -202}
    assert row(server, campaign, "body, originator, segments, credits, due_at") == before
    assert client.credits == 4
    act(client, "delete", campaign)
    assert client.credits == 9


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"CampaignId": MISSING}, -911),
        ({"CampaignId": "x"}, -911),
        ({"Message": ""}, -117),
        ({"Message": " \t\u00a0"}, -117),
        ({"Message": 5}, -911),
        ({"Message": "a\0b"}, -911),
        ({"Message": "x" * 2001}, -923),
        ({"Message": "ł"}, -924),
        ({"Message": "x" * 161}, -925),
        ({"Originator": ""}, -920),
        ({"Originator": "A sender that is too long"}, -921),
        ({"Originator": True}, -911),
        ({"TimeScheduled": "tomorrow"}, -922),
        ({"TimeScheduled": ""}, -922),
        ({"TimeScheduled": [LATER]}, -911),
        ({"CampaignId": 1}, -930),
        ({"CampaignId": -1}, -930),
        ({"CampaignId": 2**60}, -930),
    ],
)
def test_refusals(server: Server, changes: dict[str, Any], code: int) -> None:
    client = server.account(allow_unicode=False, allow_long=False)
    campaign = scheduled(client)
    before = row(server, campaign, "body, originator, due_at, credits, state")
    body = {"CampaignId": campaign, "Action": "modify", "Originator": "Shop", **changes}
    answer = client.post("/api/campaign", {name: value for name, value in body.items() if value is not ...})
    assert (answer.status, answer.code) == (200, code)
    assert list(answer.json) == ["Message", "Code"]
    assert row(server, campaign, "body, originator, due_at, credits, state") == before
    assert client.credits == 995


def test_another_accounts_campaign_is_unknown(server: Server) -> None:
    campaign = scheduled(server.account())
    assert modify(server.account(), campaign, Message="mine").code == -930
    assert row(server, campaign, "body") == ("Hello, this is a test",)


def test_what_has_started_is_refused_in_words(server: Server) -> None:
    client = server.account()
    campaign = scheduled(client, TimeScheduled=MISSING)
    assert modify(client, campaign, Message="late").json == {
        "Message": "Campaign cannot be modified: it is running",
        "Code": -931,
    }
    gone = scheduled(client)
    act(client, "delete", gone)
    assert modify(client, gone, Message="late").json["Message"] == "Campaign cannot be modified: it is deleted"


def test_a_time_that_is_past_sends_at_once(server: Server) -> None:
    client = server.account()
    campaign = scheduled(client)
    assert modify(client, campaign, TimeScheduled="202008301330").code == 0
    assert act(client, "status", campaign) == "Running"
    assert row(server, campaign, "due_at, wake_at") == (None, None)
    assert modify(client, campaign, Message="late").code == -931


def test_what_is_paused_stays_paused_and_starts_when_it_is_let_go(server: Server) -> None:
    client = server.account()
    campaign = scheduled(client)
    act(client, "pause", campaign)
    assert modify(client, campaign, Message="x" * 161).json["Credits"] == 10
    assert modify(client, campaign, TimeScheduled="209801010900").code == 0
    assert act(client, "status", campaign) == "Paused"
    act(client, "unpause", campaign)
    assert act(client, "status", campaign) == "Scheduled"
    act(client, "pause", campaign)
    assert modify(client, campaign, TimeScheduled="202008301330").code == 0
    assert act(client, "status", campaign) == "Paused"
    act(client, "unpause", campaign)
    assert act(client, "status", campaign) == "Running"
