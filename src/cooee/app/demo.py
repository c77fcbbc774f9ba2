"""What `make run` shows: Cooee at work, from an empty database to delivered messages, through its public door."""

from __future__ import annotations

import asyncio
import base64
import http.client
import secrets
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from cooee.app.node import Node
from cooee.config import Settings
from cooee.model.errors import CooeeError
from cooee.model.inbound import NumberKind
from cooee.service.numbers import Numbers
from cooee.smpp.smsc import SmscConfig

ACCOUNT = "demo"
OPERATOR = "operator"
PASSWORD = "cooee-demo"  # noqa: S105 (of a database that lives as long as the demo, on loopback)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
NUMBER = "61400190499"
"""What the demo sends from, so that its handsets can answer."""
CONTROL_PORT = 2776
"""Where `cooee handset` looks for phones; another one is taken where this is in use."""
CREDITS = 100_000
RECIPIENTS = 5_000
WATCH_S = 60
BAR = 30

SIMULATION = SmscConfig(
    receipt_delay=1.0,
    receipt_jitter=2.0,
    fail=0.02,
    failures=(("UNDELIV", "300"), ("EXPIRED", "301")),
    tps=0,
)


class Client:
    """A program that uses the API, as a customer's would."""

    def __init__(self, host: str, port: int, password: str) -> None:
        self._host, self._port = host, port
        token = base64.b64encode(f"{ACCOUNT}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}

    def _post(self, resource: str, body: object) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=30)
        try:
            connection.request("POST", f"/api/{resource}", msgspec.json.encode(body), self._headers)
            answer = connection.getresponse().read()
        finally:
            connection.close()
        return msgspec.json.decode(answer, type=dict[str, Any])

    async def post(self, resource: str, body: object) -> dict[str, Any]:
        """POSTs to a resource; its answer. CooeeError when it refuses."""
        answer = await asyncio.to_thread(self._post, resource, body)
        if answer.get("Code", 0) != 0:
            raise CooeeError(f"the API refused: {answer.get('Message')} ({answer['Code']})")
        return answer


def say(line: str = "") -> None:
    """A line for the person at the terminal."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def bar(done: int, total: int) -> str:
    """A progress bar of fixed width."""
    filled = BAR * done // total if total else BAR
    return "█" * filled + "░" * (BAR - filled)


async def watch(client: Client, campaign_id: int, total: int) -> None:
    """Shows receipts as they come in, until all are there."""
    live = sys.stdout.isatty()
    shown = -1
    for _ in range(WATCH_S * 4):
        report = await client.post("DRStatus", {"CampaignId": campaign_id})
        count = report["Count"]
        delivered = sum(row["Status"]["DeliveryReceiptStatusId"] == 1 for row in report["Destinations"])
        line = f"  {bar(count, total)}  {count:>6,} of {total:,}   delivered {delivered:,}   failed "
        line += f"{count - delivered:,}"
        if live:
            sys.stdout.write("\r" + line)
            sys.stdout.flush()
        elif count * 5 // total != shown:
            shown = count * 5 // total
            say(line)
        if count >= total:
            break
        await asyncio.sleep(0.25)
    if live:
        say()
    say("\n  The last receipts:")
    for row in sorted(report["Destinations"], key=lambda row: row["TimeStamp"])[-5:]:
        ok = row["Status"]["DeliveryReceiptStatusId"] == 1
        words = "delivered" if ok else f"failed, carrier code {row['Status']['Code']}"
        say(f"    {row['Destination']}  {row['TimeStamp']}  {words}")


def curl_lines(base: str, password: str, campaign_id: int) -> str:
    """Lines to paste into a shell."""
    start = f"curl -u {ACCOUNT}:{password} {base}/api"
    message = (
        '{"Message": "Hello, this is a test", "Originator": "61400190499", '
        '"Destinations": ["61400123456"], "Action": "create"}'
    )
    return "\n".join(
        (
            f"    {start}/campaign -d '{message}'",
            f'    {start}/DRStatus -d \'{{"CampaignId": {campaign_id}, "Destination": "61400000001"}}\'',
            f"    {start}/RetrieveUserSettings -X POST",
        )
    )


def control_port() -> int:
    """CONTROL_PORT where it is free, else 0: any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", CONTROL_PORT))
        except OSError:
            return 0
    return CONTROL_PORT


def reply_lines(base: str, password: str, port: int) -> str:
    """Lines to paste into a shell, by which a phone answers and the answer is fetched."""
    elsewhere = "" if port == CONTROL_PORT else f" --control-port {port}"
    return "\n".join(
        (
            "\nA phone answers, and the account fetches what it wrote:\n",
            f"    cooee handset reply --from 61400000001 --to {NUMBER} --text 'See you there'{elsewhere}",
            f"    curl -u {ACCOUNT}:{password} {base}/api/replies -X POST",
        )
    )


async def demo(settings: Settings) -> None:
    """Runs the demo and goes on serving until it is stopped. Its database lives as long as it does."""
    folder = Path(tempfile.mkdtemp(prefix="cooee-demo-"))
    quiet = msgspec.structs.replace(
        settings,
        database=f"sqlite:///{folder / 'cooee.db'}",
        key_file="",
        role="all",
        simulate=True,
    )
    node = Node(quiet, msgspec.structs.replace(SIMULATION, control_port=control_port()))
    faults: list[BaseException] = []

    def ended(task: asyncio.Task[None]) -> None:
        # What fails because the demo is being stopped is no fault.
        if not task.cancelled() and task.exception() is not None and not node.stopping:
            faults.append(task.exception() or RuntimeError("the demo ended"))
            node.ask_to_stop()

    try:
        await node.start()
        watching = asyncio.create_task(_show(node, quiet))
        watching.add_done_callback(ended)
        await node.run()
        watching.cancel()
        if faults:
            raise faults[0]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _show(node: Node, settings: Settings) -> None:
    # A password that everybody knows is good enough only where nobody else can come.
    password = PASSWORD if settings.host in LOOPBACK else secrets.token_urlsafe(12)
    await node.accounts.add(
        ACCOUNT,
        password,
        credits=CREDITS,
        zone="Australia/Sydney",
        country="AU",
        allow_international=True,
        may_add_credits=True,
    )
    await node.operators.add(OPERATOR, password)
    await Numbers(node.database, node.clock).add(NUMBER, NumberKind.DEDICATED, ACCOUNT)
    base = f"http://{settings.host}:{node.port}"
    client = Client(settings.host, node.port, password)
    say(f"\nCooee serves on {base}, with a simulated carrier: nothing reaches a real phone.")
    if settings.console:
        say(f"\n  Open      {base}/operator/handsets  operator {OPERATOR}, password {password}")
        say("            and see the messages arrive on phones, which answer.")
        say(f"  Console   {base}/  account {ACCOUNT}, password {password}\n")
    say(f"Account {ACCOUNT}, password {password}, {CREDITS:,} credits.\n")
    created = await client.post(
        "campaign",
        {
            "Action": "create",
            "Originator": NUMBER,
            "Message": "Cooee! Your appointment is tomorrow at 10:30. Reply STOP to opt out.",
            "Destinations": [str(61400000000 + n) for n in range(RECIPIENTS)],
        },
    )
    total = created["Messages"]
    say(f"Campaign {created['CampaignId']}: {total:,} messages accepted, {created['Credits']:,} credits charged.")
    await watch(client, created["CampaignId"], total)
    say("\nTry it yourself:\n")
    say(curl_lines(base, password, created["CampaignId"]))
    if node.smsc is not None:
        say(reply_lines(base, password, node.smsc.control_port))
    say("\nCtrl-C stops it, and its database goes with it.")
