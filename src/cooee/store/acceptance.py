"""Campaigns are accepted: small ones in groups, a large one piece by piece under a state that nobody sees.

Whatever a client is told with Code 0 was charged and written in the same transaction. What a large campaign leaves
behind when its node dies is never seen, was never charged, and is swept away.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

import msgspec

from cooee.model.campaign import BATCH_SIZE, BatchState, CampaignState
from cooee.model.errors import BAD_FIELD, CREDITS_SHORT, SUSPENDED, ApiError, StoreUnavailable
from cooee.store import audit
from cooee.store.accounts import charge
from cooee.store.claims import opted_out
from cooee.store.database import Database, Lane, Row, Tx

SMALL = 5000
"""Recipients up to which a campaign is accepted in one piece, with the others of its group."""
PIECE = 60_000
"""What goes in with one transaction of a large campaign, in recipients (measured: 3 ms on SQLite)…"""
PER_BATCH = 100
"""…where each batch takes as long as so many recipients do."""
KEY_KEPT_MS = 24 * 3600 * 1000


class NewCampaign(msgspec.Struct):
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
    """Sorted; where `prices` tells several, each of its stretches is."""
    credits_each: int
    """What a recipient costs: segments times rate."""
    carriers: Sequence[int] | None
    """One for each batch, or None when there is no carrier yet."""
    owner: int | None = None
    """The engine of this process that takes it over, already marked, as soon as it is committed."""
    dropped: tuple[int, int, int] = (0, 0, 0)
    """Invalid, duplicate, international."""
    key: str | None = None
    digest: str = ""
    lists: tuple[int, ...] = ()
    """The stored lists that it goes to, each once."""
    prices: tuple[tuple[int, int], ...] = ()
    """Where recipients cost more and less: (credits each, how many) of the stretches of `numbers`, in order."""
    noted: audit.Entry | None = None
    """What the audit log is told of it, where a person does it: all but which campaign."""
    day: int = 0
    """When the account's local day began, UTC ms: the daily cap counts by it."""
    pieces: list[bytes] = msgspec.field(default_factory=list)
    """The recipients of each batch."""
    costs: Sequence[int] = ()
    """What each recipient of a batch costs, where there are `prices`."""
    batch: int = BATCH_SIZE
    """Recipients a batch holds at most."""

    def __post_init__(self) -> None:
        if 0 < len(self.numbers) <= self.batch and not self.prices:
            self.pieces = [self.numbers.tobytes()]
            return
        packed = memoryview(self.numbers).cast("B")
        step = self.batch * 8
        if not self.prices:
            self.pieces = [bytes(packed[at : at + step]) for at in range(0, len(packed), step)]
            return
        costs: list[int] = []
        self.pieces, self.costs = [], costs
        end = 0
        for each, count in self.prices:
            start, end = end, end + count * 8
            self.pieces += [bytes(packed[at : min(at + step, end)]) for at in range(start, end, step)]
            costs += [each] * (len(self.pieces) - len(costs))

    def without(self, present: Set[int]) -> NewCampaign:
        """The same for those who are not `present`, each at the price that it has here."""
        if not self.prices:
            return msgspec.structs.replace(self, numbers=array("q", (n for n in self.numbers if n not in present)))
        numbers: array[int] = array("q")
        prices = []
        end = 0
        for each, count in self.prices:
            start, end = end, end + count
            left = array("q", (n for n in self.numbers[start:end] if n not in present))
            numbers += left
            prices.append((each, len(left)))
        return msgspec.structs.replace(self, numbers=numbers, prices=tuple(prices))

    def coarser(self, batches: int) -> NewCampaign:
        """The same in so many batches at most, and one more for each of the `prices`."""
        return msgspec.structs.replace(self, batch=max(self.batch, -(-len(self.numbers) // batches)))

    @property
    def at_once(self) -> int:
        """Batches that go in with one transaction of a large campaign."""
        return max(1, PIECE // (self.batch + PER_BATCH))

    @property
    def concat_ref(self) -> int:
        """The reference of its parts: campaigns in a row differ in it."""
        return self.id & 0xFFFF

    @property
    def messages(self) -> int:
        return len(self.numbers)

    @property
    def credits(self) -> int:
        if self.prices:
            return sum(each * count for each, count in self.prices)
        return len(self.numbers) * self.credits_each

    @property
    def state(self) -> CampaignState:
        if self.wake_at is not None:
            return CampaignState.SCHEDULED
        return CampaignState.STARTING if self.carriers is None else CampaignState.RUNNING


def weight(new: NewCampaign) -> int:
    """What it adds to a transaction of many: its batches."""
    return len(new.pieces)


class Created(msgspec.Struct, frozen=True):
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
            new.account_id, new.id, no, carrier, turn, state, 1, size,
            new.costs[no] if new.prices else new.credits_each, 0,
            None, None, None, new.owner if fresh else None, size if fresh else 0, new.pieces[no],
        )  # fmt: skip


def list_rows(new: NewCampaign, campaign_id: int | None = None) -> list[Row]:
    """Rows of add_campaign_lists, for `new` itself or for the campaign that it was added to."""
    target = new.id if campaign_id is None else campaign_id
    return [(new.account_id, list_id, target) for list_id in new.lists]


async def next_turns(tx: Tx, carriers: set[int]) -> dict[int, int]:
    """Where new batches queue up: one turn behind the front of each carrier's queue."""
    turns = {}
    for carrier in sorted(carriers):
        row = await tx.one("front_turn", carrier_id=carrier)
        turns[carrier] = 0 if row is None else int(row[0]) + 1
    return turns


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
        known = await reserve_key(tx, item, now)
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
        await tx.many("add_campaign_lists", [row for new in accepted for row in list_rows(new)])
        starts = dict(turns)
        rows: list[Row] = []
        for new in accepted:
            # Each campaign starts at the same turn: that is what taking turns means.
            rows += batch_rows(new, dict(starts))
        await tx.many("add_batches", rows)
        await tx.many("add_ledger", ledger, at=now)
        for new in accepted:
            if new.key is not None:
                await keep_answer(tx, new, Created(new.id, new.messages, new.segments, new.credits))
            if new.noted is not None:
                await note(tx, new, new.id, now)
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
        amount, day = sum(new.credits for new in group), group[-1].day
        first = await charge(tx, account_id, amount, day=day, count=len(group))
        if first is not None:
            for no, new in enumerate(group, first):
                book(new, no)
            continue
        if len(group) == 1:
            answers[group[0].id] = await why_not_charged(tx, account_id)
            continue
        for new in group:
            first = await charge(tx, account_id, new.credits, day=day)
            if first is not None:
                book(new, first)
            else:
                answers[new.id] = await why_not_charged(tx, account_id)
    return accepted, ledger


async def why_not_charged(tx: Tx, account_id: int) -> ApiError:
    """Suspended in the meantime, or short of credits or of what is left of the day's."""
    account = await tx.one("account_by_id", id=account_id)
    return ApiError(SUSPENDED if account is not None and account[4] != 1 else CREDITS_SHORT)


async def reserve_key(tx: Tx, item: NewCampaign, now: int) -> Created | Exception | None:
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


async def keep_answer(tx: Tx, new: NewCampaign, created: Created) -> None:
    await tx.run(
        "answer_key", account_id=new.account_id, key=new.key, answer=msgspec.json.encode(created).decode()
    )


async def note(tx: Tx, new: NewCampaign, campaign_id: int, now: int) -> None:
    """Tells the audit log whom `new` was accepted for, if a person sent it: as a campaign, or into another."""
    if new.noted is None:
        return
    people = f"{new.messages} recipient{'' if new.messages == 1 else 's'}"
    added = " added" if campaign_id != new.id else ""
    price = f"{new.credits} credit{'' if new.credits == 1 else 's'}"
    detail = f"campaign {campaign_id}: {people}{added}, {price}, from {new.originator}"
    await audit.add(tx, replace(new.noted, detail=detail), now)


async def begin_large(tx: Tx, new: NewCampaign, now: int) -> None:
    """The first transaction of a large campaign; nobody sees it yet."""
    await tx.many("add_campaigns", [campaign_row(new, CampaignState.ACCEPTING, now)], now=now)


async def add_piece(tx: Tx, new: NewCampaign, first: int) -> None:
    """The next `at_once` batches of a large campaign. They are held: dealing them is the scheduler's work."""
    rows = [(*row[:3], None, 0, BatchState.HELD, *row[6:]) for row in batch_rows(new, _ANY, first, new.at_once)]
    await tx.many("add_batches", rows)


class _AnyTurn(dict[int, int]):
    def __missing__(self, key: int) -> int:
        return 0


_ANY = _AnyTurn()


async def publish_large(tx: Tx, new: NewCampaign, now: int) -> Created | Exception:
    """Charges a large campaign and shows it. A refusal leaves it to be dropped by `drop_accepting`."""
    if new.key is not None:
        known = await reserve_key(tx, new, now)
        if known is not None:
            return known
    no = await charge(tx, new.account_id, new.credits, day=new.day)
    if no is None:
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
    await tx.many("add_campaign_lists", list_rows(new))
    await tx.many("add_ledger", [(new.account_id, no, -new.credits, "charge", new.id, "campaign")], at=now)
    created = Created(new.id, new.messages, new.segments, new.credits)
    if new.key is not None:
        await keep_answer(tx, new, created)
    if new.noted is not None:
        await note(tx, new, new.id, now)
    return created


async def drop_accepting(tx: Tx, account_id: int, campaign_id: int) -> bool:
    """Removes a piece of a campaign that was never published; True once it is gone, or published after all."""
    if await tx.one("lock_accepting", account_id=account_id, id=campaign_id) is None:
        return True
    if await tx.run("drop_accepting_batches", account_id=account_id, id=campaign_id):
        return False
    await tx.run("drop_accepting", account_id=account_id, id=campaign_id)
    return True


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
