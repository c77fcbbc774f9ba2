"""A campaign's recipients, and what happened to one of them."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from cooee.model.message import MessageState
from cooee.model.msisdn import parse
from cooee.web.console.pages.campaigns import found
from cooee.web.console.visit import NotFound, Page, Visit

PAGE = 50
FILTERS = {
    "delivered": MessageState.DELIVERED,
    "failed": MessageState.FAILED,
    "handed_over": MessageState.HANDED_OVER,
    "retrying": MessageState.RETRYING,
    "uncertain": MessageState.UNCERTAIN,
    "washed": MessageState.WASHED,
}


async def listing(visit: Visit) -> Response:
    """Recipients with an outcome or an attempt, by number; also looks one up by its number."""
    campaign = await found(visit)
    here = f"/campaigns/{campaign.line.id}"
    wanted = visit.query("number").strip()
    problem = None
    if wanted:
        number = parse(wanted[:64], visit.account.country)
        if number is None:
            problem = f"{wanted[:64]} is no mobile number."
        elif await visit.services.stories.of(visit.account, campaign, number) is None:
            problem = f"{wanted[:64]} is not among the recipients of this campaign."
        else:
            return visit.go(f"{here}/{number}")
    state = visit.query("state")
    after = visit.key("after") or 0
    rows = await visit.services.history.recipients(
        visit.account, campaign.line.id, after=after, state=FILTERS.get(state), limit=PAGE + 1
    )
    more = len(rows) > PAGE
    rows = rows[:PAGE]
    return visit.page(
        "recipients.html",
        line=campaign.line,
        rows=rows,
        state=state,
        filters=FILTERS,
        number=wanted[:64],
        problem=problem,
        first=after == 0,
        next_after=rows[-1].destination if more else None,
    )


async def story(visit: Visit) -> Response:
    """What happened to this message."""
    campaign = await found(visit)
    number = visit.number("number")
    told = await visit.services.stories.of(visit.account, campaign, number)
    if told is None:
        raise NotFound
    key = (visit.account.id, campaign.line.id, number)
    shown: dict[str, Any] = {"line": campaign.line, "number": number, "story": told}
    ids = None
    if visit.query("ids") == "1" and told.first_at is not None:
        ids = await visit.services.trails.carrier_ids(key, told.first_at)
    if visit.query("part") == "ids":
        return visit.page("_carrier_ids.html", ids=ids, **shown)
    receipts = None
    onward = visit.key("from")
    if told.first_at is not None and told.changed_at is not None and visit.services.trails.kept_days:
        receipts = await visit.services.trails.receipts(key, told.first_at, told.changed_at, onward)
    shown |= {"receipts": receipts, "kept_days": visit.services.trails.kept_days, "onward": onward}
    if visit.query("part") == "receipts":
        return visit.page("_receipts.html", **shown)
    return visit.page("story.html", ids=ids, **shown)


PAGES = (
    Page("/campaigns/{id}/recipients", listing),
    Page("/campaigns/{id}/{number}", story),
)
