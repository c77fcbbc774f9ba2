"""POST /api/optouts."""

from __future__ import annotations

import json
import time
from array import array

import pytest

from cooee.model.clock import iso
from cooee.model.inbound import Reason
from tests.api.support_api import Answer, Client, Server

ADDED = {"Message": "Origins added", "Code": 0}


def optouts(client: Client, action: str, *numbers: object) -> Answer:
    return client.post("/api/optouts", {"Action": action, **({"Originator": list(numbers)} if numbers else {})})


def listed(client: Client) -> list[str]:
    answer = optouts(client, "list").json
    assert answer["Count"] == len(answer["OptOut"])
    return [each["Originator"] for each in answer["OptOut"]]


def test_add_delete_list(server: Server) -> None:
    client = server.account()
    assert optouts(client, "add", "61400555555", "61400999999").json == ADDED
    server.clock.advance(10)
    assert optouts(client, "add", "61400111222").json == ADDED
    assert listed(client) == ["61400111222", "61400999999", "61400555555"]
    deleted = optouts(client, "delete", "61400555555", "61400555555", "61400000001").json
    assert deleted == {"Message": "Deleted 1 OptOut number", "Code": 0}
    assert listed(client) == ["61400111222", "61400999999"]
    assert optouts(client, "delete", "61400555555").json["Message"] == "Deleted 0 OptOut numbers"
    assert optouts(client, "delete", "61400111222", "61400999999").json["Message"] == "Deleted 2 OptOut numbers"
    assert optouts(client, "list").body == b'{"Count":0,"OptOut":[]}'


@pytest.mark.parametrize("utc", [False, True])
def test_times_are_the_accounts_with_a_blank(server: Server, utc: bool) -> None:
    client = server.account(zone="America/New_York", times_utc=utc)
    at = server.clock.now_ms()
    optouts(client, "add", "61400555555")
    added = optouts(client, "list").json["OptOut"][0]["Added"]
    assert added == iso(at, client.account.shown_zone).replace("T", " ")


def test_every_account_has_its_own(server: Server) -> None:
    one = server.account()
    other = server.account(parent=one.name)
    optouts(one, "add", "61400555555")
    assert listed(other) == []
    assert optouts(other, "delete", "61400555555").json["Message"] == "Deleted 0 OptOut numbers"
    assert listed(one) == ["61400555555"]


def test_the_first_time_and_reason_stay(server: Server) -> None:
    client = server.account()
    server.run(server.optouts.add(client.account, [61400555555], reason=Reason.ADMIN, who="operator"))
    first = optouts(client, "list").json
    assert first["OptOut"][0]["Reason"] == "Admin"
    server.clock.advance(100)
    assert optouts(client, "add", "61400555555").json == ADDED
    assert optouts(client, "list").json == first
    optouts(client, "delete", "61400555555")
    optouts(client, "add", "61400555555")
    again = optouts(client, "list").json["OptOut"][0]
    assert again["Reason"] == "Client"
    assert again["Added"] > first["OptOut"][0]["Added"]


@pytest.mark.parametrize(
    "given",
    [
        ["+61 400 555 555", "0061400555555", "0400 555 555", 61400555555, "(0400) 555-555"],
        "61400555555",
        "61400555555, 0400555555",
        61400555555,
        ["nonsense", None, {"Number": 1}, True, 1.5, "61400555555"],
        [["61400555555"], "0400555555,"],
    ],
)
def test_numbers_are_taken_as_people_write_them(server: Server, given: object) -> None:
    client = server.account()
    assert client.post("/api/optouts", {"Action": "add", "Originator": given}).json == ADDED
    assert listed(client) == ["61400555555"]


def test_numbers_need_no_plan_and_no_country(server: Server) -> None:
    client = server.account()
    optouts(client, "add", "447700900123", "61299999999", "12025550123")
    assert sorted(listed(client)) == ["12025550123", "447700900123", "61299999999"]


@pytest.mark.parametrize("given", [[], "", " , ", ["nonsense"], 12, [None], ["1234567"]])
def test_no_valid_number(server: Server, given: object) -> None:
    client = server.account()
    answer = client.post("/api/optouts", {"Action": "add", "Originator": given})
    assert (answer.status, answer.json) == (200, {"Message": "No valid number(s) specified", "Code": -942})
    answer = client.post("/api/optouts", {"Action": "delete", "Originator": given})
    assert answer.json == {"Message": "Deleted 0 OptOut numbers", "Code": 0}


@pytest.mark.parametrize("action", ["add", "delete"])
def test_a_field_that_is_missing_or_no_list(server: Server, action: str) -> None:
    client = server.account()
    assert client.post("/api/optouts", {"Action": action}).code == -942
    assert client.post("/api/optouts", {"Action": action, "Originator": None}).code == -942
    for wrong in (True, {"a": 1}, 6.14e10):
        answer = client.post("/api/optouts", {"Action": action, "Originator": wrong})
        assert answer.json["Code"] == -911
        assert "Originator" in answer.json["Message"]


def test_actions(server: Server) -> None:
    client = server.account()
    assert optouts(client, "ADD", "61400555555").json == ADDED
    assert client.post("/api/optouts", {"Originator": "61400555555"}).code == -910
    assert optouts(client, "remove", "61400555555").code == -910
    assert client.post("/api/optouts", b"").code == -900


def test_many_go_in_and_out_while_others_are_answered(server: Server) -> None:
    client, other = server.account(), server.account()
    numbers = [str(61400000000 + each) for each in range(30_000)]
    started = time.monotonic()
    assert client.post("/api/optouts", {"Action": "add", "Originator": numbers}).json == ADDED
    assert other.call("GET", "/api/credits").code == 0
    answer = optouts(client, "list")
    body = json.loads(answer.body)
    assert (body["Count"], len(body["OptOut"])) == (30_000, 30_000)
    assert {each["Originator"] for each in body["OptOut"]} == set(numbers)
    assert len({each["Added"] for each in body["OptOut"]}) == 1
    assert int(answer.headers["content-length"]) == len(answer.body)
    deleted = client.post("/api/optouts", {"Action": "delete", "Originator": numbers}).json
    assert deleted["Message"] == "Deleted 30000 OptOut numbers"
    assert time.monotonic() - started < 60


def test_what_a_handset_wrote_comes_as_it_was(server: Server) -> None:
    client = server.account()
    text = 'STOP "now" \\ ✋🏽\n</script>'
    server.optout_by_reply(client.account, 61400555555, text)
    found = optouts(client, "list").json["OptOut"][0]
    assert list(found) == ["Added", "Originator", "MessageText", "Reason"]
    assert (found["MessageText"], found["Reason"]) == (text, "Reply")


def test_the_past_is_kept(server: Server) -> None:
    client = server.account()
    optouts(client, "add", "61400555555")
    optouts(client, "delete", "61400555555")
    assert server.counted("optout", client.account) == 0
    assert server.counted("optout_past", client.account) == 1


def test_numbers_of_the_service_are_canonical(server: Server) -> None:
    client = server.account()
    added = server.run(server.optouts.add(client.account, array("q", [61400000001, 61400000002])))
    assert added == 2
    assert server.run(server.optouts.add(client.account, array("q", [61400000002, 61400000003]))) == 1
    assert server.run(server.optouts.remove(client.account, array("q", [61400000009, 61400000003]))) == 1
