"""Writing a message: counted as it is typed, rehearsed before it is sent, sent once."""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor

import openpyxl
import pytest

from cooee.model.clock import ms_to_local, zone
from cooee.service.rates import Rates
from cooee.store.database import Tx
from tests.console.support_console import Browser, Person, Shown, Site, person

GOOD = {"message": "Hello", "originator": "COOEE", "recipients": "0400123456"}


def rehearsed(who: Person, **changes: object) -> Shown:
    who.get("/compose")
    shown = who.post("/compose", {**GOOD, **changes})
    assert re.fullmatch(r"/compose/\d+", shown.url), shown.words
    return shown


def figure(shown: Shown, name: str) -> str:
    found = re.search(rf"<dt>{name}</dt><dd>(.*?)</dd>", shown.text, re.DOTALL)
    assert found is not None, (name, shown.words)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", found[1])).strip()


class TestCounter:
    """Encoding, segments, room; and the character that makes it dear."""

    def counted(self, who: Person, text: str) -> str:
        who.get("/compose")
        return who.post("/compose/count", {"message": text, "originator": "COOEE"}).words

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("Hello", "1 segment · GSM 7-bit · 155 characters left in it"),
            ("x" * 160, "1 segment · GSM 7-bit · 0 characters left in it"),
            ("x" * 161, "2 segments · GSM 7-bit · 145 characters left in the last one"),
            ("€", "1 segment · GSM 7-bit · 158 characters left in it"),
            ("ж", "1 segment · UCS-2 · 69 characters left in it"),
            ("ж" * 71, "2 segments · UCS-2 · 63 characters left in the last one"),
            ("😀", "1 segment · UCS-2 · 68 characters left in it"),
        ],
    )
    def test_counts(self, running: Site, text: str, words: str) -> None:
        assert words in self.counted(person(running), text)

    def test_names_the_culprit_and_its_twin(self, running: Site) -> None:
        who = person(running)
        text = "It’s 10 % off, only today. " * 4
        words = self.counted(who, text)
        assert "2 segments · UCS-2" in words
        assert "right single quotation mark, 4 times: use ' instead" in words
        assert "saves 1 segment a recipient" in words
        raw = who.post("/compose/count", {"message": text}).text
        assert "It<mark>’</mark>s 10 % off" in raw

    def test_what_has_no_twin_is_said(self, running: Site) -> None:
        words = self.counted(person(running), "Привет’")
        assert "cyrillic small letter er: has no twin in GSM 7-bit" in words
        assert "Use these instead" not in words

    def test_twins_are_used_with_and_without_scripts(self, running: Site) -> None:
        who = person(running)
        who.get("/compose")
        live = who.browser.post(
            "/compose/fix", {"message": "It’s “new”…", "originator": "COOEE"}, headers={"HX-Request": "true"}
        )
        assert "<html" not in live.text
        assert "It&#39;s &#34;new&#34;..." in live.text
        assert "hx-swap-oob" in live.text
        plain = who.post("/compose/fix", {**GOOD, "message": "It’s"})
        assert "<html" in plain.text
        assert "It&#39;s" in plain.text
        assert "0400123456" in plain.text

    def test_the_phone_shows_where_it_is_cut(self, running: Site) -> None:
        who = person(running)
        who.get("/compose")
        shown = who.post("/compose/count", {"message": "a" * 153 + "b" * 20, "originator": "Shop"})
        bubbles = re.findall(r'<p class="bubble">(.*?)</p>', shown.text)
        assert bubbles == ["a" * 153, "b" * 20]
        assert "Shop" in shown.words

    @pytest.mark.parametrize("text", ["", "\0", "x" * 2001, "\ud800"])
    def test_what_cannot_be_sent_is_no_accident(self, running: Site, text: str) -> None:
        who = person(running)
        who.get("/compose")
        raw = text.encode("utf-8", "surrogatepass")
        assert who.post("/compose/count", [("message", raw)]).status == 200

    def test_what_the_account_may_not_is_said_at_once(self, running: Site) -> None:
        who = person(running, allow_unicode=False, allow_long=False)
        assert "may not send" in self.counted(who, "ж")
        assert "may not send longer ones" in self.counted(who, "x" * 161)


class TestForm:
    """What is wrong is told field by field, and nothing that was typed is lost."""

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"message": "  "}, "Write the message."),
            ({"message": "x" * 2001}, "longer than 2,000 characters"),
            ({"originator": ""}, "Say who it is from."),
            ({"originator": "way too long for a name"}, "A sender is a number"),
            ({"recipients": ""}, "Say to whom"),
            ({"recipients": "hello"}, "That is no mobile number."),
            ({"recipients": "hello, 0299999999"}, "None of the 2 entries is a mobile number."),
            ({"recipients": "+4915112345678"}, "may not send there; nobody is left"),
            ({"when": "later", "at": ""}, "Say the day and the time."),
            ({"when": "later", "at": "2020-01-01T10:00"}, "That time has passed"),
            ({"when": "later", "at": "2030-01-01T10:00+01:00"}, "Say the day and the time."),
            ({"reference": "x" * 256}, "At most 255 characters."),
        ],
    )
    def test_problems(self, running: Site, changes: dict[str, str], why: str) -> None:
        who = person(running)
        who.get("/compose")
        shown = who.post("/compose", {**GOOD, **changes})
        assert shown.status == 400
        assert why in shown.words
        kept = {**GOOD, **changes}
        if kept["message"].strip():
            assert kept["message"][:50] in shown.text

    def test_the_account_may_not(self, running: Site) -> None:
        who = person(running, allow_unicode=False)
        who.get("/compose")
        assert "may not send" in who.post("/compose", {**GOOD, "message": "ж"}).words

    def test_pasted_numbers_are_judged_as_they_come(self, running: Site) -> None:
        who = person(running)
        who.get("/compose")
        pasted = (
            "0400 123 456\n0400123457, 0400123456; hello\n0400123458 0400123459\n02 9999 9999\n+49 151 12345678"
        )
        shown = who.post("/compose/recipients", {"recipients": pasted})
        assert "4 valid · 1 duplicate · 2 invalid · 1 international (left out)" in shown.words
        assert "line 2: hello no phone number" in shown.words
        assert "line 4: 02 9999 9999 not a mobile number" in shown.words
        assert "<html" not in shown.text

    def test_the_cost_of_what_is_typed(self, running: Site) -> None:
        who = person(running, credits=5)
        who.get("/compose")
        typed = {"recipients": "0400123456 0400123457", "message": "x" * 161}
        assert "4 credits for 2 recipients. You have 5." in who.post("/compose/recipients", typed).words
        more = {**typed, "recipients": "0400123456 0400123457 0400123458"}
        said = who.post("/compose/recipients", more).words
        assert "6 credits for 3 recipients. You have 5. That is too few." in said
        one = {"recipients": "0400123456", "message": "x"}
        assert "1 credit for 1 recipient." in who.post("/compose/recipients", one).words
        assert "credit" not in who.post("/compose/recipients", {**typed, "message": ""}).words
        assert "credit" not in who.post("/compose/recipients", {"message": "x", "recipients": "hello"}).words

    def test_the_cost_with_lists_and_rates(self, running: Site) -> None:
        who, other = person(running), person(running)
        who.get("/lists/new")
        url = who.post("/lists/new", {"name": "VIPs", "numbers": "0400123456 0400123459"}).url
        number = url.split("?")[0].rpartition("/")[2]
        typed = {"recipients": "0400123456", "message": "x", "list": number}
        assert "At most 3 credits for 3 recipients." in who.post("/compose/recipients", typed).words
        other.get("/compose")
        assert "1 credit for 1 recipient." in other.post("/compose/recipients", typed).words
        rates = Rates(running.database, running.clock, running.accounts.changed)
        running.run(rates.set("AU", 3, who.account.name))
        said = who.post("/compose/recipients", typed).words
        assert "3 credits for those above; what the lists cost is in the rehearsal." in said

    def test_a_copy_of_a_campaign(self, running: Site) -> None:
        who = person(running)
        campaign = who.campaign(
            Message="Copied text", Originator="SHOP", Destinations=[str(61400000000 + at) for at in range(700)]
        )
        shown = who.get(f"/compose?copy={campaign}")
        assert "Copied text" in shown.text
        assert 'value="SHOP"' in shown.text
        assert f"The same 700 recipients as campaign {campaign}" in shown.words
        again = who.post("/compose", {**GOOD, "recipients": "", "copied": campaign, "keep": "1"})
        assert figure(again, "Recipients") == "700"
        without = who.post("/compose", {**GOOD, "recipients": "", "copied": campaign})
        assert without.status == 400

    def test_the_last_sender_is_there_already(self, running: Site) -> None:
        who = person(running)
        who.campaign(Originator="SHOP")
        assert 'name="originator" value="SHOP"' in who.get("/compose").text


class TestFiles:
    """Recipients from a file, whose column is found."""

    def uploaded(self, who: Person, name: str, content: bytes) -> Shown:
        who.get("/compose")
        return who.browser.upload("/compose", {"message": "Hello", "originator": "COOEE"}, name, content)

    @pytest.mark.parametrize(
        "content",
        [
            b"Name,Mobile,Phone\r\nAnn,0400 123 456,02 9999 9999\r\nBob,0400123457,\r\nEve,hello,\r\n",
            b"Name;Mobile\nAnn;0400123456\nBob;0400123457\nEve;hello\n",
            b"Name\tMobile\nAnn\t0400123456\nBob\t0400123457\nEve\thello\n",
            "\ufeffName,Mobile\nÄnn,0400123456\nBob,0400123457\nEve,hello\n".encode(),
            "Name,Mobile\nÄnn,0400123456\nBob,0400123457\nEve,hello\n".encode("cp1252"),
            "Name,Mobile\nÄnn,0400123456\nBob,0400123457\nEve,hello\n".encode("utf-16"),
            b'Name,Mobile\n"Ann, the first",0400123456\n"Bob",0400123457\n\nEve,hello\n',
        ],
        ids=["comma", "semicolon", "tab", "bom", "cp1252", "utf-16", "quotes"],
    )
    def test_csv(self, running: Site, content: bytes) -> None:
        shown = self.uploaded(person(running), "people.csv", content)
        assert figure(shown, "Recipients") == "2"
        assert figure(shown, "Invalid") == "1, left out"
        assert "column Mobile of people.csv" in shown.words
        assert re.search(r"line [45] hello no phone number", shown.words)

    def test_one_column_without_a_name(self, running: Site) -> None:
        shown = self.uploaded(person(running), "numbers.txt", b"0400123456\n0400123457\n")
        assert figure(shown, "Recipients") == "2"
        assert "column Column A of numbers.txt" in shown.words

    def test_xlsx(self, running: Site) -> None:
        book = openpyxl.Workbook()
        sheet = book.active
        assert sheet is not None
        sheet.append(["Name", "Mobile"])
        sheet.append(["Ann", 61400123456])
        sheet.append(["Bob", "0400 123 457"])
        sheet.append(["Eve", None])
        buffer = io.BytesIO()
        book.save(buffer)
        shown = self.uploaded(person(running), "people.xlsx", buffer.getvalue())
        assert figure(shown, "Recipients") == "2"
        assert "line 4 (empty) empty" in shown.words

    @pytest.mark.parametrize(
        ("name", "content", "why"),
        [
            ("empty.csv", b"", "is empty"),
            ("blank.csv", b"\n\n\n", "no column"),
            ("names.csv", b"Name\nAnn\nBob\n", "No column of the file names.csv holds mobile numbers"),
            ("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0", "neither CSV nor a spreadsheet"),
            ("broken.xlsx", b"PK\x03\x04broken", "is damaged"),
            ("broken.xls", b"\xd0\xcf\x11\xe0broken", "no spreadsheet that can be read"),
        ],
    )
    def test_files_that_are_none(self, running: Site, name: str, content: bytes, why: str) -> None:
        shown = self.uploaded(person(running), name, content)
        if name != "empty.csv":
            assert shown.status == 400
            assert why.lower() in shown.words.lower()
        else:
            assert shown.status == 400


class TestRehearsal:
    """Cost, balance, times, and who is left out: before anything is sent."""

    def test_figures(self, running: Site) -> None:
        who = person(running)
        shown = rehearsed(
            who, message="x" * 200, recipients="0400123456, 0400123457, 0400123456, hello, +4915112345678"
        )
        assert figure(shown, "Recipients") == "2"
        assert figure(shown, "Cost") == "4 2 segments each"
        assert figure(shown, "Balance after") == "996 of 1,000"
        assert figure(shown, "Starts") == "at once"
        assert figure(shown, "Duplicates") == "1, sent to once"
        assert figure(shown, "Invalid") == "1, left out"
        assert figure(shown, "International") == "1, left out"
        assert "Send to 2 for 4 credits" in shown.words
        assert "No carrier is active" in shown.words
        assert "1,000 credits" in who.get("/").words

    def test_opted_out_numbers_are_counted_and_not_charged_in_the_end(self, running: Site) -> None:
        who = person(running)

        async def opt_out(tx: Tx) -> None:
            sql = (
                "INSERT INTO optout (account_id, destination, added_at, reason, body) VALUES "
                f"({who.account.id}, 61400123456, 1, 'Reply', 'STOP')"
            )
            connection = tx.connection  # type: ignore[attr-defined]
            if tx.engine == "sqlite":
                connection.execute(sql)
            else:
                await connection.execute(sql)

        running.run(running.database.write(opt_out))
        shown = rehearsed(who, recipients="0400123456 0400123457")
        assert figure(shown, "Opted out").startswith("1, not sent to; their credits come back")

    def test_too_dear(self, running: Site) -> None:
        who = person(running, credits=1)
        shown = rehearsed(who, recipients="0400123456,0400123457")
        assert "1 credit too few" in shown.words
        assert re.search(r"<button[^>]*disabled", shown.text)
        refused = who.post(f"{shown.url}/send")
        assert refused.status == 400
        assert "not enough credits" in refused.words

    def test_scheduled_in_the_accounts_zone(self, running: Site) -> None:
        who = person(running, zone="Asia/Tokyo")
        shown = rehearsed(who, when="later", at="2030-03-04T05:06")
        assert "Schedule to 1 for 1 credit" in shown.words
        assert "4 Mar 2030 05:06" in figure(shown, "Starts")
        campaign = who.post(f"{shown.url}/send")
        assert "Scheduled" in campaign.words
        assert "4 Mar 2030 05:06" in campaign.words
        assert "2030-03-03T20:06:00" in campaign.text

    def test_the_send_window_is_reckoned_with(self, running: Site) -> None:
        who = person(running, zone="UTC")

        async def window(tx: Tx) -> None:
            sql = f"UPDATE account SET window_opens = 540, window_closes = 600 WHERE id = {who.account.id}"
            connection = tx.connection  # type: ignore[attr-defined]
            if tx.engine == "sqlite":
                connection.execute(sql)
            else:
                await connection.execute(sql)

        running.run(running.database.write(window))
        shown = rehearsed(who, when="later", at="2030-03-04T12:00")
        assert "The send window is closed then." in shown.words
        assert "5 Mar 2030 09:00" in figure(shown, "Starts")
        assert "Messages leave between 09:00 and 10:00." in who.get("/compose").words

    def test_changing_it_keeps_its_recipients(self, running: Site) -> None:
        who = person(running)
        shown = rehearsed(who, recipients="0400123456 0400123457")
        draft = shown.url.rpartition("/")[2]
        form = who.get(f"/compose?draft={draft}")
        assert "Keep the 2 recipients of this draft" in form.words
        changed = who.post(
            "/compose", {**GOOD, "message": "Other", "recipients": "0400123458", "draft": draft, "keep": "1"}
        )
        assert figure(changed, "Recipients") == "3"
        assert who.get(shown.url).status == 404
        assert "2 from before" in changed.words

    def test_discarding(self, running: Site) -> None:
        who = person(running)
        shown = rehearsed(who)
        assert "nothing was sent" in who.post(f"{shown.url}/discard").words
        assert who.get(shown.url).status == 404

    def test_drafts_do_not_stay(self, running: Site) -> None:
        who = person(running)
        old = rehearsed(who)
        running.clock.advance(25 * 3600)
        who.browser.sign_in(who.account.name)
        assert who.get(old.url).status == 404
        rehearsed(who)

        async def left(tx: Tx) -> int:
            row = await tx.one("find_draft", account_id=who.account.id, id=int(old.url.rpartition("/")[2]))
            return 0 if row is None else 1

        assert running.run(running.database.read(left)) == 0


class TestSending:
    """One button, and it sends once."""

    def test_it_is_a_campaign_then(self, running: Site) -> None:
        who = person(running)
        shown = rehearsed(who, recipients="0400123456,0400123457")
        sent = who.post(f"{shown.url}/send")
        assert re.fullmatch(r"/campaigns/\d+\?done=sent", sent.url)
        assert "Accepted. You can leave this page" in sent.words
        assert "998 credits" in sent.words
        assert who.get(shown.url).url == sent.url.partition("?")[0]

    def test_pressed_twice_it_sends_once(self, running: Site) -> None:
        who = person(running)
        shown = rehearsed(who)
        assert (
            who.post(f"{shown.url}/send").url.partition("?")[0]
            == who.post(f"{shown.url}/send").url.partition("?")[0]
        )
        assert "999 credits" in who.get("/").words

    def test_pressed_by_two_at_once_it_sends_once(self, running: Site) -> None:
        who = person(running)
        shown = rehearsed(who)
        twins = [Browser(running, dict(who.browser.cookies), who.browser.csrf) for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            urls = list(
                pool.map(lambda twin: twin.post(f"{shown.url}/send", follow=False).header("location"), twins)
            )
        assert len({(url or "").partition("?")[0] for url in urls}) == 1, urls
        assert "999 credits" in who.get("/").words

    def test_many_recipients(self, running: Site) -> None:
        who = person(running, credits=30_000)
        numbers = "\n".join(str(61400000000 + at) for at in range(25_000))
        who.get("/compose")
        content = numbers.encode()
        shown = who.browser.upload("/compose", {"message": "Hello", "originator": "COOEE"}, "many.csv", content)
        assert figure(shown, "Recipients") == "25,000"
        sent = who.post(f"{shown.url}/send")
        assert "25,000" in sent.words
        assert "5,000 credits" in sent.words

    def test_to_myself_first(self, running: Site) -> None:
        who = person(running)
        shown = rehearsed(who)
        once = re.search(r'name="once" value="([^"]+)"', shown.text)
        assert once is not None
        fields = {"me": "0400 999 999", "once": once[1]}
        tried = who.post(f"{shown.url}/to-me", fields)
        assert "It is on its way to your phone." in tried.words
        who.post(f"{shown.url}/to-me", fields)
        assert "999 credits" in who.get("/").words
        assert 'value="61400999999"' in who.get(shown.url).text
        campaigns = who.get("/campaigns").page.links
        assert len([link for link in campaigns if re.fullmatch(r"/campaigns/\d+", link)]) == 1
        for wrong, why in (("hello", "no mobile number"), ("+4915112345678", "may not send to")):
            refused = who.post(f"{shown.url}/to-me", {"me": wrong, "once": once[1]})
            assert refused.status == 400
            assert why in refused.words

    def test_a_sender_that_is_not_valid_any_more(self, running: Site) -> None:
        who = person(running, credits=0)
        shown = rehearsed(who)
        once = re.search(r'name="once" value="([^"]+)"', shown.text)
        assert once is not None
        refused = who.post(f"{shown.url}/to-me", {"me": "0400123456", "once": once[1]})
        assert refused.status == 400
        assert "Insufficient credits" in refused.words

    def test_a_past_time_within_the_minute_goes_at_once(self, running: Site) -> None:
        who = person(running)
        now = ms_to_local(running.clock.now_ms(), zone("Australia/Sydney"))
        shown = rehearsed(who, when="later", at=f"{now:%Y-%m-%dT%H:%M}")
        assert figure(shown, "Starts") == "at once"
        assert "Running" in who.post(f"{shown.url}/send").words

    def test_a_reference_adds_to_a_campaign_that_waits(self, running: Site) -> None:
        who = person(running)
        at = {"when": "later", "at": "2030-01-01T09:00", "reference": "spring"}
        first = who.post(f"{rehearsed(who, **at).url}/send")
        second = who.post(f"{rehearsed(who, **at, recipients='0400123457').url}/send")
        assert first.url == second.url
        assert "of 2" in second.words


class TestLists:
    """Recipients from stored lists."""

    def test_a_list_is_chosen(self, running: Site) -> None:
        who = person(running)
        who.get("/lists/new")
        stored = who.post("/lists/new", {"name": "Friends", "numbers": "0400123456 0400123457"})
        number = stored.url.partition("?")[0].rpartition("/")[2]
        form = who.get(f"/compose?list={number}")
        assert re.search(rf'name="list" value="{number}" checked', form.text)
        shown = who.post("/compose", {**GOOD, "recipients": "0400123456 0400123458", "list": number})
        assert figure(shown, "Recipients") == "3"
        assert figure(shown, "Duplicates") == "1, sent to once"
        assert "pasted, list Friends" in shown.words
        draft = shown.url.rpartition("/")[2]
        shown = who.post("/compose", {**GOOD, "recipients": "", "draft": draft, "keep": "1"})
        who.post(f"{shown.url}/send")
        assert "campaign" in who.get("/lists").words

    def test_a_list_that_is_gone(self, running: Site) -> None:
        who = person(running)
        who.get("/compose")
        shown = who.post("/compose", {**GOOD, "list": "424242"})
        assert shown.status == 400
        assert "One of the lists is not there any more." in shown.words
