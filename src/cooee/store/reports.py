"""Reading operations for delivery reports. Each takes a `Tx` and runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

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
