"""Approved sender IDs: what an account that needs approval may use as originator (wire contract §9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from cooee.model.clock import Clock
from cooee.model.errors import ConfigError
from cooee.model.originator import parse_originator
from cooee.service import audit
from cooee.service.accounts import named
from cooee.store import accounts as rows
from cooee.store.database import Database, Tx


class Senders:
    """The operator's list of each account. `changed` is told whose it was: `Accounts.changed` in a server."""

    def __init__(
        self, database: Database, clock: Clock, changed: Callable[[str | None], None] = lambda name: None
    ) -> None:
        self._database = database
        self._clock = clock
        self._changed = changed

    async def list(self, name: str) -> Sequence[str]:
        """The sender IDs of an account, in order; ConfigError when there is no such account."""

        async def operation(tx: Tx) -> Sequence[str]:
            return await rows.originators(tx, (await named(tx, name)).id)

        return await self._database.read(operation)

    async def add(self, name: str, texts: Iterable[str]) -> int:
        """Approves them; how many were new. ConfigError says which can be no sender."""
        found = [_sender(text) for text in texts]
        now = self._clock.now_ms()
        noted = audit.change("sender IDs approved", account=name)

        async def operation(tx: Tx) -> int:
            added = await rows.add_originators(tx, (await named(tx, name)).id, found, now)
            if added:
                await audit.note(tx, noted, now, ", ".join(found))
            return added

        added = await self._database.write(operation)
        self._changed(name)
        return added

    async def remove(self, name: str, texts: Iterable[str]) -> int:
        """Takes the approval back; how many had it. What was accepted before is sent all the same.

        ConfigError, and nothing is changed, where one of them has none.
        """
        found = [_sender(text) for text in texts]
        now = self._clock.now_ms()
        noted = audit.change("sender IDs removed", account=name)

        async def operation(tx: Tx) -> int:
            account = await named(tx, name)
            unknown = sorted(set(found) - set(await rows.originators(tx, account.id)))
            if unknown:
                raise ConfigError(
                    f"account '{name}' has no sender ID {_quoted(unknown)}: "
                    f"cooee originator list {name} shows those there are"
                )
            removed = await rows.remove_originators(tx, account.id, found)
            if removed:
                await audit.note(tx, noted, now, ", ".join(found))
            return removed

        removed = await self._database.write(operation)
        self._changed(name)
        return removed


def _quoted(texts: Iterable[str]) -> str:
    return ", ".join(f"'{text}'" for text in texts)


def _sender(text: str) -> str:
    """A sender ID as it goes on air."""
    originator = parse_originator(text)
    if originator is None:
        raise ConfigError(
            f"'{text}' can be no sender: take a number in international form, a short code of 3 to 8 digits, or "
            "1 to 11 letters, digits, spaces and - _ . & with at least one letter"
        )
    return originator.text
