"""Bodies too large for the event loop: numbers in every form, as one text, broken, and several at once."""

from __future__ import annotations

import gc
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cooee.model.account import Account
from cooee.service.campaigns import Campaigns, Created
from cooee.service.recipients import LARGE, CreateCampaign
from cooee.web import body as body_module
from tests.api.support_api import Client, Server, basic

COUNT = 30_000
NUMBERS = [f"614{n:08d}" for n in range(COUNT)]


@pytest.fixture
def client(server: Server) -> Client:
    return server.account(credits=10**6)


def body_of(destinations: Any, **more: Any) -> bytes:
    fields = {"Message": "Hi", "Originator": "Cooee", "Destinations": destinations, "Action": "create", **more}
    body = json.dumps(fields).encode()
    assert len(body) > LARGE
    return body


@pytest.mark.parametrize("form", ["strings", "integers", "local", "text", "mixed", "nested"])
def test_every_form(client: Client, form: str) -> None:
    destinations: Any = {
        "strings": NUMBERS,
        "integers": [int(number) for number in NUMBERS],
        "local": [f"0{number[2:5]} {number[5:8]} {number[8:]}" for number in NUMBERS],
        "text": ", ".join(NUMBERS),
        "mixed": ["+" + number if n % 3 else int(number) for n, number in enumerate(NUMBERS)] + [None, True, "x"],
        "nested": [*NUMBERS, ["61400123456"], {"a": ",]"}],
    }[form]
    answer = client.post("/api/campaign", body_of(destinations)).json
    # Not every number of eight digits behind 614 is a mobile: the small path knows which, and agrees.
    expected = sum(
        client.create(Destinations=NUMBERS[at : at + 5000]).json.get("Messages", 0) for at in range(0, COUNT, 5000)
    )
    assert answer["Messages"] == answer["Credits"] == expected


def test_repeats_are_dropped_and_the_charge_agrees(client: Client, server: Server) -> None:
    numbers = [f"61400{n:06d}" for n in range(1000)]
    answer = client.post("/api/campaign", body_of(numbers * 30)).json
    assert answer["Messages"] == 1000
    assert client.credits == 10**6 - 1000
    assert list(server.run(server.database.read(lambda tx: tx.all("ledger_differences")))) == []


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (lambda body: body[:-2], -900),
        (lambda body: body.replace(b'"Hi"', b'"H\xff"'), -900),
        (lambda body: body.replace(b'"Hi"', b'""'), -117),
        (lambda body: body.replace(b'"Action"', b'"Acting"'), -910),
        (lambda body: body.replace(b'"614', b'"999'), -111),
        (lambda body: body.replace(b'"61400000005"', b'"614" "5"'), -900),
        (lambda body: b"[" + body + b"]", -900),
    ],
)
def test_refusals(client: Client, broken: Any, code: int) -> None:
    assert client.post("/api/campaign", broken(body_of(NUMBERS))).code == code
    assert client.untouched(10**6)


def test_leniency_and_idempotency(client: Client) -> None:
    body = body_of(NUMBERS).replace(b'"61400000005", ', b'"\\ud800", "61400000005" ,').replace(b"],", b",],")
    body = b"\xef\xbb\xbf" + body
    first = client.post("/api/campaign", body, headers={"Idempotency-Key": "big"})
    assert first.code == 0
    again = client.call("POST", "/api/campaign", pieces(body), headers={"Idempotency-Key": "big"})
    assert again.body == first.body
    other = client.post("/api/campaign", body + b" ", headers={"Idempotency-Key": "big"})
    assert other.code == -911


def pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 7777):
        yield body[start : start + 7777]


def test_too_few_credits(server: Server) -> None:
    client = server.account(credits=10)
    assert client.post("/api/campaign", body_of(NUMBERS)).code == -202
    assert client.untouched(10)


def test_stalled_bodies_make_room(client: Client, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clients that stop in the middle hold both places; a third waits its turn and is served."""
    monkeypatch.setattr(body_module, "STALLED_S", 0.5)
    head = f"POST /api/campaign HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(client.name)}\r\n".encode()
    lines = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(2)]
    try:
        for line in lines:
            line.sendall(head + b"Content-Length: 1000000\r\n\r\n" + b" " * (LARGE + 100_000))
        outcome: list[int] = []
        third = threading.Thread(
            target=lambda: outcome.append(client.post("/api/campaign", body_of(NUMBERS)).code)
        )
        third.start()
        assert client.create().code == 0
        third.join(20)
        assert outcome == [0]
        for line in lines:
            got = b""
            while b"-900" not in got:
                got += line.recv(65536)
            assert b" 400 " in got
            assert b"Request body is not complete" in got
    finally:
        for line in lines:
            line.close()


def test_slow_bodies_of_one_account_keep_no_other_waiting(client: Client, server: Server) -> None:
    head = f"POST /api/campaign HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(client.name)}\r\n".encode()
    other = server.account(credits=10**6)
    lines = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(3)]
    try:
        for line in lines:
            line.sendall(head + b"Content-Length: 1000000\r\n\r\n" + b" " * (LARGE + 100_000))
        assert client.create().code == 0
        began = time.monotonic()
        assert other.post("/api/campaign", body_of(NUMBERS)).code == 0
        # Stalled ones would make room only later.
        assert time.monotonic() - began < body_module.STALLED_S / 2
    finally:
        for line in lines:
            line.close()
    assert client.post("/api/campaign", body_of(NUMBERS)).code == 0


def test_the_body_is_gone_before_numbers_are_stored(tmp_path: Path) -> None:
    """What is left by then is 8 octets a number, and not 15 of JSON beside them."""
    held: list[int] = []

    class Watched:
        def __init__(self, campaigns: Campaigns) -> None:
            self._campaigns = campaigns

        async def create(self, account: Account, request: CreateCampaign) -> Created:
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
            return await self._campaigns.create(account, request)

    numbers = [f"61400{n:06d}" for n in range(1000)] * 200
    with Server(f"sqlite:///{tmp_path / 'cooee.db'}", wrap=Watched) as server:
        client = server.account(credits=10**6)
        assert client.create().code == 0
        body = body_of(numbers)
        tracemalloc.start()
        try:
            assert client.post("/api/campaign", body).json["Messages"] == 1000
        finally:
            tracemalloc.stop()
    assert held[1] < len(body) // 4
