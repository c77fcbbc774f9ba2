"""Signing up for a trial: a stranger asks, and an operator, or the link in a mail, makes an account of it.

A sign-up is no account: until then nothing signs in with it, in the console or the API. What a stranger learns is
bounded: that a user name is taken must be told, but nothing depends on whether an e-mail address is known. One
that had its trial is answered like any other, its user name is kept for as long, and only the mail tells.

Limits are counted in the database, in the transaction that decides: for all nodes, and over restarts.
"""

from __future__ import annotations

import builtins
import hashlib
import re
import secrets
from dataclasses import dataclass, replace

from cooee.model.account import Account
from cooee.model.clock import DAY, HOUR, Clock, zone
from cooee.model.errors import ConfigError
from cooee.model.metrics import SIGNUPS
from cooee.model.signup import (
    MailState,
    SignupRules,
    SignupState,
    Wish,
    check_company,
    check_email,
    check_user,
)
from cooee.service import audit
from cooee.service.accounts import Accounts, check_password
from cooee.service.settings import NEW, apply
from cooee.service.throttle import WIDER, networks_of
from cooee.store import accounts as account_rows
from cooee.store import signups as rows
from cooee.store.database import Database, Tx
from cooee.store.ids import Ids
from cooee.store.signups import Signup, Sleeper, Trial

__all__ = ["Confirmation", "Limited", "NameTaken", "Signup", "Signups", "Sleeper", "Trial", "token_hash"]

TOKEN_OCTETS = 32
REASON = "free trial"
"""What the ledger says of the credits."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class NameTaken(Exception):
    """An account, or a sign-up that waits, has that user name."""


class Limited(Exception):
    """Too many have tried. `whose`: this address's within an hour, everybody's within an hour, or a day's."""

    def __init__(self, whose: str, wait_ms: int) -> None:
        super().__init__(whose)
        self.whose = whose
        self.wait_s = max(1, -(-wait_ms // 1000))


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a link leads to. `taken`: somebody has its user name by now; `had`: the account that its mailbox had
    a trial with."""

    signup: Signup
    taken: bool = False

    @property
    def done(self) -> bool:
        """It is an account already."""
        return self.signup.account_id is not None

    @property
    def had(self) -> str | None:
        return None if self.done else self.signup.trial


def new_token() -> str:
    """256 random bits for a link."""
    return secrets.token_urlsafe(TOKEN_OCTETS)


def token_hash(token: str) -> str:
    """What the database keeps of it."""
    return hashlib.sha256(b"cooee sign-up" + token.encode()).hexdigest()


class Signups:
    """The use cases around sign-ups."""

    def __init__(self, database: Database, ids: Ids, clock: Clock, accounts: Accounts, rules: SignupRules) -> None:
        self._database = database
        self._ids = ids
        self._clock = clock
        self._accounts = accounts
        self.rules = rules

    # --- the stranger's --------------------------------------------------------------------------------------

    def read(
        self, *, name: str, company: str, email: str, zone_name: str, country: str
    ) -> tuple[Wish, dict[str, str]]:
        """What was typed, as far as it can be; and what is wrong with it, by field."""
        problems: dict[str, str] = {}
        found = {"name": name, "company": company, "email": email}
        for field, check in (("name", check_user), ("company", check_company), ("email", check_email)):
            try:
                found[field] = check(found[field])
            except ConfigError as error:
                problems[field] = str(error)
        try:
            zone(zone_name)
        except ConfigError as error:
            problems["zone"] = str(error)
        if country not in self.rules.countries:
            problems["country"] = f"choose one of {', '.join(self.rules.countries)}"
        return Wish(**found, zone=zone_name, country=country), problems

    async def ask(self, wish: Wish, password: str, address: str) -> None:
        """A sign-up of a client at `address`, of what `read` found nothing wrong with.

        Raises ConfigError for a password that is none, Limited, NameTaken. Nothing tells whether the e-mail
        address is known.
        """
        check_password(password)
        network, site = networks_of(address)
        now = self._clock.now_ms()

        async def begin(tx: Tx) -> int | Limited | NameTaken:
            await rows.alone(tx)
            refused = self._over(await rows.tries(tx, network, site, now), now)
            if refused is not None:
                return refused
            try_id = await rows.add_try(tx, network, site, now)
            return NameTaken() if await rows.taken(tx, wish.name_key, now) else try_id

        # The try is counted whatever comes of it: else names could be asked for without a limit.
        begun = await self._database.write(begin)
        if not isinstance(begun, int):
            SIGNUPS.labels("limited" if isinstance(begun, Limited) else "name taken").inc()
            raise begun
        # Hashing is what costs: nobody gets here more often than the limits allow.
        password_hash = await self._accounts.hash_password(password)
        signup_id = await self._ids.exactly_one("signup")
        by_mail = self.rules.mode == "email"

        async def store(tx: Tx) -> bool:
            await rows.alone(tx)
            return await rows.add(
                tx, signup_id, wish, password_hash,
                network=network, try_id=begun, now=now,
                over_at=now + (self.rules.link_ms if by_mail else self.rules.wait_ms),
                mail=MailState.DUE if by_mail else MailState.NONE,
            )  # fmt: skip

        if not await self._database.write(store):
            SIGNUPS.labels("name taken").inc()
            raise NameTaken
        SIGNUPS.labels("asked").inc()

    def _over(self, tries: rows.Tries, now: int) -> Limited | None:
        """Which limit is used up, and for how long."""
        rules = self.rules
        for whose, (count, oldest), most, span in (
            ("address", tries.network, rules.per_address, HOUR),
            ("address", tries.site, rules.per_address * WIDER, HOUR),
            ("hour", tries.hour, rules.per_hour, HOUR),
            ("day", tries.day, rules.per_day, DAY),
        ):
            if count >= most:
                return Limited(whose, oldest + span - now)
        return None

    async def waiting(self, name: str, password: str, address: str) -> Sleeper | None:
        """What became of the sign-up of that name, for whoever has its password; None where no sign-up has it.

        ApiError: -901 wrong password, -907 too many failures, counted as those of accounts.
        """
        if not self.rules.on or len(name) > 64 or not name.isprintable():
            return None
        now = self._clock.now_ms()
        found = await self._database.read(lambda tx: rows.sleeper(tx, name, now))
        if found is None:
            return None

        async def find() -> Sleeper:
            return found

        return await self._accounts.admit(name, password, address, find)

    # --- the link --------------------------------------------------------------------------------------------

    async def look_up(self, token: str) -> Confirmation | None:
        """What a link would confirm. Only reads: programs that look into mails follow links. None for one that is
        none, or none any more."""
        if not _TOKEN.fullmatch(token):
            return None
        hashed, now = token_hash(token), self._clock.now_ms()

        async def operation(tx: Tx) -> Confirmation | None:
            return await self._confirmation(tx, hashed, now)

        return await self._database.read(operation)

    async def _confirmation(self, tx: Tx, hashed: str, now: int) -> Confirmation | None:
        found = await rows.of_link(tx, hashed)
        if found is None or found.state in (SignupState.REFUSED, SignupState.EXPIRED):
            return None
        if found.account_id is not None:
            return Confirmation(found)
        if found.over_at <= now:
            return None
        return Confirmation(found, taken=await rows.taken_by_account(tx, found.wish.name_key))

    async def confirm(self, token: str, address: str = "") -> Confirmation | None:
        """Makes an account of it, once, however often and wherever it is asked; what `look_up` finds then.

        `address` is the client's, for the audit log.
        """
        seen = await self.look_up(token)
        if seen is None or seen.done or seen.had or seen.taken:
            return seen
        account_id = await self._ids.exactly_one("account")
        hashed, now = token_hash(token), self._clock.now_ms()
        by = audit.Actor("account", seen.signup.wish.name, address)
        noted = audit.change("sign-up confirmed", account=seen.signup.wish.name, by=by)

        async def operation(tx: Tx) -> Confirmation | None:
            await rows.alone(tx)
            found = await self._confirmation(tx, hashed, now)
            if found is None or found.done or found.had or found.taken:
                return found
            await self._make(tx, found.signup, account_id, SignupState.CONFIRMED, noted, now)
            return Confirmation(replace(found.signup, account_id=account_id))

        found = await self._database.write(operation)
        if found is not None and found.signup.account_id == account_id:
            SIGNUPS.labels("confirmed").inc()
            self._accounts.changed(found.signup.wish.name)
        return found

    async def _make(
        self,
        tx: Tx,
        signup: Signup,
        account_id: int,
        state: SignupState,
        noted: audit.Change | None,
        now: int,
    ) -> int:
        """The account of a sign-up that waits, in the caller's transaction; the credits it got. ConfigError where
        its name is an account's."""
        wish, rules = signup.wish, self.rules
        made = apply(NEW, {"zone": wish.zone, "country": wish.country, "approved_only": rules.senders is not None})
        new = replace(made, id=account_id, name=wish.name, password_hash=signup.password_hash)
        if await rows.taken_by_account(tx, wish.name_key) or not await account_rows.insert(tx, new, now):
            raise ConfigError(f"there is an account '{wish.name}' already: refuse this sign-up")
        if rules.senders:
            await account_rows.add_originators(tx, account_id, rules.senders, now)
        credits = rules.credits if await rows.add_trial(tx, wish, account_id, now) else 0
        if credits:
            await account_rows.give(tx, account_id, credits, kind="opening", at=now, reason=REASON)
        if not await rows.finish(tx, signup.id, state, account_id, now):
            raise ConfigError(f"sign-up {signup.id} does not wait any more")
        await audit.note(tx, noted, now, f"sign-up {signup.id}, opening balance {credits}")
        return credits

    # --- the operator's --------------------------------------------------------------------------------------

    async def page(
        self, *, waiting: bool = True, before: int | None = None, limit: int = 50
    ) -> builtins.list[Signup]:
        """Up to `limit` of those that wait, or of those that are over, below the id `before`, newest first."""
        now = self._clock.now_ms()
        return await self._database.read(
            lambda tx: rows.page(tx, waiting=waiting, before=before, limit=limit, now=now)
        )

    async def count(self) -> int:
        """How many wait."""
        now = self._clock.now_ms()
        return await self._database.read(lambda tx: rows.count_waiting(tx, now))

    async def trial_of(self, account: Account) -> Trial | None:
        """Who is behind an account that came of a sign-up; None for another."""
        return await self._database.read(lambda tx: rows.trial_of(tx, account.id))

    async def approve(self, signup_id: int) -> tuple[str, int, int]:
        """Makes an account of it: its name, its id, and the credits it got, 0 where its mailbox had a trial.
        ConfigError says why it cannot be."""
        seen = await self._waiting(signup_id)
        account_id = await self._ids.exactly_one("account")
        noted = audit.change("sign-up approved", account=seen.wish.name)
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> int:
            await rows.alone(tx)
            found = _still(await rows.by_id(tx, signup_id), signup_id, now)
            return await self._make(tx, found, account_id, SignupState.APPROVED, noted, now)

        credits = await self._database.write(operation)
        SIGNUPS.labels("approved").inc()
        self._accounts.changed(seen.wish.name)
        return seen.wish.name, account_id, credits

    async def refuse(self, signup_id: int) -> str:
        """It becomes nothing; its user name. ConfigError where it does not wait."""
        seen = await self._waiting(signup_id)
        noted = audit.change("sign-up refused")
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> None:
            await rows.alone(tx)
            _still(await rows.by_id(tx, signup_id), signup_id, now)
            await rows.finish(tx, signup_id, SignupState.REFUSED, None, now)
            await audit.note(tx, noted, now, f"sign-up {signup_id}, user {seen.wish.name}")

        await self._database.write(operation)
        SIGNUPS.labels("refused").inc()
        return seen.wish.name

    async def mail_again(self, signup_id: int) -> None:
        """Its mail is sent once more, with another link. ConfigError where none is sent here, or it does not
        wait."""
        if self.rules.mode != "email":
            raise ConfigError("no mail is sent to sign-ups here: signup is not email")
        seen = await self._waiting(signup_id)
        noted = audit.change("sign-up mailed again")
        now = self._clock.now_ms()

        async def operation(tx: Tx) -> None:
            await rows.alone(tx)
            if not await rows.mail_again(tx, signup_id, over_at=now + self.rules.link_ms, now=now):
                _still(None, signup_id, now)
            await audit.note(tx, noted, now, f"sign-up {signup_id}, user {seen.wish.name}")

        await self._database.write(operation)

    async def _waiting(self, signup_id: int) -> Signup:
        now = self._clock.now_ms()
        return _still(await self._database.read(lambda tx: rows.by_id(tx, signup_id)), signup_id, now)


def _still(found: Signup | None, signup_id: int, now: int) -> Signup:
    """The sign-up, if it waits; ConfigError says what became of it."""
    if found is None:
        raise ConfigError(f"there is no sign-up {signup_id}: cooee signup list shows those there are")
    if found.state is not SignupState.WAITING:
        raise ConfigError(f"sign-up {signup_id} was {found.state.name.lower()} already")
    if found.over_at <= now:
        raise ConfigError(f"sign-up {signup_id} has expired")
    return found
