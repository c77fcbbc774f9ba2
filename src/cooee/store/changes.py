"""A campaign that has not started is changed (wire contract §4, modify).

Locks are taken in the order account, campaign; the state is looked at under the campaign's lock, so that a start
at the same moment is either seen, or waits and finds what was changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from cooee.model.campaign import CampaignState
from cooee.model.errors import CAMPAIGN_STATE, NO_CAMPAIGN, ApiError
from cooee.model.segments import Segmented
from cooee.store import accounts
from cooee.store.acceptance import Created, why_not_charged
from cooee.store.campaigns import state_name
from cooee.store.database import Tx


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to send. Times are UTC ms; None: at once. `wake_at` minds the send window."""

    due_at: int | None
    wake_at: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """What shall be another; None leaves it as it is. `segmented` belongs to `message`."""

    message: str | None = None
    segmented: Segmented | None = None
    originator: str | None = None
    schedule: Schedule | None = None
    day: int = 0
    """When the account's local day began, UTC ms: the daily cap counts by it."""


def is_unstarted(state: CampaignState, started_at: int | None) -> bool:
    """Whether a campaign is scheduled, or was paused before its start."""
    return state is CampaignState.SCHEDULED or (state is CampaignState.PAUSED and started_at is None)


async def modify(tx: Tx, account_id: int, campaign_id: int, change: Change, now: int) -> Created:
    """Changes it, charges or gives back the difference; what the whole campaign comes to now.

    ApiError -930 (not this account's), -931 (it has started, or is gone), -202 (short: nothing is changed).
    """
    await tx.many_all("lock_accounts", [(account_id,)])
    row = await tx.one("lock_unstarted", account_id=account_id, id=campaign_id)
    if row is None:
        raise ApiError(NO_CAMPAIGN)
    state = CampaignState(row[0])
    if not is_unstarted(state, row[1]):
        raise ApiError(CAMPAIGN_STATE, f"modified: it is {state_name(state, row[1])}")
    originator, body, encoding, segments, due_at, wake_at, messages, credits = row[2:]
    total = credits
    if change.message is not None and change.segmented is not None:
        body, encoding = change.message, change.segmented.encoding
        count = change.segmented.count
        if count != segments:
            # Each recipient keeps the rate that it was charged at: that is in the batch, times the segments.
            total = credits // segments * count
            await _settle(tx, account_id, campaign_id, total - credits, change.day, now)
            await tx.run("change_price", account_id=account_id, id=campaign_id, before=segments, after=count)
            segments = count
    if change.schedule is not None:
        due_at, wake_at = change.schedule.due_at, change.schedule.wake_at
        if state is CampaignState.SCHEDULED and wake_at is None:
            state = CampaignState.STARTING
    await tx.run(
        "change_campaign",
        account_id=account_id,
        id=campaign_id,
        state=state,
        originator=change.originator or originator,
        body=body,
        encoding=encoding,
        segments=segments,
        due_at=due_at,
        wake_at=wake_at,
        credits=total,
    )
    return Created(campaign_id, messages, segments, total)


async def _settle(tx: Tx, account_id: int, campaign_id: int, more: int, day: int, now: int) -> None:
    """Takes `more` credits, or gives them back where it is negative."""
    if more < 0:
        await accounts.refund(tx, [(account_id, campaign_id, -more, "campaign modified")], now)
        return
    no = await accounts.charge(tx, account_id, more, day=day)
    if no is None:
        raise await why_not_charged(tx, account_id)
    await tx.many("add_ledger", [(account_id, no, -more, "charge", campaign_id, "campaign modified")], at=now)
