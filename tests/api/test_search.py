"""Searching Subscription and SubscriptionTopic (S-102, S-197): parameters, order, pages, forms, leniency."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import (
    BACKPORT,
    ENCOUNTER_START,
    PATIENT_CHANGE,
    TOPIC_BASES,
    fresh_id,
    ids_in,
    subscription,
    topic,
)
from tests.api.harness import BASE_URL, FHIR_JSON, Api, outcome_of

NOWHERE = "http://127.0.0.1:2001/"
FORM = {"Content_Type": "application/x-www-form-urlencoded"}
IDENTIFIER = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Subscription.identifier"
CONTACT = {"system": "email", "value": "it@example.org"}
EVENTS = "http://example.org/events"
ORDINARY = [FhirVersion.R4, FhirVersion.R4B]


def rich(api: Api, mark: str, **options: Any) -> dict[str, Any]:
    """A Subscription, off, with a value for every search parameter; its url and identifier carry ``mark``."""
    name = "gender" if "topic" not in options else "patient"
    body = subscription(
        api.base, f"{NOWHERE}{mark}", options.pop("topic", f"{PATIENT_CHANGE}|1.0.0"), filters=(f"{name}=male",),
        headers=("Authorization: Bearer hidden-value",), status="off", contact=[CONTACT], **options,
    )  # fmt: skip
    identifier = {"system": "urn:marks", "value": mark}
    if api.base is FhirVersion.R5:
        return body | {
            "identifier": [identifier], "name": "Night watch", "managingEntity": {"reference": "Organization/42"},
        }  # fmt: skip
    return body | {"extension": [{"url": IDENTIFIER, "valueIdentifier": identifier}]}


async def created(api: Api, body: dict[str, Any], **headers: str) -> str:
    answer = await api.post(body["resourceType"], body, **headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def claimed_searches(api: Api, resource_type: str) -> set[str]:
    resources = (await api.get("metadata")).json()["rest"][0]["resource"]
    (claim,) = (each for each in resources if each["type"] == resource_type)
    assert {"code": "search-type"} in claim["interaction"]
    return {each["name"] for each in claim["searchParam"]}


def searched_subscription(base: FhirVersion, identity: str, mark: str) -> dict[str, tuple[str, str]]:
    """For every parameter one value that finds the rich Subscription and one that does not."""
    both = {
        "_id": (identity, "another"),
        "_lastUpdated": ("ge2020-01-01", "lt2020-01-01"),
        "contact": ("it@example.org", "other@example.org"),
        "identifier": (f"urn:marks|{mark}", f"urn:other|{mark}"),
        "payload": ("application/fhir%2Bjson", "application/fhir%2Bxml"),
        "status": ("off,error", "active"),
        "topic": (PATIENT_CHANGE, ENCOUNTER_START),
        "type": ("rest-hook", "email"),
        "url": (f"{NOWHERE}{mark}", NOWHERE),
    }
    if base is FhirVersion.R5:
        return both | {
            "content-level": ("id-only", "empty"),
            "filter-value": ("male", "female"),
            "name": ("night", "day"),
            "owner": ("Organization/42", "Organization/43"),
            "topic": (f"{PATIENT_CHANGE}|1.0.0", f"{PATIENT_CHANGE}|2"),
        }
    return both | {
        "criteria": (PATIENT_CHANGE[:-3], "http://elsewhere.example"),
        "custom-channel:missing": ("true", "false"),
        "filter-criteria": ("gender=male".replace("=", "%3D"), "birthdate"),
        "payload-type": ("id-only", "empty"),
    }


async def test_every_claimed_search_parameter_of_subscription_finds_and_misses(api: Api) -> None:
    """S-102, and the parameters of the Backport IG on R4 and R4B."""
    mark = fresh_id()
    identity = await created(api, rich(api, mark))
    values = searched_subscription(api.base, identity, mark)
    assert await claimed_searches(api, "Subscription") == {name.partition(":")[0] for name in values}
    here = f"url={NOWHERE}{mark}"
    for name, (hit, miss) in values.items():
        assert ids_in(await api.get(f"Subscription?{here}&{name}={hit}")) == [identity], name
        assert ids_in(await api.get(f"Subscription?{here}&{name}={miss}")) == [], name
    assert ids_in(await api.get(f"Subscription?{here}&topic={PATIENT_CHANGE}")) == [identity]  # S-256
    assert ids_in(await api.get(f"Subscription?{here}&payload=application/fhir+json")) == [identity]


async def test_modifiers_and_alternatives_are_those_of_the_one_engine(api: Api) -> None:
    mark = fresh_id()
    identity = await created(api, rich(api, mark))
    here = f"Subscription?url={NOWHERE}{mark}"
    today = datetime.now(UTC).date()
    for query in (
        *("status:not=active", "contact:missing=false", f"_id={identity},another", "_lastUpdated=gt2020"),
        *(f"url:below={NOWHERE.rpartition('/')[0]}", f"_lastUpdated=ap{today}"),
    ):
        assert ids_in(await api.get(f"{here}&{query}")) == [identity], query
    for query in ("status:not=off", "contact:missing=true", "_lastUpdated=gt2020&_lastUpdated=lt2021"):
        assert ids_in(await api.get(f"{here}&{query}")) == [], query


@pytest.mark.parametrize("base", TOPIC_BASES)
async def test_every_claimed_search_parameter_of_subscription_topic_finds_and_misses(api: Api) -> None:
    """S-197."""
    mark, mother = fresh_id(), f"http://example.org/{fresh_id()}"
    url = f"http://example.org/{mark}"
    body = topic(api.base, url, "Encounter", description="Doors open") | {
        "derivedFrom": [f"{mother}|2"], "date": "2026-03-04", "title": "Opening hours",
        "identifier": [{"system": "urn:marks", "value": mark}], "effectivePeriod": {"end": "2030-01-01"},
        "eventTrigger": [{"event": {"coding": [{"system": EVENTS, "code": "A01"}]}, "resource": "Encounter"}],
    }  # fmt: skip
    identity = await created(api, body)
    values = {
        "_id": (identity, "another"),
        "_lastUpdated": ("ge2020-01-01", "lt2020-01-01"),
        "code": (f"{EVENTS}|A01", f"{EVENTS}|A02"),
        "date": ("2026-03", "2026-04"),
        "derived-or-self": (mother, f"{mother}|3"),
        "identifier": (f"urn:marks|{mark}", "urn:marks|another"),
        "resource": ("Encounter", "Patient"),
        "status": ("active", "draft"),
        "title": ("opening", "closing"),
        "trigger-description": ("doors", "windows"),
        "url": (url, mother),
        "version": ("1.0.0", "2.0.0"),
    }
    if api.base is FhirVersion.R5:
        values |= {"effective": ("le2030-01-01", "gt2031"), "event": ("A01", "A02")}
    assert await claimed_searches(api, "SubscriptionTopic") == values.keys()
    for name, (hit, miss) in values.items():
        assert ids_in(await api.get(f"SubscriptionTopic?url={url}&{name}={hit}")) == [identity], name
        assert ids_in(await api.get(f"SubscriptionTopic?url={url}&{name}={miss}")) == [], name
    for query in (f"derived-or-self={url}", f"derived-or-self={url}|1.0.0", f"derived-or-self={mother}|2"):
        assert ids_in(await api.get(f"SubscriptionTopic?{query}")) == [identity], query


async def test_header_values_cannot_be_searched_for(api: Api) -> None:
    """Ruling 24: what is masked is not found out letter by letter either."""
    await created(api, rich(api, fresh_id()))
    for name in ("header", "parameter", "_content", "_text", "_filter", "channel.header"):
        outcome_of(await api.get(f"Subscription?{name}=hidden"), 400)
    everything = await api.get("Subscription?_count=1000")
    assert "hidden-value" not in everything.text
    for name in await claimed_searches(api, "Subscription"):
        found = await api.get(f"Subscription?{name}={'Organization/' if name == 'owner' else ''}hidden-value")
        assert found.status_code == 400 or found.json()["total"] == 0, name


async def test_pages_lead_through_everything_in_the_order_that_was_asked_for(api: Api) -> None:
    mark = fresh_id()
    made = [await created(api, rich(api, mark)) for _ in range(5)]
    by_id = sorted(made)
    orders = {"": by_id, "_id": by_id, "-_id": by_id[::-1], "_lastUpdated": None, "-_lastUpdated": None}
    for order, expected in orders.items():
        query = urlencode({"url": f"{NOWHERE}{mark}", "_count": 2} | ({"_sort": order} if order else {}))
        pages = [page async for page in _pages(api, f"Subscription?{query}")]
        assert [len(page.json()["entry"]) for page in pages] == [2, 2, 1]
        assert {page.json()["total"] for page in pages} == {5}
        seen = [identity for page in pages for identity in ids_in(page)]
        assert seen == expected if expected else sorted(seen) == by_id
        times = [entry["resource"]["meta"]["lastUpdated"] for page in pages for entry in page.json()["entry"]]
        assert expected or times == sorted(times, reverse=order.startswith("-"))


async def _pages(api: Api, path: str) -> Any:
    while path:
        page = await api.get(path)
        assert page.status_code == 200, page.text
        yield page
        links = {link["relation"]: link["url"] for link in page.json()["link"]}
        path = links.get("next", "").removeprefix(BASE_URL)


async def test_a_page_stays_what_it_is_when_others_are_written_or_deleted_before_it(api: Api) -> None:
    mark = fresh_id()
    made = sorted([await created(api, rich(api, mark)) for _ in range(4)])
    first = await api.get(f"Subscription?url={NOWHERE}{mark}&_count=2")
    (following,) = [link["url"] for link in first.json()["link"] if link["relation"] == "next"]
    await api.delete(f"Subscription/{made[0]}")
    await api.put("Subscription/0-early", rich(api, mark) | {"id": "0-early"})
    assert ids_in(await api.get(following.removeprefix(BASE_URL))) == made[2:]
    await api.delete("Subscription/0-early")


@pytest.mark.parametrize("query", ["_count=0", "_summary=count", "_summary=count&_count=5"])
async def test_the_number_alone_can_be_asked_for(api: Api, query: str) -> None:
    mark = fresh_id()
    for _ in range(2):
        await created(api, rich(api, mark))
    bundle = (await api.get(f"Subscription?url={NOWHERE}{mark}&{query}&_total=accurate")).json()
    assert (bundle["total"], "entry" in bundle) == (2, False)
    assert [link["relation"] for link in bundle["link"]] == ["self"]


async def test_a_search_can_be_posted_as_a_form(api: Api) -> None:
    mark = fresh_id()
    identity = await created(api, rich(api, mark))
    form = urlencode({"url": f"{NOWHERE}{mark}", "payload": FHIR_JSON}).encode()
    answer = await api.post("Subscription/_search", form, **FORM)
    assert ids_in(answer) == [identity]
    (link,) = answer.json()["link"]
    assert link["url"].startswith(f"{BASE_URL}{api.base.path}/Subscription?url=")
    assert ids_in(await api.post("Subscription/_search?status=active", form, **FORM)) == []
    assert ids_in(await api.get(link["url"].removeprefix(BASE_URL))) == [identity]


async def test_a_form_that_is_none_is_refused(api: Api) -> None:
    outcome_of(await api.post("Subscription/_search", {"status": "off"}), 415)
    outcome_of(await api.post("Subscription/_search", b"status=%zz", **FORM), 400)
    outcome_of(await api.post("Subscription/_search", b"status=\xff", **FORM), 400)
    outcome_of(await api.post("Subscription/_search", b"unicorn=1", **FORM), 400)
    outcome_of(await api.post("Subscription/_search", b"_format=xml", **FORM), 406)
    refused = await api.get("Subscription/_search?status=off")
    outcome_of(refused, 405)
    assert refused.headers["allow"] == "POST"
    outcome_of(await api.post("Subscription/1/_search", b"status=off", **FORM), 404)


UNKNOWN = (
    "unicorn=1", "url:under=http://x", "url:in=http://x",
    "_sort=status", "_include=*", "_summary=true", "_elements=id", "_has:x:y:z=1",
    "topic.url=x", "_total=guess", "_sort=-_id,status", "status:=off", "_revinclude=x:y",
)  # fmt: skip


@pytest.mark.parametrize("query", UNKNOWN)
async def test_what_is_not_offered_is_refused_unless_leniency_is_asked_for(api: Api, query: str) -> None:
    """R5 3.2.1.1.1: strict is the default here, for a parameter that is overlooked finds too much."""
    mark = fresh_id()
    identity = await created(api, rich(api, mark))
    here = f"Subscription?url={NOWHERE}{mark}&{query}"
    for headers in ({}, {"Prefer": "handling=strict"}):
        (issue,) = outcome_of(await api.get(here, **headers), 400)
        assert query.partition("=")[0] in issue["diagnostics"]
    lenient = await api.get(here, Prefer="return=representation; handling=lenient")
    assert lenient.status_code == 200, lenient.text
    found, told = lenient.json()["entry"]
    assert (found["resource"]["id"], told["search"]["mode"]) == (identity, "outcome")
    (issue,) = told["resource"]["issue"]
    assert (issue["severity"], issue["code"]) == ("warning", "not-supported")
    assert lenient.json()["total"] == 1
    assert lenient.json()["link"][0]["url"].partition("?")[2] == urlencode({"url": f"{NOWHERE}{mark}"})


BROKEN = ("status=asleep", "_lastUpdated=yesterday", "_count=-1", "_count=x", "status:missing=maybe", "url=", "_id=a,")


@pytest.mark.parametrize("query", BROKEN)
async def test_a_value_that_cannot_be_read_is_refused_even_leniently(api: Api, query: str) -> None:
    for headers in ({}, {"Prefer": "handling=lenient"}):
        outcome_of(await api.get(f"Subscription?{query}", **headers), 400)


async def test_a_search_of_many_values_or_parameters_is_bounded(api: Api) -> None:
    outcome_of(await api.get(f"Subscription?_id={','.join(['a'] * 101)}"), 400)
    form = "&".join(["status=off"] * 1001).encode()
    outcome_of(await api.post("Subscription/_search", form, **FORM), 400)


# conditional create and repeats


def condition(mark: str) -> str:
    return f"url={quote(NOWHERE + mark, safe='')}&topic={quote(PATIENT_CHANGE + '|1.0.0', safe='')}"


async def test_a_client_that_restarts_does_not_subscribe_twice(api: Api) -> None:
    """If-None-Exist: none is created (201), one is told (200), several are refused (412)."""
    mark = fresh_id()
    body = rich(api, mark)
    first = await api.post("Subscription", body, If_None_Exist=condition(mark))
    assert first.status_code == 201
    again = await api.post("Subscription", body, If_None_Exist=f"?{condition(mark)}")
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert again.headers["location"] == first.headers["location"]
    assert "hidden-value" in first.text and "hidden-value" not in again.text
    await created(api, body)
    outcome_of(await api.post("Subscription", body, If_None_Exist=condition(mark)), 412)
    assert len(ids_in(await api.get(f"Subscription?url={NOWHERE}{mark}"))) == 2
    for identity in ids_in(await api.get(f"Subscription?url={NOWHERE}{mark}")):
        await api.delete(f"Subscription/{identity}")
    fresh = await api.post("Subscription", body, If_None_Exist=condition(mark))
    assert (fresh.status_code, fresh.headers["etag"]) == (201, 'W/"1"')
    assert fresh.json()["id"] != first.json()["id"]


async def test_many_that_subscribe_at_once_under_one_condition_make_one_subscription(api: Api) -> None:
    mark = fresh_id()
    answers = await asyncio.gather(
        *(api.post("Subscription", rich(api, mark), If_None_Exist=condition(mark)) for _ in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


@pytest.mark.parametrize("written", ["", "?", "unicorn=1", "status=asleep", "url", "url=%zz", "_count=1"])
async def test_a_condition_that_cannot_be_kept_creates_nothing(api: Api, written: str) -> None:
    mark = fresh_id()
    outcome_of(await api.post("Subscription", rich(api, mark), If_None_Exist=written), 400)
    lenient = await api.post("Subscription", rich(api, mark), If_None_Exist=written, Prefer="handling=lenient")
    outcome_of(lenient, 400)
    assert ids_in(await api.get(f"Subscription?url={NOWHERE}{mark}")) == []


@pytest.mark.parametrize("name", ["Idempotency-Key", "X-Request-ID"])
async def test_a_repeated_create_of_a_subscription_is_answered_alike_and_makes_one(api: Api, name: str) -> None:
    """Ruling 25."""
    mark = fresh_id()
    body, key = rich(api, mark), {name: fresh_id()}
    first = await api.post("Subscription", body, **key)
    assert first.status_code == 201
    for again in await asyncio.gather(*(api.post("Subscription", body, **key) for _ in range(4))):
        _same(again, first)
    identity = first.json()["id"]
    here = f"Subscription/{identity}"
    await api.put(here, (await api.get(here)).json() | {"end": "2040-01-01T00:00:00Z"})
    _same(await api.post("Subscription", body, **key), first)
    assert ids_in(await api.get(f"Subscription?url={NOWHERE}{mark}")) == [identity]
    await api.delete(here)
    late = await api.post("Subscription", body, **key)
    if name == "Idempotency-Key":
        outcome_of(late, 410)
    else:  # some clients never change their X-Request-ID
        assert late.status_code == 201 and late.json()["id"] != identity


def _same(again: httpx.Response, first: httpx.Response) -> None:
    assert (again.status_code, again.content) == (201, first.content)
    for name in ("location", "etag", "last-modified"):
        assert again.headers[name] == first.headers[name]


async def test_repeats_that_come_at_the_same_moment_make_one_subscription(api: Api) -> None:
    mark = fresh_id()
    body, key = rich(api, mark), {"Idempotency-Key": fresh_id()}
    answers = await asyncio.gather(*(api.post("Subscription", body, **key) for _ in range(6)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert len(ids_in(await api.get(f"Subscription?url={NOWHERE}{mark}"))) == 1


async def test_repeats_under_a_condition_are_answered_like_the_first_not_by_what_it_made(api: Api) -> None:
    mark = fresh_id()
    body, headers = rich(api, mark), {"If-None-Exist": condition(mark), "Idempotency-Key": fresh_id()}
    answers = await asyncio.gather(*(api.post("Subscription", body, **headers) for _ in range(4)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    outcome_of(await api.post("Subscription", body, **headers | {"If-None-Exist": "url=http://x"}), 422)


async def test_a_condition_may_stand_in_the_header_unencoded(api: Api) -> None:
    mark = fresh_id()
    body, written = rich(api, mark), f"url={NOWHERE}{mark}&payload=application/fhir+json&topic={PATIENT_CHANGE}|1.0.0"
    first = await api.post("Subscription", body, If_None_Exist=written)
    again = await api.post("Subscription", body, If_None_Exist=written)
    assert (first.status_code, again.status_code) == (201, 200), again.text


async def test_an_idempotency_key_of_another_subscription_is_refused(api: Api) -> None:
    mark, key = fresh_id(), fresh_id()
    await created(api, rich(api, mark), Idempotency_Key=key)
    outcome_of(await api.post("Subscription", rich(api, mark, max_count=7), Idempotency_Key=key), 422)
    outcome_of(await api.post("Subscription", rich(api, mark), Idempotency_Key='""'), 400)


async def test_a_refused_subscription_does_not_use_up_its_key(api: Api) -> None:
    mark, key = fresh_id(), fresh_id()
    outcome_of(await api.post("Subscription", rich(api, mark) | {"status": "asleep"}, Idempotency_Key=key), 422)
    assert await created(api, rich(api, mark), Idempotency_Key=key)


@pytest.mark.parametrize("base", ORDINARY)
async def test_a_filter_of_the_ig_is_found_where_it_really_stands(api: Api) -> None:
    """As published the IG's expressions look on Subscription itself, where these extensions never stand."""
    mark = fresh_id()
    identity = await created(api, rich(api, mark))
    shown = (await api.get(f"Subscription/{identity}")).json()
    assert not any(each["url"].startswith(BACKPORT) for each in shown.get("extension", ()))
    assert ids_in(await api.get(f"Subscription?url={NOWHERE}{mark}&payload-type=id-only")) == [identity]
