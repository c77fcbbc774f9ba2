"""The bench of reply webhooks: 1,000 customers, one in ten dead, and the others get their replies on time."""

from __future__ import annotations

import array
import asyncio
import json
import socket
import sys
import time
from contextlib import closing

from bench.figures import Bench, Figure, Plan, Values, percentile
from bench.process import BenchError, Child
from bench.site import ROOT, Site, site
from cooee.model.clock import SystemClock
from cooee.model.inbound import NumberKind
from cooee.model.webhook import WebhookState
from cooee.service.numbers import Numbers
from cooee.store import webhooks
from cooee.store.database import Tx
from cooee.store.ids import Ids
from cooee.store.open import open_database
from cooee.store.secrets import key_path, open_secrets

CUSTOMERS = 1000
DEAD = 10
"""One in so many never takes anything: half of these refuse connections, half never answer."""
RATE = 1250
"""Replies a second to all of them, so that the sound nine tenths get more than a thousand."""
_STEP_S = 0.02
_WARM_UP_S = 3.0
_DRAIN_S = 60.0
_HANDSET = 61400000000
_NUMBER = 61480000000


async def _customers(at: Site, url: str, dead: str, hanging: str) -> None:
    """Accounts with a number and a webhook each, written beside the server."""
    clock = SystemClock()
    database = await open_database(at.database.url, clock, pool=2)
    try:
        # Beside PostgreSQL it lies in the server's working directory.
        key = "" if at.database.pid is None else str(at.folder / "cooee.key")
        secrets = await open_secrets(database, key_path(at.database.url, key))
        ids = await Ids(database).take("account", CUSTOMERS)
        now = clock.now_ms()
        numbers = Numbers(database, clock)
        for first in range(0, CUSTOMERS, 100):

            async def some(tx: Tx, first: int = first) -> None:
                for no in range(first, first + 100):
                    await tx.run(
                        "add_account", id=ids[no], name=f"customer{no}", password_hash="", parent_id=None,
                        zone="UTC", country="AU", allow_unicode=1, allow_long=1, allow_international=1,
                        may_add_credits=0, times_utc=1, created_at=now,
                    )  # fmt: skip
                    place = url if no % DEAD else dead if no % (2 * DEAD) else hanging
                    await webhooks.put(
                        tx, ids[no], WebhookState.ON, url=secrets.encrypt(f"{place}/{no}"), username="bench",
                        secret=secrets.encrypt("bench"), now=now,
                    )  # fmt: skip

            await database.write(some)
        for no in range(CUSTOMERS):
            await numbers.add(str(_NUMBER + no), NumberKind.DEDICATED, f"customer{no}", None)
    finally:
        await database.close()


def _send(at: Site, seconds: float) -> tuple[int, int]:
    """Handsets write to all customers in turn, `RATE` messages a second: (sent, of these to sound receivers)."""
    sent = sound = 0
    with closing(socket.create_connection(("127.0.0.1", at.smsc.control_port), 5)) as peer:
        peer.settimeout(10)
        answers = peer.makefile("rb")
        begin = time.monotonic()
        while (now := time.monotonic()) - begin < seconds:
            due = int((now - begin) * RATE) - sent
            lines = []
            for _ in range(due):
                customer = sent % CUSTOMERS
                sound += customer % DEAD != 0
                text = f"{sent} {time.monotonic():.6f}"
                ask = {"do": "reply", "from": str(_HANDSET + sent), "to": str(_NUMBER + customer), "text": text}
                lines.append(json.dumps(ask).encode() + b"\n")
                sent += 1
            peer.sendall(b"".join(lines))
            for _ in lines:
                if not json.loads(answers.readline())["ok"]:
                    raise BenchError("the SMSC takes no reply")
            time.sleep(_STEP_S)
    return sent, sound


def _run(plan: Plan) -> Values:
    with site(plan.engine, {"receipts": 0.0}, webhook_allow_private="true") as at:
        out = at.folder / "latencies"
        argv = [sys.executable, "-m", "bench.receivers", "--out", str(out)]
        receivers = Child(argv, at.folder / "receivers.log", cwd=ROOT, env=at.env, piped=True)
        try:
            port, dead, hanging = receivers.line().split()
            local = "http://127.0.0.1"
            asyncio.run(_customers(at, f"{local}:{port}", f"{local}:{dead}", f"{local}:{hanging}"))
            begin, cpu = time.monotonic(), at.cpu()
            sent, sound = _send(at, _WARM_UP_S + plan.seconds)
            busy, later = time.monotonic() - begin, at.cpu()
            end = time.monotonic() + _DRAIN_S
            while (taken := at.api.metrics().get("cooee_webhook_total", 'outcome="delivered"')) < sound:
                if time.monotonic() > end:
                    raise BenchError(f"of {sound} replies for sound receivers {taken:g} are delivered")
                time.sleep(0.05)
            drained = time.monotonic() - begin - busy
            failed = at.api.metrics().get("cooee_webhook_total", 'outcome="failed"')
            receivers.process.terminate()
            twice = int(receivers.line())
        finally:
            receivers.stop()
        latencies: array.array[float] = array.array("d")
        latencies.frombytes(out.read_bytes())
        if twice or len(latencies) != sound:
            raise BenchError(f"of {sound} replies {len(latencies)} came, {twice} twice")
        return {
            "delivered": sound / busy,
            "p50": percentile(latencies, 0.5) * 1e3,
            "p99": percentile(latencies, 0.99) * 1e3,
            "max": max(latencies) * 1e3,
            "failed": failed,
            "drain": drained,
            "cpu": (later.server - cpu.server) / sent * 1e6,
            "loop_cpu": (later.loop - cpu.loop) / sent * 1e6,
            "peak": at.server.peak_mb(),
        }


WEBHOOKS = Bench(
    "webhooks",
    "replies to 1,000 customers' webhooks, one in ten of them dead",
    (
        Figure("delivered", "/s", "replies taken by sound receivers", least=1000),
        Figure("p50", "ms", "from the handset until the receiver has it"),
        Figure("p99", "ms", "from the handset until the receiver has it", most=1000),
        Figure("max", "ms", "from the handset until the receiver has it"),
        Figure("failed", "", "calls of dead receivers meanwhile"),
        Figure("drain", "s", "from the last reply until all are taken"),
        Figure("cpu", "µs", "server's processor time a reply"),
        Figure("loop_cpu", "µs", "of that, its event loop's thread"),
        Figure("peak", "MB", "server's memory at most"),
    ),
    _run,
)
