"""Receipts in the dialects that SMSCs speak, and the many forms of one message id."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.smpp.pdu import DataSm, DeliverSm, Tag, decode, encode
from cooee.smpp.receipt import ReceiptState, canonical_id, id_candidates, is_receipt, parse_receipt

S = ReceiptState
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"

DIALECTS: list[tuple[str, str, ReceiptState, str, str]] = [
    # text; id, state, err, done date
    (
        "id:0123456789 sub:001 dlvrd:001 submit date:2601010101 done date:2601010102 stat:DELIVRD err:000 text:Hi",
        "0123456789", S.DELIVERED, "000", "2601010102",
    ),
    (
        "id:7 sub:001 dlvrd:000 submit date:260101010101 done date:260101010259 stat:UNDELIV err:0E1 text:",
        "7", S.UNDELIVERABLE, "0E1", "260101010259",
    ),
    (
        "id:7 sub:001 dlvrd:000 submit date:2601 done date:2601010102 stat:EXPIRED err:027 Text:id:9 stat:DELIVRD",
        "7", S.EXPIRED, "027", "2601010102",
    ),
    (
        f"id:{UUID} sub:1 dlvrd:1 submit date:20260101010101 done date:20260101010102 stat:DELIVRD err:0 text:-",
        UUID, S.DELIVERED, "0", "20260101010102",
    ),
    (
        "id:C0FFEE01 submit date:2026-01-01 01:01:01 done date:2026-01-01 01:01:02 stat:REJECTD err:SYSERR text:x",
        "C0FFEE01", S.REJECTED, "SYSERR", "2026-01-01 01:01:02",
    ),
    ("ID:44 SUB:001 DLVRD:001 STAT:DELIVRD ERR:000", "44", S.DELIVERED, "000", ""),
    ("id: 44 sub: 001 dlvrd: 01 done date: 2601010102 Stat: DELIVRD err: 0", "44", S.DELIVERED, "0", "2601010102"),
    ('id:"44" sub:"001" done date:"2601010102" status:"ACCEPTD" error:"0"', "44", S.ACCEPTED, "0", "2601010102"),
    ("id:'44' sub:001 stat:ENROUTE", "44", S.ENROUTE, "", ""),
    ("id=44, sub=001, done_date=2601010102, state=DELETED, errcode=5", "44", S.DELETED, "5", "2601010102"),
    ("id:44 sub:001 dlvrd:000 submit date:2601010101 done date:2601010102 stat:UNDELIVERABLE err:1 text:", "44",
     S.UNDELIVERABLE, "1", "2601010102"),
    ("id:44 sub:001 stat:DELIVERED", "44", S.DELIVERED, "", ""),
    ("id:44 sub:001 stat:FAILED err:11", "44", S.UNDELIVERABLE, "11", ""),
    ("id:44 sub:001 stat:BUFFERED", "44", S.ENROUTE, "", ""),
    ("id:44 sub:001 stat:SKIPPED", "44", S.SKIPPED, "", ""),
    ("id:44 sub:001 stat:UNKNOWN err:99", "44", S.UNKNOWN, "99", ""),
    ("id:44 sub:001 stat:2 err:0", "44", S.DELIVERED, "0", ""),
    ("id:44\r\nsub:001\r\nstat:DELIVRD\r\nerr:000\r\n", "44", S.DELIVERED, "000", ""),
    ("id:44 dlvrd:001 submit date:2601010101 done date:26010", "44", S.UNKNOWN, "", "26010"),
    ("stat:DELIVRD id:44 sub:001 err:000", "44", S.DELIVERED, "000", ""),
    ("Message id:44 sub:001 stat:DELIVRD", "44", S.DELIVERED, "", ""),
    ("id:44 sub:001 stat:MARTIAN", "44", S.UNKNOWN, "", ""),
    ("id:44 sub:001 dlvrd:001 submit date:1 done date:2 stat:MARTIAN err:3 text:", "44", S.UNKNOWN, "3", "2"),
    ("", "", S.UNKNOWN, "", ""),
    ("something else altogether", "", S.UNKNOWN, "", ""),
]  # fmt: skip


def receipt_pdu(text: bytes, **more: object) -> DeliverSm:
    given = {"esm_class": 4, "source_addr": "61491570156", "destination_addr": "Cooee"} | more
    return DeliverSm(1, short_message=text, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "message_id", "state", "error", "done"), DIALECTS)
def test_dialects(text: str, message_id: str, state: ReceiptState, error: str, done: str) -> None:
    octets = encode(receipt_pdu(text.encode()))
    pdu = decode(octets)
    assert isinstance(pdu, DeliverSm)
    receipt = parse_receipt(pdu)
    assert receipt is not None
    assert (receipt.message_id, receipt.state, receipt.error, receipt.done_at_text) == (
        message_id,
        state,
        error,
        done,
    )
    assert (receipt.source, receipt.destination, receipt.raw) == ("61491570156", "Cooee", octets[16:])
    assert receipt.user_message_reference is None


def test_tlvs_are_believed_before_the_text() -> None:
    text = b"id:1 sub:001 dlvrd:001 submit date:1 done date:2 stat:UNDELIV err:001 text:"
    tlvs = (
        (int(Tag.RECEIPTED_MESSAGE_ID), b"00ABC\0"),
        (int(Tag.MESSAGE_STATE), b"\x02"),
        (int(Tag.NETWORK_ERROR_CODE), b"\x03\x01\x05"),
        (int(Tag.USER_MESSAGE_REFERENCE), b"\x01\x02"),
    )
    receipt = parse_receipt(receipt_pdu(text, tlvs=tlvs))
    assert receipt is not None
    assert (receipt.message_id, receipt.state, receipt.error, receipt.done_at_text) == (
        "00ABC",
        S.DELIVERED,
        "261",
        "2",
    )
    assert receipt.user_message_reference == 258


@pytest.mark.parametrize("number", range(11))
def test_each_message_state_has_its_meaning(number: int) -> None:
    expected = [
        S.ENROUTE, S.ENROUTE, S.DELIVERED, S.EXPIRED, S.DELETED, S.UNDELIVERABLE, S.ACCEPTED, S.UNKNOWN,
        S.REJECTED, S.SKIPPED, S.UNKNOWN,
    ][number]  # fmt: skip
    tlvs = ((int(Tag.RECEIPTED_MESSAGE_ID), b"5"), (int(Tag.MESSAGE_STATE), bytes([number])))
    # Also when esm_class does not say that it is a receipt, and as data_sm.
    for pdu in (DeliverSm(1, tlvs=tlvs), DataSm(1, tlvs=tlvs), DataSm(1, esm_class=4, tlvs=tlvs)):
        receipt = parse_receipt(pdu)
        assert receipt is not None
        assert (receipt.message_id, receipt.state) == ("5", expected)


def test_what_is_final() -> None:
    final = {
        state
        for state in S
        if (found := parse_receipt(receipt_pdu(f"id:1 sub:1 stat:{state.value}".encode()))) and found.final
    }
    assert final == {S.DELIVERED, S.EXPIRED, S.DELETED, S.UNDELIVERABLE, S.REJECTED, S.SKIPPED}
    delivered = parse_receipt(receipt_pdu(b"id:1 sub:1 stat:DELIVRD"))
    assert delivered is not None
    assert delivered.delivered
    undelivered = parse_receipt(receipt_pdu(b"id:1 sub:1 stat:UNDELIV"))
    assert undelivered is not None
    assert not undelivered.delivered


def test_a_malformed_tlv_leaves_the_text_its_say() -> None:
    text = b"id:1 sub:001 dlvrd:001 submit date:1 done date:2 stat:DELIVRD err:004 text:"
    tlvs = ((int(Tag.MESSAGE_STATE), b""), (int(Tag.NETWORK_ERROR_CODE), b"1"), (0x204, b"123"))
    receipt = parse_receipt(receipt_pdu(text, tlvs=tlvs))
    assert receipt is not None
    assert (receipt.state, receipt.error, receipt.user_message_reference) == (S.DELIVERED, "004", None)


def test_an_intermediate_notification_is_on_the_way() -> None:
    receipt = parse_receipt(DeliverSm(1, esm_class=0x20, tlvs=((int(Tag.RECEIPTED_MESSAGE_ID), b"5"),)))
    assert receipt is not None
    assert (receipt.message_id, receipt.state, receipt.final) == ("5", S.ENROUTE, False)


def test_payload_ucs2_and_udh_are_read_too() -> None:
    text = "id:9 sub:001 stat:DELIVRD err:000"
    in_payload = DeliverSm(1, esm_class=4, tlvs=((int(Tag.MESSAGE_PAYLOAD), text.encode()),))
    in_ucs2 = receipt_pdu(text.encode("utf-16-be"), data_coding=8)
    behind_udh = receipt_pdu(b"\x05\x00\x03\x01\x01\x01" + text.encode(), esm_class=0x44)
    for pdu in (in_payload, in_ucs2, behind_udh):
        receipt = parse_receipt(pdu)
        assert receipt is not None
        assert (receipt.message_id, receipt.state) == ("9", S.DELIVERED)


def test_a_sloppy_smsc_need_not_mark_its_receipts() -> None:
    text = b"id:44 sub:001 dlvrd:001 submit date:2601010101 done date:2601010102 stat:DELIVRD err:000 text:x"
    assert is_receipt(receipt_pdu(text, esm_class=0))
    assert is_receipt(receipt_pdu(b"ID: '44' Sub:001 Stat:DELIVRD", esm_class=0))


@pytest.mark.parametrize(
    "text",
    [
        b"hello",
        b"",
        b"id: 5",
        b"id:5 stat:DELIVRD",
        b"id:5 sub:001 stat:fine",
        b"idea: my id:5 sub:001 stat:DELIVRD",
        b"see id:44 sub:001 dlvrd:001 submit date:1 done date:2 stat:DELIVRD err:000 text:",
        b"id:5 text:sub:001 stat:DELIVRD",
    ],
)
def test_what_a_person_writes_is_no_receipt(text: bytes) -> None:
    assert parse_receipt(receipt_pdu(text, esm_class=0)) is None


def test_an_acknowledgement_by_the_user_is_no_receipt() -> None:
    text = b"id:44 sub:001 dlvrd:001 submit date:1 done date:2 stat:DELIVRD err:000 text:"
    for kind in (0x08, 0x10):
        assert parse_receipt(receipt_pdu(text, esm_class=kind)) is None


@given(st.binary(max_size=254), st.sampled_from([0, 4, 0x20, 0x44]), st.sampled_from([0, 8]))
def test_any_octets_can_be_asked(text: bytes, esm_class: int, coding: int) -> None:
    pdu = decode(encode(DeliverSm(1, short_message=text, esm_class=esm_class, data_coding=coding)))
    assert isinstance(pdu, DeliverSm)
    receipt = parse_receipt(pdu)
    assert (receipt is not None) or not esm_class & 0x24


# Ids


@pytest.mark.parametrize(
    ("given_id", "canonical"),
    [("00AB", "ab"), ("0", "0"), ("000", "0"), ("", ""), (" 12 ", "12"), (UUID.upper(), UUID.lstrip("0"))],
)
def test_canonical_ids(given_id: str, canonical: str) -> None:
    assert canonical_id(given_id) == canonical


@pytest.mark.parametrize(
    ("given_id", "candidates"),
    [
        ("0000FF", ("ff", "255")),
        ("255", ("255", "597", "ff")),
        ("5", ("5",)),
        ("0", ("0",)),
        ("m-77", ("m-77",)),
        (UUID, (UUID.lstrip("0"),)),
        ("9" * 100, ("9" * 100,)),
    ],
)
def test_candidates(given_id: str, candidates: tuple[str, ...]) -> None:
    assert id_candidates(given_id) == candidates


@given(st.integers(0, 2**64 - 1), st.integers(0, 4))
def test_whatever_form_the_answer_had_the_receipts_id_finds_it(number: int, zeros: int) -> None:
    forms = [f"{number}", f"{number:x}", f"{number:X}", "0" * zeros + f"{number:x}", "0" * zeros + str(number)]
    for answered in forms:
        for receipted in forms:
            assert canonical_id(answered) in id_candidates(receipted)


def test_a_receipt_costs_few_microseconds_at_most() -> None:
    """A guard against something slow per receipt, not a benchmark: the bound is ten times the measured cost."""
    text = (
        b"id:0123456789 sub:001 dlvrd:001 submit date:2601010101 done date:2601010102 stat:DELIVRD err:000 text:x"
    )
    frame = encode(receipt_pdu(text))
    best = 1.0
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(500):
            pdu = decode(frame)
            assert isinstance(pdu, DeliverSm)
            parse_receipt(pdu)
        best = min(best, (time.perf_counter() - start) / 500)
    assert best < 80e-6
