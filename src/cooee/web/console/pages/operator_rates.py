"""What a segment costs, for everybody and for one account; and the sender IDs that an account may use."""

from __future__ import annotations

from starlette.responses import Response

from cooee.model.account import Account
from cooee.model.errors import ConfigError
from cooee.web.console.account_form import sentence, whole
from cooee.web.console.pages.operator_accounts import at, found
from cooee.web.console.visit import Visit

MOST_SENDERS = 500
"""Sender IDs that may be approved at once."""


async def everybody(visit: Visit) -> Response:
    """The price list."""
    return await _rates(visit, None)


async def of_account(visit: Visit) -> Response:
    """The rates that hold for one account, its own ones marked."""
    return await _rates(visit, await found(visit))


async def _rates(visit: Visit, account: Account | None, problem: str | None = None, status: int = 200) -> Response:
    return visit.page(
        "operator_rates.html",
        status,
        found=account,
        rates=await visit.services.desk.rates.list(account.name if account is not None else None),
        problem=problem,
        country=visit.text("country")[:8],
        credits=visit.text("credits")[:20],
    )


async def _change(visit: Visit, account: Account | None, done: str) -> Response:
    rates = visit.services.desk.rates
    name = account.name if account is not None else None
    country = visit.text("country").strip()[:8]
    try:
        if done == "rate-removed":
            await rates.remove(country, name)
        else:
            await rates.set(country, whole(visit.text("credits").strip()[:20]), name)
    except ConfigError as error:
        return await _rates(visit, account, sentence(error), 400)
    return visit.go("/operator/rates" if account is None else f"/operator/accounts/{account.id}/rates", done=done)


async def set_everybodys(visit: Visit) -> Response:
    """Sets a rate for everybody."""
    return await _change(visit, None, "rate-set")


async def remove_everybodys(visit: Visit) -> Response:
    """Takes a rate for everybody away."""
    return await _change(visit, None, "rate-removed")


async def set_own(visit: Visit) -> Response:
    """Sets a rate for one account."""
    return await _change(visit, await found(visit), "rate-set")


async def remove_own(visit: Visit) -> Response:
    """Takes a rate of one account away."""
    return await _change(visit, await found(visit), "rate-removed")


# --- sender IDs --------------------------------------------------------------------------------------------


async def senders(visit: Visit) -> Response:
    """The approved sender IDs of an account."""
    return await _senders(visit, await found(visit))


async def _senders(visit: Visit, account: Account, problem: str | None = None, status: int = 200) -> Response:
    return visit.page(
        "operator_senders.html",
        status,
        found=account,
        senders=await visit.services.desk.senders.list(account.name),
        problem=problem,
        typed=visit.text("senders")[:20_000],
    )


async def approve(visit: Visit) -> Response:
    """Approves sender IDs, one a line."""
    account = await found(visit)
    texts = [line.strip() for line in visit.text("senders").split("\n") if line.strip()]
    if not 0 < len(texts) <= MOST_SENDERS:
        return await _senders(visit, account, f"Give 1 to {MOST_SENDERS} sender IDs, one a line.", 400)
    try:
        await visit.services.desk.senders.add(account.name, texts)
    except ConfigError as error:
        return await _senders(visit, account, sentence(error), 400)
    return visit.go(f"/operator/accounts/{account.id}/senders", done="senders-approved")


async def withdraw(visit: Visit) -> Response:
    """Takes approvals back."""
    account = await found(visit)
    try:
        await visit.services.desk.senders.remove(account.name, visit.texts("sender"))
    except ConfigError as error:
        return await _senders(visit, account, sentence(error), 400)
    return visit.go(f"/operator/accounts/{account.id}/senders", done="senders-removed")


async def only_approved(visit: Visit) -> Response:
    """Lets the account use approved sender IDs only, or any."""
    account = await found(visit)
    await visit.services.accounts.set(account.name, approved_only=visit.text("approved_only") == "1")
    return visit.go(f"/operator/accounts/{account.id}/senders", done="account-saved")


NOTICES = {
    "rate-set": "The rate is set. Running servers follow within 5 seconds; what was charged before stays.",
    "rate-removed": "The rate is gone. What was charged before stays.",
    "senders-approved": "Approved. Running servers follow within 5 seconds.",
    "senders-removed": "Taken back. What was accepted before is sent all the same.",
}
PAGES = (
    at("/rates", everybody, set_everybodys),
    at("/rates/remove", post=remove_everybodys),
    at("/accounts/{id}/rates", of_account, set_own),
    at("/accounts/{id}/rates/remove", post=remove_own),
    at("/accounts/{id}/senders", senders, approve),
    at("/accounts/{id}/senders/remove", post=withdraw),
    at("/accounts/{id}/senders/only", post=only_approved),
)
