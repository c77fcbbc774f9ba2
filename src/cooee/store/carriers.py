"""Operations on carriers. Each takes a `Tx` and runs inside the caller's transaction."""

from __future__ import annotations

from typing import Any

import msgspec

from cooee.model.carrier import CarrierRow, CarrierState, smpp_settings
from cooee.store.database import Row, Tx
from cooee.store.secrets import Secrets

__all__ = ["CarrierRow", "all_carriers", "by_name", "insert", "remove", "set_state", "update"]


def carrier_of(row: Row, secrets: Secrets | None) -> CarrierRow:
    """A `CarrierRow` from a row of all_carriers; without `secrets` its secret stays None.

    ConfigError when the secret was stored with another key.
    """
    return CarrierRow(
        id=row[0],
        name=row[1],
        kind=row[2],
        state=CarrierState(row[3]),
        settings=msgspec.json.decode(row[4]),
        secret=secrets.decrypt(row[5]) if secrets is not None and row[5] else None,
        tps=row[6],
        binds=row[7],
        version=row[8],
    )


async def all_carriers(tx: Tx, secrets: Secrets | None) -> list[CarrierRow]:
    """Every carrier there ever was, by id, the removed ones too."""
    return [carrier_of(row, secrets) for row in await tx.all("all_carriers")]


async def by_name(tx: Tx, name: str) -> tuple[CarrierRow, str] | None:
    """The carrier of that name that is not removed, locked, with its encrypted secret; None if there is none."""
    row = await tx.one("carrier_by_name", name=name)
    return None if row is None else (carrier_of(row, None), str(row[5]))


async def insert(
    tx: Tx, carrier_id: int, name: str, kind: str, settings: dict[str, Any], secret: str, now: int
) -> bool:
    """Adds a carrier with checked settings and an encrypted secret ('' for none); False when the name is taken."""
    typed = smpp_settings(settings)
    added = await tx.run(
        "add_carrier",
        id=carrier_id,
        name=name,
        kind=kind,
        settings=msgspec.json.encode(settings).decode(),
        secret=secret,
        tps=typed.tps,
        binds=typed.binds,
        now=now,
    )
    return added == 1


async def update(tx: Tx, carrier_id: int, settings: dict[str, Any], secret: str) -> None:
    """Writes checked settings and the encrypted secret."""
    typed = smpp_settings(settings)
    await tx.run(
        "set_carrier",
        id=carrier_id,
        settings=msgspec.json.encode(settings).decode(),
        secret=secret,
        tps=typed.tps,
        binds=typed.binds,
    )


async def set_state(tx: Tx, carrier_id: int, state: CarrierState) -> bool:
    """Pauses or resumes; False when it was so already."""
    return await tx.run("set_carrier_state", id=carrier_id, state=int(state)) == 1


async def remove(tx: Tx, carrier: CarrierRow) -> None:
    """Takes a carrier out of service for good; a new one may have its name."""
    await tx.run("remove_carrier", id=carrier.id, gone=f"{carrier.name} (removed {carrier.id})")
