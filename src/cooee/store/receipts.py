"""Receipts find their messages; those that find none are kept, and joined as soon as their match is there.

Recording an answer and receiving its receipt are two transactions that may overlap on PostgreSQL, and then each
misses the other's row. So both run the same join, and each runs it again after its commit (`rejoin`); a sweep
does it for whatever is left. On SQLite, where writes are one after the other, the second look finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from cooee.model.smscid import id_candidates
from cooee.store import receiptlog
from cooee.store.database import Database, Lane, Row, Tx
from cooee.store.refs import Ref, add_refs, find_refs

OPEN, DELIVERED, FAILED = 0, 1, 2
"""What a receipt says: not final yet, delivered, failed."""


class Incoming(msgspec.Struct, gc=False):
    """A receipt as the store needs it.

    `smsc_id` is its id, canonical, "" for none; `handset` its source as an MSISDN, None if it is
    none; `originator` its destination; `error` what the carrier wrote, `code` what DRStatus shows for it.
    `command` and `body` are the PDU itself, b"" where it is not to be kept; `at`: when it came, UTC ms, 0 for now.
    """

    smsc_id: str
    handset: int | None
    originator: str
    kind: int
    error: str
    code: int
    command: int = 5
    body: bytes = b""
    at: int = 0

    @property
    def ids(self) -> tuple[str, ...]:
        """Every reading of its id, likeliest first: as given, hex → decimal, decimal → hex."""
        return id_candidates(self.smsc_id) if self.smsc_id else ()


@dataclass(slots=True)
class Applied:
    """What became of a group of receipts."""

    matched: int = 0
    orphaned: int = 0
    settled: int = 0
    campaigns: set[tuple[int, int]] | None = None


def agrees(handset: int | None, destination: int) -> bool:
    """Whether a receipt's source can be this recipient: SMSCs write it in national form, or with a prefix."""
    if handset is None or handset == destination:
        return True
    ours, theirs = str(destination), str(handset)
    return len(theirs) >= 6 and (ours.endswith(theirs) or theirs.endswith(ours))


def same_originator(ours: str, theirs: str) -> bool:
    """Whether a receipt's destination is the originator that a message was sent from."""
    a, b = ours.lstrip("+0").casefold(), theirs.lstrip("+0").casefold()
    return a == b or (a.isdigit() and b.isdigit() and len(b) >= 6 and (a.endswith(b) or b.endswith(a)))


def newest(receipt: Incoming, refs: Sequence[Ref]) -> Ref | None:
    """The newest of these messages whose destination agrees with the receipt."""
    best: Ref | None = None
    for ref in refs:
        if (best is None or ref[1] > best[1]) and agrees(receipt.handset, ref[4]):
            best = ref
    return best


def pick(receipt: Incoming, refs: dict[str, list[Ref]]) -> Ref | None:
    """The message that one of the receipt's ids stands for: the likeliest reading that has one."""
    for smsc_id in receipt.ids:
        best = newest(receipt, refs.get(smsc_id, ()))
        if best is not None:
            return best
    return None


async def apply(tx: Tx, carrier_id: int, receipts: Sequence[Incoming], now: int) -> Applied:
    """Joins receipts into their messages; unmatched ones settle an uncertain recipient, or become orphans."""
    refs = await find_refs(tx, carrier_id, list({r.smsc_id for r in receipts}), now)
    matched: list[tuple[Ref, Incoming]] = []
    others: list[Incoming] = []
    for receipt in receipts:
        ref = newest(receipt, refs.get(receipt.smsc_id, ()))
        if ref is None:
            others.append(receipt)
        else:
            matched.append((ref, receipt))
    unmatched: list[Incoming] = []
    if others:
        refs = await find_refs(tx, carrier_id, sorted({i for r in others for i in r.ids}), now, deep=True)
        for receipt in others:
            ref = pick(receipt, refs)
            if ref is None:
                unmatched.append(receipt)
            else:
                matched.append((ref, receipt))
    done = Applied(matched=len(matched), campaigns={(ref[2], ref[3]) for ref, _ in matched})
    early = await _join(tx, matched, now)
    joined = _without(matched, early)
    unmatched += early
    if unmatched:
        left, settled = await _settle_uncertain(tx, carrier_id, unmatched, now)
        done.settled = len(unmatched) - len(left)
        done.orphaned = len(left)
        await tx.many("add_orphans", [_orphan_row(receipt) for receipt in left], carrier_id=carrier_id, now=now)
        joined += settled
    await receiptlog.keep(tx, carrier_id, joined, now)
    return done


def _without(matched: list[tuple[Ref, Incoming]], early: Sequence[Incoming]) -> list[tuple[Ref, Incoming]]:
    """Those that are none of `early`."""
    if not early:
        return matched
    left_out = {id(receipt) for receipt in early}
    return [pair for pair in matched if id(pair[1]) not in left_out]


def _orphan_row(receipt: Incoming) -> Row:
    ids = [*receipt.ids[:3], *[None] * (3 - len(receipt.ids[:3]))]
    return (
        ids[0] or "",
        ids[1],
        ids[2],
        receipt.handset,
        receipt.originator,
        receipt.kind,
        receipt.error,
        receipt.code,
        receipt.command,
        receipt.body,
    )


def _incoming(row: Row) -> Incoming:
    return Incoming(row[1], row[4], row[5], row[6], row[7], row[8], row[9], row[10] or b"", row[11])


async def _join(tx: Tx, matched: Sequence[tuple[Ref, Incoming]], now: int) -> list[Incoming]:
    """One UPDATE for all: part masks are joined, states follow. Returns receipts whose message has no row yet."""
    masks: dict[tuple[int, int, int, int], tuple[int, int, int, str | None]] = {}
    for ref, receipt in matched:
        if receipt.kind == OPEN:
            continue
        key = (ref[2], ref[3], ref[4], ref[6])
        delivered, failed, code, error = masks.get(key, (0, 0, 0, None))
        if receipt.kind == DELIVERED:
            delivered |= 1 << ref[5]
        else:
            failed |= 1 << ref[5]
            code, error = receipt.code, receipt.error
        masks[key] = (delivered, failed, code, error)
    rows: list[Row] = [(*key, *masks[key]) for key in (sorted(masks) if tx.engine == "postgres" else masks)]
    changed = 0
    for once in _rounds(rows):
        changed += await tx.many("apply_receipts", once, now=now)
    if changed == len(rows):
        return []
    archived = {tuple(row) for row in await tx.many_all("archived_attempts", [row[:4] for row in rows])}
    late = [row for row in rows if tuple(row[:4]) in archived]
    await tx.many("apply_to_attempts", [row[:6] for row in late])
    said = {tuple(row[:3]): (row[6], row[7]) for row in late}
    await tx.many("raise_by_attempts", [(*key, *said[key]) for key in sorted(said)], now=now)
    present = {tuple(row) for row in await tx.many_all("present_messages", [row[:3] for row in rows])}
    # A row that was committed since the first try gets its receipts now; joining twice does no harm.
    for once in _rounds([row for row in rows if row[:3] in present]):
        await tx.many("apply_receipts", once, now=now)
    return [receipt for ref, receipt in matched if receipt.kind != OPEN and ref[2:5] not in present]


def _rounds(rows: list[Row]) -> list[list[Row]]:
    """The same rows, in lists that hold each message once: one UPDATE takes one row for a message.

    Parts of a long message that were accepted in different attempts are two rows for one message.
    """
    if len({row[:3] for row in rows}) == len(rows):
        return [rows]
    rounds: list[list[Row]] = []
    seen: dict[Row, int] = {}
    for row in rows:
        number = seen.get(row[:3], 0)
        seen[row[:3]] = number + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(row)
    return rounds


async def _settle_uncertain(
    tx: Tx, carrier_id: int, stray: Sequence[Incoming], now: int
) -> tuple[list[Incoming], list[tuple[Ref, Incoming]]]:
    """A stray receipt that agrees with exactly one uncertain recipient settles it; the others, and those that did.

    A long message has a receipt a part: it is settled once as many strays agree with it as it has parts whose
    answers are missing.
    """
    if await tx.one("any_uncertain", carrier_id=carrier_id) is None:
        return list(stray), []
    groups: dict[tuple[int, str], list[Incoming]] = {}
    for receipt in stray:
        if receipt.handset is not None:
            groups.setdefault((receipt.handset, receipt.originator), []).append(receipt)
    candidates: dict[int, list[Row]] = {}
    handsets = sorted({(handset,) for handset, _ in groups})
    for row in await tx.many_all("uncertain_to", handsets, carrier_id=carrier_id):
        candidates.setdefault(row[0], []).append(row)
    settled: list[tuple[int, int, int, int]] = []
    matched: list[tuple[Ref, Incoming]] = []
    used: set[int] = set()
    for (handset, originator), receipts in groups.items():
        fits = [row for row in candidates.get(handset, ()) if same_originator(row[6], originator)]
        if len(fits) != 1:
            continue
        destination, account_id, campaign_id, attempt, parts, accepted, _ = fits[0]
        missing = [part for part in range(parts) if not accepted >> part & 1]
        if len(receipts) < len(missing):
            continue
        settled.append((account_id, campaign_id, destination, attempt))
        for part, receipt in zip(missing, receipts, strict=False):
            matched.append(((receipt.smsc_id, now, account_id, campaign_id, destination, part, attempt), receipt))
            used.add(id(receipt))
    await tx.many("settle_uncertain", sorted(settled), now=now)
    # What settled it may have been a notice: the final receipt comes under the same id.
    await add_refs(tx, carrier_id, [ref for ref, _ in matched if ref[0]])
    await _join(tx, matched, now)
    return [receipt for receipt in stray if id(receipt) not in used], matched


async def join_orphans(tx: Tx, carrier_id: int, refs: Sequence[Ref], now: int) -> int:
    """Receipts that came before the ids that this transaction records; how many were waiting."""
    if not refs or await tx.one("any_orphan", carrier_id=carrier_id) is None:
        return 0
    rows = await tx.many_all("orphans_for", [(ref[0],) for ref in refs], carrier_id=carrier_id)
    known: dict[str, list[Ref]] = {}
    for ref in refs:
        known.setdefault(ref[0], []).append(ref)
    found = [(row[0], pick(_incoming(row), known), _incoming(row)) for row in rows]
    matched = [(ref, receipt) for _, ref, receipt in found if ref is not None]
    left_out = await _join(tx, matched, now)
    early = {id(receipt) for receipt in left_out}
    await tx.many(
        "drop_orphans", [(n,) for n, ref, receipt in found if ref is not None and id(receipt) not in early]
    )
    await receiptlog.keep(tx, carrier_id, _without(matched, left_out), now)
    return len(matched) - len(early)


async def rejoin(database: Database, carrier_id: int, refs: Sequence[Ref], now: int) -> None:
    """The second look after a commit, for stores where two transactions may overlap."""
    if database.engine == "sqlite" or not refs:
        return

    async def waiting(tx: Tx) -> bool:
        return await tx.one("any_orphan", carrier_id=carrier_id) is not None

    if await database.read(waiting):
        await database.write(lambda tx: join_orphans(tx, carrier_id, refs, now), Lane.RECEIPTS)


async def look_again(database: Database, now: int) -> bool:
    """After receipts were kept as orphans: the answer they belong to may have been committed meanwhile."""
    if database.engine == "sqlite":
        return False
    await database.write(lambda tx: sweep_orphans(tx, 0, now), Lane.RECEIPTS)
    return True


async def sweep_orphans(tx: Tx, after: int, now: int) -> int | None:
    """Tries a page of orphans again; where to go on, or None at the end. Those past their time go by retention."""
    rows = await tx.all("orphan_page", after=after)
    if not rows:
        return None
    by_carrier: dict[int, list[Row]] = {}
    for row in rows:
        by_carrier.setdefault(row[12], []).append(row)
    for carrier_id, orphans in by_carrier.items():
        pairs = [(row[0], _incoming(row)) for row in orphans]
        ids = {smsc_id for _, receipt in pairs for smsc_id in receipt.ids}
        refs = await find_refs(tx, carrier_id, sorted(ids), now, deep=True)
        matched = [(number, pick(receipt, refs), receipt) for number, receipt in pairs]
        joined = [(ref, receipt) for _, ref, receipt in matched if ref is not None]
        left_out = await _join(tx, joined, now)
        early = {id(receipt) for receipt in left_out}
        done = [(number,) for number, ref, receipt in matched if ref is not None and id(receipt) not in early]
        stray = {id(receipt): number for number, ref, receipt in matched if ref is None}
        left, settled = await _settle_uncertain(tx, carrier_id, [r for _, ref, r in matched if ref is None], now)
        await receiptlog.keep(tx, carrier_id, [*_without(joined, left_out), *settled], now)
        kept = {stray[id(receipt)] for receipt in left}
        done += [(number,) for number in stray.values() if number not in kept]
        await tx.many("drop_orphans", done)
    return int(rows[-1][0])
