"""Everything that is measured, in one place; `/metrics` shows it in Prometheus' text form.

Counters are raised once for a batch, never once for a message; those that a request raises are a `Tally`.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class Tally(Collector):
    """A counter that costs next to nothing: it has no lock, so it is raised on the event loop only."""

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...] = ()) -> None:
        self.name, self.labels, self._documentation = name, labels, documentation
        self._counts: dict[tuple[object, ...], int] = {} if labels else {(): 0}
        REGISTRY.register(self)

    def inc(self, amount: int = 1, *values: object) -> None:
        """Raises the one with these values of the labels."""
        self._counts[values] = self._counts.get(values, 0) + amount

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        family = CounterMetricFamily(self.name, self._documentation, labels=self.labels)
        for values, count in tuple(self._counts.items()):
            family.add_metric([str(value) for value in values], count)
        yield family


REQUESTS = Tally("cooee_http_requests_total", "API requests answered", ("resource", "code"))
ACCEPTED = Tally("cooee_messages_accepted_total", "Recipients accepted (committed)")
SUBMITTED = Counter("cooee_submit_total", "Answers to submit_sm, by outcome", ["carrier", "outcome"])
RECEIPTS = Counter("cooee_receipts_total", "Delivery receipts, by what became of them", ["carrier", "outcome"])
UNCERTAIN = Counter("cooee_uncertain_total", "Recipients that became uncertain", ["carrier", "reason"])
RESENT = Counter("cooee_resent_total", "Uncertain recipients sent again")
WASHED = Counter("cooee_washed_total", "Recipients not sent to because they opted out")
QUARANTINED = Counter("cooee_quarantined_total", "Items put aside because they could not be stored", ["kind"])
REPLIES = Counter("cooee_replies_total", "Messages from handsets, by what became of them", ["carrier", "outcome"])
UNROUTED = Gauge("cooee_unrouted_replies", "Messages from handsets that are nobody's")
BINDS = Gauge("cooee_binds", "Binds that are up", ["carrier"])
IN_FLIGHT = Gauge("cooee_window_used", "Segments in flight", ["carrier"])
ORPHANS = Gauge("cooee_orphan_receipts", "Receipts that match nothing yet")
LOGIN_FAILURES = Counter("cooee_login_failures_total", "Failed logins")
LOW_BALANCE = Counter("cooee_low_balance_total", "Times that a balance fell below its low-balance mark")
SIGNUPS = Counter("cooee_signups_total", "Sign-ups for a trial, by what became of them", ["outcome"])
MAILS = Counter("cooee_mails_total", "Mails to sign-ups, by what came of them", ["outcome"])
WEBHOOKS = Counter("cooee_webhook_total", "Calls of reply webhooks, by what came of them", ["outcome"])
WEBHOOKS_DOWN = Gauge("cooee_webhooks_down", "Receivers of replies that are left alone for now, for they fail")
WEBHOOK_LATE = Gauge(
    "cooee_webhook_late_seconds", "How long the most overdue reply of a sound receiver has been due"
)
COMMIT_SECONDS = Histogram(
    "cooee_commit_seconds",
    "Time from the first statement of a transaction to its commit",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2),
)
REMOVED = Counter("cooee_removed_total", "Old rows removed", ["table"])
COMMIT_JOBS = Counter("cooee_commit_jobs_total", "Operations committed")

__all__ = [
    "ACCEPTED",
    "BINDS",
    "COMMIT_JOBS",
    "COMMIT_SECONDS",
    "IN_FLIGHT",
    "LOGIN_FAILURES",
    "LOW_BALANCE",
    "MAILS",
    "ORPHANS",
    "QUARANTINED",
    "RECEIPTS",
    "REGISTRY",
    "REMOVED",
    "REPLIES",
    "REQUESTS",
    "RESENT",
    "SIGNUPS",
    "SUBMITTED",
    "UNCERTAIN",
    "UNROUTED",
    "WASHED",
    "WEBHOOKS",
    "WEBHOOKS_DOWN",
    "WEBHOOK_LATE",
    "Tally",
]
