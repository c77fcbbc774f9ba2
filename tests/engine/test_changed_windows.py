"""A running engine and a send window that the operator changes under way, as `cooee account set` does it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from cooee.model.campaign import BatchState, CampaignState
from cooee.service.accounts import Accounts
from tests.engine.support_engine import Whole, whole
from tests.engine.support_link import accept, until
from tests.store.support_store import FIRST


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(40):
            await main()

    asyncio.run(bounded())


@asynccontextmanager
async def operator(it: Whole) -> Any:
    """A command beside the engine."""
    accounts = Accounts(it.world.database, it.world.ids, it.clock)
    try:
        yield accounts
    finally:
        accounts.close()


def window(it: Whole, ahead: int) -> tuple[int, int]:
    """One of half an hour that opens in so many minutes."""
    minute = it.clock.now_ms() // 60_000 + ahead
    return minute % 1440, (minute + 30) % 1440


def test_what_waits_goes_as_soon_as_the_window_is_taken_away(database_url: str) -> None:
    async def main() -> None:
        async with whole(database_url) as it, operator(it) as accounts:
            account = await it.world.account(window=window(it, 600))
            waits = it.clock.now_ms() + 600 * 60_000
            new = await it.world.campaign(3, account_id=account, wake_at=waits)
            await it.world.sql(f"UPDATE campaign SET due_at = NULL WHERE id = {new.id}")
            it.engine.wake(True)
            await asyncio.sleep(0.3)
            assert it.sent == []
            await accounts.set(f"account {account}", window=None)
            await until(lambda: len(it.sent) == 3)

    run(main)


def test_what_is_running_stops_at_once_and_goes_on_at_once(database_url: str) -> None:
    async def main() -> None:
        async with whole(database_url, window=5, reply=None) as it, operator(it) as accounts:
            account = await it.world.account()
            new = await it.world.campaign(12, account_id=account)
            it.engine.wake(False)
            await until(lambda: len(it.sent) == 5)
            await accounts.set(f"account {account}", window=window(it, 600))
            (carrier,) = it.carriers.values()
            carrier.reply = accept
            carrier.links[0].answer()

            async def delayed() -> bool:
                return (await it.world.batches(new))[0].state == BatchState.DELAYED

            await until(delayed)
            assert len(it.sent) == 5
            await accounts.set(f"account {account}", window=window(it, -5))

            async def finished() -> bool:
                return await it.world.state(new) == CampaignState.FINISHED

            await until(finished)
            assert sorted(it.sent) == [FIRST + at for at in range(12)]

    run(main)
