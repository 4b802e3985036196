"""The hub's own Redis: found again after a crash, wherever the data lie, and clear words when it cannot be had."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

from hub.errors import CannotStart
from hub.store import embedded
from hub.store.client import Store
from hub.store.embedded import LONGEST_SOCKET_PATH, EmbeddedRedis, find_server, socket_path
from hub.store.keys import Layout


async def ask(url: str, *command: str) -> object:
    store = Store(url, Layout())
    try:
        (reply,) = await store.send(command)
        return reply
    finally:
        await store.close()


async def process_of(url: str) -> int:
    told = await ask(url, "INFO", "server")
    assert isinstance(told, dict)
    return int(told["process_id"])


async def test_the_server_of_a_killed_hub_is_used_on(tmp_path: Path) -> None:
    left_behind = EmbeddedRedis(tmp_path)
    url = await left_behind.start()
    await ask(url, "SET", "key", "value")
    successor = EmbeddedRedis(tmp_path)
    assert await successor.start() == url
    assert await process_of(url) == left_behind._process.pid  # type: ignore[union-attr]
    assert await ask(url, "GET", "key") == b"value"
    await successor.stop()
    left_behind._process.wait(10)  # type: ignore[union-attr]
    assert not socket_path(tmp_path).exists()


async def test_a_killed_server_is_started_again_with_everything_it_answered(tmp_path: Path) -> None:
    first = EmbeddedRedis(tmp_path)
    url = await first.start()
    await ask(url, "SET", "key", "value")
    os.kill(await process_of(url), signal.SIGKILL)
    first._process.wait(10)  # type: ignore[union-attr]
    assert socket_path(tmp_path).exists(), "a killed server leaves its socket file"
    second = EmbeddedRedis(tmp_path)
    assert await ask(await second.start(), "GET", "key") == b"value"
    await second.stop()


async def test_data_outlive_an_orderly_stop(tmp_path: Path) -> None:
    for number in (1, 2):
        server = EmbeddedRedis(tmp_path)
        assert await ask(await server.start(), "INCR", "starts") == number
        await server.stop()


async def test_a_path_too_long_for_a_socket_is_served_from_a_short_one(tmp_path: Path) -> None:
    folder = tmp_path / ("long-" * 25)
    path = socket_path(folder)
    assert len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and folder not in path.parents
    assert path != socket_path(folder / "other")
    server = EmbeddedRedis(folder)
    assert await ask(await server.start(), "ECHO", "here") == b"here"
    assert (folder / "appendonlydir").is_dir()
    assert path.parent.stat().st_mode & 0o077 == 0, "nobody else may connect"
    await server.stop()


def test_paths_that_are_all_too_long_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, name in ((tempfile, "tempdir"), (embedded, "LAST_RESORT")):
        monkeypatch.setattr(place, name, tmp_path / ("long-" * 25))
    with pytest.raises(CannotStart, match="choose a shorter HUB_DATA_DIR or TMPDIR"):
        socket_path(tmp_path / ("deep-" * 25))


async def test_a_hub_that_leaves_does_not_take_redis_from_another_that_works_on_it(tmp_path: Path) -> None:
    first, second = EmbeddedRedis(tmp_path), EmbeddedRedis(tmp_path)
    store = Store(await first.start(), Layout())
    await store.send(("ECHO", "here"))
    await second.start()
    await second.stop()
    assert await store.send(("ECHO", "still here")) == [b"still here"]
    await store.close()
    await first.stop()
    assert not socket_path(tmp_path).exists()


def test_a_binary_that_is_none_is_named(tmp_path: Path) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.1 sha=0'\n")
    old.chmod(0o700)
    for binary in (str(old), str(tmp_path / "missing"), "/bin/true"):
        with pytest.raises(CannotStart, match=f"{binary} is not a Redis or Valkey server of version 7.0 or newer"):
            find_server(binary)


def test_without_any_server_the_ways_out_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.store.embedded._in_wheel", list)
    monkeypatch.setattr("hub.store.embedded._on_path", list)
    with pytest.raises(CannotStart, match=r"install redis-server or valkey-server.*HUB_REDIS_URL"):
        find_server()


async def test_a_server_that_ends_at_once_points_to_its_log(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text("file missing.aof seq 1 type b\n")
    with pytest.raises(CannotStart, match=r"its log is .*redis\.log"):
        await EmbeddedRedis(tmp_path).start()


async def test_a_server_that_reads_a_large_file_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "START_SECONDS", 0.0)
    server = EmbeddedRedis(tmp_path)
    said = [b"-LOADING Redis is loading the dataset in memory\r\n"] * 5 + [b"+PONG\r\n"]

    async def say(_: str) -> bytes:
        return said.pop(0)

    monkeypatch.setattr(server, "_say", say)
    await server._wait_until_ready()
    assert said == []
