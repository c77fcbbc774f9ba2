"""Messages that were nobody's find an account later: a person says whose they are, or their number was added."""

from __future__ import annotations

from collections.abc import Sequence

from cooee.model.inbound import sender_of
from cooee.store import inbound
from cooee.store.database import Row, Tx
from cooee.store.inbound import Routed, Taken
from cooee.store.parts import Whole

PAGE = 200
_INTERNATIONAL = 1


async def assign(tx: Tx, rows: Sequence[Row], account: tuple[int, str] | None, now: int) -> Taken:
    """Gives these messages (rows of `unrouted_page`) to an account (id, country), or to whose they are by now.

    Keywords do what they say, but are not answered any more.
    """
    by_carrier: dict[int, list[Row]] = {}
    for row in rows:
        by_carrier.setdefault(row[2], []).append(row)
    total = Taken()
    for carrier_id, some in sorted(by_carrier.items()):
        wholes = [_whole(row) for row in some]
        if account is None:
            routed = await inbound.route(tx, carrier_id, wholes)
        else:
            routed = await _given(tx, wholes, *account)
        found = {row[0]: each for row, each in zip(some, routed, strict=True) if each.account_id is not None}
        ours = {row[0] for row in await tx.many_all("drop_unrouted", sorted((number,) for number in found))}
        ids = [number for number in found if number in ours]
        if ids:
            done = await inbound.settle(tx, carrier_id, [found[n] for n in ids], now, ids, answers=False)
            total.replies += done.replies
            total.optouts += done.optouts
            total.accounts |= done.accounts
    return total


def _whole(row: Row) -> Whole:
    _, at, _, originator, handset, recipient, body, parts, missing = row
    ton = 0 if handset is None else _INTERNATIONAL
    return Whole(originator, ton, recipient, body, at, parts, missing)


async def _given(tx: Tx, wholes: Sequence[Whole], account_id: int, country: str) -> list[Routed]:
    found = [
        Routed(whole, *sender_of(whole.source, whole.ton, country), whole.destination, account_id)
        for whole in wholes
    ]
    pairs = sorted({(each.recipient, each.handset) for each in found if each.handset is not None})
    contacts = {(row[0], row[1]): row for row in await tx.many_all("contacts_of", pairs) if row[2] == account_id}
    for each in found:
        row = contacts.get((each.recipient, each.handset))
        if row is not None:
            inbound.answer(each, account_id, row[3], row[5])
    return found
