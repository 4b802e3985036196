"""A start with very much stored: how soon the hub sends, how soon it is ready, and whether its memory stays flat.

    python -m tests.bench.waiting --events 10000000 --subscriptions 100000
    python -m tests.bench.waiting --events 1000000 --subscriptions 1000000

loads that many waiting events into a Redis of its own, spread evenly over the Subscriptions: definitions and records by
the hub's own scripts, references by RPUSH as COMMIT writes them, all of changes that were accepted. One Subscription in
a hundred is sent to a receiver that answers, the others to a port where nobody listens. Then a real ``hub serve`` is
started on it, and watched for as long as ``--seconds`` says.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import socket
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import httpx

from hub.bench.receiver import Notebook, Reception
from hub.domain.change import ResourceKey
from hub.domain.subscription import Channel, Status, Subscription, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.serving import run
from hub.store.acceptance import Offer, Operation
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.embedded import EmbeddedRedis
from hub.store.event_log import Reference, log_key, write_reference
from hub.store.keys import Layout, Partition, shard_key
from hub.store.registry import Registry as RegistryLog
from hub.store.scripts import script_text
from hub.store.subscriptions import Definition, Subscriptions
from tests.bench.registry import TOPIC, TOPIC_NAME, topic_record

LIVE_EVERY = 100
WRITTEN_AT_ONCE = 200
EVENTS_PER_CALL = 5000
REFERENCES_PER_PUSH = 500
CHANGES = 256
LOOK_SECONDS = 0.02
PARTITION = Partition("default", FhirVersion.R5, 0)
WAIT = (
    script_text("record")
    + """
-- KEYS due, m, then the event logs ; ARGV how many events, number of Subscriptions, their names, references
local most, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local references, changed = {}, {}
for i = 3 + count, #ARGV do references[#references+1] = ARGV[i] end
for x = 1, count do
  local sub = ARGV[2 + x]
  local m = read_record(redis.call('HGET', KEYS[2], sub))
  for first = 1, most, #references do
    redis.call('RPUSH', KEYS[2 + x], unpack(references, 1, math.min(#references, most - first + 1)))
  end
  m[STATUS], m[VERIFIED], m[NUMBER] = ACTIVE, 1, most
  changed[sub] = m
end
put_records(KEYS[2], changed)
put_due(KEYS[1], changed)
return count
"""
)
"""Subscriptions that shook hands and have that many events waiting; record, agenda and count by the hub's own code."""


def name_of(number: int) -> SubscriptionKey:
    return SubscriptionKey("default", FhirVersion.R5, str(uuid.UUID(int=number + 2**100)))


async def put(subscriptions: Subscriptions, number: int, endpoint: str) -> None:
    resource = {
        "resourceType": "Subscription", "status": "requested", "topic": TOPIC, "endpoint": endpoint, "maxCount": 10,
        "channelType": {"code": "rest-hook"}, "content": "id-only", "reason": "results of one patient", "timeout": 15,
        "filterBy": [{"resourceType": "Observation", "filterParameter": "patient", "value": f"Patient/{number}"}],
    }  # fmt: skip
    definition = Definition(json.dumps(resource), {"0": "1-0"}, "owner", "2026-01-01T00:00:00+00:00")
    subscription = Subscription(TOPIC, Channel("rest-hook", endpoint, max_count=10))
    await subscriptions.put(
        name_of(number), subscription, definition, expected_version=0, status=Status.REQUESTED, verify_anew=True
    )


async def accepted(store: Store) -> list[str]:
    """References to changes that were really taken in."""
    changes, references = Changes(store, most_waiting=10**9), []
    for number in range(CHANGES):
        body = json.dumps({"resourceType": "Observation", "id": f"o{number}", "status": "final"}).encode()
        key = ResourceKey("default", FhirVersion.R5, "Observation", f"o{number}")
        (answer,) = await changes.accept(PARTITION, [Offer(key, Operation.LOAD, body)])
        assert answer.id
        references.append(write_reference(Reference(0, answer.id, 1)))
    return references


async def fill(store: Store, events: int, count: int, live: str, dead: str) -> None:
    subscriptions = Subscriptions(store)
    await RegistryLog(store).publish(TOPIC_NAME, topic_record("first"), None)
    references = [each for each in await accepted(store) for _ in range(2)][:REFERENCES_PER_PUSH]
    for start in range(0, count, WRITTEN_AT_ONCE):
        numbers = range(start, min(start + WRITTEN_AT_ONCE, count))
        endpoints = {number: f"{dead if number % LIVE_EVERY else live}/{number}" for number in numbers}
        await asyncio.gather(*(put(subscriptions, number, endpoints[number]) for number in numbers))
    each = events // count
    at_once = max(1, min(WRITTEN_AT_ONCE, EVENTS_PER_CALL // each))
    by_shard: dict[int, list[str]] = {}
    for number in range(count):
        by_shard.setdefault(store.layout.shard_of(name_of(number)), []).append(str(name_of(number)))
    for shard, names in by_shard.items():
        for start in range(0, len(names), at_once):
            some = names[start : start + at_once]
            keys = [shard_key(shard, "due"), shard_key(shard, "m"), *(log_key(shard, name) for name in some)]
            await store.send(("EVAL", WAIT, len(keys), *keys, each, len(some), *some, *references))


async def memory_of_redis(store: Store) -> int:
    (told,) = await store.send(("INFO", "memory"))
    return int(told["used_memory"])


def resident_of(pid: int) -> float:
    """MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def unused_port() -> int:
    """Where nobody listens: kept by nobody, so calls are refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Hub:
    """A real process, and when what was first seen of it."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self._folder, self._redis_url, self._port = folder, redis_url, unused_port()
        self.began = 0.0

    async def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        self.began = time.monotonic()
        with (self._folder / "hub.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "hub", "serve", "--dev", "--port", str(self._port),
                "--data-dir", str(self._folder / "hub"), stderr=log, stdout=log,
                env=environment | {"HUB_REDIS_URL": self._redis_url, "HUB_LOG": "json"},
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    async def health(self, client: httpx.AsyncClient) -> tuple[int, dict[str, Any], float]:
        """(status, what it says, ms that the answer took); status 0 when it does not answer yet."""
        assert self._process.returncode is None, (self._folder / "hub.log").read_text()[-3000:]
        asked = time.monotonic()
        try:
            answer = await client.get(f"http://127.0.0.1:{self._port}/health/ready")
        except httpx.TransportError:
            return 0, {}, 0.0
        return answer.status_code, answer.json(), (time.monotonic() - asked) * 1e3

    async def stop(self) -> None:
        self._process.terminate()
        await self._process.wait()


async def watch(hub: Hub, notebook: Notebook, store: Store, seconds: float) -> None:
    ready_after, first_after, most = 0.0, 0.0, 0.0
    told, slowest, next_line = 0, 0.0, 0.0
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        while time.monotonic() - hub.began < seconds or not ready_after:
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic() - hub.began
            if notebook.arrivals and not first_after:
                first_after = notebook.arrivals[0][0] / 1e9 - hub.began
                print(
                    f"first notification at the receiver {first_after:.2f} s after the start of the process", flush=True
                )
            told += len(notebook.arrivals)
            notebook.arrivals.clear()
            if now < next_line:
                continue
            next_line = now + (1.0 if not ready_after else 10.0)
            status, said, milliseconds = await hub.health(client)
            slowest = max(slowest, milliseconds)
            if status == 200 and not ready_after:
                ready_after = now
                print(f"ready after {now:.1f} s; hub {resident_of(hub.pid):.0f} MiB", flush=True)
                next_line = now + 10.0
            if status:
                most = max(most, resident_of(hub.pid))
                print(
                    f"{now:6.1f} s  hub {resident_of(hub.pid):.0f} MiB  notifications {told:,}  "
                    f"waiting {said['events_waiting']:,}  health {milliseconds:.0f} ms  {'; '.join(said['problems'])}",
                    flush=True,
                )
    print(
        f"at the end: hub {resident_of(hub.pid):.0f} MiB, most {most:.0f} MiB; slowest health answer {slowest:.0f} ms"
    )
    print(f"Redis: {await memory_of_redis(store) / 2**20:.0f} MiB; received {told:,} notifications", flush=True)


async def measure(events: int, count: int, seconds: float) -> int:
    notebook = Notebook()
    loop = asyncio.get_running_loop()
    receiver = await loop.create_server(lambda: Reception(notebook), "127.0.0.1", 0, backlog=1024)
    live = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}"
    dead = f"http://127.0.0.1:{unused_port()}"
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedRedis(Path(folder) / "redis")
        url = await server.start()
        store = Store(url, Layout(partitions=1, shards=4))
        await store.start(durability="local", accept_unverified=False)
        for name, value in (("appendfsync", "no"), ("auto-aof-rewrite-percentage", "0")):
            await store.send(("CONFIG", "SET", name, value))
        before, began = await memory_of_redis(store), time.monotonic()
        await fill(store, events, count, live, dead)
        used = await memory_of_redis(store) - before
        waiting = count * (events // count)
        print(f"{waiting:,} events wait for {count:,} Subscriptions; loaded in {time.monotonic() - began:.0f} s")
        print(f"Redis: {used / 2**20:.0f} MiB, {used / waiting:.1f} bytes for each event", flush=True)
        await store.send(("CONFIG", "SET", "appendfsync", "always"))
        hub = Hub(Path(folder), url)
        await hub.start()
        try:
            await watch(hub, notebook, store, seconds)
        finally:
            await hub.stop()
            await store.close()
            await server.stop()
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--subscriptions", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=300.0)
    given = parser.parse_args()
    run(measure(given.events, given.subscriptions, given.seconds))


if __name__ == "__main__":
    main()
