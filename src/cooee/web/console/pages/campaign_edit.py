"""Another text, sender or time for a campaign that has not started."""

from __future__ import annotations

from starlette.responses import Response

from cooee.model.clock import HOUR
from cooee.model.errors import CAMPAIGN_STATE, CREDITS_SHORT, ApiError
from cooee.model.segments import segment
from cooee.service.history import CampaignFull
from cooee.service.recipients import ModifyCampaign
from cooee.web.console.campaign_view import actions
from cooee.web.console.message_form import MessageForm, as_sent, local_input, read_form
from cooee.web.console.pages.campaigns import found
from cooee.web.console.preview import preview
from cooee.web.console.visit import Page, Visit


def _page(visit: Visit, campaign: CampaignFull, form: MessageForm, status: int = 200) -> Response:
    return visit.page(
        "campaign_edit.html",
        status,
        campaign=campaign,
        line=campaign.line,
        form=form,
        view=preview(as_sent(visit.account, form.message)),
        senders=sorted(visit.account.approved) if visit.account.approved_only else [],
    )


async def show(visit: Visit) -> Response:
    """The form with what is there."""
    campaign = await found(visit)
    line = campaign.line
    if "edit" not in actions(campaign):
        return visit.go(f"/campaigns/{line.id}", done="too-late")
    at = local_input(line.due_at or visit.services.clock.now_ms() + HOUR, visit)
    form = MessageForm(
        line.body, line.body, line.originator, later=line.due_at is not None, at=at, due_at=line.due_at
    )
    return _page(visit, campaign, form)


async def save(visit: Visit) -> Response:
    """Changes it; the difference in price is charged or given back."""
    campaign = await found(visit)
    line = campaign.line
    form = read_form(visit)
    if form.later and line.due_at is not None and form.at == local_input(line.due_at, visit):
        # Its time as it was, perhaps past while it is paused.
        form.problems.pop("at", None)
        form.due_at = line.due_at
    if form.problems:
        return _page(visit, campaign, form, 400)
    change = ModifyCampaign(
        message=form.text if form.text != line.body else None,
        segmented=segment(form.text) if form.text != line.body else None,
        originator=form.sender,
        reschedules=form.due_at != line.due_at,
        due_at=form.due_at,
    )
    try:
        await visit.services.campaigns.modify(visit.account, line.id, change)
    except ApiError as error:
        if error.code is CREDITS_SHORT:
            form.problems["message"] = (
                "There are not enough credits for the longer text, or today's limit would be passed."
            )
            return _page(visit, campaign, form, 400)
        if error.code is CAMPAIGN_STATE:
            return visit.go(f"/campaigns/{line.id}", done="too-late")
        raise
    return visit.go(f"/campaigns/{line.id}", done="edited")


PAGES = (Page("/campaigns/{id}/edit", show, save),)
