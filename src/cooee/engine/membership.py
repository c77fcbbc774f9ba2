"""Which engines live, and which binds are whose: leases without shared clocks (docs/architecture.md).

An engine raises its beat every 3 s. A peer is taken for dead only after the same beat was seen for 15 s of our own
monotonic time, with the database reachable all the while. An engine that has not committed a beat for 8 s writes
no submit_sm, so a peer that takes over never meets it on the air.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from cooee.model.clock import Clock
from cooee.model.errors import CooeeError
from cooee.store import uncertain
from cooee.store.database import Database, Lane, Row, Tx
from cooee.store.ids import Ids
from cooee.store.uncertain import Policies

log = structlog.get_logger()

BEAT_S = 3.0
SILENT_S = 8.0
DEAD_S = 15.0
TAKE_OVER_LOCK = 0x636F6F01


class Membership:
    """This engine among its peers. `alone`: nobody else can be alive (the file is locked by this process)."""

    def __init__(self, database: Database, ids: Ids, clock: Clock, name: str, *, alone: bool) -> None:
        self.id = 0
        self._database = database
        self._ids = ids
        self._clock = clock
        self._name = name
        self._alone = alone
        self._seen: dict[int, tuple[int, float]] = {}
        self._last_commit = float("-inf")
        self._watching_since: float | None = None
        self.peers = 1
        """Engines alive, this one included."""
        self.trouble: str | None = None
        """Why the last beat could not be committed, if so."""
        self.evicted = False
        """A peer took this engine for dead and removed it."""

    async def join(self) -> None:
        """Registers this engine under a fresh id."""
        self.id = (await self._ids.take("engine", 1))[0]
        now = self._clock.now_ms()

        async def add(tx: Tx) -> None:
            await tx.run("add_engine", id=self.id, name=self._name, now=now)

        started = self._clock.monotonic()
        await self._database.write(add, Lane.ENGINE)
        self._last_commit = started
        self.evicted = False
        self._seen = {}
        self._watching_since = None

    def may_write(self) -> bool:
        """Whether the beat is fresh enough to hand anything to a carrier."""
        return not self.evicted and self._clock.monotonic() - self._last_commit < SILENT_S

    async def beat(self) -> None:
        """Shows that we live, and looks who else does. Errors are counted as silence, not raised."""
        started = self._clock.monotonic()

        async def write(tx: Tx) -> int:
            return await tx.run("beat", id=self.id)

        try:
            changed = await self._database.write(write, Lane.API)
            rows = await self._database.read(lambda tx: tx.all("engines"))
        except CooeeError as error:
            self._watching_since = None
            self._seen = {}
            self.trouble = str(error)
            log.warning("beat_failed", reason=str(error))
            return
        self.trouble = None
        # Counted from before the statement: what a peer sees is never younger than what we believe.
        self._last_commit = started
        if not changed:
            self.evicted = True
            log.error("engine_evicted", engine=self.id, reason="a peer saw no beat of ours for too long")
            return
        self._look(rows)

    def _look(self, rows: Sequence[Row]) -> None:
        now = self._clock.monotonic()
        alive = 1
        seen: dict[int, tuple[int, float]] = {}
        for engine, _, beat in rows:
            if engine == self.id:
                continue
            known = self._seen.get(engine)
            since = known[1] if known is not None and known[0] == beat else now
            seen[engine] = (beat, since)
            if now - since < DEAD_S and not self._alone:
                alive += 1
        self._seen = seen
        self.peers = alive

    @property
    def dead(self) -> list[int]:
        """Engines to take over from."""
        now = self._clock.monotonic()
        return [engine for engine, (_, since) in self._seen.items() if self._alone or now - since >= DEAD_S]

    async def take_over(self, policies: Policies) -> int:
        """Takes what dead engines, and engines that left no row, had out; how many recipients are uncertain."""
        total = 0
        for owner in self.dead:
            total += await self.take_from(owner, policies, self._seen[owner][0])
        for row in await self._database.read(lambda tx: tx.all("abandoned_owners")):
            if row[0] != self.id:
                total += await self.take_from(row[0], policies, None)
        return total

    async def take_from(self, owner: int, policies: Policies, beat: int | None) -> int:
        """Takes every batch, webhook and bind of one engine; how many recipients became uncertain.

        `beat` is the last one seen of it, None for an engine without a row. If it shows another one meanwhile, it
        lives, and nothing is taken.
        """
        batches = total = 0
        while True:
            now = self._clock.now_ms()

            async def piece(tx: Tx, now: int = now) -> tuple[int, int]:
                if await tx.one("sweep_turn", key=TAKE_OVER_LOCK) is None:
                    return 0, 0
                row = await tx.one("engine_beat", id=owner)
                if (None if row is None else row[0]) != beat:
                    return 0, 0
                taken, doubtful = await uncertain.take_over(tx, owner, policies, now)
                if not taken:
                    await tx.run("drop_webhook_leases", owner=owner)
                    await tx.run("drop_leases", owner=owner)
                    await tx.run("drop_engine", id=owner)
                return taken, doubtful

            taken, doubtful = await self._database.write(piece, Lane.ENGINE)
            batches += taken
            total += doubtful
            if not taken:
                break
        self._seen.pop(owner, None)
        if batches or beat is not None:
            log.warning("engine_taken_over", engine=owner, batches=batches, uncertain=total)
        return total

    async def give_up(self, old: int, policies: Policies) -> int:
        """Takes over from ourselves under an older id."""
        row = await self._database.read(lambda tx: tx.one("engine_beat", id=old))
        return await self.take_from(old, policies, None if row is None else row[0])

    async def leave(self) -> None:
        """An orderly end: binds and row are given up."""

        async def drop(tx: Tx) -> None:
            await tx.run("drop_webhook_leases", owner=self.id)
            await tx.run("drop_leases", owner=self.id)
            await tx.run("drop_engine", id=self.id)

        await self._database.write(drop, Lane.ENGINE)

    # --- binds ---------------------------------------------------------------------------------------------

    async def lease(self, wanted: Mapping[int, int]) -> dict[int, list[int]]:
        """Takes or gives up binds so that live engines share them evenly; which binds of which carrier we hold.

        `wanted` says how many binds each carrier has in all. A bind that we should give up is left out of the
        answer but stays leased until `release` says that it is closed.
        """
        rows = await self._database.read(lambda tx: tx.all("leases"))
        held: dict[int, list[int]] = {}
        taken: dict[int, set[int]] = {}
        for carrier_id, no, owner in rows:
            taken.setdefault(carrier_id, set()).add(no)
            if owner == self.id:
                held.setdefault(carrier_id, []).append(no)
        mine: dict[int, list[int]] = {}
        for carrier_id, binds in wanted.items():
            share = -(-binds // self.peers)
            ours = sorted(no for no in held.get(carrier_id, []) if no < binds)[:share]
            for no in range(binds):
                if len(ours) >= share:
                    break
                if no not in taken.get(carrier_id, set()) and await self._take(carrier_id, no):
                    ours.append(no)
            mine[carrier_id] = ours
        return mine

    async def _take(self, carrier_id: int, no: int) -> bool:
        async def write(tx: Tx) -> bool:
            return await tx.run("take_lease", carrier_id=carrier_id, no=no, owner=self.id) == 1

        return await self._database.write(write, Lane.ENGINE)

    async def release(self, carrier_id: int, no: int) -> None:
        """A bind is closed: a peer may have it."""

        async def write(tx: Tx) -> None:
            await tx.run("drop_lease", carrier_id=carrier_id, no=no, owner=self.id)

        await self._database.write(write, Lane.ENGINE)
