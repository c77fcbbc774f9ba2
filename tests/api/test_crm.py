"""POST /api/crm and campaigns to stored lists: the published examples, every code, and what is whose."""

from __future__ import annotations

import json
from array import array
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cooee.service.recipients import LARGE
from cooee.store.audience import PAGE, PIECE
from tests.api.support_api import Answer, Client, Server

TWO = [{"Number": "61400123456,61400123999"}]
GONE = 99_999


def crm(client: Client, action: str, **fields: object) -> Answer:
    return client.post("/api/crm", {"Action": action, **fields})


def made(client: Client, *numbers: object, name: str = "Staff List") -> int:
    records = [{"Number": number} for number in numbers]
    answer = crm(client, "create", Description=name, **({"Records": records} if numbers else {}))
    assert answer.json["Message"] == "CRM created"
    found = answer.json["CrmId"]
    assert isinstance(found, int)
    return found


def inside(client: Client, list_id: object) -> list[str]:
    answer = crm(client, "details", CrmId=list_id).json
    assert answer["Count"] == len(answer["Records"])
    return [record["Number"] for record in answer["Records"]]


def groups(client: Client, **more: object) -> list[dict[str, Any]]:
    answer = crm(client, "list", **more).json
    assert answer["Count"] == len(answer["Groups"])
    found = answer["Groups"]
    assert isinstance(found, list)
    return found


def test_published_examples(server: Server) -> None:
    client = server.account()
    created = client.post(
        "/api/crm",
        b'{"Action": "create", "Description": "Daily VIP client SMS", '
        b'"Records": [{"Number": "61400123456,61400999111"}]}',
    )
    list_id = created.json["CrmId"]
    assert created.status == 200
    assert created.body == b'{"CrmId":%d,"Message":"CRM created"}' % list_id
    appended = crm(client, "append", CrmId=list_id, Records=[{"Number": "61400111555,61400222333"}])
    assert appended.body == b'{"Message":"Added 2 numbers","Code":0}'
    again = crm(client, "append", CrmId=list_id, Records=[{"Number": "61400111555,61400222334"}])
    assert again.body == b'{"Message":"Added 1 number","Code":0}'
    removed = crm(client, "remove", CrmId=list_id, Records=[{"Number": "61400111555"}])
    assert removed.body == b'{"Message":"Removed 1 number","Code":0}'
    assert crm(client, "list").body == (
        b'{"Count":1,"Groups":[{"CrmId":%d,"Description":"Daily VIP client SMS","Count":4,"ParentGroup":0,'
        b'"ActiveCampaign":0,"Deleted":""}]}' % list_id
    )
    assert crm(client, "details", CrmId=list_id).body == (
        b'{"CrmId":%d,"Description":"Daily VIP client SMS","Count":4,"Records":[{"Number":"61400123456"},'
        b'{"Number":"61400222333"},{"Number":"61400222334"},{"Number":"61400999111"}]}' % list_id
    )
    # As it is published: with one comma too many.
    deleted = client.post("/api/crm", b'{"Action": "delete", "CrmId": %d,}' % list_id)
    assert deleted.body == b'{"Message":"Deleted","Code":0}'
    assert crm(client, "list").body == b'{"Count":0,"Groups":[]}'


def test_a_campaign_to_a_list_as_published(server: Server) -> None:
    client = server.account()
    list_id = made(client, "61400123456,61400999111")
    answer = client.post(
        "/api/campaign",
        {
            "Message": "Hello, this is a test to a list", "Originator": "61400190499",
            "TimeScheduled": "203707141230", "Reference": "123456", "Action": "create", "CrmIds": [list_id],
        },
    )  # fmt: skip
    campaign = answer.json["CampaignId"]
    assert answer.body == b'{"Code":0,"CampaignId":%d,"Messages":2,"Segments":1,"Credits":2}' % campaign
    assert client.credits == 998


@pytest.mark.parametrize("flag", [True, "true", "True", 1, "1"])
def test_order_and_deleted_lists(server: Server, flag: object) -> None:
    client = server.account(zone="Australia/Sydney")
    names = ["the boss", "Staff", "VIP", "staff", "Ångström", "123"]
    ids = {name: made(client, "61400123456", name=name) for name in names}
    assert [group["Description"] for group in groups(client)] == [
        "123",
        "Staff",
        "staff",
        "the boss",
        "VIP",
        "Ångström",
    ]
    assert ids["Staff"] < ids["staff"]
    assert crm(client, "delete", CrmId=ids["VIP"]).code == 0
    when = server.run(deleted_at(server, ids["VIP"]))
    assert "VIP" not in [group["Description"] for group in groups(client)]
    for no in (False, None, 0, "false"):
        assert len(groups(client, ShowDeleted=no)) == 5
    (gone,) = [group for group in groups(client, ShowDeleted=flag) if group["Deleted"]]
    assert gone == {
        "CrmId": ids["VIP"],
        "Description": "VIP",
        "Count": 1,
        "ParentGroup": 0,
        "ActiveCampaign": 0,
        "Deleted": when,
    }


async def deleted_at(server: Server, list_id: int) -> str:
    """The time of deletion in Sydney as a client is to read it, reckoned from the row by other means."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    async def operation(tx: Any) -> int:
        sql = f"SELECT deleted_at FROM list WHERE id = {list_id}"
        if tx.engine == "sqlite":
            return int(tx.connection.execute(sql).get)
        return int(await tx.connection.fetchval(sql))

    at = datetime.fromtimestamp(await server.database.read(operation) // 1000, UTC)
    return at.astimezone(ZoneInfo("Australia/Sydney")).strftime("%Y-%m-%d %H:%M:%S")


def test_what_a_deleted_list_still_does(server: Server) -> None:
    client = server.account(times_utc=True)
    list_id = made(client, "61400123456")
    for _ in range(2):
        assert crm(client, "delete", CrmId=list_id).json == {"Message": "Deleted", "Code": 0}
    (gone,) = groups(client, ShowDeleted=True)
    assert gone["Count"] == 1
    for action in ("details", "append", "remove"):
        answer = crm(client, action, CrmId=list_id, Records=TWO)
        assert answer.json == {"Message": f"List not found: {list_id}", "Code": -940}
    assert client.create(CrmIds=[list_id]).code == -940
    assert client.untouched()


def test_lists_of_others_and_none(server: Server) -> None:
    mine, theirs = server.account(), server.account()
    foreign = made(theirs, "61400123456")
    for list_id in (foreign, GONE, 0, -1, 2**53 + 1, 2**80, str(foreign)):
        for action in ("details", "append", "remove", "delete"):
            answer = crm(mine, action, CrmId=list_id, Records=TWO)
            assert (answer.status, answer.json) == (200, {"Message": f"List not found: {list_id}", "Code": -940})
        answer = mine.create(CrmIds=[list_id])
        assert answer.json == {"Message": f"List not found: {list_id}", "Code": -940}
    assert mine.untouched()
    assert groups(mine) == []
    assert inside(theirs, foreign) == ["61400123456"]


@pytest.mark.parametrize("action", ["details", "append", "remove", "delete"])
@pytest.mark.parametrize("bad", [None, "", "x", 1.5, True, [7], {}])
def test_ids_that_are_none(server: Server, action: str, bad: object) -> None:
    answer = crm(server.account(), action, CrmId=bad, Records=TWO)
    assert (answer.status, answer.code) == (200, -911)
    assert "CrmId" in answer.json["Message"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, -941),
        ({"Description": None}, -941),
        ({"Description": ""}, -941),
        ({"Description": " \u00a0\n"}, -941),
        ({"Description": " ", "Records": 5}, -941),
        ({"Description": 5}, -911),
        ({"Description": ["x"]}, -911),
        ({"Description": "x" * 256}, -911),
        ({"Description": "a\0b"}, -911),
        ({"Description": "x", "Records": []}, -942),
        ({"Description": "x", "Records": [{"Number": "12,hello"}, {}, {"Name": "61400123456"}]}, -942),
        ({"Description": "x", "Records": [None, 61400123456, "61400123456", [], {"Number": True}]}, -942),
        ({"Description": "x", "Records": [{"Number": ["61400123456"]}, {"Number": 61400123456.5}]}, -942),
        ({"Description": "x", "Records": "61400123456"}, -911),
        ({"Description": "x", "Records": {"Number": "61400123456"}}, -911),
        ({"Description": "x", "Records": True}, -911),
    ],
)
def test_refusals_of_create(server: Server, fields: dict[str, Any], code: int) -> None:
    client = server.account()
    answer = crm(client, "create", **fields)
    assert (answer.status, answer.code) == (200, code)
    assert list(answer.json) == ["Message", "Code"]
    texts = {-941: "List description not specified", -942: "No valid number(s) specified"}
    if code in texts:
        assert answer.json["Message"] == texts[code]
    assert server.counted("list", client.account) == server.counted("list_number", client.account) == 0


@pytest.mark.parametrize("action", ["append", "remove"])
def test_refusals_of_append_and_remove(server: Server, action: str) -> None:
    client = server.account()
    list_id = made(client, "61400123456")
    for records, code in ((None, -942), ([], -942), ([{"Number": "12"}], -942), ({}, -911), ("61400123456", -911)):
        assert crm(client, action, CrmId=list_id, Records=records).code == code
    # The list is looked for before its numbers.
    assert crm(client, action, CrmId=GONE, Records=[]).code == -940
    assert inside(client, list_id) == ["61400123456"]


def test_actions(server: Server) -> None:
    client = server.account()
    assert client.post("/api/crm", {}).json == {"Message": "Action not specified", "Code": -910}
    assert crm(client, "rename").json == {"Message": "Unknown action 'rename'", "Code": -910}
    assert client.post("/api/CRM/", {"action": "LIST"}).json == {"Count": 0, "Groups": []}
    assert client.call("GET", "/api/crm").code == -905
    bad: object
    for bad in ("yes", 2, 1.5, [], {}):
        assert crm(client, "list", ShowDeleted=bad).code == -911


def test_numbers_of_any_shape_and_form(server: Server) -> None:
    client = server.account()
    body = {
        "action": "Create",
        "DESCRIPTION": "x",
        "records": [
            {"Number": " 0400 123 456 , +61 (0)400-123-457,,12,0061400123458"},
            {"number": 61400123459},
            {"NUMBER": "61400123456", "Name": "Ann"},
            {"Number": "61212345678"},
            {"Number": "+6421123456"},
            {"Number": None},
            7,
        ],
    }
    list_id = client.post("/api/crm", body).json["CrmId"]
    expected = ["6421123456", "61212345678", *(str(61400123456 + n) for n in range(4))]
    assert inside(client, str(list_id)) == expected
    # What changed is counted, and nothing is no error.
    same = crm(client, "append", crmid=list_id, Records=[{"Number": "0400123456"}])
    assert same.json == {"Message": "Added 0 numbers", "Code": 0}
    none = crm(client, "remove", CrmID=list_id, Records=[{"Number": "61400000000"}])
    assert none.json == {"Message": "Removed 0 numbers", "Code": 0}
    three = crm(
        client, "remove", CrmID=list_id, Records=[{"Number": "0400123456,61400123457"}, {"Number": "0400123458"}]
    )
    assert three.json["Message"] == "Removed 3 numbers"
    assert [group["Count"] for group in groups(client)] == [3]


def test_a_list_without_numbers(server: Server) -> None:
    client = server.account()
    list_id = made(client, name='The "Boss" \\ ü')
    assert crm(client, "details", CrmId=list_id).json == {
        "CrmId": list_id, "Description": 'The "Boss" \\ ü', "Count": 0, "Records": [],
    }  # fmt: skip
    assert client.create(CrmIds=[list_id], Destinations=...).code == -111
    assert client.create(CrmIds=[list_id]).json["Messages"] == 1


@pytest.mark.parametrize("count", [PIECE, PIECE + 1, PAGE, 2 * PAGE + 3, 30_000])
@pytest.mark.parametrize("form", ["records", "text"])
def test_large_lists(server: Server, count: int, form: str) -> None:
    client = server.account(credits=10**6)
    numbers = [f"61400{n:06d}" for n in range(count)]
    split = [{"Number": number} for number in numbers] if form == "records" else [{"Number": ",".join(numbers)}]
    body = {"Action": "create", "Description": "x", "Records": split}
    assert count < 30_000 or len(json.dumps(body)) > LARGE
    list_id = client.post("/api/crm", body).json["CrmId"]
    assert [group["Count"] for group in groups(client)] == [count]
    assert inside(client, list_id) == numbers
    more = [{"Number": f"61411{n:06d}"} for n in range(count)]
    answer = crm(client, "append", CrmId=list_id, Records=[*split[:100], *more])
    assert answer.json == {"Message": f"Added {count} numbers", "Code": 0}
    answer = crm(client, "remove", CrmId=list_id, Records=[{"Number": "61499999999"}, *more])
    assert answer.json == {"Message": f"Removed {count} numbers", "Code": 0}
    assert inside(client, list_id) == numbers
    created = client.create(CrmIds=[list_id], Destinations=...).json
    assert (created["Messages"], created["Credits"]) == (count, count)


def test_lists_and_destinations_are_one_audience(server: Server) -> None:
    client = server.account()
    first = made(client, "61400123456,61400123457,61212345678")
    second = made(client, "61400123457,61400123458,6421123456")
    answer = client.create(CrmIds=[first, str(second), first], Destinations=["0400123458", "61400123459", "12"])
    assert answer.json["Messages"] == 4
    assert dropped(server, client) == (2, 2, 1)
    # Destinations may be missing or empty then, and CrmIds be one number.
    assert client.create(CrmIds=str(first), Destinations=...).json["Messages"] == 2
    assert client.create(CrmIds=first, Destinations=[]).json["Messages"] == 2


def dropped(server: Server, client: Client) -> tuple[int, int, int]:
    """Invalid, duplicate and international numbers of the client's only campaign."""

    async def operation(tx: Any) -> tuple[int, int, int]:
        sql = (
            "SELECT dropped_invalid, dropped_duplicate, dropped_international FROM campaign "
            f"WHERE account_id = {client.account.id}"
        )
        rows = list(tx.connection.execute(sql)) if tx.engine == "sqlite" else await tx.connection.fetch(sql)
        (row,) = rows
        return row[0], row[1], row[2]

    return server.run(server.database.read(operation))


def test_numbers_of_lists_are_canonical_already(server: Server) -> None:
    """Bare digits can be a local form too; what is in a list is none."""
    client = server.account(country="ES", allow_international=True)
    # A mobile of Norfolk Island in E.164 looks like one of Spain as it is dialled there.
    list_id = made(client, "+672381234", "672381234", "+61400123456")
    assert inside(client, list_id) == ["672381234", "34672381234", "61400123456"]
    assert client.create(CrmIds=[list_id], Destinations=...).json["Messages"] == 3


def test_permissions_hold_for_lists(server: Server) -> None:
    client = server.account()
    abroad = made(client, "6421123456")
    mixed = made(client, "6421123456", "61212345678")
    assert client.create(CrmIds=[abroad], Destinations=...).code == -926
    assert client.create(CrmIds=[mixed], Destinations=...).code == -111
    assert client.untouched()
    assert client.create(CrmIds=[abroad]).json["Messages"] == 1
    world = server.account(allow_international=True)
    assert world.create(CrmIds=[made(world, "6421123456")], Destinations=...).json["Messages"] == 1


def test_too_few_credits_for_a_list(server: Server) -> None:
    client = server.account(credits=1)
    list_id = made(client, "61400123456,61400123457")
    assert client.create(CrmIds=[list_id], Destinations=...).code == -202
    assert client.untouched(1)
    assert server.counted("campaign_list", client.account) == 0


def test_an_unknown_list_refuses_everything(server: Server) -> None:
    client = server.account()
    list_id = made(client, "61400123456")
    answer = client.create(CrmIds=[list_id, GONE, GONE + 1])
    assert answer.json == {"Message": f"List not found: {GONE}", "Code": -940}
    assert client.create(CrmIds=[*[list_id] * 2000, *range(GONE, GONE + 2000)]).code == -940
    assert client.create(CrmIds=[list_id, "x"]).code == -911
    assert client.untouched()


def test_the_active_campaign_is_the_newest_unfinished(server: Server) -> None:
    client = server.account()
    list_id, other = made(client, "61400123456", name="a"), made(client, "61400123457", name="b")
    later = {"Destinations": ..., "TimeScheduled": "203708301300"}

    def active() -> list[int]:
        return [group["ActiveCampaign"] for group in groups(client)]

    assert active() == [0, 0]
    first = client.create(CrmIds=[list_id, list_id], **later).json["CampaignId"]
    server.clock.advance(1)
    second = client.create(CrmIds=[list_id, other], **later).json["CampaignId"]
    assert active() == [second, second]
    assert client.post("/api/campaign", {"Action": "delete", "CampaignId": second}).code == 0
    assert active() == [first, 0]
    assert client.post("/api/campaign", {"Action": "pause", "CampaignId": first}).code == 0
    assert active() == [first, 0]
    assert client.post("/api/campaign", {"Action": "delete", "CampaignId": first}).code == 0
    assert active() == [0, 0]


def test_a_large_campaign_remembers_its_list(server: Server) -> None:
    client = server.account(credits=10**6)
    list_id = made(client, ",".join(f"61400{n:06d}" for n in range(6000)))
    campaign = client.create(CrmIds=[list_id], Destinations=..., TimeScheduled="203708301300").json
    assert campaign["Messages"] == 6000
    assert groups(client)[0]["ActiveCampaign"] == campaign["CampaignId"]
    many = [f"61411{n:06d}" for n in range(20_000)]
    both = client.create(CrmIds=[list_id], Destinations=many).json
    assert both["Messages"] == 26_000


def test_a_repeated_key_answers_though_the_list_is_gone(server: Server) -> None:
    client = server.account()
    list_id = made(client, "61400123456")
    body = {"Message": "x", "Originator": "Cooee", "CrmIds": [list_id], "Action": "create"}
    key = {"Idempotency-Key": "one"}
    first = client.post("/api/campaign", body, headers=key)
    assert first.code == 0
    assert crm(client, "delete", CrmId=list_id).code == 0
    assert client.post("/api/campaign", body, headers=key).body == first.body
    assert client.post("/api/campaign", body).code == -940


def test_lists_are_added_to_a_waiting_campaign(server: Server) -> None:
    """By its Reference, with and without more numbers; each list knows the campaign from then on."""
    client = server.account(credits=10**6)
    first, second = made(client, "61400123456,61400123457", name="a"), made(client, "61400123457", name="b")
    large = made(client, ",".join(f"61411{n:06d}" for n in range(7000)), name="c")
    waiting: dict[str, Any] = {"Reference": "r", "TimeScheduled": "203708301300", "Destinations": ...}

    def active() -> list[int]:
        return [group["ActiveCampaign"] for group in groups(client)]

    campaign = client.create(**{**waiting, "Destinations": ["61400123456"]}).json["CampaignId"]
    assert active() == [0, 0, 0]
    for lists, more, added, known in (
        ([first], ["61400123458"], 2, [campaign, 0, 0]),
        # Everybody is in it already, and the list was sent to all the same.
        ([second], ..., 0, [campaign, campaign, 0]),
        ([first, second], ..., 0, [campaign, campaign, 0]),
        ([large], ..., 7000, [campaign] * 3),
        ([large, first], ["61400123459"], 1, [campaign] * 3),
    ):
        answer = client.create(**{**waiting, "Destinations": more, "CrmIds": lists})
        assert answer.json == {
            "Code": 0, "CampaignId": campaign, "Messages": added, "Segments": 1, "Credits": added,
        }  # fmt: skip
        assert active() == known
    assert server.counted("campaign_list", client.account) == 3
    whole = client.post("/api/campaign", {"CampaignId": campaign, "Action": "modify"}).json
    assert (whole["Messages"], whole["Credits"]) == (7004, 7004)
    assert client.credits == 10**6 - 7004


def test_a_refused_append_of_a_list_leaves_nothing(server: Server) -> None:
    client = server.account(credits=2)
    list_id = made(client, "61400123456,61400123457")
    waiting: dict[str, Any] = {"Reference": "r", "TimeScheduled": "203708301300"}
    assert client.create(**waiting, Destinations=["61400123458"]).code == 0
    assert client.create(**waiting, CrmIds=[list_id], Destinations=...).code == -202
    assert client.create(**waiting, CrmIds=[list_id, GONE], Destinations=...).code == -940
    assert groups(client)[0]["ActiveCampaign"] == server.counted("campaign_list", client.account) == 0
    assert client.credits == 1


def recipients_of(server: Server, campaign: int) -> list[int]:
    """Every recipient that a campaign has, over all its batches."""

    async def operation(tx: Any) -> list[int]:
        sql = f"SELECT numbers FROM batch WHERE campaign_id = {campaign}"
        rows = list(tx.connection.execute(sql)) if tx.engine == "sqlite" else await tx.connection.fetch(sql)
        found = array("q")
        for row in rows:
            found.frombytes(row[0])
        return list(found)

    return server.run(server.database.read(operation))


@pytest.mark.parametrize("reference", [None, "r"])
def test_campaigns_from_a_list_that_is_being_changed(server: Server, reference: str | None) -> None:
    """Whoever is in the list all the time is a recipient, once; what is charged is who is sent to."""
    client = server.account(credits=10**6)
    stays = [61400000000 + n for n in range(PAGE + 100)]
    comes = [61410000000 + n for n in range(3 * PIECE)]
    goes = [61390000000 + n for n in range(PAGE)]
    list_id = made(client, ",".join(map(str, [*stays, *goes])))
    records = [{"Number": ",".join(map(str, comes))}]
    body: dict[str, Any] = {"CrmIds": [list_id], "Destinations": ..., "TimeScheduled": "203708301300"}
    with ThreadPoolExecutor(8) as pool:
        changes = [
            pool.submit(crm, client, "append", CrmId=list_id, Records=records),
            pool.submit(crm, client, "remove", CrmId=list_id, Records=[{"Number": ",".join(map(str, goes))}]),
        ]
        creates = [pool.submit(client.create, **body, Reference=reference) for _ in range(4)]
        changes.append(pool.submit(crm, client, "append", CrmId=list_id, Records=records))
        answers = [each.result().json for each in creates]
        assert [each.result().code for each in changes] == [0, 0, 0]
    charged = 0
    for campaign in {answer["CampaignId"] for answer in answers}:
        found = recipients_of(server, campaign)
        assert len(found) == len(set(found))
        assert set(stays) <= set(found) <= {*stays, *comes, *goes}
        assert len(found) == sum(answer["Messages"] for answer in answers if answer["CampaignId"] == campaign)
        charged += len(found)
    assert client.credits == 10**6 - charged
    assert len({answer["CampaignId"] for answer in answers}) == (1 if reference else 4)
    assert [group["Count"] for group in groups(client)] == [len(stays) + len(comes)]
    assert inside(client, list_id) == [str(number) for number in [*stays, *comes]]


def test_a_list_deleted_while_campaigns_are_made_from_it(server: Server) -> None:
    """Each is whole, or refused for want of the list."""
    client = server.account(credits=10**6)
    numbers = [61400000000 + n for n in range(2 * PAGE)]
    list_id = made(client, ",".join(map(str, numbers)))
    with ThreadPoolExecutor(8) as pool:
        creates = [pool.submit(client.create, CrmIds=[list_id], Destinations=...) for _ in range(4)]
        gone = pool.submit(crm, client, "delete", CrmId=list_id)
        creates += [pool.submit(client.create, CrmIds=[list_id], Destinations=...) for _ in range(4)]
        answers = [each.result().json for each in creates]
        assert gone.result().code == 0
    accepted = [answer for answer in answers if answer["Code"] == 0]
    assert {answer["Code"] for answer in answers} <= {0, -940}
    assert {answer["Messages"] for answer in accepted} <= {2 * PAGE}
    assert client.credits == 10**6 - 2 * PAGE * len(accepted)
