"""Named queries: loads `sql/<area>.sql` and writes each one for the engine at hand.

A block opens with `-- name: NAME`, then comment lines that say what it changes and why it has this shape, then
one statement. Parameters are written `:name`. Three marks may follow the name:

    [sqlite] or [postgres]   this text is for that engine alone; its twin carries the other mark. A block whose
                             statement is empty does nothing on that engine.
    rows(a bigint, b text)   the statement takes many rows at once; `{rows}` in a FROM clause stands for them as a
                             subquery with those columns. One JSON text on SQLite, one array a column on
                             PostgreSQL. Types: bigint, text, bytes.
    json(a, b)               on SQLite the result is folded into one JSON text. A writer thread that steps over 500
                             rows gives the interpreter lock away 500 times and waits for it as often; one step
                             does it once (docs/decisions/0002-sqlite-writer.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

Engine = Literal["sqlite", "postgres"]

_HEADER = re.compile(
    r"^-- name: (?P<name>\w+)(?: \[(?P<engine>sqlite|postgres)\])?"
    r"(?: rows\((?P<rows>[^)]*)\))?(?: json\((?P<json>[^)]*)\))?\s*$",
    re.MULTILINE,
)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_SQLITE_COLUMN = {"bigint": "value->>{}", "text": "value->>{}", "bytes": "unhex(value->>{})"}
_POSTGRES_ARRAY = {"bigint": "bigint[]", "text": "text[]", "bytes": "bytea[]"}


@dataclass(frozen=True, slots=True)
class Query:
    """One statement, ready for its engine.

    `parameters` is the order of its values on PostgreSQL; `byte_columns` says which row columns hold bytes;
    `folded` tells that the result is one JSON text.
    """

    name: str
    text: str
    parameters: tuple[str, ...]
    row_columns: tuple[str, ...]
    byte_columns: tuple[bool, ...]
    folded: bool


def _columns(spec: str) -> list[tuple[str, str]]:
    pairs = [part.split() for part in spec.split(",")]
    return [(name, kind) for name, kind in pairs]


def _compile(match: re.Match[str], body: str, engine: Engine) -> Query:
    lines = [line for line in body.splitlines() if line.strip() and not line.lstrip().startswith("--")]
    text = "\n".join(lines).strip().removesuffix(";")
    columns = _columns(match["rows"]) if match["rows"] else []
    folded = bool(match["json"]) and engine == "sqlite"
    if engine == "sqlite":
        if columns:
            picks = ", ".join(
                f"{_SQLITE_COLUMN[kind].format(i)} AS {name}" for i, (name, kind) in enumerate(columns)
            )
            text = text.replace("{rows}", f"(SELECT {picks} FROM jsonb_each(:rows))")
        if folded:
            text = f"SELECT json_group_array(json_array({match['json']})) FROM (\n{text}\n)"
        return Query(
            match["name"], text, (), tuple(n for n, _ in columns), tuple(k == "bytes" for _, k in columns), folded
        )
    if columns:
        names = ", ".join(name for name, _ in columns)
        arrays = ", ".join(f":col_{name}::{_POSTGRES_ARRAY[kind]}" for name, kind in columns)
        text = text.replace("{rows}", f"(SELECT * FROM unnest({arrays}) AS u({names}))")
    order: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in order:
            order.append(found[1])
        return f"${order.index(found[1]) + 1}"

    text = _PARAMETER.sub(number, text)
    return Query(
        match["name"], text, tuple(order), tuple(n for n, _ in columns), tuple(False for _ in columns), False
    )


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
