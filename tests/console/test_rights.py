"""What the operator set about an account holds in the console as it does in the API."""

from __future__ import annotations

import re

from cooee.service.rates import Rates
from cooee.service.senders import Senders
from tests.console.support_console import Person, Shown, Site, person

GOOD = {"message": "Hello", "originator": "COOEE", "recipients": "0400123456"}


def rehearsed(who: Person, **changes: object) -> Shown:
    who.get("/compose")
    return who.post("/compose", {**GOOD, **changes})


def changed(who: Person, **settings: object) -> None:
    who.site.run(who.site.accounts.set(who.account.name, **settings))  # type: ignore[arg-type]


def figure(shown: Shown, name: str) -> str:
    found = re.search(rf"<dt>{name}</dt><dd>(.*?)</dd>", shown.text, re.DOTALL)
    assert found is not None, (name, shown.words)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", found[1])).strip()


def test_only_approved_senders(running: Site) -> None:
    who = person(running, approved_only=True)
    assert "No sender is approved for this account yet" in who.get("/compose").words
    senders = Senders(running.database, running.clock, running.accounts.changed)
    running.run(senders.add(who.account.name, ["Clinic", "+61400190499"]))
    shown = who.get("/compose")
    assert re.findall(r"<option(?: selected)?>(\w+)</option>", shown.text) == ["61400190499", "Clinic"]
    refused = rehearsed(who, originator="COOEE")
    assert refused.status == 400
    assert "COOEE is not approved for this account." in refused.words
    good = rehearsed(who, originator="Clinic")
    assert re.fullmatch(r"/compose/\d+", good.url)
    assert "Sender IDs 61400190499 Clinic Your operator has approved these" in who.get("/settings").words
    # Taken back between the rehearsal and the button.
    who.get(good.url)
    running.run(senders.remove(who.account.name, ["Clinic"]))
    late = who.post(f"{good.url}/send")
    assert late.status == 400
    assert "Clinic is not approved" in late.words
    once = re.search(r'name="once" value="([^"]+)"', late.text)
    assert once is not None
    assert "Clinic is not approved" in who.post(f"{good.url}/to-me", {"me": "0400123456", "once": once[1]}).words


def test_rates_make_the_cost(running: Site) -> None:
    who = person(running, allow_international=True)
    rates = Rates(running.database, running.clock, running.accounts.changed)
    running.run(rates.set("NZ", 3, who.account.name))
    numbers = "0400123456\n0400123457\n+6421345678"
    shown = rehearsed(who, recipients=numbers, message="x" * 200)
    assert figure(shown, "Cost") == "10 2 segments each"
    # The rate is another one by the time that it is looked at again.
    running.run(rates.set("NZ", 5, who.account.name))
    assert figure(who.get(shown.url), "Cost") == "14 2 segments each"
    sent = who.post(f"{shown.url}/send")
    assert "986 credits" in sent.words


def test_the_daily_cap_and_the_credit_limit(running: Site) -> None:
    who = person(running, credits=2, credit_limit=5)
    shown = rehearsed(who, recipients="0400123456 0400123457 0400123458")
    assert "too few" not in shown.words
    assert figure(shown, "Balance after") == "-1 of 2"
    many = rehearsed(who, recipients="\n".join(f"04001234{at:02d}" for at in range(9)))
    assert "2 credits too few." in many.words
    changed(who, daily_cap=2)
    capped = who.get(shown.url)
    assert "what this account may spend in a day (2 credits): 2 credits are left for today" in capped.words
    assert who.post(f"{shown.url}/send").status == 400
    words = who.get("/settings").words
    assert "Credit limit 5" in words
    assert "At most a day 2 credits" in words


def test_countries(running: Site) -> None:
    who = person(running, allow_international=True, countries=("AU", "NZ"))
    shown = rehearsed(who, recipients="0400123456\n+6421345678\n+4915112345678")
    assert figure(shown, "Recipients") == "2"
    assert figure(shown, "International") == "1, left out"
    assert "Countries AU, NZ" in who.get("/settings").words


def test_any_number_of_the_right_shape(running: Site) -> None:
    who = person(running, shape_only=True)
    assert figure(rehearsed(who, recipients="0299999999"), "Recipients") == "1"


def test_smart_encoding_is_counted_and_sent(running: Site) -> None:
    who = person(running, smart_encoding=True)
    who.get("/compose")
    counted = who.post("/compose/count", {"message": "It’s “new”"})
    assert "GSM 7-bit" in counted.words
    shown = rehearsed(who, message="It’s “new”")
    assert "It&#39;s &#34;new&#34;" in shown.text
    sent = who.post(f"{shown.url}/send")
    assert 'It\'s "new"' in sent.words


def test_low_credits_are_said(running: Site) -> None:
    who = person(running, credits=10, low_balance=10)
    assert "Credits are low: 10 left." in who.get("/").words
    changed(who, low_balance=9)
    assert "Credits are low" not in who.get("/").words
