"""`cooee handset …`: the phones behind the simulated SMSC."""

from __future__ import annotations

from typing import Any

import click

from cooee.cli.base import json_flag, show_json, show_table, takes_settings
from cooee.config import Settings
from cooee.model.errors import CooeeError

PORT = 2776
_port = click.option(
    "--control-port",
    type=click.IntRange(1, 65535),
    help="Control port of the simulated SMSC, on this machine.  "
    f"[default: the setting simulate_control_port, or {PORT}]",
)


@click.group()
def handset() -> None:
    """Play the phones behind the simulated SMSC: that of the demo, of serve --simulate, or of cooee smsc.

    \b
    Example:
      cooee handset inbox 61400000001
    """


@handset.command()
@click.option("--from", "sender", required=True, metavar="MSISDN", help="The handset that writes.")
@click.option("--to", required=True, metavar="NUMBER", help="The number that it writes to.")
@click.option("--text", required=True, help="What it writes; a long text goes in parts.")
@click.option(
    "--system-id", help="Which of the SMSC's clients gets it.  [default: the one that sends from NUMBER]"
)
@_port
@takes_settings()
def reply(
    settings: Settings, sender: str, to: str, text: str, system_id: str | None, control_port: int | None
) -> None:
    """Have a handset write a message to a number.

    \b
    Example:
      cooee handset reply --from 61400000001 --to 61400190499 --text STOP
    """
    ask = {"do": "reply", "from": sender, "to": to, "text": text}
    if system_id is not None:
        ask["system_id"] = system_id
    parts = _asked(settings, control_port, ask)["parts"]
    click.echo(f"sent in {parts} parts" if parts > 1 else "sent")


@handset.command()
@click.argument("number")
@json_flag
@_port
@takes_settings()
def inbox(settings: Settings, number: str, as_json: bool, control_port: int | None) -> None:
    """Show what the handset NUMBER received.

    \b
    Example:
      cooee handset inbox 61400000001
    """
    messages = _asked(settings, control_port, {"do": "inbox", "number": number})["messages"]
    if as_json:
        show_json(messages)
        return
    show_table(
        ("From", "Text", "Parts"),
        [(each["sender"], each["text"], each["parts"]) for each in messages],
        f"Handset {number} has received nothing that is still kept.",
    )


def _asked(settings: Settings, given: int | None, ask: dict[str, Any]) -> dict[str, Any]:
    from cooee.smpp.smsc.control import control

    port = given or settings.simulate_control_port or PORT
    try:
        answer = control("127.0.0.1", port, ask)
    except (OSError, ValueError) as error:
        raise CooeeError(
            f"no simulated SMSC answers on control port {port} ({error}): "
            "start cooee demo, cooee serve --simulate or cooee smsc with a control port, or name it"
        ) from error
    if not answer.get("ok"):
        raise CooeeError(str(answer.get("error", "the SMSC refused")))
    return answer
