import pytest

from cooee.model import errors
from cooee.model.errors import ApiError, Code, CommitUnknown, ConfigError, CooeeError, StoreUnavailable


def test_every_row_has_a_number_and_a_text_of_its_own() -> None:
    codes = [row.code for row in errors.TABLE]
    assert len(codes) == len(set(codes))
    texts = [row.text for row in errors.TABLE if row.text != "{}"]
    assert len(texts) == len(set(texts))
    assert all(row.when.endswith(".") for row in errors.TABLE)


def test_the_table_holds_every_row_of_its_module() -> None:
    rows = [value for value in vars(errors).values() if isinstance(value, Code)]
    assert {row.code for row in rows} == {row.code for row in errors.TABLE}
    assert len(rows) == len(errors.TABLE)


@pytest.mark.parametrize("row", errors.TABLE, ids=lambda row: str(row.code))
def test_ours_are_in_our_range_and_the_published_ones_are_not(row: Code) -> None:
    assert row.given != (-999 <= row.code <= -900)
    assert row.business == (row.http == 200)
    if row.given:
        assert row.http == 200


def test_published_numbers_are_kept() -> None:
    given = {row.code for row in errors.TABLE if row.given}
    assert given == {0, -111, -117, -129, -130, -202}


def test_an_api_error_fills_its_text_and_carries_its_row() -> None:
    error = ApiError(errors.NO_LIST, 42)
    assert str(error) == "List not found: 42"
    assert (error.code.code, error.retry_after) == (-940, None)
    assert ApiError(errors.TOO_MANY, retry_after=30).retry_after == 30
    assert str(ApiError.field("Days", "must be a whole number")) == "Field 'Days' must be a whole number"
    assert ApiError.field("Days", "x").code is errors.BAD_FIELD


def test_everything_of_ours_can_be_caught_as_one() -> None:
    for kind in (ConfigError, StoreUnavailable, CommitUnknown):
        assert issubclass(kind, CooeeError)
    assert issubclass(ApiError, CooeeError)
    assert not issubclass(ConfigError, ApiError)
