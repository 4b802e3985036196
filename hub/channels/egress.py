"""Whom the hub may call: checked when an endpoint is written, and again at every connect (SECURITY B2, B3, B6; S-158).

The check at creation is pure and looks at the URL alone. The check that protects is the one at connect time: the name
is resolved once, every address must be allowed, and the connection goes to one of these very addresses. A name that
changes its answer between check and connect (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network

from hub.channels.endpoint import DEFAULT_PORTS, Endpoint, read_endpoint, read_host
from hub.channels.networks import Address, Network, holds, is_internal, is_never, is_special
from hub.channels.response import AttemptFailed, Failure
from hub.errors import CannotStart, Unprocessable

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) → its addresses as text, in the order to try; raises OSError when there are none."""

FIRST_UNPRIVILEGED_PORT = 1024


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Which endpoints may be called.

    ``allow_private`` opens loopback and private networks (HUB_ALLOW_PRIVATE_ENDPOINTS), ``allow_http`` plain http
    (HUB_ALLOW_HTTP_ENDPOINTS). ``hosts`` and ``networks`` are what HUB_EGRESS_ALLOW lists: a listed host (``name`` or
    ``*.suffix``) may have internal addresses; a listed network opens special addresses too. ``listed_only`` closes
    everything that is not listed.
    """

    allow_private: bool = False
    allow_http: bool = False
    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    listed_only: bool = False

    @classmethod
    def from_settings(
        cls,
        *,
        allow_private: bool = False,
        allow_http: bool = False,
        allow: Iterable[str] = (),
        listed_only: bool = False,
    ) -> EgressPolicy:
        """The policy of these settings; raises CannotStart naming every entry of ``allow`` that cannot be read."""
        hosts, networks, wrong = set[str](), list[Network](), list[str]()
        for entry in filter(None, (text.strip() for text in allow)):
            try:
                listed = _listed(entry)
            except ValueError as reason:
                wrong.append(f"HUB_EGRESS_ALLOW {entry!r}: {reason}")
                continue
            if isinstance(listed, str):
                hosts.add(listed)
            else:
                networks.append(listed)
        if wrong:
            raise CannotStart("; ".join(wrong))
        return cls(allow_private, allow_http, frozenset(hosts), tuple(networks), listed_only)

    def lists_host(self, host: str) -> bool:
        """Is this host, or a domain above it, in the list."""
        labels = host.split(".")
        suffixes = (f"*.{'.'.join(labels[start:])}" for start in range(1, len(labels)))
        return host in self.hosts or any(suffix in self.hosts for suffix in suffixes)

    def permits(self, address: Address, host: str) -> bool:
        """May this address be called for an endpoint of this host."""
        if is_never(address):
            return False
        if holds(self.networks, address):
            return True
        if is_special(address):
            return False
        if self.lists_host(host):
            return True
        return not self.listed_only and (self.allow_private or not is_internal(address))


def _listed(entry: str) -> str | Network:
    """One entry of HUB_EGRESS_ALLOW: host, ``*.domain``, address or network; raises ValueError."""
    if entry.startswith("*."):
        return f"*.{read_host(entry[2:])}"
    try:
        network = ip_network(entry)
    except ValueError:
        if "/" in entry:
            raise
        return read_host(entry)
    if network.prefixlen == 0:
        raise ValueError("lists every address; use HUB_ALLOW_PRIVATE_ENDPOINTS to open private networks")
    return network


@lru_cache(maxsize=4096)  # the sender checks again on every attempt
def check_endpoint(url: str, policy: EgressPolicy, expression: str = "Subscription.endpoint") -> Endpoint:
    """The endpoint, when its URL may be called as far as the URL alone can tell (S-153); pure.

    Raises Unprocessable naming ``expression`` and saying what to write instead.
    """
    endpoint = read_endpoint(url, expression)
    if reason := _objection(endpoint, policy):
        raise Unprocessable(f"The endpoint may not be called: {reason}", expression=expression)
    return endpoint


def _objection(endpoint: Endpoint, policy: EgressPolicy) -> str:
    if endpoint.scheme == "http" and not policy.allow_http:
        return "this hub sends over https only (HUB_ALLOW_HTTP_ENDPOINTS)"
    if endpoint.port not in DEFAULT_PORTS.values() and endpoint.port < FIRST_UNPRIVILEGED_PORT:
        return f"use port 80, 443, or one from {FIRST_UNPRIVILEGED_PORT} on"
    closed = "its address is internal or reserved; the operator can list it in HUB_EGRESS_ALLOW"
    if endpoint.is_address:
        return "" if policy.permits(ip_address(endpoint.host), endpoint.host) else closed
    if endpoint.host == "localhost" or endpoint.host.endswith(".localhost"):  # loopback by RFC 6761 section 6.3
        return "" if policy.permits(ip_address("127.0.0.1"), endpoint.host) else closed
    if policy.listed_only and not policy.networks and not policy.lists_host(endpoint.host):
        return "this hub calls only hosts that HUB_EGRESS_ALLOW lists"
    return ""


async def permitted_addresses(endpoint: Endpoint, policy: EgressPolicy, resolve: Resolver) -> list[str]:
    """The addresses to connect to, each once, in order; raises AttemptFailed when there are none or one is closed.

    One closed address closes the name: a mixed answer is how a rebinding name looks.
    """
    if endpoint.is_address:
        found: Sequence[str] = [endpoint.host]
    else:
        try:
            found = await resolve(endpoint.host, endpoint.port)
        except OSError as error:
            raise AttemptFailed(Failure.NAME_NOT_RESOLVED) from error
    if not found:
        raise AttemptFailed(Failure.NAME_NOT_RESOLVED)
    if not all(policy.permits(ip_address(address), endpoint.host) for address in found):
        raise AttemptFailed(Failure.BLOCKED_ADDRESS)
    return list(dict.fromkeys(found))


async def system_resolver(host: str, port: int) -> list[str]:
    """The operating system's answer (hosts file, DNS), in its order of preference."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in infos if info[0] in (socket.AF_INET, socket.AF_INET6)]
