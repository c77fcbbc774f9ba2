"""Carriers on the operator's pages: every setting, what is done with one, and how it stands."""

from __future__ import annotations

import re

import pytest

from cooee.model.carrier import CarrierState, SmppSettings
from cooee.model.options import options
from tests.console.support_console import Site
from tests.console.support_operator import Kim, carrier, operator, orphan, sql, uncertain


@pytest.fixture
def kim(running: Site) -> Kim:
    return operator(running)


def test_one_is_added_with_every_setting_explained(running: Site, kim: Kim) -> None:
    form = kim.get("/operator/carriers/new")
    for name, option in options(SmppSettings).items():
        assert f'name="{name}"' in form.text, name
        assert option.description in form.words, name
    shown = kim.post(
        "/operator/carriers/new",
        {"name": "first.one", "host": "smpp.example", "system_id": "acme", "tps": "100", "tls": "true",
         "codes": '{"1042": 301}', "secret": "hunter2"},
    )  # fmt: skip
    assert re.fullmatch(r"/operator/carriers/\d+\?done=carrier-added", shown.url), shown.words
    row = running.run(running.carriers.find("first.one"))
    assert (row.smpp.host, row.tps, row.smpp.tls, row.smpp.codes) == ("smpp.example", 100, True, {"1042": 301})
    assert row.secret == "hunter2"
    assert "hunter2" not in kim.get(f"/operator/carriers/{row.id}").text
    assert "hunter2" not in kim.get(f"/operator/carriers/{row.id}/edit").text
    said = kim.audited(carrier="first.one")
    assert "carrier added" in said
    assert "tps 100" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": "no spaces"}, "no carrier name"),
        ({"host": ""}, "needs host"),
        ({"tps": "fast"}, "tps: takes a whole number from 0"),
        ({"window": "0"}, "window: takes a whole number from 1"),
        ({"codes": "{"}, "codes: takes a JSON object"),
        ({"codes": '{"1": 0}'}, "is no code"),
        ({"secret": "ü"}, "printable ASCII"),
    ],
)
def test_what_cannot_be_is_said(kim: Kim, fields: dict[str, str], says: str) -> None:
    given = {"name": "wrong", "host": "h", "system_id": "s", "max_age_h": "7", **fields}
    shown = kim.post("/operator/carriers/new", given)
    assert (shown.status, says in shown.words) == (400, True), shown.words
    assert 'value="7"' in shown.text
    assert "--set" not in shown.words


def test_a_name_that_is_taken(running: Site, kim: Kim) -> None:
    carrier_id = carrier(running)
    name = kim.get(f"/operator/carriers/{carrier_id}").words
    taken = re.search(r"telco-\d+", name)
    assert taken is not None
    shown = kim.post("/operator/carriers/new", {"name": taken[0], "host": "h", "system_id": "s"})
    assert (shown.status, "already" in shown.words) == (400, True)


def test_changed_back_to_defaults_and_with_another_password(running: Site, kim: Kim) -> None:
    carrier_id = carrier(running, tps="50", window="20")
    url = f"/operator/carriers/{carrier_id}/edit"
    assert 'value="50"' in kim.get(url).text
    (row,) = [each for each in running.run(running.carriers.list()) if each.id == carrier_id]
    base = {"host": "127.0.0.1", "port": "1", "system_id": "acme"}
    shown = kim.post(url, {**base, "tps": "200", "window": ""}, of=url)
    assert "Running engines follow" in shown.words
    found = running.run(running.carriers.find(row.name))
    assert (found.tps, found.smpp.window, found.secret) == (200, 10, "secret")
    assert "tps 50 → 200, window 20 → default" in kim.audited(carrier=row.name)
    kim.post(url, {**base, "secret": "another"}, of=url)
    assert running.run(running.carriers.find(row.name)).secret == "another"
    said = kim.audited(carrier=row.name)
    assert "another password" in said
    kim.post(url, {**base, "no_secret": "1"}, of=url)
    assert running.run(running.carriers.find(row.name)).secret is None
    assert kim.post(url, {**base, "binds": "0"}, of=url).status == 400


def test_paused_resumed_and_removed(running: Site, kim: Kim) -> None:
    carrier_id = carrier(running)
    base = f"/operator/carriers/{carrier_id}"
    (row,) = [each for each in running.run(running.carriers.list()) if each.id == carrier_id]
    assert "its binds stay up" in kim.post(f"{base}/pause", of=base).words
    assert running.run(running.carriers.find(row.name)).state is CarrierState.PAUSED
    assert "Paused" in kim.get("/operator/carriers").words
    kim.post(f"{base}/resume", of=base)
    assert running.run(running.carriers.find(row.name)).state is CarrierState.ACTIVE
    assert "out of service for good" in kim.get(f"{base}/remove").words
    shown = kim.post(f"{base}/remove", of=f"{base}/remove")
    assert shown.url == "/operator/carriers?done=carrier-removed"
    said = kim.audited(carrier=row.name)
    for word in ("carrier paused", "carrier resumed", "carrier removed"):
        assert word in said


def test_how_it_stands_by_the_database(running: Site, kim: Kim) -> None:
    """No engine runs in this process: the page says so, and shows what the rows tell."""
    _, _, carrier_id = uncertain(running, 3)
    orphan(running, carrier_id)
    sql(
        running,
        f"INSERT INTO engine (id, name, beat, started_at) VALUES ({9000 + carrier_id}, 'node-b', 7, 0)",
        f"INSERT INTO bind_lease (carrier_id, no, owner) VALUES ({carrier_id}, 0, {9000 + carrier_id})",
    )
    shown = kim.get(f"/operator/carriers/{carrier_id}").words
    assert "No engine runs in this process" in shown
    assert f"held by engine node-b ({9000 + carrier_id})" in shown
    assert "Uncertain 3" in shown
    assert "Unmatched receipts 1" in shown
    sql(running, f"DELETE FROM engine WHERE id = {9000 + carrier_id}")
    part = kim.get(f"/operator/carriers/{carrier_id}?part=live")
    assert "which is gone" in part.words
    assert "<html" not in part.text
    lines = kim.get(f"/operator/carriers/{carrier_id}/unmatched").words
    assert "abc1042" in lines
    assert "UNDELIV 301" in lines
    assert "<html" not in kim.get("/operator/carriers?part=live").text


def test_unmatched_receipts_in_pages(running: Site, kim: Kim) -> None:
    carrier_id = carrier(running)
    for _ in range(51):
        orphan(running, carrier_id)
    shown = kim.get(f"/operator/carriers/{carrier_id}/unmatched")
    assert shown.words.count("abc1042") == 50
    (older,) = [link for link in shown.page.links if "before=" in link]
    assert kim.get(older).words.count("abc1042") == 1


def test_a_check_says_what_became_of_it(running: Site, kim: Kim) -> None:
    """Nobody listens on port 1: the same words as the command line has."""
    carrier_id = carrier(running)
    base = f"/operator/carriers/{carrier_id}"
    shown = kim.post(f"{base}/check", of=base)
    assert "It cannot be bound to. 127.0.0.1:1:" in shown.words
    part = kim.post(f"{base}/check", of=base, live=True)
    assert "<html" not in part.text
    assert 'id="check"' in part.text
