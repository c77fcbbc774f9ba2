"""What the recipients of a campaign cost: each as many credits as segments times its country's rate."""

from __future__ import annotations

import asyncio
from array import array

from cooee.model.tariff import Tariff
from cooee.service.recipients import give_way

AT_ONCE = 500
"""Recipients up to which they are priced on the event loop (at most 2 ms)."""

Prices = tuple[tuple[int, int], ...]
"""(credits each, how many) of stretches."""


async def priced(tariff: Tariff, numbers: array[int], segments: int) -> tuple[array[int], int, Prices]:
    """The sorted `numbers` put in the order of what they cost; what the first costs; and the prices.

    There are no prices where all cost the same.
    """
    if len(numbers) <= AT_ONCE:
        stretches = tariff.split(numbers)
    else:
        stretches = await asyncio.to_thread(tariff.split, numbers, give_way)
    first = stretches[0][0] * segments
    if len(stretches) == 1:
        return numbers, first, ()
    ordered: array[int] = array("q")
    for _, part in stretches:
        ordered += part
    return ordered, first, tuple((rate * segments, len(part)) for rate, part in stretches)
