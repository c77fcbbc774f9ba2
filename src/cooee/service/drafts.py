"""Messages between Compose and Send: written down, rehearsed, and sent at most once.

A draft has its recipients as they were checked, so that the rehearsal and the campaign are about the same people.
It is kept for a day.
"""

from __future__ import annotations

import hashlib
import secrets
from array import array
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import msgspec

from cooee.model.account import Account
from cooee.model.clock import DAY, SECOND, Clock, Window
from cooee.model.msisdn import Checked
from cooee.model.originator import Originator
from cooee.model.segments import segment
from cooee.service.campaigns import Campaigns, Created
from cooee.service.intake import Reject, Taken
from cooee.service.pricing import priced
from cooee.service.recipients import CreateCampaign
from cooee.store import drafts as rows
from cooee.store.database import Database, Lane, Tx
from cooee.store.ids import Ids

KEPT_MS = DAY


class DraftBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wrote, and what their recipients came to. `due_at` is UTC ms, None for at once; `sources` say
    in words where recipients came from; `lists` are the stored lists among them. `price`: what a segment to all of
    them costs by `rates`, the account's tariff in short."""

    message: str
    originator: str
    reference: str = ""
    due_at: int | None = None
    recipients: int = 0
    invalid: int = 0
    duplicates: int = 0
    international: int = 0
    opted_out: int = 0
    sources: tuple[str, ...] = ()
    lists: tuple[int, ...] = ()
    rejects: tuple[Reject, ...] = ()
    price: int = 0
    rates: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft and its number; `campaign_id` once it was sent."""

    id: int
    body: DraftBody
    campaign_id: int | None
    send_key: str


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What would happen. `room`: credits that can be taken at most, by balance, limit and daily cap. Times are UTC
    ms; `ends_at` None where no carrier says how fast it sends; `tps`: segments a second over all carriers, 0 for
    no limit, None without a carrier."""

    segments: int
    cost: int
    balance: int
    room: int
    starts_at: int
    waits_for_window: bool
    ends_at: int | None
    tps: int | None

    @property
    def after(self) -> int:
        """The balance after it."""
        return self.balance - self.cost

    @property
    def short(self) -> int:
        """Credits that are missing."""
        return max(0, self.cost - self.room)


class Drafts:
    """The use cases."""

    def __init__(self, database: Database, ids: Ids, clock: Clock, campaigns: Campaigns) -> None:
        self._database = database
        self._ids = ids
        self._clock = clock
        self._campaigns = campaigns

    async def create(self, account: Account, body: DraftBody, taken: Taken) -> int:
        """Keeps a draft with these recipients; its number."""
        await self._tidy()
        opted_out = 0
        for at in range(0, len(taken.numbers), rows.PIECE):
            piece = taken.numbers[at : at + rows.PIECE]

            async def look(tx: Tx, piece: array[int] = piece) -> int:
                return await rows.opted_out(tx, account.id, piece)

            opted_out += await self._database.read(look)
        body = msgspec.structs.replace(
            body,
            recipients=len(taken.numbers),
            invalid=taken.invalid,
            duplicates=taken.duplicates,
            international=taken.international,
            opted_out=opted_out,
            rejects=tuple(taken.rejects),
            price=await price_of(account, taken.numbers),
            rates=_rates(account),
        )
        draft_id = await self._ids.exactly_one("draft")
        key = f"console-{secrets.token_hex(16)}"
        text = msgspec.json.encode(body).decode()
        packed = rows.pieces(taken.numbers)

        async def begin(tx: Tx) -> None:
            await rows.add(tx, account.id, draft_id, text, key, self._clock.now_ms())
            await rows.add_numbers(tx, account.id, draft_id, packed[: rows.ROWS])

        await self._database.write(begin)
        for at in range(rows.ROWS, len(packed), rows.ROWS):
            some = packed[at : at + rows.ROWS]

            async def add(tx: Tx, some: Sequence[tuple[int, bytes]] = some) -> None:
                await rows.add_numbers(tx, account.id, draft_id, some)

            await self._database.write(add, Lane.BULK)
        return draft_id

    async def find(self, account: Account, draft_id: int) -> Draft | None:
        """A draft of this account that is not too old."""
        row = await self._database.read(lambda tx: rows.find(tx, account.id, draft_id))
        if row is None or row.created_at < self._clock.now_ms() - KEPT_MS:
            return None
        return Draft(draft_id, msgspec.json.decode(row.body, type=DraftBody), row.campaign_id, row.send_key)

    async def numbers(self, account: Account, draft_id: int) -> AsyncGenerator[array[int], None]:
        """A draft's recipients, rising, in pages."""
        after: int | None = -1
        while after is not None:

            async def following(tx: Tx, at: int = after) -> tuple[int | None, array[int]]:
                return await rows.numbers(tx, account.id, draft_id, at)

            after, page = await self._database.read(following)
            if page:
                yield page

    async def _everybody(self, account: Account, draft_id: int) -> array[int]:
        numbers: array[int] = array("q")
        async for page in self.numbers(account, draft_id):
            numbers.extend(page)
        return numbers

    async def rehearse(self, account: Account, draft: Draft, balance: int) -> Rehearsal:
        """What sending it now would do."""
        body = draft.body
        price = body.price
        if body.rates != _rates(account):
            # The operator has changed what it costs since.
            price = await price_of(account, await self._everybody(account, draft.id))
        now = self._clock.now_ms()
        day = account.day_starts(now)
        room = await self._database.read(lambda tx: tx.one("account_room", id=account.id, day=day))
        carriers = await self._database.read(lambda tx: tx.all("active_carriers"))
        rates = [int(row[1]) for row in carriers]
        tps = None if not rates else 0 if 0 in rates else sum(rates)
        segments = segment(body.message).count
        asked = max(now, body.due_at or now)
        starts = account.send_window.opens_at(asked)
        sent = body.recipients - body.opted_out
        ends = None if not tps else runs_until(starts, sent * segments / tps, account.send_window)
        return Rehearsal(
            segments=segments,
            cost=price * segments,
            balance=balance,
            room=0 if room is None else int(room[0]),
            starts_at=starts,
            waits_for_window=starts > asked,
            ends_at=ends,
            tps=tps,
        )

    async def send(self, account: Account, draft: Draft, originator: Originator) -> Created:
        """Sends it; what was answered the first time, if it was sent before. What `Campaigns.create` raises."""
        body = draft.body
        digest = hashlib.sha256(draft.send_key.encode()).hexdigest()
        created = await self._campaigns.replay(account, draft.send_key, digest)
        if created is None:
            numbers = await self._everybody(account, draft.id)
            now = self._clock.now_ms()
            later = body.due_at is not None and body.due_at > now
            created = await self._campaigns.create(
                account,
                CreateCampaign(
                    message=body.message,
                    segmented=segment(body.message),
                    originator=originator,
                    due_at=body.due_at if later else None,
                    asked_at=body.due_at,
                    reference=body.reference or None,
                    recipients=Checked(numbers, body.invalid, body.duplicates, body.international),
                    idempotency_key=draft.send_key,
                    body_digest=digest,
                    lists=body.lists,
                ),
            )
        campaign_id = created.campaign_id
        await self._database.write(lambda tx: rows.sent(tx, account.id, draft.id, campaign_id))
        await self._drop_numbers(account.id, draft.id)
        return created

    async def drop(self, account: Account, draft_id: int) -> None:
        """Throws a draft away."""
        await self._drop_numbers(account.id, draft_id)
        await self._database.write(lambda tx: rows.drop(tx, account.id, draft_id))

    async def _drop_numbers(self, account_id: int, draft_id: int) -> None:
        while await self._database.write(lambda tx: rows.drop_piece(tx, account_id, draft_id), Lane.BULK):
            pass

    async def _tidy(self) -> None:
        """Drafts that nobody came back to."""
        before = self._clock.now_ms() - KEPT_MS
        for account_id, draft_id in await self._database.read(lambda tx: rows.old(tx, before)):
            await self._drop_numbers(account_id, draft_id)

            async def drop(tx: Tx, account_id: int = account_id, draft_id: int = draft_id) -> None:
                await rows.drop(tx, account_id, draft_id)

            await self._database.write(drop, Lane.BULK)


def _rates(account: Account) -> str:
    """What tells one tariff from another."""
    tariff = account.tariff
    return "" if tariff is None else repr((tariff.rates, tariff.other))


async def price_of(account: Account, numbers: array[int]) -> int:
    """What one segment to each of these recipients costs, in credits."""
    if account.tariff is None or not numbers:
        return len(numbers)
    ordered, first, prices = await priced(account.tariff, numbers, 1)
    return first * len(ordered) if not prices else sum(each * count for each, count in prices)


def runs_until(start: int, seconds: float, window: Window) -> int | None:
    """When so many seconds of open send window from `start` (UTC ms) are over; None beyond a year."""
    left = round(seconds * SECOND)
    if window.opens is None or window.opens == window.closes:
        return start + left if left < 366 * DAY else None
    # The hours outside of a window are a window of their own.
    closed = Window(window.zone_name, window.closes, window.opens)
    at = window.opens_at(start)
    for _ in range(366):
        shut = closed.opens_at(at)
        if left <= shut - at:
            return at + left
        left -= shut - at
        at = window.opens_at(shut)
    return None


__all__ = ["Draft", "DraftBody", "Drafts", "Rehearsal", "Reject", "price_of", "runs_until"]
