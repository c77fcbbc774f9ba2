"""The pages of the console. To add one: write a module here and its templates, and name it below.

A page module has PAGES (what it answers), and may have NAV (its line in the navigation, in the order below) and
NOTICES (what `visit.go(…, done=KEY)` says on the next page).
"""

from __future__ import annotations

from typing import Any

from cooee.web.console.pages import (
    audit,
    campaign_edit,
    campaigns,
    compose,
    credits,
    door,
    lists,
    operator_accounts,
    operator_audit,
    operator_carriers,
    operator_credits,
    operator_handsets,
    operator_numbers,
    operator_quarantine,
    operator_rates,
    operator_settings,
    operator_signups,
    operator_uncertain,
    operator_webhooks,
    optouts,
    overview,
    recipients,
    rehearsal,
    replies,
    settings,
    signup,
    webhook,
)

MODULES: tuple[Any, ...] = (
    door,
    signup,
    overview,
    compose,
    rehearsal,
    campaigns,
    campaign_edit,
    recipients,
    lists,
    replies,
    optouts,
    credits,
    settings,
    webhook,
    audit,
)
"""What an account's people see."""
OPERATOR_MODULES: tuple[Any, ...] = (
    operator_accounts,
    operator_signups,
    operator_credits,
    operator_rates,
    operator_carriers,
    operator_numbers,
    operator_uncertain,
    operator_webhooks,
    operator_quarantine,
    operator_audit,
    operator_handsets,
    operator_settings,
)
"""What operators see, under /operator."""
