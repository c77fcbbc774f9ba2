"""Creates with a Reference: added to a campaign that has not started, or a campaign of their own."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from cooee.model.clock import ms_to_local
from tests.api.support_api import Answer, Client, Server

FIVE = ["61400123456", "61400123999", "61400123888", "61400123777", "61400123666"]
MORE = ["61400123000", "61400123111", "61400123222", "61400123333", "61400123444"]
LATER = "209901010900"
MISSING: Any = ...


def create(client: Client, numbers: list[str], **changes: Any) -> Answer:
    return client.create(**{"Reference": "1234567", "TimeScheduled": LATER, "Destinations": numbers, **changes})


def act(client: Client, action: str, campaign: int) -> str:
    word = client.post("/api/campaign", {"CampaignId": campaign, "Action": action}).json["Message"]
    assert isinstance(word, str)
    return word


def totals(client: Client, campaign: int) -> tuple[int, int]:
    """Messages and credits of the whole campaign, as modify tells them."""
    answer = client.post("/api/campaign", {"CampaignId": campaign, "Action": "modify"}).json
    return answer["Messages"], answer["Credits"]


def test_published_example(server: Server) -> None:
    client = server.account()
    local = ms_to_local(server.clock.now_ms(), client.account.zone) + timedelta(days=30)
    at = local.strftime("%Y%m%d%H%M")
    first = create(client, FIVE, TimeScheduled=at)
    campaign = first.json["CampaignId"]
    expected = f'{{"Code":0,"CampaignId":{campaign},"Messages":5,"Segments":1,"Credits":5}}'
    assert first.body.decode() == expected
    assert create(client, MORE, TimeScheduled=at).body.decode() == expected
    assert totals(client, campaign) == (10, 10)
    assert client.credits == 990
    assert server.counted("campaign", client.account) == 1


def test_who_is_there_is_not_added_again(server: Server) -> None:
    client = server.account()
    campaign = create(client, FIVE).json["CampaignId"]
    assert create(client, FIVE).json == {
        "Code": 0, "CampaignId": campaign, "Messages": 0, "Segments": 1, "Credits": 0,
    }  # fmt: skip
    assert create(client, [*FIVE[:3], *MORE[:2], "junk"]).json["Messages"] == 2
    assert create(client, [*FIVE, *MORE]).json["Messages"] == 3
    assert create(client, [*FIVE, *MORE]).json["Credits"] == 0
    assert totals(client, campaign) == (10, 10)
    assert client.credits == 990
    assert server.counted("ledger", client.account) == 4
    assert act(client, "delete", campaign) == "Deleted"
    assert client.credits == 1000


@pytest.mark.parametrize(
    "changes",
    [
        {"Reference": "7654321"},
        {"Reference": MISSING},
        {"Message": "Another text"},
        {"Originator": "61400111222"},
        {"TimeScheduled": "209901010901"},
        {"TimeScheduled": MISSING},
        {"TimeScheduled": "202001010900"},
    ],
)
def test_any_difference_makes_a_new_campaign(server: Server, changes: dict[str, Any]) -> None:
    client = server.account()
    campaign = create(client, FIVE).json["CampaignId"]
    answer = create(client, FIVE, **changes)
    assert answer.json["Messages"] == 5
    assert answer.json["CampaignId"] != campaign
    assert totals(client, campaign) == (5, 5)
    assert client.credits == 990


def test_the_newest_that_fits_is_added_to(server: Server) -> None:
    client, other = server.account(), server.account()
    old = create(client, FIVE[:1]).json["CampaignId"]
    act(client, "pause", old)
    client.post("/api/campaign", {"Action": "modify", "CampaignId": old, "Message": "Another"})
    new = create(client, FIVE[:1]).json["CampaignId"]
    assert new != old
    assert create(client, FIVE[1:2]).json["CampaignId"] == new
    assert create(client, FIVE[1:2], Message="Another").json["CampaignId"] == old
    client.post("/api/campaign", {"Action": "modify", "CampaignId": old, "Message": "Hello, this is a test"})
    assert create(client, FIVE[2:3]).json["CampaignId"] == new
    act(client, "delete", new)
    assert create(client, FIVE[2:3]).json["CampaignId"] == old
    assert create(other, FIVE[2:3]).json["CampaignId"] not in (old, new)


def test_paused_before_its_start_or_running(server: Server) -> None:
    client = server.account()
    local = ms_to_local(server.clock.now_ms(), client.account.zone) + timedelta(minutes=5)
    at = local.strftime("%Y%m%d%H%M")
    campaign = create(client, FIVE, TimeScheduled=at).json["CampaignId"]
    act(client, "pause", campaign)
    server.clock.advance(600)
    # Its time is past by now, and still the same instant.
    assert create(client, MORE, TimeScheduled=at).json["CampaignId"] == campaign
    act(client, "unpause", campaign)
    assert act(client, "status", campaign) == "Running"
    again = create(client, MORE, TimeScheduled=at).json
    assert (again["CampaignId"] != campaign, again["Messages"]) == (True, 5)


def test_at_once_makes_a_campaign_each(server: Server) -> None:
    client = server.account()
    made = {create(client, FIVE, TimeScheduled=MISSING).json["CampaignId"] for _ in range(3)}
    assert len(made) == 3
    assert client.credits == 985


def test_too_few_credits(server: Server) -> None:
    client = server.account(credits=7)
    campaign = create(client, FIVE).json["CampaignId"]
    key = {"Idempotency-Key": "k"}
    body = {
        "Message": "Hello, this is a test", "Originator": "61400190499", "Reference": "1234567",
        "TimeScheduled": LATER, "Destinations": MORE, "Action": "create",
    }  # fmt: skip
    assert client.post("/api/campaign", body, headers=key).code == -202
    assert totals(client, campaign) == (5, 5)
    assert client.credits == 2
    server.run(server.accounts.credit(client.name, 5, "paid"))
    assert client.post("/api/campaign", body, headers=key).json["Messages"] == 5
    assert totals(client, campaign) == (10, 10)


def test_idempotency_key(server: Server) -> None:
    client = server.account()
    campaign = create(client, FIVE).json["CampaignId"]
    body = json.dumps(
        {
            "Message": "Hello, this is a test",
            "Originator": "61400190499",
            "Reference": "1234567",
            "TimeScheduled": LATER,
            "Destinations": MORE,
            "Action": "create",
        }
    ).encode()
    key = {"Idempotency-Key": "more"}
    first = client.post("/api/campaign", body, headers=key)
    assert (first.json["CampaignId"], first.json["Messages"]) == (campaign, 5)
    assert client.post("/api/campaign", body, headers=key).body == first.body
    assert client.post("/api/campaign", body.replace(b"3444", b"3445"), headers=key).code == -911
    act(client, "delete", campaign)
    assert client.post("/api/campaign", body, headers=key).body == first.body
    assert client.credits == 1000


def test_many_at_the_same_moment_are_one_campaign(server: Server) -> None:
    """Eight clients that send overlapping lists: one campaign, and every recipient once."""
    client = server.account()
    lists = [[f"614001230{n:02d}" for n in range(at, at + 10)] for at in range(0, 40, 5)]
    with ThreadPoolExecutor(8) as pool:
        answers = [answer.json for answer in pool.map(lambda numbers: create(client, numbers), lists)]
    assert {answer["Code"] for answer in answers} == {0}
    assert len({answer["CampaignId"] for answer in answers}) == 1
    assert sum(answer["Messages"] for answer in answers) == 45
    assert totals(client, answers[0]["CampaignId"]) == (45, 45)
    assert client.credits == 955


def test_large_lists(server: Server) -> None:
    """In pieces, unseen until they are charged; what is there already is left out."""
    client = server.account(credits=40_000)
    numbers = [f"6140{n:07d}" for n in range(1_000_000, 1_030_000)]
    campaign = create(client, numbers[:3]).json["CampaignId"]
    answer = create(client, numbers[:20_000]).json
    assert (answer["CampaignId"], answer["Messages"]) == (campaign, 19_997)
    assert create(client, numbers[:20_000]).json["Messages"] == 0
    assert create(client, numbers[19_990:20_010]).json["Messages"] == 10
    assert totals(client, campaign) == (20_010, 20_010)
    assert create(client, numbers, Message="x" * 161).code == -202
    assert create(client, numbers[5000:]).json["Messages"] == 9990
    assert totals(client, campaign) == (30_000, 30_000)
    assert client.credits == 10_000
    assert server.counted("campaign", client.account) == 1
    act(client, "delete", campaign)
    assert client.credits == 40_000
