"""`cooee message show`: where did my message go?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cooee.cli.base import (
    json_flag,
    local_time,
    run,
    show_fields,
    show_json,
    show_table,
    station,
    takes_settings,
    utc_time,
)
from cooee.config import Settings
from cooee.model.campaign import BatchState, CampaignState
from cooee.model.codetable import CodeTable, source_of
from cooee.model.errors import NO_CAMPAIGN, ApiError, ConfigError
from cooee.model.message import FLAG_RESENT, FLAG_UNCERTAIN, MessageState

if TYPE_CHECKING:
    from cooee.model.account import Account
    from cooee.service.campaigns import CampaignView
    from cooee.store.inspect import AttemptView, MessageView, WaitingView

_STORIES = {
    MessageState.SENDING: "a retry is on its way to the carrier",
    MessageState.RETRYING: "refused for now; tried again later",
    MessageState.UNCERTAIN: "given to the carrier's connection; nobody knows whether it arrived",
    MessageState.HANDED_OVER: "the carrier has it; no final receipt yet",
    MessageState.WASHED: "not sent: the number had opted out; refunded",
    MessageState.CANCELLED: "not sent: the campaign was deleted; refunded",
    MessageState.FAILED: "refused, undeliverable, or given up; Code says why",
    MessageState.DELIVERED: "the receipts of every part say so",
}


@click.group()
def message() -> None:
    """Look one message up.

    \b
    Example:
      cooee message show 1000042 0400123456
    """


@message.command()
@click.argument("campaign_id", metavar="CAMPAIGN", type=int)
@click.argument("number")
@json_flag
@takes_settings("database", "codes_file")
def show(settings: Settings, campaign_id: int, number: str, as_json: bool) -> None:
    """Show what became of the message of CAMPAIGN to NUMBER: its state, attempts, parts and error.

    \b
    Example:
      cooee message show 1000042 +61400123456
    """

    async def work() -> tuple[CampaignView, int, MessageView | WaitingView | None]:
        from cooee.cli.lookup import number_of
        from cooee.service.campaigns import Campaigns
        from cooee.service.routing import Routes
        from cooee.store import accounts, inspect
        from cooee.store.database import Tx

        async with station(settings) as at:
            campaigns = Campaigns(at.database, at.ids, at.clock, Routes(at.database, at.clock))
            view = await campaigns.find(campaign_id) if 0 <= campaign_id < 2**53 else None
            if view is None:
                raise ApiError(NO_CAMPAIGN)

            async def owner(tx: Tx) -> Account | None:
                return await accounts.by_id(tx, view.account_id)

            account = await at.database.read(owner)
            destination = number_of(number, account.country if account else "AU")

            async def look(tx: Tx) -> MessageView | WaitingView | None:
                key = (view.account_id, campaign_id, destination)
                return await inspect.message(tx, *key) or await inspect.waiting(tx, *key)

            return view, destination, await at.database.read(look)

    from cooee.service.codes import load_codes

    codes = load_codes(settings.codes_file)
    view, destination, found = run(work())
    if found is None:
        raise ConfigError(f"campaign {campaign_id} has no recipient {destination}")
    from cooee.store.inspect import MessageView

    if not isinstance(found, MessageView):
        _show_waiting(view, destination, found, as_json)
    elif as_json:
        show_json(_message_json(campaign_id, destination, found, codes))
    else:
        _show_message(view, destination, found, codes)


def _show_waiting(view: CampaignView, destination: int, found: WaitingView, as_json: bool) -> None:
    state, story = _waiting_story(view, found)
    if as_json:
        show_json(
            {
                "campaign_id": view.id,
                "destination": str(destination),
                "state": state,
                "carrier": found.carrier,
                "not_before": utc_time(found.not_before),
            }
        )
        return
    show_fields(
        {
            "Campaign": view.id,
            "Number": destination,
            "State": f"{state}: {story}",
            "Carrier": found.carrier,
            **({"Not before": local_time(found.not_before, view.zone)} if found.not_before else {}),
        }
    )


def _waiting_story(view: CampaignView, found: WaitingView) -> tuple[str, str]:
    if found.marked:
        return "sending", "on its way to the carrier, no answer yet"
    if view.state is CampaignState.DELETED or found.state is BatchState.CANCELLED:
        return "cancelled", "not sent: the campaign was deleted; refunded"
    if found.carrier is None:
        return "waiting", "its campaign has not started, or there is no carrier for it"
    return "waiting", "its turn has not come yet"


def _parts(mask: int, parts: int) -> str:
    if parts == 1:
        return "yes" if mask & 1 else "no"
    which = [str(part + 1) for part in range(parts) if mask >> part & 1]
    return f"{len(which)} of {parts}" + (f" ({', '.join(which)})" if 0 < len(which) < parts else "")


def _show_message(view: CampaignView, destination: int, found: MessageView, codes: CodeTable) -> None:
    marks = [
        text
        for flag, text in ((FLAG_UNCERTAIN, "was uncertain"), (FLAG_RESENT, "was sent again"))
        if found.flags & flag
    ]
    show_fields(
        {
            "Campaign": view.id,
            "Number": destination,
            "State": f"{found.state.name.lower().replace('_', ' ')}: {_STORIES[found.state]}",
            **({"Noted": ", ".join(marks)} if marks else {}),
            "Code": codes.words(found.code, source_of(found.last.failed)),
            "Carrier said": found.detail,
            "Segments": found.last.parts,
            "Credits": found.credits,
            "First tried": local_time(found.first_at, view.zone),
            "Changed": local_time(found.last.at, view.zone),
            **({"Decided by": local_time(found.uncertain_until, view.zone)} if found.uncertain_until else {}),
        }
    )
    click.echo()
    show_table(
        ("Attempt", "Carrier", "Accepted", "Delivered", "Failed", "When"),
        [
            (
                each.no,
                each.carrier,
                _parts(each.accepted, each.parts),
                _parts(each.delivered, each.parts),
                _parts(each.failed & ~each.delivered, each.parts),
                local_time(each.at, view.zone),
            )
            for each in _made(found)
        ],
        "It was never handed to a carrier.",
    )


def _made(found: MessageView) -> list[AttemptView]:
    """The attempts that were made: the one that the wash stopped was not."""
    washed = found.state is MessageState.WASHED and not found.last.accepted
    return [*found.attempts] if washed else [*found.attempts, found.last]


def _message_json(campaign_id: int, destination: int, found: MessageView, codes: CodeTable) -> dict[str, object]:
    def attempt(each: AttemptView) -> dict[str, object]:
        return {
            "attempt": each.no,
            "carrier": each.carrier,
            "parts": each.parts,
            "accepted": [part + 1 for part in range(each.parts) if each.accepted >> part & 1],
            "delivered": [part + 1 for part in range(each.parts) if each.delivered >> part & 1],
            "failed": [part + 1 for part in range(each.parts) if each.failed >> part & 1],
            "at": utc_time(each.at),
        }

    name = codes.find(found.code, source_of(found.last.failed))
    return {
        "campaign_id": campaign_id,
        "destination": str(destination),
        "state": found.state.name.lower(),
        "was_uncertain": bool(found.flags & FLAG_UNCERTAIN),
        "was_resent": bool(found.flags & FLAG_RESENT),
        "code": found.code,
        "code_name": name and name.name,
        "code_permanent": name and name.permanent,
        "detail": found.detail,
        "credits": found.credits,
        "first_at": utc_time(found.first_at),
        "changed_at": utc_time(found.last.at),
        "uncertain_until": utc_time(found.uncertain_until),
        "attempts": [attempt(each) for each in _made(found)],
    }
