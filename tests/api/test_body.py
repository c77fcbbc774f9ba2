"""Splitting bodies into fields, against the standard library's reading of the same text."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.model.errors import ApiError
from cooee.web.body import _without_trailing_commas, decode_value, split_fields

texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from([",]", ",}", '",', "\\", '\\"', "[,"])
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=4)


def read(body: bytes) -> dict[str, Any]:
    fields = split_fields(body, may_be_empty=False)
    return {name: decode_value(value) if type(value) is msgspec.Raw else value for name, value in fields.items()}


def folded(whole: dict[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in whole.items()}


@given(objects, st.booleans(), st.sampled_from([None, 1]))
def test_any_object(whole: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    body = json.dumps(whole, ensure_ascii=ascii_only, indent=indent).encode()
    assert read(body) == folded(json.loads(body))
    assert read(b"\xef\xbb\xbf" + body) == folded(json.loads(body))


def with_trailing_commas(value: Any) -> str:
    """JSON with one comma too many wherever one may be."""
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(name)}: {with_trailing_commas(item)}" for name, item in value.items())
        return "{" + inner + (" ,\n" if inner else "") + "}"
    if isinstance(value, list):
        inner = ",".join(map(with_trailing_commas, value))
        return "[" + inner + (", " if inner else "") + "]"
    return json.dumps(value)


@given(objects.filter(bool))
def test_trailing_commas_are_let_pass(whole: dict[str, Any]) -> None:
    assert read(with_trailing_commas(whole).encode()) == folded(json.loads(json.dumps(whole)))


@given(st.binary(max_size=60) | st.text('{}[],:" \\u1dtrue0', max_size=40).map(str.encode))
def test_nothing_else_is(body: bytes) -> None:
    """Whatever is accepted is JSON once the commas are gone; everything else is -900, never another error."""
    try:
        fields = split_fields(body, may_be_empty=False)
    except ApiError:
        return
    text = bytes(_without_trailing_commas(body.removeprefix(b"\xef\xbb\xbf")))
    assert folded(json.loads(text)).keys() == fields.keys()


def test_many_trailing_commas_in_a_long_text() -> None:
    body = b'{"a": [' + b",".join(b'[{"x": ",]", },]' for _ in range(30_000)) + b",],}"
    assert read(body) == {"a": [[{"x": ",]"}]] * 30_000}


@pytest.mark.parametrize("half", ["\\ud800", "\\uDBFF x", "\\udc00\\ud800", "\\ud83d\\\\u"])
def test_half_characters_become_nul(half: str) -> None:
    body = f'{{"a": "x{half}y", "b": "\\ud83c\\udf88", "c": "\\\\ud800"}}'.encode()
    fields = read(body)
    assert "\0" in fields["a"]
    assert not re.search("[\ud800-\udfff]", fields["a"])
    assert fields["b"] == "\N{BALLOON}"
    assert fields["c"] == "\\ud800"


def test_of_equal_names_the_last_counts() -> None:
    assert read(b'{"Message": "a", "MESSAGE": "b", "message": "c"}') == {"message": "c"}
    assert read(b'{"a": 1, "b": 4, "a": 2}') == {"a": 2, "b": 4}


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_names_that_come_again_are_read_in_one_way(size: int) -> None:
    """However large the body is: of each way to write a name its last value, and the way that came first last."""
    body = b'{"x": "' + b"x" * size + b'", "a": 1, "A": 2, "a": 3, "A": 4, "a": 5}'
    assert read(body)["a"] == 4


def test_whole_numbers_of_any_length_are_json() -> None:
    body = b'{"a": ' + b"9" * 5000 + b', "b": ' + b"9" * 4000 + b"}"
    fields = read(body)
    assert type(fields["a"]) is float
    assert fields["b"] == 10**4000 - 1


def test_utf8_is_checked_where_nobody_looks() -> None:
    for size in (10, 3_000_000):
        with pytest.raises(ApiError):
            split_fields(b'{"ignored": "' + b"x" * size + b'\xc3"}', may_be_empty=False)
        split_fields(b'{"ignored": "' + b"x" * size + b'\xc3\xa9"}', may_be_empty=False)
