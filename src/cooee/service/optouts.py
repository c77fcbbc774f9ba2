"""An account's opt-outs: who must not be written to (wire contract §8).

Marking looks at the list in its own transaction, so that what is added here holds for the very next slice of
every campaign. A list may have millions of numbers: more than one piece goes in or out piece by piece, in the
lowest lane. Repeating a request that broke off does no harm.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from cooee.model.account import Account
from cooee.model.clock import Clock
from cooee.model.errors import StoreError, StoreUnavailable
from cooee.model.inbound import Reason
from cooee.service import audit
from cooee.service.recipients import Decode, add_json, shaped
from cooee.store import optouts as rows
from cooee.store.database import Database, Lane, Row, Tx
from cooee.store.optouts import NEWEST, PAGE, PIECE

_Change = Callable[[Tx, Sequence[tuple[int, int, str, str]], Reason, int], Awaitable[int]]


class Optouts:
    """The use cases of an account's opt-outs. Numbers are canonical MSISDNs."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._countries: set[str] = set()

    async def prepare(self, account: Account) -> None:
        """To be awaited before `check`: the first number of a country takes too long for the event loop."""
        if account.country not in self._countries:
            await asyncio.to_thread(self.check, account, ("1",))
            self._countries.add(account.country)

    @staticmethod
    def check(account: Account, items: Sequence[object]) -> array[int]:
        """The numbers of any E.164 shape among decoded `items`: text, also with commas, or integers.

        They come out sorted, each once.
        """
        numbers = shaped(account)
        numbers.add(items)
        return numbers.result().numbers

    @staticmethod
    def check_json(account: Account, raw: memoryview, decode: Decode) -> array[int]:
        """The same for a large JSON array or string that was not decoded yet; not for the event loop."""
        numbers = shaped(account)
        add_json(numbers, raw, decode)
        return numbers.result().numbers

    async def add(
        self, account: Account, numbers: Sequence[int], *, reason: Reason = Reason.CLIENT, who: str = ""
    ) -> int:
        """Opts numbers out; how many were not before. `who` does it, by default the account itself."""
        noted = audit.change("numbers opted out", account=account.name)
        return await self._in_pieces(rows.add, account, numbers, reason, who, noted)

    async def remove(
        self, account: Account, numbers: Sequence[int], *, reason: Reason = Reason.CLIENT, who: str = ""
    ) -> int:
        """Lets numbers be written to again; how many were opted out. They stay in the history."""
        noted = audit.change("numbers let back", account=account.name)
        return await self._in_pieces(rows.remove, account, numbers, reason, who, noted)

    async def pages(self, account: Account) -> AsyncGenerator[list[Row], None]:
        """Opt-outs, newest first: (destination, added_at UTC ms, reason, text) each.

        Every page is one short read.
        """
        before = NEWEST
        while True:

            async def following(tx: Tx, before: tuple[int, int] = before) -> Sequence[Row]:
                return await rows.page(tx, account.id, before)

            page = list(await self._database.read(following))
            if page:
                yield page
                before = (page[-1][1], page[-1][0])
            if len(page) < PAGE:
                return

    async def _in_pieces(
        self,
        change: _Change,
        account: Account,
        numbers: Sequence[int],
        reason: Reason,
        who: str,
        noted: audit.Change | None,
    ) -> int:
        who = who or account.name
        now = self._clock.now_ms()
        lane = Lane.API if len(numbers) <= PIECE else Lane.BULK
        changed = 0
        for at in range(0, len(numbers), PIECE):
            piece = numbers[at : at + PIECE]

            async def one(tx: Tx, piece: Sequence[int] = piece) -> int:
                done = await change(tx, [(account.id, number, who, "") for number in piece], reason, now)
                if done:
                    named = str(piece[0]) if len(numbers) == 1 else f"{done} of {len(numbers)} numbers"
                    await audit.note(tx, noted, now, named)
                return done

            try:
                changed += await self._database.write(one, lane)
            except StoreUnavailable as error:
                if at == 0:
                    raise
                # "Nothing was accepted" would not be true any more.
                raise StoreError(f"a part of the numbers is in: {error}") from error
        return changed
