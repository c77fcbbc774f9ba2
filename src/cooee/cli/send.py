"""`cooee send`: a campaign from the command line, checked exactly as the API checks one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cooee.cli.base import json_flag, run, show_fields, show_json, station, takes_settings
from cooee.config import Settings
from cooee.model.account import AccountState
from cooee.model.errors import SUSPENDED, ApiError

if TYPE_CHECKING:
    from typing import TextIO


@click.command()
@click.option("--account", required=True, help="The account that sends, and pays.")
@click.option("--from", "originator", required=True, help="The sender: a number, a short code or a name.")
@click.option("--to", "numbers", multiple=True, help="A number, or several with commas; may be repeated.")
@click.option(
    "--to-file", type=click.File(encoding="utf-8"), help="File with a number a line; - is standard input."
)
@click.option("--text", required=True, help="The message.")
@click.option("--at", "scheduled", metavar="YYYYMMDDHHMM", help="When, in the account's zone.  [default: at once]")
@click.option("--reference", help="A reference of your own.")
@json_flag
@takes_settings("database")
def send(
    settings: Settings,
    account: str,
    originator: str,
    numbers: Sequence[str],
    to_file: TextIO | None,
    text: str,
    scheduled: str | None,
    reference: str | None,
    as_json: bool,
) -> None:
    """Send a message as an account. It is checked, charged and queued as if it came through the API.

    \b
    Examples:
      cooee send --account acme --from Acme --to 0400123456 --text 'Your order is ready'
      cooee send --account acme --from Acme --to-file customers.txt --text 'Open until 9 tonight' --at 202612011700
    """
    wanted = list(numbers)
    if to_file is not None:
        try:
            wanted += [line.strip() for line in to_file if line.strip()]
        except UnicodeDecodeError:
            raise click.UsageError(f"{to_file.name} is no UTF-8 text") from None
    if not wanted:
        raise click.UsageError("give at least one number with --to or --to-file")
    fields = {
        "Originator": originator,
        "Destinations": wanted,
        "Message": text,
        "TimeScheduled": scheduled,
        "Reference": reference,
    }

    async def work() -> dict[str, object]:
        # The API's own handler, so that there is one set of rules.
        from cooee.cli.lookup import account_named
        from cooee.service.accounts import Accounts
        from cooee.service.audience import Audience
        from cooee.service.campaigns import Campaigns
        from cooee.service.optouts import Optouts
        from cooee.service.recipients import Recipients
        from cooee.service.replies import Replies
        from cooee.service.reports import Reports
        from cooee.service.routing import Routes
        from cooee.web import campaign
        from cooee.web.body import split_fields
        from cooee.web.request import Fields, Request, Services

        async with station(settings) as at:
            sender = await account_named(at.database, account)
            if sender.state is not AccountState.ACTIVE:
                raise ApiError(SUSPENDED)
            services = Services(
                accounts=Accounts(at.database, at.ids, at.clock),
                campaigns=Campaigns(at.database, at.ids, at.clock, Routes(at.database, at.clock)),
                reports=Reports(at.database),
                audience=Audience(at.database, at.ids, at.clock),
                replies=Replies(at.database, at.clock, alone=True),
                optouts=Optouts(at.database, at.clock),
                recipients=Recipients(),
                clock=at.clock,
            )
            try:
                body = json.dumps(fields).encode()
                request = Request(sender, Fields(split_fields(body, may_be_empty=False)), None, "", lambda: None)
                answer = await campaign.create(services, request)
            finally:
                services.recipients.close()
                services.accounts.close()
            if not isinstance(answer, dict):
                raise TypeError("create answers with fields")
            return answer

    answer = run(work())
    if as_json:
        show_json(answer)
        return
    show_fields(
        {
            "Campaign": answer["CampaignId"],
            "Messages": answer["Messages"],
            "Segments each": answer["Segments"],
            "Credits": answer["Credits"],
        }
    )
