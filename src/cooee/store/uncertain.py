"""Recipients of whom nobody knows whether they were reached: how they come about, and how they are settled.

After a crash, what is in doubt lies between a batch's two offsets and has no message row of that attempt. These
recipients become *uncertain*; a late answer or a stray receipt may settle them; after `uncertain_wait` the
carrier's policy decides: send again (flagged, counted, shown), or hold for a person.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.clock import Window
from cooee.model.message import FLAG_UNCERTAIN, MessageState
from cooee.store import contacts
from cooee.store.acceptance import next_turns
from cooee.store.database import Row, Tx


@dataclass(frozen=True, slots=True)
class Policy:
    """What a carrier does about uncertain recipients: `wait_ms` before it resends, None to hold; `max_age_ms`."""

    wait_ms: int | None
    max_age_ms: int


Policies = Callable[[int | None], Policy]
"""The policy of a carrier, by id."""


async def take_over(tx: Tx, owner: int, policies: Policies, now: int) -> tuple[int, int]:
    """Takes up to 50 batches from an engine that is gone: (batches, recipients that became uncertain)."""
    batches = await tx.all("abandoned", owner=owner)
    doubts: list[tuple[Row, list[int]]] = []
    asked: list[Row] = []
    for row in batches:
        numbers: array[int] = array("q")
        numbers.frombytes(row[12])
        in_doubt = list(numbers[row[10] : row[9]])
        doubts.append((row, in_doubt))
        asked += [(row[0], row[1], number, row[4]) for number in in_doubt]
    known = {(row[0], row[1], row[2]) for row in await tx.many_all("recorded_of", asked)}
    by_carrier: dict[int | None, list[Row]] = {}
    uncertain = 0
    for row, in_doubt in doubts:
        policy = policies(row[3])
        until = None if policy.wait_ms is None else now + policy.wait_ms
        for number in in_doubt:
            if (row[0], row[1], number) in known:
                continue
            uncertain += 1
            by_carrier.setdefault(row[3], []).append(
                (row[0], row[1], number, MessageState.UNCERTAIN, row[4], row[14], 0, row[7] | FLAG_UNCERTAIN,
                 row[6], row[8] or now, until, 0, None)
            )  # fmt: skip
    for carrier_id, rows in by_carrier.items():
        await tx.many("record", rows, carrier_id=carrier_id, now=now)
        await contacts.note_all(tx, rows, now)
    turns = await next_turns(tx, {row[3] for row in batches if row[3] is not None})
    moves = []
    for row in batches:
        done = row[9] == row[5]
        deleted = row[13] == CampaignState.DELETED
        state = BatchState.DONE if done else BatchState.CANCELLED if deleted else BatchState.READY
        moves.append((*row[:3], row[11], state, max(0, turns.get(row[3], 0) - 1)))
    await tx.many("take_over", moves)
    return len(batches), uncertain


async def decide(tx: Tx, policies: Policies, numbers: Sequence[int], now: int) -> tuple[int, int, Row | None]:
    """The policy's turn for up to 500 uncertain recipients whose time has come.

    `numbers` are fresh batch numbers, one a recipient at most. Returns how many go out again, how many failed
    (their campaign was deleted, or their time is over), and one (account_id, campaign_id) of them.
    """
    due = await tx.all("uncertain_due", now=now)
    again: dict[tuple[int, int, int, int, int], list[Row]] = {}
    over: list[Row] = []
    for row in due:
        account_id, campaign_id, destination, attempt, carrier_id, _, _, _, credits, first_at, state = row[:11]
        policy = policies(carrier_id)
        too_old = Window(*row[11:]).open_between(first_at, now) >= policy.max_age_ms
        if state == CampaignState.DELETED or carrier_id is None or too_old:
            over.append((account_id, campaign_id, destination))
        else:
            again.setdefault((account_id, campaign_id, attempt, carrier_id, credits), []).append(row)
    await tx.many("uncertain_fail", over, now=now)
    keys = [(row[0], row[1], row[2]) for rows in again.values() for row in rows]
    await tx.many("archive_attempts", keys, now=now)
    await tx.many("resend", keys, now=now)
    turns = await next_turns(tx, {key[3] for key in again})
    batches: list[Row] = []
    for number, (key, rows) in zip(numbers, again.items(), strict=False):
        account_id, campaign_id, attempt, carrier_id, credits = key
        packed = array("q", sorted(row[2] for row in rows))
        first_at = min(row[9] for row in rows)
        batches.append(
            (account_id, campaign_id, number, carrier_id, turns[carrier_id], BatchState.READY, attempt + 1,
             len(packed), credits, FLAG_UNCERTAIN, None, first_at, first_at + policies(carrier_id).max_age_ms,
             None, 0, packed.tobytes())
        )  # fmt: skip
    await tx.many("add_batches", batches)
    return len(keys), len(over), due[0][:2] if due else None
