"""The API on a real port of the loopback interface, in a thread with its own event loop, and a plain client."""

from __future__ import annotations

import asyncio
import base64
import http.client
import itertools
import json
import socket
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvicorn
import uvloop

from cooee.app.http import Watched
from cooee.model.account import Account
from cooee.model.campaign import CampaignState
from cooee.model.clock import ManualClock
from cooee.model.inbound import Reason, ReplyKind
from cooee.model.message import MessageState
from cooee.service.accounts import Accounts
from cooee.service.audience import Audience
from cooee.service.campaigns import Campaigns
from cooee.service.optouts import Optouts
from cooee.service.replies import Replies
from cooee.service.reports import Reports
from cooee.service.routing import Routes
from cooee.store import optouts, replies
from cooee.store.database import Database, Operation, Tx
from cooee.store.ids import Ids
from cooee.store.open import open_database
from cooee.store.replies import NewReply
from cooee.web.api import Api, ApiSettings

T = TypeVar("T")
PASSWORD = "s56sbdyte83fs"
_names = itertools.count(1)
_reply_ids = itertools.count(10**9, -1)


def basic(user: str, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> int:
        found = self.json["Code"]
        assert isinstance(found, int)
        return found


@dataclass
class Server:
    """A running API. `run` executes coroutines on its loop; `clock` is the one everything in it goes by."""

    url: str
    settings: ApiSettings = field(default_factory=ApiSettings)
    clock: ManualClock = field(default_factory=ManualClock)
    readiness: Callable[[], tuple[bool, dict[str, Any]]] = lambda: (True, {})
    wrap: Callable[[Campaigns], Any] = lambda campaigns: campaigns
    metrics: bool = True
    console: Callable[[Server, Campaigns, Audience, Ids], Any] = lambda *_: None

    def __enter__(self) -> Server:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    async def _start(self) -> None:
        self.database: Database = await open_database(self.url, self.clock, pool=4)
        ids = Ids(self.database)
        self.accounts = Accounts(self.database, ids, self.clock)
        campaigns = Campaigns(self.database, ids, self.clock, Routes(self.database, self.clock))
        audience = Audience(self.database, ids, self.clock)
        self.replies = Replies(self.database, self.clock, alone=self.url.startswith("sqlite"))
        self.optouts = Optouts(self.database, self.clock)
        self.api = Api(
            accounts=self.accounts,
            campaigns=self.wrap(campaigns),
            reports=Reports(self.database),
            audience=audience,
            replies=self.replies,
            optouts=self.optouts,
            clock=self.clock,
            settings=self.settings,
            readiness=self.readiness,
            metrics=self.metrics,
            console=self.console(self, campaigns, audience, ids),
        )
        listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = listener.getsockname()[1]
        self._uvicorn = uvicorn.Server(uvicorn.Config(self.api, log_config=None, lifespan="on", http=Watched))
        self._serving = asyncio.create_task(self._uvicorn.serve([listener]))
        while not self._uvicorn.started:  # noqa: ASYNC110 (it has no event to wait for)
            await asyncio.sleep(0.005)

    async def _stop(self) -> None:
        self._uvicorn.should_exit = True
        await self._serving
        self.api.close()
        self.accounts.close()
        await self.database.close()

    # --- accounts and rows ---------------------------------------------------------------------------------

    def account(self, **settings: Any) -> Client:
        """A new account with 1000 credits and a client that logs in as it; failures of earlier tests are over."""
        self.clock.advance(61)
        name = f"client-{next(_names)}"
        settings.setdefault("credits", 1000)
        account = self.run(self.accounts.add(name, PASSWORD, **settings))
        return Client(self, name, account)

    def counted(self, table: str, account: Account) -> int:
        """How many rows of `table` an account has."""

        async def operation(tx: Any) -> int:
            sql = f"SELECT count(*) FROM {table} WHERE account_id = {account.id}"
            if tx.engine == "sqlite":
                return int(tx.connection.execute(sql).get)
            return int(await tx.connection.fetchval(sql))

        return self.run(self.database.read(operation))

    def set_state(self, campaign_id: int, state: CampaignState) -> None:
        """A campaign is in a state that only an engine brings it to."""

        async def operation(tx: Any) -> None:
            sql = f"UPDATE campaign SET state = {int(state)} WHERE id = {campaign_id}"
            if tx.engine == "sqlite":
                tx.connection.execute(sql)
            else:
                await tx.connection.execute(sql)

        self.run(self.database.write(operation))

    def optout_by_reply(self, account: Account, handset: int, text: str) -> None:
        """What a STOP does."""

        async def operation(tx: Tx) -> None:
            row = (account.id, handset, str(handset), text)
            await optouts.add(tx, [row], Reason.REPLY, self.clock.now_ms())

        self.run(self.database.write(operation))

    def reply(
        self,
        account: Account,
        *texts: str,
        at: int | None = None,
        sender: str = "61400123456",
        recipient: str = "61400190444",
        reference: str = "",
    ) -> list[int]:
        """What handsets wrote, a second apart from `at` (UTC ms; now) on; their ids, which fall as time rises."""
        first = self.clock.now_ms() if at is None else at
        handset = int(sender) if sender.isdigit() else None
        rows = [
            NewReply(
                account.id, next(_reply_ids), first + 1000 * no, 1, sender, handset, recipient, text,
                ReplyKind.REPLY, 1, 0, None, reference,
            )
            for no, text in enumerate(texts)
        ]  # fmt: skip
        for start in range(0, len(rows), 1000):
            piece = rows[start : start + 1000]

            async def operation(tx: Tx, piece: list[NewReply] = piece) -> None:
                await replies.add(tx, piece, first)

            self.run(self.database.write(operation))
        return [row.id for row in rows]

    @contextmanager
    def slow_store(self, seconds: float = 0.3) -> Iterator[None]:
        """Within, every read takes so long."""
        real = self.database.read

        async def slow(operation: Operation[T]) -> T:
            await asyncio.sleep(seconds)
            return await real(operation)

        self.database.read = slow  # type: ignore[method-assign]
        try:
            yield
        finally:
            self.database.read = real  # type: ignore[method-assign]

    def waiting(self, account: Account) -> int:
        """How many replies were not passed on yet."""

        async def operation(tx: Any) -> int:
            sql = f"SELECT count(*) FROM reply WHERE account_id = {account.id} AND retrieved_at IS NULL"
            if tx.engine == "sqlite":
                return int(tx.connection.execute(sql).get)
            return int(await tx.connection.fetchval(sql))

        return self.run(self.database.read(operation))

    def settle(
        self, account: Account, campaign_id: int, outcomes: Iterable[tuple[int, MessageState, int]], at: int
    ) -> None:
        """Writes message rows: (destination, state, code) each, settled at `at`."""

        async def operation(tx: Tx) -> None:
            await ensure_partition(tx)
            rows = [
                (account.id, campaign_id, number, int(state), 1, 1, 1, 0, 1, at, None, code, None)
                for number, state, code in outcomes
            ]
            await tx.many("record", rows, carrier_id=1, now=at)

        self.run(self.database.write(operation))


async def ensure_partition(tx: Any) -> None:
    """Somewhere for message rows to go, where the engine has not made partitions yet."""
    if tx.engine != "postgres":
        return
    there = await tx.connection.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = 'message'::regclass")
    if not there:
        await tx.connection.execute("CREATE TABLE message_rest PARTITION OF message DEFAULT")


@dataclass
class Client:
    """Calls as one account, each time over a connection of its own."""

    server: Server
    name: str
    account: Account

    def call(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        login: str | None = "",
    ) -> Answer:
        """`login`: the Authorization header; by default the account's own, None for none."""
        sent = dict(headers or {})
        if login is not None:
            sent.setdefault("Authorization", login or basic(self.name))
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers.items()), response.read())
        finally:
            connection.close()

    def post(self, path: str, body: object = None, **more: Any) -> Answer:
        """`body`: bytes as they are, anything else as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.call("POST", path, raw, **more)

    def create(self, **changes: Any) -> Answer:
        """The published example for one recipient, with changes; a field that is changed to ... is left out."""
        body: dict[str, Any] = {
            "Message": "Hello, this is a test",
            "Originator": "61400190499",
            "Destinations": ["61400123456"],
            "Action": "create",
        }
        body.update(changes)
        return self.post("/api/campaign", {name: value for name, value in body.items() if value is not ...})

    @property
    def credits(self) -> int:
        return self.server.run(self.server.accounts.balance(self.account))

    def untouched(self, credits: int = 1000) -> bool:
        """Nothing was stored and nothing was taken."""
        return self.credits == credits and self.server.counted("campaign", self.account) == 0
