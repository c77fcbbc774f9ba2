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
    from cooee.service.trails import RawReceipt, Receipts, Trails
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


SEARCHES = 50
"""How often a search for receipts is continued at most, and RECEIPTS how many are enough."""
RECEIPTS = 200


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
    """Show what became of the message of CAMPAIGN to NUMBER: its state, attempts, parts and error, and its
    receipts as the carrier wrote them.

    \b
    Example:
      cooee message show 1000042 +61400123456
    """

    from cooee.store.inspect import MessageView

    async def work() -> tuple[CampaignView, int, MessageView | WaitingView | None, Receipts | None]:
        from cooee.app.keeping import keep_rules
        from cooee.cli.lookup import number_of
        from cooee.service.campaigns import Campaigns
        from cooee.service.routing import Routes
        from cooee.service.trails import Trails
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

            key = (view.account_id, campaign_id, destination)

            async def look(tx: Tx) -> MessageView | WaitingView | None:
                return await inspect.message(tx, *key) or await inspect.waiting(tx, *key)

            found = await at.database.read(look)
            receipts = None
            keep = keep_rules(settings)
            if isinstance(found, MessageView) and keep.receipts_ms:
                trails = Trails(at.database, at.clock, keep.receipts_ms)
                receipts = await _receipts(trails, key, found)
            return view, destination, found, receipts

    from cooee.service.codes import load_codes

    codes = load_codes(settings.codes_file)
    view, destination, found, receipts = run(work())
    if found is None:
        raise ConfigError(f"campaign {campaign_id} has no recipient {destination}")
    if not isinstance(found, MessageView):
        _show_waiting(view, destination, found, as_json)
    elif as_json:
        show_json(_message_json(campaign_id, destination, found, codes) | _receipts_json(receipts))
    else:
        _show_message(view, destination, found, codes)
        _show_receipts(view, receipts)


async def _receipts(trails: Trails, key: tuple[int, int, int], found: MessageView) -> Receipts:
    """All that a search finds in SEARCHES goes; `onward` is the last one's."""
    from dataclasses import replace

    every: list[RawReceipt] = []
    hidden = 0
    onward: int | None = None
    for _ in range(SEARCHES):
        page = await trails.receipts(key, found.first_at, found.last.at, onward)
        every += page.found
        hidden += page.hidden
        onward = page.onward
        if onward is None or len(every) >= RECEIPTS:
            break
    every.sort(key=lambda receipt: (receipt.at, receipt.part))
    return replace(page, found=every, hidden=hidden)


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


def _show_receipts(view: CampaignView, receipts: Receipts | None) -> None:
    """Each receipt: when, what it says, then its text and TLVs as they came."""
    click.echo()
    if receipts is None:
        click.echo("Receipts are not kept as they come: keep_receipts_days is 0.")
        return
    for each in receipts.found:
        shown = each.shown
        says = shown.says.value if shown.says else "not a whole PDU"
        of = f"attempt {each.attempt}, part {each.part + 1}"
        if each.carrier:
            of = f"{each.carrier}, {of}"
        click.echo(f"Receipt {local_time(each.at, view.zone)}, {of}: {says}")
        if shown.says:
            addresses = f"from {shown.source} to {shown.destination}"
            click.echo(f"  {shown.command} {addresses}, esm_class {shown.esm_class}")
        if shown.text:
            click.echo(f"  {shown.text}")
        for name, value in shown.tlvs:
            click.echo(f"  {name}: {value}")
        if not shown.says:
            click.echo(f"  {shown.octets}")
    if receipts.hidden:
        click.echo(f"And {receipts.hidden} more receipts that are not shown.")
    if not receipts.found:
        click.echo("No receipt was found.")
    if receipts.onward:
        until = local_time(receipts.onward, view.zone)
        click.echo(f"Looked through receipts up to {until}; others may have come later.")
    if receipts.forgotten:
        click.echo("It is older than receipts are kept as they came (keep_receipts_days): some may be gone.")


def _receipts_json(receipts: Receipts | None) -> dict[str, object]:
    """`receipts` is null where none are kept; `receipts_complete`: all were looked through, and none is gone."""
    if receipts is None:
        return {"receipts": None, "receipts_complete": False}
    return {
        "receipts": [
            {
                "at": utc_time(each.at),
                "carrier": each.carrier,
                "attempt": each.attempt,
                "part": each.part + 1,
                "state": each.shown.says and each.shown.says.value,
                "command": each.shown.command,
                "message_id": each.shown.message_id,
                "source_addr": each.shown.source,
                "destination_addr": each.shown.destination,
                "esm_class": each.shown.esm_class,
                "data_coding": each.shown.data_coding,
                "text": each.shown.text,
                "tlvs": [{"name": name, "value": value} for name, value in each.shown.tlvs],
                "octets": each.shown.octets,
            }
            for each in receipts.found
        ],
        "receipts_complete": not (receipts.hidden or receipts.onward or receipts.forgotten),
    }


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
