"""Real ``hub serve --dev`` processes that share one Redis; each can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from hub.domain.versions import FhirVersion
from hub.store.embedded import EmbeddedRedis
from tests.api.harness import Api
from tests.e2e.serving import PATIENCE_SECONDS, ROOT, Lines, clean_environment, running


@dataclass
class HubProcess:
    """One process and a client of it."""

    url: str
    process: subprocess.Popen[str]
    lines: Lines
    client: httpx.AsyncClient

    def api(self, base: FhirVersion) -> Api:
        return Api(self.client, base)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def hub_processes(folder: Path) -> AsyncIterator[Callable[..., AsyncIterator[HubProcess]]]:
    """``await start(name, HUB_X="…")`` starts one more; all share one Redis."""
    redis = EmbeddedRedis(folder / "redis")
    url = await redis.start()
    clients: list[httpx.AsyncClient] = []
    with ExitStack() as stack:

        async def start(name: str, **settings: str) -> HubProcess:
            home = folder / name
            home.mkdir()
            environment = clean_environment(home) | {"HUB_REDIS_URL": url, "PYTHONPATH": str(ROOT)} | settings
            arguments = ["-m", "hub", "serve", "--dev", "--port", "0", "--data-dir", str(home / "data")]
            process, lines = stack.enter_context(running(arguments, cwd=home, env=environment))
            found = await asyncio.to_thread(lines.wait_for, r"(http://127\.0\.0\.1:\d+)/fhir/r4\b")
            client = httpx.AsyncClient(base_url=found[1], trust_env=False, timeout=PATIENCE_SECONDS)
            clients.append(client)
            await _until_ready(client)
            return HubProcess(found[1], process, lines, client)

        try:
            yield start
        finally:
            for client in clients:
                await client.aclose()
            stack.close()
            await redis.stop()


async def _until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                if (await client.get("/health/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
