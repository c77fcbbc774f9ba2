"""The numbers that handsets write to, the words that opt them out, and what came to nobody."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from cooee.model.errors import ConfigError
from cooee.model.inbound import NumberKind, ReplyKind, number_of
from cooee.web.console.account_form import sentence
from cooee.web.console.pages.operator_accounts import at
from cooee.web.console.visit import Nav, Refused, Visit

PAGE = 50
MOST_CHOSEN = 500
KINDS = {"dedicated": NumberKind.DEDICATED, "shared": NumberKind.SHARED, "optout": NumberKind.OPTOUT}
WORD_KINDS = {"stop": ReplyKind.STOP, "start": ReplyKind.START}


@dataclass(frozen=True, slots=True)
class Unrouted:
    """A message that is nobody's. `received_at` is UTC ms; of its `parts`, `missing` never came."""

    id: int
    received_at: int
    carrier: str | None
    originator: str
    recipient: str
    text: str
    parts: int
    missing: int


async def listing(visit: Visit) -> Response:
    """Every number, and a form for one more."""
    return await _numbers(visit)


async def _numbers(visit: Visit, problem: str | None = None, status: int = 200) -> Response:
    desk = visit.services.desk
    lost = await desk.numbers.unrouted(None, 1)
    fields = ("number", "kind", "whose", "carrier")
    return visit.page(
        "operator_numbers.html",
        status,
        numbers=await desk.numbers.list(),
        carriers=[row.name for row in await desk.carriers.list()],
        kinds=KINDS,
        typed={name: visit.text(name)[:64] for name in fields},
        past=visit.text("past") == "1",
        lost=bool(lost),
        problem=problem,
    )


async def add(visit: Visit) -> Response:
    """Says whose the replies to a number are."""
    numbers = visit.services.desk.numbers
    kind = KINDS.get(visit.text("kind"))
    if kind is None:
        return await _numbers(visit, "Say what kind of number it is.", 400)
    try:
        added = await numbers.add(
            visit.text("number").strip()[:32],
            kind,
            visit.text("whose").strip()[:64] or None,
            visit.text("carrier") or None,
        )
    except ConfigError as error:
        return await _numbers(visit, sentence(error), 400)
    if visit.text("past") == "1":
        await numbers.assign_past(added)
    return visit.go("/operator/numbers", done="number-added")


async def remove(visit: Visit) -> Response:
    """Replies to it are nobody's from now on."""
    try:
        await visit.services.desk.numbers.remove(
            visit.text("number")[:32], visit.text("whose")[:64] or None, visit.text("carrier")[:64] or None
        )
    except ConfigError as error:
        return await _numbers(visit, sentence(error), 400)
    return visit.go("/operator/numbers", done="number-removed")


# --- what came to nobody -----------------------------------------------------------------------------------


async def unrouted(visit: Visit) -> Response:
    """Messages that are nobody's, the newest first; the filter is in the address."""
    return await _unrouted(visit)


async def _unrouted(visit: Visit, problem: str | None = None, status: int = 200) -> Response:
    wanted = (visit.query("number") or visit.text("number")).strip().replace("\0", "")[:32]
    place = visit.query("before") or visit.text("before")
    before = _key(place)
    found = await visit.services.desk.numbers.unrouted_page(
        number_of(wanted) if wanted else None, before=before, limit=PAGE + 1
    )
    lines = [Unrouted(*row) for row in found]
    more = len(lines) > PAGE
    lines = lines[:PAGE]
    return visit.page(
        "operator_unrouted.html",
        status,
        lines=lines,
        number=wanted,
        whose=visit.text("whose")[:64],
        chosen=set(visit.texts("reply")),
        problem=problem,
        place=place if before is not None else "",
        first=before is None,
        next_before=f"{lines[-1].received_at}-{lines[-1].id}" if more else None,
    )


def _key(text: str) -> tuple[int, int] | None:
    at_text, _, id_text = text.partition("-")
    if not all(part.isascii() and part.isdigit() and len(part) <= 16 for part in (at_text, id_text)):
        return None
    return int(at_text), int(id_text)


async def assign(visit: Visit) -> Response:
    """Gives the chosen ones to an account."""
    chosen = [text for text in visit.texts("reply")[:MOST_CHOSEN] if text.isascii() and text.isdigit()]
    if not chosen:
        raise Refused("Nothing was chosen. Go back, mark the messages, and try again.")
    try:
        taken = await visit.services.desk.numbers.assign(
            [int(text) for text in chosen if len(text) <= 16], visit.text("whose").strip()[:64]
        )
    except ConfigError as error:
        return await _unrouted(visit, sentence(error), 400)
    return visit.go("/operator/unrouted", done="replies-assigned", count=taken)


async def assign_all(visit: Visit) -> Response:
    """Gives everything that came to one number to an account."""
    number = number_of(visit.text("number").strip()[:32])
    whose = visit.text("whose").strip()[:64]
    if not number or not whose:
        return await _unrouted(visit, "Say which number, and whose what came to it is.", 400)
    try:
        taken = await visit.services.desk.numbers.assign_past(number, whose)
    except ConfigError as error:
        return await _unrouted(visit, sentence(error), 400)
    return visit.go("/operator/unrouted", done="replies-assigned", count=taken)


@dataclass(frozen=True, slots=True)
class Doomed:
    """A message that is going to be thrown away. `received_at` is UTC ms."""

    id: int
    received_at: int
    originator: str
    recipient: str
    text: str


async def delete(visit: Visit) -> Response:
    """Throws one message away, or the chosen ones; asks first."""
    one = visit.text("only")
    chosen = [one] if one else visit.texts("reply")[:MOST_CHOSEN]
    ids = [int(text) for text in chosen if text.isascii() and text.isdigit() and len(text) <= 16]
    numbers = visit.services.desk.numbers
    if visit.text("sure") == "1":
        gone = await numbers.delete(ids)
        return visit.go("/operator/unrouted", done="replies-deleted", count=gone)
    lines = [Doomed(*row) for row in await numbers.unrouted_some(ids)]
    if not lines:
        raise Refused("Nothing was chosen, or it is gone. Go back, mark the messages, and try again.")
    return visit.page("operator_unrouted_delete.html", lines=lines, count=len(lines), number="", until=0)


async def delete_all(visit: Visit) -> Response:
    """Throws everything away that came to one number; asks first."""
    number = number_of(visit.text("number").strip()[:32])
    numbers = visit.services.desk.numbers
    if not number:
        return await _unrouted(visit, "Say to which number.", 400)
    until = visit.text("until")
    if until.isascii() and until.isdigit() and len(until) <= 16:
        # What came after it was asked was seen by nobody.
        gone = await numbers.delete_past(number, int(until))
        return visit.go("/operator/unrouted", done="replies-deleted", count=gone)
    count, newest = await numbers.count_unrouted(number)
    if not count:
        raise Refused("Nothing that came to this number is nobody's.")
    return visit.page("operator_unrouted_delete.html", lines=[], count=count, number=number, until=newest)


# --- keywords ----------------------------------------------------------------------------------------------


async def keywords(visit: Visit) -> Response:
    """Words that opt a handset out, and those that bring it back."""
    return await _keywords(visit)


async def _keywords(visit: Visit, problem: str | None = None, status: int = 200) -> Response:
    words = await visit.services.desk.keywords.list()
    return visit.page(
        "operator_keywords.html",
        status,
        stop=[word for word, kind in words if kind is ReplyKind.STOP],
        start=[word for word, kind in words if kind is ReplyKind.START],
        word=visit.text("word")[:80],
        kind=visit.text("kind"),
        problem=problem,
    )


async def add_keyword(visit: Visit) -> Response:
    """A whole message of that word does something from now on."""
    kind = WORD_KINDS.get(visit.text("kind"))
    if kind is None:
        return await _keywords(visit, "Say whether it opts out or brings back.", 400)
    try:
        await visit.services.desk.keywords.add(visit.text("word")[:200], kind)
    except ConfigError as error:
        return await _keywords(visit, sentence(error), 400)
    return visit.go("/operator/keywords", done="keyword-added")


async def remove_keyword(visit: Visit) -> Response:
    """That word is one like any other."""
    try:
        await visit.services.desk.keywords.remove(visit.text("word")[:200])
    except ConfigError as error:
        return await _keywords(visit, sentence(error), 400)
    return visit.go("/operator/keywords", done="keyword-removed")


NAV = Nav("Numbers", "/operator/numbers", "numbers")
NOTICES = {
    "number-added": "Replies to it are taken from now on.",
    "number-removed": "Replies to it are kept as nobody's from now on. Those that came stay where they are.",
    "replies-assigned": "They are in the account's inbox now, and are passed on like any other.",
    "replies-deleted": "They are thrown away.",
    "keyword-added": "It works from now on, for every account that uses keywords.",
    "keyword-removed": "It is a word like any other from now on.",
}
PAGES = (
    at("/numbers", listing, add),
    at("/numbers/remove", post=remove),
    at("/unrouted", unrouted, assign),
    at("/unrouted/all", post=assign_all),
    at("/unrouted/delete", post=delete),
    at("/unrouted/delete-all", post=delete_all),
    at("/keywords", keywords, add_keyword),
    at("/keywords/remove", post=remove_keyword),
)
