"""What the page of a campaign shows: its counts, its pace, its course."""

from __future__ import annotations

from typing import Any

from cooee.model.campaign import CampaignState
from cooee.model.clock import SECOND, ms_to_local
from cooee.model.codetable import source_of
from cooee.service.history import STATES, CampaignFull, Course
from cooee.web.console.plots import Plot, Series, closed_hours
from cooee.web.console.visit import Visit

MOVING = (CampaignState.SCHEDULED, CampaignState.STARTING, CampaignState.RUNNING)
LINGER_MS = 3600 * SECOND
"""How long after its end a campaign's receipts are watched."""


def actions(campaign: CampaignFull) -> set[str]:
    """What can be done with it now: pause, resume, edit, cancel."""
    state, begun = campaign.line.state, campaign.line.started_at is not None
    match state:
        case CampaignState.SCHEDULED:
            return {"pause", "edit", "cancel"}
        case CampaignState.STARTING | CampaignState.RUNNING:
            return {"pause"}
        case CampaignState.PAUSED:
            return {"resume", "cancel"} if begun else {"resume", "edit", "cancel"}
        case _:
            return set()


async def live_values(visit: Visit, campaign: CampaignFull) -> dict[str, Any]:
    """Counts by state that add up, the pace, and whether any of it still changes."""
    line = campaign.line
    counts = await visit.services.history.counts(visit.account, line)
    now = visit.services.clock.now_ms()
    left = counts["waiting"] + counts["sending"] + counts["retrying"]
    gone = line.messages - left - counts["cancelled"]
    rate = None
    if line.state is CampaignState.RUNNING and line.started_at is not None and now > line.started_at and gone:
        rate = gone * SECOND / (now - line.started_at)
    open_ones = left + counts["uncertain"] + counts["handed_over"]
    quiet = line.finished_at is not None and now - line.finished_at > LINGER_MS
    return {
        "campaign": campaign,
        "line": line,
        "counts": counts,
        "pieces": [(state, counts[state]) for state in STATES],
        "keys": [state for state in STATES if counts[state] or state in ("delivered", "failed")],
        "gone": gone,
        "rate": rate,
        "ends_in": left / rate if rate and left else None,
        "moving": line.state in MOVING
        or (line.state is not CampaignState.DELETED and open_ones > 0 and not quiet),
        "often": 2 if line.state in (CampaignState.STARTING, CampaignState.RUNNING) else 10,
        "actions": actions(campaign),
    }


async def plot_values(visit: Visit, campaign: CampaignFull, counts: dict[str, int]) -> dict[str, Any]:
    """The course of a campaign as a plot, and its failures by code."""
    course, counting = await visit.services.history.course(visit.account, campaign, counts)
    table = visit.services.codes
    codes = (
        []
        if course is None
        else [(code, count, table.find(code, source_of(by_receipt))) for code, by_receipt, count in course.codes]
    )
    return {
        "plot": None if course is None or not course.total else _plot(visit, course),
        "counting": counting,
        "codes": codes[:50],
        "failed": sum(count for _, count, _ in codes),
    }


def _plot(visit: Visit, course: Course) -> Plot:
    account = visit.account
    at = [course.start + place * course.bucket for place in range(len(course.sent))]
    form = "%H:%M:%S" if course.bucket < 60 * SECOND else "%-d %b %H:%M"
    return Plot(
        at=at,
        names=[f"{ms_to_local(moment, visit.zone):{form}}" for moment in at],
        series=(
            Series("handed_over", "First tried", course.sent),
            Series("delivered", "Delivered", course.delivered),
            Series("failed", "Failed", course.failed),
        ),
        zone=account.zone_name,
        closed=closed_hours(at[0], at[-1] + course.bucket, account.window, visit.zone) if at else (),
    )
