"""Carriers, as an operator deals with them: added, set, paused, removed. Running engines follow within seconds."""

from __future__ import annotations

import builtins
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cooee.model.carrier import PASSWORD_MAX, CarrierRow, CarrierState, read_settings
from cooee.model.clock import Clock
from cooee.model.errors import ConfigError
from cooee.model.options import text_of
from cooee.service import audit
from cooee.store import attention, carriers
from cooee.store.attention import QUEUED_BATCHES, CarrierFigures, Orphan
from cooee.store.database import Database, Tx
from cooee.store.ids import Ids
from cooee.store.secrets import Secrets

__all__ = ["QUEUED_BATCHES", "CarrierFigures", "Carriers", "Orphan", "Standing"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database tells of all carriers: names of engines by id; which engine holds which bind, by carrier
    and bind number; unmatched receipts and what waits, by carrier."""

    engines: Mapping[int, str]
    holders: Mapping[int, Mapping[int, int]]
    orphans: Mapping[int, int]
    figures: Mapping[int, CarrierFigures]


class Carriers:
    """The use cases. Every method raises ConfigError with a sentence for a person, or a StoreError."""

    def __init__(self, database: Database, ids: Ids, clock: Clock, secrets: Secrets) -> None:
        self._database = database
        self._ids = ids
        self._clock = clock
        self._secrets = secrets

    async def add(self, name: str, kind: str, settings: Mapping[str, str], secret: str | None) -> CarrierRow:
        """A new carrier, active at once. `settings` are texts; `secret` is its password, None for none."""
        if not _NAME.fullmatch(name):
            raise ConfigError(f"'{name}' is no carrier name: use up to 40 letters, digits and . _ -")
        checked = read_settings(kind, settings, {})
        sealed = self._seal(secret)
        now = self._clock.now_ms()
        carrier_id = await self._ids.exactly_one("carrier")
        made = audit.change("carrier added", carrier=name)

        async def operation(tx: Tx) -> bool:
            added = await carriers.insert(tx, carrier_id, name, kind, checked, sealed, now)
            if added:
                given = ", ".join(f"{key} {text}" for key, text in _texts(checked).items())
                await audit.note(tx, made, now, given)
            return added

        if not await self._database.write(operation):
            raise ConfigError(f"there is a carrier '{name}' already: change it with carrier set")
        return await self.find(name)

    async def set(self, name: str, changes: Mapping[str, str], secret: str | None = None) -> CarrierRow:
        """Changes settings; an empty text takes one back to its default, a `secret` of None leaves the old one."""
        sealed = self._seal(secret)
        made = audit.change("carrier changed", carrier=name)
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> None:
            carrier, old = await self._locked(tx, name)
            settings = read_settings(carrier.kind, changes, carrier.settings)
            await carriers.update(tx, carrier.id, settings, old if secret is None else sealed)
            detail = audit.differences(_texts(carrier.settings), _texts(settings))
            if secret is not None:
                detail = f"{detail}, another password" if detail else "another password"
            await audit.note(tx, made, now, detail)

        await self._database.write(operation)
        return await self.find(name)

    async def pause(self, name: str) -> bool:
        """Gives it nothing more to send; its binds stay, for receipts. False when it was paused already."""
        return await self._state(name, CarrierState.PAUSED)

    async def resume(self, name: str) -> bool:
        """Gives it messages again. False when it was active already."""
        return await self._state(name, CarrierState.ACTIVE)

    async def remove(self, name: str) -> None:
        """Takes it out of service for good. What waits for it is dealt to the other carriers."""
        made = audit.change("carrier removed", carrier=name)
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> None:
            carrier, _ = await self._locked(tx, name)
            await carriers.remove(tx, carrier)
            await audit.note(tx, made, now)

        await self._database.write(operation)

    async def list(self) -> list[CarrierRow]:
        """Every carrier that is not removed, by name, without its secret."""
        rows = await self._database.read(lambda tx: carriers.all_carriers(tx, None))
        return sorted((row for row in rows if row.state is not CarrierState.REMOVED), key=lambda row: row.name)

    async def standing(self, rows: Sequence[CarrierRow]) -> Standing:
        """How these carriers stand at this moment, whichever processes their engines are in."""

        async def operation(tx: Tx) -> Standing:
            holders: dict[int, dict[int, int]] = {}
            for carrier_id, no, engine in await attention.leases(tx):
                holders.setdefault(carrier_id, {})[no] = engine
            return Standing(
                engines={engine: name for engine, name, _ in await attention.engines(tx)},
                holders=holders,
                orphans=await attention.orphan_counts(tx),
                figures={row.id: await attention.carrier_figures(tx, row.id) for row in rows},
            )

        return await self._database.read(operation)

    async def orphans(self, carrier_id: int, *, before: int | None, limit: int) -> builtins.list[Orphan]:
        """Up to `limit` receipts of a carrier that match nothing, below the id `before`, the newest first."""
        return await self._database.read(lambda tx: attention.orphans(tx, carrier_id, before, limit))

    async def find(self, name: str) -> CarrierRow:
        """One carrier with its secret."""

        async def operation(tx: Tx) -> CarrierRow | None:
            for row in await tx.all("all_carriers"):
                if row[1] == name and row[3] != CarrierState.REMOVED:
                    return carriers.carrier_of(row, self._secrets)
            return None

        found = await self._database.read(operation)
        if found is None:
            raise _missing(name, await self.list())
        return found

    async def _state(self, name: str, state: CarrierState) -> bool:
        word = "carrier paused" if state is CarrierState.PAUSED else "carrier resumed"
        made = audit.change(word, carrier=name)
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> bool:
            carrier, _ = await self._locked(tx, name)
            changed = await carriers.set_state(tx, carrier.id, state)
            if changed:
                await audit.note(tx, made, now)
            return changed

        return await self._database.write(operation)

    async def _locked(self, tx: Tx, name: str) -> tuple[CarrierRow, str]:
        found = await carriers.by_name(tx, name)
        if found is None:
            raise _missing(name, await carriers.all_carriers(tx, None))
        return found

    def _seal(self, secret: str | None) -> str:
        if not secret:
            return ""
        if len(secret) > PASSWORD_MAX or not secret.isascii() or not secret.isprintable():
            raise ConfigError(f"the password must be at most {PASSWORD_MAX} printable ASCII characters")
        return self._secrets.encrypt(secret)


def _texts(settings: Mapping[str, object]) -> dict[str, str]:
    """Settings as people write them; a password is none of them."""
    return {name: text_of(value) for name, value in settings.items()}


def _missing(name: str, rows: Sequence[CarrierRow]) -> ConfigError:
    names = sorted(row.name for row in rows if row.state is not CarrierState.REMOVED)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return ConfigError(f"there is no carrier '{name}': did you mean {near[0]}?")
    known = f"known are {', '.join(names)}" if names else "there is none yet; add one with carrier add"
    return ConfigError(f"there is no carrier '{name}': {known}")
