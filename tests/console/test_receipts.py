"""The receipts of one message, as the carrier wrote them, on its page."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cooee.config import Settings
from cooee.model.clock import MINUTE
from cooee.model.message import MessageState
from cooee.service import trails
from cooee.smpp.codes import Tag
from cooee.smpp.pdu import DeliverSm, encode
from cooee.store import refs
from cooee.store.receipts import DELIVERED, FAILED, Incoming, apply
from tests.console.support_console import Person, Site, person, site
from tests.support.postgres import PostgresServer

FIRST = 61400123456
TEXT = b"id:%s sub:001 dlvrd:001 submit date:2601010101 done date:2601010102 stat:%s err:000 text:%s"


def came(smsc_id: str, kind: int = DELIVERED, note: bytes = b"Hello", tlvs: Any = ()) -> Incoming:
    stat = b"DELIVRD" if kind == DELIVERED else b"UNDELIV"
    pdu = DeliverSm(
        1,
        source_addr=str(FIRST),
        destination_addr="Acme",
        esm_class=4,
        short_message=TEXT % (smsc_id.encode(), stat, note),
        tlvs=tlvs,
    )
    return Incoming(smsc_id, FIRST, "Acme", kind, "", 0, 5, encode(pdu)[16:])


def handed_over(who: Person, smsc_id: str) -> int:
    """A campaign to FIRST that a carrier took."""
    campaign = who.campaign()
    who.settle(campaign, [(FIRST, MessageState.HANDED_OVER, 0)])
    now = who.site.clock.now_ms()
    ref = (smsc_id, now, who.account.id, campaign, FIRST, 0, 1)
    who.site.run(who.site.database.write(lambda tx: refs.add_refs(tx, 1, [ref])))
    return campaign


def receive(running: Site, *receipts: Incoming) -> None:
    now = running.clock.now_ms()
    running.run(running.database.write(lambda tx: apply(tx, 1, receipts, now)))


def test_every_receipt_is_shown_with_its_parameters(running: Site) -> None:
    who = person(running)
    campaign = handed_over(who, "r1")
    here = f"/campaigns/{campaign}/{FIRST}"
    assert "No receipt has come." in who.get(here).words
    tlvs = (
        (int(Tag.RECEIPTED_MESSAGE_ID), b"r1\0"),
        (int(Tag.MESSAGE_STATE), b"\x02"),
        (int(Tag.NETWORK_ERROR_CODE), b"\x03\x00\x00"),
        (0x1403, b"\x01\x02"),
    )
    running.clock.advance(2)
    receive(running, came("r1", tlvs=tlvs))
    running.clock.advance(3600)
    receive(running, came("r1", FAILED, note=b"once more"))
    words = who.get(here).words
    assert "Receipts, as the carrier wrote them" in words
    assert (
        "id:r1 sub:001 dlvrd:001 submit date:2601010101 done date:2601010102 stat:DELIVRD err:000 text:Hello"
        in words
    )
    for said in (
        "Delivered · part 1",
        "esm_class 0x04 (receipt)",
        f"source_addr {FIRST} destination_addr Acme",
        "receipted_message_id r1",
        "message_state 2 (delivered)",
        "network_error_code GSM, error 0",
        "0x1403 01 02",
    ):
        assert said in words, said
    assert words.index("text:Hello") < words.index("text:once more")
    assert "Yes. It was delivered to the phone." in words


def test_what_a_carrier_writes_is_no_markup(running: Site) -> None:
    who = person(running)
    campaign = handed_over(who, "r2")
    tlvs = ((0x1403, b"<i>"), (int(Tag.RECEIPTED_MESSAGE_ID), b"r2\0"))
    receive(running, came("r2", note=b"<script>alert(1)</script>\x1b[31m", tlvs=tlvs))
    text = who.get(f"/campaigns/{campaign}/{FIRST}").text
    assert "text:&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m" in text
    assert "&lt;i&gt;" in text
    assert "<script>alert" not in text


def test_an_id_that_two_accounts_messages_have_shows_nothing_of_the_other(running: Site) -> None:
    ours, theirs = person(running), person(running)
    first = handed_over(ours, "r3")
    receive(running, came("r3", note=b"for us"))
    running.clock.advance(60)
    second = handed_over(theirs, "r3")
    receive(running, came("r3", note=b"for them"))
    words = ours.get(f"/campaigns/{first}/{FIRST}").words
    assert "for us" in words
    assert "for them" not in words
    words = theirs.get(f"/campaigns/{second}/{FIRST}").words
    assert "for them" in words
    assert "for us" not in words
    for part in ("", "?part=receipts", "?part=receipts&from=0"):
        assert ours.get(f"/campaigns/{second}/{FIRST}{part}").status == 404


def test_a_search_that_ends_early_says_so_and_goes_on(running: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trails, "LOOKS", 2)
    monkeypatch.setattr(trails, "PIECE", 3)
    who = person(running)
    campaign = handed_over(who, "r4")
    for at in range(12):
        running.clock.advance(1)
        receive(running, came("r4", note=b"no. %d" % at))
    here = f"/campaigns/{campaign}/{FIRST}"
    shown, seen = who.get(here), []
    assert "others may have come later" in shown.words
    while True:
        seen += re.findall(r"text:no\. (\d+)", shown.text)
        further = [link for link in shown.page.links if "from=" in link]
        if not further:
            break
        assert further[0].startswith(f"{here}?from=")
        part = who.get(further[0] + "&part=receipts")
        assert "<html" not in part.text
        shown = who.get(further[0])
        assert re.findall(r"text:no\. (\d+)", shown.text) == re.findall(r"text:no\. (\d+)", part.text)
    assert sorted(map(int, seen)) == list(range(12))
    for nonsense in ("x", "1", "-", "-1", "1-2", "9" * 16, "9" * 30):
        assert who.get(f"{here}?from={nonsense}").status == 200


def test_one_that_was_not_handed_over_has_none(running: Site) -> None:
    who = person(running)
    words = who.get(f"/campaigns/{who.campaign()}/{FIRST}").words
    assert "It was not handed over yet." in words


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_where_none_are_kept_the_page_says_so(engine: str, tmp_path: Any, request: pytest.FixtureRequest) -> None:
    url = f"sqlite:///{tmp_path / 'cooee.db'}"
    if engine == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.fresh()
    with site(url, Settings(keep_receipts_days=0)) as running:
        who = person(running)
        campaign = handed_over(who, "r5")
        running.clock.advance(MINUTE / 1000)
        assert "Receipts are not kept here as they came." in who.get(f"/campaigns/{campaign}/{FIRST}").words


def test_octets_that_are_no_whole_pdu_are_shown_as_they_are(running: Site) -> None:
    who = person(running)
    campaign = handed_over(who, "r6")
    whole = came("r6")
    receive(running, Incoming("r6", FIRST, "Acme", DELIVERED, "", 0, 5, whole.body[:50]))
    words = who.get(f"/campaigns/{campaign}/{FIRST}").words
    assert "Not a whole PDU" in words
    assert whole.body[:50].hex(" ") in words
