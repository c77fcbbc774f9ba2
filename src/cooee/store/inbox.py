"""Reading replies, flagging those that were passed on, and the polls that do it (wire contract §6).

Each operation runs inside the caller's transaction. A reply in a page is (id, received_at UTC ms, originator,
recipient, text, reference); pages are oldest first, and fewer than PAGE replies mean that these were the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cooee.store.database import Row, Tx

PAGE = 1000
"""Replies read in one go."""
PIECE = 1000
"""Replies flagged in one transaction."""

Place = tuple[int, int]
"""(received_at, id): where a page ends."""


class Holder(NamedTuple):
    """The poll that is being answered, and how often its node has shown that it lives."""

    poll: int
    beat: int


async def waiting(tx: Tx, account_id: int, after: Place) -> Sequence[Row]:
    """The next page of what was not passed on yet."""
    return await tx.all("inbox_waiting", account_id=account_id, received_at=after[0], id=after[1], limit=PAGE)


async def between(tx: Tx, account_id: int, after: Place, until: int, handset: int | None = None) -> Sequence[Row]:
    """The next page of what came before `until`, passed on or not; with `handset` only from there."""
    return await tx.all(
        "inbox_between" if handset is None else "inbox_from",
        account_id=account_id,
        received_at=after[0],
        id=after[1],
        until=until,
        handset=handset,
        limit=PAGE,
    )


async def flag(tx: Tx, account_id: int, ids: Sequence[int], now: int) -> int:
    """Replies that were passed on just now; how many of them had not been before."""
    return await tx.many("inbox_flag", [(each,) for each in sorted(ids)], account_id=account_id, now=now)


async def pay(tx: Tx, account_id: int, now: int, *, cost: int, burst: int, slack: int) -> int:
    """Pays for a poll: 0, or how many ms are missing. A poll costs `cost` ms, and `burst` of them may be owed.

    `slack` is how far clocks of nodes may be apart, in ms.
    """
    latest = now + (burst - 1) * cost
    paid = await tx.one(
        "pay_poll",
        account_id=account_id,
        now=now,
        fresh=now + cost,
        cost=cost,
        latest=latest,
        absurd=now + burst * cost + slack,
    )
    if paid is not None:
        return 0
    row = await tx.one("find_poll", account_id=account_id)
    return cost if row is None else max(1, int(row[0]) - latest)


async def begin(tx: Tx, account_id: int, poll: int, dead: Holder | None) -> Holder | None:
    """Makes `poll` the account's only one: None, or who is before it. `dead` is one that does so no more."""
    begun = await tx.run(
        "begin_poll",
        account_id=account_id,
        holder=poll,
        dead=None if dead is None else dead.poll,
        beat=None if dead is None else dead.beat,
    )
    if begun:
        return None
    row = await tx.one("find_poll", account_id=account_id)
    if row is None:
        raise LookupError(f"account {account_id} polls without having paid")
    return Holder(int(row[1] or 0), int(row[2]))


async def beat(tx: Tx, account_id: int, poll: int) -> None:
    """The node of this poll lives."""
    await tx.run("beat_poll", account_id=account_id, holder=poll)


async def end(tx: Tx, account_id: int, poll: int) -> None:
    """The next poll may begin."""
    await tx.run("end_poll", account_id=account_id, holder=poll)
