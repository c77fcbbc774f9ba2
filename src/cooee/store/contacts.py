"""Who was last written to from which number: how a reply finds its account and its campaign.

Only contacts from numbers that handsets can write to are kept; for all other originators nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cooee.model.message import MessageState
from cooee.store.database import Row, Tx

_REACHED = (MessageState.HANDED_OVER, MessageState.UNCERTAIN)
"""An uncertain recipient may have the message and answer it."""


async def note(tx: Tx, rows: Iterable[Row], senders: Mapping[tuple[int, int], str], now: int) -> None:
    """Keeps these outcomes (rows of `record`) as contacts; `senders` holds the originator of each campaign, by
    account and id, that goes out from such a number."""
    if not senders:
        return
    newest = {
        (senders[row[0], row[1]], row[2], row[0]): row[1]
        for row in rows
        if row[3] in _REACHED and (row[0], row[1]) in senders
    }
    await tx.many("note_contacts", [(*key, campaign) for key, campaign in sorted(newest.items())], now=now)


async def note_all(tx: Tx, rows: Sequence[Row], now: int) -> None:
    """The same where the originators are not at hand."""
    campaigns = sorted({(row[0], row[1]) for row in rows if row[3] in _REACHED})
    found = await tx.many_all("inbound_senders", campaigns)
    await note(tx, rows, {(row[0], row[1]): row[2] for row in found}, now)
