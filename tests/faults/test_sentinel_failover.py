"""The master dies and Sentinel makes a replica master: at level ``replicated`` nothing is lost, nothing renumbered."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.faults.processes import Fleet, Load, Service
from tests.faults.receiver import Receiver
from tests.faults.test_stopped_hub import MAILBOXES, all_arrived, broken_promises, until
from tests.servers import PATIENCE_SECONDS, Server, replicated

SERVICE = "hub"
SENTINELS = 3


@asynccontextmanager
async def watched(folder: Path, master: Server) -> AsyncIterator[list[Server]]:
    """Sentinels that agree on who is master."""
    sentinels = []
    try:
        for number in range(SENTINELS):
            sentinel = Server(folder / f"sentinel{number}")
            sentinel.folder.mkdir(parents=True)
            lines = [
                f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} 2",
                f"sentinel down-after-milliseconds {SERVICE} 1000",
                f"sentinel failover-timeout {SERVICE} 5000",
                "bind 127.0.0.1",
                "logfile sentinel.log",
            ]
            file = sentinel.folder / "sentinel.conf"
            file.write_text("\n".join(lines), encoding="ascii")
            sentinels.append(sentinel)
            sentinel.launch(str(file), "--sentinel")
        for sentinel in sentinels:
            await sentinel.until(_knows_all, "sentinel")
        yield sentinels
    finally:
        for sentinel in sentinels:
            sentinel.kill()


def _knows_all(told: dict[str, Any]) -> bool:
    master = told.get("master0", {})
    return int(master.get("slaves", 0)) >= 2 and int(master.get("sentinels", 0)) >= SENTINELS


async def one_takes_over(replicas: list[Server]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "master" not in [(await each.say("INFO", "replication"))["role"] for each in replicas]:
            await asyncio.sleep(0.05)


async def test_a_failover_under_load_loses_nothing_and_renumbers_nothing(tmp_path: Path, receiver: Receiver) -> None:
    """Two hubs, a master with two replicas, three Sentinels: all real processes. Both replicas must confirm, so either
    may take over; the hub goes on when the former master is back as the second replica."""
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(replicated(tmp_path, replicas=2, min_replicas_to_write="2"))
        sentinels = await stack.enter_async_context(watched(tmp_path, servers[0]))
        addresses = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
        settings = {
            "HUB_REDIS_URL": f"redis+sentinel://{addresses}/{SERVICE}", "HUB_DURABILITY": "replicated",
            "HUB_REPLICAS": "2", "HUB_BASE_URL": "http://hub.example",
        }  # fmt: skip
        hubs = [Service(tmp_path / f"hub{number}", stack, settings=settings) for number in range(2)]
        for hub in hubs:
            hub.folder.mkdir()
            await hub.start()
        load = Load(Fleet(hubs))
        for mailbox, most in MAILBOXES.items():
            await load.subscribe(mailbox, receiver.url(mailbox), most)
        async with asyncio.TaskGroup() as clients:
            for number in range(4):
                clients.create_task(load.put_patients(f"c{number}", 75))
            await until(lambda: len(load.ledger.changes) >= 100)
            servers[0].kill()
            await one_takes_over(servers[1:])
            await servers[0].start()
        await all_arrived(load, receiver)
        roles = [(await server.say("INFO", "replication"))["role"] for server in servers]
        assert roles[0] == "slave" and sorted(roles[1:]) == ["master", "slave"], "one of the replicas took over"
        assert len(load.ledger.changes) == 300
        assert not (broken := broken_promises(load, receiver)), "\n".join(broken[:20])
        for hub in hubs:
            assert await hub.end_by(signal.SIGTERM) == 0, str(hub.lines)
