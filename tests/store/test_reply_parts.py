"""Long replies come in parts, in any order; repeats are told from people who say the same twice."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cooee.model.clock import MINUTE
from cooee.model.datacoding import text_of
from cooee.smpp.pdu import DeliverSm, Tag
from cooee.store import inbound, parts, seen
from cooee.store.database import Tx
from cooee.store.inbound import Taken
from tests.store.support_inbound import HANDSET, NUMBER, Line, add_number, kept, message, texts, unrouted
from tests.store.support_store import World, run, world

LONG = "Ça va très bien 😀, merci! " * 12
PLAIN = "All is well {here} and nothing more need be said. " * 8


async def give_up(made: World, older_ms: int) -> list[Taken]:
    """What the scheduler does about parts whose first one is that old."""
    now = made.clock.now_ms()
    by_carrier: dict[int, list[parts.PartKey]] = {}
    for row in await made.database.read(lambda tx: tx.all("overdue_parts", before=now - older_ms)):
        by_carrier.setdefault(row[0], []).append((row[1], row[2], row[3], row[4]))
    done = []
    for carrier, keys in by_carrier.items():

        async def give_up_one(tx: Tx, carrier: int = carrier, keys: list[parts.PartKey] = keys) -> Taken:
            return await inbound.give_up_parts(tx, carrier, keys, now - older_ms, now)

        done.append(await made.write(give_up_one))
    return done


async def waiting(made: World) -> int:
    """Parts that wait for others."""
    ((count,),) = await made.rows("SELECT COUNT(*) FROM reply_part")
    return int(count)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("text", [LONG, PLAIN])
def test_parts_in_any_order_each_over_a_connection_of_its_own(database_url: str, text: str, wide: bool) -> None:
    async def check(made: World) -> None:
        await add_number(made)
        line = Line(made)
        pdus = message(text, wide=wide, reference=300)
        random.Random(7).shuffle(pdus)
        for number, pdu in enumerate(pdus, 1):
            taken = await line.come(pdu)
            assert (taken.replies, taken.waiting) == ((0, 1) if number < len(pdus) else (1, 0))
            line.connect()
        assert [(r.text, r.parts, r.missing) for r in await kept(made)] == [(text, len(pdus), 0)]
        assert await waiting(made) == 0

    run(database_url, check)


def test_sar(database_url: str) -> None:
    async def check(made: World) -> None:
        await add_number(made)
        pdus = [
            DeliverSm(
                1, source_addr_ton=1, source_addr=str(HANDSET), destination_addr=NUMBER, short_message=text,
                tlvs=(
                    (Tag.SAR_MSG_REF_NUM, b"\1\2"), (Tag.SAR_TOTAL_SEGMENTS, b"\3"),
                    (Tag.SAR_SEGMENT_SEQNUM, bytes((number,))),
                ),
            )
            for number, text in ((3, b"three"), (1, b"one "), (2, b"two "))
        ]  # fmt: skip
        await Line(made).come(*pdus)
        assert await texts(made) == ["one two three"]

    run(database_url, check)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_mixture_of_long_messages(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Several handsets, texts, references and orders; cut into any groups, over any connections, with repeats."""
    chosen = data.draw(
        st.dictionaries(
            st.tuples(st.integers(0, 3), st.integers(0, 2)), st.sampled_from([LONG, PLAIN, "short", "ж" * 200]),
            min_size=1, max_size=6,
        )
    )  # fmt: skip
    pdus = [
        pdu
        for (handset, reference), text in chosen.items()
        for pdu in message(f"{text}{reference}", source=str(HANDSET + handset), reference=reference)
    ]
    order = data.draw(st.permutations(pdus))
    cuts = data.draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
    url = f"sqlite:///{tmp_path_factory.mktemp('parts') / 'cooee.db'}"

    async def main() -> None:
        async with world(url) as made:
            await add_number(made)
            line = Line(made)
            group: list[DeliverSm] = []
            for pdu, cut in zip(order, cuts, strict=True):
                group.append(pdu)
                if cut:
                    # The acknowledgement is lost, and everything comes again over the next connection.
                    await line.come(*group, acknowledged=False)
                    line.connect()
                    await line.come(*group)
                    group = []
            await line.come(*group)
            expected = sorted(
                (HANDSET + handset, f"{text}{reference}") for (handset, reference), text in chosen.items()
            )
            assert sorted((r.handset or 0, r.text) for r in await kept(made)) == expected
            assert await waiting(made) == 0

    asyncio.run(main())


def test_what_is_there_is_passed_on_when_the_rest_does_not_come(database_url: str) -> None:
    async def check(made: World) -> None:
        await add_number(made)
        line = Line(made)
        first, second, third = message(PLAIN)
        await line.come(third)
        made.clock.advance(300)
        await line.come(first)
        assert await give_up(made, 10 * MINUTE) == []
        made.clock.advance(300)
        (taken,) = await give_up(made, 10 * MINUTE)
        assert taken.replies == 1
        (reply,) = await kept(made)
        assert (reply.parts, reply.missing) == (3, 1)
        assert reply.text == text_of([(0, pdu.short_message[6:]) for pdu in (first, third)])
        # The part that comes after that is passed on in its turn.
        await line.come(second)
        made.clock.advance(600)
        await give_up(made, 10 * MINUTE)
        assert [(r.parts, r.missing) for r in await kept(made)] == [(3, 1), (3, 2)]
        assert await waiting(made) == 0

    run(database_url, check)


def test_a_stop_that_lost_its_other_part_is_nothing_but_a_reply(database_url: str) -> None:
    async def check(made: World) -> None:
        line = Line(made)
        await line.come(message(PLAIN)[0])
        made.clock.advance(600)
        await give_up(made, 10 * MINUTE)
        assert len(await unrouted(made)) == 1

    run(database_url, check)


def test_a_reference_that_is_used_again_begins_a_new_message(database_url: str) -> None:
    async def check(made: World) -> None:
        await add_number(made)
        line = Line(made)
        old, new = message("old " * 60), message("new " * 60)
        await line.come(old[0])
        await line.come(new[0], new[1])
        assert [(r.text[:3], r.missing) for r in await kept(made)] == [("old", 1), ("new", 0)]
        assert (await kept(made))[1].text == "new " * 60

    run(database_url, check)


def test_messages_of_two_handsets_or_to_two_numbers_never_mix(database_url: str) -> None:
    async def check(made: World) -> None:
        await add_number(made)
        await add_number(made, "1999")
        line = Line(made)
        await line.come(message(PLAIN)[0], message(PLAIN, source="61400000002")[1], message(PLAIN, to="1999")[2])
        await line.come(message(PLAIN * 2, reference=7)[1])
        assert await texts(made) == []
        assert await waiting(made) == 4

    run(database_url, check)


# --- repeats -----------------------------------------------------------------------------------------------


def test_a_person_may_say_the_same_twice(database_url: str) -> None:
    async def check(made: World) -> None:
        await add_number(made)
        line = Line(made)
        await line.say("Yes")
        await line.say("Yes")
        made.clock.advance(60)
        await line.say("Yes", "Yes")
        line.connect(drop=False)
        await line.say("Yes")
        assert await texts(made) == ["Yes"] * 5

    run(database_url, check)


def test_what_comes_again_after_a_cut_or_a_crash_is_stored_once(database_url: str) -> None:
    async def check(made: World) -> None:
        await add_number(made)
        line = Line(made)
        await line.say("Yes", acknowledged=False)
        for _ in range(3):
            line.connect()
            assert (await line.say("Yes")).repeats == 1
        # And then it is a person again.
        assert (await line.say("Yes")).repeats == 0
        assert await texts(made) == ["Yes", "Yes"]

    run(database_url, check)


def test_two_of_a_kind_come_again_as_two(database_url: str) -> None:
    async def check(made: World) -> None:
        await add_number(made)
        line = Line(made)
        await line.say("Yes", "Yes", acknowledged=False)
        line.connect()
        assert (await line.say("Yes", "Yes", "Yes")).repeats == 2
        assert await texts(made) == ["Yes"] * 3

    run(database_url, check)


def test_an_acknowledgement_that_may_be_lost_with_its_connection_is_in_doubt(database_url: str) -> None:
    async def check(made: World) -> None:
        await add_number(made)
        line = Line(made)
        await line.say("Yes")
        line.connect()
        assert (await line.say("Yes")).repeats == 1
        # Once its arrival is certain, it is forgotten.
        taken = await line.say("No")
        await made.write(lambda tx: seen.forget(tx, line.carrier_id, taken.keys))
        line.connect()
        assert (await line.say("No")).repeats == 0
        assert await texts(made) == ["Yes", "No", "No"]

    run(database_url, check)


def test_after_an_hour_it_is_a_person(database_url: str) -> None:
    async def check(made: World) -> None:
        await add_number(made)
        line = Line(made)
        await line.say("Yes", acknowledged=False)
        line.connect()
        made.clock.advance(3601)
        assert (await line.say("Yes")).repeats == 0

    run(database_url, check)


def test_an_smsc_that_waits_in_vain_sends_again_over_the_same_connection(database_url: str) -> None:
    async def check(made: World) -> None:
        await add_number(made)
        line = Line(made)
        await line.say("Yes", acknowledged=False)
        made.clock.advance(6)
        assert (await line.say("Yes")).repeats == 1
        assert (await line.say("Yes", acknowledged=False)).repeats == 0
        made.clock.advance(1)
        assert (await line.say("Yes")).repeats == 0

    run(database_url, check)


def test_one_that_was_refused_though_it_may_be_stored_is_in_doubt_at_once(database_url: str) -> None:
    async def check(made: World) -> None:
        await add_number(made)
        line = Line(made)
        taken = await line.say("Yes", acknowledged=False)
        line.acks.doubts.add(taken.keys[0][:2])
        assert (await line.say("Yes")).repeats == 1
        assert await texts(made) == ["Yes"]

    run(database_url, check)


def test_other_carriers_and_other_handsets_repeat_nothing(database_url: str) -> None:
    async def check(made: World) -> None:
        await add_number(made)
        line = Line(made)
        other = Line(made, carrier_id=await made.carrier())
        await line.say("Yes", acknowledged=False)
        line.connect()
        await other.say("Yes")
        await line.say("Yes", source=str(HANDSET + 1))
        await line.say("Yes", to="1999")
        assert await texts(made) == ["Yes", "Yes", "Yes"]
        assert await unrouted(made) == ["Yes"]

    run(database_url, check)


def test_two_nodes_get_the_parts_of_one_message(database_url: str) -> None:
    async def check(made: World) -> None:
        await add_number(made)
        for number in range(10):
            pdus = message(f"{number}{PLAIN}", reference=number)
            lines = [Line(made) for _ in pdus]
            await asyncio.gather(*(line.come(pdu) for line, pdu in zip(lines, pdus, strict=True)))
        assert await texts(made) == [f"{number}{PLAIN}" for number in range(10)]
        assert await waiting(made) == 0

    run(database_url, check)
