"""Messages that came before (docs/decisions/0008-repeated-replies.md).

An SMSC sends again what it believes we do not have: after its connection went, or after waiting in vain for an
answer. A person may write the same text twice. What tells them apart is the first copy's acknowledgement. While it
may not have arrived, a copy over another connection is a repeat. Once the connection has outlived it, the first
copy is forgotten, and the same text is a new message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cooee.model.clock import HOUR, SECOND
from cooee.store.database import Row, Tx

WINDOW_MS = HOUR
"""How long an SMSC may take to send again what it lost."""
IMPATIENT_MS = 5 * SECOND
"""An SMSC that sends again over a living connection has waited for the answer at least this long."""

SeenKey = tuple[int, int, int]
"""Digest, connection, number."""


class Acknowledged(Protocol):
    """What this process knows of its connections. Asked from the writer's thread."""

    def lives(self, connection: int) -> bool:
        """Whether that connection is up, here."""
        ...

    def at(self, key: SeenKey) -> int | None:
        """When that copy was acknowledged (UTC ms); None while it is not, or where nobody knows."""
        ...

    def doubted(self, digest: int, connection: int) -> bool:
        """Whether a copy over that connection was refused though it may have been stored."""
        ...


@dataclass(frozen=True, slots=True)
class Copy:
    """One PDU that came in: what it is, over which connection, when (UTC ms)."""

    digest: int
    connection: int
    at: int


async def sift(
    tx: Tx, carrier_id: int, copies: Sequence[Copy], known: Acknowledged
) -> tuple[list[bool], list[SeenKey]]:
    """Which of these are new, and the key of each, by which it is forgotten once its acknowledgement has arrived.

    A repeat takes the place of the copy that it repeats: when it comes a third time, it is a repeat again.
    """
    held: dict[int, list[Row]] = {}
    digests = [(digest,) for digest in {copy.digest for copy in copies}]
    for row in await tx.many_all("find_seen", digests, carrier_id=carrier_id):
        held.setdefault(row[0], []).append(tuple(row))
    stored = {_key(row) for rows in held.values() for row in rows}
    fresh: list[bool] = []
    keys: list[SeenKey] = []
    for copy in copies:
        mine = held.setdefault(copy.digest, [])
        first = min((row for row in mine if _repeats(copy, row, known)), key=lambda row: row[3], default=None)
        if first is not None:
            mine.remove(first)
        no = 1 + max((row[2] for row in mine if row[1] == copy.connection), default=0)
        if first is not None and first[1] == copy.connection:
            no = max(no, first[2] + 1)
        mine.append((copy.digest, copy.connection, no, copy.at))
        fresh.append(first is None)
        keys.append((copy.digest, copy.connection, no))
    now_held = {_key(row): row for rows in held.values() for row in rows}
    await tx.many("drop_seen", sorted(stored - now_held.keys()), carrier_id=carrier_id)
    await tx.many("add_seen", [row for key, row in now_held.items() if key not in stored], carrier_id=carrier_id)
    return fresh, keys


def _key(row: Row) -> SeenKey:
    return row[0], row[1], row[2]


def _repeats(copy: Copy, row: Row, known: Acknowledged) -> bool:
    """Whether a copy may be what the SMSC sent before, given what it knows of that."""
    _, connection, no, at = row
    if copy.at - at > WINDOW_MS:
        return False
    if connection != copy.connection and not known.lives(connection):
        return True
    if known.doubted(copy.digest, connection):
        return True
    acknowledged = known.at((copy.digest, connection, no))
    return (acknowledged is None or copy.at < acknowledged) and copy.at - at >= IMPATIENT_MS


async def forget(tx: Tx, carrier_id: int, keys: Sequence[SeenKey]) -> None:
    """Their acknowledgements have arrived."""
    await tx.many("drop_seen", sorted(keys), carrier_id=carrier_id)
