"""What a storm blows on: the database, nodes, SMSCs, and the proxies between them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType

import apsw

from soak.databases import Disk, Postgres
from soak.node import steer
from soak.proxy import Proxies, Proxy
from tests.reconcile.support_client import numbers
from tests.reconcile.support_stack import PASSWORD, Node, SmscProcess, Stack, wait_for

ACCOUNTS = ("acme", "bravo", "topup")
INBOUND = {"acme": "61480000001", "bravo": "61480000002"}
"""Whose number is which; the replies of the first go to the webhook."""
WINDOW, BINDS = 20, 2
OPTED_OUT, OF = 400, 29
"""So many numbers are opted out, one in so many."""
REVIVE_S = 90.0
SETTINGS = {"webhook_allow_private": "true"}

DOWN = {
    "sqlite": (
        "CREATE TABLE soak_down (what TEXT, id BIGINT, destination BIGINT, old SMALLINT, new SMALLINT);"
        "CREATE TRIGGER soak_message AFTER UPDATE OF state ON message "
        "WHEN NEW.state < OLD.state AND OLD.state >= 3 BEGIN INSERT INTO soak_down VALUES "
        "('message', OLD.campaign_id, OLD.destination, OLD.state, NEW.state); END;"
        "CREATE TRIGGER soak_campaign AFTER UPDATE OF state ON campaign "
        "WHEN OLD.state IN (5, 6) AND NEW.state <> OLD.state BEGIN INSERT INTO soak_down VALUES "
        "('campaign', OLD.id, 0, OLD.state, NEW.state); END;"
    ),
    "postgres": (
        "CREATE TABLE soak_down (what TEXT, id BIGINT, destination BIGINT, old SMALLINT, new SMALLINT);"
        "CREATE FUNCTION soak_message() RETURNS trigger AS $$ BEGIN INSERT INTO soak_down VALUES "
        "('message', OLD.campaign_id, OLD.destination, OLD.state, NEW.state); RETURN NULL; END $$ "
        "LANGUAGE plpgsql;"
        "CREATE TRIGGER soak_message AFTER UPDATE ON message FOR EACH ROW "
        "WHEN (NEW.state < OLD.state AND OLD.state >= 3) EXECUTE FUNCTION soak_message();"
        "CREATE FUNCTION soak_campaign() RETURNS trigger AS $$ BEGIN INSERT INTO soak_down VALUES "
        "('campaign', OLD.id, 0, OLD.state, NEW.state); RETURN NULL; END $$ LANGUAGE plpgsql;"
        "CREATE TRIGGER soak_campaign AFTER UPDATE ON campaign FOR EACH ROW "
        "WHEN (OLD.state IN (5, 6) AND NEW.state <> OLD.state) EXECUTE FUNCTION soak_campaign();"
    ),
}
"""The database itself notes every state that goes down: polling would miss one that comes up again."""


@dataclass
class Post:
    """A node, and what the storm needs to trouble it. `lock`: one event at a time kills or starts it."""

    node: Node
    clock: Path
    proxy: Proxy | None
    lock: threading.Lock = field(default_factory=threading.Lock)
    wanted: bool = True
    """It should be running: if it is not, it ended by itself."""


@dataclass(frozen=True)
class Carrier:
    """A carrier as the storm set it up."""

    name: str
    smsc: int
    hold: bool


CARRIERS = (Carrier("first", 0, False), Carrier("second", 1, False), Carrier("keeper", 1, True))


class World:
    """Everything that runs. A context: what it started ends with it."""

    def __init__(
        self,
        engine: str,
        folder: Path,
        seed: int,
        *,
        roles: tuple[str, ...],
        response_timeout_s: float,
        tps: int,
        numbers_most: int = 300_000,
    ) -> None:
        self.engine = engine
        self.roles = roles
        self.response_timeout_s = response_timeout_s
        self.posts: list[Post] = []
        self.faults: list[str] = []
        self.numbers = numbers(seed)
        self.smsc_killed: list[Callable[[], None]] = []
        """By SMSC: who must know that it is being killed."""
        self._seed, self._folder, self._tps, self._most = seed, folder, tps, numbers_most
        self._undo = contextlib.ExitStack()
        self.postgres: Postgres | None = None
        self.database_lock = threading.Lock()
        self.smsc_locks = [threading.Lock(), threading.Lock()]
        self.smsc_proxies: list[Proxy] = []
        self.carrier_ids: dict[str, int] = {}

    def __enter__(self) -> World:
        try:
            self._start()
        except BaseException:
            self._undo.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def _start(self) -> None:
        self.disk = Disk()
        self._undo.callback(self.disk.remove)
        if self.engine == "postgres":
            self.postgres = Postgres(self.disk.folder)
            self._undo.callback(self.postgres.remove)
            url = self.postgres.url
        else:
            url = f"sqlite:///{self.disk.folder / 'soak.db'}"
        self.proxies = Proxies()
        self._undo.callback(self.proxies.stop)
        stack = self.stack = Stack(
            url, self._folder, module="soak.node", smsc=self._smsc("hex", 1), settings=SETTINGS
        )
        stack.add_smsc("second", self._smsc("decimal", 2))
        self._undo.enter_context(stack)
        self.smsc_proxies = [self.proxies.before_port(smsc.port) for smsc in stack.smscs]
        self._prepare()
        for role in self.roles:
            self._add_node(role)

    def _smsc(self, ids: str, no: int) -> list[str]:
        return [f"--ids={ids}", f"--seed={self._seed + no}", "--fail=0.1", "--receipt-delay=0.2", "--repeat=0.05"]

    def _prepare(self) -> None:
        stack = self.stack
        stack.window, stack.binds = WINDOW, BINDS
        for name in ACCOUNTS:
            more = ["--may-add-credits"] if name == "topup" else []
            stack.cli(
                "account", "add", name, "--credits=10000000", "--international", "--password-stdin", *more,
                stdin=PASSWORD + "\n",
            )  # fmt: skip
            stack.accounts.append(name)
        for carrier in CARRIERS:
            values = {
                "host": "127.0.0.1", "port": self.smsc_proxies[carrier.smsc].port, "system_id": carrier.name,
                "window": WINDOW, "binds": BINDS, "tps": self._tps, "enquire_link_s": 2,
                "response_timeout_s": self.response_timeout_s,
                "on_uncertain": "hold" if carrier.hold else "resend",
            }  # fmt: skip
            stack.cli(
                "carrier", "add", carrier.name, "--kind=smpp", *(f"--set={k}={v}" for k, v in values.items())
            )
        self.carrier_ids = {name: carrier_id for carrier_id, name in stack.rows("SELECT id, name FROM carrier")}
        self.execute(DOWN[self.engine])
        ids = [row[0] for row in stack.rows("SELECT id FROM account")]
        pairs = ", ".join(f"({one}, {number}, 0, 'Admin', '')" for one in ids for number in self.opted_out)
        self.execute(f"INSERT INTO optout (account_id, destination, added_at, reason, body) VALUES {pairs}")

    @property
    def opted_out(self) -> set[int]:
        """Numbers that nobody may send to."""
        return set(islice(numbers(self._seed), 5, OPTED_OUT * OF, OF))

    def bring_replies(self, port: int) -> None:
        """Registers the numbers, and the webhook that listens on `port`."""
        for account, number in INBOUND.items():
            self.stack.cli("number", "add", number, "--account", account, "--kind", "dedicated")
        self.stack.cli(
            "account", "set", next(iter(INBOUND)), "--reply-webhook", f"http://127.0.0.1:{port}/replies",
            "--webhook-username", "u", "--webhook-allow-private",
        )  # fmt: skip

    def execute(self, sql: str) -> None:
        """Statements of the storm's own on the database, beside the nodes."""
        if self.postgres is not None:
            import asyncio

            from soak.databases import _execute

            asyncio.run(_execute(self.postgres.url, sql))
            return
        connection = apsw.Connection(self.stack.database_url.removeprefix("sqlite:///"))
        try:
            connection.set_busy_timeout(5000)
            connection.execute(sql)
        finally:
            connection.close()

    # --- nodes ---------------------------------------------------------------------------------------------

    def _add_node(self, role: str) -> None:
        no = len(self.posts)
        clock = self._folder / f"clock{no}"
        steer(clock, 0.0)
        environ = {"SOAK_CLOCK": str(clock), "COOEE_POOL_SIZE": "8", "COOEE_STOP_DEADLINE_S": "10"}
        proxy = None
        if self.postgres is not None:
            proxy = self.proxies.before_socket(self.postgres.socket)
            environ["COOEE_DATABASE"] = self.postgres.through(proxy.port)
        self.posts.append(Post(self.stack.node(role, environ), clock, proxy))

    @property
    def api_ports(self) -> list[int]:
        """Where clients find the API."""
        return [post.node.port for post in self.posts if post.node.role != "engine"]

    def revive(self, post: Post) -> None:
        """Starts a node, as a supervisor does: again and again until it stays. The caller holds its lock."""
        until = time.monotonic() + REVIVE_S
        while True:
            try:
                post.node.start()
            except AssertionError:
                post.node.kill()
                if time.monotonic() > until:
                    raise
                time.sleep(0.3)
            else:
                post.wanted = True
                return

    def look_after(self) -> None:
        """Nodes that ended by themselves are a fault; they are started again."""
        for no, post in enumerate(self.posts):
            if not post.lock.acquire(blocking=False):
                continue
            try:
                if post.wanted and post.node.ended is not None:
                    self.faults.append(f"node {no} ended by itself: exit code {post.node.ended}")
                    post.node.kill()
                    self.revive(post)
            finally:
                post.lock.release()

    @contextlib.contextmanager
    def held(self, post: Post) -> Iterator[Post]:
        """The node is this event's alone."""
        with post.lock:
            yield post

    def smsc(self, no: int) -> SmscProcess:
        """One of the SMSCs."""
        return self.stack.smscs[no]

    # --- the end of the storm ------------------------------------------------------------------------------

    def calm(self, ahead_s: float) -> None:
        """Everything is mended; all clocks go on by `ahead_s`, so that what a jump postponed is due."""
        self.disk.free(self._pids())
        if self.postgres is not None:
            self.postgres.ensure()
        for proxy in [*self.smsc_proxies, *(post.proxy for post in self.posts if post.proxy is not None)]:
            self.proxies.do(lambda proxy=proxy: proxy.part(False))  # type: ignore[misc]
            proxy.half_of, proxy.stalled = None, False
        for no, lock in enumerate(self.smsc_locks):
            with lock:
                self.mend(no)
        for post in self.posts:
            with post.lock:
                if post.node.pid is None or post.node.ended is not None:
                    post.node.kill()
                    self.revive(post)
        # What handsets wrote is repeated until it is acknowledged, and known as a repeat for an hour.
        wait_for(
            "no message waits", lambda: not any(one.ask("stats")["mo_pending"] for one in self.stack.smscs), 90
        )
        for post in self.posts:
            steer(post.clock, ahead_s)

    def hasten(self) -> None:
        """The storm is over: carriers take what is left as fast as it comes."""
        for carrier in CARRIERS:
            self.stack.cli("carrier", "set", carrier.name, "--set=tps=0")

    def stuck(self) -> str:
        """What still moves, row by row, for who has to find out why."""
        batches = self.stack.rows(
            "SELECT b.campaign_id, b.no, b.carrier_id, b.state, b.attempt, b.size, b.marked, b.recorded, b.owner, "
            "b.epoch, b.not_before, c.state FROM batch b JOIN campaign c ON c.account_id = b.account_id "
            "AND c.id = b.campaign_id WHERE b.state = 4 OR (b.state IN (1, 2, 3) AND c.state IN (0, 2, 3))"
        )
        lines = [
            "campaign, no, carrier, state, attempt, size, marked, recorded, owner, epoch, not_before, campaign"
        ]
        lines += [", ".join(map(str, row)) for row in batches[:20]]
        for table in ("engine", "bind_lease"):
            lines.append(f"{table}: {[tuple(row) for row in self.stack.rows(f'SELECT * FROM {table}')]}")
        return "\n".join(lines)

    def keep_database(self) -> None:
        """A copy of a file beside journals and logs, for who wants to look."""
        if self.postgres is None:
            self.execute(f"VACUUM INTO '{self._folder / 'soak.db'}'")

    def mend(self, no: int) -> None:
        """An SMSC behaves again."""
        self.smsc(no).ask("speak")
        self.smsc(no).ask("set", tps=0, statuses=[], answer_delay=0, early=0, receipt_jitter=0, late=0)

    def _pids(self) -> list[int]:
        return [post.node.pid for post in self.posts if post.node.pid is not None]

    def database_pids(self) -> list[int]:
        """Processes that write the database."""
        return [] if self.postgres is not None else self._pids()
