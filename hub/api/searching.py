"""What searches share: parameters, pages, and the searchset Bundle."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from hub.api.exchange import ABOUT_THE_ANSWER, Exchange
from hub.errors import Malformed
from hub.fhir.json import write_json

DEFAULT_COUNT = 100
MOST_PER_PAGE = 1000
_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page:
    """``count`` resources whose id comes after ``after``."""

    count: int = DEFAULT_COUNT
    after: str = ""


def read_page(query: Iterable[tuple[str, str]]) -> tuple[Page, list[tuple[str, str]]]:
    """The page that is asked for, and the conditions. Raises Malformed."""
    count, after, conditions = DEFAULT_COUNT, "", []
    for name, value in query:
        if name == "_count":
            if not _WHOLE_NUMBER.fullmatch(value):
                raise Malformed(f"_count must be a whole number, not {value}", code="value")
            count = min(int(value), MOST_PER_PAGE)
        elif name == "_after":
            after = value
        elif name not in ABOUT_THE_ANSWER:
            conditions.append((name, value))
    return Page(count, after), conditions


def page_of(found: Sequence[Item], page: Page, identity: Callable[[Item], str]) -> tuple[list[Item], str]:
    """The items of a page, out of all in the order of their ids; and after which id the next page begins, "" = none."""
    rest = [item for item in found if identity(item) > page.after]
    shown = rest[: page.count]
    return shown, identity(shown[-1]) if shown and len(rest) > len(shown) else ""


def searchset(
    exchange: Exchange, resource_type: str, resources: Sequence[dict[str, Any]], total: int, page: Page, following: str
) -> bytes:
    """The Bundle of one page, with links to itself and to the next."""
    address = f"{exchange.base_url}/{resource_type}"
    links = [{"relation": "self", "url": _url(address, exchange.query)}]
    if following:
        query = [*exchange.query_without("_after", "_count"), ("_count", str(page.count)), ("_after", following)]
        links.append({"relation": "next", "url": _url(address, query)})
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": total, "link": links}
    if resources:
        bundle["entry"] = [
            {"fullUrl": f"{address}/{resource['id']}", "resource": resource, "search": {"mode": "match"}}
            for resource in resources
        ]
    return write_json(bundle)


def unknown_parameter(name: str, known: Iterable[str]) -> Malformed:
    return Malformed(f"the search parameter {name} is not offered; there are {', '.join(known)}", code="not-supported")


def _url(address: str, query: Sequence[tuple[str, str]]) -> str:
    return f"{address}?{urlencode(query)}" if query else address
