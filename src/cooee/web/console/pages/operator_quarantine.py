"""What came from carriers and could not be stored as what it is: looked at, and thrown away."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from cooee.service.attention import MOST_CHOSEN, Aside
from cooee.web.console.pages.operator_accounts import at
from cooee.web.console.visit import Nav, Refused, Visit

PAGE = 50
SHOWN = 4096
"""Octets of an item that the page shows."""
ROW = 16


@dataclass(frozen=True, slots=True)
class Item:
    """An item and its octets as people read them."""

    aside: Aside
    dump: str


async def listing(visit: Visit) -> Response:
    """Items, the newest first; the filter is in the address."""
    kind = visit.query("kind").replace("\0", "")[:40]
    before = visit.key("before")
    found, kinds = await visit.services.desk.attention.aside(kind, before=before, limit=PAGE + 1)
    more = len(found) > PAGE
    found = found[:PAGE]
    return visit.page(
        "operator_quarantine.html",
        items=[Item(each, dump(each.body)) for each in found],
        kind=kind,
        kinds=kinds,
        total=sum(kinds.values()),
        first=before is None,
        next_before=found[-1].id if more else None,
    )


def dump(body: bytes) -> str:
    """Offset, hexadecimal and ASCII, sixteen octets a line."""
    lines = []
    for start in range(0, min(len(body), SHOWN), ROW):
        row = body[start : start + ROW]
        plain = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in row)
        lines.append(f"{start:04x}  {row.hex(' '):<{3 * ROW}} {plain}")
    if len(body) > SHOWN:
        lines.append(f"and {len(body) - SHOWN} more octets")
    return "\n".join(lines)


async def delete(visit: Visit) -> Response:
    """Throws the chosen items away."""
    chosen = [int(text) for text in visit.texts("item")[:MOST_CHOSEN] if text.isascii() and text.isdigit()]
    chosen = [number for number in chosen if number < 2**62]
    if not chosen:
        raise Refused("Nothing was chosen. Go back, mark the items, and try again.")
    await visit.services.desk.attention.drop_aside(chosen)
    kind = visit.text("kind")[:40]
    return visit.go("/operator/quarantine", done="quarantine-deleted", **({"kind": kind} if kind else {}))


NAV = Nav("Quarantine", "/operator/quarantine", "quarantine")
NOTICES = {"quarantine-deleted": "They are gone."}
PAGES = (
    at("/quarantine", listing),
    at("/quarantine/delete", post=delete),
)
