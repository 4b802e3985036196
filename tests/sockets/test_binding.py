"""Binding a socket: tokens, bind frames, handshakes, several Subscriptions, re-bind (S-159…S-163, S-188, S-189)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import fresh_id, subscription
from tests.api.harness import outcome_of
from tests.sockets.harness import Served, board, change, status_of, subscribe, token

Serve = Callable[..., Awaitable[Served]]


def json_form(token: str) -> dict[str, Any]:
    return {"type": "bind-with-token", "payload": {"token": token}}


FORMS: list[Callable[[str], Any]] = [
    lambda token: f"bind-with-token {token}",
    lambda token: f"bind-with-token: {token}",
    json_form,
]


@pytest.mark.parametrize("form", FORMS, ids=["words", "colon", "json"])
async def test_each_form_of_the_bind_frame_is_answered_by_a_handshake_s159(
    served: Served, base: FhirVersion, form: Callable[[str], Any]
) -> None:
    api = served.api(base)
    identity = await subscribe(api)
    async with board(served.url, base) as client:
        await client.say(form(await token(api, identity)))
        told = await client.next_of("handshake")
        assert (told["id"], told["count"], told["status"]) == (identity, 0, "active")
        await change(api, identity)
        assert (await client.next_of("event-notification"))["numbers"] == [1]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_token_operation_answers_parameters_on_type_and_instance_s188(
    served: Served, base: FhirVersion, method: str
) -> None:
    api = served.api(base)
    one, two = await subscribe(api), await subscribe(api)
    asked = {"resourceType": "Parameters", "parameter": [{"name": "id", "valueId": each} for each in (one, two)]}
    by_query = method == "GET"
    path = "Subscription/$get-ws-binding-token" + (f"?id={one}&id={two}" if by_query else "")
    answer = await api.call(method, path, None if by_query else asked)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert told["resourceType"] == "Parameters"
    parts = [(each["name"], next(v for k, v in each.items() if k.startswith("value"))) for each in told["parameter"]]
    urls = [f"{served.url}{base.path}/Subscription/{each}" for each in (one, two)]
    assert parts[2:] == [
        ("subscription", urls[0]), ("subscription", urls[1]),
        ("websocket-url", f"ws{served.url.removeprefix('http')}{base.path}/websocket"),
    ]  # fmt: skip
    assert parts[0][0] == "token" and len(parts[0][1]) >= 43, "256 bits"
    assert parts[1][0] == "expiration" and datetime.fromisoformat(parts[1][1]) > datetime.now(UTC)
    assert [set(each) - {"name"} for each in told["parameter"]] == [
        {"valueString"}, {"valueDateTime"}, {"valueString"}, {"valueString"}, {"valueUrl"},
    ]  # fmt: skip
    on_instance = await api.call(method, f"Subscription/{one}/$get-ws-binding-token")
    assert on_instance.json()["parameter"][2]["valueString"] == urls[0]


async def test_a_token_without_ids_is_for_every_websocket_subscription_of_the_caller(serve: Serve) -> None:
    api = (await serve()).api(FhirVersion.R5)
    outcome_of(await api.get("Subscription/$get-ws-binding-token"), 404)
    one, two = await subscribe(api), await subscribe(api)
    await api.post("Subscription", subscription(FhirVersion.R5, "http://127.0.0.1:9999/hook"))
    answer = await api.get("Subscription/$get-ws-binding-token")
    urls = [each["valueString"] for each in answer.json()["parameter"] if each["name"] == "subscription"]
    assert {url.rpartition("/")[2] for url in urls} == {one, two}


async def test_one_wrong_id_refuses_the_whole_token_s189(served: Served, base: FhirVersion) -> None:
    api = served.api(base)
    good = await subscribe(api)
    hook = (await api.post("Subscription", subscription(base, "http://127.0.0.1:9999/hook"))).json()["id"]
    path = "Subscription/$get-ws-binding-token?id="
    assert outcome_of(await api.get(f"{path}{good},nobody"), 400)[0]["code"] == "not-found"
    outcome_of(await api.get(f"{path}{good}&id={hook}"), 400)
    outcome_of(await api.get(f"Subscription/{hook}/$get-ws-binding-token"), 400)
    outcome_of(await api.get(f"{path}{good}&status=active"), 400)


async def test_a_token_is_good_once_even_when_many_race_for_it(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    identity = await subscribe(api)
    wanted = await token(api, identity)

    async def redeem() -> str:
        async with board(served.url, FhirVersion.R5) as client:
            await client.say(f"bind-with-token {wanted}")
            frame = await client.next()
            if frame["resourceType"] == "Bundle":
                return str(status_of(frame)["type"])
            assert await client.closed() == 4401
            return str(frame["issue"][0]["code"])

    told = await asyncio.gather(*(redeem() for _ in range(20)))
    assert sorted(told) == ["expired"] * 19 + ["handshake"]


async def test_an_expired_token_is_refused_and_the_socket_closed_s163(serve: Serve) -> None:
    served = await serve(ws_token_ttl_seconds=1)
    api = served.api(FhirVersion.R4)
    wanted = await token(api, await subscribe(api))
    await asyncio.sleep(1.05)
    async with board(served.url, FhirVersion.R4) as client:
        await client.say(f"bind-with-token {wanted}")
        assert await client.outcome() == "expired"
        assert await client.closed() == 4401


async def test_a_token_is_not_kept_in_clear(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    wanted = await token(api, await subscribe(api))
    (keys,) = await served.hub.store.send(("KEYS", "hub:binding:*"))
    values = await served.hub.store.send(*(("GET", key) for key in keys))
    assert keys and not any(wanted.encode() in text for text in (*keys, *values))


async def test_several_subscriptions_share_a_socket_and_each_has_a_handshake_s161_s168(
    served: Served, base: FhirVersion
) -> None:
    api = served.api(base)
    one, two, three = [await subscribe(api) for _ in range(3)]
    async with board(served.url, base) as client:
        await client.say(f"bind-with-token {await token(api, one, two)}")
        assert {(await client.next_of("handshake"))["id"] for _ in range(2)} == {one, two}
        await client.say(f"bind-with-token {await token(api, three)}")  # again, later, on the same socket
        assert (await client.next_of("handshake"))["id"] == three
        for identity in (three, one, two):
            await change(api, identity)
            told = await client.next_of("event-notification")
            assert (told["id"], told["numbers"]) == (identity, [1])


async def test_a_rebind_on_the_same_socket_goes_on_with_another_handshake(served: Served) -> None:
    api = served.api(FhirVersion.R4B)
    identity = await subscribe(api)
    async with board(served.url, FhirVersion.R4B) as client:
        for round_ in range(3):
            await client.say(f"bind-with-token {await token(api, identity)}")
            assert (await client.next_of("handshake"))["count"] == round_
            await change(api, identity)
            assert (await client.next_of("event-notification"))["numbers"] == [round_ + 1]


async def test_who_binds_last_has_it_and_the_other_socket_is_closed(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    identity = await subscribe(api)
    async with board(served.url, FhirVersion.R5) as first, board(served.url, FhirVersion.R5) as second:
        await first.say(f"bind-with-token {await token(api, identity)}")
        await first.next_of("handshake")
        await second.say(f"bind-with-token {await token(api, identity)}")
        await second.next_of("handshake")
        assert await first.outcome() == "business-rule"
        assert await first.closed() == 4409
        await change(api, identity)
        assert (await second.next_of("event-notification"))["numbers"] == [1]


async def test_unbind_and_ping_of_json_clients_are_understood_s160(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    one, two = await subscribe(api), await subscribe(api)
    first, second = await token(api, one), await token(api, two)
    async with board(served.url, FhirVersion.R5) as client:
        for each in (first, second):
            await client.say(json_form(each))
            await client.next_of("handshake")
        await client.say({"type": "ping"})
        assert await client.next() == {"type": "pong"}
        await client.say({"type": "unbind-from-token", "payload": {"token": first}})
        await client.say({"type": "ping"})
        assert await client.next() == {"type": "pong"}
        await change(api, one)
        await change(api, two)
        assert (await client.next_of("event-notification"))["id"] == two


UNREADABLE: list[Any] = [
    *("", "hello", "bind-with-token", "{", "[]", "bind-with-token a b", "bind-with-token t a=99999999999999999999"),
    {"type": "bind-with-token"},
    {"type": "launch"},
    {"type": "bind-with-token", "payload": 7},
    {"type": "bind-with-token", "payload": {"token": "t", "lastEventNumber": {"a": -1}}},
    {"type": "bind-with-token", "payload": {"token": "t", "lastEventNumber": {"a": True}}},
]


@pytest.mark.parametrize("written", UNREADABLE, ids=str)
async def test_a_frame_that_is_not_understood_is_refused_and_the_socket_stays(served: Served, written: Any) -> None:
    api = served.api(FhirVersion.R5)
    identity = await subscribe(api)
    async with board(served.url, FhirVersion.R5) as client:
        await client.say(written)
        assert await client.outcome() in ("structure", "invalid")
        await client.say(f"bind-with-token {await token(api, identity)}")
        await client.next_of("handshake")


async def test_what_is_bound_to_no_token_is_closed_in_time_s163(serve: Serve) -> None:
    served = await serve(ws_bind_seconds=1)
    async with board(served.url, FhirVersion.R5) as client:
        await client.say("hello")
        assert await client.outcome() == "structure"
        assert await client.outcome() == "timeout"
        assert await client.closed() == 4408


async def test_a_subscription_is_active_at_once_and_keeps_its_events_until_somebody_listens_s167(
    served: Served, base: FhirVersion
) -> None:
    api = served.api(base)
    identity = await subscribe(api, max_count=10)
    await change(api, identity, 5)
    told = status_of((await api.get(f"Subscription/{identity}/$status")).json())
    assert (told["status"], told["count"], told["errors"]) == ("active", 5, [])
    async with board(served.url, base) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        assert (await client.next_of("handshake"))["count"] == 5
        assert await client.numbers(5) == [1, 2, 3, 4, 5]


async def test_a_subscription_that_was_deleted_after_the_token_cannot_be_bound(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    one, two = await subscribe(api), await subscribe(api)
    wanted = await token(api, one, two)
    await api.delete(f"Subscription/{one}")
    async with board(served.url, FhirVersion.R5) as client:
        await client.say(f"bind-with-token {wanted}")
        frames = [await client.next() for _ in range(2)]
        assert {each["resourceType"] for each in frames} == {"OperationOutcome", "Bundle"}


async def test_an_off_subscription_gets_no_token(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    identity = await subscribe(api)
    body = (await api.get(f"Subscription/{identity}")).json() | {"status": "off"}
    assert (await api.put(f"Subscription/{identity}", body)).status_code == 200
    outcome_of(await api.get(f"Subscription/{identity}/$get-ws-binding-token"), 422)


async def test_a_token_says_which_subscriptions_it_may_name(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    identity, other = await subscribe(api), fresh_id()
    async with board(served.url, FhirVersion.R5) as client:
        await client.say(f"bind-with-token {await token(api, identity)} {other}=1")
        assert await client.outcome() == "security"
        assert await client.closed() == 4401
