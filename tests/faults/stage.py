"""The processes of a run of faults: hubs and workers that share one Redis, and what can befall them.

Each fault is noted with the time during which it can have cut off an attempt. What is down comes up again by itself.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from hub.errors import Away
from tests.faults.processes import Service
from tests.servers import FIT, Server

REQUEST_SECONDS = 5.0
"""How long a client waits before it asks another hub, with the same key."""
ONCE_SECONDS = 2.0
ROOM_BYTES = 4_000
"""What a disk that is about to be full still takes."""
STANDS_ANYHOW = 500


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that happened, from when to when; ``mailbox`` None: to everybody."""

    kind: str
    began: float
    ended: float
    mailbox: str | None = None


@dataclass
class Stage:
    """``servers`` have the API, ``workers`` have not."""

    folder: Path
    stack: AsyncExitStack
    servers: int = 2
    workers: int = 1
    struck: list[Struck] = field(default_factory=list)
    hubs: list[Service] = field(default_factory=list)
    _frozen: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    _chance: random.Random = field(default_factory=lambda: random.Random(5))

    def __post_init__(self) -> None:
        self.redis = Server(self.folder / "redis", dict(FIT))
        transport = httpx.AsyncHTTPTransport(verify=False)
        self._client = httpx.AsyncClient(transport=transport, trust_env=False)
        self.stack.callback(self.redis.kill)
        self.stack.push_async_callback(self._client.aclose)

    async def start(self) -> None:
        await self.redis.start()
        for number in range(self.servers + self.workers):
            home = self.folder / f"hub{number}"
            home.mkdir()
            settings = {"HUB_REDIS_URL": self.redis.url, "HUB_BASE_URL": "http://hub.example"}
            command = ("serve",) if number < self.servers else ("worker",)
            self.hubs.append(Service(home, self.stack, command=command, settings=settings))
        for hub in self.hubs:
            hub.launch()
        await asyncio.gather(*(hub.until_ready() for hub in self.hubs))

    async def stop(self) -> list[int]:
        """The exit codes of the hubs."""
        return list(await asyncio.gather(*(hub.end_by(signal.SIGTERM) for hub in self.hubs)))

    def write_logs(self) -> None:
        for hub in self.hubs:
            (hub.folder / "hub.log").write_text("".join(map(str, hub.logs)))

    async def keep_up(self) -> None:
        """As an init system: a hub that found no Redis when it was started is started again; runs until cancelled."""
        while True:
            await asyncio.sleep(0.2)
            for hub in self.hubs:
                if hub.process and (code := hub.process.poll()) is not None and code != -signal.SIGKILL:
                    assert code == Away.exit_code, f"a hub ended by itself with {code}:\n{hub.lines}"
                    hub.launch()

    async def heal(self) -> None:
        """Nothing is frozen, everything runs."""
        await asyncio.gather(*self._frozen.values())
        await asyncio.gather(*(hub.until_ready() for hub in self.hubs))

    # what befalls it

    async def kill_hub(self, place: int) -> None:
        with self._noted("hub killed"):
            await self._kill(place)

    async def freeze_hub(self, place: int, seconds: float) -> None:
        """It is woken later, while other things happen."""
        process = self.hubs[place].process
        assert process
        if place in self._frozen:
            return
        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()

        async def wake() -> None:
            try:
                await asyncio.sleep(seconds)
            finally:
                process.send_signal(signal.SIGCONT)
            self.struck.append(Struck("hub frozen", began, time.monotonic()))
            del self._frozen[place]

        self._frozen[place] = asyncio.create_task(wake())

    async def kill_redis(self, seconds: float) -> None:
        with self._noted("Redis killed"):
            self.redis.kill()
            await asyncio.sleep(seconds)
            await self.redis.start()

    async def freeze_redis(self, seconds: float) -> None:
        with self._noted("Redis frozen"):
            self.redis.freeze()
            await asyncio.sleep(seconds)
            self.redis.thaw()

    async def cut_connections(self) -> None:
        with self._noted("connections cut"):
            for kind in ("normal", "pubsub"):
                await self.redis.say("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    async def fill_disk(self, seconds: float) -> None:
        """Redis dies at the first write that does not fit, is started in vain, and comes back when there is room."""
        with self._noted("disk full"):
            self._limit_files()
            await self._until_redis_ended(seconds)
            self.redis.kill()
            self.redis.launch()
            self._limit_files()
            await self._until_redis_ended(seconds)
            self.redis.kill()
            await self.redis.start()

    async def kill_all(self, seconds: float) -> None:
        """As when the power goes."""
        with self._noted("all killed"):
            self.redis.kill()
            for place in range(len(self.hubs)):
                await self._kill(place)
            await asyncio.sleep(seconds)
            await self.redis.start()

    def _noted(self, kind: str) -> _Note:
        return _Note(self, kind)

    async def _kill(self, place: int) -> None:
        """And start it again at once; nobody waits until it is ready."""
        hub = self.hubs[place]
        await hub.end_by(signal.SIGKILL)
        hub.launch()

    async def _until_redis_ended(self, seconds: float) -> None:
        assert self.redis.process
        deadline = time.monotonic() + seconds
        while self.redis.process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    def _limit_files(self) -> None:
        assert self.redis.process
        sizes = [path.stat().st_size for path in (self.redis.folder / "appendonlydir").glob("*.aof")]
        most = max(sizes, default=0) + ROOM_BYTES
        resource.prlimit(self.redis.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    # how clients reach it

    async def request(self, method: str, path: str, body: object = None, key: str = "") -> httpx.Response:
        """Until it is answered: 503 and a lost connection mean the same again (I3).

        Without a key nobody stops waiting for an answer: a frozen hub would carry it out later, after what came next.
        """
        headers = {"Content-Type": "application/fhir+json"} | ({"Idempotency-Key": key} if key else {})
        seconds = REQUEST_SECONDS if key else None
        while True:
            try:
                answer = await self._send(method, path, body, headers, seconds)
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code not in (429, 503):
                assert answer.status_code < STANDS_ANYHOW, (answer.status_code, answer.text)
                return answer
            await asyncio.sleep(0.05)

    async def once(self, method: str, path: str, body: object) -> httpx.Response | None:
        """None when it may stand or not."""
        try:
            answer = await self._send(method, path, body, {"Content-Type": "application/fhir+json"}, ONCE_SECONDS)
        except httpx.TransportError:
            return None
        return None if answer.status_code in (429, 503) else answer

    async def _send(
        self, method: str, path: str, body: object, headers: dict[str, str], seconds: float | None
    ) -> httpx.Response:
        hub = self.hubs[self._chance.randrange(self.servers)]
        sent = None if body is None else json.dumps(body).encode()
        return await self._client.request(method, hub.url + path, headers=headers, timeout=seconds, content=sent)


@dataclass
class _Note:
    stage: Stage
    kind: str
    began: float = 0.0

    def __enter__(self) -> None:
        self.began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.stage.struck.append(Struck(self.kind, self.began, time.monotonic()))
