"""Messages from handsets in quarantine are read again: after an upgrade, or once what ailed them is mended."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from cooee.model.clock import Clock
from cooee.model.errors import CommitUnknown, StoreUnavailable
from cooee.service.inbound import arrival_of
from cooee.smpp.framing import PduError
from cooee.smpp.mo import parse_mo
from cooee.smpp.pdu import DataSm, DeliverSm, decode
from cooee.store import inbound, parts
from cooee.store.database import Database, Lane, Row, Tx
from cooee.store.parts import Arrival

log = structlog.get_logger()


async def recover(database: Database, clock: Clock) -> tuple[int, int]:
    """Reads them all, oldest first: how many PDUs were taken in, and how many stay."""
    after, taken, left = 0, 0, 0
    while True:

        async def page(tx: Tx, after: int = after) -> Sequence[Row]:
            return await tx.all("quarantined_replies", after=after)

        rows = await database.read(page)
        if not rows:
            return taken, left
        after = rows[-1][0]
        for row in rows:
            if await _again(database, clock, row):
                taken += 1
            else:
                left += 1


async def _again(database: Database, clock: Clock, row: Row) -> bool:
    """One PDU, with its removal from quarantine in one transaction."""
    number, at, carrier_id, body = row
    arrival = _read(bytes(body), at)
    if arrival is None:
        return False

    async def operation(tx: Tx) -> None:
        await tx.one("lock_inbound", carrier_id=carrier_id)
        if await tx.many("drop_quarantined", [(number,)]):
            wholes, _ = await parts.join(tx, carrier_id, [arrival])
            await inbound.deliver(tx, carrier_id, wholes, clock.now_ms(), answers=False)

    try:
        await database.write(operation, Lane.BULK)
    except (StoreUnavailable, CommitUnknown):
        raise
    except Exception as error:
        log.warning("reply_not_recovered", id=number, reason=type(error).__name__)
        return False
    return True


def _read(body: bytes, at: int) -> Arrival | None:
    try:
        pdu = decode(body)
    except PduError:
        return None
    return arrival_of(parse_mo(pdu), at) if isinstance(pdu, DeliverSm | DataSm) else None
