"""Stored lists: made, filled by hand or from a file, looked into, downloaded."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.responses import Response

from cooee.model.errors import ApiError, ConfigError
from cooee.model.msisdn import parse
from cooee.service.audience import ListView
from cooee.service.intake import Intake, Taken
from cooee.service.sheets import MAX_COLUMNS
from cooee.web.console.visit import UPLOAD, Nav, NotFound, Page, Visit

PAGE = 100
MAX_NAME = 255
PASTED = 4 * 1024 * 1024
ONE_OF_THEM = "Take the numbers or the file now, and add the other one to the list then."


async def listing(visit: Visit) -> Response:
    """Every list by name."""
    word = visit.query("q").strip()[:100]
    lists = await visit.services.audience.overview(visit.account)
    shown = [each for each in lists if word.casefold() in each.description.casefold()]
    return visit.page("lists.html", lists=shown, q=word, some=bool(lists))


async def _list(visit: Visit) -> ListView:
    list_id = visit.number("id")
    for each in await visit.services.audience.overview(visit.account):
        if each.id == list_id:
            return each
    raise NotFound


async def taken(visit: Visit, text: str) -> Taken:
    """Pasted numbers of any E.164 shape, as lists hold them."""
    intake = Intake(visit.account, anybody=True)
    await visit.services.recipients.prepare(visit.account)

    def take() -> Taken:
        intake.add_text(text)
        return intake.result()

    return await visit.services.recipients.aside(take)


async def new(visit: Visit) -> Response:
    """The form for a new list."""
    return visit.page("list_new.html", name="", pasted="", problems={})


async def make(visit: Visit) -> Response:
    """A list of what was pasted; or on to the columns of the file."""
    name = visit.text("name").strip()
    pasted = visit.text("numbers")
    problems: dict[str, str] = {}
    if not name:
        problems["name"] = "Give it a name."
    elif len(name) > MAX_NAME or not name.isprintable():
        problems["name"] = f"A name has up to {MAX_NAME} printable characters."
    upload = visit.upload("file")
    if upload is not None and pasted.strip():
        problems["numbers"] = ONE_OF_THEM
    if not problems and upload is not None and upload.filename:
        try:
            number = await visit.services.imports.keep(visit.account, upload.filename[:80], upload.file)
        except ConfigError as error:
            problems["file"] = f"{str(error)[:1].upper()}{str(error)[1:]}."
        else:
            return visit.go(f"/lists/upload/{number}", name=name)
    if not problems:
        found = await taken(visit, pasted)
        if pasted.strip() and not found.numbers:
            problems["numbers"] = "None of these is a number."
        else:
            list_id = await visit.services.audience.create(visit.account, name, found.numbers)
            return visit.go(f"/lists/{list_id}", done="list-made", left_out=found.invalid)
    file_again = visit.file_again("file")
    if file_again is not None:
        problems.setdefault("file", file_again)
    return visit.page("list_new.html", 400, name=name, pasted=pasted, problems=problems)


async def show(visit: Visit) -> Response:
    """A list and its numbers, rising; `q` looks for one of them."""
    return await _show(visit, await _list(visit))


async def _show(
    visit: Visit, each: ListView, *, problem: str | None = None, pasted: str = "", status: int = 200
) -> Response:
    after = visit.key("after") or 0
    wanted = visit.query("q").strip()[:64]
    begin = after
    if wanted:
        # The prefix of a number, in international form or as it is written at home.
        digits = "".join(filter(str.isdigit, wanted))
        number = parse(wanted, visit.account.country) or (int(digits) if 0 < len(digits) <= 15 else 0)
        begin = max(after, number - 1)
    pages = visit.services.audience.pages(visit.account, each.id, begin) if each.count else None
    numbers: list[int] = []
    if pages is not None:
        async for page in pages:
            numbers = page[: PAGE + 1]
            break
        await pages.aclose()
    if wanted:
        exact = parse(wanted, visit.account.country)
        numbers = [number for number in numbers if number == exact][:1] if exact else []
    more = len(numbers) > PAGE
    numbers = numbers[:PAGE]
    return visit.page(
        "list.html",
        status,
        each=each,
        numbers=numbers,
        q=wanted,
        first=after == 0,
        next_after=numbers[-1] if more else None,
        problem=problem,
        pasted=pasted,
        left_out=visit.key("left_out") or 0,
        changed=visit.key("changed"),
    )


async def add(visit: Visit) -> Response:
    """More numbers, pasted; or on to the columns of a file."""
    each = await _list(visit)
    upload = visit.upload("file")
    if upload is not None and visit.text("numbers").strip():
        return await _show(visit, each, problem=ONE_OF_THEM, pasted=visit.text("numbers"), status=400)
    if upload is not None and upload.filename:
        try:
            number = await visit.services.imports.keep(visit.account, upload.filename[:80], upload.file)
        except ConfigError as error:
            text = f"{str(error)[:1].upper()}{str(error)[1:]}."
            return await _show(visit, each, problem=text, pasted=visit.text("numbers"), status=400)
        return visit.go(f"/lists/upload/{number}", list=each.id)
    found = await taken(visit, visit.text("numbers"))
    if not found.numbers:
        return await _show(
            visit, each, problem="None of these is a number.", pasted=visit.text("numbers"), status=400
        )
    added = await visit.services.audience.append(visit.account, each.id, found.numbers)
    return visit.go(f"/lists/{each.id}", done="list-added", changed=added, left_out=found.invalid)


async def remove(visit: Visit) -> Response:
    """Takes numbers out."""
    each = await _list(visit)
    found = await taken(visit, visit.text("numbers"))
    if not found.numbers:
        return await _show(
            visit, each, problem="None of these is a number.", pasted=visit.text("numbers"), status=400
        )
    removed = await visit.services.audience.remove(visit.account, each.id, found.numbers)
    return visit.go(f"/lists/{each.id}", done="list-removed", changed=removed)


async def ask_delete(visit: Visit) -> Response:
    """What deleting would do."""
    return visit.page("list_delete.html", each=await _list(visit))


async def delete(visit: Visit) -> Response:
    """Deletes a list; campaigns that it was used for are left alone."""
    each = await _list(visit)
    await visit.services.audience.delete(visit.account, each.id)
    return visit.go("/lists", done="list-deleted")


async def download(visit: Visit) -> Response:
    """The numbers as CSV, streamed."""
    each = await _list(visit)

    async def rows() -> AsyncIterator[bytes]:
        yield b"number\r\n"
        async for page in visit.services.audience.pages(visit.account, each.id):
            yield "".join(f"{number}\r\n" for number in page).encode()

    return visit.download(f"list-{each.id}.csv", rows())


async def columns(visit: Visit) -> Response:
    """Which column of an uploaded file to take; once it was said, how far the import is."""
    return await _columns(visit)


async def _columns(visit: Visit, problem: str | None = None, status: int = 200) -> Response:
    imports, account = visit.services.imports, visit.account
    upload = await imports.find(account, visit.number("id"))
    if upload is None:
        raise NotFound
    if upload.progress is not None:
        template = "_import_progress.html" if visit.query("part") == "progress" else "list_import.html"
        return visit.page(template, upload=upload, progress=upload.progress)
    table = await imports.table(account, upload)
    lists = await visit.services.audience.overview(account)
    column, into = _whole(visit.text("column")), _whole(visit.text("into"))
    return visit.page(
        "list_columns.html",
        status,
        upload=upload,
        table=table,
        rows=table.sample[:8],
        best=column if column is not None else _best(visit, table.sample, len(table.columns)),
        lists=lists,
        into=into if into is not None else visit.key("list") or 0,
        name=visit.text("name") or visit.query("name") or upload.name.rpartition(".")[0] or upload.name,
        problem=problem,
    )


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else None


def _best(visit: Visit, sample: tuple[tuple[int, tuple[str, ...]], ...], width: int) -> int:
    """The column with the most numbers among the first rows."""
    scores = []
    for column in range(width):
        intake = Intake(visit.account, anybody=True)
        intake.add_cells([(no, row[column]) for no, row in sample[:50] if column < len(row) and row[column]])
        found = intake.result()
        scores.append((len(found.numbers) + found.duplicates, -column))
    return -max(scores)[1]


async def begin(visit: Visit) -> Response:
    """Begins the import."""
    imports, account = visit.services.imports, visit.account
    upload = await imports.find(account, visit.number("id"))
    if upload is None:
        raise NotFound
    here = f"/lists/upload/{upload.id}"
    if upload.progress is not None:
        return visit.go(here)
    column, list_id = _whole(visit.text("column")), _whole(visit.text("into")) or None
    name = visit.text("name").strip()
    if column is None or column >= MAX_COLUMNS:
        return await _columns(visit, "Choose the column that holds the numbers.", 400)
    if list_id is None and (not name or len(name) > MAX_NAME or not name.isprintable()):
        return await _columns(visit, "Give the new list a name.", 400)
    try:
        await imports.begin(account, upload, column, list_id=list_id, name=name)
    except ApiError:
        return await _columns(visit, "That list is not there any more.", 400)
    return visit.go(here)


NAV = Nav("Lists", "/lists", "lists")
NOTICES = {
    "list-made": "The list is there.",
    "list-added": "The numbers were added.",
    "list-removed": "The numbers were taken out.",
    "list-deleted": "The list is deleted.",
}
PAGES = (
    Page("/lists", listing),
    Page("/lists/new", new, make, takes=UPLOAD),
    Page("/lists/upload/{id}", columns, begin),
    Page("/lists/{id}", show),
    Page("/lists/{id}/add", post=add, takes=UPLOAD),
    Page("/lists/{id}/remove", post=remove, takes=PASTED),
    Page("/lists/{id}/delete", ask_delete, delete),
    Page("/lists/{id}/numbers.csv", download),
)
