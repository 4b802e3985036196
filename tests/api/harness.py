"""A whole hub in this process, and clients that speak to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import orjson

from hub.app import Hub, create_app
from hub.domain.versions import FhirVersion
from hub.settings import DEV_DEFAULTS, Settings

BASES = tuple(FhirVersion)
FHIR_JSON = "application/fhir+json"
BASE_URL = "http://hub.test"
QUICK: dict[str, Any] = {"base_url": BASE_URL, "retry_initial_ms": 20, "retry_max_ms": 100, "shutdown_seconds": 1}


@dataclass
class Api:
    """A client of one base. Bodies are bytes, or written as JSON."""

    client: httpx.AsyncClient
    base: FhirVersion

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """``headers`` by name with underscores; ``path`` below the base, an absolute one is taken as it is."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        if content is not None:
            sent.setdefault("Content-Type", FHIR_JSON)
        url = path if path.startswith("/") else f"{self.base.path}/{path}"
        return await self.client.request(method, url, content=content, headers=sent)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.call("GET", path, **headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.call("POST", path, body, **headers)

    async def put(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return await self.call("PUT", path, body, **headers)

    async def delete(self, path: str, **headers: str) -> httpx.Response:
        return await self.call("DELETE", path, **headers)


@dataclass
class RunningHub:
    """A started hub with its client; ``api`` is the client of one base."""

    hub: Hub
    client: httpx.AsyncClient
    app: Any
    token: str = ""

    def api(self, base: FhirVersion) -> Api:
        return Api(self.client, base)


@asynccontextmanager
async def running_hub(
    redis_url: str, data_dir: Path, *, dev: bool = True, fresh: bool = True, **settings: Any
) -> AsyncIterator[RunningHub]:
    """Start a hub on this Redis, emptied first when ``fresh``; everything is stopped at the end."""
    given = {"redis_url": redis_url, "data_dir": data_dir, **QUICK, **(DEV_DEFAULTS if dev else {}), **settings}
    hub = Hub(Settings(**given), dev=dev)
    if fresh:
        await hub.store.send(("FLUSHDB",))
    await hub.start()
    guard, token = await hub.guard()
    app = create_app(hub, guard)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL, timeout=10) as client:
        yield RunningHub(hub, client, app, token)
    await hub.stop()


def outcome_of(response: httpx.Response, *statuses: int) -> list[dict[str, Any]]:
    """The issues of a refusal, which must be a well-formed OperationOutcome (S-193)."""
    assert response.status_code in (statuses or range(400, 500)), f"{response.status_code}: {response.text}"
    assert response.headers["content-type"].startswith(FHIR_JSON)
    outcome = response.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"]
    for issue in outcome["issue"]:
        assert issue["severity"] == "error" and issue["code"] and issue["diagnostics"]
        assert all(isinstance(each, str) and each for each in issue.get("expression", ["-"]))
    return list(outcome["issue"])


def expressions_of(response: httpx.Response, *statuses: int) -> list[str]:
    return [each for issue in outcome_of(response, *statuses) for each in issue.get("expression", ())]


@dataclass
class RawAnswer:
    """What an ASGI application sent, for requests that no well-behaved client can make."""

    status: int
    headers: dict[str, str]
    body: bytes


async def raw_call(
    app: Any, method: str, path: bytes, query: bytes = b"", headers: Any = (), body: bytes = b""
) -> RawAnswer:
    """Call the application with exactly these bytes, as the HTTP server would hand them over."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(path.decode("latin-1")), "raw_path": path, "query_string": query, "root_path": "",
        "headers": list(headers), "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    async with asyncio.timeout(5):
        await app(scope, receive, send)
    start, *bodies = sent
    told = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return RawAnswer(start["status"], told, b"".join(each.get("body", b"") for each in bodies))


def check(answer: RawAnswer, request: Any = "") -> None:
    """A refusal is a 4xx with a well-formed OperationOutcome; ``request`` is shown when it is none."""
    assert 400 <= answer.status < 500, (answer.status, answer.body[:500], request)
    assert answer.headers["content-type"].startswith(FHIR_JSON)
    outcome = json.loads(answer.body)
    assert outcome["resourceType"] == "OperationOutcome" and outcome["issue"]
    for issue in outcome["issue"]:
        assert issue["severity"] == "error" and issue["code"] and issue["diagnostics"], issue


async def snapshot(hub: Hub) -> dict[bytes, Any]:
    """Everything that is stored, without what workers renew by themselves."""
    (keys,) = await hub.store.send(("KEYS", "*"))
    found: dict[bytes, Any] = {}
    for key in keys:
        (kind,) = await hub.store.send(("TYPE", key))
        if key.endswith(b":live"):
            continue
        if key.endswith(b":own"):
            (found[key],) = await hub.store.send(("HMGET", key, "last", "in", "out"))
        elif kind == b"stream":
            (found[key],) = await hub.store.send(("XREVRANGE", key, "+", "-", "COUNT", 1))
        else:
            (found[key],) = await hub.store.send(("DUMP", key))
    return found


async def until_quiet(hub: Hub) -> None:
    """Until everything is evaluated: nothing that is stored changes for a while."""
    before: dict[bytes, Any] = {}
    while (now := await snapshot(hub)) != before:
        before = now
        await asyncio.sleep(0.3)


def is_of_clients(key: bytes) -> bool:
    """Resources, changes, idempotency, topics, and the log that every write of a topic or Subscription goes to.

    Workers write the rest, whenever they get to it: a hub that still delivers changes nothing of this.
    """
    return key.startswith(b"{reg}") or b":r:" in key or b":i:" in key or key.endswith((b":chg", b":ids"))


def written_by_clients(stored: dict[bytes, Any]) -> dict[bytes, Any]:
    """Of what is stored: what clients wrote."""
    return {key: value for key, value in stored.items() if is_of_clients(key)}
