"""Campaigns that are there: paused and deleted, started when they are due, dealt to carriers, counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.clock import MINUTE, Window
from cooee.model.errors import CAMPAIGN_STATE, NO_CAMPAIGN, ApiError
from cooee.model.message import MessageState
from cooee.store import accounts
from cooee.store.acceptance import next_turns
from cooee.store.database import Database, Lane, Row, Tx

LONGEST_BACKOFF_MS = 20 * MINUTE
"""What waits longer than this waits for a send window: a backoff is at most 15 minutes and its jitter."""
Deal = Callable[[int], Sequence[int] | None]
"""Carriers for so many batches, in proportion to their TPS; None while there is none."""


# --- pause and its kin -------------------------------------------------------------------------------------


async def _lock(
    tx: Tx, account_id: int, campaign_id: int
) -> tuple[CampaignState, int | None, int | None, int | None, int | None]:
    """State, started_at, wake_at, stopped_at, due_at."""
    row = await tx.one("lock_campaign", account_id=account_id, id=campaign_id)
    if row is None:
        raise ApiError(NO_CAMPAIGN)
    return CampaignState(row[0]), row[1], row[2], row[3], row[4]


_NAMES = {
    CampaignState.SCHEDULED: "scheduled",
    CampaignState.STARTING: "running",
    CampaignState.RUNNING: "running",
    CampaignState.PAUSED: "paused",
    CampaignState.DELETED: "deleted",
    CampaignState.FINISHED: "finished",
}


def state_name(state: CampaignState, started_at: int | None) -> str:
    """The state as -931 says it to whoever wanted a campaign that has not started."""
    if state is CampaignState.PAUSED and started_at is not None:
        return "paused, and was running before"
    return _NAMES[state]


async def pause(tx: Tx, account_id: int, campaign_id: int, now: int) -> bool:
    """Stops what is not yet handed over; False when it stands already.

    One row changes: whoever claims a batch sees it (wire contract §4).
    """
    state, _, wake_at, *_ = await _lock(tx, account_id, campaign_id)
    if state is CampaignState.PAUSED:
        return False
    if state in (CampaignState.DELETED, CampaignState.FINISHED):
        raise ApiError(CAMPAIGN_STATE, f"paused: it is {_NAMES[state]}")
    await tx.run(
        "set_campaign_state",
        account_id=account_id, id=campaign_id, state=CampaignState.PAUSED, stopped_at=now, finished_at=None,
        wake_at=wake_at,
    )  # fmt: skip
    return True


async def unpause(tx: Tx, account_id: int, campaign_id: int, now: int) -> None:
    """Goes on: as scheduled while its time has not come or its window is closed, else at once."""
    state, started_at, wake_at, stopped_at, due_at = await _lock(tx, account_id, campaign_id)
    if state is not CampaignState.PAUSED:
        raise ApiError(CAMPAIGN_STATE, f"unpaused: it is {_NAMES[state]}")
    window = await _window(tx, account_id)
    if stopped_at is not None:
        stood_still = window.open_between(stopped_at, now)
        await tx.run("age_retries", account_id=account_id, id=campaign_id, stood_still=stood_still)
    if started_at is None or await _nothing_went_out(tx, account_id, campaign_id):
        at = window.opens_at(max(now, due_at or now))
        if at > now:
            await tx.run("schedule_again", account_id=account_id, id=campaign_id, wake_at=at)
            return
    await tx.run(
        "set_campaign_state",
        account_id=account_id,
        id=campaign_id,
        state=CampaignState.STARTING,
        stopped_at=None,
        finished_at=None,
        wake_at=wake_at,
    )


async def delete(tx: Tx, account_id: int, campaign_id: int, now: int) -> bool:
    """Cancels what was never marked, and refunds exactly that; False when that was done before.

    Running or finished: refused (wire contract §4).
    """
    await tx.many_all("lock_accounts", [(account_id,)])
    state, _, wake_at, *_ = await _lock(tx, account_id, campaign_id)
    if state is CampaignState.DELETED:
        return False
    if state not in (CampaignState.SCHEDULED, CampaignState.PAUSED):
        raise ApiError(CAMPAIGN_STATE, f"deleted: it is {_NAMES[state]}")
    row = await tx.one("unsent", account_id=account_id, id=campaign_id)
    back = int(row[0]) if row else 0
    for credits_back in await tx.all("cancel_retrying", account_id=account_id, id=campaign_id, now=now):
        back += int(credits_back[0])
    await tx.run(
        "set_campaign_state",
        account_id=account_id, id=campaign_id, state=CampaignState.DELETED, stopped_at=now, finished_at=now,
        wake_at=wake_at,
    )  # fmt: skip
    await accounts.refund(tx, [(account_id, campaign_id, back, "campaign deleted")], now)
    return True


async def _window(tx: Tx, account_id: int) -> Window:
    row = await tx.one("send_window", id=account_id)
    if row is None:
        raise LookupError(f"account {account_id} is gone")
    return Window(*row)


async def _nothing_went_out(tx: Tx, account_id: int, campaign_id: int) -> bool:
    """Whether no recipient was ever marked. The campaign is locked, so that nobody is marking now."""
    return await tx.one("any_marked", account_id=account_id, id=campaign_id) is None


async def release_account(tx: Tx, account_id: int, suspended_at: int | None, now: int) -> None:
    """An account is active again: its campaigns are dealt again, and the pause does not age their retries."""
    if suspended_at is not None:
        stood_still = (await _window(tx, account_id)).open_between(suspended_at, now)
        await tx.run("age_account_retries", account_id=account_id, stood_still=stood_still)
    await tx.all("await_dealing", account_id=account_id)
    await tx.run("restart_account_campaigns", account_id=account_id)


async def window_changed(tx: Tx, account_id: int, now: int) -> None:
    """An account has another zone or send window: whatever waits for an opening is judged anew.

    Instants that campaigns were given do not move (wire contract §10). A retry keeps its backoff.
    """
    await tx.run("judge_scheduled", account_id=account_id, now=now)
    await tx.run("judge_delayed", account_id=account_id, now=now, backoff=now + LONGEST_BACKOFF_MS)


# --- the scheduler's part ----------------------------------------------------------------------------------


async def take_due(tx: Tx, now: int) -> int:
    """scheduled → starting for what is due and may go; the rest is looked at again later. How many started."""
    due: list[Row] = []
    later: list[Row] = []
    for account_id, campaign_id, zone_name, opens, closes, account_state in await tx.all("due_campaigns", now=now):
        at = Window(zone_name, opens, closes).opens_at(now)
        if account_state != 1:
            later.append((account_id, campaign_id, now + 60_000))
        elif at > now:
            later.append((account_id, campaign_id, at))
        else:
            due.append((account_id, campaign_id))
    await tx.many("postpone_due", later, now=now)
    return await tx.many("take_due", due, now=now)


async def deal_piece(
    tx: Tx, account_id: int, campaign_id: int, *, after: int, behind: int, deal: Deal, now: int
) -> tuple[int, int] | None:
    """Deals the next 200 held batches of a starting campaign, or lets it run when none is left (None).

    `after` is the number of the last batch dealt and `behind` how many were, 0 at first; both come back raised.

    Raises LookupError while there is no carrier to deal to.
    """
    row = await tx.one("lock_campaign", account_id=account_id, id=campaign_id)
    if row is None or row[0] != CampaignState.STARTING:
        return None
    if row[1] is None and after < 0:
        # Nothing went out: while its window is closed it is scheduled, not running.
        at = (await _window(tx, account_id)).opens_at(now)
        if at > now:
            await tx.run("schedule_again", account_id=account_id, id=campaign_id, wake_at=at)
            return None
    piece = await tx.all("held_piece", account_id=account_id, id=campaign_id, after=after, limit=200)
    if not piece:
        if after >= 0 and await _held_again(tx, account_id, campaign_id):
            return -1, behind
        await tx.run("run_campaign", account_id=account_id, id=campaign_id, now=now)
        return None
    dealt = deal(len(piece))
    if dealt is None:
        raise LookupError("no carrier")
    carriers = [kept if kept is not None else fresh for (_, kept, _), fresh in zip(piece, dealt, strict=True)]
    turns = await next_turns(tx, set(carriers))
    for carrier in turns:
        # Later pieces of one campaign queue up behind its earlier ones, not beside them.
        turns[carrier] += behind
    rows = []
    for (no, _, not_before), carrier in zip(piece, carriers, strict=True):
        delayed = not_before is not None and not_before > now
        state = BatchState.DELAYED if delayed else BatchState.READY
        rows.append((account_id, campaign_id, no, carrier, turns[carrier], state))
        turns[carrier] += 1
    if row[1] is None:
        # From here on a part of it may be on its way, whatever becomes of the rest.
        await tx.run("mark_started", account_id=account_id, id=campaign_id, now=now)
    await tx.many("deal", rows)
    return int(piece[-1][0]), behind + len(piece)


async def _held_again(tx: Tx, account_id: int, campaign_id: int) -> bool:
    """Whether batches that were dealt are held again: the campaign was paused meanwhile, or they were on a carrier
    that sends no more. Those of a suspended account are dealt when it goes on."""
    account = await tx.one("account_by_id", id=account_id)
    if account is None or account[4] != 1:
        return False
    return bool(await tx.all("held_piece", account_id=account_id, id=campaign_id, after=-1, limit=1))


async def ready_delayed(tx: Tx, now: int) -> int:
    """Batches whose `not_before` has come queue up again; how many."""
    rows = await tx.all("delayed_due", now=now)
    turns = await next_turns(tx, {row[3] for row in rows if row[3] is not None})
    return await tx.many("make_ready", [(a, c, n, turns.get(k, 0)) for a, c, n, k in rows])


async def deal_strays_again(tx: Tx) -> int:
    """Pulls batches off carriers that are paused or removed; their campaigns are dealt again. How many."""
    if not await tx.all("active_carriers"):
        return 0
    strays = await tx.all("stray_batches")
    for account_id, campaign_id in strays:
        await tx.run("pull_back", account_id=account_id, id=campaign_id)
        await tx.run("restart_campaign", account_id=account_id, id=campaign_id)
    return len(strays)


async def wait_for_opening(tx: Tx, keys: Sequence[tuple[int, int]], now: int) -> int:
    """Running campaigns of which nothing went out before their window closed are scheduled again; how many.

    `keys`: (account_id, id) of some that may be. Their batches are held as soon as somebody claims them.
    """
    count = 0
    for account_id, campaign_id in sorted(keys):
        row = await tx.one("lock_campaign", account_id=account_id, id=campaign_id)
        if row is None or row[0] not in (CampaignState.STARTING, CampaignState.RUNNING):
            continue
        at = (await _window(tx, account_id)).opens_at(now)
        if at > now and await _nothing_went_out(tx, account_id, campaign_id):
            count += await tx.run("schedule_again", account_id=account_id, id=campaign_id, wake_at=at)
    return count


# --- counting ----------------------------------------------------------------------------------------------


async def count(tx: Tx, account_id: int, campaign_id: int) -> dict[str, int]:
    """Recipients by state: from the sweep's counters where it keeps them, else from the rows themselves."""
    counted = await tx.all("kept_counts", account_id=account_id, id=campaign_id)
    if not counted:
        counted = await tx.all("count_states", account_id=account_id, id=campaign_id)
    counts = {MessageState(state).name.lower(): int(messages) for state, messages in counted}
    state = await tx.one("campaign_state", account_id=account_id, id=campaign_id)
    row = await tx.one("waiting", account_id=account_id, id=campaign_id)
    waiting, cancelled = (int(row[0]), int(row[1])) if row is not None else (0, 0)
    if state is not None and state[0] == CampaignState.DELETED:
        waiting, cancelled = 0, cancelled + waiting
    counts["waiting"] = waiting
    counts["cancelled"] = counts.get("cancelled", 0) + cancelled
    return counts


async def recount(database: Database, account_id: int, campaign_id: int) -> None:
    """Counts a campaign's rows anew, without holding the writer, and keeps the result."""
    counted = await database.read(lambda tx: tx.all("count_states", account_id=account_id, id=campaign_id))

    async def keep(tx: Tx) -> None:
        if await tx.one("campaign_state", account_id=account_id, id=campaign_id) is None:
            return  # it was removed meanwhile
        await tx.run("drop_counts", account_id=account_id, id=campaign_id)
        await tx.many("put_counts", [tuple(row) for row in counted], account_id=account_id, id=campaign_id)

    await database.write(keep, Lane.BULK)
