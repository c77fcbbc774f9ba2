"""Who must not be written to, since when and why; added and let back by hand."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator

from starlette.responses import Response

from cooee.model.clock import ms_to_local
from cooee.model.msisdn import parse
from cooee.service.conversations import OPTOUTS_FROM as NEWEST
from cooee.web.console.campaign_csv import plain_cell
from cooee.web.console.pages.lists import taken
from cooee.web.console.visit import Nav, Page, Visit

PAGE = 100
PASTED = 4 * 1024 * 1024
_PLACE = re.compile(r"([0-9]{1,16})-([0-9]{1,16})")


async def listing(visit: Visit) -> Response:
    """What holds, the newest first; a number that is looked for leads to its history."""
    return await _page(visit)


async def _page(visit: Visit, *, problem: str | None = None, pasted: str = "", status: int = 200) -> Response:
    wanted = visit.query("q").strip()[:64]
    if wanted and problem is None:
        number = parse(wanted, visit.account.country)
        if number is not None:
            return visit.go(f"/optouts/{number}")
        problem = f"{wanted} is no phone number."
    found = _PLACE.fullmatch(visit.query("before"))
    before = (int(found[1]), int(found[2])) if found else NEWEST
    lines = await visit.services.conversations.optouts(visit.account, before=before, limit=PAGE + 1)
    more = len(lines) > PAGE
    lines = lines[:PAGE]
    return visit.page(
        "optouts.html",
        status,
        lines=lines,
        q=wanted,
        problem=problem,
        pasted=pasted,
        first=found is None,
        next_before=f"{lines[-1].added_at}-{lines[-1].destination}" if more else None,
        changed=visit.key("changed"),
    )


async def add(visit: Visit) -> Response:
    """Opts numbers out."""
    found = await taken(visit, visit.text("numbers"))
    if not found.numbers:
        return await _page(visit, problem="None of these is a number.", pasted=visit.text("numbers"), status=400)
    added = await visit.services.optouts.add(visit.account, found.numbers)
    return visit.go("/optouts", done="opted-out", changed=added)


async def remove(visit: Visit) -> Response:
    """Lets numbers be written to again."""
    found = await taken(visit, visit.text("numbers"))
    if not found.numbers:
        return await _page(visit, problem="None of these is a number.", pasted=visit.text("numbers"), status=400)
    removed = await visit.services.optouts.remove(visit.account, found.numbers)
    return visit.go("/optouts", done="opted-in", changed=removed)


async def history(visit: Visit) -> Response:
    """Everything that is known of one number."""
    number = visit.number("number")
    past = await visit.services.conversations.optout_history(visit.account, number)
    holds = bool(past) and past[0].deleted_at is None
    return visit.page("optout_history.html", number=number, past=past, holds=holds)


async def export(visit: Visit) -> Response:
    """What holds as CSV, the newest first."""
    account, where = visit.account, visit.zone

    async def rows() -> AsyncIterator[bytes]:
        yield _lines([("number", "since", "reason", "text")])
        async for page in visit.services.optouts.pages(account):
            yield _lines(
                [
                    (str(number), ms_to_local(added_at, where).isoformat(sep=" "), reason, plain_cell(text))
                    for number, added_at, reason, text in page
                ]
            )

    return visit.download("opt-outs.csv", rows())


def _lines(rows: list[tuple[str, str, str, str]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


NAV = Nav("Opt-outs", "/optouts", "optouts")
NOTICES = {
    "opted-out": "They are not written to from now on.",
    "opted-in": "They can be written to again; the history keeps what was.",
}
PAGES = (
    Page("/optouts", listing),
    Page("/optouts/export.csv", export),
    Page("/optouts/add", post=add, takes=PASTED),
    Page("/optouts/remove", post=remove, takes=PASTED),
    Page("/optouts/{number}", history),
)
