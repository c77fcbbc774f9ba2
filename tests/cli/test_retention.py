"""`cooee retention run`: what would go, what went, and what a person is told of a removed campaign."""

from __future__ import annotations

import asyncio

from cooee.model.campaign import CampaignState
from cooee.model.clock import DAY, SystemClock
from cooee.store.database import Tx
from cooee.store.open import open_database
from tests.cli.support_cli import PASSWORD, Shell
from tests.store.support_store import raw_run


def aged(shell: Shell, campaign_id: int, days: int) -> None:
    """A campaign ended that many days ago."""

    async def main() -> None:
        database = await open_database(shell.database, SystemClock(), pool=2)
        at = SystemClock().now_ms() - days * DAY

        async def work(tx: Tx) -> None:
            state = int(CampaignState.FINISHED)
            await raw_run(
                tx,
                f"UPDATE campaign SET state = {state}, created_at = {at}, finished_at = {at} "
                f"WHERE id = {campaign_id}",
            )
            await raw_run(tx, f"UPDATE batch SET state = 5 WHERE campaign_id = {campaign_id}")

        await database.write(work)
        await database.close()

    asyncio.run(main())


def went(shell: Shell, *arguments: str) -> dict[str, int]:
    return {row["table"]: row["rows"] for row in shell.json("retention", "run", *arguments) if row["rows"]}


def test_a_dry_run_says_what_a_run_removes(shell: Shell) -> None:
    shell.account()
    sent = shell("send", "--account", "acme", "--to", "61400123456", "--from", "61411", "--text", "hello")
    assert sent
    ((campaign,),) = [(row["id"],) for row in shell.json("campaign", "list")]
    assert went(shell, "--dry-run") == {}
    aged(shell, campaign, 100)
    assert went(shell, "--dry-run") == {}
    assert went(shell, "--dry-run", "--keep-messages-days", "90") == {"campaign": 1, "message": 1}
    assert shell.json("campaign", "show", str(campaign))["id"] == campaign
    said = shell("retention", "run", "--keep-messages-days", "90")
    lines = {line.split()[0]: line.split()[1:] for line in said.splitlines()}
    assert lines["campaign"] == ["90", "days", "1"]
    assert lines["reply"] == ["400", "days", "0"]
    assert lines["audit"] == ["1830", "days", "0"]
    assert lines["segment_ref"] == ["8", "days", "0"]
    assert lines["idempotency"] == ["24", "hours", "0"]
    assert lines["inbound_seen"] == ["1", "hour", "0"]
    assert "Campaign not found" in shell("campaign", "show", str(campaign), code=1)
    assert shell.json("campaign", "list") == []
    assert next(r for r in shell.json("check", code=0) if r["check"] == "ledger")["result"] == "OK"
    assert went(shell) == {}


def test_keeping_for_ever_and_for_too_short(shell: Shell) -> None:
    shell("migrate")
    said = shell(
        "retention",
        "run",
        "--dry-run",
        "--keep-messages-days",
        "0",
        "--keep-replies-days",
        "0",
        "--keep-audit-days",
        "0",
    )
    lines = {line.split()[0]: line.split()[1:] for line in said.splitlines()}
    assert lines["campaign"] == lines["message"] == lines["reply"] == lines["audit"] == ["ever", "0"]
    said = shell("retention", "run", "--keep-messages-days", "7", code=1)
    assert "keep_messages_days is 7: receipts may come for 7 days" in said
    assert PASSWORD not in said
