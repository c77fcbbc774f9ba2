"""The console on a real port, on a clock that stands still, and a browser without a screen: cookies and forms."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from cooee.app import console
from cooee.config import Settings
from cooee.model.account import Account
from cooee.model.inbound import ReplyKind
from cooee.model.message import MessageState
from cooee.service.carriers import Carriers
from cooee.service.codes import load_codes
from cooee.service.operators import Operators
from cooee.store import replies
from cooee.store.database import Tx
from cooee.store.ids import Ids
from cooee.store.replies import NewReply
from cooee.store.secrets import Secrets
from tests.api.support_api import PASSWORD, Server

OPERATOR = "kim"
HANDSET = 61400123456
NUMBER = "61400190499"


class Site(Server):
    """An API server with the console beside it."""

    def operator(self, name: str = OPERATOR, password: str = PASSWORD) -> None:
        """Adds an operator."""
        self.run(self.operators.add(name, password))

    @property
    def operators(self) -> Operators:
        return Operators(self.database, Ids(self.database), self.clock, self.accounts)

    @property
    def carriers(self) -> Carriers:
        return Carriers(self.database, Ids(self.database), self.clock, Secrets(bytes(32), Path("no.key")))


@contextmanager
def site(url: str, settings: Settings | None = None) -> Iterator[Site]:
    """A running site on the database of `url`; `settings` as a node would have them."""
    chosen = settings or Settings(webhook_allow_private=True, signup="email")
    undo = AsyncExitStack()

    def make(server: Any, campaigns: Any, audience: Any, ids: Any) -> Any:
        return console.make(
            chosen,
            server.database,
            ids,
            server.clock,
            accounts=server.accounts,
            operators=Operators(server.database, ids, server.clock, server.accounts),
            campaigns=campaigns,
            audience=audience,
            carriers=server.carriers,
            codes=load_codes(""),
            replies=server.replies,
            optouts=server.optouts,
            secrets=Secrets(b"k" * 32, Path("key")),
            undo=undo,
        )[0]

    running = Site(url, console=make)
    with running:
        try:
            yield running
        finally:
            running.run(undo.aclose())


class _Page(HTMLParser):
    """Forms, links and resources of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.resources: list[str] = []
        self.forms: list[dict[str, Any]] = []
        self.polled: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in ("script", "img") and "src" in values:
            self.resources.append(values["src"])
        if tag == "link":
            self.resources.append(values["href"])
        if tag == "form":
            self.forms.append({**values, "fields": {}})
        if tag == "input" and self.forms and values.get("name"):
            if values.get("type") in ("checkbox", "radio") and "checked" not in values:
                return
            self.forms[-1]["fields"][values["name"]] = values.get("value", "")
        for name in ("hx-get", "hx-post"):
            if name in values:
                self.polled.append(values[name])


@dataclass
class Shown:
    """A response as a browser has it."""

    url: str
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def words(self) -> str:
        """What a person reads: without tags, white space in a row as one space."""
        inside = re.sub(r"<(script|style)\b.*?</\1>", " ", self.text, flags=re.DOTALL)
        words = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", inside))).strip()
        return re.sub(r" ([:;,.])", r"\1", words)

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name]
        return found[0] if found else None

    @property
    def page(self) -> _Page:
        parsed = _Page()
        parsed.feed(self.text)
        return parsed

    @property
    def csrf(self) -> str:
        found = re.search(r'"X-CSRF-Token": "([0-9a-f]{64})"', self.text)
        assert found is not None, self.text[:500]
        return found[1]


@dataclass
class Browser:
    """Keeps cookies and the token of the last page; follows redirects."""

    site: Server
    cookies: dict[str, tuple[str, str]] = field(default_factory=dict)
    csrf: str = ""

    def send(
        self,
        method: str,
        url: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        follow: bool = True,
    ) -> Shown:
        """One request and, with `follow`, those that it redirects to."""
        for _ in range(5):
            shown = self._once(method, url, body, headers or {})
            target = shown.header("location")
            if not follow or shown.status not in (301, 302, 303) or target is None:
                return shown
            method, url, body = "GET", urljoin(url, target), None
        raise AssertionError(f"redirected in circles: {url}")

    def _once(
        self, method: str, url: str, body: bytes | Iterator[bytes] | None, headers: Mapping[str, str]
    ) -> Shown:
        path = urlsplit(url).path
        sent = dict(headers)
        cookies = [f"{name}={value}" for name, (value, under) in self.cookies.items() if path.startswith(under)]
        if cookies:
            sent["Cookie"] = "; ".join(cookies)
        connection = self._connection()
        try:
            connection.request(method, url, body, sent)
            response = connection.getresponse()
            shown = Shown(url, response.status, response.getheaders(), response.read())
        finally:
            connection.close()
        for name, value in shown.headers:
            if name.lower() == "set-cookie":
                self._keep(value)
        if shown.status < 500 and "text/html" in (shown.header("content-type") or "") and "<html" in shown.text:
            self.csrf = shown.csrf
        return shown

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=30)

    def _keep(self, value: str) -> None:
        first, *rest = value.split("; ")
        name, _, content = first.partition("=")
        attributes = {part.partition("=")[0].lower(): part.partition("=")[2] for part in rest}
        if attributes.get("max-age") == "0":
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = (content.strip('"'), attributes.get("path", "/"))

    def get(self, url: str, *, follow: bool = True, headers: Mapping[str, str] | None = None) -> Shown:
        return self.send("GET", url, headers=headers, follow=follow)

    def post(
        self,
        url: str,
        fields: Mapping[str, object] | Sequence[tuple[str, object]] = (),
        *,
        follow: bool = True,
        csrf: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Shown:
        """Sends a form as the last page's would be."""
        pairs = list(fields.items()) if isinstance(fields, Mapping) else list(fields)
        pairs.append(("csrf", self.csrf if csrf is None else csrf))
        sent = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return self.send("POST", url, urlencode(pairs).encode(), sent, follow=follow)

    def upload(
        self, url: str, fields: Mapping[str, object], name: str, content: bytes, *, field: str = "file"
    ) -> Shown:
        """Sends a form with a file."""
        mark = "----cooee-test-boundary"
        parts = [
            f'--{mark}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
            for key, value in [*fields.items(), ("csrf", self.csrf)]
        ]
        head = f'--{mark}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        parts.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n")
        body = b"".join(parts) + f"--{mark}--\r\n".encode()
        return self.send("POST", url, body, {"Content-Type": f"multipart/form-data; boundary={mark}"})

    def sign_in(self, name: str, password: str = PASSWORD) -> Shown:
        """Through the form."""
        self.get("/sign-in")
        return self.post("/sign-in", {"name": name, "password": password})

    def sign_in_operator(self, name: str = OPERATOR, password: str = PASSWORD) -> Shown:
        self.get("/operator/sign-in")
        return self.post("/operator/sign-in", {"name": name, "password": password})


@dataclass
class Person:
    """Somebody who has signed in to an account of their own."""

    site: Site
    account: Account
    browser: Browser

    def campaign(self, **changes: Any) -> int:
        """Creates a campaign through the API; its id."""
        from tests.api.support_api import Client

        client = Client(self.site, self.account.name, self.account)
        answer = client.create(**changes)
        assert answer.code == 0, answer.json
        found = answer.json["CampaignId"]
        assert isinstance(found, int)
        return found

    def settle(self, campaign_id: int, outcomes: Sequence[tuple[int, MessageState, int]]) -> None:
        """Gives the first recipients of a campaign's only batch an outcome, as an engine would."""
        self.site.settle(self.account, campaign_id, outcomes, self.site.clock.now_ms())

        async def mark(tx: Any) -> None:
            for sql in (
                f"UPDATE batch SET marked = {len(outcomes)} WHERE campaign_id = {campaign_id}",
                f"UPDATE campaign SET state = 3, started_at = created_at WHERE id = {campaign_id}",
            ):
                if tx.engine == "sqlite":
                    tx.connection.execute(sql)
                else:
                    await tx.connection.execute(sql)

        self.site.run(self.site.database.write(mark))

    def get(self, url: str) -> Shown:
        return self.browser.get(url)

    def post(self, url: str, fields: Mapping[str, object] | Sequence[tuple[str, object]] = ()) -> Shown:
        return self.browser.post(url, fields)


def person(running: Site, **settings: Any) -> Person:
    """A new account, signed in."""
    client = running.account(**settings)
    browser = Browser(running)
    shown = browser.sign_in(client.name)
    assert shown.status == 200, shown.words
    assert shown.url == "/", shown.url
    return Person(running, client.account, browser)


_reply_ids = iter(range(5_000_000, 6_000_000))


def came(
    who: Person,
    text: str,
    *,
    handset: int | None = HANDSET,
    originator: str = "",
    kind: ReplyKind = ReplyKind.REPLY,
    campaign: int | None = None,
    recipient: str = NUMBER,
) -> int:
    """A reply that was stored just now; its id."""
    who.site.clock.advance(1)
    reply_id = next(_reply_ids)
    now = who.site.clock.now_ms()
    new = NewReply(
        account_id=who.account.id,
        id=reply_id,
        received_at=now,
        carrier_id=1,
        originator=originator or str(handset),
        handset=handset,
        recipient=recipient,
        body=text,
        kind=kind,
        parts=1,
        missing=0,
        campaign_id=campaign,
        reference="",
    )

    async def add(tx: Tx) -> None:
        await replies.add(tx, [new], now)

    who.site.run(who.site.database.write(add))
    return reply_id
