"""Calls of webhooks against real receivers: what counts as taken, and what the guard lets through."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cooee.model.clock import SystemClock
from cooee.model.webhook import ReplyCall, Target
from cooee.service import receiver as module
from cooee.service.receiver import Outcome, Receiver
from cooee.service.resolver import SystemResolver
from tests.service.support_receiver import (
    Answer,
    Call,
    Hook,
    endless,
    hook,
    nothing,
    plain,
    raw,
    redirect,
    slowly,
)
from tests.service.support_tls import Authority

REPLY = ReplyCall("61400000001", "61411", "ref 7", "Yes, please: 10 % & more? ä€😀")


class Names:
    """A resolver that says what a test wants, and counts."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): list(each) for name, each in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        each = self.answers.get(host)
        if each is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return each.pop(0) if len(each) > 1 else each[0]


def call(
    url: Callable[[Hook], str] = lambda made: made.url,
    *,
    answer: Answer | None = None,
    allow_private: bool = True,
    names: Names | None = None,
    reply: ReplyCall = REPLY,
    password: str = "s3cret/&=",
    then: Callable[[Hook, Outcome], None] = lambda _made, _outcome: None,
) -> Outcome:
    """One call of a receiver."""

    async def main() -> Outcome:
        async with hook(answer) as made:
            receiver = Receiver(SystemClock(), allow_private=allow_private, resolve=names)
            try:
                outcome = await receiver.call(Target(url(made), "cooee", password), reply)
            finally:
                await receiver.close()
            then(made, outcome)
            return outcome

    return asyncio.run(main())


@pytest.mark.parametrize("body", [b"0", b"0\n", b" \r\n0\r\n", b"\t0 "])
@pytest.mark.parametrize("status", ["200 OK", "201 Created", "299 Whatever"])
def test_a_reply_is_taken_when_the_answer_is_0(body: bytes, status: str) -> None:
    outcome = call(answer=plain(body, status))
    assert outcome == Outcome(True, int(status[:3]))


@pytest.mark.parametrize(
    ("answer", "status", "reason", "excerpt"),
    [
        (plain(b"<html>0</html>"), 200, "answered 200 with something else than 0", "<html>0</html>"),
        (plain(b"00"), 200, "answered 200 with something else than 0", "00"),
        (plain(b"'0'"), 200, "answered 200 with something else than 0", "'0'"),
        (plain(b"OK"), 200, "answered 200 with something else than 0", "OK"),
        (plain("\ufeff0".encode()), 200, "answered 200 with something else than 0", "0"),
        (plain(b""), 200, "answered 200 with an empty body instead of 0", ""),
        (plain(b"  \n"), 200, "answered 200 with an empty body instead of 0", ""),
        (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), 204, "answered 204 with an empty body instead of 0", ""),
        (plain(b"0", "500 Oops"), 500, "answered 500", "0"),
        (plain(b"0", "404 Not Found"), 404, "answered 404", "0"),
        (raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"), 304, "answered 304", ""),
        (plain(b"0", "302 Found"), 302, "answered 302", "0"),
        (plain(b"0", "200 OK", "Content-Encoding: gzip"), 200,
         "answered 200 with a compressed body, which is not read", ""),
        (plain(b"0" * 5000), 200, "answered 200 with more than 4096 octets instead of 0", "0" * 24 + "…"),
        (endless, 200, "answered 200 with more than 4096 octets instead of 0", "0"),
    ],
)  # fmt: skip
def test_anything_else_is_not(answer: Answer, status: int, reason: str, excerpt: str) -> None:
    outcome = call(answer=answer)
    assert not outcome.taken
    assert (outcome.status, outcome.reason) == (status, reason)
    assert outcome.excerpt.strip() == excerpt
    assert not outcome.unreachable


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (raw(b""), "the connection ended before an answer came"),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "what it answered is not valid HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n0"),
         "what it answered is not valid HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20000 + b"\r\n\r\n0"), "what it answered is not valid HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n0"), "what it answered is not valid HTTP"),
    ],
)  # fmt: skip
def test_a_broken_answer_is_none(answer: Answer, reason: str) -> None:
    assert call(answer=answer) == Outcome(False, None, reason, unreachable="connection" in reason)


def test_the_request_is_a_get_with_six_parameters_after_the_urls_own_query() -> None:
    def seen(made: Hook, outcome: Outcome) -> None:
        assert outcome.taken
        (request,) = made.calls
        assert request.method == "GET"
        assert request.path == "/a%20b"
        assert request.pairs == [
            ("token", "x/y"), ("flag", ""), ("username", "cooee"), ("password", "s3cret/&="),
            ("originator", "61400000001"), ("recipient", "61411"), ("reference", "ref 7"),
            ("message_text", "Yes, please: 10 % & more? ä€😀"),
        ]  # fmt: skip
        assert request.raw_query.startswith("token=x/y&flag=&username=cooee&password=s3cret%2F%26%3D&")
        assert request.raw_query.endswith(
            "&message_text=Yes%2C%20please%3A%2010%20%25%20%26%20more%3F%20%C3%A4%E2%82%AC%F0%9F%98%80"
        )
        assert "authorization" not in request.headers
        assert "cookie" not in request.headers
        assert request.headers["user-agent"].startswith("cooee/")

    call(lambda made: f"http://127.0.0.1:{made.port}/a%20b?token=x/y&flag=", then=seen)


def test_a_lone_surrogate_is_told_as_the_replacement_character() -> None:
    def seen(made: Hook, outcome: Outcome) -> None:
        assert made.calls[0].query["message_text"] == "a\ufffdb"

    assert call(reply=ReplyCall("1", "2", "", "a\ud83db"), then=seen).taken


def test_a_long_reply_fits() -> None:
    text = "ж" * 6000

    def seen(made: Hook, outcome: Outcome) -> None:
        assert made.calls[0].query["message_text"] == text

    assert call(reply=ReplyCall("1", "2", "", text), then=seen).taken


def test_what_echoes_secrets_is_not_kept() -> None:
    def echo(request: Call, writer: asyncio.StreamWriter) -> None:
        plain(request.query["password"].encode())(request, writer)

    outcome = call(answer=echo)
    assert outcome.excerpt == ""
    assert "s3cr" not in repr(outcome)
    assert call(answer=plain(b"you wrote: Yes, please")).excerpt == ""

    def echo_url(request: Call, writer: asyncio.StreamWriter) -> None:
        plain(request.target.rpartition("message_text=")[2].encode())(request, writer)

    assert (
        call(answer=echo_url, reply=ReplyCall("1", "2", "", "\u041f\u0440\u0438\u0432\u0435\u0442")).excerpt == ""
    )


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        outcome = call(lambda _: f"http://127.0.0.1:{port}/")
    assert outcome == Outcome(False, None, "no connection: connection refused", unreachable=True)


def test_a_name_without_an_address() -> None:
    outcome = call(lambda _: "http://nowhere.example/", names=Names(), allow_private=False)
    assert outcome.reason == "its name has no address: Name or service not known"
    assert outcome.unreachable


def test_silence_ends_after_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOTAL_S", 0.3)
    outcome = call(answer=nothing)
    assert outcome == Outcome(False, None, "no whole answer within 0.3 s", unreachable=True)
    drip = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n0", close=False)
    assert call(answer=drip).reason == "no whole answer within 0.3 s"


def test_a_slow_answer_counts() -> None:
    assert call(answer=slowly(0.5)).taken


# --- redirects ---------------------------------------------------------------------------------------------------


def test_redirects_are_followed_a_few_times() -> None:
    def hops(most: int) -> Answer:
        def answer(request: Call, writer: asyncio.StreamWriter) -> None:
            hop = int(request.query.get("hop", "0"))
            if hop == most:
                plain()(request, writer)
            else:
                redirect(f"/next?hop={hop + 1}&kept=%2F", 307)(request, writer)

        return answer

    def seen(made: Hook, outcome: Outcome) -> None:
        assert [request.method for request in made.calls] == ["GET"] * 4
        assert made.calls[-1].raw_query == "hop=3&kept=%2F"

    assert call(answer=hops(3), then=seen).taken
    outcome = call(answer=hops(4))
    assert (outcome.taken, outcome.status, outcome.reason) == (False, 307, "more than 3 redirects")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_every_redirect_is_followed_by_a_get(status: int) -> None:
    def answer(request: Call, writer: asyncio.StreamWriter) -> None:
        (plain() if request.path == "/there" else redirect("/there", status))(request, writer)

    assert call(answer=answer).taken


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("file:///etc/passwd", "does not begin with"),
        ("gopher://127.0.0.1/", "does not begin with"),
        ("http://u:p@receiver.example/", "holds a login"),
        ("http://receiver.example:22/", "port 22"),
        ("http://[::ffff:a9fe:a9fe]/", "a cloud's metadata service"),
        ("//169.254.169.254/latest", "a cloud's metadata service"),
        ("http://0.0.0.0/", "unspecified"),
        ("http://2130706433/", "no host name and no address"),
    ],
)
def test_redirects_that_are_refused_even_where_private_targets_are_allowed(place: str, reason: str) -> None:
    def seen(made: Hook, _outcome: Outcome) -> None:
        assert len(made.calls) == 1

    outcome = call(answer=redirect(place), then=seen)
    assert not outcome.taken
    assert outcome.status == 302
    assert outcome.reason.startswith("redirected to a URL that is refused: ")
    assert reason in outcome.reason


# --- the guard ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [
    "127.0.0.1", "10.1.2.3", "::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1",
    "169.254.169.254", "100.64.0.1", "0.0.0.0",  # noqa: S104 (an address that is refused)
])  # fmt: skip
def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    def seen(made: Hook, _outcome: Outcome) -> None:
        assert made.connections == 0

    names = Names(inside_example=[[address]])
    outcome = call(lambda made: f"http://inside.example:{made.port}/", names=names, allow_private=False, then=seen)
    assert not outcome.taken
    assert outcome.reason.startswith(f"refused: it resolves to {address}, which is ")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "[::ffff:7f00:1]", "0.0.0.0"])  # noqa: S104 (refused)
def test_an_address_inside_is_refused_without_asking_anybody(host: str) -> None:
    names = Names()
    outcome = call(lambda made: f"http://{host}:{made.port}/", names=names, allow_private=False)
    assert outcome.reason.startswith("refused: ")
    assert names.asked == []


def test_a_name_that_changes_its_mind_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the first answer is judged and used; the second, on the next connection, is judged anew."""
    monkeypatch.setattr(module, "forbidden", _only_refuses("127.0.0.2"))

    async def main() -> None:
        async with hook() as made:
            names = Names(shifty_example=[["127.0.0.1"], ["127.0.0.2"]])
            receiver = Receiver(SystemClock(), allow_private=False, resolve=names)
            target = Target(f"http://shifty.example:{made.port}/", "", "")
            assert (await receiver.call(target, REPLY)).taken
            assert names.asked == ["shifty.example"]
            outcome = await receiver.call(target, REPLY)
            assert outcome.reason == "refused: it resolves to 127.0.0.2, which is refused by the test"
            assert len(made.calls) == 1
            await receiver.close()

    asyncio.run(main())


def test_of_several_addresses_only_those_that_may_be_called_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "forbidden", _only_refuses("127.0.0.2"))

    def seen(made: Hook, outcome: Outcome) -> None:
        assert outcome.taken
        assert made.connections == 1

    names = Names(both_example=[["127.0.0.2", "127.0.0.1"]])
    call(lambda made: f"http://both.example:{made.port}/", names=names, allow_private=False, then=seen)


def test_a_redirect_inside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first receiver is as good as public; what it redirects to is a name that leads to loopback."""
    monkeypatch.setattr(module, "forbidden", _only_refuses("127.0.0.2"))
    names = Names(public_example=[["127.0.0.1"]], inside_example=[["127.0.0.2"]])

    def answer(request: Call, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        redirect(f"http://inside.example:{port}/")(request, writer)

    def seen(made: Hook, outcome: Outcome) -> None:
        assert len(made.calls) == 1
        assert outcome.reason == "refused: it resolves to 127.0.0.2, which is refused by the test"

    call(
        lambda made: f"http://public.example:{made.port}/",
        answer=answer,
        names=names,
        allow_private=False,
        then=seen,
    )
    # An address that is written out is refused before that.
    outcome = call(
        lambda made: f"http://public.example:{made.port}/", answer=redirect("http://127.0.0.1:8080/"), names=names,
        allow_private=False,
    )  # fmt: skip
    assert outcome.reason.startswith("redirected to a URL that is refused: 127.0.0.1 is loopback")


def test_the_socket_itself_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever way an address takes past the other checks, no socket is made for it."""
    monkeypatch.setattr(module, "clean_url", lambda text, **_: text)

    def seen(made: Hook, _outcome: Outcome) -> None:
        assert made.connections == 0

    outcome = call(allow_private=False, then=seen)
    assert not outcome.taken
    assert "127.0.0.1 is loopback" in outcome.reason


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    assert call().taken


def _only_refuses(address: str) -> Callable[..., str | None]:
    def forbidden(candidate: object, *, allow_private: bool) -> str | None:
        return "refused by the test" if str(candidate) == address else None

    return forbidden


# --- TLS ---------------------------------------------------------------------------------------------------------


def _https(authority: Authority, work: Callable[[Hook, Receiver], Awaitable[None]]) -> None:
    async def main() -> None:
        async with hook(context=authority.context("good.example")) as made:
            names = Names(good_example=[["127.0.0.1"]], other_example=[["127.0.0.1"]])
            receiver = Receiver(SystemClock(), allow_private=True, resolve=names)
            try:
                await work(made, receiver)
            finally:
                await receiver.close()

    asyncio.run(main())


def test_certificates_are_verified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def unknown(made: Hook, receiver: Receiver) -> None:
        outcome = await receiver.call(Target(f"https://good.example:{made.port}/", "", ""), REPLY)
        assert outcome.reason.startswith("its certificate is not accepted: ")
        assert made.calls == []

    _https(authority, unknown)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))

    async def known(made: Hook, receiver: Receiver) -> None:
        assert (await receiver.call(Target(f"https://good.example:{made.port}/", "", ""), REPLY)).taken
        outcome = await receiver.call(Target(f"https://other.example:{made.port}/", "", ""), REPLY)
        assert outcome.reason.startswith("its certificate is not accepted: Hostname mismatch")
        plain_port = await receiver.call(Target(f"http://good.example:{made.port}/", "", ""), REPLY)
        assert not plain_port.taken
        made.answer = redirect(f"http://good.example:{made.port}/")
        outcome = await receiver.call(Target(f"https://good.example:{made.port}/", "", ""), REPLY)
        assert outcome.reason == "redirected from https to http, which would tell the password"

    _https(authority, known)


# --- names -------------------------------------------------------------------------------------------------------


def test_the_systems_resolver_keeps_answers_and_asks_again() -> None:
    async def main() -> None:
        resolver = SystemResolver(SystemClock())
        assert set(await resolver("localhost")) <= {"127.0.0.1", "::1"}
        assert await resolver("localhost") is await resolver("localhost")
        with pytest.raises(OSError):
            await resolver("nowhere.invalid")

    asyncio.run(main())


def test_names_that_hang_do_not_hold_up_those_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    original = socket.getaddrinfo

    def lookup(host: str, *more: Any, **named: Any) -> object:
        if host.endswith(".dead.example"):
            release.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure")
        return original("127.0.0.1", *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)

    async def main() -> None:
        clock = SystemClock()
        resolver = SystemResolver(clock)
        assert await resolver("good.example") == ["127.0.0.1"]
        resolver._known["good.example"] = (0.0, [])  # its time is over
        dead = [asyncio.ensure_future(resolver(f"{n}.dead.example")) for n in range(40)]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(2):
            assert await resolver("good.example") == ["127.0.0.1"]
        release.set()
        for each in dead:
            each.cancel()
        await asyncio.gather(*dead, return_exceptions=True)

    asyncio.run(main())
