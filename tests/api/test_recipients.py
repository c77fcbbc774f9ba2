"""One number is judged as a list of one would be."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cooee.model.account import Account, AccountState
from cooee.model.msisdn import NumberCheck
from cooee.service.recipients import Recipients

NUMBERS = st.one_of(
    st.sampled_from(
        ["61400123456", "+61 400 123 456", "0400123456", "6421123456", "447911123456", "12", "x", "", " "]
    ),
    st.text("0123456789+ -()", max_size=18),
    st.integers(0, 99_999_999).map(lambda n: f"614{n:08d}"),
)


@settings(deadline=None)  # a country's plan is compiled when it is first met
@given(text=NUMBERS, home=st.sampled_from(["AU", "NZ", "US", "GB"]), international=st.booleans())
def test_one_number_as_a_list_of_one(text: str, home: str, international: bool) -> None:
    account = Account(
        1, "a", "", None, AccountState.ACTIVE, "UTC", home, True, True, international, False, True, None, 0
    )
    check = NumberCheck(home, international=international)
    check.add([text])
    recipients = Recipients()
    try:
        assert recipients.check(account, [text]) == check.result()
    finally:
        recipients.close()
