"""Receipts as they came: written with what they change, found by what they were joined to, and by nothing else."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from cooee.model.clock import DAY, HOUR
from cooee.model.message import MessageState
from cooee.service import trails
from cooee.service.trails import Receipts, Trails
from cooee.smpp.codes import Tag
from cooee.smpp.packets import DeliverSm
from cooee.smpp.pdu import encode
from cooee.store import receiptlog, receipts
from cooee.store.database import Database, Lane, Tx
from cooee.store.receiptlog import Entry
from cooee.store.receipts import DELIVERED, FAILED, OPEN, Incoming
from tests.store.support_store import FIRST, Hand, World, run

KEEP_MS = 30 * DAY


def came(smsc_id: str, kind: int = DELIVERED, *, handset: int | None = FIRST, note: str = "") -> Incoming:
    """A receipt that is kept; `note` tells it from the others."""
    stat = {DELIVERED: b"DELIVRD", FAILED: b"UNDELIV", OPEN: b"ACCEPTD"}[kind]
    text = b"id:%s sub:001 dlvrd:001 submit date:1 done date:2 stat:%s err:000 text:%s"
    pdu = DeliverSm(
        7,
        source_addr=str(handset or ""),
        destination_addr="61411",
        esm_class=4,
        short_message=text % (smsc_id.encode(), stat, note.encode()),
        tlvs=((int(Tag.RECEIPTED_MESSAGE_ID), smsc_id.encode() + b"\0"),),
    )
    error = "UNDELIV 001" if kind == FAILED else ""
    return Incoming(smsc_id, handset, "61411", kind, error, int(kind == FAILED), 5, encode(pdu)[16:])


async def sent(made: World, ids: list[str], *, segments: int = 1, account_id: int | None = None) -> Hand:
    """One recipient an id (or one of several parts), handed over."""
    more = {} if account_id is None else {"account_id": account_id}
    await made.campaign(list(range(FIRST, FIRST + (len(ids) if segments == 1 else 1))), segments=segments, **more)
    (hand,) = await made.claim(7)
    if segments == 1:
        hand.accept(dict(enumerate(ids)))
    else:
        hand.rows.append(hand._row(0, MessageState.HANDED_OVER, hand.full))
        hand.refs += [hand.ref(0, smsc_id, part) for part, smsc_id in enumerate(ids)]
        hand.answered.add(0)
    await hand.step()
    return hand


async def search(
    made: World, hand: Hand, number: int = FIRST, onward: tuple[int, int] | None = None, account: int | None = None
) -> Receipts:
    """What a person is shown of a message."""
    account_id, campaign_id, _ = hand.claimed.key
    rows = await made.rows(
        f"SELECT first_at, changed_at FROM message WHERE campaign_id = {campaign_id} AND destination = {number}"
    )
    it = Trails(made.database, made.clock, KEEP_MS)
    return await it.receipts(
        (account_id if account is None else account, campaign_id, number), rows[0][0], rows[0][1], onward
    )


async def said(made: World, hand: Hand, number: int = FIRST) -> list[tuple[int, int, str]]:
    """(seconds ago, part, the text behind `text:`) of every receipt of a message."""
    found = await search(made, hand, number)
    assert found.onward is None
    assert not found.forgotten
    now = made.clock.now_ms()
    return [((now - each.at) // 1000, each.part, each.shown.text.partition("text:")[2]) for each in found.found]


def test_each_part_repeats_and_late_ones_in_the_order_they_came(database_url: str) -> None:
    async def check(made: World) -> None:
        hand = await sent(made, ["70", "71"], segments=2)
        made.clock.advance(10)
        await made.receive(came("71", note="second part"))
        made.clock.advance(10)
        await made.receive(came("70", OPEN, note="on its way"), came("70", note="first part"))
        made.clock.advance(DAY / 1000)
        await made.receive(came("71", FAILED, note="late and wrong"))
        await made.receive(came("70", note="first part"))
        day = DAY // 1000
        assert await said(made, hand) == [
            (day + 10, 1, "second part"),
            (day, 0, "on its way"),
            (day, 0, "first part"),
            (0, 0, "first part"),
            (0, 1, "late and wrong"),
        ]
        # One row a transaction, however many receipts it brought.
        assert await made.rows("SELECT COUNT(*), SUM(receipts) FROM receipt_log") == [(4, 5)]

    run(database_url, check)


def test_an_orphan_is_shown_with_the_time_when_it_came(database_url: str) -> None:
    async def check(made: World) -> None:
        await made.receive(came("90", note="too early"))
        assert await made.rows("SELECT COUNT(*) FROM receipt_log") == [(0,)]
        made.clock.advance(5)
        hand = await sent(made, ["90"])
        made.clock.advance(5)
        assert await said(made, hand) == [(10, 0, "too early")]
        # Also one that the sweep joins, under another reading of its id.
        await made.receive(came("ff", note="by the sweep"))
        made.clock.advance(60)
        later = await sent(made, ["255x"])
        await made.sql("UPDATE orphan_receipt SET id_1 = '255x'")
        await made.sweep()
        assert await said(made, later) == [(60, 0, "by the sweep")]
        assert await made.orphans() == 0

    run(database_url, check)


def test_what_settles_an_uncertain_message_is_shown(database_url: str) -> None:
    async def check(made: World) -> None:
        await made.campaign([FIRST])
        (hand,) = await made.claim(7)
        await hand.doubt(0).step()
        made.clock.advance(3)
        assert (await made.receive(came("unheard", note="it has it"))).settled == 1
        assert await said(made, hand) == [(0, 0, "it has it")]

    run(database_url, check)


def test_ids_that_repeat_show_nothing_of_others(database_url: str) -> None:
    async def check(made: World) -> None:
        other = await made.account()
        ours = await sent(made, ["5"])
        made.clock.advance(1)
        await made.receive(came("5", note="ours"))
        # The SMSC's counter restarts: the same id, the same handset, another account. And another carrier's.
        made.clock.advance(60)
        theirs = await sent(made, ["5"], account_id=other)
        made.clock.advance(1)
        await made.receive(came("5", note="theirs"))
        assert [text for *_, text in await said(made, ours)] == ["ours"]
        assert [text for *_, text in await said(made, theirs)] == ["theirs"]
        # Who names another account's campaign finds nothing, whatever the number.
        assert not (await search(made, ours, account=other)).found

    run(database_url, check)


def test_other_recipients_of_the_same_transaction_are_told_apart(database_url: str) -> None:
    async def check(made: World) -> None:
        hand = await sent(made, [f"a{at}" for at in range(300)])
        # Sources in the forms that SMSCs write: as an MSISDN, national, none at all.
        given = [came(f"a{at}", handset=FIRST + at, note=f"to {at}") for at in range(298)]
        given.append(came("a298", handset=(FIRST + 298) % 10**9, note="national"))
        given.append(came("a299", handset=None, note="sourceless"))
        await made.receive(*given)
        assert [text for *_, text in await said(made, hand, FIRST + 7)] == ["to 7"]
        assert [text for *_, text in await said(made, hand, FIRST + 298)] == ["national"]
        assert [text for *_, text in await said(made, hand, FIRST + 299)] == ["sourceless"]

    run(database_url, check)


class _Cut(Exception):
    pass


def test_a_commit_that_fails_keeps_nothing_and_the_redelivery_is_shown_once(database_url: str) -> None:
    async def check(made: World) -> None:
        hand = await sent(made, ["1"])

        async def cut(tx: Tx) -> None:
            await receipts.apply(tx, made.carrier_id, [came("1", note="cut")], made.clock.now_ms())
            raise _Cut

        with pytest.raises(_Cut):
            await made.database.write(cut, Lane.RECEIPTS)
        assert await said(made, hand) == []
        await made.receive(came("1", note="again"))
        assert [text for *_, text in await said(made, hand)] == ["again"]

    run(database_url, check)


def test_nothing_is_kept_where_nothing_is_to_be_kept(database_url: str) -> None:
    async def check(made: World) -> None:
        await made.receive(Incoming("2", FIRST + 1, "61411", DELIVERED, "", 0))
        await sent(made, ["1", "2"])
        await made.receive(Incoming("1", FIRST, "61411", DELIVERED, "", 0))
        assert await made.rows("SELECT DISTINCT state FROM message") == [(MessageState.DELIVERED,)]
        assert await made.rows("SELECT COUNT(*) FROM receipt_log") == [(0,)]

    run(database_url, check)


class Counting:
    """A database that counts the rows that are opened, and lets nothing through at once that is too much."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.opened = 0
        self.most = 0

    async def read(self, operation: Any) -> Any:
        answer = await self._inner.read(operation)
        if isinstance(answer, list | tuple) and answer and len(answer[0]) == 3:
            self.opened += len(answer)
            self.most = max(self.most, len(answer))
        return answer


def test_a_search_opens_few_rows_and_goes_on_where_it_ended(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trails, "ROWS", 8)
    monkeypatch.setattr(trails, "STRETCH", 5)

    async def check(made: World) -> None:
        # Ten others' receipts a second apart around ours, all of the same campaign and the numbers on both sides.
        hand = await sent(made, [f"a{at}" for at in range(3)])
        for _ in range(10):
            made.clock.advance(1)
            await made.receive(came("a0", handset=FIRST), came("a2", handset=FIRST + 2))
        made.clock.advance(1)
        await made.receive(came("a1", OPEN, handset=FIRST + 1, note="open"))
        for _ in range(10):
            made.clock.advance(1)
            await made.receive(came("a0", handset=FIRST), came("a2", handset=FIRST + 2))
        made.clock.advance(1)
        await made.receive(came("a1", handset=FIRST + 1, note="final"))
        counting = Counting(made.database)
        it = Trails(counting, made.clock, KEEP_MS)  # type: ignore[arg-type]
        ((first_at, changed_at),) = await made.rows(
            f"SELECT first_at, changed_at FROM message WHERE destination = {FIRST + 1}"
        )
        key = (*hand.claimed.key[:2], FIRST + 1)
        page = await it.receipts(key, first_at, changed_at)
        # What settled it is there at once, though the search itself has not come so far.
        assert [each.shown.text.partition("text:")[2] for each in page.found] == ["final"]
        assert page.onward is not None
        assert page.until < changed_at
        assert counting.opened <= 9
        texts, pages = [], 1
        while page.onward is not None:
            page = await it.receipts(key, first_at, changed_at, page.onward)
            texts += [each.shown.text.partition("text:")[2] for each in page.found]
            pages += 1
        assert texts == ["open"]
        assert pages == 3
        assert counting.most <= trails.PIECE

    run(database_url, check)


def test_rows_that_cannot_concern_a_message_are_not_opened(database_url: str) -> None:
    async def check(made: World) -> None:
        hand = await sent(made, ["a0", "a1"])
        made.clock.advance(1)
        for at in range(30):
            made.clock.advance(1)
            await made.receive(came("a0", handset=FIRST, note=str(at)))
        other = await sent(made, ["b"])
        await made.receive(came("b", note="another campaign's"))
        made.clock.advance(1)
        await made.receive(came("a1", handset=FIRST + 1, note="ours"))
        counting = Counting(made.database)
        it = Trails(counting, made.clock, KEEP_MS)  # type: ignore[arg-type]
        now = made.clock.now_ms()
        found = await it.receipts((*hand.claimed.key[:2], FIRST + 1), now - HOUR, now)
        assert (len(found.found), counting.opened) == (1, 1)
        found = await it.receipts((*other.claimed.key[:2], FIRST), now - HOUR, now)
        assert (len(found.found), found.onward) == (1, None)
        assert counting.opened == 2

    run(database_url, check)


def test_many_of_one_message_are_bounded(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trails, "SHOWN", 4)

    async def check(made: World) -> None:
        hand = await sent(made, ["1"])
        await made.receive(*(came("1", note=str(at)) for at in range(9)))
        found = await search(made, hand)
        assert (len(found.found), found.hidden) == (4, 5)

    run(database_url, check)


def test_older_than_receipts_are_kept_is_said(database_url: str) -> None:
    async def check(made: World) -> None:
        hand = await sent(made, ["1"])
        await made.receive(came("1"))
        made.clock.advance((KEEP_MS + HOUR) / 1000)
        assert (await search(made, hand)).forgotten

    run(database_url, check)


def test_the_stored_form_stays() -> None:
    """Rows of earlier versions must be readable: the dictionary and the order of the fields are part of them."""
    entries: list[Entry] = [(3, 1_000_042, 0, 1, 2, 0, 5, came("77").body), (3, 1_000_042, 9, 0, 1, 7, 259, b"x")]
    assert receiptlog.unpack(receiptlog.pack(entries)) == entries
    assert zlib.crc32(receiptlog.DICTIONARY) == 3011537120


@pytest.mark.parametrize(("count", "most"), [(1, 80), (10, 40), (1000, 30)])
def test_what_a_receipt_takes(count: int, most: int) -> None:
    usual: list[Entry] = [
        (3, 1_000_042, 0, 0, 1, 0, 5, came(str(5_000_000_000 + at), handset=FIRST + at * 97_003).body)
        for at in range(count)
    ]
    assert len(receiptlog.pack(usual)) / count <= most
