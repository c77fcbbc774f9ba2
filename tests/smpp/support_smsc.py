"""A plain ESME for tests: PDUs in and out of a socket, every wait bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from cooee.model.clock import Clock, SystemClock
from cooee.smpp.pdu import (
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DeliverSm,
    DeliverSmResp,
    Framer,
    Pdu,
    SubmitSm,
    SubmitSmResp,
    decode,
    encode,
)
from cooee.smpp.smsc import Smsc, SmscConfig

WAIT = 5.0
Kind = TypeVar("Kind", bound=Pdu)


class Peer:
    """One connection to an SMSC."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.arrived: list[Pdu] = []
        self._framer = Framer()
        self._sequence = 0

    @property
    def sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def send(self, *pdus: Pdu) -> None:
        self.writer.write(b"".join(map(encode, pdus)))

    def send_raw(self, data: bytes) -> None:
        self.writer.write(data)

    async def _read(self) -> bool:
        async with asyncio.timeout(WAIT):
            try:
                data = await self.reader.read(65536)
            except ConnectionError:
                return False
        self.take(data)
        return bool(data)

    def take(self, data: bytes) -> None:
        """Puts the PDUs in what was read into `arrived`."""
        if data:
            self.arrived += map(decode, self._framer.feed(data))

    async def next(self, kind: type[Kind]) -> Kind:
        """The next PDU of that kind; others stay in `arrived`."""
        while True:
            for pdu in self.arrived:
                if isinstance(pdu, kind):
                    self.arrived.remove(pdu)
                    return pdu
            if not await self._read():
                raise ConnectionError(f"closed before {kind.__name__} came")

    async def closed(self) -> None:
        """Returns when the SMSC has closed; what came before is in `arrived`."""
        while await self._read():
            pass

    async def quiet(self, seconds: float = 0.06) -> None:
        """Asserts that nothing comes for a while."""
        await asyncio.sleep(seconds)
        try:
            async with asyncio.timeout(0.001):
                data = await self.reader.read(65536)
        except TimeoutError:
            data = b""
        assert data == b""
        assert self.arrived == []

    async def bind(
        self,
        kind: type[BindTransceiver] | type[BindTransmitter] | type[BindReceiver] = BindTransceiver,
        system_id: str = "tester",
        password: str = "",
    ) -> Pdu:
        self.send(kind(self.sequence, system_id=system_id, password=password))
        return await self.next(Pdu)

    def message(
        self, to: str = "61400000001", text: bytes = b"hello", source: str = "61411", **more: object
    ) -> SubmitSm:
        fields: dict[str, object] = {
            "source_addr_ton": 1, "source_addr_npi": 1, "dest_addr_ton": 1, "dest_addr_npi": 1,
            "registered_delivery": 1,
        }  # fmt: skip
        fields.update(more)
        return SubmitSm(
            self.sequence,
            source_addr=source,
            destination_addr=to,
            short_message=text,
            **fields,  # type: ignore[arg-type]
        )

    async def submit(self, *arguments: object, **more: object) -> SubmitSmResp:
        self.send(self.message(*arguments, **more))  # type: ignore[arg-type]
        return await self.next(SubmitSmResp)

    async def delivered(self, status: int = 0) -> DeliverSm:
        """The next deliver_sm, answered."""
        pdu = await self.next(DeliverSm)
        self.send(DeliverSmResp(pdu.sequence, status))
        return pdu

    def close(self) -> None:
        self.writer.transport.abort()


async def connect(smsc: Smsc) -> Peer:
    return Peer(*await asyncio.open_connection("127.0.0.1", smsc.port))


async def bound(smsc: Smsc, system_id: str = "tester") -> Peer:
    """A transceiver."""
    peer = await connect(smsc)
    await peer.bind(system_id=system_id)
    return peer


@asynccontextmanager
async def running(clock: Clock | None = None, **settings: object) -> AsyncIterator[Smsc]:
    """An SMSC with quick receipts, unless told otherwise."""
    settings.setdefault("receipt_delay", 0.01)
    smsc = Smsc(SmscConfig(**settings), clock or SystemClock())  # type: ignore[arg-type]
    await smsc.start()
    try:
        yield smsc
    finally:
        await smsc.stop()


async def until(true: object) -> None:
    """Waits until calling `true` gives something true."""
    assert callable(true)
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never became true")
