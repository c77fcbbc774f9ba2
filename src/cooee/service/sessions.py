"""Who is signed in to the console.

A session is a random token in a cookie; the database keeps its SHA-256 and a tag of the password hash that it was
opened with. So what leaks from the database opens nothing, and a new password ends every session, whichever
process set it. A session ends after `idle_s` without a request and after `life_s` in any case.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from cooee.model.account import Account, AccountState
from cooee.model.clock import MINUTE, SECOND, Clock
from cooee.service import audit
from cooee.store import accounts, sessions
from cooee.store.database import Database, Tx
from cooee.store.sessions import OperatorRow

TOKEN_OCTETS = 32
SEEN_EVERY_MS = MINUTE
"""How exactly the last request of a session is known: a write for each would be one too many."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Guest:
    """Who is signed in, by which token. `credits` is the account's balance, 0 for an operator."""

    token: str
    account: Account | None
    operator: OperatorRow | None
    credits: int


def token_hash(token: str) -> str:
    """What the database keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _tag(password_hash: str) -> str:
    return hashlib.sha256(b"cooee session" + password_hash.encode()).hexdigest()[:32]


class Sessions:
    """Opens, finds and ends sessions."""

    def __init__(self, database: Database, clock: Clock, *, idle_s: float, life_s: float) -> None:
        self._database = database
        self._clock = clock
        self._idle_ms = round(idle_s * SECOND)
        self._life_ms = round(life_s * SECOND)

    @property
    def life_s(self) -> int:
        """How long a session lasts at most, in seconds."""
        return self._life_ms // SECOND

    async def open(
        self, who: Account | OperatorRow, *, instead_of: str | None = None, address: str | None = None
    ) -> str:
        """A new session; its token. The one of the token `instead_of` ends.

        `address` is where somebody of an account comes in from, which is audited; None where they were in before.
        """
        token = secrets.token_urlsafe(TOKEN_OCTETS)
        now = self._clock.now_ms()
        is_account = isinstance(who, Account)
        noted = None
        if is_account and address is not None:
            by = audit.Actor("account", who.name, address)
            noted = audit.change("signed in", account=who.name, by=by)

        async def operation(tx: Tx) -> None:
            if instead_of is not None:
                await sessions.drop(tx, token_hash(instead_of))
            await sessions.add(
                tx,
                token_hash(token),
                account_id=who.id if is_account else None,
                operator_id=None if is_account else who.id,
                password_tag=_tag(who.password_hash),
                now=now,
                expires_at=now + self._life_ms,
                idle_since=now - self._idle_ms,
            )
            await audit.note(tx, noted, now)

        await self._database.write(operation)
        return token

    async def find(self, token: str, *, operator: bool = False) -> Guest | None:
        """Who has this token, an account's person or an `operator`; None for nobody, or nobody any more."""
        if not _TOKEN.fullmatch(token):
            return None
        key = token_hash(token)
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> tuple[Guest, int] | None:
            row = await sessions.find(tx, key, now=now, idle_since=now - self._idle_ms)
            if row is None or operator != (row.operator_id is not None):
                return None
            guest: Guest | None = None
            if row.account_id is not None:
                account = await accounts.by_id(tx, row.account_id)
                balance = await tx.one("account_credits", id=row.account_id)
                if account is not None and balance is not None and account.state is AccountState.ACTIVE:
                    guest = (
                        Guest(token, account, None, int(balance[0])) if _same(row.password_tag, account) else None
                    )
            elif row.operator_id is not None:
                found = await sessions.operator_by_id(tx, row.operator_id)
                if found is not None:
                    guest = Guest(token, None, found, 0) if _same(row.password_tag, found) else None
            return None if guest is None else (guest, row.seen_at)

        found = await self._database.read(operation)
        if found is None:
            return None
        guest, seen_at = found
        if now - seen_at >= SEEN_EVERY_MS:
            await self._database.write(lambda tx: sessions.see(tx, key, now))
        return guest

    async def close(self, token: str) -> None:
        """Signs out."""
        await self._database.write(lambda tx: sessions.drop(tx, token_hash(token)))

    async def close_all(self, who: Account | OperatorRow, *, but: str | None = None) -> int:
        """Signs an account's people or an operator out, but for the session `but`; how many sessions ended."""
        kept = "" if but is None else token_hash(but)
        account, operator = (who, None) if isinstance(who, Account) else (None, who)
        noted = audit.change("others signed out", account="" if account is None else account.name)
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> int:
            ended = await sessions.drop_all(
                tx,
                account_id=None if account is None else account.id,
                operator_id=None if operator is None else operator.id,
                but=kept,
            )
            if ended:
                await audit.note(tx, noted, now, f"{ended} session{'s' if ended != 1 else ''}")
            return ended

        return await self._database.write(operation)


def _same(tag: str, who: Account | OperatorRow) -> bool:
    return hmac.compare_digest(tag, _tag(who.password_hash))
