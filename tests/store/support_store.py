"""A store with an account and carriers in it, and a bind that answers as a test says."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cooee.model.clock import HOUR, ManualClock
from cooee.model.message import FLAG_UNCERTAIN, MessageState
from cooee.store import acceptance, accounts, campaigns, carriers, dispatch, receipts, uncertain
from cooee.store.acceptance import Created, NewCampaign
from cooee.store.claims import Claimed
from cooee.store.database import Database, Lane, Row, Tx
from cooee.store.dispatch import Grant, Outcome, Refused, Step, Trip
from cooee.store.ids import Ids
from cooee.store.open import open_database
from cooee.store.receipts import DELIVERED, FAILED, Applied, Incoming
from cooee.store.refs import Ref
from cooee.store.uncertain import Policy

MAX_AGE = 24 * HOUR
WAIT = 60_000
FIRST = 61400000001


def numbers(count: int, first: int = FIRST) -> array[int]:
    """`count` MSISDNs in a row."""
    return array("q", range(first, first + count))


async def raw(tx: Any, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a statement that is no named query: what a test wants to see beside them."""
    if tx.engine == "sqlite":
        return [tuple(row) for row in tx.connection.execute(sql)]
    return [tuple(row) for row in await tx.connection.fetch(sql)]


class Message(NamedTuple):
    """A row of the journal."""

    state: MessageState
    attempt: int
    accepted: int
    delivered: int
    failed: int
    flags: int
    credits: int
    code: int
    uncertain_until: int | None


class Batch(NamedTuple):
    """A row of `batch`, without its numbers."""

    no: int
    state: int
    attempt: int
    size: int
    marked: int
    recorded: int
    owner: int | None
    epoch: int
    carrier_id: int | None
    turn: int
    not_before: int | None
    expires_at: int | None


@dataclass
class World:
    """A database with one rich account and one carrier. Times come from `clock`."""

    database: Database
    clock: ManualClock
    ids: Ids
    account_id: int = 0
    carrier_id: int = 0
    _names: int = 0

    # --- who is there --------------------------------------------------------------------------------------

    async def account(self, credits: int = 1_000_000, *, window: tuple[int, int] | None = None) -> int:
        account_id = await self.ids.one("account")
        self._names += 1
        name = f"account {account_id}"

        async def add(tx: Tx) -> None:
            await tx.run(
                "add_account",
                id=account_id, name=name, password_hash="", parent_id=None, zone="UTC", country="AU",
                allow_unicode=1, allow_long=1, allow_international=1, may_add_credits=1, times_utc=1,
                created_at=self.clock.now_ms(),
            )  # fmt: skip
            if window is not None:
                opens, closes = window
                await raw_run(
                    tx,
                    f"UPDATE account SET window_opens = {opens}, window_closes = {closes} WHERE id = {account_id}",
                )
            await accounts.give(tx, account_id, credits, kind="opening", at=self.clock.now_ms(), reason="opening")

        await self.database.write(add)
        return account_id

    async def carrier(self, *, tps: int = 0, binds: int = 1, **settings: object) -> int:
        carrier_id = await self.ids.one("carrier")
        given = {"host": "127.0.0.1", "system_id": "test", "tps": tps, "binds": binds, **settings}
        await self.write(
            lambda tx: carriers.insert(
                tx, carrier_id, f"carrier {carrier_id}", "smpp", given, "", self.clock.now_ms()
            )
        )
        return carrier_id

    async def carrier_state(self, carrier_id: int, state: int) -> None:
        await self.sql(f"UPDATE carrier SET state = {state} WHERE id = {carrier_id}")

    # --- doors to the database -----------------------------------------------------------------------------

    async def write(self, operation: Callable[[Tx], Awaitable[Any]], lane: Lane = Lane.API) -> Any:
        return await self.database.write(operation, lane)

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = await self.database.read(lambda tx: raw(tx, sql))
        return rows

    async def sql(self, sql: str) -> None:
        await self.database.write(lambda tx: raw_run(tx, sql))

    async def opt_out(self, *destinations: int, account_id: int | None = None) -> None:
        for destination in destinations:
            await self.sql(
                "INSERT INTO optout (account_id, destination, added_at, reason, body) "
                f"VALUES ({account_id or self.account_id}, {destination}, 0, '', '')"
            )

    # --- campaigns -----------------------------------------------------------------------------------------

    async def new(
        self,
        count: int | Sequence[int] = 1,
        *,
        account_id: int | None = None,
        segments: int = 1,
        carriers: Sequence[int] | None = (),
        wake_at: int | None = None,
        key: str | None = None,
        digest: str = "",
        body: str = "hello",
        batch: int = 500,
    ) -> NewCampaign:
        """A campaign that is not in the database yet. `carriers` (): all batches on the first carrier."""
        to = numbers(count) if isinstance(count, int) else array("q", sorted(count))
        batches = -(-len(to) // batch)
        dealt: Sequence[int] | None = [self.carrier_id] * batches if carriers == () else carriers
        return NewCampaign(
            account_id=account_id or self.account_id,
            id=await self.ids.one("campaign"),
            originator="61411", body=body, encoding=0, segments=segments, reference=None,
            due_at=wake_at, wake_at=wake_at, numbers=to, credits_each=segments,
            carriers=None if wake_at is not None else dealt, key=key, digest=digest, batch=batch,
        )  # fmt: skip

    async def create(self, *items: NewCampaign) -> list[Created | Exception]:
        """Accepts them in one group."""
        now = self.clock.now_ms()
        answers: list[Created | Exception] = await self.write(lambda tx: acceptance.create_group(tx, items, now))
        return answers

    async def campaign(self, count: int | Sequence[int] = 1, **more: Any) -> NewCampaign:
        """An accepted campaign."""
        new = await self.new(count, **more)
        (answer,) = await self.create(new)
        assert isinstance(answer, Created), answer
        return new

    async def state(self, new: NewCampaign) -> int:
        ((state,),) = await self.rows(
            f"SELECT state FROM campaign WHERE account_id = {new.account_id} AND id = {new.id}"
        )
        return int(state)

    async def batches(self, new: NewCampaign) -> list[Batch]:
        rows = await self.rows(
            "SELECT no, state, attempt, size, marked, recorded, owner, epoch, carrier_id, turn, not_before, "
            f"expires_at FROM batch WHERE account_id = {new.account_id} AND campaign_id = {new.id} ORDER BY no"
        )
        return [Batch(*row) for row in rows]

    async def messages(self, new: NewCampaign) -> dict[int, Message]:
        rows = await self.rows(
            "SELECT destination, state, attempt, accepted, delivered, failed, flags, credits, code, "
            f"uncertain_until FROM message WHERE account_id = {new.account_id} AND campaign_id = {new.id} "
            "ORDER BY destination"
        )
        return {row[0]: Message(MessageState(row[1]), *row[2:]) for row in rows}

    async def states(self, new: NewCampaign) -> list[MessageState]:
        """States of those that have a row, by destination."""
        return [message.state for message in (await self.messages(new)).values()]

    # --- credits -------------------------------------------------------------------------------------------

    async def credits(self, account_id: int | None = None) -> int:
        ((credits,),) = await self.rows(f"SELECT credits FROM account WHERE id = {account_id or self.account_id}")
        return int(credits)

    async def refunds(self, account_id: int | None = None) -> list[tuple[int, str]]:
        """(amount, reason) of each refund, oldest first."""
        rows = await self.rows(
            f"SELECT amount, reason FROM ledger WHERE account_id = {account_id or self.account_id} "
            "AND kind = 'refund' ORDER BY no"
        )
        return [(row[0], row[1]) for row in rows]

    async def check_ledger(self) -> None:
        """Every balance is the sum of its ledger, and ledgers are numbered without gaps."""
        assert list(await self.database.read(lambda tx: tx.all("ledger_differences"))) == []
        for account_id, rows, highest in await self.rows(
            "SELECT account_id, COUNT(*), MAX(no) FROM ledger GROUP BY account_id"
        ):
            assert rows == highest, f"account {account_id} has a gap in its ledger"

    # --- the way out and back ------------------------------------------------------------------------------

    async def trip(
        self,
        owner: int,
        steps: Sequence[Step] = (),
        *,
        room: int = 0,
        carrier_id: int | None = None,
        limit: int = 500,
    ) -> Outcome:
        ask = Trip(owner, carrier_id or self.carrier_id, self.clock.now_ms(), MAX_AGE, list(steps), room, limit)
        outcome: Outcome = await self.write(lambda tx: dispatch.trip(tx, ask), Lane.ENGINE)
        return outcome

    async def claim(
        self, owner: int, room: int = 1000, *, carrier_id: int | None = None, limit: int = 500
    ) -> list[Hand]:
        """Batches claimed, as hands that answer for them."""
        outcome = await self.trip(owner, room=room, carrier_id=carrier_id, limit=limit)
        grants = {grant.key: grant for grant in outcome.grants}
        return [Hand(self, owner, claimed, grants[claimed.key]) for claimed in outcome.claimed]

    async def receive(self, *items: Incoming, carrier_id: int | None = None) -> Applied:
        """Receipts come in."""
        applied: Applied = await self.write(
            lambda tx: receipts.apply(tx, carrier_id or self.carrier_id, items, self.clock.now_ms()), Lane.RECEIPTS
        )
        return applied

    async def sweep(self) -> None:
        """The orphans' sweep, once over all."""
        after: int | None = 0
        while after is not None:
            at = after
            after = await self.write(lambda tx, at=at: receipts.sweep_orphans(tx, at, self.clock.now_ms()))  # type: ignore[misc]

    async def orphans(self) -> int:
        return int((await self.rows("SELECT COUNT(*) FROM orphan_receipt"))[0][0])

    async def take_over(self, owner: int, policy: Policy | None = None) -> tuple[int, int]:
        """(batches, uncertain recipients) taken over from `owner`."""
        chosen = policy or Policy(WAIT, MAX_AGE)
        taken: tuple[int, int] = await self.write(
            lambda tx: uncertain.take_over(tx, owner, lambda _: chosen, self.clock.now_ms())
        )
        return taken

    async def decide(self, policy: Policy | None = None) -> tuple[int, int]:
        """The policy's turn: (sent again, failed)."""
        chosen = policy or Policy(WAIT, MAX_AGE)
        fresh = await self.ids.take("batch", 500)
        again, failed, _ = await self.write(
            lambda tx: uncertain.decide(tx, lambda _: chosen, fresh, self.clock.now_ms())
        )
        return again, failed

    async def ready_delayed(self) -> int:
        count: int = await self.write(lambda tx: campaigns.ready_delayed(tx, self.clock.now_ms()))
        return count

    async def finish(self, *news: NewCampaign) -> int:
        keys = [(new.account_id, new.id) for new in news]
        count: int = await self.write(lambda tx: tx.many("finish", keys, now=self.clock.now_ms()))
        return count

    async def change(self, name: str, new: NewCampaign) -> None:
        """pause, unpause or delete."""
        call = getattr(campaigns, name)
        await self.write(lambda tx: call(tx, new.account_id, new.id, self.clock.now_ms()))

    async def deal(self, new: NewCampaign, deal: campaigns.Deal | None = None) -> None:
        """The scheduler's part for one starting campaign, to its end."""
        chosen = deal or (lambda count: [self.carrier_id] * count)
        went: tuple[int, int] | None = (-1, 0)
        while went is not None:
            after, behind = went
            went = await self.write(
                lambda tx, after=after, behind=behind: campaigns.deal_piece(  # type: ignore[misc]
                    tx, new.account_id, new.id, after=after, behind=behind, deal=chosen, now=self.clock.now_ms()
                ),
                Lane.BULK,
            )


async def raw_run(tx: Any, sql: str) -> None:
    """Executes a statement that is no named query."""
    if tx.engine == "sqlite":
        tx.connection.execute(sql)
    else:
        await tx.connection.execute(sql)


@dataclass
class Hand:
    """What a bind knows of one claimed batch; `step` brings its answers to the store."""

    world: World
    owner: int
    claimed: Claimed
    grant: Grant
    marked: int = 0
    recorded: int = 0
    answered: set[int] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)
    refs: list[Ref] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.marked = self.claimed.marked
        self.recorded = self.claimed.start
        self.answered |= set(range(self.claimed.start)) | self.grant.skip

    def _row(self, at: int, state: int, accepted: int, code: int = 0, until: int | None = None) -> Row:
        claimed = self.claimed
        flags = claimed.flags | FLAG_UNCERTAIN if state == MessageState.UNCERTAIN else claimed.flags
        first_at = claimed.first_at or self.world.clock.now_ms()
        return (
            *claimed.key[:2], claimed.numbers[at], state, claimed.attempt, claimed.segments, accepted, flags,
            claimed.credits_each, first_at, until, code, None,
        )  # fmt: skip

    @property
    def full(self) -> int:
        return (1 << self.claimed.segments) - 1

    def ref(self, at: int, smsc_id: str, part: int = 0) -> Ref:
        claimed = self.claimed
        return (smsc_id, self.world.clock.now_ms(), *claimed.key[:2], claimed.numbers[at], part, claimed.attempt)

    def accept(self, ids: dict[int, str] | Iterable[int]) -> Hand:
        """These positions were accepted; where no id is given it is a1, a2… by position."""
        named = ids if isinstance(ids, dict) else {at: f"a{at}" for at in ids}
        for at, smsc_id in named.items():
            self.answered.add(at)
            self.rows.append(self._row(at, MessageState.HANDED_OVER, self.full))
            for part in range(self.claimed.segments):
                self.refs.append(self.ref(at, smsc_id if self.claimed.segments == 1 else f"{smsc_id}{part}", part))
        return self

    def refuse(self, at: int, *, accepted: int = 0, code: int = 0x58, delay_ms: int = 1000) -> Hand:
        """Refused for now."""
        self.answered.add(at)
        self.refused.append(Refused(self.claimed.numbers[at], accepted, code, None, delay_ms))
        return self

    def fail(self, at: int, code: int = 0x0B) -> Hand:
        """Refused for good."""
        self.answered.add(at)
        self.rows.append(self._row(at, MessageState.FAILED, 0, code))
        return self

    def doubt(self, at: int, *, accepted: int = 0) -> Hand:
        """The connection was cut before an answer."""
        self.answered.add(at)
        until = self.world.clock.now_ms() + WAIT
        self.rows.append(self._row(at, MessageState.UNCERTAIN, accepted, until=until))
        return self

    async def step(self, mark: int = 0, *, release: bool = False) -> Outcome:
        """One trip for this batch alone: records what has come, asks for `mark` recipients more."""
        while self.recorded < self.marked and self.recorded in self.answered:
            self.recorded += 1
        claimed = self.claimed
        now = self.world.clock.now_ms()
        outcome = await self.world.trip(
            self.owner,
            [
                Step(
                    key=claimed.key, epoch=claimed.epoch, attempt=claimed.attempt, parts=claimed.segments,
                    credits_each=claimed.credits_each, flags=claimed.flags, first_at=claimed.first_at or now,
                    expires_at=claimed.expires_at or now + MAX_AGE, size=len(claimed.numbers), marked=self.marked,
                    recorded=self.recorded, in_flight=self.recorded < self.marked, rows=self.rows, refs=self.refs,
                    refused=self.refused, retry_no=await self.world.ids.one("batch") if self.refused else 0,
                    numbers=claimed.numbers[self.marked : self.marked + mark], release=release,
                )
            ],
        )  # fmt: skip
        self.rows, self.refs, self.refused = [], [], []
        for grant in outcome.grants:
            if grant.key == claimed.key:
                self.marked = grant.stop
                self.answered |= grant.skip
        return outcome


def receipt(
    smsc_id: str, kind: int = DELIVERED, *, handset: int | None = None, originator: str = "61411", code: int = 0
) -> Incoming:
    """A receipt as the store gets it."""
    error = "UNDELIV 001" if kind == FAILED else ""
    return Incoming(smsc_id, handset, originator, kind, error, code or (1 if kind == FAILED else 0))


@asynccontextmanager
async def world(url: str, clock: ManualClock | None = None) -> AsyncIterator[World]:
    """A fresh store at `url` with an account and a carrier; its ledger is checked at the end."""
    clock = clock or ManualClock()
    database = await open_database(url, clock, pool=6)
    try:
        made = World(database, clock, Ids(database))
        made.account_id = await made.account()
        made.carrier_id = await made.carrier()
        yield made
        await made.check_ledger()
    finally:
        await database.close()


def run(url: str, check: Callable[[World], Awaitable[None]]) -> None:
    """Runs `check` on a fresh store."""

    async def main() -> None:
        async with world(url) as made:
            await check(made)

    asyncio.run(main())
