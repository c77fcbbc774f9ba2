"""Campaigns in the console: listed, watched, stopped, changed, exported; and one recipient's story."""

from __future__ import annotations

import csv
import io
import re
import time

import pytest

from cooee.model.message import FLAG_RESENT, FLAG_UNCERTAIN, MessageState
from tests.console.support_console import Person, Site, person

FIRST = 61400123456


def numbers(count: int) -> list[str]:
    return [str(FIRST + at) for at in range(count)]


def counts(words: str) -> dict[str, int]:
    """The keys of a campaign's bar."""
    found = re.findall(
        r"(waiting to retry|waiting|being sent|uncertain|handed over|delivered|failed|washed|cancelled) ([\d,]+)",
        words,
    )
    return {name: int(count.replace(",", "")) for name, count in found}


class TestList:
    """The newest first, filtered by the address, paged by key."""

    def test_an_empty_one_offers_the_first_step(self, running: Site) -> None:
        shown = person(running).get("/campaigns")
        assert "No campaigns yet" in shown.words
        assert "/compose" in shown.page.links

    def test_pages_by_key(self, running: Site) -> None:
        who = person(running)
        made = [who.campaign(Message=f"Message {at}") for at in range(53)]
        first = who.get("/campaigns")
        links = [
            int(link.rpartition("/")[2]) for link in first.page.links if re.fullmatch(r"/campaigns/\d+", link)
        ]
        assert links == made[:2:-1]
        older = next(link for link in first.page.links if "before=" in link)
        second = who.get(older)
        links = [
            int(link.rpartition("/")[2]) for link in second.page.links if re.fullmatch(r"/campaigns/\d+", link)
        ]
        assert links == made[2::-1]
        assert "Older" not in second.words

    def test_filters(self, running: Site) -> None:
        who = person(running)
        plain = who.campaign(Message="Tooth fairy 100%")
        waiting = who.campaign(Message="Later", TimeScheduled="203001010900", Reference="new_year")
        many = who.campaign(Message="Many", Destinations=numbers(3), Originator="COOEE")

        def listed(query: str) -> list[int]:
            page = who.get(f"/campaigns?{query}").page
            return [int(link.rpartition("/")[2]) for link in page.links if re.fullmatch(r"/campaigns/\d+", link)]

        assert listed("state=scheduled") == [waiting]
        assert listed("bulk=1") == [many]
        assert listed("q=fairy") == [plain]
        assert listed("q=100%25") == [plain]
        assert listed("q=NEW_YEAR") == [waiting]
        assert listed("q=newXyear") == []
        assert listed("q=cooee") == [many]
        assert listed("state=nonsense") == [many, waiting, plain]
        assert "No campaign fits" in who.get("/campaigns?q=nothing+like+it").words


class TestOne:
    """A campaign's own page."""

    def test_the_bar_adds_up(self, running: Site) -> None:
        who = person(running)
        campaign = who.campaign(Destinations=numbers(10))
        who.settle(
            campaign,
            [
                (FIRST, MessageState.DELIVERED, 0),
                (FIRST + 1, MessageState.FAILED, 300),
                (FIRST + 2, MessageState.FAILED, 998),
                (FIRST + 3, MessageState.HANDED_OVER, 0),
                (FIRST + 4, MessageState.UNCERTAIN, 0),
            ],
        )
        shown = who.get(f"/campaigns/{campaign}")
        found = counts(shown.words)
        assert found["delivered"] == 1
        assert found["failed"] == 2
        assert found["handed over"] == 1
        assert found["uncertain"] == 1
        assert sum(found.values()) == 10
        widths = [
            float(width) for width in re.findall(r'class="f-\w+" x="[\d.]+" y="0" width="([\d.]+)"', shown.text)
        ]
        assert round(sum(widths), 1) == 1000.0
        assert "998 Given up" in shown.words
        assert "Receipts over time" in shown.words

    def test_live_parts_come_alone_and_stop_when_nothing_moves(self, running: Site) -> None:
        who = person(running)
        campaign = who.campaign()
        page = who.get(f"/campaigns/{campaign}").page
        part = next(url for url in page.polled if "part=live" in url)
        live = who.get(part)
        assert "<html" not in live.text
        assert live.header("hx-refresh") is None
        who.post(f"/campaigns/{campaign}/pause")
        who.post(f"/campaigns/{campaign}/cancel")
        assert who.get(part).header("hx-refresh") == "true"
        assert not [url for url in who.get(f"/campaigns/{campaign}").page.polled if "part=live" in url]

    def test_pause_resume_cancel(self, running: Site) -> None:
        who = person(running)
        campaign = who.campaign(Destinations=numbers(4), TimeScheduled="203001010900")
        here = f"/campaigns/{campaign}"
        assert "Scheduled" in who.get(here).words
        assert "Paused. What the carrier has already" in who.post(f"{here}/pause").words
        assert "It goes on." in who.post(f"{here}/resume").words
        who.get(f"{here}/cancel")
        asked = who.get(f"{here}/cancel")
        assert "4 recipients will not be sent to, and their credits come back" in asked.words
        done = who.post(f"{here}/cancel")
        assert "Cancelled. What was not handed over is refunded." in done.words
        assert counts(done.words)["cancelled"] == 4
        assert "1,000 credits" in done.words
        assert "has changed meanwhile" in who.post(f"{here}/resume").words
        assert "has changed meanwhile" in who.get(f"{here}/cancel").words

    def test_only_what_is_possible_is_offered(self, running: Site) -> None:
        who = person(running)
        campaign = who.campaign()
        here = f"/campaigns/{campaign}"
        forms = [form.get("action") for form in who.get(here).page.forms]
        assert f"{here}/pause" in forms
        assert f"{here}/cancel" not in forms
        assert f"{here}/edit" not in who.get(here).page.links
        assert "has changed meanwhile" in who.get(f"{here}/edit").words

    def test_editing(self, running: Site) -> None:
        who = person(running)
        campaign = who.campaign(Destinations=numbers(3), TimeScheduled="203001010900")
        here = f"/campaigns/{campaign}"
        shown = who.get(f"{here}/edit")
        assert 'value="2030-01-01T09:00"' in shown.text
        fields = {"message": "x" * 200, "originator": "COOEE", "when": "later", "at": "2030-02-01T10:30"}
        saved = who.post(f"{here}/edit", fields)
        assert "Saved." in saved.words
        assert "994 credits" in saved.words
        assert "2 segments each" in saved.words
        assert "1 Feb 2030 10:30" in saved.words
        dear = who.post(f"{here}/edit", {**fields, "message": "x" * 2001})
        assert dear.status == 400
        assert "longer than 2,000 characters" in dear.words
        assert "Write the message." in who.post(f"{here}/edit", {**fields, "message": " "}).words
        assert "That time has passed" in who.post(f"{here}/edit", {**fields, "at": "2020-01-01T00:00"}).words

    def test_editing_without_the_credits(self, running: Site) -> None:
        who = person(running, credits=3)
        campaign = who.campaign(Destinations=numbers(3), TimeScheduled="203001010900")
        who.get(f"/campaigns/{campaign}/edit")
        fields = {"message": "x" * 200, "originator": "COOEE", "when": "later", "at": "2030-02-01T10:30"}
        shown = who.post(f"/campaigns/{campaign}/edit", fields)
        assert shown.status == 400
        assert "not enough credits" in shown.words

    def test_a_time_that_has_passed_may_stay(self, running: Site) -> None:
        who = person(running)
        running_at = running.clock.now_ms()
        due = running_at + 3600_000
        from cooee.model.clock import ms_to_local, zone

        local = ms_to_local(due, zone("Australia/Sydney"))
        campaign = who.campaign(TimeScheduled=f"{local:%Y%m%d%H%M}")
        who.get(f"/campaigns/{campaign}")
        who.post(f"/campaigns/{campaign}/pause")
        running.clock.advance(3 * 3600)
        shown = who.get(f"/campaigns/{campaign}/edit")
        at = re.search(r'name="at" type="datetime-local" value="([^"]+)"', shown.text)
        assert at is not None
        fields = {"message": "Changed", "originator": "COOEE", "when": "later", "at": at[1]}
        assert "Saved." in who.post(f"/campaigns/{campaign}/edit", fields).words

    def test_export(self, running: Site) -> None:
        who = person(running)
        campaign = who.campaign(Destinations=numbers(6))
        who.settle(campaign, [(FIRST, MessageState.DELIVERED, 0), (FIRST + 1, MessageState.FAILED, 998)])
        shown = who.get(f"/campaigns/{campaign}/export.csv")
        assert shown.header("content-disposition") == f'attachment; filename="campaign-{campaign}.csv"'
        assert (shown.header("content-type") or "").startswith("text/csv")
        head, *rows = csv.reader(io.StringIO(shown.text))
        assert head[:3] == ["number", "state", "code"]
        assert "Australia/Sydney" in " ".join(head)
        states = {int(row[0]): row[1] for row in rows}
        assert states == {
            FIRST: "delivered", FIRST + 1: "failed", **{FIRST + at: "waiting" for at in range(2, 6)},
        }  # fmt: skip
        failed = next(row for row in rows if row[1] == "failed")
        assert failed[2] == "998"
        assert failed[3].startswith("Given up")

    def test_a_deleted_ones_export_says_cancelled(self, running: Site) -> None:
        who = person(running)
        campaign = who.campaign(Destinations=numbers(2), TimeScheduled="203001010900")
        who.get("/campaigns")
        who.post(f"/campaigns/{campaign}/cancel")
        text = who.get(f"/campaigns/{campaign}/export.csv").text
        assert text.count("cancelled") == 2


class TestRecipients:
    """Who was tried, by number and by state."""

    def test_pages_and_filters(self, running: Site) -> None:
        who = person(running)
        campaign = who.campaign(Destinations=numbers(60))
        outcomes = [
            (
                FIRST + at,
                MessageState.FAILED if at % 10 == 0 else MessageState.DELIVERED,
                300 if at % 10 == 0 else 0,
            )
            for at in range(60)
        ]
        who.settle(campaign, outcomes)
        here = f"/campaigns/{campaign}/recipients"
        first = who.get(here)
        rows = [link for link in first.page.links if re.fullmatch(rf"/campaigns/{campaign}/\d+", link)]
        assert len(rows) == 50
        second = who.get(next(link for link in first.page.links if "after=" in link))
        rows += [link for link in second.page.links if re.fullmatch(rf"/campaigns/{campaign}/\d+", link)]
        assert len(set(rows)) == 60
        failed = who.get(f"{here}?state=failed")
        rows = [link for link in failed.page.links if re.fullmatch(rf"/campaigns/{campaign}/\d+", link)]
        assert len(rows) == 6
        assert "Nobody of this state yet" in who.get(f"{here}?state=washed").words

    def test_a_number_is_found_as_it_is_written(self, running: Site) -> None:
        who = person(running)
        campaign = who.campaign()
        here = f"/campaigns/{campaign}/recipients"
        assert who.get(f"{here}?number=0400+123+456").url == f"/campaigns/{campaign}/{FIRST}"
        assert "hello is no mobile number." in who.get(f"{here}?number=hello").words
        missing = who.get(f"{here}?number=0400+999+999")
        assert "0400 999 999 is not among the recipients of this campaign." in missing.words
        assert 'value="0400 999 999"' in missing.text
        assert who.get(f"/campaigns/{campaign}/61400999999").status == 404


class TestStory:
    """ "Did they get it?" in plain words."""

    def told(self, who: Person, outcome: tuple[MessageState, int] | None, **campaign: object) -> str:
        made = who.campaign(**campaign)
        if outcome is not None:
            who.settle(made, [(FIRST, *outcome)])
        return who.get(f"/campaigns/{made}/{FIRST}").words

    @pytest.mark.parametrize(
        ("state", "code", "answer"),
        [
            (MessageState.DELIVERED, 0, "Yes. It was delivered to the phone."),
            (MessageState.HANDED_OVER, 0, "Probably on its way."),
            (MessageState.FAILED, 300, "No. It was not delivered."),
            (MessageState.FAILED, 998, "Code 998: Given up"),
            (MessageState.WASHED, 0, "No. The number had opted out"),
            (MessageState.CANCELLED, 0, "No. The campaign was deleted while it waited"),
            (MessageState.UNCERTAIN, 0, "Nobody knows yet."),
            (MessageState.RETRYING, 88, "Not yet. The carrier refused it for now"),
            (MessageState.SENDING, 88, "Not yet. The carrier refused it for now"),
        ],
    )
    def test_every_state_has_an_answer(self, running: Site, state: MessageState, code: int, answer: str) -> None:
        words = self.told(person(running), (state, code))
        assert answer in words
        assert "Accepted" in words

    def test_what_waits_says_for_what(self, running: Site) -> None:
        who = person(running)
        assert "There is no carrier for it at the moment." in self.told(who, None)
        assert "Its campaign has not started yet." in self.told(who, None, TimeScheduled="203001010900")
        campaign = who.campaign(TimeScheduled="203001010900")
        who.get("/")
        who.post(f"/campaigns/{campaign}/pause")
        assert "Its campaign is paused." in who.get(f"/campaigns/{campaign}/{FIRST}").words
        who.post(f"/campaigns/{campaign}/cancel")
        words = who.get(f"/campaigns/{campaign}/{FIRST}").words
        assert "No. The campaign was deleted before it was sent." in words
        assert "its credits were given back" in words

    def test_who_is_no_recipient_has_no_story(self, running: Site) -> None:
        who = person(running)
        assert who.get(f"/campaigns/{who.campaign()}/61400999999").status == 404

    def test_flags_and_attempts_are_told(self, running: Site) -> None:
        from cooee.store.database import Tx

        who = person(running)
        campaign = who.campaign()
        who.settle(campaign, [(FIRST, MessageState.UNCERTAIN, 0)])

        async def resend(tx: Tx) -> None:
            now = running.clock.now_ms()
            await tx.many("archive_attempts", [(who.account.id, campaign, FIRST)], now=now)
            row = (
                who.account.id, campaign, FIRST, MessageState.DELIVERED, 2, 1, 1, FLAG_UNCERTAIN | FLAG_RESENT, 1,
                now, None, 0, "what the carrier said",
            )  # fmt: skip
            await tx.many("record", [row], carrier_id=1, now=now)

        running.run(running.database.write(resend))
        words = who.get(f"/campaigns/{campaign}/{FIRST}").words
        assert "Sent again" in words
        assert "attempt 2" in words
        assert "what the carrier said" in words

    def test_the_carriers_ids_are_looked_up_on_demand(self, running: Site) -> None:
        from cooee.store import refs
        from cooee.store.database import Tx

        who = person(running)
        campaign = who.campaign()
        who.settle(campaign, [(FIRST, MessageState.DELIVERED, 0)])
        here = f"/campaigns/{campaign}/{FIRST}"
        assert "Look up the carrier's ids" in who.get(here).words

        async def add(tx: Tx) -> None:
            now = running.clock.now_ms()
            await refs.add_refs(tx, 1, [("abc123", now, who.account.id, campaign, FIRST, 0, 1)])

        running.run(running.database.write(add))
        shown = who.get(f"{here}?ids=1")
        assert "Part 1: abc123" in shown.words
        part = who.get(f"{here}?ids=1&part=ids")
        assert "abc123" in part.text
        assert "<html" not in part.text


class TestOverview:
    """The first page."""

    def once_counted(self, who: Person, words: str) -> str:
        """The page once a count has come that says `words`."""
        for _ in range(100):
            who.site.clock.advance(25)
            shown = who.get("/").words
            if words in shown:
                return shown
            # The count is a task of the server's.
            time.sleep(0.05)
        raise AssertionError(shown)

    def test_days_are_counted_when_somebody_looks(self, running: Site) -> None:
        who = person(running)
        campaign = who.campaign(Destinations=numbers(5))
        who.settle(campaign, [(FIRST, MessageState.DELIVERED, 0), (FIRST + 1, MessageState.FAILED, 1)])
        words = self.once_counted(who, "Messages, 14 days 5")
        assert "Delivered 1 20.0 %" in words
        assert "Failed 1 20.0 %" in words
        assert "7 days" in words
        assert len(re.findall(r'<th scope="row">\w{3} \d+ \w{3}</th>', who.get("/?days=7").text)) == 7

    def test_counts_follow_what_changes(self, running: Site) -> None:
        who = person(running)
        campaign = who.campaign(Destinations=numbers(2))
        self.once_counted(who, "Messages, 14 days 2")
        who.settle(campaign, [(FIRST, MessageState.DELIVERED, 0)])
        self.once_counted(who, "Delivered 1 50.0 %")

    def test_what_is_under_way(self, running: Site) -> None:
        who = person(running)
        assert "Nothing is under way." in who.get("/").words
        campaign = who.campaign(TimeScheduled="203001010900")
        shown = who.get("/?part=active")
        assert f"/campaigns/{campaign}" in shown.page.links
        assert "Scheduled" in shown.words
