"""Operations on what waits for a person's eye, and on what the database tells of carriers. Each takes a `Tx` and
runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cooee.store.database import Tx

NEWEST = 2**62
"""An id that nothing has yet."""
COUNTED = 100_000
"""What is counted for a page is counted up to here."""
QUEUED_BATCHES = 5_000
"""Batches that are added up to tell what waits for a carrier."""

Key = tuple[int, int, int]
"""Account, campaign, destination."""


@dataclass(frozen=True, slots=True)
class Span:
    """Uncertain recipients of one campaign, of one account, or all. `start` lies before the first of them."""

    start: Key
    account_upto: int
    campaign_upto: int


EVERYTHING = Span((0, 0, 0), NEWEST, NEWEST)


def span_of(account_id: int | None, campaign_id: int | None) -> Span:
    """Those of a campaign of that account, of the account, or all."""
    if account_id is None:
        return EVERYTHING
    if campaign_id is None:
        return Span((account_id, 0, 0), account_id, NEWEST)
    return Span((account_id, campaign_id, 0), account_id, campaign_id)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A recipient that may or may not have been reached. Times are UTC ms; `until` None: held for a person."""

    account_id: int
    campaign_id: int
    destination: int
    account: str
    attempt: int
    carrier: str
    since: int
    until: int | None

    @property
    def key(self) -> Key:
        """What names it."""
        return self.account_id, self.campaign_id, self.destination


@dataclass(frozen=True, slots=True)
class Aside:
    """What could not be stored as what it is, as it came. `at` is UTC ms."""

    id: int
    at: int
    carrier: str
    kind: str
    body: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Orphan:
    """A receipt that matches nothing. `kind`: 0 still open, 1 delivered, 2 failed; `at` is UTC ms."""

    id: int
    smsc_id: str
    handset: int | None
    originator: str
    kind: int
    error: str
    code: int
    at: int


@dataclass(frozen=True, slots=True)
class CarrierFigures:
    """What the database tells of one carrier. `batches` is counted up to QUEUED_BATCHES, `doubts` to COUNTED."""

    batches: int
    waiting: int
    doubts: int


# --- uncertain recipients ----------------------------------------------------------------------------------


async def doubts(tx: Tx, span: Span, after: Key | None, limit: int) -> list[Doubt]:
    """Up to `limit` behind the key `after`, in the order of their keys."""
    return [Doubt(*row) for row in await tx.all("doubt_page", limit=limit, **_after(span, after))]


async def doubt_keys(tx: Tx, span: Span, after: Key | None, limit: int) -> list[Key]:
    """The same without what a page shows."""
    return [(row[0], row[1], row[2]) for row in await tx.all("doubt_keys", limit=limit, **_after(span, after))]


async def doubt_count(tx: Tx, span: Span) -> int:
    """How many, up to COUNTED + 1."""
    row = await tx.one(
        "doubt_count",
        account_from=span.start[0], campaign_from=span.start[1], account_upto=span.account_upto,
        campaign_upto=span.campaign_upto, limit=COUNTED + 1,
    )  # fmt: skip
    return int(row[0]) if row is not None else 0


def _after(span: Span, after: Key | None) -> dict[str, int]:
    account, campaign, destination = max(after or span.start, span.start)
    return {
        "account_after": account, "campaign_after": campaign, "after": destination,
        "account_upto": span.account_upto, "campaign_upto": span.campaign_upto,
    }  # fmt: skip


async def doubts_among(tx: Tx, keys: Sequence[Key]) -> list[Key]:
    """Those of the keys that are uncertain."""
    return sorted((row[0], row[1], row[2]) for row in await tx.many_all("doubts_among", sorted(set(keys))))


async def release(tx: Tx, keys: Sequence[Key], now: int) -> int:
    """Has these sent again; how many were uncertain."""
    return await tx.many("doubt_release", sorted(keys), now=now)


async def fail(tx: Tx, keys: Sequence[Key], now: int) -> int:
    """Settles these as failed, and charged; how many were uncertain."""
    return await tx.many("uncertain_fail", sorted(keys), now=now)


async def owner_of(tx: Tx, campaign_id: int) -> int | None:
    """The account of a campaign, None where there is no such campaign."""
    row = await tx.one("campaign_owner", id=campaign_id)
    return None if row is None else int(row[0])


# --- what was put aside ------------------------------------------------------------------------------------


async def aside(tx: Tx, kind: str, before: int | None, limit: int) -> list[Aside]:
    """Up to `limit` items of a kind ("": any) below the id `before`, the newest first."""
    rows = await tx.all("quarantine_page", kind=kind, before=NEWEST if before is None else before, limit=limit)
    return [Aside(row[0], row[1], row[2], row[3], bytes(row[4]), row[5]) for row in rows]


async def kinds_aside(tx: Tx) -> dict[str, int]:
    """How many items of each kind there are."""
    return {row[0]: int(row[1]) for row in await tx.all("quarantine_kinds")}


async def drop_aside(tx: Tx, ids: Sequence[int]) -> int:
    """Throws items away; how many there were."""
    return await tx.many("drop_quarantined", [(each,) for each in sorted(set(ids))])


# --- carriers ----------------------------------------------------------------------------------------------


async def orphans(tx: Tx, carrier_id: int, before: int | None, limit: int) -> list[Orphan]:
    """Up to `limit` unmatched receipts of a carrier below the id `before`, the newest first."""
    rows = await tx.all(
        "orphans_of", carrier_id=carrier_id, before=NEWEST if before is None else before, limit=limit
    )
    return [Orphan(*row) for row in rows]


async def orphan_counts(tx: Tx) -> Mapping[int, int]:
    """Unmatched receipts by carrier id."""
    return {row[0]: int(row[1]) for row in await tx.all("orphan_counts")}


async def carrier_figures(tx: Tx, carrier_id: int) -> CarrierFigures:
    """What waits for a carrier, and what of it is uncertain."""
    queue = await tx.one("carrier_queue", carrier_id=carrier_id, limit=QUEUED_BATCHES)
    doubt = await tx.one("carrier_doubts", carrier_id=carrier_id, limit=COUNTED)
    return CarrierFigures(
        batches=int(queue[0]) if queue is not None else 0,
        waiting=int(queue[1]) if queue is not None else 0,
        doubts=int(doubt[0]) if doubt is not None else 0,
    )


async def engines(tx: Tx) -> list[tuple[int, str, int]]:
    """(id, name, beat) of every engine that is registered."""
    return [(row[0], row[1], row[2]) for row in await tx.all("engines")]


async def leases(tx: Tx) -> list[tuple[int, int, int]]:
    """(carrier id, bind number, engine id) of every bind that somebody holds."""
    return [(row[0], row[1], row[2]) for row in await tx.all("leases")]
