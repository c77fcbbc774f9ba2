"""The numbers that handsets write to: whose they are, and what came to those that were nobody's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cooee.model.account import Account
from cooee.model.clock import Clock
from cooee.model.errors import ConfigError
from cooee.model.inbound import NumberKind
from cooee.model.msisdn import country_of, parse
from cooee.model.originator import parse_originator
from cooee.service import audit
from cooee.service.accounts import named
from cooee.store import unrouted
from cooee.store.carriers import by_name
from cooee.store.database import Database, Lane, Row, Tx
from cooee.store.inbound import ANY_ACCOUNT, ANY_CARRIER, Taken

NEWEST = 2**62
"""A time and an id that nothing has yet."""
EVERY_COUNTRY = "AU"
"""How local forms are read for a short code that all accounts share."""


@dataclass(frozen=True, slots=True)
class NumberView:
    """One line of the list. `account` None: every account; `carrier` None: any; `waiting`: replies to it that are
    nobody's."""

    number: str
    kind: NumberKind
    account: str | None
    carrier: str | None
    added_at: int
    waiting: int


class Numbers:
    """The use cases around numbers. ConfigError says what cannot be."""

    def __init__(
        self, database: Database, clock: Clock, stored: Callable[[set[int]], None] = lambda accounts: None
    ) -> None:
        self._database = database
        self._clock = clock
        self._stored = stored

    async def add(self, raw: str, kind: NumberKind, account: str | None, carrier: str | None = None) -> str:
        """Says whose the replies to a number are; the number in its canonical form.

        `account` None is for shared numbers: all accounts share it. `carrier` None: whatever carrier is used.
        """
        now = self._clock.now_ms()
        if account is None and kind is not NumberKind.SHARED:
            raise ConfigError(f"a number of kind {kind.name.lower()} is one account's: name it")
        noted = audit.change("number added", account=account or "", carrier=carrier or "")

        async def operation(tx: Tx) -> str:
            owner = None if account is None else await named(tx, account)
            number = _canonical(raw, owner)
            carrier_id = ANY_CARRIER if carrier is None else await _carrier(tx, carrier)
            account_id = ANY_ACCOUNT if owner is None else owner.id
            await tx.one("lock_numbers")
            for row in await tx.many_all("numbers_of", [(number,)]):
                if row[1] != carrier_id:
                    continue
                if row[2] == account_id and row[3] == kind:
                    raise ConfigError(f"{number} is there already, as {kind.name.lower()}")
                if row[3] != kind or kind is not NumberKind.SHARED:
                    was = NumberKind(row[3]).name.lower()
                    raise ConfigError(f"{number} is {was} already: cooee number remove it first")
            country = country_of(int(number)) if len(number) > 8 else None
            country = country or (EVERY_COUNTRY if owner is None else owner.country)
            await tx.run(
                "add_number",
                number=number,
                carrier_id=carrier_id,
                account_id=account_id,
                kind=kind,
                country=country,
                now=now,
            )
            await audit.note(tx, noted, now, f"{number}, {kind.name.lower()}")
            return number

        return await self._database.write(operation)

    async def remove(self, raw: str, account: str | None = None, carrier: str | None = None) -> int:
        """Replies to a number are nobody's from now on, or no longer this account's; how many rows went."""
        noted = audit.change("number removed", account=account or "", carrier=carrier or "")
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> int:
            owner = None if account is None else await named(tx, account)
            number = _canonical(raw, owner)
            carrier_id = None if carrier is None else await _carrier(tx, carrier)
            gone = await tx.run(
                "drop_number",
                number=number,
                account_id=None if owner is None else owner.id,
                carrier_id=carrier_id,
            )
            if not gone:
                raise ConfigError(f"{number} is not there like this: cooee number list shows those there are")
            await audit.note(tx, noted, now, number)
            return gone

        return await self._database.write(operation)

    async def list(self) -> Sequence[NumberView]:
        """Every number."""

        async def read(tx: Tx) -> Sequence[Row]:
            return await tx.all("list_numbers")

        return [
            NumberView(row[0], NumberKind(row[1]), row[2], row[3], row[4], row[5])
            for row in await self._database.read(read)
        ]

    async def of(self, account: Account, limit: int = 100) -> Sequence[tuple[str, NumberKind]]:
        """An account's own numbers, and what kind each is."""
        found = await self._database.read(
            lambda tx: tx.all("numbers_of_account", account_id=account.id, limit=limit)
        )
        return [(row[0], NumberKind(row[1])) for row in found]

    # --- what was nobody's ---------------------------------------------------------------------------------

    async def unrouted(self, number: str | None, limit: int) -> Sequence[Row]:
        """The newest messages that are nobody's: (id, received_at UTC ms, carrier, originator, recipient, text,
        parts, missing) each."""
        return await self._database.read(lambda tx: tx.all("unrouted_replies", recipient=number, limit=limit))

    async def unrouted_page(
        self, number: str | None, *, before: tuple[int, int] | None, limit: int
    ) -> Sequence[Row]:
        """The same below (received_at, id) of `before`."""
        at, below = before or (NEWEST, NEWEST)
        return await self._database.read(
            lambda tx: tx.all("unrouted_before", recipient=number, at=at, id=below, limit=limit)
        )

    async def not_unrouted(self, ids: Sequence[int]) -> Sequence[int]:
        """Which of these numbers are not those of messages that are nobody's, in order."""

        async def operation(tx: Tx) -> list[int]:
            return [number for number in sorted(set(ids)) if not await tx.all("unrouted_one", id=number)]

        return await self._database.read(operation)

    async def assign(self, ids: Sequence[int], account: str) -> int:
        """Gives messages to an account; how many."""
        owner = await self._database.read(lambda tx: named(tx, account))
        noted = audit.change("replies assigned", account=account)
        taken = 0
        for number in ids:

            async def operation(tx: Tx, number: int = number) -> Taken:
                rows = await tx.all("unrouted_one", id=number)
                now = self._clock.now_ms()
                done = await unrouted.assign(tx, rows, (owner.id, owner.country), now)
                if done.replies:
                    await audit.note(tx, noted, now, f"reply {number}")
                return done

            taken += self._told(await self._database.write(operation, Lane.BULK))
        return taken

    async def assign_past(self, number: str, account: str | None = None) -> int:
        """Gives what came to a number to whose it is by now, or to an account; how many."""
        owner = None if account is None else await self._database.read(lambda tx: named(tx, account))
        given = None if owner is None else (owner.id, owner.country)
        noted = audit.change("replies assigned", account=account or "")
        taken, after = 0, (-1, -1)
        while True:

            async def operation(tx: Tx, after: tuple[int, int] = after) -> tuple[Taken, Row | None]:
                rows = await tx.all("unrouted_page", recipient=number, after_at=after[0], after_id=after[1])
                now = self._clock.now_ms()
                done = await unrouted.assign(tx, rows, given, now)
                if done.replies:
                    await audit.note(tx, noted, now, f"{done.replies} that came to {number}")
                return done, rows[-1] if rows else None

            done, last = await self._database.write(operation, Lane.BULK)
            if last is None:
                return taken
            taken += self._told(done)
            after = (last[1], last[0])

    async def unrouted_some(self, ids: Sequence[int]) -> Sequence[Row]:
        """Those of these messages that are nobody's still: (id, received_at UTC ms, originator, recipient, text)
        each."""

        async def read(tx: Tx) -> Sequence[Row]:
            found = [await tx.one("unrouted_one", id=number) for number in dict.fromkeys(ids)]
            return [(row[0], row[1], row[3], row[5], row[6]) for row in found if row is not None]

        return await self._database.read(read)

    async def count_unrouted(self, number: str) -> tuple[int, int]:
        """How many that came to a number are nobody's, and when the newest of them came (UTC ms; 0 for none)."""
        row = await self._database.read(lambda tx: tx.one("count_unrouted_to", recipient=number))
        return (0, 0) if row is None else (int(row[0]), int(row[1] or 0))

    async def delete(self, ids: Sequence[int]) -> int:
        """Throws messages away that are nobody's; how many there were."""
        noted = audit.change("replies deleted")
        wanted = list(dict.fromkeys(ids))
        gone = 0
        for at in range(0, len(wanted), unrouted.PAGE):
            piece = sorted(wanted[at : at + unrouted.PAGE])

            async def operation(tx: Tx, piece: Sequence[int] = piece) -> int:
                dropped = await tx.many_all("drop_unrouted", [(number,) for number in piece])
                if dropped:
                    named = ", ".join(str(number) for number in sorted(row[0] for row in dropped))
                    said = f"repl{'y' if len(dropped) == 1 else 'ies'} {named}"
                    await audit.note(tx, noted, self._clock.now_ms(), said)
                return len(dropped)

            gone += await self._database.write(operation, Lane.BULK)
        return gone

    async def delete_past(self, number: str, until: int) -> int:
        """Throws everything away that came to a number up to `until` (UTC ms) and is nobody's; how many.

        Whoever was told by `count_unrouted` how many there are throws away none that came since.
        """
        noted = audit.change("replies deleted")
        gone, after = 0, (-1, -1)
        while True:

            async def operation(tx: Tx, after: tuple[int, int] = after) -> tuple[int, Row | None]:
                rows = await tx.all("unrouted_page", recipient=number, after_at=after[0], after_id=after[1])
                rows = [row for row in rows if row[1] <= until]
                dropped = len(await tx.many_all("drop_unrouted", sorted((row[0],) for row in rows)))
                if dropped:
                    said = f"{dropped} that came to {number}"
                    await audit.note(tx, noted, self._clock.now_ms(), said)
                return dropped, rows[-1] if rows else None

            dropped, last = await self._database.write(operation, Lane.BULK)
            gone += dropped
            if last is None:
                return gone
            after = (last[1], last[0])

    def _told(self, taken: Taken) -> int:
        if taken.accounts:
            self._stored(taken.accounts)
        return taken.replies


async def _carrier(tx: Tx, name: str) -> int:
    found = await by_name(tx, name)
    if found is None:
        raise ConfigError(f"there is no carrier '{name}': cooee carrier list shows those there are")
    return found[0].id


def _canonical(raw: str, owner: Account | None) -> str:
    """A number as replies are found by it: that of an originator, or the local form of the account's country."""
    sender = parse_originator(raw.strip())
    if sender is not None and sender.kind != "alpha":
        return sender.text
    number = parse(raw, owner.country) if owner is not None else None
    if number is None:
        raise ConfigError(f"'{raw}' is no number that handsets can write to: give an MSISDN or a short code")
    return str(number)
