"""Which network addresses Cooee may be sent to by what a customer typed: the guard against SSRF.

A webhook's URL comes from a customer and is called from inside the operator's network. So only public unicast
addresses count. The table is our own, not Python's `is_global`, which differs between versions. Sources: the IANA
registries of special-purpose addresses (RFC 6890 and its successors).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

_PRIVATE = {
    "10.0.0.0/8": "private",
    "172.16.0.0/12": "private",
    "192.168.0.0/16": "private",
    "100.64.0.0/10": "a carrier's private network",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "198.18.0.0/15": "for benchmarks",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "for documentation",
    "198.51.100.0/24": "for documentation",
    "203.0.113.0/24": "for documentation",
    "192.88.99.0/24": "a 6to4 relay",
    "::1/128": "loopback",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "fc00::/7": "private",
    "2001:db8::/32": "for documentation",
    "3fff::/20": "for documentation",
    "2001::/23": "reserved",
    "100::/64": "for discarding",
    "5f00::/16": "for segment routing",
    "::/96": "an IPv4-compatible form",
    "::ffff:0:0/96": "an IPv4-mapped form",
    "::ffff:0:0:0/96": "an IPv4-translated form",
    "64:ff9b::/96": "a NAT64 form",
    "64:ff9b:1::/48": "a NAT64 form",
    "2002::/16": "a 6to4 form",
}
"""Refused unless the operator allows private targets."""

_NEVER = {
    "0.0.0.0/8": "unspecified",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "::/128": "unspecified",
    "ff00::/8": "multicast",
    # Where clouds serve credentials to whoever asks from inside; no receiver of replies lives there.
    "169.254.169.254/32": "a cloud's metadata service",
    "169.254.170.2/32": "a cloud's metadata service",
    "169.254.170.23/32": "a cloud's metadata service",
    "100.100.100.200/32": "a cloud's metadata service",
    "168.63.129.16/32": "a cloud's metadata service",
    "192.0.0.192/32": "a cloud's metadata service",
    "fd00:ec2::254/128": "a cloud's metadata service",
    "fd00:ec2::23/128": "a cloud's metadata service",
    "fd20:ce::254/128": "a cloud's metadata service",
}
"""Refused always."""

_EMBEDDED = {"::ffff:0:0/96": 0, "::ffff:0:0:0/96": 0, "64:ff9b::/96": 0, "2002::/16": 80}
"""Forms that carry an IPv4 address, and how far it is from the right end, in bits."""

Network = IPv4Network | IPv6Network


def _table(texts: dict[str, str]) -> list[tuple[Network, str]]:
    return [(ip_network(text), what) for text, what in texts.items()]


_PRIVATE_NETWORKS = _table(_PRIVATE)
_NEVER_NETWORKS = _table(_NEVER)
_EMBEDDED_NETWORKS = [(IPv6Network(text), shift) for text, shift in _EMBEDDED.items()]


def literal(host: str) -> Address | None:
    """The address that `host` spells (IPv6 without its brackets), None where it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for (mapped, translated, NAT64, 6to4), or None."""
    if isinstance(address, IPv6Address):
        for network, shift in _EMBEDDED_NETWORKS:
            if address in network:
                return IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return None


def forbidden(address: Address, *, allow_private: bool) -> str | None:
    """Why nothing may be sent to that address, as the end of "this address is …"; None where it may.

    With `allow_private` private, loopback and link-local ones may. Multicast, unspecified and reserved ones and
    the metadata services of clouds may in no case and no form.
    """
    # A zone (fe80::1%eth0) makes an address compare unlike its network's.
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        address = IPv6Address(int(address))
    for candidate in (address, embedded(address)):
        if candidate is not None:
            for network, what in _NEVER_NETWORKS:
                if candidate in network:
                    return what
    if not allow_private:
        for network, what in _PRIVATE_NETWORKS:
            if address in network:
                return what
    return None
