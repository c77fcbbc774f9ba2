"""Request bodies: one message, and campaigns to Australian mobiles."""

from __future__ import annotations

import random
from collections.abc import Sequence

ORIGINATOR = "61400190499"
_MOBILES = 40_000_000
"""61400000000 to 61439999999 are all mobile numbers of Australia's plan."""


def single(number: int) -> bytes:
    """One recipient, `number` (0 to 39,999,999) of Australia's mobiles, and a text that nobody else gets.

    The number is written as eight digits, twice: all bodies have the same length.
    """
    return (
        b'{"Message": "Hello, this is benchmark message %08d", "Originator": "%s", '
        b'"Destinations": ["614%08d"], "Action": "create"}'
    ) % (number, ORIGINATOR.encode(), number)


def mobiles(count: int) -> list[str]:
    """`count` different mobiles in random order, always the same."""
    return [f"614{number:08d}" for number in random.Random(count).sample(range(_MOBILES), count)]


def records(numbers: Sequence[str]) -> bytes:
    """The Records of a stored list, one for each number."""
    return b"[" + ",".join([f'{{"Number":"{number}"}}' for number in numbers]).encode() + b"]"


def campaign(size: int) -> bytes:
    """`size` different mobiles in random order (always the same one), 14 octets each."""
    listed = ",".join([f'"{number}"' for number in mobiles(size)])
    text = "Hello, this is a benchmark message 0123456789"
    return (
        f'{{"Message": "{text}", "Originator": "{ORIGINATOR}", "Destinations": [{listed}], "Action": "create"}}'
    ).encode()
