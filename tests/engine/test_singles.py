"""A single message that finds a long campaign before it, and no room in this process: it takes its turn."""

from __future__ import annotations

import asyncio

import pytest

from tests.engine.support_engine import bench
from tests.engine.support_link import until
from tests.store.support_store import FIRST

TPS = 300


@pytest.mark.parametrize("size", [75, 150])
def test_it_waits_for_three_batches_at_most(database_url: str, size: int) -> None:
    """The rest of the batch in hand, and two. Counted in what went before it: so it holds on a busy machine."""

    async def main() -> None:
        async with bench(database_url, tps=TPS) as it:
            sent = it.link.sent
            await it.world.campaign(4000, batch=size)
            it.worker.wake()
            await until(lambda: len(sent) > 50)
            for at in range(5):
                single = FIRST + 100_000 + at
                await it.world.campaign([single])
                before = len(sent)
                it.worker.wake()
                await until(lambda single=single: (single, 0) in sent)  # type: ignore[misc]
                # A trip may have been under way, and may have claimed one more.
                assert sent.index((single, 0)) - before <= 3 * size + TPS // 10
                await asyncio.sleep(0.05)
            assert len(sent) < 4000

    asyncio.run(main())
