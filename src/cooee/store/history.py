"""Reading operations for the console, and the counts that it keeps. Each takes a `Tx` and runs inside the caller's
transaction."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from cooee.model.campaign import BatchState, CampaignState
from cooee.model.message import MessageState
from cooee.store.database import Row, Tx
from cooee.store.refs import Ref, memory_of

KEPT_FROM = 1000
"""Campaigns of more recipients than this have counters that a sweep keeps (queries running_large, put_counts)."""
BATCHES = 40
"""Batches read in one go: 20,000 recipients."""


@dataclass(frozen=True, slots=True)
class CampaignLine:
    """A campaign in a list. Times are UTC ms."""

    id: int
    state: CampaignState
    originator: str
    body: str
    segments: int
    reference: str | None
    created_at: int
    due_at: int | None
    started_at: int | None
    finished_at: int | None
    messages: int
    credits: int


@dataclass(frozen=True, slots=True)
class CampaignFull:
    """A campaign as its page shows it. `wake_at`: when it starts, `stopped_at`: since when it is paused, UTC ms.
    `dropped`: invalid, duplicate, international."""

    line: CampaignLine
    encoding: int
    wake_at: int | None
    stopped_at: int | None
    dropped: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class RecipientRow:
    """One recipient that has a row. Times are UTC ms; `failed` is the mask of parts."""

    destination: int
    state: MessageState
    attempt: int
    parts: int
    first_at: int
    changed_at: int
    code: int
    credits: int
    failed: int
    detail: str | None
    carrier: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the messages whose campaigns were accepted from `starts_at` to before `ends_at`, UTC ms."""

    starts_at: int
    ends_at: int
    counted_at: int
    messages: int
    delivered: int
    failed: int


def _line(row: Row) -> CampaignLine:
    return CampaignLine(row[0], CampaignState(row[1]), *row[2:12])


async def page(
    tx: Tx,
    account_id: int,
    *,
    before: int,
    states: tuple[CampaignState, ...],
    word: str | None,
    least: int,
    limit: int,
) -> list[CampaignLine]:
    """The next `limit` campaigns below id `before`, the newest first. `states`: none for all, at most two."""
    first = int(states[0]) if states else None
    pattern = None
    if word is not None:
        pattern = "%" + word.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    rows = await tx.all(
        "history_page",
        account_id=account_id, before=before, state=first, state_too=int(states[-1]) if states else None,
        word=pattern, least=least, limit=limit,
    )  # fmt: skip
    return [_line(row) for row in rows]


async def active(tx: Tx, account_id: int, limit: int) -> list[CampaignLine]:
    """What runs, is paused or scheduled, the newest first."""
    return [_line(row) for row in await tx.all("history_active", account_id=account_id, limit=limit)]


async def one(tx: Tx, account_id: int, campaign_id: int) -> CampaignFull | None:
    """One campaign of this account, or None."""
    row = await tx.one("history_one", account_id=account_id, id=campaign_id)
    return (
        None if row is None else CampaignFull(_line(row), row[12], row[13], row[14], (row[15], row[16], row[17]))
    )


async def counts(tx: Tx, account_id: int, campaigns: Sequence[tuple[int, int]]) -> dict[int, dict[int, int]]:
    """Recipients by state of campaigns given as (id, recipients): kept counters of large ones, else rows."""
    large = [(key,) for key, size in campaigns if size > KEPT_FROM]
    small = [(key,) for key, size in campaigns if size <= KEPT_FROM]
    found: dict[int, dict[int, int]] = {key: {} for key, _ in campaigns}
    for row in await tx.many_all("history_kept_counts", large, account_id=account_id):
        found[row[0]][row[1]] = int(row[2])
    for row in await tx.many_all("history_counts", small, account_id=account_id):
        found[row[0]][row[1]] = int(row[2])
    return found


async def created_between(
    tx: Tx, account_id: int, start: int, end: int, after: tuple[int, int], limit: int
) -> Sequence[Row]:
    """(id, recipients, created_at) of campaigns accepted within the stretch, behind `after` = (created_at, id)."""
    return await tx.all(
        "created_between",
        account_id=account_id, **{"from": start}, until=end, after_at=after[0], after_id=after[1], limit=limit,
    )  # fmt: skip


async def tallies(tx: Tx, account_id: int, start: int, end: int) -> dict[tuple[int, int], Tally]:
    """The kept counts within a stretch of time."""
    rows = await tx.all("tallies", account_id=account_id, **{"from": start}, until=end)
    return {(row[0], row[1]): Tally(*row) for row in rows}


async def put_tally(tx: Tx, account_id: int, tally: Tally, before: int) -> None:
    """Keeps a count, and lets go of those that end before `before`."""
    await tx.run("drop_old_tallies", account_id=account_id, before=before)
    await tx.run(
        "put_tally",
        account_id=account_id, starts_at=tally.starts_at, ends_at=tally.ends_at, counted_at=tally.counted_at,
        messages=tally.messages, delivered=tally.delivered, failed=tally.failed,
    )  # fmt: skip


async def course_piece(
    tx: Tx, account_id: int, campaign_id: int, *, after: int, bucket: int, limit: int
) -> Sequence[Row]:
    """(state, code, whether a receipt said so, first_at / bucket, changed_at / bucket, count, highest
    destination) of the next `limit` rows."""
    return await tx.all(
        "course_piece", account_id=account_id, id=campaign_id, after=after, bucket=bucket, limit=limit
    )


async def course(tx: Tx, account_id: int, campaign_id: int) -> tuple[int, str] | None:
    """The kept course of a campaign: when it was counted, and its JSON."""
    row = await tx.one("course", account_id=account_id, id=campaign_id)
    return None if row is None else (int(row[0]), str(row[1]))


async def put_course(tx: Tx, account_id: int, campaign_id: int, counted_at: int, body: str) -> None:
    """Keeps the course of a campaign."""
    await tx.run("put_course", account_id=account_id, id=campaign_id, counted_at=counted_at, body=body)


async def recipients(
    tx: Tx, account_id: int, campaign_id: int, *, after: int, state: MessageState | None, limit: int
) -> list[RecipientRow]:
    """The next recipients with a row behind destination `after`."""
    rows = await tx.all(
        "recipients_page",
        account_id=account_id, id=campaign_id, after=after, limit=limit,
        state=None if state is None else int(state),
    )  # fmt: skip
    return [RecipientRow(row[0], MessageState(row[1]), *row[2:]) for row in rows]


async def without_row(
    tx: Tx, account_id: int, campaign_id: int, after: int
) -> tuple[int | None, list[tuple[int, str]]]:
    """Recipients that have no row yet, of the next batches behind `after`: the last batch's number, None at the
    end, and (destination, waiting | sending | cancelled) each."""
    found: list[tuple[int, str]] = []
    batches = await tx.all("first_batches", account_id=account_id, id=campaign_id, after=after, limit=BATCHES)
    for _, state, marked, packed in batches:
        numbers: array[int] = array("q")
        numbers.frombytes(packed)
        word = "cancelled" if state == BatchState.CANCELLED else "waiting"
        found += [(number, word) for number in numbers[marked:]]
        if state in (BatchState.OUT, BatchState.READY) and marked:
            out = [(number,) for number in numbers[:marked]]
            known = {row[0] for row in await tx.many_all("rows_among", out, account_id=account_id, id=campaign_id)}
            found += [(number, "sending") for (number,) in out if number not in known]
    return (batches[-1][0] if batches else None), found


async def accepted_numbers(tx: Tx, account_id: int, campaign_id: int, after: int) -> tuple[int | None, array[int]]:
    """The recipients that a campaign was accepted with, of the next batches behind `after`; None at the end."""
    numbers: array[int] = array("q")
    batches = await tx.all("first_batches", account_id=account_id, id=campaign_id, after=after, limit=BATCHES)
    for _, _, _, packed in batches:
        numbers.frombytes(packed)
    return (batches[-1][0] if batches else None), numbers


async def refs_of(
    tx: Tx, account_id: int, campaign_id: int, destination: int, since: int, until: int
) -> list[tuple[str, int, int]]:
    """The carrier's ids of one message: (id, part from 0, attempt). Slow where there are many ids."""
    rows = await tx.all(
        "refs_of", account_id=account_id, id=campaign_id, destination=destination, since=since, until=until
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def young_refs_of(tx: Tx, account_id: int, campaign_id: int, destination: int) -> list[tuple[str, int, int]]:
    """The same for ids that SQLite's memory holds and the table does not yet. To be run on the writer."""
    memory = memory_of(tx)
    if memory is None:
        return []
    wanted = (account_id, campaign_id, destination)
    found: list[Ref] = []
    for generation in (memory.young, memory.old):
        for known in generation.values():
            for entry in known.values():
                found += [ref for ref in (entry if isinstance(entry, list) else [entry]) if ref[2:5] == wanted]
    return [(ref[0], ref[5], ref[6]) for ref in found]


async def ledger(tx: Tx, account_id: int, before: int, limit: int) -> Sequence[Row]:
    """(no, at, amount, kind, campaign_id, reason) below line `before`, the newest first."""
    return await tx.all("ledger_page", account_id=account_id, before=before, limit=limit)
