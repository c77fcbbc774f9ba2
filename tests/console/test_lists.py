"""Stored lists in the console: made, imported, changed, downloaded, deleted."""

from __future__ import annotations

import re
import time

import pytest

from tests.console.support_console import Person, Shown, Site, person

FIRST = 61400123456


def made(who: Person, name: str = "Friends", numbers: str = "") -> str:
    """A new list; its address."""
    who.get("/lists/new")
    shown = who.post("/lists/new", {"name": name, "numbers": numbers})
    assert re.match(r"/lists/\d+\?", shown.url), shown.words
    return shown.url.partition("?")[0]


def imported(who: Person, url: str) -> Shown:
    """The page of an import once it is over."""
    for _ in range(200):
        shown = who.get(url)
        if "Done." in shown.words or 'role="alert"' in shown.text:
            return shown
        time.sleep(0.02)
    raise AssertionError(shown.words)


def test_nothing_yet(running: Site) -> None:
    shown = person(running).get("/lists")
    assert "No lists yet" in shown.words
    assert "/lists/new" in shown.page.links


def test_made_by_hand(running: Site) -> None:
    who = person(running)
    here = made(who, "Friends", "0400 123 456\n0400123457, hello\n0400123456")
    shown = who.get(here)
    assert "2 numbers." in shown.words
    overview = who.get("/lists")
    assert "Friends" in overview.words
    assert "No list of that name" in who.get("/lists?q=enemies").words
    assert "Friends" in who.get("/lists?q=FRI").words


def test_an_empty_list(running: Site) -> None:
    who = person(running)
    assert "It is empty." in who.get(made(who)).words


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"name": ""}, "Give it a name."),
        ({"name": "x" * 256}, "up to 255 printable characters"),
        ({"name": "a\0b"}, "printable characters"),
        ({"name": "Good", "numbers": "hello"}, "None of these is a number."),
    ],
)
def test_what_is_wrong_with_a_new_list(running: Site, fields: dict[str, str], why: str) -> None:
    who = person(running)
    who.get("/lists/new")
    shown = who.post("/lists/new", fields)
    assert shown.status == 400
    assert why in shown.words
    assert "No lists yet" in who.get("/lists").words


def test_numbers_are_added_and_taken_out(running: Site) -> None:
    who = person(running)
    here = made(who, numbers="0400123456")
    assert "2 numbers changed." in who.post(f"{here}/add", {"numbers": "0400123456 0400123457 0400123458"}).words
    assert "3 numbers." in who.get(here).words
    assert "1 number changed." in who.post(f"{here}/remove", {"numbers": "0400123457, 0400999999"}).words
    shown = who.get(here)
    assert "2 numbers." in shown.words
    for action in ("add", "remove"):
        refused = who.post(f"{here}/{action}", {"numbers": "hello"})
        assert refused.status == 400
        assert "None of these is a number." in refused.words
        assert "hello" in refused.text


def test_looking_a_number_up(running: Site) -> None:
    who = person(running)
    here = made(who, numbers="0400123456 0400123457")
    assert who.get(f"{here}?q=0400+123+457").text.count('<span class="msisdn">') == 1
    assert "0400999999 is not in this list." in who.get(f"{here}?q=0400999999").words
    assert "hello is not in this list." in who.get(f"{here}?q=hello").words


def test_pages_and_download(running: Site) -> None:
    who = person(running)
    here = made(who, numbers="\n".join(str(FIRST + at) for at in range(205)))
    first = who.get(here)
    assert first.text.count('<span class="msisdn">') == 100
    second = who.get(next(link for link in first.page.links if "after=" in link))
    third = who.get(next(link for link in second.page.links if "after=" in link))
    assert third.text.count('<span class="msisdn">') == 5
    csv = who.get(f"{here}/numbers.csv")
    assert csv.text.split() == ["number", *[str(FIRST + at) for at in range(205)]]
    assert "attachment" in (csv.header("content-disposition") or "")


def test_deleting(running: Site) -> None:
    who = person(running)
    here = made(who, numbers="0400123456")
    assert "Delete this list?" in who.get(f"{here}/delete").words
    assert "The list is deleted." in who.post(f"{here}/delete").words
    assert who.get(here).status == 404
    assert who.post(f"{here}/add", {"numbers": "0400123456"}).status == 404


class TestImport:
    """A file, its columns, and how far it is."""

    CSV = b"Name,Home,Mobile\nAnn,02 9999 9999,0400123456\nBob,,0400123457\nEve,,hello\nAnn,,0400123456\n"

    def test_the_columns_are_shown_and_one_is_chosen(self, running: Site) -> None:
        who = person(running)
        who.get("/lists/new")
        shown = who.browser.upload("/lists/new", {"name": "Members"}, "people.csv", self.CSV)
        assert "Which column holds the numbers?" in shown.words
        assert "people.csv" in shown.words
        assert re.search(r'<option value="2" selected>Mobile</option>', shown.text)
        assert 'value="Members"' in shown.text
        assert "0400123457" in shown.words
        begun = who.post(shown.url, {"column": "2", "into": "0", "name": "Members"})
        done = imported(who, begun.url)
        assert "2 numbers added; 1 duplicate, 1 invalid." in done.words
        assert "line 4 hello no phone number" in done.words
        target = next(link for link in done.page.links if re.fullmatch(r"/lists/\d+", link))
        listed = who.get(target)
        assert "Members" in listed.words
        assert "2 numbers." in listed.words
        # Sent again, it does nothing more.
        who.post(shown.url, {"column": "2", "into": "0", "name": "Members"})
        assert who.get("/lists").words.count("Members") == 1

    def test_another_column(self, running: Site) -> None:
        who = person(running)
        who.get("/lists/new")
        shown = who.browser.upload("/lists/new", {"name": "Homes"}, "people.csv", self.CSV)
        begun = who.post(shown.url, {"column": "1", "into": "0", "name": "Homes"})
        assert "1 number added; 0 duplicate, 3 invalid." in imported(who, begun.url).words

    def test_into_a_list_that_is_there(self, running: Site) -> None:
        who = person(running)
        here = made(who, numbers="0400123456")
        who.get(here)
        shown = who.browser.upload(f"{here}/add", {}, "people.csv", self.CSV)
        number = here.rpartition("/")[2]
        assert re.search(rf'<option value="{number}" selected>', shown.text)
        begun = who.post(shown.url, {"column": "2", "into": number})
        assert "1 number added, 1 was in the list already" in imported(who, begun.url).words

    def test_a_column_without_numbers(self, running: Site) -> None:
        who = person(running)
        who.get("/lists/new")
        shown = who.browser.upload("/lists/new", {"name": "Names"}, "people.csv", self.CSV)
        begun = who.post(shown.url, {"column": "0", "into": "0", "name": "Names"})
        assert "That column holds no numbers" in imported(who, begun.url).words
        assert "Names" not in who.get("/lists").words

    def test_wrong_answers(self, running: Site) -> None:
        who = person(running)
        who.get("/lists/new")
        shown = who.browser.upload("/lists/new", {"name": "Members"}, "people.csv", self.CSV)
        for fields, why in (
            ({"column": "x", "into": "0", "name": "A"}, "Choose the column"),
            ({"column": "²", "into": "²", "name": "A"}, "Choose the column"),
            ({"column": "100", "into": "0", "name": "A"}, "Choose the column"),
            ({"column": "2", "into": "0", "name": ""}, "Give the new list a name."),
            ({"column": "2", "into": "4242", "name": ""}, "not there any more"),
        ):
            refused = who.post(shown.url, fields)
            assert refused.status == 400
            assert why in refused.words

    def test_a_file_that_is_no_table(self, running: Site) -> None:
        who = person(running)
        who.get("/lists/new")
        shown = who.browser.upload("/lists/new", {"name": "Pictures"}, "x.png", b"\x89PNG\0\0")
        assert shown.status == 400
        assert "neither CSV nor a spreadsheet" in shown.words
        here = made(who)
        refused = who.browser.upload(f"{here}/add", {}, "x.png", b"\x89PNG\0\0")
        assert refused.status == 400

    def test_many_numbers_and_files_that_nobody_comes_back_to(self, running: Site) -> None:
        who = person(running)
        who.get("/lists/new")
        content = "".join(f"{FIRST + at}\n" for at in range(45_000)).encode()
        shown = who.browser.upload("/lists/new", {"name": "Many"}, "many.csv", content)
        begun = who.post(shown.url, {"column": "0", "into": "0", "name": "Many"})
        assert "45,000 numbers added" in imported(who, begun.url).words
        running.clock.advance(25 * 3600)
        who.browser.sign_in(who.account.name)
        assert who.get(begun.url).status == 404
        who.get("/lists/new")
        who.browser.upload("/lists/new", {"name": "Next"}, "people.csv", self.CSV)

        async def left(tx: object) -> object:
            number = int(begun.url.rpartition("/")[2])
            return await tx.one("find_upload", account_id=who.account.id, id=number)  # type: ignore[attr-defined]

        assert running.run(running.database.read(left)) is None

    def test_an_import_that_broke_off_says_so(self, running: Site) -> None:
        import msgspec

        from cooee.service.imports import Progress
        from cooee.store import drafts

        who = person(running)
        who.get("/lists/new")
        shown = who.browser.upload("/lists/new", {"name": "Members"}, "people.csv", self.CSV)
        number = int(shown.url.partition("?")[0].rpartition("/")[2])
        stale = Progress(phase="storing", at=running.clock.now_ms() - 120_000, total=10, stored=4)
        text = msgspec.json.encode(stale).decode()
        running.run(running.database.write(lambda tx: drafts.set_upload(tx, who.account.id, number, text)))
        page = who.get(f"/lists/upload/{number}")
        assert "It broke off after 4 numbers." in page.words
        assert not page.page.polled
