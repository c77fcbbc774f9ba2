"""A process of its own that commits to an SQLite file and says so, to be killed in the middle.

    python -m tests.store.support_writer FILE

It prints the number of each row that a group commit has made durable.
"""

from __future__ import annotations

import asyncio
import sys

from cooee.model.clock import SystemClock
from cooee.store.database import Tx
from cooee.store.open import open_database

ABREAST = 20


async def main(path: str) -> None:
    """Writes until it is killed."""
    database = await open_database(f"sqlite:///{path}", SystemClock())

    async def write(number: int) -> None:
        async def add(tx: Tx) -> None:
            await tx.run("claim_meta", name=f"row {number}", value=str(number))

        await database.write(add)
        sys.stdout.write(f"{number}\n")

    for first in range(0, 1_000_000, ABREAST):
        await asyncio.gather(*(write(number) for number in range(first, first + ABREAST)))
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
