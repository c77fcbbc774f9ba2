"""Benches of stored lists, and of a look at one recipient among many."""

from __future__ import annotations

import json
import random
import time
from functools import cache
from typing import Any

from bench import bodies
from bench.campaigns import exact, wait
from bench.figures import Bench, Figure, Plan, Values, percentile
from bench.process import BenchError
from bench.site import Site, site

PART = 0.1
"""How many of a large campaign's recipients an append adds."""
LOOKS = 1000
_COMPANY = 10
_FIRST = 1_000_000
_SMSC: dict[str, Any] = {"receipts": 0.0}


@cache
def _mobiles(size: int) -> list[str]:
    return bodies.mobiles(size + int(size * PART))


def _create(at: Site, numbers: list[str]) -> int:
    answer = at.api.crm(
        b'{"Action":"create","Description":"bench","Records":' + bodies.records(numbers) + b"}"
        if numbers
        else b'{"Action":"create","Description":"bench"}'
    )
    return int(answer["CrmId"])


def _add(at: Site, list_id: int, numbers: list[str]) -> float:
    """Seconds from the request to its answer."""
    body = b'{"Action":"append","CrmId":%d,"Records":%s}' % (list_id, bodies.records(numbers))
    asked = time.monotonic()
    answer = at.api.crm(body)
    taken = time.monotonic() - asked
    if answer["Message"] != f"Added {len(numbers)} numbers":
        raise BenchError(f"{len(numbers)} numbers were answered with {answer}")
    return taken


def _append(plan: Plan) -> Values:
    numbers = _mobiles(plan.size)
    more, held = numbers[: int(plan.size * PART)], numbers[int(plan.size * PART) :]
    with site(plan.engine, _SMSC) as at:
        empty, large = _create(at, []), _create(at, held)
        time.sleep(1.0)
        before = at.cpu()
        appended = _add(at, empty, more)
        cpu = at.cpu().server - before.server
        return {"appended": appended, "cpu": cpu, "to_large": _add(at, large, more)}


def _campaign(plan: Plan) -> Values:
    numbers = _mobiles(plan.size)[: plan.size]
    with site(plan.engine, _SMSC) as at:
        began = time.monotonic()
        list_id = _create(at, numbers)
        made = time.monotonic() - began
        load = at.load(connections=_COMPANY, seconds=120.0, first=_FIRST)
        time.sleep(1.0)
        body = {
            "Message": "Hello, this is a benchmark message", "Originator": bodies.ORIGINATOR, "CrmIds": [list_id],
            "TimeScheduled": "203712311200", "Action": "create",
        }  # fmt: skip
        asked = time.monotonic()
        answer = at.api.create(json.dumps(body).encode())
        answered = time.monotonic()
        samples = load.finish(now=True)
        if answer["Messages"] != plan.size:
            raise BenchError(f"of {plan.size} recipients {answer['Messages']} were accepted")
        meanwhile = [
            latency * 1e3
            for start, latency in zip(samples.starts, samples.latencies, strict=True)
            if start < answered and start + latency > asked
        ]
        return {
            "made": made,
            "answered": answered - asked,
            "p99": percentile(meanwhile, 0.99),
            "max": max(meanwhile, default=0.0),
            "peak": at.server.peak_mb(),
        }


def _status(plan: Plan) -> Values:
    numbers = _mobiles(plan.size)[: plan.size]
    body = {
        "Message": "Hello, this is a benchmark message", "Originator": bodies.ORIGINATOR, "Destinations": numbers,
        "Action": "create",
    }  # fmt: skip
    with site(plan.engine, {"receipts": 1.0}) as at:
        campaign = at.api.create(json.dumps(body).encode())["CampaignId"]
        wait(at, plan.size, lambda page: page.receipts, "receipts")
        exact(at, plan.size)
        time.sleep(1.0)
        chosen = random.Random(1).sample(numbers, LOOKS)
        asked = [f'{{"CampaignId": {campaign}, "Destination": "{number}"}}'.encode() for number in chosen]
        taken, answers = at.api.timed("/api/DRStatus", asked)
        for number, answer in zip(chosen, answers, strict=True):
            found = json.loads(answer)
            if found["Count"] != 1 or found["Destinations"][0]["Destination"] != number:
                raise BenchError(f"DRStatus of {number}: {found}")
        return {
            "p50": percentile(taken, 0.5) * 1e3,
            "p99": percentile(taken, 0.99) * 1e3,
            "max": max(taken) * 1e3,
        }


APPEND = Bench(
    "list-append",
    "a tenth as many numbers as a large campaign has are appended to a list, a record each",
    (
        Figure("appended", "s", "to an empty list, from the request to its answer", most=0.5),
        Figure("cpu", "s", "server's processor time of that"),
        Figure("to_large", "s", "to one as long as a large campaign", most=0.5),
    ),
    _append,
)

CAMPAIGN = Bench(
    "list-campaign",
    "a large campaign to a stored list, while 10 connections send single messages, closed loop",
    (
        Figure("made", "s", "the list itself, a record each, from the request to its answer"),
        Figure("answered", "s", "the campaign, from the request to its answer", most=3),
        Figure("p99", "ms", "latency of single messages meanwhile"),
        Figure("max", "ms", "latency of single messages meanwhile"),
        Figure("peak", "MB", "server's memory at most"),
    ),
    _campaign,
)

STATUS = Bench(
    "status-one",
    "DRStatus of one recipient of a large campaign whose receipts have come, one request after the other",
    (
        Figure("p50", "ms", "from the request to its answer", most=2),
        Figure("p99", "ms", "from the request to its answer"),
        Figure("max", "ms", "from the request to its answer"),
    ),
    _status,
)
