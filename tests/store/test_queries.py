"""The named queries: well formed, used, explained, and understood by both engines against the migrated schema."""

from __future__ import annotations

import asyncio
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import cooee
from cooee.model.clock import ManualClock
from cooee.store.open import open_database
from cooee.store.postgres import PostgresDatabase
from cooee.store.queries import Engine, Query, load
from cooee.store.sqlite import SqliteDatabase

ENGINES: tuple[Engine, ...] = ("sqlite", "postgres")
SOURCES = {
    path.name: path.read_text(encoding="utf-8")
    for path in sorted(Path(str(files("cooee.store").joinpath("sql"))).glob("*.sql"))
}
HEADER = re.compile(r"^-- name: (\w+)((?: \[\w+\])?(?: rows\([^)]*\)(?: bound)?)?(?: json\([^)]*\))?)$")
PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")


def blocks() -> list[tuple[str, str, str, str]]:
    """(file, name, marks, body) of every block."""
    found = []
    for name, source in SOURCES.items():
        for block in re.split(r"^(?=-- name:)", source, flags=re.MULTILINE)[1:]:
            head, _, body = block.partition("\n")
            match = HEADER.match(head)
            assert match, f"{name}: not a header: {head}"
            found.append((name, match[1], match[2], body))
    return found


def test_every_file_says_what_it_is_about() -> None:
    for name, source in SOURCES.items():
        assert source.startswith("-- "), name
        assert not source.startswith("-- name:"), f"{name} opens without a word"


def test_no_header_is_misspelt() -> None:
    """A line that only looks like a header would make its block part of the one before."""
    for name, source in SOURCES.items():
        for line in source.splitlines():
            if re.match(r"\s*--\s*name\b", line):
                assert HEADER.match(line), f"{name}: {line}"


def test_both_engines_have_the_same_queries() -> None:
    assert load("sqlite").keys() == load("postgres").keys()
    assert len(load("sqlite")) > 80


def test_a_twin_carries_the_other_mark_and_takes_the_same_rows() -> None:
    by_name: dict[str, list[tuple[str, str]]] = {}
    for _, name, marks, body in blocks():
        by_name.setdefault(name, []).append((marks, body))
    for name, twins in by_name.items():
        if len(twins) == 1:
            assert "[" not in twins[0][0], f"{name} is for one engine only"
            continue
        assert len(twins) == 2, f"{name} is there {len(twins)} times"
        assert sorted(re.findall(r"\[(\w+)\]", twins[0][0] + twins[1][0])) == ["postgres", "sqlite"], name
        rows = {re.sub(r"\s", "", found) for marks, _ in twins for found in re.findall(r"rows\([^)]*\)", marks)}
        assert len(rows) <= 1, f"{name} takes different rows on the two engines"


def statement(body: str) -> str:
    return "\n".join(line for line in body.splitlines() if line.strip() and not line.lstrip().startswith("--"))


def test_each_block_is_one_statement_of_the_common_subset() -> None:
    for file, name, marks, body in blocks():
        text = statement(body)
        if not text:
            assert "[" in marks, f"{file}: {name} is empty for both engines"
            continue
        assert text.rstrip().endswith(";"), f"{file}: {name} has no end"
        assert text.count(";") == 1, f"{file}: {name} is more than one statement"
        assert not re.search(r"\b(now\(\)|INTERVAL|ILIKE|current_timestamp)\b", text, re.IGNORECASE), name
        assert not re.search(r"WITH\s+\w+\s+AS\s*\(\s*(INSERT|UPDATE|DELETE)", text, re.IGNORECASE), name
        assert ("{rows}" in text) == ("rows(" in marks), f"{file}: {name}: rows are named and not used, or reverse"


def test_what_is_bound_changes_rows_and_tells_nothing_else() -> None:
    """It may take several statements: their results would have to be put together."""
    bound = [(name, marks, statement(body)) for _, name, marks, body in blocks() if " bound" in marks]
    assert len(bound) > 5
    for name, marks, text in bound:
        assert text.startswith(("INSERT ", "UPDATE ", "DELETE ")), name
        assert "RETURNING" not in text, name
        assert "json(" not in marks, name


def test_long_or_odd_blocks_are_explained() -> None:
    """A statement of more than a few lines says what it changes and why it has this shape, in one of its texts."""
    explained = {name for _, name, _, body in blocks() if body.lstrip().startswith("--")}
    for file, name, _, body in blocks():
        if len(statement(body).splitlines()) > 6:
            assert name in explained, f"{file}: {name} says nothing about itself"


def test_every_query_is_used() -> None:
    root = Path(cooee.__file__).parent
    code = "\n".join(path.read_text(encoding="utf-8") for path in root.rglob("*.py"))
    unused = sorted(name for name in load("sqlite") if f'"{name}"' not in code)
    assert unused == []


@pytest.mark.parametrize("engine", ENGINES)
def test_parameters_are_the_same_on_both_engines(engine: Engine) -> None:
    mine, other = load(engine), load("postgres" if engine == "sqlite" else "sqlite")
    for name, query in mine.items():
        if query.text and other[name].text:
            assert names(query) == names(other[name]), name


def names(query: Query) -> set[str]:
    """What has to be given, but for the rows."""
    found = set(query.parameters) if query.parameters else set(PARAMETER.findall(query.text))
    return {name for name in found if name != "rows" and not name.startswith("col_")}


def test_every_query_is_understood_by_its_engine(database_url: str) -> None:
    async def main() -> None:
        database = await open_database(database_url, ManualClock(), pool=2)
        wrong = []
        for name, query in database.queries.items():
            if not query.text:
                continue
            try:
                await understand(database, query)
            except Exception as error:
                wrong.append(f"{name}: {error}")
        await database.close()
        assert wrong == []

    asyncio.run(main())


async def understand(database: object, query: Query) -> None:
    if isinstance(database, SqliteDatabase) and query.bound:
        values = len(query.parameters) + 3 * len(query.row_columns)

        async def explain_bound(tx: Any) -> None:
            tx.connection.execute(f"EXPLAIN {query.for_rows(3)}", (None,) * values).fetchall()

        await database.read(explain_bound)
        return
    if isinstance(database, SqliteDatabase):
        given: dict[str, Any] = dict.fromkeys(PARAMETER.findall(query.text))
        if "rows" in given:
            given["rows"] = "[]"

        async def explain(tx: Any) -> None:
            tx.connection.execute(f"EXPLAIN {query.text}", given).fetchall()

        await database.read(explain)
        return
    assert isinstance(database, PostgresDatabase)
    async with database.pool.acquire() as connection:
        prepared = await connection.prepare(query.text)
        assert len(prepared.get_parameters()) == len(query.parameters)


def test_a_misspelt_query_would_be_noticed(database_url: str) -> None:
    async def main() -> None:
        database = await open_database(database_url, ManualClock(), pool=2)
        bad = Query("bad", "SELECT no_such_column FROM message", (), (), (), False)
        with pytest.raises((asyncpg.PostgresError, Exception), match="no_such_column"):
            await understand(database, bad)
        await database.close()

    asyncio.run(main())


# --- the loader itself -------------------------------------------------------------------------------------


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of SQL that the loader reads instead."""
    (tmp_path / "sql").mkdir()
    monkeypatch.setattr("cooee.store.queries.files", lambda package: tmp_path)
    return tmp_path / "sql"


def test_a_name_that_is_defined_twice_is_refused(sources: Path) -> None:
    (sources / "a.sql").write_text("-- A.\n\n-- name: one\nSELECT 1;\n")
    (sources / "b.sql").write_text("-- B.\n\n-- name: one\nSELECT 2;\n")
    with pytest.raises(ValueError, match="query one is defined twice for sqlite"):
        load("sqlite")


def test_rows_parameters_and_twins_are_written_for_each_engine(sources: Path) -> None:
    (sources / "a.sql").write_text(
        "-- A.\n\n-- name: put rows(a bigint, b text, c bytes)\n-- Why.\nINSERT INTO t SELECT r.a, r.b, r.c, :now "
        "FROM {rows} AS r WHERE :now > CAST(:then AS BIGINT);\n\n"
        "-- name: get [sqlite] json(a, b)\nSELECT a, b FROM t;\n\n"
        "-- name: get [postgres]\nSELECT a, b FROM t FOR UPDATE;\n"
        "\n-- name: add rows(a bigint, b text) bound\nINSERT INTO t SELECT r.a FROM {rows} AS r "
        "WHERE r.b <> :no;\n"
        "\n-- name: lock [sqlite]\n\n-- name: lock [postgres]\nSELECT x::text FROM t;\n"
    )
    (sources / "note.txt").write_text("no SQL")
    sqlite, postgres = load("sqlite"), load("postgres")
    assert sqlite["put"].byte_columns == (False, False, True)
    assert "value->>1 AS b, unhex(value->>2) AS c FROM jsonb_each(:rows)" in sqlite["put"].text
    assert postgres["put"].parameters == ("now", "col_a", "col_b", "col_c", "then")
    assert "unnest($2::bigint[], $3::text[], $4::bytea[]) AS u(a, b, c)" in postgres["put"].text
    assert postgres["put"].row_columns == ("a", "b", "c")
    assert sqlite["get"].folded
    assert sqlite["get"].text.startswith("SELECT json_group_array(json_array(a, b))")
    assert not postgres["get"].folded
    assert "FOR UPDATE" in postgres["get"].text
    assert sqlite["add"].for_rows(2) == (
        "INSERT INTO t SELECT r.a FROM (SELECT column1 AS a, column2 AS b FROM (VALUES (?2, ?3), (?4, ?5))) AS r "
        "WHERE r.b <> ?1"
    )
    assert (sqlite["add"].parameters, sqlite["put"].bound) == (("no",), False)
    assert "unnest($1::bigint[], $2::text[])" in postgres["add"].text
    assert sqlite["lock"].text == ""
    # A cast is no parameter.
    assert postgres["lock"].parameters == ()
    assert "Why" not in postgres["put"].text
