"""Sign-ups for a trial: what is asked for, what of it is refused, and what becomes of it.

Whoever fills the form is a stranger. So everything has a length; a user name is of characters that look like no
others; and an e-mail address is of the plain kind that goes into a header without quoting.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from cooee.model.clock import DAY, HOUR
from cooee.model.errors import ConfigError

Mode = Literal["off", "approval", "email"]

MAX_COMPANY = 100
MAX_EMAIL = 254
"""RFC 5321 §4.5.3.1.3, without the angle brackets."""
NAME_LENGTH = (3, 32)
MAILS_A_DAY = 3
"""Mails to one address within a day: nobody's mailbox is filled by somebody else's sign-ups."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_DOTLESS = {"gmail.com": "gmail.com", "googlemail.com": "gmail.com"}
"""Where dots within an address mean nothing, and what the domain is called."""


class SignupState(enum.IntEnum):
    """What became of a sign-up. Numbers are stored."""

    WAITING = 0
    APPROVED = 1
    """By an operator."""
    CONFIRMED = 2
    """By its link."""
    REFUSED = 3
    EXPIRED = 4
    """Its name was asked for again after it had expired; before, it counts as waiting and over."""


class MailState(enum.IntEnum):
    """What became of its mail. Numbers are stored."""

    NONE = 0
    """None is sent: an operator decides."""
    DUE = 1
    SENT = 2
    """The mail server has taken it."""
    REJECTED = 3
    """The mail server does not take mails to that address."""
    WITHHELD = 4
    """The address got too many mails within a day."""


@dataclass(frozen=True, slots=True)
class SignupRules:
    """How strangers may sign up. Durations are ms; `senders` are sender IDs that a trial account may use at once,
    None any valid one."""

    mode: Mode = "off"
    credits: int = 100
    countries: tuple[str, ...] = ("AU",)
    zone: str = "Australia/Sydney"
    senders: tuple[str, ...] | None = ()
    per_address: int = 10
    per_hour: int = 60
    per_day: int = 200
    link_ms: int = 24 * HOUR
    wait_ms: int = 30 * DAY

    @property
    def on(self) -> bool:
        """Whether anybody may sign up."""
        return self.mode != "off"


@dataclass(frozen=True, slots=True)
class Wish:
    """A form that was filled in: checked, and not yet anybody's."""

    name: str
    company: str
    email: str
    zone: str
    country: str

    @property
    def name_key(self) -> str:
        """The same for names that differ in capitals only."""
        return self.name.lower()

    @property
    def email_key(self) -> str:
        """The same for every way to write one mailbox."""
        return mailbox_of(self.email)


def check_user(name: str) -> str:
    """`name`, if a stranger may call an account so; ConfigError says why not.

    Fewer are let pass than an operator may give: none that looks like another one, and none that a mail program
    would take for a link.
    """
    least, most = NAME_LENGTH
    if not least <= len(name) <= most or not _NAME.fullmatch(name):
        raise ConfigError(
            f"a user name has {least} to {most} letters (A to Z), digits, '-' and '_', and begins with a letter "
            "or a digit"
        )
    return name


def check_company(text: str) -> str:
    """A company's or a person's name, without spaces around it; ConfigError says why not."""
    found = unicodedata.normalize("NFC", " ".join(text.split()))
    if not 1 <= len(found) <= MAX_COMPANY or not found.isprintable():
        raise ConfigError(f"give the name of your company, or your own: 1 to {MAX_COMPANY} printable characters")
    return found


def check_email(text: str) -> str:
    """An e-mail address as it was written, without spaces around it; ConfigError says why not."""
    found = text.strip()
    local, _, domain = found.rpartition("@")
    if (
        len(found) > MAX_EMAIL
        or len(local) > 64
        # Programs read it as an encoded word (RFC 2047 §5), and write to somebody else.
        or "=?" in local
        or not _LOCAL.fullmatch(local)
        or not _DOMAIN.fullmatch(domain)
    ):
        raise ConfigError("that is no e-mail address such as name@example.com (ASCII characters only)")
    return found


def mailbox_of(email: str) -> str:
    """What an address is known by: in small letters, without a +tag, and without what a large provider ignores."""
    local, _, domain = email.lower().rpartition("@")
    bare = local.partition("+")[0] or local
    if domain in _DOTLESS:
        return f"{bare.replace('.', '')}@{_DOTLESS[domain]}"
    return f"{bare}@{domain}"
