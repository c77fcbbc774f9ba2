"""The web console: server-rendered pages beside the REST API.

`Console` is an ASGI application that costs next to nothing until the first page is asked for: only then are the
pages, their templates and the libraries behind them read. A page is one module in `pages/` and its templates; see
`pages/__init__.py` for how one is added.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cooee.model.clock import Clock
    from cooee.model.codetable import CodeTable
    from cooee.model.signup import Mode
    from cooee.service.accounts import Accounts
    from cooee.service.audience import Audience
    from cooee.service.campaigns import Campaigns
    from cooee.service.conversations import Conversations
    from cooee.service.drafts import Drafts
    from cooee.service.history import History
    from cooee.service.imports import Imports
    from cooee.service.operators import Operators
    from cooee.service.optouts import Optouts
    from cooee.service.recipients import Recipients
    from cooee.service.replies import Replies
    from cooee.service.sessions import Sessions
    from cooee.service.signups import Signups
    from cooee.service.stories import Stories
    from cooee.service.trails import Trails
    from cooee.service.webhooks import ReplyWebhooks
    from cooee.web.console.desk import Desk

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ConsoleServices:
    """What pages call."""

    accounts: Accounts
    audience: Audience
    campaigns: Campaigns
    desk: Desk
    codes: CodeTable
    conversations: Conversations
    drafts: Drafts
    history: History
    imports: Imports
    operators: Operators
    optouts: Optouts
    recipients: Recipients
    replies: Replies
    sessions: Sessions
    signups: Signups
    stories: Stories
    trails: Trails
    webhooks: ReplyWebhooks
    clock: Clock


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """What an operator may set. `https`: people come over TLS; `simulated`: nothing reaches a real phone;
    `upload_limit`: octets of a file, and of a whole request; `signup`: whether strangers may sign up, and how."""

    https: bool = False
    simulated: bool = False
    upload_limit: int = 64 * 1024 * 1024
    signup: Mode = "off"


class Console:
    """The ASGI application; builds the real one with the first request."""

    def __init__(self, services: ConsoleServices, settings: ConsoleSettings) -> None:
        self._services = services
        self._settings = settings
        self._pages: Any = None
        self._building = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._pages is None:
            async with self._building:
                if self._pages is None:
                    # Reading the libraries takes a quarter of a second: not on the loop that answers the API.
                    self._pages = await asyncio.to_thread(_build, self._services, self._settings)
        await self._pages(scope, receive, send)


def _build(services: ConsoleServices, settings: ConsoleSettings) -> Any:
    from cooee.web.console.application import Application

    return Application(services, settings)
