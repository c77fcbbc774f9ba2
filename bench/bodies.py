"""Request bodies: one message, and campaigns to Australian mobiles."""

from __future__ import annotations

import random

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


def campaign(size: int) -> bytes:
    """`size` different mobiles in random order (always the same one), 14 octets each."""
    numbers = random.Random(size).sample(range(_MOBILES), size)
    listed = ",".join([f'"614{number:08d}"' for number in numbers])
    text = "Hello, this is a benchmark message 0123456789"
    return (
        f'{{"Message": "{text}", "Originator": "{ORIGINATOR}", "Destinations": [{listed}], "Action": "create"}}'
    ).encode()
