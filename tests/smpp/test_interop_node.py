"""Interoperation with node-smpp, a program of other people's, in both roles."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cooee.model.clock import SystemClock
from cooee.model.datacoding import text_of
from cooee.model.segments import segment
from cooee.smpp.codes import ESM_UDHI, CommandStatus
from cooee.smpp.mo import parse_mo
from cooee.smpp.pdu import DeliverSm
from cooee.smpp.receipt import id_candidates, parse_receipt
from cooee.smpp.session import Answer, BindConfig, Inbound, Segment, Session, State, Submission
from cooee.smpp.template import SubmitTemplate
from tests.smpp.support_node import Node, NodeSmpp, install, running_node
from tests.smpp.support_smsc import running, until


@pytest.fixture(scope="session")
def node_smpp() -> NodeSmpp:
    return install()


async def bound_node(node: Node) -> None:
    await node.next("connected")
    answer = await node.ask("bind_transceiver", system_id="node", password="pw")
    assert (answer["command_status"], answer["system_id"]) == (0, "cooee-smsc")
    assert answer["sc_interface_version"] == 0x34


ADDRESSES: dict[str, object] = {
    "source_addr": "61411", "destination_addr": "61400000001", "dest_addr_ton": 1, "dest_addr_npi": 1,
}  # fmt: skip


def test_a_node_esme_binds_submits_and_gets_receipts(node_smpp: NodeSmpp) -> None:
    async def main() -> None:
        async with (
            running(fail=0, ids="hex", first_id=0xABC) as smsc,
            running_node(node_smpp, "esme.js", str(smsc.port)) as node,
        ):
            await bound_node(node)
            assert (await node.ask("enquire_link"))["command_status"] == 0
            for text, coding in (("Price: 5 € [net] {à}", 0), ("Guten Tag 😀 Ωμέγα", 8)):
                answer = await node.ask(
                    "submit_sm", **ADDRESSES, short_message=text, data_coding=coding, registered_delivery=1
                )
                assert answer["command_status"] == 0
                assert smsc.inbox("61400000001")[-1].text == text
                receipt = await node.next("deliver_sm")
                assert (receipt["source_addr"], receipt["destination_addr"]) == ("61400000001", "61411")
                assert receipt["receipted_message_id"] == answer["message_id"]
                assert receipt["message_state"] == 2
                message = receipt["short_message"]["message"]
                assert message.startswith(f"id:{answer['message_id']} sub:001 dlvrd:001 submit date:")
                assert " stat:DELIVRD err:000" in message
                found = await node.ask("query_sm", message_id=answer["message_id"])
                assert (found["message_id"], found["message_state"]) == (answer["message_id"], 2)
            await until(lambda: smsc.stats()["receipts_acked"] == 2)
            assert smsc.stats()["bad_pdus"] == 0

    asyncio.run(main())


@pytest.mark.parametrize("text", ["Split {me} well. " * 15, "Zerlegt 😀 und gut. " * 8])
def test_a_node_esme_sends_a_long_message_with_udh(node_smpp: NodeSmpp, text: str) -> None:
    async def main() -> None:
        cut = segment(text)
        async with running() as smsc, running_node(node_smpp, "esme.js", str(smsc.port)) as node:
            await bound_node(node)
            for data in cut.user_data(42):
                short_message = {"udh": {"hex": data[:6].hex()}, "message": {"hex": data[6:].hex()}}
                answer = await node.ask(
                    "submit_sm", **ADDRESSES, short_message=short_message, data_coding=int(cut.encoding)
                )
                assert answer["command_status"] == 0
            (shown,) = smsc.inbox("61400000001")
            assert (shown.text, shown.parts, shown.complete) == (text, cut.count, True)

    asyncio.run(main())


@pytest.mark.parametrize("text", ["Stop.", "Stopp {bitte} " * 20, "停止 😀" * 30])
def test_a_node_esme_gets_replies(node_smpp: NodeSmpp, text: str) -> None:
    async def main() -> None:
        async with running() as smsc, running_node(node_smpp, "esme.js", str(smsc.port)) as node:
            await bound_node(node)
            parts = smsc.reply("61400000001", "61411", text)
            pieces: dict[int, str] = {}
            for _ in range(parts):
                pdu = await node.next("deliver_sm")
                assert (pdu["source_addr"], pdu["destination_addr"]) == ("61400000001", "61411")
                udh = pdu["short_message"].get("udh")
                number = bytes.fromhex(udh[0]["hex"])[-1] if udh else 1
                pieces[number] = pdu["short_message"]["message"]
            assert "".join(pieces[number] for number in sorted(pieces)) == text
            await until(lambda: smsc.stats()["mo_acked"] == parts)

    asyncio.run(main())


def test_a_node_esme_is_refused_throttled_and_unbound(node_smpp: NodeSmpp) -> None:
    async def main() -> None:
        async with (
            running(credentials=(("node", "pw"),)) as smsc,
            running_node(node_smpp, "esme.js", str(smsc.port)) as node,
        ):
            await node.next("connected")
            refused = await node.ask("bind_transceiver", system_id="node", password="guess")
            assert refused["command_status"] == CommandStatus.ESME_RINVPASWD
            bound = await node.ask("bind_transceiver", system_id="node", password="pw")
            assert bound["command_status"] == 0
            smsc.set(statuses=(("ESME_RTHROTTLED", 1.0),))
            throttled = await node.ask("submit_sm", **ADDRESSES, short_message="x")
            assert throttled["command_status"] == CommandStatus.ESME_RTHROTTLED
            assert (await node.ask("unbind"))["command_status"] == 0
            await node.next("close")
        async with running() as smsc, running_node(node_smpp, "esme.js", str(smsc.port)) as node:
            await bound_node(node)
            smsc.unbind()
            await node.next("unbind")
            await node.next("close")
            await until(lambda: smsc.stats()["connections_open"] == 0)

    asyncio.run(main())


class Owner:
    """Collects what a session tells."""

    def __init__(self) -> None:
        self.answered: list[Answer] = []
        self.lost_segments: list[Segment] = []
        self.received: list[Inbound] = []
        self.states: list[State] = []
        self.reasons: list[str] = []

    def answers(self, session: Session, submissions: list[Submission]) -> None:
        for submission in submissions:
            self.answered += submission.answers
            submission.answers = []

    def lost(
        self, session: Session, submission: Submission, unsure: list[Segment], unsent: list[Segment], reason: str
    ) -> None:
        self.lost_segments += unsure + unsent

    def late(self, session: Session, submission: Submission, answers: list[Answer]) -> None:
        self.answered += answers

    def inbound(self, session: Session, pdus: list[Inbound]) -> None:
        self.received += pdus
        session.acknowledge(pdus)

    def state(self, session: Session, state: State, reason: str) -> None:
        self.states.append(state)
        self.reasons.append(reason)


async def session_to(node: Node, owner: Owner, **more: Any) -> Session:
    port = (await node.next("listening"))["port"]
    settings: dict[str, Any] = {"system_id": "cooee", "password": "secret", "window": 100, **more}
    session = Session(BindConfig(host="127.0.0.1", port=port, **settings), owner, SystemClock(), "node")
    session.start()
    return session


def template(parts: tuple[bytes, ...], data_coding: int, registered: int) -> SubmitTemplate:
    return SubmitTemplate(
        parts, source="Cooee", source_ton=5, source_npi=0, data_coding=data_coding, udh=len(parts) > 1,
        registered_delivery=registered,
    )  # fmt: skip


def test_a_session_submits_a_batch_to_node_and_acknowledges_receipts(node_smpp: NodeSmpp) -> None:
    async def main() -> None:
        owner = Owner()
        async with running_node(node_smpp, "smsc.js") as node:
            session = await session_to(node, owner)
            await until(lambda: session.state is State.BOUND)
            heard = await node.next("bind_transceiver")
            assert (heard["system_id"], heard["interface_version"]) == ("cooee", 0x34)
            text = "Hello [all] of €uropa"
            destinations = [61400000000 + number for number in range(80)]
            session.submit(Submission(template(segment(text).parts, 0, 1), destinations))
            await until(lambda: len(owner.answered) == 80 and len(owner.received) == 80)
            assert [(position, part, status) for position, part, status, _ in owner.answered] == [
                (position, 0, 0) for position in range(80)
            ]
            submitted = [await node.next("submit_sm") for _ in range(80)]
            assert [int(pdu["destination_addr"]) for pdu in submitted] == destinations
            assert {pdu["short_message"]["message"] for pdu in submitted} == {text}
            assert {(pdu["source_addr"], pdu["source_addr_ton"]) for pdu in submitted} == {("Cooee", 5)}
            for (*_, answered), pdu in zip(owner.answered, owner.received, strict=True):
                receipt = parse_receipt(pdu)
                assert receipt is not None
                assert receipt.delivered
                # The answer has the id in hex, the receipt in decimal.
                assert receipt.message_id != answered
                assert answered in id_candidates(receipt.message_id)
            acknowledged = [(await node.next("deliver_sm_resp"))["command_status"] for _ in range(80)]
            assert acknowledged == [0] * 80
            await session.stop(5)
            await node.next("unbind")
            assert owner.lost_segments == []
            assert owner.states[-2:] == [State.UNBINDING, State.CLOSED]

    asyncio.run(main())


@pytest.mark.parametrize(
    "text", ["Emoji 😀👍🏽 bleiben heil", "Lang und 😀 bunt. " * 12, "Only septets {here} " * 12]
)
def test_texts_reach_node_unharmed(node_smpp: NodeSmpp, text: str) -> None:
    async def main() -> None:
        owner = Owner()
        cut = segment(text)
        async with running_node(node_smpp, "smsc.js") as node:
            session = await session_to(node, owner)
            await until(lambda: session.state is State.BOUND)
            parts = cut.user_data(0x42)
            session.submit(Submission(template(parts, int(cut.encoding), 0), [61400000001]))
            await until(lambda: len(owner.answered) == cut.count)
            pdus = [await node.next("submit_sm") for _ in range(cut.count)]
            assert "".join(pdu["short_message"]["message"] for pdu in pdus) == text
            if cut.count > 1:
                heads = [bytes.fromhex(pdu["short_message"]["udh"][0]["hex"]) for pdu in pdus]
                assert heads == [bytes((0, 3, 0x42, cut.count, n)) for n in range(1, cut.count + 1)]
            await session.stop(5)
            assert owner.received == []

    asyncio.run(main())


def test_node_sends_a_reply_and_unbinds(node_smpp: NodeSmpp) -> None:
    async def main() -> None:
        owner = Owner()
        async with running_node(node_smpp, "smsc.js") as node:
            session = await session_to(node, owner, enquire_link_s=0.2, reconnect_min_s=0.05)
            await until(lambda: session.state is State.BOUND)
            await node.next("enquire_link")
            reply = {"source_addr": "61400000001", "destination_addr": "61411", "short_message": "Ja 😀"}
            assert (await node.ask("deliver_sm", **reply))["command_status"] == 0
            (pdu,) = owner.received
            assert isinstance(pdu, DeliverSm)
            assert parse_receipt(pdu) is None
            assert (pdu.data_coding, pdu.payload.decode("utf-16-be")) == (8, "Ja 😀")
            assert (await node.ask("unbind"))["command_status"] == 0
            await node.next("close")
            # A session that was sent away comes back by itself.
            await until(lambda: owner.states.count(State.BOUND) == 2)
            await session.stop(5)

    asyncio.run(main())


@pytest.mark.parametrize("text", ["Stop.", "Stopp {bitte} " * 20, "停止 😀" * 30])
@pytest.mark.parametrize("way", ["udh", "sar", "payload"])
def test_node_sends_long_replies_in_every_way(node_smpp: NodeSmpp, text: str, way: str) -> None:
    async def main() -> None:
        owner = Owner()
        cut = segment(text)
        async with running_node(node_smpp, "smsc.js") as node:
            session = await session_to(node, owner)
            await until(lambda: session.state is State.BOUND)
            fields: dict[str, Any] = {
                "source_addr": "61400000001", "source_addr_ton": 1, "destination_addr": "61411",
                "data_coding": int(cut.encoding),
            }  # fmt: skip
            if way == "payload":
                whole = {"hex": b"".join(cut.parts).hex()}
                await node.ask("deliver_sm", **fields, message_payload=whole)
            else:
                for number in range(cut.count, 0, -1):
                    message: dict[str, Any] = {"message": {"hex": cut.parts[number - 1].hex()}}
                    if way == "udh" and cut.count > 1:
                        message["udh"] = {"hex": bytes((5, 0, 3, 42, cut.count, number)).hex()}
                        fields["esm_class"] = ESM_UDHI
                    elif cut.count > 1:
                        fields |= {
                            "sar_msg_ref_num": 42, "sar_total_segments": cut.count, "sar_segment_seqnum": number,
                        }  # fmt: skip
                    await node.ask("deliver_sm", **fields, short_message=message)
            read = [parse_mo(pdu) for pdu in owner.received if isinstance(pdu, DeliverSm)]
            if way == "payload" or cut.count == 1:
                assert [message.part for message in read] == [None]
            else:
                parts = [message.part for message in read if message.part is not None]
                assert [part.no for part in parts] == list(range(cut.count, 0, -1))
                assert {(part.concat, part.total) for part in parts} == {(parts[0].concat, cut.count)}
            assert text_of((message.coding, message.body) for message in reversed(read)) == text
            await session.stop(5)
            assert session.unbound

    asyncio.run(main())


def test_node_refuses_a_password(node_smpp: NodeSmpp) -> None:
    async def main() -> None:
        owner = Owner()
        async with running_node(node_smpp, "smsc.js") as node:
            session = await session_to(node, owner, password="guess")
            await until(lambda: State.CLOSED in owner.states)
            assert State.BOUND not in owner.states
            assert any("ESME_RINVPASWD" in reason for reason in owner.reasons)
            await session.stop(1)

    asyncio.run(main())
