"""Before anything is sent: what it costs, who gets it, when it starts and ends; and the one button that sends."""

from __future__ import annotations

import hashlib
import re
from array import array

from starlette.responses import Response

from cooee.model.errors import CREDITS_SHORT, ApiError
from cooee.model.msisdn import Checked, parse
from cooee.model.originator import parse_originator
from cooee.model.segments import segment
from cooee.service.drafts import Draft
from cooee.service.intake import Intake
from cooee.service.recipients import CreateCampaign
from cooee.web.console.message_form import message_problem, sender_problem
from cooee.web.console.preview import preview
from cooee.web.console.security import fresh_token
from cooee.web.console.visit import NotFound, Page, Refused, Visit

ME = "cooee-me"
"""Cookie with the number that a person sends trials to."""
YEAR_S = 365 * 24 * 3600
_ONCE = re.compile(r"[A-Za-z0-9_-]{20,64}")


async def _found(visit: Visit) -> Draft:
    draft = await visit.services.drafts.find(visit.account, visit.number("id"))
    if draft is None:
        raise NotFound
    return draft


async def show(visit: Visit) -> Response:
    """The rehearsal."""
    draft = await _found(visit)
    if draft.campaign_id is not None:
        return visit.go(f"/campaigns/{draft.campaign_id}")
    return await _page(visit, draft)


async def _page(
    visit: Visit, draft: Draft, problem: str | None = None, at: str = "", status: int = 200
) -> Response:
    balance = await visit.services.accounts.balance(visit.account)
    me = visit.text("me") or visit.request.cookies.get(ME, "")
    return visit.page(
        "rehearsal.html",
        status,
        draft=draft,
        body=draft.body,
        view=preview(draft.body.message),
        plan=await visit.services.drafts.rehearse(visit.account, draft, balance),
        problem=problem,
        at=at,
        me=me[:64],
        once=fresh_token(),
    )


async def send(visit: Visit) -> Response:
    """Sends it: once, however often the button is pressed."""
    draft = await _found(visit)
    if draft.campaign_id is not None:
        return visit.go(f"/campaigns/{draft.campaign_id}")
    sender = parse_originator(draft.body.originator)
    problem = message_problem(visit.account, draft.body.message)
    if problem is None and sender is not None:
        problem = sender_problem(visit.account, sender)
    if problem is not None or sender is None:
        return await _page(visit, draft, problem or "The sender is not valid any more.", "send", 400)
    try:
        created = await visit.services.drafts.send(visit.account, draft, sender)
    except ApiError as error:
        if error.code is CREDITS_SHORT:
            return await _page(
                visit,
                draft,
                "There are not enough credits for it, or today's limit would be passed. Nothing was sent.",
                "send",
                400,
            )
        raise
    return visit.go(f"/campaigns/{created.campaign_id}", done="sent")


async def to_me(visit: Visit) -> Response:
    """Sends it to one's own phone first: a campaign of its own, which costs its segments."""
    draft = await _found(visit)
    account = visit.account
    await visit.services.recipients.prepare(account)
    number = parse(visit.text("me")[:64], account.country)
    if number is None:
        return await _page(visit, draft, "That is no mobile number.", "me", 400)
    intake = Intake(account)
    intake.add_canonical([number])
    if not intake.result().numbers:
        return await _page(visit, draft, "That number is where this account may not send to.", "me", 400)
    sender = parse_originator(draft.body.originator)
    if sender is not None and (problem := sender_problem(account, sender)):
        return await _page(visit, draft, problem, "me", 400)
    once = visit.text("once")
    if sender is None or not _ONCE.fullmatch(once):
        raise Refused("This page has gone stale: go back, reload it, and try again.")
    key = f"console-{once}"
    digest = hashlib.sha256(f"{draft.id} {number}".encode()).hexdigest()
    try:
        created = await visit.services.campaigns.replay(account, key, digest)
        if created is None:
            created = await visit.services.campaigns.create(
                account,
                CreateCampaign(
                    message=draft.body.message,
                    segmented=segment(draft.body.message),
                    originator=sender,
                    due_at=None,
                    reference=None,
                    recipients=Checked(array("q", (number,)), 0, 0, 0),
                    idempotency_key=key,
                    body_digest=digest,
                ),
            )
    except ApiError as error:
        return await _page(visit, draft, f"{error}.", "me", 400)
    response = visit.go(f"/compose/{draft.id}", done="to-me", trial=created.campaign_id)
    response.set_cookie(
        ME, str(number), max_age=YEAR_S, path="/", secure=visit.https, httponly=True, samesite="lax"
    )
    return response


async def discard(visit: Visit) -> Response:
    """Throws the draft away."""
    draft = await _found(visit)
    if draft.campaign_id is None:
        await visit.services.drafts.drop(visit.account, draft.id)
    return visit.go("/compose", done="discarded")


NOTICES = {
    "sent": "Accepted. You can leave this page: it goes on by itself.",
    "to-me": "It is on its way to your phone. Look at it there before you send it to everybody.",
    "discarded": "The draft is gone; nothing was sent.",
}
PAGES = (
    Page("/compose/{id}", show),
    Page("/compose/{id}/send", post=send),
    Page("/compose/{id}/to-me", post=to_me),
    Page("/compose/{id}/discard", post=discard),
)
