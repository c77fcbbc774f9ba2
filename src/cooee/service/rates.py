"""Rates: what a segment costs by the recipient's country, for everybody and for single accounts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cooee.model.clock import Clock
from cooee.model.errors import ConfigError
from cooee.model.tariff import MAX_RATE, OTHER
from cooee.service import audit
from cooee.service.accounts import named
from cooee.service.settings import check_country
from cooee.store import accounts as rows
from cooee.store.accounts import EVERYBODY
from cooee.store.database import Database, Tx


@dataclass(frozen=True, slots=True)
class Rate:
    """Credits a segment; `country` is an ISO code or `other`; `own`: the account's, not everybody's."""

    country: str
    credits: int
    own: bool


class Rates:
    """The operator's price list. `changed` is told whose it was: `Accounts.changed` in a server."""

    def __init__(
        self, database: Database, clock: Clock, changed: Callable[[str | None], None] = lambda name: None
    ) -> None:
        self._database = database
        self._clock = clock
        self._changed = changed

    async def list(self, name: str | None = None) -> Sequence[Rate]:
        """The rates that hold for everybody, or for the account of that name; `other` comes last.

        What is not listed costs 1. ConfigError when there is no such account.
        """

        async def operation(tx: Tx) -> Sequence[Rate]:
            found = {
                country: Rate(country, credits, False)
                for country, credits in (await rows.rates(tx, EVERYBODY)).items()
            }
            if name is not None:
                own = await rows.rates(tx, (await named(tx, name)).id)
                found |= {country: Rate(country, credits, True) for country, credits in own.items()}
            return sorted(found.values(), key=lambda rate: (rate.country == OTHER, rate.country))

        return await self._database.read(operation)

    async def set(self, country: str, credits: int, name: str | None = None) -> str:
        """Sets the rate of a country, or of `other`, for everybody or for one account; the country as it is kept.

        ConfigError says what cannot be. What was charged before stays as it is.
        """
        country = _country(country)
        if not 0 <= credits <= MAX_RATE:
            raise ConfigError(f"a rate of {credits} credits a segment: take a whole number from 0 to {MAX_RATE}")

        noted = audit.change("rate set", account=name or "")
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> None:
            await rows.put_rate(tx, await _whose(tx, name), country, credits)
            await audit.note(tx, noted, now, f"{country} {credits}{_of(name)}")

        await self._database.write(operation)
        self._changed(name)
        return country

    async def remove(self, country: str, name: str | None = None) -> str:
        """Takes a rate away; the country as it was kept. ConfigError when there is none."""
        country = _country(country)
        noted = audit.change("rate removed", account=name or "")
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> None:
            if not await rows.drop_rate(tx, await _whose(tx, name), country):
                whose = "" if name is None else f" of its own for account '{name}'"
                raise ConfigError(f"there is no rate{whose} for {country}: cooee rate list shows those there are")
            await audit.note(tx, noted, now, f"{country}{_of(name)}")

        await self._database.write(operation)
        self._changed(name)
        return country


def _of(name: str | None) -> str:
    return "" if name is not None else ", for everybody"


def _country(country: str) -> str:
    return OTHER if country.lower() == OTHER else check_country(country)


async def _whose(tx: Tx, name: str | None) -> int:
    return EVERYBODY if name is None else (await named(tx, name)).id
