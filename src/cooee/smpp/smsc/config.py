"""What a simulated SMSC can be told: every field has a default, a range and a sentence that says what it does.

The descriptions are data (`fields_help`), so that a command line and a reference page are made from them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from cooee.model.errors import ConfigError
from cooee.smpp.codes import CommandStatus, status_name

Seconds = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]

STATES: dict[str, int] = {
    "ENROUTE": 1, "DELIVRD": 2, "EXPIRED": 3, "DELETED": 4, "UNDELIV": 5, "ACCEPTD": 6, "UNKNOWN": 7,
    "REJECTD": 8,
}  # fmt: skip
"""A receipt's stat text → message_state (SMPP 3.4 §5.2.28 and appendix B)."""


class SmscConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a simulated SMSC behaves. Shares are 0..1, durations seconds; 0 means never, none or no limit.

    `Smsc` checks the ranges (ConfigError); fields of `RUNTIME` may change while it runs.
    """

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 0
    control_port: Annotated[
        int | None, Meta(description="Port on 127.0.0.1 for line-JSON control; 0 takes a free one.")
    ] = None
    seed: Annotated[int, Meta(description="Seed of every random choice: same seed, same behaviour.")] = 1
    system_id: Annotated[str, Meta(max_length=15, description="The name that bind responses carry.")] = (
        "cooee-smsc"
    )
    credentials: Annotated[
        tuple[tuple[str, str], ...],
        Meta(description="(system_id, password) pairs that may bind; empty lets anybody in."),
    ] = ()
    max_binds: Annotated[Count, Meta(description="Binds a system_id may hold; more get ESME_RALYBND.")] = 0
    refuse_binds: Annotated[bool, Meta(description="Answer every bind with ESME_RBINDFAIL.")] = False
    bind_timeout: Annotated[Seconds, Meta(description="Close connections that have not bound by then.")] = 10.0
    enquire_link: Annotated[
        Seconds, Meta(description="Ask a silent bind after this long, close it after as long again.")
    ] = 0.0

    ids: Annotated[
        Literal["decimal", "hex", "random", "uuid"],
        Meta(description="Style of message ids; random is 64 bits that look it, in decimal."),
    ] = "decimal"
    first_id: Annotated[Positive, Meta(description="Where the counter of ids begins.")] = 1
    receipt_id: Annotated[
        Literal["same", "decimal", "hex"],
        Meta(description="Base of the id in receipts, when unlike that of the response."),
    ] = "same"
    receipt_id_width: Annotated[
        int, Meta(ge=0, le=64, description="Fill the id in receipts with leading zeros to this width.")
    ] = 0
    receipt_id_upper: Annotated[bool, Meta(description="Write the id in receipts in upper case.")] = False

    receipts: Annotated[Share, Meta(description="Share of the receipts asked for that are ever sent.")] = 1.0
    receipt_delay: Annotated[Seconds, Meta(description="From submit_sm to its receipt.")] = 1.0
    receipt_jitter: Annotated[
        Seconds, Meta(description="Up to this much more, evenly spread; puts receipts out of order.")
    ] = 0.0
    fail: Annotated[Share, Meta(description="Share of messages that are not delivered.")] = 0.0
    failures: Annotated[
        tuple[tuple[str, str], ...],
        Meta(description="(stat, err) pairs that a failed message gets, evenly chosen."),
    ] = (("UNDELIV", "001"),)
    receipt_form: Annotated[
        Literal["text", "tlv", "both"],
        Meta(description="Receipts as text, as receipted_message_id and message_state TLVs, or as both."),
    ] = "both"
    enroute: Annotated[
        Share,
        Meta(description="Share of messages with an ENROUTE notice half-way, beside those that ask for it."),
    ] = 0.0
    repeat: Annotated[Share, Meta(description="Share of receipts that are sent twice.")] = 0.0
    late: Annotated[Share, Meta(description="Share of receipts that come `late_by` later.")] = 0.0
    late_by: Annotated[Seconds, Meta(description="How much later those come.")] = 5.0
    early: Annotated[Share, Meta(description="Share of receipts sent ahead of their submit_sm_resp.")] = 0.0
    window: Annotated[Positive, Meta(description="Unacknowledged deliver_sm a bind may have.")] = 1000
    retry_delay: Annotated[
        Seconds, Meta(description="When a deliver_sm that was answered with an error is sent again.")
    ] = 1.0
    ack_timeout: Annotated[
        Seconds, Meta(description="When one that was never answered is sent again; 0 waits for the bind to go.")
    ] = 60.0
    echo_reference: Annotated[
        bool, Meta(description="Receipts carry the user_message_reference of their submit_sm.")
    ] = False
    backlog: Annotated[
        Positive, Meta(description="Receipts kept for ESMEs that do not take them; above, new ones are lost.")
    ] = 2_000_000

    tps: Annotated[Count, Meta(description="Segments a second and system_id; above them ESME_RTHROTTLED.")] = 0
    statuses: Annotated[
        tuple[tuple[str, Share], ...],
        Meta(description="(status name, share) pairs: which share of submits is refused, and how."),
    ] = ()
    answer_delay: Annotated[Seconds, Meta(description="How long each answer is held back.")] = 0.0
    drop_after: Annotated[
        Count, Meta(description="Cut a connection with every so many-th submit, before the answer.")
    ] = 0
    drop_mid_pdu: Annotated[
        bool, Meta(description="Such a cut comes in the middle of the last answer instead.")
    ] = False

    handsets: Annotated[Count, Meta(description="Handsets whose inboxes are kept, the latest ones.")] = 1000
    inbox: Annotated[Positive, Meta(description="Messages an inbox keeps, the last ones.")] = 20
    history: Annotated[Count, Meta(description="Messages that query_sm and cancel_sm still know.")] = 50_000
    journal: Annotated[
        str | None, Meta(description="File that gets a line for every submit_sm, without its text.")
    ] = None
    journal_receipts: Annotated[bool, Meta(description="Journal receipts and their answers as well.")] = False

    def __repr__(self) -> str:
        # Without the credentials: passwords must not reach a log.
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name != "credentials")
        return f"SmscConfig({', '.join(shown)})"


FIXED = frozenset({"host", "port", "control_port", "seed", "ids", "first_id", "journal", "history", "system_id"})
"""What holds from start to stop."""

RUNTIME = frozenset(SmscConfig.__struct_fields__) - FIXED
"""What `Smsc.set` may change while it runs."""


def fields_help() -> dict[str, str]:
    """Each field's description, in order."""
    described = {}
    for name, hint in get_type_hints(SmscConfig, include_extras=True).items():
        described[name] = " ".join(m.description for m in hint.__metadata__ if m.description)
    return described


def checked(config: SmscConfig, **changes: object) -> SmscConfig:
    """`config` with `changes`, every field of it checked; ConfigError says which one is wrong."""
    values: dict[str, Any] = {**msgspec.structs.asdict(config), **changes}
    try:
        whole = msgspec.convert(values, SmscConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"SMSC settings: {error}") from None
    for stat, _ in whole.failures:
        if stat not in STATES:
            raise ConfigError(f"SMSC settings: '{stat}' is no receipt state; use one of {', '.join(STATES)}")
    if whole.fail and not whole.failures:
        raise ConfigError("SMSC settings: `fail` needs `failures` to choose from")
    if sum(share for _, share in whole.statuses) > 1.000001:
        raise ConfigError("SMSC settings: the shares of `statuses` are more than 1 together")
    for name, _ in whole.statuses:
        status_number(name)
    if whole.ids == "uuid" and whole.receipt_id != "same":
        raise ConfigError("SMSC settings: ids of style uuid have no other base for `receipt_id`")
    return whole


def status_number(name: str) -> int:
    """ESME_RTHROTTLED → 0x58; also takes a number as text, such as 0x400. ConfigError for anything else."""
    try:
        number = int(CommandStatus[name]) if name in CommandStatus.__members__ else int(name, 0)
    except ValueError:
        raise ConfigError(f"SMSC settings: '{name}' is no command status") from None
    if not 0 < number < 1 << 32:
        raise ConfigError(f"SMSC settings: {status_name(number)} refuses nothing")
    return number
