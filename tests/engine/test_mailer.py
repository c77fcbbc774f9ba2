"""Mails to sign-ups, against a mail server at the socket that answers, refuses, says nothing, or wants no TLS."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import structlog

from cooee.engine.mailer import Mailer, MailRules
from cooee.model.clock import DAY, MINUTE, ManualClock
from cooee.model.signup import MAILS_A_DAY, MailState, SignupRules
from cooee.service.accounts import Accounts
from cooee.service.mail import MailServer, probe
from cooee.service.signups import Signup, Signups
from cooee.store.database import Database
from cooee.store.ids import Ids
from cooee.store.open import open_database
from tests.service.support_tls import Authority
from tests.store.support_store import raw, raw_run
from tests.support.smtp import FakeSmtp

PASSWORD = "a good password"
ADDRESS = "ann@example.org"
TIMEOUT = 0.5
RULES = SignupRules(mode="email", per_address=1000, per_hour=1000, per_day=1000)


@dataclass
class Post:
    """Sign-ups and a mailer on one store."""

    database: Database
    clock: ManualClock
    accounts: Accounts
    signups: Signups
    rules: MailRules

    @property
    def mailer(self) -> Mailer:
        return Mailer(self.database, self.clock, self.rules)

    async def ask(self, name: str = "ann", email: str = ADDRESS) -> None:
        wish, problems = self.signups.read(
            name=name, company="Ann & Co", email=email, zone_name="UTC", country="AU"
        )
        assert not problems
        await self.signups.ask(wish, PASSWORD, "192.0.2.1")

    async def one(self, name: str = "ann") -> Signup:
        (found,) = [each for each in await self.signups.page() if each.wish.name == name]
        return found


def run(url: str, server: FakeSmtp | int, check: Callable[[Post], Awaitable[None]], **more: object) -> None:
    """`server` may be a port where there is none. `more` are settings of the mail server."""

    async def main() -> None:
        clock = ManualClock()
        database = await open_database(url, clock, pool=4)
        accounts = Accounts(database, Ids(database), clock)
        port = server if isinstance(server, int) else server.port
        given = MailServer(
            host="localhost", port=port, tls="none", sender="trial@cooee.example", hello="sms.cooee.example",
            timeout_s=TIMEOUT,
        )  # fmt: skip
        try:
            signups = Signups(database, Ids(database), clock, accounts, RULES)
            rules = MailRules(replace(given, **more), "https://sms.cooee.example", RULES.link_ms)  # type: ignore[arg-type]
            await check(Post(database, clock, accounts, signups, rules))
            assert list(await database.read(lambda tx: tx.all("ledger_differences"))) == []
        finally:
            accounts.close()
            await database.close()

    asyncio.run(main())


async def until(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen within 10 s")


def token_of(server: FakeSmtp, at: int = -1) -> str:
    found = re.search(r"https://sms\.cooee\.example/signup/confirm\?key=([\w-]{43})\b", text_of(server, at))
    assert found is not None
    return found[1]


def text_of(server: FakeSmtp, at: int = -1) -> str:
    return str(server.mails[at][2].get_content())


def test_a_mail_with_a_link_goes_out_once(database_url: str) -> None:
    with FakeSmtp() as server:

        async def check(post: Post) -> None:
            await post.ask()
            assert (await post.one()).mail is MailState.DUE
            verdict = await post.mailer.one()
            assert verdict is not None
            assert verdict.sent
            found = await post.one()
            assert (found.mail, found.mail_at, found.mail_tries) == (MailState.SENT, post.clock.now_ms(), 1)
            assert await post.mailer.one() is None
            ((sender, to, mail),) = server.mails
            assert (sender, to) == ("trial@cooee.example", ADDRESS)
            assert (mail["From"], mail["To"]) == ("trial@cooee.example", ADDRESS)
            assert mail["Auto-Submitted"] == "auto-generated"
            assert mail["Date"]
            assert mail["Message-ID"].endswith("@cooee.example>")
            assert "EHLO sms.cooee.example" in server.said
            # What a stranger may write freely is in no mail to somebody else.
            assert "Ann & Co" not in str(mail)
            assert "24 hours" in text_of(server)
            token = token_of(server)
            for table in ("signup", "signup_link"):
                rows = await post.database.read(lambda tx, table=table: raw(tx, f"SELECT * FROM {table}"))  # type: ignore[misc]
                assert token not in str(rows)
                assert PASSWORD not in str(rows)
            made = await post.signups.confirm(token)
            assert made is not None
            assert made.done
            view = await post.accounts.show("ann")
            assert [(line.amount, line.kind, line.reason) for line in view.ledger] == [
                (100, "opening", "free trial")
            ]

        run(database_url, server, check)


def test_a_link_is_confirmed_once_from_however_many_nodes(database_url: str) -> None:
    with FakeSmtp() as server:

        async def check(post: Post) -> None:
            await post.ask()
            await post.mailer.one()
            token = token_of(server)
            assert await post.signups.look_up(token) is not None
            assert await post.accounts.list() == []
            other = await open_database(database_url, post.clock, pool=4)
            try:
                peer = Signups(other, Ids(other), post.clock, post.accounts, RULES)
                answers = await asyncio.gather(*(each.confirm(token) for each in [post.signups, peer] * 4))
            finally:
                await other.close()
            (account,) = await post.accounts.list()
            assert account.credits == 100
            assert {answer.signup.account_id for answer in answers if answer is not None} == {account.id}
            assert None not in answers
            again = await post.signups.confirm(token)
            assert again is not None
            assert again.done

        run(database_url, server, check)


@pytest.mark.parametrize("word", ["MAIL", "RCPT", "DATA", "."])
def test_what_is_refused_for_now_is_tried_again(database_url: str, word: str) -> None:
    with FakeSmtp(answers={word: "451 come back"}) as server:

        async def check(post: Post) -> None:
            await post.ask()
            for tries, minutes in ((1, 1), (2, 2), (3, 4)):
                verdict = await post.mailer.one()
                assert verdict is not None
                assert (verdict.sent, verdict.final) == (False, False)
                found = await post.one()
                assert (found.mail, found.mail_tries) == (MailState.DUE, tries)
                assert found.mail_error == "the mail server said 451 come back"
                assert found.mail_at == post.clock.now_ms() + minutes * MINUTE
                post.clock.advance(minutes * 60 - 1)
                assert await post.mailer.one() is None
                post.clock.advance(1)
            server.answers.clear()
            verdict = await post.mailer.one()
            assert verdict is not None
            assert verdict.sent
            found = await post.one()
            assert (found.mail, found.mail_error) == (MailState.SENT, "")
            # The link counts from when its mail went out.
            assert found.over_at == post.clock.now_ms() + RULES.link_ms

        run(database_url, server, check)


def test_a_link_of_an_earlier_mail_works_too(database_url: str) -> None:
    """The first mail was taken, but its answer never came."""
    with FakeSmtp(silent=".") as server:

        async def check(post: Post) -> None:
            await post.ask()
            verdict = await post.mailer.one()
            assert verdict is not None
            assert not verdict.sent
            sent = "\n".join(server.said) + server.clear.decode()
            found = re.search(r"confirm\?key=3?D?=?([\w-]{43})", sent.replace("=\r\n", ""))
            assert found is not None
            server.silent = ""
            post.clock.advance(60)
            await post.mailer.one()
            assert token_of(server) != found[1]
            made = await post.signups.confirm(found[1])
            assert made is not None
            assert made.done

        run(database_url, server, check)


@pytest.mark.parametrize("word", ["RCPT", "."])
def test_what_is_refused_for_good_is_given_up(database_url: str, word: str) -> None:
    with FakeSmtp(answers={word: "550 5.1.1 nobody here"}) as server:

        async def check(post: Post) -> None:
            await post.ask()
            with structlog.testing.capture_logs() as logs:
                verdict = await post.mailer.one()
            assert verdict is not None
            assert (verdict.final, verdict.server) == (True, False)
            assert [line["event"] for line in logs] == ["mail_failed"]
            assert logs[0]["reason"] == "the mail server refused this mail: 550 5.1.1"
            found = await post.one()
            assert (found.mail, found.mail_error) == (
                MailState.REJECTED,
                "the mail server said 550 5.1.1 nobody here",
            )
            post.clock.advance(3600)
            assert await post.mailer.one() is None
            # Until a person has it sent again.
            server.answers.clear()
            await post.signups.mail_again(found.id)
            verdict = await post.mailer.one()
            assert verdict is not None
            assert verdict.sent

        run(database_url, server, check)


@pytest.mark.parametrize(
    ("answers", "more"),
    [
        ({"GREETING": "554 not today"}, {}),
        ({"AUTH": "535 5.7.8 wrong"}, {"user": "cooee", "password": "secret word"}),
        ({"MAIL": "550 not you"}, {}),
        ({"MAIL": "530 5.7.0 sign in first"}, {}),
    ],
)
def test_what_is_the_servers_fault_is_tried_again(
    database_url: str, answers: dict[str, str], more: dict[str, str]
) -> None:
    with FakeSmtp(answers=answers) as server:

        async def check(post: Post) -> None:
            await post.ask()
            with structlog.testing.capture_logs() as logs:
                verdict = await post.mailer.one()
            assert verdict is not None
            assert (verdict.sent, verdict.final, verdict.server) == (False, False, True)
            assert "secret word" not in str(logs) + verdict.reason
            assert (await post.one()).mail is MailState.DUE

        run(database_url, server, check, **more)


@pytest.mark.parametrize("word", ["RCPT", "DATA", "."])
@pytest.mark.parametrize(
    ("answer", "codes"),
    [
        (f"550 5.7.1 {ADDRESS} is not for you", "550 5.7.1"),
        (f"550-5.7.26 {ADDRESS}\r\n550 5.7.26 says no", "550 5.7.26"),
        (f"550 #5.7.606 <{ADDRESS}>: access denied", "550 5.7.606"),
        (f"530 5.7.0 sign in, {ADDRESS}", "530 5.7.0"),
        (f"530 5.7.0@{ADDRESS}", "530"),
        (f"451 4.7.1 {ADDRESS}, later", "451 4.7.1"),
    ],
)
def test_policy_against_one_recipient_is_no_fault_of_the_server(
    database_url: str, word: str, answer: str, codes: str
) -> None:
    """It is tried again, for it may be about us, and its words, with the address in them, are in no log."""
    with FakeSmtp(answers={word: answer}) as server:

        async def check(post: Post) -> None:
            await post.ask()
            await post.ask("bob", "bob@example.org")
            with structlog.testing.capture_logs() as logs:
                verdict = await post.mailer.one()
                assert verdict is not None
                assert (verdict.sent, verdict.final, verdict.server) == (False, False, False)
                server.answers.clear()
                verdict = await post.mailer.one()
            assert verdict is not None
            assert verdict.sent
            assert server.mails[0][1] == "bob@example.org"
            assert logs[0]["reason"] == f"the mail server refused this mail: {codes}"
            assert ADDRESS not in str(logs)
            found = await post.one()
            assert found.mail is MailState.DUE
            assert ADDRESS in found.mail_error

        run(database_url, server, check)


def test_all_refused_by_policy_are_tried_without_a_pause(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cooee.engine.mailer.PAUSE_S", 3600.0)
    with FakeSmtp(answers={"RCPT": "550 5.7.1 relaying denied"}) as server:

        async def check(post: Post) -> None:
            for name in ("ann", "bob", "cat"):
                await post.ask(name, f"{name}@example.org")
            sending = asyncio.create_task(post.mailer.run())
            await until(lambda: len([line for line in server.said if line.startswith("RCPT")]) == 3)
            sending.cancel()

        run(database_url, server, check)


def test_a_sender_that_is_refused_stops_all_mails_for_a_moment(database_url: str) -> None:
    with FakeSmtp(answers={"MAIL": "550 5.7.1 not from you"}) as server:

        async def check(post: Post) -> None:
            for name in ("ann", "bob", "cat"):
                await post.ask(name, f"{name}@example.org")
            with structlog.testing.capture_logs() as logs:
                sending = asyncio.create_task(post.mailer.run())
                await until(lambda: bool(logs))
                await asyncio.sleep(0.5)
                sending.cancel()
            assert [line["reason"] for line in logs] == ["the mail server said 550 5.7.1 not from you"]
            assert [line.split(" ")[0] for line in server.said].count("MAIL") == 1

        run(database_url, server, check)


@pytest.mark.parametrize("word", ["GREETING", "EHLO", "RCPT", "DATA", "."])
def test_a_server_that_says_nothing_holds_nothing_up(database_url: str, word: str) -> None:
    with FakeSmtp(silent=word) as server:

        async def check(post: Post) -> None:
            await post.ask()
            async with asyncio.timeout(8 * TIMEOUT):
                verdict = await post.mailer.one()
            assert verdict is not None
            assert (verdict.sent, verdict.server) == (False, True)
            assert "did not answer in time" in (await post.one()).mail_error

        run(database_url, server, check)


def test_a_server_that_never_ends_an_answer_is_cut_off(database_url: str) -> None:
    with FakeSmtp(slow="EHLO") as server:

        async def check(post: Post) -> None:
            await post.ask()
            async with asyncio.timeout(10 * TIMEOUT):
                verdict = await post.mailer.one()
            assert verdict is not None
            assert (verdict.sent, verdict.server) == (False, True)

        run(database_url, server, check)


def test_a_server_that_is_not_there(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def check(post: Post) -> None:
        await post.ask()
        verdict = await post.mailer.one()
        assert verdict is not None
        assert verdict.server
        assert "cannot be reached" in (await post.one()).mail_error

    run(database_url, port, check)


@pytest.mark.parametrize("answers", [{}, {"STARTTLS": "454 not now"}])
def test_without_tls_nothing_is_told(database_url: str, answers: dict[str, str]) -> None:
    """STARTTLS is not offered, or refused: there is no way back to plain text."""
    with FakeSmtp(answers=answers, offers=("STARTTLS", "AUTH PLAIN") if answers else ("AUTH PLAIN",)) as server:

        async def check(post: Post) -> None:
            await post.ask()
            verdict = await post.mailer.one()
            assert verdict is not None
            assert (verdict.sent, verdict.server) == (False, True)
            assert (await post.one()).mail is MailState.DUE
            assert {line.split(" ")[0] for line in server.said} <= {"EHLO", "STARTTLS"}

        run(database_url, server, check, tls="starttls", user="cooee", password="secret word")


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: str) -> None:
    authority = Authority(tmp_path)
    url = f"sqlite:///{tmp_path / 'cooee.db'}"
    context = authority.context("localhost")
    more = {"tls": tls, "user": "cooee", "password": "secret word"}
    with FakeSmtp(context=context, implicit=tls == "tls") as server:

        async def untrusted(post: Post) -> None:
            await post.ask()
            verdict = await post.mailer.one()
            assert verdict is not None
            assert "certificate is not good" in verdict.reason
            assert server.logins == []

        run(url, server, untrusted, **more)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))

        async def trusted(post: Post) -> None:
            assert (await probe(post.rules.server)).sent
            assert server.mails == []
            post.clock.advance(60)
            verdict = await post.mailer.one()
            assert verdict is not None
            assert verdict.sent, verdict.reason
            assert server.logins == ["cooee\0secret word"] * 2
            assert len(server.mails) == 1
            assert b"AUTH" not in server.clear.replace(b"250-AUTH", b"")
            # The name that is connected to must be the certificate's.
            other = replace(post.rules.server, host="127.0.0.1")
            assert "certificate is not good" in (await probe(other)).reason

        run(url, server, trusted, **more)


def test_how_they_part_changes_nothing(database_url: str) -> None:
    with FakeSmtp(answers={"QUIT": "500 what?"}) as server:

        async def check(post: Post) -> None:
            await post.ask()
            verdict = await post.mailer.one()
            assert verdict is not None
            assert verdict.sent
            assert len(server.mails) == 1

        run(database_url, server, check)


def test_several_mailers_send_each_mail_once(database_url: str) -> None:
    with FakeSmtp() as server:

        async def check(post: Post) -> None:
            for at in range(6):
                await post.ask(f"user-{at}", f"user{at}@example.org")
            mailers = [post.mailer for _ in range(3)]
            for _ in range(3):
                await asyncio.gather(*(mailer.one() for mailer in mailers))
            assert sorted(to for _, to, _ in server.mails) == [f"user{at}@example.org" for at in range(6)]

        run(database_url, server, check)


def test_a_try_that_a_kill_cut_short_comes_again(database_url: str) -> None:
    with FakeSmtp(silent="EHLO") as server:

        async def check(post: Post) -> None:
            await post.ask()
            trying = asyncio.create_task(post.mailer.one())
            await until(lambda: bool(server.said))
            trying.cancel()
            await asyncio.gather(trying, return_exceptions=True)
            server.silent = ""
            assert await post.mailer.one() is None
            post.clock.advance(120)
            verdict = await post.mailer.one()
            assert verdict is not None
            assert verdict.sent
            assert (await post.one()).mail_tries == 2

        run(database_url, server, check)


def test_a_mailbox_that_had_its_trial_gets_a_reminder(database_url: str) -> None:
    with FakeSmtp() as server:

        async def check(post: Post) -> None:
            await post.ask()
            await post.mailer.one()
            await post.signups.confirm(token_of(server))
            await post.ask("ann-2", "Ann+more@Example.ORG")
            await post.mailer.one()
            assert server.mails[-1][1] == "Ann+more@Example.ORG"
            assert "account ann," in text_of(server)
            assert "https://sms.cooee.example/sign-in" in text_of(server)
            assert "key=" not in text_of(server)
            assert (await post.one("ann-2")).trial == "ann"

        run(database_url, server, check)


def test_of_two_links_of_one_mailbox_one_makes_an_account(database_url: str) -> None:
    with FakeSmtp() as server:

        async def check(post: Post) -> None:
            for name in ("ann", "ann-2"):
                await post.ask(name)
                await post.mailer.one()
            await post.signups.confirm(token_of(server, 0))
            second = await post.signups.confirm(token_of(server, 1))
            assert second is not None
            assert (second.done, second.had) == (False, "ann")
            assert [account.name for account in await post.accounts.list()] == ["ann"]
            # An operator may make an account of it all the same, but the credits were given.
            waiting = await post.one("ann-2")
            assert (await post.signups.approve(waiting.id))[2] == 0
            assert (await post.accounts.show("ann-2")).ledger == []

        run(database_url, server, check)


def test_no_mailbox_is_filled_by_strangers(database_url: str) -> None:
    with FakeSmtp() as server:

        async def check(post: Post) -> None:
            for at in range(5):
                await post.ask(f"user-{at}")
                await post.mailer.one()
            assert len(server.mails) == 3
            assert [each.mail for each in await post.signups.page()] == [MailState.WITHHELD] * 2 + [
                MailState.SENT
            ] * 3
            post.clock.advance(DAY / 1000 + 1)
            await post.ask("user-9")
            await post.mailer.one()
            assert len(server.mails) == 4

        run(database_url, server, check)


def test_what_has_expired_gets_no_mail(database_url: str) -> None:
    with FakeSmtp() as server:

        async def check(post: Post) -> None:
            await post.ask()
            post.clock.advance(RULES.link_ms / 1000 + 1)
            assert await post.mailer.one() is None
            assert server.mails == []

        run(database_url, server, check)


def test_a_link_ends_and_so_does_a_refused_one(database_url: str) -> None:
    with FakeSmtp() as server:

        async def check(post: Post) -> None:
            await post.ask("one", "one@example.org")
            await post.ask("two", "two@example.org")
            for _ in range(2):
                await post.mailer.one()
            tokens = {to: token_of(server, at) for at, (_, to, _) in enumerate(server.mails)}
            await post.signups.refuse((await post.one("two")).id)
            assert await post.signups.confirm(tokens["two@example.org"]) is None
            post.clock.advance(RULES.link_ms / 1000 - 1)
            assert await post.signups.look_up(tokens["one@example.org"]) is not None
            post.clock.advance(1)
            assert await post.signups.confirm(tokens["one@example.org"]) is None
            assert await post.accounts.list() == []
            for wrong in ("", "x", "x" * 43, tokens["one@example.org"] + "x", "é" * 43):
                assert await post.signups.look_up(wrong) is None

        run(database_url, server, check)


def test_a_name_that_was_taken_meanwhile(database_url: str) -> None:
    with FakeSmtp() as server:

        async def check(post: Post) -> None:
            await post.ask()
            await post.mailer.one()
            await post.accounts.add("ANN", PASSWORD)
            found = await post.signups.confirm(token_of(server))
            assert found is not None
            assert (found.done, found.taken) == (False, True)
            assert [account.name for account in await post.accounts.list()] == ["ANN"]

        run(database_url, server, check)


def test_the_mailer_goes_on_after_faults_by_itself(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cooee.engine.mailer.LOOK_S", 0.02)
    monkeypatch.setattr("cooee.engine.mailer.PAUSE_S", 0.02)
    with FakeSmtp(answers={"GREETING": "421 busy"}) as server:

        async def check(post: Post) -> None:
            running = asyncio.create_task(post.mailer.run())
            await post.ask()
            for _ in range(500):
                if (await post.one()).mail_error:
                    break
                await asyncio.sleep(0.02)
            assert (await post.one()).mail_error
            server.answers.clear()
            post.clock.advance(61)
            await until(lambda: bool(server.mails))
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        run(database_url, server, check)


def test_an_address_that_no_header_can_hold_ends_nothing(database_url: str) -> None:
    """Whatever a stranger typed: it is told, and the next mail goes out."""
    with FakeSmtp() as server:

        async def check(post: Post) -> None:
            await post.ask()
            await post.database.write(
                lambda tx: raw_run(tx, "UPDATE signup SET email = '=?utf-8?q?a=0D=0Ab?=@example.org'")
            )
            await post.ask("bob", "bob@example.org")
            verdict = await post.mailer.one()
            assert verdict is not None
            assert (verdict.sent, verdict.final) == (False, True)
            assert (await post.one()).mail is MailState.REJECTED
            verdict = await post.mailer.one()
            assert verdict is not None
            assert verdict.sent
            assert len(server.mails) == 1

        run(database_url, server, check)


def test_a_password_that_no_mail_server_can_be_told_is_said(database_url: str) -> None:
    with FakeSmtp() as server:

        async def check(post: Post) -> None:
            await post.ask()
            verdict = await post.mailer.one()
            assert verdict is not None
            assert "ASCII only" in verdict.reason
            assert "gehe" not in verdict.reason

        run(database_url, server, check, user="cooee", password="gehe\u00efm")


def test_names_that_are_asked_for_again_bring_no_more_mails(database_url: str) -> None:
    with FakeSmtp() as server:

        async def check(post: Post) -> None:
            for _ in range(4):
                for name in ("one", "two", "three"):
                    await post.ask(name)
                    for _ in range(3):
                        await post.mailer.one()
                post.clock.advance(RULES.link_ms / 1000 / 8 + 1)
                await post.database.write(lambda tx: raw_run(tx, "UPDATE signup SET over_at = 1 WHERE state = 0"))
            assert len(server.mails) == MAILS_A_DAY

        run(database_url, server, check)
