"""The checks themselves: books that were tampered with must not pass."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from tests.reconcile.support_client import Clients, Mix
from tests.reconcile.support_reconcile import Allowed, reconcile
from tests.reconcile.support_stack import Stack

TAMPERING = {
    "accepted and never submitted": "DELETE FROM message WHERE rowid_is_first",
    "states that are not final": "UPDATE message SET state = 0 WHERE rowid_is_first",
    "states that are not what the receipts say": "UPDATE message SET state = 6, code = 7 WHERE rowid_is_first",
    "balances that are not the ledger's sum": "UPDATE ledger SET amount = amount - 1 WHERE kind = 'charge'",
    "ledgers with gaps": "UPDATE ledger SET no = no + 1 WHERE kind = 'charge'",
    "refunded other than due": "UPDATE message SET state = 5 WHERE rowid_is_first",
    "campaigns that nobody was told of": "UPDATE campaign SET id = id + 1",
    "campaigns whose batches are not what was posted": "UPDATE batch SET numbers = zeroblob(length(numbers))",
    "batches that are still out": "UPDATE batch SET owner = 1",
}
FIRST = "destination = (SELECT MIN(destination) FROM message)"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_books_that_were_tampered_with_do_not_pass(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Stack(database_url, tmp_path) as stack:
        stack.prepare()
        node = stack.node()
        clients = Clients([node.port])
        told = clients.post([Mix(20, stack.accounts).campaign(20)])
        reconcile("untouched", stack, told, Allowed(), [node.port])
        monkeypatch.setattr("tests.reconcile.support_reconcile.settle", lambda *_: None)
        path = database_url.removeprefix("sqlite:///")
        connection = apsw.Connection(path)
        connection.setbusytimeout(5000)
        copy = Path(path + ".copy")
        for fault, sql in TAMPERING.items():
            connection.execute("VACUUM INTO ?", (str(copy),))
            monkeypatch.setattr(stack, "database_url", f"sqlite:///{copy}")
            tampered = apsw.Connection(str(copy))
            tampered.execute(sql.replace("rowid_is_first", FIRST))
            tampered.close()
            with pytest.raises(AssertionError, match=fault):
                reconcile("tampered", stack, told, Allowed(), [node.port])
            copy.unlink()
        connection.close()
        monkeypatch.setattr(stack, "database_url", database_url)
        journal = stack.smsc.journal
        lines = journal.read_text().splitlines(keepends=True)
        sent = [line for line in lines if line.startswith("S")]
        journal.write_text("".join([*lines, sent[0]]))
        with pytest.raises(AssertionError, match="submitted twice and not flagged"):
            reconcile("tampered", stack, told, Allowed(), [node.port])
        journal.write_text("".join(line for line in lines if line != sent[0]))
        with pytest.raises(AssertionError, match="rows that say more than the SMSC saw"):
            reconcile("tampered", stack, told, Allowed(), [node.port])
