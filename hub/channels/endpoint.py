"""An endpoint URL, read strictly: what the hub and a receiver could read differently is refused (SECURITY B2, S-153).

There is one reader for the check at creation and for the sender, so nothing can be checked as one URL and called as
another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

import idna

from hub.errors import Unprocessable

MAX_URL_LENGTH = 2048
MAX_HOST_LENGTH = 253  # RFC 1035 section 2.3.4
DEFAULT_PORTS = {"http": 80, "https": 443}

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE | re.DOTALL)
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?")
_NAMED = re.compile(r"([^:\[\]]+)(?::([0-9]{1,5}))?")
_TARGET = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")  # RFC 3986 path and query
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to send: ``host`` in ASCII (an address without brackets), ``target`` is path and query as written."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the Host header (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_address(self) -> bool:
        """Is the host an IP address rather than a name."""
        return ":" in self.host or self.host.rpartition(".")[2].isdigit()


@lru_cache(maxsize=4096)  # read again on every attempt
def read_endpoint(url: str, expression: str) -> Endpoint:
    """The parts of an absolute http or https URL; raises Unprocessable naming ``expression``.

    Diagnostics never repeat the URL: its path may hold a token.
    """
    try:
        return _read(url)
    except ValueError as reason:  # includes AddressValueError, IDNAError
        raise Unprocessable(f"The endpoint cannot be called: {reason}", expression=expression) from None


def _read(url: str) -> Endpoint:
    if len(url) > MAX_URL_LENGTH:
        raise ValueError(f"write a URL of at most {MAX_URL_LENGTH} characters")
    if "#" in url:
        raise ValueError("a fragment is never sent; leave out # and what follows it")
    match = _URL.fullmatch(url)
    if not match:
        raise ValueError("write an absolute URL, https://host/path")
    scheme, authority, target = match[1].lower(), match[2], match[3]
    if not _TARGET.fullmatch(target):
        raise ValueError("percent-encode every character of path and query that RFC 3986 does not allow")
    host, port = _host_and_port(authority)
    return Endpoint(
        scheme,
        host,
        _port(port) if port else DEFAULT_PORTS[scheme],
        target if target.startswith("/") else f"/{target}",
    )


def _host_and_port(authority: str) -> tuple[str, str | None]:
    if "@" in authority:
        raise ValueError("leave out user and password; send credentials in a header")
    if bracketed := _BRACKETED.fullmatch(authority):
        return _ipv6(bracketed[1]), bracketed[2]
    named = _NAMED.fullmatch(authority)
    if not named:
        raise ValueError("write host or host:port after //")
    return read_host(named[1]), named[2]


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except AddressValueError:
        raise ValueError("the text in brackets is no IPv6 address") from None


def read_host(text: str) -> str:
    """A host name as it goes on the wire (lower case, A-labels), or a dotted IPv4 address; raises ValueError."""
    if len(text) > MAX_HOST_LENGTH:
        raise ValueError(f"a host name has at most {MAX_HOST_LENGTH} characters")
    host = text.lower() if text.isascii() else _mapped(text)
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        return _ipv4(text)
    if len(host) > MAX_HOST_LENGTH or not all(map(_LABEL.fullmatch, host.split("."))):
        raise ValueError("the host is no DNS name (letters, digits and hyphens, no empty label, no dot at its end)")
    if "xn--" in host:
        _mapped(host)
    return host


def _ipv4(text: str) -> str:
    """Only the spelling that every resolver reads alike: not 127.1, 0x7f000001, 2130706433, 0177.0.0.1, ①②⑦.⓪.⓪.①."""
    try:
        return str(IPv4Address(text)) if text.isascii() else str(IPv4Address(""))
    except AddressValueError:
        raise ValueError("write an IPv4 address as four decimal numbers joined by dots") from None


def _mapped(text: str) -> str:
    """The A-label form after UTS #46 (RFC 5891)."""
    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise ValueError("the host is no valid internationalised name; write it in its xn-- form") from None


def _port(digits: str) -> int:
    port = int(digits)
    if not 0 < port < 65536:
        raise ValueError("a port is a number from 1 to 65535")
    return port
