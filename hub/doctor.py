"""``hub doctor``: looks at the Redis of the settings, says what is wrong, and repairs a store that went backwards."""

from __future__ import annotations

from typing import TextIO

from hub.durability import confirmation, durability_in_words, embedded_redis
from hub.errors import CannotStart, Unavailable
from hub.settings import Settings
from hub.store.client import Store
from hub.store.keys import Layout
from hub.store.repair import Repair

UNWELL = 1


async def examine(settings: Settings, out: TextIO, *, repair: bool, skip: int, drop: bool) -> int:
    """Print what is found; 0 when all is well (by now). Raises CannotStart when Redis does not answer."""
    embedded = embedded_redis(settings)
    url = embedded.url if embedded else settings.redis_url
    store = Store(url, Layout(settings.partitions, settings.shards), confirmation(settings))
    try:
        well = await _settings(store, settings, out)
        return 0 if await _history(Repair(store), out, repair=repair, skip=skip, drop=drop) and well else UNWELL
    except Unavailable as problem:
        raise CannotStart(f"{problem}; hub doctor looks at a Redis that runs") from problem
    finally:
        await store.close()


async def _settings(store: Store, settings: Settings, out: TextIO) -> bool:
    print(f"level {settings.durability}: {durability_in_words(settings)}", file=out)
    problems = await store.unfit(settings.durability, accept_unverified=settings.accept_unverified_redis)
    for problem in problems:
        print(f"  WRONG  {problem}", file=out)
    if not problems:
        print("  fine   Redis is set up for it", file=out)
    return not problems


async def _history(doctor: Repair, out: TextIO, *, repair: bool, skip: int, drop: bool) -> bool:
    found = await doctor.backwards()
    if not found:
        print("  fine   no process has noticed that the store went backwards", file=out)
    well = True
    for partition, backwards in found.items():
        print(
            f"  WRONG  {partition} had change {backwards.known}, and now ends at {backwards.found or 'nothing'}",
            file=out,
        )
        if not repair:
            well = False
            print("         nothing is numbered or sent there; run hub doctor --repair", file=out)
            continue
        done = await doctor.run(partition, backwards, skip=skip, drop=drop)
        print(f"         {done.skipped} Subscriptions go on {skip} numbers later", file=out)
        if done.dropped_events:
            print(f"         {done.dropped_events} events that waited were dropped", file=out)
        if done.waiting:
            well = False
            print(
                f"         {len(done.waiting)} Subscriptions still have events waiting, which are sent now:", file=out
            )
            print(f"         {', '.join(done.waiting[:10])}{' …' if len(done.waiting) > 10 else ''}", file=out)
            print("         run it again when they are sent, or with --drop-waiting", file=out)
        else:
            print("         repaired: it goes on", file=out)
    return well
