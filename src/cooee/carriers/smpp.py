"""A carrier over SMPP 3.4: templates, statuses, binds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from cooee.carriers.base import LinkEvents, Order, Outgoing, SendError
from cooee.model.carrier import CarrierRow
from cooee.model.clock import Clock
from cooee.model.originator import Originator, parse_originator
from cooee.model.segments import Encoding, segment
from cooee.smpp.codes import CommandStatus as Status
from cooee.smpp.mo import parse_mo
from cooee.smpp.packets import DataSm, DeliverSm
from cooee.smpp.receipt import PlainReceipt, Receipt, parse_receipt
from cooee.smpp.session import Answer, BindConfig, Inbound, Segment, Session, State, Submission
from cooee.smpp.template import SubmitTemplate

_ERRORS: dict[int, SendError] = {
    Status.ESME_RTHROTTLED: SendError.THROTTLED,
    Status.ESME_RMSGQFUL: SendError.CONGESTED,
    Status.ESME_RSYSERR: SendError.TEMPORARY,
    Status.ESME_RINVBNDSTS: SendError.TEMPORARY,
    Status.ESME_RSUBMITFAIL: SendError.TEMPORARY,
    Status.ESME_RX_T_APPN: SendError.TEMPORARY,
    Status.ESME_RUNKNOWNERR: SendError.TEMPORARY,
    Status.ESME_RINVDSTADR: SendError.BAD_DESTINATION,
    Status.ESME_RINVDSTTON: SendError.BAD_DESTINATION,
    Status.ESME_RINVDSTNPI: SendError.BAD_DESTINATION,
    Status.ESME_RINVSRCADR: SendError.BAD_ORIGINATOR,
    Status.ESME_RINVSRCTON: SendError.BAD_ORIGINATOR,
    Status.ESME_RINVSRCNPI: SendError.BAD_ORIGINATOR,
    Status.ESME_RINVMSGLEN: SendError.BAD_CONTENT,
    Status.ESME_RINVESMCLASS: SendError.BAD_CONTENT,
}
"""What the statuses of SMPP 3.4 §5.1.3 mean for a message; the others are refusals of the carrier's own."""

TRY_AGAIN = int(Status.ESME_RX_T_APPN)
"""deliver_sm_resp status when a receipt or message could not be stored: the SMSC keeps it and sends it again."""


def validity_period(seconds: int) -> str:
    """The relative form of SMPP 3.4 §7.1.1, `YYMMDDhhmmsstnnR`; "" for less than a minute."""
    if seconds < 60:
        return ""
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    return f"0000{min(days, 30):02d}{hours:02d}{minutes:02d}{left:02d}000R"


class SmppCarrier:
    """One carrier row of kind `smpp`."""

    def __init__(self, row: CarrierRow, clock: Clock) -> None:
        self.id = row.id
        self.name = row.name
        self.settings = row.smpp
        self._secret = row.secret or ""
        self._clock = clock
        self.prepare = lru_cache(maxsize=512)(self._prepare)

    def _prepare(self, message: Outgoing) -> tuple[SubmitTemplate, int]:
        text = segment(message.body)
        wide = False
        if self.settings.wide_references and text.count > 1:
            # What was charged is what is sent: a longer header may not make it one segment more.
            longer = segment(message.body, wide=True)
            wide = longer.count == text.count
            text = longer if wide else text
        sender = parse_originator(message.originator) or Originator(message.originator, "alpha")
        validity = ""
        if self.settings.validity and message.validity_s is not None:
            validity = validity_period(message.validity_s)
        template = SubmitTemplate(
            text.user_data(message.concat_ref, wide),
            source=sender.text,
            source_ton=sender.ton,
            source_npi=sender.npi,
            data_coding=0 if text.encoding is Encoding.GSM7 else 8,
            udh=text.count > 1,
            validity_period=validity,
        )
        return template, text.count

    def judge(self, status: int) -> SendError:
        """See `base.Carrier`."""
        return _ERRORS.get(status, SendError.REJECTED)

    def link(self, no: int, events: LinkEvents) -> SmppLink:
        """See `base.Carrier`."""
        given = self.settings
        config = BindConfig(
            host=given.host,
            port=given.port,
            system_id=given.system_id,
            password=self._secret,
            system_type=given.system_type,
            bind_type=given.bind_type,
            window=given.window,
            enquire_link_s=given.enquire_link_s,
            response_timeout_s=given.response_timeout_s,
            tls=given.tls,
        )
        return SmppLink(config, events, self._clock, f"{self.name}/{no}")


class SmppLink:
    """One bind, as the engine sees it: a `Session` in the engine's terms."""

    def __init__(self, config: BindConfig, events: LinkEvents, clock: Clock, name: str) -> None:
        self.name = name
        self.size = config.window
        self._events = events
        self._sends = config.bind_type != "receiver"
        self._session = Session(config, self, clock, name)

    @property
    def up(self) -> bool:
        """See `base.Link`."""
        return self._session.state is State.BOUND

    @property
    def reason(self) -> str:
        """See `base.Link`."""
        return self._session.reason

    @property
    def connection(self) -> int:
        """See `base.Link`."""
        return self._session.connection

    @property
    def heard(self) -> float:
        """See `base.Link`."""
        return self._session.heard

    @property
    def unbound(self) -> bool:
        """See `base.Link`."""
        return self._session.unbound

    @property
    def free(self) -> int:
        """See `base.Link`."""
        return self._session.free if self._sends else 0

    def start(self) -> None:
        """See `base.Link`."""
        self._session.start()

    def send(self, orders: Sequence[Order]) -> None:
        """See `base.Link`."""
        submissions = []
        for order in orders:
            if not isinstance(order.prepared, SubmitTemplate):
                raise TypeError("prepared by another carrier")
            submissions.append(Submission(order.prepared, order.destinations, order.wanted, order.token))
        self._session.submit(*submissions)

    async def close(self, deadline_s: float) -> None:
        """See `base.Link`."""
        await self._session.stop(deadline_s)

    # --- from the session ----------------------------------------------------------------------------------

    def answers(self, session: Session, submissions: list[Submission]) -> None:
        """The session's answers, passed on."""
        self._events.answers(self, submissions)

    def lost(
        self,
        session: Session,
        submission: Submission,
        unsure: list[Segment],
        unsent: list[Segment],
        reason: str,
    ) -> None:
        """The session's losses, passed on."""
        self._events.lost(self, submission, unsure, unsent, reason)

    def late(self, session: Session, submission: Submission, answers: list[Answer]) -> None:
        """The session's late answers, passed on."""
        self._events.late(self, submission, answers)

    def inbound(self, session: Session, pdus: list[Inbound]) -> None:
        """Receipts and messages are told apart; each group is acknowledged by itself, after its commit."""
        receipts: list[Receipt] = []
        receipt_pdus: list[Inbound] = []
        others: list[DeliverSm | DataSm] = []
        for pdu in pdus:
            receipt = parse_receipt(pdu)
            if receipt is None and not isinstance(pdu, PlainReceipt):
                others.append(pdu)
            elif receipt is not None:
                receipts.append(receipt)
                receipt_pdus.append(pdu)
        if receipts:
            self._events.receipts(
                self, receipts, lambda ok: session.acknowledge(receipt_pdus, 0 if ok else TRY_AGAIN)
            )
        if others:
            self._events.messages(
                self,
                [parse_mo(pdu) for pdu in others],
                lambda ok: session.acknowledge(others, 0 if ok else TRY_AGAIN),
            )

    def state(self, session: Session, state: State, reason: str) -> None:
        """The session's state, as up or down."""
        self._events.state(self, state is State.BOUND, reason)
