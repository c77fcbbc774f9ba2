"""Operations on sign-ups for a trial. Each takes a `Tx` and runs inside the caller's transaction."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from cooee.model.clock import DAY, HOUR
from cooee.model.signup import MailState, SignupState, Wish
from cooee.store.database import Row, Tx

NEWEST = 2**62
"""An id that no sign-up has yet."""


@dataclass(frozen=True, slots=True)
class Signup:
    """One sign-up. Times are UTC ms; `over_at` is when it expires, or when it was decided.

    `trial` names the account that its mailbox had a trial with.
    """

    id: int
    created_at: int
    state: SignupState
    over_at: int
    wish: Wish
    network: str
    account_id: int | None
    mail: MailState
    mail_at: int
    mail_tries: int
    mail_error: str
    password_hash: str = field(repr=False)
    trial: str | None


@dataclass(frozen=True, slots=True)
class Tries:
    """How many tried: (count, when the oldest of them did, UTC ms)."""

    network: tuple[int, int]
    site: tuple[int, int]
    hour: tuple[int, int]
    day: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Sleeper:
    """A name that is no account's: its sign-up waits, or was refused."""

    state: SignupState
    password_hash: str = field(repr=False)
    mail: MailState


@dataclass(frozen=True, slots=True)
class DueMail:
    """A mail that this node has to itself for a while. `trial`: its address had one, with that account."""

    id: int
    name: str
    email: str
    tries: int
    trial: str | None
    recent: int
    """Mails that went to the same mailbox within a day."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Who is behind an account that came of a sign-up. `at` is UTC ms."""

    email: str
    company: str
    at: int


def _signup(row: Row) -> Signup:
    return Signup(
        id=row[0],
        created_at=row[1],
        state=SignupState(row[2]),
        over_at=row[3],
        wish=Wish(name=row[4], company=row[5], email=row[6], zone=row[8], country=row[9]),
        network=row[10],
        account_id=row[11],
        mail=MailState(row[12]),
        mail_at=row[13],
        mail_tries=row[14],
        mail_error=row[15],
        password_hash=row[16],
        trial=row[17],
    )


async def alone(tx: Tx) -> None:
    """No other node changes sign-ups until the end of this transaction."""
    await tx.run("signup_lock")


async def tries(tx: Tx, network: str, site: str, now: int) -> Tries:
    """What the limits are held against. `site` is the wider network that `network` is in, "" for none."""
    row = await tx.one("signup_tries", network=network, site=site, hour=now - HOUR, day=now - DAY)
    counts = [value or 0 for value in row] if row is not None else [0] * 8
    return Tries(*((counts[at], counts[at + 1]) for at in range(0, 8, 2)))


async def add_try(tx: Tx, network: str, site: str, now: int) -> int:
    """Somebody tries; the id of that."""
    row = await tx.one("add_signup_try", network=network, site=site, at=now)
    if row is None:
        raise LookupError("a row that was inserted is not returned")
    return int(row[0])


async def taken(tx: Tx, name_key: str, now: int) -> bool:
    """Whether an account, or a sign-up that waits, is called so, but for capitals."""
    return await tx.one("signup_name_taken", name_key=name_key, now=now) is not None


async def taken_by_account(tx: Tx, name_key: str) -> bool:
    """Whether an account is called so, but for capitals."""
    return await tx.one("signup_name_of_account", name_key=name_key) is not None


async def add(
    tx: Tx,
    signup_id: int,
    wish: Wish,
    password_hash: str,
    *,
    network: str,
    try_id: int,
    over_at: int,
    mail: MailState,
    now: int,
) -> bool:
    """A new one that waits; False where its name was taken meanwhile."""
    if await taken(tx, wish.name_key, now):
        return False
    await tx.run("drop_expired_signup", name_key=wish.name_key, now=now)
    added = await tx.run(
        "add_signup",
        id=signup_id, now=now, over_at=over_at, name=wish.name, name_key=wish.name_key,
        password_hash=password_hash, company=wish.company, email=wish.email, email_key=wish.email_key,
        zone=wish.zone, country=wish.country, network=network, mail_state=int(mail),
    )  # fmt: skip
    if added:
        await tx.run("signup_try_stored", id=try_id)
    return added == 1


async def by_id(tx: Tx, signup_id: int) -> Signup | None:
    """The sign-up of that id, or None."""
    row = await tx.one("signup_by_id", id=signup_id)
    return None if row is None else _signup(row)


async def page(tx: Tx, *, waiting: bool, before: int | None, limit: int, now: int) -> list[Signup]:
    """Up to `limit` of those that wait, or of the others, below the id `before`, the newest first."""
    name = "signups_waiting" if waiting else "signups_over"
    found = await tx.all(name, before=NEWEST if before is None else before, limit=limit, now=now)
    return [_signup(row) for row in found]


async def count_waiting(tx: Tx, now: int) -> int:
    """How many wait."""
    row = await tx.one("count_signups_waiting", now=now)
    return int(row[0]) if row is not None else 0


async def sleeper(tx: Tx, name: str, now: int) -> Sleeper | None:
    """What a name that no account has waits for, or None."""
    row = await tx.one("signup_named", name=name, name_key=name.lower(), now=now)
    return None if row is None else Sleeper(SignupState(row[1]), row[2], MailState(row[3]))


async def finish(tx: Tx, signup_id: int, state: SignupState, account_id: int | None, now: int) -> bool:
    """It is decided; False where it was already, or has expired."""
    return await tx.run("signup_done", id=signup_id, state=int(state), account_id=account_id, now=now) == 1


async def add_trial(tx: Tx, wish: Wish, account_id: int, now: int) -> bool:
    """This account came of a sign-up. Whether its mailbox has its trial with it; False where it had one before."""
    values = {
        "account_id": account_id, "email": wish.email, "email_key": wish.email_key, "company": wish.company,
        "now": now,
    }  # fmt: skip
    if await tx.run("add_trial", granted=1, **values):
        return True
    await tx.run("add_trial", granted=0, **values)
    return False


async def trial_of(tx: Tx, account_id: int) -> Trial | None:
    """Who is behind an account that came of a sign-up; None for another."""
    row = await tx.one("trial_of_account", account_id=account_id)
    return None if row is None else Trial(*row)


# --- links and mails -----------------------------------------------------------------------------------------


async def of_link(tx: Tx, token_hash: str) -> Signup | None:
    """The sign-up that a link confirms, whatever became of it; None where there is none."""
    row = await tx.one("signup_of_link", token_hash=token_hash)
    if row is None or not hmac.compare_digest(str(row[1]), token_hash):
        return None
    return await by_id(tx, row[0])


async def mail_due(tx: Tx, now: int) -> bool:
    """Whether there is a mail to send."""
    return await tx.one("signup_mail_due", now=now) is not None


async def claim_mail(tx: Tx, *, now: int, leased_until: int) -> DueMail | None:
    """The mail that is due longest; no other node tries it before `leased_until`. None where there is none."""
    row = await tx.one("claim_signup_mail", now=now, leased_until=leased_until)
    if row is None:
        return None
    sent = await tx.one("mails_to", email_key=row[3], since=now - DAY)
    recent, trial = (int(sent[0]), sent[1]) if sent is not None else (0, None)
    return DueMail(id=row[0], name=row[1], email=row[2], tries=row[4], trial=trial, recent=recent)


async def add_link(tx: Tx, signup_id: int, token_hash: str, now: int) -> None:
    """One more link that confirms it."""
    await tx.run("add_signup_link", signup_id=signup_id, token_hash=token_hash, now=now)


async def mailed(
    tx: Tx, due: DueMail, state: MailState, *, mail_at: int, error: str = "", over_at: int = 0
) -> bool:
    """What came of a try. `mail_at`: when it went out, or is tried again; `over_at` puts its end off. False where
    somebody else has tried meanwhile, or it is decided."""
    changed = await tx.run(
        "signup_mailed",
        id=due.id, tries=due.tries, mail_state=int(state), mail_at=mail_at, error=error, over_at=over_at,
    )  # fmt: skip
    return changed == 1


async def mail_again(tx: Tx, signup_id: int, *, over_at: int, now: int) -> bool:
    """A person has its mail sent once more; False where it does not wait any more."""
    return await tx.run("mail_signup_again", id=signup_id, over_at=over_at, now=now) == 1
