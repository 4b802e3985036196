"""Answering a search: the matches in order, a page of them, and the searchset Bundle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from hub.api.exchange import Exchange
from hub.api.search_request import Search
from hub.api.wire import Answer
from hub.domain.change import ChangeId, Resource
from hub.errors import Issue
from hub.fhir.json import write_json
from hub.fhir.outcomes import operation_outcome
from hub.fhirpath import FHIRPathEvaluationError

PAUSE_AFTER = 500
"""So many resources are looked at before others get their turn."""


async def search_answer(
    exchange: Exchange, search: Search, held: Iterable[Resource], show: Callable[[str], dict[str, Any]]
) -> Answer:
    """The page that ``search`` asks for. ``held`` are all resources with id, meta and what is searched, header values
    masked; ``show`` gives the whole resource of an id."""
    matches, faults = await select(search, held)
    ordered = search.order.sorted(matches)
    rest = [resource for resource in ordered if not search.after or search.order.is_after(resource, search.after)]
    page = [] if search.only_total else rest[: search.count]
    following = search.order.mark(page[-1]) if page and len(rest) > len(page) else ""
    resources = [show(resource["id"]) for resource in page]
    issues = [*search.ignored, *faults]
    return Answer(200, _searchset(exchange, search, resources, len(matches), following, issues))


async def select(search: Search, held: Iterable[Resource]) -> tuple[list[Resource], list[Issue]]:
    """Those that match, and what could not be judged: it counts as no match, and the answer says so."""
    matches: list[Resource] = []
    faults: list[Issue] = []
    now = ChangeId.at(datetime.now(UTC))
    for number, resource in enumerate(held, 1):
        try:
            if search.matches(resource, now):
                matches.append(resource)
        except FHIRPathEvaluationError as problem:
            faults.append(Issue("processing", f"{resource['id']} was left out: {problem}", severity="warning"))
        if number % PAUSE_AFTER == 0:
            await asyncio.sleep(0)
    return matches, faults


def _searchset(
    exchange: Exchange,
    search: Search,
    resources: Sequence[dict[str, Any]],
    total: int,
    following: str,
    issues: Sequence[Issue],
) -> bytes:
    address = f"{exchange.base_url}/{exchange.address.type}"
    links = [{"relation": "self", "url": _url(address, search.pairs)}]
    if following:
        query = [pair for pair in search.pairs if pair[0] != "_after"]
        links.append({"relation": "next", "url": _url(address, [*query, ("_after", following)])})
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": total, "link": links}
    entries: list[dict[str, Any]] = [
        {"fullUrl": f"{address}/{resource['id']}", "resource": resource, "search": {"mode": "match"}}
        for resource in resources
    ]
    if issues:
        entries.append({"resource": operation_outcome(issues), "search": {"mode": "outcome"}})
    if entries:
        bundle["entry"] = entries
    return write_json(bundle)


def _url(address: str, query: Sequence[tuple[str, str]]) -> str:
    return f"{address}?{urlencode(query)}" if query else address
