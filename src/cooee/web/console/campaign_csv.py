"""A campaign's recipients as CSV, page by page."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Sequence
from zoneinfo import ZoneInfo

from cooee.model.clock import SECOND, ms_to_local
from cooee.model.codetable import CodeTable, source_of
from cooee.model.message import MessageState
from cooee.service.history import CampaignFull, RecipientRow
from cooee.web.console.visit import Visit

COLUMNS = (
    "number", "state", "code", "meaning", "attempts", "segments", "credits", "carrier", "first_tried", "changed",
    "carrier_said",
)  # fmt: skip
_WORDS = {state: state.name.lower() for state in MessageState}
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def plain_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


async def export_rows(visit: Visit, campaign: CampaignFull) -> AsyncIterator[bytes]:
    """The file. Times are in the account's zone, which the column names say."""
    where = visit.zone
    heads = [f"{name} ({where.key})" if name in ("first_tried", "changed") else name for name in COLUMNS]
    yield _lines([heads])
    times = _Times(where)
    async for page in visit.services.history.everybody(visit.account, campaign):
        yield await asyncio.to_thread(_encode, page, campaign.line.segments, times, visit.services.codes)


class _Times:
    """Local times; receipts come many a second, so that a second's text is written once."""

    def __init__(self, where: ZoneInfo) -> None:
        self._where = where
        self._known: dict[int, str] = {}

    def __call__(self, ms: int) -> str:
        second = ms // SECOND
        text = self._known.get(second)
        if text is None:
            if len(self._known) > 10_000:
                self._known.clear()
            text = self._known[second] = ms_to_local(ms, self._where).isoformat(sep=" ")
        return text


def _encode(
    page: Sequence[RecipientRow] | Sequence[tuple[int, str]], segments: int, times: _Times, codes: CodeTable
) -> bytes:
    out: list[Sequence[object]] = []
    failures = (MessageState.FAILED, MessageState.RETRYING)
    for row in page:
        if isinstance(row, tuple):
            out.append((row[0], row[1], "", "", 0, segments, "", "", "", "", ""))
            continue
        state = _WORDS[row.state]
        code = row.code if row.state in failures else ""
        out.append(
            (
                row.destination,
                state,
                code,
                _meaning(codes, row) if code else "",
                row.attempt,
                row.parts,
                row.credits,
                plain_cell(row.carrier or ""),
                times(row.first_at),
                times(row.changed_at),
                plain_cell(row.detail or ""),
            )
        )
    return _lines(out)


def _meaning(codes: CodeTable, row: RecipientRow) -> str:
    name = codes.find(row.code, source_of(row.failed))
    return "" if name is None else f"{name.name} ({name.lasts})"


def _lines(rows: Sequence[Sequence[object]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()
