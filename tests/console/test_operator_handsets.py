"""The wall of phones: what is sent arrives on it, what is answered comes back, nothing is drawn without need."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop

from cooee.app.node import Node
from cooee.config import Settings
from cooee.model.inbound import NumberKind
from cooee.service.numbers import Numbers
from cooee.smpp.smsc import SmscConfig
from cooee.web.console.pages.operator_handsets import PLACES, arrange
from tests.api.support_api import PASSWORD, Client
from tests.console.support_console import Browser, Shown, Site
from tests.console.support_operator import operator

NUMBER = "61400190499"


@dataclass
class Live:
    """A node with the simulated SMSC, in a thread of its own; looks like a Server to a Client and a Browser."""

    folder: Path
    node: Node = field(init=False)

    def __enter__(self) -> Live:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        settings = Settings(database=f"sqlite:///{self.folder / 'cooee.db'}", simulate=True, port=0)
        self.node = Node(settings, SmscConfig(receipt_delay=0.05))
        self.run(self.node.start())
        self.account = self.run(self.node.accounts.add("acme", PASSWORD, credits=10_000))
        self.run(Numbers(self.node.database, self.node.clock).add(NUMBER, NumberKind.DEDICATED, "acme"))
        self.run(self.node.operators.add("kim", PASSWORD))
        self.port = self.node.port
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.node.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def send(self, to: list[int], text: str = "Hello", originator: str = NUMBER) -> None:
        """A message through the API, until it has arrived."""
        client = Client(self, "acme", self.account)  # type: ignore[arg-type]
        answer = client.create(Destinations=[str(number) for number in to], Message=text, Originator=originator)
        assert answer.code == 0, answer.json
        phones = self.phones
        until(lambda: all(text in [b.text for b in phones.phone(str(number)).bubbles] for number in to))

    @property
    def phones(self) -> Any:
        services = self.node.console_services
        assert services is not None
        assert services.desk.phones is not None
        return services.desk.phones

    def browser(self) -> Browser:
        found = Browser(self)  # type: ignore[arg-type]
        assert found.sign_in_operator("kim", PASSWORD).status == 200
        return found


def until(holds: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("handsets")) as found:
        yield found


def shown_by(page: Shown) -> list[str]:
    """What a page would say that it shows."""
    return re.findall(r'name="shown" value="([^"]*)"', page.text)


def ask(browser: Browser, shown: list[str], **fields: str) -> Shown:
    return browser.post(
        "/operator/handsets/changed",
        [*(("shown", each) for each in shown), *fields.items()],
        headers={"HX-Request": "true"},
    )


def test_a_message_arrives_and_its_answer_comes_back(live: Live) -> None:
    browser = live.browser()
    before = browser.get("/operator/handsets")
    live.send([61400000001], "Your table is ready")
    news = ask(browser, shown_by(before))
    assert "Your table is ready" in news.words
    assert 'hx-swap-oob="true"' in news.text
    assert "sms new" in news.text
    answered = browser.post(
        "/operator/handsets/61400000001/answer",
        {"text-61400000001": "On my way", "place": "3"},
        headers={"HX-Request": "true"},
    )
    assert 'id="place-3"' in answered.text
    assert "On my way" in answered.words
    rows = live.node.database

    def replies() -> list[tuple[Any, ...]]:
        async def work(tx: Any) -> list[tuple[Any, ...]]:
            return list(tx.connection.execute("SELECT originator, recipient, body FROM reply"))

        found: list[tuple[Any, ...]] = live.run(rows.read(work))
        return found

    until(replies)
    assert replies() == [("61400000001", NUMBER, "On my way")]


def test_nothing_is_drawn_that_has_not_changed(live: Live) -> None:
    browser = live.browser()
    live.send([61400000002, 61400000003])
    page = browser.get("/operator/handsets")
    seen = shown_by(page)
    assert ask(browser, seen).status == 204
    live.send([61400000003], "Another one")
    news = ask(browser, seen)
    assert "Another one" in news.words
    # A phone that stays where it is gets a new screen; what is typed into its form is left alone.
    assert "answer-form" not in news.text
    assert re.findall(r'id="(screen|place)-\d+"', news.text) == ["screen"]
    assert news.text.count("sms new") == 1


def test_a_phone_that_somebody_else_turned_off_is_off_for_everybody(live: Live) -> None:
    browser = live.browser()
    number = 61400000005
    live.send([number])
    seen = shown_by(browser.get("/operator/handsets"))
    live.phones.switch(str(number), "off")
    news = ask(browser, seen, **{f"text-{number}": "half an ans"})
    assert "61 400 000 005 ‖ off" in news.words
    assert '<option value="off" selected>' in news.text
    # The answer that was begun on it is still there.
    assert 'value="half an ans"' in news.text
    seen = [next((new for new in shown_by(news) if new[:12] == each[:12]), each) for each in seen]
    assert ask(browser, seen).status == 204
    live.phones.switch(str(number), "on")


def test_an_answer_that_cannot_be_sent_says_so_and_stays(live: Live) -> None:
    browser = live.browser()
    live.send([61400000006])
    browser.get("/operator/handsets")
    for text, why in (("  ", "An answer has 1 to 2000 characters."), ("x" * 2001, "1 to 2000")):
        fields = {"text-61400000006": text, "place": "0"}
        shown = browser.post("/operator/handsets/61400000006/answer", fields, headers={"HX-Request": "true"})
        assert (shown.status, why in shown.words) == (200, True)
        assert f'value="{text[:2000]}"' in shown.text
        assert browser.post("/operator/handsets/61400000006/answer", fields).status == 400


def test_a_phone_that_is_answered_keeps_its_place(live: Live) -> None:
    browser = live.browser()
    first = 61400000010
    live.send([first], "the first of many")
    seen = shown_by(browser.get("/operator/handsets"))
    live.send(list(range(61400000011, 61400000011 + PLACES)))
    gone = ask(browser, seen)
    busy = ask(browser, seen, **{f"text-{first}": "half an ans"})
    assert f"Phone {first}" not in gone.text
    place = next(at for at, each in enumerate(seen) if each.startswith(f"{first}:"))
    assert f'id="place-{place}"' in gone.text
    assert f'id="place-{place}"' not in busy.text


def test_dead_full_and_off(live: Live) -> None:
    browser = live.browser()
    browser.get("/operator/handsets")
    for number, state in ((61400000031, "dead"), (61400000032, "full"), (61400000033, "off")):
        shown = browser.post(f"/operator/handsets/{number}/state", {"state": state})
        assert shown.url == f"/operator/handsets?phone={number}"
        assert live.phones.phone(str(number)).state == state
    client = Client(live, "acme", live.account)  # type: ignore[arg-type]
    answer = client.create(Destinations=["61400000031", "61400000032", "61400000033"], Originator=NUMBER)
    campaign = answer.json["CampaignId"]

    def codes() -> dict[str, int]:
        report = client.post("/api/DRStatus", {"CampaignId": campaign}).json
        return {each["Destination"]: each["Status"]["Code"] for each in report["Destinations"]}

    until(lambda: len(codes()) == 2)
    assert codes() == {"61400000031": 1, "61400000032": 211}
    assert live.phones.phone("61400000033").bubbles == ()
    browser.post("/operator/handsets/61400000033/state", {"state": "on"})
    until(lambda: len(live.phones.phone("61400000033").bubbles) == 1)
    assert browser.post("/operator/handsets/61400000033/state", {"state": "odd"}).status == 400


def test_a_slow_network(live: Live) -> None:
    browser = live.browser()
    browser.get("/operator/handsets")
    assert "The network is slow" in browser.post("/operator/handsets/network", {"slow": "1"}).words
    assert live.node.smsc is not None
    assert live.node.smsc.config.receipt_delay > 10
    assert "The network is quick" in browser.post("/operator/handsets/network", {"slow": "0"}).words
    assert live.node.smsc.config.receipt_delay == 0.05


def test_a_number_is_looked_for_as_people_write_it(live: Live) -> None:
    browser = live.browser()
    shown = browser.get("/operator/handsets?phone=0400+000+777")
    assert "Phone 61400000777" in shown.text
    assert "Nothing has come yet." in shown.words
    assert "is no number" in browser.get("/operator/handsets?phone=hello").words


def test_what_cannot_be_answered(live: Live) -> None:
    browser = live.browser()
    live.send([61400000041], "From a name", originator="COOEE")
    page = browser.get("/operator/handsets?phone=61400000041")
    assert "A name cannot be answered" in page.text
    for fields in ({"text-61400000041": "hi"}, {"text-61400000041": " ", "to": NUMBER}, {"to": NUMBER}):
        assert browser.post("/operator/handsets/61400000041/answer", fields).status == 400
    long = {"text-61400000041": "x" * 2001, "to": NUMBER}
    assert browser.post("/operator/handsets/61400000041/answer", long).status == 400
    assert browser.post("/operator/handsets/123/answer", {"text-123": "x", "to": NUMBER}).status == 404


def test_the_carrier_is_shown_live(live: Live) -> None:
    """The engine runs in this process: binds, window and answers are its own."""
    browser = live.browser()
    live.send([61400000051])
    shown = browser.get("/operator/carriers/1")
    assert "which runs in this process" in shown.words
    assert "bound to" in shown.words
    assert "Window used 0 of 500 segments" in shown.words
    assert re.search(r"[1-9]\d* accepted", shown.words)
    assert "1 of 1 up" in browser.get("/operator/carriers").words
    checked = browser.post("/operator/carriers/1/check")
    assert "It can be bound to." in checked.words


def test_the_banner_says_that_it_is_simulated(live: Live) -> None:
    browser = live.browser()
    for url in ("/operator", "/operator/carriers", "/operator/audit", "/operator/handsets"):
        assert "Simulated carrier." in browser.get(url).words, url


def test_without_a_simulated_carrier_there_are_none(running: Site) -> None:
    kim = operator(running)
    assert "No carrier is simulated in this process" in kim.get("/operator/handsets").words
    assert kim.post("/operator/handsets/changed", {}).status == 404
    assert kim.post("/operator/handsets/61400000001/state", {"state": "on"}).status == 404
    assert "Simulated carrier." not in kim.get("/operator").words


@pytest.mark.parametrize(
    ("shown", "latest", "kept", "places"),
    [
        ([None] * 3, ["a", "b"], [], ["a", "b", None]),
        (["a", "b", None], ["c", "b", "a"], [], ["a", "b", "c"]),
        (["a", "b", "c"], ["d", "c", "b"], [], ["d", "b", "c"]),
        (["a", "b", "c"], ["d", "c", "b"], ["a"], ["a", "d", "c"]),
        (["a", "b", "c"], ["d", "e", "f"], ["a", "b", "c"], ["a", "b", "c"]),
        (["a", None, None], [], [], ["a", None, None]),
        ([None, "a", None], ["b"], [], ["b", "a", None]),
    ],
)
def test_who_stands_where(
    shown: list[str | None], latest: list[str], kept: list[str], places: list[str | None]
) -> None:
    assert arrange(shown, latest, kept) == places
