"""Mails to those who signed up: taken from the database one by one, tried again with pauses, never twice at once.

A link is made for each try and only its hash is stored, before the mail goes out: whichever mail arrives, works. A
kill in between costs a second mail. Where the mail server itself fails, the next mail waits too; a sign-up that
expires meanwhile gets none. What fails is in the log, in the metrics, and on the operator's page of sign-ups.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from cooee.model.clock import DAY, HOUR, MINUTE, SECOND, Clock
from cooee.model.errors import CooeeError
from cooee.model.metrics import MAILS
from cooee.model.signup import MAILS_A_DAY, MailState
from cooee.service import mail
from cooee.service.mail import MailServer, Verdict
from cooee.service.signups import new_token, token_hash
from cooee.store import signups as rows
from cooee.store.database import Database, Lane, Tx
from cooee.store.signups import DueMail

log = structlog.get_logger()

LOOK_S = 1.0
PAUSE_S = 15.0
"""After a fault of the mail server."""
AGAIN_MS = (MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE, 15 * MINUTE, 30 * MINUTE)
"""Until the next try; an hour after those."""


@dataclass(frozen=True, slots=True)
class MailRules:
    """`public_url` is where people reach the console, without a slash at its end; links hold for `link_ms`."""

    server: MailServer
    public_url: str
    link_ms: int = DAY


class Mailer:
    """Sends what is due on a store, by `clock`, until cancelled."""

    def __init__(self, database: Database, clock: Clock, rules: MailRules) -> None:
        self._database = database
        self._clock = clock
        self._rules = rules
        self._lease_ms = round(4 * rules.server.timeout_s * SECOND) + MINUTE

    async def run(self) -> None:
        """A fault of the database is logged, and it comes again."""
        while True:
            wait = LOOK_S
            try:
                verdict = await self.one()
                if verdict is not None:
                    wait = PAUSE_S if verdict.server else 0.0
            except CooeeError as error:
                log.warning("mails_failed", reason=str(error))
                wait = PAUSE_S
            except Exception as error:
                # What strangers typed must not be able to end a node. The lease keeps this one from being next.
                log.error("mails_failed", reason=type(error).__name__)
                wait = PAUSE_S
            await asyncio.sleep(wait)

    async def one(self) -> Verdict | None:
        """Sends the mail that is due longest; None where none is."""
        now = self._clock.now_ms()
        if not await self._database.read(lambda tx: rows.mail_due(tx, now)):
            return None
        token = new_token()
        hashed = token_hash(token)

        async def claim(tx: Tx) -> DueMail | None:
            due = await rows.claim_mail(tx, now=now, leased_until=now + self._lease_ms)
            if due is None:
                return None
            if due.recent >= MAILS_A_DAY:
                await rows.mailed(tx, due, MailState.WITHHELD, mail_at=now)
            elif due.trial is None:
                await rows.add_link(tx, due.id, hashed, now)
            return due

        due = await self._database.write(claim, Lane.ENGINE)
        if due is None:
            return None
        if due.recent >= MAILS_A_DAY:
            MAILS.labels("withheld").inc()
            log.warning("mail_withheld", signup=due.id, reason="its address got too many mails within a day")
            return Verdict(False)
        subject, text = self._invitation(due, token) if due.trial is None else self._reminder(due.trial)
        server = self._rules.server
        try:
            made = mail.letter(server, self._clock, to=due.email, subject=subject, text=text)
        except ValueError:
            verdict = Verdict(False, "no mail can be written to this address", final=True)
        else:
            verdict = await mail.send(server, made)
        await self._record(due, verdict)
        return verdict

    async def _record(self, due: DueMail, verdict: Verdict) -> None:
        now = self._clock.now_ms()
        if verdict.sent:
            state, mail_at, over_at = MailState.SENT, now, now + self._rules.link_ms
            MAILS.labels("sent").inc()
            log.info("mail_sent", signup=due.id, tries=due.tries)
        elif verdict.final:
            state, mail_at, over_at = MailState.REJECTED, now, 0
            MAILS.labels("rejected").inc()
        else:
            pause = AGAIN_MS[due.tries - 1] if due.tries <= len(AGAIN_MS) else HOUR
            state, mail_at, over_at = MailState.DUE, now + pause, 0
            MAILS.labels("failed").inc()
        if not verdict.sent:
            # What is said of one address may hold it: that is for the operator's page only.
            reason = f"the mail server refused this mail: {verdict.codes}" if verdict.codes else verdict.reason
            log.warning("mail_failed", signup=due.id, tries=due.tries, final=verdict.final, reason=reason)
        await self._database.write(
            lambda tx: rows.mailed(tx, due, state, mail_at=mail_at, error=verdict.reason, over_at=over_at),
            Lane.ENGINE,
        )

    def _invitation(self, due: DueMail, token: str) -> tuple[str, str]:
        hours = max(1, self._rules.link_ms // HOUR)
        link = f"{self._rules.public_url}/signup/confirm?key={token}"
        return (
            "Confirm your sign-up",
            "Somebody signed up for a trial with this e-mail address, as the user\n"
            f"{due.name}.\n\n"
            "If that was you, open this page and press the button on it:\n\n"
            f"{link}\n\n"
            f"The link works for {hours} hour{'s' if hours != 1 else ''}. Then sign in with the password that you "
            "chose.\n\n"
            "If it was not you, do nothing: without the button there is no account,\n"
            "and the sign-up is thrown away.\n",
        )

    def _reminder(self, account: str) -> tuple[str, str]:
        return (
            "You have an account already",
            "Somebody, perhaps you, signed up for a trial with this e-mail address. It had\n"
            f"its trial already, with the account {account}, so that there is no second one.\n\n"
            "If that was you, sign in with that account:\n\n"
            f"{self._rules.public_url}/sign-in\n\n"
            "If it was not you, do nothing. Nothing was changed.\n",
        )
