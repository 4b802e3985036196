"""Which addresses are internal, and which are never a receiver (SECURITY B3, S-158).

An explicit list, not ``ipaddress.is_global``: Python calls 64:ff9b::7f00:1, 2002:7f00:1::, ::7f00:1, 5f00::1, 224.0.0.1
and 192.88.99.1 global, and each of them leads, or may lead, somewhere that a stranger must not reach through the hub.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


INTERNAL = _networks(
    "127.0.0.0/8",  # loopback
    "10.0.0.0/8",  # private
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",  # carrier-grade NAT
    "::1/128",  # loopback
    "fc00::/7",  # unique local
)
"""Real hosts behind the hub: callable with HUB_ALLOW_PRIVATE_ENDPOINTS, or when listed in HUB_EGRESS_ALLOW."""

SPECIAL = _networks(
    "168.63.129.16/32",  # Azure's wire server: public by number, internal by nature
    "100.100.100.200/32",  # Alibaba Cloud metadata, inside carrier-grade NAT
    "fd00:ec2::/32",  # AWS metadata, name service and clock, inside unique local
    "fd20:ce::254/128",  # Google Cloud metadata
    "fd00:c1::a9fe:a9fe/128",  # Oracle Cloud metadata
    "169.254.0.0/16",  # link-local, metadata of most clouds
    "fe80::/10",
    "fec0::/10",  # site-local, withdrawn
    "192.0.0.0/24",  # IETF protocol assignments
    "192.0.2.0/24",  # documentation
    "198.51.100.0/24",
    "203.0.113.0/24",
    "2001:db8::/32",
    "3fff::/20",
    "192.31.196.0/24",  # AS112
    "192.175.48.0/24",
    "2620:4f:8000::/48",
    "192.52.193.0/24",  # multicast tunnelling (AMT)
    "192.88.99.0/24",  # 6to4 relays
    "198.18.0.0/15",  # benchmarks
    "64:ff9b::/96",  # NAT64: carries any IPv4 address
    "64:ff9b:1::/48",
    "2002::/16",  # 6to4: carries any IPv4 address
    "2001::/23",  # Teredo, benchmarks, ORCHID, AMT
    "3ffe::/16",  # 6bone, returned
    "5f00::/16",  # segment routing
    "100::/64",  # discard only
    "100:0:0:1::/64",
)
"""No receiver lives here: callable only when a network listed in HUB_EGRESS_ALLOW holds the address."""

NEVER = _networks(
    "0.0.0.0/8",  # unspecified; many systems take it for loopback
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
    "::ffff:0:0/96",  # mapped: any IPv4 address in disguise
    "::ffff:0:0:0/96",  # translated
    "ff00::/8",  # multicast
)
"""Never callable, whatever is listed; with ``::/96`` (unspecified, IPv4-compatible) but for ``::1``."""

_COMPATIBLE = IPv6Network("::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_LOOPBACK = IPv6Address("::1")


def holds(networks: Iterable[Network], address: Address) -> bool:
    """Does one of the networks hold the address."""
    return any(address in network for network in networks)


def is_never(address: Address) -> bool:
    """Is this no address of a single host, or another address in disguise."""
    compatible = address in _COMPATIBLE and address != _LOOPBACK
    return compatible or holds(NEVER, address)


def is_special(address: Address) -> bool:
    """Is this in a network with a purpose of its own; IPv6 beyond global unicast counts as such unless internal."""
    if holds(SPECIAL, address):
        return True
    return address.version == 6 and address not in _GLOBAL_UNICAST and not holds(INTERNAL, address)


def is_internal(address: Address) -> bool:
    """Is this a loopback, private or shared address."""
    return holds(INTERNAL, address)
