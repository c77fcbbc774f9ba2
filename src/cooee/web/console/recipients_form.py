"""Recipients out of a form: pasted, from a file, from lists, from a campaign that is copied, from a draft."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import IO

from cooee.model.account import Account
from cooee.model.errors import ConfigError
from cooee.service.intake import Intake, Taken
from cooee.service.sheets import Table, read_table
from cooee.web.console.visit import Visit

SAMPLE = 100


@dataclass(slots=True)
class Given:
    """What recipients came to, and in words where they came from."""

    taken: Taken
    sources: tuple[str, ...]


async def take(
    visit: Visit, *, pasted: str, pages: Sequence[tuple[str, AsyncIterator[Sequence[int]]]] = ()
) -> Given:
    """Everything that the form names; `pages` are numbers that were checked before, each with its source.

    ConfigError says what is wrong with the file.
    """
    account, aside = visit.account, visit.services.recipients.aside
    await visit.services.recipients.prepare(account)
    intake = Intake(account)
    sources: list[str] = []
    if pasted.strip():
        await aside(lambda: intake.add_text(pasted))
        sources.append("pasted")
    upload = visit.upload("file")
    if upload is not None and upload.filename:
        name = upload.filename[:80]
        file: IO[bytes] = upload.file
        sources.append(await aside(lambda: _take_file(account, intake, file, name)))
    for source, numbers in pages:
        sources.append(source)
        async for page in numbers:
            await aside(lambda page=page: intake.add_canonical(page))  # type: ignore[misc]
    return Given(await aside(intake.result), tuple(sources))


def _take_file(account: Account, intake: Intake, file: IO[bytes], name: str) -> str:
    table = read_table(file, name)
    column = best_column(account, table)
    if column is None:
        raise ConfigError(f"no column of the file {name} holds mobile numbers")
    intake.add_cells(table.cells(column))
    return f"column {table.columns[column]} of {name}"


def best_column(account: Account, table: Table) -> int | None:
    """The column with the most recipients among its first rows; None where no column has any."""
    scores = []
    for column in range(len(table.columns)):
        intake = Intake(account)
        cells = [(no, row[column]) for no, row in table.sample[:SAMPLE] if column < len(row) and row[column]]
        intake.add_cells(cells)
        taken = intake.result()
        scores.append((len(taken.numbers) + taken.duplicates + taken.international, -column))
    best = max(scores, default=(0, 0))
    return -best[1] if best[0] else None
