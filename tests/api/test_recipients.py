"""One number is judged as a list of one would be, and records in JSON as the same records decoded."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cooee.model.account import Account, AccountState
from cooee.model.msisdn import NumberCheck
from cooee.service import recipients as module
from cooee.service.recipients import Recipients
from cooee.web.body import decode_value

NUMBERS = st.one_of(
    st.sampled_from(
        ["61400123456", "+61 400 123 456", "0400123456", "6421123456", "447911123456", "12", "x", "", " "]
    ),
    st.text("0123456789+ -()", max_size=18),
    st.integers(0, 99_999_999).map(lambda n: f"614{n:08d}"),
)


def account_in(home: str, *, international: bool = True) -> Account:
    return Account(
        1, "a", "", None, AccountState.ACTIVE, "UTC", home, True, True, international, False, True, None, 0
    )


@pytest.fixture(scope="module")
def recipients() -> Iterator[Recipients]:
    made = Recipients()
    yield made
    made.close()


@settings(deadline=None)  # a country's plan is compiled when it is first met
@given(text=NUMBERS, home=st.sampled_from(["AU", "NZ", "US", "GB"]), international=st.booleans())
def test_one_number_as_a_list_of_one(recipients: Recipients, text: str, home: str, international: bool) -> None:
    check = NumberCheck(home, international=international)
    check.add([text])
    assert recipients.check(account_in(home, international=international), [text]) == check.result()


values = st.one_of(
    NUMBERS,
    st.integers(0, 10**16),
    st.lists(NUMBERS, max_size=4).map(",".join),
    st.sampled_from([None, True, 1.5, -7, [], ["61400123456"], {"Number": "61400123456"}, '}","{', "\\", "a\\"]),
)
names = st.sampled_from(
    ["Number", "Number", "Number", "number", "NUMBER", "Num ber", "1Number", "Name", 'N"', "}"]
)
elements = st.one_of(
    values.map(lambda value: {"Number": value}),
    values.map(lambda value: {"number": value}),
    st.dictionaries(names, values, max_size=3),
    values,
)


@st.composite
def arrays(draw: st.DrawFn) -> list[object]:
    """Mostly records that are alike, with others between them."""
    common = draw(st.sampled_from(["Number", "number"]))
    number = st.one_of(NUMBERS, st.integers(10**7, 10**12)) if draw(st.booleans()) else st.integers(1, 10**12)
    found: list[object] = [{common: value} for value in draw(st.lists(number, max_size=40))]
    for element in draw(st.lists(elements, max_size=3)):
        found.insert(draw(st.integers(0, len(found))), element)
    return found


@settings(deadline=None, max_examples=600)
@given(
    arrays(),
    st.integers(1, 400),
    st.sampled_from([None, 1, (",", ":")]),
    st.sampled_from(["AU", "ES", "US", "NU"]),
)
def test_records_in_json_as_decoded(
    recipients: Recipients, found: list[object], size: int, form: object, home: str
) -> None:
    account = account_in(home)
    text = json.dumps(found, separators=form) if isinstance(form, tuple) else json.dumps(found, indent=form)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", size)
        checked = recipients.check_records_json(account, memoryview(text.encode()), decode_value)
    assert checked == recipients.check_records(account, found)


@pytest.mark.parametrize(
    ("chunk", "plain"),
    [
        (b'{"Number":"61400123456"}', True),
        (b'{"Number":"61400123456"},{"Number":"+61400123457,61400123458"}', True),
        (b' { "number" : "61400123456" } ,\n{"number":"0400 123 457"}\n', True),
        (b'{"Number":61400123456},{"Number":61400123457}', True),
        (b'{"Number":""}', False),
        (b'{"Number":"61400123456,"}', False),
        (b'{"Number":"61400123456"},{"Number":" "}', False),
        (b'{"Number":"61400123456"},61400123457', False),
        (b'61400123457,{"Number":"61400123456"}', False),
        (b'{"Number":"61400123456"},61400123457,{"Number":"61400123456"}', False),
        (b'{"Number":"61400123456"},{"Num1ber":"61400123456"}', False),
        (b'{"Number":"61400123456"},{"Num ber":"61400123456"}', False),
        (b'{"Number":"61400123456"},{"number":"61400123456"}', False),
        (b'{"Number":"61400123456"},{"Number":61400123456}', False),
        (b'{"Number":"61400123456","Number":"61400123457"}', False),
        (b'{"Number":"0400-123-456"}', False),
        (b'{"Number":"6140012345\\u0036"}', False),
        (b'{"Number":"61400123456"},{}', False),
        (b'{"Number":6140012345.6}', False),
    ],
)
def test_which_records_need_no_decoding(recipients: Recipients, chunk: bytes, plain: bool) -> None:
    check = NumberCheck("AU", international=True, plan=False)
    assert check.add_json_records(chunk) is plain
    left = check.result()
    assert (len(left.numbers) > 0) is plain
    if plain:
        assert left == recipients.check_records(account_in("AU"), json.loads(b"[" + chunk + b"]"))


def test_a_number_of_megabytes_is_taken_piece_by_piece(recipients: Recipients) -> None:
    """Its structure is looked for window by window, and no piece is longer."""
    numbers = [f"61400{n:06d}" for n in range(100_000)]
    text = json.dumps([{"Number": ",".join(numbers)}, {"Number": "61411000000"}, {"x": '\\"},{' * 50_000}])
    checked = recipients.check_records_json(account_in("AU"), memoryview(text.encode()), decode_value)
    assert list(checked.numbers) == [*map(int, numbers), 61411000000]
    assert checked.invalid == 1
