"""Recipients are added to a campaign of the same Reference that has not started (wire contract §4, append).

Creates with one reference go one after the other; then locks are taken in the order account, campaign, and the
state is looked at under the campaign's lock. Batches of a campaign that has not started are only ever added. So
whoever has compared a list with them up to some number needs to look, inside the transaction, at those behind it
alone.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

import msgspec

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.errors import StoreUnavailable
from cooee.store.acceptance import (
    Created,
    NewCampaign,
    batch_rows,
    keep_answer,
    list_rows,
    note,
    publish_large,
    reserve_key,
    why_not_charged,
)
from cooee.store.accounts import charge
from cooee.store.changes import is_unstarted
from cooee.store.database import Row, Tx

PAGE = 100
"""Batches that are compared with at once; inside a transaction, at most."""


class Other(Enum):
    """Why nothing came of it."""

    NO_TARGET = 0
    """There is no campaign to add to."""
    AGAIN = 1
    """It must be compared with what is there first, or anew."""


@dataclass(slots=True)
class Compared:
    """What is known of the campaign `target`: which of the wanted numbers its batches up to `last` hold."""

    target: int | None = None
    last: int = -1
    present: set[int] = field(default_factory=set)

    def look(self, wanted: set[int], rows: Iterable[Row]) -> None:
        """Takes in rows of batch_numbers."""
        for no, packed in rows:
            numbers = array("q")
            numbers.frombytes(packed)
            self.present |= wanted.intersection(numbers)
            self.last = no


async def candidates(tx: Tx, new: NewCampaign, asked_at: int | None) -> Sequence[int]:
    """Ids of what `new` may be added to, newest first. `asked_at` is its TimeScheduled, UTC ms, even if past."""
    rows = await tx.all(
        "appendable",
        account_id=new.account_id,
        reference=new.reference,
        originator=new.originator,
        body=new.body,
        asked_at=asked_at,
        due_at=new.due_at,
    )
    return [row[0] for row in rows]


async def unmatched(tx: Tx, items: Sequence[NewCampaign]) -> list[NewCampaign]:
    """Those that surely make a campaign of their own: none with their reference waits for its start."""
    rows = [(place, new.account_id, new.reference) for place, new in enumerate(items)]
    found = {row[0] for row in await tx.many_all("unstarted_like", rows)}
    return [new for place, new in enumerate(items) if place not in found]


async def page(tx: Tx, account_id: int, campaign_id: int, after: int) -> Sequence[Row]:
    """The next PAGE batches: (no, packed numbers) each."""
    return await tx.all("batch_numbers", account_id=account_id, id=campaign_id, after=after, limit=PAGE)


async def append(
    tx: Tx, new: NewCampaign, asked_at: int | None, known: Compared, rest: NewCampaign, now: int
) -> Created | Exception | Other:
    """Adds what is not there yet to the newest campaign that fits.

    `rest` is `new` without the numbers that `known` holds; few enough for one transaction.
    """
    found = await _lock_target(tx, new, asked_at, now)
    if not isinstance(found, int):
        return found
    if known.target not in (None, found):
        return Other.AGAIN
    rows = await page(tx, new.account_id, found, known.last)
    if len(rows) == PAGE:
        return Other.AGAIN
    behind = Compared(found, known.last)
    behind.look(set(rest.numbers), rows)
    part = msgspec.structs.replace(rest.without(behind.present), carriers=None, owner=None)
    refused = await _charge(tx, part, found, now)
    if refused is not None:
        return refused
    if part.messages:
        await tx.many(
            "add_batches",
            [
                (new.account_id, found, row[2] + behind.last + 1, None, 0, BatchState.HELD, *row[6:])
                for row in batch_rows(part, {})
            ],
        )
    return await _answer(tx, part, found, now)


async def publish(
    tx: Tx, staged: NewCampaign, asked_at: int | None, known: Compared, now: int
) -> Created | Exception | Other:
    """Shows a large list that was written unseen: as a campaign, or as a part of the one it was compared with."""
    found = await _lock_target(tx, staged, asked_at, now)
    if found is Other.NO_TARGET and known.target is None:
        return await publish_large(tx, staged, now)
    if not isinstance(found, int):
        return found if isinstance(found, Created | Exception) else Other.AGAIN
    last = await tx.one("last_batch", account_id=staged.account_id, id=found)
    if found != known.target or last is None or last[0] != known.last:
        await _forget_key(tx, staged)
        return Other.AGAIN
    if await tx.one("lock_accepting", account_id=staged.account_id, id=staged.id) is None:
        # Its acceptance took so long that it was swept away as a leftover.
        raise StoreUnavailable("the recipients were not accepted in time")
    refused = await _charge(tx, staged, found, now)
    if refused is not None:
        return refused
    await tx.run("adopt_batches", account_id=staged.account_id, id=staged.id, target=found, behind=known.last + 1)
    await tx.run("drop_accepting", account_id=staged.account_id, id=staged.id)
    return await _answer(tx, staged, found, now)


async def _lock_target(
    tx: Tx, new: NewCampaign, asked_at: int | None, now: int
) -> int | Created | Exception | Other:
    """The campaign to add to, locked, and the Idempotency-Key taken; or the answer that the key has already."""
    await tx.all("lock_reference", account_id=new.account_id, reference=new.reference)
    ids = await candidates(tx, new, asked_at)
    if not ids:
        return Other.NO_TARGET
    if new.key is not None:
        kept = await reserve_key(tx, new, now)
        if kept is not None:
            return kept
    await tx.many_all("lock_accounts", [(new.account_id,)])
    for campaign_id in ids:
        row = await tx.one("lock_unstarted", account_id=new.account_id, id=campaign_id)
        if row is None or not is_unstarted(CampaignState(row[0]), row[1]):
            continue
        # It may have been modified after it was found, and before the account was locked.
        if (row[2], row[3]) == (new.originator, new.body) and row[6] in (asked_at, new.due_at):
            return campaign_id
    # Whoever makes a campaign of it instead takes the key again.
    await _forget_key(tx, new)
    return Other.NO_TARGET


async def _forget_key(tx: Tx, new: NewCampaign) -> None:
    if new.key is not None:
        await tx.run("drop_key", account_id=new.account_id, key=new.key)


async def _charge(tx: Tx, part: NewCampaign, target: int, now: int) -> Exception | None:
    """Takes the credits and adds to the campaign's sums; nothing to do where nobody is left to be added."""
    if not part.messages:
        return None
    no = await charge(tx, part.account_id, part.credits, day=part.day)
    if no is None:
        await _forget_key(tx, part)
        return await why_not_charged(tx, part.account_id)
    await tx.many(
        "add_ledger",
        [(part.account_id, no, -part.credits, "charge", target, "recipients added")],
        at=now,
    )
    invalid, duplicate, international = part.dropped
    await tx.run(
        "grow_campaign",
        account_id=part.account_id,
        id=target,
        messages=part.messages,
        credits=part.credits,
        batches=len(part.pieces),
        invalid=invalid,
        duplicate=duplicate,
        international=international,
    )
    return None


async def _answer(tx: Tx, part: NewCampaign, target: int, now: int) -> Created:
    # Also when nobody is left to be added: then those of the list are among its recipients already.
    await tx.many("add_campaign_lists", list_rows(part, target))
    created = Created(target, part.messages, part.segments, part.credits)
    if part.key is not None:
        await keep_answer(tx, part, created)
    await note(tx, part, target, now)
    return created
