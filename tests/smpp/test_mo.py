"""Messages from handsets: every alphabet, every kind of concatenation, and octets that make no sense."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.model.datacoding import coding_of, text_of
from cooee.model.segments import Encoding, segment
from cooee.smpp.codes import ESM_UDHI, Tag
from cooee.smpp.mo import Mo, Part, parse_mo
from cooee.smpp.pdu import DataSm, DeliverSm, decode, encode

FROM, TO = "61400000009", "61411"
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\x1b"), max_size=1000)


def deliver(**more: object) -> DeliverSm:
    fields: dict[str, object] = {"source_addr_ton": 1, "source_addr": FROM, "destination_addr": TO, **more}
    return DeliverSm(1, **fields)  # type: ignore[arg-type]


def text(*messages: Mo) -> str:
    return text_of((message.coding, message.body) for message in messages)


@pytest.mark.parametrize(
    ("coding", "data", "shown"),
    [
        (0, b"Hi @\x00 \x1b\x65 {\x1b\x28", "Hi ¡@ € ä{"),
        (0, "größer".encode("latin-1"), "größer"),
        (0, "groß 😀".encode(), "groß 😀"),
        (1, b"plain [x]", "plain [x]"),
        (3, "größer é".encode("latin-1"), "größer é"),
        (6, "да".encode("iso8859_5"), "да"),
        (7, "שלום".encode("iso8859_8"), "שלום"),
        (8, "😀 ж".encode("utf-16-be"), "😀 ж"),
        (8, b"\xfe\xff\x00A", "A"),
        (8, b"\xff\xfeA\x00", "A"),
        (8, b"\x00A\xd8", "A\ufffd"),
        (8, b"\x00A\x00\x00", "A"),
        (14, "네".encode("euc_kr"), "네"),
        (4, b"\x01\xff", "[binary, 2 octets: 01ff]"),
        (2, b"", ""),
        (0x10, b"flash", "flash"),
        (0x18, "ж".encode("utf-16-be"), "ж"),
        (0x15, b"\x01", "[binary, 1 octets: 01]"),
        (0xD0, b"waiting", "waiting"),
        (0xE0, "ж".encode("utf-16-be"), "ж"),
        (0xF0, b"class", "class"),
        (0xF5, b"\x02", "[binary, 1 octets: 02]"),
    ],
)
def test_every_alphabet(coding: int, data: bytes, shown: str) -> None:
    message = parse_mo(deliver(data_coding=coding, short_message=data))
    assert text(message) == shown
    assert message.part is None
    assert (message.source, message.ton, message.destination) == (FROM, 1, TO)


def test_message_payload_and_data_sm_carry_long_texts() -> None:
    long = ("long " * 100).encode()
    assert text(parse_mo(deliver(tlvs=((Tag.MESSAGE_PAYLOAD, long),)))) == long.decode()
    pdu = DataSm(1, source_addr=FROM, destination_addr=TO, tlvs=((Tag.MESSAGE_PAYLOAD, long),))
    assert text(parse_mo(pdu)) == long.decode()


def test_concatenation_of_8_and_16_bits_and_sar() -> None:
    udh8 = parse_mo(deliver(esm_class=ESM_UDHI, short_message=b"\x05\x00\x03\x07\x03\x02abc"))
    udh16 = parse_mo(deliver(esm_class=ESM_UDHI, short_message=b"\x06\x08\x04\x00\x07\x03\x02abc"))
    sar = parse_mo(
        deliver(
            short_message=b"abc",
            tlvs=(
                (Tag.SAR_MSG_REF_NUM, b"\0\7"),
                (Tag.SAR_TOTAL_SEGMENTS, b"\3"),
                (Tag.SAR_SEGMENT_SEQNUM, b"\2"),
            ),
        )
    )
    for message in (udh8, udh16, sar):
        assert message.part is not None
        assert (message.part.total, message.part.no, message.body) == (3, 2, b"abc")
    assert len({message.part.concat for message in (udh8, udh16, sar) if message.part}) == 3


@pytest.mark.parametrize(
    "header",
    [
        b"\x05\x00\x03\x07\x03\x04",  # number over the total
        b"\x05\x00\x03\x07\x03\x00",  # number 0
        b"\x05\x00\x03\x07\x00\x00",  # no parts
        b"\x05\x00\x03\x07\x01\x01",  # one of one is whole
        b"\x02\x00\x03",  # cut short
        b"\x04\x00\x03\x01\x02",  # cut short inside
        b"\x01\x00",
        b"\x00",
    ],
)
def test_a_header_that_makes_no_sense_is_no_concatenation(header: bytes) -> None:
    message = parse_mo(deliver(esm_class=ESM_UDHI, short_message=header + b"abc"))
    assert message.part is None
    assert message.body == b"abc"


def test_other_elements_are_passed_over_and_the_last_concatenation_counts() -> None:
    elements = b"\x05\x04\x0b\x84\x23\xf0" + b"\x00\x03\x01\x02\x01" + b"\x00\x03\x02\x03\x03"
    for data in (elements, b"\x24\x01\x01" + elements):
        message = parse_mo(deliver(esm_class=ESM_UDHI, short_message=bytes((len(data),)) + data + b"abc"))
        assert (message.part, message.body) == (Part(2, 3, 3), b"abc")


def test_a_header_longer_than_the_message_is_text() -> None:
    assert parse_mo(deliver(esm_class=ESM_UDHI, short_message=b"\x30abc")).body == b"\x30abc"
    assert parse_mo(deliver(esm_class=ESM_UDHI)).body == b""


@given(TEXTS, st.booleans(), st.integers(0, 0xFFFF))
def test_what_is_cut_reads_the_same_when_joined(written: str, wide: bool, reference: int) -> None:
    cut = segment(written, wide)
    coding = 0 if cut.encoding is Encoding.GSM7 else 8
    pieces = [
        parse_mo(deliver(esm_class=ESM_UDHI if cut.count > 1 else 0, data_coding=coding, short_message=data))
        for data in cut.user_data(reference, wide)
    ]
    assert text(*pieces) == written
    if cut.count > 1:
        assert [piece.part and piece.part.no for piece in pieces] == list(range(1, cut.count + 1))
        assert len({piece.part.concat for piece in pieces if piece.part}) == 1
        assert len({piece.digest for piece in pieces}) == cut.count


@given(st.binary(max_size=254), st.integers(0, 255), st.integers(0, 255))
def test_any_octets_are_read(data: bytes, coding: int, esm_class: int) -> None:
    message = parse_mo(deliver(esm_class=esm_class, data_coding=coding, short_message=data))
    shown = text(message)
    assert "\0" not in shown
    shown.encode()
    assert -(2**63) <= message.digest < 2**63


def test_the_same_message_has_the_same_digest_whatever_its_sequence_number() -> None:
    one = deliver(short_message=b"Yes", tlvs=((0x1403, b"12:00:01"),))
    again = decode(encode(replace(one, sequence=77, tlvs=((0x1403, b"12:00:09"),))))
    assert isinstance(again, DeliverSm)
    assert parse_mo(one).digest == parse_mo(again).digest
    for other in (
        replace(one, short_message=b"No"), replace(one, source_addr="61400000008"),
        replace(one, destination_addr="61412"), replace(one, data_coding=3),
    ):  # fmt: skip
        assert parse_mo(other).digest != parse_mo(one).digest


@given(st.integers(0, 255))
def test_every_coding_is_known(coding: int) -> None:
    assert 0 <= coding_of(coding) <= 255
