"""Whose address a request behind proxies has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooee.model.errors import ConfigError
from cooee.model.proxies import MAX_HOPS, TrustedProxies, is_https

PROXIES = TrustedProxies(("127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("127.0.0.1", True),
        ("10.255.0.1", True),
        ("::1", True),
        ("fd12::5", True),
        ("fd12::5%eth0", True),
        ("::ffff:10.1.2.3", True),
        ("127.0.0.2", False),
        ("11.0.0.1", False),
        ("2001:db8::1", False),
        ("::ffff:203.0.113.5", False),
        ("", False),
        ("testclient", False),
        ("/run/socket", False),
    ],
)
def test_which_peers_are_trusted(peer: str, trusted: bool) -> None:
    assert PROXIES.trusts(peer) is trusted


@pytest.mark.parametrize(
    ("forwarded", "client", "hops"),
    [
        pytest.param("", "10.0.0.1", 0, id="nothing is told"),
        pytest.param("203.0.113.5", "203.0.113.5", 0, id="one proxy"),
        pytest.param("203.0.113.5, 10.0.0.7", "203.0.113.5", 1, id="two proxies"),
        pytest.param("203.0.113.5,10.0.0.7,10.0.0.8", "203.0.113.5", 2, id="three proxies"),
        pytest.param("198.51.100.9, 203.0.113.5", "203.0.113.5", 0, id="spoofed by the client"),
        pytest.param("127.0.0.1, 10.0.0.9, 203.0.113.5", "203.0.113.5", 0, id="spoofed as a proxy of ours"),
        pytest.param("198.51.100.9, 203.0.113.5, 10.0.0.7", "203.0.113.5", 1, id="spoofed, two proxies"),
        pytest.param("10.9.9.9", "10.9.9.9", 0, id="a client inside"),
        pytest.param("10.9.9.9, 10.0.0.7", "10.9.9.9", 1, id="a client inside, two proxies"),
        pytest.param("203.0.113.5:51234", "203.0.113.5", 0, id="with a port"),
        pytest.param("2001:db8::1", "2001:db8::1", 0, id="IPv6"),
        pytest.param("2001:DB8:0:0::1", "2001:db8::1", 0, id="IPv6, written at length"),
        pytest.param("[2001:db8::1]", "2001:db8::1", 0, id="IPv6 in brackets"),
        pytest.param("[2001:db8::1]:443, fd00::7", "2001:db8::1", 1, id="IPv6 with a port"),
        pytest.param("::ffff:203.0.113.5", "203.0.113.5", 0, id="IPv4 written as IPv6"),
        pytest.param("::ffff:10.0.0.7, ::ffff:10.0.0.8", "10.0.0.7", 1, id="proxies written as IPv6"),
        pytest.param("unknown", "10.0.0.1", 0, id="unknown"),
        pytest.param("203.0.113.5, unknown", "10.0.0.1", 0, id="unknown at the end"),
        pytest.param("203.0.113.5, unknown, 10.0.0.7", "10.0.0.7", 0, id="unknown in between"),
        pytest.param("203.0.113.5,", "10.0.0.1", 0, id="an empty entry"),
        pytest.param(" ,, ", "10.0.0.1", 0, id="nothing but commas"),
        pytest.param("203.0.113.5 203.0.113.6", "10.0.0.1", 0, id="no comma"),
        pytest.param("203.0.113.256", "10.0.0.1", 0, id="no address"),
        pytest.param("203.0.113.05", "10.0.0.1", 0, id="an octet as some read it"),
        pytest.param("3405803781", "10.0.0.1", 0, id="a whole number"),
        pytest.param("203.0.113.5:port", "10.0.0.1", 0, id="a port that is none"),
        pytest.param("203.0.113.5:99999", "10.0.0.1", 0, id="a port too high"),
        pytest.param("[2001:db8::1", "10.0.0.1", 0, id="half a bracket"),
        pytest.param("[203.0.113.5]", "10.0.0.1", 0, id="IPv4 in brackets"),
        pytest.param("[2001:db8::1]x", "10.0.0.1", 0, id="something behind the bracket"),
        pytest.param("fe80::1%eth0", "10.0.0.1", 0, id="an address of one link"),
        pytest.param("2001:db8::1%" + "a" * 60_000, "10.0.0.1", 0, id="an endless zone"),
        pytest.param("<script>", "10.0.0.1", 0, id="markup"),
        pytest.param("203.0.113.5\0", "10.0.0.1", 0, id="NUL"),
        pytest.param("²", "10.0.0.1", 0, id="a digit that is none"),
        pytest.param("9" * 60_000, "10.0.0.1", 0, id="an endless number"),
        pytest.param("203.0.113.5:" + "9" * 50, "10.0.0.1", 0, id="an endless port"),
    ],
)
def test_the_client_is_the_last_who_is_no_proxy_of_ours(forwarded: str, client: str, hops: int) -> None:
    assert PROXIES.client("10.0.0.1", forwarded) == (client, hops)


def test_a_row_of_proxies_is_believed_so_far() -> None:
    row = ", ".join(f"10.0.1.{at}" for at in range(200))
    assert PROXIES.client("10.0.0.1", f"203.0.113.5, {row}") == (f"10.0.1.{200 - MAX_HOPS}", MAX_HOPS - 1)


@given(st.text(max_size=200))
def test_whatever_is_told_gives_an_address(forwarded: str) -> None:
    address, hops = PROXIES.client("10.0.0.1", f"{forwarded}, 203.0.113.5")
    assert (address, hops) == ("203.0.113.5", 0)
    address, hops = PROXIES.client("10.0.0.1", forwarded)
    assert len(address) <= 45
    assert 0 <= hops < MAX_HOPS


@pytest.mark.parametrize(
    ("proto", "hops", "https"),
    [
        ("https", 0, True),
        ("HTTPS ", 0, True),
        ("http", 0, False),
        ("https", 2, True),
        ("https, http", 0, False),
        ("https, http", 1, True),
        ("https,http,http", 2, True),
        ("", 0, None),
        ("wss", 0, None),
        ("https,", 0, None),
        (",".join(["https"] * 500), 40, True),
    ],
)
def test_the_scheme_is_the_clients(proto: str, hops: int, https: bool | None) -> None:
    assert is_https(proto, hops) is https


def test_no_proxies() -> None:
    nobody = TrustedProxies(())
    assert not nobody
    assert not nobody.trusts("127.0.0.1")
    assert PROXIES


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.0.0.1/8", "did you mean 10.0.0.0/8?"),
        ("fd00::1/8", "did you mean fd00::/8?"),
        ("proxy.example", "'proxy.example' is no network"),
        ("10.0.0.0/40", "is no network"),
        ("", "'' is no network"),
        ("10.0.0.0/8, 127.0.0.1", "is no network"),
    ],
)
def test_what_is_no_network_is_said_so(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        TrustedProxies((text,))
    assert said in str(raised.value)
