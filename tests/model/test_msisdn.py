import json
import random
from array import array
from collections.abc import Sequence

import msgspec
import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberFormat, PhoneNumberType

from cooee.model.msisdn import (
    Checked,
    NumberCheck,
    country_calling_code,
    country_of,
    is_home,
    is_mobile,
    parse,
    split_json_array,
)

KINDS = ("mobile", "fixed_line", "toll_free", "voip", "pager", "personal_number", "premium_rate", "uan")
BUSY_CODES = (1, 7, 39, 44, 47, 49, 52, 54, 55, 61, 64, 65, 86, 91, 33, 34, 262, 358, 590, 599, 683, 870, 882)
EXAMPLES = {
    code: [
        desc.example_number
        for region in regions
        for kind in KINDS
        if (desc := getattr(PhoneMetadata.metadata_for_region_or_calling_code(code, region), kind)) is not None
        and desc.example_number
    ]
    for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()
}


@st.composite
def numbers(draw: st.DrawFn, codes: Sequence[int] = BUSY_CODES) -> int:
    """An example of a plan, with some of its digits changed, or any digits behind a calling code."""
    code = draw(st.sampled_from(codes))
    if draw(st.integers(0, 9)) == 0:
        return int(f"{code}{draw(st.text(alphabet='0123456789', min_size=5, max_size=12))}")
    digits = list(draw(st.sampled_from(EXAMPLES[code])))
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        digits[draw(st.integers(0, len(digits) - 1))] = draw(st.sampled_from("0123456789"))
    return int(f"{code}{''.join(digits)}{draw(st.sampled_from(['', '', '', '', '', '5']))}")


def library_says(number: int) -> tuple[bool, str | None]:
    """(can be a mobile, region) by phonenumbers itself; a number that it would rewrite is none."""
    try:
        parsed = phonenumbers.parse(f"+{number}")
    except phonenumbers.NumberParseException:
        return False, None
    if phonenumbers.format_number(parsed, PhoneNumberFormat.E164) != f"+{number}":
        return False, None
    kind = phonenumbers.number_type(parsed)
    mobile = kind in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
    return mobile, phonenumbers.region_code_for_number(parsed)


@settings(max_examples=1500)
@given(numbers())
def test_the_compiled_plan_agrees_with_the_library(number: int) -> None:
    mobile, region = library_says(number)
    assert is_mobile(number) == mobile
    if mobile:
        assert country_of(number) == (None if region == "001" else region)


@pytest.mark.parametrize("code", sorted(EXAMPLES))
def test_it_agrees_for_every_calling_code(code: int) -> None:
    rnd = random.Random(code)
    for example in EXAMPLES[code]:
        for _ in range(15):
            digits = list(example)
            for _ in range(rnd.choice([0, 1, 2])):
                digits[rnd.randrange(len(digits))] = rnd.choice("0123456789")
            number = int(f"{code}{''.join(digits)}")
            assert is_mobile(number) == library_says(number)[0], number


@pytest.mark.parametrize(
    ("home", "raw", "number"),
    [
        ("AU", "+61400123456", 61400123456),
        ("AU", "0061400123456", 61400123456),
        ("AU", "61400123456", 61400123456),
        ("AU", 61400123456, 61400123456),
        ("AU", "0400 123 456", 61400123456),
        ("AU", "(0400) 123-456", 61400123456),
        ("AU", "0400.123.456", 61400123456),
        ("AU", "\u00a0+61\u202f400–123—456\t", 61400123456),
        ("AU", "\u202a+61 400 123 456\u202c", 61400123456),
        ("AU", "+61 (0)400 123 456", 61400123456),
        ("AU", "0011 64 21 123 4567", 64211234567),
        ("AU", "0064 21 123 4567", 64211234567),
        ("AU", "02 9999 1234", 61299991234),  # no mobile, yet of E.164 shape
        ("AU", 400123456, 61400123456),  # a spreadsheet ate the zero
        ("AU", "14155552671", 14155552671),
        ("au", "0400123456", 61400123456),
        ("NZ", "021 123 4567", 64211234567),
        ("GB", "07911 123456", 447911123456),
        ("US", "(415) 555-2671", 14155552671),
        ("US", "1-415-555-2671", 14155552671),
        ("US", "011 61 400 123 456", 61400123456),
        ("US", "4795551234", 14795551234),  # Arkansas, not Norway
        ("US", "61400123456", 61400123456),
        ("RU", "8 (912) 345-67-89", 79123456789),
        ("RU", "79123456789", 79123456789),
        ("ES", "612 34 56 78", 34612345678),
        ("IT", "06 1234 5678", 390612345678),  # the zero stays
        ("IT", "333 123 4567", 393331234567),
        ("AR", "011 15-2345-6789", 5491123456789),  # the 15 becomes a 9
        ("BR", "0 15 11 91234-5678", 5511912345678),  # a carrier is named
        ("HU", "06 30 123 4567", 36301234567),
        ("CX", "0412 345 678", 61412345678),
        ("SG", "9123 4567", 6591234567),
        ("AU", "99999999", 99999999),  # shape alone
        ("AU", "", None),
        ("AU", "   ", None),
        ("AU", "+", None),
        ("AU", "++61400123456", None),
        ("AU", "61+400123456", None),
        ("AU", "+0400123456", None),
        ("AU", "1234567", None),
        ("AU", "6140012345678901", None),
        ("AU", "61400123456x", None),
        ("AU", "61400123456,61400123457", None),
        ("AU", "６１４００１２３４５６", None),
        ("AU", "٦١٤٠٠١٢٣٤٥٦", None),
        ("AU", "61400²23456", None),
        ("AU", "000", None),
        ("AU", "0", None),
        ("AU", "6" * 100, None),
        ("AU", 0, None),
        ("AU", -61400123456, None),
        ("AU", 10**40, None),
        ("AU", True, None),
        ("AU", 61400123456.0, None),
        ("AU", None, None),
        ("AU", ["61400123456"], None),
    ],
)
def test_numbers_are_read_as_people_write_them(home: str, raw: object, number: int | None) -> None:
    assert parse(raw, home) == number


@given(
    st.one_of(st.text(max_size=20), st.text(alphabet="+0123456789 ()-.", max_size=20)),
    st.sampled_from(["AU", "US"]),
)
def test_what_is_read_has_the_shape_of_e164_and_is_read_the_same_again(raw: str, home: str) -> None:
    number = parse(raw, home)
    if number is not None:
        assert 8 <= len(str(number)) <= 15
        assert parse(f"+{number}", home) == number


@settings(max_examples=300)
@given(numbers(), st.sampled_from(["AU", "US", "GB", "DE", "RU", "IT", "ES", "NO", "AR"]))
def test_international_forms_keep_a_number_and_bare_mobiles_are_kept_where_local_form_has_a_zero(
    number: int, home: str
) -> None:
    if 8 <= len(str(number)) <= 15:
        assert parse(f"+{number}", home) == number
        assert parse(f"00 {number}", home) == number
        if home in ("AU", "GB", "DE", "AR") and is_mobile(number):
            assert parse(number, home) == number


@pytest.mark.parametrize(
    ("number", "country"),
    [
        (61400123456, "AU"),
        (14155552671, "US"),
        (16135550123, "CA"),
        (12687731234, "AG"),
        (447400123456, "GB"),
        (447911123456, "GG"),
        (447781123456, "GG"),
        (79123456789, "RU"),
        (77012345678, "KZ"),
        (390669812345, "VA"),
        (870773111632, None),
        (99912345678, None),
        (61500000000, None),
    ],
)
def test_countries(number: int, country: str | None) -> None:
    assert country_of(number) == country


@pytest.mark.parametrize(
    ("number", "home", "inside"),
    [
        (61400123456, "AU", True),
        (61400123456, "au", True),
        (61400123456, "CX", True),  # Christmas Island has the same mobiles
        (61400123456, "NZ", False),
        (16135550123, "CA", True),
        (16135550123, "US", False),
        (14155552671, "CA", False),
        (447781123456, "GB", False),
        (447781123456, "GG", True),
        (77012345678, "KZ", True),
        (77012345678, "RU", False),
        (61500000000, "AU", True),  # nobody's, so the main country's
        (61500000000, "CC", False),
        (99912345678, "AU", False),
        (64211234567, "NZ", True),
    ],
)
def test_home(number: int, home: str, inside: bool) -> None:
    assert is_home(number, home) == inside


def test_calling_codes() -> None:
    assert country_calling_code("AU") == 61
    assert country_calling_code("ca") == 1
    for unknown in ("ZZ", "001", "", "Australia"):
        with pytest.raises(ValueError, match="is no country"):
            country_calling_code(unknown)
    with pytest.raises(ValueError, match="is no country"):
        parse("123", "ZZ")
    with pytest.raises(ValueError, match="is no country"):
        NumberCheck("ZZ", international=True)


def judged_singly(tokens: Sequence[object], home: str, international: bool, plan: bool) -> Checked:
    seen: set[int] = set()
    invalid = duplicates = abroad = 0
    for token in tokens:
        number = parse(token, home)
        if number is None or (plan and not is_mobile(number)):
            invalid += 1
        elif not international and not is_home(number, home):
            abroad += 1
        elif number in seen:
            duplicates += 1
        else:
            seen.add(number)
    return Checked(array("q", sorted(seen)), invalid, duplicates, abroad)


HOMES = [
    "AU",
    "NZ",
    "US",
    "CA",
    "GB",
    "GG",
    "RU",
    "KZ",
    "IT",
    "ES",
    "NO",
    "DE",
    "AR",
    "BR",
    "CX",
    "NU",
    "SG",
    "MX",
]


@st.composite
def lists(draw: st.DrawFn) -> tuple[str, list[str | int]]:
    """A home and a list, mostly of its own numbers, in every form that the fast path may meet."""
    home = draw(st.sampled_from(HOMES))
    code = country_calling_code(home)
    tokens: list[str | int] = []
    for number in draw(st.lists(numbers((code, code, code, *BUSY_CODES)), max_size=30)):
        form = draw(st.integers(0, 6))
        national = str(number).removeprefix(str(code))
        forms: dict[int, str | int] = {
            0: number,
            1: f"+{number}",
            2: f"0{national}",
            3: f"00{number}",
            4: national,
        }
        tokens += [forms.get(form, str(number))] * draw(st.sampled_from([1, 1, 2]))
    return home, tokens


@settings(max_examples=250, deadline=None)
@given(lists(), st.booleans(), st.booleans())
def test_lists_are_judged_as_their_numbers_are_singly(
    case: tuple[str, list[str | int]], international: bool, plan: bool
) -> None:
    home, tokens = case
    tokens = [token for token in tokens if token != ""]
    expected = judged_singly(tokens, home, international, plan)

    by_items = NumberCheck(home, international=international, plan=plan)
    by_items.add(tokens)
    assert by_items.result() == expected

    by_text = NumberCheck(home, international=international, plan=plan)
    by_text.add([", ".join(map(str, tokens)) + ","] if tokens else [])
    # Within text an integer is digits all the same.
    assert by_text.result() == expected

    by_json = NumberCheck(home, international=international, plan=plan)
    for chunk in split_json_array(json.dumps(tokens).encode(), 64):
        assert by_json.add_json_strings(chunk)
    assert by_json.result() == expected


def check(
    items: Sequence[object], *, international: bool = False, plan: bool = True
) -> tuple[list[int], int, int, int]:
    checker = NumberCheck("AU", international=international, plan=plan)
    checker.add(items)
    done = checker.result()
    return list(done.numbers), done.invalid, done.duplicates, done.international


def test_reasons_are_counted_in_order() -> None:
    items = [
        "0400 123 456",
        "61400123456",
        61400123457,
        "+64 21 123 4567",
        "64211234567",
        "6499",
        "+64 99 999 99999",
    ]
    assert check(items) == ([61400123456, 61400123457], 2, 1, 2)
    assert check(items, international=True) == ([61400123456, 61400123457, 64211234567], 2, 2, 0)


def test_without_the_plan_only_shape_counts() -> None:
    assert check(["61299991234", "0299991234", "1234567", "99912345678"], plan=False) == ([61299991234], 1, 1, 1)


def test_items_of_other_types_are_invalid_and_text_may_hold_several() -> None:
    assert check([None, True, 1.5, [], {}, "", "  "]) == ([], 7, 0, 0)
    assert check(["61400123456,0400123457,, 0400 123 458 ,"]) == ([61400123456, 61400123457, 61400123458], 0, 0, 0)
    assert check(["61400123456,-", "\ud800", "６１４００１２３４５６", "+61 (0)400 123 457"]) == (
        [61400123456, 61400123457],
        3,
        0,
        0,
    )
    assert check([]) == ([], 0, 0, 0)
    assert check([","]) == ([], 0, 0, 0)


def test_one_text_may_hold_a_whole_list() -> None:
    many = [str(61400000000 + step) for step in range(30_000)]
    numbers, invalid, duplicates, _ = check([",".join(many), ",".join(many[:10]), "9" * 200_000])
    assert numbers == list(map(int, many))
    assert (invalid, duplicates) == (1, 10)


def test_a_large_list_is_sorted_and_free_of_repeats() -> None:
    rnd = random.Random(7)
    drawn = [61400000000 + rnd.randrange(60_000) for _ in range(100_000)] + [61412345678] * 20_000
    checker = NumberCheck("AU", international=False)
    for start in range(0, len(drawn), 1000):
        assert checker.add_json_strings(json.dumps(list(map(str, drawn[start : start + 1000])))[1:-1].encode())
    done = checker.result()
    assert list(done.numbers) == sorted(set(drawn))
    assert done.duplicates == len(drawn) - len(set(drawn))
    assert checker.result() == Checked(array("q"), 0, 0, 0)


@pytest.mark.parametrize(
    "chunk",
    [
        b"",
        b'""',
        b'"61400123456",',
        b',"61400123456"',
        b'"61400123456""61400123457"',
        b'"61400123456" 61400123457',
        b'"0400 123 456"',
        b'"61400123456,61400123457"',
        b'"61400123456',
        b"61400123456.0",
        b"0400123456",
        b"-61400123456",
        b"+61400123456",
        b"true",
        b'"6140012345\\u0036"',
        b'["61400123456"]',
        b'"61400123456"\x0b',
    ],
)
def test_chunks_with_anything_else_are_left_to_the_caller(chunk: bytes) -> None:
    checker = NumberCheck("AU", international=False)
    assert not checker.add_json_strings(chunk)
    assert checker.result() == Checked(array("q"), 0, 0, 0)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(alphabet=',"\\[]{}a1é', max_size=12)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=400)
@given(st.lists(json_values, max_size=25), st.integers(1, 40), st.booleans(), st.sampled_from([None, 1]))
def test_an_array_is_cut_between_its_elements(
    values: list[object], size: int, as_view: bool, indent: int | None
) -> None:
    raw = b" \n" + json.dumps(values, indent=indent).encode() + b"\t"
    chunks = list(split_json_array(memoryview(raw) if as_view else raw, size))
    found = [value for chunk in chunks for value in msgspec.json.decode(b"[" + chunk + b"]")]
    assert found == values


@pytest.mark.parametrize("value", [["},"], {"a": "],"}, ["a\\", 1], "\\,", '",', [[","], ","]])
def test_a_window_that_ends_within_a_string_of_an_element_cuts_nothing(value: object) -> None:
    raw = json.dumps([value, value, 1]).encode()
    for size in range(1, len(raw)):
        chunks = split_json_array(raw, size)
        assert [item for chunk in chunks for item in json.loads(b"[" + chunk + b"]")] == [value, value, 1]


def test_one_string_of_many_commas_is_one_element() -> None:
    long = ",".join(str(61400000000 + step) for step in range(100_000))
    chunks = list(split_json_array(json.dumps(["1", long, "2"]).encode()))
    assert [json.loads(chunk) for chunk in chunks[1:2]] == [long]
    assert (chunks[0], chunks[-1].strip(), len(chunks)) == (b'"1"', b'"2"', 3)


def test_chunks_are_about_as_long_as_asked() -> None:
    raw = json.dumps([str(61400000000 + step) for step in range(20_000)]).encode()
    chunks = list(split_json_array(raw))
    assert len(chunks) > 3
    assert all(65_000 < len(chunk) <= 65_536 for chunk in chunks[:-1])


def test_one_comma_after_the_last_element_is_forgiven() -> None:
    assert list(split_json_array(b'["1", "2",]')) == [b'"1", "2"']
    assert list(split_json_array(b'["1", "2", ]', 5)) == [b'"1"', b' "2"']
    assert list(split_json_array(b"[ ]")) == []


@pytest.mark.parametrize("raw", [b"", b"[", b"]", b'"a"', b"{}", b"null", b" "])
def test_what_is_no_array_is_told(raw: bytes) -> None:
    with pytest.raises(ValueError, match="no JSON array"):
        list(split_json_array(raw))
