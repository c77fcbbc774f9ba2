"""The template writes what the codec writes, for a whole slice at once."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.smpp.pdu import SubmitSm, Tag, encode, encode_tlvs
from cooee.smpp.template import SubmitTemplate

LAST = 0x7FFFFFFF
TLVS = ((int(Tag.USER_MESSAGE_REFERENCE), b"\0\1"), (0x1401, b"abc"))


def template(parts: list[bytes], *, udh: bool = False) -> SubmitTemplate:
    return SubmitTemplate(
        parts,
        source="Cooee",
        source_ton=5,
        source_npi=0,
        dest_ton=1,
        dest_npi=1,
        data_coding=8,
        udh=udh,
        registered_delivery=1,
        validity_period="000001000000000R",
        service_type="CMT",
        protocol_id=1,
        priority=2,
        tlvs=encode_tlvs(TLVS),
    )


def plain(sequence: int, destination: int, part: bytes, *, udh: bool = False) -> bytes:
    long = len(part) > 254
    payload = ((int(Tag.MESSAGE_PAYLOAD), part),) if long else ()
    return encode(
        SubmitSm(
            sequence,
            service_type="CMT",
            source_addr_ton=5,
            source_addr="Cooee",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr=str(destination),
            esm_class=0x40 if udh else 0,
            protocol_id=1,
            priority_flag=2,
            validity_period="000001000000000R",
            registered_delivery=1,
            data_coding=8,
            short_message=b"" if long else part,
            tlvs=payload + TLVS,
        )
    )


@given(
    st.lists(st.one_of(st.binary(max_size=30), st.binary(min_size=250, max_size=260)), min_size=1, max_size=3),
    st.lists(st.integers(1, 10**15 - 1), max_size=20),
    st.one_of(st.integers(1, 1000), st.integers(65_500, 65_560), st.integers(LAST - 1000, LAST - 60)),
    st.booleans(),
)
def test_a_slice_equals_its_pdus_one_by_one(
    parts: list[bytes], destinations: list[int], first: int, udh: bool
) -> None:
    expected = b"".join(
        plain(first + i * len(parts) + p, destination, part, udh=udh)
        for i, destination in enumerate(destinations)
        for p, part in enumerate(parts)
    )
    made = template(parts, udh=udh)
    assert made.parts == len(parts)
    assert made.encode(first, destinations) == expected
    assert made.encode(first, array("q", destinations)) == expected
    assert made.encode(first, sorted(destinations)) == b"".join(
        plain(first + i * len(parts) + p, destination, part, udh=udh)
        for i, destination in enumerate(sorted(destinations))
        for p, part in enumerate(parts)
    )


def test_five_hundred_of_one_length_cross_every_octet_of_the_sequence_number() -> None:
    made = template([b"hello"])
    destinations = range(61491570000, 61491570500)
    for first in (1, 0xFF - 250, 0xFFFF - 250, 0xFFFFFF - 250):
        expected = b"".join(plain(first + i, one, b"hello") for i, one in enumerate(destinations))
        assert made.encode(first, destinations) == expected


def test_chosen_parts_of_one_destination() -> None:
    parts = [b"one", b"two and more", b"x" * 300]
    made = template(parts, udh=True)
    assert made.encode_some(9, 61491570156, [2, 0]) == plain(9, 61491570156, parts[2], udh=True) + plain(
        10, 61491570156, parts[0], udh=True
    )
    assert made.encode_some(9, 61491570156, []) == b""


def test_sequence_numbers_never_leave_their_range() -> None:
    made = template([b"a", b"b"])
    assert len(made.encode(LAST - 3, [61491570156, 61491570157])) > 0
    for first, destinations in ((LAST - 2, [1, 2]), (0, [1])):
        with pytest.raises(ValueError, match="sequence"):
            made.encode(first, destinations)
    with pytest.raises(ValueError, match="sequence"):
        made.encode_some(LAST, 1, [0, 1])


def test_what_cannot_be_encoded_is_found_when_the_template_is_made() -> None:
    for parts, source in (([], "Cooee"), ([b"x"], "Ω"), ([b"x"], "x" * 70), ([bytes(65_500)], "Cooee")):
        with pytest.raises(ValueError):
            SubmitTemplate(parts, source=source, source_ton=5, source_npi=0, data_coding=0, udh=False)
    with pytest.raises(ValueError, match="over the limit"):
        SubmitTemplate(
            [b"x"], source="1", source_ton=1, source_npi=1, data_coding=0, udh=False, tlvs=bytes(65_500)
        )
