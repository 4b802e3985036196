"""One hub with many lives, inside the test process: started, killed without a word, fenced by the next."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp

from hub.app import Hub, create_app
from hub.errors import Unavailable
from hub.security.tokens import Guard
from hub.settings import load_settings
from hub.store.keys import shard_key

ANSWERED_ANYHOW = 500
ALL_LEASES_END = """
local subs = redis.call('HGETALL', KEYS[1])
for i = 1, #subs, 2 do
  local m = subs[i] ~= '' and cmsgpack.unpack(subs[i+1])
  if m and m[6] > 0 then
    m[6] = 1
    redis.call('HSET', KEYS[1], subs[i], cmsgpack.pack(m))
    redis.call('ZADD', KEYS[2], 1, subs[i])
  end
end
"""


class Lives:
    """The present life answers ``request``; earlier ones are dead, or about to be."""

    def __init__(self, redis_url: str, folder: Path, **settings: Any) -> None:
        given = {"retry_initial_ms": 20, "retry_max_ms": 120, "error_after_failures": 3, "port": 80} | settings
        self._settings = load_settings(dev=True, redis_url=redis_url, data_dir=folder, **given)
        self.hub: Hub
        self._app: ASGIApp

    async def start(self) -> None:
        self.hub = Hub(self._settings, dev=True)
        await self.hub.start()
        self._app = create_app(self.hub, Guard([], open_to_all=True))

    async def kill(self) -> None:
        """Nothing that the present life does from here on reaches the store; what it held is free again."""
        await _kill(self.hub)
        await self._let_leases_end()

    async def replace(self, seconds: float) -> None:
        """The next life begins while the present one goes on for a while, as after a long freeze: it is fenced."""
        former = self.hub
        former.instance.release()
        await self.start()
        await asyncio.sleep(seconds)
        await _kill(former, released=True)
        await self._let_leases_end()

    async def _let_leases_end(self) -> None:
        """As if the time of every lease had passed."""
        clock = Hub(self._settings, dev=True)
        for shard in range(clock.store.layout.shards):
            keys = (shard_key(shard, "m"), shard_key(shard, "due"))
            await clock.store.send(("EVAL", ALL_LEASES_END, 2, *keys))
        await clock.store.close()
        clock.instance.release()

    async def stop(self) -> None:
        await self.hub.stop()

    async def request(self, method: str, path: str, body: object = None, key: str = "") -> httpx.Response:
        """Send it until it is answered: 503 and a life that ended in the middle mean the same again (I3)."""
        headers = {"Content-Type": "application/fhir+json"} | ({"Idempotency-Key": key} if key else {})
        while True:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
                answer = await client.request(method, path, json=body, headers=headers)
            if answer.status_code < ANSWERED_ANYHOW and answer.status_code != 429:
                return answer
            assert answer.status_code in (429, 503), (answer.status_code, answer.text)
            await asyncio.sleep(0.01)

    async def once(self, method: str, path: str, body: object) -> httpx.Response | None:
        """Sent once; None: it may stand or not."""
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            headers = {"Content-Type": "application/fhir+json"}
            answer = await client.request(method, path, json=body, headers=headers)
        return answer if answer.status_code < ANSWERED_ANYHOW else None

    async def until_judged(self) -> None:
        """Every accepted change has been evaluated."""
        while any([await self.hub.changes.lag(partition) for partition in self.hub.evaluators]):
            await asyncio.sleep(0.01)

    async def until_delivered(self, names: list[str], seconds: float) -> None:
        """Nothing waits any more; gives up without a word, because the ledger will say what is missing."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            records = await self.hub.subscriptions.records(names)
            if all(record is None or record.cursor == record.number for record in records):
                return
            await asyncio.sleep(0.02)


async def _kill(hub: Hub, *, released: bool = False) -> None:
    async def dead(*_: object) -> list[Any]:
        raise Unavailable("this process is dead")

    hub.store.send = dead  # type: ignore[method-assign]
    tasks = [*hub.supervisor._tasks, *hub.worker._attempts]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with suppress(OSError):
        await hub.sender.aclose()
    await hub.store.close()
    if not released:
        hub.instance.release()
