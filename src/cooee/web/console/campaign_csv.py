"""A campaign's recipients as CSV, page by page."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Sequence
from zoneinfo import ZoneInfo

from cooee.model.clock import ms_to_local
from cooee.service.history import CampaignFull, RecipientRow
from cooee.service.stories import code_words
from cooee.web.console.visit import Visit

COLUMNS = (
    "number", "state", "code", "meaning", "attempts", "segments", "credits", "carrier", "first_tried", "changed",
    "carrier_said",
)  # fmt: skip
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def plain_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


async def export_rows(visit: Visit, campaign: CampaignFull) -> AsyncIterator[bytes]:
    """The file. Times are in the account's zone, which the column names say."""
    where = visit.zone
    heads = [f"{name} ({where.key})" if name in ("first_tried", "changed") else name for name in COLUMNS]
    yield _lines([heads])
    async for page in visit.services.history.everybody(visit.account, campaign):
        yield await asyncio.to_thread(_encode, page, campaign.line.segments, where)


def _encode(page: Sequence[RecipientRow] | Sequence[tuple[int, str]], segments: int, where: ZoneInfo) -> bytes:
    out: list[Sequence[object]] = []
    for row in page:
        if isinstance(row, tuple):
            out.append((row[0], row[1], "", "", 0, segments, segments, "", "", "", ""))
            continue
        state = row.state.name.lower()
        code = row.code if state in ("failed", "retrying") else ""
        out.append(
            (
                row.destination,
                state,
                code,
                (code_words(row.code) or "") if code else "",
                row.attempt,
                row.parts,
                row.credits,
                plain_cell(row.carrier or ""),
                ms_to_local(row.first_at, where).isoformat(sep=" "),
                ms_to_local(row.changed_at, where).isoformat(sep=" "),
                plain_cell(row.detail or ""),
            )
        )
    return _lines(out)


def _lines(rows: Sequence[Sequence[object]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()
