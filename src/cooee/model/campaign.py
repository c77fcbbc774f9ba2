"""States of a campaign and of a batch, and what may follow what.

    accepting ─→ scheduled ─→ starting ─→ running ─→ finished
                   │  ↑          │          │  ↑
                   ↓  │          ↓          ↓  │
                   paused ←──────┴──────── paused ──→ deleted

`accepting`: its batches are still being written; the API does not see it. `starting`: due, its batches not yet
dealt to a carrier. A paused campaign knows by `started_at` whether it was running before. One whose send window
closes before anything of it went out is `scheduled` again.
"""

from __future__ import annotations

import enum


class CampaignState(enum.IntEnum):
    """Numbers are stored; partial indexes name them."""

    ACCEPTING = 0
    SCHEDULED = 1
    STARTING = 2
    RUNNING = 3
    PAUSED = 4
    DELETED = 5
    FINISHED = 6


CAMPAIGN_NEXT: dict[CampaignState, frozenset[CampaignState]] = {
    CampaignState.ACCEPTING: frozenset({CampaignState.SCHEDULED, CampaignState.STARTING, CampaignState.RUNNING}),
    CampaignState.SCHEDULED: frozenset({CampaignState.STARTING, CampaignState.PAUSED, CampaignState.DELETED}),
    CampaignState.STARTING: frozenset({CampaignState.RUNNING, CampaignState.SCHEDULED, CampaignState.PAUSED}),
    CampaignState.RUNNING: frozenset({CampaignState.SCHEDULED, CampaignState.PAUSED, CampaignState.FINISHED}),
    CampaignState.PAUSED: frozenset({CampaignState.SCHEDULED, CampaignState.STARTING, CampaignState.DELETED}),
    CampaignState.DELETED: frozenset(),
    CampaignState.FINISHED: frozenset(),
}
"""Every transition there is."""

STATUS_WORD: dict[CampaignState, str] = {
    CampaignState.SCHEDULED: "Scheduled",
    CampaignState.STARTING: "Running",
    CampaignState.RUNNING: "Running",
    CampaignState.PAUSED: "Paused",
    CampaignState.DELETED: "Deleted",
    CampaignState.FINISHED: "Finished",
}
"""What the status action answers (wire contract §4)."""


class BatchState(enum.IntEnum):
    """Numbers are stored; partial indexes name them."""

    HELD = 1
    """Not to be claimed: still being accepted, scheduled, paused, suspended, or without a carrier."""
    READY = 2
    """May be claimed, in the order of `turn`."""
    DELAYED = 3
    """Ready at `not_before`: a retry, or a send window that is closed."""
    OUT = 4
    """An engine has it."""
    DONE = 5
    """Every recipient has a message row."""
    CANCELLED = 6
    """Deleted; what lies beyond `marked` was never handed over and is refunded."""


BATCH_SIZE = 500
"""Recipients a batch holds at most."""
LEAST_BATCH = 20
"""Recipients a batch may hold on the slowest carrier."""


def batch_size(segments_per_s: float, segments: int) -> int:
    """Recipients of one batch of messages of so many segments: what a bind of this rate sends in about a second.

    `segments_per_s` 0: the bind has no limit, or none is known.
    """
    if not segments_per_s:
        return BATCH_SIZE
    return max(LEAST_BATCH, min(BATCH_SIZE, int(segments_per_s / segments)))
