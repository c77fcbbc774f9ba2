"""A webhook's URL, its request, its schedule; and the addresses that are called."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.model.addresses import embedded, forbidden, literal
from cooee.model.clock import HOUR, MINUTE
from cooee.model.errors import ConfigError
from cooee.model.webhook import (
    ReplyCall,
    Target,
    check_password,
    check_url,
    check_username,
    masked,
    request_url,
    retry_ms,
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://acme.example", "https://acme.example/"),
        (" https://ACME.example/Path ", "https://acme.example/Path"),
        ("HTTP://acme.example:8080/a?b=c&d", "http://acme.example:8080/a?b=c&d"),
        ("https://acme.example/hook?token=a%2Fb+c#part", "https://acme.example/hook?token=a%2Fb+c"),
        ("https://bücher.example/ä?ö=ü", "https://xn--bcher-kva.example/%C3%A4?%C3%B6=%C3%BC"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700::1111]:443/x", "https://[2606:4700::1111]:443/x"),
        ("http://a_b.example./", "http://a_b.example./"),
    ],
)
def test_urls_that_are_taken(text: str, kept: str) -> None:
    assert check_url(text, allow_private=False) == kept
    assert check_url(kept, allow_private=False) == kept


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not begin with"),
        ("acme.example/hook", "does not begin with"),
        ("ftp://acme.example/", "does not begin with"),
        ("https:///path", "does not begin with"),
        ("https://acme.example:99999/", "it is none"),
        ("https://[::1/", "it is none"),
        ("https://user:pass@acme.example/", "holds a login"),
        ("https://acme.example@127.0.0.1/", "holds a login"),
        ("https://acme.example/a b", "holds a space"),
        ("https://acme.example/a\nb", "holds a space or a control character"),
        ("https://acme.example:22/", "port 22"),
        ("http://acme.example:0/", "port 0"),
        ("http://127.0.0.1/", "127.0.0.1 is loopback"),
        ("http://127.0.0.1/", "webhook_allow_private"),
        ("http://localhost:8080/", "loopback"),
        ("http://my.localhost/", "loopback"),
        ("http://10.0.0.1/", "private"),
        ("http://[::ffff:10.0.0.1]/", "an IPv4-mapped form"),
        ("http://169.254.169.254/latest/meta-data", "a cloud's metadata service"),
        ("http://2130706433/", "no host name and no address"),
        ("http://0x7f000001/", "no host name and no address"),
        ("http://127.1/", "no host name and no address"),
        ("http://0177.0.0.1/", "no host name and no address"),
        ("http://acme..example/", "no host name and no address"),
        ("http://acme\\.example/", "no host name and no address"),
        ("https://acme.example/" + "x" * 2000, "at most 2000"),
    ],
)
def test_urls_that_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match="webhook URL refused: ") as told:
        check_url(text, allow_private=False)
    assert reason in str(told.value)


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:8080/", "http://localhost/", "http://10.0.0.1/", "http://[::1]/"]
)
def test_private_targets_can_be_allowed(text: str) -> None:
    assert check_url(text, allow_private=True) == text


@pytest.mark.parametrize(
    "text", ["http://169.254.169.254/", "http://[::ffff:169.254.169.254]/", "http://224.0.0.1/", "http://0.0.0.0/",
             "http://[64:ff9b::a9fe:a9fe]/", "http://[2002:a9fe:a9fe::]/", "http://[fd00:ec2::254]/"]
)  # fmt: skip
def test_some_are_never_called(text: str) -> None:
    with pytest.raises(ConfigError):
        check_url(text, allow_private=True)


def test_the_setting_is_named_where_it_would_help() -> None:
    for url, helps in (
        ("http://10.0.0.1/", True),
        ("http://localhost/", True),
        ("http://169.254.169.254/", False),
    ):
        with pytest.raises(ConfigError) as told:
            check_url(url, allow_private=False)
        assert ("webhook_allow_private" in str(told.value)) is helps


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("8.8.8.8", None),
        ("172.15.255.255", None),
        ("172.32.0.0", None),
        ("2606:4700:4700::1111", None),
        ("10.255.255.255", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "a carrier's private network"),
        ("127.255.255.254", "loopback"),
        ("169.254.1.1", "link-local"),
        ("0.1.2.3", "unspecified"),
        ("224.0.0.251", "multicast"),
        ("255.255.255.255", "reserved"),
        ("198.18.0.1", "for benchmarks"),
        ("203.0.113.7", "for documentation"),
        ("168.63.129.16", "a cloud's metadata service"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fd12:3456::1", "private"),
        ("ff02::1", "multicast"),
        ("2001:db8::1", "for documentation"),
        ("2001::1", "reserved"),
        ("::127.0.0.1", "an IPv4-compatible form"),
        ("::ffff:8.8.8.8", "an IPv4-mapped form"),
        ("64:ff9b::8.8.8.8", "a NAT64 form"),
        ("2002:808:808::1", "a 6to4 form"),
    ],
)
def test_addresses(address: str, what: str | None) -> None:
    assert forbidden(ip_address(address), allow_private=False) == what


@given(st.ip_addresses(v=4))
def test_whatever_is_refused_as_such_is_refused_in_every_form(address: object) -> None:
    number = int(ip_address(str(address)))
    for form in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        mapped = ip_address(form.to_bytes(16, "big"))
        assert str(embedded(mapped)) == str(address)
        assert forbidden(mapped, allow_private=False)
        if forbidden(ip_address(str(address)), allow_private=True):
            assert forbidden(mapped, allow_private=True)


@given(st.ip_addresses(v=4))
def test_whatever_python_calls_private_is_refused(address: object) -> None:
    found = ip_address(str(address))
    if not found.is_global:
        assert forbidden(found, allow_private=False)


def test_a_literal_is_told_from_a_name() -> None:
    assert literal("127.0.0.1") == ip_address("127.0.0.1")
    assert literal("::1") == ip_address("::1")
    assert literal("acme.example") is None


@given(st.lists(st.text(max_size=40), min_size=6, max_size=6))
def test_whatever_is_told_arrives(texts: list[str]) -> None:
    target = Target("https://acme.example/hook?token=t", texts[0], texts[1])
    url = request_url(target, ReplyCall(*texts[2:]))
    assert url.isascii()
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    names = ["username", "password", "originator", "recipient", "reference", "message_text"]
    assert pairs == [("token", "t"), *zip(names, texts, strict=True)]


@pytest.mark.parametrize(
    ("url", "start"),
    [
        ("https://acme.example/", "https://acme.example/?username="),
        ("https://acme.example/?", "https://acme.example/?username="),
        ("https://acme.example/?a", "https://acme.example/?a&username="),
        ("https://acme.example/?a=1&", "https://acme.example/?a=1&username="),
    ],
)
def test_parameters_come_after_the_urls_own(url: str, start: str) -> None:
    assert request_url(Target(url, "u", "p"), ReplyCall("1", "2", "3", "4")).startswith(start)


def test_a_url_is_shown_without_the_values_of_its_query() -> None:
    assert masked("https://acme.example/a?token=secret&x=y&flag") == "https://acme.example/a?token=…&x=…&flag"
    assert masked("https://acme.example/a") == "https://acme.example/a"
    assert Target("https://acme.example:8443/a?token=secret", "", "").host == "acme.example:8443"


def test_logins() -> None:
    assert check_username("") == ""
    assert check_password("a b") == "a b"
    for bad in ("x" * 129, "a\tb"):
        with pytest.raises(ConfigError, match="username"):
            check_username(bad)
    for bad in ("", "x" * 257, "\ud800"):
        with pytest.raises(ConfigError, match="password"):
            check_password(bad)


def test_waits_double_up_to_an_hour() -> None:
    assert [retry_ms(n) // MINUTE for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert retry_ms(10_000) == HOUR
