"""A batch in an engine's hands, and the wash that stands between it and the air."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import msgspec

from cooee.store.database import Tx

Key = tuple[int, int, int]
"""account_id, campaign_id, batch number."""


class Claimed(msgspec.Struct):
    """A batch that is ours now, marked up to `marked`."""

    key: Key
    epoch: int
    attempt: int
    credits_each: int
    flags: int
    first_at: int | None
    expires_at: int | None
    start: int
    marked: int
    numbers: array[int]
    originator: str
    body: str
    encoding: int
    segments: int
    concat_ref: int
    remains_ms: int | None = None
    """Open send window that is left before a retry is given up."""


async def opted_out(tx: Tx, asked: Sequence[tuple[int, Sequence[int]]]) -> set[tuple[int, int]]:
    """Who of these recipients, by account, is on that account's opt-out list: (account_id, destination).

    Most accounts have no list; that is asked first, and of them all at once.
    """
    if not asked:
        return set()
    accounts = sorted({(account_id,) for account_id, _ in asked})
    washing = {row[0] for row in await tx.many_all("with_optouts", accounts)}
    if not washing:
        return set()
    pairs = [(account_id, number) for account_id, numbers in asked if account_id in washing for number in numbers]
    return {(row[0], row[1]) for row in await tx.many_all("opted_out", pairs)}
