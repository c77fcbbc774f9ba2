"""Receipts as they came: written with what they change, found by what they were joined to, and by nothing else."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from cooee.model.clock import DAY, HOUR
from cooee.model.message import MessageState
from cooee.service import packing, trails
from cooee.service.keeping import Keep
from cooee.service.retention import Retention
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
    made: World, hand: Hand, number: int = FIRST, onward: int | None = None, account: int | None = None
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
    """A database that counts the rows that are opened."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.opened = 0
        self.most = 0

    async def read(self, operation: Any) -> Any:
        answer = await self._inner.read(operation)
        self.opened += len(answer[0])
        self.most = max(self.most, len(answer[0]))
        return answer


def notes(found: Receipts) -> list[str]:
    return [each.shown.text.partition("text:")[2] for each in found.found]


def test_a_search_opens_few_rows_and_goes_on_where_it_ended(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trails, "LOOKS", 3)
    monkeypatch.setattr(trails, "PIECE", 4)
    monkeypatch.setattr(trails, "STRETCH", 5)

    async def check(made: World) -> None:
        # Others' receipts a second apart before and behind ours, of the same campaign, of numbers on both sides.
        hand = await sent(made, [f"a{at}" for at in range(3)])
        for note in ("open", "final"):
            for _ in range(12):
                made.clock.advance(1)
                await made.receive(came("a0", handset=FIRST), came("a2", handset=FIRST + 2))
            made.clock.advance(1)
            await made.receive(
                came("a1", OPEN if note == "open" else DELIVERED, handset=FIRST + 1, note=note),
                came("a0", handset=FIRST),
            )
        counting = Counting(made.database)
        it = Trails(counting, made.clock, KEEP_MS)  # type: ignore[arg-type]
        ((first_at, changed_at),) = await made.rows(
            f"SELECT first_at, changed_at FROM message WHERE destination = {FIRST + 1}"
        )
        key = (*hand.claimed.key[:2], FIRST + 1)
        page = await it.receipts(key, first_at, changed_at)
        # What settled it is there at once, though the search itself has not come so far.
        assert notes(page) == ["final"]
        assert page.onward is not None
        assert page.onward < changed_at
        assert counting.opened <= 1 + 3 * 4
        texts, pages = [], 1
        while page.onward is not None:
            page = await it.receipts(key, first_at, changed_at, page.onward)
            texts += notes(page)
            pages += 1
        assert texts == ["open"]
        assert 3 <= pages <= 5
        assert counting.most <= 4

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
        # Opened for the time when it was settled, and again on the way.
        assert (notes(found), counting.opened) == (["ours"], 2)
        found = await it.receipts((*other.claimed.key[:2], FIRST), now - HOUR, now)
        assert (notes(found), found.onward) == (["another campaign's"], None)
        assert counting.opened == 3

    run(database_url, check)


def test_rows_of_one_millisecond_are_all_looked_at(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trails, "PIECE", 2)

    async def check(made: World) -> None:
        hand = await sent(made, ["1"])
        for at in range(11):
            await made.receive(came("1", note=str(at)))
        assert sorted(int(text) for *_, text in await said(made, hand)) == list(range(11))

    run(database_url, check)


async def packed(made: World) -> list[tuple[int, int]]:
    """(rows, receipts) by the hour, after everything that is due was put together."""
    await Retention(made.database, made.clock, Keep()).tidy()
    rows = await made.rows(
        f"SELECT COUNT(*), SUM(receipts) FROM receipt_log GROUP BY at / {HOUR} ORDER BY at / {HOUR}"
    )
    return [(int(row[0]), int(row[1])) for row in rows]


def test_small_rows_are_put_together_and_everything_is_still_found(database_url: str) -> None:
    async def check(made: World) -> None:
        await made.receive(came("a0", note="an orphan"))
        made.clock.advance(7)
        hand = await sent(made, ["a0", "a1", "a2"])
        start = made.clock.now_ms()
        made.clock.advance((HOUR - start % HOUR) / 1000)
        for hour in range(2):
            for minute in range(0, 60, 10):
                note = f"{hour}:{minute:02}"
                await made.receive(came("a0", note=note), came("a1", handset=FIRST + 1, note=note))
                await made.receive(came("a2", handset=None, note=note))
                made.clock.advance(600)
        before = [await search(made, hand, FIRST + at) for at in range(3)]
        assert await made.rows("SELECT COUNT(*), SUM(receipts) FROM receipt_log") == [(25, 37)]
        made.clock.advance(1)
        # The second hour may not be over for all nodes.
        assert await packed(made) == [(1, 1), (1, 18), (12, 18)]
        made.clock.advance(121)
        assert await packed(made) == [(1, 1), (1, 18), (1, 18)]
        assert await made.rows("SELECT COUNT(*) FROM receipt_log WHERE packed = 0") == [(0,)]
        after = [await search(made, hand, FIRST + at) for at in range(3)]
        assert after == before
        assert [len(each.found) for each in after] == [13, 12, 12]
        assert notes(after[0])[:2] == ["an orphan", "0:00"]
        # A search that was under way goes on in what was put together meanwhile.
        middle = before[0].found[4].at
        onward = await search(made, hand, FIRST, onward=middle)
        assert [each for each in onward.found if each.at != before[0].found[0].at] == before[0].found[5:]

    run(database_url, check)


def test_many_small_rows_make_rows_of_bounded_size(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "PAGE", 30)
    monkeypatch.setattr(packing, "ROWS", 20)
    monkeypatch.setattr(packing, "MOST", 50)

    async def check(made: World) -> None:
        hand = await sent(made, ["1"])
        made.clock.advance((HOUR - made.clock.now_ms() % HOUR) / 1000)
        other = await made.carrier()
        for at in range(100):
            await made.receive(*(came("1", note=f"{at}") for _ in range(5 if at < 25 else 1)))
            await made.write(lambda tx: receiptlog.keep(tx, other, [], 0))
        kept = {str(each.shown.text) for each in (await search(made, hand)).found}
        made.clock.advance(121)
        # What is full is put together at once: ten rows of five, or twenty of one; the rest when the hour is over.
        assert await made.rows("SELECT COUNT(*), SUM(receipts) FROM receipt_log") == [(100, 200)]
        await packed(made)
        full = await made.rows("SELECT receipts FROM receipt_log WHERE packed = 1 ORDER BY id")
        assert [int(row[0]) for row in full] == [50, 50, 40, 20, 20]
        ((left,),) = await made.rows("SELECT COUNT(*) FROM receipt_log WHERE packed = 0")
        assert left == 20
        made.clock.advance(3600)
        assert (await packed(made))[0][1] == 200
        assert await made.rows("SELECT COUNT(*) FROM receipt_log") == [(6,)]
        assert {str(each.shown.text) for each in (await search(made, hand)).found} >= kept

    run(database_url, check)


def test_a_large_row_is_left_alone(database_url: str) -> None:
    async def check(made: World) -> None:
        await sent(made, ["1"])
        await made.receive(*(came("1") for _ in range(receiptlog.FULL)))
        rows = await made.rows("SELECT id, packed FROM receipt_log")
        made.clock.advance(7200)
        await packed(made)
        assert await made.rows("SELECT id, packed FROM receipt_log") == rows == [(rows[0][0], 1)]

    run(database_url, check)


def test_rows_that_another_node_put_together_are_left_to_it(database_url: str) -> None:
    async def check(made: World) -> None:
        await sent(made, ["1"])
        for _ in range(3):
            await made.receive(came("1"))
            made.clock.advance(1)
        ids = [int(row[0]) for row in await made.rows("SELECT id FROM receipt_log ORDER BY id")]
        rows = await made.database.read(lambda tx: receiptlog.rows_of(tx, ids))
        values = receiptlog.united(made.carrier_id, rows)
        made.clock.advance(7200)
        await packed(made)
        assert await made.rows("SELECT COUNT(*), SUM(receipts) FROM receipt_log") == [(1, 3)]

        async def once_more(tx: Tx) -> None:
            if not await receiptlog.replace(tx, ids, values):
                raise _Cut

        with pytest.raises(_Cut):
            await made.database.write(once_more)
        assert await made.rows("SELECT COUNT(*), SUM(receipts) FROM receipt_log") == [(1, 3)]

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
    entries: list[Entry] = [
        (3, 1_000_042, 0, 1, 2, 0, 0, 5, came("77").body),
        (3, 1_000_042, 9, 0, 1, 7, -8, 259, b"x"),
    ]
    assert receiptlog.unpack(receiptlog.pack(entries)) == entries
    assert zlib.crc32(receiptlog.DICTIONARY) == 2449686942


@pytest.mark.parametrize(("count", "most"), [(1, 80), (10, 40), (1000, 30)])
def test_what_a_receipt_takes(count: int, most: int) -> None:
    usual: list[Entry] = [
        (3, 1_000_042, 0, 0, 1, 0, 0, 5, came(str(5_000_000_000 + at), handset=FIRST + at * 97_003).body)
        for at in range(count)
    ]
    assert len(receiptlog.pack(usual)) / count <= most
