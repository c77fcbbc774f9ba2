"""Receiving, as it is published: every example about replies and opt-outs, and every code that they can answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cooee.model.errors import TABLE
from cooee.web.api import ApiSettings
from tests.api.support_api import Answer, Client, Server, basic
from tests.api.support_conformance import (
    Exchange,
    Refusal,
    Scene,
    at,
    away,
    broken,
    carry_out,
    local,
    refuse,
    then,
    written_otherwise,
)
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('receiving') / 'cooee.db'}"
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


# --- the examples -------------------------------------------------------------------------------------------

TWO_REPLIES = """
{
  "Count": 2,
  "Messages": [
    {
      "Received": "2020-07-27T10:01:10",
      "Originator": "61400123456",
      "Recipient": "61400190444",
      "MessageText": "Thanks, yes i will be at the appointment",
      "ReferenceId": "4499850"
    },
    {
      "Received": "2020-07-27T11:35:10",
      "Originator": "61400987654",
      "Recipient": "61400190555",
      "MessageText": "Can we reschedule?",
      "ReferenceId": "4499851"
    }
  ]
}
"""
NO_REPLIES = """
{
  "Count": 0,
  "Messages": []
}
"""
ADDED = """
{
    "Message": "Origins added",
    "Code": 0
}
"""
DELETED = """
{
    "Message": "Deleted 1 OptOut number",
    "Code": 0
}
"""
TWO_OPTOUTS = """
{
  "Count": 2,
  "OptOut": [
    {
      "Added": "2018-12-05 18:52:42",
      "Originator": "61400555555",
      "MessageText": "",
      "Reason": "Client"
    },
    {
      "Added": "2016-12-02 15:11:40",
      "Originator": "61400999999",
      "MessageText": "",
      "Reason": "Client"
    }
  ]
}
"""


def nothing(server: Server) -> Scene:
    return Scene(server.account())


def written(day: str = "2020-07-27") -> Callable[[Server], Scene]:
    """The two replies of the example, on a day."""

    def scene(server: Server) -> Scene:
        account = server.account().account
        client = Client(server, account.name, account)
        first, second = local(f"{day}T10:01:10"), local(f"{day}T11:35:10")
        server.reply(
            account, "Can we reschedule?",
            at=second, sender="61400987654", recipient="61400190555", reference="4499851",
        )  # fmt: skip
        server.reply(
            account, "Thanks, yes i will be at the appointment",
            at=first, sender="61400123456", recipient="61400190444", reference="4499850",
        )  # fmt: skip
        return Scene(client)

    return scene


def retrieved(server: Server) -> Scene:
    """They were passed on before."""
    scene = written()(server)
    assert scene.client.post("/api/replies", {}).json["Count"] == 2
    return scene


def opted_out(server: Server) -> Scene:
    client = server.account()
    for time, number in (("2016-12-02T15:11:40", "61400999999"), ("2018-12-05T18:52:42", "61400555555")):
        with at(server, time):
            assert client.post("/api/optouts", {"Action": "add", "Originator": [number]}).code == 0
    return Scene(client)


def one_opted_out(server: Server) -> Scene:
    client = server.account()
    assert client.post("/api/optouts", {"Action": "add", "Originator": ["61400123456"]}).code == 0
    return Scene(client)


EXCHANGES = (
    Exchange("all that is new", "replies", "{\n\n}", TWO_REPLIES, written()),
    Exchange("nothing is new", "replies", "{\n\n}", NO_REPLIES, nothing),
    Exchange("nothing is new any more", "replies", "{\n\n}", NO_REPLIES, retrieved),
    Exchange("a test", "replies", '{\n\n    "Test": true\n\n}', TWO_REPLIES, written()),
    Exchange("two days", "replies", '{\n\n    "Days": 2\n\n}', TWO_REPLIES, written()),
    Exchange("two days, retrieved", "replies", '{\n\n    "Days": 2\n\n}', TWO_REPLIES, retrieved),
    Exchange(
        "a range",
        "replies",
        '{\n\n    "DateStart": "2020-06-01",\n\n    "DateEnd": "2020-06-30"\n\n}',
        TWO_REPLIES.replace("2020-07-27", "2020-06-30"),
        written("2020-06-30"),
    ),
    Exchange(
        "a range with nothing in it",
        "replies",
        '{\n\n    "DateStart": "2020-06-01",\n\n    "DateEnd": "2020-06-30"\n\n}',
        NO_REPLIES,
        written(),
    ),
    Exchange(
        "opt out",
        "optouts",
        '{\n\n    "Action": "add",\n\n    "Originator": [\n\n       "61400123456",\n\n       "61400222333"\n'
        "\n   ]\n\n}",
        ADDED,
        nothing,
    ),
    Exchange(
        "opt in again",
        "optouts",
        '{\n\n    "Action": "delete",\n\n    "Originator": [\n\n       "61400123456"\n\n   ]\n\n}',
        DELETED,
        one_opted_out,
    ),
    Exchange("list", "optouts", '{\n\n    "Action":"list"\n\n}', TWO_OPTOUTS, opted_out),
)


@pytest.mark.parametrize("exchange", EXCHANGES, ids=str)
def test_examples(server: Server, exchange: Exchange) -> None:
    carry_out(server, exchange, "as published")


@pytest.mark.parametrize(("exchange", "variant"), written_otherwise(EXCHANGES))
def test_variants(small: Server, exchange: Exchange, variant: str) -> None:
    carry_out(small, exchange, variant)


FROM_ONE_MOBILE = [
    "61400123456", "+61400123456", "0061400123456", "0400123456", "0400 123 456", "(0400) 123-456", 61400123456,
    ["61400123456"],
]  # fmt: skip


@pytest.mark.parametrize("originator", FROM_ONE_MOBILE, ids=str)
def test_replies_of_one_mobile(server: Server, originator: object) -> None:
    """The published table of fields is lost; clients are known to send this one."""
    client = retrieved(server).client
    for more in (
        {},
        {"Days": 2},
        {"DateStart": "2020-07-27"},
        {"dateStart": "2020-07-27", "dateEnd": "2020-07-27"},
    ):
        server.clock.advance(200)
        answer = client.post("/api/replies", {"originator": originator, **more})
        assert [each["Originator"] for each in answer.json["Messages"]] == ["61400123456"]


@pytest.mark.parametrize(
    ("zone", "times_utc", "received", "added"),
    [
        ("Australia/Sydney", False, "2020-07-27T10:01:10", "2018-12-05 18:52:42"),
        ("Pacific/Auckland", False, "2020-07-27T12:01:10", "2018-12-05 20:52:42"),
        ("Australia/Sydney", True, "2020-07-27T00:01:10", "2018-12-05 07:52:42"),
        ("America/New_York", True, "2020-07-27T00:01:10", "2018-12-05 07:52:42"),
    ],
)
def test_times(server: Server, zone: str, times_utc: bool, received: str, added: str) -> None:
    """In the account's zone, or in UTC."""
    client = server.account(zone=zone, times_utc=times_utc)
    server.reply(client.account, "x", at=local("2020-07-27T10:01:10"))
    assert client.post("/api/replies", {}).json["Messages"][0]["Received"] == received
    with at(server, "2018-12-05T18:52:42"):
        client.post("/api/optouts", {"Action": "add", "Originator": "61400555555"})
    assert client.post("/api/optouts", {"Action": "list"}).json["OptOut"][0]["Added"] == added


def test_an_empty_body_asks_for_what_is_new(server: Server) -> None:
    client = written()(server).client
    assert client.post("/api/replies", b"").json["Count"] == 2


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 OptOut numbers"), (1, "1 OptOut number"), (2, "2 OptOut numbers")]
)
def test_how_many_were_deleted(server: Server, count: int, said: str) -> None:
    client = server.account()
    numbers = ["61400123456", "61400222333"]
    if count:
        client.post("/api/optouts", {"Action": "add", "Originator": numbers[:count]})
    answer = client.post("/api/optouts", {"Action": "delete", "Originator": [*numbers, "nonsense"]})
    assert answer.json == {"Message": f"Deleted {said}", "Code": 0}


# --- the codes ----------------------------------------------------------------------------------------------


def post(path: str, body: object) -> Callable[[Server], Answer]:
    return lambda server: server.account().post(f"/api/{path}", body)


def suspended(server: Server) -> Answer:
    client = server.account()
    server.run(server.accounts.suspend(client.name))
    return client.post("/api/replies", {})


def too_often(server: Server) -> Answer:
    client = server.account()
    for _ in range(3):
        assert client.post("/api/replies", {}).status == 200
    return client.post("/api/replies", {})


OPTOUT = {"Action": "add", "Originator": ["61400123456"]}
RANGE = "Date range is not valid"

REFUSALS = (
    Refusal(-900, 400, "Request body is not valid JSON", post("replies", b"{")),
    Refusal(-900, 400, "Request body is not valid JSON", post("optouts", b"")),
    Refusal(-900, 400, "Request body is not a JSON object", post("replies", [])),
    Refusal(
        -901, 401, "Authentication failed",
        lambda server: server.account().post("/api/replies", {}, login=basic("nobody")),
    ),
    Refusal(
        -901, 401, "Authentication failed", lambda server: server.account().post("/api/optouts", {}, login=None)
    ),
    Refusal(-902, 403, "Account is suspended", suspended),
    Refusal(-904, 404, "No such resource", post("replies/1", {})),
    Refusal(-904, 404, "No such resource", post("optout", {})),
    Refusal(-905, 405, "Method not allowed", lambda server: server.account().call("GET", "/api/replies")),
    Refusal(-905, 405, "Method not allowed", lambda server: server.account().call("GET", "/api/optouts")),
    Refusal(-906, 413, "Request body too large", post("optouts", b'{"Originator":["' + b"6" * 10**6)),
    Refusal(-907, 429, "Too many requests", too_often),
    Refusal(-910, 200, "Action not specified", post("optouts", {})),
    Refusal(-910, 200, "Unknown action 'clear'", post("optouts", {"Action": "clear"})),
    Refusal(-911, 200, "Field 'Action' must be text", post("optouts", {"Action": 1})),
    Refusal(
        -911, 200, "Field 'Originator' must be a list of numbers", post("optouts", {**OPTOUT, "Originator": {}})
    ),
    Refusal(-911, 200, "Field 'Days' must be a whole number", post("replies", {"Days": "two"})),
    Refusal(-911, 200, "Field 'Days' must be a whole number", post("replies", {"Days": 2.0})),
    Refusal(-911, 200, "Field 'DateStart' must be text", post("replies", {"DateStart": 20200601})),
    Refusal(-911, 200, "Field 'DateEnd' must be text", post("replies", {"DateEnd": True})),
    Refusal(-911, 200, "Field 'Test' must be true or false", post("replies", {"Test": "maybe"})),
    Refusal(-911, 200, "Field 'Originator' must be one number", post("replies", {"Originator": {}})),
    Refusal(-942, 200, "No valid number(s) specified", post("optouts", {"Action": "add"})),
    Refusal(-942, 200, "No valid number(s) specified", post("optouts", {**OPTOUT, "Originator": ["x", ""]})),
    Refusal(-942, 200, "No valid number(s) specified", post("optouts", {"Action": "delete"})),
    Refusal(-950, 200, RANGE, post("replies", {"Days": 0})),
    Refusal(-950, 200, RANGE, post("replies", {"Days": 367})),
    Refusal(-950, 200, RANGE, post("replies", {"Days": 2, "DateStart": "2020-06-01"})),
    Refusal(-950, 200, RANGE, post("replies", {"DateEnd": "2020-06-30"})),
    Refusal(-950, 200, RANGE, post("replies", {"DateStart": "2020-06-30", "DateEnd": "2020-06-01"})),
    Refusal(-950, 200, RANGE, post("replies", {"DateStart": "1 June 2020"})),
    Refusal(-950, 200, RANGE, post("replies", {"DateStart": "2019-06-01"})),
    Refusal(-990, 500, "Internal error (request x)", lambda server: broken(server, "/api/optouts", OPTOUT)),
    Refusal(-990, 500, "Internal error (request x)", lambda server: broken(server, "/api/replies", {})),
    Refusal(
        -991, 503, "Temporarily unavailable, nothing was accepted",
        lambda server: away(server, "/api/optouts", OPTOUT),
    ),
    Refusal(
        -991, 503, "Temporarily unavailable, nothing was accepted", lambda server: away(server, "/api/replies", {})
    ),
)  # fmt: skip

OF_SENDING = {0, -111, -117, -129, -130, -202, *range(-931, -919), -940, -941}
"""Codes of resources that are not about receiving."""


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


def test_every_code_of_receiving_is_reached() -> None:
    assert {refusal.code for refusal in REFUSALS} == {row.code for row in TABLE} - OF_SENDING
    for row in TABLE:
        assert all(refusal.http == row.http for refusal in REFUSALS if refusal.code == row.code)
