"""Receipts as they came: one row for each transaction that joins receipts to messages, written within it.

A row is a list of entries, compressed. Each entry says which message it was joined to, so that nothing has to be
guessed from a carrier's id later: ids repeat, and are forgotten after a week. Where few receipts come at a time,
rows are small; those of an hour are put together later (service/packing.py), which makes them a tenth as large and
spares a search most of its looks.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from cooee.model.clock import HOUR
from cooee.store.database import Row, Tx
from cooee.store.refs import Ref

if TYPE_CHECKING:
    from cooee.store.receipts import Incoming

LONGEST = 4096
"""Octets of a receipt that are kept; usual ones have under 200."""

Key = tuple[int, int, int]
"""account_id, campaign_id, destination."""

Entry = tuple[int, int, int, int, int, int, int, int, bytes]
"""account_id, campaign_id, destination (0: it is the receipt's source_addr), part, attempt, ms from the receipt to
its joining (it waited as an orphan), ms from the row's time to that, command_id, body of the PDU."""

SPAN_MS = HOUR
"""Time that a row is about at most."""
FEW = 20
"""Receipts up to which compressing is made ready for few."""
FULL = 500
"""Receipts from which on a row is left as it is."""

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
    [(1, 1_000_001, 0, 0, 1, 0, 0, 5, _usual(b"DELIVRD"))]
)
"""What nearly every receipt has in common: with it, a row of one receipt is a third as long as without. It is part
of the form that rows are stored in: with another one, they cannot be read."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One receipt of a message. `at`: when it came, `joined_at`: when it found its message, UTC ms; `part` from 0;
    `body` the PDU's, cut at LONGEST."""

    at: int
    joined_at: int
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
            0,
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
        at=now,
        at_span=0,
        carrier_id=carrier_id,
        campaign_low=low,
        campaign_span=max(campaigns) - low,
        destination_low=lowest,
        destination_span=max(destinations) - lowest,
        receipts=len(entries),
        packed=int(len(entries) >= FULL),
        body=pack(entries),
    )


def pack(entries: Sequence[Entry], level: int = 1) -> bytes:
    """Entries as a row holds them; `level` as of zlib (measured: docs/decisions/0009)."""
    # What zlib clears before it begins costs as much as a receipt or ten; for few it needs little of it.
    memory = 9 if len(entries) > FEW else 6
    squeeze = zlib.compressobj(level, zlib.DEFLATED, -15, memory, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
    return squeeze.compress(_pack.encode(entries)) + squeeze.flush()


def unpack(body: bytes) -> list[Entry]:
    """The entries of a row."""
    return _unpack.decode(zlib.decompressobj(-15, DICTIONARY).decompress(body))


# --- a search ----------------------------------------------------------------------------------------------


async def boundary(tx: Tx, after: int, until: int, rows: int) -> int | None:
    """The time (UTC ms) of the row that is `rows` rows behind the time `after`; None where there are fewer."""
    row = await tx.one("receipt_boundary", after=after, until=until, skip=rows - 1)
    return None if row is None else int(row[0])


async def within(tx: Tx, key: Key, after: int, until: int, limit: int) -> Sequence[Row]:
    """(at, carrier's name, body) of rows that can hold receipts which found a recipient's message behind the time
    `after` and up to `until`, the oldest first."""
    return await tx.all(
        "receipts_within",
        since=after - SPAN_MS,
        after=after,
        until=until,
        campaign_id=key[1],
        destination=key[2],
        limit=limit,
    )


def find(rows: Sequence[Row], key: Key) -> list[Kept]:
    """The receipts in these rows (see `within`) that were joined to one recipient's message."""
    account_id, campaign_id, destination = key
    found: list[Kept] = []
    for at, carrier, packed in rows:
        for account, campaign, number, part, attempt, late, later, command, body in unpack(packed):
            if campaign != campaign_id or account != account_id:
                continue
            if number == destination or (not number and _source(body) == destination):
                joined_at = at + later
                found.append(Kept(joined_at - late, joined_at, carrier, part, attempt, command, body))
    return found


def _source(body: bytes) -> int:
    """The source_addr of a deliver_sm or data_sm: it follows service_type, TON and NPI (SMPP 3.4 §4.6.1)."""
    start = body.index(0) + 3
    return int(body[start : body.index(0, start)].lstrip(b"+"))


# --- putting rows together ---------------------------------------------------------------------------------


async def unpacked(tx: Tx, after: tuple[int, int, int], before: int, limit: int) -> Sequence[Row]:
    """(carrier_id, at, id, receipts) of the next small rows behind these three that are older than `before`."""
    return await tx.all(
        "unpacked_receipts", carrier_id=after[0], after=after[1], after_id=after[2], before=before, limit=limit
    )


async def rows_of(tx: Tx, ids: Sequence[int]) -> Sequence[Row]:
    """These rows as `united` takes them."""
    return await tx.many_all("receipt_rows", [(row_id,) for row_id in ids])


def united(carrier_id: int, rows: Sequence[Row]) -> dict[str, object]:
    """The values of one row that holds what these of a carrier do."""
    start = rows[0][0]
    entries: list[Entry] = []
    for at, *_, body in rows:
        entries += [(*entry[:6], at + entry[6] - start, *entry[7:]) for entry in unpack(body)]
    campaign_low, destination_low = min(row[1] for row in rows), min(row[3] for row in rows)
    return {
        "at": start,
        "at_span": max(entry[6] for entry in entries),
        "carrier_id": carrier_id,
        "campaign_low": campaign_low,
        "campaign_span": max(row[1] + row[2] for row in rows) - campaign_low,
        "destination_low": destination_low,
        "destination_span": max(row[3] + row[4] for row in rows) - destination_low,
        "receipts": len(entries),
        "packed": 1,
        "body": pack(entries, 6),
    }


async def replace(tx: Tx, ids: Sequence[int], values: dict[str, object]) -> bool:
    """One row instead of several; False where some are gone: the transaction must then be rolled back."""
    if await tx.many("drop_receipt_rows", [(row_id,) for row_id in ids]) != len(ids):
        return False
    await tx.run("keep_receipts", **values)
    return True


async def leave(tx: Tx, ids: Sequence[int]) -> None:
    """These small rows stay what they are."""
    await tx.many("leave_receipt_rows", [(row_id,) for row_id in ids])
