"""What the operator's pages call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cooee.model.carrier import CarrierRow
    from cooee.model.live import EngineLive
    from cooee.service.attention import Attention
    from cooee.service.audit import Audit
    from cooee.service.billing import Billing
    from cooee.service.carriers import Carriers
    from cooee.service.keywords import Keywords
    from cooee.service.numbers import Numbers
    from cooee.service.rates import Rates
    from cooee.service.senders import Senders
    from cooee.web.console.phones import Phones


@dataclass(frozen=True, slots=True)
class Desk:
    """The operator's services. `check` binds to a carrier once and says how that went; `live` are the figures of
    this process's engine, None where it has none; `phones` are those of an SMSC that is simulated in it."""

    attention: Attention
    audit: Audit
    billing: Billing
    carriers: Carriers
    keywords: Keywords
    numbers: Numbers
    rates: Rates
    senders: Senders
    check: Callable[[CarrierRow], Awaitable[tuple[bool, str]]]
    live: Callable[[], EngineLive | None]
    phones: Phones | None
