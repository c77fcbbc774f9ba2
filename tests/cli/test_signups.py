"""`cooee signup`: who waits, approved and refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cooee.model.clock import SystemClock
from cooee.model.signup import Mode, SignupRules, Wish
from cooee.service.accounts import Accounts
from cooee.service.signups import Signups
from cooee.store.ids import Ids
from cooee.store.open import open_database
from tests.cli.support_cli import PASSWORD, Shell
from tests.cli.test_audit import lines
from tests.support.smtp import FakeSmtp


def with_signups(shell: Shell, work: Callable[[Signups], Awaitable[None]], mode: Mode = "approval") -> None:
    async def main() -> None:
        database = await open_database(shell.database, SystemClock(), pool=1)
        accounts = Accounts(database, Ids(database), SystemClock())
        try:
            await work(Signups(database, Ids(database), SystemClock(), accounts, SignupRules(mode=mode)))
        finally:
            accounts.close()
            await database.close()

    asyncio.run(main())


def asked(shell: Shell, *names: str, mode: Mode = "approval") -> None:
    """They have filled the form in."""

    async def work(signups: Signups) -> None:
        for name in names:
            wish = Wish(name, "Ann & Co", f"{name}@example.org", "Asia/Tokyo", "AU")
            await signups.ask(wish, PASSWORD, "192.0.2.7")

    with_signups(shell, work, mode)


def test_list_approve_and_refuse(shell: Shell) -> None:
    shell("account", "list")
    assert shell("signup", "list") == "Nobody waits.\n"
    assert shell("signup", "list", "--over") == "Nothing was decided lately.\n"
    asked(shell, "ann", "bob")
    told = shell("signup", "list")
    assert "bob@example.org" in told
    assert "Asia/Tokyo" in told
    second, first = shell.json("signup", "list")
    assert {key: first[key] for key in first if not key.endswith("_at")} == {
        "id": first["id"], "name": "ann", "company": "Ann & Co", "email": "ann@example.org", "country": "AU",
        "zone": "Asia/Tokyo", "address": "192.0.2.7", "state": "waiting", "account_id": None, "mail": "none",
        "mail_tries": 0, "mail_error": None, "trial_of": None,
    }  # fmt: skip
    assert first["mail_at"] is None
    assert first["created_at"] < first["over_at"]
    told = shell("signup", "approve", str(first["id"]), "--signup-credits", "250")
    assert told == "account ann added with UserId 1001 and 250 credits\n"
    view = shell.json("account", "show", "ann")
    assert (view["credits"], view["zone"], view["originators"]) == (250, "Asia/Tokyo", "approved")
    assert [(line["kind"], line["reason"]) for line in view["ledger"]] == [("opening", "free trial")]
    assert "bob, is refused" in shell("signup", "refuse", str(second["id"]))
    assert shell("signup", "list") == "Nobody waits.\n"
    assert [(each["name"], each["state"]) for each in shell.json("signup", "list", "--over")] == [
        ("bob", "refused"),
        ("ann", "approved"),
    ]
    assert "refused" in shell("signup", "list", "--over")
    for wrong, said in ((second["id"], "was refused already"), (99, "there is no sign-up 99")):
        assert said in shell("signup", "approve", str(wrong), code=1)
        assert said in shell("signup", "refuse", str(wrong), code=1)
    asked(shell, "cleo", "dora")
    ids = [str(each["id"]) for each in shell.json("signup", "list")]
    assert shell("signup", "refuse", *ids).count("is refused") == 2
    shell("signup", "refuse", code=2)
    noted = [(line.actor_kind, line.action, line.account) for line in lines(shell)]
    assert noted[2:4] == [("cli", "sign-up refused", ""), ("cli", "sign-up approved", "ann")]


@pytest.mark.parametrize(
    ("answers", "verdict", "said"),
    [({}, "OK", "signed in"), ({"AUTH": "535 wrong"}, "FAILED", "the mail server said 535 wrong")],
)
def test_check_signs_in_to_the_mail_server(
    sqlite: Shell, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], verdict: str, said: str
) -> None:
    sqlite("migrate")
    secret = sqlite.folder / "smtp"
    secret.write_text("secret word\n", encoding="utf-8")
    with FakeSmtp(answers=answers) as server:
        for name, value in {
            "SIGNUP": "email", "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(server.port), "SMTP_TLS": "none",
            "SMTP_USER": "cooee", "SMTP_PASSWORD_FILE": str(secret), "SMTP_FROM": "trial@cooee.example",
            "PUBLIC_URL": "https://sms.cooee.example",
        }.items():  # fmt: skip
            monkeypatch.setenv(f"COOEE_{name}", value)
        found = {each["check"]: each for each in sqlite.json("check", code=0 if verdict == "OK" else 1)}
        assert (found["mail"]["result"], found["mail"]["detail"]) == (verdict, f"127.0.0.1:{server.port}: {said}")
        assert server.logins == ["cooee\0secret word"]
        assert server.mails == []
        secret.unlink()
        found = {each["check"]: each for each in sqlite.json("check", code=1)}
        assert "cannot be read: No such file" in found["mail"]["detail"]
