"""Who is asking: HTTP Basic credentials (wire contract §1).

A password is verified with argon2id, which takes ~20 ms of a core. So headers that were right are remembered for
a few minutes, keyed with a hash whose key dies with the process and bound to the password hash that they matched:
a new password drops them. What is not remembered is verified on one thread behind a bounded queue, of which one
address may fill only a part, so that a flood of bad logins neither eats the cores nor keeps customers out.

Account rows are read again after a few seconds, so that what another process changes takes effect.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol, TypeVar, cast

import argon2

from cooee.model.account import Account, AccountState
from cooee.model.clock import Clock
from cooee.model.errors import SUSPENDED, TOO_MANY, UNAUTHORISED, ApiError
from cooee.model.metrics import LOGIN_FAILURES
from cooee.service.throttle import WIDER, LoginThrottle, networks_of
from cooee.store import accounts as rows
from cooee.store.database import Database, Tx

REMEMBER_S = 300.0
FRESH_S = 3.0
MAX_REMEMBERED = 10_000
MAX_WAITING = 64
MAX_WAITING_PER_ADDRESS = 4
MEMORY_KIB = 19_456

T = TypeVar("T")

_hasher = argon2.PasswordHasher(time_cost=2, memory_cost=MEMORY_KIB, parallelism=1)


def hash_password(password: str) -> str:
    """The argon2id hash to store; takes ~20 ms of a core."""
    return _hasher.hash(password)


def _unmatched_hash() -> str:
    """A hash that no password has: verifying against it costs what a wrong password costs."""
    salt, digest = (base64.b64encode(os.urandom(size)).rstrip(b"=").decode() for size in (16, 32))
    return f"$argon2id$v=19$m={MEMORY_KIB},t=2,p=1${salt}${digest}"


def _matches(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def parse_basic(authorization: str) -> tuple[str, str]:
    """User and password of an Authorization header; ApiError -901 where it is no Basic one (RFC 7617 §2)."""
    scheme, _, encoded = authorization.strip().partition(" ")
    encoded = encoded.strip().rstrip("=")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise ApiError(UNAUTHORISED) from None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    user, colon, password = text.partition(":")
    if not colon:
        raise ApiError(UNAUTHORISED)
    return user, password


class HasPassword(Protocol):
    """Somebody who signs in with a name and a password."""

    @property
    def password_hash(self) -> str: ...


Person = TypeVar("Person", bound=HasPassword)


@dataclass(frozen=True, slots=True)
class _Remembered:
    name: str
    password_hash: str
    until: float


class Logins:
    """Authenticates requests."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._throttle = LoginThrottle(clock)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._key = os.urandom(32)
        self._unmatched = _unmatched_hash()
        self._remembered: dict[bytes, _Remembered] = {}
        self._accounts: dict[str, tuple[Account, float]] = {}
        self._reads: dict[str, asyncio.Task[Account | None]] = {}
        self._flights: dict[bytes, asyncio.Task[Any]] = {}
        self._waiting: Counter[str] = Counter()

    async def authenticate(self, authorization: str | None, address: str) -> Account:
        """The account that an Authorization header names, for a client at `address`.

        ApiError: -901 missing or wrong, -902 suspended, -907 too many failures or logins at once (with
        retry_after). StoreUnavailable when the account cannot be read.
        """
        if authorization is None:
            raise ApiError(UNAUTHORISED)
        key = blake2b(authorization.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()
        known = self._remembered.get(key)
        if known is not None:
            now = self._clock.monotonic()
            if now < known.until:
                if self._throttle.active:
                    self._throttle.check(known.name, address)
                held = self._accounts.get(known.name)
                account = held[0] if held is not None and now < held[1] else await self._account(known.name)
                if account is not None and account.password_hash == known.password_hash:
                    if account.state is not AccountState.ACTIVE:
                        raise ApiError(SUSPENDED)
                    return account
            self._remembered.pop(key, None)
        user, password = parse_basic(authorization)
        account = await self._guarded(key, user, address, lambda: self._verify(key, user, password))
        if account.state is not AccountState.ACTIVE:
            raise ApiError(SUSPENDED)
        return account

    async def sign_in(self, name: str, password: str, address: str) -> Account:
        """The account of a name and a password that a person typed; what `authenticate` raises."""
        if ":" in name:
            # No account is called so, and within Basic credentials the name would end there.
            self._throttle.check(name, address)
            LOGIN_FAILURES.inc()
            self._throttle.failed(name, address)
            raise ApiError(UNAUTHORISED)
        token = base64.b64encode(f"{name}:{password}".encode("utf-8", "surrogatepass")).decode()
        return await self.authenticate(f"Basic {token}", address)

    async def admit(
        self, user: str, password: str, address: str, find: Callable[[], Awaitable[Person | None]]
    ) -> Person:
        """Whom `find` looks up, if the password is theirs. `user` is who failures are counted for.

        ApiError: -901 wrong, -907 too many failures or logins at once. What is right is not remembered.
        """
        key = blake2b(
            f"{user}\0{password}".encode("utf-8", "surrogatepass"), key=self._key, digest_size=32
        ).digest()

        async def verify() -> Person | None:
            found = await find()
            right = await self._matches(self._unmatched if found is None else found.password_hash, password)
            return found if right else None

        return await self._guarded(key, user, address, verify)

    def forget(self, name: str) -> None:
        """The account of that name was changed by this process: its row is read anew."""
        self._accounts.pop(name, None)
        self._reads.pop(name, None)

    def forget_all(self) -> None:
        """The same for every account."""
        self._accounts.clear()
        self._reads.clear()

    async def hash(self, password: str) -> str:
        """Hashes a new password on the thread that verifies them."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, hash_password, password)

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    # --- accounts ------------------------------------------------------------------------------------------

    async def _account(self, name: str) -> Account | None:
        """The account as it was at most FRESH_S ago; those who ask at one time share one read."""
        held = self._accounts.get(name)
        if held is not None and self._clock.monotonic() < held[1]:
            return held[0]
        read = self._reads.get(name)
        if read is None:
            read = self._reads[name] = asyncio.create_task(self._read(name))
        return await asyncio.shield(read)

    async def _read(self, name: str) -> Account | None:
        async def operation(tx: Tx) -> Account | None:
            return await rows.by_name(tx, name)

        me = asyncio.current_task()
        until = self._clock.monotonic() + FRESH_S
        try:
            account = await self._database.read(operation)
        finally:
            mine = self._reads.get(name) is me
            if mine:
                del self._reads[name]
        if mine:
            self._accounts.pop(name, None)
            if account is not None:
                if len(self._accounts) >= MAX_REMEMBERED:
                    del self._accounts[next(iter(self._accounts))]
                self._accounts[name] = (account, until)
        return account

    # --- verifying -----------------------------------------------------------------------------------------

    async def _guarded(
        self, key: bytes, user: str, address: str, verify: Callable[[], Coroutine[Any, Any, T | None]]
    ) -> T:
        """What `verify` finds, behind the bounds on tries; who asks the same at one time shares one answer."""
        self._throttle.check(user, address)
        flight = self._flights.get(key)
        if flight is None:
            network, site = networks_of(address)
            waiting = self._waiting
            if (
                len(self._flights) >= MAX_WAITING
                or waiting[network] >= MAX_WAITING_PER_ADDRESS
                or waiting[site] >= MAX_WAITING_PER_ADDRESS * WIDER
            ):
                raise ApiError(TOO_MANY, retry_after=1)
            counted = (network, site) if site else (network,)
            waiting.update(counted)
            flight = self._flights[key] = asyncio.create_task(verify())
            flight.add_done_callback(lambda _: self._landed(key, counted))
        found = cast("T | None", await asyncio.shield(flight))
        if found is None:
            LOGIN_FAILURES.inc()
            self._throttle.failed(user, address)
            raise ApiError(UNAUTHORISED)
        return found

    def _landed(self, key: bytes, counted: tuple[str, ...]) -> None:
        del self._flights[key]
        for network in counted:
            self._waiting[network] -= 1
            if not self._waiting[network]:
                del self._waiting[network]

    async def _verify(self, key: bytes, user: str, password: str) -> Account | None:
        # A NUL fits in no account's name, and PostgreSQL refuses to be asked for one; nor for half a character.
        account = await self._account(user) if user.isprintable() and len(user) <= 64 else None
        stored = account.password_hash if account is not None else self._unmatched
        if not await self._matches(stored, password) or account is None:
            return None
        if len(self._remembered) >= MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[key] = _Remembered(user, stored, self._clock.monotonic() + REMEMBER_S)
        return account

    async def _matches(self, stored: str, password: str) -> bool:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _matches, stored, password)
