"""POST /api/DRStatus: the published examples, who sees what, and a campaign too large for memory."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from cooee.model.clock import ManualClock
from cooee.model.message import GAVE_UP, MessageState
from cooee.store.reports import PAGE
from tests.api.support_api import Client, Server, basic

# 2020-07-28T11:06:02 in Sydney.
AT = 1_595_898_362_000
DELIVERED, FAILED = MessageState.DELIVERED, MessageState.FAILED


def status(client: Client, campaign: object, **more: object) -> Any:
    return client.post("/api/DRStatus", {"CampaignId": campaign, **more})


def test_published_examples(server: Server) -> None:
    client = server.account()
    server.settle(client.account, 11967215, [(61400123456, DELIVERED, 0)], AT + 999)
    server.settle(client.account, 11967218, [(61400123456, FAILED, 300)], AT)
    assert status(client, 11967215).body == (
        b'{"CampaignId":11967215,"Count":1,"Destinations":[{"Destination":"61400123456",'
        b'"TimeStamp":"2020-07-28T11:06:02","Status":{"DeliveryReceiptStatusId":1,"Code":0}}]}'
    )
    assert status(client, 11967218, Destination="61400123456").json["Destinations"][0]["Status"] == {
        "DeliveryReceiptStatusId": 2,
        "Code": 300,
    }
    assert status(client, 11967210).body == b'{"CampaignId":11967210,"Count":0,"Destinations":[]}'


def test_only_final_results_are_listed(server: Server) -> None:
    client = server.account(times_utc=True)
    outcomes = [(61400000000 + state, state, 998 if state is FAILED else 0) for state in MessageState]
    server.settle(client.account, 5, outcomes, AT)
    answer = status(client, 5).json
    assert answer == {
        "CampaignId": 5,
        "Count": 2,
        "Destinations": [
            {
                "Destination": "61400000006",
                "TimeStamp": "2020-07-28T01:06:02",
                "Status": {"DeliveryReceiptStatusId": 2, "Code": GAVE_UP},
            },
            {
                "Destination": "61400000007",
                "TimeStamp": "2020-07-28T01:06:02",
                "Status": {"DeliveryReceiptStatusId": 1, "Code": 0},
            },
        ],
    }
    for state in MessageState:
        one = status(client, 5, Destination=61400000000 + state).json
        assert one["Count"] == (1 if state in (DELIVERED, FAILED) else 0)


def test_one_number_in_any_form(server: Server) -> None:
    client = server.account()
    server.settle(client.account, 6, [(61400123456, DELIVERED, 0), (61400123999, FAILED, 1)], AT)
    for form in ("61400123456", 61400123456, "+61 400 123 456", "0061400123456", "0400 123 456"):
        answer = status(client, "6", Destination=form).json
        assert [row["Destination"] for row in answer["Destinations"]] == ["61400123456"]
        assert answer["CampaignId"] == 6
    for nobody in ("12", "hello", "61400123457", -5, 10**30):
        assert status(client, 6, Destination=nobody).json == {"CampaignId": 6, "Count": 0, "Destinations": []}
    for everybody in (None, ""):
        assert status(client, 6, Destination=everybody).json["Count"] == 2
    wrong: object
    for wrong in (True, 1.5, ["61400123456"], {}):
        assert status(client, 6, Destination=wrong).json["Code"] == -911


def test_campaigns_of_others_and_none(server: Server) -> None:
    mine, theirs = server.account(), server.account()
    server.settle(theirs.account, 7, [(61400123456, DELIVERED, 0)], AT)
    for number in (7, 0, -3, 2**53 + 1, 2**80):
        assert status(mine, number).json == {"CampaignId": number, "Count": 0, "Destinations": []}
    assert status(mine, 7, Destination="61400123456").json["Count"] == 0
    assert status(theirs, 7).json["Count"] == 1


@pytest.mark.parametrize("bad", [None, "", "x", 1.5, "1e3", True, [7], {}])
def test_ids_that_are_none(server: Server, bad: object) -> None:
    answer = status(server.account(), bad)
    assert (answer.status, answer.code) == (200, -911)
    assert "CampaignId" in answer.json["Message"]


@pytest.mark.parametrize("count", [PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 7])
def test_every_row_of_many_pages(server: Server, count: int) -> None:
    client = server.account()
    numbers = [61400000000 + 3 * n for n in range(count)]
    # A stretch longer than a page without any result yet.
    waiting = [(61300000000 + n, MessageState.HANDED_OVER, 0) for n in range(PAGE + 5)]
    server.settle(client.account, 8, [*waiting, *((n, DELIVERED, 0) for n in numbers)], AT)
    answer = status(client, 8)
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert answer.json["Count"] == count
    assert [int(row["Destination"]) for row in answer.json["Destinations"]] == numbers
    assert list(answer.json) == ["CampaignId", "Count", "Destinations"]


def test_a_large_report_is_not_held_in_memory(tmp_path: Any) -> None:
    with Server(f"sqlite:///{tmp_path / 'cooee.db'}", clock=ManualClock()) as server:
        client = server.account()
        count = 60_000
        server.settle(client.account, 9, ((61400000000 + n, DELIVERED, 0) for n in range(count)), AT)

        async def read() -> tuple[int, int]:
            body = json.dumps({"CampaignId": 9}).encode()
            size = 0

            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": body, "more_body": False}

            async def send(message: Any) -> None:
                nonlocal size
                size += len(message.get("body", b""))

            scope = {
                "type": "http", "method": "POST", "path": "/api/DRStatus", "client": ("127.0.0.1", 1),
                "headers": [(b"authorization", basic(client.name).encode())],
            }  # fmt: skip
            tracemalloc.start()
            await server.api(scope, receive, send)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return size, peak

        size, peak = server.run(read())
        assert size > 6_000_000
        assert peak < 5_000_000
