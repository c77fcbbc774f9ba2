"""Long messages: their parts are stored one by one, and joined when the last one is there, in whatever order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cooee.model.datacoding import text_of
from cooee.store.database import Row, Tx

PartKey = tuple[str, str, int, int]
"""Originator and recipient as the carrier wrote them, reference of the concatenation, parts in all."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One PDU from a handset; `at` is UTC ms. `part`: (reference, total, number from 1), None for a whole one."""

    source: str
    ton: int
    destination: str
    coding: int
    body: bytes
    part: tuple[int, int, int] | None
    at: int


@dataclass(frozen=True, slots=True)
class Whole:
    """A message as its handset wrote it, or what has come of it. Addresses as the carrier wrote them; `ton` is the
    source's; `at` is when it was complete, UTC ms."""

    source: str
    ton: int
    destination: str
    text: str
    at: int
    parts: int = 1
    missing: int = 0


@dataclass(slots=True)
class _Piece:
    ton: int
    coding: int
    at: int
    body: bytes
    stored: bool


async def join(tx: Tx, carrier_id: int, arrivals: Sequence[Arrival]) -> tuple[list[Whole], int]:
    """The messages that are complete with these, in the order they became so; how many parts are stored and wait.

    A part whose place is taken by another text begins a new message: handsets use references again. What there was
    of the old one is passed on.
    """
    keys = {(a.source, a.destination, *a.part[:2]) for a in arrivals if a.part is not None}
    held = await _held(tx, carrier_id, sorted(keys))
    stored = set(held)
    done: list[Whole] = []
    stale: set[PartKey] = set()
    for a in arrivals:
        if a.part is None:
            done.append(Whole(a.source, a.ton, a.destination, text_of([(a.coding, a.body)]), a.at))
            continue
        key = (a.source, a.destination, *a.part[:2])
        pieces = held.setdefault(key, {})
        there = pieces.get(a.part[2])
        if there is not None:
            if (there.coding, there.body) == (a.coding, a.body):
                continue
            done.append(_whole(key, pieces, a.at))
            stale.add(key)
            pieces = held[key] = {}
        pieces[a.part[2]] = _Piece(a.ton, a.coding, a.at, a.body, stored=False)
        if len(pieces) == key[3]:
            done.append(_whole(key, pieces, a.at))
            stale.add(key)
            held[key] = {}
    await tx.many("drop_parts", sorted(stale & stored), carrier_id=carrier_id)
    rows: list[Row] = [
        (*key, no, piece.ton, piece.coding, piece.at, piece.body)
        for key, pieces in held.items()
        for no, piece in pieces.items()
        if not piece.stored
    ]
    await tx.many("add_parts", rows, carrier_id=carrier_id)
    return done, len(rows)


async def give_up(tx: Tx, carrier_id: int, keys: Sequence[PartKey], before: int, now: int) -> list[Whole]:
    """What has come of long messages whose first part came at `before` or earlier: they wait no longer."""
    held = await _held(tx, carrier_id, sorted(keys))
    over = {key: pieces for key, pieces in held.items() if min(piece.at for piece in pieces.values()) <= before}
    await tx.many("drop_parts", sorted(over), carrier_id=carrier_id)
    return [_whole(key, pieces, now) for key, pieces in over.items()]


async def _held(tx: Tx, carrier_id: int, keys: Sequence[PartKey]) -> dict[PartKey, dict[int, _Piece]]:
    found: dict[PartKey, dict[int, _Piece]] = {}
    for source, destination, concat, total, no, ton, coding, at, body in await tx.many_all(
        "parts_of", keys, carrier_id=carrier_id
    ):
        pieces = found.setdefault((source, destination, concat, total), {})
        pieces[no] = _Piece(ton, coding, at, body, stored=True)
    return found


def _whole(key: PartKey, pieces: dict[int, _Piece], at: int) -> Whole:
    ordered = [pieces[no] for no in sorted(pieces)]
    text = text_of((piece.coding, piece.body) for piece in ordered)
    return Whole(key[0], ordered[0].ton, key[1], text, at, key[3], key[3] - len(pieces))
