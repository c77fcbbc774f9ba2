"""The webhook that an account's replies are sent to: set, tested, and what was delivered or given up."""

from __future__ import annotations

from starlette.responses import Response

from cooee.model.errors import ConfigError
from cooee.model.webhook import DeliveryState
from cooee.service.webhooks import NONE
from cooee.web.console.visit import Page, Visit

SHOWN = 50
STATES = {"waiting": DeliveryState.WAITING, "taken": DeliveryState.DELIVERED, "given-up": DeliveryState.PARKED}


async def show(visit: Visit) -> Response:
    """The webhook, and its newest deliveries."""
    return await _page(visit)


async def _page(
    visit: Visit, *, problem: str | None = None, said: str | None = None, typed: bool = False, status: int = 200
) -> Response:
    webhooks, name = visit.services.webhooks, visit.account.name
    known = await webhooks.show(name)
    hook = known if known is not None and known.on else None
    state = visit.query("state")
    return visit.page(
        "webhook.html",
        status,
        hook=hook,
        deliveries=await webhooks.deliveries(name, state=STATES.get(state), limit=SHOWN),
        state=state if state in STATES else "",
        states=STATES,
        most=SHOWN,
        parked=0 if known is None else known.parked,
        problem=problem,
        said=said,
        url=visit.text("url").strip()[:2000] if typed else "",
        username=visit.text("username")[:128] if typed else hook.username if hook is not None else "",
    )


def _sentence(error: ConfigError) -> str:
    return f"{str(error)[:1].upper()}{str(error)[1:]}."


async def save(visit: Visit) -> Response:
    """Another address, or another login; an empty password leaves the one that is there."""
    url, username, password = visit.text("url").strip(), visit.text("username"), visit.text("password")
    known = await visit.services.webhooks.show(visit.account.name)
    on = known is not None and known.on
    if (not url and not on) or url == NONE:
        return await _page(visit, problem="Say where replies are to be sent.", typed=True, status=400)
    try:
        await visit.services.webhooks.set(
            visit.account.name, url=url or None, username=username, password=password or None
        )
    except ConfigError as error:
        return await _page(visit, problem=_sentence(error), typed=True, status=400)
    return visit.go("/settings/webhook", done="webhook-saved")


async def remove(visit: Visit) -> Response:
    """No webhook any more."""
    await visit.services.webhooks.set(visit.account.name, url=NONE)
    return visit.go("/settings/webhook", done="webhook-removed")


async def test(visit: Visit) -> Response:
    """Calls it with a reply that says it is a test."""
    try:
        host, outcome = await visit.services.webhooks.test(visit.account.name)
    except ConfigError as error:
        return await _page(visit, problem=_sentence(error), status=400)
    if outcome.taken:
        return await _page(visit, said=f"{host} took the test.")
    answer = f"HTTP {outcome.status}: " if outcome.status else ""
    return await _page(visit, problem=f"{host} did not take the test. {answer}{outcome.reason}")


async def replay(visit: Visit) -> Response:
    """Sends one reply again, or every one that was given up."""
    text = visit.text("reply")
    reply_id = int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else None
    try:
        await visit.services.webhooks.replay(visit.account.name, reply_id)
    except ConfigError as error:
        return await _page(visit, problem=_sentence(error), status=400)
    return visit.go("/settings/webhook", done="webhook-replayed")


NOTICES = {
    "webhook-saved": "Saved. Replies that come from now on are sent there.",
    "webhook-removed": "Replies are not sent anywhere any more; the API still passes them on.",
    "webhook-replayed": "It is sent again.",
}
PAGES = (
    Page("/settings/webhook", show, save),
    Page("/settings/webhook/remove", post=remove),
    Page("/settings/webhook/test", post=test),
    Page("/settings/webhook/replay", post=replay),
)
