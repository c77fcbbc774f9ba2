"""On SQLite old ids of segments go in key order, whatever the keys are; a busy writer is never held for long."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from cooee.model.clock import DAY
from cooee.store import refs
from cooee.store.database import Lane, Row
from cooee.store.refs import RefMemory
from cooee.store.sqlite import SqliteDatabase
from tests.service.support_retention import counts, kept
from tests.store.support_store import World

OLD = 8 * DAY


async def fill(made: World, carrier_id: int, some: Sequence[Row]) -> None:
    await made.write(lambda tx: tx.many("add_refs", some, carrier_id=carrier_id), Lane.BULK)


@pytest.mark.parametrize("step", [2, 7, 40, 4000])
def test_exactly_the_old_ids_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Ids of one carrier and of several, the same id for many messages, at one time and at several."""
    monkeypatch.setattr("cooee.service.retention.STRETCH", step)
    monkeypatch.setattr("cooee.service.retention.Retention._sized", lambda self, most: most)
    rnd = random.Random(step)

    async def main() -> None:
        async with kept(f"sqlite:///{tmp_path / 'c.db'}") as (made, retention):
            now = made.clock.now_ms()
            other = await made.carrier()
            expected, old = 0, 0
            for carrier_id in (made.carrier_id, other):
                some = [
                    (
                        rnd.choice(["", "0", "same", "ünï", f"{rnd.randrange(100)}", f"{rnd.randrange(10**9):x}"]),
                        now - rnd.choice([0, DAY, OLD - 1, OLD, OLD + 1, 20 * DAY]),
                        made.account_id, 1, 61400000000 + at, 0, 1,
                    )
                    for at in range(150)
                ]  # fmt: skip
                old += sum(row[1] < now - OLD for row in some)
                expected += sum(row[1] >= now - OLD for row in some)
                await fill(made, carrier_id, some)
            assert counts(await retention.plan()) == {"segment_ref": old}
            assert counts(await retention.run()) == {"segment_ref": old}
            assert await made.rows("SELECT COUNT(*) FROM segment_ref") == [(expected,)]
            assert await made.rows(f"SELECT COUNT(*) FROM segment_ref WHERE at < {now - OLD}") == [(0,)]

    asyncio.run(main())


def test_ids_in_memory_are_merged_after_a_day_where_little_is_sent(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(f"sqlite:///{tmp_path / 'c.db'}") as (made, _):
            assert isinstance(made.database, SqliteDatabase)
            memory: RefMemory = made.database.memory
            new = await made.campaign(2)
            (hand,) = await made.claim(7)
            await hand.accept([0, 1]).step(release=True)
            now = made.clock.now_ms()
            assert new.messages == memory.size == 2
            assert await refs.merge(made.database, memory, before=now) == 0
            assert await refs.merge(made.database, memory, before=now + 1) == 2
            assert await made.rows("SELECT COUNT(*) FROM segment_ref") == [(2,)]
            assert await made.rows("SELECT COUNT(*) FROM slice_answer") == [(0,)]
            assert await refs.merge(made.database, memory, before=now + 10**9) == 0

    asyncio.run(main())
