"""Tables that people upload: CSV in any usual dress, and the spreadsheets that python-calamine reads.

Everything is bounded: octets, columns, cells, and what a packed spreadsheet may unpack to. It is made for a
thread.
"""

from __future__ import annotations

import csv
import io
import itertools
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from cooee.model.errors import ConfigError

MAX_COLUMNS = 100
MAX_CELL = 200
MAX_ROWS = 5_000_000
SAMPLE = 200
UNPACKED = 512 * 1024 * 1024
"""Octets that a packed spreadsheet may have unpacked."""
_DELIMITERS = ",;\t|"
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


@dataclass(frozen=True, slots=True)
class Table:
    """A table: names of its columns, its first rows as (line, cells), and where its rows begin.

    `header`: whether the first line holds names. `rows` walks all of it again, from the first data row.
    """

    columns: tuple[str, ...]
    header: bool
    sample: tuple[tuple[int, tuple[str, ...]], ...]
    rows: Callable[[], Iterator[tuple[int, tuple[str, ...]]]]

    def cells(self, column: int) -> Iterator[tuple[int, str]]:
        """(line, text) of one column; rows that are empty altogether are left out."""
        for no, row in self.rows():
            if any(row):
                yield no, row[column] if column < len(row) else ""


def read_table(file: IO[bytes], name: str) -> Table:
    """The table in an uploaded file; ConfigError says for a person what is wrong with it."""
    file.seek(0)
    head = file.read(8)
    if not head:
        raise ConfigError(f"the file {name} is empty")
    file.seek(0)
    walk = _spreadsheet(file, name) if head.startswith(_SPREADSHEETS) else _csv(file, name)
    sample = tuple(itertools.islice(walk(), SAMPLE + 1))
    if not sample:
        raise ConfigError(f"the file {name} holds no rows")
    width = max(len(row) for _, row in sample)
    first = sample[0][1]
    header = not any(_looks_like_number(cell) for cell in first) and any(first)
    names = tuple(
        (first[at] if header and at < len(first) and first[at] else f"Column {_letter(at)}") for at in range(width)
    )
    begin = sample[0][0] + 1 if header else 0

    def rows() -> Iterator[tuple[int, tuple[str, ...]]]:
        return ((no, row) for no, row in walk() if no >= begin)

    shown = tuple((no, row) for no, row in sample if no >= begin)[:SAMPLE]
    return Table(names, header, shown, rows)


def _looks_like_number(text: str) -> bool:
    return sum(map(str.isdigit, text)) >= 6


def _letter(at: int) -> str:
    return chr(65 + at) if at < 26 else chr(64 + at // 26) + chr(65 + at % 26)


def _csv(file: IO[bytes], name: str) -> Callable[[], Iterator[tuple[int, tuple[str, ...]]]]:
    head = file.read(64 * 1024)
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(f"the file {name} is neither CSV nor a spreadsheet that can be read (XLSX, XLS, ODS)")
    encoding = _encoding(file, head)
    text = head.decode(encoding, "replace")
    lines = [line for line in text.splitlines()[:50] if line.strip()]
    delimiter = max(_DELIMITERS, key=lambda sign: min((line.count(sign) for line in lines), default=0))

    def walk() -> Iterator[tuple[int, tuple[str, ...]]]:
        file.seek(0)
        stream = io.TextIOWrapper(io.BufferedReader(_Borrowed(file)), encoding, "replace", newline="")
        reader = csv.reader(stream, delimiter=delimiter)
        try:
            for row in itertools.islice(reader, MAX_ROWS):
                yield reader.line_num, tuple(cell.strip()[:MAX_CELL] for cell in row[:MAX_COLUMNS])
        except csv.Error as error:
            raise ConfigError(f"the file {name} cannot be read at line {reader.line_num}: {error}") from None
        finally:
            stream.detach()

    return walk


def _encoding(file: IO[bytes], head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    file.seek(0)
    try:
        # In pieces, and only as far as needed to tell: what is no UTF-8 usually shows soon.
        decoder = io.TextIOWrapper(io.BufferedReader(_Borrowed(file)), "utf-8-sig")
        while decoder.read(1 << 18):
            pass
        decoder.detach()
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


class _Borrowed(io.RawIOBase):
    """A file that a text wrapper may read and must not close."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        return


def _spreadsheet(file: IO[bytes], name: str) -> Callable[[], Iterator[tuple[int, tuple[str, ...]]]]:
    if file.read(2) == b"PK":
        file.seek(0)
        try:
            with zipfile.ZipFile(file) as packed:
                if sum(entry.file_size for entry in packed.infolist()) > UNPACKED:
                    raise ConfigError(f"the file {name} unpacks to more than can be read: save it as CSV")
        except zipfile.BadZipFile:
            raise ConfigError(f"the file {name} is damaged: save it again, or as CSV") from None
    file.seek(0)
    # Imported here: only who uploads a spreadsheet needs it.
    import python_calamine

    try:
        workbook = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(file.read()))
        names = workbook.sheet_names
        sheet = workbook.get_sheet_by_index(0) if names else None
    except python_calamine.PasswordError:
        raise ConfigError(f"the file {name} is protected by a password: save it without") from None
    except (python_calamine.CalamineError, OSError, ValueError):
        raise ConfigError(f"the file {name} is no spreadsheet that can be read: save it as XLSX or CSV") from None
    if sheet is None:
        raise ConfigError(f"the file {name} has no sheet")
    offset = sheet.start[0] if sheet.start is not None else 0

    def walk() -> Iterator[tuple[int, tuple[str, ...]]]:
        for no, row in enumerate(itertools.islice(sheet.iter_rows(), MAX_ROWS), offset + 1):
            yield no, tuple(_cell(value) for value in row[:MAX_COLUMNS])

    return walk


def _cell(value: object) -> str:
    """A cell as text; a whole number without the fraction that spreadsheets give it."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e18:
        return str(int(value))
    return str(value).strip()[:MAX_CELL]
