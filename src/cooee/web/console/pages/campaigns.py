"""Campaigns: the list, and what is done with one of them."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from cooee.model.campaign import CampaignState
from cooee.model.errors import CAMPAIGN_STATE, ApiError
from cooee.service.history import CampaignFull
from cooee.web.console.campaign_csv import export_rows
from cooee.web.console.campaign_view import actions, live_values, plot_values
from cooee.web.console.visit import Nav, NotFound, Page, Visit

PAGE = 50
STATE_FILTERS = {
    "scheduled": (CampaignState.SCHEDULED,),
    "running": (CampaignState.STARTING, CampaignState.RUNNING),
    "paused": (CampaignState.PAUSED,),
    "finished": (CampaignState.FINISHED,),
    "deleted": (CampaignState.DELETED,),
}


async def listing(visit: Visit) -> Response:
    """Campaigns, the newest first; the filter is in the address."""
    state = visit.query("state")
    bulk = visit.query("bulk") == "1"
    word = visit.query("q")[:100].replace("\0", "")
    before = visit.key("before")
    history = visit.services.history
    lines = await history.page(
        visit.account,
        before=before,
        states=STATE_FILTERS.get(state, ()),
        word=word,
        least=2 if bulk else 1,
        limit=PAGE + 1,
    )
    more = len(lines) > PAGE
    lines = lines[:PAGE]
    return visit.page(
        "campaigns.html",
        lines=lines,
        progress=await history.progress(visit.account, lines),
        state=state,
        states=STATE_FILTERS,
        bulk=bulk,
        q=word,
        first=before is None,
        filtered=bool(word or bulk or state in STATE_FILTERS),
        next_before=lines[-1].id if more else None,
    )


async def found(visit: Visit) -> CampaignFull:
    """The campaign of the path, if it is this account's."""
    campaign = await visit.services.history.find(visit.account, visit.number("id"))
    if campaign is None:
        raise NotFound
    return campaign


async def show(visit: Visit) -> Response:
    """One campaign; its live parts are asked for by themselves."""
    campaign = await found(visit)
    part = visit.query("part")
    values: dict[str, Any] = await live_values(visit, campaign)
    if part == "live":
        page = visit.page("_campaign_live.html", **values)
        if not values["moving"]:
            # Nothing moves any more: the page is drawn anew once, and asks no more.
            page.headers["HX-Refresh"] = "true"
        return page
    values |= await plot_values(visit, campaign, values["counts"])
    if part == "course":
        return visit.page("_campaign_course.html", **values)
    return visit.page("campaign.html", **values)


async def _act(visit: Visit, action: str) -> Response:
    campaign = await found(visit)
    account, campaigns = visit.account, visit.services.campaigns
    here = f"/campaigns/{campaign.line.id}"
    try:
        match action:
            case "pause":
                await campaigns.pause(account.id, campaign.line.id)
            case "resume":
                await campaigns.unpause(account.id, campaign.line.id)
            case _:
                await campaigns.delete(account.id, campaign.line.id)
    except ApiError as error:
        if error.code is not CAMPAIGN_STATE:
            raise
        return visit.go(here, done="too-late")
    return visit.go(here, done=action)


async def pause(visit: Visit) -> Response:
    """Stops what is not yet handed over."""
    return await _act(visit, "pause")


async def resume(visit: Visit) -> Response:
    """Goes on."""
    return await _act(visit, "resume")


async def ask_cancel(visit: Visit) -> Response:
    """What cancelling would do, and the button that does it."""
    campaign = await found(visit)
    if "cancel" not in actions(campaign):
        return visit.go(f"/campaigns/{campaign.line.id}", done="too-late")
    return visit.page("campaign_cancel.html", **await live_values(visit, campaign))


async def cancel(visit: Visit) -> Response:
    """Cancels what was never handed over, and refunds it."""
    return await _act(visit, "cancel")


async def export(visit: Visit) -> Response:
    """Every recipient as CSV, streamed."""
    campaign = await found(visit)
    return visit.download(f"campaign-{campaign.line.id}.csv", export_rows(visit, campaign))


NAV = Nav("Campaigns", "/campaigns", "campaigns")
NOTICES = {
    "pause": "Paused. What the carrier has already will still arrive; the rest waits.",
    "resume": "It goes on.",
    "cancel": "Cancelled. What was not handed over is refunded.",
    "too-late": "That is not possible any more: its state has changed meanwhile.",
    "edited": "Saved.",
}
PAGES = (
    Page("/campaigns", listing),
    Page("/campaigns/{id}", show),
    Page("/campaigns/{id}/pause", post=pause),
    Page("/campaigns/{id}/resume", post=resume),
    Page("/campaigns/{id}/cancel", ask_cancel, cancel),
    Page("/campaigns/{id}/export.csv", export),
)
