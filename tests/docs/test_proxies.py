"""The examples for nginx and Caddy in docs/operations.md, run as they are printed, in front of a real server."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cooee.config import Settings
from cooee.web.respond import STALLED_S
from tests.docs.support_proxies import (
    PROGRAMS,
    Client,
    Proxy,
    Visitor,
    balancer,
    example,
    proxies_setting,
    replaced,
)
from tests.reconcile.support_stack import PASSWORD, Node, Stack, http_status, wait_for
from tests.support.postgres import PostgresServer

MIB = 1024 * 1024
NUMBERS = ("61400190499", "61400190500")
TEXT = {"Action": "create", "Originator": NUMBERS[0], "Message": "Kia ora"}
HIDDEN = ("/metrics", "/healthz", "/readyz")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server that trusts whom the page trusts, on an SMSC of ours."""
    folder = tmp_path_factory.mktemp("proxied")
    settings = {"trusted_proxies": proxies_setting()}
    with Stack(f"sqlite:///{folder / 'cooee.db'}", folder, settings=settings) as made:
        made.prepare()
        for account, number in zip(made.accounts, NUMBERS, strict=True):
            made.cli("number", "add", number, "--account", account, "--kind", "dedicated")
        made.cli("operator", "add", "kim", "--password-stdin", stdin=PASSWORD + "\n")
        made.node()
        yield made


@pytest.fixture(scope="module", params=PROGRAMS)
def proxy(
    request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    text = replaced(example(request.param), {"127.0.0.1:8080": f"127.0.0.1:{node(stack).port}"})
    with Proxy(request.param, tmp_path_factory.mktemp(request.param), text) as running:
        yield running


def node(stack: Stack) -> Node:
    return stack.nodes[0]


def home(proxy: Proxy, number: int) -> str:
    """An address that no other test asks from."""
    return f"127.{50 + PROGRAMS.index(proxy.name)}.0.{number}"


def addresses(stack: Stack, action: str) -> list[str]:
    """From where that was done, by the audit log, the newest first."""
    return [
        str(row[0]) for row in stack.rows(f"SELECT address FROM audit WHERE action = '{action}' ORDER BY id DESC")
    ]


def test_a_campaign_goes_out_through_it(proxy: Proxy) -> None:
    client = Client(proxy, home(proxy, 1))
    made = client.post("/api/campaign", {**TEXT, "Destinations": ["61400123456", "61400123457"]})
    assert (made["Code"], made["Messages"]) == (0, 2)
    status = client.post("/api/campaign", {"Action": "status", "CampaignId": made["CampaignId"]})
    assert status["Code"] == 0
    code, body = client.ask("GET", "/api/credits")
    assert (code, json.loads(body)["Code"]) == (200, 0)
    client.close()


def test_people_sign_in_and_change_things(proxy: Proxy, stack: Stack) -> None:
    visitor = Visitor(proxy, home(proxy, 2), X_Forwarded_Proto="http")
    assert visitor.sign_in("acme", PASSWORD).url == "/"
    # By https, whatever the client writes about that.
    assert "__Host-cooee" in visitor.cookies
    visitor.get("/settings")
    zone = f"Asia/{'Tokyo' if proxy.name == 'nginx' else 'Seoul'}"
    assert visitor.post("/settings/times", {"zone": zone}).status == 200
    assert zone in visitor.get("/settings").text
    assert visitor.post("/settings/times", {"zone": "Asia/Dubai"}, csrf="0" * 64).status == 403
    foreign = {"Origin": "https://elsewhere.example.org"}
    assert visitor.post("/settings/times", {"zone": "Asia/Dubai"}, headers=foreign).status == 403
    assert zone in visitor.get("/settings").text
    operator = Visitor(proxy, home(proxy, 2))
    assert operator.sign_in_operator("kim", PASSWORD).url == "/operator"
    assert "__Secure-cooee-operator" in operator.cookies


@pytest.mark.parametrize("forged", ["203.0.113.9", "127.0.0.1", "::1", "unknown", "203.0.113.9, 127.0.0.1"])
def test_the_audit_log_names_the_client_and_not_what_it_makes_up(proxy: Proxy, stack: Stack, forged: str) -> None:
    visitor = Visitor(proxy, home(proxy, 3), X_Forwarded_For=forged, X_Real_IP=forged, Forwarded=f"for={forged}")
    assert visitor.sign_in("acme", PASSWORD).url == "/"
    assert addresses(stack, "signed in")[0] == home(proxy, 3)


def test_who_guesses_passwords_locks_only_himself_out(proxy: Proxy) -> None:
    guesser = Client(proxy, home(proxy, 4), "wrong")
    asked = [guesser.ask("GET", "/api/credits", X_Forwarded_For=f"203.0.113.{at}")[0] for at in range(10)]
    assert asked == [401] * 10
    assert Client(proxy, home(proxy, 4)).ask("GET", "/api/credits")[0] == 429
    assert Client(proxy, home(proxy, 5)).ask("GET", "/api/credits", X_Forwarded_For=home(proxy, 4))[0] == 200


def large(size: int) -> bytes:
    """A campaign to one number in so many octets."""
    body = json.dumps({**TEXT, "Destinations": ["61400123456"]}).encode()
    return body[:-1] + b" " * (size - len(body)) + b"}"


@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_come_through(proxy: Proxy, chunked: bool) -> None:
    body = large(30 * MIB)
    client = Client(proxy, home(proxy, 6))
    pieces = (body[at : at + MIB] for at in range(0, len(body), MIB))
    assert client.post("/api/campaign", pieces if chunked else body)["Code"] == 0
    client.close()


def test_bodies_that_are_too_large_are_refused_by_cooee(proxy: Proxy) -> None:
    """In JSON, as all that Cooee refuses, and not on a page of the proxy's.

    Who goes on writing to somebody that has closed may lose what that one had said; so Caddy's clients, at times.
    """
    body = large(Settings().body_limit_mb * MIB + MIB)
    answers = (Client(proxy, home(proxy, 7)).ask_listening("/api/campaign", body) for _ in range(10))
    answer = next(answer for answer in answers if answer)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"Code":-906' in answer


def test_it_keeps_its_connections_to_the_server(proxy: Proxy, stack: Stack) -> None:
    def connections() -> set[int]:
        found = psutil.Process(node(stack).pid).net_connections()
        ours = (each for each in found if each.laddr.port == node(stack).port)
        return {each.raddr.port for each in ours if each.status == "ESTABLISHED"}

    def ask() -> None:
        client = Client(proxy, home(proxy, 8))
        assert client.ask("GET", "/api/credits")[0] == 200
        client.close()

    ask()
    before = connections()
    for _ in range(20):
        ask()
    assert before & connections()
    assert len(connections() - before) <= 2


@pytest.mark.parametrize("page", HIDDEN)
def test_what_is_for_inside_is_kept_inside(proxy: Proxy, stack: Stack, page: str) -> None:
    assert http_status(node(stack).port, page) == 200
    name = page[1:]
    client = Client(proxy, home(proxy, 9))
    for spelling in (
        page, f"{page}?a=b", f"{page}/", f"/{page}", f"/.{page}", f"/%{ord(name[0]):x}{name[1:]}",
        f"/api/..{page}", f"/api/%2e%2e{page}", page.upper(), f"{page};x", f"{page}%00", f"{page}%2f",
    ):  # fmt: skip
        status, body = client.ask("GET", spelling)
        assert status in (400, 404), (spelling, status)
        assert b"cooee_" not in body
        assert b"ready" not in body
        client.close()
    assert client.ask("GET", "/sign-in")[0] == 200
    client.close()


def test_a_server_that_is_away_is_a_gateways_error_until_it_is_back(proxy: Proxy, stack: Stack) -> None:
    client = Client(proxy, home(proxy, 10))
    assert client.ask("GET", "/api/credits")[0] == 200
    assert node(stack).terminate()[0] == 0
    assert client.ask("GET", "/api/credits")[0] == 502
    node(stack).start()
    assert client.ask("GET", "/api/credits")[0] == 200
    client.close()


def test_replies_that_nobody_waited_for_are_still_there(proxy: Proxy, stack: Stack) -> None:
    """A proxy has to hang up when its client does, or it would take them for one that is gone."""
    # To an account of each, for polls of one may not follow at once.
    at = PROGRAMS.index(proxy.name)
    account = stack.accounts[at]
    stack.smsc.ask("reply", **{"from": "61400123456", "to": NUMBERS[at], "text": proxy.name, "system_id": "cooee"})
    text = f"SELECT retrieved_at FROM reply WHERE body = '{proxy.name}'"
    wait_for("the reply is stored", lambda: stack.rows(text) == [(None,)], 20)
    pid = node(stack).pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        client = Client(proxy, home(proxy, 11), account=account)
        client.ask_and_go("/api/replies")
        time.sleep(0.3)
    finally:
        os.kill(pid, signal.SIGCONT)
    client = Client(proxy, home(proxy, 11), account=account)
    # It is answered after the one before.
    shown = client.post("/api/replies", {"Test": True})
    client.close()
    assert [reply["MessageText"] for reply in shown["Messages"]].count(proxy.name) == 1
    assert stack.rows(text) == [(None,)]


def test_nginx_waits_for_longer_than_the_server_does() -> None:
    found = re.search(r"proxy_read_timeout (\d+)s;", example("nginx"))
    assert found is not None
    assert int(found[1]) > STALLED_S


class Customer:
    """Asks every few hundredths of a second, each time over a connection of its own, and repeats nothing."""

    def __init__(self, proxy: Proxy, source: str) -> None:
        self.wrong: list[object] = []
        self.asked = 0
        self._proxy, self._source = proxy, source
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.03):
            client = Client(self._proxy, self._source)
            try:
                status, body = client.ask("GET", "/api/credits")
                if status != 200:
                    self.wrong.append((status, body))
            except Exception as error:
                self.wrong.append(error)
            finally:
                client.close()
            self.asked += 1

    def end(self) -> None:
        """After its last answer; AssertionError with what went wrong."""
        self._over.set()
        self._thread.join(30)
        assert self.asked > 50
        assert not self.wrong, (len(self.wrong), self.asked, self.wrong[:3])


def test_nodes_behind_a_balancer_are_replaced_unnoticed(postgres: PostgresServer, tmp_path: Path) -> None:
    settings = {"trusted_proxies": proxies_setting(), "drain_s": "6"}
    with Stack(postgres.fresh(), tmp_path, settings=settings) as stack:
        stack.prepare()
        nodes = [stack.node("api") for _ in range(2)]
        ports = {f"10.0.0.{11 + at}:8080": f"127.0.0.1:{node.port}" for at, node in enumerate(nodes)}
        with Proxy("caddy", tmp_path, replaced(balancer(), ports)) as proxy:
            customer = Customer(proxy, "127.60.0.1")
            for node in nodes:
                assert node.terminate()[0] == 0
                assert http_status(node.port, "/readyz") == 0
                node.start()
                # Until the balancer has seen it: the other one stops next.
                time.sleep(3)
            customer.end()
            hidden = Client(proxy, "127.60.0.2")
            assert [hidden.ask("GET", page)[0] for page in HIDDEN] == [404] * 3
            hidden.close()
