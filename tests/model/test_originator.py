import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.model.originator import Originator, parse_originator


@pytest.mark.parametrize(
    ("raw", "text", "kind", "ton", "npi"),
    [
        ("61400123456", "61400123456", "msisdn", 1, 1),
        ("+61400123456", "61400123456", "msisdn", 1, 1),
        ("0061400123456", "61400123456", "msisdn", 1, 1),
        ("123456789", "123456789", "msisdn", 1, 1),
        ("123456789012345", "123456789012345", "msisdn", 1, 1),
        ("123", "123", "short", 3, 0),
        ("19912345", "19912345", "short", 3, 0),
        ("Cooee", "Cooee", "alpha", 5, 0),
        ("A", "A", "alpha", 5, 0),
        ("B&B St.-Ives", None, "", 0, 0),
        ("B&B S_t.-Iv", "B&B S_t.-Iv", "alpha", 5, 0),
        ("1300 COOEE", "1300 COOEE", "alpha", 5, 0),
        ("", None, "", 0, 0),
        ("12", None, "", 0, 0),
        ("0400123456", None, "", 0, 0),
        ("1234567890123456", None, "", 0, 0),
        ("+123", None, "", 0, 0),
        (" Cooee", None, "", 0, 0),
        ("Cooee ", None, "", 0, 0),
        ("Cooee\n", None, "", 0, 0),
        ("61400123456\n", None, "", 0, 0),
        ("Café", None, "", 0, 0),
        ("٣٤٥٦", None, "", 0, 0),
        ("1 2-3", None, "", 0, 0),
        ("TwelveLetter", None, "", 0, 0),
        ("who?", None, "", 0, 0),
    ],
)
def test_originators(raw: str, text: str | None, kind: str, ton: int, npi: int) -> None:
    found = parse_originator(raw)
    if text is None:
        assert found is None
    else:
        assert found is not None
        assert (found.text, found.kind, found.ton, found.npi) == (text, kind, ton, npi)


@given(st.text(max_size=14))
def test_what_is_accepted_is_canonical(raw: str) -> None:
    found = parse_originator(raw)
    if found is not None:
        assert parse_originator(found.text) == found
        assert found.text.isascii()
        assert len(found.text) <= (15 if found.kind == "msisdn" else 11)


def test_originators_are_values() -> None:
    assert parse_originator("+61400123456") == Originator("61400123456", "msisdn")
