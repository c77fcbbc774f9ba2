"""Named queries: loads `sql/<area>.sql` and writes each one for the engine at hand.

A block opens with `-- name: NAME`, then comment lines that say what it changes and why it has this shape, then
one statement. Parameters are written `:name`. Four marks may follow the name:

    [sqlite] or [postgres]   this text is for that engine alone; its twin carries the other mark. A block whose
                             statement is empty does nothing on that engine.
    rows(a bigint, b text)   the statement takes many rows at once; `{rows}` in a FROM clause stands for them as a
                             subquery with those columns. One JSON text on SQLite, one array a column on
                             PostgreSQL. Types: bigint, text, bytes.
    bound                    after rows(…), for changes alone: on SQLite the values are bound one by one, up to 64
                             rows a statement; longer lists take several statements, one after the other. It costs
                             less than JSON text: for what runs with every message. Each row must stand for itself:
                             no order, no sum, no DISTINCT over all of them.
    json(a, b)               on SQLite the result is folded into one JSON text. A writer thread that steps over 500
                             rows gives the interpreter lock away 500 times and waits for it as often; one step
                             does it once (docs/decisions/0002-sqlite-writer.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Literal

Engine = Literal["sqlite", "postgres"]

_HEADER = re.compile(
    r"^-- name: (?P<name>\w+)(?: \[(?P<engine>sqlite|postgres)\])?"
    r"(?: rows\((?P<rows>[^)]*)\)(?P<bound> bound)?)?(?: json\((?P<json>[^)]*)\))?\s*$",
    re.MULTILINE,
)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_SQLITE_COLUMN = {"bigint": "value->>{}", "text": "value->>{}", "bytes": "unhex(value->>{})"}
_POSTGRES_ARRAY = {"bigint": "bigint[]", "text": "text[]", "bytes": "bytea[]"}


@dataclass(frozen=True, slots=True)
class Query:
    """One statement, ready for its engine.

    `parameters` is the order of its values on PostgreSQL, and where `bound`; `byte_columns` says which row columns
    hold bytes; `folded` tells that the result is one JSON text. `text` still has its `{rows}` where `bound`.
    """

    name: str
    text: str
    parameters: tuple[str, ...]
    row_columns: tuple[str, ...]
    byte_columns: tuple[bool, ...]
    folded: bool
    bound: bool = False
    texts: dict[int, str] = field(default_factory=dict, compare=False)

    def for_rows(self, count: int) -> str:
        """The text of a `bound` query for so many rows: its `parameters` are ?1…, then come the rows' values."""
        text = self.texts.get(count)
        if text is None:
            text = self.texts[count] = self._for_rows(count)
        return text

    def _for_rows(self, count: int) -> str:
        first, width = len(self.parameters) + 1, len(self.row_columns)
        picks = ", ".join(f"column{i} AS {name}" for i, name in enumerate(self.row_columns, 1))
        rows = ", ".join(
            "(" + ", ".join(f"?{n}" for n in range(at, at + width)) + ")"
            for at in range(first, first + count * width, width)
        )
        return self.text.replace("{rows}", f"(SELECT {picks} FROM (VALUES {rows}))")


def _columns(spec: str) -> list[tuple[str, str]]:
    pairs = [part.split() for part in spec.split(",")]
    return [(name, kind) for name, kind in pairs]


def _numbered(text: str, mark: str) -> tuple[str, tuple[str, ...]]:
    """`text` with numbers for names, ?1 or $1, and the names in that order."""
    order: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in order:
            order.append(found[1])
        return f"{mark}{order.index(found[1]) + 1}"

    return _PARAMETER.sub(number, text), tuple(order)


def _compile(match: re.Match[str], body: str, engine: Engine) -> Query:
    lines = [line for line in body.splitlines() if line.strip() and not line.lstrip().startswith("--")]
    text = "\n".join(lines).strip().removesuffix(";")
    columns = _columns(match["rows"]) if match["rows"] else []
    names = tuple(name for name, _ in columns)
    if engine == "sqlite":
        if match["bound"]:
            text, order = _numbered(text, "?")
            return Query(match["name"], text, order, names, (), folded=False, bound=True)
        folded = bool(match["json"])
        if folded:
            text = f"SELECT json_group_array(json_array({match['json']})) FROM (\n{text}\n)"
        picks = ", ".join(f"{_SQLITE_COLUMN[kind].format(i)} AS {name}" for i, (name, kind) in enumerate(columns))
        text = text.replace("{rows}", f"(SELECT {picks} FROM jsonb_each(:rows))")
        return Query(match["name"], text, (), names, tuple(kind == "bytes" for _, kind in columns), folded)
    arrays = ", ".join(f":col_{name}::{_POSTGRES_ARRAY[kind]}" for name, kind in columns)
    text = text.replace("{rows}", f"(SELECT * FROM unnest({arrays}) AS u({', '.join(names)}))")
    text, order = _numbered(text, "$")
    return Query(match["name"], text, order, names, (), False)


def load(engine: Engine) -> dict[str, Query]:
    """Every query of every area for `engine`, by name; ValueError when a name is defined twice."""
    found: dict[str, Query] = {}
    for path in sorted(files("cooee.store").joinpath("sql").iterdir(), key=lambda p: p.name):
        if not path.name.endswith(".sql"):
            continue
        source = path.read_text(encoding="utf-8")
        heads = list(_HEADER.finditer(source))
        for head, following in zip(heads, [*heads[1:], None], strict=True):
            if head["engine"] not in (None, engine):
                continue
            if head["name"] in found:
                raise ValueError(f"query {head['name']} is defined twice for {engine}")
            body = source[head.end() : following.start() if following else len(source)]
            found[head["name"]] = _compile(head, body, engine)
    return found
