"""What the intake of receipts hands to the store to be kept."""

from __future__ import annotations

import pytest

from cooee.service.receipts import ReceiptIntake
from cooee.smpp.pdu import DataSm, DeliverSm, decode, encode
from cooee.smpp.plain import read_plain
from cooee.smpp.receipt import Receipt, parse_receipt
from cooee.store import receiptlog
from cooee.store.receiptlog import LONGEST
from tests.store.support_store import FIRST, World, run

TEXT = b"id:%s sub:001 dlvrd:001 submit date:1 done date:2 stat:DELIVRD err:000 text:"


async def sent(made: World, *ids: str) -> None:
    await made.campaign(len(ids))
    (hand,) = await made.claim(7)
    await hand.accept(dict(enumerate(ids))).step()


async def taken(made: World, receipts: list[Receipt], *, keeps: bool) -> list[bool]:
    """Hands them to an intake; what it acknowledged."""
    intake = ReceiptIntake(made.database, made.clock, made.carrier_id, "telco", {}, lambda keys: None, keeps=keeps)
    done: list[bool] = []
    intake.take(receipts, done.append)
    await intake.idle()
    return done


def parsed(pdu: DeliverSm | DataSm) -> Receipt:
    read = decode(encode(pdu))
    assert isinstance(read, DeliverSm | DataSm)
    receipt = parse_receipt(read)
    assert receipt is not None
    return receipt


async def kept(made: World) -> list[tuple[int, bytes]]:
    """(command_id, body) of everything in the log."""
    rows = await made.rows("SELECT body FROM receipt_log ORDER BY id")
    return [entry[-2:] for row in rows for entry in receiptlog.unpack(row[0])]


@pytest.mark.parametrize("keeps", [True, False])
def test_octets_are_kept_unless_none_are_to_be(database_url: str, keeps: bool) -> None:
    usual = DeliverSm(1, source_addr=str(FIRST), esm_class=4, short_message=TEXT % b"1")
    frame = encode(usual)
    plain = read_plain(frame, 1)
    assert plain is not None
    data = DataSm(2, source_addr=str(FIRST + 1), esm_class=4, tlvs=((0x1E, b"2\0"), (0x427, b"\2")))
    long = DeliverSm(
        3, source_addr=str(FIRST + 2), esm_class=4, short_message=TEXT % b"3", tlvs=((0x1401, b"x" * 9000),)
    )

    async def check(made: World) -> None:
        await sent(made, "1", "2", "3")
        assert await taken(made, [plain.receipt, parsed(data), parsed(long)], keeps=keeps) == [True]
        assert await made.rows("SELECT COUNT(*) FROM message WHERE state = 7") == [(3,)]
        assert await taken(made, [parsed(DeliverSm(4, esm_class=4, short_message=TEXT % b"4"))], keeps=keeps)
        ((body,),) = await made.rows("SELECT body FROM orphan_receipt")
        if keeps:
            assert await kept(made) == [
                (5, frame[16:]),
                (0x103, encode(data)[16:]),
                (5, encode(long)[16:][:LONGEST]),
            ]
            assert TEXT % b"4" in body
        else:
            assert await made.rows("SELECT COUNT(*) FROM receipt_log") == [(0,)]
            assert not body

    run(database_url, check)
