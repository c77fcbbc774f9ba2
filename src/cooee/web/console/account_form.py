"""What an operator may set about an account, as a form has it: read, checked, and told what is wrong, by field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from cooee.model.account import Account
from cooee.model.errors import ConfigError
from cooee.model.options import text_of
from cooee.service.settings import (
    NEW,
    AccountSettings,
    check_country,
    countries_text,
    read_countries,
    read_window,
    window_text,
)
from cooee.web.console.visit import Visit

PERMISSIONS = (
    ("allow_unicode", "Unicode", "Texts that need UCS-2."),
    ("allow_long", "Long messages", "Texts of more than one segment."),
    ("allow_international", "International", "Numbers outside its own country."),
    ("may_add_credits", "Adds credits", "Tops itself up, for later billing."),
    ("times_utc", "UTC", "The API returns times in UTC instead of its zone."),
    (
        "smart_encoding",
        "Smart encoding",
        "Typographic quotes, dashes and ellipses are written as their GSM twins.",
    ),
)
"""(field, label, hint) of what is either on or off."""


@dataclass(slots=True)
class AccountForm:
    """What was typed, by field; `settings` is what it means where there are no `problems` by field."""

    values: dict[str, str]
    settings: AccountSettings = field(default_factory=lambda: AccountSettings())
    problems: dict[str, str] = field(default_factory=dict)


def form_of(account: Account = NEW, parent: str = "") -> AccountForm:
    """An account as it is, or a new one."""
    values = {name: text_of(getattr(account, name)) for name, _, _ in PERMISSIONS}
    values |= {
        "zone": account.zone_name,
        "country": account.country,
        "parent": parent,
        "window": "" if account.window is None else window_text(account.window),
        "originators": "approved" if account.approved_only else "any",
        "credit_limit": str(account.credit_limit),
        "daily_cap": _amount(account.daily_cap),
        "low_balance": _amount(account.low_balance),
        "countries": "" if not account.countries else countries_text(account.countries),
        "number_check": "shape" if account.shape_only else "plan",
    }
    return AccountForm(values)


def read_form(visit: Visit) -> AccountForm:
    """The form as it was sent."""
    values = {name: text_of(visit.text(name) == "1") for name, _, _ in PERMISSIONS}
    for name in (
        "zone", "country", "parent", "window", "originators", "credit_limit", "daily_cap", "low_balance",
        "countries", "number_check",
    ):  # fmt: skip
        values[name] = visit.text(name).strip()[:1000]
    form = AccountForm(values)
    given: dict[str, Any] = {name: values[name] == "true" for name, _, _ in PERMISSIONS}
    given["zone"] = values["zone"]
    given["approved_only"] = values["originators"] == "approved"
    given["shape_only"] = values["number_check"] == "shape"
    readers: Mapping[str, Callable[[str], object]] = {
        "country": check_country,
        "window": lambda text: read_window(text or "none"),
        "countries": lambda text: read_countries(text or "any"),
        "credit_limit": lambda text: whole(text or "0"),
        "daily_cap": lambda text: whole(text) if text else None,
        "low_balance": lambda text: whole(text) if text else None,
    }
    for name, reader in readers.items():
        try:
            given[name] = reader(values[name])
        except ConfigError as error:
            form.problems[name] = sentence(error)
    form.settings = cast(AccountSettings, given)
    return form


def whole(text: str) -> int:
    """A whole number as people write it, with commas or spaces; ConfigError for anything else."""
    bare = text.replace(",", "").replace(" ", "").replace("\u2212", "-")
    sign, digits = bare[:1], bare.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 16):
        raise ConfigError(f"'{text[:40]}' is no whole number")
    return -int(digits) if sign == "-" else int(digits)


def sentence(error: Exception) -> str:
    """What a service says, as a sentence; what it says to people at a terminal is put otherwise."""
    text = _COMMAND.sub("", str(error))
    for said, instead in _TERMINAL.items():
        text = text.replace(said, instead)
    return f"{text[:1].upper()}{text[1:]}."


_COMMAND = re.compile(r"[:;] cooee \w+ .*$")
"""The advice to run a command."""
_TERMINAL = {
    "set --international too, or change --countries": "allow international numbers too, or name other countries",
    ", or none": ", or leave it empty",
    ": give none for one that is always open": ": leave it empty for one that is always open",
    ", or say any": ", or leave it empty",
    ": change it with carrier set": "",
    ": give --set host=…": "",
    ": give --set system_id=…": "",
}


def _amount(value: int | None) -> str:
    return "" if value is None else str(value)
