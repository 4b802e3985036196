"""Conditional interactions on single resources, and ``_history`` of one, as far back as it is held (ruling 14)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hub.domain.versions import FhirVersion
from tests.api.builders import fresh_id, patient, subscribe
from tests.api.bundle_builders import SYSTEM, by, fresh, identified
from tests.api.harness import BASE_URL, Api, RunningHub, outcome_of
from tests.api.receiver import Inbox

IDENTIFIER = {"resourceType": "Patient", "identifier": [{"value": "x"}]}


async def _versions(api: Api, path: str) -> list[dict[str, Any]]:
    answer = await api.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.json()["type"] == "history"
    return list(answer.json().get("entry", ()))


async def test_history_tells_every_version_newest_first_as_it_was_written(api: Api) -> None:
    identity = fresh_id()
    first = await api.put(f"Patient/{identity}", b'{"resourceType":"Patient", "id":"%s" }' % identity.encode())
    await api.put(f"Patient/{identity}", patient(identity, active=True))
    await api.delete(f"Patient/{identity}")
    await api.put(f"Patient/{identity}", patient(identity))
    again, gone, changed, made = await _versions(api, f"Patient/{identity}/_history")
    url = f"{BASE_URL}{api.base.path}/Patient/{identity}"
    assert {each["fullUrl"] for each in (again, gone, changed, made)} == {url}
    assert [each["response"]["etag"] for each in (again, gone, changed, made)] == [f'W/"{n}"' for n in (4, 3, 2, 1)]
    assert [each["request"] for each in (gone, changed, made)] == [
        {"method": "DELETE", "url": f"Patient/{identity}"}, {"method": "PUT", "url": f"Patient/{identity}"},
        {"method": "POST", "url": "Patient"},
    ]  # fmt: skip
    assert "resource" not in gone and changed["resource"]["active"] is True
    assert first.content in (await api.get(f"Patient/{identity}/_history")).content


async def test_history_comes_in_pages_that_follow_each_other(api: Api) -> None:
    identity = fresh_id()
    for number in range(7):
        await api.put(f"Patient/{identity}", patient(identity, gender=str(number)))
    told, url = [], f"{api.base.path}/Patient/{identity}/_history?_count=3"
    for size in (3, 3, 1):
        answer = (await api.get(url)).json()
        links = {link["relation"]: link["url"] for link in answer["link"]}
        assert links["self"] == f"{BASE_URL}{url}"
        assert len(answer["entry"]) == size
        told += [each["resource"]["gender"] for each in answer["entry"]]
        await api.put(f"Patient/{identity}", patient(identity, gender="later"))  # moves no page
        url = links.get("next", "").removeprefix(BASE_URL)
    assert told == ["6", "5", "4", "3", "2", "1", "0"] and not url


async def test_a_page_of_large_versions_is_shorter_than_asked_for(api: Api) -> None:
    identity, much = fresh_id(), "x" * 1_900_000
    for number in range(6):
        await api.put(f"Patient/{identity}", patient(identity, gender=str(number), language=much))
    answer = await api.get(f"Patient/{identity}/_history")
    assert 1 <= len(answer.json()["entry"]) < 6
    (following,) = (link["url"] for link in answer.json()["link"] if link["relation"] == "next")
    rest = await _versions(api, following.removeprefix(BASE_URL))
    assert len(answer.json()["entry"]) + len(rest) == 6


@pytest.mark.parametrize(
    "query", ["_count=x", "_count=-1", "_count=\u0663", "_since=2020", "_at=2020", "_page=1", "_page=x-1", "_sort=x"]
)
async def test_what_history_does_not_offer_is_refused(api: Api, query: str) -> None:
    identity = fresh_id()
    await api.put(f"Patient/{identity}", patient(identity))
    outcome_of(await api.get(f"Patient/{identity}/_history?{query}"), 400)


async def test_history_of_the_unknown_is_404_and_a_page_of_another_resource_is_empty(api: Api) -> None:
    one, other = fresh(2)
    outcome_of(await api.get(f"Patient/{one}/_history"), 404)
    outcome_of(await api.get("Unicorn/1/_history"), 404)
    for each in (one, one, other):
        await api.put(f"Patient/{each}", patient(each))
    page = (await api.get(f"Patient/{one}/_history?_count=1")).json()["link"][1]["url"]
    assert await _versions(api, page.removeprefix(BASE_URL).replace(one, other)) == []


async def test_two_conditional_creates_at_the_same_time_create_one(api: Api, inbox: Inbox) -> None:
    mark = fresh_id()
    await subscribe(api, inbox, filters=(f"identifier={mark}",))
    answers = await asyncio.gather(*(api.post("Patient", identified(mark), If_None_Exist=by(mark)) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert (await inbox.event()).numbers == [1]
    assert inbox.nothing_unread()


async def test_two_conditional_updates_at_the_same_time_create_one(api: Api) -> None:
    mark = fresh_id()
    answers = await asyncio.gather(*(api.put(f"Patient?{by(mark)}", identified(mark)) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_condition_finds_by_system_and_value_by_value_and_by_no_system(api: Api) -> None:
    mark = fresh_id()
    with_system = (await api.post("Patient", identified(mark))).json()["id"]
    bare = (await api.post("Patient", {"resourceType": "Patient", "identifier": [{"value": mark}]})).json()["id"]
    for query, found in ((by(mark), with_system), (f"identifier=|{mark}", bare)):
        assert (await api.post("Patient", patient(), If_None_Exist=query)).json()["id"] == found
        encoded = query.replace("|", "%7C").replace(":", "%3A")
        assert (await api.post("Patient", patient(), If_None_Exist=encoded)).json()["id"] == found
    outcome_of(await api.post("Patient", patient(), If_None_Exist=f"identifier={mark}"), 412)
    await api.delete(f"Patient/{bare}")
    assert (await api.post("Patient", patient(), If_None_Exist=f"identifier={mark}")).json()["id"] == with_system
    other = await api.post("Practitioner", {"resourceType": "Practitioner"}, If_None_Exist=f"identifier={mark}")
    assert other.status_code == 201


async def test_a_condition_finds_what_is_written_now_and_not_what_was(api: Api) -> None:
    mark, later = fresh(2)
    identity = (await api.post("Patient", identified(mark))).json()["id"]
    await api.put(f"Patient/{identity}", identified(later, identity))
    assert (await api.post("Patient", patient(), If_None_Exist=by(later))).status_code == 200
    assert (await api.post("Patient", identified(mark), If_None_Exist=by(mark))).status_code == 201


async def test_odd_identifiers_are_found_exactly(api: Api) -> None:
    odd = f"a,b|c$d\\e +{fresh_id()}"
    written = odd.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$")
    identity = (await api.post("Patient", identified(odd))).json()["id"]
    found = await api.post("Patient", patient(), If_None_Exist=f"identifier={SYSTEM}|{written}")
    assert (found.status_code, found.json()["id"]) == (200, identity)
    assert (await api.put(f"Patient?identifier={quoted(written)}", identified(odd))).json()["id"] == identity


def quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


CONDITIONS = [
    "", "identifier=", "identifier=a,b", "identifier=http://a|", "identifier=|", "identifier=a|b|c", "name=x", "x",
    "identifier=a&identifier=b", "identifier=a&_id=b", "identifier:exact=a", "_id=a,b", "_id=", "_id=a b", "_id=a/b",
    "identifier=%zz", "identifier=%ff", "identifier=a\\x",
]  # fmt: skip


@pytest.mark.parametrize("condition", CONDITIONS)
async def test_a_condition_that_would_not_be_understood_refuses_the_write(running: RunningHub, condition: str) -> None:
    """To overlook it, or to find nothing by it, would create what the client asked not to create."""
    api = running.api(FhirVersion.R5)
    outcome_of(await api.post("Patient", IDENTIFIER, If_None_Exist=condition), 400)
    if condition:
        outcome_of(await api.put(f"Patient?{condition}", IDENTIFIER), 400)
        outcome_of(await api.delete(f"Patient?{condition}"), 400)


async def test_a_type_without_identifiers_has_no_condition_on_them(api: Api) -> None:
    body = {"resourceType": "Binary", "contentType": "text/plain"}
    outcome_of(await api.post("Binary", body, If_None_Exist="identifier=1"), 400)


async def test_more_identifiers_than_are_kept_refuse_the_write(api: Api) -> None:
    many = [{"value": str(number)} for number in range(501)]
    outcome_of(await api.post("Patient", patient(identifier=many)), 422)
    assert (await api.post("Patient", patient(identifier=many[:500]))).status_code == 201


async def test_a_conditional_update_with_an_id_takes_it_only_when_it_is_free(api: Api) -> None:
    mark, other, free, taken = fresh(4)
    await api.put(f"Patient/{taken}", patient(taken))
    outcome_of(await api.put(f"Patient?{by(mark)}", identified(mark, taken)), 409)
    created = await api.put(f"Patient?{by(mark)}", identified(mark, free))
    assert (created.status_code, created.json()["id"]) == (201, free)
    outcome_of(await api.put(f"Patient?{by(mark)}", identified(mark, taken)), 400)
    outcome_of(await api.put(f"Patient?{by(other)}", identified(other, "a b")), 400)
    outcome_of(await api.put(f"Patient?{by(mark)}", identified(mark), If_Match='W/"9"'), 412)
    outcome_of(await api.put(f"Patient?{by(other)}", identified(other), If_Match='W/"1"'), 412)
    assert (await api.put(f"Patient?{by(mark)}", identified(mark), If_Match='W/"1"')).headers["etag"] == 'W/"2"'


async def test_a_conditional_delete_deletes_one_nothing_or_refuses(api: Api) -> None:
    mark = fresh_id()
    assert (await api.delete(f"Patient?{by(mark)}")).status_code == 204
    one, two = [(await api.post("Patient", identified(mark))).json()["id"] for _ in range(2)]
    outcome_of(await api.delete(f"Patient?{by(mark)}"), 412)
    await api.delete(f"Patient/{two}")
    deleted = await api.delete(f"Patient?{by(mark)}")
    assert (deleted.status_code, deleted.headers["etag"]) == (204, 'W/"2"')
    outcome_of(await api.get(f"Patient/{one}"), 410)


async def test_a_repeated_conditional_request_is_told_what_the_first_was_told(api: Api) -> None:
    mark, second = fresh(2)
    for send in (
        lambda key: api.post("Patient", identified(mark), If_None_Exist=by(mark), Idempotency_Key=key),
        lambda key: api.post("Patient", identified(mark, active=True), If_None_Exist=by(mark), Idempotency_Key=key),
        lambda key: api.put(f"Patient?{by(second)}", identified(second), Idempotency_Key=key),
        lambda key: api.put(f"Patient?{by(second)}", identified(second, active=True), Idempotency_Key=key),
        lambda key: api.delete(f"Patient?{by(second)}", Idempotency_Key=key),
    ):
        key = fresh_id()
        first = await send(key)
        for again in [await send(key), *await asyncio.gather(send(key), send(key))]:
            assert (again.status_code, again.content) == (first.status_code, first.content)
            assert again.headers.get("etag") == first.headers.get("etag")
    key = fresh_id()
    await api.post("Patient", patient(), If_None_Exist=by(mark), Idempotency_Key=key)
    outcome_of(await api.post("Patient", patient(active=True), If_None_Exist=by(mark), Idempotency_Key=key), 422)


async def test_conditions_hold_over_all_partitions(start_hub: Callable[..., Awaitable[RunningHub]]) -> None:
    api = (await start_hub(partitions=4)).api(FhirVersion.R5)
    for mark in fresh(5):
        answers = await asyncio.gather(
            *(api.post("Patient", identified(mark), If_None_Exist=by(mark)) for _ in range(8)),
            *(api.put(f"Patient?{by(mark)}", identified(mark)) for _ in range(8)),
        )
        assert sorted(answer.status_code for answer in answers) == [200] * 15 + [201]
    history = await _versions(api, f"Patient/{answers[0].json()['id']}/_history")
    assert [each["response"]["etag"] for each in history] == [f'W/"{n}"' for n in range(len(history), 0, -1)]
