"""POST /api/replies: what is asked for, in which form it comes, how often, and what is flagged."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cooee.model.clock import DAY, MINUTE, SECOND, local_to_ms
from tests.api.support_api import Answer, Client, Server

SYDNEY = ZoneInfo("Australia/Sydney")


def polled(client: Client, **fields: Any) -> Answer:
    """A poll that nothing keeps from being answered: the bucket is full again."""
    client.server.clock.advance(200)
    return client.post("/api/replies", fields)


def texts(answer: Answer) -> list[str]:
    body = answer.json
    assert list(body) == ["Count", "Messages"], body
    assert body["Count"] == len(body["Messages"])
    return [each["MessageText"] for each in body["Messages"]]


def test_what_was_passed_on_comes_once(server: Server) -> None:
    client = server.account()
    server.reply(client.account, "one", "two")
    assert texts(polled(client)) == ["one", "two"]
    assert polled(client).body == b'{"Count":0,"Messages":[]}'
    server.reply(client.account, "three")
    assert texts(polled(client)) == ["three"]


def test_oldest_first_whatever_their_ids(server: Server) -> None:
    client = server.account()
    now = server.clock.now_ms()
    server.reply(client.account, "3", "4", at=now - 5000)
    server.reply(client.account, "1", "2", at=now - 9000)
    assert texts(polled(client)) == ["1", "2", "3", "4"]


def test_a_test_flags_none(server: Server) -> None:
    client = server.account()
    server.reply(client.account, "one")
    for word in (True, "true", 1):
        assert texts(polled(client, Test=word)) == ["one"]
    assert texts(polled(client, Test=False)) == ["one"]
    assert texts(polled(client, Test=True)) == []


@pytest.mark.parametrize("body", [b"", b"{}", b"  \r\n", b'{"Days": null, "Unknown": 1}', b'{"DateStart":""}'])
def test_no_fields_at_all(server: Server, body: bytes) -> None:
    client = server.account()
    server.reply(client.account, "one")
    assert texts(client.post("/api/replies", body)) == ["one"]
    assert texts(polled(client)) == []


def test_what_was_retrieved_is_there_for_those_who_name_a_time(server: Server) -> None:
    client = server.account()
    server.reply(client.account, "one")
    today = datetime.fromtimestamp(server.clock.now_ms() / SECOND, SYDNEY).date().isoformat()
    forms: list[dict[str, Any]] = [
        {"Days": 1}, {"Days": "2"}, {"DateStart": today}, {"DateStart": today, "DateEnd": today},
        {"Originator": "61400123456"}, {"Originator": "0400 123 456", "Days": 2},
        {"Originator": 61400123456, "DateStart": today},
    ]  # fmt: skip
    for form in forms:
        assert texts(polled(client, **form)) == ["one"], form
    assert texts(polled(client)) == ["one"]
    for form in forms:
        assert texts(polled(client, **form)) == ["one"], form
    assert server.waiting(client.account) == 0


def test_days_begin_at_local_midnight(server: Server) -> None:
    client = server.account(zone="Australia/Sydney")
    today = datetime.fromtimestamp(server.clock.now_ms() / SECOND, SYDNEY).replace(
        hour=0, minute=0, second=0, microsecond=0, tzinfo=None
    )
    midnight = local_to_ms(today, SYDNEY)
    server.reply(client.account, "two days", at=midnight - DAY - 1)
    server.reply(client.account, "yesterday", at=midnight - DAY)
    server.reply(client.account, "late", at=midnight - 1)
    server.reply(client.account, "today", at=midnight)
    assert texts(client.post("/api/replies", {"Days": 1})) == ["today"]
    assert texts(client.post("/api/replies", {"Days": 2})) == ["yesterday", "late", "today"]
    day = today.date().isoformat()
    assert texts(client.post("/api/replies", {"DateStart": day, "DateEnd": day})) == ["today"]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        # On the day that daylight saving begins 23 hours long, on its last 25.
        ("Australia/Sydney", "2025-10-05", 23),
        ("Australia/Sydney", "2026-04-05", 25),
        ("Pacific/Auckland", "2025-09-28", 23),
        ("Europe/London", "2026-03-29", 23),
        ("Europe/London", "2025-10-26", 25),
        # Midnight itself is skipped.
        ("America/Santiago", "2025-09-07", 23),
    ],
)
def test_a_day_is_as_long_as_it_is_there(server: Server, zone: str, day: str, hours: int) -> None:
    client = server.account(zone=zone)
    start = local_to_ms(datetime.fromisoformat(day), ZoneInfo(zone))
    for text, at in (
        ("before", start - 1),
        ("first", start),
        ("last", start + hours * 60 * MINUTE - 1),
        ("after", start + hours * 60 * MINUTE),
    ):
        server.reply(client.account, text, at=at)
    assert texts(polled(client, DateStart=day, DateEnd=day)) == ["first", "last"]


@pytest.mark.parametrize("utc", [False, True])
def test_times_are_the_accounts(server: Server, utc: bool) -> None:
    client = server.account(zone="Asia/Tokyo", times_utc=utc)
    server.reply(
        client.account, "one", at=local_to_ms(datetime.fromisoformat("2026-05-01T10:01:10"), SYDNEY) + 999
    )
    (found,) = polled(client).json["Messages"]
    assert found["Received"] == ("2026-05-01T00:01:10" if utc else "2026-05-01T09:01:10")


def test_of_one_mobile(server: Server) -> None:
    client = server.account()
    now = server.clock.now_ms()
    server.reply(client.account, "old", at=now - 32 * DAY)
    server.reply(client.account, "mine", at=now - 29 * DAY)
    server.reply(client.account, "another", sender="61400987654", at=now)
    server.reply(client.account, "named", sender="Telstra", at=now + 1)
    for written in ("+61400123456", "0061400123456", "0400-123-456", 61400123456, ["61400123456"]):
        assert texts(polled(client, Originator=written)) == ["mine"], written
    assert texts(polled(client, Originator="61400123456", Days=60)) == ["old", "mine"]
    assert texts(polled(client, Originator="Telstra")) == ["named"]
    assert texts(polled(client, Originator="61400000000")) == []
    assert texts(polled(client, Originator="")) == ["old", "mine", "another", "named"]


def test_each_account_has_its_own(server: Server) -> None:
    client = server.account()
    other = server.account(parent=client.name)
    server.reply(client.account, "one")
    assert texts(polled(other)) == texts(polled(other, Days=5)) == []
    assert texts(polled(client)) == ["one"]


def test_texts_come_as_they_were_written(server: Server) -> None:
    client = server.account()
    wrote = 'He said "hi" \\ \n\t\x0c 🎈 ünïcödé </script>'
    server.reply(client.account, wrote, "", sender='A "B" \\', recipient="12345", reference='re"f')
    first, second = polled(client).json["Messages"]
    assert (first["MessageText"], second["MessageText"]) == (wrote, "")
    assert (first["Originator"], first["Recipient"], first["ReferenceId"]) == ('A "B" \\', "12345", 're"f')


BAD = [
    {"Days": 0},
    {"Days": -1},
    {"Days": 367},
    {"Days": 1, "DateStart": "2026-05-01"},
    {"Days": 1, "DateEnd": "2026-05-01"},
    {"DateEnd": "2026-05-01"},
    {"DateStart": "2026-05-02", "DateEnd": "2026-05-01"},
    {"DateStart": "2025-05-01", "DateEnd": "2026-05-02"},
    {"DateStart": "2024-01-01"},
    {"DateStart": "2999-01-01"},
    {"DateStart": "2026-02-30"},
    {"DateStart": "01/05/2026"},
    {"DateStart": "2026-05-01T00:00:00"},
    {"DateStart": "20260501"},
    {"DateStart": "9999-12-31", "DateEnd": "9999-12-31"},
    {"DateStart": "0001-01-01", "DateEnd": "0001-01-01"},
    {"DateEnd": "2026-05-01", "Originator": "61400123456"},
]


@pytest.mark.parametrize("form", BAD, ids=str)
def test_ranges_that_are_none(server: Server, form: dict[str, Any]) -> None:
    client = server.account()
    answer = client.post("/api/replies", form)
    if "0001" in str(form):
        # A date like any other, long before there was anything to receive.
        assert texts(answer) == []
        return
    assert (answer.status, answer.json) == (200, {"Message": "Date range is not valid", "Code": -950})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("Days", "x"), ("Days", 1.5), ("Days", True), ("Days", []), ("Days", ""), ("DateStart", 20260501),
        ("DateEnd", {}), ("Test", "perhaps"), ("Test", 2), ("Test", []), ("Originator", {}), ("Originator", 1.5),
        ("Originator", True), ("Originator", ["61400123456", "61400123457"]), ("Originator", []),
    ],
)  # fmt: skip
def test_fields_of_the_wrong_kind(server: Server, name: str, wrong: object) -> None:
    client = server.account()
    answer = client.post("/api/replies", {name: wrong})
    assert (answer.status, answer.json["Code"]) == (200, -911)
    assert f"'{name}'" in answer.json["Message"]


def test_the_longest_ranges(server: Server) -> None:
    client = server.account()
    server.reply(client.account, "old", at=server.clock.now_ms() - 365 * DAY)
    assert texts(client.post("/api/replies", {"Days": 366})) == ["old"]
    answer = client.post("/api/replies", {"DateStart": "2025-05-02", "DateEnd": "2026-05-02"})
    assert answer.json["Count"] in (0, 1)


def test_three_polls_and_then_one_a_minute(server: Server) -> None:
    client = server.account()
    forms: list[dict[str, Any]] = [{}, {"Test": True}, {"Days": 1}]
    assert [client.post("/api/replies", form).status for form in forms] == [200] * 3
    refused = client.post("/api/replies", {})
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (429, -907, "60")
    assert refused.json == {"Message": "Too many requests", "Code": -907}
    server.clock.advance(20)
    assert client.post("/api/replies", {}).headers["retry-after"] == "40"
    server.clock.advance(39.5)
    assert client.post("/api/replies", {}).headers["retry-after"] == "1"
    server.clock.advance(0.5)
    assert client.post("/api/replies", {}).status == 200
    assert client.post("/api/replies", {}).status == 429
    assert server.account().post("/api/replies", {}).status == 200


def test_who_polls_each_minute_is_never_refused(server: Server) -> None:
    client = server.account()
    for late in [0.0, 0.4, -0.7, 0.3] * 6:
        server.clock.advance(60 + late)
        assert client.post("/api/replies", {}).status == 200


def test_a_refused_query_is_no_poll(server: Server) -> None:
    client = server.account()
    for form in [*BAD[:8], {"Days": "x"}]:
        assert client.post("/api/replies", form).code in (-950, -911)
    client.post("/api/replies", b"{")
    client.post("/api/replies", {}, login="Basic bm9ib2R5Om5vdGhpbmc=")
    assert [client.post("/api/replies", {}).status for _ in range(4)] == [200, 200, 200, 429]


def test_a_clock_that_was_put_back_locks_nobody_out(server: Server) -> None:
    client = server.account()
    for _ in range(3):
        client.post("/api/replies", {})
    server.clock.jump(-3600)
    try:
        assert [client.post("/api/replies", {}).status for _ in range(4)] == [200, 200, 200, 429]
    finally:
        server.clock.jump(3600)


def test_many_replies_are_streamed_whole_and_flagged(server: Server) -> None:
    client = server.account()
    wrote = [f"reply {number} " + "x" * 100 for number in range(12_000)]
    server.reply(client.account, *wrote, at=server.clock.now_ms() - DAY)
    answer = polled(client)
    assert texts(answer) == wrote
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert texts(polled(client)) == []
    assert server.waiting(client.account) == 0
    assert texts(polled(client, Days=3)) == wrote
