"""When old rows are removed: small tables every minute, the rest a few times a day.

It is a task of its own beside the scheduler: a run may take hours, and nothing that becomes due may wait for it.
"""

from __future__ import annotations

import asyncio

import structlog

from cooee.model.clock import Clock
from cooee.model.errors import CooeeError
from cooee.service.keeping import Keep
from cooee.service.retention import Elsewhere, Retention
from cooee.store.database import Database

log = structlog.get_logger()

TICK_S = 1.0
TIDY_S = 60.0
FIRST_S = 300.0
"""After a start, traffic that has waited goes first."""
RUN_S = 6 * 3600.0


class Keeper:
    """Runs retention on a store, by `clock`, until cancelled."""

    def __init__(self, database: Database, clock: Clock, keep: Keep) -> None:
        self._clock = clock
        self._retention = Retention(database, clock, keep)

    async def run(self) -> None:
        """Tidies, and removes; a fault of the database is logged and the run comes again."""
        tidy_at = self._clock.monotonic()
        run_at = tidy_at + FIRST_S
        while True:
            now = self._clock.monotonic()
            try:
                if now >= run_at:
                    run_at = now + RUN_S
                    await self._remove()
                elif now >= tidy_at:
                    tidy_at = now + TIDY_S
                    await self._retention.tidy()
            except Elsewhere:
                log.debug("retention_elsewhere")
            except CooeeError as error:
                log.warning("retention_failed", reason=str(error))
                run_at = min(run_at, now + FIRST_S)
            await asyncio.sleep(TICK_S)

    async def _remove(self) -> None:
        started = self._clock.monotonic()
        went = {line.table: line.rows for line in await self._retention.run() if line.rows}
        if went:
            log.info("retention_done", seconds=round(self._clock.monotonic() - started), **went)
