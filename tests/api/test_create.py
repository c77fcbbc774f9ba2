"""POST /api/campaign with Action create: the published examples, what real clients send, and every refusal."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from cooee.model.clock import iso, ms_to_local
from tests.api.support_api import Client, Server, basic

TWO = ["61400123456", "61400123999"]
FIVE = ["61400123456", "61400123999", "61400123888", "61400123777", "61400123666"]


@pytest.mark.parametrize(("numbers", "count"), [(["61400123456"], 1), (TWO, 2), (FIVE, 5)])
def test_published_examples(server: Server, numbers: list[str], count: int) -> None:
    client = server.account()
    answer = client.create(Destinations=numbers)
    campaign = answer.json["CampaignId"]
    assert answer.status == 200
    assert isinstance(campaign, int)
    assert answer.body.decode() == (
        f'{{"Code":0,"CampaignId":{campaign},"Messages":{count},"Segments":1,"Credits":{count}}}'
    )
    assert answer.headers["content-type"] == "application/json"
    assert client.credits == 1000 - count


def test_published_schedule_with_reference(server: Server) -> None:
    client = server.account()
    local = ms_to_local(server.clock.now_ms(), client.account.zone) + timedelta(days=30)
    answer = client.create(Reference="1234567", TimeScheduled=local.strftime("%Y%m%d%H%M"), Destinations=FIVE)
    assert answer.json["Messages"] == 5
    status = client.post("/api/campaign", {"CampaignId": answer.json["CampaignId"], "Action": "status"})
    assert status.json == {"Message": "Scheduled", "Code": 0}


@pytest.mark.parametrize(
    "changes",
    [
        {"Destinations": "61400123456"},
        {"Destinations": "+61 400 123 456, 61400123999"},
        {"Destinations": 61400123456},
        {"Destinations": [61400123456, "0061400123456", "0400 123 456", "junk", None, True, 1.5, [], {}]},
        {"Destinations": ["61400123456,61400123999", ""]},
        {"Destinations": ["61400123456", 1e300]},
        {"Originator": 61400190499},
        {"Originator": "Cooee Shop"},
        {"TimeScheduled": None, "Reference": None, "CrmIds": None},
        {"CrmIds": []},
        {"Reference": 1234567},
        {"Reference": ""},
        {"TimeScheduled": "202008301300"},
        {"TimeScheduled": 202008301300},
        {"CampaignId": "not read", "Unknown": {"deep": [1, {"x": None}]}},
    ],
)
def test_what_clients_send(server: Server, changes: dict[str, Any]) -> None:
    answer = server.account().create(**changes)
    assert (answer.status, answer.code) == (200, 0)
    assert answer.json["Messages"] in (1, 2)


@pytest.mark.parametrize("path", ["/api/campaign", "/api/campaign/", "/api/Campaign", "/API/CAMPAIGN/"])
def test_paths_in_any_case(server: Server, path: str) -> None:
    body = {"message": "Hi", "ORIGINATOR": "61400190499", "destinations": ["61400123456"], "aCtIoN": "Create"}
    assert server.account().post(path, body).code == 0


def test_body_as_it_comes(server: Server) -> None:
    client = server.account()
    plain = json.dumps(
        {"Message": "Hi", "Originator": "Cooee", "Destinations": ["61400123456"], "Action": "create"}
    ).encode()
    for body in (
        b"\xef\xbb\xbf" + plain,
        plain.replace(b'"]', b'" , ]').replace(b"}", b",\r\n}"),
        b" \n" + plain + b"\n",
        plain.replace(b'"Action"', b'"ignored": "\\ud83d \\u0041 [1,]", "Action"'),
    ):
        assert client.post("/api/campaign", body).code == 0
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        assert client.post("/api/campaign", plain, headers={"Content-Type": kind}).code == 0


def test_numbers_are_cleaned_and_counted_once(server: Server) -> None:
    client = server.account()
    answer = client.create(Destinations=["0400 123 456", "+61400123456", 61400123456, "61400123999", "12"])
    assert answer.json["Messages"] == 2
    assert answer.json["Credits"] == 2


def test_segments_are_counted_and_charged(server: Server) -> None:
    client = server.account()
    answer = client.create(Message="x" * 161, Destinations=TWO)
    assert (answer.json["Segments"], answer.json["Credits"]) == (2, 4)
    answer = client.create(Message="\N{BALLOON}" * 36, Destinations=TWO)
    assert (answer.json["Segments"], answer.json["Credits"]) == (2, 4)
    assert client.credits == 992
    assert client.create(Message="a" * 2000).json["Segments"] == 14


LONG_AGO = "200001010000"
MISSING: Any = ...


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"Action": MISSING}, -910, "Action not specified"),
        ({"Action": ""}, -910, "Action not specified"),
        ({"Action": None}, -910, "Action not specified"),
        ({"Action": "explode"}, -910, "Unknown action 'explode'"),
        ({"Action": 7}, -911, "Field 'Action' must be text"),
        ({"Message": MISSING}, -117, "Campaign message text not specified"),
        ({"Message": ""}, -117, "Campaign message text not specified"),
        ({"Message": " \t\n\u00a0\u2003"}, -117, "Campaign message text not specified"),
        ({"Message": ["Hello"]}, -911, "Field 'Message' must be text"),
        ({"Message": 5}, -911, "Field 'Message' must be text"),
        ({"Message": "a\0b"}, -911, None),
        ({"Message": "a\ud83db"}, -911, None),
        ({"Message": "x" * 2001}, -923, "Message is longer than 2000 characters"),
        ({"Message": "\N{BALLOON}" * 1001}, -923, "Message is longer than 2000 characters"),
        ({"Originator": MISSING}, -920, "Originator not specified"),
        ({"Originator": "  "}, -920, "Originator not specified"),
        ({"Originator": "A sender that is too long"}, -921, "Originator is not valid"),
        ({"Originator": " Cooee"}, -921, "Originator is not valid"),
        ({"Originator": True}, -911, "Field 'Originator' must be text"),
        ({"Originator": 1.5}, -911, "Field 'Originator' must be text"),
        ({"TimeScheduled": "tomorrow"}, -922, "TimeScheduled is not valid (YYYYMMDDHHMM)"),
        ({"TimeScheduled": "209913011200"}, -922, "TimeScheduled is not valid (YYYYMMDDHHMM)"),
        ({"TimeScheduled": "20990101120"}, -922, "TimeScheduled is not valid (YYYYMMDDHHMM)"),
        ({"TimeScheduled": "２０９９０１０１１２００"}, -922, "TimeScheduled is not valid (YYYYMMDDHHMM)"),
        ({"TimeScheduled": 2099}, -922, "TimeScheduled is not valid (YYYYMMDDHHMM)"),
        ({"TimeScheduled": 209901011200.5}, -911, "Field 'TimeScheduled' must be text"),
        ({"TimeScheduled": [LONG_AGO]}, -911, "Field 'TimeScheduled' must be text"),
        ({"Reference": "r" * 256}, -911, None),
        ({"Reference": "a\0"}, -911, None),
        ({"Reference": {}}, -911, None),
        ({"Destinations": MISSING}, -111, "No valid destination number(s) specified"),
        ({"Destinations": None}, -111, "No valid destination number(s) specified"),
        ({"Destinations": []}, -111, "No valid destination number(s) specified"),
        ({"Destinations": ""}, -111, "No valid destination number(s) specified"),
        ({"Destinations": ["12", "hello", None, {}]}, -111, "No valid destination number(s) specified"),
        ({"Destinations": ["61212345678"]}, -111, "No valid destination number(s) specified"),
        ({"Destinations": {"a": 1}}, -911, "Field 'Destinations' must be a list of numbers"),
        ({"Destinations": True}, -911, "Field 'Destinations' must be a list of numbers"),
        ({"Destinations": 61400123456.5}, -911, "Field 'Destinations' must be a list of numbers"),
        ({"CrmIds": [4398]}, -940, "List not found: 4398"),
        ({"CrmIds": "4398", "Destinations": MISSING}, -940, "List not found: 4398"),
        ({"CrmIds": ["x"]}, -911, "Field 'CrmIds' must be a list of whole numbers"),
        ({"CrmIds": {}}, -911, "Field 'CrmIds' must be a list of whole numbers"),
        ({"Destinations": ["6421123456"]}, -926, "Account does not allow international destinations"),
        ({"Destinations": ["6421123456", "12"]}, -111, "No valid destination number(s) specified"),
    ],
)
def test_refusals(server: Server, changes: dict[str, Any], code: int, message: str | None) -> None:
    client = server.account()
    answer = client.create(**changes)
    assert (answer.status, answer.code) == (200, code)
    assert list(answer.json) == ["Message", "Code"]
    if message is not None:
        assert answer.json["Message"] == message
    assert client.untouched()


def test_permissions(server: Server) -> None:
    plain = server.account(allow_unicode=False, allow_long=False)
    answer = plain.create(Message="Grüße aus Łódź")
    assert answer.json == {"Message": "Account does not allow unicode messages", "Code": -924}
    answer = plain.create(Message="x" * 161)
    assert answer.json == {"Message": "Account does not allow messages longer than one SMS", "Code": -925}
    assert plain.untouched()
    assert plain.create(Message="x" * 160).code == 0
    world = server.account(allow_international=True)
    assert world.create(Destinations=["6421123456", "61400123456"]).json["Messages"] == 2


def test_too_few_credits(server: Server) -> None:
    client = server.account(credits=1)
    answer = client.create(Destinations=TWO)
    assert (answer.status, answer.code) == (200, -202)
    assert answer.json["Message"] == "Insufficient credits available to start campaign"
    assert client.untouched(1)


# Each step breaks one thing more, in the reverse of the order in which they are checked.
STEPS: list[tuple[dict[str, Any], int]] = [
    ({"Destinations": ["61400123456"] * 2 + ["61400123999"]}, -202),
    ({"Message": "x" * 161}, -925),
    ({"Message": "ł" * 71}, -924),
    ({"Destinations": []}, -111),
    ({"CrmIds": [1]}, -940),
    ({"TimeScheduled": "x"}, -922),
    ({"Originator": "?"}, -921),
    ({"Message": ""}, -117),
    ({"Action": "?"}, -910),
]


def test_the_order_of_checks(server: Server) -> None:
    client = server.account(credits=1, allow_unicode=False, allow_long=False)
    changes: dict[str, Any] = {}
    for change, code in STEPS:
        changes.update(change)
        assert client.create(**changes).code == code
    assert client.untouched(1)


def test_times_are_the_accounts_own(server: Server) -> None:
    """A minute from now in Perth is two hours ago in Sydney; a stored instant tells that it was read in Perth."""
    client = server.account(zone="Australia/Perth")
    soon = server.clock.now_ms() + 120_000
    local = iso(soon, client.account.zone).replace("-", "").replace("T", "").replace(":", "")[:12]
    answer = client.create(TimeScheduled=local)
    status = client.post("/api/campaign", {"CampaignId": answer.json["CampaignId"], "Action": "status"})
    assert status.json["Message"] == "Scheduled"
    sydney = server.account(zone="Australia/Sydney")
    answer = sydney.create(TimeScheduled=local)
    status = sydney.post("/api/campaign", {"CampaignId": answer.json["CampaignId"], "Action": "status"})
    assert status.json["Message"] == "Running"


def test_idempotency_key(server: Server) -> None:
    client, other = server.account(), server.account()
    body = json.dumps(
        {"Message": "Hi", "Originator": "Cooee", "Destinations": ["61400123456"], "Action": "create"}
    ).encode()
    key = {"Idempotency-Key": "order 66 \u00e9"}
    first = client.post("/api/campaign", body, headers=key)
    again = client.post("/api/campaign", body, headers=key)
    assert first.code == 0
    assert again.body == first.body
    assert client.credits == 999
    differs = client.post("/api/campaign", body.replace(b"Hi", b"Ho"), headers=key)
    assert differs.code == -911
    assert "Idempotency-Key" in differs.json["Message"]
    theirs = other.post("/api/campaign", body, headers=key)
    assert theirs.json["CampaignId"] != first.json["CampaignId"]
    assert client.post("/api/campaign", body, headers={"Idempotency-Key": "x" * 256}).code == -911
    # An unknown action is told before the key is looked at; other actions do not read it.
    assert client.post("/api/campaign", {"Action": "?"}, headers=key).code == -910
    status = {"Action": "status", "CampaignId": first.json["CampaignId"]}
    assert client.post("/api/campaign", status, headers=key).code == 0
    assert client.post("/api/campaign", body, headers={"Idempotency-Key": " "}).code == 0


def test_refusals_are_not_kept(server: Server) -> None:
    client = server.account(credits=0)
    body = json.dumps(
        {"Message": "Hi", "Originator": "Cooee", "Destinations": ["61400123456"], "Action": "create"}
    ).encode()
    key = {"Idempotency-Key": "k"}
    assert client.post("/api/campaign", body, headers=key).code == -202
    server.run(server.accounts.credit(client.name, 5, "paid"))
    assert client.post("/api/campaign", body, headers=key).code == 0


def test_login_is_asked_for_first(server: Server) -> None:
    client = server.account()
    answer = client.post("/api/campaign", b"not json", login=basic(client.name, "wrong-password"))
    assert (answer.status, answer.code) == (401, -901)
    assert client.untouched()


def test_actions_on_campaigns(server: Server) -> None:
    client = server.account()
    campaign = client.create(TimeScheduled="209901010900").json["CampaignId"]

    def act(action: str, number: object = campaign, who: Client = client) -> Any:
        return who.post("/api/campaign", {"CampaignID": number, "Action": action, "Message": 5}).json

    assert act("status") == {"Message": "Scheduled", "Code": 0}
    assert act("pause") == {"Message": "Paused", "Code": 0}
    assert act("pause", str(campaign)) == {"Message": "Paused", "Code": 0}
    assert act("status") == {"Message": "Paused", "Code": 0}
    assert act("unpause") == {"Message": "Unpaused", "Code": 0}
    refused = act("unpause")
    assert refused["Code"] == -931
    assert refused["Message"] == "Campaign cannot be unpaused: it is scheduled"
    assert client.credits == 999
    assert act("delete") == {"Message": "Deleted", "Code": 0}
    assert client.credits == 1000
    assert act("delete") == {"Message": "Deleted", "Code": 0}
    assert act("status") == {"Message": "Deleted", "Code": 0}
    assert act("pause")["Code"] == -931


def test_published_delete_with_a_trailing_comma(server: Server) -> None:
    client = server.account()
    campaign = client.create(TimeScheduled="209901010900").json["CampaignId"]
    body = b'{\n    "CampaignId": %d,\n    "Action": "delete",\n\n}' % campaign
    assert client.post("/api/campaign", body).body == b'{"Message":"Deleted","Code":0}'


@pytest.mark.parametrize("action", ["status", "pause", "unpause", "delete"])
def test_campaigns_of_others_and_none(server: Server, action: str) -> None:
    mine, theirs = server.account(), server.account()
    campaign = theirs.create(TimeScheduled="209901010900").json["CampaignId"]
    for number in (campaign, 0, -1, 2**53 + 1, 2**70, "99999999999999999999999999", "5"):
        answer = mine.post("/api/campaign", {"CampaignId": number, "Action": action})
        assert answer.json == {"Message": "Campaign not found", "Code": -930}
    bad: object
    for bad in (MISSING, None, "", "abc", "1e3", "1.0", 1.0, 1.5, True, [campaign], {}, "1" * 5000):
        body: dict[str, object] = {"CampaignId": bad, "Action": action}
        answer = mine.post("/api/campaign", {name: value for name, value in body.items() if value is not ...})
        assert answer.code == -911
        assert "CampaignId" in answer.json["Message"]
    assert (
        theirs.post("/api/campaign", {"CampaignId": campaign, "Action": "status"}).json["Message"] == "Scheduled"
    )
    assert theirs.credits == 999
