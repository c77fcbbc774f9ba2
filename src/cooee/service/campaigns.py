"""Campaigns: accepted, looked at, stopped and started again (wire contract §4).

Small ones are committed in groups; a large one goes in piece by piece under a state that nobody sees, and its last
transaction charges and publishes it. Whoever gets an answer with Code 0 has it on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from cooee.model.account import Account
from cooee.model.campaign import STATUS_WORD, CampaignState
from cooee.model.clock import Clock
from cooee.model.errors import CREDITS_SHORT, NO_CAMPAIGN, ApiError, CommitUnknown
from cooee.model.metrics import ACCEPTED
from cooee.service import audit
from cooee.service.appending import Appending
from cooee.service.pricing import Prices, priced
from cooee.service.recipients import CreateCampaign, ModifyCampaign
from cooee.service.routing import Routes
from cooee.store import acceptance, accounts, changes
from cooee.store import campaigns as rows
from cooee.store.acceptance import Created, NewCampaign
from cooee.store.claims import Claimed
from cooee.store.database import Database, Grouped, Lane, Row, Tx
from cooee.store.ids import Ids

__all__ = ["CampaignView", "Campaigns", "Created"]

T = TypeVar("T")
MAX_ID = 2**53
GROUP = 256
"""Batches that one transaction takes at most; most requests are one (measured: under 5 ms on SQLite)."""


GROUPS = 3
"""Groups under way at once: while one waits for the disk, the next is made (of 1 to 16, 3 has the best p99)."""
FRESH_SEGMENTS = 20
"""Segments up to which a campaign counts as a fresh message."""


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign as a person is shown it. Times are UTC ms; `counts` holds recipients by state."""

    account_id: int
    account: str
    id: int
    state: CampaignState
    originator: str
    segments: int
    reference: str | None
    created_at: int
    due_at: int | None
    started_at: int | None
    finished_at: int | None
    messages: int
    credits: int
    dropped: tuple[int, int, int]
    zone: str


class FreshSlot(Protocol):
    """Room that the engine of this process keeps for one message, whose batch is then born claimed and marked."""

    owner: int

    def adopt(self, claims: Sequence[Claimed]) -> None:
        """These were committed: send them. Called on the event loop, once for a group of slots of one bind."""
        ...

    def release(self, segments: int) -> None:
        """It was not committed, or not marked: the room is free again."""
        ...


Fresh = Callable[[int, int], FreshSlot | None]
"""Asks for room on a carrier, in segments."""


class Campaigns:
    """The use cases of campaigns.

    `wake` is called when there is something to send: with True when it must be dealt to carriers first.
    """

    def __init__(
        self,
        database: Database,
        ids: Ids,
        clock: Clock,
        routes: Routes,
        wake: Callable[[bool], None] | None = None,
        fresh: Fresh | None = None,
    ) -> None:
        self._database = database
        self._ids = ids
        self._clock = clock
        self._routes = routes
        self._wake = wake or (lambda deals: None)
        self._fresh = fresh or (lambda carrier, segments: None)
        self._slots: dict[int, FreshSlot] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._creates: Grouped[NewCampaign, Created] = Grouped(
            database, self._create_group, limit=GROUP, parallel=GROUPS, weight=acceptance.weight
        )
        self._referenced = Appending(
            database, clock, self._create_group, self._stage, limit=GROUP, parallel=GROUPS
        )

    async def _create_group(self, tx: Tx, items: list[NewCampaign]) -> list[Created | Exception]:
        answers = await acceptance.create_group(tx, items, self._clock.now_ms())
        asked = [new for new in items if new.id in self._slots]
        loop = self._loop
        if asked and loop is not None:

            def hand_over() -> None:
                loop.call_soon_threadsafe(self._hand_over, asked)

            tx.after_commit(hand_over)
        return answers

    def _hand_over(self, asked: Sequence[NewCampaign]) -> None:
        """Fresh messages are committed: their engine sends them, with one write a bind.

        Room for those that were refused, or queue up after all, is given back here: their client may have gone.
        """
        groups: dict[int, tuple[FreshSlot, list[Claimed]]] = {}
        for new in asked:
            if new.owner is None:
                self._give_back(new)
                continue
            slot = self._slots.pop(new.id, None)
            if slot is not None:
                groups.setdefault(id(slot), (slot, []))[1].append(_claimed(new))
        for slot, claims in groups.values():
            slot.adopt(claims)

    # --- acceptance ----------------------------------------------------------------------------------------

    async def create(
        self, account: Account, request: CreateCampaign, *, action: str = "campaign created"
    ) -> Created:
        """Accepts a campaign: committed when this returns. ApiError -202 (short), -902 (suspended meanwhile).

        `request` has passed every other check. `action` is what the audit log calls it. StoreUnavailable: nothing
        was accepted. CommitUnknown: nobody knows, and looking it up by its id did not help.
        """
        now = self._clock.now_ms()
        if self._routes.stale:
            await self._routes.refresh()
        wake_at = self._wake_at(account, request.due_at, now)
        checked = request.recipients
        segments = request.segmented.count
        numbers, credits_each = checked.numbers, segments
        prices: Prices = ()
        if account.tariff is not None:
            numbers, credits_each, prices = await priced(account.tariff, numbers, segments)
        small = len(numbers) <= acceptance.SMALL
        new = NewCampaign(
            account_id=account.id,
            id=await self._ids.one("campaign"),
            originator=request.originator.text,
            body=request.message,
            encoding=request.segmented.encoding,
            segments=segments,
            reference=request.reference,
            due_at=request.due_at,
            wake_at=wake_at,
            numbers=numbers,
            credits_each=credits_each,
            carriers=None,
            dropped=(checked.invalid, checked.duplicates, checked.international),
            key=request.idempotency_key,
            digest=request.body_digest,
            prices=prices,
            day=account.day_starts(now),
            lists=request.lists,
            batch=self._routes.batch_size(segments),
            noted=audit.change(action, account=account.name),
        )
        if small and wake_at is None:
            new.carriers = self._routes.deal(len(new.pieces))
        if len(new.pieces) == 1 and new.carriers is not None:
            self._reserve(new)
        try:
            if new.reference is not None:
                created = await self._referenced.create(new, request.asked_at)
            else:
                created = await (self._creates.put(new) if small else self._create_large(new))
        except CommitUnknown:
            created = await self._look_up(new)
        except Exception:
            self._give_back(new)
            raise
        ACCEPTED.inc(created.messages)
        if new.owner is None:
            self._give_back(new)
            self._wake(new.carriers is None)
        return created

    def _reserve(self, new: NewCampaign) -> None:
        """Asks the engine of this process for room, so that a fresh message needs no claim of its own."""
        segments = new.messages * new.segments
        if segments > FRESH_SEGMENTS or not new.carriers:
            return
        slot = self._fresh(new.carriers[0], segments)
        if slot is not None:
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            self._slots[new.id] = slot
            new.owner = slot.owner

    def _give_back(self, new: NewCampaign) -> None:
        slot = self._slots.pop(new.id, None)
        if slot is not None:
            slot.release(new.messages * new.segments)

    @staticmethod
    def _wake_at(account: Account, due_at: int | None, now: int) -> int | None:
        at = max(now, due_at or now)
        if account.window is not None:
            at = account.send_window.opens_at(at)
        return at if at > now else None

    async def _stage(self, new: NewCampaign) -> None:
        """Writes a large campaign that nobody sees yet."""
        await self._refuse_early(new)
        database = self._database
        await database.write(lambda tx: acceptance.begin_large(tx, new, self._clock.now_ms()))
        for first in range(0, len(new.pieces), new.at_once):
            await database.write(lambda tx, first=first: acceptance.add_piece(tx, new, first), Lane.BULK)  # type: ignore[misc]

    async def _create_large(self, new: NewCampaign) -> Created:
        await self._stage(new)
        database = self._database
        answer = await database.write(lambda tx: acceptance.publish_large(tx, new, self._clock.now_ms()))
        if isinstance(answer, Exception) or answer.campaign_id != new.id:
            await acceptance.drop_whole(database, new.account_id, new.id)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _refuse_early(self, new: NewCampaign) -> None:
        """Says -202 before a million numbers are written; the charge itself decides later."""

        async def room(tx: Tx) -> Row | None:
            return await tx.one("account_room", id=new.account_id, day=new.day)

        row = await self._database.read(room)
        if row is not None and row[0] < new.credits:
            raise ApiError(CREDITS_SHORT)

    async def _look_up(self, new: NewCampaign) -> Created:
        async def find(tx: Tx) -> Row | None:
            return await tx.one("campaign_exists", account_id=new.account_id, id=new.id)

        row = await self._database.read(find)
        if row is None:
            raise CommitUnknown("the database connection broke while the campaign was being committed")
        return Created(new.id, row[0], row[1], row[2])

    async def replay(self, account: Account, key: str, digest: str) -> Created | None:
        """The answer kept for an Idempotency-Key; None for a new one. ApiError -911 if it was another body's."""
        kept = await self._database.read(
            lambda tx: acceptance.find_key(tx, account.id, key, digest, self._clock.now_ms())
        )
        if isinstance(kept, Exception):
            raise kept
        return kept

    # --- changing ------------------------------------------------------------------------------------------

    async def modify(self, account: Account, campaign_id: int, request: ModifyCampaign) -> Created:
        """Changes what has not started; what the whole campaign comes to. ApiError -930, -931, -202."""
        now = self._clock.now_ms()
        schedule = None
        if request.reschedules:
            schedule = changes.Schedule(request.due_at, self._wake_at(account, request.due_at, now))
        change = changes.Change(
            message=request.message,
            segmented=request.segmented,
            originator=None if request.originator is None else request.originator.text,
            schedule=schedule,
            day=account.day_starts(now),
        )
        said = [
            "text" if request.message is not None else "",
            "sender" if request.originator is not None else "",
            "time" if request.reschedules else "",
        ]
        return await self._change(
            account.id,
            campaign_id,
            "campaign changed",
            lambda tx, at: changes.modify(tx, account.id, campaign_id, change, at),
            ", ".join(filter(None, said)) or "nothing",
        )

    # --- what is known of one ------------------------------------------------------------------------------

    async def status(self, account: Account, campaign_id: int) -> str:
        """The word that the status action answers; ApiError -930 when it is not this account's."""

        async def find(tx: Tx) -> Row | None:
            return await tx.one("campaign_state", account_id=account.id, id=campaign_id)

        row = await self._database.read(find) if 0 <= campaign_id < MAX_ID else None
        if row is None:
            raise ApiError(NO_CAMPAIGN)
        return STATUS_WORD[CampaignState(row[0])]

    async def find(self, campaign_id: int) -> CampaignView | None:
        """Whosever it is: for the operator."""

        async def read(tx: Tx) -> Row | None:
            return await tx.one("view_campaign", id=campaign_id)

        row = await self._database.read(read)
        return _view(row) if row is not None else None

    async def list(self, *, account_id: int | None = None, limit: int = 50) -> Sequence[CampaignView]:
        """The newest campaigns, of one account or of all."""

        async def read(tx: Tx) -> Sequence[Row]:
            return await tx.all("list_campaigns", account_id=account_id, limit=limit)

        return [_view(row) for row in await self._database.read(read)]

    async def counts(self, account_id: int, campaign_id: int) -> dict[str, int]:
        """Recipients by state name of model/message.py, and `waiting` and `cancelled` ones from the batches."""
        return await self._database.read(lambda tx: rows.count(tx, account_id, campaign_id))

    # --- stopping and starting -----------------------------------------------------------------------------

    async def pause(self, account_id: int, campaign_id: int) -> None:
        """Stops what is not yet handed over; -930, -931."""
        await self._change(
            account_id,
            campaign_id,
            "campaign paused",
            lambda tx, now: rows.pause(tx, account_id, campaign_id, now),
        )

    async def unpause(self, account_id: int, campaign_id: int) -> None:
        """Goes on; -930, -931."""
        await self._change(
            account_id,
            campaign_id,
            "campaign resumed",
            lambda tx, now: rows.unpause(tx, account_id, campaign_id, now),
        )

    async def delete(self, account_id: int, campaign_id: int) -> None:
        """Cancels and refunds what was never handed over; -930, -931."""
        await self._change(
            account_id,
            campaign_id,
            "campaign cancelled",
            lambda tx, now: rows.delete(tx, account_id, campaign_id, now),
        )

    async def _change(
        self,
        account_id: int,
        campaign_id: int,
        action: str,
        change: Callable[[Tx, int], Awaitable[T]],
        said: str = "",
    ) -> T:
        """Changes a campaign, and says so in the audit log unless `change` says False."""
        if not 0 <= campaign_id < MAX_ID:
            raise ApiError(NO_CAMPAIGN)
        noted = audit.change(action)

        async def operation(tx: Tx) -> T:
            now = self._clock.now_ms()
            answer = await change(tx, now)
            if noted is not None and answer is not False:
                account = await accounts.by_id(tx, account_id)
                named = replace(noted, account="" if account is None else account.name)
                await audit.note(tx, named, now, f"campaign {campaign_id}{f': {said}' if said else ''}")
            return answer

        answer = await self._database.write(operation)
        self._wake(True)
        return answer


def _claimed(new: NewCampaign) -> Claimed:
    """A fresh message's batch as the transaction wrote it: claimed, and marked to its end."""
    return Claimed(
        key=(new.account_id, new.id, 0),
        epoch=1,
        attempt=1,
        credits_each=new.credits_each,
        flags=0,
        first_at=None,
        expires_at=None,
        start=0,
        marked=new.messages,
        numbers=new.numbers,
        originator=new.originator,
        body=new.body,
        encoding=new.encoding,
        segments=new.segments,
        concat_ref=new.concat_ref,
    )


def _view(row: Row) -> CampaignView:
    return CampaignView(
        account_id=row[0],
        account=row[1],
        id=row[2],
        state=CampaignState(row[3]),
        originator=row[4],
        segments=row[5],
        reference=row[6],
        created_at=row[7],
        due_at=row[8],
        started_at=row[9],
        finished_at=row[10],
        messages=row[11],
        credits=row[12],
        dropped=(row[13], row[14], row[15]),
        zone=row[16],
    )
