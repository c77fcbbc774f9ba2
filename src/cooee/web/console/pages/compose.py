"""Writing a message: the form, its live counter and preview, and what its recipients come to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from starlette.responses import Response

from cooee.model.clock import HOUR
from cooee.model.errors import ApiError, ConfigError
from cooee.service.drafts import Draft, DraftBody, price_of
from cooee.web.console.message_form import MessageForm, as_sent, local_input, message_problem, read_form
from cooee.web.console.preview import preview, with_twins
from cooee.web.console.recipients_form import take
from cooee.web.console.visit import UPLOAD, Nav, NotFound, Page, Visit

PASTED = 4 * 1024 * 1024
SENDERS = 6


async def _senders(visit: Visit) -> list[str]:
    """Who it may be from: what is approved, or who the last campaigns were from."""
    if visit.account.approved_only:
        return sorted(visit.account.approved)
    lines = await visit.services.history.page(visit.account, limit=30)
    return list(dict.fromkeys(line.originator for line in lines))[:SENDERS]


async def _page(
    visit: Visit,
    form: MessageForm,
    *,
    pasted: str = "",
    draft: Draft | None = None,
    copied: int | None = None,
    copied_recipients: int = 0,
    keeps: bool = True,
    chosen: Sequence[int] = (),
    status: int = 200,
) -> Response:
    file_again = visit.file_again("file")
    if file_again is not None:
        form.problems.setdefault("file", file_again)
    values: dict[str, Any] = {
        "form": form,
        "view": preview(as_sent(visit.account, form.message)),
        "pasted": pasted,
        "draft": draft,
        "copied": copied,
        "copied_recipients": copied_recipients,
        "keeps": keeps,
        "chosen": chosen,
        "lists": await visit.services.audience.overview(visit.account),
        "senders": await _senders(visit),
    }
    return visit.page("compose.html", status, **values)


async def show(visit: Visit) -> Response:
    """An empty form; or a draft's, or one copied from a campaign."""
    draft_id, copy = visit.key("draft"), visit.key("copy")
    senders = await _senders(visit)
    form = MessageForm(originator=senders[0] if senders else "")
    form.at = local_input(visit.services.clock.now_ms() + HOUR, visit)
    if draft_id is not None:
        draft = await visit.services.drafts.find(visit.account, draft_id)
        if draft is None or draft.campaign_id is not None:
            raise NotFound
        body = draft.body
        form = MessageForm(
            body.message, "", body.originator, body.reference, later=body.due_at is not None, at=form.at
        )
        if body.due_at is not None:
            form.at = local_input(body.due_at, visit)
        return await _page(visit, form, draft=draft)
    if copy is not None:
        campaign = await visit.services.history.find(visit.account, copy)
        if campaign is None:
            raise NotFound
        line = campaign.line
        form = MessageForm(line.body, originator=line.originator, at=form.at)
        return await _page(visit, form, copied=line.id, copied_recipients=line.messages, keeps=False)
    chosen = visit.key("list")
    return await _page(visit, form, chosen=() if chosen is None else (chosen,))


def _chosen(visit: Visit) -> tuple[int, ...]:
    """The lists that are ticked."""
    asked = [text for text in visit.texts("list") if text.isascii() and text.isdigit() and len(text) <= 16]
    return tuple(dict.fromkeys(int(text) for text in asked))


async def _kept(
    visit: Visit,
) -> tuple[Draft | None, int | None, int, list[tuple[str, AsyncIterator[Sequence[int]]]]]:
    """What the form goes back to: a draft, or a campaign that is copied; and their recipients, if kept."""
    account, services = visit.account, visit.services
    draft: Draft | None = None
    copied: int | None = None
    size = 0
    pages: list[tuple[str, AsyncIterator[Sequence[int]]]] = []
    keeps = visit.text("keep") == "1"
    draft_text, copy_text = visit.text("draft"), visit.text("copied")
    if draft_text.isascii() and draft_text.isdigit() and len(draft_text) <= 16:
        draft = await services.drafts.find(account, int(draft_text))
        if draft is not None and draft.campaign_id is not None:
            draft = None
        if draft is not None and keeps:
            for_words = f"{draft.body.recipients:,} from before"
            pages.append((for_words, services.drafts.numbers(account, draft.id)))
    if copy_text.isascii() and copy_text.isdigit() and len(copy_text) <= 16:
        campaign = await services.history.find(account, int(copy_text))
        if campaign is not None:
            copied, size = campaign.line.id, campaign.line.messages
            if keeps:
                pages.append((f"campaign {copied}", services.history.accepted(account, copied)))
    return draft, copied, size, pages


async def rehearse(visit: Visit) -> Response:
    """Writes the draft down and shows what sending it would do."""
    form = read_form(visit)
    pasted = visit.text("recipients")
    draft, copied, size, pages = await _kept(visit)
    chosen = _chosen(visit)
    back: dict[str, Any] = {
        "chosen": chosen,
        "pasted": pasted,
        "draft": draft,
        "copied": copied,
        "copied_recipients": size,
        "keeps": bool(pages),
    }
    if form.problems:
        return await _page(visit, form, **back, status=400)
    audience = visit.services.audience
    kept_lists = draft.body.lists if draft is not None and pages else ()
    try:
        for list_id in chosen:
            name = await audience.description(visit.account, list_id)
            pages.append((f"list {name}", audience.pages(visit.account, list_id)))
        given = await take(visit, pasted=pasted, pages=pages)
    except ApiError:
        form.problems["recipients"] = "One of the lists is not there any more."
        return await _page(visit, form, **back, status=400)
    except ConfigError as error:
        form.problems["file"] = f"{str(error)[:1].upper()}{str(error)[1:]}."
        return await _page(visit, form, **back, status=400)
    if not given.taken.numbers:
        form.problems["recipients"] = _nobody(given.taken.invalid, given.taken.international)
        return await _page(visit, form, **back, status=400)
    sender = form.sender
    body = DraftBody(
        message=form.text,
        originator=sender.text if sender is not None else form.originator,
        reference=form.reference,
        due_at=form.due_at,
        sources=given.sources,
        lists=tuple(dict.fromkeys((*kept_lists, *chosen))),
    )
    draft_id = await visit.services.drafts.create(visit.account, body, given.taken)
    if draft is not None:
        await visit.services.drafts.drop(visit.account, draft.id)
    return visit.go(f"/compose/{draft_id}")


def _nobody(invalid: int, international: int) -> str:
    if international:
        return f"{international:,} of these are abroad, and this account may not send there; nobody is left."
    if invalid:
        return (
            f"None of the {invalid:,} entries is a mobile number." if invalid > 1 else "That is no mobile number."
        )
    return "Say to whom: paste numbers or choose a file."


async def count(visit: Visit) -> Response:
    """The live counter under the text, and the phone."""
    text = visit.text("message")
    problem = message_problem(visit.account, text) if text.strip() else None
    return visit.page(
        "_compose_live.html",
        view=preview(as_sent(visit.account, text)),
        problem=problem,
        originator=visit.text("originator").strip()[:20],
    )


async def fix(visit: Visit) -> Response:
    """Uses the twins of GSM 7-bit where there are any."""
    if visit.live:
        form = MessageForm(with_twins(visit.text("message")), originator=visit.text("originator").strip())
        return visit.page("_compose_fixed.html", form=form, view=preview(as_sent(visit.account, form.message)))
    form = read_form(visit)
    form.message = with_twins(form.message)
    form.problems = {}
    draft, copied, size, pages = await _kept(visit)
    return await _page(
        visit,
        form,
        pasted=visit.text("recipients"),
        draft=draft,
        copied=copied,
        copied_recipients=size,
        keeps=bool(pages),
        chosen=_chosen(visit),
    )


async def judge(visit: Visit) -> Response:
    """What the pasted recipients come to, as they are typed."""
    account = visit.account
    given = await take(visit, pasted=visit.text("recipients"))
    view = preview(as_sent(account, visit.text("message")))
    listed, chosen = 0, _chosen(visit)
    if chosen:
        listed = sum(each.count for each in await visit.services.audience.overview(account) if each.id in chosen)
    numbers = given.taken.numbers
    cost = None
    if view is not None and (numbers or listed):
        # What the lists come to by country is known only once they are read: that is the rehearsal's.
        cost = (await price_of(account, numbers) + (listed if account.tariff is None else 0)) * view.count
    return visit.page(
        "_compose_recipients.html",
        taken=given.taken,
        cost=cost,
        everybody=len(numbers) + listed,
        listed=listed,
        partly=bool(listed) and account.tariff is not None,
    )


NAV = Nav("Compose", "/compose", "compose")
PAGES = (
    Page("/compose", show, rehearse, takes=UPLOAD),
    Page("/compose/count", post=count, takes=PASTED),
    Page("/compose/fix", post=fix, takes=UPLOAD),
    Page("/compose/recipients", post=judge, takes=PASTED),
)
