"""A file of what the SMSC has seen: what tests and benches hold against the database after a crash.

One line an event, fields parted by a space, no message text:

    S time_ms destination part/parts reference id status bind    a submit_sm (id `-` when refused)
    R time_ms destination id stat bind                           a receipt was sent
    A time_ms destination id status bind                         a receipt was answered

Each batch of lines is one unbuffered append: a process that dies loses none that its peer has seen answered,
but nothing is forced to disk. Values that could hold a space are percent-quoted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line: `kind` is S, R or A; fields that the kind does not have are at their defaults."""

    kind: str
    time_ms: int
    destination: str
    message_id: str
    bind: str
    part: int = 1
    parts: int = 1
    reference: int = 0
    status: int = 0
    stat: str = ""


def quoted(value: bytes) -> bytes:
    """`value` fit for a field of a line: never empty, no white space."""
    return value if value.isalnum() else quote(value, safe="+#").encode() or b"-"


class Journal:
    """Appends to a journal file; OSError when it cannot."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, lines: list[bytes]) -> None:
        """Appends whole lines (each with its line feed) at once."""
        data = memoryview(b"".join(lines))
        while data:
            data = data[os.write(self._file, data) :]

    def close(self) -> None:
        os.close(self._file)


def read_journal(path: str | Path) -> Iterator[JournalEntry]:
    """The entries of a journal, oldest first; an unfinished last line is left out."""
    with Path(path).open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            kind, time_ms, destination, *rest = line.decode("ascii").split()
            if kind == "S":
                part, reference, message_id, status, bind = rest
                number, _, total = part.partition("/")
                yield JournalEntry(
                    kind, int(time_ms), unquote(destination), "" if message_id == "-" else message_id,
                    unquote(bind), int(number), int(total), int(reference), int(status),
                )  # fmt: skip
            elif kind == "R":
                message_id, stat, bind = rest
                yield JournalEntry(kind, int(time_ms), unquote(destination), message_id, unquote(bind), stat=stat)
            else:
                message_id, status_text, bind = rest
                yield JournalEntry(
                    kind, int(time_ms), unquote(destination), message_id, unquote(bind),
                    status=int(status_text),
                )  # fmt: skip
