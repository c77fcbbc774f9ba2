"""The balance, and every change of it."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence

from starlette.responses import Response

from cooee.model.clock import ms_to_local
from cooee.model.errors import CREDITS_INVALID, CREDITS_NOT_ALLOWED, ApiError
from cooee.web.console.campaign_csv import plain_cell
from cooee.web.console.visit import Nav, Page, Visit

PAGE = 50
EXPORTED = 2000
"""Lines that are read at a time for the export."""


async def show(visit: Visit) -> Response:
    """The ledger, the newest first."""
    return await _page(visit)


async def _page(visit: Visit, problem: str | None = None, status: int = 200) -> Response:
    before = visit.key("before")
    lines = await visit.services.history.ledger(visit.account, before=before, limit=PAGE + 1)
    more = len(lines) > PAGE
    lines = lines[:PAGE]
    return visit.page(
        "credits.html",
        status,
        lines=lines,
        problem=problem,
        asked=visit.text("amount")[:20],
        first=before is None,
        next_before=lines[-1].no if more else None,
    )


async def top_up(visit: Visit) -> Response:
    """Adds credits that the operator bills later."""
    text = visit.text("amount").strip().replace(",", "").replace(" ", "")
    amount = int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else None
    try:
        await visit.services.accounts.top_up(visit.account, amount)
    except ApiError as error:
        if error.code is CREDITS_INVALID:
            return await _page(visit, "Say how many credits: a whole number above zero.", 400)
        if error.code is CREDITS_NOT_ALLOWED:
            return await _page(visit, "This account may not add credits by itself. Ask your operator.", 403)
        raise
    return visit.go("/credits", done="topped-up")


async def export(visit: Visit) -> Response:
    """The whole ledger as CSV, the newest line first."""
    account, where = visit.account, visit.zone

    async def rows() -> AsyncIterator[bytes]:
        yield _lines([("no", f"time ({where.key})", "what", "campaign", "why", "credits")])
        before: int | None = None
        while page := await visit.services.history.ledger(account, before=before, limit=EXPORTED):
            yield _lines(
                [
                    (
                        line.no,
                        ms_to_local(line.at, where).isoformat(sep=" "),
                        line.kind,
                        line.campaign_id or "",
                        plain_cell(line.reason or ""),
                        line.amount,
                    )
                    for line in page
                ]
            )
            before = page[-1].no

    return visit.download("credits.csv", rows())


def _lines(rows: Sequence[Sequence[object]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


NAV = Nav("Credits", "/credits", "credits")
NOTICES = {"topped-up": "The credits were added; they are billed later."}
PAGES = (Page("/credits", show, top_up), Page("/credits/export.csv", export))
