"""Receipts from carriers, stored in groups; acknowledged only once they are committed.

What arrives while a transaction is under way goes into the next one. A group that fails is replayed singly, and
what fails alone goes raw into quarantine, raises an alarm and is acknowledged, so that one poisoned receipt never
blocks a carrier. While the store is down nothing is acknowledged with success: the SMSC keeps it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import structlog

from cooee.model.clock import Clock
from cooee.model.errors import CommitUnknown, StoreUnavailable
from cooee.model.message import code_of
from cooee.model.metrics import RECEIPTS
from cooee.model.smscid import canonical_id
from cooee.service.quarantine import set_aside
from cooee.smpp.receipt import Receipt, ReceiptState
from cooee.store import receipts as rows
from cooee.store.database import Database, Lane
from cooee.store.receiptlog import LONGEST
from cooee.store.receipts import DELIVERED, FAILED, OPEN, Applied, Incoming

log = structlog.get_logger()

GROUP = 1000
"""Receipts that one transaction takes at most (measured: about 8 ms on SQLite)."""

Done = Callable[[bool], None]

# Nearly all say so. Looking an enum's member up in a dict calls its hash, which is written in Python.
_DELIVERED = ReceiptState.DELIVERED
_KINDS = {state: DELIVERED if state is ReceiptState.DELIVERED else FAILED for state in ReceiptState} | {
    ReceiptState.ENROUTE: OPEN,
    ReceiptState.ACCEPTED: OPEN,
    ReceiptState.UNKNOWN: OPEN,
}


def incoming(receipt: Receipt, codes: Mapping[str, int], keeps: bool) -> Incoming:
    """A receipt as the store needs it; `codes` maps the carrier's own error codes (wire contract §5), `keeps` says
    whether its octets are to be kept."""
    kind = DELIVERED if receipt.state is _DELIVERED else _KINDS[receipt.state]
    source = receipt.source.lstrip("+")
    handset = int(source) if source.isdecimal() and source.isascii() and len(source) <= 18 else None
    code, error = 0, ""
    if kind == FAILED:
        code = codes.get(receipt.error) or code_of(receipt.error)
        error = f"{receipt.state.name} {receipt.error}".strip()[:120]
    return Incoming(
        canonical_id(receipt.message_id),
        handset,
        receipt.destination,
        kind,
        error,
        code,
        receipt.command,
        receipt.raw[:LONGEST] if keeps else b"",
    )


class ReceiptIntake:
    """One carrier's inbound side. `changed` is told which campaigns receipts came for; `keeps`: receipts are kept
    as they came."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        carrier_id: int,
        name: str,
        codes: Mapping[str, int],
        changed: Callable[[set[tuple[int, int]]], None],
        *,
        keeps: bool = True,
    ) -> None:
        self._database = database
        self._clock = clock
        self._carrier_id = carrier_id
        self._name = name
        self._codes = codes
        self._changed = changed
        self._keeps = keeps
        self._queue: deque[tuple[Sequence[Receipt], Done]] = deque()
        self._task: asyncio.Task[None] | None = None

    def take(self, receipts: Sequence[Receipt], done: Done) -> None:
        """Queues a chunk of receipts; `done` is called after their commit."""
        self._queue.append((receipts, done))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def idle(self) -> None:
        """Waits until everything taken is answered."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _drain(self) -> None:
        try:
            while self._queue:
                chunks = [self._queue.popleft()]
                size = len(chunks[0][0])
                while self._queue and size + len(self._queue[0][0]) <= GROUP:
                    chunks.append(self._queue.popleft())
                    size += len(chunks[-1][0])
                ok = await self._store([receipt for chunk, _ in chunks for receipt in chunk])
                for _, done in chunks:
                    done(ok)
        finally:
            self._task = None

    async def _store(self, receipts: list[Receipt]) -> bool:
        """True when they may be acknowledged."""
        try:
            await self._write([incoming(receipt, self._codes, self._keeps) for receipt in receipts])
        except (StoreUnavailable, CommitUnknown) as error:
            log.warning("receipts_deferred", carrier=self._name, receipts=len(receipts), reason=str(error))
            await asyncio.sleep(0.5)
            return False
        except Exception as error:
            if len(receipts) == 1:
                carrier = (self._carrier_id, self._name)
                return await set_aside(self._database, self._clock, carrier, "receipt", receipts[0].raw, error)
            return all([await self._store([receipt]) for receipt in receipts])
        return True

    async def _write(self, items: list[Incoming]) -> None:
        now = self._clock.now_ms()
        done: Applied = await self._database.write(
            lambda tx: rows.apply(tx, self._carrier_id, items, now), Lane.RECEIPTS
        )
        RECEIPTS.labels(self._name, "matched").inc(done.matched)
        if done.settled:
            RECEIPTS.labels(self._name, "settled").inc(done.settled)
        if done.orphaned:
            RECEIPTS.labels(self._name, "orphaned").inc(done.orphaned)
            if await rows.look_again(self._database, now):
                log.debug("orphans_rejoined", carrier=self._name)
        if done.campaigns:
            self._changed(done.campaigns)
