"""One node: the API, the engine, or both, on one store; started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Iterator
from typing import Any

import structlog
import uvicorn

from cooee.app import console, simulator
from cooee.app.filelock import FileLock
from cooee.app.http import Watched
from cooee.app.keeping import keep_rules
from cooee.app.signup import mail_rules
from cooee.carriers.smpp import SmppCarrier
from cooee.config import Settings
from cooee.engine.fleet import Defaults
from cooee.engine.supervisor import Engine, WebhookSettings
from cooee.model.clock import Clock, SystemClock
from cooee.model.codetable import CodeTable
from cooee.model.errors import ConfigError, CooeeError
from cooee.model.live import EngineLive
from cooee.model.proxies import TrustedProxies
from cooee.service.accounts import Accounts
from cooee.service.audience import Audience
from cooee.service.campaigns import Campaigns
from cooee.service.carriers import Carriers
from cooee.service.codes import load_codes
from cooee.service.operators import Operators
from cooee.service.optouts import Optouts
from cooee.service.replies import Replies
from cooee.service.reports import Reports
from cooee.service.routing import Routes
from cooee.smpp.smsc import Smsc, SmscConfig
from cooee.store.database import Database
from cooee.store.ids import Ids
from cooee.store.migrate import check_fits
from cooee.store.open import open_database, sqlite_path
from cooee.store.refs import load_memory
from cooee.store.secrets import Secrets, key_path, open_secrets, permission_warning
from cooee.store.sqlite import SqliteDatabase
from cooee.store.wakeups import WakeUps
from cooee.web.api import Api, ApiSettings
from cooee.web.console import ConsoleServices
from cooee.web.health import HealthOnly
from cooee.web.proxies import BehindProxies

log = structlog.get_logger()

HTTP_STOP_S = 3
"""How long requests under way may take once the node stops."""
FITS_EVERY_S = 10.0
"""How often a node looks whether a newer version has made the schema too new for it."""


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the node decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """The API's listening socket; ConfigError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"cannot listen on {host}:{port} ({error.strerror}): "
            "is another program using it? choose another --port"
        ) from error
    sock.listen(1024)
    sock.setblocking(False)
    return sock


class Node:
    """Everything of one process. `start` in order, `stop` in the reverse one."""

    def __init__(self, settings: Settings, smsc: SmscConfig | None = None, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.failure: BaseException | None = None
        self.smsc: Smsc | None = None
        self._smsc_config = smsc or SmscConfig(control_port=settings.simulate_control_port or None)
        self._stopped = asyncio.Event()
        self._drained = asyncio.Event()
        self._draining = False
        self._http: uvicorn.Config | None = None
        self._undo = contextlib.AsyncExitStack()
        self._engine: Engine | None = None
        self._wakeups: WakeUps | None = None
        self.port = 0
        self.accounts: Accounts
        self.carriers: Carriers
        self.operators: Operators
        self.console_services: ConsoleServices | None = None
        self.codes: CodeTable
        self.secrets: Secrets
        self.database: Database

    async def start(self) -> None:
        """Opens the store, starts the engine, then the API. Whatever fails undoes what was done before."""
        try:
            await self._start()
        except BaseException:
            await self._undo.aclose()
            raise

    async def _start(self) -> None:
        settings = self.settings
        self.codes = load_codes(settings.codes_file)
        path = sqlite_path(settings.database)
        if path is not None:
            if settings.role != "all":
                raise ConfigError(
                    f"role {settings.role} needs a database that nodes can share: use postgresql://…"
                )
            lock = FileLock(path)
            self._undo.callback(lock.release)
        sock = listen(settings.host, settings.port)
        self._undo.callback(sock.close)
        self.port = sock.getsockname()[1]
        database = self.database = await open_database(settings.database, self.clock, pool=settings.pool_size)
        self._undo.push_async_callback(database.close)
        secrets = self.secrets = await open_secrets(database, key_path(settings.database, settings.key_file))
        warning = permission_warning(secrets.path)
        if warning:
            log.warning("key_file_readable", reason=warning)
        ids = Ids(database)
        routes = Routes(database, self.clock)
        carriers = self.carriers = Carriers(database, ids, self.clock, secrets)
        self.accounts = Accounts(database, ids, self.clock)
        self._undo.callback(self.accounts.close)
        self.operators = Operators(database, ids, self.clock, self.accounts)
        if settings.simulate:
            self.smsc = await simulator.start(carriers, self.clock, self._smsc_config)
            self._undo.push_async_callback(self.smsc.stop)
        elif settings.role != "api":
            await simulator.retire(carriers)
        if path is None:
            self._wakeups = WakeUps(settings.database, self._woken if settings.role != "api" else None)
            self._undo.push_async_callback(self._wakeups.stop)
        if settings.role != "api":
            memory = database.memory if isinstance(database, SqliteDatabase) else None
            if memory is not None:
                await load_memory(database, memory)
            self._engine = Engine(
                database=database,
                ids=ids,
                clock=self.clock,
                secrets=secrets,
                routes=routes,
                make=lambda row: SmppCarrier(row, self.clock),
                name=settings.node_name,
                alone=path is not None,
                defaults=Defaults(settings.uncertain_wait_s, settings.max_age_h),
                memory=memory,
                announce=self._announce,
                parts_wait_s=settings.reply_parts_wait_s,
                webhooks=WebhookSettings(settings.webhook_allow_private, settings.webhook_calls),
                keep=keep_rules(settings),
                mails=mail_rules(settings),
            )
            await self._engine.start(self._failed)
            self._undo.push_async_callback(self._stop_engine)
        fresh = self._engine.reserve if self._engine is not None else None
        if self._wakeups is not None:
            self._wakeups.start()
        campaigns = Campaigns(database, ids, self.clock, routes, self._wake, fresh)
        watch = asyncio.get_running_loop().create_task(self._watch_schema())
        self._undo.callback(watch.cancel)
        await self._serve(sock, campaigns, Audience(database, ids, self.clock), ids)
        gc.collect()
        gc.freeze()
        # Requests make many short-lived objects; looking for cycles among them each 700 allocations finds none.
        gc.set_threshold(20_000, 20, 50)
        log.info(
            "serving", address=f"http://{settings.host}:{self.port}", role=settings.role, store=database.engine
        )

    def _wake(self, deals: bool) -> None:
        self._woken(deals)
        self._announce(deals)

    def _woken(self, deals: bool) -> None:
        if self._engine is not None:
            self._engine.wake(deals)

    def _announce(self, deals: bool) -> None:
        if self._wakeups is not None:
            self._wakeups.say(deals)

    async def _serve(self, sock: socket.socket, campaigns: Campaigns, audience: Audience, ids: Ids) -> None:
        settings = self.settings
        app: Any
        if settings.role == "engine":
            app = HealthOnly(self._readiness, metrics=settings.metrics)
        else:
            pages = None
            replies = Replies(self.database, self.clock, alone=sqlite_path(settings.database) is not None)
            optouts = Optouts(self.database, self.clock)
            if settings.console:
                pages, self.console_services = console.make(
                    settings,
                    self.database,
                    ids,
                    self.clock,
                    accounts=self.accounts,
                    operators=self.operators,
                    campaigns=campaigns,
                    audience=audience,
                    carriers=self.carriers,
                    live=self._live,
                    smsc=self.smsc,
                    codes=self.codes,
                    replies=replies,
                    optouts=optouts,
                    secrets=self.secrets,
                    undo=self._undo,
                )
            app = Api(
                accounts=self.accounts,
                campaigns=campaigns,
                reports=Reports(self.database),
                replies=replies,
                optouts=optouts,
                audience=audience,
                clock=self.clock,
                settings=ApiSettings(
                    settings.body_limit_mb * 1024 * 1024, settings.cors_origins, settings.error_http_status
                ),
                readiness=self._readiness,
                metrics=settings.metrics,
                console=pages,
                codes=self.codes,
            )
            self._undo.callback(app.close)
            if settings.trusted_proxies:
                app = BehindProxies(app, TrustedProxies(settings.trusted_proxies))
        config = self._http = uvicorn.Config(
            app,
            http=Watched,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=HTTP_STOP_S,
            backlog=1024,
        )
        server = _Server(config)
        task = asyncio.get_running_loop().create_task(server.serve(sockets=[sock]))
        task.add_done_callback(self._server_ended)

        async def stop() -> None:
            server.should_exit = True
            await asyncio.gather(task, return_exceptions=True)

        self._undo.push_async_callback(stop)
        while not server.started and not task.done():  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.005)

    def _server_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failed(task.exception() or RuntimeError("the HTTP server ended"))

    def _live(self) -> EngineLive | None:
        return self._engine.live() if self._engine is not None else None

    def _readiness(self) -> tuple[bool, dict[str, Any]]:
        reasons = self._engine.problems() if self._engine is not None else []
        if self._draining:
            reasons = ["the node is stopping", *reasons]
        return not reasons, {"role": self.settings.role, "reasons": reasons}

    async def _watch_schema(self) -> None:
        while True:
            await asyncio.sleep(FITS_EVERY_S)
            try:
                await check_fits(self.database)
            except ConfigError as error:
                log.error("program_too_old", reason=str(error))
                self._failed(error)
                return
            except CooeeError as error:
                log.debug("schema_not_read", reason=str(error))

    async def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        """Not ready any more, and answering all the same; a second signal ends it at once."""
        if not self.settings.drain_s:
            return
        self._draining = True
        if self._http is not None:
            # Clients that keep a connection go elsewhere with their next request.
            self._http.encoded_headers = [*self._http.encoded_headers, (b"connection", b"close")]
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._drained.set)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.drain_s):
                await self._drained.wait()

    def _failed(self, error: BaseException) -> None:
        self.failure = error
        self._stopped.set()

    async def _stop_engine(self) -> None:
        if self._engine is not None:
            await self._engine.stop(self.settings.stop_deadline_s)

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop, or ends by a fault."""
        return self._stopped.is_set()

    def ask_to_stop(self) -> None:
        """As SIGTERM does."""
        self._stopped.set()

    def catch_signals(self) -> None:
        """SIGTERM and SIGINT stop the node in order from here on, also while it is still starting."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopped.set)

    async def run(self) -> None:
        """Until a signal, or a fault that ends the node (raised as CooeeError); then stops in order."""
        loop = asyncio.get_running_loop()
        self.catch_signals()
        await self._stopped.wait()
        log.info("stopping")
        if self.failure is None and self.settings.role != "engine":
            await self._drain(loop)
        await self.stop()
        if self.failure is not None:
            if isinstance(self.failure, ConfigError):
                raise self.failure
            raise CooeeError(f"the server ended by a fault of its own: {self.failure} (see the log)")
        log.info("stopped")

    async def stop(self) -> None:
        """Requests first, then the engine, then the store."""
        await self._undo.aclose()


async def serve(settings: Settings) -> None:
    """`cooee serve`."""
    node = Node(settings)
    node.catch_signals()
    await node.start()
    await node.run()
