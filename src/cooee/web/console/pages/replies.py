"""What handsets wrote, as conversations; and the answer."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from array import array
from collections.abc import AsyncIterator

from starlette.responses import Response

from cooee.model.clock import ms_to_local
from cooee.model.errors import CREDITS_SHORT, ApiError
from cooee.model.msisdn import Checked, parse
from cooee.model.originator import parse_originator
from cooee.model.segments import segment
from cooee.service.conversations import NEWEST, Conversation, SentRow
from cooee.service.intake import Intake
from cooee.service.recipients import CreateCampaign
from cooee.service.replies import Question
from cooee.web.console.campaign_csv import plain_cell
from cooee.web.console.message_form import as_sent, message_problem, sender_problem
from cooee.web.console.preview import preview
from cooee.web.console.security import fresh_token
from cooee.web.console.visit import Nav, NotFound, Page, Refused, Visit

PAGE = 50
_PLACE = re.compile(r"([0-9]{1,16})-([0-9]{1,16})")
_ONCE = re.compile(r"[A-Za-z0-9_-]{20,64}")


def _place(text: str) -> tuple[int, int]:
    """Where a page begins: (received_at, id) as the address has it."""
    found = _PLACE.fullmatch(text)
    return (int(found[1]), int(found[2])) if found else NEWEST


async def listing(visit: Visit) -> Response:
    """Conversations, the newest first; a number that is looked for leads to its own."""
    wanted = visit.query("q").strip()[:64]
    problem = None
    if wanted:
        number = parse(wanted, visit.account.country)
        if number is not None and await visit.services.conversations.find(visit.account, number) is not None:
            return visit.go(f"/replies/{number}")
        problem = f"{wanted} has not written to you."
    show = visit.query("show")
    before = visit.query("before")
    talks = await visit.services.conversations.page(
        visit.account,
        before=_place(before),
        stops=show == "stops",
        unread=show == "unread",
        limit=PAGE + 1,
    )
    more = len(talks) > PAGE
    talks = talks[:PAGE]
    template = "_replies_list.html" if visit.query("part") == "list" else "replies.html"
    return visit.page(
        template,
        talks=talks,
        show=show,
        q=wanted,
        problem=problem,
        first=not before,
        next_before=f"{talks[-1].received_at}-{talks[-1].id}" if more else None,
    )


async def _found(visit: Visit) -> tuple[int, Conversation]:
    handset = visit.number("number")
    conversation = await visit.services.conversations.find(visit.account, handset, _place(visit.query("before")))
    if conversation is None:
        raise NotFound
    return handset, conversation


async def show(visit: Visit) -> Response:
    """One conversation."""
    handset, conversation = await _found(visit)
    return _page(visit, handset, conversation)


def _page(
    visit: Visit,
    handset: int,
    conversation: Conversation,
    *,
    text: str = "",
    problem: str | None = None,
    status: int = 200,
) -> Response:
    sender = parse_originator(conversation.newest.recipient)
    barred = "It wrote to a number that messages cannot be sent from." if sender is None else None
    if sender is not None:
        barred = sender_problem(visit.account, sender)
    template = "_conversation.html" if visit.query("part") == "lines" else "conversation.html"
    more = conversation.more
    return visit.page(
        template,
        status,
        handset=handset,
        talk=conversation,
        lines=[(isinstance(line, SentRow), line) for line in conversation.lines],
        more=f"{more[0]}-{more[1]}" if more is not None else None,
        newest=not visit.query("before"),
        sender=conversation.newest.recipient,
        barred=barred,
        text=text,
        view=preview(as_sent(visit.account, text)),
        problem=problem,
        once=fresh_token(),
    )


async def count(visit: Visit) -> Response:
    """What the answer comes to, as it is typed."""
    text = visit.text("message")
    problem = message_problem(visit.account, text) if text.strip() else None
    return visit.page("_answer_meter.html", view=preview(as_sent(visit.account, text)), problem=problem)


async def answer(visit: Visit) -> Response:
    """Sends an answer from the number that was written to: a campaign of one recipient, once."""
    handset, conversation = await _found(visit)
    account, services = visit.account, visit.services
    text, once = visit.text("message"), visit.text("once")

    def refused(problem: str, status: int = 400) -> Response:
        return _page(visit, handset, conversation, text=text, problem=problem, status=status)

    problem = message_problem(account, text)
    sender = parse_originator(conversation.newest.recipient)
    if problem is None and sender is not None:
        problem = sender_problem(account, sender)
    if sender is None:
        problem = "It wrote to a number that messages cannot be sent from."
    if problem is not None or sender is None:
        return refused(problem or "")
    if conversation.opted_out is not None:
        return refused("This number has opted out: it is not written to.")
    await services.recipients.prepare(account)
    intake = Intake(account)
    intake.add_canonical([handset])
    if not intake.result().numbers:
        return refused("This account may not send to that number.")
    if not _ONCE.fullmatch(once):
        raise Refused("This page has gone stale: go back, reload it, and try again.")
    sent = as_sent(account, text)
    digest = hashlib.sha256(f"{handset} {sent}".encode()).hexdigest()
    key = f"console-{once}"
    try:
        created = await services.campaigns.replay(account, key, digest)
        if created is None:
            created = await services.campaigns.create(
                account,
                CreateCampaign(
                    message=sent,
                    segmented=segment(sent),
                    originator=sender,
                    due_at=None,
                    reference=None,
                    recipients=Checked(array("q", (handset,)), 0, 0, 0),
                    idempotency_key=key,
                    body_digest=digest,
                ),
                action="reply answered",
            )
    except ApiError as error:
        if error.code is CREDITS_SHORT:
            return refused("There are not enough credits for it. Nothing was sent.")
        raise
    await services.conversations.answered(account, handset, created.campaign_id)
    return visit.go(f"/replies/{handset}", done="answered")


async def nameless(visit: Visit) -> Response:
    """One reply of a sender that is no number."""
    reply = await visit.services.conversations.nameless(visit.account, visit.number("id"))
    if reply is None:
        raise NotFound
    return visit.page("reply_nameless.html", reply=reply)


async def export(visit: Visit) -> Response:
    """Every reply as CSV, the oldest first."""
    account, where = visit.account, visit.zone

    async def rows() -> AsyncIterator[bytes]:
        yield _lines([("received", "from", "to", "text", "reference")])
        question = Question(since=0, until=visit.services.clock.now_ms() + 1)
        async for page in visit.services.replies.pages(account, question):
            yield _lines(
                [
                    (
                        ms_to_local(received_at, where).isoformat(sep=" "),
                        plain_cell(originator),
                        plain_cell(recipient),
                        plain_cell(body),
                        plain_cell(reference),
                    )
                    for _, received_at, originator, recipient, body, reference in page
                ]
            )

    return visit.download("replies.csv", rows())


def _lines(rows: list[tuple[str, str, str, str, str]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


NAV = Nav("Replies", "/replies", "replies")
NOTICES = {"answered": "Your answer is on its way."}
PAGES = (
    Page("/replies", listing),
    Page("/replies/export.csv", export),
    Page("/replies/count", post=count),
    Page("/replies/from/{id}", nameless),
    Page("/replies/{number}", show, answer),
)
