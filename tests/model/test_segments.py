import pytest
import smsutil
from hypothesis import given
from hypothesis import strategies as st

from cooee.model import gsm
from cooee.model.segments import Encoding, Segmented, segment, utf16_length

ALPHABET = gsm.BASIC.replace("\x1b", "") + "".join(gsm.EXTENSION.values()) * 5
texts = st.one_of(
    st.text(alphabet=st.sampled_from(ALPHABET), max_size=1200),
    st.text(
        alphabet=st.one_of(st.sampled_from("aж😀👍🏽"), st.characters(exclude_categories=["Cs"])), max_size=500
    ),
)


def text_of(cut: Segmented) -> str:
    data = b"".join(cut.parts)
    return gsm.decode(data) if cut.encoding is Encoding.GSM7 else data.decode("utf-16-be")


@given(texts, st.booleans())
def test_parts_join_to_the_text_keep_the_limits_and_split_no_pair(text: str, wide: bool) -> None:
    cut = segment(text, wide)
    assert text_of(cut) == text
    assert (cut.encoding is Encoding.GSM7) == gsm.is_gsm(text)
    assert cut.count == len(cut.parts) >= 1
    gsm7 = cut.encoding is Encoding.GSM7
    single, part = (160, 152 if wide else 153) if gsm7 else (140, 132 if wide else 134)
    if cut.count == 1:
        assert len(cut.parts[0]) <= single
    for before, after in zip(cut.parts, cut.parts[1:], strict=False):
        # A part is filled but for the half of a pair that would not fit.
        assert part - (1 if gsm7 else 2) <= len(before) <= part
        assert 0 < len(after) <= part
        if gsm7:
            assert before[-1] != gsm.ESCAPE
        else:
            before.decode("utf-16-be")
            after.decode("utf-16-be")


@given(st.text(alphabet=st.sampled_from("abcÄ@\nж"), max_size=700))
def test_counts_agree_with_an_independent_library_where_there_are_no_pairs(text: str) -> None:
    cut = segment(text)
    # That library takes an empty text for no message at all.
    assert cut.count == max(1, len(smsutil.split(text).parts))


@pytest.mark.parametrize(
    ("text", "encoding", "count"),
    [
        ("", Encoding.GSM7, 1),
        ("a" * 160, Encoding.GSM7, 1),
        ("a" * 161, Encoding.GSM7, 2),
        ("a" * 306, Encoding.GSM7, 2),
        ("a" * 307, Encoding.GSM7, 3),
        ("€" * 80, Encoding.GSM7, 1),
        ("€" * 152, Encoding.GSM7, 2),
        ("€" * 153, Encoding.GSM7, 3),  # 306 septets, yet an odd 153 cannot hold whole pairs
        ("ж" * 70, Encoding.UCS2, 1),
        ("ж" * 71, Encoding.UCS2, 2),
        ("😀" * 35, Encoding.UCS2, 1),
        ("😀" * 67, Encoding.UCS2, 3),  # 134 units, yet 67 cannot hold whole pairs
    ],
)
def test_boundaries(text: str, encoding: Encoding, count: int) -> None:
    cut = segment(text)
    assert (cut.encoding, cut.count) == (encoding, count)


def test_user_data_carries_the_concatenation_header() -> None:
    cut = segment("a" * 200)
    first, second = cut.user_data(0x1234)
    assert first[:6] == bytes([5, 0, 3, 0x34, 2, 1])
    assert second[:6] == bytes([5, 0, 3, 0x34, 2, 2])
    assert first[6:] + second[6:] == b"a" * 200
    wide = segment("ж" * 100, wide=True).user_data(0x1234, wide=True)
    assert [part[:7] for part in wide] == [bytes([6, 8, 4, 0x12, 0x34, 2, number]) for number in (1, 2)]
    assert max(map(len, wide)) <= 140
    assert segment("short").user_data(7) == (b"short",)


def test_parts_cut_for_the_short_header_are_refused_the_long_one() -> None:
    with pytest.raises(ValueError, match="wide=True"):
        segment("a" * 200).user_data(1, wide=True)


def test_what_no_encoding_can_carry_is_refused_without_quoting_it() -> None:
    with pytest.raises(ValueError, match="lone surrogate at index 6") as caught:
        segment("secret\ud800")
    assert not isinstance(caught.value, UnicodeError)
    with pytest.raises(ValueError, match="256 parts"):
        segment("a" * (153 * 255 + 1))


@given(st.text(alphabet=st.characters(), max_size=50))
def test_length_in_utf16_units(text: str) -> None:
    assert utf16_length(text) == sum(2 if ord(char) > 0xFFFF else 1 for char in text)


def test_encodings_are_data_codings() -> None:
    assert (int(Encoding.GSM7), int(Encoding.UCS2)) == (0, 8)
