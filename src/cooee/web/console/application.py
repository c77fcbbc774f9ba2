"""The console behind its door: finds the page, lets the visitor in, turns errors into pages."""

from __future__ import annotations

import traceback
from collections.abc import MutableMapping
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router

from cooee.model.errors import (
    NO_CAMPAIGN,
    NO_LIST,
    SUSPENDED,
    ApiError,
    ConfigError,
    StoreError,
    StoreUnavailable,
)
from cooee.service.audit import Actor, acting
from cooee.web.console import ConsoleServices, ConsoleSettings, Receive, Scope, Send
from cooee.web.console.assets import Assets
from cooee.web.console.look import Look
from cooee.web.console.pages import MODULES, OPERATOR_MODULES
from cooee.web.console.security import (
    FIELD,
    HEADER,
    HEADERS,
    fresh_token,
    same_origin,
    token_fits,
)
from cooee.web.console.visit import UPLOAD, Handler, NotFound, Page, Refused, SignIn, Visit, Who

if TYPE_CHECKING:
    from cooee.service.sessions import Guest

log = structlog.get_logger()

MAX_FIELDS = 1000
ENTRANCES = ("/", "/operator")


class _TooLarge(Exception):
    pass


def _bounded(receive: Receive, limit: int) -> Receive:
    """Takes a body of up to `limit` octets, however it is sent."""
    taken = 0

    async def bounded() -> MutableMapping[str, Any]:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise _TooLarge
        return message

    return bounded


class Application:
    """ASGI."""

    def __init__(self, services: ConsoleServices, settings: ConsoleSettings) -> None:
        self._services = services
        self._settings = settings
        self._assets = Assets()
        modules = [*MODULES, *OPERATOR_MODULES]
        self._look = Look(
            self._assets,
            nav=[module.NAV for module in MODULES if hasattr(module, "NAV")],
            operator_nav=[module.NAV for module in OPERATOR_MODULES if hasattr(module, "NAV")],
            notices={key: text for module in modules for key, text in getattr(module, "NOTICES", {}).items()},
        )
        self.pages: list[Page] = [
            page for module in modules for page in module.PAGES if page.there is None or page.there(settings)
        ]
        self._shown = {page.path for page in self.pages if page.get is not None}
        routes = [self._route(page) for page in self.pages]
        routes.append(Route("/static/{digest}/{name:path}", self._assets.respond))
        self._router = Router(routes, default=self._missing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def strict(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = list(message["headers"])
                headers.extend(HEADERS)
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
            await send(message)

        try:
            await self._router(scope, receive, strict)
        except (ClientDisconnect, OSError):
            return

    # --- the way to a handler --------------------------------------------------------------------------------

    def _route(self, page: Page) -> Route:
        async def endpoint(request: Request) -> Response:
            return await self._respond(page, request)

        path = page.path.replace("{id}", "{id:int}").replace("{number}", "{number:int}")
        return Route(path, endpoint, methods=["GET", "POST"])

    async def _missing(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def missing(visit: Visit) -> Response:
            raise NotFound

        page = Page(scope["path"], get=missing, post=missing, who=Who.ANYONE)
        response = await self._respond(page, Request(scope, receive, send), checks=False)
        await response(scope, receive, send)

    async def _respond(self, page: Page, request: Request, *, checks: bool = True) -> Response:
        limit = self._settings.upload_limit if page.takes == UPLOAD else page.takes
        request = Request(request.scope, _bounded(request.receive, limit))
        visit = Visit(request, self._services, self._settings, self._look, None, "")
        visit.operator_side = request.url.path == "/operator" or request.url.path.startswith("/operator/")
        door = request.cookies.get(visit.cookies.door, "")
        visit.cookie = door or fresh_token()
        try:
            handler = self._handler(page, request)
            await self._recognise(visit)
            if checks:
                await self._admit(page, visit)
                if request.method == "POST":
                    await self._read_form(visit, limit)
            with acting(_actor(visit)):
                response = await handler(visit)
        except SignIn:
            response = self._to_sign_in(visit)
        except (ClientDisconnect, OSError):
            raise
        except Exception as error:
            response = self._error(visit, error)
        finally:
            await visit.form.close()
        if visit.guest is None and not door:
            visit.cookies.set_door(response, visit.cookie)
        return response

    def _handler(self, page: Page, request: Request) -> Handler:
        handler = page.post if request.method == "POST" else page.get or self._above(page.path)
        if handler is None or request.method not in ("GET", "HEAD", "POST"):
            raise HTTPException(405)
        return handler

    def _above(self, path: str) -> Handler:
        """Leads from an address that only takes forms to the page above it. A page that refused a form has such an
        address: its filter, pager and theme switch lead there, and so does a reload from the address bar.
        """
        steps = 0
        while path not in self._shown:
            path = path.rpartition("/")[0] or "/"
            steps += 1

        async def above(visit: Visit) -> Response:
            url = visit.request.url
            target = "/".join(url.path.split("/")[:-steps]) or "/"
            return RedirectResponse(f"{target}?{url.query}" if url.query else target, 303)

        return above

    async def _recognise(self, visit: Visit) -> None:
        visit.guest = await self._guest(visit, operator=visit.operator_side)
        if visit.guest is not None:
            visit.cookie = visit.guest.token

    async def _guest(self, visit: Visit, *, operator: bool) -> Guest | None:
        cookies = visit.cookies
        token = visit.request.cookies.get(cookies.operator if operator else cookies.session)
        return None if token is None else await self._services.sessions.find(token, operator=operator)

    async def _admit(self, page: Page, visit: Visit) -> None:
        if page.who is not Who.ANYONE and visit.guest is None:
            # Whoever is signed in on the other side only is told nothing of what there is on this one, except at
            # its entrance.
            if page.path not in ENTRANCES and await self._guest(visit, operator=not visit.operator_side):
                raise NotFound
            raise SignIn
        if visit.request.method == "POST" and not same_origin(visit.request):
            raise Refused("This form was sent by a page of another site, so nothing was done.", 403)

    @staticmethod
    async def _read_form(visit: Visit, limit: int) -> None:
        request = visit.request
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared) > limit:
            raise _TooLarge
        visit.form = await request.form(max_files=1, max_fields=MAX_FIELDS, max_part_size=limit)
        given = request.headers.get(HEADER) or visit.text(FIELD)
        if not token_fits(visit.cookie, given):
            raise Refused("This page has gone stale, so nothing was done. Go back, reload it, and try again.", 403)

    def _to_sign_in(self, visit: Visit) -> Response:
        request = visit.request
        door = "/operator/sign-in" if visit.operator_side else "/sign-in"
        if visit.live:
            return Response(status_code=200, headers={"HX-Redirect": door})
        if request.method in ("GET", "HEAD") and request.url.path not in ("/", "/operator"):
            back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"{door}?next={quote(back)}", 303)
        return RedirectResponse(door, 303)

    # --- errors ------------------------------------------------------------------------------------------------

    def _error(self, visit: Visit, error: Exception) -> Response:
        request_id = token_hex(8)
        title, text, status = _words(error)
        if status >= 500:
            frames = traceback.extract_tb(error.__traceback__)[-6:]
            where = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
            log.error("console_request_failed", request_id=request_id, error=type(error).__name__, where=where)
        response = visit.page("error.html", status, title=title, text=text, request_id=request_id)
        if isinstance(error, ApiError) and error.retry_after is not None:
            response.headers["retry-after"] = str(error.retry_after)
        if status == 405:
            response.headers["allow"] = "GET, POST"
        return response


def _actor(visit: Visit) -> Actor | None:
    """Whom the audit log names for what a handler changes."""
    guest = visit.guest
    if guest is None:
        return None
    if guest.operator is not None:
        return Actor("operator", guest.operator.name, visit.address)
    return Actor("account", guest.account.name, visit.address) if guest.account is not None else None


def _words(error: Exception) -> tuple[str, str, int]:
    """Title, what to do, and HTTP status."""
    missing = (
        "There is nothing here",
        "The address may be mistyped, or what it named is gone. Nothing of yours was changed.",
        404,
    )
    match error:
        case NotFound():
            return missing
        case ApiError() if error.code in (NO_CAMPAIGN, NO_LIST):
            return missing
        case ApiError() if error.code is SUSPENDED:
            return "This account is suspended", "Ask whoever runs this installation; nothing of it is sent.", 403
        case ApiError():
            return "That cannot be done", f"{error}.", error.code.http if not error.code.business else 400
        case ConfigError():
            return "That cannot be done", f"{str(error)[:1].upper()}{str(error)[1:]}.", 400
        case Refused():
            return "That cannot be done", str(error), error.status
        case _TooLarge():
            return "That is too large", "Send less at once: split the file, or upload it as a list in pieces.", 413
        case HTTPException() if error.status_code == 405:
            return "Not that way", "This address does not take what was sent to it.", 405
        case HTTPException():
            return "That cannot be read", "What was sent is no form that this page can read.", error.status_code
        case StoreUnavailable():
            return (
                "The database is away for a moment",
                "Nothing was changed. Wait a few seconds and reload this page.",
                503,
            )
        case StoreError():
            return (
                "Nobody knows whether that was done",
                "The database connection broke while it was being saved. Look before you do it again.",
                500,
            )
        case _:
            return (
                "Something broke on our side",
                "Try again. If it stays, tell whoever runs this installation the request id below.",
                500,
            )
