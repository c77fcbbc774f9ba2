"""The short way of reading a receipt says what the long way says, or nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cooee.smpp.packets import DeliverSm
from cooee.smpp.pdu import decode, encode
from cooee.smpp.plain import read_plain
from cooee.smpp.receipt import parse_receipt

DIGITS = st.text("0123456789", min_size=1, max_size=12)
TEXTS = st.builds(
    "id:{} sub:001 dlvrd:{} submit date:{} done date:{} stat:{} err:{}{}".format,
    st.text("0123456789abcdefABCDEF-", min_size=1, max_size=30),
    DIGITS,
    DIGITS,
    DIGITS,
    st.sampled_from(
        ["DELIVRD", "UNDELIV", "EXPIRED", "REJECTD", "ENROUTE", "UNKNOWN", "delivrd", "Deleted", "Xyz"]
    ),
    st.text("0123456789ABC", min_size=1, max_size=6),
    st.sampled_from(["", " ", " text:", " text:Hello id:9 stat:UNDELIV", " Text:Hi", " tail", "x"]),
)
TLVS = st.one_of(
    st.just(()),
    st.builds(
        lambda i, s: ((0x1E, i.encode() + b"\0"), (0x427, bytes([s]))),
        st.text("0123456789abcdef", min_size=1, max_size=20),
        st.integers(0, 12),
    ),
    st.lists(
        st.tuples(st.sampled_from([0x1E, 0x427, 0x423, 0x204, 0x1400]), st.binary(max_size=9)), max_size=4
    ).map(tuple),
)


@given(
    text=st.one_of(TEXTS.map(str.encode), st.binary(max_size=120)),
    tlvs=TLVS,
    esm_class=st.sampled_from([0, 4, 4, 4, 0x44, 0x20, 0x08]),
    coding=st.sampled_from([0, 1, 3, 8]),
    source=DIGITS,
    sequence=st.integers(1, 0x7FFFFFFF),
)
def test_both_ways_agree(
    text: bytes, tlvs: tuple[tuple[int, bytes], ...], esm_class: int, coding: int, source: str, sequence: int
) -> None:
    pdu = DeliverSm(
        sequence,
        source_addr=source,
        destination_addr="COOEE",
        esm_class=esm_class,
        data_coding=coding,
        short_message=text,
        tlvs=tlvs,
    )
    frame = encode(pdu)
    plain = read_plain(frame, sequence)
    if plain is not None:
        assert plain.sequence == sequence
        long = decode(frame)
        assert isinstance(long, DeliverSm)
        assert plain.receipt == parse_receipt(long)


def test_the_usual_receipt_takes_the_short_way() -> None:
    text = b"id:1a2B sub:001 dlvrd:001 submit date:2611240900 done date:2611240901 stat:DELIVRD err:000 text:Hello"
    for tlvs in ((), ((0x1E, b"1a2B\0"), (0x427, b"\2"))):
        frame = encode(
            DeliverSm(
                9, source_addr="61400123456", destination_addr="COOEE", esm_class=4, short_message=text, tlvs=tlvs
            )
        )
        plain = read_plain(frame, 9)
        assert plain is not None
        assert (plain.receipt.message_id, plain.receipt.delivered, plain.receipt.error) == ("1a2B", True, "000")


@given(st.binary(max_size=200))
def test_any_octets_are_survived(body: bytes) -> None:
    read_plain((16 + len(body)).to_bytes(4, "big") + b"\0\0\0\5\0\0\0\0\0\0\0\1" + body, 1)
