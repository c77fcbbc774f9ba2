"""Who is at the other end, when proxies stand in front.

A proxy says in `X-Forwarded-For` for whom it asks, and appends to what it was sent itself. So only what was
written by proxies that one trusts counts: the list is read from its end, and the first address that is none of
theirs is the client. Whatever stands before it, the client may have made up.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

from cooee.model.errors import ConfigError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_HOPS = 32
"""Proxies in a row that are believed; a longer list is somebody's joke."""
MAX_TEXT = 64
"""No address with a port is longer."""


class TrustedProxies:
    """The networks that proxies ask from."""

    def __init__(self, networks: Iterable[str]) -> None:
        """`networks` in CIDR form, or single addresses. ConfigError names what is neither."""
        self._networks = tuple(_network(text) for text in networks)
        self._known = lru_cache(maxsize=1024)(self._trusts)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def trusts(self, peer: str) -> bool:
        """Whether a connection from `peer`, an address as the system tells it, is a trusted proxy's."""
        return self._known(peer)

    def _trusts(self, peer: str) -> bool:
        address = _address(peer.partition("%")[0])
        return address is not None and self._holds(address)

    def _holds(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._networks)

    def client(self, peer: str, forwarded: str) -> tuple[str, int]:
        """The client's address for a connection from a trusted `peer`, and how many proxies stand before that one.

        `forwarded` is the whole X-Forwarded-For, "" for none. Where an entry is no address, whoever wrote it is as
        far as one can see.
        """
        found = peer
        # One more than is looked at: what is left of them stays in one piece.
        entries = forwarded.rsplit(",", MAX_HOPS)[-MAX_HOPS:] if forwarded else []
        for hops, entry in enumerate(reversed(entries)):
            address = _entry(entry)
            if address is None:
                return found, max(0, hops - 1)
            found = str(address)
            if not self._holds(address):
                return found, hops
        return found, max(0, len(entries) - 1)


def is_https(proto: str, hops: int) -> bool | None:
    """Whether the client came by https, by the whole X-Forwarded-Proto; None where it does not say.

    `hops` is what `client` told: where each proxy appended its own, the entry that stands for the client counts.
    """
    schemes = [each.strip().lower() for each in proto.rsplit(",", MAX_HOPS)[-MAX_HOPS:]]
    scheme = schemes[-1 - hops] if hops < len(schemes) else schemes[0]
    return scheme == "https" if scheme in ("https", "http") else None


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip())
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ConfigError(
            f"trusted_proxies: '{text}' is no network: "
            "write an address such as 127.0.0.1, or CIDR such as 10.0.0.0/8"
        ) from None
    raise ConfigError(f"trusted_proxies: '{text}' names a host within a network: did you mean {meant}?")


def _entry(text: str) -> Address | None:
    """An entry of X-Forwarded-For: an address, perhaps with a port; None for anything else."""
    text = text.strip(" \t")
    if len(text) > MAX_TEXT or "%" in text:
        return None
    if text.startswith("["):
        inner, bracket, port = text[1:].partition("]")
        return _address(inner) if bracket and ":" in inner and _is_port(port) else None
    if text.count(":") == 1:
        text, _, port = text.partition(":")
        return _address(text) if _is_port(f":{port}") else None
    return _address(text)


def _is_port(text: str) -> bool:
    digits = text[1:]
    return not text or (text[0] == ":" and digits.isascii() and digits.isdigit() and int(digits) < 65536)


def _address(text: str) -> Address | None:
    """An address; an IPv4 one that is written as IPv6 is the IPv4 one."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
