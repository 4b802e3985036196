"""What is checked before the first 2xx: durability as promised, and data laid out as this hub reads it (REDIS §2.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.errors import Away, CannotStart
from hub.store.client import Store
from hub.store.embedded import EmbeddedRedis
from hub.store.keys import LAYOUT_KEY, Layout
from tests.servers import FIT, PATIENCE_SECONDS, Server


@pytest.fixture(scope="module")
async def own_redis(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A server whose settings these tests may spoil."""
    server = EmbeddedRedis(Path(tmp_path_factory.mktemp("spoilt")))
    yield await server.start()
    await server.stop()


@pytest.fixture
async def other(own_redis: str) -> AsyncIterator[Store]:
    store = Store(own_redis, Layout())
    yield store
    for name, value in (("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction")):
        await store.send(("CONFIG", "SET", name, value))
    await store.send(("FLUSHALL",))
    await store.close()


async def start(store: Store, durability: str = "local", *, unverified: bool = False) -> None:
    await store.start(durability=durability, accept_unverified=unverified)


async def test_the_embedded_server_is_fit(other: Store) -> None:
    await start(other)


async def test_every_unfit_setting_is_named_at_once(other: Store) -> None:
    settings = (("appendonly", "no"), ("appendfsync", "everysec"), ("maxmemory-policy", "allkeys-lru"))
    for name, value in settings:
        await other.send(("CONFIG", "SET", name, value))
    with pytest.raises(CannotStart) as refusal:
        await start(other)
    for name, value in settings:
        assert f"{name} is {value!r}" in str(refusal.value)
    await start(other, unverified=True)


async def test_everysec_is_enough_for_relaxed_only(other: Store) -> None:
    await other.send(("CONFIG", "SET", "appendfsync", "everysec"))
    await start(other, "relaxed")
    with pytest.raises(CannotStart, match="appendfsync is 'everysec', needed is 'always'"):
        await start(other, "local")


async def test_always_is_more_than_relaxed_asks(other: Store) -> None:
    await start(other, "relaxed")


async def test_settings_that_may_not_be_read_are_no_settings(other: Store, own_redis: str) -> None:
    await other.send(("ACL", "SETUSER", "guest", "on", ">secret", "~*", "+@all", "-config"))
    guest = Store(own_redis.replace("unix://", "unix://guest:secret@"), Layout())
    with pytest.raises(CannotStart, match="CONFIG GET is not allowed"):
        await start(guest)
    await start(guest, unverified=True)
    await guest.close()


async def test_data_of_another_layout_is_not_touched(own_redis: str, other: Store) -> None:
    await start(other)
    for layout in (Layout(partitions=2), Layout(shards=8)):
        changed = Store(own_redis, layout)
        with pytest.raises(CannotStart, match="HUB_PARTITIONS=1 and HUB_SHARDS=4"):
            await start(changed)
        await changed.close()
    await start(other)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("0 1 4", "has layout 0, and this release of the hub reads layout"),
        *((found, "which no hub has written") for found in ("1", "", "my own note", "1 1 4 4")),
    ],
)
async def test_data_of_another_release_is_not_touched(other: Store, found: str, told: str) -> None:
    await other.send(("SET", LAYOUT_KEY, found))
    with pytest.raises(CannotStart, match=told):
        await start(other)
    assert await other.send(("DBSIZE",), ("GET", LAYOUT_KEY)) == [1, found.encode()]


async def test_no_redis_at_all_is_a_reason_not_a_crash(tmp_path: Path) -> None:
    nobody = Store(f"unix://{tmp_path}/nobody.sock", Layout())
    for unverified in (False, True):
        with pytest.raises(CannotStart, match="does not answer"):
            await start(nobody, unverified=unverified)
    await nobody.close()


async def test_a_url_that_is_none_is_a_reason_not_a_crash() -> None:
    with pytest.raises(CannotStart, match="HUB_REDIS_URL"):
        Store("localhost:6379", Layout())


async def test_a_redis_that_comes_a_moment_later_is_waited_for(tmp_path: Path) -> None:
    server = Server(tmp_path, dict(FIT))
    store = Store(server.url, Layout())
    try:
        with pytest.raises(Away, match="does not answer"):
            await store.until_it_answers(seconds=0)
        waiting = asyncio.create_task(store.until_it_answers(seconds=PATIENCE_SECONDS))
        await asyncio.sleep(0)
        server.launch()
        await waiting
    finally:
        await store.close()
        server.kill()
