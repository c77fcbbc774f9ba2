"""Messages from handsets, put into a store as an intake does."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cooee.model.inbound import NumberKind, ReplyKind
from cooee.model.segments import Encoding, segment
from cooee.smpp.codes import ESM_UDHI
from cooee.smpp.mo import parse_mo
from cooee.smpp.pdu import DeliverSm
from cooee.store import inbound
from cooee.store.database import Lane, Tx
from cooee.store.inbound import Taken
from cooee.store.parts import Arrival
from cooee.store.seen import Copy, SeenKey
from tests.store.support_store import World

NUMBER, OTHER = "61400190499", "61400190500"
HANDSET = 61400000001
_connections = itertools.count(1)


@dataclass
class Acks:
    """What a process knows of its connections; a test says what it is."""

    living: set[int] = field(default_factory=set)
    acknowledged: dict[SeenKey, int] = field(default_factory=dict)
    doubts: set[tuple[int, int]] = field(default_factory=set)

    def lives(self, connection: int) -> bool:
        return connection in self.living

    def at(self, key: SeenKey) -> int | None:
        return self.acknowledged.get(key)

    def doubted(self, digest: int, connection: int) -> bool:
        return (digest, connection) in self.doubts


@dataclass
class Line:
    """Connections to one carrier's SMSC."""

    world: World
    acks: Acks = field(default_factory=Acks)
    connection: int = 0
    carrier_id: int = 0

    def __post_init__(self) -> None:
        self.carrier_id = self.carrier_id or self.world.carrier_id
        self.connect()

    def connect(self, *, drop: bool = True) -> int:
        """A new connection, the old one being gone unless it is kept beside."""
        if drop:
            self.acks.living.clear()
        self.connection = next(_connections)
        self.acks.living.add(self.connection)
        return self.connection

    async def come(self, *pdus: DeliverSm, acknowledged: bool = True, connection: int = 0) -> Taken:
        """One group comes in over the newest connection, or that one, and is acknowledged after its commit."""
        now = self.world.clock.now_ms()
        over = connection or self.connection
        items = []
        for mo in map(parse_mo, pdus):
            part = None if mo.part is None else (mo.part.concat, mo.part.total, mo.part.no)
            arrival = Arrival(mo.source, mo.ton, mo.destination, mo.coding, mo.body, part, now)
            items.append((arrival, Copy(mo.digest, over, now)))
        taken: Taken = await self.world.write(
            lambda tx: inbound.take(tx, self.carrier_id, items, self.acks, now), Lane.RECEIPTS
        )
        if acknowledged:
            self.acks.acknowledged.update(dict.fromkeys(taken.keys, now))
        return taken

    async def say(self, *texts: str, source: str = str(HANDSET), to: str = NUMBER, **more: Any) -> Taken:
        """A handset writes short texts, all in one group."""
        return await self.come(*(pdu for text in texts for pdu in message(text, source=source, to=to)), **more)


def message(
    text: str,
    *,
    source: str = str(HANDSET),
    to: str = NUMBER,
    reference: int = 7,
    wide: bool = False,
    ton: int = 1,
) -> list[DeliverSm]:
    """The deliver_sm of a message, in parts where it is long."""
    cut = segment(text, wide)
    return [
        DeliverSm(
            1,
            source_addr_ton=ton,
            source_addr=source,
            destination_addr=to,
            esm_class=ESM_UDHI if cut.count > 1 else 0,
            data_coding=8 if cut.encoding is Encoding.UCS2 else 0,
            short_message=data,
        )
        for data in cut.user_data(reference, wide)
    ]


async def add_number(
    world: World,
    number: str = NUMBER,
    kind: NumberKind = NumberKind.DEDICATED,
    account_id: int | None = None,
    carrier_id: int = 0,
) -> None:
    await world.write(
        lambda tx: tx.run(
            "add_number",
            number=number, carrier_id=carrier_id,
            account_id=world.account_id if account_id is None else account_id,
            kind=kind, country="AU", now=world.clock.now_ms(),
        )
    )  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """A row of `reply`."""

    account_id: int
    originator: str
    handset: int | None
    recipient: str
    text: str
    number: int
    parts: int
    missing: int
    campaign_id: int | None
    reference: str

    @property
    def kind(self) -> ReplyKind:
        return ReplyKind(self.number)


async def set_answer(world: World, account_id: int, body: str, kind: ReplyKind = ReplyKind.STOP) -> None:
    """What an account answers to a keyword."""

    async def operation(tx: Tx) -> None:
        await tx.run("set_keyword_answer", account_id=account_id, kind=kind, body=body)

    await world.write(operation)


async def kept(world: World) -> list[Kept]:
    """All replies, as they came."""
    rows = await world.rows(
        "SELECT account_id, originator, handset, recipient, body, kind, parts, missing, campaign_id, reference "
        "FROM reply ORDER BY received_at, id"
    )
    return [Kept(*row) for row in rows]


async def texts(world: World) -> list[str]:
    """What was written to accounts, as it came."""
    return [reply.text for reply in await kept(world)]


async def unrouted(world: World) -> list[str]:
    """What is nobody's, as it came."""
    return [row[0] for row in await world.rows("SELECT body FROM unrouted_reply ORDER BY received_at, id")]


async def optouts(world: World) -> list[tuple[int, int, str, str, str]]:
    """(account, number, reason, who, text) of those that hold."""
    return [
        (row[0], row[1], row[2], row[3], row[4])
        for row in await world.rows(
            "SELECT account_id, destination, reason, who, body FROM optout ORDER BY account_id, destination"
        )
    ]


async def contact(
    world: World, *handsets: int, number: str = NUMBER, account_id: int | None = None, reference: str | None = None
) -> int:
    """A campaign from that number was handed over to these handsets; its id."""
    new = await world.new(list(handsets) or [HANDSET], account_id=account_id)
    new.originator, new.reference = number, reference
    await world.create(new)
    for hand in await world.claim(1):
        await hand.accept(range(hand.claimed.marked)).step()
    return new.id


def sequence(pdus: Sequence[DeliverSm], order: Sequence[int]) -> list[DeliverSm]:
    """The same in another order."""
    return [pdus[at] for at in order]
