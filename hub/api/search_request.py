"""A search as it is asked for: conditions, order and page, read from a query string or a form (S-102, S-237).

What is unknown or not offered is refused (400), or with ``Prefer: handling=lenient`` left out and named in the answer;
a value that cannot be read is refused either way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from hub.api.exchange import ABOUT_THE_ANSWER, Exchange
from hub.api.wire import check_accept
from hub.domain.change import ChangeId, Resource
from hub.domain.subscription import Status
from hub.domain.topic import STRUCTURE_DEFINITION
from hub.domain.versions import FhirVersion
from hub.errors import Issue, Malformed, NotOffered, Refused, Unprocessable, UnsupportedMediaType
from hub.fhir.definitions import SearchParameter, definitions
from hub.fhir.query_strings import read_query
from hub.fhir.searches import offered
from hub.matching.search import Clause, Surroundings, compile_parameter
from hub.matching.search.clause import all_match

DEFAULT_COUNT = 100
MOST_PER_PAGE = 1000
FORM = "application/x-www-form-urlencoded"
_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")
_TOTALS = ("none", "estimate", "accurate")
_UNKNOWN = "not-supported"

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Order:
    """By id, or by the time of the last write and then by id."""

    by_time: bool = False
    descending: bool = False

    def sorted(self, resources: Iterable[Resource]) -> list[Resource]:
        by_id = sorted(resources, key=_identity)
        if self.by_time:
            return sorted(by_id, key=_moment, reverse=self.descending)
        return by_id[::-1] if self.descending else by_id

    def mark(self, resource: Resource) -> str:
        """Where a page ends: what comes after it stays the same however many come before it meanwhile."""
        return f"{_moment(resource)}|{_identity(resource)}" if self.by_time else _identity(resource)

    def is_after(self, resource: Resource, mark: str) -> bool:
        if not self.by_time:
            identity = _identity(resource)
            return identity < mark if self.descending else identity > mark
        moment, _, identity = mark.partition("|")
        if _moment(resource) == moment:
            return _identity(resource) > identity
        return (_moment(resource) < moment) is self.descending


ORDERS = {
    "_id": Order(),
    "-_id": Order(descending=True),
    "_lastUpdated": Order(by_time=True),
    "-_lastUpdated": Order(by_time=True, descending=True),
}


@dataclass(frozen=True, slots=True)
class Search:
    """``pairs`` is what was understood, for the link to itself; ``ignored`` tells what was left out.

    ``count`` 0 asks for the number of matches only, as ``_summary=count`` does; ``after`` is the mark where the page
    before ended.
    """

    clauses: tuple[Clause, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    order: Order = Order()
    count: int = DEFAULT_COUNT
    only_total: bool = False
    after: str = ""
    ignored: tuple[Issue, ...] = ()

    def matches(self, resource: Resource, now: ChangeId) -> bool:
        """``now`` is the moment of asking. May raise FHIRPathEvaluationError."""
        return all_match(self.clauses, resource, Surroundings(now))


async def asked_of(exchange: Exchange) -> Search:
    """The search of a GET on the type, or of a POST on its ``_search``. Raises Malformed, NotOffered."""
    pairs = list(exchange.query)
    if exchange.address.special == "_search":
        pairs += await _form(exchange)
    elif exchange.method not in ("GET", "HEAD"):
        raise NotOffered("a search is a GET on the type, or a POST on its _search")
    address = exchange.address
    return read_search(pairs, address.type, address.base, lenient=exchange.preference.lenient)


async def _form(exchange: Exchange) -> list[tuple[str, str]]:
    if exchange.method != "POST":
        raise NotOffered("_search is POSTed; with GET, write the parameters behind the type")
    raw = await exchange.body(also=[FORM])
    if exchange.media_type != FORM:
        raise UnsupportedMediaType(f"a search is POSTed as {FORM}")
    pairs = read_query(raw.strip())
    check_accept(exchange.headers, pairs, exchange.address.base)
    return pairs


def read_search(
    pairs: Iterable[tuple[str, str]], resource_type: str, base: FhirVersion, *, lenient: bool = False
) -> Search:
    """Raises Malformed naming the parameter and what to write instead."""
    search = Search()
    for name, value in pairs:
        if name in ABOUT_THE_ANSWER:
            continue
        try:
            search = _with(search, name, value, resource_type, base)
        except Refused as problem:
            issues = [replace(issue, diagnostics=f"{name}: {issue.diagnostics}") for issue in problem.issues]
            if not lenient or any(issue.code != _UNKNOWN for issue in issues):
                raise Malformed(*issues) from problem
            told = tuple(replace(issue, severity="warning") for issue in issues)
            search = replace(search, ignored=(*search.ignored, *told))
        else:
            search = replace(search, pairs=(*search.pairs, (name, value)))
    return search


def _with(search: Search, name: str, value: str, resource_type: str, base: FhirVersion) -> Search:
    match name:
        case "_count":
            if not _WHOLE_NUMBER.fullmatch(value):
                raise Malformed(f"write a whole number, not {value}", code="value")
            return replace(search, count=min(int(value), MOST_PER_PAGE))
        case "_after":
            return replace(search, after=value)
        case "_sort":
            return replace(search, order=_known(ORDERS, value))
        case "_summary":
            return replace(search, only_total=_known({"count": True, "false": False}, value))
        case "_total":
            _known(dict.fromkeys(_TOTALS), value)
            return search
        case _:
            return replace(search, clauses=(*search.clauses, _clause(name, value, resource_type, base)))


def _known(values: Mapping[str, Value], written: str) -> Value:
    if written not in values:
        raise Unprocessable(f"{written} is not offered; there are {', '.join(values)}", code=_UNKNOWN)
    return values[written]


def _clause(name: str, value: str, resource_type: str, base: FhirVersion) -> Clause:
    code, colon, modifier = name.partition(":")
    known = offered(resource_type, base)
    if code not in known or (colon and not modifier):
        listed = ", ".join(sorted(known))
        raise Unprocessable(f"the search parameter is not offered; there are {listed}", code=_UNKNOWN)
    if modifier in ("in", "not-in"):
        raise Unprocessable(f":{modifier} is not offered in a search; list the codes with commas", code=_UNKNOWN)
    value = _as_meant(known[code], modifier, value, resource_type, base)
    return compile_parameter(resource_type, known[code], modifier, "", value, definitions(base))


def _as_meant(parameter: SearchParameter, modifier: str, value: str, resource_type: str, base: FhirVersion) -> str:
    """The value as the resources write it."""
    if modifier == "missing":
        return value
    match resource_type, parameter.code:
        case "SubscriptionTopic", "resource":
            return _in_both_forms(value)
        case "Subscription", "payload":
            return value.replace(" ", "+")  # application/fhir+json, its + sent unescaped
        case "Subscription", "status":
            _check_statuses(value, base)
    return value


def _in_both_forms(value: str) -> str:
    """A type is named by its code or by the URL of its definition, and both mean the same (S-025)."""
    codes = [written.removeprefix(STRUCTURE_DEFINITION) for written in value.split(",")]
    return ",".join(form for code in codes for form in (code, STRUCTURE_DEFINITION + code) if code)


def _check_statuses(value: str, base: FhirVersion) -> None:
    """A status that does not exist would find nothing, and nobody would know why."""
    codes = [code.value for code in Status if code is not Status.ENTERED_IN_ERROR or base is FhirVersion.R5]
    wrong = {written.rpartition("|")[2] for written in value.split(",")} - {*codes, ""}
    if wrong:
        raise Malformed(f"{', '.join(sorted(wrong))} is no status; there are {', '.join(codes)}", code="value")


def _identity(resource: Resource) -> str:
    return str(resource["id"])


def _moment(resource: Resource) -> str:
    """An instant in UTC with milliseconds: as text it sorts like time."""
    return str(resource["meta"]["lastUpdated"])
