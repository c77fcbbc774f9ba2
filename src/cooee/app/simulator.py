"""The embedded simulated SMSC, and the carrier that leads to it. Only `--simulate` and the demo use it."""

from __future__ import annotations

import structlog

from cooee.model.carrier import CarrierState
from cooee.model.clock import Clock
from cooee.service.carriers import Carriers
from cooee.smpp.smsc import Smsc, SmscConfig

log = structlog.get_logger()

NAME = "simulator"


async def start(carriers: Carriers, clock: Clock, config: SmscConfig) -> Smsc:
    """Starts the SMSC on loopback and points the carrier `simulator` to it, adding it where it is missing."""
    smsc = Smsc(config, clock)
    await smsc.start()
    settings = {
        "host": "127.0.0.1",
        "port": str(smsc.port),
        "system_id": "cooee",
        "window": "500",
        "enquire_link_s": "30",
    }
    if any(row.name == NAME for row in await carriers.list()):
        await carriers.set(NAME, settings)
        await carriers.resume(NAME)
    else:
        await carriers.add(NAME, "smpp", settings, "simulated")
    log.warning("carrier_simulated", reason="messages go to the embedded SMSC: nothing reaches a real phone")
    return smsc


async def retire(carriers: Carriers) -> None:
    """Without `--simulate` a carrier left from an earlier run is paused: it would never bind."""
    for row in await carriers.list():
        if row.name == NAME and row.state is CarrierState.ACTIVE:
            await carriers.pause(NAME)
            log.warning("simulator_paused", reason="this server runs without --simulate")
