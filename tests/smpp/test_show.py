"""Whatever a carrier sends as a receipt can be shown, and nothing of it is hidden or acted upon."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cooee.smpp.codes import CommandId, Tag
from cooee.smpp.pdu import DataSm, DeliverSm, encode
from cooee.smpp.receipt import ReceiptState
from cooee.smpp.show import plain, show_receipt

TEXT = b"id:7A sub:001 dlvrd:000 submit date:2601010101 done date:2601010102 stat:UNDELIV err:0E1 text:"


def body(**given: object) -> bytes:
    pdu = DeliverSm(9, **({"source_addr": "61491570156", "destination_addr": "Cooee", "esm_class": 4} | given))  # type: ignore[arg-type]
    return encode(pdu)[16:]


def test_a_usual_one() -> None:
    tlvs = (
        (int(Tag.RECEIPTED_MESSAGE_ID), b"7A\0"),
        (int(Tag.MESSAGE_STATE), b"\x05"),
        (int(Tag.NETWORK_ERROR_CODE), b"\x03\x00\x1b"),
        (int(Tag.USER_MESSAGE_REFERENCE), b"\x01\x02"),
        (0x1401, b"\x00\xff"),
        (0x1402, b"vendor's"),
    )
    shown = show_receipt(5, body(short_message=TEXT, tlvs=tlvs))
    assert (shown.command, shown.says, shown.message_id) == ("deliver_sm", ReceiptState.UNDELIVERABLE, "7A")
    assert (shown.source, shown.destination, shown.esm_class) == ("61491570156", "Cooee", "0x04 (receipt)")
    assert shown.text == TEXT.decode()
    assert shown.tlvs == (
        ("receipted_message_id", "7A"),
        ("message_state", "5 (undeliverable)"),
        ("network_error_code", "GSM, error 27"),
        ("user_message_reference", "258"),
        ("0x1401", "00 ff"),
        ("0x1402", "vendor's"),
    )
    assert bytes.fromhex(shown.octets) == body(short_message=TEXT, tlvs=tlvs)


def test_text_in_the_payload_of_a_data_sm_and_an_intermediate_notification() -> None:
    pdu = DataSm(1, esm_class=0x20, tlvs=((int(Tag.MESSAGE_PAYLOAD), b"id:5 stat:ENROUTE"),))
    shown = show_receipt(CommandId.DATA_SM, encode(pdu)[16:])
    assert (shown.command, shown.says, shown.text) == ("data_sm", ReceiptState.ENROUTE, "id:5 stat:ENROUTE")
    assert shown.esm_class == "0x20 (intermediate notification)"
    assert shown.tlvs == ()


def test_ucs2_and_a_header_before_the_text() -> None:
    wide = "id:5 stat:DELIVRD".encode("utf-16-be")
    assert show_receipt(5, body(short_message=wide, data_coding=8)).text == "id:5 stat:DELIVRD"
    assert show_receipt(5, body(short_message=b"\x02\x70\x00" + TEXT, esm_class=0x44)).text == TEXT.decode()


def test_what_cannot_be_seen_is_written_out() -> None:
    assert plain("a\0b\r\n\x1b[31m\u202e\\") == r"a\x00b\r\n\x1b[31m\u202e\\"
    assert show_receipt(5, body(short_message=b"id:1 \x1b]0;x\x07")).text == r"id:1 \x1b]0;x\x07"


def test_one_that_was_cut_is_shown_by_its_octets() -> None:
    whole = body(short_message=TEXT)
    shown = show_receipt(5, whole[:40])
    assert shown.says is None
    assert bytes.fromhex(shown.octets) == whole[:40]


@given(st.sampled_from([5, 0x103, 4, 0x80000005, 99]), st.binary(max_size=400))
def test_any_octets(command: int, octets: bytes) -> None:
    shown = show_receipt(command, octets)
    assert bytes.fromhex(shown.octets) == octets
    assert all(each.isprintable() for each in (shown.text, shown.source, shown.message_id))
    assert all(name.isprintable() and value.isprintable() for name, value in shown.tlvs)
