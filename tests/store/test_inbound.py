"""Messages from handsets in the store: whose they are, what they answer, and what keywords do."""

from __future__ import annotations

from typing import Any

import pytest

from cooee.model.clock import DAY, HOUR
from cooee.model.inbound import NumberKind, Reason, ReplyKind
from cooee.smpp.pdu import DeliverSm
from cooee.store import inbound
from cooee.store import optouts as optout_rows
from cooee.store.database import Tx
from cooee.store.parts import Whole
from tests.store.support_inbound import (
    HANDSET,
    NUMBER,
    OTHER,
    Line,
    add_number,
    contact,
    kept,
    optouts,
    set_answer,
    texts,
    unrouted,
)
from tests.store.support_store import World, run

SHARED, OPTOUT = NumberKind.SHARED, NumberKind.OPTOUT
S = ReplyKind


def test_a_reply_to_a_dedicated_number_answers_the_newest_campaign(database_url: str) -> None:
    async def check(world: World) -> None:
        await add_number(world)
        line = Line(world)
        await line.say("too early")
        await contact(world, reference="first")
        await line.say("one")
        second = await contact(world)
        await line.say("two")
        await contact(world, HANDSET + 1, reference="for another handset")
        await contact(world, number=OTHER, reference="from another number")
        await line.say("three")
        found = await kept(world)
        assert [(r.text, r.reference, r.campaign_id) for r in found] == [
            ("too early", "", None),
            ("one", "first", second - 1),
            ("two", str(second), second),
            ("three", str(second), second),
        ]
        assert {(r.account_id, r.originator, r.handset, r.recipient, r.kind, r.parts) for r in found} == {
            (world.account_id, str(HANDSET), HANDSET, NUMBER, S.REPLY, 1)
        }

    run(database_url, check)


def test_refused_and_washed_recipients_are_no_contacts_and_uncertain_ones_are(database_url: str) -> None:
    async def check(world: World) -> None:
        await add_number(world)
        await world.opt_out(HANDSET + 1)
        new = await world.new([HANDSET, HANDSET + 1, HANDSET + 2, HANDSET + 3])
        new.originator = NUMBER
        await world.create(new)
        (hand,) = await world.claim(1)
        await hand.fail(0).doubt(2).accept([3]).step()
        line = Line(world)
        for at in range(4):
            await line.say(f"from {at}", source=str(HANDSET + at))
        assert [(r.text, r.reference) for r in await kept(world)] == [
            ("from 0", ""), ("from 1", ""), ("from 2", str(new.id)), ("from 3", str(new.id)),
        ]  # fmt: skip

    run(database_url, check)


def test_what_a_dead_engine_had_out_may_be_answered(database_url: str) -> None:
    from cooee.store import uncertain
    from cooee.store.uncertain import Policy

    async def check(world: World) -> None:
        await add_number(world)
        new = await world.new([HANDSET])
        new.originator = NUMBER
        await world.create(new)
        await world.claim(1)
        now = world.clock.now_ms()
        await world.write(lambda tx: uncertain.take_over(tx, 1, lambda carrier: Policy(None, DAY), now))
        await Line(world).say("got it")
        assert [r.reference for r in await kept(world)] == [str(new.id)]

    run(database_url, check)


def test_originators_that_are_no_inbound_number_leave_no_contacts(database_url: str) -> None:
    async def check(world: World) -> None:
        await add_number(world)
        await contact(world, number="COOEE")
        await contact(world, number=OTHER)
        assert await world.rows("SELECT * FROM last_contact") == []
        await contact(world)
        assert len(await world.rows("SELECT * FROM last_contact")) == 1

    run(database_url, check)


def test_a_shared_number_belongs_to_who_wrote_last_within_30_days(database_url: str) -> None:
    async def check(world: World) -> None:
        second = await world.account()
        stranger = await world.account()
        for account in (world.account_id, second):
            await add_number(world, kind=SHARED, account_id=account)
        line = Line(world)
        await line.say("nobody wrote")
        await contact(world, reference="a")
        world.clock.advance(60)
        await contact(world, account_id=second, reference="b")
        world.clock.advance(60)
        await contact(world, account_id=stranger, reference="not sharing")
        await line.say("second's")
        world.clock.advance(60)
        await contact(world, reference="c")
        await line.say("first's")
        world.clock.advance(29 * 86400)
        await line.say("still")
        world.clock.advance(2 * 86400)
        await line.say("too late")
        assert [(r.account_id, r.text, r.reference) for r in await kept(world)] == [
            (second, "second's", "b"), (world.account_id, "first's", "c"), (world.account_id, "still", "c"),
        ]  # fmt: skip
        assert await unrouted(world) == ["nobody wrote", "too late"]

    run(database_url, check)


def test_a_number_that_all_share_needs_no_list_of_accounts(database_url: str) -> None:
    async def check(world: World) -> None:
        await add_number(world, kind=SHARED, account_id=0)
        second = await world.account()
        await contact(world, account_id=second)
        await Line(world).say("hello")
        assert [r.account_id for r in await kept(world)] == [second]

    run(database_url, check)


def test_a_carriers_own_row_goes_before_the_general_one(database_url: str) -> None:
    async def check(world: World) -> None:
        second = await world.account()
        other = await world.carrier()
        await add_number(world, "1999")
        await add_number(world, "1999", account_id=second, carrier_id=other)
        await Line(world).say("general", to="1999")
        await Line(world, carrier_id=other).say("own", to="1999")
        found = [(r.account_id, r.text) for r in await kept(world)]
        assert found == [(world.account_id, "general"), (second, "own")]

    run(database_url, check)


@pytest.mark.parametrize("to", [NUMBER, "+" + NUMBER, "00" + NUMBER, "0400190499", "400190499"])
def test_our_number_in_every_form(database_url: str, to: str) -> None:
    async def check(world: World) -> None:
        await add_number(world)
        await Line(world).say("hello", to=to)
        assert [r.recipient for r in await kept(world)] == [NUMBER]

    run(database_url, check)


def test_a_national_form_that_two_of_our_numbers_end_with_is_nobodys(database_url: str) -> None:
    async def check(world: World) -> None:
        await add_number(world)
        await add_number(world, "1" + NUMBER[2:])
        await Line(world).say("which one?", to="0400190499")
        assert await kept(world) == []
        assert await unrouted(world) == ["which one?"]

    run(database_url, check)


class Counted:
    """A transaction that counts its statements."""

    def __init__(self, tx: Any) -> None:
        self._tx = tx
        self.statements = 0

    def __getattr__(self, name: str) -> Any:
        if name in ("all", "one", "run", "many", "many_all"):
            self.statements += 1
        return getattr(self._tx, name)


def test_a_group_for_many_numbers_that_are_not_ours_takes_few_statements(database_url: str) -> None:
    """Looked for one by one in 5,000 numbers, they would hold SQLite's writer for 130 ms."""

    async def check(world: World) -> None:
        await add_number(world)
        counts = []
        for many in (1, 300):
            wholes = [Whole(str(HANDSET), 1, f"0{430000000 + at}", "hello", 0) for at in range(many)]

            async def operation(tx: Tx, wholes: list[Whole] = wholes) -> int:
                counted = Counted(tx)
                await inbound.route(counted, world.carrier_id, wholes)
                return counted.statements

            counts.append(await world.write(operation))
        assert counts[0] == counts[1]

    run(database_url, check)


@pytest.mark.parametrize(
    ("source", "ton", "shown", "handset"),
    [
        ("61400000001", 1, "61400000001", HANDSET),
        ("+61400000001", 0, "61400000001", HANDSET),
        ("61400000001", 0, "61400000001", HANDSET),
        ("0400000001", 2, "61400000001", HANDSET),
        ("0061400000001", 0, "61400000001", HANDSET),
        ("491751234567", 1, "491751234567", 491751234567),
        ("Telco", 5, "Telco", None),
        ("1999", 3, "1999", None),
        ("", 0, "", None),
    ],
)
def test_senders_of_every_kind(database_url: str, source: str, ton: int, shown: str, handset: int | None) -> None:
    async def check(world: World) -> None:
        await add_number(world)
        pdu = DeliverSm(1, source_addr_ton=ton, source_addr=source, destination_addr=NUMBER, short_message=b"STOP")
        await Line(world).come(pdu)
        assert [(r.originator, r.handset) for r in await kept(world)] == [(shown, handset)]
        assert [row[1] for row in await optouts(world)] == ([] if handset is None else [handset])

    run(database_url, check)


# --- keywords ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["STOP", "stop", " Stop.\r\n", "“Stop!”", "STOP ALL", "Stop  all", "arrêt", "АРРЕТ"]
)
def test_keywords_opt_out_and_are_replies(database_url: str, text: str) -> None:
    async def check(world: World) -> None:
        await add_number(world)
        await contact(world, reference="ref")
        await Line(world).say(text)
        (reply,) = await kept(world)
        is_keyword = text != "АРРЕТ"
        assert (reply.text, reply.reference) == (text, "ref")
        assert reply.kind is (S.STOP if is_keyword else S.REPLY)
        expected = [(world.account_id, HANDSET, "Reply", str(HANDSET), text)] if is_keyword else []
        assert await optouts(world) == expected

    run(database_url, check)


@pytest.mark.parametrize("text", ["please stop", "STOP it", "Stopover?", "", "?", "s t o p", "stop " * 50])
def test_only_whole_messages_are_keywords(database_url: str, text: str) -> None:
    async def check(world: World) -> None:
        await add_number(world)
        await Line(world).say(text)
        assert [r.kind for r in await kept(world)] == [S.REPLY]
        assert await optouts(world) == []

    run(database_url, check)


def test_start_brings_back_and_the_history_knows(database_url: str) -> None:
    async def check(world: World) -> None:
        await add_number(world)
        line = Line(world)
        await line.say("STOP", "stop", "START", "Stop", "start")
        await line.say("STOP")
        await line.say("START")
        assert await optouts(world) == []
        assert [r.kind for r in await kept(world)] == [S.STOP, S.STOP, S.START, S.STOP, S.START, S.STOP, S.START]
        past = await world.rows(
            "SELECT destination, reason, who, body, deleted_reason, deleted_who, deleted_body FROM optout_past"
        )
        assert past[0] == (HANDSET, "Reply", str(HANDSET), "STOP", "Reply", str(HANDSET), "START")

    run(database_url, check)


def test_an_account_may_do_without_keywords_but_not_an_optout_number(database_url: str) -> None:
    async def check(world: World) -> None:
        await add_number(world)
        await add_number(world, OTHER, OPTOUT)
        await world.write(lambda tx: tx.run("set_keywords", id=world.account_id, keywords=0))
        line = Line(world)
        await line.say("STOP")
        assert await optouts(world) == []
        await line.say("No thanks", to=OTHER)
        assert await optouts(world) == [(world.account_id, HANDSET, "Reply", str(HANDSET), "No thanks")]
        assert [r.kind for r in await kept(world)] == [S.REPLY, S.STOP]

    run(database_url, check)


def test_whatever_comes_to_an_optout_number_opts_out_but_for_start(database_url: str) -> None:
    async def check(world: World) -> None:
        await add_number(world, OTHER, OPTOUT)
        line = Line(world)
        await line.say("I have had enough", to=OTHER)
        assert len(await optouts(world)) == 1
        await line.say("START", to=OTHER)
        assert await optouts(world) == []

    run(database_url, check)


def test_stop_to_a_shared_number_is_for_every_account_that_used_it(database_url: str) -> None:
    async def check(world: World) -> None:
        second, third, silent = [await world.account() for _ in range(3)]
        await add_number(world, kind=SHARED, account_id=0)
        await contact(world)
        world.clock.advance(40 * 86400)
        await contact(world, account_id=second)
        world.clock.advance(60)
        await contact(world, account_id=third)
        await contact(world, HANDSET + 1, account_id=silent)
        await world.write(lambda tx: tx.run("set_keywords", id=third, keywords=0))
        line = Line(world)
        await line.say("STOP")
        # The third got it last, and does without keywords: a reply like any other to it; not so for the others.
        assert [(r.account_id, r.kind) for r in await kept(world)] == [(third, S.REPLY)]
        assert [row[0] for row in await optouts(world)] == sorted([world.account_id, second])
        await line.say("START")
        assert await optouts(world) == []

    run(database_url, check)


def test_stop_counts_even_where_the_reply_is_nobodys(database_url: str) -> None:
    async def check(world: World) -> None:
        await add_number(world, kind=SHARED)
        await contact(world)
        world.clock.advance(31 * 86400)
        await Line(world).say("STOP")
        assert await unrouted(world) == ["STOP"]
        assert [row[0] for row in await optouts(world)] == [world.account_id]

    run(database_url, check)


def test_the_first_reason_stays(database_url: str) -> None:
    async def check(world: World) -> None:
        await add_number(world)
        rows = [(world.account_id, HANDSET, "acme", "")]
        await world.write(lambda tx: optout_rows.add(tx, rows, Reason.CLIENT, world.clock.now_ms()))
        await Line(world).say("STOP")
        assert [row[2] for row in await optouts(world)] == ["Client"]

    run(database_url, check)


def test_the_operators_words_count(database_url: str) -> None:
    async def check(world: World) -> None:
        await add_number(world)
        await world.write(lambda tx: tx.run("add_keyword", word="no more", kind=1))
        await world.write(lambda tx: tx.run("drop_keyword", word="end"))
        await Line(world).say("END", "No More!")
        assert [r.kind for r in await kept(world)] == [S.REPLY, S.STOP]

    run(database_url, check)


def test_answers_are_due_once_a_handset_a_day(database_url: str) -> None:
    async def due(world: World) -> list[tuple[Any, ...]]:
        return await world.rows("SELECT handset, kind, number, body FROM auto_answer ORDER BY handset, day")

    async def check(world: World) -> None:
        await add_number(world)
        await set_answer(world, world.account_id, "Bye")
        await set_answer(world, world.account_id, "Hello again", S.START)
        line = Line(world)
        taken = await line.say("STOP", "STOP", "START")
        assert taken.answers
        assert await due(world) == [(HANDSET, 1, NUMBER, "Bye")]
        await line.say("STOP", source=str(HANDSET + 1))
        assert len(await due(world)) == 2
        world.clock.advance(25 * HOUR / 1000)
        await line.say("START")
        assert await due(world) == [
            (HANDSET, 1, NUMBER, "Bye"), (HANDSET, 2, NUMBER, "Hello again"), (HANDSET + 1, 1, NUMBER, "Bye"),
        ]  # fmt: skip
        assert not (await line.say("Yes")).answers

    run(database_url, check)


def test_a_number_that_is_nobodys(database_url: str) -> None:
    async def check(world: World) -> None:
        taken = await Line(world).say("hello", "STOP", to="61400999999")
        assert (taken.replies, taken.unrouted, taken.optouts) == (0, 2, 0)
        assert await unrouted(world) == ["hello", "STOP"]
        assert await texts(world) == []

    run(database_url, check)
