"""Ready-made HTTP requests: bytes for the n-th Subscription or the n-th change. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hub.bench.bodies import CHANGE, PATIENT, observation, patient, subscription

Maker = Callable[[int], bytes]


def maker(job: dict[str, Any]) -> Maker:
    """By ``job["what"]``: ``subscriptions``, ``changes``, or ``posts`` of one body to one path."""
    return {"subscriptions": subscriptions, "changes": changes, "posts": posts}[job["what"]](job)


def subscriptions(job: dict[str, Any]) -> Maker:
    """POST Subscription number n of group n // matches, with the endpoint ``…/n/LABEL/n``."""

    def make(number: int) -> bytes:
        subject = patient(job["label"], number // job["matches"])
        endpoint = f"{job['receiver']}/n/{job['label']}/{number}"
        resource = subscription(job["flavour"], job["topic"], job["content"], subject, endpoint)
        return _request("POST", f"{job['path']}/Subscription", job, json.dumps(resource).encode())

    return make


def changes(job: dict[str, Any]) -> Maker:
    """PUT a new Observation of group n modulo groups, with the id ``PREFIX-n``."""
    before, _, rest = observation().partition(CHANGE)
    between, _, after = rest.partition(PATIENT)
    prefix, path, groups, label = job["prefix"], job["path"], job["groups"], job["label"]

    def make(number: int) -> bytes:
        name = f"{prefix}-{number}"
        body = f"{before}{name}{between}{patient(label, number % groups)}{after}".encode()
        return _request("PUT", f"{path}/Observation/{name}", job, body)

    return make


def posts(job: dict[str, Any]) -> Maker:
    """The same request each time: what a baseline is measured with."""
    body = observation().replace(CHANGE, "baseline").replace(PATIENT, "baseline").encode()
    request = _request("POST", job["path"], job, body)
    return lambda number: request


def _request(method: str, path: str, job: dict[str, Any], body: bytes) -> bytes:
    head = [
        f"{method} {path} HTTP/1.1",
        f"Host: {job['host']}:{job['port']}",
        "Content-Type: application/fhir+json",
        "Prefer: return=minimal",
        f"Content-Length: {len(body)}",
    ]
    if job.get("token"):
        head.append(f"Authorization: Bearer {job['token']}")
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body
