"""Numbers, keywords, what is nobody's, and webhooks, on the operator's pages."""

from __future__ import annotations

import itertools
import re

import pytest

from tests.console.support_console import Site, person
from tests.console.support_operator import Kim, carrier, operator, rows, sql

_ids = itertools.count(5001)
_numbers = itertools.count(61400190001)


@pytest.fixture
def kim(running: Site) -> Kim:
    return operator(running)


def nobodys(running: Site, to: str, text: str = "Hello <b>there</b>", handset: int = 61400000001) -> int:
    """A message that came to a number that is nobody's; its id."""
    number = next(_ids)
    sql(
        running,
        "INSERT INTO unrouted_reply "
        "(id, received_at, carrier_id, originator, handset, recipient, body, parts, missing) "
        f"VALUES ({number}, {running.clock.now_ms() + number}, 1, '{handset}', {handset}, '{to}', '{text}', 2, 1)",
    )
    return number


class TestNumbers:
    def test_added_listed_and_removed(self, running: Site, kim: Kim) -> None:
        who, number, over = person(running), str(next(_numbers)), carrier(running)
        (name,) = [row.name for row in running.run(running.carriers.list()) if row.id == over]
        shown = kim.post(
            "/operator/numbers",
            {"number": f"+{number}", "kind": "dedicated", "whose": who.account.name, "carrier": name},
        )
        assert shown.url == "/operator/numbers?done=number-added"
        assert f"one account's {who.account.name} {name}" in shown.words
        assert f"{number[-3:]} dedicated" in kim.get(f"/operator/accounts/{who.account.id}/replies").words
        shown = kim.post(
            "/operator/numbers/remove", {"number": number, "whose": who.account.name, "carrier": name}
        )
        assert shown.url == "/operator/numbers?done=number-removed"
        assert f'value="{number}"' not in kim.get("/operator/numbers").text
        said = kim.audited(account=who.account.name, carrier=name)
        assert f"{number}, dedicated" in said
        assert "number removed" in said

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"number": "hello", "kind": "shared"}, "no number that handsets can write to"),
            ({"number": "61400190777", "kind": "dedicated"}, "one account's: name it"),
            ({"number": "61400190777", "kind": "dedicated", "whose": "nobody"}, "no account 'nobody'"),
            ({"number": "61400190777", "kind": "shared", "carrier": "nothing"}, "no carrier 'nothing'"),
            ({"number": "61400190777", "kind": "odd"}, "what kind"),
        ],
    )
    def test_what_cannot_be(self, kim: Kim, fields: dict[str, str], says: str) -> None:
        shown = kim.post("/operator/numbers", fields)
        assert (shown.status, says in shown.words) == (400, True), shown.words
        assert "cooee " not in shown.words
        assert f'value="{fields["number"]}"' in shown.text

    def test_a_shared_number_of_every_account(self, kim: Kim) -> None:
        number = str(next(_numbers))
        assert (
            "shared every account any" in kim.post("/operator/numbers", {"number": number, "kind": "shared"}).words
        )
        shown = kim.post("/operator/numbers", {"number": number, "kind": "shared"})
        assert (shown.status, "there already" in shown.words) == (400, True)
        assert kim.post("/operator/numbers/remove", {"number": "61499999999"}).status == 400

    def test_what_came_before_is_assigned_with_the_number(self, running: Site, kim: Kim) -> None:
        who, number = person(running), str(next(_numbers))
        nobodys(running, number, "I came before")
        assert "Messages have come that are nobody's." in kim.get("/operator/numbers").words
        fields = {"number": number, "kind": "dedicated", "whose": who.account.name, "past": "1"}
        kim.post("/operator/numbers", fields)
        assert "I came before" in who.get("/replies").words
        assert f"1 that came to {number}" in kim.audited(action="replies assigned")


def left(running: Site, number: str) -> int:
    """Replies to a number that are nobody's."""
    return int(rows(running, f"SELECT COUNT(*) FROM unrouted_reply WHERE recipient = '{number}'")[0][0])


class TestNobodys:
    def test_assigned_one_by_one(self, running: Site, kim: Kim) -> None:
        who, number = person(running), str(next(_numbers))
        one, two = nobodys(running, number), nobodys(running, number, "the other")
        shown = kim.get(f"/operator/unrouted?number={number}")
        assert "Hello <b>there</b> (1 of 2 parts never came)" in shown.words
        assert "<b>there" not in shown.text
        shown = kim.post("/operator/unrouted", [("reply", one), ("whose", who.account.name)])
        assert "in the account's inbox" in shown.words
        assert "Hello <b>there</b>" in who.get("/replies").words
        left = kim.get(f"/operator/unrouted?number={number}").words
        assert "the other" in left
        assert "Hello" not in left
        assert f"reply {one}" in kim.audited(account=who.account.name)
        assert kim.post("/operator/unrouted", [("whose", who.account.name)]).status == 400
        refused = kim.post("/operator/unrouted", [("reply", two), ("whose", "nobody")])
        assert (refused.status, "no account 'nobody'" in refused.words) == (400, True)

    def test_everything_that_came_to_a_number(self, running: Site, kim: Kim) -> None:
        who, number = person(running), str(next(_numbers))
        for at in range(3):
            nobodys(running, number, f"message {at}", 61400000100 + at)
        kim.post("/operator/unrouted/all", {"number": number, "whose": who.account.name})
        assert rows(running, f"SELECT COUNT(*) FROM reply WHERE account_id = {who.account.id}") == [(3,)]
        assert kim.post("/operator/unrouted/all", {"number": number}).status == 400

    def test_one_is_deleted_after_asking(self, running: Site, kim: Kim) -> None:
        number = str(next(_numbers))
        one, two = nobodys(running, number), nobodys(running, number, "the other")
        asked = kim.post("/operator/unrouted/delete", [("only", one), ("reply", two)])
        assert "Delete 1 reply?" in asked.words
        assert "Hello <b>there</b>" in asked.words
        assert "the other" not in asked.words
        assert left(running, number) == 2
        shown = kim.browser.post("/operator/unrouted/delete", asked.page.forms[-1]["fields"])
        assert "They are thrown away." in shown.words
        assert left(running, number) == 1
        said = kim.audited(who=kim.name, action="replies deleted")
        assert f"replies deleted – – reply {one}" in said
        assert "Hello" not in said
        again = kim.post("/operator/unrouted/delete", [("reply", one)])
        assert (again.status, "it is gone" in again.words) == (400, True)

    def test_the_chosen_ones_are_deleted(self, running: Site, kim: Kim) -> None:
        number = str(next(_numbers))
        ids = [nobodys(running, number, f"message {at}") for at in range(3)]
        asked = kim.post("/operator/unrouted/delete", [("reply", ids[0]), ("reply", ids[2]), ("reply", "x")])
        assert "Delete 2 replies?" in asked.words
        kim.browser.post("/operator/unrouted/delete", [("sure", 1), ("reply", ids[0]), ("reply", ids[2])])
        assert left(running, number) == 1
        assert f"replies {ids[0]}, {ids[2]}" in kim.audited(who=kim.name)
        assert kim.post("/operator/unrouted/delete").status == 400
        kim.post("/operator/unrouted/delete", [("sure", 1), ("reply", "9" * 16)])
        assert left(running, number) == 1

    def test_all_of_a_number_are_deleted(self, running: Site, kim: Kim) -> None:
        number, other = str(next(_numbers)), str(next(_numbers))
        for at in range(3):
            nobodys(running, number, f"message {at}")
        nobodys(running, other)
        assert "Delete everything that came to" in kim.get(f"/operator/unrouted?number={number}").words
        asked = kim.post("/operator/unrouted/delete-all", {"number": number})
        assert "Delete 3 replies?" in asked.words
        assert left(running, number) == 3
        running.clock.advance(1)
        nobodys(running, number, "too late to be seen")
        kim.browser.post("/operator/unrouted/delete-all", asked.page.forms[-1]["fields"])
        assert (left(running, number), left(running, other)) == (1, 1)
        assert "too late to be seen" in kim.get(f"/operator/unrouted?number={number}").words
        assert f"3 that came to {number}" in kim.audited(who=kim.name, action="replies deleted")
        assert kim.post("/operator/unrouted/delete-all", {"number": str(next(_numbers))}).status == 400
        assert kim.post("/operator/unrouted/delete-all", {"number": " "}).status == 400

    def test_what_was_assigned_meanwhile_stays(self, running: Site, kim: Kim) -> None:
        who, number = person(running), str(next(_numbers))
        one = nobodys(running, number)
        kim.post("/operator/unrouted", [("reply", one), ("whose", who.account.name)])
        kim.post("/operator/unrouted/delete", [("sure", 1), ("reply", one)])
        assert "Hello <b>there</b>" in who.get("/replies").words

    def test_in_pages(self, running: Site, kim: Kim) -> None:
        number = str(next(_numbers))
        for _ in range(52):
            nobodys(running, number)
        shown = kim.get(f"/operator/unrouted?number={number}")
        (older,) = [link for link in shown.page.links if "before=" in link]
        assert kim.get(older).text.count('name="reply"') == 2
        assert kim.get("/operator/unrouted?before=x-1").status == 200


class TestKeywords:
    def test_added_and_removed(self, kim: Kim) -> None:
        assert "unsubscribe" in kim.get("/operator/keywords").words
        shown = kim.post("/operator/keywords", {"word": " Genug! ", "kind": "stop"})
        assert "genug" in shown.words
        kim.post("/operator/keywords/remove", {"word": "genug"})
        assert "genug" not in kim.get("/operator/keywords").words
        said = kim.audited(who=kim.name)
        assert "genug, STOP" in said
        assert "keyword removed" in said
        assert kim.post("/operator/keywords/remove", {"word": "genug"}).status == 400
        assert kim.post("/operator/keywords", {"word": "x" * 50, "kind": "stop"}).status == 400
        assert kim.post("/operator/keywords", {"word": "well", "kind": "odd"}).status == 400

    def test_what_an_account_does_with_them(self, running: Site, kim: Kim) -> None:
        who = person(running, allow_unicode=False)
        base = f"/operator/accounts/{who.account.id}"
        shown = kim.post(
            f"{base}/keywords", {"keywords": "1", "stop": "You are out.", "start": ""}, of=f"{base}/replies"
        )
        assert "You are out." in shown.text
        kim.post(f"{base}/keywords", {"stop": "", "start": ""}, of=f"{base}/replies")
        assert "You are out." not in kim.get(f"{base}/replies").text
        assert 'name="keywords" value="1">' in kim.get(f"{base}/replies").text
        said = kim.audited(account=who.account.name)
        assert "another answer to STOP" in said
        assert "no answer to STOP" in said
        assert "You are out" not in said
        refused = kim.post(f"{base}/keywords", {"keywords": "1", "stop": "Добро"})
        assert (refused.status, "needs Unicode" in refused.words) == (400, True)
        assert "Добро" in refused.text


class TestWebhooks:
    def test_set_kept_and_taken_away(self, running: Site, kim: Kim) -> None:
        who = person(running)
        base = f"/operator/accounts/{who.account.id}"
        page = f"{base}/replies"
        refused = kim.post(f"{base}/webhook", {"url": "ftp://example.org"}, of=page)
        assert refused.status == 400
        assert kim.post(f"{base}/webhook", {"url": ""}, of=page).status == 400
        url = "https://example.org/replies?key=hunter2"
        shown = kim.post(f"{base}/webhook", {"url": url, "username": "u", "password": "hunter3"}, of=page)
        assert "example.org/replies" in shown.words
        kim.post(f"{base}/webhook", {"url": "", "username": "v"}, of=page)
        hook = rows(running, f"SELECT username, secret FROM webhook WHERE account_id = {who.account.id}")
        assert hook[0][0] == "v"
        assert hook[0][1] != ""
        kim.post(f"{base}/webhook/remove", of=page)
        said = kim.audited(account=who.account.name)
        assert "webhook changed" in said
        assert "taken away" in said
        assert "hunter" not in said + kim.get(page).text

    def test_what_was_given_up_is_sent_again(self, running: Site, kim: Kim) -> None:
        who = person(running)
        base = f"/operator/accounts/{who.account.id}"
        kim.post(f"{base}/webhook", {"url": "https://example.org/replies"}, of=f"{base}/replies")
        for reply in (1, 2, 3):
            sql(
                running,
                "INSERT INTO webhook_delivery "
                "(account_id, reply_id, state, attempts, created_at, next_at, last_at, "
                f"status, reason, excerpt) VALUES ({who.account.id}, {reply}, 3, 30, 1000, 0, 2000, 500, "
                "'answered with an error', '<h1>no</h1>')",
            )
        shown = kim.get(f"/operator/webhooks?account={who.account.name}")
        assert shown.text.count('name="delivery"') == 3
        assert "HTTP 500 answered with an error" in shown.words
        assert "<h1>no" not in shown.text
        kim.post(
            "/operator/webhooks", [("delivery", f"{who.account.id}-2"), ("delivery", "x"), ("delivery", "1-1")]
        )
        assert states(running, who.account.id) == [(1, 3), (2, 1), (3, 3)]
        kim.post(f"{base}/webhook/replay", of=f"{base}/replies")
        assert states(running, who.account.id) == [(1, 1), (2, 1), (3, 1)]
        said = kim.audited(account=who.account.name, action="webhook replayed")
        assert "reply 2" in said
        assert "2 replies" in said
        nothing = kim.post("/operator/webhooks", {})
        assert (nothing.status, "Nothing was chosen" in nothing.words) == (400, True)
        assert "no account" in kim.get("/operator/webhooks?account=nobody").words

    def test_in_pages(self, running: Site, kim: Kim) -> None:
        who = person(running)
        sql(
            running,
            *(
                "INSERT INTO webhook_delivery "
                "(account_id, reply_id, state, attempts, created_at, next_at, reason, "
                f"excerpt) VALUES ({who.account.id}, {at}, 3, 0, 1000, 0, 'taken away', '')"
                for at in range(1, 53)
            ),
        )
        shown = kim.get(f"/operator/webhooks?account={who.account.name}")
        (following,) = [link for link in shown.page.links if "after=" in link]
        second = kim.get(following)
        assert re.findall(rf'value="{who.account.id}-(\d+)"', second.text) == ["51", "52"]


def states(running: Site, account_id: int) -> list[tuple[int, int]]:
    found = rows(
        running, f"SELECT reply_id, state FROM webhook_delivery WHERE account_id = {account_id} ORDER BY reply_id"
    )
    return [(row[0], row[1]) for row in found]
