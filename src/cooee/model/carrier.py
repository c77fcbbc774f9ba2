"""A carrier as the rooms above the store see it: who it is, how it is reached, what it may be given."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from cooee.model.errors import ConfigError
from cooee.model.options import options, unknown


class CarrierState(enum.IntEnum):
    """Numbers are stored."""

    ACTIVE = 1
    PAUSED = 2
    """Keeps its binds, so that receipts and replies still come; is given nothing to send."""
    REMOVED = 3
    """Its row stays, for messages point to it; its name is free again and its secret is gone."""


class SmppSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a carrier of kind `smpp` can be told. Durations are in seconds, `max_age_h` in hours."""

    host: Annotated[str, Meta(min_length=1, description="Name or address of the SMSC.")]
    port: Annotated[int, Meta(ge=1, le=65535, description="TCP port of the SMSC.")] = 2775
    system_id: Annotated[
        str,
        Meta(min_length=1, max_length=15, pattern=r"^[\x20-\x7e]*$", description="The login (SMPP 3.4 §5.2.1)."),
    ]
    system_type: Annotated[
        str,
        Meta(max_length=12, pattern=r"^[\x20-\x7e]*$", description="system_type of the bind (SMPP 3.4 §5.2.3)."),
    ] = ""
    bind_type: Annotated[
        Literal["transceiver", "transmitter", "receiver"],
        Meta(description="What a bind may do. Receipts come over transceivers and receivers only."),
    ] = "transceiver"
    tls: Annotated[bool, Meta(description="Speak TLS, with the system's trusted certificates.")] = False
    tps: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Segments a second over all binds together; 0: no limit.")
    ] = 0
    window: Annotated[
        int, Meta(ge=1, le=10_000, description="submit_sm a bind may have unanswered, in segments.")
    ] = 10
    binds: Annotated[int, Meta(ge=1, le=100, description="How many binds to hold, over all engines.")] = 1
    enquire_link_s: Annotated[
        float, Meta(ge=1, le=3600, description="Ask with enquire_link after so long a silence.")
    ] = 30.0
    response_timeout_s: Annotated[
        float,
        Meta(ge=1, le=3600, description="An answer that took longer counts as lost; the message is uncertain."),
    ] = 60.0
    on_uncertain: Annotated[
        Literal["resend", "hold"],
        Meta(description="A message that may or may not have arrived: send it again, or hold it for a person."),
    ] = "resend"
    uncertain_wait_s: Annotated[
        Annotated[float, Meta(ge=0, le=86400)] | None,
        Meta(description="How long a late answer or receipt may settle it first; empty: as the node."),
    ] = None
    max_age_h: Annotated[
        Annotated[float, Meta(ge=0.01, le=720)] | None,
        Meta(description="How long after its first attempt a message is retried, in hours; empty: as the node."),
    ] = None
    wide_references: Annotated[
        bool, Meta(description="Number long messages with 16-bit concatenation references instead of 8-bit ones.")
    ] = False
    validity: Annotated[
        bool, Meta(description="Send validity_period, so that the SMSC gives up when Cooee would.")
    ] = False
    codes: Annotated[
        dict[str, int], Meta(description="What DRStatus shows for the carrier's own error codes: theirs to ours.")
    ] = {}


KINDS: dict[str, type[SmppSettings]] = {"smpp": SmppSettings}
"""Every kind of carrier, and the settings that it takes."""

PASSWORD_MAX = 64
"""SMPP 3.4 allows 8 characters; many SMSCs take more."""


@dataclass(frozen=True, slots=True)
class CarrierRow:
    """A carrier as it is stored, its secret decrypted. `version` rises with every change; `tps` 0: no limit."""

    id: int
    name: str
    kind: str
    state: CarrierState
    settings: dict[str, Any]
    secret: str | None
    tps: int
    binds: int
    version: int

    @property
    def smpp(self) -> SmppSettings:
        """The settings of kind `smpp`, typed."""
        return smpp_settings(self.settings)


def smpp_settings(settings: Mapping[str, Any]) -> SmppSettings:
    """Stored settings, typed, with defaults for what was never set; ConfigError where one cannot be."""
    try:
        return msgspec.convert(dict(settings), SmppSettings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"carrier settings: {error}") from None


def read_settings(kind: str, given: Mapping[str, str], stored: Mapping[str, Any]) -> dict[str, Any]:
    """`stored` with the texts of `given` read into it; an empty text takes a setting back to its default.

    ConfigError for an unknown kind or name, a value of the wrong form, or a setting that must be there.
    """
    where = f"a carrier of kind {kind}"
    known = options(kind_of(kind))
    merged = dict(stored)
    for name, text in given.items():
        if name not in known:
            raise unknown(name, known, "setting", where)
        if text.strip() == "":
            merged.pop(name, None)
        else:
            merged[name] = known[name].read_text(text, where)
    missing = [name for name, option in known.items() if option.default is None and name not in merged]
    if missing:
        raise ConfigError(f"{where} needs {' and '.join(missing)}: give --set {missing[0]}=…")
    settings = smpp_settings(merged)
    for code in settings.codes.values():
        if not 0 < code < 1_000_000_000:
            raise ConfigError(f"codes in {where}: {code} is no code; use 1 to 999999999")
    return merged


def kind_of(kind: str) -> type[SmppSettings]:
    """The settings of that kind of carrier; ConfigError where there is none."""
    if kind not in KINDS:
        raise ConfigError(f"'{kind}' is no kind of carrier; use {' or '.join(KINDS)}")
    return KINDS[kind]
