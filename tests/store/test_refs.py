"""Which message an SMSC id stands for: kept in memory and as blobs on SQLite, merged, read again at start."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from cooee.model.clock import ManualClock
from cooee.model.errors import StoreUnavailable
from cooee.store.database import Lane, Tx
from cooee.store.open import open_database
from cooee.store.refs import PIECE, Ref, RefMemory, add_refs, find_refs, load_memory, merge
from cooee.store.sqlite import SqliteDatabase

NOW = 1_780_000_000_000


def refs(ids: list[str], at: int = NOW) -> list[Ref]:
    return [(smsc_id, at, 1001, 1, 61400000000 + number, 0, 1) for number, smsc_id in enumerate(ids)]


def random_ids(count: int, seed: int = 1) -> list[str]:
    return [str(number) for number in random.Random(seed).sample(range(10**15), count)]


async def opened(path: Path) -> SqliteDatabase:
    database = await open_database(f"sqlite:///{path}", ManualClock())
    assert isinstance(database, SqliteDatabase)
    return database


async def add(database: SqliteDatabase, some: list[Ref], carrier_id: int = 1) -> None:
    for first in range(0, len(some), 500):
        await database.write(lambda tx, first=first: add_refs(tx, carrier_id, some[first : first + 500]))  # type: ignore[misc]


async def find(
    database: SqliteDatabase, ids: list[str], carrier_id: int = 1, *, deep: bool = False
) -> dict[str, list[Ref]]:
    return await database.write(lambda tx: find_refs(tx, carrier_id, ids, NOW, deep=deep))


async def count(database: SqliteDatabase, table: str) -> int:
    async def read(tx: Tx) -> int:
        return int(tx.connection.execute(f"SELECT COUNT(*) FROM {table}").get)  # type: ignore[attr-defined]

    return await database.read(read)


def test_in_memory_then_merged_then_in_the_table(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "c.db")
        some = refs(random_ids(2 * PIECE + 500))
        asked = [ref[0] for ref in some[::100]]
        await add(database, some)
        assert database.memory.size == len(some)
        assert await count(database, "segment_ref") == 0
        before = await find(database, asked)
        assert await merge(database, database.memory) == 0
        assert await merge(database, database.memory, at=1) == len(some)
        assert (await count(database, "segment_ref"), await count(database, "slice_answer")) == (len(some), 0)
        assert (database.memory.size, database.memory.old) == (0, {})
        assert await find(database, asked) == before
        assert await find(database, ["nobody's"]) == {}
        assert await find(database, asked, carrier_id=2) == {}
        await database.close()

    asyncio.run(main())


def test_what_was_not_merged_is_read_again_at_start(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "c.db")
        merged, young = refs(random_ids(700, 1)), refs(random_ids(700, 2))
        await add(database, merged)
        await merge(database, database.memory, at=1)
        await add(database, young)
        await add(database, refs(["77"]), carrier_id=2)
        await database.close()
        again = await opened(tmp_path / "c.db")
        assert await load_memory(again, again.memory) == 701
        found = await find(again, [merged[3][0], young[3][0]])
        assert found == {merged[3][0]: [merged[3]], young[3][0]: [young[3]]}
        assert await find(again, ["77"], carrier_id=2) == {"77": refs(["77"])}
        # Blobs that come after the start are newer than those that were read.
        await add(again, refs(["78"]))
        assert await merge(again, again.memory, at=1) == 702
        assert await count(again, "slice_answer") == 0
        await again.close()

    asyncio.run(main())


def test_more_blobs_than_a_page_are_all_read(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "c.db")
        for at in range(450):
            await add(database, refs([f"i{at}"]))
        await database.close()
        again = await opened(tmp_path / "c.db")
        assert await load_memory(again, again.memory) == 450
        await again.close()

    asyncio.run(main())


def test_a_merge_that_broke_off_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "c.db")
        some = refs(random_ids(2 * PIECE + 500))
        await add(database, some)
        real, calls = database.write, 0

        async def failing(operation: object, lane: Lane = Lane.API) -> object:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise StoreUnavailable("the disk is full")
            return await real(operation, lane)  # type: ignore[arg-type]

        database.write = failing  # type: ignore[method-assign, assignment]
        with pytest.raises(StoreUnavailable):
            await merge(database, database.memory, at=1)
        # Everything is found meanwhile, and what comes is kept.
        assert len(await find(database, [ref[0] for ref in some])) == len(some)
        await add(database, refs(["new"]))
        while database.memory.size or database.memory.old:
            async with asyncio.timeout(10):
                assert await merge(database, database.memory, at=1) > 0
        assert await count(database, "segment_ref") == len(some) + 1
        assert await count(database, "slice_answer") == 0
        await database.close()

    asyncio.run(main())


def test_ids_that_come_while_it_merges_are_kept(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "c.db")
        old, young = refs(random_ids(3 * PIECE, 1)), refs(random_ids(1000, 2))
        await add(database, old)
        merging = asyncio.create_task(merge(database, database.memory, at=1))
        await add(database, young)
        ids = [old[5][0], old[-5][0], young[5][0]]
        assert len(await find(database, ids)) == 3
        await merging
        assert len(await find(database, ids)) == 3
        await database.close()
        again = await opened(tmp_path / "c.db")
        await load_memory(again, again.memory)
        assert len(await find(again, ids)) == 3
        await again.close()

    asyncio.run(main())


def test_a_failed_transaction_leaves_no_id_behind(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "c.db")

        async def fails(tx: Tx) -> None:
            await add_refs(tx, 1, refs(["1", "2"]))
            raise ValueError("bad data")

        with pytest.raises(ValueError, match="bad data"):
            await database.write(fails)
        assert database.memory.size == 0
        assert await find(database, ["1"]) == {}
        assert await count(database, "slice_answer") == 0
        await database.close()

    asyncio.run(main())


def test_an_id_in_memory_and_in_the_table_stands_for_both(tmp_path: Path) -> None:
    async def main() -> None:
        database = await opened(tmp_path / "c.db")
        older = refs(["5"], NOW - 1000)
        await add(database, older)
        await merge(database, database.memory, at=1)
        newer = [("5", NOW, 1001, 2, 61499999999, 0, 1)]
        await add(database, newer)
        assert (await find(database, ["5"]))["5"] == newer
        assert sorted((await find(database, ["5"], deep=True))["5"]) == sorted(older + newer)
        await database.close()

    asyncio.run(main())


def test_memory_keeps_every_message_of_an_id_and_sorts_in_key_order() -> None:
    memory = RefMemory()
    some = refs(random_ids(12_000))
    memory.add(1, 7, some)
    memory.add(2, 7, [(some[0][0], NOW + 1, 1001, 9, 61499999999, 0, 1)])
    assert memory.size == 12_001
    assert len(memory.get(7, some[0][0])) == 2
    assert memory.get(8, some[0][0]) == []
    memory.rotate()
    assert len(memory.get(7, some[0][0])) == 2
    ordered = list(memory.sorted_old(7))
    assert ordered == sorted(ordered)
    assert len(ordered) == 12_001
