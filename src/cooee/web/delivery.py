"""POST /api/DRStatus (wire contract §5).

What fits one page is answered directly. More is written to a temporary file page by page, since `Count` comes
before the rows; then the file is streamed. So neither a million rows nor a slow client holds memory or a snapshot.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import IO
from zoneinfo import ZoneInfo

from cooee.model.clock import SECOND, iso
from cooee.model.errors import ApiError
from cooee.model.message import MessageState
from cooee.model.msisdn import parse
from cooee.store.database import Row
from cooee.web.request import Answer, Request, Services
from cooee.web.respond import Streamed

IN_MEMORY = 1 << 20
CHUNK = 1 << 16
_SMALL = 200
_TAIL = b"]}"
_NOBODY = 0
"""No message has this destination."""


class _Rows:
    """Encodes rows; receipts come many a second, so that a second's text is written once."""

    def __init__(self, where: ZoneInfo | None) -> None:
        self._where = where
        self._times: dict[int, str] = {}

    def encode(self, page: Sequence[Row]) -> bytes:
        """The rows as the inside of a JSON array."""
        times = self._times
        out = []
        for destination, state, changed_at, code in page:
            second = changed_at // SECOND
            stamp = times.get(second)
            if stamp is None:
                if len(times) > 10_000:
                    times.clear()
                stamp = times[second] = iso(changed_at, self._where)
            delivered = state == MessageState.DELIVERED
            out.append(
                f'{{"Destination":"{destination}","TimeStamp":"{stamp}","Status":{{'
                f'"DeliveryReceiptStatusId":{1 if delivered else 2},"Code":{0 if delivered else code}}}}}'
            )
        return ",".join(out).encode()


def _head(campaign_id: int, count: int) -> bytes:
    return f'{{"CampaignId":{campaign_id},"Count":{count},"Destinations":['.encode()


async def delivery_status(services: Services, request: Request) -> Answer:
    """Recipients with a final result, all or one."""
    campaign_id = request.fields.whole("CampaignId")
    pages = services.reports.settled(request.account, campaign_id, _destination(request))
    rows = _Rows(request.account.shown_zone)
    count = 0
    first = b""
    file: IO[bytes] | None = None
    try:
        async with aclosing(pages):
            async for page in pages:
                if not page:
                    continue
                if not count:
                    small = len(page) <= _SMALL
                    first = rows.encode(page) if small else await asyncio.to_thread(rows.encode, page)
                else:
                    if file is None:
                        file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (outlives this function)
                        file.write(first)
                    await asyncio.to_thread(_append, file, rows, page)
                count += len(page)
    except BaseException:
        if file is not None:
            file.close()
        raise
    head = _head(campaign_id, count)
    if file is None:
        return head + first + _TAIL
    return Streamed(len(head) + file.tell() + len(_TAIL), _stream(head, file), file.close)


def _append(file: IO[bytes], rows: _Rows, page: Sequence[Row]) -> None:
    file.write(b",")
    file.write(rows.encode(page))


async def _stream(head: bytes, file: IO[bytes]) -> AsyncIterator[bytes]:
    yield head
    file.seek(0)
    while chunk := await asyncio.to_thread(file.read, CHUNK):
        yield chunk
    yield _TAIL


def _destination(request: Request) -> int | None:
    """The one number asked for; None for all, and a number that nobody has where it is none."""
    value = request.fields.value("Destination")
    if value is None or value == "":
        return None
    if type(value) is not int and not isinstance(value, str):
        raise ApiError.field("Destination", "must be a number")
    return parse(value, request.account.country) or _NOBODY
