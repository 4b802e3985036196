"""``_history`` of one resource, newest first, as far back as the hub still holds it (ruling 14)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import orjson

from hub.api.exchange import Exchange
from hub.api.wire import Answer, version_header
from hub.domain.change import ChangeId, Interaction
from hub.errors import Malformed
from hub.fhir.json import write_instant, write_json
from hub.intake.changes import HistoryVersion

DEFAULT_COUNT = 50
MOST_PER_PAGE = 500
PAGE = "_page"
"""In links: the change of the resource at which the page begins."""
_WHOLE = re.compile(r"[0-9]{1,9}")
_PLACE = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")
_METHODS = {Interaction.CREATE: "POST", Interaction.DELETE: "DELETE"}
_STATUSES = {"POST": "201 Created", "PUT": "200 OK", "DELETE": "204 No Content"}


def read_history_page(exchange: Exchange) -> tuple[int, ChangeId | None]:
    """(how many, from which change on) of ``_count`` and of the link to a further page; None = from the newest.

    Raises Malformed for any other parameter.
    """
    count, first = DEFAULT_COUNT, None
    for name, value in exchange.query_without("_format", "_pretty"):
        if name == "_count" and _WHOLE.fullmatch(value):
            count = min(max(int(value), 1), MOST_PER_PAGE)
        elif name == PAGE and _PLACE.fullmatch(value):
            first = ChangeId.parse(value)
        else:
            raise Malformed("_history takes _count, a whole number; links lead to further pages", code="not-supported")
    return count, first


def history_answer(exchange: Exchange, versions: list[HistoryVersion], count: int) -> Answer:
    """The Bundle of one page; a next link while there may be older versions."""
    address = f"{exchange.base_url}/{exchange.address.type}/{exchange.address.id}"
    asked = urlencode(exchange.query_without())
    links = [{"relation": "self", "url": f"{address}/_history" + (f"?{asked}" if asked else "")}]
    if versions and versions[-1].earlier:
        query = urlencode({"_count": count, PAGE: str(versions[-1].earlier)})
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
