"""Removing what is old: operations, each a short transaction that may be run again.

A campaign goes as a whole, as far as anybody can see: its row leaves `campaign` in the transaction that begins it,
and what a bill and a reply still need goes into `campaign_past`. Small ones take their recipients along in that
transaction; those of a large one follow piece by piece, and `campaign_past` knows that they are still to go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cooee.store.database import Row, Tx

LOCK = 0x636F6F05
BATCHES = 100
"""Batches, of 4 kB each, that one transaction removes."""
_EVERY_ONE = 1_000_000
_LAST = "\U0010ffff"
"""Behind every id."""

Key = tuple[int, int]
"""account_id, campaign id."""


async def my_turn(tx: Tx) -> bool:
    """Whether no other node removes anything at this moment; holds until the end of the transaction."""
    return await tx.one("sweep_turn", key=LOCK) is not None


# --- campaigns ---------------------------------------------------------------------------------------------


async def campaigns_page(tx: Tx, after: int, before: int, limit: int) -> Sequence[Row]:
    """The next campaigns behind id `after`: (account_id, id, created_at, recipients, when it ended or None).

    None is for those that may not go, whatever their age, and for those that ended at `before` or later (UTC ms).
    """
    return await tx.all("campaigns_by_age", after=after, before=before, limit=limit)


async def any_stays(tx: Tx, low: int, high: int, before: int) -> bool:
    """Whether a campaign with an id from `low` up to `high`, outside, may not go yet."""
    return await tx.one("campaign_that_stays", low=low, high=high, before=before) is not None


async def remove(tx: Tx, keys: Sequence[Key], before: int, now: int, *, messages: bool) -> list[Key]:
    """Removes small campaigns with all they have; those that were removed.

    `messages` False leaves their message rows: the caller drops the whole partition.
    """
    gone: list[Key] = [(row[0], row[1]) for row in await tx.many_all("lock_over", sorted(keys), before=before)]
    if not gone:
        return []
    await tx.many("keep_past", gone, now=now, swept=1)
    await tx.many("drop_campaigns", gone)
    await tx.many("drop_batches_of", gone)
    if messages:
        await tx.many("drop_messages_of", gone)
        for account_id, campaign_id in gone if tx.engine == "postgres" else ():
            await tx.run("drop_message_piece", account_id=account_id, id=campaign_id, limit=_EVERY_ONE)
    await _drop_small_children(tx, gone)
    await tx.many("drop_attempts_of", gone)
    return gone


async def _drop_small_children(tx: Tx, keys: Sequence[Key]) -> None:
    """What there is little of, however many recipients a campaign has."""
    await tx.many("drop_lists_of", keys)
    await tx.many("drop_counts_of", keys)
    await tx.many("drop_courses_of", keys)
    await tx.many("drop_console_answers_of", keys)


async def begin(tx: Tx, key: Key, before: int, now: int) -> bool | None:
    """A large campaign goes: True once nobody sees it, False to be called again, None where it stays."""
    if not await tx.many_all("lock_over", [key], before=before):
        return None
    account_id, campaign_id = key
    # A deleted campaign's batches may still wait in a queue, where one without a campaign would be in the way.
    if await tx.run("retire_batches", account_id=account_id, id=campaign_id, limit=BATCHES) == BATCHES:
        return False
    await tx.many("keep_past", [key], now=now, swept=0)
    await tx.many("drop_campaigns", [key])
    return True


async def sweep(tx: Tx, limit: int) -> int | None:
    """The next piece of what is left of large campaigns: how many rows went, None when nothing is left."""
    row = await tx.one("unswept")
    if row is None:
        return None
    key = {"account_id": row[0], "id": row[1]}
    for query, most in (
        ("drop_message_piece", limit),
        ("drop_attempt_piece", limit),
        ("drop_batch_piece", min(limit, BATCHES)),
    ):
        # Nothing comes in any more, so a piece with a row in it is not the last one until there is none.
        if dropped := await tx.run(query, **key, limit=most):
            return dropped
    await _drop_small_children(tx, [(row[0], row[1])])
    await tx.run("set_swept", **key)
    return 0


# --- replies -----------------------------------------------------------------------------------------------


async def replies_page(tx: Tx, account_id: int, after: tuple[int, int], before: int, limit: int) -> Sequence[Row]:
    """The next older replies of an account behind (received_at, id): (id, received_at, 1 if it may go) each."""
    return await tx.all(
        "old_replies", account_id=account_id, received_at=after[0], id=after[1], before=before, limit=limit
    )


async def remove_replies(tx: Tx, account_id: int, ids: Sequence[int]) -> int:
    """Removes replies with their deliveries; how many. One that is to be passed on again by now stays."""
    rows = [(reply_id,) for reply_id in sorted(ids)]
    await tx.many("drop_deliveries", rows, account_id=account_id)
    return await tx.many("drop_replies", rows, account_id=account_id)


# --- ids of segments, on SQLite ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stretch:
    """A carrier's ids behind `first` up to `last`, both (smsc_id, at); how many are old; whether it ends here."""

    carrier_id: int
    first: tuple[str, int]
    last: tuple[str, int]
    old: int
    final: bool

    @property
    def values(self) -> dict[str, object]:
        """As the queries take it."""
        return {
            "carrier_id": self.carrier_id,
            "smsc_id": self.first[0],
            "at": self.first[1],
            "last_id": self.last[0],
            "last_at": self.last[1],
        }


async def ref_carriers(tx: Tx) -> list[int]:
    """Carriers that ids may be kept of; none on PostgreSQL."""
    return [row[0] for row in await tx.all("ref_carriers")]


async def stretch(tx: Tx, carrier_id: int, after: tuple[str, int], before: int, limit: int) -> Stretch:
    """The next `limit` ids of a carrier in key order, looked at and not fetched."""
    row = await tx.one("ref_boundary", carrier_id=carrier_id, smsc_id=after[0], at=after[1], skip=limit - 1)
    last = (_LAST, 0) if row is None else (row[0], row[1])
    found = Stretch(carrier_id, after, last, 0, row is None)
    count = await tx.one("old_refs", **found.values, before=before)
    return Stretch(carrier_id, after, last, int(count[0]) if count is not None else 0, row is None)


async def remove_refs(tx: Tx, found: Stretch, before: int) -> int:
    """Removes what is old in it; how many."""
    return await tx.run("drop_refs", **found.values, before=before)


async def remove_stray_refs(tx: Tx, before: int, limit: int) -> int:
    """PostgreSQL: removes old ids that came before their day had a partition; how many."""
    return await tx.run("drop_stray_refs", before=before, limit=limit)


async def count_refs(tx: Tx, before: int) -> int:
    """PostgreSQL: how many ids are old."""
    row = await tx.one("count_old_refs", before=before)
    return int(row[0]) if row is not None else 0


# --- rows that serve Cooee itself --------------------------------------------------------------------------


async def drop_rows(tx: Tx, query: str, before: int, limit: int) -> int:
    """A piece of the rows that a query removes; how many went."""
    return await tx.run(query, before=before, limit=limit)


async def count_rows(tx: Tx, query: str, before: int) -> int:
    """How many rows there are that a query counts."""
    row = await tx.one(query, before=before)
    return int(row[0]) if row is not None else 0
