"""Reading operations for delivery reports and failures; each runs in the transaction `Tx` of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cooee.model.codetable import Source, source_of
from cooee.model.message import GAVE_UP
from cooee.store.database import Row, Tx

PAGE = 5000
"""Rows read in one go: few enough that no snapshot stays open and no reader is kept from others for long."""


async def page(tx: Tx, account_id: int, campaign_id: int, after: int) -> Sequence[Row]:
    """The next PAGE messages behind destination `after`: (destination, state, changed_at, code), of any state.

    Fewer than PAGE mean that this was the last page.
    """
    return await tx.all("report_page", account_id=account_id, campaign_id=campaign_id, after=after, limit=PAGE)


async def one(tx: Tx, account_id: int, campaign_id: int, destination: int) -> Sequence[Row]:
    """The message to one destination, in a list like a page's; empty when there is none."""
    row = await tx.one("report_one", account_id=account_id, campaign_id=campaign_id, destination=destination)
    return [] if row is None else [row]


@dataclass(frozen=True, slots=True)
class Failures:
    """How many messages of a campaign failed with one code, and who said so."""

    code: int
    source: Source
    count: int


FAILURE_PAGE = 20_000
"""Messages that one read looks at: the largest campaigns hold no snapshot for long."""


async def failure_page(tx: Tx, account_id: int, campaign_id: int, after: int) -> tuple[list[Failures], int | None]:
    """Failures among the next messages behind destination `after`, and where to go on; None at the end."""
    found = await tx.all(
        "failure_page", account_id=account_id, campaign_id=campaign_id, after=after, limit=FAILURE_PAGE
    )
    failures = [
        Failures(int(code), Source.COOEE if code == GAVE_UP else source_of(by_receipt), int(count))
        for code, by_receipt, count, _ in found
        if code is not None
    ]
    full = sum(int(row[2]) for row in found) == FAILURE_PAGE
    return failures, max(int(row[3]) for row in found) if full else None
