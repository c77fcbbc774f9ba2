"""States of a campaign: every transition that the store makes is drawn, and what is drawn is reachable."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cooee.model.campaign import BATCH_SIZE, CAMPAIGN_NEXT, STATUS_WORD, BatchState, CampaignState, batch_size
from cooee.model.errors import CAMPAIGN_STATE, NO_CAMPAIGN, ApiError
from cooee.store.acceptance import NewCampaign
from tests.store.support_store import World, run, world

S = CampaignState
ACTIONS = ("pause", "unpause", "delete")
ALLOWED: dict[tuple[CampaignState, str], CampaignState] = {
    (S.SCHEDULED, "pause"): S.PAUSED,
    (S.STARTING, "pause"): S.PAUSED,
    (S.RUNNING, "pause"): S.PAUSED,
    (S.PAUSED, "pause"): S.PAUSED,
    (S.PAUSED, "unpause"): S.STARTING,
    (S.SCHEDULED, "delete"): S.DELETED,
    (S.PAUSED, "delete"): S.DELETED,
    (S.DELETED, "delete"): S.DELETED,
}
"""What an action does (wire contract §4); whatever is not here is refused."""


def test_numbers_are_stored_and_indexes_name_them() -> None:
    assert [(s.name, s.value) for s in S] == [
        ("ACCEPTING", 0), ("SCHEDULED", 1), ("STARTING", 2), ("RUNNING", 3), ("PAUSED", 4), ("DELETED", 5),
        ("FINISHED", 6),
    ]  # fmt: skip
    assert [(s.name, s.value) for s in BatchState] == [
        ("HELD", 1), ("READY", 2), ("DELAYED", 3), ("OUT", 4), ("DONE", 5), ("CANCELLED", 6),
    ]  # fmt: skip
    assert BATCH_SIZE == 500


@pytest.mark.parametrize(
    ("rate", "segments", "size"),
    [(0, 1, 500), (0, 40, 500), (75, 1, 75), (150, 3, 50), (100 / 3, 1, 33), (100, 40, 20), (0.5, 1, 20),
     (499, 1, 499), (5000, 1, 500), (5000, 20, 250)],
)  # fmt: skip
def test_a_batch_is_about_a_second_of_a_bind(rate: float, segments: int, size: int) -> None:
    assert batch_size(rate, segments) == size


def test_every_state_is_drawn_and_reached() -> None:
    assert set(CAMPAIGN_NEXT) == set(S)
    reached, front = {S.ACCEPTING}, [S.ACCEPTING]
    while front:
        for state in CAMPAIGN_NEXT[front.pop()] - reached:
            reached.add(state)
            front.append(state)
    assert reached == set(S)
    assert {state for state, after in CAMPAIGN_NEXT.items() if not after} == {S.DELETED, S.FINISHED}


def test_every_state_that_the_api_sees_has_a_word() -> None:
    assert set(STATUS_WORD) == set(S) - {S.ACCEPTING}
    assert set(STATUS_WORD.values()) == {"Scheduled", "Running", "Paused", "Deleted", "Finished"}


async def reach(made: World, state: CampaignState) -> NewCampaign:
    """A campaign that came to `state` the usual way."""
    if state is S.SCHEDULED:
        return await made.campaign(3, wake_at=made.clock.now_ms() + 60_000)
    if state is S.STARTING:
        return await made.campaign(3, carriers=None)
    new = await made.campaign(3)
    if state is S.FINISHED:
        for hand in await made.claim(7):
            await hand.accept(range(3)).step()
        await made.finish(new)
    if state in (S.PAUSED, S.DELETED):
        await made.change("pause", new)
    if state is S.DELETED:
        await made.change("delete", new)
    assert await made.state(new) == state
    return new


def test_actions_do_what_is_drawn_and_nothing_else(database_url: str) -> None:
    async def check(made: World) -> None:
        for state in set(S) - {S.ACCEPTING}:
            for action in ACTIONS:
                new = await reach(made, state)
                expected = ALLOWED.get((state, action))
                if expected is None:
                    with pytest.raises(ApiError) as raised:
                        await made.change(action, new)
                    assert raised.value.code is CAMPAIGN_STATE
                    assert STATUS_WORD[state].lower() in str(raised.value)
                    assert await made.state(new) == state
                else:
                    await made.change(action, new)
                    assert await made.state(new) == expected
                    assert expected is state or expected in CAMPAIGN_NEXT[state]

    run(database_url, check)


def test_paused_before_its_time_it_is_scheduled_again(database_url: str) -> None:
    async def check(made: World) -> None:
        new = await reach(made, S.SCHEDULED)
        await made.change("pause", new)
        await made.change("unpause", new)
        assert await made.state(new) == S.SCHEDULED
        await made.change("pause", new)
        made.clock.advance(61)
        await made.change("unpause", new)
        assert await made.state(new) == S.STARTING

    run(database_url, check)


@pytest.mark.parametrize("action", ACTIONS)
def test_another_accounts_campaign_is_not_found(database_url: str, action: str) -> None:
    async def check(made: World) -> None:
        new = await made.campaign(3)
        new.account_id = await made.account()
        with pytest.raises(ApiError) as raised:
            await made.change(action, new)
        assert raised.value.code is NO_CAMPAIGN

    run(database_url, check)


def test_deleting_refunds_exactly_what_was_not_marked(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(f"sqlite:///{tmp_path / 'c.db'}") as made:
            new = await made.campaign(1200, segments=2)
            await made.claim(7, 100)
            await made.change("pause", new)
            await made.change("delete", new)
            assert await made.refunds() == [((1200 - 50) * 2, "campaign deleted")]

    asyncio.run(main())
