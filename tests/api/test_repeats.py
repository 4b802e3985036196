"""A repeated request is recognised: same answer, one version, one event (ruling 25)."""

from __future__ import annotations

import asyncio

import pytest

from tests.api.builders import fresh_id, patient, subscribe
from tests.api.harness import Api, outcome_of
from tests.api.receiver import Inbox, events_of

NAMES = ("Idempotency-Key", "X-Request-ID")


@pytest.mark.parametrize("name", NAMES)
async def test_a_repeated_create_gets_the_same_answer_and_makes_one_version_and_one_event(
    api: Api, inbox: Inbox, name: str
) -> None:
    mark = fresh_id()
    told = await subscribe(api, inbox, filters=(f"identifier={mark}",))
    body, key = patient(identifier=[{"value": mark}]), {name: fresh_id()}
    first = await api.post("Patient", body, **key)
    again = await asyncio.gather(*(api.post("Patient", body, **key) for _ in range(3)))
    for answer in again:
        assert (answer.status_code, answer.content) == (201, first.content)
        assert answer.headers["location"] == first.headers["location"]
        assert answer.headers["etag"] == first.headers["etag"]
    outcome_of(await api.get(f"Patient/{first.json()['id']}/_history/2"), 404)
    await inbox.event()
    assert (await _count(api, told["id"])) == 1


@pytest.mark.parametrize("name", NAMES)
async def test_a_repeated_update_and_a_repeated_delete_change_nothing_more(api: Api, name: str) -> None:
    identity = fresh_id()
    await api.put(f"Patient/{identity}", patient(identity))
    key = {name: fresh_id()}
    for _ in range(2):
        answer = await api.put(f"Patient/{identity}", patient(identity, active=True), **key)
        assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    key = {name: fresh_id()}
    for _ in range(2):
        answer = await api.delete(f"Patient/{identity}", **key)
        assert (answer.status_code, answer.headers["etag"]) == (204, 'W/"3"')


async def test_a_repeat_after_a_later_change_still_gets_its_own_answer(api: Api) -> None:
    identity, key = fresh_id(), fresh_id()
    first = await api.put(f"Patient/{identity}", patient(identity), Idempotency_Key=key)
    await api.put(f"Patient/{identity}", patient(identity, active=True))
    again = await api.put(f"Patient/{identity}", patient(identity), Idempotency_Key=key)
    assert (again.status_code, again.content, again.headers["etag"]) == (201, first.content, 'W/"1"')
    assert (await api.get(f"Patient/{identity}")).json()["active"] is True


async def test_an_idempotency_key_used_for_another_request_is_422(api: Api) -> None:
    key = fresh_id()
    await api.post("Patient", patient(), Idempotency_Key=key)
    outcome_of(await api.post("Patient", patient(active=True), Idempotency_Key=key), 422)
    outcome_of(await api.post("Practitioner", {"resourceType": "Practitioner"}, Idempotency_Key=key), 422)


async def test_a_request_id_used_for_another_body_is_simply_another_request(api: Api) -> None:
    key = fresh_id()
    first = await api.post("Patient", patient(), X_Request_ID=key)
    other = await api.post("Patient", patient(active=True), X_Request_ID=key)
    assert other.status_code == 201
    assert other.json()["id"] != first.json()["id"]


async def test_an_empty_idempotency_key_is_refused(api: Api) -> None:
    for empty in ("", '""', " "):
        outcome_of(await api.post("Patient", patient(), Idempotency_Key=empty), 400)


async def _count(api: Api, identity: str) -> int:
    events = await api.get(f"Subscription/{identity}/$events")
    assert events.status_code == 200
    return len(events_of(events.json()))
