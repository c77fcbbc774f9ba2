"""The API on a real port of the loopback interface, in a thread with its own event loop, and a plain client."""

from __future__ import annotations

import asyncio
import base64
import http.client
import itertools
import json
import socket
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvicorn
import uvloop

from cooee.model.account import Account
from cooee.model.clock import ManualClock
from cooee.model.message import MessageState
from cooee.service.accounts import Accounts
from cooee.service.audience import Audience
from cooee.service.campaigns import Campaigns
from cooee.service.reports import Reports
from cooee.service.routing import Routes
from cooee.store.database import Database, Tx
from cooee.store.ids import Ids
from cooee.store.open import open_database
from cooee.web.api import Api, ApiSettings

T = TypeVar("T")
PASSWORD = "s56sbdyte83fs"
_names = itertools.count(1)


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
        self.api = Api(
            accounts=self.accounts,
            campaigns=self.wrap(campaigns),
            reports=Reports(self.database),
            audience=Audience(self.database, ids, self.clock),
            clock=self.clock,
            settings=self.settings,
            readiness=self.readiness,
            metrics=self.metrics,
        )
        listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = listener.getsockname()[1]
        self._uvicorn = uvicorn.Server(uvicorn.Config(self.api, log_config=None, lifespan="on", http="httptools"))
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
