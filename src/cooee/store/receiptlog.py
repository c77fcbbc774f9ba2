"""Receipts as they came: one row for each transaction that joins receipts to messages, written within it.

A row is a list of entries, packed and compressed. Each entry says which message it was joined to, so that nothing
has to be guessed from a carrier's id later: ids repeat, and are forgotten after a week. What was joined when is in
the row itself; a receipt that waited as an orphan says besides how long ago it had come.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from cooee.store.database import Row, Tx
from cooee.store.refs import Ref

if TYPE_CHECKING:
    from cooee.store.receipts import Incoming

LONGEST = 4096
"""Octets of a receipt that are kept; usual ones have under 200."""

Key = tuple[int, int, int]
"""account_id, campaign_id, destination."""

Entry = tuple[int, int, int, int, int, int, int, bytes]
"""account_id, campaign_id, destination (0: it is the receipt's source_addr), part, attempt, ms from the receipt to
its joining, command_id, body of the PDU."""

_pack = msgspec.msgpack.Encoder()
_unpack = msgspec.msgpack.Decoder(list[Entry])


def _usual(state: bytes) -> bytes:
    """The body of a receipt as most SMSCs write them, with that stat."""
    return (
        b"\0\1\1" b"61400000000\0" b"\5\0" b"COOEE\0" b"\4\0\0\0\0\0\0\0\0\x7a"
        b"id:1000000000 sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 stat:%s err:000 text:"
        b"\0\x1e\0\x0b1000000000\0" b"\4\x27\0\1\2"
    ) % state  # fmt: skip


DICTIONARY = b"".join([_usual(state) for state in (b"REJECTD", b"EXPIRED", b"UNDELIV")]) + _pack.encode(
    [(1, 1_000_001, 0, 0, 1, 0, 5, _usual(b"DELIVRD"))]
)
"""What nearly every receipt has in common: with it, a row of one receipt is a third as long as without. It is part
of the form that rows are stored in: with another one, they cannot be read."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One receipt of a message. `at`: when it came, UTC ms; `part` from 0; `body` the PDU's, cut at LONGEST."""

    at: int
    carrier: str | None
    part: int
    attempt: int
    command: int
    body: bytes


async def keep(tx: Tx, carrier_id: int, joined: Sequence[tuple[Ref, Incoming]], now: int) -> None:
    """Keeps receipts with the messages that they were joined to; those without a body are left out."""
    entries = [
        (
            ref[2],
            ref[3],
            0 if ref[4] == receipt.handset else ref[4],
            ref[5],
            ref[6],
            now - receipt.at if receipt.at else 0,
            receipt.command,
            receipt.body,
        )
        for ref, receipt in joined
        if receipt.body
    ]
    if not entries:
        return
    campaigns = {ref[3] for ref, _ in joined}
    destinations = [ref[4] for ref, _ in joined]
    low, lowest = min(campaigns), min(destinations)
    await tx.run(
        "keep_receipts",
        now=now,
        carrier_id=carrier_id,
        campaign_low=low,
        campaign_span=max(campaigns) - low,
        destination_low=lowest,
        destination_span=max(destinations) - lowest,
        receipts=len(entries),
        body=pack(entries),
    )


def pack(entries: Sequence[Entry]) -> bytes:
    """Entries as a row holds them (measured: docs/decisions/0009)."""
    squeeze = zlib.compressobj(1, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
    return squeeze.compress(_pack.encode(entries)) + squeeze.flush()


def unpack(body: bytes) -> list[Entry]:
    """The entries of a row."""
    return _unpack.decode(zlib.decompressobj(-15, DICTIONARY).decompress(body))


async def boundary(tx: Tx, after: int, until: int, rows: int) -> int | None:
    """The time (UTC ms) of the row that is `rows` rows behind the time `after`; None where there are fewer."""
    row = await tx.one("receipt_boundary", after=after, until=until, skip=rows - 1)
    return None if row is None else int(row[0])


async def within(tx: Tx, key: Key, after: tuple[int, int], until: int, limit: int) -> Sequence[Row]:
    """(id, at) of rows behind `after` = (at, id) up to the time `until` that can concern a recipient."""
    return await tx.all(
        "receipts_within",
        after=after[0],
        after_id=after[1],
        until=until,
        campaign_id=key[1],
        destination=key[2],
        limit=limit,
    )


async def bodies(tx: Tx, ids: Sequence[int]) -> Sequence[Row]:
    """(at, carrier's name, body) of these rows, the oldest first."""
    return await tx.many_all("receipt_bodies", [(row_id,) for row_id in ids])


def find(rows: Sequence[Row], key: Key) -> list[Kept]:
    """The receipts in these rows (see `bodies`) that were joined to one recipient's message."""
    account_id, campaign_id, destination = key
    found: list[Kept] = []
    for at, carrier, packed in rows:
        for account, campaign, number, part, attempt, late, command, body in unpack(packed):
            if campaign != campaign_id or account != account_id:
                continue
            if number == destination or (not number and _source(body) == destination):
                found.append(Kept(at - late, carrier, part, attempt, command, body))
    return found


def _source(body: bytes) -> int:
    """The source_addr of a deliver_sm or data_sm: it follows service_type, TON and NPI (SMPP 3.4 §4.6.1)."""
    start = body.index(0) + 3
    return int(body[start : body.index(0, start)].lstrip(b"+"))
