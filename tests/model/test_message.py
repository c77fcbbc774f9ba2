"""States of a message and of its parts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.model.message import UNREADABLE, MessageState, Parts, code_of

MASKS = st.builds(Parts, st.just(3), *[st.integers(0, 7)] * 3)
RANK = {MessageState.HANDED_OVER: 0, MessageState.FAILED: 1, MessageState.DELIVERED: 2}


@pytest.mark.parametrize(
    ("delivered", "failed", "state"),
    [
        (0b000, 0b000, MessageState.HANDED_OVER),
        (0b011, 0b000, MessageState.HANDED_OVER),
        (0b111, 0b000, MessageState.DELIVERED),
        (0b011, 0b100, MessageState.FAILED),
        (0b000, 0b001, MessageState.FAILED),
        # A part that was delivered stays so, whatever is said of it later.
        (0b111, 0b111, MessageState.DELIVERED),
        (0b001, 0b001, MessageState.HANDED_OVER),
        # Bits beyond the message's parts mean nothing.
        (0b1111, 0b11000, MessageState.DELIVERED),
        (0b011, 0b11000, MessageState.HANDED_OVER),
    ],
)
def test_the_state_follows_from_the_masks(delivered: int, failed: int, state: MessageState) -> None:
    assert Parts(3, 7, delivered, failed).state is state


@given(MASKS, MASKS, MASKS)
def test_joining_is_a_lattice(a: Parts, b: Parts, c: Parts) -> None:
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))
    assert a.join(a) == a
    assert a.join(b).join(a) == a.join(b)


@given(st.lists(MASKS, min_size=1, max_size=6), st.randoms())
def test_order_and_repetition_change_nothing(masks: list[Parts], rnd: random.Random) -> None:
    def whole(some: list[Parts]) -> Parts:
        joined = some[0]
        for each in some[1:]:
            joined = joined.join(each)
        return joined

    shuffled = masks * 2
    rnd.shuffle(shuffled)
    assert whole(shuffled) == whole(masks)


@given(MASKS, MASKS)
def test_what_is_delivered_is_never_lowered(a: Parts, b: Parts) -> None:
    if a.state is MessageState.DELIVERED:
        assert a.join(b).state is MessageState.DELIVERED
    if a.join(b).state is MessageState.HANDED_OVER:
        # Only a failure of a part that another receipt calls delivered goes away again.
        assert a.failed & ~a.join(b).delivered & 7 == 0


def test_final_states_are_the_highest() -> None:
    assert sorted(MessageState)[-2:] == [MessageState.FAILED, MessageState.DELIVERED]
    assert [state.value for state in MessageState] == list(range(8))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("001", 1), ("0", 0), ("", UNREADABLE), (" 34 ", 34), ("999999999", 999_999_999),
        ("1234567890", UNREADABLE),
        ("0x22", UNREADABLE), ("-1", UNREADABLE), ("٣", UNREADABLE), ("UNDELIV", UNREADABLE),
    ],
)  # fmt: skip
def test_codes_of_carriers(error: str, code: int) -> None:
    assert code_of(error) == code
