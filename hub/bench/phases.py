"""The phases of a run: each tells somebody what to do and comes back with figures."""

from __future__ import annotations

import asyncio
from typing import Any

from hub.bench.cast import Address, Cast
from hub.bench.child import ChildFailed
from hub.bench.figures import Receipt, in_milliseconds, ratio, settle
from hub.bench.plan import Plan
from hub.bench.processes import Watch
from hub.bench.receiver import BARE_PATH

SUBSCRIBING_CONNECTIONS = 32
SLOWEST_SUBSCRIBING = 20
"""Subscriptions a second; a server slower than that is given up."""
ANSWER_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 0.02
STRAGGLER_SECONDS = 0.2
"""For repeats to show themselves after the last that was expected."""
HANDSHAKE_SECONDS = 10.0
NANOSECONDS = 1_000_000_000
Json = dict[str, Any]


class Phases:
    """``run``: a name that no earlier run of the benchmark used on the same server."""

    def __init__(self, plan: Plan, cast: Cast, run: str) -> None:
        self._plan, self._cast, self._run = plan, cast, run
        self._count = 0

    async def echo(self) -> Json:
        """The bare Starlette echo at full speed over as many connections as the hub gets."""
        address = self._cast.echo_address
        return await self._posts(address, self._plan.connections) | {"kind": "echo"}

    async def client(self) -> Json:
        """A client loop that posts to the receivers: aiohttp, or the own lean client where that is not installed."""
        address, connections = self._cast.receiver_address, self._plan.client_connections
        if not self._cast.aiohttp:
            own = await self._posts(Address(address.host, address.port, BARE_PATH), connections)
            return own | {"kind": "client", "client": "own"}
        url = f"http://{address.host}:{address.port}{BARE_PATH}"
        told = await self._cast.aiohttp.ask(url=url, connections=connections, seconds=self._plan.seconds)
        per_second = told["answered"] / told["seconds"]
        return {"kind": "client", "client": "aiohttp", "per_second": round(per_second, 1)}

    async def subscribe(self, matches: int) -> Json:
        """``matches`` Subscriptions for each patient, through the API; then their handshakes."""
        wanted, before = self._plan.groups(matches) * matches, self._cast.counter.read()
        told = await self._ask_load(
            what="subscriptions", label=self._label(matches), matches=matches, count=wanted,
            connections=SUBSCRIBING_CONNECTIONS, deadline=ANSWER_SECONDS + wanted / SLOWEST_SUBSCRIBING,
            flavour=self._plan.flavour, topic=self._plan.topic, content=self._plan.content,
            receiver=f"http://{self._cast.receiver_address.host}:{self._cast.receiver_address.port}",
        )  # fmt: skip
        if told["accepted"] != wanted:
            raise ChildFailed(
                f"{told['accepted']} of {wanted} Subscriptions were accepted; answers: {told['statuses']}"
            )
        if not self._plan.is_classic:
            await self._arrival(before + wanted, HANDSHAKE_SECONDS)
        handshakes = (await self._take(matches, ""))["handshakes"]
        if handshakes < wanted and not (self._plan.is_classic or self._plan.target):
            raise ChildFailed(f"{handshakes} of {wanted} handshakes arrived")
        seconds = (told["last"] - told["begin"]) / NANOSECONDS
        return {
            "kind": "subscribe", "matches": matches, "subscriptions": wanted, "handshakes": handshakes,
            "seconds": round(seconds, 2), "per_second": round(wanted / seconds, 1),
        }  # fmt: skip

    async def maximum(self, matches: int, seconds: float | None = None) -> Json:
        """As fast as changes are accepted while no more than the window of notifications is under way."""
        job = {"window": self._plan.window, "counter": self._cast.counter_path, "matches": matches}
        return await self._changes(matches, job, seconds or self._plan.seconds) | {"kind": "maximum"}

    async def load(self, matches: int, fraction: float, rate: float) -> Json:
        """``rate`` changes a second by a fixed schedule."""
        told = await self._changes(matches, {"rate": rate}, self._plan.seconds)
        return {**told, "kind": "load", "fraction": fraction, "rate": round(rate, 1)}

    async def _changes(self, matches: int, job: Json, seconds: float) -> Json:
        self._count += 1
        prefix, groups = f"{self._run}p{self._count}", self._plan.groups(matches)
        before, watch = self._cast.counter.read(), Watch(self._cast.pids)
        told = await self._ask_load(
            what="changes", label=self._label(matches), prefix=prefix, groups=groups, seconds=seconds,
            connections=self._plan.connections, deadline=seconds + ANSWER_SECONDS, **job,
        )  # fmt: skip
        await self._arrival(before + len(told["accepted"]) * matches, self._plan.patience_seconds)
        usage = watch.spent()
        taken = await self._take(matches, prefix)
        return self._figures(told, taken, matches, groups, usage)

    def _figures(self, told: Json, taken: Json, matches: int, groups: int, usage: Json) -> Json:
        starts: dict[int, int] = dict(told["accepted"])
        account = settle(starts, (Receipt(*row) for row in taken["rows"]), matches, groups)
        accepted, delivered = len(starts), len(account.latencies)
        spent = {name: each["cpu_seconds"] * 1e6 for name, each in usage.items()}
        per_change, per_match = ratio(spent.get("hub"), accepted), ratio(spent.get("redis"), delivered)
        return {
            "matches": matches,
            "sent": told["sent"], "accepted": accepted, "delivered": delivered, "statuses": told["statuses"],
            "unanswered": told["unanswered"],
            "accepted_per_second": per_second(accepted, told["last"] - told["begin"]),
            "delivered_per_second": per_second(delivered, account.last_receipt - told["begin"]),
            "answer_ms": in_milliseconds(told["answer_times"]),
            "latency_ms": in_milliseconds(account.latencies),
            "lost": account.lost, "duplicates": account.duplicates, "gaps": account.gaps,
            "strangers": account.strangers, "late": taken["late"], "unreadable": taken["unreadable"],
            "usage": usage,
            "hub_us_per_change": round(per_change, 1) if per_change else None,
            "redis_us_per_match": round(per_match, 1) if per_match else None,
        }  # fmt: skip

    async def _posts(self, address: Address, connections: int) -> Json:
        told = await self._ask_load(
            address, what="posts", seconds=self._plan.seconds, connections=connections,
            deadline=self._plan.seconds + ANSWER_SECONDS,
        )  # fmt: skip
        elapsed = told["last"] - told["begin"]
        return {"per_second": per_second(told["accepted"], elapsed), "answer_ms": in_milliseconds(told["answer_times"])}

    async def _ask_load(self, address: Address | None = None, **job: Any) -> Json:
        where = address or self._cast.server
        secret = {} if address else {"token": self._plan.token}
        told = await self._cast.load.ask(host=where.host, port=where.port, path=where.path, **secret, **job)
        if "error" in told:
            raise ChildFailed(told["error"])
        return told

    async def _arrival(self, wanted: int, patience_seconds: float) -> None:
        """Until the counter says so, or nothing has come for so long."""
        loop = asyncio.get_running_loop()
        seen, since = -1, loop.time()
        while (count := self._cast.counter.read()) < wanted and loop.time() - since < patience_seconds:
            if count != seen:
                seen, since = count, loop.time()
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        await asyncio.sleep(STRAGGLER_SECONDS)

    async def _take(self, matches: int, prefix: str) -> Json:
        return await self._cast.receiver.ask(do="take", label=self._label(matches), prefix=prefix)

    def _label(self, matches: int) -> str:
        return f"{self._run}m{matches}"


def per_second(count: int, nanoseconds: int) -> float:
    return round(count * NANOSECONDS / nanoseconds, 1) if nanoseconds > 0 else 0.0
