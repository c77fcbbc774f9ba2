"""The HTTP door: raw ASGI, one flat table of resources (wire contract §1).

Checks come in this order, and the first that fails answers: path, method, authentication, size, JSON, Action, and
then what the resource itself asks for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from cooee.model.clock import Clock
from cooee.model.codetable import CodeTable
from cooee.model.errors import BAD_ACTION, BAD_METHOD, NO_RESOURCE, TOO_LARGE, ApiError
from cooee.model.metrics import REQUESTS
from cooee.service.accounts import Accounts
from cooee.service.audience import Audience
from cooee.service.optouts import Optouts
from cooee.service.recipients import LARGE, Recipients
from cooee.service.replies import Replies
from cooee.service.reports import Reports
from cooee.web import account, audience, campaign, delivery, health, optouts, replies
from cooee.web.body import Buffer, Disconnected, Places, Receive, Room, drain, read_body, split_fields
from cooee.web.cors import Cors
from cooee.web.documents import Documents
from cooee.web.request import Answer, CampaignActions, Fields, Handler, Request, Services
from cooee.web.respond import (
    NO_CONTENT,
    Header,
    Refusal,
    Send,
    Streamed,
    refusal_of,
    send_answer,
    send_bytes,
    send_streamed,
)
from cooee.web.witness import send_witnessed

log = structlog.get_logger()

Scope = MutableMapping[str, Any]
MAX_KEY = 255
LINGER_S = 5.0
"""How long a client that sends too much is listened to, so that it reads the answer."""


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """What an operator may set. `cors_origins` are origins such as https://example.org, or `*` for any."""

    body_limit: int = 64 * 1024 * 1024
    cors_origins: tuple[str, ...] = ()
    error_http_status: int = 200


@dataclass(frozen=True, slots=True)
class Resource:
    """One name under /api: either what its actions call, or one handler; perhaps another for GET."""

    name: str
    actions: Mapping[str, Handler] | None = None
    handler: Handler | None = None
    get: Handler | None = None
    may_be_empty: bool = False

    @property
    def methods(self) -> str:
        """For the Allow header."""
        return "GET, POST" if self.get else "POST"


RESOURCES = (
    Resource(
        "campaign",
        actions={
            "create": campaign.create,
            "modify": campaign.modify,
            "status": campaign.status,
            "pause": campaign.pause,
            "unpause": campaign.unpause,
            "delete": campaign.delete,
        },
    ),
    Resource(
        "crm",
        actions={
            "list": audience.overview,
            "details": audience.details,
            "create": audience.create,
            "append": audience.append,
            "remove": audience.remove,
            "delete": audience.delete,
        },
    ),
    Resource("drstatus", handler=delivery.delivery_status),
    Resource("retrieveusersettings", handler=account.user_settings, may_be_empty=True),
    Resource("credits", actions={"add": account.add_credits}, get=account.balance),
    Resource("replies", handler=replies.replies, may_be_empty=True),
    Resource("optouts", actions={"add": optouts.add, "delete": optouts.delete, "list": optouts.overview}),
)
_BY_PATH = {f"/api/{resource.name}{slash}": resource for resource in RESOURCES for slash in ("", "/")}


def find_resource(path: str) -> Resource | None:
    """The resource of a path, in any case and with or without a slash at its end."""
    return _BY_PATH.get(path) or _BY_PATH.get(path.lower())


class Api:
    """The ASGI application of the REST API, with /openapi.json and /docs, /healthz, /readyz and /metrics.

    `console` answers every other path, if there is one. `readiness` tells whether this process does its work, and
    the reasons if not; `codes` are the names of message codes for /docs.
    """

    def __init__(
        self,
        *,
        accounts: Accounts,
        campaigns: CampaignActions,
        reports: Reports,
        audience: Audience,
        replies: Replies,
        optouts: Optouts,
        clock: Clock,
        settings: ApiSettings,
        readiness: Callable[[], tuple[bool, dict[str, Any]]],
        metrics: bool = True,
        console: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None,
        codes: CodeTable | None = None,
    ) -> None:
        self._console = console
        self._recipients = Recipients()
        self._services = Services(
            accounts, campaigns, reports, audience, replies, optouts, self._recipients, clock
        )
        self._authenticate = accounts.authenticate
        self._settings = settings
        self._cors = Cors(settings.cors_origins)
        self._pages = health.Pages(readiness, metrics=metrics)
        self._documents = Documents(codes or CodeTable(), settings.error_http_status)
        self._places = Places()

    def close(self) -> None:
        """Ends the thread that checks large lists."""
        self._recipients.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            path: str = scope["path"]
            resource = find_resource(path)
            if resource is not None:
                await self._answer(resource, scope, receive, send)
            elif path.lower() == "/api" or path.lower().startswith("/api/"):
                refusal = refusal_of(ApiError(NO_RESOURCE), 200)
                REQUESTS.inc(1, "none", refusal.code)
                await send_bytes(send, refusal.status, refusal.body)
            elif self._documents.has(path):
                await self._documents.answer(scope["method"], path, send)
            elif self._console is not None and path not in health.PATHS:
                await self._console(scope, receive, send)
            else:
                await self._pages.answer(scope["method"], path, send)
        elif kind == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, resource: Resource, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        extra: tuple[Header, ...] = ()
        if self._cors.active:
            origin = headers.get(b"origin")
            extra = self._cors.headers(origin)
            if scope["method"] == "OPTIONS" and self._cors.names(origin):
                await send_bytes(send, NO_CONTENT, b"", (*extra, *self._cors.preflight(resource.methods)))
                return
        room = Room(self._places)
        try:
            answer = await self._carry_out(resource, scope, headers, receive, room)
        except Disconnected:
            return
        except Exception as error:
            await self._refuse(resource, error, extra, receive, send)
            return
        finally:
            room.leave()
        REQUESTS.inc(1, resource.name, 0)
        if isinstance(answer, Streamed) and answer.sent is not None:
            await send_witnessed(scope, receive, send, answer, extra)
        elif isinstance(answer, Streamed):
            await send_streamed(send, answer, extra, receive)
        else:
            await send_answer(scope, send, answer, extra)

    async def _carry_out(
        self, resource: Resource, scope: Scope, headers: dict[bytes, bytes], receive: Receive, room: Room
    ) -> Answer:
        method: str = scope["method"]
        if method != "POST" and not (method == "GET" and resource.get):
            raise ApiError(BAD_METHOD)
        authorization = headers.get(b"authorization")
        client = scope.get("client")
        who = await self._authenticate(
            None if authorization is None else authorization.decode("latin-1"), client[0] if client else ""
        )
        if resource.get is not None and method == "GET":
            return await resource.get(self._services, Request(who, Fields({}), None, "", room.leave))
        body = await read_body(receive, self._settings.body_limit, headers.get(b"content-length"), room, who.id)
        large = len(body) > LARGE
        if large:
            found = await self._recipients.aside(partial(split_fields, body, may_be_empty=resource.may_be_empty))
        else:
            found = split_fields(body, may_be_empty=resource.may_be_empty)
        fields = Fields(found)
        handler = resource.handler or _action(resource, fields)
        key = digest = None
        if handler is campaign.create and (key := _idempotency_key(headers)) is not None:
            digest = await self._recipients.aside(partial(_digest, body)) if large else _digest(body)
        del body, found

        def release() -> None:
            fields.clear()
            room.leave()

        return await handler(self._services, Request(who, fields, key, digest or "", release))

    async def _refuse(
        self, resource: Resource, error: Exception, extra: tuple[Header, ...], receive: Receive, send: Send
    ) -> None:
        refusal = refusal_of(error, self._settings.error_http_status)
        REQUESTS.inc(1, resource.name, refusal.code)
        if refusal.code == BAD_METHOD.code:
            extra = (*extra, (b"allow", resource.methods.encode()))
        if refusal.code == TOO_LARGE.code:
            await self._refuse_large(refusal, extra, receive, send)
        else:
            await send_bytes(send, refusal.status, refusal.body, (*refusal.headers, *extra))

    async def _refuse_large(
        self, refusal: Refusal, extra: tuple[Header, ...], receive: Receive, send: Send
    ) -> None:
        """Answers at once and closes; who is cut off while sending would never see the answer."""

        async def lingering(message: MutableMapping[str, Any]) -> None:
            if message["type"] != "http.response.body":
                await send(message)
                return
            await send({**message, "more_body": True})
            await drain(receive, self._settings.body_limit, LINGER_S)
            await send({"type": "http.response.body", "body": b""})

        await send_bytes(lingering, refusal.status, refusal.body, (*refusal.headers, *extra))


def _action(resource: Resource, fields: Fields) -> Handler:
    action = fields.text("Action")
    if not action:
        raise ApiError(BAD_ACTION, "Action not specified")
    handler = (resource.actions or {}).get(action.lower())
    if handler is None:
        raise ApiError(BAD_ACTION, f"Unknown action '{action[:40]}'")
    return handler


def _idempotency_key(headers: dict[bytes, bytes]) -> str | None:
    raw = headers.get(b"idempotency-key", b"").strip()
    if not raw:
        return None
    try:
        key = raw.decode("utf-8")
    except UnicodeDecodeError:
        key = raw.decode("latin-1")
    if len(key) > MAX_KEY or "\0" in key:
        raise ApiError.field("Idempotency-Key", f"must be text of at most {MAX_KEY} characters")
    return key


def _digest(body: Buffer) -> str:
    return hashlib.sha256(body).hexdigest()


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
