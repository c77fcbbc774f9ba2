"""Operations on drafts and uploaded files. Each takes a `Tx` and runs inside the caller's transaction; a draft of
a million recipients is written, read and dropped piece by piece."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from cooee.store.database import Tx

PIECE = 10_000
"""Recipients in one row."""
ROWS = 10
"""Rows that one transaction writes or drops: 800 kB."""
FILE_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class DraftRow:
    """A draft; `body` is JSON, `campaign_id` what it was sent as. Times are UTC ms."""

    created_at: int
    body: str
    send_key: str
    campaign_id: int | None


@dataclass(frozen=True, slots=True)
class UploadRow:
    """An uploaded file; `size` in octets, `created_at` UTC ms, `progress` JSON once its import has begun."""

    name: str
    size: int
    created_at: int
    progress: str | None


def pieces(numbers: array[int]) -> list[tuple[int, bytes]]:
    """Numbers as the rows that hold them."""
    packed = memoryview(numbers).cast("B")
    step = PIECE * 8
    return [(no, bytes(packed[at : at + step])) for no, at in enumerate(range(0, len(packed), step))]


async def add(tx: Tx, account_id: int, draft_id: int, body: str, send_key: str, now: int) -> None:
    """A new draft, without its recipients."""
    await tx.run("add_draft", account_id=account_id, id=draft_id, now=now, body=body, send_key=send_key)


async def add_numbers(tx: Tx, account_id: int, draft_id: int, rows: Sequence[tuple[int, bytes]]) -> None:
    """Some of its recipients."""
    await tx.many("add_draft_numbers", rows, account_id=account_id, id=draft_id)


async def find(tx: Tx, account_id: int, draft_id: int) -> DraftRow | None:
    """A draft of this account, or None."""
    row = await tx.one("find_draft", account_id=account_id, id=draft_id)
    return None if row is None else DraftRow(*row)


async def set_body(tx: Tx, account_id: int, draft_id: int, body: str) -> None:
    """Another text and time for a draft that was not sent."""
    await tx.run("set_draft", account_id=account_id, id=draft_id, body=body)


async def numbers(tx: Tx, account_id: int, draft_id: int, after: int) -> tuple[int | None, array[int]]:
    """The next recipients behind row `after`: that row's number, None at the end."""
    found: array[int] = array("q")
    rows = await tx.all("draft_numbers", account_id=account_id, id=draft_id, after=after, limit=ROWS)
    for _, packed in rows:
        found.frombytes(packed)
    return (rows[-1][0] if rows else None), found


async def sent(tx: Tx, account_id: int, draft_id: int, campaign_id: int) -> None:
    """It is a campaign now."""
    await tx.run("draft_sent", account_id=account_id, id=draft_id, campaign_id=campaign_id)


async def drop_piece(tx: Tx, account_id: int, draft_id: int) -> bool:
    """Drops some of a draft's recipients; True when there may be more."""
    dropped = await tx.run("drop_draft_numbers", account_id=account_id, id=draft_id, limit=ROWS)
    return dropped == ROWS


async def drop(tx: Tx, account_id: int, draft_id: int) -> None:
    """Drops a draft whose recipients are gone."""
    await tx.run("drop_draft", account_id=account_id, id=draft_id)


async def old(tx: Tx, before: int) -> list[tuple[int, int]]:
    """(account_id, id) of some drafts from before `before`, UTC ms."""
    return [(row[0], row[1]) for row in await tx.all("old_drafts", before=before)]


async def opted_out(tx: Tx, account_id: int, some: Sequence[int]) -> int:
    """How many of these numbers are among the account's opt-outs."""
    rows = await tx.many_all("opted_out_among", [(number,) for number in some], account_id=account_id)
    return int(rows[0][0]) if rows else 0


# --- files -------------------------------------------------------------------------------------------------


async def add_upload(tx: Tx, account_id: int, upload_id: int, name: str, size: int, now: int) -> None:
    """A file that begins to be kept."""
    await tx.run("add_upload", account_id=account_id, id=upload_id, name=name, size=size, now=now)


async def add_upload_piece(tx: Tx, account_id: int, upload_id: int, no: int, body: bytes) -> None:
    """A piece of it, of FILE_PIECE octets at most."""
    await tx.run("add_upload_piece", account_id=account_id, id=upload_id, no=no, body=body)


async def find_upload(tx: Tx, account_id: int, upload_id: int) -> UploadRow | None:
    """A file of this account, or None."""
    row = await tx.one("find_upload", account_id=account_id, id=upload_id)
    return None if row is None else UploadRow(*row)


async def begin_upload(tx: Tx, account_id: int, upload_id: int, progress: str) -> bool:
    """Says that its import begins; False when it had begun already."""
    return await tx.run("begin_upload", account_id=account_id, id=upload_id, progress=progress) == 1


async def set_upload(tx: Tx, account_id: int, upload_id: int, progress: str) -> None:
    """How far its import is."""
    await tx.run("set_upload", account_id=account_id, id=upload_id, progress=progress)


async def upload_piece(tx: Tx, account_id: int, upload_id: int, no: int) -> bytes | None:
    """One piece of a file, None behind its end."""
    row = await tx.one("upload_piece", account_id=account_id, id=upload_id, no=no)
    return None if row is None else bytes(row[0])


async def drop_upload_piece(tx: Tx, account_id: int, upload_id: int) -> bool:
    """Drops some of a file; True when there may be more."""
    dropped = await tx.run("drop_upload_pieces", account_id=account_id, id=upload_id, limit=ROWS)
    return dropped == ROWS


async def drop_upload(tx: Tx, account_id: int, upload_id: int) -> None:
    """Drops a file whose pieces are gone."""
    await tx.run("drop_upload", account_id=account_id, id=upload_id)


async def old_uploads(tx: Tx, before: int) -> list[tuple[int, int]]:
    """(account_id, id) of some files from before `before`, UTC ms."""
    return [(row[0], row[1]) for row in await tx.all("old_uploads", before=before)]
