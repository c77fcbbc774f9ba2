"""TimeScheduled: what it may look like, and which instant it stands for in the account's zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.api.support_api import Client, Server

SYDNEY, AUCKLAND, LONDON = "Australia/Sydney", "Pacific/Auckland", "Europe/London"
ADELAIDE, LORD_HOWE, KATHMANDU = "Australia/Adelaide", "Australia/Lord_Howe", "Asia/Kathmandu"
NOW = None
"""Sent at once."""

GIVEN: list[tuple[str, Any, str | None]] = [
    # zone, TimeScheduled, the instant (UTC); by the clock of these tests it is spring 2026
    (SYDNEY, "202907281330", "2029-07-28T03:30"),
    (SYDNEY, 202907281330, "2029-07-28T03:30"),
    (SYDNEY, "202901281330", "2029-01-28T02:30"),
    (SYDNEY, "202902281330", "2029-02-28T02:30"),
    (SYDNEY, "202802291330", "2028-02-29T02:30"),
    (SYDNEY, "999812312359", "9998-12-31T12:59"),
    (AUCKLAND, "202907281330", "2029-07-28T01:30"),
    (LONDON, "202907281330", "2029-07-28T12:30"),
    (ADELAIDE, "202907281330", "2029-07-28T04:00"),
    (LORD_HOWE, "202907281330", "2029-07-28T03:00"),
    (LORD_HOWE, "202901281330", "2029-01-28T02:30"),
    (KATHMANDU, "202907281330", "2029-07-28T07:45"),
    ("America/St_Johns", "202907281330", "2029-07-28T16:00"),
    ("UTC", "202907281330", "2029-07-28T13:30"),
    # Skipped: moved forward by the gap.
    (SYDNEY, "202810010230", "2028-09-30T16:30"),
    (SYDNEY, "202810010200", "2028-09-30T16:00"),
    (SYDNEY, "202810010300", "2028-09-30T16:00"),
    (AUCKLAND, "202809240230", "2028-09-23T14:30"),
    (LONDON, "202803260130", "2028-03-26T01:30"),
    (LORD_HOWE, "202810010215", "2028-09-30T15:45"),
    # Twice: the first of the two.
    (SYDNEY, "202804020230", "2028-04-01T15:30"),
    (AUCKLAND, "202804020230", "2028-04-01T13:30"),
    (LONDON, "202810290130", "2028-10-29T00:30"),
    (LORD_HOWE, "202804020145", "2028-04-01T14:45"),
    # Past, this very minute, and not at all.
    (SYDNEY, "202001010000", NOW),
    (SYDNEY, "000101010000", NOW),
    (SYDNEY, None, NOW),
    (SYDNEY, ..., NOW),
]
WRONG: list[Any] = [
    "", " ", "tomorrow", "20290728133", "2029072813300", "2029-07-28 13:30", "202913011330", "202902301330",
    "202902291330", "202907282430", "202907281360", "000001010000", "999912312359", "-20290728133", "+20290728133",
    "２０２９０７２８１３３０", "202907281330 ", 20290728133, 2029072813300, 0, -1,
]  # fmt: skip
WRONG_TYPE: list[Any] = [202907281330.5, 2.5e11, True, ["202907281330"], {"at": "202907281330"}]


def due(client: Client, campaign: int) -> str | None:
    """When it is due, UTC."""
    server = client.server

    async def operation(tx: Any) -> Any:
        sql = f"SELECT due_at FROM campaign WHERE id = {campaign}"
        return tx.connection.execute(sql).get if tx.engine == "sqlite" else await tx.connection.fetchval(sql)

    ms = server.run(server.database.read(operation))
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(("zone", "given", "instant"), GIVEN)
def test_it_is_an_instant_in_the_accounts_zone(server: Server, zone: str, given: Any, instant: str | None) -> None:
    client = server.account(zone=zone)
    answer = client.create(TimeScheduled=given)
    assert answer.code == 0
    assert due(client, answer.json["CampaignId"]) == instant
    word = client.post("/api/campaign", {"Action": "status", "CampaignId": answer.json["CampaignId"]}).json
    assert word["Message"] == ("Running" if instant is None else "Scheduled")


def test_this_minute_is_past_and_the_next_is_not(server: Server) -> None:
    client = server.account(zone="UTC")
    now = server.clock.now_ms() // 60_000 * 60
    for seconds, later in ((0, False), (60, True)):
        given = datetime.fromtimestamp(now + seconds, UTC).strftime("%Y%m%d%H%M")
        campaign = client.create(TimeScheduled=given).json["CampaignId"]
        assert (due(client, campaign) is not None) == later


@pytest.mark.parametrize(("given", "code"), [(v, -922) for v in WRONG] + [(v, -911) for v in WRONG_TYPE])
def test_what_is_no_time(server: Server, given: Any, code: int) -> None:
    client = server.account()
    answer = client.create(TimeScheduled=given)
    assert (answer.status, answer.code) == (200, code)
    assert client.untouched()
    later = client.create(TimeScheduled="209901010900").json["CampaignId"]
    changed = client.post("/api/campaign", {"Action": "modify", "CampaignId": later, "TimeScheduled": given})
    assert (changed.status, changed.code) == (200, code)
    assert due(client, later) == "2098-12-31T22:00"


def test_the_last_year_with_a_send_window(server: Server) -> None:
    client = server.account(zone="Pacific/Kiritimati")

    async def window(tx: Any) -> None:
        sql = f"UPDATE account SET window_opens = 480, window_closes = 481 WHERE id = {client.account.id}"
        await tx.connection.execute(sql) if tx.engine == "postgres" else tx.connection.execute(sql)

    server.run(server.database.write(window))
    assert client.create(TimeScheduled="999812312359").code == 0
    assert client.create(TimeScheduled="999912312359").code == -922
