"""What comes from handsets: kinds of numbers, kinds of replies, and what a keyword is."""

from __future__ import annotations

import enum
import unicodedata

from cooee.model.msisdn import parse

_INTERNATIONAL, _ALPHANUMERIC = 1, 5


class NumberKind(enum.IntEnum):
    """Whose the replies to a number are. Numbers are stored."""

    DEDICATED = 1
    """One account's."""
    SHARED = 2
    """Of the account that last wrote to the handset from it."""
    OPTOUT = 3
    """One account's; whoever writes to it opts out."""


class ReplyKind(enum.IntEnum):
    """What a reply did. Numbers are stored; the two keyword kinds are those of `keyword`."""

    REPLY = 0
    STOP = 1
    """It opted its handset out."""
    START = 2
    """It brought its handset back."""


class Reason(enum.StrEnum):
    """Why a number is opted out, as the API says it (wire contract §8)."""

    CLIENT = "Client"
    """Through the API or the console."""
    REPLY = "Reply"
    """A message to an opt-out number, or a keyword."""
    ADMIN = "Admin"
    """By the operator."""


KEYWORD_LENGTH = 40
"""Characters of a keyword at most."""
_EDGES = " \t\r\n.,;:!\"'«»„“”‘’()[]<>*_-"


def keyword_form(text: str) -> str:
    """A whole message in the form that keywords are compared in: lower case, one blank between words, without
    white space and punctuation at its ends. "" for one that is too long to be a keyword."""
    if len(text) > 4 * KEYWORD_LENGTH:
        return ""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_EDGES)
    return plain if len(plain) <= KEYWORD_LENGTH else ""


def number_of(raw: str) -> str:
    """One of our numbers as a carrier writes it, in the form that they are registered in: digits without `+`."""
    digits = "".join(raw.split()).lstrip("+")
    return digits[2:] if digits.startswith("00") and len(digits) > 10 else digits


def sender_of(raw: str, ton: int, country: str) -> tuple[str, int | None]:
    """Who wrote: as the API shows it, and the MSISDN where it is one.

    `ton` 1 says that `raw` is in international form (SMPP 3.4 §5.2.5); else it may be in the local form of
    `country`. Short codes and alphanumeric senders have no MSISDN, and are shown as they came.
    """
    shown = raw.strip()
    if ton == _INTERNATIONAL and shown[:1].isdigit():
        shown = "+" + shown.removeprefix("00")
    msisdn = parse(shown, country) if ton != _ALPHANUMERIC else None
    return (raw.strip() if msisdn is None else str(msisdn)), msisdn
