"""POST /api/optouts (wire contract §8)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import msgspec

from cooee.model.errors import NO_NUMBER, ApiError
from cooee.store.database import Row
from cooee.web.body import decode_value
from cooee.web.request import Answer, Request, Services
from cooee.web.spool import spool
from cooee.web.times import Times

_text = msgspec.json.Encoder().encode


async def add(services: Services, request: Request) -> Answer:
    """Numbers that must not be written to any more."""
    numbers = await _numbers(services, request)
    if not numbers:
        raise ApiError(NO_NUMBER)
    await services.optouts.add(request.account, numbers)
    return {"Message": "Origins added", "Code": 0}


async def delete(services: Services, request: Request) -> Answer:
    """Numbers that may be written to again."""
    deleted = await services.optouts.remove(request.account, await _numbers(services, request))
    return {"Message": f"Deleted {deleted} OptOut number{'' if deleted == 1 else 's'}", "Code": 0}


async def overview(services: Services, request: Request) -> Answer:
    """Every opt-out of the account, newest first."""
    times = Times(request.account.shown_zone, " ")

    def encode(page: Sequence[Row]) -> bytes:
        return b",".join(
            b'{"Added":"%b","Originator":"%d","MessageText":%b,"Reason":"%b"}'
            % (times.text(added_at).encode(), destination, _text(body), reason.encode())
            for destination, added_at, reason, body in page
        )

    return await spool(services.optouts.pages(request.account), encode, _head)


def _head(count: int) -> bytes:
    return b'{"Count":%d,"OptOut":[' % count


async def _numbers(services: Services, request: Request) -> array[int]:
    """The valid numbers of Originator, perhaps none; the body is let go of. ApiError -942 without such a field."""
    given = request.fields.listed("Originator")
    if given is None:
        raise ApiError(NO_NUMBER)
    account, optouts = request.account, services.optouts
    await optouts.prepare(account)
    if isinstance(given, memoryview):
        large = given
        numbers = await services.recipients.aside(lambda: optouts.check_json(account, large, decode_value))
        del large
    else:
        numbers = optouts.check(account, given)
    given = None
    request.release()
    return numbers
