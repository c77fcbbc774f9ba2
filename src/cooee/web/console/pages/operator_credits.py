"""An account's credits: corrections, the ledger, and the monthly bill of it and all below it."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from zoneinfo import ZoneInfo

from starlette.responses import Response

from cooee.model.account import Account
from cooee.model.clock import iso_offset, ms_to_local, zone
from cooee.model.errors import ConfigError, StoreError
from cooee.service.billing import Bill, Sums
from cooee.web.console.account_form import sentence, whole
from cooee.web.console.campaign_csv import plain_cell
from cooee.web.console.pages.operator_accounts import at, found
from cooee.web.console.visit import Refused, Visit

PAGE = 50
MONTHS = 24
"""Months that the page offers; older ones can be asked for in the address."""
SUMS = (
    ("opening", "Opening"), ("top_ups", "Top-ups"), ("charges", "Charges"), ("refunds", "Refunds"),
    ("adjustments", "Adjustments"), ("closing", "Closing"), ("campaigns", "Campaigns"), ("messages", "Messages"),
    ("segments", "Segments"),
)  # fmt: skip


async def show(visit: Visit) -> Response:
    """The balance, a form that corrects it, and the ledger."""
    return await _page(visit, await found(visit))


async def _page(visit: Visit, account: Account, problem: str | None = None, status: int = 200) -> Response:
    before = visit.key("before")
    lines = await visit.services.history.ledger(account, before=before, limit=PAGE + 1)
    more = len(lines) > PAGE
    lines = lines[:PAGE]
    return visit.page(
        "operator_credits.html",
        status,
        found=account,
        view=await visit.services.accounts.show(account.name, ledger=0),
        lines=lines,
        problem=problem,
        amount=visit.text("amount")[:20],
        reason=visit.text("reason")[:200],
        take=visit.text("take") == "1",
        first=before is None,
        next_before=lines[-1].no if more else None,
    )


async def adjust(visit: Visit) -> Response:
    """Adds credits, or takes some."""
    account = await found(visit)
    try:
        amount = whole(visit.text("amount").strip()[:20])
        if amount < 0:
            raise ConfigError("say how many credits, above zero, and whether they are added or taken")
        sign = -1 if visit.text("take") == "1" else 1
        await visit.services.accounts.credit(account.name, sign * amount, visit.text("reason")[:200])
    except ConfigError as error:
        return await _page(visit, account, sentence(error), 400)
    return visit.go(f"/operator/accounts/{account.id}/credits", done="credits-adjusted")


# --- the bill ----------------------------------------------------------------------------------------------


async def _bill(visit: Visit, account: Account) -> Bill:
    try:
        return await visit.services.desk.billing.bill(account.name, visit.query("month")[:7] or None)
    except ConfigError as error:
        raise Refused(sentence(error)) from None
    except StoreError as error:
        if "its ledger says" not in str(error):
            raise
        raise Refused(sentence(error), 409) from None


async def bill(visit: Visit) -> Response:
    """A month, account by account."""
    account = await found(visit)
    made = await _bill(visit, account)
    lines = []
    async for line in visit.services.desk.billing.lines(made):
        lines.append(line)
        if len(lines) > PAGE:
            break
    return visit.page(
        "operator_bill.html",
        found=account,
        bill=made,
        months=_months(visit.services.clock.now_ms(), account.zone, made.month),
        sums=SUMS,
        lines=lines[:PAGE],
        more=len(lines) > PAGE,
        where=zone(made.zone),
    )


def _months(now: int, where: ZoneInfo, chosen: str) -> list[str]:
    local = ms_to_local(now, where)
    offered = []
    year, month = local.year, local.month
    for _ in range(MONTHS):
        offered.append(f"{year:04d}-{month:02d}")
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)
    return offered if chosen in offered else [*offered, chosen]


async def bill_csv(visit: Visit) -> Response:
    """The same as CSV: a line an account."""
    account = await found(visit)
    made = await _bill(visit, account)

    async def rows() -> AsyncIterator[bytes]:
        yield _csv([["account", "parent", *(name for name, _ in SUMS)]])
        yield _csv([item.name, item.parent or "", *_values(item.sums)] for item in made.items)

    return visit.download(f"credits-{account.id}-{made.month}.csv", rows())


async def lines_csv(visit: Visit) -> Response:
    """Every top-up and adjustment of the month as CSV."""
    account = await found(visit)
    made = await _bill(visit, account)
    where = zone(made.zone)

    async def rows() -> AsyncIterator[bytes]:
        yield _csv([["account", "no", "at", "amount", "kind", "reason"]])
        async for line in visit.services.desk.billing.lines(made):
            yield _csv([
                [line.account, line.no, iso_offset(line.at, where), line.amount, line.kind, line.reason]
            ])  # fmt: skip

    return visit.download(f"credits-{account.id}-{made.month}-lines.csv", rows())


def _values(sums: Sums) -> list[int]:
    return [getattr(sums, name) for name, _ in SUMS]


def _csv(rows: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([plain_cell(value) if isinstance(value, str) else value for value in row] for row in rows)
    return out.getvalue().encode()


NOTICES = {"credits-adjusted": "The balance is changed, and the ledger says why."}
PAGES = (
    at("/accounts/{id}/credits", show, adjust),
    at("/accounts/{id}/bill", bill),
    at("/accounts/{id}/bill.csv", bill_csv),
    at("/accounts/{id}/bill-lines.csv", lines_csv),
)
