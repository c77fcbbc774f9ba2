"""What waits for an operator: uncertain recipients to settle, and what was put aside to look at.

Whatever takes long goes in pieces of 500, each a transaction of its own, with a line in the audit log for each.
"""

from __future__ import annotations

from collections.abc import Sequence

from cooee.model.clock import Clock
from cooee.model.errors import ConfigError
from cooee.model.words import counted
from cooee.service import audit
from cooee.service.accounts import named
from cooee.store import attention as rows
from cooee.store.attention import COUNTED, Aside, Doubt, Key, Orphan, Span
from cooee.store.database import Database, Lane, Tx

__all__ = ["COUNTED", "Aside", "Attention", "Doubt", "Key", "Orphan", "Span"]

PIECE = 500
MOST_CHOSEN = 1000
"""Rows that a person may choose on one page."""


class Attention:
    """The use cases."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # --- uncertain recipients ------------------------------------------------------------------------------

    async def span(self, account: str = "", campaign_id: int | None = None) -> Span:
        """Which uncertain recipients: of a campaign, of an account, or all. ConfigError for one that is none."""

        async def operation(tx: Tx) -> Span:
            if campaign_id is not None:
                owner = await rows.owner_of(tx, campaign_id)
                if owner is None or (account and (await named(tx, account)).id != owner):
                    raise ConfigError(f"there is no campaign {campaign_id}" + (" of it" if account else ""))
                return rows.span_of(owner, campaign_id)
            return rows.span_of((await named(tx, account)).id if account else None, None)

        return await self._database.read(operation)

    async def doubts(self, span: Span, *, after: Key | None, limit: int) -> tuple[list[Doubt], int]:
        """Up to `limit` behind the key `after`, and how many there are in all (at most COUNTED + 1)."""

        async def operation(tx: Tx) -> tuple[list[Doubt], int]:
            return await rows.doubts(tx, span, after, limit), await rows.doubt_count(tx, span)

        return await self._database.read(operation)

    async def settle(self, keys: Sequence[Key], *, again: bool) -> int:
        """Has them sent again, or settles them as failed and charged; how many were still uncertain.

        Sent again, a recipient may get the message twice; a late receipt still raises what was settled as failed.
        """
        return await self._settle(keys[:MOST_CHOSEN], again=again)

    async def settle_all(self, span: Span, *, again: bool) -> int:
        """The same for all that are there now; how many."""
        after: Key | None = None
        total = 0
        while True:

            async def following(tx: Tx, after: Key | None = after) -> list[Key]:
                return await rows.doubt_keys(tx, span, after, PIECE)

            keys = await self._database.read(following)
            if not keys:
                return total
            total += await self._settle(keys, again=again)
            after = keys[-1]

    async def _settle(self, keys: Sequence[Key], *, again: bool) -> int:
        made = audit.change("uncertain resent" if again else "uncertain failed")
        total = 0
        for start in range(0, len(keys), PIECE):
            piece = list(keys[start : start + PIECE])
            now = self._clock.now_ms()

            async def operation(tx: Tx, piece: list[Key] = piece, now: int = now) -> int:
                doubted = await rows.doubts_among(tx, piece)
                settled = await (rows.release if again else rows.fail)(tx, doubted, now)
                if settled:
                    await audit.note(tx, made, now, _said(doubted, settled))
                return settled

            total += await self._database.write(operation, Lane.BULK)
        return total

    # --- what was put aside --------------------------------------------------------------------------------

    async def aside(self, kind: str, *, before: int | None, limit: int) -> tuple[list[Aside], dict[str, int]]:
        """Up to `limit` items of a kind ("": any) below the id `before`, and how many there are of each kind."""

        async def operation(tx: Tx) -> tuple[list[Aside], dict[str, int]]:
            return await rows.aside(tx, kind, before, limit), await rows.kinds_aside(tx)

        return await self._database.read(operation)

    async def drop_aside(self, ids: Sequence[int]) -> int:
        """Throws items away; how many there were."""
        made = audit.change("quarantine deleted")
        now = self._clock.now_ms()
        chosen = list(ids[:MOST_CHOSEN])

        async def operation(tx: Tx) -> int:
            dropped = await rows.drop_aside(tx, chosen)
            if dropped:
                await audit.note(tx, made, now, counted(dropped, "item"))
            return dropped

        return await self._database.write(operation)


def _said(keys: Sequence[Key], settled: int) -> str:
    campaigns = sorted({key[1] for key in keys})
    which = ", ".join(map(str, campaigns[:5])) + (" and more" if len(campaigns) > 5 else "")
    several = "s" if len(campaigns) > 1 else ""
    return f"{counted(settled, 'recipient')} of campaign{several} {which}"
