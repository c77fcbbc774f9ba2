"""Benches of single messages: how many a second, and how fast."""

from __future__ import annotations

import time
from typing import Any

from bench.figures import CPU, Bench, Figure, Plan, Values, percentile
from bench.process import until
from bench.site import Samples, Site, site

CONNECTIONS = 50
WARM_UP_S = 1.0
_DRAIN_S = 180.0
_FIRST = 1_000_000


def within(samples: Samples, begin: float, end: float) -> list[float]:
    """Latencies, in milliseconds, of the requests that were answered from `begin` to `end`."""
    pairs = zip(samples.starts, samples.latencies, strict=True)
    return [latency * 1e3 for start, latency in pairs if begin <= start + latency < end]


def _drained(at: Site, receipts: bool) -> bool:
    at.server.alive()
    page = at.api.metrics()
    return page.recorded >= page.accepted and (not receipts or page.receipts >= page.accepted)


def _singles(plan: Plan, smsc: dict[str, Any], *, receipts: bool) -> Values:
    with site(plan.engine, smsc) as at:
        time.sleep(1.0)
        idle = at.server.rss_mb()
        load = at.load(connections=CONNECTIONS, seconds=WARM_UP_S + plan.seconds, first=_FIRST)
        begin = load.started + WARM_UP_S
        time.sleep(max(0.0, begin - time.monotonic()))
        looked = time.monotonic()
        cpu, page = at.cpu(), at.api.metrics()
        time.sleep(max(0.0, begin + plan.seconds - time.monotonic()))
        elapsed = time.monotonic() - looked
        later, page_later = at.cpu(), at.api.metrics()
        samples = load.finish()
        until(lambda: _drained(at, receipts), _DRAIN_S, "every message recorded")
        drained = time.monotonic() - samples.totals.ended
        latencies = within(samples, begin, begin + plan.seconds)
        accepted = page_later.accepted - page.accepted
        return {
            "accepted": len(latencies) / plan.seconds,
            "p50": percentile(latencies, 0.5),
            "p99": percentile(latencies, 0.99),
            "recorded": (page_later.recorded - page.recorded) / elapsed,
            "receipts": (page_later.receipts - page.receipts) / elapsed,
            "drain": drained,
            "commits": (page_later.commits - page.commits) / elapsed,
            **later.per(cpu, accepted),
            "load_cpu": samples.totals.cpu_us,
            "idle": idle,
            "peak": at.server.peak_mb(),
        }


def _figures(*, marks: bool) -> tuple[Figure, ...]:
    return (
        Figure("accepted", "/s", "requests answered with Code 0", least=8000 if marks else None),
        Figure("p50", "ms", "latency of a request"),
        Figure("p99", "ms", "latency of a request", most=15 if marks else None),
        Figure("recorded", "/s", "submit_sm answered and recorded meanwhile"),
        Figure("receipts", "/s", "receipts applied meanwhile"),
        Figure("drain", "s", "from the last request until all is recorded"),
        Figure("commits", "/s", "transactions committed meanwhile"),
        *CPU,
        Figure("load_cpu", "µs", "load generator's processor time a request"),
        Figure("idle", "MB", "server's memory before the load"),
        Figure("peak", "MB", "server's memory at most"),
    )


def _latency(plan: Plan) -> Values:
    with site(plan.engine, {"receipts": 0.0}) as at:
        load = at.load(connections=10, seconds=WARM_UP_S + plan.seconds, think=0.01, first=_FIRST)
        begin = load.started + WARM_UP_S
        samples = load.finish()
        latencies = within(samples, begin, begin + plan.seconds)
        return {
            "accepted": len(latencies) / plan.seconds,
            "p50": percentile(latencies, 0.5),
            "p90": percentile(latencies, 0.9),
            "p99": percentile(latencies, 0.99),
            "max": max(latencies),
        }


SINGLES = Bench(
    "singles",
    "one message a request, 50 connections, closed loop",
    _figures(marks=True),
    lambda plan: _singles(plan, {"receipts": 0.0}, receipts=False),
)

WITH_RECEIPTS = Bench(
    "singles-receipts",
    "the same with a receipt for every message after 1 s",
    _figures(marks=False),
    lambda plan: _singles(plan, {"receipts": 1.0, "receipt_delay": 1.0}, receipts=True),
)

LATENCY = Bench(
    "latency",
    "one message a request, 10 connections, each 10 ms after its last answer",
    (
        Figure("accepted", "/s", "requests answered with Code 0"),
        Figure("p50", "ms", "latency of a request"),
        Figure("p90", "ms", "latency of a request"),
        Figure("p99", "ms", "latency of a request"),
        Figure("max", "ms", "latency of a request"),
    ),
    _latency,
)
