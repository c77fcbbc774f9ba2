"""The SMSC at the socket: binds, links, and PDUs that make no sense."""

from __future__ import annotations

import asyncio
from struct import pack

import pytest

from cooee.model.clock import ManualClock, SystemClock
from cooee.model.errors import ConfigError
from cooee.smpp.codes import CommandStatus, Tag
from cooee.smpp.pdu import (
    AlertNotification,
    BindReceiver,
    BindReceiverResp,
    BindTransceiver,
    BindTransceiverResp,
    BindTransmitter,
    BindTransmitterResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Pdu,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    encode,
)
from cooee.smpp.smsc import RUNTIME, Smsc, SmscConfig, fields_help
from tests.smpp.support_smsc import bound, connect, running, until


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (BindTransceiver, BindTransceiverResp),
        (BindTransmitter, BindTransmitterResp),
        (BindReceiver, BindReceiverResp),
    ],
)
def test_each_kind_of_bind_is_answered_in_kind(kind: type[BindTransceiver], answer: type[Pdu]) -> None:
    async def main() -> None:
        async with running(system_id="carrier") as smsc:
            peer = await connect(smsc)
            response = await peer.bind(kind)
            assert isinstance(response, answer)
            assert isinstance(response, BindTransceiverResp | BindTransmitterResp | BindReceiverResp)
            assert (response.status, response.system_id) == (0, "carrier")
            assert response.tlvs == ((Tag.SC_INTERFACE_VERSION, b"\x34"),)
            assert smsc.stats()["binds_open"] == 1

    asyncio.run(main())


def status(response: Pdu) -> int:
    assert isinstance(response, BindTransceiverResp)
    return response.status


def test_credentials() -> None:
    async def main() -> None:
        async with running(credentials=(("acme", "secret"),)) as smsc:
            for system_id, password in (("acme", "wrong"), ("other", "secret")):
                peer = await connect(smsc)
                refused = await peer.bind(system_id=system_id, password=password)
                assert status(refused) == CommandStatus.ESME_RINVPASWD
            # The same connection may try again.
            assert status(await peer.bind(system_id="acme", password="secret")) == 0
            assert smsc.stats()["binds_refused"] == 2
            assert "secret" not in repr(smsc.config)

    asyncio.run(main())


def test_binds_can_be_refused_and_let_in_again() -> None:
    async def main() -> None:
        async with running(refuse_binds=True) as smsc:
            peer = await connect(smsc)
            assert status(await peer.bind()) == CommandStatus.ESME_RBINDFAIL
            smsc.set(refuse_binds=False)
            assert status(await peer.bind()) == 0

    asyncio.run(main())


def test_more_binds_than_allowed() -> None:
    async def main() -> None:
        async with running(max_binds=1) as smsc:
            first = await bound(smsc)
            second = await connect(smsc)
            assert status(await second.bind()) == CommandStatus.ESME_RALYBND
            assert status(await second.bind(system_id="another")) == 0
            first.close()
            await until(lambda: smsc.stats()["binds_open"] == 1)
            third = await connect(smsc)
            assert status(await third.bind()) == 0
            assert status(await third.bind()) == CommandStatus.ESME_RALYBND

    asyncio.run(main())


def test_nothing_but_enquire_link_before_a_bind_and_no_submit_from_a_receiver() -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await connect(smsc)
            assert (await peer.submit()).status == CommandStatus.ESME_RINVBNDSTS
            peer.send(EnquireLink(77))
            assert (await peer.next(EnquireLinkResp)).sequence == 77
            await peer.bind(BindReceiver)
            assert (await peer.submit()).status == CommandStatus.ESME_RINVBNDSTS
            assert smsc.stats()["refused"] == {"ESME_RINVBNDSTS": 2}

    asyncio.run(main())


def test_unbind_both_ways() -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await bound(smsc)
            peer.send(Unbind(9))
            assert (await peer.next(UnbindResp)).sequence == 9
            await peer.closed()
            peer = await bound(smsc)
            assert smsc.unbind("nobody") == 0
            assert smsc.unbind() == 1
            peer.send(UnbindResp((await peer.next(Unbind)).sequence))
            await peer.closed()
            await until(lambda: smsc.stats()["connections_open"] == 0)

    asyncio.run(main())


def test_stop_with_grace_unbinds() -> None:
    async def main() -> None:
        smsc = Smsc(SmscConfig(), SystemClock())
        await smsc.start()
        peer = await bound(smsc)
        stopping = asyncio.create_task(smsc.stop(grace=5))
        peer.send(UnbindResp((await peer.next(Unbind)).sequence))
        await asyncio.wait_for(stopping, 2)
        await peer.closed()
        # A bind that never answers is cut when the time is over.
        smsc = Smsc(SmscConfig(), SystemClock())
        await smsc.start()
        await bound(smsc)
        await asyncio.wait_for(smsc.stop(grace=0.05), 2)

    asyncio.run(main())


def test_a_pdu_that_makes_no_sense_is_answered_and_the_link_goes_on() -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await bound(smsc)
            peer.send_raw(pack(">IIII", 16, 0x7777, 0, 5))
            nack = await peer.next(GenericNack)
            assert (nack.sequence, nack.status) == (5, CommandStatus.ESME_RINVCMDID)
            peer.send_raw(pack(">IIII", 20, 4, 0, 6) + b"\0\1\1x")
            answer = await peer.next(SubmitSmResp)
            assert (answer.sequence, answer.status) == (6, CommandStatus.ESME_RINVSRCADR)
            peer.send_raw(pack(">IIII", 17, 3, 0, 7) + b"x")
            assert (await peer.next(Pdu)).sequence == 7
            # Requests that only an SMSC makes have no answer either.
            peer.send(Outbind(9, system_id="x"), AlertNotification(10))
            # An answer to nothing, known or not, is not answered.
            peer.send_raw(pack(">IIII", 16, 0x80007777, 0, 5) + pack(">IIII", 16, 0x80000000, 0, 5))
            assert (await peer.submit()).status == 0
            assert smsc.stats()["bad_pdus"] == 3

    asyncio.run(main())


@pytest.mark.parametrize("length", [0, 15, 64 * 1024 + 1, 0xFFFFFFFF])
def test_an_impossible_length_ends_the_connection_after_what_came_before(length: int) -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await bound(smsc)
            peer.send_raw(encode(peer.message()) + pack(">IIII", length, 4, 0, 8) + encode(peer.message()))
            await peer.closed()
            assert [type(pdu) for pdu in peer.arrived] == [SubmitSmResp, GenericNack]
            nack = peer.arrived[1]
            assert isinstance(nack, GenericNack)
            assert (nack.sequence, nack.status) == (8, CommandStatus.ESME_RINVCMDLEN)

    asyncio.run(main())


def test_pdus_may_come_in_any_pieces() -> None:
    async def main() -> None:
        async with running() as smsc:
            peer = await bound(smsc)
            wire = b"".join(encode(peer.message(to=f"614{number:08}")) for number in range(3))
            for octet in wire:
                peer.send_raw(bytes((octet,)))
                await asyncio.sleep(0)
            ids = [(await peer.next(SubmitSmResp)).message_id for _ in range(3)]
            assert ids == ["1", "2", "3"]

    asyncio.run(main())


def test_connections_that_do_not_bind_are_closed() -> None:
    async def main() -> None:
        clock = ManualClock()
        async with running(clock, bind_timeout=10) as smsc:
            binder = await bound(smsc)
            idler = await connect(smsc)
            await until(lambda: smsc.stats()["connections_open"] == 2)
            clock.advance(10.1)
            await idler.closed()
            assert (await binder.submit()).status == 0

    asyncio.run(main())


def test_the_smsc_asks_a_silent_bind_and_closes_a_dead_one() -> None:
    async def main() -> None:
        clock = ManualClock()
        async with running(clock, enquire_link=30) as smsc:
            peer = await bound(smsc)
            clock.advance(31)
            peer.send(EnquireLinkResp((await peer.next(EnquireLink)).sequence))
            peer.send(EnquireLink(500))
            await peer.next(EnquireLinkResp)
            clock.advance(31)
            await peer.next(EnquireLink)
            clock.advance(31)
            await peer.closed()

    asyncio.run(main())


@pytest.mark.parametrize(
    "wrong",
    [
        {"fail": 1.5},
        {"receipts": -0.1},
        {"ids": "roman"},
        {"failures": (("LOST", "001"),)},
        {"fail": 0.1, "failures": ()},
        {"statuses": (("ESME_RSYSERR", 0.6), ("ESME_RMSGQFUL", 0.6))},
        {"statuses": (("ESME_RNONSENSE", 0.6),)},
        {"statuses": (("ESME_ROK", 0.6),)},
        {"ids": "uuid", "receipt_id": "hex"},
        {"window": 0},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="SMSC settings"):
        Smsc(SmscConfig(**wrong), SystemClock())  # type: ignore[arg-type]


def test_every_setting_is_described_and_only_some_change_at_run_time() -> None:
    described = fields_help()
    assert list(described) == list(SmscConfig.__struct_fields__)
    assert all(described.values())

    async def main() -> None:
        async with running() as smsc:
            with pytest.raises(ConfigError, match="'port'"):
                smsc.set(fail=0.5, port=1)
            with pytest.raises(ConfigError, match="fail"):
                smsc.set(fail=2)
            assert smsc.config.fail == 0
            for name in RUNTIME:
                smsc.set(**{name: getattr(smsc.config, name)})

    asyncio.run(main())
