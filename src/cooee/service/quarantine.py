"""What came from a carrier and cannot be stored as what it is: kept raw, so that it neither blocks nor is lost."""

from __future__ import annotations

import structlog

from cooee.model.clock import Clock
from cooee.model.metrics import QUARANTINED
from cooee.store.database import Database, Lane, Tx

log = structlog.get_logger()


async def set_aside(
    database: Database, clock: Clock, carrier: tuple[int, str], kind: str, body: bytes, error: Exception
) -> bool:
    """Keeps a PDU of `kind` from `carrier` (id, name); False where not even that was possible."""
    carrier_id, name = carrier

    async def keep(tx: Tx) -> None:
        await tx.run(
            "quarantine",
            at=clock.now_ms(),
            carrier_id=carrier_id,
            kind=kind,
            body=body,
            reason=str(error)[:500],
        )

    try:
        await database.write(keep, Lane.RECEIPTS)
    except Exception as failure:
        log.error("quarantine_failed", carrier=name, kind=kind, reason=str(failure))
        return False
    QUARANTINED.labels(kind).inc()
    log.error("quarantined", carrier=name, kind=kind, octets=len(body), reason=type(error).__name__)
    return True
