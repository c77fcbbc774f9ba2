"""Whatever happens in whatever order, a balance is the sum of its ledger, and nobody pays for what never left."""

from __future__ import annotations

import asyncio
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cooee.model.errors import ApiError
from cooee.store import accounts
from cooee.store.acceptance import Created, NewCampaign
from tests.store.support_store import Hand, World, world

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["create", "credit", "pause", "unpause", "delete", "claim", "answer", "due", "opt out"]),
        st.integers(0, 1000),
    ),
    min_size=3,
    max_size=25,
)


class Model:
    """One account's story on a shared store."""

    def __init__(self, made: World, account: int) -> None:
        self.world = made
        self.account = account
        self.campaigns: list[NewCampaign] = []
        self.hands: list[Hand] = []
        self.paid = 500

    async def step(self, what: str, number: int) -> None:
        """Does one thing, or nothing where it has no object."""
        made = self.world
        chosen = self.campaigns[number % len(self.campaigns)] if self.campaigns else None
        match what:
            case "create":
                new = await made.new(
                    1 + number % 60, account_id=self.account, segments=1 + number % 3,
                    carriers=() if number % 4 else None,
                )  # fmt: skip
                (answer,) = await made.create(new)
                if isinstance(answer, Created):
                    self.campaigns.append(new)
            case "credit":
                self.paid += number
                await made.write(
                    lambda tx: accounts.give(
                        tx, self.account, number, kind="topup", at=made.clock.now_ms(), reason="test"
                    )
                )
            case "pause" | "unpause" | "delete" if chosen is not None:
                try:
                    await made.change(what, chosen)
                    if what == "unpause":
                        await made.deal(chosen)
                except ApiError:
                    return
            case "claim":
                self.hands += await made.claim(7, 1 + number % 40)
            case "answer" if self.hands:
                hand = self.hands.pop(number % len(self.hands))
                rnd = random.Random(number)
                for at in range(hand.recorded, hand.marked):
                    if at in hand.answered:
                        continue
                    match rnd.randrange(4):
                        case 0:
                            hand.refuse(at, accepted=rnd.randrange(2))
                        case 1:
                            hand.fail(at)
                        case _:
                            hand.accept({at: f"{hand.claimed.key}-{at}"})
                await hand.step(release=True)
            case "due":
                made.clock.advance(number * 60)
                await made.ready_delayed()
            case "opt out" if chosen is not None:
                destination = chosen.numbers[number % len(chosen.numbers)]
                await made.sql(
                    "INSERT INTO optout (account_id, destination, added_at, reason, body) "
                    f"VALUES ({self.account}, {destination}, 0, '', '') ON CONFLICT DO NOTHING"
                )

    async def check(self) -> None:
        """The books: balance, ledger and what became of every recipient agree."""
        made = self.world
        ((balance, number),) = await made.rows(f"SELECT credits, ledger_no FROM account WHERE id = {self.account}")
        rows = await made.rows(
            f"SELECT no, amount, kind FROM ledger WHERE account_id = {self.account} ORDER BY no"
        )
        assert balance >= 0
        assert balance == sum(row[1] for row in rows)
        assert [row[0] for row in rows] == list(range(1, number + 1))
        assert sum(row[1] for row in rows if row[2] in ("opening", "topup")) == self.paid
        for new in self.campaigns:
            await self._check_campaign(new)

    async def _check_campaign(self, new: NewCampaign) -> None:
        made = self.world
        booked = await made.rows(
            "SELECT kind, COALESCE(SUM(amount), 0) FROM ledger "
            f"WHERE account_id = {self.account} AND campaign_id = {new.id} GROUP BY kind"
        )
        sums = {row[0]: int(row[1]) for row in booked}
        assert sums["charge"] == -new.credits
        # Refunded: who was washed or cancelled, who was given up without a part accepted, and what never left.
        messages = await made.messages(new)
        back = sum(m.credits for m in messages.values() if m.state.name in ("WASHED", "CANCELLED"))
        back += sum(
            m.credits for m in messages.values()
            if m.state.name == "FAILED" and m.code == 998 and not m.accepted and not m.flags & 1
        )  # fmt: skip
        if (await made.state(new)) == 5:
            back += sum((b.size - b.marked) * new.credits_each for b in await made.batches(new) if b.attempt == 1)
        assert sums.get("refund", 0) == back, new.id


def test_the_books_balance_whatever_happens(database_url: str) -> None:
    stories: list[list[tuple[str, int]]] = []

    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(STEPS)
    def gather(steps: list[tuple[str, int]]) -> None:
        stories.append(steps)

    gather()
    # Beside what hypothesis thought of: long ones, where more has come together.
    rnd = random.Random(11)
    names = [
        "create",
        "create",
        "claim",
        "answer",
        "answer",
        "due",
        "pause",
        "unpause",
        "delete",
        "opt out",
        "credit",
    ]
    stories += [[(rnd.choice(names), rnd.randrange(1000)) for _ in range(60)] for _ in range(4)]

    async def main() -> None:
        async with world(database_url) as made:
            for steps in stories:
                model = Model(made, await made.account(500))
                # Every story has a carrier of its own, so that it claims only what is its own.
                made.carrier_id = await made.carrier()
                for what, number in steps:
                    await model.step(what, number)
                await model.check()

    asyncio.run(main())
