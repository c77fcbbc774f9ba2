"""TPS: counted in segments, without bursts, slower for a while when the carrier asks for it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cooee.engine.pacing import BURST_S, LEAST, Pacing
from cooee.model.clock import ManualClock


def sent_in(pacing: Pacing, clock: ManualClock, seconds: float, *, parts: int = 1, step: float = 0.01) -> int:
    """Segments that go in that time, when there is always something to send."""
    sent = 0
    for _ in range(round(seconds / step)):
        clock.advance(step)
        while pacing.room(1000) > 0:
            pacing.take(parts)
            sent += parts
    return sent


@pytest.mark.parametrize("tps", [1, 7, 50, 1000, 333.3])
@pytest.mark.parametrize("parts", [1, 3])
def test_the_rate_holds_over_time_in_segments(tps: float, parts: int) -> None:
    clock = ManualClock()
    pacing = Pacing(clock, tps)
    sent = sent_in(pacing, clock, 30, parts=parts)
    # Below ten a second the bucket holds one token: what comes while nobody looks is lost, a hundredth each time.
    lost = 0.0 if tps * BURST_S > 1 else tps * 0.01 * sent
    assert tps * 30 - lost - max(2, tps * BURST_S) - parts <= sent <= tps * 30 + parts


def test_after_a_pause_no_more_than_a_tenth_of_a_second_bursts_out() -> None:
    clock = ManualClock()
    pacing = Pacing(clock, 100)
    clock.advance(3600)
    assert pacing.room(1000) == 10
    pacing.take(10)
    assert pacing.room(1000) == 0


def test_never_more_than_the_window_has_room_for() -> None:
    clock = ManualClock()
    pacing = Pacing(clock, 1000)
    clock.advance(1)
    assert pacing.room(5) == 5
    assert Pacing(clock, 0).room(5) == 5


def test_without_a_limit_there_is_no_wait() -> None:
    pacing = Pacing(ManualClock(), 0)
    pacing.take(10_000)
    assert pacing.room(77) == 77
    assert pacing.wait() == 0


def test_a_long_message_goes_whole_and_the_next_one_waits_for_it() -> None:
    clock = ManualClock()
    pacing = Pacing(clock, 1)
    clock.advance(1)
    assert pacing.room(10) == 1
    pacing.take(4)
    assert pacing.wait() == pytest.approx(4)
    clock.advance(3.9)
    assert pacing.room(10) == 0
    clock.advance(0.2)
    assert pacing.room(10) == 1


def test_wait_says_when_there_is_room_again() -> None:
    clock = ManualClock()
    pacing = Pacing(clock, 20)
    assert pacing.wait() == pytest.approx(0.05)
    clock.advance(pacing.wait() + 1e-6)
    assert (pacing.room(10), pacing.wait()) == (1, 0)


def test_room_given_back_is_room_again() -> None:
    clock = ManualClock()
    pacing = Pacing(clock, 100)
    clock.advance(1)
    assert pacing.room(100) == 10
    pacing.take(10)
    pacing.take(-4)
    assert pacing.room(100) == 4


def test_a_new_share_holds_from_now_on() -> None:
    clock = ManualClock()
    pacing = Pacing(clock, 100)
    assert sent_in(pacing, clock, 10) == pytest.approx(1000, abs=12)
    pacing.share(50)
    assert sent_in(pacing, clock, 10) == pytest.approx(500, abs=12)
    pacing.share(0)
    assert pacing.room(1000) == 1000


@pytest.mark.parametrize("tps", [0, 100])
def test_throttled_it_stands_still_for_about_a_second(tps: float) -> None:
    clock = ManualClock()
    pacing = Pacing(clock, tps)
    clock.advance(1)
    pacing.throttled()
    assert pacing.room(100) == 0
    assert 0.5 <= pacing.wait() <= 1.5
    clock.advance(0.49)
    assert pacing.room(100) == 0
    clock.advance(1.02)
    assert pacing.room(100) > 0


def test_throttled_it_goes_on_slower_and_recovers() -> None:
    clock = ManualClock()
    pacing = Pacing(clock, 100)
    sent_in(pacing, clock, 1)
    pacing.throttled()
    clock.advance(1.5)
    slow = sent_in(pacing, clock, 1)
    assert 60 <= slow <= 88
    sent_in(pacing, clock, 2)
    assert slow + 2 < sent_in(pacing, clock, 1) <= 101
    sent_in(pacing, clock, 5)
    assert sent_in(pacing, clock, 10) == pytest.approx(1000, abs=12)


def test_many_refusals_of_one_burst_count_once_and_repeated_bursts_add_up() -> None:
    clock = ManualClock()
    pacing = Pacing(clock, 100)
    for _ in range(50):
        pacing.throttled()
    clock.advance(1.6)
    once = sent_in(pacing, clock, 1)
    assert once >= 60
    for _ in range(40):
        clock.advance(1.6)
        pacing.room(1)
        pacing.throttled()
    clock.advance(1.6)
    # Never slower than the least: or it would not find out that the carrier is well again.
    assert sent_in(pacing, clock, 2) >= 2 * 100 * LEAST * 0.5
    assert sent_in(pacing, clock, 2) < 100


@settings(max_examples=60, deadline=None)
@given(
    st.floats(1, 500),
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 40), st.integers(1, 5)), min_size=1, max_size=30),
)
def test_no_history_lets_it_go_faster_than_its_rate(tps: float, history: list[tuple[float, int, int]]) -> None:
    clock = ManualClock()
    pacing = Pacing(clock, tps)
    passed = sent = 0.0
    for wait, most, parts in history:
        clock.advance(wait)
        passed += wait
        for _ in range(most):
            if pacing.room(1000) > 0:
                pacing.take(parts)
                sent += parts
        assert sent <= passed * tps + max(1, tps * BURST_S) + 5


def test_single_messages_go_ahead_of_a_campaign_at_half_of_the_rate() -> None:
    clock = ManualClock()
    pacing = Pacing(clock, 100)
    ahead = behind = 0
    for _ in range(1000):
        clock.advance(0.01)
        while pacing.may_go_ahead(1):
            pacing.take(1)
            ahead += 1
        while pacing.room(1000) > 0:
            pacing.take(1)
            behind += 1
    assert 480 <= ahead <= 510
    assert 980 <= ahead + behind <= 1010


def test_going_ahead_is_a_twentieth_of_a_second_at_once_and_long_messages_count_in_segments() -> None:
    clock = ManualClock()
    pacing = Pacing(clock, 100)
    clock.advance(60)
    pacing.take(pacing.room(1000))
    assert [pacing.may_go_ahead(3), pacing.may_go_ahead(3)] == [True, False]
    assert [pacing.may_go_ahead(2), pacing.may_go_ahead(1)] == [True, False]
    pacing.take(5)
    clock.advance(0.04)
    assert pacing.room(1000) == 0
    clock.advance(0.03)
    assert pacing.room(1000) > 0


def test_nothing_goes_ahead_of_a_carrier_that_asked_to_slow_down_nor_without_a_limit() -> None:
    clock = ManualClock()
    pacing = Pacing(clock, 100)
    clock.advance(60)
    pacing.throttled()
    assert not pacing.may_go_ahead(1)
    clock.advance(2)
    assert pacing.may_go_ahead(1)
    assert not Pacing(clock, 0).may_go_ahead(1)


STEP = 0.004


def most_within_a_second(leaving: list[tuple[float, int]], less: float = 0.0) -> int:
    """Segments in the fullest second, whenever it begins; what leaves at its very end is in the next one. The
    second is `less` seconds short."""
    leaving = sorted(leaving)
    most = inside = first = 0
    for at, segments in leaving:
        inside += segments
        while leaving[first][0] <= at - (1 - less) + 1e-9:
            inside -= leaving[first][1]
            first += 1
        most = max(most, inside)
    return most


def busy(
    tps: float, waits: Iterable[float], *, parts: int = 1, marked_for: int = 0
) -> tuple[list[tuple[float, int]], list[float]]:
    """When what leaves, where a campaign takes all it gets and single messages come besides, and how long those
    waited. `marked_for` is for how many steps the campaign's segments are promised before they are taken."""
    clock = ManualClock()
    pacing = Pacing(clock, tps)
    clock.advance(30)
    now = promised = age = 0
    leaving: list[tuple[float, int]] = []
    waited: list[float] = []
    due = 1.0
    for wait in waits:
        due += wait
        while now * STEP < due:
            now += 1
            clock.advance(STEP)
            if not promised:
                promised, age = -(-pacing.room(1000) // parts) * parts, 0
            if promised and age == marked_for:
                pacing.take(promised)
                leaving.append((now * STEP, promised))
                promised = 0
            age += 1
        if pacing.room(1) or pacing.may_go_ahead(1):
            pacing.take(1)
            early = pacing.early(promised)
            leaving.append((now * STEP + early, 1))
            waited.append(early)
    return leaving, waited


@pytest.mark.parametrize("marked_for", [0, 1, 3])
@pytest.mark.parametrize("every", [0.0, 0.013, 0.37, 1.1])
@pytest.mark.parametrize(("tps", "most"), [(1, 1), (2, 2), (5, 5), (10, 10), (150, 150 + 15 - 1)])
def test_what_goes_ahead_is_no_more_than_the_carrier_allows(
    tps: float, most: int, every: float, marked_for: int
) -> None:
    """In no second more than TPS, and the bucket's tenth of it where that is more than one segment. How long a
    trip lasts is not known beforehand, and may be missing from the second: networks vary more than that."""
    leaving, waited = busy(tps, [every] * (200 if every else 40), marked_for=marked_for)
    assert most_within_a_second(leaving, marked_for * STEP) <= most
    # A campaign is passed within the time of a few tokens, not of its batches.
    assert 0 < max(waited) <= max(2 / tps, 0.15)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([1, 2, 5, 10, 33.3, 150]),
    st.lists(st.sampled_from([0.0, 0.001, 0.02, 0.1, 0.5, 1.0, 2.5]), min_size=1, max_size=40),
    st.integers(1, 3),
    st.integers(0, 3),
)
def test_no_mixture_of_both_is_faster_than_the_rate(
    tps: float, waits: list[float], parts: int, marked_for: int
) -> None:
    leaving, _ = busy(tps, waits, parts=parts, marked_for=marked_for)
    # A long message goes whole, however little room there was for it.
    fullest = most_within_a_second(leaving, marked_for * STEP)
    assert fullest < tps + max(1, tps * BURST_S) + parts - 1 + 1e-6


def test_what_goes_ahead_leaves_when_the_bucket_is_back_at_zero() -> None:
    clock = ManualClock()
    pacing = Pacing(clock, 10)
    clock.advance(1)
    pacing.take(pacing.room(1000))
    assert pacing.early() == 0
    assert pacing.may_go_ahead(1)
    pacing.take(1)
    assert pacing.early() == pytest.approx(0.1)
    assert pacing.early(2) == pytest.approx(0.3)
    clock.advance(0.06)
    assert pacing.early() == pytest.approx(0.04)
    clock.advance(0.05)
    assert pacing.early() == 0
    # And the campaign waits for what it took.
    assert pacing.room(1) == 0
    clock.advance(0.1)
    assert pacing.room(1) == 1
    unlimited = Pacing(clock, 0)
    unlimited.take(100)
    assert unlimited.early(100) == 0


def test_nothing_is_taken_far_in_advance() -> None:
    """A campaign of long messages may take the bucket far below zero: what comes then queues up."""
    clock = ManualClock()
    pacing = Pacing(clock, 1)
    clock.advance(30)
    assert pacing.room(1) == 1
    pacing.take(6)
    assert not pacing.may_go_ahead(1)
    clock.advance(4)
    assert pacing.may_go_ahead(1)
    pacing.take(1)
    assert pacing.early() == pytest.approx(2)


def test_what_went_ahead_waits_for_the_end_of_a_standstill() -> None:
    clock = ManualClock()
    for pacing in (Pacing(clock, 10), Pacing(clock, 0)):
        clock.advance(1)
        pacing.throttled()
        assert 0.5 <= pacing.early() <= 1.5
        clock.advance(1.5)
        assert pacing.early() == 0
