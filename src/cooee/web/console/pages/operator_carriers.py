"""Carriers: how they stand, their settings, and what is done with them."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from cooee.model.carrier import KINDS, CarrierRow, kind_of
from cooee.model.errors import ConfigError
from cooee.model.options import options
from cooee.service.audit import AuditFilter
from cooee.web.console.account_form import sentence
from cooee.web.console.carrier_view import fields_of, read_fields, views
from cooee.web.console.pages.operator_accounts import at
from cooee.web.console.visit import Nav, NotFound, Visit

PAGE = 50
KIND = next(iter(KINDS))


async def listing(visit: Visit) -> Response:
    """Every carrier and how it stands; the page asks anew by itself."""
    rows = await visit.services.desk.carriers.list()
    part = "_carriers_live.html" if visit.query("part") == "live" else "operator_carriers.html"
    return visit.page(part, carriers=await views(visit, rows))


async def found(visit: Visit) -> CarrierRow:
    """The carrier of the path, without its password."""
    carrier_id = visit.number("id")
    for row in await visit.services.desk.carriers.list():
        if row.id == carrier_id:
            return row
    raise NotFound


async def show(visit: Visit) -> Response:
    """One carrier: binds, figures, settings."""
    row = await found(visit)
    (view,) = await views(visit, [row])
    if visit.query("part") == "live":
        return visit.page("_carrier_live.html", carrier=view)
    return visit.page(
        "operator_carrier.html",
        carrier=view,
        groups=fields_of(row.kind, row.settings),
        changes=await visit.services.desk.audit.page(AuditFilter(carrier=row.name), limit=5),
        check=None,
    )


# --- settings ----------------------------------------------------------------------------------------------


async def new(visit: Visit) -> Response:
    """The form for a new carrier."""
    return _form(visit, None, {}, name="")


def _form(
    visit: Visit,
    row: CarrierRow | None,
    values: Mapping[str, object],
    *,
    name: str,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    return visit.page(
        "operator_carrier_form.html",
        status,
        row=row,
        name=name,
        groups=fields_of(row.kind if row is not None else KIND, values),
        problem=problem,
    )


def _secret(visit: Visit) -> str | None:
    """The password that was typed; "" to have none, None to leave it as it is."""
    return "" if visit.text("no_secret") == "1" else visit.text("secret") or None


async def make(visit: Visit) -> Response:
    """A new carrier, which is used at once."""
    name, values = visit.text("name").strip()[:64], read_fields(visit, KIND)
    given = {key: text for key, text in values.items() if text}
    try:
        row = await visit.services.desk.carriers.add(name, KIND, given, _secret(visit))
    except ConfigError as error:
        return _form(visit, None, values, name=name, problem=_about(error), status=400)
    return visit.go(f"/operator/carriers/{row.id}", done="carrier-added")


async def edit(visit: Visit) -> Response:
    """The form with every setting."""
    row = await found(visit)
    return _form(visit, row, row.settings, name=row.name)


async def change(visit: Visit) -> Response:
    """Writes every setting of the form."""
    row = await found(visit)
    values = read_fields(visit, row.kind)
    try:
        await visit.services.desk.carriers.set(row.name, values, _secret(visit))
    except ConfigError as error:
        return _form(visit, row, values, name=row.name, problem=_about(error), status=400)
    return visit.go(f"/operator/carriers/{row.id}", done="carrier-changed")


def _about(error: ConfigError) -> str:
    text = str(error).replace(f" in a carrier of kind {KIND}", "")
    # A setting is written as it is called.
    return f"{text}." if text.partition(":")[0] in options(kind_of(KIND)) else sentence(ConfigError(text))


# --- what is done with one ---------------------------------------------------------------------------------


async def check(visit: Visit) -> Response:
    """Binds to it once, as an engine would, and says how that went."""
    row = await found(visit)
    desk = visit.services.desk
    outcome = await desk.check(await desk.carriers.find(row.name))
    if visit.live:
        return visit.page("_carrier_check.html", check=outcome, id=row.id)
    (view,) = await views(visit, [row])
    return visit.page(
        "operator_carrier.html",
        carrier=view,
        groups=fields_of(row.kind, row.settings),
        changes=await desk.audit.page(AuditFilter(carrier=row.name), limit=5),
        check=outcome,
    )


async def pause(visit: Visit) -> Response:
    """Gives it nothing more to send."""
    row = await found(visit)
    await visit.services.desk.carriers.pause(row.name)
    return visit.go(f"/operator/carriers/{row.id}", done="carrier-paused")


async def resume(visit: Visit) -> Response:
    """Gives it messages again."""
    row = await found(visit)
    await visit.services.desk.carriers.resume(row.name)
    return visit.go(f"/operator/carriers/{row.id}", done="carrier-resumed")


async def ask_remove(visit: Visit) -> Response:
    """What removing would do."""
    row = await found(visit)
    (view,) = await views(visit, [row])
    return visit.page("operator_carrier_remove.html", carrier=view)


async def remove(visit: Visit) -> Response:
    """Takes it out of service for good."""
    row = await found(visit)
    await visit.services.desk.carriers.remove(row.name)
    return visit.go("/operator/carriers", done="carrier-removed")


async def orphans(visit: Visit) -> Response:
    """Its receipts that match nothing."""
    row = await found(visit)
    before = visit.key("before")
    lines = await visit.services.desk.carriers.orphans(row.id, before=before, limit=PAGE + 1)
    more = len(lines) > PAGE
    lines = lines[:PAGE]
    return visit.page(
        "operator_orphans.html",
        row=row,
        lines=lines,
        first=before is None,
        next_before=lines[-1].id if more else None,
    )


NAV = Nav("Carriers", "/operator/carriers", "carriers")
NOTICES = {
    "carrier-added": "The carrier is there. Running engines bind to it within 5 seconds.",
    "carrier-changed": "Saved. Running engines follow within 5 seconds.",
    "carrier-paused": "Paused. It is given nothing more; its binds stay up, so receipts and replies still come.",
    "carrier-resumed": "It is given messages again.",
    "carrier-removed": "It is out of service. What waited for it goes to the other carriers.",
}
PAGES = (
    at("/carriers", listing),
    at("/carriers/new", new, make),
    at("/carriers/{id}", show),
    at("/carriers/{id}/edit", edit, change),
    at("/carriers/{id}/check", post=check),
    at("/carriers/{id}/pause", post=pause),
    at("/carriers/{id}/resume", post=resume),
    at("/carriers/{id}/remove", ask_remove, remove),
    at("/carriers/{id}/unmatched", orphans),
)
