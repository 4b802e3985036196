"""Bundles that ask for something, and what they are answered."""

from __future__ import annotations

from typing import Any

import httpx

from tests.api.builders import fresh_id
from tests.api.harness import BASES, RunningHub, is_of_clients

SYSTEM = "http://example.org/mrn"


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def entry(method: str, url: str, resource: dict[str, Any] | None = None, full_url: str = "", **request: Any) -> Any:
    """``request`` carries ifMatch, ifNoneExist and so on."""
    written: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        written["resource"] = resource
    return {"fullUrl": full_url, **written} if full_url else written


def post(resource: dict[str, Any], full_url: str = "", **request: Any) -> Any:
    return entry("POST", resource["resourceType"], resource, full_url, **request)


def put(resource: dict[str, Any], **request: Any) -> Any:
    return entry("PUT", f"{resource['resourceType']}/{resource['id']}", resource, **request)


def delete(reference: str, **request: Any) -> Any:
    return entry("DELETE", reference, **request)


def identified(value: str, identity: str = "", **elements: Any) -> dict[str, Any]:
    """A Patient with an identifier."""
    named = {"id": identity} if identity else {}
    return {"resourceType": "Patient", **named, "identifier": [{"system": SYSTEM, "value": value}], **elements}


def by(value: str) -> str:
    return f"identifier={SYSTEM}|{value}"


def urn(number: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{number:012d}"


def statuses(response: httpx.Response) -> list[str]:
    """The status codes of the entries of a response Bundle, in order."""
    assert response.status_code == 200, response.text
    return [each["response"]["status"][:3] for each in response.json().get("entry", ())]


def locations(response: httpx.Response) -> list[str]:
    """Type/id of each entry that has a location."""
    assert response.status_code == 200, response.text
    told = (each["response"].get("location", "") for each in response.json()["entry"])
    return ["/".join(each.split("/")[-4:-2]) for each in told]


async def written(running: RunningHub) -> list[Any]:
    """What every write moves: the number of keys that clients write, and the last change of each base."""
    owns = [f"{{default|{base}|{index}}}:own" for base in BASES for index in range(running.hub.settings.partitions)]
    keys, *last = await running.hub.store.send(("KEYS", "*"), *(("HMGET", own, "last", "in") for own in owns))
    return [sum(map(is_of_clients, keys)), *last]


def fresh(count: int) -> list[str]:
    return [fresh_id() for _ in range(count)]
