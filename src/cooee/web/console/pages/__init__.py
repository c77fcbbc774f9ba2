"""The pages of the console. To add one: write a module here and its templates, and name it below.

A page module has PAGES (what it answers), and may have NAV (its line in the navigation, in the order below) and
NOTICES (what `visit.go(…, done=KEY)` says on the next page).
"""

from __future__ import annotations

from typing import Any

from cooee.web.console.pages import (
    campaign_edit,
    campaigns,
    compose,
    credits,
    door,
    lists,
    operator_home,
    optouts,
    overview,
    recipients,
    rehearsal,
    replies,
    settings,
    webhook,
)

MODULES: tuple[Any, ...] = (
    door,
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
)
"""What an account's people see."""
OPERATOR_MODULES: tuple[Any, ...] = (operator_home,)
"""What operators see, under /operator."""
