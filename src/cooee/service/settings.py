"""What an operator may set about an account, and what of it is refused.

What a person types is refused with a ConfigError that says what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypedDict

from cooee.model.account import Account, AccountState
from cooee.model.clock import zone
from cooee.model.errors import ConfigError
from cooee.model.msisdn import country_calling_code
from cooee.model.options import text_of

MAX_CREDITS = 2**53 - 1
"""A balance stays a number that every JSON reader keeps exact."""
_DAY = 24 * 60
_WINDOW = re.compile(r"([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})")


class AccountSettings(TypedDict, total=False):
    """What may be set; what is left out stays as it is. See `model.account.Account` for the meaning of each."""

    zone: str
    country: str
    allow_unicode: bool
    allow_long: bool
    allow_international: bool
    may_add_credits: bool
    times_utc: bool
    window: tuple[int, int] | None
    approved_only: bool
    credit_limit: int
    daily_cap: int | None
    low_balance: int | None
    countries: tuple[str, ...]
    shape_only: bool
    smart_encoding: bool


NEW = Account(
    id=0,
    name="",
    password_hash="",
    parent_id=None,
    state=AccountState.ACTIVE,
    zone_name="Australia/Sydney",
    country="AU",
    allow_unicode=True,
    allow_long=True,
    allow_international=False,
    may_add_credits=False,
    times_utc=False,
    window=None,
    created_at=0,
)
"""An account for which nothing was said."""


def apply(account: Account, settings: AccountSettings) -> Account:
    """The account with these settings; ConfigError for one that cannot be, or that contradicts another."""
    fields: dict[str, Any] = dict(settings)
    if "zone" in fields:
        zone(settings["zone"])
        fields["zone_name"] = fields.pop("zone")
    if "country" in fields:
        fields["country"] = check_country(settings["country"])
    if settings.get("window") is not None:
        fields["window"] = _check_window(settings["window"])
    if "countries" in fields:
        fields["countries"] = tuple(sorted({check_country(country) for country in settings["countries"]}))
    _check_amount("credit limit", settings.get("credit_limit"), 0)
    _check_amount("daily cap", settings.get("daily_cap"), 0)
    _check_amount("low-balance mark", settings.get("low_balance"), -MAX_CREDITS)
    new = replace(account, **fields)
    abroad = [country for country in new.countries if country != new.country]
    if abroad and not new.allow_international:
        raise ConfigError(
            f"the account may send within {new.country} only, so {', '.join(abroad)} among its countries would do "
            "nothing: set --international too, or change --countries"
        )
    return new


def check_country(country: str) -> str:
    """The ISO code in capitals; ConfigError when there is no such country."""
    try:
        country_calling_code(country)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return country.upper()


def _check_amount(what: str, amount: int | None, least: int) -> None:
    if amount is not None and not least <= amount <= MAX_CREDITS:
        raise ConfigError(f"a {what} of {amount}: take a whole number from {least} to {MAX_CREDITS}")


def _check_window(window: tuple[int, int] | None) -> tuple[int, int] | None:
    if window is None:
        return None
    opens, closes = window
    if not (0 <= opens < _DAY and 0 <= closes <= _DAY):
        raise ConfigError("a send window opens from 00:00 to 23:59 and closes by 24:00")
    if opens == closes:
        raise ConfigError("a send window that opens as it closes: give none for one that is always open")
    return None if window == (0, _DAY) else window


# --- as a person writes them -------------------------------------------------------------------------------


def read_window(text: str) -> tuple[int, int] | None:
    """`08:00-21:00` as minutes after midnight; None for `none`. ConfigError for anything else."""
    if text.lower() == "none":
        return None
    found = _WINDOW.fullmatch(text.replace(" ", ""))
    if found is None or int(found[2]) > 59 or int(found[4]) > 59:
        raise ConfigError(f"send window '{text}': write 08:00-21:00 in the account's time, or none")
    return _check_window((int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])))


def window_text(window: tuple[int, int] | None) -> str:
    """What `read_window` reads."""
    if window is None:
        return "none"
    return "-".join(f"{at // 60:02d}:{at % 60:02d}" for at in window)


def read_countries(text: str) -> tuple[str, ...]:
    """`AU,NZ` as ISO codes, sorted; () for `any`. ConfigError for what is no country."""
    if text.lower() == "any":
        return ()
    named = [part.strip() for part in text.split(",") if part.strip()]
    if not named:
        raise ConfigError("countries: name at least one ISO code, such as AU,NZ, or say any")
    return tuple(sorted({check_country(country) for country in named}))


def countries_text(countries: Iterable[str]) -> str:
    """What `read_countries` reads."""
    return ",".join(countries) or "any"


def texts(account: Account) -> dict[str, str]:
    """Every setting as a person writes it, by name."""
    return {
        "zone": account.zone_name,
        "country": account.country,
        "allow_unicode": text_of(account.allow_unicode),
        "allow_long": text_of(account.allow_long),
        "allow_international": text_of(account.allow_international),
        "may_add_credits": text_of(account.may_add_credits),
        "times_utc": text_of(account.times_utc),
        "window": window_text(account.window),
        "originators": "approved" if account.approved_only else "any",
        "credit_limit": str(account.credit_limit),
        "daily_cap": "none" if account.daily_cap is None else str(account.daily_cap),
        "low_balance": "none" if account.low_balance is None else str(account.low_balance),
        "countries": countries_text(account.countries),
        "number_check": "shape" if account.shape_only else "plan",
        "smart_encoding": text_of(account.smart_encoding),
    }
