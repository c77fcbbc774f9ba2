"""Sending, as it is published: every example, every code of the table, and the ways in which clients write them.

Beside campaigns that is DRStatus, RetrieveUserSettings, stored lists and credits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cooee.model.campaign import CampaignState
from cooee.model.errors import TABLE
from cooee.model.message import MessageState
from cooee.web.api import ApiSettings
from tests.api.support_api import Answer, Server, basic
from tests.api.support_conformance import (
    Exchange,
    Refusal,
    Scene,
    away,
    broken,
    carry_out,
    local,
    put,
    refuse,
    then,
    written_otherwise,
)
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('sending') / 'cooee.db'}"
    else:
        engine: PostgresServer = request.getfixturevalue("postgres")
        url = engine.fresh()
    with Server(url, clock=then()) as running:
        yield running


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """For what does not depend on the engine."""
    with Server(f"sqlite:///{tmp_path_factory.mktemp('small') / 'cooee.db'}", clock=then()) as running:
        yield running


# --- the requests -------------------------------------------------------------------------------------------

ONE = """{
    "Message": "Hello, this is a test",
    "Originator": "61400190499",
    "Destinations": [
        "61400123456"
    ],
    "Action": "create"
}"""
TWO = """{
    "Message": "Hello, this is a test",
    "Originator": "61400190499",
    "Destinations": [
        "61400123456",
        "61400123999"
    ],
    "Action": "create"
}"""
FIVE = """{
    "Message": "Hello, this is a test",
    "Originator": "61400190499",
    "Reference": "1234567",
    "TimeScheduled": "202008301300",
    "Destinations": [
        "61400123456",
        "61400123999",
        "61400123888",
        "61400123777",
        "61400123666"
    ],
    "Action": "create"
}"""
FIVE_MORE = """{
    "Message": "Hello, this is a test",
    "Originator": "61400190499",
    "Reference": "1234567",
    "TimeScheduled": "202008301300",
    "Destinations": [
        "61400123000",
        "61400123111",
        "61400123222",
        "61400123333",
        "61400123444"
    ],
    "Action": "create"
}"""
TO_A_LIST = """{
    "Message": "Hello, this is a test to a list",
    "Originator": "61400190499",
    "TimeScheduled": "202307141230",
    "Reference": "123456",
    "Action": "create",
    "CrmIds": [4398]
}"""
DELETE = """{
    "CampaignId": 11967218,
    "Action": "delete"
}"""
MODIFY = """{
    "Message": "Modified message text",
    "Originator": "61400111222",
    "CampaignID": "111626243",
    "TimeScheduled": "202008301330",
    "Action": "modify"
}"""
PAUSE = """{
    "CampaignId": 11967218,
    "Action": "pause"
}"""
UNPAUSE = """{
    "CampaignId": 11967218,
    "Action": "unpause"
}"""
STATUS = """{
    "CampaignId": 11967218,
    "Action": "status"
}"""
REPORT = """{
    "CampaignId": 11967215
}"""
REPORT_OF_ONE = """{
    "CampaignId": 11967215,
    "Destination": "61400123456"
}"""
LISTS = """{
    "Action": "list"
}"""
LIST = """{
    "Action": "details",
    "CrmId": 1234
}"""
NEW_LIST = """{
    "Action": "create",
    "Description": "Daily VIP client SMS",
    "Records": [
        {
            "Number": "61400123456,61400999111"
        }
    ]
}"""
LONGER_LIST = """{
    "Action": "append",
    "CrmId": 14456,
    "Records": [
        {
            "Number": "61400111555,61400222333"
        }
    ]
}"""
SHORTER_LIST = """{
    "Action": "remove",
    "CrmId": 14456,
    "Records": [
        {
            "Number": "61400111555"
        }
    ]
}"""
NO_LIST = """{
    "Action": "delete",
    "CrmId": 14456,
}"""
TOP_UP = """{
    "credits" : 1000,
    "action" : "add"
}"""


# --- the answers --------------------------------------------------------------------------------------------


def created(count: int) -> str:
    return f'{{"Code": 0, "CampaignId": 11967222, "Messages": {count}, "Segments": 1, "Credits": {count}}}'


def said(message: str, code: int = 0) -> str:
    return json.dumps({"Message": message, "Code": code})


DELIVERED = """{
  "CampaignId": 11967215,
  "Count": 1,
  "Destinations": [
    {
      "Destination": "61400123456",
      "TimeStamp": "2020-07-28T11:06:02",
      "Status": {
        "DeliveryReceiptStatusId": 1,
        "Code": 0
      }
    }
  ]
}"""
FAILED = """{
  "CampaignId": 11967218,
  "Count": 1,
  "Destinations": [
    {
      "Destination": "61400123456",
      "TimeStamp": "2020-07-28T11:29:16",
      "Status": {
        "DeliveryReceiptStatusId": 2,
        "Code": 300
      }
    }
  ]
}"""
UNKNOWN = """{
  "CampaignId": 11967210,
  "Count": 0,
  "Destinations": []
}"""
MAY_UNICODE = """{
    "UserId": 9999,
    "AllowUnicode": true,
    "AllowInternational": false,
    "Credits": 116,
    "Code": 0
}"""
MAY_INTERNATIONAL = """{
    "UserId": 9998,
    "AllowUnicode": false,
    "AllowInternational": true,
    "Credits": 119,
    "Code": 0
}"""
FOUR_LISTS = """{
  "Count": 4,
  "Groups": [
    {
      "CrmId": 123,
      "Description": "Saturday Night SMS",
      "Count": 76,
      "ParentGroup": 0,
      "ActiveCampaign": 0,
      "Deleted": ""
    },
    {
      "CrmId": 710,
      "Description": "Staff List",
      "Count": 6,
      "ParentGroup": 0,
      "ActiveCampaign": 0,
      "Deleted": ""
    },
    {
      "CrmId": 2494,
      "Description": "The Boss",
      "Count": 1,
      "ParentGroup": 0,
      "ActiveCampaign": 0,
      "Deleted": ""
    },
    {
      "CrmId": 756,
      "Description": "VIP list",
      "Count": 494,
      "ParentGroup": 0,
      "ActiveCampaign": 0,
      "Deleted": ""
    }
  ]
}"""
STAFF = """{
  "CrmId": 710,
  "Description": "Staff List",
  "Count": 6,
  "Records": [
    {
      "Number": "61400000000"
    },
    {
      "Number": "61400999888"
    },
    {
      "Number": "61423090878"
    },
    {
      "Number": "61423646978"
    },
    {
      "Number": "61434222777"
    },
    {
      "Number": "61444888777"
    }
  ]
}"""


def with_long_messages(published: str) -> str:
    """The published text says that this is told, and its examples leave it out: ours follows last."""
    return json.dumps({**json.loads(published), "AllowLongMessages": True})


# --- what there was before ----------------------------------------------------------------------------------


def account(**settings: Any) -> Callable[[Server], Scene]:
    def scene(server: Server) -> Scene:
        client = server.account(**settings)
        return Scene(client, {str(published): client.account.id for published in (9998, 9999)})

    return scene


def nothing(server: Server) -> Scene:
    return Scene(server.account())


def scheduled(server: Server) -> Scene:
    """The five, known under every id that the examples name."""
    client = server.account()
    campaign = client.post("/api/campaign", FIVE.encode()).json["CampaignId"]
    return Scene(client, dict.fromkeys(("11967218", "11967222", "111626243"), campaign))


def poor(server: Server) -> Scene:
    """The five, and no credit left."""
    client = server.account(credits=5)
    return Scene(client, {"11967218": client.post("/api/campaign", FIVE.encode()).json["CampaignId"]})


def after(*actions: str, state: CampaignState | None = None) -> Callable[[Server], Scene]:
    def scene(server: Server) -> Scene:
        made = scheduled(server)
        for action in actions:
            body = {"CampaignId": made.ids["11967218"], "Action": action}
            assert made.client.post("/api/campaign", body).code == 0
        if state is not None:
            server.set_state(made.ids["11967218"], state)
        return made

    return scene


def settled(published: str, state: MessageState, time: str, code: int) -> Callable[[Server], Scene]:
    def scene(server: Server) -> Scene:
        client = server.account()
        campaign = client.create().json["CampaignId"]
        server.settle(client.account, campaign, [(61400123456, state, code)], local(time))
        return Scene(client, {published: campaign})

    return scene


def under_way(server: Server) -> Scene:
    """Sent, and nothing is known yet."""
    client = server.account()
    return Scene(client, {"11967210": client.create().json["CampaignId"]})


def lists(*, ids: dict[str, tuple[str, list[int]]]) -> Callable[[Server], Scene]:
    """Stored lists by their published id: description and numbers."""

    def scene(server: Server) -> Scene:
        client = server.account()
        found = {}
        for published, (name, numbers) in ids.items():
            records = [{"Number": str(number)} for number in numbers]
            body = {"Action": "create", "Description": name, "Records": records}
            found[published] = client.post("/api/crm", body).json["CrmId"]
        return Scene(client, found)

    return scene


def some(count: int) -> list[int]:
    return list(range(61400500000, 61400500000 + count))


STAFF_NUMBERS = [61434222777, 61400000000, 61444888777, 61423090878, 61400999888, 61423646978]
staff = lists(ids={"1234": ("Staff List", STAFF_NUMBERS)})


def the_staff(server: Server) -> Scene:
    """One list: the request's id and the answer's are two in the published text."""
    made = staff(server)
    made.ids["710"] = made.ids["1234"]
    return made


C, D = "campaign", "DRStatus"
EXCHANGES = (
    Exchange("send to one", C, ONE, created(1), nothing),
    Exchange("send to two", C, TWO, created(2), nothing),
    Exchange("send later", C, FIVE, created(5), nothing),
    Exchange("add to it", C, FIVE_MORE, created(5), scheduled),
    Exchange("send to a list", C, TO_A_LIST, created(3), lists(ids={"4398": ("Friends", some(3))})),
    Exchange(
        "no number",
        C,
        ONE.replace("61400123456", "not a number"),
        said("No valid destination number(s) specified", -111),
        nothing,
    ),
    Exchange(
        "no text",
        C,
        ONE.replace("Hello, this is a test", ""),
        said("Campaign message text not specified", -117),
        nothing,
    ),
    Exchange(
        "no credits", C, TWO, said("Insufficient credits available to start campaign", -202), account(credits=1)
    ),
    Exchange("delete", C, DELETE, said("Deleted"), scheduled),
    Exchange("modify", C, MODIFY, created(5), scheduled),
    Exchange("pause", C, PAUSE, said("Paused"), scheduled),
    Exchange("unpause", C, UNPAUSE, said("Unpaused"), after("pause")),
    Exchange("is paused", C, STATUS, said("Paused"), after("pause")),
    Exchange("is scheduled", C, STATUS, said("Scheduled"), scheduled),
    Exchange("is scheduled again", C, STATUS, said("Scheduled"), after("pause", "unpause")),
    Exchange("is running", C, STATUS, said("Running"), after(state=CampaignState.RUNNING)),
    Exchange("is deleted", C, STATUS, said("Deleted"), after("delete")),
    Exchange("is finished", C, STATUS, said("Finished"), after(state=CampaignState.FINISHED)),
    Exchange(
        "delivered", D, REPORT, DELIVERED, settled("11967215", MessageState.DELIVERED, "2020-07-28T11:06:02", 0)
    ),
    Exchange(
        "delivered to one", D, REPORT_OF_ONE, DELIVERED,
        settled("11967215", MessageState.DELIVERED, "2020-07-28T11:06:02", 0),
    ),
    Exchange(
        "failed", D, REPORT.replace("11967215", "11967218"), FAILED,
        settled("11967218", MessageState.FAILED, "2020-07-28T11:29:16", 300),
    ),
    Exchange("not known yet", D, REPORT.replace("11967215", "11967210"), UNKNOWN, under_way),
    Exchange("not ours", D, REPORT.replace("11967215", "11967210"), UNKNOWN, nothing),
    Exchange(
        "settings", "RetrieveUserSettings", "", with_long_messages(MAY_UNICODE), account(credits=116)
    ),
    Exchange(
        "other settings", "RetrieveUserSettings", "{}", with_long_messages(MAY_INTERNATIONAL),
        account(credits=119, allow_unicode=False, allow_international=True),
    ),
    Exchange(
        "lists", "crm", LISTS, FOUR_LISTS,
        lists(
            ids={
                "123": ("Saturday Night SMS", some(76)), "756": ("VIP list", some(494)),
                "2494": ("The Boss", some(1)), "710": ("Staff List", STAFF_NUMBERS),
            }
        ),
    ),
    Exchange("a list", "crm", LIST, STAFF, the_staff),
    Exchange("a new list", "crm", NEW_LIST, '{"CrmId": 2496, "Message": "CRM created"}', nothing),
    Exchange(
        "a longer list", "crm", LONGER_LIST, said("Added 1 number"), lists(ids={"14456": ("VIP", [61400111555])})
    ),
    Exchange(
        "a shorter list", "crm", SHORTER_LIST, said("Removed 1 number"),
        lists(ids={"14456": ("VIP", [61400111555, 61400222333])}),
    ),
    Exchange("a list less", "crm", NO_LIST, said("Deleted"), lists(ids={"14456": ("VIP", some(2))})),
    Exchange(
        "a top-up", "credits", TOP_UP, '{"Credits": 8488, "Code": 0}', account(credits=7488, may_add_credits=True)
    ),
    Exchange("no top-up", "credits", TOP_UP, said("Not allowed to add credits", -129), nothing),
    Exchange(
        "a top-up of less than nothing", "credits", TOP_UP.replace("1000", "-1000"),
        said("Invalid amount of credits to add", -130), account(may_add_credits=True),
    ),
    Exchange(
        "a top-up of nothing", "credits", TOP_UP.replace("1000", "0"),
        said("Invalid amount of credits to add", -130), account(may_add_credits=True),
    ),
)  # fmt: skip


@pytest.mark.parametrize("exchange", EXCHANGES, ids=str)
def test_examples(server: Server, exchange: Exchange) -> None:
    carry_out(server, exchange, "as published")


@pytest.mark.parametrize(("exchange", "variant"), written_otherwise(EXCHANGES))
def test_variants(small: Server, exchange: Exchange, variant: str) -> None:
    carry_out(small, exchange, variant)


def test_what_is_added_is_in_the_same_campaign(small: Server) -> None:
    scene = scheduled(small)
    answer = scene.client.post("/api/campaign", FIVE_MORE.encode())
    assert answer.json["CampaignId"] == scene.ids["11967218"]


def test_the_settings_told_beside_the_published_ones_come_last(small: Server) -> None:
    scene = account(credits=116)(small)
    answer = scene.client.post("/api/RetrieveUserSettings", b"")
    published = put(MAY_UNICODE, scene.ids)
    assert list(answer.json) == [*json.loads(published), "AllowLongMessages"]


def test_a_balance_may_be_read_with_get(small: Server) -> None:
    client = small.account(credits=8488)
    answer = client.call("GET", "/api/credits")
    assert (answer.status, answer.body) == (200, b'{"Credits":8488,"Code":0}')


# --- the codes ----------------------------------------------------------------------------------------------


def post(path: str, body: object, **settings: Any) -> Callable[[Server], Answer]:
    return lambda server: server.account(**settings).post(f"/api/{path}", body)


def create(**changes: Any) -> Callable[[Server], Answer]:
    """Sends to one, but with these fields; ... leaves one out. Settings of the account are in `having`."""
    having = changes.pop("having", {})
    return lambda server: server.account(**having).create(**changes)


def act(action: str, scene: Callable[[Server], Scene], **more: Any) -> Callable[[Server], Answer]:
    def request(server: Server) -> Answer:
        made = scene(server)
        return made.client.post("/api/campaign", {"CampaignId": made.ids["11967218"], "Action": action, **more})

    return request


def crm(action: str, **more: Any) -> Callable[[Server], Answer]:
    return post("crm", {"Action": action, **more})


def suspended(server: Server) -> Answer:
    client = server.account()
    server.run(server.accounts.suspend(client.name))
    return client.create()


def often_wrong(server: Server) -> Answer:
    client = server.account()
    for _ in range(10):
        assert client.post("/api/campaign", {}, login=basic(client.name, "wrong")).code == -901
    return client.create()


def key_twice(server: Server) -> Answer:
    client = server.account()
    key = {"Idempotency-Key": "order 17"}
    assert client.post("/api/campaign", ONE.encode(), headers=key).code == 0
    return client.post("/api/campaign", TWO.encode(), headers=key)


def polls(server: Server) -> Answer:
    client = server.account()
    for _ in range(3):
        client.post("/api/replies", {})
    return client.post("/api/replies", {})


NO_NUMBER = "No valid destination number(s) specified"
NO_CREDITS = "Insufficient credits available to start campaign"
BAD_TIME = "TimeScheduled is not valid (YYYYMMDDHHMM)"
BAD_AMOUNT = "Invalid amount of credits to add"
TOPS_UP = {"may_add_credits": True}
RUNNING = after(state=CampaignState.RUNNING)
OVER = after(state=CampaignState.FINISHED)
GONE: Any = ...

REFUSALS = (
    Refusal(-111, 200, NO_NUMBER, create(Destinations=GONE)),
    Refusal(-111, 200, NO_NUMBER, create(Destinations=["61298765432", "12"])),
    Refusal(-117, 200, "Campaign message text not specified", create(Message=GONE)),
    Refusal(-117, 200, "Campaign message text not specified", create(Message=" \u00a0\n")),
    Refusal(-117, 200, "Campaign message text not specified", act("modify", scheduled, Message="")),
    Refusal(-129, 200, "Not allowed to add credits", post("credits", {"action": "add", "credits": 1})),
    Refusal(-130, 200, BAD_AMOUNT, post("credits", {"action": "add", "credits": -1}, **TOPS_UP)),
    Refusal(-130, 200, BAD_AMOUNT, post("credits", {"action": "add", "credits": 0}, **TOPS_UP)),
    Refusal(-130, 200, BAD_AMOUNT, post("credits", {"action": "add", "credits": 1.5}, **TOPS_UP)),
    Refusal(-130, 200, BAD_AMOUNT, post("credits", {"action": "add"}, **TOPS_UP)),
    Refusal(-202, 200, NO_CREDITS, create(having={"credits": 0})),
    Refusal(-202, 200, NO_CREDITS, act("modify", poor, Message="x" * 161)),
    Refusal(-900, 400, "Request body is not valid JSON", post("campaign", b'{"Action": "create"')),
    Refusal(-900, 400, "Request body is not valid JSON", post("campaign", b"")),
    Refusal(-900, 400, "Request body is not a JSON object", post("DRStatus", [11967215])),
    Refusal(
        -901, 401, "Authentication failed", lambda server: server.account().post("/api/campaign", {}, login=None)
    ),
    Refusal(
        -901, 401, "Authentication failed",
        lambda server: server.account().post("/api/campaign", {}, login=basic("nobody")),
    ),
    Refusal(-902, 403, "Account is suspended", suspended),
    Refusal(-904, 404, "No such resource", post("campaigns", {})),
    Refusal(-905, 405, "Method not allowed", lambda server: server.account().call("GET", "/api/campaign")),
    Refusal(-905, 405, "Method not allowed", lambda server: server.account().call("DELETE", "/api/credits")),
    Refusal(-906, 413, "Request body too large", post("campaign", {"Message": "x" * 10**6})),
    Refusal(-907, 429, "Too many requests", often_wrong),
    Refusal(-907, 429, "Too many requests", polls),
    Refusal(-910, 200, "Action not specified", post("campaign", {})),
    Refusal(-910, 200, "Unknown action 'send'", post("campaign", {"Action": "send"})),
    Refusal(-910, 200, "Unknown action 'create'", post("credits", {"Action": "create"})),
    Refusal(-910, 200, "Unknown action 'clear'", post("crm", {"Action": "clear"})),
    Refusal(-911, 200, "Field 'CampaignId' is missing", post("campaign", {"Action": "status"})),
    Refusal(-911, 200, "Field 'CampaignId' must be a whole number", post("DRStatus", {"CampaignId": "one"})),
    Refusal(-911, 200, "Field 'Destinations' must be a list of numbers", create(Destinations={})),
    Refusal(-911, 200, "Field 'Message' must be text", create(Message=1)),
    Refusal(-911, 200, "Field 'Idempotency-Key' was used for another request", key_twice),
    Refusal(-911, 200, "Field 'CrmId' is missing", crm("details")),
    Refusal(-920, 200, "Originator not specified", create(Originator=GONE)),
    Refusal(-920, 200, "Originator not specified", create(Originator="")),
    Refusal(-921, 200, "Originator is not valid", create(Originator="Much too long")),
    Refusal(-921, 200, "Originator is not valid", act("modify", scheduled, Originator="12")),
    Refusal(
        -921, 200, "Originator is not approved for this account", create(having={"approved_only": True})
    ),
    Refusal(-922, 200, BAD_TIME, create(TimeScheduled="2020-08-30 13:00")),
    Refusal(-922, 200, BAD_TIME, create(TimeScheduled="202002301300")),
    Refusal(-922, 200, BAD_TIME, act("modify", scheduled, TimeScheduled="now")),
    Refusal(-923, 200, "Message is longer than 2000 characters", create(Message="x" * 2001)),
    Refusal(
        -924, 200, "Account does not allow unicode messages",
        create(Message="\u1234", having={"allow_unicode": False}),
    ),
    Refusal(
        -925, 200, "Account does not allow messages longer than one SMS",
        create(Message="x" * 161, having={"allow_long": False}),
    ),
    Refusal(-926, 200, "Account does not allow international destinations", create(Destinations="6421123456")),
    Refusal(-930, 200, "Campaign not found", post("campaign", {"Action": "status", "CampaignId": 11967218})),
    Refusal(-930, 200, "Campaign not found", post("campaign", {"Action": "delete", "CampaignId": 2**64})),
    Refusal(-931, 200, "Campaign cannot be modified: it is running", act("modify", RUNNING, Message="x")),
    Refusal(-931, 200, "Campaign cannot be deleted: it is running", act("delete", RUNNING)),
    Refusal(-931, 200, "Campaign cannot be deleted: it is finished", act("delete", OVER)),
    Refusal(-931, 200, "Campaign cannot be paused: it is finished", act("pause", OVER)),
    Refusal(-931, 200, "Campaign cannot be unpaused: it is scheduled", act("unpause", scheduled)),
    Refusal(-940, 200, "List not found: 4398", create(CrmIds=[4398])),
    Refusal(-940, 200, "List not found: 1234", crm("details", CrmId=1234)),
    Refusal(-940, 200, "List not found: 14456", crm("append", CrmId="14456", Records=[{"Number": "61400111555"}])),
    Refusal(-940, 200, "List not found: 14456", crm("delete", CrmId=14456)),
    Refusal(-941, 200, "List description not specified", crm("create", Records=[])),
    Refusal(-942, 200, "No valid number(s) specified", crm("create", Description="x", Records=[{"Number": "x"}])),
    Refusal(-942, 200, "No valid number(s) specified", post("optouts", {"Action": "add", "Originator": []})),
    Refusal(-950, 200, "Date range is not valid", post("replies", {"Days": 0})),
    Refusal(
        -990, 500, "Internal error (request x)",
        lambda server: broken(server, "/api/campaign", json.loads(ONE)),
    ),
    Refusal(
        -991, 503, "Temporarily unavailable, nothing was accepted",
        lambda server: away(server, "/api/campaign", json.loads(ONE)),
    ),
)  # fmt: skip


@pytest.fixture(scope="module", params=[200, 400], ids=["http 200", "http 400"])
def refusing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with each choice of the HTTP status of business errors."""
    url = f"sqlite:///{tmp_path_factory.mktemp('refusing') / 'cooee.db'}"
    with Server(url, ApiSettings(body_limit=500_000, error_http_status=request.param), clock=then()) as running:
        yield running


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_codes(refusing: Server, refusal: Refusal) -> None:
    answer = refuse(refusing, refusal)
    assert answer.status == (refusing.settings.error_http_status if refusal.http == 200 else refusal.http)
    assert ("retry-after" in answer.headers) == (refusal.code in (-907, -991))
    assert ("www-authenticate" in answer.headers) == (refusal.code == -901)
    assert ("allow" in answer.headers) == (refusal.code == -905)


def test_every_code_of_the_table_is_reached() -> None:
    reached = {refusal.code for refusal in REFUSALS} | {0}
    assert reached == {row.code for row in TABLE}
    for row in TABLE:
        assert all(refusal.http == row.http for refusal in REFUSALS if refusal.code == row.code)
