"""Reply webhooks: what was given up over all accounts, and one account's webhook and keywords."""

from __future__ import annotations

from starlette.responses import Response

from cooee.model.account import Account
from cooee.model.errors import ConfigError
from cooee.model.inbound import ReplyKind
from cooee.service.webhooks import NONE
from cooee.web.console.account_form import sentence
from cooee.web.console.pages.operator_accounts import at, found
from cooee.web.console.visit import Nav, Visit

PAGE = 50
MOST_CHOSEN = 500

Key = tuple[int, int, int]


async def listing(visit: Visit) -> Response:
    """Deliveries that were given up, the oldest of each account first."""
    return await _listing(visit)


async def _listing(visit: Visit, problem: str | None = None, status: int = 200) -> Response:
    account = visit.query("account").strip().replace("\0", "")[:64]
    after = _key(visit.query("after"))
    try:
        lines = await visit.services.webhooks.parked_page(account or None, after=after, limit=PAGE + 1)
    except ConfigError as error:
        lines, problem = [], sentence(error)
    more = len(lines) > PAGE
    lines = lines[:PAGE]
    return visit.page(
        "operator_webhooks.html",
        status,
        lines=[(key[0], line) for key, line in lines],
        of_account=account,
        problem=problem,
        first=after is None,
        next_after="-".join(map(str, lines[-1][0])) if more else None,
    )


def _key(text: str) -> Key | None:
    parts = text.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 16 for part in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])


async def replay(visit: Visit) -> Response:
    """The chosen ones are sent again."""
    webhooks, accounts = visit.services.webhooks, visit.services.accounts
    problems: list[str] = []
    sent = 0
    for text in visit.texts("delivery")[:MOST_CHOSEN]:
        account_text, _, reply_text = text.partition("-")
        if not all(part.isascii() and part.isdigit() and len(part) <= 16 for part in (account_text, reply_text)):
            continue
        account = await accounts.by_id(int(account_text))
        if account is None:
            continue
        try:
            sent += await webhooks.replay(account.name, int(reply_text))
        except ConfigError as error:
            problems.append(sentence(error))
    if problems or not sent:
        return await _listing(visit, problems[0] if problems else "Nothing was chosen.", 400)
    return visit.go("/operator/webhooks", done="webhooks-replayed")


# --- one account's -----------------------------------------------------------------------------------------


async def of_account(visit: Visit) -> Response:
    """Where an account's replies go, and what keywords do for it."""
    return await _of_account(visit, await found(visit))


async def _of_account(
    visit: Visit,
    account: Account,
    *,
    problem: str | None = None,
    said: str | None = None,
    place: str = "",
    typed: bool = False,
    status: int = 200,
) -> Response:
    known = await visit.services.webhooks.show(account.name)
    hook = known if known is not None and known.on else None
    used, stop, start = await visit.services.desk.keywords.settings(account.name)
    numbers = [each for each in await visit.services.desk.numbers.list() if each.account in (account.name, None)]
    at_hook, at_words = typed and place == "webhook", typed and place == "keywords"
    return visit.page(
        "operator_account_replies.html",
        status,
        found=account,
        hook=hook,
        parked=known.parked if known is not None else 0,
        numbers=numbers,
        keywords=visit.text("keywords") == "1" if at_words else used,
        stop=visit.text("stop") if at_words else stop or "",
        start=visit.text("start") if at_words else start or "",
        url=visit.text("url").strip()[:2000] if at_hook else "",
        username=visit.text("username")[:128] if at_hook else hook.username if hook is not None else "",
        problem=problem,
        said=said,
        place=place,
    )


async def set_webhook(visit: Visit) -> Response:
    """Another address or login; what is left empty stays."""
    account = await found(visit)
    url = visit.text("url").strip()
    known = await visit.services.webhooks.show(account.name)
    if url == NONE or (not url and not (known is not None and known.on)):
        return await _of_account(
            visit, account, problem="Say where replies are to be sent.", place="webhook", typed=True, status=400
        )
    try:
        await visit.services.webhooks.set(
            account.name,
            url=url or None,
            username=visit.text("username"),
            password=visit.text("password") or None,
        )
    except ConfigError as error:
        return await _of_account(visit, account, problem=sentence(error), place="webhook", typed=True, status=400)
    return visit.go(f"/operator/accounts/{account.id}/replies", done="account-saved")


async def remove_webhook(visit: Visit) -> Response:
    """No webhook any more."""
    account = await found(visit)
    await visit.services.webhooks.set(account.name, url=NONE)
    return visit.go(f"/operator/accounts/{account.id}/replies", done="account-saved")


async def test_webhook(visit: Visit) -> Response:
    """Calls it with a reply that says it is a test."""
    account = await found(visit)
    try:
        host, outcome = await visit.services.webhooks.test(account.name)
    except ConfigError as error:
        return await _of_account(visit, account, problem=sentence(error), place="webhook", status=400)
    if outcome.taken:
        return await _of_account(visit, account, said=f"{host} took the test.", place="webhook")
    answer = f"HTTP {outcome.status}: " if outcome.status else ""
    said = f"{host} did not take the test. {answer}{outcome.reason}"
    return await _of_account(visit, account, problem=said, place="webhook")


async def replay_all(visit: Visit) -> Response:
    """Everything of the account that was given up is sent again."""
    account = await found(visit)
    try:
        await visit.services.webhooks.replay(account.name, None)
    except ConfigError as error:
        return await _of_account(visit, account, problem=sentence(error), place="webhook", status=400)
    return visit.go(f"/operator/accounts/{account.id}/replies", done="webhooks-replayed")


async def set_keywords(visit: Visit) -> Response:
    """Whether keywords work for the account, and what it answers to them."""
    account = await found(visit)
    keywords = visit.services.desk.keywords
    used, stop, start = await keywords.settings(account.name)
    try:
        for kind, text, known in (
            (ReplyKind.STOP, visit.text("stop").strip(), stop),
            (ReplyKind.START, visit.text("start").strip(), start),
        ):
            if text != (known or ""):
                await keywords.answer(account.name, kind, text)
    except ConfigError as error:
        return await _of_account(visit, account, problem=sentence(error), place="keywords", typed=True, status=400)
    if used != (visit.text("keywords") == "1"):
        await keywords.use(account.name, on=not used)
    return visit.go(f"/operator/accounts/{account.id}/replies", done="account-saved")


NAV = Nav("Webhooks", "/operator/webhooks", "webhooks")
NOTICES = {"webhooks-replayed": "They are sent again."}
PAGES = (
    at("/webhooks", listing, replay),
    at("/accounts/{id}/replies", of_account),
    at("/accounts/{id}/webhook", post=set_webhook),
    at("/accounts/{id}/webhook/remove", post=remove_webhook),
    at("/accounts/{id}/webhook/test", post=test_webhook),
    at("/accounts/{id}/webhook/replay", post=replay_all),
    at("/accounts/{id}/keywords", post=set_keywords),
)
