"""The first page: credits, how the last days went, and what is under way."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

from starlette.responses import Response

from cooee.model.clock import local_to_ms, ms_to_local
from cooee.web.console.plots import Plot, Series
from cooee.web.console.visit import Nav, Page, Visit

SPANS = (7, 14, 30)


def _bounds(visit: Visit, days: int) -> list[tuple[int, int]]:
    """The last `days` days in the account's zone, today last."""
    where = visit.zone
    today = ms_to_local(visit.services.clock.now_ms(), where).replace(hour=0, minute=0, second=0)
    edges = [local_to_ms(today + timedelta(days=ahead), where) for ahead in range(1 - days, 2)]
    return list(pairwise(edges))


async def overview(visit: Visit) -> Response:
    """The page, and the parts of it that are asked for again."""
    account, history = visit.account, visit.services.history
    asked = visit.key("days")
    span = asked if asked in SPANS else 14
    days = await history.days(account, _bounds(visit, span))
    tallies = days.tallies
    plot = Plot(
        at=[tally.starts_at for tally in tallies],
        names=[f"{ms_to_local(tally.starts_at, visit.zone):%a %-d %b}" for tally in tallies],
        series=(
            Series("handed_over", "Messages", [tally.messages for tally in tallies], bars=True),
            Series("delivered", "Delivered", [tally.delivered for tally in tallies]),
            Series("failed", "Failed", [tally.failed for tally in tallies]),
        ),
        zone=account.zone_name,
    )
    active = await history.active(account)
    values: dict[str, Any] = {
        "plot": plot,
        "tallies": tallies,
        "pending": days.pending,
        "span": span,
        "spans": SPANS,
        "messages": sum(tally.messages for tally in tallies),
        "delivered": sum(tally.delivered for tally in tallies),
        "failed": sum(tally.failed for tally in tallies),
        "active": active,
        "progress": await history.progress(account, active),
    }
    template = {"plot": "_overview_plot.html", "active": "_overview_active.html"}.get(visit.query("part"))
    return visit.page(template or "overview.html", **values)


NAV = Nav("Overview", "/", "overview")
PAGES = (Page("/", overview),)
