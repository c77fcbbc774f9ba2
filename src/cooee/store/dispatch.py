"""The transaction that a bind makes for each slice: record what came back, mark what goes out, claim more.

See docs/architecture.md, "Sending, step by step". What this module promises: a recipient is written to a
socket only after it was marked here, under conditions that are judged in the same transaction; and every answer
is recorded before its recipient's position counts as recorded.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

import msgspec

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.clock import Window
from cooee.model.message import FLAG_UNCERTAIN, GAVE_UP, MessageState
from cooee.store import accounts, contacts
from cooee.store.claims import Claimed, Key, opted_out
from cooee.store.database import Row, Tx
from cooee.store.receipts import join_orphans
from cooee.store.refs import Ref, add_refs

_KEY = itemgetter(0, 1, 2)


@dataclass(slots=True)
class Refused:
    """Recipients that the carrier refused for now, or that were never written: they go into a retry batch."""

    destination: int
    accepted: int
    code: int
    detail: str | None
    delay_ms: int


class Step(msgspec.Struct):
    """One batch's part in a trip. `rows` and `refs` are ready for `record` and `add_refs`."""

    key: Key
    epoch: int
    attempt: int
    parts: int
    credits_each: int
    flags: int
    first_at: int
    expires_at: int
    size: int
    marked: int
    recorded: int
    in_flight: bool
    """Something of it is still unanswered after this trip's answers."""
    rows: list[Row] = msgspec.field(default_factory=list)
    refs: list[Ref] = msgspec.field(default_factory=list)
    refused: list[Refused] = msgspec.field(default_factory=list)
    retry_no: int = 0
    """The number of the retry batch, should there be one."""
    numbers: Sequence[int] = ()
    """What to mark: the recipients from `marked` on."""
    release: bool = False
    """Give it back: the engine stops, or was refused before."""


@dataclass(slots=True)
class Grant:
    """Recipients start…stop of a batch may be written now, but for `skip` (washed, or settled meanwhile).

    `accepted` holds, for a retry of a long message, the parts that the carrier has already.
    """

    key: Key
    start: int
    stop: int
    skip: set[int] = field(default_factory=set)
    accepted: dict[int, int] = field(default_factory=dict)
    washes: bool = True
    """Who opted out is left out; not so for the answer to an opt-out."""


@dataclass(slots=True)
class Trip:
    """What a bind asks of one transaction. Times are UTC ms."""

    owner: int
    carrier_id: int
    now: int
    max_age_ms: int
    steps: list[Step]
    room: int = 0
    """Segments that may be marked on newly claimed batches."""
    limit: int = 500
    """Batches to claim at most."""


@dataclass(slots=True)
class Outcome:
    """What the transaction decided."""

    grants: list[Grant] = field(default_factory=list)
    claimed: list[Claimed] = field(default_factory=list)
    refused: list[Key] = field(default_factory=list)
    lost: list[Key] = field(default_factory=list)
    given_up: list[Key] = field(default_factory=list)
    """Retries whose time was over when their turn came: these batches are done."""
    retries: int = 0
    washed: int = 0
    set_aside: int = 0
    """Batches whose turn it was and whose campaign may not send now: there may be others behind them."""


class Held(NamedTuple):
    """What the rows say of a batch that is still ours: states of its campaign and account, and the window."""

    campaign_state: int
    account_state: int
    window: Window
    sender: str | None
    """The originator, where it is a number that handsets can write to."""


def may_send(row_state: int, account_state: int, window: Window, now: int) -> int | None:
    """None when a campaign may send now; else when to look again (0: nobody knows)."""
    if row_state not in (CampaignState.STARTING, CampaignState.RUNNING) or account_state != 1:
        return 0
    at = window.opens_at(now)
    return None if at <= now else at


def remains(first_at: int, expires_at: int, window: Window, at: int) -> int:
    """Milliseconds of open send window that recipients first tried at `first_at` have left at the instant `at`.

    `expires_at` is when they would be given up if the window were always open. So from `first_at` to it is what
    they have in all: max_age, and what they stood still while paused or suspended.
    """
    if window.opens is None:
        return expires_at - at
    return expires_at - first_at - window.open_between(first_at, at)


async def trip(tx: Tx, ask: Trip) -> Outcome:
    """Records, marks and claims, in one transaction."""
    out = Outcome()
    refunds: list[tuple[int, int, int, str]] = []
    held = await _still_ours(tx, ask)
    senders = {key[:2]: batch.sender for key, batch in held.items() if batch.sender is not None}
    rows: list[Row] = []
    refs: list[Ref] = []
    retries: list[Row] = []
    moves: list[Row] = []
    grants: list[tuple[Grant, Sequence[int], int, int, int]] = []
    for step in ask.steps:
        state = held.get(step.key)
        if state is None:
            out.lost.append(step.key)
            # Taken over by a peer: what we know is a late answer; it raises what the peer called uncertain.
            rows += [row for row in step.rows if row[3] != MessageState.UNCERTAIN]
            refs += step.refs
            continue
        rows += step.rows
        refs += step.refs
        _refused(ask, step, state, rows, retries, refunds)
        marked = step.marked
        if not step.numbers:
            pass
        elif may_send(state.campaign_state, state.account_state, state.window, ask.now) is None:
            marked += len(step.numbers)
            grants.append(
                (Grant(step.key, step.marked, marked), step.numbers, step.attempt, step.flags, step.credits_each)
            )
        else:
            out.refused.append(step.key)
        gone = step.recorded == step.size
        give_back = not step.in_flight and marked == step.marked and (step.release or bool(step.numbers))
        after = BatchState.DONE if gone else BatchState.READY if give_back else BatchState.OUT
        moves.append((*step.key, step.epoch, marked, step.recorded, after))
    fresh = await _claim(tx, ask, out) if ask.room > 0 else []
    grants += fresh
    await _check_retries(tx, grants)
    await _wash(tx, ask, grants, rows, refunds, out)
    await _retries_go_out(tx, grants)
    rows.sort(key=_KEY)
    await tx.many("record", rows, carrier_id=ask.carrier_id, now=ask.now)
    await contacts.note(tx, rows, senders, ask.now)
    await add_refs(tx, ask.carrier_id, refs)
    await join_orphans(tx, ask.carrier_id, refs, ask.now)
    await tx.many("add_batches", retries)
    await tx.many("advance", moves, owner=ask.owner)
    await _late_attempts(tx, ask, set(held))
    await accounts.refund(tx, refunds, ask.now)
    out.grants = [grant for grant, *_ in grants]
    out.retries = len(retries)
    return out


async def _still_ours(tx: Tx, ask: Trip) -> dict[Key, Held]:
    """The batches that nobody has taken over."""
    if not ask.steps:
        return {}
    if any(step.refused for step in ask.steps):
        await tx.many_all("lock_accounts", sorted({(step.key[0],) for step in ask.steps}))
    await tx.many_all("share_campaigns", sorted({step.key[:2] for step in ask.steps}))
    found = await tx.many_all("held_batches", [(*step.key, step.epoch) for step in ask.steps], owner=ask.owner)
    return {(row[0], row[1], row[2]): Held(row[3], row[4], Window(*row[5:8]), row[8]) for row in found}


def _refused(
    ask: Trip,
    step: Step,
    held: Held,
    rows: list[Row],
    retries: list[Row],
    refunds: list[tuple[int, int, int, str]],
) -> None:
    """Temporary refusals: into a retry batch; or the end, when the campaign is gone or their time is over."""
    again: list[Refused] = []
    deleted = held.campaign_state == CampaignState.DELETED
    for item in step.refused:
        over = remains(step.first_at, step.expires_at, held.window, ask.now + item.delay_ms) <= 0
        if not deleted and not over:
            again.append(item)
            state, code = MessageState.RETRYING, item.code
        elif item.accepted or step.flags & FLAG_UNCERTAIN:
            state, code = MessageState.FAILED, GAVE_UP
        else:
            state, code = (MessageState.CANCELLED, item.code) if deleted else (MessageState.FAILED, GAVE_UP)
            why = "campaign deleted" if deleted else "gave up"
            refunds.append((step.key[0], step.key[1], step.credits_each, why))
        rows.append(
            (*step.key[:2], item.destination, state, step.attempt, step.parts, item.accepted, step.flags,
             step.credits_each, step.first_at, None, code, item.detail)
        )  # fmt: skip
    if not again:
        return
    again.sort(key=lambda item: item.destination)
    not_before = ask.now + max(item.delay_ms for item in again)
    packed = array("q", [item.destination for item in again])
    retries.append(
        (*step.key[:2], step.retry_no, ask.carrier_id, 0, BatchState.DELAYED, step.attempt + 1, len(packed),
         step.credits_each, step.flags, not_before, step.first_at, step.expires_at, None, 0, packed.tobytes())
    )  # fmt: skip


async def _claim(tx: Tx, ask: Trip, out: Outcome) -> list[tuple[Grant, Sequence[int], int, int, int]]:
    """Takes batches whose turn it is, and marks as much of them as there is room for."""
    rows = await tx.all("claimable", carrier_id=ask.carrier_id, limit=ask.limit, want=ask.room)
    grants: list[tuple[Grant, Sequence[int], int, int, int]] = []
    takes: list[Row] = []
    aside: list[Row] = []
    room = ask.room
    for (account_id, campaign_id, no, attempt, _, credits_each, flags, first_at, expires_at, epoch, marked, packed,
         campaign_state, account_state, zone_name, opens, closes, originator, body, encoding, segments,
         concat_ref, unwashed) in rows:  # fmt: skip
        key = (account_id, campaign_id, no)
        window = Window(zone_name, opens, closes)
        wait = may_send(campaign_state, account_state, window, ask.now)
        if wait is not None:
            if campaign_state == CampaignState.DELETED:
                aside.append((*key, BatchState.CANCELLED, None))
            elif wait:
                aside.append((*key, BatchState.DELAYED, wait))
            else:
                aside.append((*key, BatchState.HELD, None))
            continue
        if room <= 0:
            break
        numbers: array[int] = array("q")
        numbers.frombytes(bytes.fromhex(packed) if isinstance(packed, str) else packed)
        # A message that is longer than the room still goes, alone: its parts follow as slots free.
        stop = min(len(numbers), marked + max(1, room // segments))
        left = None if expires_at is None else remains(first_at or 0, expires_at, window, ask.now)
        if left is not None and left <= 0:
            await _give_up(tx, ask, key, numbers[marked:], attempt, segments, credits_each, flags, first_at or 0)
            aside.append((*key, BatchState.DONE, None))
            out.given_up.append(key)
            continue
        room -= (stop - marked) * segments
        takes.append((*key, stop))
        out.claimed.append(
            Claimed(
                key, epoch + 1, attempt, credits_each, flags, first_at, expires_at, marked, stop, numbers,
                originator, body, encoding, segments, concat_ref, left,
            )
        )  # fmt: skip
        grant = Grant(key, marked, stop, washes=not unwashed)
        grants.append((grant, numbers[marked:stop], attempt, flags, credits_each))
    out.set_aside = len(aside)
    await tx.many("set_aside", aside)
    await tx.many("take_batches", takes, owner=ask.owner)
    return grants


async def _give_up(
    tx: Tx,
    ask: Trip,
    key: Key,
    numbers: Sequence[int],
    attempt: int,
    parts: int,
    credits_each: int,
    flags: int,
    first_at: int,
) -> None:
    """A retry batch whose time is over when its turn comes: nothing of it is written. Refunded, unless a part
    was accepted or an attempt was uncertain."""
    waiting = await tx.many_all("retry_messages", [(*key[:2], number) for number in numbers])
    rows: list[Row] = []
    back = 0
    for _, _, number, accepted in waiting:
        rows.append(
            (*key[:2], number, MessageState.FAILED, attempt, parts, accepted, flags, credits_each, first_at, None,
             GAVE_UP, "gave up")
        )  # fmt: skip
        if not accepted and not flags & FLAG_UNCERTAIN:
            back += credits_each
    await tx.many("record", rows, carrier_id=ask.carrier_id, now=ask.now)
    await accounts.refund(tx, [(*key[:2], back, "gave up")], ask.now)


async def _wash(
    tx: Tx,
    ask: Trip,
    grants: list[tuple[Grant, Sequence[int], int, int, int]],
    rows: list[Row],
    refunds: list[tuple[int, int, int, str]],
    out: Outcome,
) -> None:
    """Recipients who opted out are not written: their row and their refund are, right here."""
    washed = [each for each in grants if each[0].washes]
    found = await opted_out(tx, [(grant.key[0], numbers) for grant, numbers, *_ in washed])
    if not found:
        return
    for grant, numbers, attempt, flags, credits_each in washed:
        for at, number in enumerate(numbers, grant.start):
            if at in grant.skip or (grant.key[0], number) not in found:
                continue
            grant.skip.add(at)
            out.washed += 1
            accepted = grant.accepted.get(at, 0)
            stays = bool(flags & FLAG_UNCERTAIN or accepted)
            state, code = (MessageState.FAILED, GAVE_UP) if stays else (MessageState.WASHED, 0)
            rows.append(
                (
                    *grant.key[:2],
                    number,
                    state,
                    attempt,
                    1,
                    accepted,
                    flags,
                    credits_each,
                    ask.now,
                    None,
                    code,
                    None,
                )
            )
            if not stays:
                refunds.append((*grant.key[:2], credits_each, "opted out"))


async def _check_retries(tx: Tx, grants: list[tuple[Grant, Sequence[int], int, int, int]]) -> None:
    """A retry is written only for who still wants one, and only with the parts that are missing."""
    asked = [
        (*grant.key[:2], number) for grant, numbers, attempt, *_ in grants if attempt > 1 for number in numbers
    ]
    if not asked:
        return
    found = await tx.many_all("retry_messages", sorted(asked))
    wanted = {(row[0], row[1], row[2]): row[3] for row in found}
    for grant, numbers, attempt, *_ in grants:
        if attempt == 1:
            continue
        for at, number in enumerate(numbers, grant.start):
            accepted = wanted.get((*grant.key[:2], number))
            if accepted is None:
                grant.skip.add(at)
            elif accepted:
                grant.accepted[at] = accepted


async def _retries_go_out(tx: Tx, grants: list[tuple[Grant, Sequence[int], int, int, int]]) -> None:
    out = [
        (*grant.key[:2], number)
        for grant, numbers, attempt, *_ in grants
        if attempt > 1
        for at, number in enumerate(numbers, grant.start)
        if at not in grant.skip
    ]
    await tx.many("retry_out", sorted(out))


async def _late_attempts(tx: Tx, ask: Trip, held: set[Key]) -> None:
    """Answers to batches that a peer took over: their attempt may have been sent again since."""
    late = [
        (row[0], row[1], row[2], row[4], row[6])
        for step in ask.steps
        if step.key not in held
        for row in step.rows
        if row[3] == MessageState.HANDED_OVER
    ]
    await tx.many("late_attempt", late)


async def record_late(tx: Tx, carrier_id: int, rows: Sequence[Row], refs: Sequence[Ref], now: int) -> None:
    """Answers that came after their recipients had been called uncertain: they raise what still is, and a newer
    attempt keeps the older one's acceptance beside it."""
    await tx.many("record", rows, carrier_id=carrier_id, now=now)
    await contacts.note_all(tx, rows, now)
    await add_refs(tx, carrier_id, refs)
    await join_orphans(tx, carrier_id, refs, now)
    taken = [(row[0], row[1], row[2], row[4], row[6]) for row in rows if row[3] == MessageState.HANDED_OVER]
    await tx.many("late_attempt", taken)
