"""Automatic answers to keywords: each becomes a campaign to one recipient, from the number that was written to.

The intent is stored with the reply; here it becomes a campaign in one transaction with its mark, so that no crash
loses an answer or sends it twice. It is charged like any other campaign, and waits for the send window. The answer
to STOP is not washed; that to START is, for its handset may have written STOP since.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence

import structlog

from cooee.model.account import Account
from cooee.model.clock import Clock
from cooee.model.errors import ApiError, CooeeError
from cooee.model.gsm import smart
from cooee.model.inbound import ReplyKind
from cooee.model.metrics import ACCEPTED
from cooee.model.msisdn import is_home, is_in
from cooee.model.segments import Encoding, segment
from cooee.service.routing import Routes
from cooee.store import acceptance, accounts
from cooee.store.acceptance import NewCampaign
from cooee.store.database import Database, Lane, Row, Tx
from cooee.store.ids import Ids

log = structlog.get_logger()

PAGE = 100
_ACCEPTED, _SKIPPED = 1, 2


class Answers:
    """Sends what is due. `wake` is told when campaigns were accepted."""

    def __init__(
        self, database: Database, ids: Ids, clock: Clock, routes: Routes, wake: Callable[[bool], None]
    ) -> None:
        self._database = database
        self._ids = ids
        self._clock = clock
        self._routes = routes
        self._wake = wake
        self._task: asyncio.Task[None] | None = None

    def hurry(self) -> None:
        """There is something to answer: does so beside whatever goes on. What fails is tried again by `send`."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._send_now())

    async def idle(self) -> None:
        """Waits until nothing is under way."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _send_now(self) -> None:
        try:
            await self.send()
        except CooeeError as error:
            log.warning("answers_deferred", reason=str(error))
        finally:
            self._task = None

    async def send(self) -> None:
        """Makes campaigns of all answers that are due."""

        async def due(tx: Tx) -> bool:
            return await tx.one("any_answer_due") is not None

        while await self._database.read(due):
            await self._routes.refresh()
            ids = await self._ids.take("campaign", PAGE)
            carriers = self._routes.deal(PAGE)

            async def make(tx: Tx, ids: range = ids, carriers: Sequence[int] | None = carriers) -> tuple[int, int]:
                return await _make(tx, ids, carriers, self._clock.now_ms())

            accepted, taken = await self._database.write(make, Lane.ENGINE)
            if accepted:
                ACCEPTED.inc(accepted)
                self._wake(True)
            if taken < PAGE:
                return


async def _make(tx: Tx, ids: range, carriers: Sequence[int] | None, now: int) -> tuple[int, int]:
    """Makes campaigns of what is due: (campaigns accepted, answers looked at)."""
    due = await tx.all("due_answers")
    known: dict[int, Account | None] = {}
    made = 0
    unwashed: list[tuple[int, int]] = []
    rows: list[Row] = []
    waiting: list[tuple[Row, NewCampaign]] = []
    for at, row in enumerate(due):
        if row[0] not in known:
            known[row[0]] = await accounts.by_id(tx, row[0])
        account = known[row[0]]
        if account is None:
            raise LookupError(f"account {row[0]} is gone")
        handset, number, body = row[1], row[3], smart(row[4]) if account.smart_encoding else row[4]
        problem = _forbidden(account, handset, body)
        if problem is not None:
            rows.append((*row[:3], _SKIPPED, None, problem))
            continue
        new = _campaign(account, ids[at], handset, number, body, now)
        if new.wake_at is None and carriers:
            new.carriers = carriers[at : at + 1]
        waiting.append((row, new))
    answers = await acceptance.create_group(tx, [new for _, new in waiting], now) if waiting else []
    for (row, new), answer in zip(waiting, answers, strict=True):
        if isinstance(answer, ApiError):
            rows.append((*row[:3], _SKIPPED, None, str(answer)[:200]))
        elif isinstance(answer, Exception):
            raise answer
        else:
            rows.append((*row[:3], _ACCEPTED, new.id, None))
            made += 1
            if row[5] == ReplyKind.STOP:
                unwashed.append((new.account_id, new.id))
    await tx.many("leave_unwashed", sorted(unwashed))
    await tx.many("answers_made", sorted(rows, key=lambda row: tuple(row[:3])))
    for row in rows:
        if row[3] == _SKIPPED:
            log.warning("answer_skipped", account_id=row[0], reason=row[5])
    return made, len(due)


def _campaign(account: Account, number: int, handset: int, sender: str, body: str, now: int) -> NewCampaign:
    cut = segment(body)
    at = account.send_window.opens_at(now)
    rate = 1 if account.tariff is None else account.tariff.rate(handset)
    return NewCampaign(
        account_id=account.id,
        id=number,
        originator=sender,
        body=body,
        encoding=cut.encoding,
        segments=cut.count,
        reference=None,
        due_at=None,
        wake_at=at if at > now else None,
        numbers=array("q", [handset]),
        credits_each=cut.count * rate,
        carriers=None,
        day=account.day_starts(now),
    )


def _forbidden(account: Account, handset: int, body: str) -> str | None:
    """Why an account may not send its answer, if so: its permissions hold here as everywhere.

    The sender needs no approval: the operator gave the account this number.
    """
    cut = segment(body)
    if cut.encoding is Encoding.UCS2 and not account.allow_unicode:
        return "the answer needs Unicode, which this account may not send"
    if cut.count > 1 and not account.allow_long:
        return "the answer is long, which this account may not send"
    at_home = is_home(handset, account.country)
    if not at_home and not account.allow_international:
        return "the handset is outside of the account's country"
    countries = account.countries
    if countries and not (at_home and account.country in countries) and not is_in(handset, countries):
        return "the handset is outside of the account's countries"
    return None
