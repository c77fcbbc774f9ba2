"""Tries a carrier as an engine would: connects, binds, unbinds, and says in words how that went."""

from __future__ import annotations

import asyncio

from cooee.model.carrier import CarrierRow
from cooee.model.clock import Clock
from cooee.model.errors import ConfigError
from cooee.smpp.codes import CommandStatus
from cooee.smpp.session import Answer, BindConfig, Inbound, Segment, Session, State, Submission

PATIENCE_S = 10.0
"""How long a carrier has for each step."""


class _Watcher:
    """Waits for the first end of the attempt. Receipts that come meanwhile are sent back, to be tried again."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[tuple[bool, str]] = asyncio.get_running_loop().create_future()

    def state(self, session: Session, state: State, reason: str) -> None:
        if self.outcome.done():
            return
        if state is State.BOUND:
            self.outcome.set_result((True, reason))
        elif state is State.CLOSED:
            self.outcome.set_result((False, reason))

    def inbound(self, session: Session, pdus: list[Inbound]) -> None:
        session.acknowledge(pdus, CommandStatus.ESME_RX_T_APPN)

    def answers(self, session: Session, submissions: list[Submission]) -> None:
        """Nothing is submitted."""

    def lost(
        self, session: Session, submission: Submission, unsure: list[Segment], unsent: list[Segment], reason: str
    ) -> None:
        """Nothing is submitted."""

    def late(self, session: Session, submission: Submission, answers: list[Answer]) -> None:
        """Nothing is submitted."""


async def try_carrier(carrier: CarrierRow, clock: Clock) -> tuple[bool, str]:
    """Whether the carrier accepts a bind with its settings, and what it said. Takes half a minute at most."""
    try:
        settings = carrier.smpp
        config = BindConfig(
            host=settings.host,
            port=settings.port,
            system_id=settings.system_id,
            password=carrier.secret or "",
            system_type=settings.system_type,
            bind_type=settings.bind_type,
            tls=settings.tls,
            bind_timeout_s=PATIENCE_S,
            connect_timeout_s=PATIENCE_S,
        )
    except ConfigError as error:
        return False, str(error)
    watcher = _Watcher()
    session = Session(config, watcher, clock, f"check {carrier.name}")
    where = f"{settings.host}:{settings.port}"
    session.start()
    try:
        async with asyncio.timeout(3 * PATIENCE_S):
            bound, reason = await watcher.outcome
    except TimeoutError:
        bound, reason = False, "no answer to the bind"
    await session.stop(2.0)
    return bound, f"{where}: {reason}"
