"""RetrieveUserSettings and credits (wire contract §8)."""

from __future__ import annotations

from cooee.web.request import Answer, Request, Services, whole_number


async def user_settings(services: Services, request: Request) -> Answer:
    """Who the client is, what it may do and how many credits it has."""
    account = request.account
    return {
        "UserId": account.id,
        "AllowUnicode": account.allow_unicode,
        "AllowInternational": account.allow_international,
        "Credits": await services.accounts.balance(account),
        "Code": 0,
        "AllowLongMessages": account.allow_long,
    }


async def balance(services: Services, request: Request) -> Answer:
    """Credits left: GET /api/credits."""
    return {"Credits": await services.accounts.balance(request.account), "Code": 0}


async def add_credits(services: Services, request: Request) -> Answer:
    """A top-up that the operator bills later."""
    amount = whole_number(request.fields.value("credits"))
    return {"Credits": await services.accounts.top_up(request.account, amount), "Code": 0}
