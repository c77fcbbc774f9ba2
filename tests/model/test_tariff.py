"""What a segment costs by country, number by number and for whole lists."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cooee.model.msisdn import NumberCheck, country_of, is_home, is_in
from cooee.model.numberplan import plan_of, split
from cooee.model.tariff import OTHER, Tariff, tariff_of

SYDNEY, AUCKLAND, LONDON, NEW_YORK, TORONTO = 61400123456, 64211234567, 447400123456, 12125550123, 14165550123
JERSEY, KINGSTON, SATELLITE, NOWHERE = 447797123456, 18762123456, 881612345678, 99912345678
SOME = [SYDNEY, AUCKLAND, LONDON, NEW_YORK, TORONTO, JERSEY, KINGSTON, SATELLITE, NOWHERE]
NUMBERS = st.lists(
    st.one_of(
        st.sampled_from(SOME),
        st.builds(lambda head, tail: int(f"{head}{tail}"), st.sampled_from([61, 64, 44, 1, 7, 49, 881, 999]),
                  st.integers(10**6, 10**10)),
    ),
    max_size=60,
)  # fmt: skip
RATES = st.dictionaries(
    st.sampled_from(["AU", "NZ", "GB", "JE", "US", "CA", "JM", "DE", "KZ", OTHER]), st.integers(0, 4), max_size=6
)


def priced(tariff: Tariff | None, number: int) -> int:
    return 1 if tariff is None else tariff.rate(number)


def test_without_rates_there_is_no_tariff() -> None:
    assert tariff_of({}, {}) is None
    assert tariff_of({"AU": 1}, {OTHER: 1}) is None
    assert tariff_of({"AU": 2}, {"AU": 1}) is None


def test_the_most_special_rate_counts() -> None:
    everybody = {"AU": 2, "NZ": 3, OTHER: 9}
    assert [priced(tariff_of(everybody, {}), n) for n in (SYDNEY, AUCKLAND, LONDON)] == [2, 3, 9]
    assert [priced(tariff_of(everybody, {"NZ": 5}), n) for n in (SYDNEY, AUCKLAND, LONDON)] == [2, 5, 9]
    # Everybody's rate for a country goes before the account's for all the others.
    assert [priced(tariff_of(everybody, {OTHER: 4}), n) for n in (SYDNEY, AUCKLAND, LONDON)] == [2, 3, 4]
    assert priced(tariff_of({"AU": 0}, {}), SYDNEY) == 0


def test_countries_that_share_a_calling_code_are_told_apart() -> None:
    tariff = tariff_of({"GB": 2, "JE": 7, "US": 1, "JM": 8, OTHER: 3}, {})
    assert [priced(tariff, n) for n in (LONDON, JERSEY, NEW_YORK, KINGSTON, TORONTO)] == [2, 7, 1, 8, 3]
    # No country at all: a satellite phone, and a code that nobody has.
    assert [priced(tariff, n) for n in (SATELLITE, NOWHERE)] == [3, 3]


@settings(deadline=None)
@given(NUMBERS, RATES, RATES)
@example(SOME, {"GB": 2}, {"US": 0})
def test_a_list_costs_what_its_numbers_cost(
    numbers: list[int], everybody: dict[str, int], own: dict[str, int]
) -> None:
    tariff = tariff_of(everybody, own)
    if tariff is None:
        return
    ordered = array("q", sorted(set(numbers)))
    paused = []
    stretches = tariff.split(ordered, lambda: paused.append(1))
    assert [rate for rate, _ in stretches] == sorted({rate for rate, _ in stretches})
    for rate, part in stretches:
        assert list(part) == sorted(part)
        for number in part:
            parts = split(number)
            region = None if parts is None else country_of(number) or parts[0].regions[0]
            rates = {**everybody, **own}
            assert rate == rates.get(region or "", rates.get(OTHER, 1)) == tariff.rate(number)
        assert part
    assert sorted(number for _, part in stretches for number in part) == list(ordered)


def test_a_long_list_is_split_by_bisection() -> None:
    """A million numbers of two countries: nothing looks at each of them."""
    tariff = tariff_of({"NZ": 3}, {})
    assert tariff is not None
    numbers = array("q", [*range(61400000000, 61400500000), *range(64210000000, 64210500000)])
    paused: list[int] = []
    (home, abroad) = tariff.split(numbers, lambda: paused.append(1))
    assert (home[0], len(home[1]), abroad[0], len(abroad[1])) == (1, 500_000, 3, 500_000)
    assert paused == []


def test_a_thread_pauses_where_each_number_is_looked_at() -> None:
    tariff = tariff_of({"GB": 2, OTHER: 1}, {})
    assert tariff is not None
    paused: list[int] = []
    ((rate, part),) = tariff.split(array("q", range(447400100000, 447400105000)), lambda: paused.append(1))
    assert (rate, len(part), len(paused)) == (2, 5000, 3)


COUNTRIES = st.sets(st.sampled_from(["AU", "NZ", "GB", "JE", "US", "CA", "JM", "CX", "DE"]), max_size=4)


@settings(deadline=None)
@given(NUMBERS, COUNTRIES, st.sampled_from(["AU", "GB", "JE", "US", "CX"]), st.booleans(), st.booleans())
@example(SOME, {"GB"}, "JE", True, True)
def test_a_list_keeps_what_is_in_the_countries(
    numbers: list[int], countries: set[str], home: str, international: bool, plan: bool
) -> None:
    """The check of a list says what a number's own rules say: at home or allowed abroad, and in one of these."""
    listed = tuple(sorted(countries))
    check = NumberCheck(home, international=international, plan=plan, countries=listed)
    given = sorted(set(numbers))
    check.add([f"+{number}" for number in given])
    found = check.result()
    plain = NumberCheck(home, international=True, plan=plan)
    plain.add([f"+{number}" for number in given])
    valid = plain.result()

    def reached(number: int) -> bool:
        return not listed or any(is_home(number, country) for country in listed)

    kept = [n for n in valid.numbers if (international or is_home(n, home)) and reached(n)]
    assert list(found.numbers) == kept
    assert (found.invalid, found.international) == (valid.invalid, len(valid.numbers) - len(kept))
    for number in given:
        assert is_in(number, listed) == any(is_home(number, country) for country in listed)


@pytest.mark.parametrize("code", [1, 7, 44, 61])
def test_plans_that_several_countries_share(code: int) -> None:
    """What the tests above are about: there are such plans."""
    assert len(plan_of(code).regions) > 1
