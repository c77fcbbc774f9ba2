"""Uncertain recipients: who may or may not have been reached, and what an operator makes of it."""

from __future__ import annotations

from starlette.responses import Response

from cooee.model.errors import ConfigError
from cooee.service.attention import COUNTED, MOST_CHOSEN, Doubt, Key, Span
from cooee.web.console.account_form import sentence
from cooee.web.console.pages.operator_accounts import at
from cooee.web.console.visit import MAX_ID, Nav, Refused, Visit

PAGE = 100


def _chosen(visit: Visit, value: str) -> tuple[str, int | None]:
    """Account and campaign of the filter, out of the address or the form."""
    read = visit.query if value == "query" else visit.text
    campaign = read("campaign").strip()
    number = int(campaign) if campaign.isascii() and campaign.isdigit() and len(campaign) <= 16 else None
    if campaign and (number is None or not 0 < number <= MAX_ID):
        raise ConfigError(f"'{campaign[:40]}' is no campaign")
    return read("account").strip().replace("\0", "")[:64], number


async def listing(visit: Visit) -> Response:
    """They, in the order of account, campaign and number; the filter is in the address."""
    attention = visit.services.desk.attention
    problem = None
    lines: list[Doubt] = []
    count = 0
    account, campaign = visit.query("account").strip()[:64], visit.query("campaign").strip()[:16]
    try:
        span = await attention.span(*_chosen(visit, "query"))
        lines, count = await attention.doubts(span, after=_key(visit.query("after")), limit=PAGE + 1)
    except ConfigError as error:
        problem = sentence(error)
    more = len(lines) > PAGE
    lines = lines[:PAGE]
    return visit.page(
        "operator_uncertain.html",
        lines=lines,
        count=count,
        counted=COUNTED,
        of_account=account,
        campaign=campaign,
        problem=problem,
        first=not visit.query("after"),
        next_after="-".join(map(str, lines[-1].key)) if more else None,
    )


def _key(text: str) -> Key | None:
    parts = text.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 16 for part in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])


async def _settle(visit: Visit, *, again: bool) -> Response:
    account, campaign = _chosen(visit, "form")
    keys = [key for text in visit.texts("key")[:MOST_CHOSEN] if (key := _key(text)) is not None]
    if not keys:
        raise Refused("Nothing was chosen. Go back, mark the recipients, and try again.")
    done = await visit.services.desk.attention.settle(keys, again=again)
    return _back(visit, account, campaign, "uncertain-resent" if again else "uncertain-failed", done)


async def resend(visit: Visit) -> Response:
    """The chosen ones are sent again."""
    return await _settle(visit, again=True)


async def fail(visit: Visit) -> Response:
    """The chosen ones are settled as failed."""
    return await _settle(visit, again=False)


async def ask_all(visit: Visit) -> Response:
    """What settling all of a filter would do."""
    account, campaign = _chosen(visit, "query")
    attention = visit.services.desk.attention
    _, count = await attention.doubts(await attention.span(account, campaign), after=None, limit=1)
    return visit.page(
        "operator_uncertain_all.html", of_account=account, campaign=campaign, count=count, counted=COUNTED
    )


async def settle_all(visit: Visit) -> Response:
    """Settles all of a filter that are there now."""
    account, campaign = _chosen(visit, "form")
    attention = visit.services.desk.attention
    what = visit.text("what")
    if what not in ("resend", "fail"):
        raise Refused("Say what to do with them: send them again, or count them as failed.")
    span: Span = await attention.span(account, campaign)
    done = await attention.settle_all(span, again=what == "resend")
    return _back(visit, account, campaign, "uncertain-resent" if what == "resend" else "uncertain-failed", done)


def _back(visit: Visit, account: str, campaign: int | None, done: str, count: int) -> Response:
    kept: dict[str, object] = {"settled": count}
    if account:
        kept["account"] = account
    if campaign is not None:
        kept["campaign"] = campaign
    return visit.go("/operator/uncertain", done=done, **kept)


NAV = Nav("Uncertain", "/operator/uncertain", "uncertain")
NOTICES = {
    "uncertain-resent": "They are sent again as soon as an engine runs. Somebody may get the message twice.",
    "uncertain-failed": "They count as failed, and stay charged. A receipt that still comes raises them.",
}
PAGES = (
    at("/uncertain", listing),
    at("/uncertain/resend", post=resend),
    at("/uncertain/fail", post=fail),
    at("/uncertain/all", ask_all, settle_all),
)
