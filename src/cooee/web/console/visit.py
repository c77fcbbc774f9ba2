"""What a page is, and what its handler is given.

A page is a `Page`: a path, who may see it, and a handler for GET and for POST. Before a handler runs, its visitor
is known, a form is read and its token checked; whatever it raises becomes an error page. So a handler only asks
the services and answers with `visit.page(…)` or `visit.go(…)`.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from cooee.model.account import Account
from cooee.model.clock import zone
from cooee.web.console.security import Cookies

if TYPE_CHECKING:
    from cooee.service.sessions import Guest
    from cooee.store.sessions import OperatorRow
    from cooee.web.console import ConsoleServices, ConsoleSettings
    from cooee.web.console.look import Look

FORM = 256 * 1024
"""Octets that a form may have, unless its page says otherwise."""
UPLOAD = -1
"""As many as the settings allow."""
MAX_ID = 2**53


class Who(enum.Enum):
    """Who may see a page."""

    ANYONE = enum.auto()
    ACCOUNT = enum.auto()
    OPERATOR = enum.auto()


@dataclass(frozen=True, slots=True)
class Nav:
    """A line of the navigation. `icon` is a name in templates/_icons.html."""

    label: str
    path: str
    icon: str


Handler = Callable[["Visit"], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """One address. `path` may hold {id} and {number}, whole numbers. `takes` bounds a POST, in octets. Where
    `there` says no of the settings, there is no such page."""

    path: str
    get: Handler | None = None
    post: Handler | None = None
    who: Who = Who.ACCOUNT
    takes: int = FORM
    there: Callable[[ConsoleSettings], bool] | None = None


class NotFound(Exception):
    """There is no such thing, or it is somebody else's: that looks the same."""


class Refused(Exception):
    """A request that a person should hear about: `str()` says what is wrong and what to do."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class SignIn(Exception):
    """Nobody is signed in."""


@dataclass(slots=True)
class Visit:
    """A request, its visitor and what is at hand."""

    request: Request
    services: ConsoleServices
    settings: ConsoleSettings
    look: Look
    guest: Guest | None
    cookie: str
    """What form tokens are made from: the session's token, else that of the door."""
    operator_side: bool = False
    form: FormData = field(default_factory=FormData)

    @property
    def account(self) -> Account:
        """The signed-in account."""
        if self.guest is None or self.guest.account is None:
            raise SignIn
        return self.guest.account

    @property
    def operator(self) -> OperatorRow:
        """The signed-in operator."""
        if self.guest is None or self.guest.operator is None:
            raise SignIn
        return self.guest.operator

    @property
    def zone(self) -> ZoneInfo:
        """The zone of times on the page."""
        if self.guest is not None and self.guest.account is not None:
            return self.guest.account.zone
        return zone("UTC")

    @property
    def address(self) -> str:
        """The client's address."""
        client = self.request.client
        return client.host if client else ""

    @property
    def https(self) -> bool:
        """Whether the visitor comes over TLS: the settings say so, or a trusted proxy."""
        return self.settings.https or self.request.scope.get("scheme") == "https"

    @property
    def cookies(self) -> Cookies:
        """The console's cookies as this visitor has them."""
        return Cookies(https=self.https, life_s=self.services.sessions.life_s)

    @property
    def live(self) -> bool:
        """Whether htmx asks, for a part of a page."""
        return self.request.headers.get("hx-request") == "true"

    def query(self, name: str) -> str:
        """A value of the address, "" where it is missing."""
        return self.request.query_params.get(name, "")

    def number(self, name: str) -> int:
        """A whole number in the path; NotFound where nothing can have it."""
        value = str(self.request.path_params[name])
        if len(value) > 16 or not 0 < int(value) <= MAX_ID:
            raise NotFound
        return int(value)

    def key(self, name: str) -> int | None:
        """A whole number in the address, for a page's beginning; None where there is none."""
        value = self.query(name)
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 16 else None

    def link(self, **changes: object) -> str:
        """This page's address with other values; None takes one away."""
        kept = {name: value for name, value in self.request.query_params.items() if name != "done"}
        kept |= {name: str(value) for name, value in changes.items()}
        kept = {name: value for name, value in kept.items() if changes.get(name, "") is not None}
        return f"{self.request.url.path}?{urlencode(kept)}" if kept else self.request.url.path

    def text(self, name: str) -> str:
        """A field of the form, "" where it is missing."""
        value = self.form.get(name)
        return value.replace("\r\n", "\n") if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """Every value of a field that may come several times."""
        return [value for value in self.form.getlist(name) if isinstance(value, str)]

    def upload(self, name: str) -> UploadFile | None:
        """A file of the form; None where none was chosen."""
        value = self.form.get(name)
        return value if isinstance(value, UploadFile) and value.filename else None

    def file_again(self, name: str) -> str | None:
        """What to say where a form comes back that a file was chosen for; None where none was."""
        upload = self.upload(name)
        if upload is None:
            return None
        return f"Choose {(upload.filename or '')[:80]} again: a form that comes back cannot keep a file."

    def page(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page, or a part of one."""
        return HTMLResponse(self.look.render(template, self, values), status)

    def go(self, path: str, done: str | None = None, **query: object) -> Response:
        """To another page, which says what was `done`: a key of some page module's NOTICES."""
        if done is not None:
            query["done"] = done
        target = f"{path}?{urlencode(query)}" if query else path
        if self.live:
            return Response(status_code=204, headers={"HX-Redirect": target})
        return RedirectResponse(target, 303)

    def download(self, name: str, rows: AsyncIterator[bytes], media_type: str = "text/csv") -> StreamingResponse:
        """A file, written as it is read."""
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(rows, headers=headers, media_type=f"{media_type}; charset=utf-8")


Notices = Mapping[str, str]
