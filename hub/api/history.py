"""``_history`` of one resource, newest first, as far back as the hub still holds it (ruling 14)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import orjson

from hub.api.exchange import Exchange
from hub.api.wire import Answer, version_header
from hub.domain.change import Interaction
from hub.errors import Malformed
from hub.fhir.json import write_instant, write_json
from hub.intake.changes import HistoryVersion

DEFAULT_COUNT = 50
MOST_PER_PAGE = 500
_METHODS = {Interaction.CREATE: "POST", Interaction.DELETE: "DELETE"}
_STATUSES = {"POST": "201 Created", "PUT": "200 OK", "DELETE": "204 No Content"}


def read_history_page(exchange: Exchange) -> tuple[int, int]:
    """(how many, before which version) from ``_count`` and ``_before``; 0 = from the newest. Raises Malformed."""
    count, before = DEFAULT_COUNT, 0
    for name, value in exchange.query_without("_format", "_pretty"):
        if name not in ("_count", "_before") or not value.isdigit() or len(value) > 15:
            raise Malformed("_history takes _count, a whole number; links lead to further pages", code="not-supported")
        if name == "_count":
            count = min(max(int(value), 1), MOST_PER_PAGE)
        else:
            before = int(value)
    return count, before


def history_answer(exchange: Exchange, versions: list[HistoryVersion], count: int) -> Answer:
    """The Bundle of one page; a next link while there may be older versions."""
    address = f"{exchange.base_url}/{exchange.address.type}/{exchange.address.id}"
    links = [{"relation": "self", "url": f"{address}/_history"}]
    if len(versions) == count and versions[-1].version > 1:
        query = urlencode({"_count": count, "_before": versions[-1].version})
        links.append({"relation": "next", "url": f"{address}/_history?{query}"})
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "history", "link": links}
    if versions:
        bundle["entry"] = [_entry(exchange, address, version) for version in versions]
    return Answer(200, write_json(bundle))


def _entry(exchange: Exchange, address: str, version: HistoryVersion) -> dict[str, Any]:
    method = _METHODS.get(version.interaction, "PUT")
    reference = f"{exchange.address.type}/{exchange.address.id}"
    instant = version.last_updated.instant
    entry: dict[str, Any] = {"fullUrl": address}
    if version.body:
        entry["resource"] = orjson.Fragment(version.body)
    entry["request"] = {"method": method, "url": exchange.address.type if method == "POST" else reference}
    entry["response"] = {
        "status": _STATUSES[method],
        "etag": version_header(version.version, instant)["ETag"],
        "lastModified": write_instant(instant),
    }
    return entry
