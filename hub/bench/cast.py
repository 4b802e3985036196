"""Everybody who takes part in a run: the hub (or another server), load, receivers, echo, client loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from hub.bench.child import Child, ChildFailed
from hub.bench.counter import Counter
from hub.bench.hub_process import HubUnderTest
from hub.bench.plan import Plan

HTTP = 80


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    path: str = ""


@dataclass(frozen=True, slots=True)
class Cast:
    """``aiohttp`` is None where the library is not installed; ``redis`` says nothing for another server."""

    server: Address
    receiver_address: Address
    echo_address: Address
    load: Child
    receiver: Child
    aiohttp: Child | None
    aiohttp_version: str
    counter: Counter
    counter_path: str
    pids: dict[str, int]
    redis: dict[str, str]


@asynccontextmanager
async def assemble(plan: Plan, folder: Path) -> AsyncIterator[Cast]:
    """Start them all; whatever happens, no process stays behind. Raises ChildFailed."""
    async with AsyncExitStack() as stack:
        load, receiver, echo = Child("hub.bench.load"), Child("hub.bench.receiver"), Child("hub.bench.echo")
        aiohttp = Child("hub.bench.aiohttp_loop") if find_spec("aiohttp") else None
        said = {}
        for child in (load, receiver, echo, aiohttp):
            if child:
                stack.push_async_callback(child.stop)
                said[child] = await child.start()
        pids, redis = {"load": load.pid, "receivers": receiver.pid}, {}
        if plan.target:
            server = address_of(plan.target)
            pids |= dict(plan.watched)
        else:
            hub = HubUnderTest(folder, plan.profile)
            stack.push_async_callback(hub.stop)
            await hub.start()
            server, redis = address_of(hub.url + plan.base_path), hub.redis
            pids |= {"hub": hub.pid, "redis": int(redis["process_id"])}
        counter_path = str(folder / "counter")
        counter = Counter(counter_path)
        await receiver.ask(do="count", counter=counter_path)
        yield Cast(
            server=server,
            receiver_address=Address("127.0.0.1", said[receiver]["port"]),
            echo_address=Address("127.0.0.1", said[echo]["port"], "/echo"),
            load=load, receiver=receiver, aiohttp=aiohttp,
            aiohttp_version=said[aiohttp]["aiohttp"] if aiohttp else "",
            counter=counter, counter_path=counter_path, pids=pids, redis=redis,
        )  # fmt: skip


def address_of(url: str) -> Address:
    """Of ``http://host:port/path``. Raises ChildFailed for other schemes: the load generator speaks plain HTTP only."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ChildFailed(f"{url} is no http:// URL; the load is written without TLS, so put no proxy with TLS between")
    return Address(parts.hostname, parts.port or HTTP, parts.path.rstrip("/"))
