"""Operations on campaigns: acceptance, pause and its kin, and what the scheduler does to them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from cooee.model.campaign import BATCH_SIZE, BatchState, CampaignState
from cooee.model.clock import window_opens, zone
from cooee.model.errors import (
    BAD_FIELD,
    CAMPAIGN_STATE,
    CREDITS_SHORT,
    NO_CAMPAIGN,
    SUSPENDED,
    ApiError,
    StoreUnavailable,
)
from cooee.model.message import MessageState
from cooee.store import accounts
from cooee.store.claims import opted_out
from cooee.store.database import Database, Lane, Row, Tx

SMALL = 5000
"""Recipients up to which a campaign is accepted in one piece, with the others of its group."""
PIECE = 100
"""Batches that go in with one transaction of a large campaign (measured: about 8 ms on SQLite)."""
KEY_KEPT_MS = 24 * 3600 * 1000

Deal = Callable[[int], Sequence[int] | None]
"""Carriers for so many batches, in proportion to their TPS; None while there is none."""


@dataclass(slots=True)
class NewCampaign:
    """A campaign that is complete but for its place in the database. Times are UTC ms."""

    account_id: int
    id: int
    originator: str
    body: str
    encoding: int
    segments: int
    reference: str | None
    due_at: int | None
    wake_at: int | None
    """When to start; None: at once."""
    numbers: array[int]
    credits_each: int
    carriers: Sequence[int] | None
    """One for each batch, or None when there is no carrier yet."""
    owner: int | None = None
    """The engine of this process that takes it over, already marked, as soon as it is committed."""
    dropped: tuple[int, int, int] = (0, 0, 0)
    """Invalid, duplicate, international."""
    key: str | None = None
    digest: str = ""
    pieces: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        packed = memoryview(self.numbers).cast("B")
        step = BATCH_SIZE * 8
        self.pieces = [bytes(packed[at : at + step]) for at in range(0, len(packed), step)]

    @property
    def concat_ref(self) -> int:
        """The reference of its parts: campaigns in a row differ in it."""
        return self.id & 0xFFFF

    @property
    def messages(self) -> int:
        return len(self.numbers)

    @property
    def credits(self) -> int:
        return len(self.numbers) * self.credits_each

    @property
    def state(self) -> CampaignState:
        if self.wake_at is not None:
            return CampaignState.SCHEDULED
        return CampaignState.STARTING if self.carriers is None else CampaignState.RUNNING


@dataclass(frozen=True, slots=True)
class Created:
    """What create answers: recipients accepted, segments a message, credits taken."""

    campaign_id: int
    messages: int
    segments: int
    credits: int


def campaign_row(new: NewCampaign, state: CampaignState, now: int) -> Row:
    """A row of add_campaigns."""
    started = now if state is CampaignState.RUNNING else None
    return (
        new.account_id, new.id, state, new.originator, new.body, new.encoding, new.segments, new.concat_ref,
        new.reference, new.due_at, new.wake_at, started, new.messages, new.credits, len(new.pieces), *new.dropped,
    )  # fmt: skip


def batch_rows(new: NewCampaign, turns: dict[int, int], first: int = 0, count: int | None = None) -> Iterator[Row]:
    """Rows of add_batches for pieces `first`…; `turns` holds the next free turn of each carrier."""
    ready = new.state is CampaignState.RUNNING
    last = len(new.pieces) if count is None else min(first + count, len(new.pieces))
    for no in range(first, last):
        carrier = new.carriers[no] if ready and new.carriers else None
        turn = 0
        if carrier is not None and new.owner is None:
            turn = turns[carrier]
            turns[carrier] += 1
        fresh = ready and new.owner is not None
        state = BatchState.OUT if fresh else BatchState.READY if ready else BatchState.HELD
        size = len(new.pieces[no]) // 8
        yield (
            new.account_id, new.id, no, carrier, turn, state, 1, size, new.credits_each, 0,
            None, None, None, new.owner if fresh else None, size if fresh else 0, new.pieces[no],
        )  # fmt: skip


async def next_turns(tx: Tx, carriers: set[int]) -> dict[int, int]:
    """Where new batches queue up: one turn behind the front of each carrier's queue."""
    turns = {}
    for carrier in sorted(carriers):
        row = await tx.one("front_turn", carrier_id=carrier)
        turns[carrier] = 0 if row is None else int(row[0]) + 1
    return turns


# --- acceptance --------------------------------------------------------------------------------------------


async def create_group(tx: Tx, items: Sequence[NewCampaign], now: int) -> list[Created | Exception]:
    """Accepts what it can: charges, and writes campaigns, batches and ledger rows, a few statements in all."""
    answers: dict[int, Created | Exception] = {}
    fresh: list[NewCampaign] = []
    mine: dict[tuple[int, str], NewCampaign] = {}
    repeats: list[tuple[NewCampaign, NewCampaign]] = []
    for item in items:
        if item.key is None:
            fresh.append(item)
            continue
        first = mine.get((item.account_id, item.key))
        if first is not None:
            # An impatient client's repeat, in the same group as its first request.
            repeats.append((item, first))
            continue
        known = await _reserve(tx, item, now)
        if known is None:
            fresh.append(item)
            mine[item.account_id, item.key] = item
        else:
            answers[item.id] = known
    accepted, ledger = await _charge(tx, fresh, answers)
    if accepted:
        await _wash_fresh(tx, accepted)
        queued = [new for new in accepted if new.state is CampaignState.RUNNING and new.owner is None]
        turns = await next_turns(tx, {carrier for new in queued for carrier in new.carriers or ()})
        await tx.many("add_campaigns", [campaign_row(new, new.state, now) for new in accepted], now=now)
        starts = dict(turns)
        rows: list[Row] = []
        for new in accepted:
            # Each campaign starts at the same turn: that is what taking turns means.
            rows += batch_rows(new, dict(starts))
        await tx.many("add_batches", rows)
        await tx.many("add_ledger", ledger, at=now)
        for new in accepted:
            if new.key is not None:
                await _keep_answer(tx, new, Created(new.id, new.messages, new.segments, new.credits))
    taken = {id(new) for new in accepted}
    for item in items:
        if id(item) not in taken:
            item.owner = None
    for item in fresh:
        if item.key is not None and isinstance(answers.get(item.id), Exception):
            await tx.run("drop_key", account_id=item.account_id, key=item.key)
    for item in fresh:
        answers.setdefault(item.id, Created(item.id, item.messages, item.segments, item.credits))
    for item, first in repeats:
        same = item.digest == first.digest
        answers[item.id] = answers[first.id] if same else other_request()
    return [answers[item.id] for item in items]


def other_request() -> ApiError:
    """-911: an Idempotency-Key comes with another body than the first time."""
    return ApiError(BAD_FIELD, "Idempotency-Key' was used for another request")


async def _wash_fresh(tx: Tx, accepted: Sequence[NewCampaign]) -> None:
    """A message to somebody who opted out is not born marked: it queues, and marking washes it."""
    fresh = [(new.account_id, new.numbers) for new in accepted if new.owner is not None]
    found = await opted_out(tx, fresh)
    if found:
        for new in accepted:
            if any((new.account_id, number) in found for number in new.numbers):
                new.owner = None


async def _charge(
    tx: Tx, items: list[NewCampaign], answers: dict[int, Created | Exception]
) -> tuple[list[NewCampaign], list[Row]]:
    """Takes the credits; one UPDATE an account, and only if that account is short one a request."""
    groups: dict[int, list[NewCampaign]] = {}
    for item in items:
        groups.setdefault(item.account_id, []).append(item)
    accepted: list[NewCampaign] = []
    ledger: list[Row] = []

    def book(new: NewCampaign, no: int) -> None:
        accepted.append(new)
        ledger.append((new.account_id, no, -new.credits, "charge", new.id, "campaign"))

    for account_id in sorted(groups):
        group = groups[account_id]
        row = await tx.one("charge", id=account_id, amount=sum(new.credits for new in group), count=len(group))
        if row is not None:
            for no, new in enumerate(group, int(row[0]) + 1):
                book(new, no)
            continue
        for new in group:
            row = await tx.one("charge", id=account_id, amount=new.credits, count=1)
            if row is not None:
                book(new, int(row[0]) + 1)
            else:
                answers[new.id] = await why_not_charged(tx, account_id)
    return accepted, ledger


async def why_not_charged(tx: Tx, account_id: int) -> ApiError:
    """Suspended in the meantime, or short of credits."""
    account = await tx.one("account_by_id", id=account_id)
    return ApiError(SUSPENDED if account is not None and account[4] != 1 else CREDITS_SHORT)


async def _reserve(tx: Tx, item: NewCampaign, now: int) -> Created | Exception | None:
    """Takes the Idempotency-Key; None when it is ours now, else the kept answer or -911."""
    if await tx.run("reserve_key", account_id=item.account_id, key=item.key, digest=item.digest, now=now):
        return None
    kept = await find_key(tx, item.account_id, item.key or "", item.digest, now)
    if kept is not None:
        return kept
    await tx.run("drop_key", account_id=item.account_id, key=item.key)
    await tx.run("reserve_key", account_id=item.account_id, key=item.key, digest=item.digest, now=now)
    return None


async def find_key(tx: Tx, account_id: int, key: str, digest: str, now: int) -> Created | Exception | None:
    """The answer kept for an Idempotency-Key, -911 when it was another request's, None when there is none."""
    row = await tx.one("find_key", account_id=account_id, key=key)
    if row is None or row[2] < now - KEY_KEPT_MS or not row[1]:
        return None
    if row[0] != digest:
        return other_request()
    return msgspec.json.decode(row[1], type=Created)


async def _keep_answer(tx: Tx, new: NewCampaign, created: Created) -> None:
    await tx.run(
        "answer_key", account_id=new.account_id, key=new.key, answer=msgspec.json.encode(created).decode()
    )


async def begin_large(tx: Tx, new: NewCampaign, now: int) -> None:
    """The first transaction of a large campaign; nobody sees it yet."""
    await tx.many("add_campaigns", [campaign_row(new, CampaignState.ACCEPTING, now)], now=now)


async def add_piece(tx: Tx, new: NewCampaign, first: int) -> None:
    """The next PIECE batches of a large campaign. They are held: dealing them is the scheduler's work."""
    rows = [(*row[:3], None, 0, BatchState.HELD, *row[6:]) for row in batch_rows(new, _ANY, first, PIECE)]
    await tx.many("add_batches", rows)


class _AnyTurn(dict[int, int]):
    def __missing__(self, key: int) -> int:
        return 0


_ANY = _AnyTurn()


async def publish_large(tx: Tx, new: NewCampaign, now: int) -> Created | Exception:
    """Charges a large campaign and shows it. A refusal leaves it to be dropped by `drop_accepting`."""
    if new.key is not None:
        known = await _reserve(tx, new, now)
        if known is not None:
            return known
    row = await tx.one("charge", id=new.account_id, amount=new.credits, count=1)
    if row is None:
        if new.key is not None:
            await tx.run("drop_key", account_id=new.account_id, key=new.key)
        return await why_not_charged(tx, new.account_id)
    state = CampaignState.STARTING if new.wake_at is None else CampaignState.SCHEDULED
    published = await tx.run(
        "publish_campaign",
        account_id=new.account_id,
        id=new.id,
        state=state,
        credits=new.credits,
        wake_at=new.wake_at,
    )
    if not published:
        # Its acceptance took so long that it was swept away as a leftover.
        raise StoreUnavailable("the campaign was not accepted in time")
    await tx.many(
        "add_ledger", [(new.account_id, int(row[0]) + 1, -new.credits, "charge", new.id, "campaign")], at=now
    )
    created = Created(new.id, new.messages, new.segments, new.credits)
    if new.key is not None:
        await _keep_answer(tx, new, created)
    return created


async def drop_accepting(tx: Tx, account_id: int, campaign_id: int) -> bool:
    """Removes a piece of a campaign that was never published; True once it is gone, or published after all."""
    if await tx.one("lock_accepting", account_id=account_id, id=campaign_id) is None:
        return True
    if await tx.run("drop_accepting_batches", account_id=account_id, id=campaign_id):
        return False
    await tx.run("drop_accepting", account_id=account_id, id=campaign_id)
    return True


# --- pause and its kin -------------------------------------------------------------------------------------


async def _lock(
    tx: Tx, account_id: int, campaign_id: int
) -> tuple[CampaignState, int | None, int | None, int | None]:
    row = await tx.one("lock_campaign", account_id=account_id, id=campaign_id)
    if row is None:
        raise ApiError(NO_CAMPAIGN)
    return CampaignState(row[0]), row[1], row[2], row[3]


_NAMES = {
    CampaignState.SCHEDULED: "scheduled",
    CampaignState.STARTING: "running",
    CampaignState.RUNNING: "running",
    CampaignState.PAUSED: "paused",
    CampaignState.DELETED: "deleted",
    CampaignState.FINISHED: "finished",
}


async def pause(tx: Tx, account_id: int, campaign_id: int, now: int) -> None:
    """Stops what is not yet handed over. One row changes: whoever claims a batch sees it (wire contract §4)."""
    state, _, wake_at, _ = await _lock(tx, account_id, campaign_id)
    if state is CampaignState.PAUSED:
        return
    if state in (CampaignState.DELETED, CampaignState.FINISHED):
        raise ApiError(CAMPAIGN_STATE, f"paused: it is {_NAMES[state]}")
    await tx.run(
        "set_campaign_state",
        account_id=account_id, id=campaign_id, state=CampaignState.PAUSED, stopped_at=now, finished_at=None,
        wake_at=wake_at,
    )  # fmt: skip


async def unpause(tx: Tx, account_id: int, campaign_id: int, now: int) -> None:
    """Goes on: as scheduled while its time has not come, else at once."""
    state, started_at, wake_at, stopped_at = await _lock(tx, account_id, campaign_id)
    if state is not CampaignState.PAUSED:
        raise ApiError(CAMPAIGN_STATE, f"unpaused: it is {_NAMES[state]}")
    waits = started_at is None and wake_at is not None and wake_at > now
    if stopped_at is not None:
        await tx.run("age_retries", account_id=account_id, id=campaign_id, stood_still=max(0, now - stopped_at))
    await tx.run(
        "set_campaign_state",
        account_id=account_id,
        id=campaign_id,
        state=CampaignState.SCHEDULED if waits else CampaignState.STARTING,
        stopped_at=None,
        finished_at=None,
        wake_at=wake_at,
    )


async def delete(tx: Tx, account_id: int, campaign_id: int, now: int) -> None:
    """Cancels what was never marked, and refunds exactly that. Running or finished: refused (wire contract §4)."""
    await tx.many_all("lock_accounts", [(account_id,)])
    state, _, wake_at, _ = await _lock(tx, account_id, campaign_id)
    if state is CampaignState.DELETED:
        return
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


async def hold_account(tx: Tx, account_id: int, now: int) -> None:
    """An account is suspended: nothing to write, for every claim and mark looks at its state."""


async def release_account(tx: Tx, account_id: int, suspended_at: int | None, now: int) -> None:
    """An account is active again: its campaigns are dealt again, and the pause does not age their retries."""
    if suspended_at is not None:
        await tx.run("age_account_retries", account_id=account_id, stood_still=max(0, now - suspended_at))
    await tx.run("restart_account_campaigns", account_id=account_id)


# --- the scheduler's part ----------------------------------------------------------------------------------


async def take_due(tx: Tx, now: int) -> int:
    """scheduled → starting for what is due and may go; the rest is looked at again later. How many started."""
    due: list[Row] = []
    later: list[Row] = []
    for account_id, campaign_id, zone_name, opens, closes, account_state in await tx.all("due_campaigns", now=now):
        at = now if opens is None else window_opens(now, zone(zone_name), opens, closes)
        if account_state != 1:
            later.append((account_id, campaign_id, now + 60_000))
        elif at > now:
            later.append((account_id, campaign_id, at))
        else:
            due.append((account_id, campaign_id))
    await tx.many("postpone_due", later)
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
    piece = await tx.all("held_piece", account_id=account_id, id=campaign_id, after=after, limit=200)
    if not piece:
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
        rows.append((no, carrier, turns[carrier], BatchState.DELAYED if delayed else BatchState.READY))
        turns[carrier] += 1
    await tx.many("deal", rows, account_id=account_id, id=campaign_id)
    return int(piece[-1][0]), behind + len(piece)


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
        await tx.run("drop_counts", account_id=account_id, id=campaign_id)
        await tx.many("put_counts", [tuple(row) for row in counted], account_id=account_id, id=campaign_id)

    await database.write(keep, Lane.BULK)


async def drop_leftovers(database: Database, before: int) -> int:
    """Removes campaigns whose acceptance never ended; how many."""
    stale = await database.read(lambda tx: tx.all("stale_accepting", before=before))
    for account_id, campaign_id in stale:
        await drop_whole(database, account_id, campaign_id)
    return len(stale)


async def drop_whole(database: Database, account_id: int, campaign_id: int) -> None:
    """Removes a campaign that was never published, piece by piece."""
    while not await database.write(lambda tx: drop_accepting(tx, account_id, campaign_id), Lane.BULK):
        pass
