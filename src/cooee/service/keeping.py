"""What is kept for how long, and why; service/retention.py removes what is older."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cooee.model.clock import DAY
from cooee.store import acceptance, refs, seen

SHORTEST_MS = 8 * DAY
"""Receipts find their message for 7 days (store/refs.py): neither ids nor messages may go before."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows that serve Cooee itself: their table, how long they are kept, why, and the queries that remove and
    count them ("" where there is more to do)."""

    table: str
    keep_ms: int
    why: str
    drop: str = ""
    count: str = ""
    most: int = 1000
    """Rows that one transaction removes at most."""


RULES: tuple[Rule, ...] = (
    Rule(
        "idempotency",
        acceptance.KEY_KEPT_MS,
        "a request may be repeated for a day",
        "drop_old_keys",
        "count_old_keys",
    ),
    Rule(
        "inbound_seen",
        seen.WINDOW_MS,
        "what an SMSC sends again, it sends within the hour",
        "drop_old_seen",
        "count_old_seen",
    ),
    Rule(
        "auto_answer",
        7 * DAY,
        "a handset is answered once a day; days begin at other times in other zones",
        "drop_old_answers",
        "count_old_answers",
    ),
    Rule(
        "orphan_receipt",
        refs.KEPT_MS,
        "no receipt is matched to a message after 7 days",
        "drop_old_orphans",
        "count_old_orphans",
    ),
    Rule(
        "last_contact",
        366 * DAY,
        "a reply finds its campaign as far back as replies can be asked for",
        "drop_old_contacts",
        "count_old_contacts",
    ),
    Rule(
        "quarantine",
        90 * DAY,
        "receipts that could not be read: time to look into why",
        "drop_old_quarantine",
        "count_old_quarantine",
    ),
    Rule(
        "optout_past",
        1830 * DAY,
        "who opted out and came back, as long as it may have to be proved",
        "drop_old_optouts",
        "count_old_optouts",
    ),
    Rule(
        "signup",
        7 * DAY,
        "sign-ups that were decided or have expired: time to ask why, and no longer",
        "drop_old_signups",
        "count_old_signups",
    ),
    Rule(
        "signup_link",
        60 * DAY,
        "no sign-up waits longer for its link",
        "drop_old_signup_links",
        "count_old_signup_links",
    ),
    Rule(
        "signup_try",
        DAY,
        "the limits on sign-ups look back for a day",
        "drop_old_signup_tries",
        "count_old_signup_tries",
    ),
)
"""Which, when and why. They are few at any time, and looked for once a minute."""
REFS = Rule("segment_ref", SHORTEST_MS, "no receipt is matched to a message after 7 days")
"""The same for the largest of these tables, which is walked through, or on PostgreSQL dropped by days."""


RECEIPTS = Rule(
    "receipt_log",
    0,
    "what the carriers wrote about each message",
    "drop_old_receipts",
    "count_old_receipts",
    most=30,
)
"""The same for receipts as they came. How long is a setting; a row may hold a thousand: few go at once."""


AUDIT = Rule(
    "audit",
    1830 * DAY,
    "who did what, as long as it may have to be proved",
    "drop_old_audit",
    "count_old_audit",
    most=200,
)
"""The same for lines of the audit log. How long is a setting; a line is in four indexes: few go at once."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Days that messages, replies and lines of the audit log are kept; 0: for ever. Days that receipts are kept as
    they came; 0: not at all."""

    messages_days: int = 400
    replies_days: int = 400
    receipts_days: int = 30
    audit_days: int = AUDIT.keep_ms // DAY

    @property
    def receipts_ms(self) -> int:
        """How long receipts are kept as they came: not longer than the messages that they are about."""
        days = min(self.receipts_days, self.messages_days) if self.messages_days else self.receipts_days
        return days * DAY

    @property
    def rules(self) -> tuple[Rule, ...]:
        """RULES, and what the settings say beyond."""
        audit = (replace(AUDIT, keep_ms=self.audit_days * DAY),) if self.audit_days else ()
        return (*RULES, replace(RECEIPTS, keep_ms=self.receipts_ms), *audit)
