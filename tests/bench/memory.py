"""What Redis holds for each Subscription and for each event, by MEMORY USAGE of every key of the hub.

    python -m tests.bench.memory [--subscriptions 20000] [--server PATH]

starts a Redis of its own, the one that the hub would start, or the one that is named. Bytes are those of one
Subscription, or of one event of one Subscription; a line names every kind of key that grew.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

from hub.intake.offers import new_id
from hub.store.changes import Changes
from hub.store.client import Store
from hub.store.embedded import EmbeddedRedis
from hub.store.keys import Layout
from tests.store.factories import PARTITION, Lab, offer
from tests.store.populating import give_event, make_idle
from tests.store.weighing import grown, weigh

JSON, LOG = "d:s", "reg:log"
NOW = 1_790_000_000_000
KEPT = (1, 10)
BODY_BYTES = 1_776
"""Of the Patient that the store's other figures were taken with."""


def told(what: str, sizes: dict[str, int], count: int) -> None:
    own = {kind: size / count for kind, size in sizes.items() if kind not in (JSON, LOG)}
    parts = ", ".join(f"{kind} {size:.1f}" for kind, size in own.items())
    print(f"{what}: {sum(own.values()):.1f} bytes ({parts})", end="")
    aside = ", ".join(f"{kind} {sizes[kind] / count:.1f}" for kind in (LOG, JSON) if kind in sizes)
    print(f"; besides: {aside}" if aside else "")


async def idle(lab: Lab, what: str, names: list[str], **channel: object) -> None:
    await lab.store.send(("FLUSHALL",))
    before = await weigh(lab.store)
    await make_idle(lab, names, **channel)
    told(f"idle Subscription, {what}", grown(before, await weigh(lab.store)), len(names))


async def events(lab: Lab, names: list[str]) -> None:
    before, given = await weigh(lab.store), 0
    for kept in KEPT:
        for at in range(given, kept):
            await give_event(lab, names, NOW + at)
        given = kept
        told(f"event, {kept} kept, an attempt with each", grown(before, await weigh(lab.store)), kept * len(names))


async def body(lab: Lab, names: list[str]) -> None:
    before = await weigh(lab.store)
    changes = Changes(lab.store, most_waiting=100)
    (accepted,) = await changes.accept(PARTITION, [offer("Patient/1", body=b"x" * BODY_BYTES)])
    assert accepted.id
    await give_event(lab, names, accepted.id.milliseconds)
    sizes = grown(before, await weigh(lab.store))
    held = sum(size for kind, size in sizes.items() if kind.startswith("P:"))
    print(f"a change of {BODY_BYTES:,} bytes for {len(names):,} Subscriptions: {held:,} bytes, once")


async def measure(count: int, binary: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedRedis(Path(folder), server=binary, fsync="no")
        store = Store(await server.start(), Layout(partitions=1, shards=1))
        try:
            (info,) = await store.send(("INFO", "server"))
            name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"
            print(f"{name}, {count:,} Subscriptions; the log of the registry ({LOG}) keeps 100,000 entries at most")
            lab = Lab(store)
            kinds: list[tuple[str, Callable[[], str], dict[str, object]]] = [
                ("id by the hub, with a heartbeat", new_id, {"heartbeat_seconds": 3600}),
                ("id a UUID", lambda: str(uuid.uuid4()), {}),
                ("id by the hub", new_id, {}),
            ]
            for what, made, channel in kinds:
                names = sorted(made() for _ in range(count))
                await idle(lab, what, names, **channel)
            await events(lab, names)
            await body(lab, names)
        finally:
            await store.close()
            await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscriptions", type=int, default=20_000)
    parser.add_argument("--server", default="", help="path of a redis-server or valkey-server")
    given = parser.parse_args()
    asyncio.run(measure(given.subscriptions, given.server))


if __name__ == "__main__":
    main()
