"""Single messages that are born marked: accepted by the API and sent by the engine of the same process."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from cooee.carriers.base import Order
from cooee.model.account import Account, AccountState
from cooee.model.campaign import BatchState, CampaignState
from cooee.model.errors import CREDITS_SHORT, ApiError, StoreUnavailable
from cooee.model.message import MessageState
from cooee.model.msisdn import Checked
from cooee.model.originator import Originator
from cooee.model.segments import segment
from cooee.service.campaigns import FRESH_SEGMENTS, Campaigns, Created
from cooee.service.recipients import CreateCampaign
from cooee.service.routing import Routes
from cooee.store.claims import Claimed
from cooee.store.database import Database, Lane, Operation, T
from cooee.store.ids import Ids
from tests.engine.support_engine import OWNER, Bench, bench
from tests.engine.support_link import Flaky, Reply, accept, until
from tests.store.support_store import FIRST

HANDED = MessageState.HANDED_OVER


class Gate(Flaky):
    """A database whose API transactions wait until they are let through."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = 0

    async def write(self, operation: Operation[T], lane: Lane = Lane.API) -> T:
        if lane is Lane.API and not self.open.is_set():
            self.waiting += 1
            await self.open.wait()
        return await super().write(operation, lane)


class Slot:
    """The worker as a slot, which counts what becomes of the room that it gave."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.owner = OWNER
        self.asked = 0
        self.given = 0
        self.taken = 0
        self.returned = 0
        self.deaf = False
        """Whether what is handed over is forgotten, as by a process that dies then."""

    def ask(self, carrier_id: int, segments: int) -> Slot | None:
        assert carrier_id == self._bench.carrier.id
        self.asked += segments
        if not self._bench.worker.reserve(segments):
            return None
        self.given += segments
        return self

    def adopt(self, claims: Sequence[Claimed]) -> None:
        self.taken += sum(len(claimed.numbers) * claimed.segments for claimed in claims)
        if not self.deaf:
            self._bench.worker.adopt(claims)

    def release(self, segments: int) -> None:
        self.returned += segments
        self._bench.worker.release(segments)

    @property
    def settled(self) -> bool:
        """All room that was given came back, once."""
        return self.given == self.taken + self.returned


@dataclass
class Counter:
    """The API's side and the engine's side of one process."""

    bench: Bench
    gate: Gate
    slot: Slot
    campaigns: Campaigns
    account: Account

    async def create(
        self, *numbers: int, body: str = "hello", due_at: int | None = None, key: str | None = None
    ) -> Created:
        return await self.campaigns.create(
            self.account,
            CreateCampaign(
                body, segment(body), Originator("61411", "short"), due_at, None,
                Checked(array("q", numbers), 0, 0, 0), key, "digest" if key else "",
            ),
        )  # fmt: skip

    async def batch(self, made: Created) -> tuple[int, int | None, int]:
        """(state, owner, marked) of a campaign's first batch."""
        ((state, owner, marked),) = await self.bench.world.rows(
            f"SELECT state, owner, marked FROM batch WHERE campaign_id = {made.campaign_id} AND no = 0"
        )
        return state, owner, marked

    async def done(self) -> bool:
        """Everything was sent and recorded."""
        return await self.bench.world.rows("SELECT 1 FROM batch WHERE state IN (2, 4)") == []


@asynccontextmanager
async def counter(
    folder: Path, *, window: int = 50, tps: float = 0.0, reply: Reply | None = accept, credits: int = 1000
) -> AsyncIterator[Counter]:
    async with bench(f"sqlite:///{folder / 'cooee.db'}", window=window, tps=tps, reply=reply) as it:
        world = it.world
        number = await world.account(credits)
        account = Account(
            number, "name", "", None, AccountState.ACTIVE, "UTC", "AU", True, True, True, True, True, None, 0
        )
        gate, slot = Gate(world.database), Slot(it)
        shared: Database = gate
        routes = Routes(shared, it.clock)
        ids = Ids(shared)
        # Numbers come in blocks; with one at hand, the next transaction is that of the message itself.
        await ids.one("campaign")
        campaigns = Campaigns(shared, ids, it.clock, routes, wake=lambda deals: it.worker.wake(), fresh=slot.ask)
        await it.at_rest()
        yield Counter(it, gate, slot, campaigns, account)
        assert slot.settled, vars(slot)


def run(check: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await check()

    asyncio.run(bounded())


def test_it_is_sent_after_its_commit_and_not_before(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path, reply=None) as it:
            it.gate.open.clear()
            task = asyncio.create_task(it.create(FIRST))
            await until(lambda: it.gate.waiting and it.slot.given)
            await asyncio.sleep(0.05)
            assert it.bench.carrier.sent == []
            it.gate.open.set()
            made = await task
            await until(lambda: it.bench.link.open == [FIRST])
            assert await it.batch(made) == (BatchState.OUT, OWNER, 1)
            it.bench.link.answer()
            await until(it.done)
            assert await it.batch(made) == (BatchState.DONE, None, 1)
            assert await it.bench.world.rows("SELECT destination, state, attempt, accepted FROM message") == [
                (FIRST, int(HANDED), 1, 1)
            ]
            assert it.bench.done == [(it.account.id, made.campaign_id)]

    run(main)


def test_those_that_come_together_share_commits_and_writes(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path) as it:
            made = await asyncio.gather(*(it.create(FIRST + at) for at in range(40)))
            await until(it.done)
            assert sorted(to for to, _ in it.bench.carrier.sent) == [FIRST + at for at in range(40)]
            assert len({each.campaign_id for each in made}) == 40
            assert it.slot.taken == 40
            assert len(it.bench.link.writes) <= 10

    run(main)


def test_a_long_message_and_a_few_recipients_count_in_segments(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path) as it:
            made = await it.create(FIRST, FIRST + 1, FIRST + 2, body="x" * 300)
            assert (made.messages, made.segments, made.credits) == (3, 2, 6)
            await until(it.done)
            assert sorted(it.bench.carrier.sent) == [(FIRST + at, part) for at in range(3) for part in range(2)]
            assert (it.slot.given, it.slot.taken) == (6, 6)
            rows = await it.bench.world.rows("SELECT state, accepted FROM message")
            assert rows == [(int(HANDED), 3)] * 3

    run(main)


def test_more_than_a_few_queue_up_like_a_campaign(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path) as it:
            numbers = [FIRST + at for at in range(FRESH_SEGMENTS + 1)]
            await it.create(*numbers)
            await until(it.done)
            assert it.slot.asked == 0
            assert sorted(to for to, _ in it.bench.carrier.sent) == numbers

    run(main)


def test_without_room_it_queues_up_and_follows(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path, window=2, reply=None) as it:
            made = [await it.create(FIRST + at) for at in range(4)]
            await until(lambda: it.bench.link.open == [FIRST, FIRST + 1])
            assert (it.slot.given, it.slot.asked) == (2, 4)
            states = [(await it.batch(each))[0] for each in made]
            assert states == [BatchState.OUT, BatchState.OUT, BatchState.READY, BatchState.READY]
            it.bench.carrier.reply = accept
            it.bench.link.answer()
            await until(it.done)
            assert sorted(to for to, _ in it.bench.carrier.sent) == [FIRST + at for at in range(4)]

    run(main)


def test_it_goes_ahead_of_a_campaign_that_takes_every_token(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path, tps=300) as it:
            sent = it.bench.link.sent
            await it.bench.world.campaign(3000, batch=300)
            it.bench.worker.wake()
            await until(lambda: len(sent) > 100)
            for at in range(5):
                single = FIRST + 100_000 + at
                before = len(sent)
                made = await it.create(single)
                assert await it.batch(made) == (BatchState.OUT, OWNER, 1) or (single, 0) in sent
                await until(lambda single=single: (single, 0) in sent)  # type: ignore[misc]
                # What the campaign sent while it was committed, and no whole batch.
                assert sent.index((single, 0)) - before < 150
            assert (it.slot.given, it.slot.asked) == (5, 5)

    run(main)


def test_going_ahead_keeps_to_the_rate(tmp_path: Path) -> None:
    """At four a second nothing leaves sooner than a quarter of a second after what left before it."""

    async def main() -> None:
        async with counter(tmp_path, tps=4) as it:
            link, loop = it.bench.link, asyncio.get_running_loop()
            write, times = link.send, []

            def timed(orders: Sequence[Order]) -> None:
                times.append(loop.time())
                write(orders)

            link.send = timed  # type: ignore[method-assign]
            await it.bench.world.campaign(100)
            it.bench.worker.wake()
            for at in range(3):
                before = len(link.sent)
                await until(lambda before=before: len(link.sent) > before + 2)  # type: ignore[misc]
                single = (FIRST + 100_000 + at, 0)
                asked = loop.time()
                made = await it.create(single[0])
                # It is the worker's, and waits for nothing but its token.
                assert await it.batch(made) == (BatchState.OUT, OWNER, 1)
                await until(lambda single=single: single in link.sent)  # type: ignore[misc]
                assert loop.time() - asked < 0.25 * 3
            assert it.slot.given == 3
            assert min(after - before for before, after in pairwise(times)) > 0.15
            it.bench.worker.pacing.share(0)
            it.bench.worker.wake()
            await until(it.done)

    run(main)


def test_what_went_ahead_and_is_early_at_a_stop_is_not_sent_and_not_lost(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path, tps=0.5, window=2, reply=None) as it:
            await it.bench.world.campaign(100)
            it.bench.clock.advance(2)
            it.bench.worker.wake()
            await until(lambda: len(it.bench.link.open) == 1)
            it.bench.clock.advance(1)
            single = FIRST + 100_000
            made = await it.create(single)
            assert await it.batch(made) == (BatchState.OUT, OWNER, 1)
            assert single not in it.bench.link.open
            # It keeps its slot of the window meanwhile.
            assert not it.bench.worker.reserve(1)
            assert it.bench.worker._slots() == 0
            it.bench.carrier.reply = accept
            it.bench.link.answer()
            await it.bench.stop()
            assert it.bench.disowned == 0
            assert (single, 0) not in it.bench.link.sent
            rows = await it.bench.world.rows(f"SELECT state FROM message WHERE campaign_id = {made.campaign_id}")
            assert rows == [(int(MessageState.RETRYING),)]

    run(main)


def test_a_campaign_is_cut_for_the_slowest_bind_in_segments(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path) as it:
            await it.bench.world.sql("UPDATE carrier SET tps = 150, binds = 2")
            short = await it.create(*range(FIRST, FIRST + 200))
            long = await it.create(*range(FIRST, FIRST + 200), body="x" * 300)
            later = await it.create(*range(FIRST, FIRST + 200), due_at=it.bench.clock.now_ms() + 3_600_000)
            cuts = {}
            for made in (short, long, later):
                rows = await it.bench.world.rows(
                    f"SELECT size FROM batch WHERE campaign_id = {made.campaign_id} ORDER BY no"
                )
                cuts[made.campaign_id] = [size for (size,) in rows]
            assert cuts == {
                short.campaign_id: [75, 75, 50],
                long.campaign_id: [37, 37, 37, 37, 37, 15],
                later.campaign_id: [75, 75, 50],
            }
            await until(it.done)

    run(main)


def test_a_burst_goes_ahead_in_part_and_the_rest_takes_its_turn(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path, tps=300) as it:
            sent = it.bench.link.sent
            await it.bench.world.campaign(2000, batch=60)
            it.bench.worker.wake()
            await until(lambda: len(sent) > 100)
            singles = [FIRST + 100_000 + at for at in range(100)]
            await asyncio.gather(*(it.create(to) for to in singles))
            # A tenth of a second that nobody had taken, and half of that ahead; a slow loop makes it more.
            assert 1 <= it.slot.given <= 60
            await until(lambda: {(to, 0) for to in singles} <= set(sent))
            assert len(sent) == len(set(sent))

    run(main)


def test_refused_for_credits_its_room_is_free_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path, window=3, credits=2) as it:
            for _ in range(5):
                with pytest.raises(ApiError) as raised:
                    await it.create(FIRST, FIRST + 1, FIRST + 2)
                assert raised.value.code is CREDITS_SHORT
            assert (it.slot.given, it.slot.returned) == (15, 15)
            assert it.bench.carrier.sent == []
            await it.create(FIRST)
            await until(it.done)
            assert it.slot.taken == 1
            assert it.bench.link.sent == [(FIRST, 0)]

    run(main)


def test_one_that_is_refused_among_others_takes_none_of_them_along(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path, credits=3) as it:
            it.gate.open.clear()
            tasks = [asyncio.create_task(it.create(FIRST + at)) for at in range(5)]
            await until(lambda: it.gate.waiting and it.slot.given)
            it.gate.open.set()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            refused = [answer for answer in answers if isinstance(answer, ApiError)]
            assert [answer.code for answer in refused] == [CREDITS_SHORT] * 2
            await until(it.done)
            assert (it.slot.taken, it.slot.returned) == (3, 2)
            paid = [FIRST + at for at, answer in enumerate(answers) if isinstance(answer, Created)]
            assert sorted(to for to, _ in it.bench.carrier.sent) == paid
            assert await it.bench.world.credits(it.account.id) == 0

    run(main)


def test_to_someone_who_opted_out_it_is_not_born_marked_but_washed(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path) as it:
            await it.bench.world.opt_out(FIRST + 1, account_id=it.account.id)
            await asyncio.gather(it.create(FIRST), it.create(FIRST + 1), it.create(FIRST + 2))
            await until(it.done)
            assert sorted(to for to, _ in it.bench.carrier.sent) == [FIRST, FIRST + 2]
            assert (it.slot.taken, it.slot.returned) == (2, 1)
            states = await it.bench.world.rows("SELECT destination, state FROM message ORDER BY destination")
            assert states == [
                (FIRST, int(HANDED)), (FIRST + 1, int(MessageState.WASHED)), (FIRST + 2, int(HANDED)),
            ]  # fmt: skip
            assert await it.bench.world.refunds(it.account.id) == [(1, "opted out")]

    run(main)


def test_when_the_store_is_away_nothing_is_sent_and_its_room_is_free_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path, window=2) as it:
            # The outage comes between the promise of room and the commit.
            it.gate.open.clear()
            task = asyncio.create_task(it.create(FIRST, FIRST + 1))
            await until(lambda: it.gate.waiting and it.slot.given)
            it.gate.away = StoreUnavailable("away")
            it.gate.open.set()
            with pytest.raises(StoreUnavailable):
                await task
            it.gate.away = None
            assert it.slot.returned == 2
            assert it.bench.carrier.sent == []
            assert await it.bench.world.rows("SELECT COUNT(*) FROM campaign") == [(0,)]
            await it.create(FIRST, FIRST + 1)
            await until(it.done)
            assert it.slot.taken == 2

    run(main)


def test_the_same_key_twice_at_once_is_sent_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path) as it:
            it.gate.open.clear()
            tasks = [asyncio.create_task(it.create(FIRST, key="once")) for _ in range(3)]
            await until(lambda: it.gate.waiting and it.slot.given)
            it.gate.open.set()
            made = await asyncio.gather(*tasks)
            assert made[0] == made[1] == made[2]
            await until(it.done)
            assert it.bench.carrier.sent == [(FIRST, 0)]
            assert (it.slot.taken, it.slot.returned) == (1, 2)
            assert await it.bench.world.credits(it.account.id) == 999

    run(main)


def test_for_later_it_asks_for_no_room(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path) as it:
            made = await it.create(FIRST, due_at=it.bench.clock.now_ms() + 60_000)
            assert it.slot.asked == 0
            assert (await it.batch(made))[0] == BatchState.HELD
            state = await it.bench.world.rows(f"SELECT state FROM campaign WHERE id = {made.campaign_id}")
            assert state == [(int(CampaignState.SCHEDULED),)]

    run(main)


def test_a_client_that_goes_away_meanwhile_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path) as it:
            it.gate.open.clear()
            task = asyncio.create_task(it.create(FIRST))
            await until(lambda: it.gate.waiting and it.slot.given)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            it.gate.open.set()
            await until(lambda: it.bench.carrier.sent)
            await until(it.done)
            assert it.bench.carrier.sent == [(FIRST, 0)]
            assert it.slot.taken == 1

    run(main)


def test_a_client_that_goes_away_before_it_is_refused_leaves_no_room_behind(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path, window=3, credits=0) as it:
            it.gate.open.clear()
            task = asyncio.create_task(it.create(FIRST))
            await until(lambda: it.gate.waiting and it.slot.given)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert it.slot.returned == 0
            it.gate.open.set()
            await until(lambda: it.slot.returned == 1)
            assert it.bench.carrier.sent == []

    run(main)


def test_committed_but_never_handed_over_it_is_uncertain_not_lost(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path) as it:
            it.slot.deaf = True
            made = await it.create(FIRST)
            await until(lambda: it.slot.taken)
            assert await it.batch(made) == (BatchState.OUT, OWNER, 1)
            # The process died between its commit and the write: whoever comes next takes over.
            assert await it.bench.world.take_over(OWNER) == (1, 1)
            rows = await it.bench.world.rows("SELECT destination, state FROM message")
            assert rows == [(FIRST, int(MessageState.UNCERTAIN))]
            # Else the worker, which lives on in this test, would wait for it before it stops.
            it.bench.worker.release(1)

    run(main)
