"""What the settings say about how long things are kept, as the rooms below are told."""

from __future__ import annotations

from cooee.config import Settings
from cooee.service.keeping import Keep


def keep_rules(settings: Settings) -> Keep:
    """What is kept for how long."""
    return Keep(
        messages_days=settings.keep_messages_days,
        replies_days=settings.keep_replies_days,
        receipts_days=settings.keep_receipts_days,
        audit_days=settings.keep_audit_days,
    )
