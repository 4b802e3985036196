"""What ends a binding: off, delete, end, another channel; each with its close code (decision 0011)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.domain.versions import FhirVersion
from hub.errors import Unavailable
from hub.store.sockets import Permission, Sockets
from tests.api.builders import subscription
from tests.api.harness import Api
from tests.sockets.harness import (
    Served,
    board,
    change,
    classic_listened,
    listened,
    serving,
    status_of,
    subscribe,
    token,
)


async def switch_off(api: Api, identity: str) -> None:
    body = (await api.get(f"Subscription/{identity}")).json() | {"status": "off"}
    answer = await api.put(f"Subscription/{identity}", body)
    assert answer.status_code == 200, answer.text


async def test_off_sends_a_last_heartbeat_and_closes_the_socket(served: Served, base: FhirVersion) -> None:
    api = served.api(base)
    identity = await subscribe(api)
    async with board(served.url, base) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        await client.next_of("handshake")
        await switch_off(api, identity)
        assert (await client.next_of("heartbeat"))["status"] == "off"
        assert await client.outcome() == "business-rule"
        assert await client.closed() == 4410


async def test_delete_closes_the_socket_without_a_last_notification(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    identity = await subscribe(api)
    async with board(served.url, FhirVersion.R5) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        await client.next_of("handshake")
        await api.delete(f"Subscription/{identity}")
        assert await client.outcome() == "business-rule"
        assert await client.closed() == 4410


async def test_entered_in_error_closes_the_socket(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    identity = await subscribe(api)
    async with board(served.url, FhirVersion.R5) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        await client.next_of("handshake")
        body = (await api.get(f"Subscription/{identity}")).json() | {"status": "entered-in-error"}
        assert (await api.put(f"Subscription/{identity}", body)).status_code == 200
        assert await client.closed() == 4410


async def test_a_classic_subscription_that_goes_closes_its_socket_too(served: Served) -> None:
    """Ruling 29: bound without a token, ended like any other."""
    api = served.api(FhirVersion.R4)
    made = await api.post("Subscription", classic_listened("Patient?"))
    identity = made.json()["id"]
    async with board(served.url, FhirVersion.R4) as client:
        await client.say(f"bind {identity}")
        assert await client.next() == f"bound {identity}"
        await api.delete(f"Subscription/{identity}")
        assert await client.outcome() == "business-rule"
        assert await client.closed() == 4410


async def test_a_hub_that_stops_and_with_it_every_caller_it_knew_closes_with_1012(
    sockets_redis_url: str, tmp_path: Path
) -> None:
    """HOUSE decision 11: a binding ends with the caller's authorisation, which a static token loses by a restart."""
    async with AsyncExitStack() as clients:
        async with serving(f"{sockets_redis_url}?db=2", tmp_path) as served:
            client = await clients.enter_async_context(board(served.url, FhirVersion.R5))
            api = served.api(FhirVersion.R5)
            await client.say(f"bind-with-token {await token(api, await subscribe(api))}")
            await client.next_of("handshake")
        assert await client.closed() == 1012


async def test_a_bind_while_the_store_is_away_is_closed_with_1013(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether the token was taken, so no answer about it is given."""
    api = served.api(FhirVersion.R5)
    wanted = await token(api, await subscribe(api))

    async def away(_: Sockets, digest: str) -> Permission | None:
        raise Unavailable("Redis does not answer")

    async with board(served.url, FhirVersion.R5) as client:
        with monkeypatch.context() as patched:
            patched.setattr(Sockets, "take_token", away)
            await client.say(f"bind-with-token {wanted}")
            assert await client.closed() == 1013
    async with board(served.url, FhirVersion.R5) as client:
        await client.say(f"bind-with-token {wanted}")
        await client.next_of("handshake")


async def test_its_own_end_closes_the_socket(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    end = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    made = await api.post("Subscription", listened(FhirVersion.R5, end=end))
    assert made.status_code == 201, made.text
    async with board(served.url, FhirVersion.R5) as client:
        await client.say(f"bind-with-token {await token(api, made.json()['id'])}")
        told = [status_of(await client.next()), status_of(await client.next())]
        assert [(each["type"], each["status"]) for each in told][-1] == ("heartbeat", "off")
        assert await client.closed() == 4410


async def test_of_several_only_the_one_that_ended_goes(served: Served) -> None:
    api = served.api(FhirVersion.R4)
    one, two = await subscribe(api), await subscribe(api)
    async with board(served.url, FhirVersion.R4) as client:
        await client.say(f"bind-with-token {await token(api, one, two)}")
        for _ in range(2):
            await client.next_of("handshake")
        await api.delete(f"Subscription/{one}")
        assert await client.outcome() == "business-rule"
        await change(api, two)
        assert (await client.next_of("event-notification"))["numbers"] == [1]
        await api.delete(f"Subscription/{two}")
        assert await client.closed() == 4410


async def test_another_channel_ends_the_binding(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    identity = await subscribe(api)
    async with board(served.url, FhirVersion.R5) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        await client.next_of("handshake")
        moved = subscription(FhirVersion.R5, "http://127.0.0.1:9999/hook") | {"id": identity}
        answer = await api.put(f"Subscription/{identity}", moved)
        assert (answer.status_code, answer.json()["status"]) == (200, "requested")
        assert await client.closed() == 4409


async def test_a_rest_hook_that_becomes_a_websocket_is_active_at_once(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    made = await api.post("Subscription", subscription(FhirVersion.R5, "http://127.0.0.1:9999/hook"))
    identity = made.json()["id"]
    answer = await api.put(f"Subscription/{identity}", listened(FhirVersion.R5) | {"id": identity})
    assert (answer.status_code, answer.json()["status"]) == (200, "active")
    async with board(served.url, FhirVersion.R5) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        await client.next_of("handshake")


@pytest.mark.parametrize("content", ["empty", "full-resource"])
async def test_a_change_of_content_applies_to_a_bound_socket_at_once(served: Served, content: str) -> None:
    api = served.api(FhirVersion.R5)
    identity = await subscribe(api)
    async with board(served.url, FhirVersion.R5) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        await client.next_of("handshake")
        body = (await api.get(f"Subscription/{identity}")).json() | {"content": content, "status": "requested"}
        answer = await api.put(f"Subscription/{identity}", body)
        assert (answer.status_code, answer.json()["status"]) == (200, "active")
        await change(api, identity)
        frame = await client.next()
        assert status_of(frame)["numbers"] == [1]
        assert len(frame["entry"]) == (2 if content == "full-resource" else 1)


async def test_after_off_and_requested_a_new_bind_brings_what_waited(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    identity = await subscribe(api)
    await change(api, identity, 2)
    await switch_off(api, identity)
    body = (await api.get(f"Subscription/{identity}")).json() | {"status": "requested"}
    assert (await api.put(f"Subscription/{identity}", body)).json()["status"] == "active"
    async with board(served.url, FhirVersion.R5) as client:
        await client.say(f"bind-with-token {await token(api, identity)}")
        assert await client.numbers(2) == [1, 2]


async def test_a_stuck_socket_does_not_hold_up_the_ends_of_others(served: Served) -> None:
    api = served.api(FhirVersion.R5)
    ids = [await subscribe(api) for _ in range(8)]
    async with board(served.url, FhirVersion.R5) as stuck, board(served.url, FhirVersion.R5) as client:
        await stuck.say(f"bind-with-token {await token(api, *ids[:7])}")
        for _ in range(7):
            await stuck.next_of("handshake")
        await client.say(f"bind-with-token {await token(api, ids[7])}")
        await client.next_of("handshake")
        stuck.socket.transport.pause_reading()
        await asyncio.gather(*(api.delete(f"Subscription/{each}") for each in ids))
        assert await client.closed() == 4410
        stuck.socket.transport.resume_reading()
        assert await stuck.closed() == 4410
