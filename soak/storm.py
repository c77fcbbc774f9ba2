"""Carries a plan out: a thread an event, so that they overlap as they come."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from soak.node import steer
from soak.plan import Event
from soak.world import BINDS, CARRIERS, WINDOW, Post, World

MARGIN_S = 4.0
"""What an event puts in doubt may have been written so long before it, and be noticed so long after."""
FAR_S = 1500.0
"""How far a clock jumps at most: two that jump apart still agree within the hour in which a repeated reply is told
from a new one (docs/decisions/0008-repeated-replies.md)."""


@dataclass
class Happened:
    """An event as it came about: UTC seconds from when to when, and how many recipients it may leave in doubt."""

    kind: str
    since: float
    until: float
    most: int


@dataclass
class Storm:
    """A storm over a world."""

    world: World
    happened: list[Happened] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def blow(self, events: list[Event], seconds: float) -> None:
        """Carries the events out, and returns when the storm is over and all of them are."""
        began = time.monotonic()
        threads: list[threading.Thread] = []
        for event in events:
            self._wait_until(began + event.at)
            thread = threading.Thread(target=self._one, args=(event,), name=event.kind.name, daemon=True)
            thread.start()
            threads.append(thread)
        self._wait_until(began + seconds)
        for thread in threads:
            thread.join(150)
            if thread.is_alive():
                self.faults.append(f"the event {thread.name} does not end")

    def _wait_until(self, moment: float) -> None:
        while (left := moment - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
            self.world.look_after()

    def _one(self, event: Event) -> None:
        since = time.time()
        try:
            most = DOINGS[event.kind.name](self, event, Random(event.dice))
        except Exception as error:  # whatever it is, the report must hear of it
            self.faults.append(f"{event.kind.name}: {type(error).__name__}: {error}")
            most = 0
        self.counts[event.kind.name] += 1
        self.happened.append(Happened(event.kind.name, since - MARGIN_S, time.time() + MARGIN_S, most))

    # --- whom it concerns ----------------------------------------------------------------------------------

    def _binds(self, smsc: int | None = None) -> int:
        """The windows of an SMSC's carriers, or of all, together."""
        return WINDOW * BINDS * sum(1 for carrier in CARRIERS if smsc in (None, carrier.smsc))

    def _post(self, dice: Random) -> Post:
        return dice.choice(self.world.posts)

    # --- nodes ---------------------------------------------------------------------------------------------

    def kill(self, event: Event, dice: Random) -> int:
        """kill -9; a supervisor starts it again a moment later."""
        with self.world.held(self._post(dice)) as post:
            post.wanted = False
            post.node.kill()
            time.sleep(event.seconds)
            self.world.revive(post)
        return 0 if post.node.role == "api" else self._binds()

    def stop(self, event: Event, dice: Random) -> int:
        """SIGTERM: it must end in order, with exit code 0."""
        with self.world.held(self._post(dice)) as post:
            if post.node.ended is None and post.node.pid is not None:
                post.wanted = False
                code, seconds = post.node.terminate()
                if code != 0:
                    self.faults.append(f"SIGTERM: exit code {code} after {seconds:.1f} s")
            time.sleep(event.seconds)
            self.world.revive(post)
        return 0

    def clock(self, event: Event, dice: Random) -> int:
        """Forwards or back, by seconds or by up to an hour."""
        post = self._post(dice)
        steer(post.clock, dice.choice((-1, 1)) * dice.choice((dice.uniform(1, 90), dice.uniform(90, FAR_S))))
        time.sleep(event.seconds)
        steer(post.clock, 0.0)
        return 0

    # --- SMSCs ---------------------------------------------------------------------------------------------

    def cut(self, event: Event, dice: Random) -> int:
        """The next chunk goes half, submits or answers; then every connection of that SMSC breaks."""
        no = dice.randrange(2)
        proxy, way = self.world.smsc_proxies[no], dice.choice(("up", "down"))
        proxy.half_of = way
        time.sleep(1.0)
        proxy.half_of = None
        self.world.proxies.do(proxy.cut)
        return 2 * self._binds(no)

    def smsc_killed(self, event: Event, dice: Random) -> int:
        no = dice.randrange(2)
        with self.world.smsc_locks[no]:
            for told in self.world.smsc_killed[no : no + 1]:
                told()
            self.world.smsc(no).kill()
            time.sleep(event.seconds)
            self.world.smsc(no).start()
        return self._binds(no)

    def _silent(self, event: Event, dice: Random, submits: str) -> int:
        no = dice.randrange(2)
        with self.world.smsc_locks[no]:
            self.world.smsc(no).ask("silence", submits=submits)
            time.sleep(event.seconds + self.world.response_timeout_s)
            self.world.smsc(no).ask("speak")
        # Every timeout gives up a window, and what then goes out meets the same silence.
        rounds = 2 + int((event.seconds + self.world.response_timeout_s) / self.world.response_timeout_s)
        return rounds * self._binds(no)

    def silence(self, event: Event, dice: Random) -> int:
        return self._silent(event, dice, dice.choice(("ignore", "accept")))

    def late(self, event: Event, dice: Random) -> int:
        return self._silent(event, dice, "late")

    def _set(self, event: Event, dice: Random, **settings: object) -> int:
        no = dice.randrange(2)
        with self.world.smsc_locks[no]:
            self.world.smsc(no).ask("set", **settings)
            time.sleep(event.seconds)
            self.world.mend(no)
        return 0

    def slow(self, event: Event, dice: Random) -> int:
        return self._set(event, dice, answer_delay=dice.uniform(0.1, 0.6))

    def throttle(self, event: Event, dice: Random) -> int:
        return self._set(event, dice, tps=dice.randint(5, 60))

    def refuse(self, event: Event, dice: Random) -> int:
        return self._set(event, dice, statuses=[["ESME_RMSGQFUL", 0.1], ["ESME_RSYSERR", 0.05]])

    def receipts(self, event: Event, dice: Random) -> int:
        """Early, out of order, twice; and their ids in another base, case, with leading zeros: that stays."""
        return self._set(
            event, dice, receipt_id=dice.choice(("same", "decimal", "hex")), receipt_id_upper=dice.random() < 0.5,
            receipt_id_width=dice.choice((0, 12, 20)), repeat=dice.choice((0.0, 0.3)), early=0.3,
            receipt_jitter=1.5, late=0.1, late_by=1.0,
        )  # fmt: skip

    # --- the database --------------------------------------------------------------------------------------

    def disk_full(self, event: Event, dice: Random) -> int:
        world = self.world
        with world.database_lock:
            world.disk.fill(world.database_pids())
            time.sleep(event.seconds)
            world.disk.free(world.database_pids())
            if world.postgres is not None:
                # A server that could not write its log has stopped.
                world.postgres.ensure()
                return self._binds()
        return 0

    def _pg(self, event: Event, *, immediately: bool) -> int:
        world = self.world
        assert world.postgres is not None
        with world.database_lock:
            world.postgres.stop(immediately=immediately)
            time.sleep(event.seconds)
            world.postgres.ensure()
        return self._binds()

    def pg_fast(self, event: Event, dice: Random) -> int:
        return self._pg(event, immediately=False)

    def pg_immediate(self, event: Event, dice: Random) -> int:
        return self._pg(event, immediately=True)

    def pg_cut(self, event: Event, dice: Random) -> int:
        post = self._post(dice)
        assert post.proxy is not None
        post.proxy.half_of = dice.choice(("up", "down"))
        time.sleep(0.5)
        post.proxy.half_of = None
        self.world.proxies.do(post.proxy.cut)
        return self._binds()

    def pg_stall(self, event: Event, dice: Random) -> int:
        """As a cable that was pulled: no connection ends, nothing comes. What was under way comes later."""
        proxy = self._post(dice).proxy
        assert proxy is not None
        proxy.stalled = True
        time.sleep(event.seconds)
        proxy.stalled = False
        return self._binds()

    def pg_apart(self, event: Event, dice: Random) -> int:
        post = self._post(dice)
        proxy = post.proxy
        assert proxy is not None
        self.world.proxies.do(lambda: proxy.part(True))
        time.sleep(event.seconds)
        self.world.proxies.do(lambda: proxy.part(False))
        return self._binds()


DOINGS: dict[str, Callable[[Storm, Event, Random], int]] = {
    "kill": Storm.kill,
    "stop": Storm.stop,
    "cut": Storm.cut,
    "smsc-killed": Storm.smsc_killed,
    "silence": Storm.silence,
    "late": Storm.late,
    "slow": Storm.slow,
    "throttle": Storm.throttle,
    "refuse": Storm.refuse,
    "receipts": Storm.receipts,
    "clock": Storm.clock,
    "disk-full": Storm.disk_full,
    "pg-fast": Storm.pg_fast,
    "pg-immediate": Storm.pg_immediate,
    "pg-cut": Storm.pg_cut,
    "pg-stall": Storm.pg_stall,
    "pg-apart": Storm.pg_apart,
}
"""What each kind of the plan does; each returns how many recipients it may leave in doubt."""
