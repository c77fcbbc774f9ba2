"""POST /api/crm: stored lists (wire contract §8)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from cooee.model.clock import iso
from cooee.model.errors import NO_DESCRIPTION, NO_NUMBER, ApiError
from cooee.model.words import counted
from cooee.web.body import decode_value
from cooee.web.request import Answer, Request, Services
from cooee.web.respond import encode
from cooee.web.spool import spool

MAX_DESCRIPTION = 255


async def overview(services: Services, request: Request) -> Answer:
    """Every list of the account, with `ShowDeleted` those that are deleted too."""
    account = request.account
    lists = await services.audience.overview(account, deleted=request.fields.flag("ShowDeleted"))
    groups = [
        {
            "CrmId": each.id,
            "Description": each.description,
            "Count": each.count,
            "ParentGroup": 0,
            "ActiveCampaign": each.active,
            "Deleted": ""
            if each.deleted_at is None
            else iso(each.deleted_at, account.shown_zone).replace("T", " "),
        }
        for each in lists
    ]
    return {"Count": len(groups), "Groups": groups}


async def details(services: Services, request: Request) -> Answer:
    """The numbers of one list."""
    list_id = request.fields.whole("CrmId")
    description = await services.audience.description(request.account, list_id)
    known = encode({"CrmId": list_id, "Description": description})[:-1]
    pages = services.audience.pages(request.account, list_id)
    return await spool(pages, _records, lambda count: known + b',"Count":%d,"Records":[' % count)


async def create(services: Services, request: Request) -> Answer:
    """A new list, perhaps with its first numbers."""
    description = _description(request)
    numbers = await _numbers(services, request) if request.fields.given("Records") else array("q")
    list_id = await services.audience.create(request.account, description, numbers)
    return {"CrmId": list_id, "Message": "CRM created"}


async def append(services: Services, request: Request) -> Answer:
    """More numbers for a list."""
    list_id = await _list(services, request)
    added = await services.audience.append(request.account, list_id, await _numbers(services, request))
    return {"Message": f"Added {counted(added, 'number')}", "Code": 0}


async def remove(services: Services, request: Request) -> Answer:
    """Fewer numbers for a list."""
    list_id = await _list(services, request)
    removed = await services.audience.remove(request.account, list_id, await _numbers(services, request))
    return {"Message": f"Removed {counted(removed, 'number')}", "Code": 0}


async def delete(services: Services, request: Request) -> Answer:
    """Deletes a list."""
    await services.audience.delete(request.account, request.fields.whole("CrmId"))
    return {"Message": "Deleted", "Code": 0}


def _records(page: Sequence[int]) -> bytes:
    return ",".join([f'{{"Number":"{number}"}}' for number in page]).encode()


def _description(request: Request) -> str:
    text = request.fields.text("Description")
    if text is None or not text or text.isspace():
        raise ApiError(NO_DESCRIPTION)
    if len(text) > MAX_DESCRIPTION or "\0" in text:
        raise ApiError.field("Description", f"must be text of at most {MAX_DESCRIPTION} characters")
    return text


async def _list(services: Services, request: Request) -> int:
    """The list that is asked for; known before a long list of numbers is read."""
    list_id = request.fields.whole("CrmId")
    await services.audience.require(request.account, [list_id])
    return list_id


async def _numbers(services: Services, request: Request) -> array[int]:
    """The valid numbers of Records; the body is let go of. ApiError -942 where there is none."""
    fields = request.fields
    if not fields.given("Records"):
        raise ApiError(NO_NUMBER)
    account = request.account
    large = fields.undecoded("Records")
    value = None if large is not None else fields.value("Records")
    if not isinstance(value, list) if large is None else large[0] != 0x5B:
        raise ApiError.field("Records", "must be a list of objects with a Number each")
    if large is not None:
        json = large
        checked = await services.recipients.aside(
            lambda: services.recipients.check_records_json(account, json, decode_value)
        )
        del json
    else:
        await services.recipients.prepare(account)
        checked = services.recipients.check_records(account, value if isinstance(value, list) else ())
    large = value = None
    request.release()
    if not checked.numbers:
        raise ApiError(NO_NUMBER)
    return checked.numbers
