"""Builds the web console of a node, and what only its pages need."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

from cooee.app.handsets import SimulatedPhones
from cooee.app.keeping import keep_rules
from cooee.app.signup import signup_rules
from cooee.carriers.probe import try_carrier
from cooee.config import Settings
from cooee.model.clock import MINUTE, SECOND, Clock
from cooee.model.codetable import CodeTable
from cooee.model.live import EngineLive
from cooee.service.accounts import Accounts
from cooee.service.attention import Attention
from cooee.service.audience import Audience
from cooee.service.audit import Audit
from cooee.service.billing import Billing
from cooee.service.campaigns import Campaigns
from cooee.service.carriers import Carriers
from cooee.service.conversations import Conversations
from cooee.service.drafts import Drafts
from cooee.service.history import History
from cooee.service.imports import Imports
from cooee.service.keywords import Keywords
from cooee.service.numbers import Numbers
from cooee.service.operators import Operators
from cooee.service.optouts import Optouts
from cooee.service.rates import Rates
from cooee.service.recipients import Recipients
from cooee.service.replies import Replies
from cooee.service.senders import Senders
from cooee.service.sessions import Sessions
from cooee.service.signups import Signups
from cooee.service.stories import Stories
from cooee.service.trails import Trails
from cooee.service.webhooks import ReplyWebhooks
from cooee.smpp.smsc import Smsc
from cooee.store.database import Database
from cooee.store.ids import Ids
from cooee.store.secrets import Secrets
from cooee.web.console import Console, ConsoleServices, ConsoleSettings
from cooee.web.console.desk import Desk


def make(
    settings: Settings,
    database: Database,
    ids: Ids,
    clock: Clock,
    *,
    accounts: Accounts,
    operators: Operators,
    campaigns: Campaigns,
    audience: Audience,
    carriers: Carriers,
    live: Callable[[], EngineLive | None] = lambda: None,
    smsc: Smsc | None = None,
    codes: CodeTable,
    replies: Replies,
    optouts: Optouts,
    secrets: Secrets,
    undo: AsyncExitStack,
) -> tuple[Console, ConsoleServices]:
    """The console and what its pages call; `undo` ends what it started.

    `live` are the figures of this process's engine, `smsc` is what it simulates, where it does.
    """
    recipients = Recipients()
    undo.callback(recipients.close)
    history = History(database, clock)
    undo.push_async_callback(history.close)
    imports = Imports(database, ids, clock, audience, recipients)
    undo.push_async_callback(imports.close)
    desk = Desk(
        attention=Attention(database, clock),
        audit=Audit(database),
        billing=Billing(database, clock),
        carriers=carriers,
        keywords=Keywords(database, clock),
        numbers=Numbers(database, clock),
        rates=Rates(database, clock, accounts.changed),
        senders=Senders(database, clock, accounts.changed),
        check=lambda row: try_carrier(row, clock),
        live=live,
        phones=SimulatedPhones(smsc, clock) if smsc is not None else None,
    )
    services = ConsoleServices(
        accounts=accounts,
        audience=audience,
        campaigns=campaigns,
        desk=desk,
        codes=codes,
        conversations=Conversations(database, clock),
        drafts=Drafts(database, ids, clock, campaigns),
        history=history,
        imports=imports,
        operators=operators,
        optouts=optouts,
        recipients=recipients,
        replies=replies,
        signups=Signups(database, ids, clock, accounts, signup_rules(settings)),
        sessions=Sessions(
            database,
            clock,
            idle_s=settings.session_idle_m * MINUTE / SECOND,
            life_s=settings.session_h * 3600,
        ),
        stories=Stories(database, codes),
        trails=Trails(database, clock, keep_rules(settings).receipts_ms),
        webhooks=ReplyWebhooks(database, clock, secrets, allow_private=settings.webhook_allow_private),
        clock=clock,
    )
    made = Console(
        services,
        ConsoleSettings(
            https=settings.console_https,
            simulated=settings.simulate,
            signup=settings.signup,
            upload_limit=settings.body_limit_mb * 1024 * 1024,
        ),
    )
    return made, services
