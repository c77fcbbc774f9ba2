"""POST /api/replies (wire contract §6)."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import date, datetime, timedelta

import msgspec

from cooee.model.account import Account
from cooee.model.clock import local_to_ms, ms_to_local
from cooee.model.errors import BAD_RANGE, ApiError
from cooee.model.msisdn import parse
from cooee.service.replies import Question
from cooee.store.database import Row
from cooee.web.request import Answer, Fields, Request, Services
from cooee.web.respond import streamed
from cooee.web.spool import spool
from cooee.web.times import Times

MAX_DAYS = 366
SENDER_DAYS = 31
"""How far back goes a question that names only the mobile."""
MAX_SENDER = 64

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_text = msgspec.json.Encoder().encode


async def replies(services: Services, request: Request) -> Answer:
    """Replies, oldest first. What was not passed on yet is flagged once the client has it; a test flags none."""
    account = request.account
    question = _question(request.fields, account, services.clock.now_ms())
    flags = not request.fields.flag("Test") and question.since is None
    await services.replies.pay(account)
    ids = array("q")
    times = Times(account.shown_zone)

    def encode(page: Sequence[Row]) -> bytes:
        ids.extend([row[0] for row in page])
        return b",".join(
            b'{"Received":"%b","Originator":%b,"Recipient":%b,"MessageText":%b,"ReferenceId":%b}'
            % (times.text(received_at).encode(), _text(sender), _text(recipient), _text(body), _text(reference))
            for _, received_at, sender, recipient, body, reference in page
        )

    async with AsyncExitStack() as undo:
        await undo.enter_async_context(services.replies.turn(account))
        answer = streamed(await spool(services.replies.pages(account, question), encode, _head))
        later = undo.pop_all()

    async def sent(taken: bool) -> None:
        async with later:
            if taken and flags:
                await services.replies.flag(account, ids)

    answer.sent = sent
    return answer


def _head(count: int) -> bytes:
    return b'{"Count":%d,"Messages":[' % count


def _question(fields: Fields, account: Account, now: int) -> Question:
    """ApiError: -911 for a field of the wrong type, -950 for a range that is none."""
    days = None if fields.value("Days") is None else fields.whole("Days")
    start, end = _date(fields, "DateStart"), _date(fields, "DateEnd")
    sender = _sender(fields, account)
    today = ms_to_local(now, account.zone).date()
    if days is not None:
        if start is not None or end is not None or not 1 <= days <= MAX_DAYS:
            raise ApiError(BAD_RANGE)
        start = today - timedelta(days=days - 1)
    elif start is None:
        if end is not None:
            raise ApiError(BAD_RANGE)
        if sender is None:
            return Question()
        start = today - timedelta(days=SENDER_DAYS - 1)
    if not 1 <= ((end or today) - start).days + 1 <= MAX_DAYS:
        raise ApiError(BAD_RANGE)
    try:
        until = now + 1 if end is None else _midnight(end + timedelta(days=1), account)
        return Question(_midnight(start, account), until, sender)
    except (ValueError, OverflowError):
        raise ApiError(BAD_RANGE) from None


def _midnight(day: date, account: Account) -> int:
    """When a local day begins: where daylight saving skips midnight, with the first time that there is."""
    return local_to_ms(datetime(day.year, day.month, day.day), account.zone)  # noqa: DTZ001 (the account's zone)


def _date(fields: Fields, name: str) -> date | None:
    text = fields.text(name)
    if text is None or not text:
        return None
    if not _DATE.fullmatch(text):
        raise ApiError(BAD_RANGE)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ApiError(BAD_RANGE) from None


def _sender(fields: Fields, account: Account) -> int | str | None:
    """The mobile, or the sender that is no number; None for any."""
    value = fields.value("Originator")
    if isinstance(value, list):
        if len(value) != 1:
            raise ApiError.field("Originator", "must be one number")
        value = value[0]
    if value is None or value == "":
        return None
    if type(value) is not int and not isinstance(value, str):
        raise ApiError.field("Originator", "must be one number")
    return parse(value, account.country) or str(value)[:MAX_SENDER]
