"""The codec: every PDU there and back, any octets at all, and the cutting of streams."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.smpp.codes import RESPONSE, CommandId, CommandStatus, command_name, status_name
from cooee.smpp.packets import CLASSES
from cooee.smpp.pdu import (
    RESPONSES,
    BindReceiver,
    BindTransceiver,
    BindTransceiverResp,
    DataSm,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    Framer,
    GenericNack,
    Pdu,
    PduError,
    QuerySmResp,
    SubmitSm,
    SubmitSmResp,
    Tag,
    Unbind,
    decode,
    encode,
    encode_tlvs,
)
from tests.smpp.support_pdus import ANY_PDU


def frame(command: int, body: bytes = b"", *, status: int = 0, sequence: int = 7) -> bytes:
    return struct.pack(">IIII", 16 + len(body), command, status, sequence) + body


@given(ANY_PDU)
def test_every_pdu_comes_back_as_it_was(pdu: Pdu) -> None:
    assert decode(encode(pdu)) == pdu


def attempt(octets: bytes) -> Pdu | PduError:
    """What decoding gives; any other exception is a fault of the codec."""
    try:
        return decode(octets)
    except PduError as error:
        return error


@given(st.binary(max_size=300))
def test_any_octets_decode_or_raise_pdu_error(octets: bytes) -> None:
    found = attempt(octets)
    in_step = len(octets) >= 16 and int.from_bytes(octets[:4], "big") == len(octets)
    assert in_step or (isinstance(found, PduError) and not found.recoverable)


@given(st.sampled_from(CLASSES), st.integers(0, 0xFFFFFFFF), st.binary(max_size=300))
def test_any_body_of_any_command_decodes_or_raises_a_recoverable_error(
    kind: type[Pdu], status: int, body: bytes
) -> None:
    found = attempt(frame(kind.command, body, status=status))
    if isinstance(found, PduError):
        assert found.recoverable
        assert (found.sequence, found.command_id) == (7, kind.command)
        assert found.command_status
    else:
        assert type(found) is kind


@given(ANY_PDU, st.data())
def test_a_body_cut_anywhere_decodes_or_raises_a_recoverable_error(pdu: Pdu, data: st.DataObject) -> None:
    whole = encode(pdu)
    end = data.draw(st.integers(16, len(whole)))
    found = attempt(struct.pack(">I", end) + whole[4:end])
    assert not isinstance(found, PduError) or found.recoverable


def test_a_submit_sm_lies_on_the_wire_as_the_standard_says() -> None:
    octets = encode(
        SubmitSm(
            5,
            source_addr_ton=5,
            source_addr="Cooee",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr="61491570156",
            esm_class=0x40,
            registered_delivery=1,
            data_coding=8,
            short_message=b"\0H",
            tlvs=((Tag.USER_MESSAGE_REFERENCE, b"\0\x2a"),),
        )
    )
    assert octets == (
        b"\x00\x00\x00\x39\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x05"
        b"\x00\x05\x00Cooee\x00\x01\x0161491570156\x00\x40\x00\x00\x00\x00\x01\x00\x08\x00\x02\x00H"
        b"\x02\x04\x00\x02\x00\x2a"
    )


def test_a_bind_lies_on_the_wire_as_the_standard_says_and_hides_its_password() -> None:
    bind = BindTransceiver(1, system_id="cooee", password="geheim", system_type="VMS")
    assert encode(bind) == (
        b"\x00\x00\x00\x25\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x01cooee\x00geheim\x00VMS\x00\x34\x00\x00\x00"
    )
    assert "geheim" not in repr(bind)
    assert "geheim" not in repr(BindReceiver(1, system_id="cooee", password="geheim"))


def test_an_unknown_command_is_recoverable() -> None:
    with pytest.raises(PduError) as caught:
        decode(frame(0x777, b"abc"))
    error = caught.value
    assert (error.command_status, error.command_id, error.sequence) == (
        CommandStatus.ESME_RINVCMDID,
        0x777,
        7,
    )
    assert error.recoverable
    assert "0x00000777" in str(error)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"toolong\0", CommandStatus.ESME_RINVSERTYP),
        (b"\0\1\1" + b"9" * 65 + b"\0", CommandStatus.ESME_RINVSRCADR),
        (b"\0\1\1unterminated", CommandStatus.ESME_RINVSRCADR),
        (b"\0\1\x01123\0\1\1" + b"9" * 65 + b"\0", CommandStatus.ESME_RINVDSTADR),
        (b"\0\1\x01123\0\1\x01456\0\0\0\0" + b"1" * 17 + b"\0", CommandStatus.ESME_RINVSCHED),
        (b"\0\1\x01123\0\1\x01456\0\0\0\0\0" + b"1" * 17 + b"\0", CommandStatus.ESME_RINVEXPIRY),
        (b"\0\1\x01123\0\1\x01456\0\0\0\0\0\0\0\0\0\0\x05hell", CommandStatus.ESME_RINVMSGLEN),
        (b"\0\1\x01123\0\1\x01456\0\0\0\0\0\0\0\0\0\0\0\x02\x04", CommandStatus.ESME_RINVOPTPARSTREAM),
        (b"\0\1\x01123\0\1\x01456\0\0\0\0\0\0\0\0\0\0\0\x02\x04\0\x02\0", CommandStatus.ESME_RINVPARLEN),
        (b"", CommandStatus.ESME_RINVSERTYP),
    ],
)
def test_a_bad_body_names_the_status_that_fits(body: bytes, status: CommandStatus) -> None:
    with pytest.raises(PduError) as caught:
        decode(frame(CommandId.DELIVER_SM, body))
    assert caught.value.command_status == status


def test_sloppy_responses_are_understood() -> None:
    assert decode(frame(CommandId.SUBMIT_SM_RESP)) == SubmitSmResp(7)
    assert decode(frame(CommandId.SUBMIT_SM_RESP, b"abc")) == SubmitSmResp(7, message_id="abc")
    assert decode(frame(CommandId.SUBMIT_SM_RESP, b"x" * 200 + b"\0")) == SubmitSmResp(7, message_id="x" * 200)
    assert decode(frame(CommandId.DELIVER_SM_RESP)) == DeliverSmResp(7)
    assert decode(frame(CommandId.BIND_TRANSCEIVER_RESP, b"SMSC")) == BindTransceiverResp(7, system_id="SMSC")
    assert decode(frame(CommandId.QUERY_SM_RESP, b"garbage", status=8)) == QuerySmResp(7, 8)
    assert decode(frame(CommandId.ENQUIRE_LINK, b"what")) == EnquireLink(7)
    with pytest.raises(PduError):
        decode(frame(CommandId.SUBMIT_SM_RESP, b"x" * 300))


def test_a_refusal_has_no_body() -> None:
    assert encode(SubmitSmResp(9, CommandStatus.ESME_RTHROTTLED)) == frame(0x80000004, status=0x58, sequence=9)


def test_tlvs_keep_their_order_the_unknown_ones_too() -> None:
    tlvs = ((0x1401, b"x"), (int(Tag.MESSAGE_PAYLOAD), b"hello"), (0x1401, b""))
    pdu = decode(encode(DeliverSm(1, tlvs=tlvs)))
    assert isinstance(pdu, DeliverSm)
    assert pdu.tlvs == tlvs
    assert pdu.payload == b"hello"
    assert pdu.tlv(0x1401) == b"x"
    assert pdu.tlv(Tag.MESSAGE_STATE) is None
    assert DeliverSm(1, short_message=b"short", tlvs=tlvs).payload == b"short"
    data = DataSm(1, tlvs=tlvs)
    assert (data.payload, data.tlv(0x1401), DataSm(1).payload) == (b"hello", b"x", b"")


@pytest.mark.parametrize(
    "pdu",
    [
        SubmitSm(1, source_addr="a\0b"),
        SubmitSm(1, source_addr="Ω"),
        SubmitSm(1, service_type="123456"),
        SubmitSm(1, data_coding=256),
        SubmitSm(1, short_message=b"x" * 255),
        SubmitSm(1, tlvs=((70000, b""),)),
        SubmitSm(1, tlvs=((1, bytes(65_500)),)),
        Unbind(-1),
        GenericNack(1, 1 << 32),
    ],
)
def test_what_a_field_cannot_hold_is_refused(pdu: Pdu) -> None:
    with pytest.raises(ValueError):
        encode(pdu)


def test_a_tlv_of_more_than_65535_octets_is_refused() -> None:
    with pytest.raises(ValueError, match="TLV"):
        encode_tlvs(((1, bytes(65_536)),))


def test_each_request_knows_its_response() -> None:
    assert RESPONSES[SubmitSm] is SubmitSmResp
    assert RESPONSES[DeliverSm] is DeliverSmResp
    for request, response in RESPONSES.items():
        assert response.command == request.command | RESPONSE


def test_numbers_have_names() -> None:
    assert status_name(0x58) == "ESME_RTHROTTLED"
    assert status_name(0x401) == "0x00000401"
    assert command_name(4) == "submit_sm"


# The cutting of streams


@given(st.lists(ANY_PDU, max_size=6), st.data())
def test_a_stream_cut_anyhow_gives_the_same_pdus(pdus: list[Pdu], data: st.DataObject) -> None:
    stream = b"".join(map(encode, pdus))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    framer = Framer()
    frames: list[bytes] = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        frames += framer.feed(stream[start:stop])
    assert [decode(one) for one in frames] == pdus
    assert framer.pending == 0


def test_a_stream_that_dribbles_gives_the_same_pdus() -> None:
    stream = encode(SubmitSm(1, short_message=b"hello")) + encode(Unbind(2))
    framer = Framer()
    frames = [one for octet in stream for one in framer.feed(bytes([octet]))]
    assert b"".join(frames) == stream
    assert len(frames) == 2


@pytest.mark.parametrize("length", [0, 15, 64 * 1024 + 1, 0xFFFFFFFF])
def test_an_impossible_length_ends_the_stream_after_the_good_pdus(length: int) -> None:
    good = encode(EnquireLink(3))
    bad = struct.pack(">IIII", length, 4, 0, 99)
    framer = Framer()
    assert framer.feed(good + bad) == [good]
    assert framer.fault is not None
    assert framer.fault.sequence == 99
    for _ in range(2):
        with pytest.raises(PduError) as caught:
            framer.feed(good)
        assert not caught.value.recoverable
        assert caught.value.command_status == CommandStatus.ESME_RINVCMDLEN
    with pytest.raises(PduError):
        Framer().feed(bad[:4])


def test_the_limit_is_the_callers() -> None:
    pdu = encode(SubmitSm(1, short_message=b"x" * 100))
    assert Framer(max_pdu=len(pdu)).feed(pdu) == [pdu]
    with pytest.raises(PduError):
        Framer(max_pdu=len(pdu) - 1).feed(pdu)
    with pytest.raises(PduError):
        decode(frame(CommandId.UNBIND, bytes(64 * 1024)))
