"""Benches of campaigns: how fast a large one goes out, comes back, and leaves others their pace."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

from bench import bodies
from bench.figures import CPU, Bench, Figure, Plan, Values, percentile
from bench.process import BenchError
from bench.site import Metrics, Site, site

SMALL = 10_000
COMPANY = 10
_FAR_S, _NEAR_S = 0.25, 0.02
_FIRST = 1_000_000
_STALLED_S = 60.0


@cache
def _body(size: int) -> bytes:
    return bodies.campaign(size)


def wait(at: Site, goal: int, count: Callable[[Metrics], int], what: str) -> float:
    """When `count` reached `goal`, to 0.02 s; BenchError when it stands still for a minute.

    Asked seldom until it is near, for a look at the metrics costs the server time.
    """
    last, moved = 0, time.monotonic()
    while True:
        page = at.api.metrics()
        now, seen = time.monotonic(), count(page)
        if seen >= goal:
            return now
        if seen > last:
            last, moved = seen, now
        elif now - moved > _STALLED_S:
            at.server.alive()
            orphans = page.get("cooee_receipts_total", 'outcome="orphaned"')
            raise BenchError(
                f"{what}: {seen} of {goal} and no more for {_STALLED_S:g} s "
                f"({page.lost} other outcomes, {orphans:g} receipts orphaned)"
            )
        time.sleep(_FAR_S if seen < 0.95 * goal else _NEAR_S)


def exact(at: Site, goal: int) -> None:
    """BenchError unless SMSC and server agree that everything went out once."""
    submits, recorded = at.smsc.stats()["submits"], at.api.metrics().recorded
    if not submits == recorded == goal:
        raise BenchError(f"of {goal} messages the SMSC saw {submits}, and {recorded} are recorded")


def _campaign(plan: Plan, smsc: dict[str, Any], *, receipts: bool) -> Values:
    body, size = _body(plan.size), plan.size
    with site(plan.engine, smsc) as at:
        time.sleep(1.0)
        cpu = at.cpu()
        asked = time.monotonic()
        at.api.create(body)
        answered = time.monotonic()
        sent = wait(at, size, lambda page: page.recorded, "campaign")
        done = wait(at, size, lambda page: page.receipts, "receipts") if receipts else sent
        later = at.cpu()
        exact(at, size)
        values = {
            "answered": answered - asked,
            "recorded": size / (sent - answered),
            "seconds": done - asked,
            **later.per(cpu, size),
            "peak": at.server.peak_mb(),
        }
        if receipts:
            values["receipts"] = size / (done - answered)
        return values


def _million(plan: Plan) -> Values:
    body, size = _body(plan.size), plan.size
    with site(plan.engine, {"receipts": 0.0}) as at:
        time.sleep(1.0)
        idle = at.server.rss_mb()
        load = at.load(connections=COMPANY, seconds=120.0, first=_FIRST)
        time.sleep(1.0)
        asked = time.monotonic()
        at.api.create(body)
        answered = time.monotonic()
        after_post = at.server.peak_mb()
        samples = load.finish(now=True)
        total = size + samples.totals.accepted
        sent = wait(at, total, lambda page: page.recorded, "campaign and single messages")
        exact(at, total)
        meanwhile = [
            latency * 1e3
            for start, latency in zip(samples.starts, samples.latencies, strict=True)
            if start < answered and start + latency > asked
        ]
        before = [
            latency * 1e3
            for start, latency in zip(samples.starts, samples.latencies, strict=True)
            if start + latency <= asked
        ]
        return {
            "answered": answered - asked,
            "p50": percentile(meanwhile, 0.5),
            "p99": percentile(meanwhile, 0.99),
            "max": max(meanwhile, default=0.0),
            "before": percentile(before, 0.99),
            "singles": len(meanwhile) / (answered - asked),
            "seconds": sent - asked,
            "idle": idle,
            "post_peak": after_post,
            "peak": at.server.peak_mb(),
        }


def _small(plan: Plan) -> Values:
    body = _body(SMALL)
    with site(plan.engine, {"receipts": 0.0}) as at:
        time.sleep(1.0)
        asked = time.monotonic()
        at.api.create(body)
        answered = time.monotonic()
        while (seen := at.smsc.stats()["submits"]) < SMALL:
            if time.monotonic() - answered > _STALLED_S:
                raise BenchError(f"the SMSC saw {seen} of {SMALL} in {_STALLED_S:g} s")
            time.sleep(0.005)
        sent = time.monotonic()
        wait(at, SMALL, lambda page: page.recorded, "campaign")
        exact(at, SMALL)
        return {"answered": answered - asked, "sent": sent - asked, "rate": SMALL / (sent - asked)}


def _figures(*, recorded: float | None = None, receipts: float | None = None) -> tuple[Figure, ...]:
    figures = [
        Figure("recorded", "/s", "submit_sm recorded, from the answer to the last", least=recorded),
        Figure("receipts", "/s", "receipts applied, from the answer to the last", least=receipts),
        Figure("answered", "s", "from the request to its answer"),
        Figure("seconds", "s", "from the request to the end"),
        *CPU,
        Figure("peak", "MB", "server's memory at most"),
    ]
    return tuple(each for each in figures if each.name != "receipts" or receipts is not None)


CAMPAIGN = Bench(
    "campaign",
    "one large campaign, no receipts",
    _figures(recorded=50_000),
    lambda plan: _campaign(plan, {"receipts": 0.0}, receipts=False),
)

RECEIPTS = Bench(
    "campaign-receipts",
    "one large campaign, a receipt for every message after 1 s",
    _figures(receipts=30_000),
    lambda plan: _campaign(plan, {"receipts": 1.0, "receipt_delay": 1.0}, receipts=True),
)

RANDOM_IDS = Bench(
    "campaign-random-ids",
    "the same from an SMSC whose message ids are in random order",
    _figures(receipts=30_000),
    lambda plan: _campaign(plan, {"receipts": 1.0, "receipt_delay": 1.0, "ids": "random"}, receipts=True),
)

MILLION = Bench(
    "million",
    "one large campaign is posted while 10 connections send single messages, closed loop",
    (
        Figure("answered", "s", "from the request to its answer", most=2),
        Figure("p50", "ms", "latency of single messages meanwhile"),
        Figure("p99", "ms", "latency of single messages meanwhile", most=50),
        Figure("max", "ms", "latency of single messages meanwhile"),
        Figure("before", "ms", "their p99 before the request"),
        Figure("singles", "/s", "single messages accepted meanwhile"),
        Figure("seconds", "s", "from the request until all is recorded"),
        Figure("idle", "MB", "server's memory before", most=90),
        Figure("post_peak", "MB", "server's memory at most, until the answer"),
        Figure("peak", "MB", "server's memory at most, until the last record", most=300),
    ),
    _million,
)

SMALL_CAMPAIGN = Bench(
    "small",
    "a campaign of 10,000 recipients, from the request to the last submit_sm at the SMSC",
    (
        Figure("answered", "s", "from the request to its answer"),
        Figure("sent", "s", "from the request to the last submit_sm"),
        Figure("rate", "/s", "recipients a second of that"),
    ),
    _small,
)
