"""URLs of Sentinels: what they mean, and what is said about those that mean nothing."""

from __future__ import annotations

import pytest

from hub.errors import CannotStart
from hub.store.client import Store
from hub.store.connections import read_sentinel_url
from hub.store.keys import Layout


def test_several_sentinels_a_service_and_a_database() -> None:
    url = "redis+sentinel://hub:s%40crét@one:26380,two,[::1]:5/main/3?sentinel_password=x"
    sentinels, service, options, of_sentinels = read_sentinel_url(url)
    assert sentinels == [("one", 26380), ("two", 26379), ("::1", 5)]
    assert (service, of_sentinels) == ("main", {"password": "x"})
    assert options == {"username": "hub", "password": "s@crét", "db": 3}


def test_without_login_and_database() -> None:
    _, service, options, of_sentinels = read_sentinel_url("redis+sentinel://one/main")
    assert (service, options, of_sentinels) == ("main", {"username": None, "password": None}, {})


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis+sentinel://one:26379", "write redis\\+sentinel://host:port,host:port/service"),
        ("redis+sentinel:///main", "write redis\\+sentinel"),
        ("redis+sentinel://one:x/main", "one:x is no host:port"),
        ("redis+sentinel://one/main/zero", "zero is no number"),
        ("redis+sentinel://one,/main", "a Sentinel has no host"),
        ("redis+sentinel://one/main?sentinel_pasword=x", "sentinel_pasword is no option"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_what_to_write(url: str, reason: str) -> None:
    with pytest.raises(CannotStart, match=f"HUB_REDIS_URL cannot be read: {reason}"):
        Store(url, Layout())
