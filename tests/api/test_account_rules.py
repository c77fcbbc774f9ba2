"""What an operator sets about an account's sending, as its client programs meet it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cooee.model.clock import HOUR, local_to_ms, ms_to_local, zone
from cooee.model.errors import ConfigError
from cooee.model.metrics import LOW_BALANCE
from cooee.service.rates import Rates
from cooee.service.senders import Senders
from cooee.store import campaigns as campaign_rows
from cooee.store.database import Tx
from tests.api.support_api import Client, Server

LATER = "209901010900"
AU = ["61400123456", "61400123999", "61400123888"]
NZ = ["64211234567", "64211234568"]


def rows(client: Client, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a statement with the account's id for {id}."""

    async def operation(tx: Any) -> list[tuple[Any, ...]]:
        text = sql.format(id=client.account.id)
        if tx.engine == "sqlite":
            return [tuple(row) for row in tx.connection.execute(text)]
        return [tuple(row) for row in await tx.connection.fetch(text)]

    return client.server.run(client.server.database.read(operation))


def settings(client: Client, **changes: Any) -> None:
    client.account = client.server.run(client.server.accounts.set(client.name, **changes))


def rate(client: Client, country: str, credits: int, *, everybody: bool = False) -> None:
    """Sets a rate, as `cooee rate` does, and lets the server notice it."""
    server = client.server
    rates = Rates(server.database, server.clock, server.accounts.changed)
    server.run(rates.set(country, credits, None if everybody else client.name))


def campaign(answer: Any) -> int:
    assert answer.code == 0, answer.json
    return int(answer.json["CampaignId"])


def act(client: Client, action: str, number: int, **more: Any) -> Any:
    return client.post("/api/campaign", {"Action": action, "CampaignId": number, **more})


def books(client: Client) -> None:
    """The balance is the sum of the ledger."""
    server = client.server
    assert list(server.run(server.database.read(lambda tx: tx.all("ledger_differences")))) == []


# --- originators -------------------------------------------------------------------------------------------


def test_only_approved_originators(server: Server) -> None:
    client = server.account(approved_only=True)
    senders = Senders(server.database, server.clock, server.accounts.changed)
    assert client.create(Originator="Shop").json == {
        "Message": "Originator is not approved for this account", "Code": -921,
    }  # fmt: skip
    assert client.untouched()
    assert server.run(senders.add(client.name, ["Shop", "+61 400".replace(" ", "") + "190499", "Shop"])) == 2
    assert server.run(senders.add(client.name, ["Shop"])) == 0
    assert server.run(senders.list(client.name)) == ["61400190499", "Shop"]
    for given in ("Shop", "61400190499", "+61400190499", "0061400190499", 61400190499):
        assert client.create(Originator=given).code == 0
    # Letter by letter, and not of anybody else's list.
    assert client.create(Originator="SHOP").code == -921
    assert server.account(approved_only=True).create(Originator="Shop").code == -921
    assert server.account().create(Originator="SHOP").code == 0
    # What is no sender at all is still that.
    assert client.create(Originator="what is that?").json["Message"] == "Originator is not valid"

    number = campaign(client.create(Originator="Shop", TimeScheduled=LATER))
    assert act(client, "modify", number, Originator="Other").code == -921
    assert act(client, "modify", number, Originator="61400190499").code == 0
    assert act(client, "modify", number, Message="another text").code == 0
    with pytest.raises(ConfigError, match="no sender ID 'Nobody'"):
        server.run(senders.remove(client.name, ["Shop", "Nobody"]))
    assert server.run(senders.remove(client.name, ["Shop"])) == 1
    assert client.create(Originator="Shop").code == -921
    # What was accepted stays, also when its sender is not approved any more.
    server.run(senders.remove(client.name, ["61400190499"]))
    assert act(client, "modify", number, Message="a third text").code == 0
    settings(client, approved_only=False)
    assert client.create(Originator="Anybody").code == 0


def test_sender_ids_that_can_be_none(server: Server) -> None:
    client = server.account()
    senders = Senders(server.database, server.clock)
    for text in ("", "12", "a name that is too long", "ümlaut", " x"):
        with pytest.raises(ConfigError, match="can be no sender"):
            server.run(senders.add(client.name, ["Good", text]))
    with pytest.raises(ConfigError, match="no account 'nobody'"):
        server.run(senders.add("nobody", ["Good"]))
    assert server.run(senders.list(client.name)) == []


# --- whom it may write to ----------------------------------------------------------------------------------


def test_countries(server: Server) -> None:
    client = server.account(allow_international=True, countries=("NZ", "AU"))
    answer = client.create(Destinations=[*AU, *NZ, "447400123456", "not a number"])
    assert answer.json["Messages"] == 5
    assert rows(client, "SELECT dropped_invalid, dropped_international FROM campaign WHERE account_id = {id}") == [
        (1, 1)
    ]
    for given in (["447400123456"], ["447400123456", "447400123457", "447400123457"]):
        assert client.create(Destinations=given).json == {
            "Message": "Account does not allow international destinations", "Code": -926,
        }  # fmt: skip
    assert client.create(Destinations=["447400123456", "wrong"]).code == -111
    # Home can be left out.
    abroad = server.account(allow_international=True, countries=("NZ",))
    assert abroad.create(Destinations=AU).code == -926
    assert abroad.create(Destinations="0400123456").code == -926
    assert abroad.create(Destinations=[*AU, *NZ]).json["Messages"] == 2
    settings(abroad, countries=())
    assert abroad.create(Destinations=[*AU, "447400123456"]).json["Messages"] == 4


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"countries": ("NZ",)}, "set --international too"),
        ({"countries": ("AU", "XX")}, "'XX' is no country"),
        ({"credit_limit": -1}, "credit limit of -1"),
        ({"daily_cap": -1}, "daily cap of -1"),
        ({"low_balance": 2**53}, "low-balance mark"),
        ({"window": (480, 480)}, "give none"),
        ({"window": (1440, 480)}, "closes by 24:00"),
        ({"window": (0, 1441)}, "closes by 24:00"),
    ],
)
def test_settings_that_cannot_be(server: Server, changes: dict[str, Any], says: str) -> None:
    client = server.account()
    before = client.account
    with pytest.raises(ConfigError, match=says):
        settings(client, **changes)
    assert server.run(server.accounts.find(client.name)) == before
    with pytest.raises(ConfigError, match=says):
        server.account(**changes)


def test_home_moves_only_where_the_countries_allow_it(server: Server) -> None:
    client = server.account(countries=("AU",))
    with pytest.raises(ConfigError, match="send within NZ only, so AU"):
        settings(client, country="NZ")
    settings(client, country="NZ", countries=("NZ",))
    assert client.create(Destinations=NZ).json["Messages"] == 2
    assert client.create(Destinations=AU).code == -926


def test_shape_is_enough_where_the_account_says_so(server: Server) -> None:
    landline, odd = "61291234567", "61999999999"
    client = server.account()
    assert client.create(Destinations=[landline]).code == -111
    settings(client, shape_only=True)
    assert client.create(Destinations=[landline]).json["Messages"] == 1
    assert client.create(Destinations=[landline, odd, "02 9123 4567", "12", "x"]).json["Messages"] == 2
    assert client.create(Destinations="99912345678").code == -926
    settings(client, allow_international=True)
    assert client.create(Destinations="99912345678").json["Messages"] == 1
    settings(client, countries=("AU", "NZ"))
    assert client.create(Destinations=["99912345678"]).code == -926
    assert client.create(Destinations=[landline, "99912345678"]).json["Messages"] == 1
    settings(client, shape_only=False)
    assert client.create(Destinations=[landline]).code == -111


# --- texts -------------------------------------------------------------------------------------------------


def test_smart_encoding_is_opted_into(server: Server) -> None:
    text = "“Don’t” – it’s…\u00a0fine" + " and long enough to need two segments in UCS-2, but one in GSM-7"
    plain = "\"Don't\" - it's... fine and long enough to need two segments in UCS-2, but one in GSM-7"
    client = server.account()
    assert client.create(Message=text).json["Segments"] == 2
    settings(client, smart_encoding=True)
    answer = client.create(Message=text).json
    assert (answer["Segments"], answer["Credits"]) == (1, 1)
    found = rows(client, "SELECT body, encoding, segments FROM campaign WHERE account_id = {id} ORDER BY id")
    assert found == [(text, 8, 2), (plain, 0, 1)]
    # Where UCS-2 is needed all the same, nothing is changed.
    number = campaign(client.create(Message="“日本”", TimeScheduled=LATER))
    assert act(client, "modify", number, Message=text).json["Segments"] == 1
    # The permission is about what is sent.
    settings(client, allow_unicode=False)
    assert client.create(Message=text).code == 0
    assert client.create(Message="“日本”").code == -924
    # The length is that of the text as it came; what is not seen is no message.
    assert client.create(Message="…" * 2001).code == -923
    assert client.create(Message="…" * 2000).json["Segments"] == 40
    assert client.create(Message="\u200b").code == -117


def test_a_reference_is_found_by_the_text_as_it_is_sent(server: Server) -> None:
    client = server.account(smart_encoding=True)
    wanted = {"Message": "It’s…", "Reference": "r", "TimeScheduled": LATER}
    number = campaign(client.create(**wanted, Destinations=AU[:1]))
    assert campaign(client.create(**wanted, Destinations=AU)) == number
    assert campaign(client.create(**{**wanted, "Message": "It's..."}, Destinations=AU)) == number


# --- rates -------------------------------------------------------------------------------------------------


def test_each_country_costs_its_rate(server: Server) -> None:
    client = server.account(allow_international=True)
    rate(client, "nz", 3)
    answer = client.create(Destinations=[*AU, *NZ], Message="x" * 161).json
    assert answer["Messages"] == 5
    assert (answer["Segments"], answer["Credits"]) == (2, 2 * (3 * 1 + 2 * 3))
    assert client.credits == 1000 - 18
    batches = "SELECT no, size, credits_each FROM batch WHERE account_id = {id} ORDER BY campaign_id, no"
    assert rows(client, batches) == [(0, 3, 2), (1, 2, 6)]
    one = client.create(Destinations=NZ[0]).json
    assert (one["Messages"], one["Credits"]) == (1, 3)
    assert rows(client, "SELECT credits, batches FROM campaign WHERE account_id = {id} ORDER BY id") == [
        (18, 2), (3, 1),
    ]  # fmt: skip
    # Only this account's.
    other = server.account(allow_international=True)
    assert other.create(Destinations=[*AU, *NZ]).json["Credits"] == 5
    books(client)


def test_rates_of_everybody_and_of_one_account(server: Server) -> None:
    client, other = server.account(allow_international=True), server.account(allow_international=True)
    rates = Rates(server.database, server.clock, server.accounts.changed)
    try:
        rate(client, "FJ", 4, everybody=True)
        rate(client, "FJ", 2)
        fiji = "6797012345"
        assert client.create(Destinations=fiji).json["Credits"] == 2
        assert other.create(Destinations=fiji).json["Credits"] == 4
        assert [(each.country, each.credits, each.own) for each in server.run(rates.list(client.name))] == [
            ("FJ", 2, True)
        ]
        server.run(rates.remove("FJ", client.name))
        assert client.create(Destinations=fiji).json["Credits"] == 4
    finally:
        server.run(rates.remove("FJ"))
    assert client.create(Destinations=fiji).json["Credits"] == 1


def test_a_free_country(server: Server) -> None:
    client = server.account(credits=0)
    rate(client, "AU", 0)
    answer = client.create(Destinations=AU, TimeScheduled=LATER).json
    assert (answer["Code"], answer["Credits"]) == (0, 0)
    assert act(client, "modify", answer["CampaignId"], Message="x" * 161).json["Credits"] == 0
    assert act(client, "delete", answer["CampaignId"]).code == 0
    assert client.credits == 0
    books(client)


def test_modify_keeps_the_rate_that_was_charged(server: Server) -> None:
    client = server.account(allow_international=True)
    rate(client, "NZ", 3)
    number = campaign(client.create(Destinations=[*AU, *NZ], TimeScheduled=LATER))
    assert client.credits == 1000 - 9
    rate(client, "NZ", 50)
    rate(client, "AU", 10)
    answer = act(client, "modify", number, Message="x" * 161).json
    assert (answer["Messages"], answer["Segments"], answer["Credits"]) == (5, 2, 18)
    assert client.credits == 1000 - 18
    assert act(client, "modify", number, Message="x" * 400).json["Credits"] == 27
    assert act(client, "modify", number, Message="short").json["Credits"] == 9
    assert client.credits == 1000 - 9
    found = rows(client, "SELECT size, credits_each FROM batch WHERE account_id = {id} ORDER BY no")
    assert found == [(3, 1), (2, 3)]
    # What is added later costs what it costs then, and each part comes back at its own rate.
    more = client.create(
        Destinations=[*AU, "61400123111", "64211234999"], TimeScheduled=LATER, Message="short", Reference="x"
    ).json
    assert more["CampaignId"] != number
    assert act(client, "delete", number).code == 0
    assert client.credits == 1000 - more["Credits"]
    assert more["Credits"] == 4 * 10 + 50
    books(client)


def test_append_at_another_rate(server: Server) -> None:
    client = server.account(allow_international=True)
    wanted = {"TimeScheduled": LATER, "Reference": "r", "Message": "x" * 161}
    number = campaign(client.create(Destinations=[*AU[:2], NZ[0]], **wanted))
    assert client.credits == 1000 - 6
    rate(client, "NZ", 4)
    answer = client.create(Destinations=[*AU, *NZ], **wanted).json
    assert answer["CampaignId"] == number
    assert (answer["Messages"], answer["Credits"]) == (2, 2 + 8)
    assert client.create(Destinations=[*AU, *NZ], **wanted).json["Messages"] == 0
    found = rows(client, "SELECT size, credits_each FROM batch WHERE account_id = {id} ORDER BY no")
    assert found == [(3, 2), (1, 2), (1, 8)]
    assert act(client, "modify", number, Message="short").json["Credits"] == 3 + 1 + 4
    assert client.credits == 1000 - 8
    assert act(client, "delete", number).code == 0
    assert client.credits == 1000
    books(client)


def test_many_recipients_at_several_rates(server: Server) -> None:
    """Large campaigns go in piece by piece; each piece has one price."""
    client = server.account(credits=100_000, allow_international=True)
    rate(client, "NZ", 3)
    rate(client, "GB", 2)
    wanted = [str(61400000000 + n) for n in range(4000)] + [str(64210000000 + n) for n in range(2300)]
    wanted += [str(447400000000 + n) for n in range(700)]
    given = {"Destinations": wanted, "TimeScheduled": LATER, "Reference": "big"}
    answer = client.create(**given).json
    assert (answer["Messages"], answer["Credits"]) == (7000, 4000 + 700 * 2 + 2300 * 3)
    found = rows(
        client, "SELECT credits_each, SUM(size), COUNT(*) FROM batch WHERE account_id = {id} "
        "GROUP BY credits_each ORDER BY credits_each"
    )  # fmt: skip
    assert [tuple(map(int, row)) for row in found] == [(1, 4000, 8), (2, 700, 2), (3, 2300, 5)]
    rate(client, "NZ", 4)
    more = client.create(**{**given, "Destinations": wanted + [str(64220000000 + n) for n in range(5500)]}).json
    assert (more["CampaignId"], more["Messages"], more["Credits"]) == (answer["CampaignId"], 5500, 22_000)
    assert client.credits == 100_000 - 12_300 - 22_000
    assert act(client, "delete", answer["CampaignId"]).code == 0
    assert client.credits == 100_000
    books(client)


def test_stored_lists_cost_and_reach_the_same(server: Server) -> None:
    client = server.account(allow_international=True, countries=("AU", "NZ"))
    rate(client, "NZ", 3)
    records = [{"Number": ",".join([*AU, *NZ, "447400123456"])}]
    made = client.post("/api/crm", {"Action": "create", "Description": "All", "Records": records}).json
    answer = client.create(Destinations=["61400123456", "61400123111"], CrmIds=[made["CrmId"]]).json
    assert (answer["Messages"], answer["Credits"]) == (6, 4 + 2 * 3)
    assert rows(
        client, "SELECT dropped_duplicate, dropped_international FROM campaign WHERE account_id = {id}"
    ) == [(1, 1)]
    settings(client, countries=("AU",), allow_international=False)
    assert client.create(Destinations=..., CrmIds=[made["CrmId"]]).json["Credits"] == 3


# --- how much ----------------------------------------------------------------------------------------------


def test_a_credit_limit_lets_the_balance_go_below_zero(server: Server) -> None:
    client = server.account(credits=2, credit_limit=3, may_add_credits=True)
    assert client.create(Destinations=AU).json["Credits"] == 3
    assert client.credits == -1
    assert client.post("/api/RetrieveUserSettings", {}).json["Credits"] == -1
    assert client.create(Destinations=AU).code == -202
    number = campaign(client.create(Destinations=AU[:2], TimeScheduled=LATER))
    assert client.credits == -3
    assert client.create().code == -202
    assert act(client, "modify", number, Message="x" * 161).code == -202
    # A refund and a top-up come through, also where they do not reach zero.
    assert client.post("/api/credits", {"credits": 1, "action": "add"}).json == {"Credits": -2, "Code": 0}
    assert act(client, "delete", number).code == 0
    assert client.credits == 0
    with pytest.raises(ConfigError, match="may not go below -3"):
        server.run(server.accounts.credit(client.name, -4, "too much"))
    assert server.run(server.accounts.credit(client.name, -3, "just")) == -3
    settings(client, credit_limit=0)
    assert client.create().code == -202
    books(client)


def test_a_large_campaign_beyond_the_limit_is_refused_before_it_is_written(server: Server) -> None:
    many = [str(61400000000 + n) for n in range(6000)]
    client = server.account(credits=5000, credit_limit=999)
    assert client.create(Destinations=many).code == -202
    assert client.untouched(5000)
    settings(client, credit_limit=1000)
    assert client.create(Destinations=many).json["Credits"] == 6000
    assert client.credits == -1000
    capped = server.account(credits=10_000, daily_cap=5999)
    assert capped.create(Destinations=many).code == -202
    assert capped.untouched(10_000)
    settings(capped, daily_cap=6000)
    assert capped.create(Destinations=many).code == 0
    assert capped.create().code == -202


def at_local(server: Server, hour: int, name: str = "Australia/Sydney") -> None:
    """Goes on to the next such hour of a zone."""
    now = server.clock.now_ms()
    local = ms_to_local(now, zone(name)).replace(hour=hour, minute=0, second=0)
    target = local_to_ms(local, zone(name))
    server.clock.advance((target - now) / 1000 + (0 if target > now else 24 * 3600))


def test_a_daily_cap_is_for_the_local_day(server: Server) -> None:
    at_local(server, 9)
    client = server.account(daily_cap=5)
    assert client.create(Destinations=AU).code == 0
    assert client.create(Destinations=AU).json == {
        "Message": "Insufficient credits available to start campaign", "Code": -202,
    }  # fmt: skip
    assert client.create(Destinations=AU[:2]).code == 0
    assert client.create().code == -202
    assert client.credits == 995
    at_local(server, 23)
    assert client.create().code == -202
    # Another day in Sydney; in London it is still the same one.
    at_local(server, 0)
    assert client.create(Destinations=AU).code == 0
    assert client.server.run(server.accounts.show(client.name)).spent == 3
    at_local(server, 0)
    assert client.server.run(server.accounts.show(client.name)).spent == 0
    settings(client, daily_cap=0)
    assert client.create().code == -202
    settings(client, daily_cap=None)
    assert client.create(Destinations=AU).code == 0
    books(client)


def test_what_was_charged_before_a_cap_was_set_counts(server: Server) -> None:
    at_local(server, 9)
    client = server.account()
    assert client.create(Destinations=AU).code == 0
    settings(client, daily_cap=4)
    assert client.create(Destinations=AU[:2]).code == -202
    assert client.create().code == 0


def test_the_cap_holds_for_changes_and_additions(server: Server) -> None:
    at_local(server, 9)
    client = server.account(daily_cap=10)
    wanted = {"TimeScheduled": LATER, "Reference": "r"}
    number = campaign(client.create(Destinations=AU, **wanted))
    assert act(client, "modify", number, Message="x" * 400).json["Credits"] == 9
    assert act(client, "modify", number, Message="x" * 500).code == -202
    assert client.create(Destinations=[*AU, "61400123111"], Message="x" * 400, **wanted).code == -202
    # What comes back on the same day gives room again.
    assert act(client, "modify", number, Message="short").json["Credits"] == 3
    assert client.create(Destinations=[*AU, "61400123111"], Message="short", **wanted).json["Credits"] == 1
    assert client.create(Destinations=[str(61400200000 + n) for n in range(6)]).code == 0
    assert client.create().code == -202
    assert act(client, "delete", number).code == 0
    assert client.create(Destinations=[str(61400200000 + n) for n in range(4)]).code == 0
    assert client.create().code == -202
    assert client.credits == 1000 - 10
    books(client)


def test_what_comes_back_on_another_day_gives_no_room(server: Server) -> None:
    at_local(server, 9)
    client = server.account(daily_cap=5)
    number = campaign(client.create(Destinations=AU, TimeScheduled=LATER))
    at_local(server, 0)
    at_local(server, 9)
    assert client.create(Destinations=[str(61400200000 + n) for n in range(5)]).code == 0
    assert act(client, "delete", number).code == 0
    assert client.credits == 995
    assert client.create().code == -202


def test_credits_that_come_back_while_sending_give_room(server: Server) -> None:
    """Who opted out is washed and refunded by the engine: the same books."""
    at_local(server, 9)
    client = server.account(daily_cap=3)
    number = campaign(client.create(Destinations=AU))

    async def washed(tx: Tx) -> None:
        from cooee.store import accounts

        await accounts.refund(tx, [(client.account.id, number, 2, "opted out")], server.clock.now_ms())

    server.run(server.database.write(washed))
    assert client.credits == 999
    assert client.create(Destinations=AU).code == -202
    assert client.create(Destinations=AU[:2]).code == 0
    assert client.create().code == -202
    books(client)


@pytest.mark.parametrize("changes", [{"daily_cap": 60}, {"credits": 40, "credit_limit": 20}])
def test_many_at_once_never_pass_a_limit(server: Server, changes: dict[str, Any]) -> None:
    """Requests that share a transaction are judged together, and one by one where not all of them fit."""
    client = server.account(**changes)
    before = client.credits

    def one(number: int) -> int:
        return client.create(Destinations=[str(61400200000 + 10 * number + n) for n in range(1 + number % 3)]).code

    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(one, range(60)))
    taken = sum(1 + number % 3 for number, code in enumerate(codes) if code == 0)
    assert set(codes) == {0, -202}
    assert taken == 60
    assert before - client.credits == 60
    assert server.counted("campaign", client.account) == codes.count(0)
    books(client)


# --- the low-balance mark ----------------------------------------------------------------------------------


def crossings() -> float:
    return LOW_BALANCE._value.get()  # type: ignore[no-any-return]


def test_a_balance_that_falls_below_its_mark_is_told_once(server: Server) -> None:
    client = server.account(credits=10, low_balance=8, may_add_credits=True)
    before = crossings()
    assert client.create(Destinations=AU[:2]).code == 0
    assert crossings() == before, "8 is not below 8"
    number = campaign(client.create(Destinations=AU[:1], TimeScheduled=LATER))
    assert crossings() == before + 1
    assert client.create().code == 0
    assert client.create(Destinations=["1"]).code == -111
    assert crossings() == before + 1
    # Up again, and down.
    assert client.post("/api/credits", {"credits": 2, "action": "add"}).code == 0
    assert act(client, "modify", number, Message="x" * 161).code == 0
    assert crossings() == before + 2
    assert act(client, "delete", number).code == 0
    server.run(server.accounts.credit(client.name, -5, "a correction"))
    assert crossings() == before + 3
    settings(client, low_balance=None)
    server.run(server.accounts.credit(client.name, 500, "up"))
    assert client.create(Destinations=AU).code == 0
    assert crossings() == before + 3


def test_a_crossing_is_told_once_whoever_sees_it(server: Server) -> None:
    client = server.account(credits=100, low_balance=50)
    before = crossings()
    with ThreadPoolExecutor(16) as pool:
        codes = set(pool.map(lambda _: client.create().code, range(80)))
    assert codes == {0}
    assert (client.credits, crossings()) == (20, before + 1)


# --- the send window ---------------------------------------------------------------------------------------


def due(client: Client, number: int) -> tuple[int, int | None]:
    """The state of a campaign and when it is looked at, in hours of Sydney's day."""
    ((state, wake_at),) = rows(
        client, f"SELECT state, wake_at FROM campaign WHERE account_id = {{id}} AND id = {number}"
    )
    return state, None if wake_at is None else ms_to_local(wake_at, zone("Australia/Sydney")).hour


def start_due(server: Server) -> None:
    """What the scheduler does twice a second."""
    server.run(server.database.write(lambda tx: campaign_rows.take_due(tx, server.clock.now_ms())))


def test_a_window_that_is_set_holds_for_what_comes(server: Server) -> None:
    client = server.account()
    settings(client, window=(8 * 60, 21 * 60))
    at_local(server, 22)
    number = campaign(client.create())
    assert due(client, number) == (1, 8)
    assert act(client, "status", number).json["Message"] == "Scheduled"
    at_local(server, 8)
    start_due(server)
    assert due(client, number)[0] == 2
    assert due(client, campaign(client.create()))[0] in (2, 3)


def test_a_window_that_changes_moves_what_waits(server: Server) -> None:
    client = server.account(window=(8 * 60, 21 * 60))
    at_local(server, 22)
    waits, paused = campaign(client.create()), campaign(client.create())
    later = campaign(client.create(TimeScheduled=LATER))
    before = due(client, later)
    assert act(client, "pause", paused).code == 0
    settings(client, window=(23 * 60, 24 * 60))
    start_due(server)
    assert due(client, waits) == (1, 23)
    assert due(client, later) == before, "an instant that is fixed does not move"
    settings(client, window=None)
    start_due(server)
    assert due(client, waits)[0] == 2
    assert act(client, "unpause", paused).code == 0
    assert due(client, paused)[0] == 2


def test_batches_that_wait_for_the_old_opening_are_judged_anew(server: Server) -> None:
    client = server.account(window=(8 * 60, 21 * 60))
    number = campaign(client.create(TimeScheduled=LATER))
    far = server.clock.now_ms() + 20 * HOUR

    async def delay(tx: Any) -> None:
        sql = f"UPDATE batch SET state = 3, not_before = {far} WHERE campaign_id = {number}"
        result = tx.connection.execute(sql)
        if tx.engine != "sqlite":
            await result

    server.run(server.database.write(delay))
    settings(client, allow_long=False)
    assert rows(client, "SELECT not_before FROM batch WHERE account_id = {id}") == [(far,)]
    settings(client, zone="Pacific/Auckland")
    assert rows(client, "SELECT not_before FROM batch WHERE account_id = {id}") == [(server.clock.now_ms(),)]


def test_a_window_of_the_whole_day_is_none(server: Server) -> None:
    assert server.account(window=(0, 24 * 60)).account.window is None


# --- other processes ---------------------------------------------------------------------------------------


def test_what_another_process_changes_takes_effect_within_seconds(server: Server) -> None:
    from cooee.service.accounts import Accounts
    from cooee.store.ids import Ids

    client = server.account(allow_international=True)
    assert client.create(Destinations=NZ).json["Credits"] == 2

    async def elsewhere() -> None:
        other = Accounts(server.database, Ids(server.database), server.clock)
        await other.set(client.name, approved_only=True, daily_cap=20)
        await Senders(server.database, server.clock).add(client.name, ["Shop"])
        await Rates(server.database, server.clock).set("NZ", 9, client.name)
        other.close()

    server.run(elsewhere())
    server.clock.advance(3.1)
    assert client.create().code == -921
    assert client.create(Originator="Shop", Destinations=NZ).json["Credits"] == 18
    assert client.create(Originator="Shop").code == -202


def test_two_who_change_different_settings_lose_nothing(server: Server) -> None:
    client = server.account()

    async def both() -> None:
        await asyncio.gather(
            server.accounts.set(client.name, credit_limit=7),
            server.accounts.set(client.name, daily_cap=8),
            server.accounts.set(client.name, low_balance=9),
        )

    server.run(both())
    found = server.run(server.accounts.find(client.name))
    assert (found.credit_limit, found.daily_cap, found.low_balance) == (7, 8, 9)
