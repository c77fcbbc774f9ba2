"""Messages from handsets find their account, do what their keyword says, and are stored.

Everything that a message does happens in the one transaction after which it is acknowledged: the reply, opt-outs,
and the intent to answer a keyword.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cooee.model.clock import DAY, ms_to_local, zone
from cooee.model.inbound import NumberKind, Reason, ReplyKind, keyword_form, number_of, sender_of
from cooee.model.numberplan import country_of
from cooee.store import optouts, parts, replies, seen
from cooee.store.database import Row, Tx
from cooee.store.parts import Arrival, Whole
from cooee.store.replies import NewReply, Unrouted

SHARED_MS = 30 * DAY
"""How long a shared number remembers which account wrote to a handset."""
ANY_CARRIER, ANY_ACCOUNT = 0, 0
"""In `inbound_number`: a number that comes over every carrier; a number that all accounts share."""
_ANYWHERE = "AU"


@dataclass(slots=True)
class Taken:
    """What became of a group of PDUs."""

    replies: int = 0
    optouts: int = 0
    unrouted: int = 0
    repeats: int = 0
    waiting: int = 0
    """Parts of long messages that wait for the others."""
    answers: bool = False
    """There may be automatic answers to send."""
    accounts: set[int] = field(default_factory=set)
    keys: list[seen.SeenKey] = field(default_factory=list)
    """One for each PDU: by these they are forgotten."""


@dataclass(slots=True)
class _Contact:
    account_id: int
    campaign_id: int
    at: int
    reference: str | None


@dataclass(slots=True)
class Routed:
    """A message on its way to its account. `account_id` None: nobody's."""

    whole: Whole
    originator: str
    handset: int | None
    recipient: str
    account_id: int | None = None
    campaign_id: int | None = None
    reference: str = ""
    optout_number: bool = False
    others: tuple[int, ...] = ()
    """Accounts that used this shared number with this handset, whose STOP it is too."""
    kind: ReplyKind = ReplyKind.REPLY


async def take(
    tx: Tx,
    carrier_id: int,
    arrivals: Sequence[tuple[Arrival, seen.Copy]],
    known: seen.Acknowledged,
    now: int,
) -> Taken:
    """Stores what came in over a carrier: repeats are passed over, parts joined, the rest routed."""
    await tx.one("lock_inbound", carrier_id=carrier_id)
    fresh, keys = await seen.sift(tx, carrier_id, [copy for _, copy in arrivals], known)
    new = [arrival for (arrival, _), is_new in zip(arrivals, fresh, strict=True) if is_new]
    wholes, waiting = await parts.join(tx, carrier_id, new)
    taken = await deliver(tx, carrier_id, wholes, now)
    taken.keys = keys
    taken.repeats = len(arrivals) - len(new)
    taken.waiting = waiting
    return taken


async def give_up_parts(tx: Tx, carrier_id: int, keys: Sequence[parts.PartKey], before: int, now: int) -> Taken:
    """Passes on what has come of long messages that are overdue."""
    await tx.one("lock_inbound", carrier_id=carrier_id)
    return await deliver(tx, carrier_id, await parts.give_up(tx, carrier_id, keys, before, now), now)


async def deliver(tx: Tx, carrier_id: int, wholes: Sequence[Whole], now: int, *, answers: bool = True) -> Taken:
    """Routes and stores whole messages that came over a carrier. `answers`: keywords are answered."""
    if not wholes:
        return Taken()
    return await settle(tx, carrier_id, await route(tx, carrier_id, wholes), now, answers=answers)


async def route(tx: Tx, carrier_id: int, wholes: Sequence[Whole]) -> list[Routed]:
    """Finds the account and the campaign of each message."""
    written = [number_of(whole.destination) for whole in wholes]
    numbers = await _numbers(tx, carrier_id, set(written))
    numbers |= await _in_national_form(tx, carrier_id, set(written) - numbers.keys())
    found: list[Routed] = []
    for whole, recipient in zip(wholes, written, strict=True):
        rows = numbers.get(recipient, ())
        country = rows[0][4] if rows else _country(recipient)
        originator, handset = sender_of(whole.source, whole.ton, country)
        found.append(Routed(whole, originator, handset, rows[0][0] if rows else recipient))
    pairs = sorted({(r.recipient, r.handset) for r in found if r.handset is not None and r.recipient in numbers})
    contacts: dict[tuple[str, int], list[_Contact]] = {}
    for number, handset, account_id, campaign_id, at, reference in await tx.many_all("contacts_of", pairs):
        contacts.setdefault((number, handset), []).append(_Contact(account_id, campaign_id, at, reference))
    for each in found:
        if each.recipient in numbers:
            mine = contacts.get((each.recipient, each.handset), []) if each.handset is not None else []
            _choose(each, numbers[each.recipient], mine)
    return found


async def _numbers(tx: Tx, carrier_id: int, wanted: set[str]) -> dict[str, list[Row]]:
    """Rows of these numbers that count for this carrier: its own, else those for any carrier."""
    own: dict[str, list[Row]] = {}
    general: dict[str, list[Row]] = {}
    for row in await tx.many_all("numbers_of", sorted((number,) for number in wanted)):
        if row[1] == carrier_id:
            own.setdefault(row[0], []).append(row)
        elif row[1] == ANY_CARRIER:
            general.setdefault(row[0], []).append(row)
    return general | own


async def _in_national_form(tx: Tx, carrier_id: int, recipients: Iterable[str]) -> dict[str, list[Row]]:
    """Numbers of ours with a leading zero, or without their country's code: each is the only one that ends so.
    Found by what was written, and by their own form."""
    ends = {written: written.lstrip("0") for written in recipients}
    wanted = {end for end in ends.values() if end.isascii() and end.isdigit() and len(end) >= 8}
    if not wanted:
        return {}
    lengths = {len(end) for end in wanted}
    ending: dict[str, list[str]] = {}
    for (number,) in await tx.all("our_numbers"):
        for end in {number[-length:] for length in lengths} & wanted:
            ending.setdefault(end, []).append(number)
    sole = {written: ending[end][0] for written, end in ends.items() if len(ending.get(end, ())) == 1}
    rows = await _numbers(tx, carrier_id, set(sole.values()))
    return rows | {written: rows[number] for written, number in sole.items() if number in rows}


def _country(recipient: str) -> str:
    number = int(recipient) if recipient.isascii() and recipient.isdigit() and len(recipient) <= 15 else 0
    return country_of(number) or _ANYWHERE


def _choose(routed: Routed, rows: Sequence[Row], contacts: Sequence[_Contact]) -> None:
    """Whose this message is, and what it answers."""
    kind = NumberKind(rows[0][3])
    if kind is NumberKind.SHARED:
        sharing = {row[2] for row in rows}
        mine = [c for c in contacts if ANY_ACCOUNT in sharing or c.account_id in sharing]
        routed.others = tuple(c.account_id for c in mine)
        mine = [c for c in mine if c.at > routed.whole.at - SHARED_MS]
    else:
        routed.account_id = rows[0][2]
        routed.optout_number = kind is NumberKind.OPTOUT
        mine = [c for c in contacts if c.account_id == routed.account_id]
    if mine:
        newest = max(mine, key=lambda c: (c.at, c.campaign_id))
        answer(routed, newest.account_id, newest.campaign_id, newest.reference)


def answer(routed: Routed, account_id: int, campaign_id: int, reference: str | None) -> None:
    """This message answers that campaign."""
    routed.account_id = account_id
    routed.campaign_id = campaign_id
    routed.reference = reference or str(campaign_id)


async def settle(
    tx: Tx, carrier_id: int, routed: Sequence[Routed], now: int, ids: Sequence[int] = (), *, answers: bool = True
) -> Taken:
    """Does what keywords say, and stores each message with its account, or as nobody's.

    `ids` are those that the messages have already; without, they get new ones. `answers`: keywords are answered.
    """
    taken = Taken()
    await _keywords(tx, routed, taken, now, answers=answers)
    if not ids:
        row = await tx.one("take_ids", name="reply", count=len(routed))
        if row is None:
            raise LookupError("no counter reply")
        ids = range(int(row[0]), int(row[0]) + len(routed))
    mine: list[NewReply] = []
    nobodys: list[Unrouted] = []
    for number, each in zip(ids, routed, strict=True):
        whole = each.whole
        if each.account_id is None:
            nobodys.append(
                Unrouted(
                    number, whole.at, carrier_id, each.originator, each.handset, each.recipient, whole.text,
                    whole.parts, whole.missing,
                )
            )  # fmt: skip
        else:
            mine.append(
                NewReply(
                    each.account_id, number, whole.at, carrier_id, each.originator, each.handset, each.recipient,
                    whole.text, each.kind, whole.parts, whole.missing, each.campaign_id, each.reference,
                )
            )  # fmt: skip
    await replies.add(tx, mine, now)
    await replies.add_unrouted(tx, nobodys)
    taken.replies = len(mine)
    taken.unrouted = len(nobodys)
    taken.accounts = {reply.account_id for reply in mine}
    return taken


async def _keywords(tx: Tx, routed: Sequence[Routed], taken: Taken, now: int, *, answers: bool) -> None:
    """Opt-outs and returns, in the order they came, and the answers to them."""
    forms = [keyword_form(each.whole.text) for each in routed]
    words: Mapping[str, int] = {
        row[0]: row[1]
        for row in await tx.many_all("find_keywords", sorted((form,) for form in set(forms) if form))
    }
    hits = [
        (each, words.get(form))
        for each, form in zip(routed, forms, strict=True)
        if (form in words or each.optout_number) and (each.account_id is not None or each.others)
    ]
    if not hits:
        return
    concerned = sorted({a for each, _ in hits for a in _concerned(each)})
    accounts = {row[0]: row for row in await tx.many_all("keyword_accounts", [(a,) for a in concerned])}
    todo = _Todo(tx, now)
    intents: list[Row] = []
    for each, word in hits:
        listening = [a for a in sorted(_concerned(each)) if a in accounts and accounts[a][1]]
        kind = ReplyKind.STOP if word is None else ReplyKind(word)
        if each.optout_number and each.account_id not in listening:
            # Whatever is written to such a number opts out, also where keywords are off.
            kind, listening = ReplyKind.STOP, list(_concerned(each))
        if each.handset is None or not listening:
            continue
        await todo.put(kind, [(a, each.handset, str(each.handset), each.whole.text) for a in listening])
        own = each.account_id
        if own is None or own not in listening:
            continue
        each.kind = kind
        body = accounts[own][3 if kind is ReplyKind.STOP else 4] if own in accounts else None
        if answers and body is not None:
            intents.append((own, each.handset, _day(now, accounts[own][2]), kind, each.recipient, body))
    taken.optouts = await todo.end()
    unique = {row[:3]: row for row in reversed(intents)}
    await tx.many("add_answers", [row for _, row in sorted(unique.items())], now=now)
    taken.answers = bool(intents)


def _concerned(routed: Routed) -> set[int]:
    own = () if routed.account_id is None else (routed.account_id,)
    return {*own, *routed.others}


def _day(now: int, zone_name: str) -> int:
    return ms_to_local(now, zone(zone_name)).toordinal()


class _Todo:
    """Opt-outs and returns as few statements as keep their order: a group may hold a STOP and its START."""

    def __init__(self, tx: Tx, now: int) -> None:
        self._tx = tx
        self._now = now
        self._kind = ReplyKind.STOP
        self._rows: dict[tuple[int, int], tuple[int, int, str, str]] = {}
        self._added = 0

    async def put(self, kind: ReplyKind, rows: Sequence[tuple[int, int, str, str]]) -> None:
        """Next in order: (account_id, handset, who, text) each."""
        if kind is not self._kind:
            await self._flush()
            self._kind = kind
        for row in rows:
            self._rows.setdefault(row[:2], row)

    async def end(self) -> int:
        """All done; how many numbers opted out."""
        await self._flush()
        return self._added

    async def _flush(self) -> None:
        rows, self._rows = list(self._rows.values()), {}
        if self._kind is ReplyKind.STOP:
            self._added += await optouts.add(self._tx, rows, Reason.REPLY, self._now)
        else:
            await optouts.remove(self._tx, rows, Reason.REPLY, self._now)
