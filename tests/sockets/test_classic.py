"""Classic websockets of R4 and R4B: ``bind ID``, ``bound ID``, ``ping ID`` (S-014, S-169, S-201; ruling 29)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import fresh_id
from tests.api.harness import Api, expressions_of, outcome_of
from tests.sockets.harness import Served, board, change, classic_listened, subscribe, token

Serve = Callable[..., Awaitable[Served]]
CLASSIC_BASES = [FhirVersion.R4, FhirVersion.R4B]
WEBSOCKET = "http://hl7.org/fhir/StructureDefinition/capabilitystatement-websocket"
pytestmark = pytest.mark.parametrize("base", CLASSIC_BASES, ids=[each.value for each in CLASSIC_BASES])


async def subscribe_classic(api: Api) -> str:
    identity = fresh_id("c")
    body = classic_listened(f"Patient?_id={identity}") | {"id": identity}
    created = await api.put(f"Subscription/{identity}", body)
    assert (created.status_code, created.json()["status"]) == (201, "active"), created.text
    return identity


async def test_bind_is_answered_bound_and_each_match_is_a_ping_s014(served: Served, base: FhirVersion) -> None:
    api = served.api(base)
    one, two = await subscribe_classic(api), await subscribe_classic(api)
    async with board(served.url, base) as client:
        for identity in (one, two):
            await client.say(f"bind {identity}")
            assert await client.next() == f"bound {identity}"
        for identity in (two, one, one):
            await change(api, identity)
            assert await client.next() == f"ping {identity}"


async def test_what_matched_while_nobody_listened_is_pinged_at_the_next_bind(served: Served, base: FhirVersion) -> None:
    api = served.api(base)
    identity = await subscribe_classic(api)
    await change(api, identity, 2)
    async with board(served.url, base) as client:
        await client.say(f"bind {identity}")
        assert [await client.next() for _ in range(3)] == [f"bound {identity}", *[f"ping {identity}"] * 2]


async def test_a_topic_subscription_cannot_be_bound_without_a_token_s169(served: Served, base: FhirVersion) -> None:
    api = served.api(base)
    identity = await subscribe(api)
    async with board(served.url, base) as client:
        for name in (identity, "nobody"):
            await client.say(f"bind {name}")
            assert await client.outcome() == "not-found", "no difference can be seen between another's and nobody's"


async def test_a_token_binds_a_classic_one_too(serve: Serve, base: FhirVersion) -> None:
    served = await serve(classic_websocket=False)
    api = served.api(base)
    identity = await subscribe_classic(api)
    async with board(served.url, base) as client:
        await client.say(f"bind {identity}")
        assert await client.outcome() == "security"
        await client.say(f"bind-with-token {await token(api, identity)}")
        assert await client.next() == f"bound {identity}"
        await change(api, identity)
        assert await client.next() == f"ping {identity}"


async def test_metadata_says_where_only_if_it_is_switched_on_s201(serve: Serve, base: FhirVersion) -> None:
    on, off = await serve(), await serve(classic_websocket=False)

    async def told(served: Served, version: FhirVersion) -> Any:
        return (await served.api(version).get("metadata")).json()["rest"][0].get("extension")

    url = f"ws{on.url.removeprefix('http')}{base.path}/websocket"
    assert await told(on, base) == [{"url": WEBSOCKET, "valueUri": url}]
    assert await told(on, FhirVersion.R5) is None
    assert await told(off, base) is None


async def test_a_payload_is_refused_because_a_ping_carries_none(served: Served, base: FhirVersion) -> None:
    body = classic_listened("Patient?gender=female")
    body["channel"]["payload"] = "application/fhir+json"
    answer = await served.api(base).post("Subscription", body)
    assert expressions_of(answer, 422) == ["Subscription.channel.payload"]


async def test_headers_and_an_http_endpoint_have_no_meaning_on_a_websocket(served: Served, base: FhirVersion) -> None:
    body = classic_listened("Patient?gender=female")
    body["channel"] |= {"header": ["Authorization: Bearer x"], "endpoint": "http://127.0.0.1:9999/hook"}
    issues = outcome_of(await served.api(base).post("Subscription", body), 422)
    assert {each["expression"][0] for each in issues} == {
        "Subscription.channel.header[0]",
        "Subscription.channel.endpoint",
    }
