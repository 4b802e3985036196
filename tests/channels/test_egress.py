"""The check at connect time: every address of the name, then the connection to that very address (SECURITY B3, B6)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from typing import Any

import pytest

from hub.channels.egress import EgressPolicy, permitted_addresses, system_resolver
from hub.channels.endpoint import Endpoint
from hub.channels.response import AttemptFailed, Failure
from hub.channels.sender import Sender

NAMED = Endpoint("https", "receiver.example", 443, "/")

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.15.255.255",
    "172.32.0.1",
    "100.128.0.1",
    "11.0.0.1",
    "2606:4700:4700::1111",
    "2a00::1",
]

INTERNAL = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "100.64.0.1",
    "::1",
    "fc00::1",
    "fd12::1",
]

CLOSED = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "169.254.0.1",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::2",
    "::7f00:1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c::1",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2620:4f:8000::1",
    "3ffe::1",
    "3fff::1",
    "5f00::1",
    "4000::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_permitted(address: str) -> None:
    assert EgressPolicy().permits(ip_address(address), "receiver.example")


@pytest.mark.parametrize("address", INTERNAL)
def test_internal_address_is_permitted_only_when_private_endpoints_are(address: str) -> None:
    assert not EgressPolicy().permits(ip_address(address), "receiver.example")
    assert EgressPolicy(allow_private=True).permits(ip_address(address), "receiver.example")


@pytest.mark.parametrize("address", CLOSED)
def test_special_address_stays_closed_even_for_private_endpoints_and_listed_hosts(address: str) -> None:
    policy = EgressPolicy.from_settings(allow_private=True, allow=["receiver.example"])
    assert not policy.permits(ip_address(address), "receiver.example")


def test_listed_host_may_have_internal_addresses_and_no_other_host_may() -> None:
    policy = EgressPolicy.from_settings(allow=["receiver.example"])
    assert policy.permits(ip_address("10.0.0.1"), "receiver.example")
    assert not policy.permits(ip_address("10.0.0.1"), "other.example")


def test_listed_network_opens_link_local_but_never_multicast_or_mapped_addresses() -> None:
    policy = EgressPolicy.from_settings(allow=["169.254.10.0/24", "224.0.0.0/4", "::ffff:0:0/96", "0.0.0.0/8"])
    assert policy.permits(ip_address("169.254.10.9"), "receiver.example")
    for address in ("169.254.169.254", "224.0.0.1", "::ffff:10.0.0.1", "0.0.0.0"):
        assert not policy.permits(ip_address(address), "receiver.example")


def test_listed_only_permits_listed_addresses_and_hosts_only() -> None:
    policy = EgressPolicy.from_settings(allow=["8.8.8.0/24", "receiver.example"], allow_private=True, listed_only=True)
    assert policy.permits(ip_address("8.8.8.8"), "other.example")
    assert policy.permits(ip_address("1.1.1.1"), "receiver.example")
    assert not policy.permits(ip_address("1.1.1.1"), "other.example")
    assert not policy.permits(ip_address("10.0.0.1"), "other.example")


def resolving(*answers: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A resolver that gives these answers in turn, the last one for ever."""
    waiting = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return resolve


async def test_one_closed_address_closes_the_name() -> None:
    with pytest.raises(AttemptFailed) as failed:
        await permitted_addresses(NAMED, EgressPolicy(), resolving(["8.8.8.8", "10.0.0.1"]))
    assert failed.value.failure is Failure.BLOCKED_ADDRESS


async def test_addresses_come_once_each_in_the_order_of_the_resolver() -> None:
    found = await permitted_addresses(NAMED, EgressPolicy(), resolving(["8.8.8.8", "1.1.1.1", "8.8.8.8"]))
    assert found == ["8.8.8.8", "1.1.1.1"]


async def test_no_address_and_failing_resolver_are_a_name_not_resolved() -> None:
    async def fail(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host")

    for resolve in (resolving([]), fail):
        with pytest.raises(AttemptFailed) as failed:
            await permitted_addresses(NAMED, EgressPolicy(), resolve)
        assert failed.value.failure is Failure.NAME_NOT_RESOLVED


async def test_address_in_the_url_is_not_resolved() -> None:
    async def fail(host: str, port: int) -> Sequence[str]:
        raise AssertionError("asked")

    assert await permitted_addresses(Endpoint("https", "8.8.8.8", 443, "/"), EgressPolicy(), fail) == ["8.8.8.8"]
    assert await permitted_addresses(Endpoint("https", "2a00::1", 443, "/"), EgressPolicy(), fail) == ["2a00::1"]


async def test_system_resolver_knows_loopback() -> None:
    assert set(await system_resolver("localhost", 80)) <= {"127.0.0.1", "::1"}


async def test_rebinding_name_never_reaches_the_canary(serve: Any, make_sender: Callable[..., Sender]) -> None:
    canary = await serve()
    flips = 0

    async def rebinding(host: str, port: int) -> Sequence[str]:
        nonlocal flips
        flips += 1
        return ["127.0.0.1"] if flips % 2 else ["127.0.0.1", "8.8.8.8"]

    sender = make_sender(EgressPolicy(allow_http=True), resolve=rebinding)
    for _ in range(500):
        response = await sender.post(canary.url(host="rebinding.example"), [], b"{}", 5)
        assert response.failure is Failure.BLOCKED_ADDRESS
    assert (flips, canary.connections) == (500, 0)


async def test_connection_goes_to_the_checked_address_and_the_name_is_asked_once(
    serve: Any, make_sender: Callable[..., Sender]
) -> None:
    receiver = await serve()
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    sender = make_sender(resolve=resolve)
    for _ in range(3):
        assert (await sender.post(receiver.url(host="receiver.example"), [], b"{}", 5)).status == 200
    assert asked == ["receiver.example"]
    assert receiver.requests[0].values("host") == [f"receiver.example:{receiver.port}"]


async def test_dead_address_is_passed_over_for_the_next_one(serve: Any, make_sender: Callable[..., Sender]) -> None:
    receiver = await serve()
    sender = make_sender(resolve=resolving(["127.0.0.2", "127.0.0.1"]))  # the receiver listens on 127.0.0.1 only
    assert (await sender.post(receiver.url(host="receiver.example"), [], b"{}", 5)).status == 200


async def test_slow_name_ends_with_the_deadline(make_sender: Callable[..., Sender]) -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    response = await make_sender(resolve=never).post("http://slow.example/", [], b"", 0.05)
    assert response.failure is Failure.NAME_NOT_RESOLVED
    assert 0.04 < response.duration_seconds < 1
