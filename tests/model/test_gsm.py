import gsm0338
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.model import gsm

ALPHABET = gsm.BASIC.replace("\x1b", "") + "".join(gsm.EXTENSION.values())
gsm_text = st.text(alphabet=st.sampled_from(ALPHABET), max_size=400)


@given(gsm_text)
def test_encoding_agrees_with_an_independent_library_and_comes_back(text: str) -> None:
    data = gsm.encode(text)
    assert data == gsm0338.Codec().encode(text)[0]
    assert gsm.decode(data) == text


@given(st.text(max_size=60))
def test_outside_is_the_first_character_that_cannot_be_encoded(text: str) -> None:
    index = gsm.first_outside(text)
    assert gsm.is_gsm(text) == (index is None)
    if index is None:
        assert gsm.decode(gsm.encode(text)) == text
    else:
        gsm.encode(text[:index])
        with pytest.raises(ValueError, match=f"U\\+{ord(text[index]):04X} at index {index}"):
            gsm.encode(text)


def test_every_code_of_the_tables_is_one_character() -> None:
    assert len(set(gsm.BASIC)) == 128
    assert gsm.encode("@£\n\rΩ ~") == bytes([0x00, 0x01, 0x0A, 0x0D, 0x15, 0x20, 0x1B, 0x3D])
    assert gsm.encode("|^€{}[]~\\\f") == bytes.fromhex("1b401b141b651b281b291b3c1b3e1b3d1b2f1b0a")


def test_the_escape_itself_is_no_character() -> None:
    assert gsm.first_outside("a\x1bb") == 1


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x1ba", "a"),  # an extension that does not exist shows the basic character
        (b"\x1b\x00", "@"),
        (b"a\x1b", "a"),  # cut short
        (b"\x1b\x1be", " e"),  # an escape to a further table
        (b"a\x80\xff", "a\ufffd\ufffd"),  # no septets
        (b"", ""),
    ],
)
def test_decoding_tolerates_what_carriers_send(data: bytes, text: str) -> None:
    assert gsm.decode(data) == text


@given(st.binary())
def test_decoding_never_raises(data: bytes) -> None:
    assert len(gsm.decode(data)) <= len(data)


def test_smart_encoding_uses_twins_where_they_save_the_text_from_ucs2() -> None:
    assert gsm.smart("“Don’t” – wait…\u00a0ok") == '"Don\'t" - wait... ok'
    assert gsm.smart("plain € {text}") == "plain € {text}"
    assert gsm.smart("“hi” 😀") == "“hi” 😀"
    assert gsm.twin("—") == "-"
    assert gsm.twin("\u200b") == ""
    assert gsm.twin("ж") is None


@given(st.text(max_size=60))
def test_twins_are_gsm_and_smart_leaves_gsm_alone(text: str) -> None:
    for char in text:
        twin = gsm.twin(char)
        assert twin is None or gsm.is_gsm(twin)
        assert twin is None or not gsm.is_gsm(char)
    smart = gsm.smart(text)
    assert smart == text or gsm.is_gsm(smart)


@given(st.binary(max_size=160).map(lambda data: bytes(octet & 0x7F for octet in data)), st.integers(0, 6))
def test_packing_comes_back(septets: bytes, fill: int) -> None:
    packed = gsm.pack(septets, fill)
    assert len(packed) == (fill + 7 * len(septets) + 7) // 8
    assert gsm.unpack(packed, len(septets), fill) == septets


def test_packing_known_octets() -> None:
    assert gsm.pack(gsm.encode("hellohello")).hex() == "e8329bfd4697d9ec37"
    assert gsm.pack(gsm.encode("a"), fill_bits=1).hex() == "c2"
    with pytest.raises(ValueError, match="do not fit"):
        gsm.unpack(b"\x00", 2)
