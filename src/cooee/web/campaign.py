"""POST /api/campaign (wire contract §4)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime

from cooee.model.account import Account
from cooee.model.clock import local_to_ms
from cooee.model.errors import (
    BAD_ORIGINATOR,
    BAD_TIME,
    NO_DESTINATION,
    NO_INTERNATIONAL,
    NO_LONG,
    NO_ORIGINATOR,
    NO_TEXT,
    NO_UNICODE,
    TOO_LONG,
    ApiError,
)
from cooee.model.gsm import smart
from cooee.model.msisdn import Checked
from cooee.model.originator import Originator, parse_originator
from cooee.model.segments import Encoding, Segmented, segment, utf16_length
from cooee.service.recipients import CreateCampaign, ModifyCampaign
from cooee.web.body import decode_value
from cooee.web.request import Accepted, Answer, Fields, Request, Services, whole_number

MAX_MESSAGE = 2000
MAX_REFERENCE = 255
LAST_YEAR = 9999
"""Days after its end, which another zone or a send window may ask for, have no date any more."""


async def create(services: Services, request: Request) -> Answer:
    """A new campaign. Checks in the contract's order; credits come last, with the acceptance itself."""
    account = request.account
    if request.key is not None:
        kept = await services.campaigns.replay(account, request.key, request.digest)
        if kept is not None:
            return _created(kept)
    fields = request.fields
    now = services.clock.now_ms()
    message = _message(fields, account)
    originator = _originator(fields, account)
    asked_at = _asked_at(fields, account)
    reference = _reference(fields)
    lists = await _lists(services, request)
    recipients = await _recipients(services, request, lists)
    segmented = segment(message)
    _permit(account, segmented)
    if not recipients.numbers:
        raise ApiError(NO_INTERNATIONAL)
    new = CreateCampaign(
        message=message,
        segmented=segmented,
        originator=originator,
        due_at=_later(asked_at, now),
        asked_at=asked_at,
        reference=reference,
        recipients=recipients,
        idempotency_key=request.key,
        body_digest=request.digest,
        lists=lists,
    )
    return _created(await services.campaigns.create(account, new))


def _created(campaign: Accepted) -> Answer:
    return {
        "Code": 0,
        "CampaignId": campaign.campaign_id,
        "Messages": campaign.messages,
        "Segments": campaign.segments,
        "Credits": campaign.credits,
    }


def _message(fields: Fields, account: Account) -> str:
    """The text as it is sent. Its length counts as it was given (wire contract §3)."""
    message = fields.text("Message")
    if message is None or not message or message.isspace():
        raise ApiError(NO_TEXT)
    if "\0" in message:
        raise ApiError.field("Message", "holds a character that no SMS can carry")
    if utf16_length(message) > MAX_MESSAGE:
        raise ApiError(TOO_LONG)
    if account.smart_encoding:
        message = smart(message)
        if not message or message.isspace():
            # It held nothing but characters that are not seen.
            raise ApiError(NO_TEXT)
    return message


def _originator(fields: Fields, account: Account) -> Originator:
    text = fields.text("Originator", numbers=True)
    if text is None or not text or text.isspace():
        raise ApiError(NO_ORIGINATOR)
    originator = parse_originator(text)
    if originator is None:
        raise ApiError(BAD_ORIGINATOR, "valid")
    if account.approved_only and originator.text not in account.approved:
        raise ApiError(BAD_ORIGINATOR, "approved for this account")
    return originator


def _asked_at(fields: Fields, account: Account) -> int | None:
    """TimeScheduled as UTC ms; None where it is absent."""
    text = fields.text("TimeScheduled", numbers=True)
    if text is None:
        return None
    if len(text) != 12 or not text.isascii() or not text.isdigit():
        raise ApiError(BAD_TIME)
    try:
        local = datetime(  # noqa: DTZ001 (a local time; its zone is the account's)
            int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[8:10]), int(text[10:])
        )
        if local.year >= LAST_YEAR:
            raise ApiError(BAD_TIME)
        return local_to_ms(local, account.zone)
    except (ValueError, OverflowError):
        raise ApiError(BAD_TIME) from None


def _later(asked_at: int | None, now: int) -> int | None:
    """When it is due, or None for at once: absent, or past."""
    return asked_at if asked_at is not None and asked_at > now else None


def _reference(fields: Fields) -> str | None:
    reference = fields.text("Reference", numbers=True)
    if reference is None or not reference:
        return None
    if len(reference) > MAX_REFERENCE or "\0" in reference:
        raise ApiError.field("Reference", f"must be text of at most {MAX_REFERENCE} characters")
    return reference


async def _recipients(services: Services, request: Request, lists: tuple[int, ...]) -> Checked:
    """What is left of Destinations and of the lists; the body is let go of."""
    given = request.fields.listed("Destinations")
    if given is None and not lists:
        raise ApiError(NO_DESTINATION)
    account = request.account
    recipients = services.recipients
    if lists:
        pages = _pages(services, account, lists)
        checked = await recipients.check_with(account, () if given is None else given, decode_value, pages)
    elif isinstance(given, memoryview):
        large = given
        checked = await recipients.aside(lambda: recipients.check_json(account, large, decode_value))
        del large
    else:
        await recipients.prepare(account)
        checked = recipients.check(account, given or ())
    given = None
    request.release()
    if not checked.numbers and not (checked.international and not checked.invalid):
        raise ApiError(NO_DESTINATION)
    return checked


async def _pages(services: Services, account: Account, lists: tuple[int, ...]) -> AsyncGenerator[list[int], None]:
    """The numbers of all lists, page by page."""
    for list_id in lists:
        async with aclosing(services.audience.pages(account, list_id)) as pages:
            async for page in pages:
                yield page


async def _lists(services: Services, request: Request) -> tuple[int, ...]:
    """The lists that CrmIds names, each once; -940 for one that the account does not have."""
    fields = request.fields
    if not fields.given("CrmIds"):
        return ()
    # Destinations of another kind are told first.
    fields.listed("Destinations")
    if fields.undecoded("CrmIds") is not None:
        lists = await services.recipients.aside(lambda: _list_ids(fields))
    else:
        lists = _list_ids(fields)
    await services.audience.require(request.account, lists)
    return lists


def _list_ids(fields: Fields) -> tuple[int, ...]:
    value = fields.value("CrmIds")
    lists: dict[int, None] = {}
    for item in value if isinstance(value, list) else [value]:
        number = whole_number(item)
        if number is None:
            raise ApiError.field("CrmIds", "must be a list of whole numbers")
        lists[number] = None
    return tuple(lists)


def _permit(account: Account, segmented: Segmented) -> None:
    if segmented.encoding is Encoding.UCS2 and not account.allow_unicode:
        raise ApiError(NO_UNICODE)
    if segmented.count > 1 and not account.allow_long:
        raise ApiError(NO_LONG)


async def modify(services: Services, request: Request) -> Answer:
    """Another text, originator or time for a campaign that has not started."""
    account, fields = request.account, request.fields
    campaign_id = fields.whole("CampaignId")
    message = _message(fields, account) if fields.given("Message") else None
    originator = _originator(fields, account) if fields.given("Originator") else None
    asked_at = _asked_at(fields, account)
    segmented = None if message is None else segment(message)
    if segmented is not None:
        _permit(account, segmented)
    change = ModifyCampaign(
        message=message,
        segmented=segmented,
        originator=originator,
        reschedules=asked_at is not None,
        due_at=_later(asked_at, services.clock.now_ms()),
    )
    return _created(await services.campaigns.modify(account, campaign_id, change))


async def status(services: Services, request: Request) -> Answer:
    """Where a campaign stands, in one word."""
    word = await services.campaigns.status(request.account, request.fields.whole("CampaignId"))
    return {"Message": word, "Code": 0}


async def pause(services: Services, request: Request) -> Answer:
    """Stops what is not yet handed over."""
    await services.campaigns.pause(request.account.id, request.fields.whole("CampaignId"))
    return {"Message": "Paused", "Code": 0}


async def unpause(services: Services, request: Request) -> Answer:
    """Lets a paused campaign go on."""
    await services.campaigns.unpause(request.account.id, request.fields.whole("CampaignId"))
    return {"Message": "Unpaused", "Code": 0}


async def delete(services: Services, request: Request) -> Answer:
    """Cancels what is not yet handed over."""
    await services.campaigns.delete(request.account.id, request.fields.whole("CampaignId"))
    return {"Message": "Deleted", "Code": 0}
