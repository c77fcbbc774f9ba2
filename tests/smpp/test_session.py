"""One bind against a scripted SMSC: window, answers, cuts, garbage, refusals, silence, inbound."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Coroutine
from functools import partial
from pathlib import Path

import pytest
import uvloop

from cooee.model.clock import ManualClock, SystemClock
from cooee.model.errors import ConfigError
from cooee.smpp.codes import MAX_SEQUENCE, CommandStatus
from cooee.smpp.pdu import (
    AlertNotification,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    QuerySmResp,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    encode,
)
from cooee.smpp.session import BindConfig, Inbound, Session, State, Submission
from cooee.smpp.window import LATE_KEPT, Window
from tests.smpp.support_peer import (
    FIRST,
    THROTTLED,
    Call,
    Owner,
    Peer,
    bound,
    config,
    message,
    self_signed,
    slice_of,
    until,
)


def run(main: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 20))


# Binding


@pytest.mark.parametrize(
    ("bind_type", "kind"),
    [("transceiver", BindTransceiver), ("transmitter", BindTransmitter), ("receiver", BindReceiver)],
)
def test_binds_as_told_and_unbinds_in_order(bind_type: str, kind: type[BindTransceiver]) -> None:
    async def main() -> None:
        async with Peer() as peer:
            more = {"bind_type": bind_type, "system_type": "VMS", "address_range": "6149"}
            async with bound(peer, **more) as (session, owner):
                assert session.free == 10
            assert session.state is State.CLOSED
            bind = peer.call.received[0]
            assert isinstance(bind, kind)
            assert (bind.system_id, bind.password, bind.system_type, bind.address_range) == (
                "cooee",
                "geheim",
                "VMS",
                "6149",
            )
            assert len(peer.call.of(Unbind)) == 1
            assert [state for state, _ in owner.states] == [
                State.CONNECTING, State.BINDING, State.BOUND, State.UNBINDING, State.CLOSED,
            ]  # fmt: skip
            assert "geheim" not in owner.reasons

    run(main())


def test_a_refused_bind_says_why_and_is_tried_again() -> None:
    async def main() -> None:
        async with Peer() as peer:
            peer.bind_statuses = [CommandStatus.ESME_RINVPASWD, CommandStatus.ESME_RALYBND, 0x501]
            async with bound(peer) as (_, owner):
                assert len(peer.calls) == 4
                for name in ("ESME_RINVPASWD (wrong password)", "ESME_RALYBND", "0x00000501"):
                    assert f"bind refused: {name}" in owner.reasons

    run(main())


def test_a_bind_answered_with_a_nack_is_refused() -> None:
    async def main() -> None:
        async with Peer() as peer:
            peer.answers_binds = False
            owner = Owner()
            session = Session(config(peer.port), owner, SystemClock(), "test")
            session.start()
            await until(lambda: peer.calls and peer.call.received)
            peer.call.send(GenericNack(peer.call.received[0].sequence, CommandStatus.ESME_RINVCMDID))
            await until(lambda: "bind refused: ESME_RINVCMDID" in owner.reasons)
            await session.stop(0.05)

    run(main())


def test_a_bind_that_is_not_answered_and_a_port_that_is_closed_are_tried_again() -> None:
    async def main() -> None:
        peer = Peer()
        async with peer:
            pass  # takes a port, and gives it up
        owner = Owner()
        session = Session(config(peer.port, bind_timeout_s=0.05), owner, SystemClock(), "test")
        session.start()
        await until(lambda: "cannot connect" in owner.reasons)
        peer.answers_binds = False
        async with peer:
            await until(lambda: "no answer to the bind within 0.05 s" in owner.reasons)
            peer.answers_binds = True
            await until(lambda: session.state is State.BOUND)
            await session.stop(0.05)
            assert session.free == 0

    run(main())


def test_stopping_before_the_bind_is_there_ends_it_too() -> None:
    async def main() -> None:
        async with Peer() as peer:
            peer.answers_binds = False
            owner = Owner()
            session = Session(config(peer.port), owner, SystemClock(), "test")
            await session.stop(1)
            assert owner.states == []
            session = Session(config(peer.port), owner, SystemClock(), "test")
            session.start()
            with pytest.raises(RuntimeError, match="before"):
                session.start()
            await until(lambda: session.state is State.BINDING)
            await session.stop(1)
            assert session.state is State.CLOSED
            await until(lambda: peer.call.closed)
            assert not peer.call.of(Unbind)

    run(main())


def test_waits_grow_with_failures_and_shrink_after_a_bind_that_held() -> None:
    async def main() -> None:
        clock = ManualClock()
        session = Session(config(1, reconnect_min_s=1, reconnect_max_s=60), Owner(), clock, "test")
        waits = [session._backoff() for _ in range(2000)]
        for number, wait in enumerate(waits):
            longest = min(60, 2 ** min(number, 10))
            assert longest / 2 <= wait <= longest
        session.bound("smsc")
        clock.advance(5)
        assert session._backoff() >= 30
        clock.advance(5)
        assert session._backoff() <= 1

    run(main())


@pytest.mark.parametrize(
    "wrong",
    [
        {"bind_type": "both"},
        {"window": 0},
        {"system_id": "x" * 16},
        {"password": "x" * 65},
        {"system_type": "x" * 13},
        {"address_range": "x" * 41},
        {"system_id": "Ω"},
        {"tls_ca_file": "ca.pem"},
    ],
)
def test_a_configuration_that_cannot_work_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        config(1, **wrong)


def test_the_password_is_in_no_repr() -> None:
    assert "geheim" not in repr(config(1))
    assert isinstance(config(1), BindConfig)


# Window and answers


def test_a_slice_is_answered_position_by_position() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer) as (session, owner):
            submission = slice_of(6)
            session.submit(submission)
            assert session.free == 4  # taken before anything can have been answered
            await until(lambda: len(peer.call.submits) == 6)
            sent = peer.call.submits
            assert [one.destination_addr for one in sent] == [str(FIRST + n) for n in range(6)]
            # Out of order, one refused, one twice, one from nowhere: in one chunk.
            peer.call.send(
                SubmitSmResp(sent[3].sequence, message_id="C"),
                SubmitSmResp(sent[0].sequence, message_id="A"),
                SubmitSmResp(sent[0].sequence, message_id="again"),
                SubmitSmResp(999_999, message_id="nobody"),
                SubmitSmResp(sent[1].sequence, THROTTLED),
                GenericNack(sent[2].sequence, CommandStatus.ESME_RINVCMDID),
                GenericNack(sent[4].sequence, 0),
            )
            await until(lambda: owner.chunks)
            assert owner.chunks == [[submission]]
            taken, submission.answers = submission.answers, []
            assert taken == [
                (3, 0, 0, "C"), (0, 0, 0, "A"), (1, 0, THROTTLED, ""), (2, 0, 3, ""), (4, 0, 0xFF, ""),
            ]  # fmt: skip
            assert session.free == 9
            peer.call.write(encode(SubmitSmResp(sent[5].sequence, message_id="F"))[:-1][:3])
            peer.call.write(encode(SubmitSmResp(sent[5].sequence, message_id="F"))[3:])
            await until(lambda: session.free == 10)
            assert submission.answers == [(5, 0, 0, "F")]
            assert owner.losses == []

    run(main())


def test_bodiless_and_unterminated_answers_are_taken() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer) as (session, _):
            submission = slice_of(3)
            session.submit(submission)
            await until(lambda: len(peer.call.submits) == 3)
            one, two, three = (pdu.sequence for pdu in peer.call.submits)
            peer.call.write(struct.pack(">IIII", 16, 0x80000004, 8, one))
            peer.call.write(struct.pack(">IIII", 18, 0x80000004, 0, two) + b"AB")
            peer.call.write(struct.pack(">IIII", 16 + 300, 0x80000004, 0, three) + b"x" * 300)
            await until(lambda: len(submission.answers) == 3)
            assert submission.answers == [(0, 0, 8, ""), (1, 0, 0, "AB"), (2, 0, 0, "x" * 255)]

    run(main())


def test_only_the_wanted_parts_go_out() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer) as (session, _):
            submission = Submission(message(3), [FIRST, FIRST + 1, FIRST + 2], [[2], [], [0, 1]])
            assert submission.segments == 3
            session.submit(submission)
            await until(lambda: len(peer.call.submits) == 3)
            assert [(pdu.destination_addr, pdu.short_message) for pdu in peer.call.submits] == [
                (str(FIRST), b"part 2"), (str(FIRST + 2), b"part 0"), (str(FIRST + 2), b"part 1"),
            ]  # fmt: skip
            peer.call.answer(*peer.call.submits)
            await until(lambda: len(submission.answers) == 3)
            assert [answer[:2] for answer in submission.answers] == [(0, 2), (2, 0), (2, 1)]

    run(main())


def reached(peer: Peer, submits: int) -> bool:
    return len(peer.call.submits) >= submits


def test_a_message_of_more_parts_than_slots_follows_as_they_free() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer, window=3) as (session, owner):
            first, long = slice_of(1), Submission(message(7), [FIRST])
            session.submit(first)
            session.submit(long)
            assert session.free == 0
            await until(lambda: len(peer.call.submits) == 3)
            seen = 0
            while seen < 8:
                await asyncio.sleep(0.01)
                submits = peer.call.submits
                assert len(submits) - seen <= 3  # never more out than the window has slots
                peer.call.answer(submits[seen])
                seen += 1
                await until(partial(reached, peer, min(8, seen + 3)))
            await until(lambda: len(long.answers) == 7)
            assert [answer[1] for answer in long.answers] == list(range(7))
            assert [pdu.short_message for pdu in peer.call.submits[1:]] == [b"part %d" % n for n in range(7)]
            assert session.free == 3
            assert owner.losses == []

    run(main())


def test_what_is_submitted_over_the_window_waits() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer, window=4) as (session, _):
            many = slice_of(3), slice_of(3), Submission(message(2), [FIRST, FIRST + 1, FIRST + 2])
            for submission in many:
                session.submit(submission)
            await until(lambda: len(peer.call.submits) == 4)
            peer.answers_submits = True
            peer.call.answer(*peer.call.submits)
            await until(lambda: sum(len(one.answers) for one in many) == 12)
            assert len({pdu.sequence for pdu in peer.call.submits}) == 12
            assert session.free == 4
            session.submit(Submission(message(), []))
            assert session.free == 4

    run(main())


def test_the_owner_may_submit_from_within_its_events() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer) as (session, owner):
            peer.answers_submits = True
            left = [10] * 20

            def refill(session: Session) -> None:
                while left and session.free >= left[-1]:
                    session.submit(slice_of(left.pop()))

            owner.on_answers = refill
            refill(session)
            await until(lambda: len(peer.call.submits) == 200 and session.free == 10)

    run(main())


def test_an_owner_that_fails_does_not_cost_the_bind() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer) as (session, owner):
            peer.answers_submits = True

            def fail(_: Session) -> None:
                raise LookupError("a fault of the owner's")

            owner.on_answers = fail
            session.submit(slice_of(5))
            await until(lambda: session.free == 10)
            assert session.state is State.BOUND

    run(main())


def test_sequence_numbers_wrap_to_one_and_a_slice_stays_in_a_row() -> None:
    window = Window(10, 60)
    window.next_sequence(MAX_SEQUENCE - 3)
    first, second = slice_of(3), slice_of(2)
    octets = window.take(first, 0) + window.take(second, 0)
    length = len(octets) // 5
    sequences = [struct.unpack_from(">I", octets, at * length + 12)[0] for at in range(5)]
    assert sequences == [MAX_SEQUENCE - 2, MAX_SEQUENCE - 1, MAX_SEQUENCE, 1, 2]
    assert window.answer(1, 0, "x") is second
    assert window.answer(1, 0, "x") is None


# What gets no answer


def test_an_answer_that_does_not_come_is_lost_and_may_come_late() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer, response_timeout_s=0.1) as (session, owner):
            submission = slice_of(3)
            session.submit(submission)
            await until(lambda: len(peer.call.submits) == 3)
            sent = peer.call.submits
            peer.call.answer(sent[1])
            await until(lambda: owner.losses)
            assert owner.losses == [(submission, [(0, 0), (2, 0)], [], "no answer within 0.1 s")]
            assert session.free == 10
            peer.call.send(
                SubmitSmResp(sent[2].sequence, message_id="late"),
                SubmitSmResp(sent[2].sequence, message_id="late"),
                GenericNack(sent[0].sequence, 8),
            )
            await until(lambda: owner.late_answers)
            assert owner.late_answers == [(submission, [(2, 0, 0, "late"), (0, 0, 8, "")])]
            assert submission.answers == [(1, 0, 0, f"m{sent[1].sequence}")]
            assert session.state is State.BOUND

    run(main())


def test_late_answers_are_remembered_for_a_while_and_not_without_bound() -> None:
    window = Window(LATE_KEPT * 2, timeout=10)
    window.take(slice_of(LATE_KEPT + 500), now=0)
    assert window.expire(9.9) == []
    ((_, segments),) = window.expire(10)
    assert len(segments) == LATE_KEPT + 500
    window.expire(11)
    assert window.late(500) is None
    assert window.late(501) is not None
    window.expire(10 + 601)
    assert window.late(502) is None
    assert window.idle


def test_a_cut_reports_what_was_written_and_what_was_not() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer, window=3) as (session, owner):
            answered, long = slice_of(1), Submission(message(5), [FIRST], token="long")
            session.submit(answered)
            await until(lambda: len(peer.call.submits) == 1)
            peer.call.answer(peer.call.submits[0])
            await until(lambda: answered.answers)
            session.submit(long)
            await until(lambda: len(peer.call.submits) == 4)
            peer.call.cut()
            await until(lambda: owner.losses)
            ((lost, unsure, unsent, reason),) = owner.losses
            assert lost is long
            assert (unsure, unsent) == ([(0, 0), (0, 1), (0, 2)], [(0, 3), (0, 4)])
            assert "connection lost" in reason
            await until(lambda: session.state is State.BOUND)
            assert session.free == 3
            peer.answers_submits = True
            session.submit(again := slice_of(2))
            await until(lambda: len(again.answers) == 2)

    run(main())


def test_a_submission_to_a_bind_that_has_gone_is_lost_unsent() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer, reconnect_min_s=5, reconnect_max_s=5) as (session, owner):
            peer.call.cut()
            await until(lambda: session.state is State.CLOSED)
            session.submit(submission := slice_of(2))
            assert owner.losses == []  # never from within the call
            await until(lambda: owner.losses)
            assert owner.losses[0][:3] == (submission, [], [(0, 0), (1, 0)])

    run(main())


def test_stopping_waits_for_answers_then_reports_the_rest() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer, window=2) as (session, owner):
            long = Submission(message(3), [FIRST])
            session.submit(long)
            await until(lambda: len(peer.call.submits) == 2)
            stopping = asyncio.create_task(session.stop(5))
            await until(lambda: session.state is State.UNBINDING)
            assert session.free == 0
            session.submit(refused := slice_of(1))
            await until(lambda: owner.losses)
            assert owner.losses == [(refused, [], [(0, 0)], "not bound: stopping")]
            peer.call.answer(*peer.call.submits)
            await until(lambda: len(peer.call.submits) == 3)  # a message half sent is completed
            assert not peer.call.of(Unbind)
            peer.call.answer(peer.call.submits[2])
            await stopping
            assert len(long.answers) == 3
            assert len(peer.call.of(Unbind)) == 1
            assert len(owner.losses) == 1

        async with Peer() as peer, bound(peer) as (session, owner):
            session.submit(submission := slice_of(2))
            await until(lambda: len(peer.call.submits) == 2)
            await session.stop(0.05)
            assert [loss[:3] for loss in owner.losses] == [(submission, [(0, 0), (1, 0)], [])]
            await until(lambda: peer.call.closed)
            assert len(peer.call.of(Unbind)) == 1
            assert owner.states[-1] == (State.CLOSED, "stopped")

    run(main())


# Liveness


def test_a_silent_peer_is_asked_and_then_left() -> None:
    async def main() -> None:
        more = {"enquire_link_s": 0.05, "enquire_timeout_s": 0.05}
        async with Peer() as peer, bound(peer, **more) as (session, owner):
            await until(lambda: len(peer.call.of(EnquireLink)) >= 3)
            assert len(peer.calls) == 1
            peer.answers_enquiries = False
            session.submit(submission := slice_of(1))
            await until(lambda: owner.losses)
            assert owner.losses[0][:3] == (submission, [(0, 0)], [])
            assert owner.losses[0][3] == "no answer to enquire_link"
            peer.answers_enquiries = True
            await until(lambda: len(peer.calls) == 2 and session.state is State.BOUND)

    run(main())


def test_the_peers_unbind_is_answered_and_the_bind_renewed() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer) as (session, owner):
            session.submit(submission := slice_of(2))
            await until(lambda: len(peer.call.submits) == 2)
            call = peer.call
            free: list[int] = []
            owner.on_answers = lambda session: free.append(session.free)
            call.send(SubmitSmResp(call.submits[0].sequence, message_id="A"), Unbind(77))
            await until(lambda: call.closed)
            assert call.of(UnbindResp) == [UnbindResp(77)]
            assert free == [0]
            assert [loss[:3] for loss in owner.losses] == [(submission, [(1, 0)], [])]
            await until(lambda: len(peer.calls) == 2 and session.state is State.BOUND)
            assert (State.UNBINDING, "the SMSC unbinds") in owner.states

    run(main())


def test_a_peer_that_stops_reading_closes_the_window_until_it_reads_on() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer, window=100_000) as (session, owner):
            peer.call.reader._transport.pause_reading()  # type: ignore[attr-defined]
            while session.free:
                session.submit(slice_of(1000))
                await asyncio.sleep(0)
            assert session.free == 0
            assert owner.chunks == []
            peer.call.reader._transport.resume_reading()  # type: ignore[attr-defined]
            await until(lambda: owner.chunks)
            assert owner.chunks[0] == []
            assert session.free > 0

    run(main())


# Inbound


def deliver(number: int) -> DeliverSm:
    return DeliverSm(number, source_addr="61491570156", destination_addr="Cooee", short_message=b"Hi")


def test_inbound_is_told_by_the_chunk_and_acknowledged_when_the_owner_says_so() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer) as (session, owner):
            data = DataSm(3, source_addr="61491570156")
            # Number 1 twice: some SMSCs count carelessly.
            peer.call.send(deliver(1), deliver(2), EnquireLink(50), data, deliver(1))
            await until(lambda: owner.inbounds)
            assert owner.inbounds == [[deliver(1), deliver(2), data, deliver(1)]]
            await until(lambda: peer.call.of(EnquireLinkResp))
            assert not peer.call.of(DeliverSmResp)
            pdus = owner.pdus
            session.acknowledge(pdus[1:], CommandStatus.ESME_RSYSERR)
            session.acknowledge(pdus)
            await until(lambda: len(peer.call.of(DeliverSmResp)) == 3)
            assert peer.call.of(DeliverSmResp) == [
                DeliverSmResp(2, CommandStatus.ESME_RSYSERR), DeliverSmResp(1, CommandStatus.ESME_RSYSERR),
                DeliverSmResp(1),
            ]  # fmt: skip
            assert peer.call.of(DataSmResp) == [DataSmResp(3, CommandStatus.ESME_RSYSERR)]

    run(main())


def test_answers_are_told_before_the_receipts_of_the_same_chunk() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer) as (session, owner):
            order: list[str] = []
            owner.on_answers = lambda _: order.append(f"answers, {len(owner.inbounds)} inbound before")
            session.submit(slice_of(1))
            await until(lambda: peer.call.submits)
            peer.call.send(deliver(1), SubmitSmResp(peer.call.submits[0].sequence, message_id="A"))
            await until(lambda: owner.inbounds)
            assert order == ["answers, 0 inbound before"]

    run(main())


def test_what_came_on_a_connection_that_is_gone_is_not_acknowledged() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer) as (session, owner):
            peer.call.send(deliver(1))
            await until(lambda: owner.inbounds)
            peer.call.cut()
            await until(lambda: len(peer.calls) == 2 and session.state is State.BOUND)
            session.acknowledge(owner.pdus)
            peer.call.send(deliver(1))
            await until(lambda: len(owner.inbounds) == 2)
            session.acknowledge(owner.pdus)
            await until(lambda: peer.call.of(DeliverSmResp))
            await asyncio.sleep(0.02)
            assert peer.call.of(DeliverSmResp) == [DeliverSmResp(1)]

    run(main())


def test_reading_pauses_while_too_much_is_unacknowledged() -> None:
    async def main() -> None:
        more = {"inbound_pause": 10, "response_timeout_s": 0.1, "enquire_link_s": 0.05, "enquire_timeout_s": 0.05}
        async with Peer() as peer, bound(peer, **more) as (session, owner):
            session.submit(submission := slice_of(1))
            await until(lambda: peer.call.submits)
            peer.call.send(*(deliver(number) for number in range(1, 12)))
            await until(lambda: len(owner.pdus) == 11)
            peer.call.send(deliver(12))
            peer.call.answer(peer.call.submits[0])
            # Longer than every timeout: what lies unread must count neither as silence nor as a missing answer.
            await asyncio.sleep(0.3)
            assert (len(owner.pdus), owner.losses, len(peer.calls)) == (11, [], 1)
            session.acknowledge(owner.pdus[:5])
            await asyncio.sleep(0.02)
            assert len(owner.pdus) == 11
            session.acknowledge(owner.pdus[5:])
            await until(lambda: len(owner.pdus) == 12 and submission.answers)
            assert owner.losses == []

    run(main())


def test_timers_that_are_due_when_reading_goes_on_do_not_outrun_the_answers() -> None:
    class Slow(Owner):
        def inbound(self, session: Session, pdus: list[Inbound]) -> None:
            super().inbound(session, pdus)
            time.sleep(0.06)  # the loop is late: timers come due between two reads of one backlog

    async def main() -> None:
        more = {"inbound_pause": 2000, "response_timeout_s": 0.6, "enquire_link_s": 5}
        async with Peer() as peer:
            owner = Slow()
            session = Session(config(peer.port, **more), owner, SystemClock(), "test")
            session.start()
            await until(lambda: session.state is State.BOUND)
            session.submit(submission := slice_of(1))
            await until(lambda: peer.call.submits)
            peer.call.send(*(DeliverSm(number) for number in range(2001)))
            await until(lambda: len(owner.pdus) == 2001)
            # More than one read takes, and the answer behind it.
            peer.call.send(*(DeliverSm(number, short_message=bytes(250)) for number in range(1900)))
            peer.call.answer(peer.call.submits[0])
            await asyncio.sleep(0.7)
            assert len(owner.pdus) == 2001
            session.acknowledge(owner.pdus)
            await until(lambda: submission.answers or owner.losses)
            assert owner.losses == []
            assert len(owner.inbounds) > 3
            await session.stop(0.05)

    # uvloop runs its timers before it reads on.
    uvloop.run(asyncio.wait_for(main(), 20))


# Faults on the wire


def test_what_is_not_understood_is_nacked_and_the_bind_lives() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer) as (session, owner):
            peer.call.write(struct.pack(">IIII", 16, 0x777, 0, 1))
            peer.call.write(struct.pack(">IIII", 18, 0x5, 0, 2) + b"xx")
            peer.call.write(struct.pack(">IIII", 16, 0x80000777, 0, 3))  # a response: never answered
            peer.call.send(SubmitSm(4), Outbind(5), AlertNotification(6), QuerySmResp(7), EnquireLink(8))
            await until(lambda: peer.call.of(EnquireLinkResp))
            assert peer.call.of(GenericNack) == [
                GenericNack(1, CommandStatus.ESME_RINVCMDID),
                GenericNack(2, CommandStatus.ESME_RINVSERTYP),
                GenericNack(4, CommandStatus.ESME_RINVBNDSTS),
                GenericNack(5, CommandStatus.ESME_RINVBNDSTS),
            ]
            assert session.state is State.BOUND
            assert owner.inbounds == []

    run(main())


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(64), b"\xff" * 40])
def test_garbage_ends_the_connection_in_order_and_the_bind_is_renewed(garbage: bytes) -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer) as (session, owner):
            session.submit(submission := slice_of(2))
            await until(lambda: len(peer.call.submits) == 2)
            call = peer.call
            call.write(encode(SubmitSmResp(call.submits[0].sequence, message_id="A")) + garbage)
            await until(lambda: call.closed)
            assert len(call.of(GenericNack)) == 1
            assert submission.answers == [(0, 0, 0, "A")]
            assert [loss[:3] for loss in owner.losses] == [(submission, [(1, 0)], [])]
            assert owner.reasons.count("garbage received") == 2  # unbinding, then closed
            await until(lambda: len(peer.calls) == 2 and session.state is State.BOUND)

    run(main())


def replaced(peer: Peer, call: Call) -> bool:
    return peer.call is not call


def test_nothing_is_written_to_a_connection_that_is_being_closed() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer) as (session, owner):
            session.submit(slice_of(1))
            await until(lambda: peer.call.submits)
            call, second = peer.call, slice_of(2)

            def submit(session: Session) -> None:
                assert session.free == 0
                session.submit(second)

            owner.on_answers = submit
            # An unbind_resp that nobody asked for ends the bind.
            call.send(SubmitSmResp(call.submits[0].sequence), UnbindResp(5))
            await until(lambda: owner.losses)
            assert [loss[:3] for loss in owner.losses] == [(second, [], [(0, 0), (1, 0)])]
            await until(lambda: len(peer.calls) == 2 and session.state is State.BOUND)
            assert len(call.submits) == 1

    run(main())


def test_a_stream_cut_at_any_octet_loses_nothing_that_had_arrived_whole() -> None:
    async def main() -> None:
        async with Peer() as peer, bound(peer) as (session, owner):
            pdus = [SubmitSmResp(2, message_id="A"), deliver(9), SubmitSmResp(3, message_id="B")]
            stream = b"".join(map(encode, pdus))
            ends = [sum(len(encode(pdu)) for pdu in pdus[: n + 1]) for n in range(3)]
            for cut in range(len(stream) + 1):
                owner.inbounds.clear()
                owner.losses.clear()
                session.submit(submission := slice_of(2))
                await until(lambda: len(peer.call.submits) == 2)
                call = peer.call
                assert [pdu.sequence for pdu in call.submits] == [2, 3]
                call.write(stream[:cut])
                call.writer.close()
                await until(partial(replaced, peer, call))
                await until(lambda: session.state is State.BOUND)
                whole = [end <= cut for end in ends]
                answers = [(0, 0, 0, "A")] * whole[0] + [(1, 0, 0, "B")] * whole[2]
                assert submission.answers == answers
                assert len(owner.pdus) == whole[1]
                lost = [(0, 0)] * (not whole[0]) + [(1, 0)] * (not whole[2])
                assert [loss[1] for loss in owner.losses] == ([lost] if lost else [])

    run(main())


# TLS


def failed_twice(owner: Owner) -> bool:
    return [state for state, _ in owner.states].count(State.CLOSED) >= 2


def test_tls_binds_to_a_trusted_certificate_only(tmp_path: Path) -> None:
    certificate, served = self_signed(tmp_path)

    async def main() -> None:
        async with Peer(served) as peer:
            peer.answers_submits = True
            async with bound(peer, tls=True, tls_ca_file=str(certificate)) as (session, _):
                session.submit(submission := slice_of(5))
                await until(lambda: len(submission.answers) == 5)
            calls = len(peer.calls)
            # Not trusted, and a peer that is asked without TLS.
            for more in ({"tls": True}, {"bind_timeout_s": 0.05}):
                owner = Owner()
                session = Session(config(peer.port, **more), owner, SystemClock(), "test")
                session.start()
                await until(partial(failed_twice, owner))
                await session.stop(0.05)
                assert all(state is not State.BOUND for state, _ in owner.states)
            assert len(peer.calls) == calls

    run(main())


def test_a_certificate_file_that_is_missing_is_said_at_the_start(tmp_path: Path) -> None:
    async def main() -> None:
        wrong = config(1, tls=True, tls_ca_file=str(tmp_path / "missing.pem"))
        with pytest.raises(ConfigError, match=r"missing\.pem"):
            Session(wrong, Owner(), SystemClock(), "test").start()

    run(main())
