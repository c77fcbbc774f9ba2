"""What happens to submit_sm and data_sm: judged, given ids, shown to handsets, journalled, receipts planned.

They come in batches, as the socket delivers them. An ordinary one costs a few dict and list operations; whatever
is unusual about it leaves that path.
"""

from __future__ import annotations

from collections import Counter, deque
from random import Random
from typing import TypeAlias, cast

from cooee.model.clock import Clock
from cooee.smpp.codes import CommandId, CommandStatus, Tag, status_name
from cooee.smpp.framing import HEADER, HEADER_LENGTH, PduError
from cooee.smpp.pdu import DataSm, SubmitSm, decode, encode_tlvs
from cooee.smpp.smsc.config import SmscConfig, status_number
from cooee.smpp.smsc.esme import Esme
from cooee.smpp.smsc.handsets import Handsets, HandsetState, Raw
from cooee.smpp.smsc.journal import Journal, quoted
from cooee.smpp.smsc.receipts import DEAD, DELETED, DELIVERED, ENROUTE, FULL, Delivery, Ids, Outcome, Receipt
from cooee.smpp.smsc.schedule import Schedule
from cooee.smpp.smsc.submits import BODY, WHOLE, Part, Shape, part_of, part_of_udh, segments_of, split_udh

_SUBMIT = int(CommandId.SUBMIT_SM)
_MAX_SHAPES = 1024
_MAX_HELD = 1000

Held: TypeAlias = tuple[Esme, Receipt, Raw]


class Intake:
    """Takes messages. `routes` tells which ESME last used an originator: replies to it go there."""

    def __init__(
        self, config: SmscConfig, clock: Clock, schedule: Schedule[Esme, Delivery], handsets: Handsets
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.routes: dict[bytes, Esme] = {}
        self.journal = Journal(config.journal) if config.journal is not None else None
        self._clock = clock
        self._schedule = schedule
        self._handsets = handsets
        self._random = Random(config.seed)  # noqa: S311 - no secret, a simulation that must repeat
        self._ids = Ids(config.ids, config.first_id, config.seed)
        self._shapes: dict[tuple[bytes, bytes], Shape] = {}
        self._history: deque[tuple[Esme, list[Receipt]]] = deque()
        self._remembered = 0
        self._cancelled: dict[bytes, int] = {}
        self._held: dict[bytes, list[Held]] = {}
        self.configure(config)

    def configure(self, config: SmscConfig) -> None:
        """Takes new settings."""
        self._config = config
        self._failures = [Outcome.of(stat, err) for stat, err in config.failures]
        self._statuses = [(status_number(name), share) for name, share in config.statuses]
        self._steady = not (
            config.receipts < 1 or config.receipt_jitter or config.enroute or config.repeat or config.late
            or config.early
        )  # fmt: skip

    def take(self, esme: Esme, frames: list[bytes], shape: Shape, bind: bytes) -> tuple[list[bytes], Shape]:
        """The answers to those submit_sm and data_sm, in order, and the shape to try first next time.

        `shape` is what the last call gave (or `UNSEEN`); `bind` is how the journal names the connection.
        Receipts that are to come before these answers are in `esme.ready` when this returns.
        """
        config = self._config
        clock = self._clock
        now, now_ms = clock.monotonic(), clock.now_ms()
        done = now_ms + round(config.receipt_delay * 1000)
        answers: list[bytes] = []
        taken: list[Receipt] = []
        receipts: list[Receipt] = []
        lines: list[bytes] | None = [] if self.journal is not None else None
        tail = b" 0 %b\n" % bind
        judged = bool(config.tps or self._statuses)
        fail = config.fail
        states = self._handsets.states
        receive = self._handsets.receive
        random = self._random.random
        unpack, pack = HEADER.unpack_from, HEADER.pack
        room = config.backlog - len(self._schedule) - len(esme.ready)
        prefix, middle = shape.prefix, shape.middle
        begin = BODY + len(prefix)
        skip = len(middle)
        for frame, message_id in zip(frames, self._ids.take(len(frames)), strict=True):
            _, command, _, sequence = unpack(frame)
            segments = 1
            end = frame.find(0, begin) if frame.startswith(prefix, BODY) else -1
            at = end + skip
            if (
                begin < end < begin + 21
                and command == _SUBMIT
                and not shape.echo
                and frame.startswith(middle, end)
                and at < len(frame)
                and at + 1 + frame[at] == len(frame)
            ):
                destination = frame[begin:end]
                data = frame[at + 1 :]
                part = part_of_udh(split_udh(data)[0]) if shape.udhi else WHOLE
            else:
                read = self._read(frame)
                if isinstance(read, int):
                    answers.append(pack(HEADER_LENGTH, command | 0x80000000, read, sequence))
                    self.refused[status_name(read)] += 1
                    continue
                shape, destination, data, part, segments = read
                self._route(shape, esme)
                prefix, middle = shape.prefix, shape.middle
                begin = BODY + len(prefix)
                skip = len(middle)
            if judged:
                status = self._judge(esme, segments, now)
                if status:
                    answers.append(pack(HEADER_LENGTH, command | 0x80000000, status, sequence))
                    self.refused[status_name(status)] += 1
                    if lines is not None:
                        lines.append(_line(now_ms, destination, part, b"-", b" %d %b\n" % (status, bind)))
                    continue
            answers.append(
                pack(HEADER_LENGTH + 1 + len(message_id), command | 0x80000000, 0, sequence)
                + message_id + b"\0"
            )  # fmt: skip
            if lines is not None:
                lines.append(_line(now_ms, destination, part, message_id, tail))
            outcome = DELIVERED
            if fail and random() < fail:
                outcome = self._random.choice(self._failures)
            if states and destination in states:
                state = states[destination]
                if state is HandsetState.OFF:
                    receipt = (message_id, destination, shape, outcome, now_ms, done)
                    self._hold(esme, receipt, (now_ms, shape, data, part))
                    continue
                outcome = DEAD if state is HandsetState.DEAD else FULL
            if outcome is DELIVERED:
                receive(destination, (now_ms, shape, data, part))
            receipt = (message_id, destination, shape, outcome, now_ms, done)
            taken.append(receipt)
            if shape.registered:
                receipts.append(receipt)
        counts = self.counts
        counts["submits"] += len(frames)
        counts["accepted"] += len(taken)
        if lines and self.journal is not None:
            self.journal.write(lines)
        if taken:
            self._remember(esme, taken)
        if len(receipts) > room:
            counts["receipts_lost"] += len(receipts) - max(0, room)
            del receipts[max(0, room) :]
        if receipts:
            self._plan(esme, receipts, now)
        return answers, shape

    def _read(self, frame: bytes) -> tuple[Shape, bytes, bytes, Part, int] | int:
        """A message's shape, destination, user data, part and segments, or the status that refuses it."""
        try:
            pdu = cast(SubmitSm | DataSm, decode(frame))
        except PduError as error:
            return error.command_status
        if not 1 <= len(pdu.destination_addr) <= 20:
            return CommandStatus.ESME_RINVDSTADR
        shape = Shape(pdu)
        reference = pdu.tlv(Tag.USER_MESSAGE_REFERENCE) if self._config.echo_reference else None
        if reference is not None:
            shape.echo = encode_tlvs(((Tag.USER_MESSAGE_REFERENCE, reference),))
        if len(self._shapes) > _MAX_SHAPES:
            self._shapes.clear()
        shape = (
            self._shapes.setdefault((shape.prefix, shape.middle), shape)
            if shape.middle and not shape.echo
            else shape
        )
        destination = pdu.destination_addr.encode("latin-1")
        return shape, destination, pdu.payload, part_of(pdu), segments_of(pdu)

    def _route(self, shape: Shape, esme: Esme) -> None:
        if len(self.routes) > _MAX_SHAPES:
            self.routes.clear()
        self.routes[shape.source] = esme

    def _judge(self, esme: Esme, segments: int, now: float) -> int:
        tps = self._config.tps
        if tps and not esme.within(tps, segments, now):
            return CommandStatus.ESME_RTHROTTLED
        if self._statuses:
            drawn = self._random.random()
            for status, share in self._statuses:
                drawn -= share
                if drawn < 0:
                    return status
        return 0

    def _remember(self, esme: Esme, taken: list[Receipt]) -> None:
        limit = self._config.history
        self._history.append((esme, taken[-limit:] if limit else []))
        self._remembered += min(len(taken), limit)
        while self._remembered > limit:
            self._remembered -= len(self._history.popleft()[1])

    def _plan(self, esme: Esme, receipts: list[Receipt], now: float) -> None:
        """Schedules the receipts that were asked for: registered_delivery, SMPP 3.4 §5.2.17."""
        config = self._config
        wanted = [receipt for receipt in receipts if receipt[2].registered & 0x10 or _asked(receipt)]
        if not wanted:
            return
        if self._steady and not any(receipt[2].registered & 0x10 for receipt in wanted):
            self.counts["receipts_planned"] += len(wanted)
            self._schedule.add(now + config.receipt_delay, esme, list[Delivery](wanted))
            return
        for receipt in wanted:
            self._plan_one(esme, receipt, now)

    def _plan_one(self, esme: Esme, receipt: Receipt, now: float) -> None:
        config = self._config
        random = self._random.random
        message_id, destination, shape, outcome, submitted, done = receipt
        delay = config.receipt_delay
        if config.receipt_jitter:
            delay += random() * config.receipt_jitter
        if config.late and random() < config.late:
            delay += config.late_by
        if shape.registered & 0x10 or (config.enroute and random() < config.enroute):
            self.counts["receipts_planned"] += 1
            notice = (message_id, destination, shape, ENROUTE, submitted, submitted)
            self._schedule.add(now + delay / 2, esme, [notice])
        if not _asked(receipt) or (config.receipts < 1 and random() >= config.receipts):
            return
        done += round((delay - config.receipt_delay) * 1000)
        receipt = (message_id, destination, shape, outcome, submitted, done)
        copies: list[Delivery] = [receipt]
        if config.repeat and random() < config.repeat:
            copies.append(receipt)
        self.counts["receipts_planned"] += len(copies)
        if config.early and random() < config.early:
            esme.ready.extend(copies)
        else:
            self._schedule.add(now + delay, esme, copies)

    # What becomes of messages later.

    def still_wanted(self, deliveries: list[Delivery]) -> list[Delivery]:
        """Those without the receipts of messages that were cancelled meanwhile."""
        if not self._cancelled:
            return deliveries
        return [
            delivery
            for delivery in deliveries
            if not isinstance(delivery, tuple) or delivery[0] not in self._cancelled or delivery[3] is DELETED
        ]

    def find(self, esme: Esme, message_id: bytes) -> tuple[Receipt, Outcome] | None:
        """A remembered message of that ESME and what is known of it now."""
        for owner, receipts in reversed(self._history):
            if owner is esme:
                for receipt in receipts:
                    if receipt[0] == message_id:
                        return receipt, self._known(receipt)
        for held in self._held.values():
            for owner, receipt, _ in held:
                if owner is esme and receipt[0] == message_id:
                    return receipt, DELETED if message_id in self._cancelled else ENROUTE
        return None

    def ended(self, receipt: Receipt) -> int:
        """When a message that is final became so, in UTC ms."""
        return self._cancelled.get(receipt[0], receipt[5])

    def _known(self, receipt: Receipt) -> Outcome:
        if receipt[0] in self._cancelled:
            return DELETED
        return receipt[3] if self._clock.now_ms() >= receipt[5] else ENROUTE

    def under_way(self, esme: Esme, source: bytes, destination: bytes) -> list[Receipt]:
        """That ESME's messages from `source` to `destination` that are not final."""
        found = [
            receipt
            for owner, receipts in self._history
            if owner is esme
            for receipt in receipts
            if receipt[1] == destination and receipt[2].source == source and self._known(receipt) is ENROUTE
        ]
        for owner, receipt, _ in self._held.get(destination, ()):
            if owner is esme and receipt[2].source == source and receipt[0] not in self._cancelled:
                found.append(receipt)
        return found

    def cancel(self, esme: Esme, receipt: Receipt) -> None:
        """Takes a message back; its DELETED receipt is ready at once when a receipt was asked for."""
        message_id, destination, shape, _, submitted, _ = receipt
        now_ms = self._clock.now_ms()
        self._cancelled[message_id] = now_ms
        while len(self._cancelled) > max(1, self._config.history):
            del self._cancelled[next(iter(self._cancelled))]
        if shape.registered & 3 in (1, 2):
            self.counts["receipts_planned"] += 1
            esme.ready.append((message_id, destination, shape, DELETED, submitted, now_ms))

    def _hold(self, esme: Esme, receipt: Receipt, raw: Raw) -> None:
        held = self._held.setdefault(receipt[1], [])
        held.append((esme, receipt, raw))
        self.counts["accepted"] += 1
        if len(held) > _MAX_HELD:
            del held[0]

    def held(self) -> int:
        """Messages that wait for handsets which are off."""
        return sum(map(len, self._held.values()))

    def switch(self, number: bytes, state: HandsetState) -> None:
        """Puts a handset into a state; what was held for one that was off is delivered, or fails."""
        states = self._handsets.states
        if state is HandsetState.ON:
            states.pop(number, None)
        else:
            states[number] = state
        if state is HandsetState.OFF:
            return
        now, now_ms = self._clock.monotonic(), self._clock.now_ms()
        done = now_ms + round(self._config.receipt_delay * 1000)
        for esme, (message_id, _, shape, outcome, submitted, _), raw in self._held.pop(number, ()):
            if message_id in self._cancelled:
                continue
            if state is not HandsetState.ON:
                outcome = DEAD if state is HandsetState.DEAD else FULL
            if outcome is DELIVERED:
                self._handsets.receive(number, (now_ms, *raw[1:]))
            receipt = (message_id, number, shape, outcome, submitted, done)
            self._remember(esme, [receipt])
            self._plan(esme, [receipt], now)


def _asked(receipt: Receipt) -> bool:
    """True when its final receipt was asked for: of any outcome (1), of failure (2), of success (3)."""
    asked = receipt[2].registered & 3
    return asked == 1 or asked == (3 if receipt[3] is DELIVERED else 2)


def _line(now_ms: int, destination: bytes, part: Part, message_id: bytes, tail: bytes) -> bytes:
    if not destination.isalnum():
        destination = quoted(destination)
    return b"S %d %b %d/%d %d %b%b" % (
        now_ms, destination, part.number, part.total, part.reference, message_id, tail
    )  # fmt: skip
