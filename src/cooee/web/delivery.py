"""POST /api/DRStatus (wire contract §5)."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from cooee.model.clock import SECOND, iso
from cooee.model.errors import ApiError
from cooee.model.message import MessageState
from cooee.model.msisdn import parse
from cooee.store.database import Row
from cooee.web.request import Answer, Request, Services
from cooee.web.spool import spool

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


async def delivery_status(services: Services, request: Request) -> Answer:
    """Recipients with a final result, all or one."""
    campaign_id = request.fields.whole("CampaignId")
    pages = services.reports.settled(request.account, campaign_id, _destination(request))
    rows = _Rows(request.account.shown_zone)

    def head(count: int) -> bytes:
        return f'{{"CampaignId":{campaign_id},"Count":{count},"Destinations":['.encode()

    return await spool(pages, rows.encode, head)


def _destination(request: Request) -> int | None:
    """The one number asked for; None for all, and a number that nobody has where it is none."""
    value = request.fields.value("Destination")
    if value is None or value == "":
        return None
    if type(value) is not int and not isinstance(value, str):
        raise ApiError.field("Destination", "must be a number")
    return parse(value, request.account.country) or _NOBODY
