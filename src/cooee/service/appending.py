"""Creates with a Reference: added to a campaign that has not started, or a campaign of their own.

Wire contract §4, append. A small list is dealt with in one transaction. A large one is compared with what is there
beside the event loop and outside of any transaction, written piece by piece under an id of its own that nobody
sees, and then handed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cooee.model.clock import Clock
from cooee.model.errors import StoreUnavailable
from cooee.store import acceptance, appends
from cooee.store.acceptance import Created, NewCampaign
from cooee.store.appends import Compared, Other
from cooee.store.database import Database, Grouped, Tx

TRIES = 6
MOST_ADOPTED = 8_000
"""Batches that go over to another campaign at most: it is one transaction (measured: about 16 ms on SQLite)."""

MakeNew = Callable[[Tx, list[NewCampaign]], Awaitable[list[Created | Exception]]]
"""Accepts small campaigns of their own within a transaction."""
Stage = Callable[[NewCampaign], Awaitable[None]]
"""Writes a large list unseen."""


class Appending:
    """The use case of creates with a Reference."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        make_new: MakeNew,
        stage: Stage,
        *,
        limit: int,
        parallel: int,
    ) -> None:
        self._database = database
        self._clock = clock
        self._make_new = make_new
        self._stage = stage
        self._at_once: Grouped[NewCampaign, Created | Other] = Grouped(
            database, self._at_once_group, limit=limit, parallel=parallel, weight=acceptance.weight
        )

    async def create(self, new: NewCampaign, asked_at: int | None) -> Created:
        """Committed when this returns; `new.owner` is None where it was added to another.

        ApiError -202, -902, -911. StoreUnavailable when others with the same reference came in between each time.
        """
        small = new.messages <= acceptance.SMALL
        if small and new.wake_at is None:
            made = await self._at_once.put(new)
            if isinstance(made, Created):
                return made
        known, rest = Compared(), new
        for attempt in range(TRIES):
            if attempt or not small:
                known, rest = await self._compare(new, asked_at)
            if rest.messages <= acceptance.SMALL:
                answer = await self._in_one(new, asked_at, known, rest)
            else:
                answer = await self._in_pieces(new, asked_at, known, rest)
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, Created):
                return answer
        raise StoreUnavailable("campaigns with that reference change too fast")

    async def _at_once_group(self, tx: Tx, items: list[NewCampaign]) -> list[Created | Other | Exception]:
        """What goes at once is never added to, and is seldom added: such creates are committed in groups.

        They need no lock on their reference: whoever schedules one at this moment comes after them.
        """
        alone = await appends.unmatched(tx, items)
        answers = await self._make_new(tx, alone) if alone else []
        made = {id(new): answer for new, answer in zip(alone, answers, strict=True)}
        return [made.get(id(new), Other.AGAIN) for new in items]

    async def _in_one(
        self, new: NewCampaign, asked_at: int | None, known: Compared, rest: NewCampaign
    ) -> Created | Exception | Other:
        async def operation(tx: Tx) -> Created | Exception | Other:
            answer = await appends.append(tx, new, asked_at, known, rest, self._clock.now_ms())
            if answer is not Other.NO_TARGET:
                new.owner = None
                return answer
            if new.messages > acceptance.SMALL:
                return Other.AGAIN
            return (await self._make_new(tx, [new]))[0]

        return await self._database.write(operation)

    async def _in_pieces(
        self, new: NewCampaign, asked_at: int | None, known: Compared, rest: NewCampaign
    ) -> Created | Exception | Other:
        staged = new if known.target is None else rest.coarser(MOST_ADOPTED)
        await self._stage(staged)
        answer = await self._database.write(
            lambda tx: appends.publish(tx, staged, asked_at, known, self._clock.now_ms())
        )
        if not isinstance(answer, Created) or answer.campaign_id != new.id:
            await acceptance.drop_whole(self._database, new.account_id, new.id)
        return answer

    async def _compare(self, new: NewCampaign, asked_at: int | None) -> tuple[Compared, NewCampaign]:
        """What is there already, and what is left of the list."""
        ids = await self._database.read(lambda tx: appends.candidates(tx, new, asked_at))
        if not ids:
            return Compared(), new
        known = Compared(ids[0])
        wanted = await asyncio.to_thread(set, new.numbers)
        while rows := await self._database.read(lambda tx: appends.page(tx, new.account_id, ids[0], known.last)):
            await asyncio.to_thread(known.look, wanted, rows)
        return known, await asyncio.to_thread(new.without, known.present)
