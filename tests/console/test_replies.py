"""Replies as conversations, opt-outs with their history, and the webhook."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cooee.model.inbound import Reason, ReplyKind
from cooee.model.message import MessageState
from cooee.store import optouts
from cooee.store.database import Tx
from tests.console.support_console import Person, Shown, Site, came, person

HANDSET = 61400123456


def opted_out(who: Person, number: int = HANDSET, text: str = "STOP") -> None:
    async def add(tx: Tx) -> None:
        now = who.site.clock.now_ms()
        await optouts.add(tx, [(who.account.id, number, who.account.name, text)], Reason.REPLY, now)

    who.site.run(who.site.database.write(add))


def order(shown: Shown) -> list[str]:
    return [link for link in shown.page.links if re.fullmatch(r"/replies/(from/)?\d+", link)]


class TestInbox:
    def test_nothing_yet(self, running: Site) -> None:
        assert "No replies yet" in person(running).get("/replies").words

    def test_one_line_a_conversation_the_newest_first(self, running: Site) -> None:
        who = person(running)
        came(who, "first of one")
        came(who, "two", handset=HANDSET + 1)
        came(who, "second of one")
        # A sender may be any octets at all, also such as only look like digits.
        nameless = came(who, "from a name", handset=None, originator="²")
        shown = who.get("/replies")
        assert order(shown) == [f"/replies/from/{nameless}", f"/replies/{HANDSET}", f"/replies/{HANDSET + 1}"]
        assert "second of one" in shown.words
        assert "first of one" not in shown.words
        assert who.get(f"/replies/from/{nameless}").status == 200

    def test_unread_until_it_was_looked_at(self, running: Site) -> None:
        who = person(running)
        came(who, "hello")
        assert "unread:" in who.get("/replies").words
        assert order(who.get("/replies?show=unread")) == [f"/replies/{HANDSET}"]
        who.get(f"/replies/{HANDSET}")
        assert "unread:" not in who.get("/replies").words
        assert order(who.get("/replies?show=unread")) == []
        came(who, "again")
        assert "unread:" in who.get("/replies").words

    def test_stops(self, running: Site) -> None:
        who = person(running)
        came(who, "hello")
        came(who, "STOP", handset=HANDSET + 1, kind=ReplyKind.STOP)
        shown = who.get("/replies?show=stops")
        assert order(shown) == [f"/replies/{HANDSET + 1}"]
        assert "opted out" in shown.words

    def test_pages_by_key(self, running: Site) -> None:
        who = person(running)
        for at in range(53):
            came(who, "x", handset=HANDSET + at)
        first = who.get("/replies")
        assert order(first) == [f"/replies/{HANDSET + at}" for at in range(52, 2, -1)]
        second = who.get(next(link for link in first.page.links if "before=" in link))
        assert order(second) == [f"/replies/{HANDSET + at}" for at in (2, 1, 0)]

    def test_a_number_is_found(self, running: Site) -> None:
        who = person(running)
        came(who, "hello")
        assert who.get("/replies?q=0400+123+456").url == f"/replies/{HANDSET}"
        assert "0400999999 has not written to you." in who.get("/replies?q=0400999999").words

    def test_export(self, running: Site) -> None:
        who = person(running)
        came(who, '=cmd|"x"')
        came(who, "second, with a comma")
        text = who.get("/replies/export.csv").text
        assert "'=cmd" in text
        assert '"second, with a comma"' in text
        # Looking is not polling: the API passes them on all the same.
        assert "second" in who.get("/replies/export.csv").text


class TestConversation:
    def test_what_was_written_stands_beside_what_came(self, running: Site) -> None:
        who = person(running)
        campaign = who.campaign(Message="Will you come?", Destinations=[str(HANDSET), str(HANDSET + 1)])
        who.settle(campaign, [(HANDSET, MessageState.DELIVERED, 0)])
        came(who, "Yes!", campaign=campaign)
        shown = who.get(f"/replies/{HANDSET}")
        words = shown.words
        assert words.index("Will you come?") < words.index("Yes!")
        assert f"campaign {campaign} to 2" in words
        assert "delivered" in words
        assert f"/campaigns/{campaign}/{HANDSET}" in shown.page.links

    def test_answering(self, running: Site) -> None:
        who = person(running)
        came(who, "What time?")
        shown = who.get(f"/replies/{HANDSET}")
        assert "From 61 400 190 499" in shown.words.replace("  ", " ")
        assert "1 segment" in who.post("/replies/count", {"message": "At nine"}).words
        once = re.search(r'name="once" value="([^"]+)"', shown.text)
        assert once is not None
        fields = {"message": "At nine", "once": once[1]}
        answered = who.post(f"/replies/{HANDSET}", fields)
        assert "Your answer is on its way." in answered.words
        assert answered.words.index("What time?") < answered.words.index("At nine")
        assert "999 credits" in answered.words
        who.post(f"/replies/{HANDSET}", fields)
        assert "999 credits" in who.get("/").words

    @pytest.mark.parametrize(("text", "why"), [("", "Write the message."), ("x" * 2001, "longer than 2,000")])
    def test_answers_that_cannot_be(self, running: Site, text: str, why: str) -> None:
        who = person(running)
        came(who, "What time?")
        who.get(f"/replies/{HANDSET}")
        refused = who.post(f"/replies/{HANDSET}", {"message": text, "once": "x" * 43})
        assert refused.status == 400
        assert why in refused.words

    def test_without_credits(self, running: Site) -> None:
        who = person(running, credits=0)
        came(who, "What time?")
        who.get(f"/replies/{HANDSET}")
        refused = who.post(f"/replies/{HANDSET}", {"message": "At nine", "once": "x" * 43})
        assert refused.status == 400
        assert "not enough credits" in refused.words

    def test_stop_is_shown_as_what_it_did_and_not_answered(self, running: Site) -> None:
        who = person(running)
        came(who, "STOP", kind=ReplyKind.STOP)
        opted_out(who)
        shown = who.get(f"/replies/{HANDSET}")
        assert "this opted the number out" in shown.words
        assert "It has opted out and is not written to." in shown.words
        refused = who.post(f"/replies/{HANDSET}", {"message": "Sorry", "once": "x" * 43})
        assert refused.status == 400
        assert "has opted out" in refused.words

    def test_only_from_a_sender_that_is_approved(self, running: Site) -> None:
        who = person(running, approved_only=True)
        came(who, "What time?")
        shown = who.get(f"/replies/{HANDSET}")
        assert "is not approved for this account" in shown.words
        refused = who.post(f"/replies/{HANDSET}", {"message": "At nine", "once": "x" * 43})
        assert refused.status == 400

    def test_older_ones_are_on_another_page(self, running: Site) -> None:
        who = person(running)
        for at in range(60):
            came(who, f"message {at:02d}")
        shown = who.get(f"/replies/{HANDSET}")
        assert "message 59" in shown.words
        assert "message 09" not in shown.words
        older = who.get(next(link for link in shown.page.links if "before=" in link))
        assert "message 09" in older.words
        assert "message 10" not in older.words

    def test_of_others_there_is_nothing(self, running: Site) -> None:
        who, other = person(running), person(running)
        came(who, "secret")
        nameless = came(who, "secret", handset=None, originator="SHOP")
        assert other.get(f"/replies/{HANDSET}").status == 404
        assert other.get(f"/replies/from/{nameless}").status == 404
        assert other.post(f"/replies/{HANDSET}", {"message": "x", "once": "x" * 43}).status == 404
        assert "secret" not in other.get("/replies/export.csv").text


class TestOptouts:
    def test_by_hand_and_back(self, running: Site) -> None:
        who = person(running)
        assert "Nobody has opted out" in who.get("/optouts").words
        added = who.post("/optouts/add", {"numbers": "0400 123 456\n0400123457, 0400123456"})
        assert "2 numbers changed." in added.words
        assert "by you" in added.words
        removed = who.post("/optouts/remove", {"numbers": "0400123457"})
        assert "1 number changed." in removed.words
        refused = who.post("/optouts/add", {"numbers": "hello"})
        assert refused.status == 400
        assert "None of these is a number." in refused.words

    def test_history(self, running: Site) -> None:
        who = person(running)
        opted_out(who, text="stop it")
        running.clock.advance(10)
        here = who.get("/optouts?q=0400123456")
        assert here.url == f"/optouts/{HANDSET}"
        assert "Opted out: it is not written to." in here.words
        assert "stop it" in here.words
        assert "by a reply" in here.words
        who.post("/optouts/remove", {"numbers": f"+{HANDSET}"})
        running.clock.advance(10)
        who.post("/optouts/add", {"numbers": f"+{HANDSET}"})
        again = who.get(f"/optouts/{HANDSET}")
        assert again.words.count("Opted out by") == 2
        assert "Let back by you" in again.words
        assert "Never opted out" in who.get("/optouts/61400999999").words

    def test_pages_and_export(self, running: Site) -> None:
        who = person(running)
        who.get("/optouts")
        who.post("/optouts/add", {"numbers": "\n".join(str(HANDSET + at) for at in range(105))})
        first = who.get("/optouts")
        rows = [link for link in first.page.links if re.fullmatch(r"/optouts/\d+", link)]
        second = who.get(next(link for link in first.page.links if "before=" in link))
        rows += [link for link in second.page.links if re.fullmatch(r"/optouts/\d+", link)]
        assert len(rows) == len(set(rows)) == 105
        lines = who.get("/optouts/export.csv").text.split("\r\n")
        assert len([line for line in lines if line]) == 106

    def test_the_rehearsal_knows_them(self, running: Site) -> None:
        who = person(running)
        who.get("/optouts")
        who.post("/optouts/add", {"numbers": "0400123456"})
        shown = who.post(
            "/compose", {"message": "Hi", "originator": "COOEE", "recipients": "0400123456 0400123457"}
        )
        assert "Opted out 1, not sent to" in shown.words

    def test_of_others_there_is_nothing(self, running: Site) -> None:
        who, other = person(running), person(running)
        opted_out(who)
        assert "Never opted out" in other.get(f"/optouts/{HANDSET}").words
        assert str(HANDSET) not in other.get("/optouts/export.csv").text


@contextmanager
def receiver(answer: bytes) -> Iterator[tuple[str, list[str]]]:
    """A program that takes replies: its address, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/replies", asked
    finally:
        server.shutdown()
        server.server_close()


class TestWebhook:
    """Set, tested, its log, and what was given up sent again. (tests allow private addresses: see `site`.)"""

    def test_the_life_of_a_webhook(self, running: Site) -> None:
        who = person(running)
        assert "There is none." in who.get("/settings/webhook").words
        with receiver(b"0") as (url, asked):
            saved = who.post("/settings/webhook", {"url": url, "username": "u", "password": "p"})
            assert "Saved." in saved.words
            assert "took the test" in who.post("/settings/webhook/test").words
            assert len(asked) == 1
        with receiver(b"1 no") as (url, _):
            who.post("/settings/webhook", {"url": url, "username": "u"})
            refused = who.post("/settings/webhook/test")
            assert "did not take the test" in refused.words
        reply = came(who, "hello")
        shown = who.get("/settings/webhook")
        assert "Waiting 1" in shown.words
        assert str(reply) in shown.words
        assert str(reply) in who.get("/settings/webhook?state=waiting").words
        for state in ("taken", "given-up"):
            filtered = who.get(f"/settings/webhook?state={state}").words
            assert "None is in this state." in filtered
            assert str(reply) not in filtered
        assert str(reply) in who.get("/settings/webhook?state=nonsense").words
        assert "It is sent again." in who.post("/settings/webhook/replay", {"reply": reply}).words
        gone = who.post("/settings/webhook/remove")
        assert "There is none." in gone.words
        assert who.post("/settings/webhook/replay", {"reply": reply}).status == 400

    @pytest.mark.parametrize("url", ["", "none", "ftp://example.org", "not an address", "https://"])
    def test_addresses_that_are_none(self, running: Site, url: str) -> None:
        who = person(running)
        who.get("/settings/webhook")
        shown = who.post("/settings/webhook", {"url": url})
        assert shown.status == 400
        assert "There is none." in shown.words

    def test_without_one_there_is_nothing_to_test(self, running: Site) -> None:
        who = person(running)
        who.get("/settings/webhook")
        assert who.post("/settings/webhook/test").status == 400
        assert who.post("/settings/webhook/replay").status == 400
