"""From Redis answering to being ready: what is due is sent at once, while the Subscriptions are still being read.

A delivery needs the definition of what is due and no other; evaluators and the API need all of them (I5), and wait.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hub.errors import Full
from hub.intake.registry import Registry
from hub.intake.topics import load_shipped

if TYPE_CHECKING:
    from hub.app import Hub

PATIENCE_SECONDS = 2.0
"""How long a request waits for the reading to end before it is told to come again."""
RETRY_AFTER_SECONDS = 5


class Opening:
    """``done`` is set when everything is read."""

    def __init__(self, registry: Registry) -> None:
        self.done = asyncio.Event()
        self._registry = registry

    @property
    def problems(self) -> list[str]:
        """What ``/health/ready`` says meanwhile."""
        return [] if self.done.is_set() else [f"{self._words()}; what is due is delivered already"]

    async def ready(self) -> None:
        """Raises Full when the reading goes on for longer than one wants to wait."""
        if self.done.is_set():
            return
        try:
            await asyncio.wait_for(self.done.wait(), PATIENCE_SECONDS)
        except TimeoutError:
            raise Full(f"{self._words()}; send it again", RETRY_AFTER_SECONDS) from None

    def _words(self) -> str:
        so_far, of = self._registry.read_so_far, self._registry.to_read or "?"
        return f"this process has just started and is reading Subscriptions, {so_far} of {of} so far"


async def begin(hub: Hub, tenant: str) -> None:
    """Open the store, deliver what is due; the rest begins when the Subscriptions are read. Raises CannotStart."""
    settings, run = hub.settings, hub.supervisor.start
    if hub.embedded:
        await hub.embedded.start()
        run("embedded Redis", hub.embedded.watch)
    await hub.store.until_it_answers()
    await hub.store.start(durability=settings.durability, accept_unverified=settings.accept_unverified_redis)
    await hub.watch.start()
    load_shipped(hub.catalogue, settings.topics_dir, hub.compiler, [tenant])
    await hub.host_memory.recall()
    await hub.pressure.look()
    began = await hub.store.clock_milliseconds()
    run("sockets of other processes", hub.relay.run)
    run("watch", hub.watch.run)
    run("pressure", hub.pressure.run)
    run("hints to other processes", hub.hints.run)
    run("sockets", hub.listening.watch)
    run("delivery", hub.worker.run)
    run("host memory", hub.host_memory.run)
    hub.supervisor.start_once("former life", lambda: hub.agenda.resume(range(hub.store.layout.shards), began))
    hub.supervisor.start_once("reading", lambda: _read(hub))


async def _read(hub: Hub) -> None:
    """Nobody is told of a change, and nothing is answered, before every Subscription is known (I5)."""
    await hub.registry.load()
    for partition, evaluator in hub.evaluators.items():
        hub.supervisor.start(f"evaluator {partition}", evaluator.run)
    for version, reverse in hub.reverse_includes.items():
        hub.supervisor.start(f"reverse index {version}", reverse.run)
    hub.supervisor.start("janitor", hub.janitor.run)
    hub.opening.done.set()
