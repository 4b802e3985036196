"""What a process holds of each Subscription, and how long its event loop stands still while it reads them all.

    python -m tests.bench.registry --subscriptions 100000

writes that many to a Redis of its own, then loads them as a start does, then lets their topic change.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

from hub.domain.subscription import Channel, Status, Subscription, SubscriptionKey
from hub.domain.versions import FhirVersion
from hub.intake.held_value_sets import ValueSetReader
from hub.intake.registry import Registry
from hub.intake.topics import Catalogue, TopicCompiler, load_shipped
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.embedded import EmbeddedRedis
from hub.store.keys import Layout
from hub.store.registry import Registry as RegistryLog
from hub.store.registry import TopicRecord
from hub.store.subscriptions import Definition, Subscriptions
from tests.bench.measuring import collections, resident_bytes

WRITTEN_AT_ONCE = 200
TICK_SECONDS = 0.001
TOPIC = "http://topics.example/results"
TOPIC_NAME = "default|r5|results"
BASE_URLS = {version: f"http://hub.example.org{version.path}" for version in FhirVersion}


def topic_record(title: str) -> TopicRecord:
    resource = {
        "resourceType": "SubscriptionTopic", "id": "results", "url": TOPIC, "status": "active", "title": title,
        "resourceTrigger": [{"resource": "Observation"}], "canFilterBy": [{"filterParameter": "patient"}],
    }  # fmt: skip
    return TopicRecord(json.dumps(resource), "2026-01-01T00:00:00+00:00")


async def put(subscriptions: Subscriptions, number: int) -> None:
    patient = uuid.UUID(int=random.Random(number).getrandbits(128))
    endpoint = f"https://receiver.example/inbox/{number}"
    resource = {
        "resourceType": "Subscription", "status": "requested", "topic": TOPIC, "endpoint": endpoint,
        "channelType": {"code": "rest-hook"}, "content": "id-only", "reason": "results of one patient",
        "parameter": [{"name": "Authorization", "value": "Bearer 0123456789abcdef0123456789abcdef"}],
        "filterBy": [{"resourceType": "Observation", "filterParameter": "patient", "value": f"Patient/{patient}"}],
    }  # fmt: skip
    key = SubscriptionKey("default", FhirVersion.R5, str(uuid.UUID(int=number + 2**100)))
    definition = Definition(json.dumps(resource), {"0": "1790000000000-0"}, "owner", "2026-01-01T00:00:00+00:00")
    subscription = Subscription(TOPIC, Channel("rest-hook", endpoint))
    await subscriptions.put(
        key, subscription, definition, expected_version=0, status=Status.REQUESTED, verify_anew=True
    )


async def standstill(task: Awaitable[None]) -> tuple[float, float]:
    """(seconds that the task took, longest time in ms that nobody else had a turn)."""
    longest, going = 0.0, asyncio.ensure_future(task)
    began = before = time.perf_counter()
    while not going.done():
        await asyncio.sleep(TICK_SECONDS)
        now = time.perf_counter()
        longest, before = max(longest, now - before - TICK_SECONDS), now
    await going
    return time.perf_counter() - began, longest * 1e3


@asynccontextmanager
async def own_store() -> AsyncIterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedRedis(Path(folder), fsync="everysec")
        store = Store(await server.start(), Layout(partitions=1, shards=4))
        await store.start(durability="relaxed", accept_unverified=True)
        try:
            yield store
        finally:
            await store.close()
            await server.stop()


async def measure(count: int) -> None:
    async with own_store() as store:
        log, subscriptions, catalogue = RegistryLog(store), Subscriptions(store), Catalogue()
        compiler = TopicCompiler(BASE_URLS)
        load_shipped(catalogue, None, compiler)
        await log.publish(TOPIC_NAME, topic_record("first"), None)
        for start in range(0, count, WRITTEN_AT_ONCE):
            numbers = range(start, min(start + WRITTEN_AT_ONCE, count))
            await asyncio.gather(*(put(subscriptions, number) for number in numbers))
        registry = Registry(
            catalogue,
            subscriptions,
            log,
            compiler,
            ValueSetReader(store, Changes(store, most_waiting=1000), compiler.value_sets),
        )
        before = resident_bytes()
        with collections() as pauses:
            seconds, longest = await standstill(registry.load())
            gc.collect()
        assert not registry.broken, next(iter(registry.broken.items()))
        held = (resident_bytes() - before) / count
        print(f"load: {seconds:.1f} s, {seconds / count * 1e6:.0f} µs each, loop stood still {longest:.0f} ms at most")
        print(
            f"held: {held:.0f} bytes each of {count:,}; longest full garbage collection {max(pauses, default=0):.1f} ms"
        )
        await log.publish(TOPIC_NAME, topic_record("second"), None)
        seconds, longest = await standstill(registry.refresh())
        print(f"a new version of their topic: {seconds:.1f} s, loop stood still {longest:.0f} ms at most")
        assert not registry.broken
        with collections() as pauses:
            gc.collect()
        print(f"a full garbage collection afterwards {max(pauses):.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscriptions", type=int, default=100_000)
    asyncio.run(measure(parser.parse_args().subscriptions))


if __name__ == "__main__":
    main()
