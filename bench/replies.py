"""Bench of replies: how fast messages from handsets are stored, each before it is acknowledged."""

from __future__ import annotations

import json
import time

from bench.figures import CPU, Bench, Figure, Plan, Values
from bench.process import BenchError, until
from bench.site import Site, site

NUMBER = "61400190499"
FIRST = 61400000000
REPLIES = 40_000
_TEXTS = ("Yes", "No, sorry", "See you at 10:30", "Danke, bis morgen!", "Cu 👍")


def _write(at: Site, count: int) -> None:
    """Handsets write while the SMSC is silent: all of it waits there, and goes out at once."""
    at.smsc.ask({"do": "silence"})
    for start in range(0, count, 1000):
        at.smsc.ask(
            *(
                {"do": "reply", "from": str(FIRST + i), "to": NUMBER, "text": _TEXTS[i % 5], "system_id": "bench"}
                for i in range(start, min(start + 1000, count))
            )
        )


def _replies(plan: Plan) -> Values:
    count = min(REPLIES, plan.size)
    with site(plan.engine, {"receipts": 0.0}) as at:
        at.cooee("number", "add", NUMBER, "--account", "bench", "--kind", "dedicated")
        at.api.create(
            json.dumps(
                {
                    "Action": "create", "Originator": NUMBER, "Message": "Do you come?",
                    "Destinations": [str(FIRST + i) for i in range(count)],
                }
            ).encode()
        )  # fmt: skip
        until(lambda: at.api.metrics().recorded >= count, 60, "the campaign that they answer")
        time.sleep(1.0)
        _write(at, count)
        cpu = at.cpu()
        began = time.monotonic()
        at.smsc.ask({"do": "speak"})
        end = began + 120
        while (acked := at.smsc.stats()["mo_acked"]) < count:
            if time.monotonic() > end:
                raise BenchError(f"{acked} of {count} replies acknowledged in 120 s")
            time.sleep(0.01)
        seconds = time.monotonic() - began
        later = at.cpu()
        stored = int(at.api.metrics().get("cooee_replies_total", 'outcome="stored"'))
        if stored != count:
            raise BenchError(f"{count} replies were acknowledged, and {stored} are stored")
        return {
            "replies": count / seconds,
            "seconds": seconds,
            **later.per(cpu, count),
            "peak": at.server.peak_mb(),
        }


REPLIES_IN = Bench(
    "replies",
    f"{REPLIES:,} handsets answer a campaign at once",
    (
        Figure("replies", "/s", "replies committed, then acknowledged", least=5_000),
        Figure("seconds", "s", "until the last acknowledgement"),
        *CPU,
        Figure("peak", "MB", "server's memory at most"),
    ),
    _replies,
)
