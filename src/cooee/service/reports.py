"""Delivery reports of a campaign (wire contract §5)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from cooee.model.account import Account
from cooee.model.codetable import Source
from cooee.model.message import MessageState
from cooee.store import reports as rows
from cooee.store.database import Database, Row, Tx

MAX_ID = 2**53
"""No campaign has an id beyond; what is asked for beyond is not found."""


class Reports:
    """Reads what became of messages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def settled(
        self, account: Account, campaign_id: int, destination: int | None = None
    ) -> AsyncGenerator[list[Row], None]:
        """Pages of (destination, state, changed_at UTC ms, code) of what has a final result, destinations rising.

        Every page is one short read, and rows never leave the list, so that a slow client neither holds a
        snapshot nor misses anything. Only the last page may be empty; there is always one. A campaign of
        another account has no rows here.
        """
        if not 0 < campaign_id <= MAX_ID:
            yield []
            return
        if destination is not None:

            async def single(tx: Tx) -> Sequence[Row]:
                return await rows.one(tx, account.id, campaign_id, destination)

            yield _final(await self._database.read(single))
            return
        after = 0
        while True:

            async def following(tx: Tx, after: int = after) -> Sequence[Row]:
                return await rows.page(tx, account.id, campaign_id, after)

            page = await self._database.read(following)
            last = len(page) < rows.PAGE
            final = _final(page)
            if final or last:
                yield final
            if last:
                return
            after = page[-1][0]

    async def failures(self, account_id: int, campaign_id: int) -> list[rows.Failures]:
        """Why messages of a campaign failed, the commonest first; read by pages."""
        counts: dict[tuple[int, Source], int] = {}
        after: int | None = -1
        while after is not None:

            async def following(tx: Tx, after: int = after) -> tuple[list[rows.Failures], int | None]:
                return await rows.failure_page(tx, account_id, campaign_id, after)

            page, after = await self._database.read(following)
            for each in page:
                key = (each.code, each.source)
                counts[key] = counts.get(key, 0) + each.count
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0][0], item[0][1].value))
        return [rows.Failures(code, source, count) for (code, source), count in ordered]


def _final(page: Sequence[Row]) -> list[Row]:
    return [row for row in page if row[1] >= MessageState.FAILED]
