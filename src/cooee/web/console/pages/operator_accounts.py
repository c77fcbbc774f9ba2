"""Accounts: the list, a new one, and one of them at a glance."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from cooee.model.account import Account, AccountState
from cooee.model.errors import ConfigError
from cooee.service.audit import AuditFilter
from cooee.web.console.account_form import PERMISSIONS, AccountForm, form_of, read_form, sentence, whole
from cooee.web.console.pages.settings import zones
from cooee.web.console.visit import Nav, NotFound, Page, Visit, Who

PAGE = 50
STATES = {"active": AccountState.ACTIVE, "suspended": AccountState.SUSPENDED}


async def listing(visit: Visit) -> Response:
    """Accounts by name; the filter is in the address."""
    accounts = visit.services.accounts
    word, state, after = visit.query("q").strip()[:64], visit.query("state"), visit.query("after")[:64]
    parent_id = visit.key("parent")
    parent = await accounts.by_id(parent_id) if parent_id is not None else None
    lines = await accounts.page(
        after=after.replace("\0", ""),
        word=word.replace("\0", ""),
        state=STATES.get(state),
        parent_id=parent_id,
        limit=PAGE + 1,
    )
    more = len(lines) > PAGE
    lines = lines[:PAGE]
    signups = visit.services.signups
    waiting = await signups.count()
    return visit.page(
        "operator_accounts.html",
        signups=waiting if waiting or signups.rules.on else None,
        lines=lines,
        q=word,
        state=state,
        states=STATES,
        parent=parent,
        first=not after,
        filtered=bool(word or state in STATES or parent is not None),
        next_after=lines[-1].name if more else None,
    )


async def found(visit: Visit) -> Account:
    """The account of the path."""
    account = await visit.services.accounts.by_id(visit.number("id"))
    if account is None:
        raise NotFound
    return account


async def show(visit: Visit) -> Response:
    """One account at a glance."""
    account = await found(visit)
    view = await visit.services.accounts.show(account.name, ledger=5)
    children = await visit.services.accounts.page(parent_id=account.id, limit=11)
    changes = await visit.services.desk.audit.page(AuditFilter(account=account.name), limit=5)
    return visit.page(
        "operator_account.html",
        found=account,
        view=view,
        children=children,
        changes=changes,
        trial=await visit.services.signups.trial_of(account),
        permissions=PERMISSIONS,
    )


async def new(visit: Visit) -> Response:
    """The form for a new account."""
    form = form_of()
    parent_id = visit.key("parent")
    if parent_id is not None:
        parent = await visit.services.accounts.by_id(parent_id)
        form.values["parent"] = parent.name if parent is not None else ""
    return _new(visit, form, name="", credits="")


def _new(visit: Visit, form: AccountForm, *, name: str, credits: str, status: int = 200) -> Response:
    return visit.page(
        "operator_account_new.html",
        status,
        form=form,
        permissions=PERMISSIONS,
        zones=zones(),
        name=name,
        credits=credits,
    )


async def make(visit: Visit) -> Response:
    """A new account."""
    form = read_form(visit)
    name, credits = visit.text("name"), visit.text("credits").strip()[:20]
    opening = 0
    try:
        opening = whole(credits or "0")
    except ConfigError as error:
        form.problems["credits"] = sentence(error)
    if visit.text("password") != visit.text("again"):
        form.problems["password"] = "The password was not typed the same way twice."  # noqa: S105 (a sentence)
    if not form.problems:
        try:
            account = await visit.services.accounts.add(
                name,
                visit.text("password"),
                credits=opening,
                parent=form.values["parent"] or None,
                **form.settings,
            )
        except ConfigError as error:
            form.problems["all"] = sentence(error)
        else:
            return visit.go(f"/operator/accounts/{account.id}", done="account-added")
    return _new(visit, form, name=name[:64], credits=credits, status=400)


async def settings(visit: Visit) -> Response:
    """The form with every setting."""
    account = await found(visit)
    view = await visit.services.accounts.show(account.name, ledger=0)
    return _settings(visit, account, form_of(account, view.parent or ""))


def _settings(visit: Visit, account: Account, form: AccountForm, status: int = 200) -> Response:
    return visit.page(
        "operator_account_settings.html",
        status,
        found=account,
        form=form,
        permissions=PERMISSIONS,
        zones=zones(),
    )


async def change(visit: Visit) -> Response:
    """Writes every setting of the form."""
    account = await found(visit)
    form = read_form(visit)
    if not form.problems:
        try:
            await visit.services.accounts.set(account.name, parent=form.values["parent"], **form.settings)
        except ConfigError as error:
            form.problems["all"] = sentence(error)
        else:
            return visit.go(f"/operator/accounts/{account.id}/settings", done="account-saved")
    return _settings(visit, account, form, 400)


async def access(visit: Visit) -> Response:
    """Its password, and whether it may do anything at all."""
    return await _access(visit, await found(visit))


async def _access(visit: Visit, account: Account, problem: str | None = None, status: int = 200) -> Response:
    view = await visit.services.accounts.show(account.name, ledger=0)
    return visit.page("operator_account_access.html", status, found=account, view=view, problem=problem)


async def suspend(visit: Visit) -> Response:
    """Nothing of it moves from now on."""
    account = await found(visit)
    await visit.services.accounts.suspend(account.name)
    return visit.go(f"/operator/accounts/{account.id}/access", done="account-suspended")


async def resume(visit: Visit) -> Response:
    """It goes on where it stopped."""
    account = await found(visit)
    await visit.services.accounts.unsuspend(account.name)
    return visit.go(f"/operator/accounts/{account.id}/access", done="account-resumed")


async def set_password(visit: Visit) -> Response:
    """Another password; everybody who is signed in with the old one is signed out."""
    account = await found(visit)
    if visit.text("new") != visit.text("again"):
        return await _access(visit, account, "The password was not typed the same way twice.", 400)
    try:
        await visit.services.accounts.set_password(account.name, visit.text("new"))
    except ConfigError as error:
        return await _access(visit, account, sentence(error), 400)
    return visit.go(f"/operator/accounts/{account.id}/access", done="account-password")


def at(path: str, get: Any = None, post: Any = None) -> Page:
    """A page of operators."""
    return Page(f"/operator{path}", get, post, who=Who.OPERATOR)


NAV = Nav("Accounts", "/operator", "accounts")
NOTICES = {
    "account-added": "The account is there. Give its people the name and the password.",
    "account-saved": "Saved. Running servers follow within 5 seconds.",
    "account-suspended": "Suspended. Its logins are refused and nothing of it is handed over any more.",
    "account-resumed": "It is active again, and goes on where it stopped.",
    "account-password": "The password is changed. The old one stops working within 5 seconds.",
}
PAGES = (
    at("", listing),
    at("/accounts/new", new, make),
    at("/accounts/{id}", show),
    at("/accounts/{id}/settings", settings, change),
    at("/accounts/{id}/access", access),
    at("/accounts/{id}/suspend", post=suspend),
    at("/accounts/{id}/resume", post=resume),
    at("/accounts/{id}/password", post=set_password),
)
